/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/zab_plants.h"

bool plants_select(const char *name)
{
    (void)name;
    return false;
}

void plants_apply(struct zab *z)
{
    (void)z;
}

bool plants_row(uint32_t i, const char **name, const char **invariant, const char **text)
{
    (void)i;
    *name = *invariant = *text = NULL;
    return false;
}
