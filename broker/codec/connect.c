/* SPDX-License-Identifier: Apache-2.0 */
/* CONNECT (section 3.1) and CONNACK (section 3.2). */
#include "codec/codec_int.h"

enum {
    CONNECT_RESERVED = 0x01,
    CONNECT_CLEAN_START = 0x02,
    CONNECT_WILL = 0x04,
    CONNECT_WILL_QOS_SHIFT = 3,
    CONNECT_WILL_RETAIN = 0x20,
    CONNECT_PASSWORD = 0x40,
    CONNECT_USERNAME = 0x80,
};

static struct bytes protocol_name(uint8_t version)
{
    return bytes_of_text(version == MQTT_V31 ? "MQIsdp" : "MQTT");
}

/* Section 3.1.2.1, 3.1.2.2. version is what the peer sent, so that the answer can be in its own words. */
static enum mqtt_rc version_decode(struct rd *r, struct connect *out)
{
    struct bytes name = rd_str(r);

    out->version = rd_u8(r);
    if (r->bad) return MQTT_RC_MALFORMED;
    bool is_known = out->version == MQTT_V31 || out->version == MQTT_V311 || out->version == MQTT_V5;
    return is_known && bytes_equal(name, protocol_name(out->version)) ? MQTT_RC_OK
                                                                      : MQTT_RC_UNSUPPORTED_VERSION;
}

static enum mqtt_rc flags_decode(uint8_t flags, struct connect *out)
{
    out->clean_start = (flags & CONNECT_CLEAN_START) != 0;
    out->has_will = (flags & CONNECT_WILL) != 0;
    out->has_username = (flags & CONNECT_USERNAME) != 0;
    out->has_password = (flags & CONNECT_PASSWORD) != 0;
    out->will.qos = flags >> CONNECT_WILL_QOS_SHIFT & 3;
    out->will.retain = (flags & CONNECT_WILL_RETAIN) != 0;

    /* [MQTT-3.1.2-3]; 3.1 calls the bit unused, and asks nothing of it. */
    if ((flags & CONNECT_RESERVED) != 0 && out->version != MQTT_V31) return MQTT_RC_MALFORMED;
    if (!out->has_will && (out->will.qos != 0 || out->will.retain)) return MQTT_RC_MALFORMED;
    if (out->will.qos > 2) return MQTT_RC_MALFORMED;
    /* 3.1.1 [MQTT-3.1.2-22]; 5.0 lets a password come alone. */
    if (out->version != MQTT_V5 && out->has_password && !out->has_username) return MQTT_RC_MALFORMED;
    return MQTT_RC_OK;
}

static enum mqtt_rc will_decode(struct rd *r, uint8_t version, struct will *out)
{
    enum mqtt_rc rc = props_decode_v5(r, version, PROPS_IN_WILL, &out->props);
    if (rc != MQTT_RC_OK) return rc;

    out->topic = rd_utf8(r);
    out->payload = rd_str(r);
    if (r->bad) return MQTT_RC_MALFORMED;
    if (out->topic.len == 0 || (utf8_scan(out->topic) & UTF8_WILDCARD) != 0) return MQTT_RC_MALFORMED;
    return MQTT_RC_OK;
}

/* Is it announced by a flag, and not there? In 3.1 the length of the packet overrules the flags of user name
 * and password (section 3.1 there). */
static bool is_left_out(const struct rd *r, const struct connect *out)
{
    return out->version == MQTT_V31 && !r->bad && r->left == 0;
}

/* Section 3.1.3. */
static enum mqtt_rc payload_decode(struct rd *r, struct connect *out)
{
    enum mqtt_rc rc = MQTT_RC_OK;

    out->client_id = rd_utf8(r);
    if (!r->bad && out->has_will) rc = will_decode(r, out->version, &out->will);
    if (is_left_out(r, out)) out->has_username = false;
    if (out->has_username) out->username = rd_utf8(r);
    if (is_left_out(r, out)) out->has_password = false;
    if (out->has_password) out->password = rd_str(r);
    return rc == MQTT_RC_OK && !rd_done(r) ? MQTT_RC_MALFORMED : rc;
}

enum mqtt_rc connect_decode(struct bytes body, struct connect *out)
{
    struct rd r = rd_of(body);

    *out = (struct connect){ .body = body };
    enum mqtt_rc rc = version_decode(&r, out);
    if (rc == MQTT_RC_OK) rc = flags_decode(rd_u8(&r), out);
    if (rc != MQTT_RC_OK) return rc;

    out->keepalive_s = rd_u16(&r);
    rc = props_decode_v5(&r, out->version, 1u << PACKET_CONNECT, &out->props);
    if (rc == MQTT_RC_OK && PROPS_HAS(&out->props, auth_data) && !PROPS_HAS(&out->props, auth_method)) {
        rc = MQTT_RC_PROTOCOL; /* section 3.1.2.11.10 */
    }
    return rc == MQTT_RC_OK ? payload_decode(&r, out) : rc;
}

static uint8_t connect_flags(const struct connect *c)
{
    unsigned flags = 0;

    if (c->clean_start) flags |= CONNECT_CLEAN_START;
    if (c->has_username) flags |= CONNECT_USERNAME;
    if (c->has_password) flags |= CONNECT_PASSWORD;
    if (c->has_will) flags |= CONNECT_WILL | (c->will.qos & 3u) << CONNECT_WILL_QOS_SHIFT;
    if (c->has_will && c->will.retain) flags |= CONNECT_WILL_RETAIN;
    return (uint8_t)flags;
}

static size_t connect_size(const struct connect *c)
{
    size_t sum = 2 + protocol_name(c->version).len + 1 + 1 + 2 + props_size(c->version, &c->props) + 2 +
                 c->client_id.len;

    if (c->has_will) sum += props_size(c->version, &c->will.props) + 2 + c->will.topic.len;
    if (c->has_will) sum += 2 + c->will.payload.len;
    if (c->has_username) sum += 2 + c->username.len;
    if (c->has_password) sum += 2 + c->password.len;
    return sum;
}

void connect_encode(struct wr *w, const struct connect *c)
{
    packet_open(w, PACKET_CONNECT, 0, connect_size(c));
    wr_str(w, protocol_name(c->version));
    wr_u8(w, c->version);
    wr_u8(w, connect_flags(c));
    wr_u16(w, c->keepalive_s);
    props_encode_v5(w, c->version, &c->props);
    wr_str(w, c->client_id);
    if (c->has_will) {
        props_encode_v5(w, c->version, &c->will.props);
        wr_str(w, c->will.topic);
        wr_str(w, c->will.payload);
    }
    if (c->has_username) wr_str(w, c->username);
    if (c->has_password) wr_str(w, c->password);
}

enum mqtt_rc connack_decode(struct bytes body, uint8_t version, struct connack *out)
{
    struct rd r = rd_of(body);
    uint8_t flags = rd_u8(&r);

    *out = (struct connack){ .session_present = (flags & 1) != 0, .code = rd_u8(&r) };
    enum mqtt_rc rc = props_decode_v5(&r, version, 1u << PACKET_CONNACK, &out->props);
    if (rc != MQTT_RC_OK) return rc;
    if (!rd_done(&r) || flags > 1) return MQTT_RC_MALFORMED;
    /* 3.1.1 table 3.1 ends at 5. */
    if (version == MQTT_V5 ? !reason_fits(PACKET_CONNACK, out->code) : out->code > 5) return MQTT_RC_PROTOCOL;
    return out->session_present && out->code != 0 ? MQTT_RC_PROTOCOL : MQTT_RC_OK; /* [MQTT-3.2.2-6] */
}

uint32_t connack_size(uint8_t version, const struct connack *c)
{
    return packet_size(2 + props_size(version, &c->props));
}

void connack_encode(struct wr *w, uint8_t version, const struct connack *c)
{
    packet_open(w, PACKET_CONNACK, 0, 2 + props_size(version, &c->props));
    wr_u8(w, c->session_present && version != MQTT_V31 ? 1 : 0); /* 3.1 has no such flag */
    wr_u8(w, c->code);
    props_encode_v5(w, version, &c->props);
}
