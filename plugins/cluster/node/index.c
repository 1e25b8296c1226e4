/* SPDX-License-Identifier: Apache-2.0 */
#include "node/index.h"
#include <stdlib.h>

enum { ROOM_AT_FIRST = 256 };

void index_init(struct index *ix)
{
    *ix = (struct index){ .stride = INDEX_STRIDE_BYTES, .jumps = true };
}

void index_fini(struct index *ix)
{
    free(ix->marks);
    index_init(ix);
}

/* Every second goes, but the newest stays: a reader starts a little earlier. */
static void thin_out(struct index *ix)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ix->count; i += 2) ix->marks[kept++] = ix->marks[i];
    ix->count = kept;
    ix->stride *= 2;
}

static enum err add_mark(struct index *ix, uint64_t prev, uint64_t lsn)
{
    if (ix->count == INDEX_MARKS_MAX) thin_out(ix);
    if (ix->count == ix->room) {
        uint32_t room = ix->room == 0 ? (uint32_t)ROOM_AT_FIRST : ix->room * 2;
        struct index_mark *grown = realloc(ix->marks, room * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        ix->marks = grown;
        ix->room = room;
    }
    ix->marks[ix->count++] = (struct index_mark){ prev, lsn };
    ix->since = 0;
    ix->jumps = false;
    return ERR_OK;
}

static void forget_recent(struct index *ix)
{
    for (unsigned i = 0; i < INDEX_RECENT; i++) ix->recent[i].lsn = 0;
}

static enum err note_entry(struct index *ix, const struct zab_entry *e, uint64_t lsn)
{
    bool is_first = ix->begin == ix->last && ix->count == 0;

    if (is_first) ix->begin = e->prev;
    ix->last = e->last;
    ix->since += e->payload.len;
    return ix->jumps || ix->since >= ix->stride ? add_mark(ix, e->prev, lsn) : ERR_OK;
}

static void drop_oldest_cut(struct index *ix)
{
    struct index_cuts *c = &ix->cuts;
    c->count--;
    for (uint32_t i = 0; i < c->count; i++) c->at[i] = c->at[i + 1];
}

/* Whoever starts at a mark behind a cut never sees what it cut off. */
static void forget_marks_to(struct index *ix, uint64_t lsn)
{
    uint32_t gone = 0;

    while (gone < ix->count && ix->marks[gone].lsn <= lsn) gone++;
    for (uint32_t i = gone; i < ix->count; i++) ix->marks[i - gone] = ix->marks[i];
    ix->count -= gone;
}

static void note_cut(struct index *ix, uint64_t zxid, uint64_t lsn)
{
    struct index_cuts *c = &ix->cuts;

    while (ix->count > 0 && ix->marks[ix->count - 1].prev >= zxid) ix->count--;
    while (c->count > 0 && c->at[c->count - 1].zxid >= zxid) c->count--;
    if (c->count == INDEX_CUTS_MAX) {
        forget_marks_to(ix, c->at[0].lsn);
        if (ix->begin < c->at[0].zxid) ix->begin = c->at[0].zxid;
        drop_oldest_cut(ix);
    }
    c->at[c->count++] = (struct index_cut){ lsn, zxid };
    if (zxid < ix->begin) ix->begin = zxid;
    ix->last = zxid;
    ix->jumps = true;
    forget_recent(ix);
}

static void note_reset(struct index *ix, uint64_t zxid)
{
    ix->count = 0;
    ix->cuts.count = 0;
    ix->begin = ix->last = zxid;
    ix->jumps = true;
    forget_recent(ix);
}

enum err index_note(struct index *ix, const struct zab_record *r, uint64_t lsn)
{
    if (r->kind == ZAB_RECORD_ENTRY) return note_entry(ix, &r->entry, lsn);
    if (r->kind == ZAB_RECORD_TRUNC && r->zxid < ix->last) note_cut(ix, r->zxid, lsn);
    /* A checkpoint behind all that is there: the entries up to it were purged. */
    bool is_beyond = r->kind == ZAB_RECORD_CHECKPOINT && r->zxid > ix->last;
    if (r->kind == ZAB_RECORD_INSTALL || is_beyond) note_reset(ix, r->zxid);
    return ERR_OK;
}

/* The last mark whose prev is not above zxid; count: none. */
static uint32_t mark_for(const struct index *ix, uint64_t zxid)
{
    uint32_t low = 0, high = ix->count; /* those below low are not above */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ix->marks[middle].prev <= zxid)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? low - 1 : ix->count;
}

bool index_find(const struct index *ix, uint64_t after, uint64_t *lsn)
{
    uint32_t i = mark_for(ix, after);

    if (after < ix->begin || after >= ix->last || i == ix->count) return false;
    *lsn = ix->marks[i].lsn;
    for (unsigned k = 0; k < INDEX_RECENT; k++)
        if (ix->recent[k].lsn != 0 && ix->recent[k].prev == after) *lsn = ix->recent[k].lsn + 1;
    return true;
}

void index_remember(struct index *ix, uint64_t zxid, uint64_t lsn)
{
    ix->recent[ix->recent_next++ % INDEX_RECENT] = (struct index_mark){ zxid, lsn };
}

bool index_is_alive(const struct index_cuts *cuts, uint64_t lsn, uint64_t zxid)
{
    for (uint32_t i = 0; i < cuts->count; i++)
        if (cuts->at[i].lsn > lsn) return zxid <= cuts->at[i].zxid; /* the least of those that are later */
    return true;
}

uint64_t index_floor(const struct index *ix, uint64_t zxid, uint64_t *prev)
{
    uint32_t i = mark_for(ix, zxid);

    if (i == ix->count) i = 0;
    if (ix->count == 0) return 0;
    *prev = ix->marks[i].prev;
    return ix->marks[i].lsn;
}

void index_purged(struct index *ix, uint64_t zxid)
{
    uint32_t gone = 0;

    while (gone + 1 < ix->count && ix->marks[gone].prev < zxid) gone++;
    for (uint32_t i = gone; i < ix->count; i++) ix->marks[i - gone] = ix->marks[i];
    ix->count -= gone;
    if (ix->begin < zxid) ix->begin = zxid;
    while (ix->cuts.count > 0 && ix->count > 0 && ix->cuts.at[0].lsn < ix->marks[0].lsn) drop_oldest_cut(ix);
}
