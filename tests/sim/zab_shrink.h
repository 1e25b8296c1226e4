/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_shrink - what of a plan that failed is needed to fail: delta debugging over its actions.
 *
 * Thread:  one at a time.
 * Memory:  the plan's.
 * Limits:  SHRINK_RUNS_MAX runs.
 * Errors:  none: at worst the plan stays as it is.
 * Tests:   ctest sim_zab_scripts plays what it has left
 */
#ifndef SIM_ZAB_SHRINK_H
#define SIM_ZAB_SHRINK_H

#include "sim/zab_world.h"

enum { SHRINK_RUNS_MAX = 600 };

/* Drops actions from p as long as the same invariant breaks. True: fewer are left. */
bool shrink(struct world *w, struct plan *p, const char *invariant);

#endif
