/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec_int.h"

static const char *const names[16] = {
#define PACKET(name, value, flags, flags_mask, text) [value] = (text),
#include "codec/packets.def"
#undef PACKET
};

static const uint8_t flags_required[16] = {
#define PACKET(name, value, flags, flags_mask, text) [value] = (flags),
#include "codec/packets.def"
#undef PACKET
};

static const uint8_t flags_checked[16] = {
#define PACKET(name, value, flags, flags_mask, text) [value] = (flags_mask),
#include "codec/packets.def"
#undef PACKET
};

const char *packet_name(enum packet_type type)
{
    return names[(unsigned)type < 16 ? type : PACKET_RESERVED];
}

size_t varint_parse(const uint8_t *at, size_t left, uint32_t *value)
{
    uint32_t v = 0;

    for (size_t i = 0; i < 4; i++) {
        if (i == left) return VARINT_CUT;
        v |= (uint32_t)(at[i] & 0x7f) << (7 * i);
        if (at[i] < 0x80) {
            *value = v;
            return at[i] == 0 && i > 0 ? VARINT_BAD : i + 1; /* shortest form only [MQTT-1.5.5-1] */
        }
    }
    return VARINT_BAD;
}

uint32_t rd_varint(struct rd *r)
{
    uint32_t value = 0;
    size_t n = varint_parse(r->at, r->left, &value);

    if (n == VARINT_CUT || n == VARINT_BAD) {
        *r = (struct rd){ .bad = true };
        return 0;
    }
    rd_take(r, n);
    return value;
}

void wr_varint(struct wr *w, uint32_t v)
{
    if (v > REMAINING_MAX || w->left < varint_size(v)) w->bad = true;
    for (; v >= 0x80; v >>= 7) wr_u8(w, (uint8_t)(v | 0x80));
    wr_u8(w, (uint8_t)v);
}

/* 3.1 sets DUP in what it sends again, with QoS 1 in its place (sections 2.1, 3.6, 3.8 and 3.10 there). */
static bool may_repeat(enum packet_type type)
{
    return type == PACKET_PUBREL || type == PACKET_SUBSCRIBE || type == PACKET_UNSUBSCRIBE;
}

static enum mqtt_rc split(struct bytes in, uint32_t size_max, bool is_v31, struct frame *out)
{
    enum { DUP = 0x8 };
    uint32_t length = 0;

    *out = (struct frame){ 0 };
    if (in.len == 0) return MQTT_RC_OK;
    out->type = in.at[0] >> 4;
    out->flags = in.at[0] & 0x0f;
    if (out->type == PACKET_RESERVED) return MQTT_RC_MALFORMED;
    uint8_t checked = flags_checked[out->type];
    if (is_v31 && may_repeat(out->type)) checked &= (uint8_t)~DUP;
    if ((out->flags & checked) != flags_required[out->type]) return MQTT_RC_MALFORMED;

    bool is_short = in.len > 1 && in.at[1] < 0x80;
    if (is_short) length = in.at[1];
    size_t n = is_short ? 1 : varint_parse(in.at + 1, in.len - 1, &length);
    if (n == VARINT_BAD) return MQTT_RC_MALFORMED;
    if (n == VARINT_CUT) return MQTT_RC_OK;
    if (length > 0 && (out->type == PACKET_PINGREQ || out->type == PACKET_PINGRESP)) return MQTT_RC_MALFORMED;

    uint32_t total = 1 + (uint32_t)n + length;
    if (total > size_max) return MQTT_RC_PACKET_TOO_LARGE;
    if (in.len < total) {
        out->want = total;
        return MQTT_RC_OK;
    }
    out->total = total;
    out->body = bytes_of(in.at + 1 + n, length);
    return MQTT_RC_OK;
}

enum mqtt_rc frame_split(struct bytes in, uint32_t size_max, struct frame *out)
{
    return split(in, size_max, false, out);
}

enum mqtt_rc frame_split_v31(struct bytes in, uint32_t size_max, struct frame *out)
{
    return split(in, size_max, true, out);
}

void packet_open(struct wr *w, enum packet_type type, uint8_t flags, size_t remaining)
{
    if (remaining > REMAINING_MAX || w->left < 1 + varint_size((uint32_t)remaining) + remaining)
        w->bad = true;
    wr_u8(w, (uint8_t)((unsigned)type << 4 | flags));
    wr_varint(w, (uint32_t)remaining);
}

void ping_encode(struct wr *w, enum packet_type type)
{
    packet_open(w, type, 0, 0);
}
