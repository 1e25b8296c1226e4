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

static inline uint64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ms(c->ctx);
}
static inline uint64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c->ctx);
}

#endif
