/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"
#include "base/check.h"
#include "codec/rd.h"
#include "codec/wr.h"

enum { RECORD_FORMAT = 1, HEAD_BYTES = 2 + 3 * 8, TARGET_BYTES = 8 + 1, FLAG_RETAIN = 4, FLAG_QOS = 3 };

static void wr_u64(struct wr *w, uint64_t v)
{
    wr_u32(w, (uint32_t)(v >> 32));
    wr_u32(w, (uint32_t)v);
}

static uint64_t rd_u64(struct rd *r)
{
    uint64_t high = rd_u32(r);
    return high << 32 | rd_u32(r);
}

static void wr_long(struct wr *w, struct bytes b)
{
    wr_u32(w, (uint32_t)b.len);
    wr_bytes(w, b);
}

static uint8_t flags_of(uint8_t qos, bool retain)
{
    return (uint8_t)(qos | (retain ? FLAG_RETAIN : 0));
}

/* --- sizes */

static size_t message_size(const struct msg *m)
{
    return 1 + 8 + 8 + 2 + m->topic_bytes + 4 + m->block_bytes + 4 + (size_t)m->payload_bytes;
}

size_t record_size(const struct command *c)
{
    switch (c->kind) {
    case COMMAND_ENQUEUE:
        return HEAD_BYTES + message_size(c->msg) + 4 + (size_t)c->targets_count * TARGET_BYTES;
    case COMMAND_RETAINED: return HEAD_BYTES + 8 + message_size(c->msg) + TARGET_BYTES;
    case COMMAND_CLAIM: return HEAD_BYTES + 4 + 4 + c->data.len;
    case COMMAND_EXPIRY: return HEAD_BYTES + 4;
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE: return HEAD_BYTES + 4 + c->data.len;
    case COMMAND_ACK: return HEAD_BYTES + 8 + 4 + (size_t)c->ack.open_count * 8;
    case COMMAND_END_SESSION:
    case COMMAND_FENCE: return HEAD_BYTES;
    }
    check_failed("a command kind without a record", __FILE__, __LINE__);
}

/* --- encoding */

static void put_message(struct wr *w, const struct msg *m)
{
    wr_u8(w, flags_of(m->qos, m->retain));
    wr_u64(w, m->expires_ms);
    wr_u64(w, m->from_session);
    wr_str(w, msg_topic(m));
    wr_long(w, msg_block(m));
    wr_long(w, msg_payload(m));
}

static void put_targets(struct wr *w, const struct command *c)
{
    wr_u32(w, c->targets_count);
    for (uint32_t i = 0; i < c->targets_count; i++) {
        wr_u64(w, c->targets[i].session_no);
        wr_u8(w, flags_of(c->targets[i].qos, c->targets[i].retain));
    }
}

static void put_ack(struct wr *w, const struct command_ack *ack)
{
    wr_u64(w, ack->cursor);
    wr_u32(w, ack->open_count);
    for (uint32_t i = 0; i < ack->open_count; i++) wr_u64(w, ack->open[i]);
}

static void put_kind(struct wr *w, const struct command *c)
{
    switch (c->kind) {
    case COMMAND_ENQUEUE:
        put_message(w, c->msg);
        put_targets(w, c);
        break;
    case COMMAND_RETAINED:
        wr_u64(w, c->version);
        put_message(w, c->msg);
        wr_u64(w, c->targets[0].session_no);
        wr_u8(w, flags_of(c->targets[0].qos, c->targets[0].retain));
        break;
    case COMMAND_CLAIM:
        wr_u32(w, c->expiry_s);
        wr_long(w, c->data);
        break;
    case COMMAND_EXPIRY: wr_u32(w, c->expiry_s); break;
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE: wr_long(w, c->data); break;
    case COMMAND_ACK: put_ack(w, &c->ack); break;
    case COMMAND_END_SESSION:
    case COMMAND_FENCE: break;
    }
}

void record_encode(const struct command *c, uint64_t stamp_ms, uint8_t *to)
{
    struct wr w = { .at = to, .left = record_size(c) };
    wr_u8(&w, (uint8_t)c->kind);
    wr_u8(&w, RECORD_FORMAT);
    wr_u64(&w, stamp_ms);
    wr_u64(&w, c->session_no);
    wr_u64(&w, c->claim_no);
    put_kind(&w, c);
    CHECK(!w.bad);
    CHECK(w.left == 0);
}

/* --- decoding */

static struct bytes rd_long(struct rd *r)
{
    return rd_take(r, rd_u32(r));
}

static enum err get_message(struct rd *r, struct msg **out)
{
    uint8_t flags = rd_u8(r);
    struct msg_parts parts = { .qos = flags & FLAG_QOS, .retain = (flags & FLAG_RETAIN) != 0 };
    parts.expires_ms = rd_u64(r);
    parts.from_session = rd_u64(r);
    parts.topic = rd_str(r);
    parts.block = rd_long(r);
    parts.payload = rd_long(r);
    *out = NULL;
    return r->bad ? ERR_SYNTAX : msg_new(out, &parts);
}

static void get_target(struct rd *r, struct command_target *t)
{
    uint64_t session_no = rd_u64(r);
    uint8_t flags = rd_u8(r);
    *t = (struct command_target){ .session_no = session_no,
                                  .qos = flags & FLAG_QOS,
                                  .retain = (flags & FLAG_RETAIN) != 0 };
}

static struct command *make(enum command_kind kind, uint32_t targets, uint32_t open, struct bytes data)
{
    struct command_size size = { .targets = targets, .open = open, .data = data };
    return command_new(kind, &size);
}

static enum err get_enqueue(struct rd *r, struct command **out)
{
    struct msg *m;
    enum err rc = get_message(r, &m);
    uint32_t count = rd_u32(r);
    if (rc == ERR_OK && count > r->left / TARGET_BYTES) rc = ERR_SYNTAX;
    struct command *c = rc == ERR_OK ? make(COMMAND_ENQUEUE, count, 0, bytes_of(NULL, 0)) : NULL;
    if (c == NULL) {
        msg_unref(&m);
        return rc == ERR_OK ? ERR_NOMEM : rc;
    }
    c->msg = m;
    for (uint32_t i = 0; i < count; i++) get_target(r, &c->targets[i]);
    *out = c;
    return ERR_OK;
}

static enum err get_retained(struct rd *r, struct command **out)
{
    struct msg *m;
    uint64_t version = rd_u64(r);
    enum err rc = get_message(r, &m);
    struct command *c = rc == ERR_OK ? make(COMMAND_RETAINED, 1, 0, bytes_of(NULL, 0)) : NULL;
    if (c == NULL) {
        msg_unref(&m);
        return rc == ERR_OK ? ERR_NOMEM : rc;
    }
    c->msg = m;
    c->version = version;
    get_target(r, &c->targets[0]);
    *out = c;
    return ERR_OK;
}

static enum err get_ack(struct rd *r, struct command **out)
{
    uint64_t cursor = rd_u64(r);
    uint32_t count = rd_u32(r);
    if (count > r->left / 8) return ERR_SYNTAX;
    struct command *c = make(COMMAND_ACK, 0, count, bytes_of(NULL, 0));
    if (c == NULL) return ERR_NOMEM;
    c->ack.cursor = cursor;
    for (uint32_t i = 0; i < count; i++) c->ack.open[i] = rd_u64(r);
    *out = c;
    return ERR_OK;
}

static enum err get_plain(struct rd *r, enum command_kind kind, struct command **out)
{
    bool has_expiry = kind == COMMAND_CLAIM || kind == COMMAND_EXPIRY;
    bool has_data = kind == COMMAND_CLAIM || kind == COMMAND_SUBSCRIBE || kind == COMMAND_UNSUBSCRIBE;
    uint32_t expiry_s = has_expiry ? rd_u32(r) : 0;
    struct bytes data = has_data ? rd_long(r) : bytes_of(NULL, 0);
    *out = make(kind, 0, 0, data);
    if (*out == NULL) return ERR_NOMEM;
    (*out)->expiry_s = expiry_s;
    return ERR_OK;
}

static enum err get_kind(struct rd *r, uint8_t kind, struct command **out)
{
    switch (kind) {
    case COMMAND_ENQUEUE: return get_enqueue(r, out);
    case COMMAND_RETAINED: return get_retained(r, out);
    case COMMAND_ACK: return get_ack(r, out);
    case COMMAND_CLAIM:
    case COMMAND_EXPIRY:
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_END_SESSION:
    case COMMAND_FENCE: return get_plain(r, (enum command_kind)kind, out);
    default: return ERR_UNKNOWN;
    }
}

enum err record_decode(struct bytes record, struct command **out, uint64_t *stamp_ms)
{
    struct rd r = { record.at, record.len, false };
    uint8_t kind = rd_u8(&r), format = rd_u8(&r);
    *stamp_ms = rd_u64(&r);
    uint64_t session_no = rd_u64(&r), claim_no = rd_u64(&r);
    *out = NULL;
    if (r.bad) return ERR_SYNTAX;
    if (format != RECORD_FORMAT) return ERR_UNKNOWN;

    enum err rc = get_kind(&r, kind, out);
    if (rc == ERR_OK && !rd_done(&r)) {
        command_unref(out);
        rc = ERR_SYNTAX;
    }
    if (rc != ERR_OK) return rc;
    (*out)->session_no = session_no;
    (*out)->claim_no = claim_no;
    return ERR_OK;
}
