/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock - the two clocks, behind a struct so that tests bring their own.
 *
 * Thread:  any.
 * Memory:  none.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
    uint64_t (*mono_ms)(void *ctx); /* does not go back */
    uint64_t (*wall_ms)(void *ctx); /* since 1970 */
    void *ctx;
};

extern const struct clock clock_system;

/* A clock whose wall clock goes on from where `base` has it now, whatever somebody sets that to later: what
 * expires while a process runs does so by time that has passed. */
struct clock_steady {
    struct clock clock;
    const struct clock *base; /* borrowed */
    uint64_t ahead_ms;        /* of the wall clock before the monotone one */
};
void clock_steady_init(struct clock_steady *s, const struct clock *base);

static inline uint64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ms(c->ctx);
}
static inline uint64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c->ctx);
}

#endif
