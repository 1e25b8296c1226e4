/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - counters and gauges, one block for each shard, summed by whoever asks. A row of metrics.def each.
 *
 * Thread:  a block has one writer, its shard; so counting is a load and a store, without a locked
 *          instruction. Sums and prints from any thread: each value is whole, the set is not one moment's.
 * Memory:  a block is a multiple of cache lines and shares none with another.
 * Limits:  values wrap at 2^64.
 * Errors:  ERR_NOMEM from metrics_new only.
 * Tests:   tests/unit/test_metrics.c
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include "base/err.h"
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum metric {
#define METRIC(name, kind, unit, doc) METRIC_##name,
#include "metrics/metrics.def"
#undef METRIC
    METRICS_COUNT
};

enum { METRICS_CACHE_LINE_BYTES = 64 };

struct metrics_shard {
    _Alignas(METRICS_CACHE_LINE_BYTES) _Atomic(uint64_t) value[METRICS_COUNT];
};

struct metrics;

/* shards: how many blocks, one for each thread that counts. */
enum err metrics_new(struct metrics **out, unsigned shards);
void metrics_free(struct metrics **owner);

/* The block of one thread. Lends it until metrics_free. */
struct metrics_shard *metrics_shard(struct metrics *m, unsigned shard);

/* The shards' sum. A gauge may be raised on one shard and lowered on another; the sum is right. */
int64_t metrics_sum(const struct metrics *m, enum metric which);

/* All of them in Prometheus' text format, version 0.0.4, with the prefix longlink_. */
void metrics_print(const struct metrics *m, FILE *to);

/* The manual's table, in Markdown. */
void metrics_print_reference(FILE *to);

/* The writer's own view of its block. */
static inline int64_t metrics_get(const struct metrics_shard *s, enum metric which)
{
    return (int64_t)atomic_load_explicit(&s->value[which], memory_order_relaxed);
}

static inline void metrics_add(struct metrics_shard *s, enum metric which, uint64_t n)
{
    uint64_t before = atomic_load_explicit(&s->value[which], memory_order_relaxed);
    atomic_store_explicit(&s->value[which], before + n, memory_order_relaxed);
}

/* For gauges only. */
static inline void metrics_sub(struct metrics_shard *s, enum metric which, uint64_t n)
{
    uint64_t before = atomic_load_explicit(&s->value[which], memory_order_relaxed);
    atomic_store_explicit(&s->value[which], before - n, memory_order_relaxed);
}

static inline void metrics_set(struct metrics_shard *s, enum metric which, int64_t to)
{
    atomic_store_explicit(&s->value[which], (uint64_t)to, memory_order_relaxed);
}

#endif
