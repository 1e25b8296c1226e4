/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plants - known faults, in a test build only, for the simulator to find. In every other build PLANTED is
 * false when it is compiled, and nothing of this is left.
 *
 * Thread:  one at a time.
 * Memory:  one number in struct zab.
 * Limits:  one at a time.
 * Errors:  none.
 * Tests:   tests/long zab-plants
 */
#ifndef ZAB_PLANTS_H
#define ZAB_PLANTS_H

enum zab_plant {
    PLANT_NONE,
#define PLANT(name, invariant, what) PLANT_##name,
#include "zab/plants.def"
#undef PLANT
    ZAB_PLANTS_COUNT
};

struct zab;

#ifdef ZAB_PLANTS
void zab_plant(struct zab *z, enum zab_plant plant);
#define PLANTED(z, name) ((z)->plant == PLANT_##name)
#else
#define PLANTED(z, name) (false)
#endif

#endif
