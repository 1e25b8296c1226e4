/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/zab_plants.h"
#include "zab/plants.h"

static const struct {
    const char *name, *invariant, *text;
} rows[] = {
#define PLANT(name, invariant, text) { #name, invariant, text },
#include "zab/plants.def"
#undef PLANT
};

static enum zab_plant selected = PLANT_NONE;

bool plants_row(uint32_t i, const char **name, const char **invariant, const char **text)
{
    if (i >= sizeof rows / sizeof *rows) return false;
    *name = rows[i].name;
    *invariant = rows[i].invariant;
    *text = rows[i].text;
    return true;
}

bool plants_select(const char *name)
{
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, name) != 0) continue;
        selected = (enum zab_plant)(i + 1);
        return true;
    }
    return false;
}

void plants_apply(struct zab *z)
{
    if (selected != PLANT_NONE) zab_plant(z, selected);
}
