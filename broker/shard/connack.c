/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "shard/backoff.h"
#include "shard/connect.h"
#include "shard/hooked.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/* CONNACK (MQTT 5.0 section 3.2): what the client is told of this broker and of its session. */

/* Room for the expansion of response_information; a client with a longer id gets none. */
enum { RESPONSE_BYTES_MAX = 1024 };

static bool write_connack(struct shard *sh, struct conn *c, const struct connack *a)
{
    uint32_t size = connack_size(c->version, a);
    uint8_t *at = size > c->max_packet ? NULL : conn_reserve(sh, c, size);
    if (at == NULL) return false;
    struct wr w = { .at = at, .left = size };
    connack_encode(&w, c->version, a);
    CHECK(!w.bad);
    conn_commit(sh, c, size);
    return true;
}

/* As far as the client has room for it [MQTT-3.2.2-20]. */
static void add_backoff(const struct shard *sh, const struct conn *c, enum mqtt_rc why, struct connack *a)
{
    backoff_tell(sh, c, why, &a->props);
    if (connack_size(c->version, a) > c->max_packet) a->props.user = bytes_of(NULL, 0);
}

static void explain(const struct shard *sh, const struct conn *c, enum mqtt_rc why, struct connack *a)
{
    add_backoff(sh, c, why, a);
    conn_give_reason(c, &a->props, a->code, connack_size(c->version, a));
}

enum mqtt_rc connack_refuse(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    struct connack a = { .code = (uint8_t)why };
    metrics_add(sh->metrics, METRIC_connects_refused_total, 1);
    log_event(sh->log, EVENT_CONNECT_REFUSED, LOG_NUM("port", c->listener->port),
              LOG_STR("reason", mqtt_rc_text((uint8_t)why)));
    if (c->version != MQTT_V5)
        a.code = connack_code_v3(why);
    else
        explain(sh, c, why, &a);
    write_connack(sh, c, &a);
    hooked_reason(c, (uint8_t)why);
    conn_end_quietly(sh, c);
    return MQTT_RC_OK;
}

static struct conn_told told_now(const struct shard *sh, const struct conn *c)
{
    const struct config *config = sh->config;
    return (struct conn_told){
        .packet_bytes = config->max_packet_size > 0 ? config->max_packet_size : PACKET_BYTES_MAX,
        .receive_max = (uint16_t)config->receive_maximum,
        .alias_max = (uint16_t)conn_door(sh, c)->max_topic_alias,
        .qos = (uint8_t)conn_door(sh, c)->max_qos,
        .retains = config->retain_available,
    };
}

static void fill(const struct shard *sh, const struct conn *c, uint32_t expiry_s, struct connack *a)
{
    const struct config *conf = sh->config;
    struct conn_told told = told_now(sh, c);
    a->session_present = c->session_present;
    if (c->version != MQTT_V5) return;
    if (told.receive_max < UINT16_MAX) PROPS_SET(&a->props, receive_max, told.receive_max);
    if (told.qos < 2) PROPS_SET(&a->props, max_qos, told.qos);
    if (!told.retains) PROPS_SET(&a->props, retain_available, 0);
    if (told.alias_max > 0) PROPS_SET(&a->props, topic_alias_max, told.alias_max);
    if (told.packet_bytes < PACKET_BYTES_MAX) PROPS_SET(&a->props, max_packet_size, told.packet_bytes);
    if (c->limited_keepalive) PROPS_SET(&a->props, server_keepalive, c->keepalive_s);
    const char *assigned = c->seldom->assigned_id;
    if (assigned != NULL) PROPS_SET(&a->props, assigned_client_id, bytes_of_text(assigned));
    auth_fill(c, &a->props);
    if (expiry_s > 0 && conf->persistent_client_expiration != UINT32_MAX)
        PROPS_SET(&a->props, session_expiry, expiry_s);
}

bool connack_fits(const struct shard *sh, const struct conn *c, uint32_t expiry_s)
{
    struct connack a = { 0 };
    fill(sh, c, expiry_s, &a);
    return connack_size(c->version, &a) <= c->max_packet;
}

/* The text with the client's id in place of each %c. Empty: there is none, it is too long, or it would be no
 * part of a topic. */
static struct bytes expand(const char *text, struct bytes client_id, uint8_t *room)
{
    struct bytes none = { 0 };
    struct wr w = { .at = room, .left = RESPONSE_BYTES_MAX };
    if (utf8_scan(client_id) != 0) return none;
    for (const char *at = text; *at != '\0'; at++) {
        if (at[0] != '%' || at[1] != 'c') {
            wr_u8(&w, (uint8_t)*at);
            continue;
        }
        wr_bytes(&w, client_id);
        at++;
    }
    return w.bad ? none : bytes_of(room, (size_t)(w.at - room));
}

/* Section 3.2.2.3.14: for a client that asks, if there is room [MQTT-3.1.2-24]. */
static void add_response_info(const struct shard *sh, const struct conn *c, struct connack *a, uint8_t *room)
{
    if (!c->wants_response_info) return;
    struct bytes text = expand(sh->config->response_information, session_client_id(c->session), room);
    if (text.len == 0) return;
    PROPS_SET(&a->props, response_info, text);
    if (connack_size(c->version, a) > c->max_packet) a->props.has &= ~(1u << PROP_BIT_response_info);
}

void connack_send(struct shard *sh, struct conn *c)
{
    struct connack a = { 0 };
    uint8_t room[RESPONSE_BYTES_MAX];
    fill(sh, c, c->session->expiry_s, &a);
    add_response_info(sh, c, &a, room);
    add_backoff(sh, c, MQTT_RC_OK, &a);
    if (!write_connack(sh, c, &a)) {
        conn_drop(sh, c);
        return;
    }
    c->told = told_now(sh, c);
    auth_told(c);
    if (c->seldom->assigned_id != NULL) {
        free(c->seldom->assigned_id);
        conn_seldom(c)->assigned_id = NULL;
    }
    conn_seldom_tidy(c);
    c->state = CONN_OPEN;
    hooked_in(c);
    metrics_add(sh->metrics, METRIC_connects_accepted_total, 1);
    feed_pump(sh, c->session);
}
