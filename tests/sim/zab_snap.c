/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine: a chain of hashes over all entries, and its files. */
#include "sim/zab_world.h"

enum { SNAP_FIXED_BYTES = 8 * 3 + 4 + 8 };

static void put(struct blob *b, uint64_t value, uint32_t bytes)
{
    uint8_t to[8];
    for (uint32_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
    blob_put(b, to, bytes);
}

static uint64_t get(const uint8_t *at, uint32_t bytes)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint64_t seal(const uint8_t *at, size_t len)
{
    struct zab_entry all = { .kind = 1, .payload = bytes_of(at, len) };
    return entry_hash(&all);
}

void snap_write(struct machine *m, struct blob *to)
{
    to->len = 0;
    put(to, m->zxid, 8);
    put(to, m->chain, 8);
    put(to, m->pos, 8);
    put(to, m->members.len, 4);
    blob_put(to, m->members.at, m->members.len);
    put(to, seal(to->at, to->len), 8);
}

bool snap_read(struct bytes from, struct machine *to, struct zab_members *members)
{
    if (from.len < SNAP_FIXED_BYTES) return false;
    uint32_t members_len = (uint32_t)get(from.at + 24, 4);
    if (from.len != SNAP_FIXED_BYTES + members_len) return false;
    if (get(from.at + from.len - 8, 8) != seal(from.at, from.len - 8)) return false;
    if (!zab_members_decode(bytes_of(from.at + 28, members_len), members)) return false;
    to->zxid = get(from.at, 8);
    to->chain = get(from.at + 8, 8);
    to->pos = (uint32_t)get(from.at + 16, 8);
    to->members.len = 0;
    blob_put(&to->members, from.at + 28, members_len);
    return true;
}

struct snap *snap_newest(struct node *n, uint64_t at_most)
{
    struct snap *newest = NULL;
    for (uint32_t i = 0; i < SNAPS_MAX; i++) {
        struct snap *s = &n->snaps[i];
        if (s->zxid == 0 || !s->is_durable || s->zxid > at_most) continue;
        if (newest == NULL || s->zxid > newest->zxid) newest = s;
    }
    return newest;
}

/* A free one; else the oldest, which a restart never needs. */
struct snap *snap_slot(struct node *n)
{
    struct snap *oldest = NULL;
    for (uint32_t i = 0; i < SNAPS_MAX; i++) {
        struct snap *s = &n->snaps[i];
        if (s->zxid == 0) return s;
        if (s->is_durable && (oldest == NULL || s->zxid < oldest->zxid)) oldest = s;
    }
    return oldest;
}

void machine_reset(struct world *w, struct machine *m)
{
    static uint8_t members[ZAB_MEMBERS_BYTES_MAX];
    m->zxid = m->chain = m->pos = 0;
    m->members.len = 0;
    blob_put(&m->members, members, zab_members_encode(&w->begin, members, sizeof members));
}

void machine_apply(struct world *w, struct node *n)
{
    struct machine *m = &n->machine;
    for (uint32_t i = 0; i < n->queue_count; i++) {
        const struct delivered *d = &n->queue[i];
        m->chain = dice_mix(m->chain ^ dice_mix(d->zxid) ^ d->hash);
        m->zxid = d->zxid;
        m->pos++;
        if (d->members_len == 0) continue;
        m->members.len = 0;
        blob_put(&m->members, n->configs.at + d->members_at, d->members_len);
    }
    n->queue_count = n->configs.len = 0;
    check_machine(w, n);
}
