/* SPDX-License-Identifier: Apache-2.0 */
/* PUBACK, PUBREC, PUBREL, PUBCOMP: sections 3.4 to 3.7. */
#include "codec/codec_int.h"

enum mqtt_rc ack_decode(const struct frame *f, uint8_t version, struct ack *out)
{
    struct rd r = rd_of(f->body);
    enum mqtt_rc rc = MQTT_RC_OK;

    out->id = rd_u16(&r);
    out->code = 0;
    props_clear(&out->props);
    if (version == MQTT_V5 && r.left > 0) out->code = rd_u8(&r); /* length 2: success */
    if (version == MQTT_V5 && r.left > 0) rc = props_decode(&r, 1u << f->type, &out->props);

    if (rc != MQTT_RC_OK) return rc;
    if (!rd_done(&r)) return MQTT_RC_MALFORMED;
    return out->id == 0 || !reason_fits(f->type, out->code) ? MQTT_RC_PROTOCOL : MQTT_RC_OK;
}

void ack_encode(struct wr *w, uint8_t version, enum packet_type type, const struct ack *a)
{
    uint8_t flags = type == PACKET_PUBREL ? 2 : 0;
    bool bare = version != MQTT_V5 || props_absent(&a->props);
    bool coded = version == MQTT_V5 && (a->code != 0 || !bare);

    packet_open(w, type, flags, 2 + (coded ? 1u : 0u) + (bare ? 0 : props_size(version, &a->props)));
    wr_u16(w, a->id);
    if (coded) wr_u8(w, a->code);
    if (!bare) props_encode(w, &a->props);
}

void ack_bare_write(uint8_t at[ACK_BARE_BYTES], enum packet_type type, uint16_t id)
{
    at[0] = (uint8_t)((unsigned)type << 4 | (type == PACKET_PUBREL ? 2u : 0u));
    at[1] = 2;
    at[2] = (uint8_t)(id >> 8);
    at[3] = (uint8_t)id;
}
