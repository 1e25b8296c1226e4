/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { PACKET_ROOM = 1024, TOPIC_MAX = 64 };

/* The number is last and of fixed width, so that a prepared PUBLISH takes another one by patching eight
 * digits. */
static struct bytes topic_of(const struct bench *b, uint32_t stream, char topic[TOPIC_MAX])
{
    int n = snprintf(topic, TOPIC_MAX, "longlink-bench/%08" PRIx32 "/%08" PRIu32, b->run,
                     b->plan.shared_topic ? 0 : stream);
    return bytes_of(topic, (size_t)n);
}

/* What subscriber n subscribes to. */
static struct bytes filter_of(const struct bench *b, uint32_t n, char filter[TOPIC_MAX])
{
    if (!b->plan.group && !b->plan.retains) return topic_of(b, n, filter);
    int len = b->plan.group
                  ? snprintf(filter, TOPIC_MAX, "$share/bench/longlink-bench/%08" PRIx32 "/%08d", b->run, 0)
                  : snprintf(filter, TOPIC_MAX, "longlink-bench/%08" PRIx32 "/#", b->run);
    return bytes_of(filter, (size_t)len);
}

void client_name(const struct bench *b, const struct conn *c, char name[BENCH_CLIENT_ID_BYTES + 1])
{
    /* 3 + 8 + 1 + 1 + 10 = 23 bytes, the longest that every 3.1.1 broker must take [MQTT-3.1.3-5] */
    snprintf(name, BENCH_CLIENT_ID_BYTES + 1, "ll-%08" PRIx32 "-%c%010" PRIu32, b->run,
             c->is_publisher ? 'p' : 's', c->index);
}

static void say(struct worker *w, struct conn *c, const uint8_t *packet, const struct wr *end)
{
    CHECK(!end->bad);
    uint32_t n = (uint32_t)(end->at - packet);
    memcpy(conn_reserve(c, n), packet, n);
    send_flush_later(w, c);
}

enum err client_open(struct worker *w, struct conn *c)
{
    const struct bench *b = w->bench;
    uint32_t n = c->is_publisher ? b->plan.subscribers + c->index : c->index;
    c->keepalive_s = (uint16_t)b->conf.keepalive;
    c->resumes = b->plan.persistent && !c->is_publisher && (w->phase == PHASE_RETURN || w->publishing);
    if (!c->retries) c->opened_ns = bench_now_ns(); /* of many that are opened in one turn */
    enum err rc = conn_open(c, &b->target, n);
    if (rc == ERR_OK)
        client_greet(w, c);
    else
        worker_fail(w, c, "cannot connect to %s port %" PRIu64 ": %s; is the broker there?", b->conf.host,
                    b->conf.port, strerror(errno));
    return rc;
}

void client_greet(struct worker *w, struct conn *c)
{
    const struct bench *b = w->bench;
    uint8_t packet[PACKET_ROOM];
    struct wr out = { packet, sizeof packet, false };
    char name[BENCH_CLIENT_ID_BYTES + 1];
    bool persistent = b->plan.persistent && !c->is_publisher && w->phase != PHASE_FORGET;
    client_name(b, c, name);

    struct connect connect = {
        .version = b->version,
        .clean_start = !c->resumes,
        .has_username = b->conf.username[0] != '\0',
        .has_password = b->conf.password[0] != '\0',
        .keepalive_s = c->keepalive_s,
        .client_id = bytes_of_text(name),
        .username = bytes_of_text(b->conf.username),
        .password = bytes_of_text(b->conf.password),
    };
    /* 3.1.1 has one flag for both: a session that is to stay is never asked for cleanly. */
    if (persistent && b->version != MQTT_V5) connect.clean_start = false;
    if (persistent && b->version == MQTT_V5)
        PROPS_SET(&connect.props, session_expiry, BENCH_SESSION_EXPIRY_S);
    connect_encode(&out, &connect);
    say(w, c, packet, &out);
}

void client_subscribe(struct worker *w, struct conn *c)
{
    const struct bench *b = w->bench;
    uint8_t packet[PACKET_ROOM];
    struct wr out = { packet, sizeof packet, false };
    char topic[TOPIC_MAX];
    struct subscribe_filter filter = { .filter = filter_of(b, c->index, topic), .qos = (uint8_t)b->conf.qos };

    subscribe_encode(&out, b->version, 1, &filter, 1);
    c->state = CONN_SUBSCRIBING;
    say(w, c, packet, &out);
}

void client_ping(struct worker *w, struct conn *c)
{
    uint8_t packet[8];
    struct wr out = { packet, sizeof packet, false };
    ping_encode(&out, PACKET_PINGREQ);
    say(w, c, packet, &out);
}

void client_leave(struct worker *w, struct conn *c)
{
    uint8_t packet[16];
    struct wr out = { packet, sizeof packet, false };
    session_end_encode(&out, w->bench->version, PACKET_DISCONNECT, &(struct session_end){ 0 });
    c->state = CONN_LEAVING;
    say(w, c, packet, &out);
}

void publisher_prepare(struct bench *b, struct publisher *p, size_t payload_bytes)
{
    uint32_t room = (uint32_t)payload_bytes + PACKET_ROOM;
    uint8_t *payload = calloc(1, payload_bytes + 1);
    free(p->packet);
    p->packet = malloc(room);
    CHECK(payload != NULL);
    CHECK(p->packet != NULL);

    char topic[TOPIC_MAX];
    struct publish publish = {
        .topic = topic_of(b, p->conn.index, topic),
        .payload = bytes_of(payload, payload_bytes),
        .qos = (uint8_t)b->conf.qos,
        .retain = b->plan.retains,
        .id = b->conf.qos > 0 ? 1 : 0,
    };
    struct wr out = { p->packet, room, false };
    publish_encode(&out, b->version, &publish);
    CHECK(!out.bad);

    uint32_t property_bytes = b->version == MQTT_V5 ? 1 : 0; /* their length, 0 */
    p->packet_bytes = (uint32_t)(out.at - p->packet);
    p->payload_at = p->packet_bytes - (uint32_t)payload_bytes;
    p->id_at = p->payload_at - property_bytes - 2;
    p->topic_number_at = p->payload_at - property_bytes - (b->conf.qos > 0 ? 2 : 0) - 8;
    free(payload);
}
