/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history: a window of its newest entries in memory, and where each epoch ends in all of it.
 *
 *   begin ............ slots[head] ... slots[durable] ... slots[tail - 1].last == last
 *     on disk only      in memory, too: durable          | STOREd, not yet durable
 *
 * Payloads lie in one buffer, each in one piece, behind one another; an entry leaves the window when room is
 * needed and it is durable (a leader keeps also what is not committed, for its learners).
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "zab/calls_int.h"

enum err history_init(struct history *h, const struct zab_conf *conf)
{
    h->slots = calloc(conf->window_entries, sizeof *h->slots);
    h->bytes = calloc(conf->window_bytes, 1);
    h->slots_mask = conf->window_entries - 1;
    h->bytes_size = conf->window_bytes;
    return h->slots != NULL && h->bytes != NULL ? ERR_OK : ERR_NOMEM;
}

void history_fini(struct history *h)
{
    free(h->slots);
    free(h->bytes);
}

static struct slot *slot_at(const struct history *h, uint64_t index)
{
    return &h->slots[index & h->slots_mask];
}

static void ends_add(struct history *h, uint64_t zxid)
{
    uint32_t epoch = zab_epoch_of(zxid);
    struct zab_end *newest = h->ends_count > 0 ? &h->ends[h->ends_count - 1] : NULL;

    if (newest != NULL && newest->epoch == epoch) {
        newest->counter = zab_counter_of(zxid);
        return;
    }
    if (h->ends_count == ZAB_ENDS_MAX) {
        h->ends_begin = zab_zxid(h->ends[0].epoch, h->ends[0].counter);
        memmove(h->ends, h->ends + 1, (ZAB_ENDS_MAX - 1) * sizeof *h->ends);
        h->ends_count--;
    }
    h->ends[h->ends_count++] = (struct zab_end){ epoch, zab_counter_of(zxid) };
}

static void ends_truncate(struct history *h, uint64_t to)
{
    while (h->ends_count > 0 && h->ends[h->ends_count - 1].epoch >= zab_epoch_of(to)) h->ends_count--;
    if (h->ends_begin > to) h->ends_begin = to;
    if (to > 0) ends_add(h, to);
}

uint64_t history_known(const struct history *h)
{
    return h->begin > h->ends_begin ? h->begin : h->ends_begin;
}

static bool may_leave(const struct zab *z, const struct slot *s, uint64_t index)
{
    if (index >= z->h.durable) return false;
    return z->role != ZAB_LEADING || !z->is_established || s->last <= z->commit;
}

/* Where len bytes would begin: a payload does not go over the end of the buffer. */
static uint64_t place_for(const struct history *h, uint32_t len)
{
    uint64_t at = h->used % h->bytes_size;

    return at + len <= h->bytes_size ? h->used : h->used + (h->bytes_size - at);
}

static bool has_room(const struct history *h, uint32_t len)
{
    if (h->head == h->tail) return len <= h->bytes_size;
    return h->tail - h->head <= h->slots_mask &&
           place_for(h, len) + len - slot_at(h, h->head)->at <= h->bytes_size;
}

bool history_keep(struct zab *z, const struct zab_entry *e, uint64_t store_no)
{
    struct history *h = &z->h;
    uint32_t len = (uint32_t)e->payload.len;

    while (!has_room(h, len)) {
        if (h->head == h->tail || !may_leave(z, slot_at(h, h->head), h->head)) return false;
        h->head++;
    }
    uint64_t at = place_for(h, len);
    if (len > 0) memcpy(h->bytes + at % h->bytes_size, e->payload.at, len);
    h->used = at + len;
    *slot_at(h, h->tail++) = (struct slot){ e->first, e->last, e->prev, store_no, at, len, e->kind };
    h->last = e->last;
    ends_add(h, e->last);
    return true;
}

static struct zab_entry entry_of(const struct history *h, const struct slot *s)
{
    return (struct zab_entry){ .first = s->first,
                               .last = s->last,
                               .prev = s->prev,
                               .kind = s->kind,
                               .payload = bytes_of(h->bytes + s->at % h->bytes_size, s->len) };
}

bool history_append(struct zab *z, const struct zab_entry *e)
{
    if (!history_keep(z, e, z->store_no + 1)) return false;
    struct zab_record r = { .kind = ZAB_RECORD_ENTRY };

    r.entry = entry_of(&z->h, slot_at(&z->h, z->h.tail - 1));
    history_store(z, &r);
    return true;
}

void history_store(struct zab *z, const struct zab_record *r)
{
    struct zab_effect *e = zab_emit(z, ZAB_STORE);

    if (z->stored_no == z->store_no) z->store_progress_ms = z->now_ms;
    e->at = (struct zab_at){ z->accepted, ++z->store_no };
    e->record = *r;
}

/* After stored_no has moved: what is durable now. */
void history_stored(struct zab *z)
{
    struct history *h = &z->h;

    while (h->durable < h->tail && slot_at(h, h->durable)->store_no <= z->stored_no) {
        h->stored = slot_at(h, h->durable)->last;
        h->durable++;
    }
}

void history_truncate(struct zab *z, uint64_t to)
{
    struct history *h = &z->h;

    while (h->tail > h->head && slot_at(h, h->tail - 1)->last > to) {
        h->tail--;
        h->used = slot_at(h, h->tail)->at;
    }
    if (h->durable > h->tail) h->durable = h->tail;
    h->last = to;
    if (h->stored > to) h->stored = to;
    ends_truncate(h, to);
    members_truncate(z, to);
}

/* A snapshot at zxid takes the place of all entries. */
void history_reset(struct zab *z, uint64_t zxid)
{
    struct history *h = &z->h;

    h->head = h->durable = h->tail;
    h->begin = h->last = zxid;
    h->stored = zxid;
    h->ends_begin = 0;
    h->ends_count = 0;
    if (zxid > 0) ends_add(h, zxid);
}

void history_purge(struct zab *z, uint64_t zxid)
{
    struct history *h = &z->h;
    uint32_t gone = 0;

    if (zxid <= h->begin || zxid > h->stored) return;
    h->begin = zxid;
    while (gone + 1 < h->ends_count && zab_zxid(h->ends[gone].epoch, h->ends[gone].counter) < zxid) gone++;
    h->ends_count -= gone;
    memmove(h->ends, h->ends + gone, h->ends_count * sizeof *h->ends);
}

bool history_entry_after(const struct zab *z, uint64_t after, struct zab_entry *out)
{
    const struct history *h = &z->h;
    uint64_t low = h->head, high = h->tail;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (slot_at(h, middle)->prev < after)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == h->tail || slot_at(h, low)->prev != after) return false;
    *out = entry_of(h, slot_at(h, low));
    return true;
}

/* May e be the entry after the one that ends at last? */
bool history_follows(uint64_t last, const struct zab_entry *e)
{
    if (e->prev != last || e->first > e->last || zab_epoch_of(e->first) != zab_epoch_of(e->last))
        return false;
    if (zab_epoch_of(e->first) == zab_epoch_of(last)) return last > 0 && e->first == last + 1;
    return zab_epoch_of(e->first) > zab_epoch_of(last) && zab_counter_of(e->first) == 0 &&
           e->first == e->last && e->kind == ZAB_EPOCH_START;
}
