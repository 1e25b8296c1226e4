/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gauge - how many of something there are, counted by several threads against a limit.
 *
 * Thread:  any.
 * Memory:  a word.
 * Limits:  UINT32_MAX.
 * Errors:  gauge_take says false at the limit, and counts nothing.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_GAUGE_H
#define BASE_GAUGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gauge {
    _Atomic(uint32_t) count;
};

static inline bool gauge_take(struct gauge *g, uint32_t limit)
{
    uint32_t before = atomic_fetch_add_explicit(&g->count, 1, memory_order_relaxed);
    if (before < limit) return true;
    atomic_fetch_sub_explicit(&g->count, 1, memory_order_relaxed);
    return false;
}

static inline void gauge_give(struct gauge *g)
{
    atomic_fetch_sub_explicit(&g->count, 1, memory_order_relaxed);
}

/* For one that is counted elsewhere, by one thread, and shown here to others. */
static inline void gauge_set(struct gauge *g, uint32_t count)
{
    atomic_store_explicit(&g->count, count, memory_order_relaxed);
}

static inline uint32_t gauge_count(const struct gauge *g)
{
    return atomic_load_explicit(&g->count, memory_order_relaxed);
}

/* At this moment; for a gauge that nobody takes from any more. */
static inline bool gauge_is_zero(const struct gauge *g)
{
    return atomic_load_explicit(&g->count, memory_order_relaxed) == 0;
}

#endif
