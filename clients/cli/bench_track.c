/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_track.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static void gap_insert(struct track *t, uint32_t place, struct track_gap gap)
{
    if (t->gap_count == t->gap_room) {
        uint32_t room = t->gap_room == 0 ? 4 : t->gap_room * 2;
        struct track_gap *gaps = realloc(t->gaps, room * sizeof *gaps);
        CHECK(gaps != NULL);
        t->gaps = gaps;
        t->gap_room = room;
    }
    memmove(t->gaps + place + 1, t->gaps + place, (t->gap_count - place) * sizeof *t->gaps);
    t->gaps[place] = gap;
    t->gap_count++;
}

static void gap_remove(struct track *t, uint32_t place)
{
    t->gap_count--;
    memmove(t->gaps + place, t->gaps + place + 1, (t->gap_count - place) * sizeof *t->gaps);
}

/* The first gap that ends above seq; gap_count when there is none. */
static uint32_t gap_find(const struct track *t, uint64_t seq)
{
    uint32_t low = 0, high = t->gap_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->gaps[middle].end > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Takes one number out of the gap at place: shortens, removes or cuts it in two. */
static void gap_fill(struct track *t, uint32_t place, uint64_t seq)
{
    struct track_gap *gap = &t->gaps[place];
    struct track_gap rest = { seq + 1, gap->end };

    if (gap->first == seq) {
        gap->first++;
        if (gap->first == gap->end) gap_remove(t, place);
        return;
    }
    gap->end = seq;
    if (rest.first < rest.end) gap_insert(t, place + 1, rest);
}

enum track_kind track_see(struct track *t, uint64_t seq, uint64_t *skipped)
{
    *skipped = 0;
    if (seq == t->next) {
        t->next++;
        return TRACK_NEXT;
    }
    if (seq > t->next) {
        *skipped = seq - t->next;
        t->missing += *skipped;
        gap_insert(t, t->gap_count, (struct track_gap){ t->next, seq });
        t->next = seq + 1;
        return TRACK_AHEAD;
    }
    uint32_t place = gap_find(t, seq);
    if (place < t->gap_count && t->gaps[place].first <= seq) {
        gap_fill(t, place, seq);
        t->missing--;
        t->late++;
        return TRACK_LATE;
    }
    t->repeats++;
    return TRACK_REPEAT;
}

uint64_t track_lost(const struct track *t, uint64_t sent)
{
    return t->missing + (sent > t->next ? sent - t->next : 0);
}

void track_fini(struct track *t)
{
    free(t->gaps);
    *t = (struct track){ 0 };
}
