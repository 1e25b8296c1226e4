/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_hist - how often each latency occurred, in buckets whose width is at most 1/128 of their value.
 *
 * Below 256 each value has its own bucket; above, every power of two is cut into 128 equal ones.
 *
 * Thread:  one owner; merge when the owners have ended.
 * Memory:  a value of about 58 KiB; no allocation.
 * Limits:  any uint64_t.
 * Errors:  none.
 * Tests:   tests/unit/test_bench_hist.c
 */
#ifndef CLI_BENCH_HIST_H
#define CLI_BENCH_HIST_H

#include <stdint.h>

enum { HIST_SUB_BITS = 7, HIST_SUB = 1 << HIST_SUB_BITS, HIST_BUCKETS = (64 - HIST_SUB_BITS + 1) * HIST_SUB };

struct hist {
    uint64_t count, min, max; /* min and max are exact; 0 when count is 0 */
    double sum;
    uint64_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t value);
void hist_merge(struct hist *into, const struct hist *from);

/* The smallest value that at least this share of all is not above, rounded up to its bucket's end, never
 * above max. 0 when nothing was added. Of 1000 values, share 0.5 gives the 500th. */
uint64_t hist_quantile(const struct hist *h, double share);

double hist_mean(const struct hist *h);

#endif
