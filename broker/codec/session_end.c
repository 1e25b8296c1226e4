/* SPDX-License-Identifier: Apache-2.0 */
/* DISCONNECT (section 3.14) and AUTH (section 3.15). */
#include "codec/codec_int.h"

enum mqtt_rc session_end_decode(const struct frame *f, uint8_t version, struct session_end *out)
{
    struct rd r = rd_of(f->body);
    enum mqtt_rc rc = MQTT_RC_OK;
    bool is_auth = f->type == PACKET_AUTH;

    out->code = 0;
    props_clear(&out->props);
    if (version != MQTT_V5) return is_auth || f->body.len > 0 ? MQTT_RC_MALFORMED : MQTT_RC_OK;
    if (f->body.len == 0) return MQTT_RC_OK;

    out->code = rd_u8(&r);
    /* DISCONNECT alone may leave its property length out behind a code (section 3.14.2.2.1). */
    if (is_auth || r.left > 0) rc = props_decode(&r, 1u << f->type, &out->props);
    if (rc != MQTT_RC_OK) return rc;
    if (!rd_done(&r)) return MQTT_RC_MALFORMED;
    if (is_auth && !PROPS_HAS(&out->props, auth_method)) return MQTT_RC_PROTOCOL; /* section 3.15.2.2.2 */
    return reason_fits(f->type, out->code) ? MQTT_RC_OK : MQTT_RC_PROTOCOL;
}

/* Which parts are written. */
struct parts {
    bool code, props;
};

static struct parts parts_of(uint8_t version, enum packet_type type, const struct session_end *e)
{
    bool bare = props_absent(&e->props);
    bool code = version == MQTT_V5 && (!bare || e->code != 0);
    return (struct parts){ code, code && (!bare || type == PACKET_AUTH) };
}

static size_t body_size(uint8_t version, const struct session_end *e, struct parts parts)
{
    return (parts.code ? 1u : 0u) + (parts.props ? props_size(version, &e->props) : 0);
}

uint32_t session_end_size(uint8_t version, enum packet_type type, const struct session_end *e)
{
    return packet_size(body_size(version, e, parts_of(version, type, e)));
}

void session_end_encode(struct wr *w, uint8_t version, enum packet_type type, const struct session_end *e)
{
    struct parts parts = parts_of(version, type, e);

    packet_open(w, type, 0, body_size(version, e, parts));
    if (parts.code) wr_u8(w, e->code);
    if (parts.props) props_encode(w, &e->props);
}
