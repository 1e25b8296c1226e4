/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backlog.h"
#include "base/bisect.h"
#include <stdlib.h>
#include <string.h>

static bool is_open_before(const void *items, size_t i, uint64_t seq)
{
    const uint64_t *open = items;
    return open[i] < seq;
}

bool command_ack_is_open(const struct command_ack *ack, uint64_t seq)
{
    size_t i = bisect(ack->open, ack->open_count, seq, is_open_before);
    return i < ack->open_count && ack->open[i] == seq;
}

void backlog_fini(struct backlog *b)
{
    free(b->entries);
    *b = (struct backlog){ 0 };
}

static bool is_within(const struct backlog_limits *l, uint64_t messages, uint64_t bytes)
{
    return (l->messages_max == 0 || messages <= l->messages_max) &&
           (l->bytes_max == 0 || bytes <= l->bytes_max);
}

/* How many of the oldest must go for one more; all of them and one: not even that would do. */
static uint32_t too_many(const struct backlog *b, const struct backlog_limits *l, uint32_t bytes)
{
    uint64_t left_bytes = b->bytes + bytes;
    uint64_t left = (uint64_t)b->count + b->expected + 1;
    uint32_t gone = 0;
    while (!is_within(l, left, left_bytes)) {
        if (gone == b->count) return gone + 1;
        left_bytes -= b->entries[b->head + gone++].bytes;
        left--;
    }
    return gone;
}

bool backlog_fits(const struct backlog *b, const struct backlog_limits *l, uint32_t bytes)
{
    uint32_t most = l->policy == BACKLOG_DROP_OLDEST ? b->count : 0;
    return too_many(b, l, bytes) <= most;
}

static uint64_t bytes_of_entries(const struct backlog *b, uint32_t from, uint32_t to)
{
    uint64_t bytes = 0;
    for (uint32_t i = from; i < to; i++) bytes += b->entries[i].bytes;
    return bytes;
}

/* Moves the border between those that leave and those that stay. */
static void move_border(struct backlog *b, uint32_t head)
{
    if (head > b->head) b->bytes -= bytes_of_entries(b, b->head, head);
    if (head < b->head) b->bytes += bytes_of_entries(b, head, b->head);
    b->leaving = b->leaving + head - b->head;
    b->count = b->count + b->head - head;
    b->head = head;
}

void backlog_expect_beyond(struct backlog *b, uint32_t bytes)
{
    b->expected++;
    b->bytes += bytes;
}

uint32_t backlog_expect(struct backlog *b, const struct backlog_limits *l, uint32_t bytes,
                        uint64_t *drop_upto)
{
    uint32_t gone = too_many(b, l, bytes);
    *drop_upto = gone > 0 ? b->entries[b->head + gone - 1].seq : 0;
    move_border(b, b->head + gone);
    backlog_expect_beyond(b, bytes);
    return gone;
}

void backlog_unexpect(struct backlog *b, uint32_t bytes, uint32_t gone)
{
    b->expected--;
    b->bytes -= bytes;
    move_border(b, b->head - (gone < b->leaving ? gone : b->leaving));
}

static bool make_room(struct backlog *b)
{
    if (b->head + b->count < b->room) return true;
    uint32_t first = b->head - b->leaving;
    if (first > b->room / 2) { /* mostly a hole at the front: move down */
        memmove(b->entries, b->entries + first, (b->leaving + b->count) * sizeof *b->entries);
        b->head = b->leaving;
        return true;
    }
    uint32_t room = b->room == 0 ? 8 : b->room * 2;
    struct backlog_entry *grown = realloc(b->entries, room * sizeof *grown);
    if (grown == NULL) return false;
    b->entries = grown;
    b->room = room;
    return true;
}

enum err backlog_add(struct backlog *b, struct backlog_entry e, bool was_expected)
{
    if (was_expected) backlog_unexpect(b, e.bytes, 0);
    if (!make_room(b)) return ERR_NOMEM;
    b->entries[b->head + b->count++] = e;
    b->bytes += e.bytes;
    return ERR_OK;
}

/* Of those that leave, too. */
static bool is_before(const void *of, size_t i, uint64_t seq)
{
    const struct backlog *b = of;
    return b->entries[b->head - b->leaving + i].seq < seq;
}

/* Index of the first entry that is not before this seq. */
static uint32_t place_of(const struct backlog *b, uint64_t seq)
{
    return b->head - b->leaving + (uint32_t)bisect(b, b->leaving + b->count, seq, is_before);
}

bool backlog_has(const struct backlog *b, uint64_t seq)
{
    uint32_t i = place_of(b, seq);
    return i < b->head + b->count && b->entries[i].seq == seq;
}

void backlog_take(struct backlog *b, uint64_t seq)
{
    uint32_t end = b->head + b->count, i = place_of(b, seq);
    if (i == end || b->entries[i].seq != seq) return;
    if (i < b->head) { /* counted out already */
        b->leaving--;
        b->head--;
    } else {
        b->bytes -= b->entries[i].bytes;
        b->count--;
    }
    memmove(b->entries + i, b->entries + i + 1, (end - i - 1) * sizeof *b->entries);
}

/* The open ones among the first `seen` entries move up to those that follow. Gives where they begin. */
static uint32_t keep_open(struct backlog *b, const struct command_ack *ack, uint32_t first, uint32_t seen)
{
    uint32_t keep_at = first + seen, stay = b->head;
    for (uint32_t i = first + seen; i-- > first;) {
        struct backlog_entry e = b->entries[i];
        if (command_ack_is_open(ack, e.seq)) {
            b->entries[--keep_at] = e;
            if (i < stay) b->leaving++;
        } else if (i >= stay) {
            b->bytes -= e.bytes;
        }
    }
    return keep_at;
}

void backlog_finish(struct backlog *b, const struct command_ack *ack)
{
    uint32_t first = b->head - b->leaving, end = b->head + b->count, seen = 0;
    while (first + seen < end && b->entries[first + seen].seq <= ack->cursor) seen++;
    b->leaving -= seen < b->leaving ? seen : b->leaving; /* but for those that keep_open finds */
    uint32_t keep_at = keep_open(b, ack, first, seen);
    b->head = keep_at + b->leaving;
    b->count = end - b->head;
    if (keep_at < end) return;
    free(b->entries);
    b->entries = NULL;
    b->head = b->room = 0;
}
