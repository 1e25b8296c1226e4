/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_plan - a run before it is run: its knobs, and all that the nemesis and the clients will do. Drawn from
 * the seed, or read from a script; so that a run that failed can be tried again with less.
 *
 * Thread:  one at a time.
 * Memory:  the array grows; plan_fini frees it.
 * Limits:  none.
 * Errors:  plan_read: false, and a line on stderr.
 * Tests:   ctest sim_zab_scripts
 */
#ifndef SIM_ZAB_PLAN_H
#define SIM_ZAB_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum act_kind {
#define ACT(name, text) ACT_##name,
#include "sim/zab_acts.def"
#undef ACT
    ACT_KINDS
};

struct act {
    uint64_t at_us;
    uint32_t value;
    uint16_t a, b;
    uint8_t kind;
};

struct knobs {
#define KNOB(name, text) uint32_t name;
#include "sim/zab_knobs.def"
#undef KNOB
};

struct plan {
    uint64_t seed;
    struct knobs knobs;
    struct act *acts;
    uint32_t count, cap;
};

extern const char *const act_names[ACT_KINDS];

void plan_draw(struct plan *p, uint64_t seed, bool is_swarm);
bool plan_read(struct plan *p, const char *path);
void plan_write(const struct plan *p, FILE *to);
void plan_copy(struct plan *to, const struct plan *from);
void plan_fini(struct plan *p);

#endif
