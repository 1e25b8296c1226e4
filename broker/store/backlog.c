/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backlog.h"
#include <stdlib.h>
#include <string.h>

bool command_ack_is_open(const struct command_ack *ack, uint64_t seq)
{
    uint32_t low = 0, high = ack->open_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (ack->open[mid] < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low < ack->open_count && ack->open[low] == seq;
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

static void drop_first(struct backlog *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) b->bytes -= b->entries[b->head + i].bytes;
    b->head += count;
    b->count -= count;
    if (b->count > 0) return;
    free(b->entries);
    b->entries = NULL;
    b->head = b->room = 0;
}

uint32_t backlog_expect(struct backlog *b, const struct backlog_limits *l, uint32_t bytes,
                        uint64_t *drop_upto)
{
    uint32_t gone = too_many(b, l, bytes);
    *drop_upto = gone > 0 ? b->entries[b->head + gone - 1].seq : 0;
    drop_first(b, gone);
    b->expected++;
    b->bytes += bytes;
    return gone;
}

void backlog_unexpect(struct backlog *b, uint32_t bytes)
{
    b->expected--;
    b->bytes -= bytes;
}

static bool make_room(struct backlog *b)
{
    if (b->head + b->count < b->room) return true;
    if (b->head > b->room / 2) { /* mostly a hole at the front: move down */
        memmove(b->entries, b->entries + b->head, b->count * sizeof *b->entries);
        b->head = 0;
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
    if (was_expected) backlog_unexpect(b, e.bytes);
    if (!make_room(b)) return ERR_NOMEM;
    b->entries[b->head + b->count++] = e;
    b->bytes += e.bytes;
    return ERR_OK;
}

void backlog_finish(struct backlog *b, const struct command_ack *ack)
{
    uint32_t seen = 0;
    while (seen < b->count && b->entries[b->head + seen].seq <= ack->cursor) seen++;
    uint32_t keep_at = seen;
    for (uint32_t i = seen; i-- > 0;)
        if (command_ack_is_open(ack, b->entries[b->head + i].seq)) {
            struct backlog_entry kept = b->entries[b->head + i];
            b->entries[b->head + i] = b->entries[b->head + keep_at - 1];
            b->entries[b->head + --keep_at] = kept;
        }
    drop_first(b, keep_at);
}
