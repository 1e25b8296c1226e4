/* SPDX-License-Identifier: Apache-2.0 */
/* SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK: sections 3.8 to 3.11. */
#include "codec/codec_int.h"

enum {
    OPTION_QOS = 0x03,
    OPTION_NO_LOCAL = 0x04,
    OPTION_RETAIN_AS_PUBLISHED = 0x08,
    OPTION_RETAIN_HANDLING_SHIFT = 4,
    OPTION_RESERVED_V5 = 0xc0,
    OPTION_RESERVED_V3 = 0xfc,
};

static bool is_shared(struct bytes filter)
{
    static const char prefix[] = "$share/";
    return filter.len >= sizeof prefix - 1 && memcmp(filter.at, prefix, sizeof prefix - 1) == 0;
}

/* Section 3.8.3.1. */
static enum mqtt_rc options_check(uint8_t options, uint8_t version, struct bytes filter)
{
    if (version != MQTT_V5) {
        return (options & OPTION_RESERVED_V3) != 0 || options > 2 ? MQTT_RC_MALFORMED : MQTT_RC_OK;
    }
    if ((options & OPTION_RESERVED_V5) != 0) return MQTT_RC_MALFORMED; /* [MQTT-3.8.3-5] */
    if ((options & OPTION_QOS) == 3) return MQTT_RC_PROTOCOL;
    if (options >> OPTION_RETAIN_HANDLING_SHIFT == 3) return MQTT_RC_PROTOCOL;
    if ((options & OPTION_NO_LOCAL) != 0 && is_shared(filter)) return MQTT_RC_PROTOCOL; /* [MQTT-3.8.3-4] */
    return MQTT_RC_OK;
}

/* What SUBSCRIBE and UNSUBSCRIBE share: every filter is there and is text; how many there are. */
static enum mqtt_rc filters_check(struct rd r, uint8_t version, enum packet_type type, uint16_t *count)
{
    enum mqtt_rc rc = MQTT_RC_OK;
    uint32_t seen = 0;

    for (; rc == MQTT_RC_OK && r.left > 0; seen++) {
        struct bytes filter = rd_utf8(&r);
        uint8_t options = type == PACKET_SUBSCRIBE ? rd_u8(&r) : 0;
        if (r.bad || filter.len == 0) return MQTT_RC_MALFORMED; /* [MQTT-4.7.3-1] */
        rc = options_check(options, version, filter);
    }
    if (rc != MQTT_RC_OK) return rc;
    if (seen == 0) return MQTT_RC_PROTOCOL;               /* [MQTT-3.8.3-2], [MQTT-3.10.3-2] */
    if (seen > UINT16_MAX) return MQTT_RC_IMPLEMENTATION; /* our own limit */
    *count = (uint16_t)seen;
    return MQTT_RC_OK;
}

enum mqtt_rc subscribe_decode(struct bytes body, uint8_t version, struct subscribe *out)
{
    struct rd r = rd_of(body);

    out->id = rd_u16(&r);
    out->count = 0;
    enum mqtt_rc rc = props_decode_v5(&r, version, 1u << PACKET_SUBSCRIBE, &out->props);
    out->filters = r;
    if (rc != MQTT_RC_OK) return rc;
    if (r.bad) return MQTT_RC_MALFORMED;
    if (out->id == 0) return MQTT_RC_PROTOCOL;
    return filters_check(r, version, PACKET_SUBSCRIBE, &out->count);
}

bool subscribe_next(struct subscribe *s, uint8_t version, struct subscribe_filter *out)
{
    if (s->filters.left == 0) return false;
    struct bytes filter = rd_str(&s->filters);
    uint8_t options = rd_u8(&s->filters);

    *out = (struct subscribe_filter){ .filter = filter, .qos = options & OPTION_QOS };
    if (version == MQTT_V5) {
        out->no_local = (options & OPTION_NO_LOCAL) != 0;
        out->retain_as_published = (options & OPTION_RETAIN_AS_PUBLISHED) != 0;
        out->retain_handling = options >> OPTION_RETAIN_HANDLING_SHIFT & 3;
    }
    return true;
}

enum mqtt_rc unsubscribe_decode(struct bytes body, uint8_t version, struct unsubscribe *out)
{
    struct rd r = rd_of(body);

    out->id = rd_u16(&r);
    out->count = 0;
    enum mqtt_rc rc = props_decode_v5(&r, version, 1u << PACKET_UNSUBSCRIBE, &out->props);
    out->filters = r;
    if (rc != MQTT_RC_OK) return rc;
    if (r.bad) return MQTT_RC_MALFORMED;
    if (out->id == 0) return MQTT_RC_PROTOCOL;
    return filters_check(r, version, PACKET_UNSUBSCRIBE, &out->count);
}

bool unsubscribe_next(struct unsubscribe *u, struct bytes *filter)
{
    if (u->filters.left == 0) return false;
    *filter = rd_str(&u->filters);
    return true;
}

static uint8_t options_of(uint8_t version, const struct subscribe_filter *f)
{
    unsigned options = f->qos & OPTION_QOS;

    if (version != MQTT_V5) return (uint8_t)options;
    if (f->no_local) options |= OPTION_NO_LOCAL;
    if (f->retain_as_published) options |= OPTION_RETAIN_AS_PUBLISHED;
    return (uint8_t)(options | (unsigned)f->retain_handling << OPTION_RETAIN_HANDLING_SHIFT);
}

void subscribe_encode(struct wr *w, uint8_t version, uint16_t id, const struct subscribe_filter *filters,
                      size_t count)
{
    size_t remaining = version == MQTT_V5 ? 3 : 2;

    for (size_t i = 0; i < count; i++) remaining += 2 + filters[i].filter.len + 1;
    packet_open(w, PACKET_SUBSCRIBE, 2, remaining);
    wr_u16(w, id);
    if (version == MQTT_V5) wr_u8(w, 0); /* no properties */
    for (size_t i = 0; i < count; i++) {
        wr_str(w, filters[i].filter);
        wr_u8(w, options_of(version, &filters[i]));
    }
}

void unsubscribe_encode(struct wr *w, uint8_t version, uint16_t id, const struct bytes *filters, size_t count)
{
    size_t remaining = version == MQTT_V5 ? 3 : 2;

    for (size_t i = 0; i < count; i++) remaining += 2 + filters[i].len;
    packet_open(w, PACKET_UNSUBSCRIBE, 2, remaining);
    wr_u16(w, id);
    if (version == MQTT_V5) wr_u8(w, 0); /* no properties */
    for (size_t i = 0; i < count; i++) wr_str(w, filters[i]);
}

static bool suback_codes_fit(const struct suback *s, uint8_t version, enum packet_type type)
{
    for (size_t i = 0; i < s->codes.len; i++) {
        uint8_t code = s->codes.at[i];
        if (version == MQTT_V5 ? !reason_fits(type, code) : code > 2 && code != 0x80) return false;
    }
    return true;
}

enum mqtt_rc suback_decode(const struct frame *f, uint8_t version, struct suback *out)
{
    struct rd r = rd_of(f->body);
    bool has_codes = version == MQTT_V5 || f->type == PACKET_SUBACK;

    out->id = rd_u16(&r);
    enum mqtt_rc rc = props_decode_v5(&r, version, 1u << f->type, &out->props);
    out->codes = rd_rest(&r);
    if (rc != MQTT_RC_OK) return rc;
    if (r.bad || has_codes != (out->codes.len > 0)) return MQTT_RC_MALFORMED;
    return out->id == 0 || !suback_codes_fit(out, version, f->type) ? MQTT_RC_PROTOCOL : MQTT_RC_OK;
}

static void codes_encode(struct wr *w, uint8_t version, enum packet_type type, const struct suback *s)
{
    struct bytes codes = version == MQTT_V5 || type == PACKET_SUBACK ? s->codes : (struct bytes){ 0 };

    packet_open(w, type, 0, 2 + props_size(version, &s->props) + codes.len);
    wr_u16(w, s->id);
    props_encode_v5(w, version, &s->props);
    wr_bytes(w, codes);
}

void suback_encode(struct wr *w, uint8_t version, const struct suback *s)
{
    codes_encode(w, version, PACKET_SUBACK, s);
}

void unsuback_encode(struct wr *w, uint8_t version, const struct suback *s)
{
    codes_encode(w, version, PACKET_UNSUBACK, s);
}
