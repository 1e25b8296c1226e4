/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/connect.h"
#include "shard/parked.h"
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

enum mqtt_rc dispatch(struct shard *sh, struct conn *c, const struct frame *f)
{
    if (c->state == CONN_NEW) return f->type == PACKET_CONNECT ? on_connect(sh, c, f) : MQTT_RC_PROTOCOL;
    if (c->state == CONN_AUTH) return auth_dispatch(sh, c, f);
    enum mqtt_rc rc;
    if (c->hooked != NULL && parked_takes(sh, c, f, &rc)) return rc;
    switch (f->type) {
    case PACKET_PUBLISH: return on_publish(sh, c, f);
    case PACKET_PUBACK: return on_puback(sh, c, f);
    case PACKET_SUBSCRIBE: return on_subscribe(sh, c, f);
    case PACKET_UNSUBSCRIBE: return on_unsubscribe(sh, c, f);
    case PACKET_PINGREQ: return on_pingreq(sh, c, f);
    case PACKET_DISCONNECT: return on_disconnect(sh, c, f);
    case PACKET_PUBREC: return on_pubrec(sh, c, f);
    case PACKET_PUBREL: return on_pubrel(sh, c, f);
    case PACKET_PUBCOMP: return on_pubcomp(sh, c, f);
    case PACKET_AUTH: return on_auth(sh, c, f);
    /* A second CONNECT [MQTT-3.1.0-2]; the others are the server's to send. */
    default: return MQTT_RC_PROTOCOL;
    }
}
