/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ref - a count of owners.
 *
 * Thread:  any; the last ref_drop sees all that other owners did before theirs.
 * Memory:  a word in the shared object.
 * Limits:  2^32 - 1 owners.
 * Errors:  none; a count that falls below zero is a CHECK.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_REF_H
#define BASE_REF_H

#include "base/check.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ref {
    _Atomic(uint32_t) count;
};

static inline void ref_init(struct ref *r, uint32_t owners)
{
    atomic_init(&r->count, owners);
}

static inline void ref_add(struct ref *r, uint32_t owners)
{
    atomic_fetch_add_explicit(&r->count, owners, memory_order_relaxed);
}

/* True for the last owner, who must destroy the object. */
static inline bool ref_drop(struct ref *r)
{
    /* The only owner needs no atomic subtraction: nobody else can add or drop. */
    if (atomic_load_explicit(&r->count, memory_order_acquire) == 1) return true;
    uint32_t before = atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel);
    CHECK(before > 0);
    return before == 1;
}

#endif
