/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the peer plane, and notes of the election plane. */
#include "wire/wire_int.h"

/* Bodies, by type. Between min and max only where there is a list or a payload. */
struct form {
    uint32_t min, max;
};

enum { INFO_BYTES = 9, PROPOSAL_BYTES = WIRE_ENTRY_BYTES + 8, ACK_EPOCH_BYTES = 21 };

static const struct form forms[] = {
    [ZAB_FOLLOWERINFO] = { INFO_BYTES, INFO_BYTES },
    [ZAB_LEADERINFO] = { 0, 0 },
    [ZAB_ACKEPOCH] = { ACK_EPOCH_BYTES + 2, ACK_EPOCH_BYTES + WIRE_ENDS_BYTES_MAX },
    [ZAB_SYNC_TRUNC] = { 0, 0 },
    [ZAB_SNAP_BEGIN] = { 8 + 2, 8 + WIRE_MEMBERS_BYTES_MAX },
    [ZAB_SNAP_CHUNK] = { 8, 8 + ZAB_SNAP_CHUNK_BYTES_MAX },
    [ZAB_SNAP_END] = { 8, 8 },
    [ZAB_PROPOSAL] = { PROPOSAL_BYTES, PROPOSAL_BYTES + ZAB_PAYLOAD_BYTES_MAX },
    [ZAB_NEWLEADER] = { 0, 0 },
    [ZAB_ACK] = { 0, 0 },
    [ZAB_ACK_NEWLEADER] = { 0, 0 },
    [ZAB_UPTODATE] = { 0, 0 },
    [ZAB_COMMIT] = { 0, 0 },
    [ZAB_PING] = { 36, 36 },
    [ZAB_PONG] = { 24, 24 },
};
static const struct form note_form = { WIRE_NOTE_BYTES - WIRE_HEAD_BYTES, WIRE_NOTE_BYTES - WIRE_HEAD_BYTES };

enum { LENGTH_BYTES = 4, TYPES = sizeof forms / sizeof *forms };

static const struct form *form_of(uint8_t type)
{
    if (type == WIRE_NOTE_TYPE) return &note_form;
    return type > 0 && type < TYPES ? &forms[type] : NULL;
}

enum wire_rc wire_size(struct bytes from, uint32_t *size)
{
    struct rd r = { from.at, from.len, false };
    uint32_t len = rd_u32(&r);

    *size = 0;
    if (r.bad) return WIRE_MORE;
    if (len < WIRE_HEAD_BYTES - LENGTH_BYTES || len > WIRE_FRAME_BYTES_MAX - LENGTH_BYTES) return WIRE_LENGTH;
    if (r.left > 0 && r.at[0] != WIRE_VERSION) return WIRE_ALIEN;
    if (r.left < WIRE_PEEK_BYTES - LENGTH_BYTES) return WIRE_MORE;

    const struct form *f = form_of(r.at[1]);
    if (f == NULL) return WIRE_TYPE;
    len -= WIRE_HEAD_BYTES - LENGTH_BYTES;
    if (len < f->min || len > f->max) return WIRE_LENGTH;
    *size = WIRE_HEAD_BYTES + len;
    return WIRE_OK;
}

/* --- heads */

struct head {
    uint8_t type, flags;
    uint16_t group;
    uint32_t epoch;
    uint64_t zxid;
};

/* A whole frame or note, and nothing after it. */
static enum wire_rc head_decode(struct bytes from, struct rd *r, struct head *out)
{
    uint32_t size;
    enum wire_rc rc = wire_size(from, &size);

    if (rc != WIRE_OK) return rc;
    if (size != from.len) return size > from.len ? WIRE_CUT : WIRE_TRAILS;
    *r = (struct rd){ from.at + LENGTH_BYTES + 1, from.len - LENGTH_BYTES - 1, false };
    out->type = rd_u8(r);
    out->flags = rd_u8(r);
    out->group = rd_u16(r);
    out->epoch = rd_u32(r);
    out->zxid = wire_rd_u64(r);
    if (out->flags != 0) return WIRE_FLAGS;
    return out->epoch <= ZAB_EPOCH_MAX ? WIRE_OK : WIRE_VALUE;
}

static void head_encode(struct wr *w, const struct head *h)
{
    wr_u32(w, 0);
    wr_u8(w, WIRE_VERSION);
    wr_u8(w, h->type);
    wr_u8(w, 0);
    wr_u16(w, h->group);
    wr_u32(w, h->epoch);
    wire_wr_u64(w, h->zxid);
}

static void length_encode(uint8_t *at, uint32_t size)
{
    struct wr w = { .at = at, .left = LENGTH_BYTES };

    wr_u32(&w, size - LENGTH_BYTES);
}

/* --- bodies */

static enum wire_rc ends_judge(const struct zab_end *ends, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ends[i].epoch > ZAB_EPOCH_MAX || ends[i].counter > zab_counter_max) return WIRE_VALUE;
        if (i > 0 && ends[i].epoch <= ends[i - 1].epoch) return WIRE_ORDER;
    }
    return WIRE_OK;
}

static enum wire_rc ack_epoch_judge(const struct zab_frame *f)
{
    if (f->ack_epoch.current > ZAB_EPOCH_MAX || f->ack_epoch.ends_count > ZAB_ENDS_MAX) return WIRE_VALUE;
    if (f->ack_epoch.begin > f->ack_epoch.last) return WIRE_ORDER;
    return ends_judge(f->ack_epoch.ends, f->ack_epoch.ends_count);
}

/* What the fields say together; decoding and encoding ask the same. */
static enum wire_rc frame_judge(const struct zab_frame *f)
{
    switch (f->type) {
    case ZAB_ACKEPOCH: return ack_epoch_judge(f);
    case ZAB_SNAP_CHUNK:
        if (f->chunk.data.len > ZAB_SNAP_CHUNK_BYTES_MAX) return WIRE_LENGTH;
        return f->chunk.offset <= UINT64_MAX - f->chunk.data.len ? WIRE_OK : WIRE_ORDER;
    case ZAB_PROPOSAL: return wire_entry_judge(&f->proposal.entry);
    default: return WIRE_OK;
    }
}

static enum wire_rc ack_epoch_decode(struct rd *r, struct zab_frame *f, struct wire_scratch *scratch)
{
    enum wire_rc rc = WIRE_OK;

    f->ack_epoch.current = rd_u32(r);
    f->ack_epoch.counts = wire_rd_bool(r, &rc);
    f->ack_epoch.last = wire_rd_u64(r);
    f->ack_epoch.begin = wire_rd_u64(r);
    f->ack_epoch.ends_count = rd_u16(r);
    f->ack_epoch.ends = scratch->ends;
    if (f->ack_epoch.ends_count > ZAB_ENDS_MAX) return WIRE_VALUE;
    for (uint32_t i = 0; i < f->ack_epoch.ends_count; i++) {
        uint64_t zxid = wire_rd_u64(r);
        scratch->ends[i] = (struct zab_end){ zab_epoch_of(zxid), zab_counter_of(zxid) };
    }
    return rc;
}

static void ack_epoch_encode(struct wr *w, const struct zab_frame *f)
{
    wr_u32(w, f->ack_epoch.current);
    wr_u8(w, f->ack_epoch.counts);
    wire_wr_u64(w, f->ack_epoch.last);
    wire_wr_u64(w, f->ack_epoch.begin);
    wr_u16(w, (uint16_t)f->ack_epoch.ends_count);
    for (uint32_t i = 0; i < f->ack_epoch.ends_count; i++)
        wire_wr_u64(w, zab_zxid(f->ack_epoch.ends[i].epoch, f->ack_epoch.ends[i].counter));
}

static enum wire_rc learner_decode(struct rd *r, struct zab_frame *f, struct wire_scratch *scratch)
{
    enum wire_rc rc = WIRE_OK;

    switch (f->type) {
    case ZAB_FOLLOWERINFO:
        f->info.must_relearn = wire_rd_bool(r, &rc);
        f->info.window_entries = rd_u32(r);
        f->info.window_bytes = rd_u32(r);
        return rc;
    case ZAB_ACKEPOCH: return ack_epoch_decode(r, f, scratch);
    case ZAB_PONG:
        f->pong.leader_ms = wire_rd_u64(r);
        f->pong.stamp_ms = wire_rd_u64(r);
        f->pong.applied = wire_rd_u64(r);
        return WIRE_OK;
    default: return WIRE_OK;
    }
}

static enum wire_rc leader_decode(struct rd *r, struct zab_frame *f, struct wire_scratch *scratch)
{
    enum wire_rc rc = WIRE_OK;

    switch (f->type) {
    case ZAB_SNAP_BEGIN:
        f->snap.zxid = wire_rd_u64(r);
        f->snap.members = &scratch->members;
        wire_rd_members(r, &scratch->members, &rc);
        return rc;
    case ZAB_SNAP_CHUNK:
        f->chunk.offset = wire_rd_u64(r);
        f->chunk.data = rd_take(r, r->left);
        return WIRE_OK;
    case ZAB_SNAP_END: f->chunk.offset = wire_rd_u64(r); return WIRE_OK;
    case ZAB_PROPOSAL:
        f->proposal.commit = wire_rd_u64(r);
        wire_rd_entry(r, &f->proposal.entry);
        f->proposal.entry.payload = rd_take(r, r->left);
        return WIRE_OK;
    case ZAB_PING:
        f->ping.leader_ms = wire_rd_u64(r);
        f->ping.stamp_ms = wire_rd_u64(r);
        f->ping.lease_ms = rd_u32(r);
        f->ping.commit = wire_rd_u64(r);
        f->ping.settled = wire_rd_u64(r);
        return WIRE_OK;
    default: return learner_decode(r, f, scratch);
    }
}

enum wire_rc wire_frame_decode(struct bytes from, struct zab_frame *out, struct wire_scratch *scratch)
{
    struct rd r;
    struct head h = { 0 };
    enum wire_rc rc = head_decode(from, &r, &h);

    *out = (struct zab_frame){ .type = h.type, .group = h.group, .epoch = h.epoch, .zxid = h.zxid };
    if (rc == WIRE_OK && h.type == WIRE_NOTE_TYPE) return WIRE_TYPE;
    if (rc == WIRE_OK) rc = wire_rd_end(&r, leader_decode(&r, out, scratch));
    return rc == WIRE_OK ? frame_judge(out) : rc;
}

static void learner_encode(struct wr *w, const struct zab_frame *f)
{
    switch (f->type) {
    case ZAB_FOLLOWERINFO:
        wr_u8(w, f->info.must_relearn);
        wr_u32(w, f->info.window_entries);
        wr_u32(w, f->info.window_bytes);
        return;
    case ZAB_ACKEPOCH: ack_epoch_encode(w, f); return;
    case ZAB_PONG:
        wire_wr_u64(w, f->pong.leader_ms);
        wire_wr_u64(w, f->pong.stamp_ms);
        wire_wr_u64(w, f->pong.applied);
        return;
    default: return;
    }
}

/* Gives the payload. */
static struct bytes leader_encode(struct wr *w, const struct zab_frame *f)
{
    switch (f->type) {
    case ZAB_SNAP_BEGIN:
        wire_wr_u64(w, f->snap.zxid);
        wire_wr_members(w, f->snap.members);
        break;
    case ZAB_SNAP_CHUNK: wire_wr_u64(w, f->chunk.offset); return f->chunk.data;
    case ZAB_SNAP_END: wire_wr_u64(w, f->chunk.offset); break;
    case ZAB_PROPOSAL:
        wire_wr_u64(w, f->proposal.commit);
        wire_wr_entry(w, &f->proposal.entry);
        return f->proposal.entry.payload;
    case ZAB_PING:
        wire_wr_u64(w, f->ping.leader_ms);
        wire_wr_u64(w, f->ping.stamp_ms);
        wr_u32(w, f->ping.lease_ms);
        wire_wr_u64(w, f->ping.commit);
        wire_wr_u64(w, f->ping.settled);
        break;
    default: learner_encode(w, f);
    }
    return (struct bytes){ 0 };
}

enum err wire_frame_encode(struct wire_out *out, const struct zab_frame *f)
{
    struct wr w = { .at = out->at, .left = sizeof out->at };
    struct head h = { .type = f->type, .group = f->group, .epoch = f->epoch, .zxid = f->zxid };

    out->len = 0;
    out->payload = (struct bytes){ 0 };
    if (f->type == 0 || f->type >= TYPES || f->epoch > ZAB_EPOCH_MAX) return ERR_RANGE;
    if (frame_judge(f) != WIRE_OK) return ERR_RANGE;
    head_encode(&w, &h);
    struct bytes payload = leader_encode(&w, f);
    if (w.bad) return ERR_RANGE;
    out->len = (uint32_t)(w.at - out->at);
    out->payload = payload;
    length_encode(out->at, wire_out_bytes(out));
    return ERR_OK;
}

/* --- notes */

enum wire_rc wire_note_decode(struct bytes from, struct zab_note *out)
{
    struct rd r;
    struct head h = { 0 };
    enum wire_rc rc = head_decode(from, &r, &h);

    *out = (struct zab_note){ .group = h.group, .epoch = h.epoch, .zxid = h.zxid };
    if (rc != WIRE_OK) return rc;
    if (h.type != WIRE_NOTE_TYPE) return WIRE_TYPE;
    out->state = rd_u8(&r);
    out->leader = rd_u16(&r);
    out->round = wire_rd_u64(&r);
    return out->state <= ZAB_NOTE_OBSERVING ? WIRE_OK : WIRE_VALUE;
}

enum err wire_note_encode(uint8_t out[WIRE_NOTE_BYTES], const struct zab_note *n)
{
    struct wr w = { .at = out, .left = WIRE_NOTE_BYTES };
    struct head h = { .type = WIRE_NOTE_TYPE, .group = n->group, .epoch = n->epoch, .zxid = n->zxid };

    if (n->state > ZAB_NOTE_OBSERVING || n->epoch > ZAB_EPOCH_MAX) return ERR_RANGE;
    head_encode(&w, &h);
    wr_u8(&w, n->state);
    wr_u16(&w, n->leader);
    wire_wr_u64(&w, n->round);
    length_encode(out, WIRE_NOTE_BYTES);
    return ERR_OK;
}
