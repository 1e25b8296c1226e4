/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/zab_disk.h"
#include "base/check.h"
#include "wire/wire.h"
#include <stdlib.h>

enum { HEAD_BYTES = 8 };

void *array_grow(void *at, uint32_t count, uint32_t *cap, uint32_t size)
{
    if (count < *cap) return at;
    *cap = *cap == 0 ? 64 : *cap * 2;
    at = realloc(at, (size_t)*cap * size);
    CHECK(at != NULL);
    return at;
}

void blob_put(struct blob *b, const void *from, uint32_t len)
{
    if (len > b->cap - b->len) {
        b->cap = (b->len + len) * 2 + 256;
        b->at = realloc(b->at, b->cap);
        CHECK(b->at != NULL);
    }
    if (len > 0) memcpy(b->at + b->len, from, len);
    b->len += len;
}

void blob_fini(struct blob *b)
{
    free(b->at);
    *b = (struct blob){ 0 };
}

uint64_t entry_hash(const struct zab_entry *e)
{
    uint64_t h = 0xCBF29CE484222325 ^ e->kind;
    for (size_t i = 0; i < e->payload.len; i++) h = (h ^ e->payload.at[i]) * 0x100000001B3;
    return h;
}

static uint32_t checksum(uint32_t before, const uint8_t *at, uint32_t len)
{
    uint32_t h = before ^ 0x811C9DC5;
    for (uint32_t i = 0; i < len; i++) h = (h ^ at[i]) * 0x01000193;
    return h ^ h >> 15;
}

/* --- views */

uint32_t view_find(const struct view *v, uint64_t zxid)
{
    uint32_t low = 0, high = v->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (v->at[middle].last < zxid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool view_holds(const struct view *v, uint64_t zxid)
{
    if (zxid <= v->begin) return true;
    uint32_t i = view_find(v, zxid);
    return i < v->count && v->at[i].last == zxid;
}

static void view_find_config(struct view *v)
{
    v->config = v->base_config;
    for (uint32_t i = v->count; i > 0 && v->config == v->base_config; i--)
        if (v->at[i - 1].kind == ZAB_CONFIG) v->config = v->at[i - 1].last;
}

static void view_truncate(struct view *v, uint64_t zxid)
{
    bool is_config_gone = false;
    while (v->count > 0 && v->at[v->count - 1].last > zxid) {
        v->count--;
        if (v->at[v->count].kind == ZAB_CONFIG) is_config_gone = true;
    }
    /* Above all that is here: what it truncated is purged, and what was below it, too. */
    if (v->count == 0) v->begin = zxid;
    if (is_config_gone) view_find_config(v);
}

static void view_entry(struct view *v, const struct rec *r, uint32_t index)
{
    if (v->count == 0 && v->begin < r->entry.prev) v->begin = r->entry.prev;
    v->at = array_grow(v->at, v->count, &v->cap, sizeof *v->at);
    v->at[v->count] = r->entry;
    v->at[v->count].rec = index;
    v->count++;
    if (r->entry.kind == ZAB_CONFIG) v->config = r->entry.last;
}

static void view_apply(struct view *v, const struct rec *r, uint32_t index)
{
    switch (r->kind) {
    case ZAB_RECORD_ENTRY: view_entry(v, r, index); break;
    case ZAB_RECORD_ACCEPTED:
        v->accepted = r->epoch;
        v->leader = r->leader;
        break;
    case ZAB_RECORD_CURRENT:
        v->current = r->epoch;
        v->must_relearn = false;
        break;
    case ZAB_RECORD_TRUNC: view_truncate(v, r->zxid); break;
    case ZAB_RECORD_INSTALL:
        v->count = 0;
        v->begin = r->zxid;
        v->base_config = v->config = r->config;
        break;
    case ZAB_RECORD_CHECKPOINT:
        v->current = r->epoch;
        v->accepted = r->accepted;
        v->leader = r->leader;
        v->must_relearn = r->must_relearn;
        if (r->zxid > view_last(v)) {
            v->count = 0;
            v->begin = r->zxid;
        }
        if (r->config > v->base_config) v->base_config = r->config;
        if (r->config > v->config) v->config = r->config;
        break;
    case ZAB_RECORD_RELEARN: v->must_relearn = true; break;
    default: break;
    }
}

static void view_reset(struct view *v)
{
    struct seen *at = v->at;
    uint32_t cap = v->cap;
    *v = (struct view){ .at = at, .cap = cap };
}

/* --- records as bytes */

static void put(struct blob *b, uint64_t value, uint32_t bytes)
{
    uint8_t to[8];
    for (uint32_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
    blob_put(b, to, bytes);
}

static uint64_t get(const uint8_t **at, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) value |= (uint64_t)(*at)[i] << (8 * i);
    *at += bytes;
    return value;
}

static void patch(uint8_t *at, uint32_t value)
{
    for (uint32_t i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static void encode(struct blob *b, const struct zab_record *r)
{
    static struct wire_out out;
    CHECK(wire_record_encode(&out, r) == ERR_OK);
    blob_put(b, out.at, out.len);
    blob_put(b, out.payload.at, (uint32_t)out.payload.len);
}

bool disk_record(const struct disk *d, uint32_t i, struct zab_record *out)
{
    static struct wire_scratch scratch;
    const struct rec *r = &d->recs[i];
    struct bytes from = bytes_of(d->log.at + r->offset + HEAD_BYTES, r->len - HEAD_BYTES);
    return wire_record_decode(from, out, &scratch) == WIRE_OK;
}

static struct rec *rec_add(struct disk *d, uint32_t offset, uint32_t len)
{
    struct zab_record r;
    d->recs = array_grow(d->recs, d->count, &d->cap, sizeof *d->recs);
    struct rec *rec = &d->recs[d->count];
    *rec = (struct rec){ .offset = offset, .len = len };
    CHECK(disk_record(d, d->count, &r));
    rec->kind = r.kind;
    rec->zxid = r.zxid;
    rec->epoch = r.epoch;
    rec->accepted = r.accepted;
    rec->leader = r.leader;
    rec->must_relearn = r.must_relearn;
    bool has_members = r.kind == ZAB_RECORD_INSTALL || r.kind == ZAB_RECORD_CHECKPOINT;
    if (has_members) rec->config = r.members->version;
    if (r.kind == ZAB_RECORD_ENTRY)
        rec->entry = (struct seen){ .first = r.entry.first,
                                    .last = r.entry.last,
                                    .prev = r.entry.prev,
                                    .hash = entry_hash(&r.entry),
                                    .kind = r.entry.kind };
    if (d->in_segment >= d->segment_records) {
        d->in_segment = 0;
        d->segment++;
    }
    d->in_segment++;
    rec->segment = d->segment;
    rec->crc = d->crc;
    d->count++;
    return rec;
}

void disk_append(struct disk *d, const struct zab_record *r, struct zab_at at)
{
    uint32_t offset = d->log.len;
    put(&d->log, 0, HEAD_BYTES);
    encode(&d->log, r);
    uint32_t len = d->log.len - offset;
    patch(d->log.at + offset, len);
    d->crc = checksum(d->crc, d->log.at + offset + HEAD_BYTES, len - HEAD_BYTES);
    patch(d->log.at + offset + 4, d->crc);
    struct rec *rec = rec_add(d, offset, len);
    rec->no = at.no;
    rec->at_epoch = at.epoch;
    view_apply(&d->mem, rec, d->count - 1);
}

void disk_synced(struct disk *d)
{
    for (; d->synced < d->syncing; d->synced++) view_apply(&d->dur, &d->recs[d->synced], d->synced);
    d->is_syncing = false;
}

/* Reads the bytes up to the first record that is not whole. */
static bool disk_recover(struct disk *d)
{
    uint32_t size = d->log.len, at = 0, crc = d->base_crc;
    bool is_torn = false;
    d->count = d->synced = d->syncing = d->in_segment = 0;
    d->is_syncing = false;
    view_reset(&d->mem);
    view_reset(&d->dur);
    while (size - at >= HEAD_BYTES + 1) {
        const uint8_t *head = d->log.at + at;
        uint32_t len = (uint32_t)get(&head, 4), want = (uint32_t)get(&head, 4);
        if (len < HEAD_BYTES + 1 || len > size - at) {
            is_torn = len != 0;
            break;
        }
        crc = checksum(crc, head, len - HEAD_BYTES);
        is_torn = crc != want;
        if (is_torn) break;
        d->crc = crc;
        rec_add(d, at, len);
        at += len;
    }
    if (d->count == 0) d->crc = d->base_crc;
    d->log.len = at;
    for (uint32_t i = 0; i < d->count; i++) {
        view_apply(&d->mem, &d->recs[i], i);
        view_apply(&d->dur, &d->recs[i], i);
    }
    d->synced = d->syncing = d->count;
    return is_torn;
}

bool disk_crash(struct disk *d, struct dice *dice, const struct crash_fate *fate)
{
    for (uint32_t i = d->synced; i < d->count; i++) {
        uint8_t *at = d->log.at + d->recs[i].offset;
        uint32_t len = d->recs[i].len, what = (uint32_t)dice_below(dice, 1000);
        if (what < fate->lost) {
            memset(at, 0, len);
        } else if (what < fate->lost + fate->torn) {
            uint32_t kept = (uint32_t)dice_between(dice, 1, len - 1);
            memset(at + kept, 0, len - kept);
        } else if (what < fate->lost + fate->torn + fate->garbled) {
            at[dice_below(dice, len)] ^= (uint8_t)dice_between(dice, 1, 255);
        }
    }
    return disk_recover(d);
}

void disk_damage(struct disk *d, uint32_t from)
{
    if (from < d->count) d->log.len = d->recs[from].offset;
    disk_recover(d);
}

uint32_t disk_entries(const struct disk *d, uint64_t after, uint32_t bytes,
                      struct zab_entry out[ZAB_READ_ENTRIES_MAX])
{
    const struct view *v = &d->mem;
    struct zab_record r;
    size_t sum = 0;
    uint32_t i, n = 0;
    if (after < v->begin || !view_holds(v, after)) return 0;
    for (i = after == v->begin ? 0 : view_find(v, after) + 1; i < v->count && n < ZAB_READ_ENTRIES_MAX; i++) {
        disk_record(d, v->at[i].rec, &r);
        sum += r.entry.payload.len;
        if (n > 0 && sum > bytes) break;
        out[n++] = r.entry;
    }
    return n;
}

/* --- purging */

static void view_purge(struct view *v, uint32_t records)
{
    uint32_t gone = 0;
    for (; gone < v->count && v->at[gone].rec < records; gone++) {
        v->begin = v->at[gone].last;
        if (v->at[gone].kind == ZAB_CONFIG) v->base_config = v->at[gone].last;
    }
    if (gone > 0) memmove(v->at, v->at + gone, (v->count - gone) * sizeof *v->at);
    v->count -= gone;
    for (uint32_t i = 0; i < v->count; i++) v->at[i].rec -= records;
}

bool disk_purge(struct disk *d, uint64_t keep, uint32_t before)
{
    uint32_t i, cut = 0;
    for (i = 0; i < d->mem.count && d->mem.at[i].last <= keep; i++) {}
    if (i < d->mem.count && d->mem.at[i].rec < before) before = d->mem.at[i].rec;
    for (i = 1; i <= before && i < d->synced; i++)
        if (d->recs[i].segment != d->recs[i - 1].segment) cut = i;
    if (cut == 0) return false;
    uint32_t bytes = d->recs[cut].offset;
    d->base_crc = d->recs[cut - 1].crc;
    view_purge(&d->mem, cut);
    view_purge(&d->dur, cut);
    memmove(d->log.at, d->log.at + bytes, d->log.len - bytes);
    d->log.len -= bytes;
    d->count -= cut;
    d->synced -= cut;
    d->syncing -= cut;
    memmove(d->recs, d->recs + cut, d->count * sizeof *d->recs);
    for (i = 0; i < d->count; i++) d->recs[i].offset -= bytes;
    return true;
}

void disk_reset(struct disk *d, uint32_t segment_records)
{
    d->log.len = 0;
    d->count = d->synced = d->syncing = d->segment = d->in_segment = 0;
    d->crc = d->base_crc = 7;
    d->segment_records = segment_records;
    d->is_syncing = false;
    view_reset(&d->mem);
    view_reset(&d->dur);
}

void disk_fini(struct disk *d)
{
    blob_fini(&d->log);
    free(d->recs);
    free(d->mem.at);
    free(d->dur.at);
    *d = (struct disk){ 0 };
}
