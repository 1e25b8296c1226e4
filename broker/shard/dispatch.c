/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/connect.h"
#include "shard/shard_int.h"

static enum mqtt_rc on_pingreq(struct shard *sh, struct conn *c, const struct frame *f)
{
    enum { PINGRESP_BYTES = 2 };
    if (f->body.len != 0) return MQTT_RC_MALFORMED;
    uint8_t *at = conn_reserve(sh, c, PINGRESP_BYTES);
    if (at == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    struct wr w = { .at = at, .left = PINGRESP_BYTES };
    ping_encode(&w, PACKET_PINGRESP);
    conn_commit(sh, c, PINGRESP_BYTES);
    return MQTT_RC_OK;
}

/* PUBREC, PUBREL and PUBCOMP: nothing is under way with QoS 2 while Maximum QoS is 1, but a client that comes
 * from a broker with QoS 2 may have some left. It is answered [MQTT-4.3.3-4, 11], that it can finish. */
static enum mqtt_rc on_stray_ack(struct shard *sh, struct conn *c, const struct frame *f)
{
    enum { ANSWER_BYTES_MAX = 8, REFUSAL_MIN = 0x80 };
    struct ack a;
    enum mqtt_rc rc = ack_decode(f, c->version, &a);
    if (rc != MQTT_RC_OK) return rc;
    /* What is under way has QoS 1 and is acknowledged by PUBACK [MQTT-4.3.2-5]. */
    if (f->type == PACKET_PUBREC && session_in_flight(c->session, a.id)) return MQTT_RC_PROTOCOL;
    bool is_last = f->type == PACKET_PUBCOMP || (f->type == PACKET_PUBREC && a.code >= REFUSAL_MIN);
    if (is_last) return MQTT_RC_OK;

    uint8_t *at = conn_reserve(sh, c, ANSWER_BYTES_MAX);
    if (at == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    struct wr w = { .at = at, .left = ANSWER_BYTES_MAX };
    struct ack answer = { .id = a.id, .code = MQTT_RC_ID_NOT_FOUND };
    ack_encode(&w, c->version, f->type == PACKET_PUBREC ? PACKET_PUBREL : PACKET_PUBCOMP, &answer);
    conn_commit(sh, c, (size_t)(w.at - at));
    return MQTT_RC_OK;
}

enum mqtt_rc dispatch(struct shard *sh, struct conn *c, const struct frame *f)
{
    if (c->state == CONN_NEW) return f->type == PACKET_CONNECT ? on_connect(sh, c, f) : MQTT_RC_PROTOCOL;
    if (c->state == CONN_AUTH) return auth_dispatch(sh, c, f);
    switch (f->type) {
    case PACKET_PUBLISH: return on_publish(sh, c, f);
    case PACKET_PUBACK: return on_puback(sh, c, f);
    case PACKET_SUBSCRIBE: return on_subscribe(sh, c, f);
    case PACKET_UNSUBSCRIBE: return on_unsubscribe(sh, c, f);
    case PACKET_PINGREQ: return on_pingreq(sh, c, f);
    case PACKET_DISCONNECT: return on_disconnect(sh, c, f);
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP: return on_stray_ack(sh, c, f);
    case PACKET_AUTH: return on_auth(sh, c, f);
    /* A second CONNECT [MQTT-3.1.0-2]; the others are the server's to send. */
    default: return MQTT_RC_PROTOCOL;
    }
}
