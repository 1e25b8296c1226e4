/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bucket - a rate that several threads share: so much a second, and what a second gives at once.
 *
 * One word says when all that was taken is paid for at the rate (GCRA: the theoretical arrival time). Nothing
 * runs between two calls, and a rate that changes holds from the next call on.
 *
 * Thread:  any.
 * Memory:  a word; 0 is a full bucket.
 * Limits:  rates of 1 to UINT32_MAX a second; BUCKET_BURST_MS of one at once.
 * Errors:  bucket_take says false and takes nothing.
 * Tests:   tests/unit/test_bucket.c
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BUCKET_MS_NS UINT64_C(1000000)
enum { BUCKET_BURST_MS = 1000 };

struct bucket {
    _Atomic(uint64_t) paid_ns;
};

static inline uint64_t bucket_cost_ns(uint32_t rate, uint32_t n)
{
    return (uint64_t)n * (1000 * BUCKET_MS_NS) / rate;
}

/* When it is paid for, if n more are taken. */
static inline uint64_t bucket_after(uint64_t paid_ns, uint32_t rate, uint32_t n, uint64_t now_ms)
{
    uint64_t now_ns = now_ms * BUCKET_MS_NS;
    return (paid_ns > now_ns ? paid_ns : now_ns) + bucket_cost_ns(rate, n);
}

static inline uint64_t bucket_wait_after(uint64_t paid_ns, uint32_t rate, uint64_t now_ms)
{
    uint64_t next_ns = bucket_after(paid_ns, rate, 1, now_ms);
    uint64_t free_ns = (now_ms + BUCKET_BURST_MS) * BUCKET_MS_NS;
    return next_ns <= free_ns ? 0 : (next_ns - free_ns + BUCKET_MS_NS - 1) / BUCKET_MS_NS;
}

/* How long until one may be taken. */
static inline uint64_t bucket_wait_ms(const struct bucket *b, uint32_t rate, uint64_t now_ms)
{
    return bucket_wait_after(atomic_load_explicit(&b->paid_ns, memory_order_relaxed), rate, now_ms);
}

/* Takes one if it may. */
static inline bool bucket_take(struct bucket *b, uint32_t rate, uint64_t now_ms)
{
    uint64_t before = atomic_load_explicit(&b->paid_ns, memory_order_relaxed);
    do
        if (bucket_wait_after(before, rate, now_ms) > 0) return false;
    while (!atomic_compare_exchange_weak_explicit(&b->paid_ns, &before, bucket_after(before, rate, 1, now_ms),
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* Takes n, which have come already. Gives how long who brought them must wait until he may bring more: those
 * who share the bucket get different times, each when his own are paid for, and do not all come at once. */
static inline uint64_t bucket_spend(struct bucket *b, uint32_t rate, uint32_t n, uint64_t now_ms)
{
    uint64_t before = atomic_load_explicit(&b->paid_ns, memory_order_relaxed);
    uint64_t after;
    do after = bucket_after(before, rate, n, now_ms);
    while (!atomic_compare_exchange_weak_explicit(&b->paid_ns, &before, after, memory_order_relaxed,
                                                  memory_order_relaxed));
    return bucket_wait_after(after, rate, now_ms);
}

/* Forgets what was taken. */
static inline void bucket_refill(struct bucket *b)
{
    atomic_store_explicit(&b->paid_ns, 0, memory_order_relaxed);
}

/* Is all that was taken paid for, so that a new bucket would do as well? */
static inline bool bucket_at_rest(const struct bucket *b, uint64_t now_ms)
{
    return atomic_load_explicit(&b->paid_ns, memory_order_relaxed) <= now_ms * BUCKET_MS_NS;
}

#endif
