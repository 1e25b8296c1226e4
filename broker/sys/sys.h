/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys - what the broker says of itself below $SYS: numbers once an interval, and of them what has changed.
 *
 * A step takes a reading of all rows of sys.def and the time, and says topics and texts. The first says all
 * of them, the later ones the uptime and what differs from what was said before.
 *
 * A load is an exponential moving average of growth per minute: after an interval of d seconds in which
 * the row grew by g, it is r + (load - r) * exp(-d / w) with r = 60 g / d, and w 60, 300 and 900 seconds.
 *
 * Thread:  one; sys_read is called by any.
 * Memory:  struct sys is the caller's; nothing is allocated.
 * Limits:  SYS_TOPIC_BYTES, SYS_TEXT_BYTES.
 * Errors:  none. A reading below zero, as sums that are not of one moment may give, counts as zero.
 * Tests:   tests/unit/test_sys.c, tests/e2e/test_sys.py
 */
#ifndef SYS_SYS_H
#define SYS_SYS_H

#include "metrics/metrics.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum sys_value {
#define SYS_COUNT(name, topic, value, doc) SYS_##name,
#define SYS_PEAK(name, topic, of, doc)     SYS_##name,
#define SYS_SUM(name, value)               SYS_##name,
#include "sys/sys.def"
    SYS_VALUES
};

enum { SYS_TOPIC_BYTES = 64, SYS_TEXT_BYTES = 32, SYS_SPANS = 3, SYS_LOADS_MAX = 16 };

/* The rows that are loads have no value of their own, those that are a peak are filled by sys_step. */
struct sys_reading {
    int64_t value[SYS_VALUES];
};

/* All zero but for started_ms, and the texts, before the first step. */
struct sys {
    uint64_t started_ms, stepped_ms;
    bool has_begun;
    const char *version, *durability; /* what its owner says once */
    struct sys_reading last;
    double load[SYS_LOADS_MAX][SYS_SPANS];
    int64_t said[SYS_LOADS_MAX][SYS_SPANS]; /* in hundredths */
};

/* What every row is now. */
void sys_read(struct sys_reading *r, const struct metrics *m);

/* Calls say(arg, topic, text) for what is to be said, once a topic. now_ms: of a clock that does not go
 * back. */
void sys_step(struct sys *s, uint64_t now_ms, const struct sys_reading *r,
              void (*say)(void *arg, const char *topic, const char *text), void *arg);

/* The manual's table, in Markdown. */
void sys_print_reference(FILE *to);

#endif
