/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cluster_wire_kit.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

static uint8_t payload[ZAB_PAYLOAD_BYTES_MAX];
static struct zab_end ends[ZAB_ENDS_MAX];
static struct zab_members members[KIT_VARIANTS];

static void member_set(struct zab_members *m, uint16_t id, uint8_t role, size_t address_len)
{
    struct zab_member *one = &m->at[m->count++];

    one->id = id;
    one->role = role;
    memset(one->address, 'a' + id % 26, address_len);
}

const struct zab_members *kit_members(int variant)
{
    struct zab_members *m = &members[variant];

    *m = (struct zab_members){ .version = variant == KIT_SMALL ? 0 : UINT64_MAX };
    if (variant == KIT_SMALL) member_set(m, 1, ZAB_VOTER, 0);
    if (variant == KIT_MIXED)
        for (uint16_t id = 3; id < 8; id++) member_set(m, id, id < 6 ? ZAB_VOTER : ZAB_OBSERVER, 10u + id);
    if (variant == KIT_EXTREME)
        for (uint16_t i = 0; i < ZAB_NODES_MAX; i++)
            member_set(m, (uint16_t)(UINT16_MAX - ZAB_NODES_MAX + 1 + i), ZAB_VOTER, ZAB_ADDRESS_BYTES - 1);
    return m;
}

static struct zab_entry entry(int variant)
{
    payload[0] = 1;
    payload[1] = 2;
    payload[ZAB_PAYLOAD_BYTES_MAX - 1] = 3;
    if (variant == KIT_SMALL)
        return (struct zab_entry){ .first = zab_zxid(1, 0),
                                   .last = zab_zxid(1, 0),
                                   .kind = ZAB_EPOCH_START,
                                   .payload = bytes_of(payload, 2) };
    if (variant == KIT_MIXED)
        return (struct zab_entry){ .first = zab_zxid(7, 0x1122334456),
                                   .last = zab_zxid(7, 0x1122334499),
                                   .prev = zab_zxid(7, 0x1122334455),
                                   .kind = ZAB_DATA };
    return (struct zab_entry){ .first = UINT64_MAX - 1,
                               .last = UINT64_MAX,
                               .prev = UINT64_MAX - 2,
                               .kind = ZAB_CONFIG,
                               .payload = bytes_of(payload, ZAB_PAYLOAD_BYTES_MAX) };
}

static uint32_t ends_make(int variant)
{
    uint32_t count = variant == KIT_SMALL ? 0 : variant == KIT_MIXED ? 3 : ZAB_ENDS_MAX;

    for (uint32_t i = 0; i < count; i++)
        ends[i] = (struct zab_end){ ZAB_EPOCH_MAX - count + 1 + i,
                                    variant == KIT_MIXED ? i * 1000 : zab_counter_max };
    return count;
}

/* 0, what is given, or the largest. */
static uint64_t pick(int variant, uint64_t mixed, uint64_t largest)
{
    return variant == KIT_SMALL ? 0 : variant == KIT_MIXED ? mixed : largest;
}

static void body_fill(struct zab_frame *f, int v)
{
    switch (f->type) {
    case ZAB_FOLLOWERINFO:
        f->info.must_relearn = v == KIT_EXTREME;
        f->info.window_entries = (uint32_t)pick(v, 1024, UINT32_MAX);
        f->info.window_bytes = (uint32_t)pick(v, 8u << 20, UINT32_MAX);
        return;
    case ZAB_ACKEPOCH:
        f->ack_epoch.current = (uint32_t)pick(v, 6, ZAB_EPOCH_MAX);
        f->ack_epoch.counts = v != KIT_SMALL;
        f->ack_epoch.last = pick(v, zab_zxid(6, 90), UINT64_MAX);
        f->ack_epoch.begin = pick(v, zab_zxid(2, 40), UINT64_MAX);
        f->ack_epoch.ends_count = ends_make(v);
        f->ack_epoch.ends = ends;
        return;
    case ZAB_SNAP_BEGIN:
        f->snap.zxid = pick(v, zab_zxid(2, 40), UINT64_MAX);
        f->snap.members = kit_members(v);
        return;
    case ZAB_SNAP_CHUNK:
        f->chunk.data = bytes_of(payload, pick(v, 3, ZAB_SNAP_CHUNK_BYTES_MAX));
        f->chunk.offset = pick(v, 0x0102030405060708, UINT64_MAX - f->chunk.data.len);
        return;
    case ZAB_SNAP_END: f->chunk.offset = pick(v, 0x0102030405060708, UINT64_MAX); return;
    case ZAB_PROPOSAL:
        f->proposal.entry = entry(v);
        f->proposal.commit = pick(v, zab_zxid(7, 5), UINT64_MAX);
        return;
    case ZAB_PING:
        f->ping.leader_ms = pick(v, 0x1112131415161718, UINT64_MAX);
        f->ping.stamp_ms = pick(v, 0x2122232425262728, UINT64_MAX);
        f->ping.lease_ms = (uint32_t)pick(v, 0x31323334, UINT32_MAX);
        f->ping.commit = pick(v, 0x4142434445464748, UINT64_MAX);
        f->ping.settled = pick(v, 0x5152535455565758, UINT64_MAX);
        return;
    case ZAB_PONG:
        f->pong.leader_ms = pick(v, 0x1112131415161718, UINT64_MAX);
        f->pong.stamp_ms = pick(v, 0x2122232425262728, UINT64_MAX);
        f->pong.applied = pick(v, 0x3132333435363738, UINT64_MAX);
        return;
    default: return;
    }
}

struct zab_frame kit_frame(uint8_t type, int v)
{
    struct zab_frame f = { .type = type,
                           .group = (uint16_t)pick(v, 0x0102, UINT16_MAX),
                           .epoch = (uint32_t)pick(v, 0x030405, ZAB_EPOCH_MAX),
                           .zxid = pick(v, 0x060708090a0b0c0d, UINT64_MAX) };

    body_fill(&f, v);
    return f;
}

struct zab_note kit_note(int v)
{
    return (struct zab_note){ .state = (uint8_t)pick(v, ZAB_NOTE_FOLLOWING, ZAB_NOTE_OBSERVING),
                              .leader = (uint16_t)pick(v, 0x0203, UINT16_MAX),
                              .group = (uint16_t)pick(v, 0x0405, UINT16_MAX),
                              .epoch = (uint32_t)pick(v, 0x060708, ZAB_EPOCH_MAX),
                              .zxid = pick(v, 0x1112131415161718, UINT64_MAX),
                              .round = pick(v, 0x2122232425262728, UINT64_MAX) };
}

struct zab_record kit_record(uint8_t kind, int v)
{
    struct zab_record r = { .kind = kind };

    if (kind == ZAB_RECORD_ENTRY) r.entry = entry(v);
    if (kind == ZAB_RECORD_ACCEPTED || kind == ZAB_RECORD_CURRENT || kind == ZAB_RECORD_CHECKPOINT)
        r.epoch = (uint32_t)pick(v, 0x010203, ZAB_EPOCH_MAX);
    if (kind == ZAB_RECORD_ACCEPTED || kind == ZAB_RECORD_CHECKPOINT)
        r.leader = (uint16_t)pick(v, 0x0405, UINT16_MAX);
    if (kind == ZAB_RECORD_TRUNC || kind == ZAB_RECORD_INSTALL || kind == ZAB_RECORD_CHECKPOINT)
        r.zxid = pick(v, 0x1112131415161718, UINT64_MAX);
    if (kind == ZAB_RECORD_INSTALL || kind == ZAB_RECORD_CHECKPOINT) r.members = kit_members(v);
    if (kind == ZAB_RECORD_CHECKPOINT) {
        r.accepted = (uint32_t)pick(v, 0x060708, ZAB_EPOCH_MAX);
        r.must_relearn = v == KIT_MIXED;
    }
    return r;
}

/* --- are they the same? */

static bool members_equal(const struct zab_members *a, const struct zab_members *b)
{
    if (a->version != b->version || a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->at[i].id != b->at[i].id || a->at[i].role != b->at[i].role ||
            strcmp(a->at[i].address, b->at[i].address) != 0)
            return false;
    return true;
}

static bool entries_equal(const struct zab_entry *a, const struct zab_entry *b)
{
    return a->first == b->first && a->last == b->last && a->prev == b->prev && a->kind == b->kind &&
           bytes_equal(a->payload, b->payload);
}

static bool infos_equal(const struct zab_frame *a, const struct zab_frame *b)
{
    return a->info.must_relearn == b->info.must_relearn && a->info.window_entries == b->info.window_entries &&
           a->info.window_bytes == b->info.window_bytes;
}

static bool ack_epochs_equal(const struct zab_frame *a, const struct zab_frame *b)
{
    if (a->ack_epoch.current != b->ack_epoch.current || a->ack_epoch.counts != b->ack_epoch.counts ||
        a->ack_epoch.last != b->ack_epoch.last || a->ack_epoch.begin != b->ack_epoch.begin ||
        a->ack_epoch.ends_count != b->ack_epoch.ends_count)
        return false;
    for (uint32_t i = 0; i < a->ack_epoch.ends_count; i++)
        if (a->ack_epoch.ends[i].epoch != b->ack_epoch.ends[i].epoch ||
            a->ack_epoch.ends[i].counter != b->ack_epoch.ends[i].counter)
            return false;
    return true;
}

static bool pings_equal(const struct zab_frame *a, const struct zab_frame *b)
{
    return a->ping.leader_ms == b->ping.leader_ms && a->ping.stamp_ms == b->ping.stamp_ms &&
           a->ping.lease_ms == b->ping.lease_ms && a->ping.commit == b->ping.commit &&
           a->ping.settled == b->ping.settled;
}

bool kit_frames_equal(const struct zab_frame *a, const struct zab_frame *b)
{
    if (a->type != b->type || a->group != b->group || a->epoch != b->epoch || a->zxid != b->zxid)
        return false;
    switch (a->type) {
    case ZAB_FOLLOWERINFO: return infos_equal(a, b);
    case ZAB_ACKEPOCH: return ack_epochs_equal(a, b);
    case ZAB_SNAP_BEGIN:
        return a->snap.zxid == b->snap.zxid && members_equal(a->snap.members, b->snap.members);
    case ZAB_SNAP_CHUNK:
    case ZAB_SNAP_END: return a->chunk.offset == b->chunk.offset && bytes_equal(a->chunk.data, b->chunk.data);
    case ZAB_PROPOSAL:
        return a->proposal.commit == b->proposal.commit &&
               entries_equal(&a->proposal.entry, &b->proposal.entry);
    case ZAB_PING: return pings_equal(a, b);
    case ZAB_PONG:
        return a->pong.leader_ms == b->pong.leader_ms && a->pong.stamp_ms == b->pong.stamp_ms &&
               a->pong.applied == b->pong.applied;
    default: return true;
    }
}

bool kit_records_equal(const struct zab_record *a, const struct zab_record *b)
{
    if (a->kind != b->kind || a->must_relearn != b->must_relearn || a->epoch != b->epoch ||
        a->accepted != b->accepted || a->leader != b->leader || a->zxid != b->zxid)
        return false;
    if ((a->members == NULL) != (b->members == NULL)) return false;
    if (a->members != NULL && !members_equal(a->members, b->members)) return false;
    return a->kind != ZAB_RECORD_ENTRY || entries_equal(&a->entry, &b->entry);
}

/* --- blobs */

struct kit_blob kit_blob(const struct wire_out *o)
{
    struct kit_blob b = { .len = wire_out_bytes(o) };

    b.at = malloc(b.len);
    CHECK(b.at != NULL);
    CHECK(wire_out_copy(o, b.at, b.len) == b.len);
    return b;
}

struct kit_blob kit_blob_of(const uint8_t *at, uint32_t len)
{
    struct kit_blob b = { .at = malloc(len + (len == 0)), .len = len };

    CHECK(b.at != NULL);
    if (len > 0) memcpy(b.at, at, len);
    return b;
}

void kit_blob_fini(struct kit_blob *b)
{
    free(b->at);
    *b = (struct kit_blob){ 0 };
}
