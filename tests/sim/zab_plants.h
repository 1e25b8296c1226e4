/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_plants - planted faults of the core: real in longlink-sim-planted, where the core is built with them,
 * and unknown in longlink-sim.
 *
 * Thread:  one at a time.
 * Memory:  one number.
 * Limits:  one at a time.
 * Errors:  plants_select: false, no such plant here.
 * Tests:   ctest sim_zab_plants, tests/long zab-plants
 */
#ifndef SIM_ZAB_PLANTS_H
#define SIM_ZAB_PLANTS_H

#include "zab/zab.h"

bool plants_select(const char *name);
void plants_apply(struct zab *z);

/* Name, invariant and sentence of plant i; false: there are no more. */
bool plants_row(uint32_t i, const char **name, const char **invariant, const char **text);

#endif
