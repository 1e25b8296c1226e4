/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_dice - the numbers of one concern: xoshiro256**, seeded from the run's seed and the concern's number,
 * so that more draws for one concern do not shift another's.
 *
 * Thread:  one at a time.
 * Memory:  a value.
 * Limits:  none.
 * Errors:  none.
 * Tests:   ctest sim_zab_twice
 */
#ifndef SIM_ZAB_DICE_H
#define SIM_ZAB_DICE_H

#include <stdbool.h>
#include <stdint.h>

struct dice {
    uint64_t s[4];
};

static inline uint64_t dice_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

static inline void dice_init(struct dice *d, uint64_t seed, uint64_t concern)
{
    uint64_t x = dice_mix(seed) ^ dice_mix(concern * 0x1000193);
    for (int i = 0; i < 4; i++) d->s[i] = x = dice_mix(x);
}

static inline uint64_t dice_next(struct dice *d)
{
    uint64_t *s = d->s, m = s[1] * 5, result = (m << 7 | m >> 57) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

/* From 0 to below n; n 0 is taken for 1. */
static inline uint64_t dice_below(struct dice *d, uint64_t n)
{
    uint64_t r = dice_next(d);
    return n > 1 ? r % n : 0;
}

static inline uint64_t dice_between(struct dice *d, uint64_t low, uint64_t high)
{
    return low + dice_below(d, high - low + 1);
}

/* So many times of 1000. */
static inline bool dice_chance(struct dice *d, uint32_t per_mille)
{
    return dice_below(d, 1000) < per_mille;
}

/* Mostly around the mean, seldom much longer: what latencies look like. */
static inline uint64_t dice_latency(struct dice *d, uint64_t mean)
{
    uint64_t r = dice_next(d), base = mean / 2 + (r >> 32) % (mean + 1);
    return (r & 63) == 0 ? base * 8 : base;
}

#endif
