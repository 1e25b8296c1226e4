/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally - a sum that several threads add to now and then.
 *
 * Thread:  any.
 * Memory:  a word.
 * Limits:  wraps at 2^64.
 * Errors:  none.
 * Tests:   tests/unit/test_plugin_host.c
 */
#ifndef BASE_TALLY_H
#define BASE_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

struct tally {
    _Atomic(uint64_t) sum;
};

static inline void tally_add(struct tally *t, uint64_t n)
{
    atomic_fetch_add_explicit(&t->sum, n, memory_order_relaxed);
}

static inline void tally_set(struct tally *t, uint64_t to)
{
    atomic_store_explicit(&t->sum, to, memory_order_relaxed);
}

static inline uint64_t tally_get(const struct tally *t)
{
    return atomic_load_explicit(&t->sum, memory_order_relaxed);
}

#endif
