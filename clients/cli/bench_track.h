/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_track - what one subscriber saw of one publisher's numbered messages 0, 1, 2 ...: loss, repeats and
 * wrong order, each counted exactly.
 *
 * A number above the next one expected leaves a gap. One that fills a gap came late (wrong order). One that
 * was seen before is a repeat. What is in a gap at the end, or above the last seen, is lost.
 *
 * Thread:  one owner.
 * Memory:  the gaps, 16 bytes each, only while there are any.
 * Limits:  none; running out of memory ends the program.
 * Errors:  none.
 * Tests:   tests/unit/test_bench_track.c
 */
#ifndef CLI_BENCH_TRACK_H
#define CLI_BENCH_TRACK_H

#include <stdint.h>

enum track_kind { TRACK_NEXT, TRACK_AHEAD, TRACK_LATE, TRACK_REPEAT };

struct track_gap {
    uint64_t first, end; /* first missing, and the one after the last missing */
};

struct track {
    uint64_t next; /* one above the highest seen */
    uint64_t late, repeats, missing;
    struct track_gap *gaps; /* in ascending order */
    uint32_t gap_count, gap_room;
};

/* Counts a message. After TRACK_AHEAD, what is missing just before it is *skipped numbers, else 0. */
enum track_kind track_see(struct track *t, uint64_t seq, uint64_t *skipped);

/* How many of `sent` messages were never seen. */
uint64_t track_lost(const struct track *t, uint64_t sent);

/* Forgets everything and frees the gaps. */
void track_fini(struct track *t);

#endif
