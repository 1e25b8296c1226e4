/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the log: version, kind, body. Their length is the log's. */
#include "wire/wire_int.h"

static enum wire_rc judge(const struct zab_record *r)
{
    if (r->epoch > ZAB_EPOCH_MAX || r->accepted > ZAB_EPOCH_MAX) return WIRE_VALUE;
    return r->kind == ZAB_RECORD_ENTRY ? wire_entry_judge(&r->entry) : WIRE_OK;
}

static enum wire_rc body_decode(struct rd *r, struct zab_record *out, struct wire_scratch *scratch)
{
    enum wire_rc rc = WIRE_OK;

    switch (out->kind) {
    case ZAB_RECORD_ENTRY:
        wire_rd_entry(r, &out->entry);
        out->entry.payload = rd_take(r, r->left);
        return rc;
    case ZAB_RECORD_ACCEPTED:
        out->epoch = rd_u32(r);
        out->leader = rd_u16(r);
        return rc;
    case ZAB_RECORD_CURRENT: out->epoch = rd_u32(r); return rc;
    case ZAB_RECORD_TRUNC: out->zxid = wire_rd_u64(r); return rc;
    case ZAB_RECORD_CHECKPOINT:
        out->epoch = rd_u32(r);
        out->accepted = rd_u32(r);
        out->leader = rd_u16(r);
        out->must_relearn = wire_rd_bool(r, &rc);
        /* fallthrough */
    case ZAB_RECORD_INSTALL:
        out->zxid = wire_rd_u64(r);
        out->members = &scratch->members;
        wire_rd_members(r, &scratch->members, &rc);
        return rc;
    case ZAB_RECORD_RELEARN: return rc;
    default: return WIRE_TYPE;
    }
}

enum wire_rc wire_record_decode(struct bytes from, struct zab_record *out, struct wire_scratch *scratch)
{
    struct rd r = { from.at, from.len, false };
    uint8_t version = rd_u8(&r);

    *out = (struct zab_record){ .kind = rd_u8(&r) };
    if (from.len > WIRE_RECORD_BYTES_MAX) return WIRE_LENGTH;
    if (from.len > 0 && version != WIRE_VERSION) return WIRE_ALIEN;
    if (r.bad) return WIRE_CUT;
    enum wire_rc rc = wire_rd_end(&r, body_decode(&r, out, scratch));
    return rc == WIRE_OK ? judge(out) : rc;
}

static void body_encode(struct wr *w, const struct zab_record *r)
{
    switch (r->kind) {
    case ZAB_RECORD_ENTRY: wire_wr_entry(w, &r->entry); return;
    case ZAB_RECORD_ACCEPTED:
        wr_u32(w, r->epoch);
        wr_u16(w, r->leader);
        return;
    case ZAB_RECORD_CURRENT: wr_u32(w, r->epoch); return;
    case ZAB_RECORD_TRUNC: wire_wr_u64(w, r->zxid); return;
    case ZAB_RECORD_CHECKPOINT:
        wr_u32(w, r->epoch);
        wr_u32(w, r->accepted);
        wr_u16(w, r->leader);
        wr_u8(w, r->must_relearn);
        /* fallthrough */
    case ZAB_RECORD_INSTALL:
        wire_wr_u64(w, r->zxid);
        wire_wr_members(w, r->members);
        return;
    case ZAB_RECORD_RELEARN: return;
    default: w->bad = true;
    }
}

enum err wire_record_encode(struct wire_out *out, const struct zab_record *r)
{
    struct wr w = { .at = out->at, .left = sizeof out->at };

    out->len = 0;
    out->payload = (struct bytes){ 0 };
    if (judge(r) != WIRE_OK) return ERR_RANGE;
    wr_u8(&w, WIRE_VERSION);
    wr_u8(&w, r->kind);
    body_encode(&w, r);
    if (w.bad) return ERR_RANGE;
    out->len = (uint32_t)(w.at - out->at);
    if (r->kind == ZAB_RECORD_ENTRY) out->payload = r->entry.payload;
    return ERR_OK;
}
