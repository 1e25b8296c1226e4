/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include <time.h>

static uint64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint64_t mono_ms(void *ctx)
{
    (void)ctx;
    return read_ms(CLOCK_MONOTONIC_COARSE);
}

static uint64_t wall_ms(void *ctx)
{
    (void)ctx;
    return read_ms(CLOCK_REALTIME_COARSE);
}

const struct clock clock_system = { mono_ms, wall_ms, NULL };

static uint64_t steady_mono_ms(void *ctx)
{
    const struct clock_steady *s = ctx;
    return clock_mono_ms(s->base);
}

static uint64_t steady_wall_ms(void *ctx)
{
    const struct clock_steady *s = ctx;
    return clock_mono_ms(s->base) + s->ahead_ms;
}

void clock_steady_init(struct clock_steady *s, const struct clock *base)
{
    s->clock = (struct clock){ steady_mono_ms, steady_wall_ms, s };
    s->base = base;
    s->ahead_ms = clock_wall_ms(base) - clock_mono_ms(base);
}
