/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_hist.h"

#include "base/check.h"

static unsigned bucket_of(uint64_t value)
{
    if (value < 2 * HIST_SUB) return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
    return shift * HIST_SUB + (unsigned)(value >> shift);
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < 2 * HIST_SUB) return bucket;
    unsigned shift = bucket / HIST_SUB - 1;
    uint64_t mantissa = bucket % HIST_SUB + HIST_SUB;
    return (mantissa << shift) + ((UINT64_C(1) << shift) - 1);
}

void hist_add(struct hist *h, uint64_t value)
{
    unsigned bucket = bucket_of(value);
    DCHECK(bucket < HIST_BUCKETS);
    h->buckets[bucket]++;
    if (h->count == 0 || value < h->min) h->min = value;
    if (value > h->max) h->max = value;
    h->sum += (double)value;
    h->count++;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    if (from->count == 0) return;
    if (into->count == 0 || from->min < into->min) into->min = from->min;
    if (from->max > into->max) into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < HIST_BUCKETS; i++) into->buckets[i] += from->buckets[i];
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    if (h->count == 0) return 0;
    double exact = share * (double)h->count;
    uint64_t rank = (uint64_t)exact; /* rounded up below: the rank-th value, from 1 */
    if ((double)rank < exact || rank == 0) rank++;
    if (rank > h->count) rank = h->count;

    uint64_t seen = 0;
    unsigned bucket = 0;
    while (bucket < HIST_BUCKETS - 1 && (seen += h->buckets[bucket]) < rank) bucket++;
    uint64_t end = bucket_end(bucket);
    return end < h->max ? end : h->max;
}

double hist_mean(const struct hist *h)
{
    return h->count > 0 ? h->sum / (double)h->count : 0.0;
}
