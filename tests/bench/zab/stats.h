/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats - how long writes took, and how many there were, for both generators of this folder.
 *
 * Thread:  one.
 * Memory:  STATS_MAX times.
 * Limits:  later ones than STATS_MAX are counted, and their times forgotten.
 * Errors:  none.
 * Tests:   none: it is for the bench
 */
#ifndef ZAB_STATS_H
#define ZAB_STATS_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STATS_MAX = 8 * 1000 * 1000 };

struct stats {
    uint64_t begins_us, ends_us; /* what is answered between the two counts */
    uint64_t count, failed, kept;
    uint32_t *took_us;
};

static inline uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline void stats_init(struct stats *s, double warm_s, double seconds)
{
    *s = (struct stats){ .took_us = malloc(STATS_MAX * sizeof *s->took_us) };
    if (s->took_us == NULL) exit(1);
    s->begins_us = now_us() + (uint64_t)(warm_s * 1e6);
    s->ends_us = s->begins_us + (uint64_t)(seconds * 1e6);
}

static inline void stats_add(struct stats *s, uint64_t sent_us, uint64_t now)
{
    if (now < s->begins_us || now >= s->ends_us) return;
    s->count++;
    if (s->kept < STATS_MAX) s->took_us[s->kept++] = (uint32_t)(now - sent_us);
}

static inline int stats_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static inline void stats_print(struct stats *s, double seconds)
{
    qsort(s->took_us, s->kept, sizeof *s->took_us, stats_compare);
    uint32_t p50 = s->kept > 0 ? s->took_us[s->kept / 2] : 0;
    uint32_t p99 = s->kept > 0 ? s->took_us[s->kept * 99 / 100] : 0;
    printf("{\"writes\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"per_s\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           s->count, s->failed, (double)s->count / seconds, p50 / 1e3, p99 / 1e3);
    free(s->took_us);
}

#endif
