/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"
#include "base/check.h"
#include "codec/rd.h"
#include "codec/wr.h"

enum {
    RECORD_FORMAT = 1,
    HEAD_BYTES = 2 + 8 + 14 + 2 * 8,
    TARGET_BYTES_MIN = 8 + 1,
    FLAG_QOS = 3,
    FLAG_RETAIN = 4,
    FLAG_DROPS = 8,
    FLAG_MID = 16,
    FLAG_IN_ID = 32,
    FLAG_DUE = 64,
};

/* A bit that no length of filters has: a subscription identifier stands before them. */
static const uint32_t length_with_id = UINT32_C(1) << 31;

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
    return 1 + 3 * 8 + 2 + m->topic_bytes + 4 + m->block_bytes + 4 + (size_t)m->payload_bytes;
}

static size_t mid_size(const struct command *c)
{
    return c->mid == NULL ? 0 : 2 + c->mid->client_id.len + 2 + c->mid->mid.len + 4;
}

/* What an ENQUEUE has between its message and its targets. */
static size_t extras_size(const struct command *c)
{
    return mid_size(c) + (c->in_id != 0 ? 2 : 0) + (c->due_ms != 0 ? 8 : 0);
}

static size_t target_size(const struct command_target *t)
{
    return TARGET_BYTES_MIN + (t->drop_upto > 0 ? 8 : 0);
}

static size_t targets_size(const struct command *c)
{
    size_t bytes = 4;
    for (uint32_t i = 0; i < c->targets_count; i++)
        if (!c->targets[i].is_skipped) bytes += target_size(&c->targets[i]);
    return bytes;
}

size_t record_size(const struct command *c)
{
    switch (c->kind) {
    case COMMAND_ENQUEUE:
    case COMMAND_FIRE_WILL: return HEAD_BYTES + message_size(c->msg) + extras_size(c) + targets_size(c);
    case COMMAND_MOVE: return HEAD_BYTES + 8 + 1 + message_size(c->msg) + targets_size(c);
    case COMMAND_RETAINED: return HEAD_BYTES + 8 + message_size(c->msg) + target_size(&c->targets[0]);
    case COMMAND_CLAIM:
        return HEAD_BYTES + 4 + 4 + c->data.len + 1 + (c->msg != NULL ? 8 + message_size(c->msg) : 0);
    case COMMAND_OFFLINE: return HEAD_BYTES + 8 + 1;
    case COMMAND_EXPIRY: return HEAD_BYTES + 4;
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_KEEPALIVE:
    case COMMAND_GROUP: return HEAD_BYTES + 4 + c->data.len + (c->sub_id != 0 ? 4 : 0);
    case COMMAND_RELEASE: return HEAD_BYTES + 2;
    case COMMAND_SENT_AS: return HEAD_BYTES + 8 + 2;
    case COMMAND_RECEIVED:
    case COMMAND_ACK: return HEAD_BYTES + 8 + 4 + (size_t)c->ack.open_count * 8;
    case COMMAND_END_SESSION:
    case COMMAND_FENCE: return HEAD_BYTES;
    }
    check_failed("a command kind without a record", __FILE__, __LINE__);
}

/* --- encoding */

static void put_message(struct wr *w, const struct msg *m, uint8_t more_flags)
{
    wr_u8(w, (uint8_t)(flags_of(m->qos, m->retain) | more_flags));
    wr_u64(w, m->expires_ms);
    wr_u64(w, m->from_session);
    wr_u64(w, m->from_client);
    wr_str(w, msg_topic(m));
    wr_long(w, msg_block(m));
    wr_long(w, msg_payload(m));
}

static void put_target(struct wr *w, const struct command_target *t)
{
    wr_u64(w, t->session_no);
    wr_u8(w, (uint8_t)(flags_of(t->qos, t->retain) | (t->drop_upto > 0 ? FLAG_DROPS : 0)));
    if (t->drop_upto > 0) wr_u64(w, t->drop_upto);
}

static void put_targets(struct wr *w, const struct command *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->targets_count; i++) count += !c->targets[i].is_skipped;
    wr_u32(w, count);
    for (uint32_t i = 0; i < c->targets_count; i++)
        if (!c->targets[i].is_skipped) put_target(w, &c->targets[i]);
}

static void put_enqueue(struct wr *w, const struct command *c)
{
    unsigned flags =
        (c->mid != NULL ? FLAG_MID : 0) | (c->in_id != 0 ? FLAG_IN_ID : 0) | (c->due_ms != 0 ? FLAG_DUE : 0);
    put_message(w, c->msg, (uint8_t)flags);
    if (c->mid != NULL) {
        wr_str(w, c->mid->client_id);
        wr_str(w, c->mid->mid);
        wr_u32(w, c->mid->window_s);
    }
    if (c->in_id != 0) wr_u16(w, c->in_id);
    if (c->due_ms != 0) wr_u64(w, c->due_ms);
    put_targets(w, c);
}

static void put_move(struct wr *w, const struct command *c)
{
    wr_u64(w, c->version);
    wr_u8(w, c->retains);
    put_message(w, c->msg, 0);
    put_targets(w, c);
}

static void put_data(struct wr *w, const struct command *c)
{
    wr_u32(w, (uint32_t)c->data.len | (c->sub_id != 0 ? length_with_id : 0));
    if (c->sub_id != 0) wr_u32(w, c->sub_id);
    wr_bytes(w, c->data);
}

static void put_claim(struct wr *w, const struct command *c)
{
    wr_u32(w, c->expiry_s);
    wr_long(w, c->data);
    wr_u8(w, c->msg != NULL);
    if (c->msg == NULL) return;
    wr_u32(w, c->will.delay_s);
    wr_u32(w, c->will.expiry_s);
    put_message(w, c->msg, 0);
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
    case COMMAND_FIRE_WILL: put_enqueue(w, c); break;
    case COMMAND_RETAINED:
        wr_u64(w, c->version);
        put_message(w, c->msg, 0);
        put_target(w, &c->targets[0]);
        break;
    case COMMAND_CLAIM: put_claim(w, c); break;
    case COMMAND_OFFLINE:
        wr_u64(w, c->sent);
        wr_u8(w, c->keeps_will);
        break;
    case COMMAND_EXPIRY: wr_u32(w, c->expiry_s); break;
    case COMMAND_MOVE: put_move(w, c); break;
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_KEEPALIVE:
    case COMMAND_GROUP: put_data(w, c); break;
    case COMMAND_RELEASE: wr_u16(w, c->in_id); break;
    case COMMAND_SENT_AS:
        wr_u64(w, c->version);
        wr_u16(w, c->in_id);
        break;
    case COMMAND_RECEIVED:
    case COMMAND_ACK: put_ack(w, &c->ack); break;
    case COMMAND_END_SESSION:
    case COMMAND_FENCE: break;
    }
}

void record_encode(const struct command *c, uint8_t *to)
{
    struct wr w = { .at = to, .left = record_size(c) };
    wr_u8(&w, (uint8_t)c->kind);
    wr_u8(&w, RECORD_FORMAT);
    wr_u64(&w, c->stamp_ms);
    wr_u16(&w, c->origin.node);
    wr_u32(&w, c->origin.boot_no);
    wr_u64(&w, c->origin.n);
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
    parts.from_client = rd_u64(r);
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
    if ((flags & FLAG_DROPS) != 0) t->drop_upto = rd_u64(r);
}

/* The flags of the message that comes next, which say what an ENQUEUE has behind it. */
static uint8_t flags_ahead(const struct rd *r, enum command_kind kind)
{
    return kind == COMMAND_ENQUEUE && r->left > 0 ? r->at[0] : 0;
}

static void get_mid(struct rd *r, struct command_mid *mid)
{
    mid->client_id = rd_str(r);
    mid->mid = rd_str(r);
    mid->window_s = rd_u32(r);
}

static struct command *make(enum command_kind kind, uint32_t targets, uint32_t open, struct bytes data)
{
    struct command_size size = { .targets = targets, .open = open, .data = data };
    return command_new(kind, &size);
}

/* A message and its targets, with what is between them (mid may be NULL). Takes the message's memory. */
static enum err get_targets(struct rd *r, enum command_kind kind, struct msg *m,
                            const struct command_mid *mid, struct command **out)
{
    struct command_size size = { .mid = mid, .targets = rd_u32(r) };
    bool fits = !r->bad && size.targets <= r->left / TARGET_BYTES_MIN;
    struct command *c = fits ? command_new(kind, &size) : NULL;
    if (c == NULL) {
        msg_unref(&m);
        return fits ? ERR_NOMEM : ERR_SYNTAX;
    }
    c->msg = m;
    for (uint32_t i = 0; i < size.targets; i++) get_target(r, &c->targets[i]);
    *out = c;
    return ERR_OK;
}

static enum err get_enqueue(struct rd *r, enum command_kind kind, struct command **out)
{
    struct msg *m;
    struct command_mid mid;
    uint8_t flags = flags_ahead(r, kind);
    enum err rc = get_message(r, &m);
    if (rc != ERR_OK) return rc;
    if ((flags & FLAG_MID) != 0) get_mid(r, &mid);
    uint16_t in_id = (flags & FLAG_IN_ID) != 0 ? rd_u16(r) : 0;
    uint64_t due_ms = (flags & FLAG_DUE) != 0 ? rd_u64(r) : 0;
    rc = get_targets(r, kind, m, (flags & FLAG_MID) != 0 ? &mid : NULL, out);
    if (rc != ERR_OK) return rc;
    (*out)->in_id = in_id;
    (*out)->due_ms = due_ms;
    return ERR_OK;
}

static enum err get_move(struct rd *r, struct command **out)
{
    struct msg *m;
    uint64_t seq = rd_u64(r);
    bool retains = rd_u8(r) != 0;
    enum err rc = get_message(r, &m);
    if (rc == ERR_OK) rc = get_targets(r, COMMAND_MOVE, m, NULL, out);
    if (rc != ERR_OK) return rc;
    (*out)->version = seq;
    (*out)->retains = retains;
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

static enum err get_ack(struct rd *r, enum command_kind kind, struct command **out)
{
    uint64_t cursor = rd_u64(r);
    uint32_t count = rd_u32(r);
    if (count > r->left / 8) return ERR_SYNTAX;
    struct command *c = make(kind, 0, count, bytes_of(NULL, 0));
    if (c == NULL) return ERR_NOMEM;
    c->ack.cursor = cursor;
    for (uint32_t i = 0; i < count; i++) c->ack.open[i] = rd_u64(r);
    *out = c;
    return ERR_OK;
}

static enum err get_claim(struct rd *r, struct command **out)
{
    uint32_t expiry_s = rd_u32(r);
    struct bytes client_id = rd_long(r);
    bool has_will = rd_u8(r) != 0;
    struct command_will will = { 0 };
    if (has_will) {
        will.delay_s = rd_u32(r);
        will.expiry_s = rd_u32(r);
    }
    struct msg *m = NULL;
    enum err rc = has_will ? get_message(r, &m) : ERR_OK;
    struct command *c = rc == ERR_OK ? make(COMMAND_CLAIM, 0, 0, client_id) : NULL;
    if (c == NULL) {
        msg_unref(&m);
        return rc == ERR_OK ? ERR_NOMEM : rc;
    }
    c->expiry_s = expiry_s;
    c->msg = m;
    c->will = will;
    *out = c;
    return ERR_OK;
}

static enum err get_plain(struct rd *r, enum command_kind kind, struct command **out)
{
    bool has_filters = kind == COMMAND_SUBSCRIBE || kind == COMMAND_UNSUBSCRIBE;
    bool has_data = has_filters || kind == COMMAND_GROUP || kind == COMMAND_KEEPALIVE;
    uint64_t version = kind == COMMAND_SENT_AS ? rd_u64(r) : 0;
    uint16_t in_id = kind == COMMAND_RELEASE || kind == COMMAND_SENT_AS ? rd_u16(r) : 0;
    uint32_t expiry_s = kind == COMMAND_EXPIRY ? rd_u32(r) : 0;
    uint64_t sent = kind == COMMAND_OFFLINE ? rd_u64(r) : 0;
    bool keeps_will = kind == COMMAND_OFFLINE && rd_u8(r) != 0;
    uint32_t length = has_data ? rd_u32(r) : 0;
    uint32_t sub_id = (length & length_with_id) != 0 ? rd_u32(r) : 0;
    struct bytes data = rd_take(r, length & ~length_with_id);
    *out = make(kind, 0, 0, data);
    if (*out == NULL) return ERR_NOMEM;
    (*out)->version = version;
    (*out)->in_id = in_id;
    (*out)->sub_id = sub_id;
    (*out)->expiry_s = expiry_s;
    (*out)->sent = sent;
    (*out)->keeps_will = keeps_will;
    return ERR_OK;
}

static enum err get_kind(struct rd *r, uint8_t kind, struct command **out)
{
    switch (kind) {
    case COMMAND_ENQUEUE:
    case COMMAND_FIRE_WILL: return get_enqueue(r, (enum command_kind)kind, out);
    case COMMAND_RETAINED: return get_retained(r, out);
    case COMMAND_MOVE: return get_move(r, out);
    case COMMAND_RECEIVED:
    case COMMAND_ACK: return get_ack(r, (enum command_kind)kind, out);
    case COMMAND_CLAIM: return get_claim(r, out);
    case COMMAND_OFFLINE:
    case COMMAND_EXPIRY:
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_RELEASE:
    case COMMAND_GROUP:
    case COMMAND_KEEPALIVE:
    case COMMAND_SENT_AS:
    case COMMAND_END_SESSION:
    case COMMAND_FENCE: return get_plain(r, (enum command_kind)kind, out);
    default: return ERR_UNKNOWN;
    }
}

enum err record_decode(struct bytes record, struct command **out)
{
    struct rd r = { record.at, record.len, false };
    uint8_t kind = rd_u8(&r), format = rd_u8(&r);
    uint64_t stamp_ms = rd_u64(&r);
    struct command_origin origin = { .node = rd_u16(&r) };
    origin.boot_no = rd_u32(&r);
    origin.n = rd_u64(&r);
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
    (*out)->stamp_ms = stamp_ms;
    (*out)->origin = origin;
    (*out)->session_no = session_no;
    (*out)->claim_no = claim_no;
    return ERR_OK;
}

struct command_origin record_origin(struct bytes record)
{
    struct rd r = { record.at, record.len, false };
    rd_take(&r, 2 + 8); /* kind, format, stamp */
    struct command_origin origin = { .node = rd_u16(&r) };
    origin.boot_no = rd_u32(&r);
    origin.n = rd_u64(&r);
    return r.bad ? (struct command_origin){ 0 } : origin;
}
