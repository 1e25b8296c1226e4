/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word - a number that one thread changes now and then and all may read.
 *
 * Thread:  any.
 * Memory:  a word.
 * Limits:  32 bits; nothing else is seen in any order with it.
 * Errors:  none.
 * Tests:   tests/unit/test_log.c
 */
#ifndef BASE_WORD_H
#define BASE_WORD_H

#include <stdatomic.h>
#include <stdint.h>

struct shared_word {
    _Atomic(uint32_t) value;
};

static inline void shared_word_set(struct shared_word *w, uint32_t value)
{
    atomic_store_explicit(&w->value, value, memory_order_relaxed);
}

static inline uint32_t shared_word_get(const struct shared_word *w)
{
    return atomic_load_explicit(&w->value, memory_order_relaxed);
}

#endif
