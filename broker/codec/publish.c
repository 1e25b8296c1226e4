/* SPDX-License-Identifier: Apache-2.0 */
/* PUBLISH, section 3.3. The hot path in both directions. */
#include "codec/codec_int.h"

enum { PUBLISH_RETAIN = 0x1, PUBLISH_QOS_SHIFT = 1, PUBLISH_DUP = 0x8 };

static uint8_t publish_flags(uint8_t qos, bool dup, bool retain)
{
    unsigned flags = (unsigned)(qos << PUBLISH_QOS_SHIFT);

    if (dup && qos > 0) flags |= PUBLISH_DUP; /* [MQTT-3.3.1-2] */
    if (retain) flags |= PUBLISH_RETAIN;
    return (uint8_t)flags;
}

enum mqtt_rc publish_decode(const struct frame *f, uint8_t version, struct publish *out)
{
    struct rd r = rd_of(f->body);

    out->dup = (f->flags & PUBLISH_DUP) != 0;
    out->retain = (f->flags & PUBLISH_RETAIN) != 0;
    out->qos = f->flags >> PUBLISH_QOS_SHIFT & 3;
    out->topic = rd_str(&r);
    out->id = out->qos > 0 ? rd_u16(&r) : 0;
    enum mqtt_rc rc = props_decode_v5(&r, version, 1u << PACKET_PUBLISH, &out->props);
    out->payload = rd_rest(&r);
    unsigned text = utf8_scan(out->topic);

    if (r.bad || (text & UTF8_ILL_FORMED) != 0) return MQTT_RC_MALFORMED;
    if (out->qos == 3 || (out->qos == 0 && out->dup)) return MQTT_RC_MALFORMED; /* [MQTT-3.3.1-4, 2] */
    if (rc != MQTT_RC_OK) return rc;
    if ((text & UTF8_WILDCARD) != 0) return MQTT_RC_MALFORMED; /* [MQTT-3.3.2-2] */
    if (out->qos > 0 && out->id == 0) return MQTT_RC_PROTOCOL;
    if (out->topic.len == 0 && !PROPS_HAS(&out->props, topic_alias)) return MQTT_RC_PROTOCOL;
    return MQTT_RC_OK;
}

void publish_encode(struct wr *w, uint8_t version, const struct publish *p)
{
    size_t id_bytes = p->qos > 0 ? 2 : 0;
    size_t remaining = 2 + p->topic.len + id_bytes + props_size(version, &p->props) + p->payload.len;

    packet_open(w, PACKET_PUBLISH, publish_flags(p->qos, p->dup, p->retain), remaining);
    wr_str(w, p->topic);
    if (p->qos > 0) wr_u16(w, p->id);
    props_encode_v5(w, version, &p->props);
    wr_bytes(w, p->payload);
}

/* Bytes of a head after the fixed header, and of the packet after them. */
struct head_sizes {
    uint32_t props; /* v5: value of the property length */
    uint32_t head, tail;
};

/* Identifiers of properties, as in props.def. */
enum { MESSAGE_EXPIRY = 0x02, SUBSCRIPTION_ID = 0x0b, TOPIC_ALIAS = 0x23 };

/* Bytes of the receiver's own properties. */
static uint32_t own_bytes(const struct publish_head *h)
{
    uint32_t sum = (h->has_expiry ? 5u : 0u) + (h->topic_alias != 0 ? 3u : 0u);
    for (uint32_t i = 0; i < h->ids_count; i++) sum += 1 + varint_size(h->ids[i]);
    return sum;
}

static void own_encode(struct wr *w, const struct publish_head *h)
{
    if (h->has_expiry) {
        wr_u8(w, MESSAGE_EXPIRY);
        wr_u32(w, h->expiry_s);
    }
    for (uint32_t i = 0; i < h->ids_count; i++) {
        wr_u8(w, SUBSCRIPTION_ID);
        wr_varint(w, h->ids[i]);
    }
    if (h->topic_alias == 0) return;
    wr_u8(w, TOPIC_ALIAS);
    wr_u16(w, h->topic_alias);
}

/* The three write where their caller has made room, and give the end of it. */
static uint8_t *put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
    return at + 2;
}

static uint8_t *put_varint(uint8_t *at, uint32_t v)
{
    for (; v >= 0x80; v >>= 7) *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

static uint8_t *put_str(uint8_t *at, struct bytes b)
{
    at = put_u16(at, (uint16_t)b.len);
    if (b.len > 0) memcpy(at, b.at, b.len);
    return at + b.len;
}

static inline struct head_sizes head_sizes(uint8_t version, const struct publish_head *h)
{
    struct head_sizes s = { .head = 2 + (uint32_t)h->topic.len + (h->qos > 0 ? 2 : 0),
                            .tail = h->payload_bytes };

    if (version == MQTT_V5) {
        uint32_t own = own_bytes(h);
        s.props = own + h->block_bytes;
        s.head += varint_size(s.props) + own;
        s.tail += h->block_bytes;
    }
    return s;
}

uint32_t publish_head_size(uint8_t version, const struct publish_head *h)
{
    struct head_sizes s = head_sizes(version, h);
    return 1 + varint_size(s.head + s.tail) + s.head + s.tail;
}

void publish_head_encode(struct wr *w, uint8_t version, const struct publish_head *h)
{
    struct head_sizes s = head_sizes(version, h);

    /* The whole head or nothing: so that a full buffer holds no half of one. And one question for all of it.
     */
    uint32_t own = version == MQTT_V5 ? s.props - h->block_bytes : 0;
    size_t total = 1 + varint_size(s.head + s.tail) + (size_t)s.head;
    if (h->topic.len > UINT16_MAX || s.head + s.tail > REMAINING_MAX || w->left < total) w->bad = true;
    uint8_t *at = wr_take(w, total - own);
    if (at == NULL) return;
    *at++ = (uint8_t)(PACKET_PUBLISH << 4 | publish_flags(h->qos, h->dup, h->retain));
    at = put_varint(at, s.head + s.tail);
    at = put_str(at, h->topic);
    if (h->qos > 0) at = put_u16(at, h->id);
    if (version == MQTT_V5) put_varint(at, s.props);
    if (own > 0) own_encode(w, h);
}
