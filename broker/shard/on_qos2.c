/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"
#include "shard/acks.h"
#include "shard/qos2.h"
#include "shard/shard_int.h"

/*
 * QoS 2 (section 4.3.3), between clients, sessions and the journal.
 *
 * From a client:  PUBLISH -> on_publish, route.c -> ENQUEUE with the packet id -> qos2_published: PUBREC
 *                 PUBREL  -> on_pubrel -> RELEASE -> qos2_released: PUBCOMP
 * To a client:    PUBLISH and PUBREL -> feed_pump
 *                 PUBREC  -> on_pubrec -> once a turn RECEIVED -> qos2_received: PUBREL may go
 *                 PUBCOMP -> on_pubcomp -> once a turn ACK
 *
 * A clean session's packet ids are in RAM alone. What a completion answers is the session's connection of
 * that moment, if that has asked, too: the client may have come back meanwhile and sent its packet again.
 */

enum { REFUSAL_MIN = 0x80 };

/* --- from a client */

bool qos2_again(struct shard *sh, struct conn *c, uint16_t id)
{
    struct session *s = c->session;
    uint32_t ticket;
    enum inbound state = session_inbound(s, id);
    if (state == INBOUND_NONE) return false;
    metrics_add(sh->metrics, METRIC_publish_duplicates_total, 1);
    if (state == INBOUND_RECEIVED) conn_ack_now(sh, c, PACKET_PUBREC, id, MQTT_RC_OK);
    if (state == INBOUND_RELEASING) conn_ack_now(sh, c, PACKET_PUBREC, id, MQTT_RC_ID_IN_USE);
    /* Sent twice over one connection: the PUBREC to come is for both. */
    if (state != INBOUND_PENDING || session_inbound_is_awaited(s, id)) return true;
    if (conn_ack_wait(sh, c, PACKET_PUBREC, id, &ticket) == ERR_OK)
        session_inbound_await(s, id, ticket);
    else
        conn_doom(sh, c);
    return true;
}

void qos2_published(struct shard *sh, const struct command *cmd, uint8_t code)
{
    struct session *s = sessions_find_no(sh, cmd->session_no);
    uint32_t ticket;
    bool kept = cmd->result == COMMAND_DURABLE || cmd->result == COMMAND_DUPLICATE;
    if (s == NULL || !session_inbound_kept(s, cmd->in_id, kept, &ticket)) return;
    struct conn *c = s->conn;
    if (cmd->result == COMMAND_STALE)
        conn_drop(sh, c); /* its client sends it again */
    else if (cmd->result == COMMAND_REFUSED && c->version != MQTT_V5)
        conn_end(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    else
        conn_ack_done(sh, c, ticket, code);
}

static enum mqtt_rc release(struct shard *sh, struct conn *c, uint16_t id)
{
    struct session *s = c->session;
    if (!s->persistent) {
        session_inbound_release(s, id);
        session_inbound_gone(s, id, true);
        conn_send_ack(sh, c, PACKET_PUBCOMP, id, MQTT_RC_OK);
        return MQTT_RC_OK;
    }
    struct command *cmd = journal_fenced(s, COMMAND_RELEASE, bytes_of(NULL, 0));
    if (cmd == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    cmd->in_id = id;
    cmd->conn_id = c->id;
    session_inbound_release(s, id);
    session_inbound_await(s, id, 0);
    journal_put(sh, cmd);
    return MQTT_RC_OK;
}

enum mqtt_rc on_pubrel(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct ack a;
    enum mqtt_rc rc = ack_decode(f, c->version, &a);
    if (rc != MQTT_RC_OK) return rc;
    switch (session_inbound(c->session, a.id)) {
    /* Perhaps its PUBCOMP was lost: the client can finish [MQTT-4.3.3-11]. */
    case INBOUND_NONE: conn_send_ack(sh, c, PACKET_PUBCOMP, a.id, MQTT_RC_ID_NOT_FOUND); break;
    case INBOUND_PENDING: return MQTT_RC_PROTOCOL; /* it has had no PUBREC */
    case INBOUND_RECEIVED: return release(sh, c, a.id);
    case INBOUND_RELEASING: session_inbound_await(c->session, a.id, 0); break;
    }
    return MQTT_RC_OK;
}

void qos2_released(struct shard *sh, const struct command *cmd)
{
    struct session *s = sessions_find_no(sh, cmd->session_no);
    bool gone = cmd->result == COMMAND_DURABLE;
    failpoint(FAIL_qos2_released);
    if (s == NULL || !session_inbound_gone(s, cmd->in_id, gone)) return;
    if (gone)
        conn_send_ack(sh, s->conn, PACKET_PUBCOMP, cmd->in_id, MQTT_RC_OK);
    else
        conn_drop(sh, s->conn);
}

/* --- to a client */

/* What a group lent to a clean session. */
static enum qos2_reply shared_pubrec(struct session *s, uint16_t id, bool refused)
{
    switch (session_shared_pubrec(s, id, refused)) {
    case SHARED_UNKNOWN: break;
    case SHARED_DONE: return QOS2_TAKEN;
    case SHARED_RELEASE: return QOS2_AGAIN;
    }
    return QOS2_UNKNOWN;
}

/* An id of their range may be another broker's, of the session's own queue. */
static bool is_lent(const struct session *s, uint16_t id)
{
    return session_shared_has_id(id) && !session_in_flight(s, id);
}

enum mqtt_rc on_pubrec(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct ack a;
    enum mqtt_rc rc = ack_decode(f, c->version, &a);
    if (rc != MQTT_RC_OK) return rc;
    bool refused = a.code >= REFUSAL_MIN;
    enum qos2_reply reply = is_lent(c->session, a.id) ? shared_pubrec(c->session, a.id, refused)
                                                      : session_pubrec(c->session, a.id, refused);
    switch (reply) {
    /* A client may come from another broker, or from a session that we have no more: it can finish. */
    case QOS2_UNKNOWN:
        if (!refused) conn_send_ack(sh, c, PACKET_PUBREL, a.id, MQTT_RC_ID_NOT_FOUND);
        break;
    case QOS2_WRONG: return MQTT_RC_PROTOCOL; /* QoS 1 is acknowledged by PUBACK [MQTT-4.3.2-5] */
    case QOS2_AGAIN: conn_send_ack(sh, c, PACKET_PUBREL, a.id, MQTT_RC_OK); break;
    case QOS2_TAKEN: feed_pump(sh, c->session); break;
    }
    return MQTT_RC_OK;
}

enum mqtt_rc on_pubcomp(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct ack a;
    enum mqtt_rc rc = ack_decode(f, c->version, &a);
    if (rc != MQTT_RC_OK) return rc;
    if (is_lent(c->session, a.id)) {
        if (session_shared_pubcomp(c->session, a.id) == SHARED_DONE) feed_pump(sh, c->session);
        return MQTT_RC_OK;
    }
    enum qos2_reply reply = session_pubcomp(c->session, a.id);
    if (reply == QOS2_WRONG) return MQTT_RC_PROTOCOL;
    if (reply == QOS2_TAKEN) feed_pump(sh, c->session);
    return MQTT_RC_OK;
}

void qos2_put_received(struct shard *sh, struct session *s)
{
    struct command_size size = { .open = session_unrecorded(s) };
    if (size.open == 0 && !session_wants_settled(s)) return;
    struct command *c = command_new(COMMAND_RECEIVED, &size);
    if (c == NULL) return; /* whatever comes next asks again */
    session_record(s, c->ack.open);
    c->ticket = session_settle_begin(s);
    c->session_no = s->session_no;
    c->claim_no = s->claim_no;
    journal_put(sh, c);
}

void qos2_received(struct shard *sh, const struct command *cmd)
{
    struct session *s = sessions_find_no(sh, cmd->session_no);
    failpoint(FAIL_qos2_received);
    if (s == NULL) return;
    for (uint32_t i = 0; i < cmd->ack.open_count; i++) {
        if (cmd->result == COMMAND_DURABLE)
            session_recorded(s, cmd->ack.open[i]);
        else
            session_not_recorded(s, cmd->ack.open[i]);
    }
    if (cmd->result == COMMAND_DURABLE) {
        session_settled(s, cmd->ticket);
        feed_pump(sh, s);
        return;
    }
    session_not_settled(s);
    if (s->conn != NULL) conn_drop(sh, s->conn); /* over its next one it is sent again what it had */
}
