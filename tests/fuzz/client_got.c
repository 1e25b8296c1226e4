/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "fuzz/client_int.h"
#include "topic/topic.h"

/* What a client gets: each packet must be one that a server may send to it now. */

enum { ACK_BYTES = 8, REFUSAL_MIN = 0x80 };

/* --- answers of its own */

static void send_ack(unsigned link, enum packet_type type, uint16_t id)
{
    uint8_t packet[ACK_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct ack a = { .id = id };
    if (client_of(link)->sent_bytes > 0)
        client_of(link)->is_lax = true; /* it becomes part of an unfinished packet */
    ack_encode(&w, client_of(link)->version, type, &a);
    client_send(link, bytes_of(packet, (size_t)(w.at - packet)));
}

/* What is next for it. */
static void acknowledge(unsigned link, const struct flight *f)
{
    if (f->qos == 1)
        send_ack(link, PACKET_PUBACK, f->id);
    else if (!f->is_received)
        send_ack(link, PACKET_PUBREC, f->id);
    else if (f->is_released)
        send_ack(link, PACKET_PUBCOMP, f->id);
}

void client_acknowledge(unsigned link, unsigned index)
{
    struct client *c = client_of(link);
    if (c->flights_count == 0) return;
    acknowledge(link, &c->flights[index % c->flights_count]);
}

void client_acks_all(unsigned link)
{
    struct client *c = client_of(link);
    struct flight before[CLIENT_FLIGHTS_MAX];
    unsigned count = c->flights_count;
    c->acks = true;
    memcpy(before, c->flights, count * sizeof *before);
    for (unsigned i = 0; i < count; i++) acknowledge(link, &before[i]);
}

/* --- CONNACK */

static void got_connack(struct client *c, const struct frame *f)
{
    struct connack a;
    enum mqtt_rc rc = connack_decode(f->body, c->version, &a);
    CHECK(rc == MQTT_RC_OK);
    CHECK(c->state == CLIENT_ASKED);
    struct asked *asked = client_asked(c, PACKET_CONNECT, 0);
    if (asked != NULL) client_answered(c, asked);
    if (a.code != 0) {
        CHECK(!a.session_present); /* [MQTT-3.2.2-6] */
        c->state = CLIENT_REFUSED;
        c->may_end = true;
        return;
    }
    CHECK(asked != NULL || c->is_lax);
    c->state = CLIENT_OPEN;
    struct who *who = world_of(c->who);
    if (a.session_present) {
        CHECK(!c->clean_start); /* [MQTT-3.2.2-2] */
        CHECK(who != NULL);
        CHECK(who->connects > 1); /* by somebody else, too */
    }
    if (c->version != MQTT_V5) return;
    if (PROPS_HAS(&a.props, server_keepalive)) c->keepalive_s = a.props.server_keepalive;
}

/* --- PUBLISH */

/* Its topic, by alias perhaps. */
static struct bytes topic_of(struct client *c, const struct publish *p)
{
    if (c->version != MQTT_V5 || !PROPS_HAS(&p->props, topic_alias)) return p->topic;
    uint16_t alias = p->props.topic_alias;
    CHECK(alias >= 1 && alias <= c->alias_max); /* [MQTT-3.1.2-26] */
    if (alias > CLIENT_ALIASES_MAX) {
        c->is_lax = true;
        return p->topic;
    }
    if (p->topic.len > 0) c->server_aliases[alias] = world_keep(p->topic);
    CHECK(c->server_aliases[alias].len > 0 || !world_is_known());
    return c->server_aliases[alias];
}

static bool is_sys(struct bytes topic)
{
    return topic.len >= 4 && memcmp(topic.at, "$SYS", 4) == 0;
}

/* What one connection published to a topic with one QoS comes in that order [MQTT-4.6.0-6]; what is retained,
 * or given to a member of a group, comes when it comes. */
static void check_order(struct client *c, const struct publish *p, struct bytes topic,
                        const struct published *source)
{
    uint64_t topic_hash = world_hash(topic, 1);
    if (p->retain || source->is_late || c->is_lax || world_is_shared(c->who, topic)) return;
    unsigned i = 0;
    for (; i < c->last_count; i++) {
        const struct last_got *l = &c->last[i];
        bool is_other = l->topic_hash != topic_hash || l->link_no != source->link_no;
        if (!is_other && l->qos == p->qos && l->published_qos == source->qos) break;
    }
    if (i == CLIENT_LAST_MAX) return;
    if (i < c->last_count) CHECK(source->order > c->last[i].order);
    if (i == c->last_count) c->last_count++;
    c->last[i] = (struct last_got){ topic_hash, source->link_no, source->order, p->qos, source->qos };
}

/* Has nobody else this client id? What was on its way to one that was taken over comes when its network lets
 * it. */
static bool is_alone(const struct client *c)
{
    for (unsigned i = 0; i < RIG_LINKS; i++) {
        const struct client *other = client_of(i);
        if (other != c && other->is_used && other->who == c->who) return false;
    }
    return true;
}

/* QoS 2 comes once: what was released is not sent again [MQTT-4.3.3-2]. */
static void check_once(const struct client *c, const struct publish *p, struct bytes topic,
                       const struct published *source)
{
    if (p->qos != 2 || p->retain || c->who < 0 || c->is_lax || world_is_shared(c->who, topic)) return;
    if (!is_alone(c)) return;
    CHECK((source->done_by & 1u << c->who) == 0);
}

/* Is it what somebody published, as he published it? */
static struct published *check_source(struct client *c, const struct publish *p, struct bytes topic)
{
    uint8_t block[CLIENT_BUFFER_BYTES];
    struct wr w = { .at = block, .left = sizeof block };
    if (!world_is_known() || is_sys(topic)) return NULL;
    struct published *source = world_published(topic, p->payload);
    CHECK(source != NULL);
    CHECK(p->qos <= source->qos);
    CHECK(!p->retain || source->retain);
    CHECK(!source->is_withdrawn);
    /* No Local is for what came over this very connection, at least [MQTT-3.8.3-3]. */
    int by = source->link_no == c->link_no && !source->is_repeated ? source->by : -1;
    if (!c->is_lax) CHECK(world_may_get(c->who, topic, by) >= p->qos);
    if (source->is_repeated) return NULL;
    check_order(c, p, topic, source);
    check_once(c, p, topic, source);
    if (c->version != MQTT_V5) return source;
    publish_forward_props(&w, p->props.block);
    CHECK(world_hash(bytes_of(block, (size_t)(w.at - block)), 2) == source->props_hash);
    CHECK(PROPS_HAS(&p->props, message_expiry) == source->has_expiry);
    if (source->has_expiry) CHECK(p->props.message_expiry <= source->expiry_s);
    return source;
}

/* Each subscription identifier is one that it gave to a filter that matches. */
static void check_ids(const struct client *c, const struct publish *p, struct bytes topic)
{
    struct bytes at = p->props.block;
    uint32_t id;
    if (c->version != MQTT_V5 || c->is_lax) return;
    while (props_next_subscription_id(&at, &id)) CHECK(world_has_id(c->who, topic, id));
}

static void take_off(unsigned link, const struct publish *p, struct published *source)
{
    struct client *c = client_of(link);
    uint32_t most = rig_config()->max_inflight_messages;
    CHECK(client_flight(c, p->id) == NULL || c->is_lax); /* [MQTT-2.2.1-3] */
    if (c->flights_count == CLIENT_FLIGHTS_MAX) {
        c->is_lax = true;
        return;
    }
    struct flight f = { .id = p->id, .qos = p->qos, .source = source };
    c->flights[c->flights_count++] = f;
    CHECK(c->flights_count <= c->window || c->is_lax); /* [MQTT-3.3.4-9] */
    CHECK(most == 0 || c->flights_count <= most || c->is_lax);
    if (c->acks) acknowledge(link, &f);
}

static void got_publish(unsigned link, const struct frame *f)
{
    struct client *c = client_of(link);
    struct publish p;
    enum mqtt_rc rc = publish_decode(f, c->version, &p);
    CHECK(rc == MQTT_RC_OK);
    struct bytes topic = topic_of(c, &p);
    CHECK(topic_name_valid(topic) || c->is_lax);
    CHECK(!p.dup || p.qos > 0);
    if (!c->is_lax && is_sys(topic)) CHECK(world_may_get(c->who, topic, -1) >= p.qos);
    struct published *source = check_source(c, &p, topic);
    check_ids(c, &p, topic);
    if (p.qos > 0) take_off(link, &p, source);
}

/* --- answers to what it sent */

/* Acknowledgements come in the order of what they acknowledge [MQTT-4.6.0-2, 3]. */
static void got_publish_ack(struct client *c, enum packet_type type, uint16_t id, uint8_t code)
{
    uint8_t qos = type == PACKET_PUBACK ? 1 : 2;
    unsigned i = 0;
    while (i < c->asked_count && !(c->asked[i].type == PACKET_PUBLISH && c->asked[i].qos == qos)) i++;
    if (c->is_lax) return;
    CHECK(i < c->asked_count);
    CHECK(c->asked[i].id == id);
    (void)code;
    client_answered(c, &c->asked[i]);
}

/* For a PUBREC of this connection, or of an earlier one of its session; or for what an earlier one got and
 * cannot be sent again: the broker makes the client let go of it. */
static void got_release(unsigned link, uint16_t id)
{
    struct client *c = client_of(link);
    struct asked *asked = client_asked(c, PACKET_PUBREC, id);
    struct flight *flight = client_flight(c, id);
    const struct who *who = world_of(c->who);
    bool is_old = flight == NULL && (who == NULL || who->connects > 1);
    CHECK(asked != NULL || c->is_lax || is_old);
    if (asked != NULL) client_answered(c, asked);
    if (flight == NULL && c->flights_count < CLIENT_FLIGHTS_MAX) {
        flight = &c->flights[c->flights_count++];
        *flight = (struct flight){ .id = id, .qos = 2, .is_received = true };
    }
    if (flight != NULL) flight->is_released = true;
    if (flight != NULL && flight->source != NULL && c->who >= 0) flight->source->done_by |= 1u << c->who;
    if (c->acks) send_ack(link, PACKET_PUBCOMP, id);
}

static void got_ack(unsigned link, const struct frame *f)
{
    struct client *c = client_of(link);
    struct ack a;
    enum mqtt_rc rc = ack_decode(f, c->version, &a);
    CHECK(rc == MQTT_RC_OK);
    if (f->type == PACKET_PUBREL) {
        got_release(link, a.id);
        return;
    }
    if (f->type == PACKET_PUBCOMP) {
        struct asked *asked = client_asked(c, PACKET_PUBREL, a.id);
        CHECK(asked != NULL || c->is_lax);
        if (asked != NULL) client_answered(c, asked);
        return;
    }
    got_publish_ack(c, f->type, a.id, a.code);
    if (f->type == PACKET_PUBREC && a.code < REFUSAL_MIN && c->acks) send_ack(link, PACKET_PUBREL, a.id);
}

/* The codes of a SUBACK: a refusal, or no more than was asked for. */
static void check_codes(const struct client *c, const struct asked *a, struct bytes codes)
{
    struct subscribe walk = { .count = a->count, .filters = { a->filters.at, a->filters.len, false } };
    struct subscribe_filter one;
    CHECK(codes.len == a->count);
    for (size_t i = 0; i < codes.len && subscribe_next(&walk, c->version, &one); i++)
        CHECK(codes.at[i] <= one.qos || codes.at[i] >= REFUSAL_MIN);
}

static void got_suback(struct client *c, const struct frame *f)
{
    struct suback s;
    enum mqtt_rc rc = suback_decode(f, c->version, &s);
    CHECK(rc == MQTT_RC_OK);
    bool is_subscribe = f->type == PACKET_SUBACK;
    struct asked *a = client_asked(c, is_subscribe ? PACKET_SUBSCRIBE : PACKET_UNSUBSCRIBE, s.id);
    if (c->is_lax) return;
    CHECK(a != NULL);
    if (is_subscribe && world_is_known()) check_codes(c, a, s.codes);
    if (!is_subscribe && c->version == MQTT_V5) CHECK(s.codes.len == a->count);
    client_answered(c, a);
}

bool client_is_judged(const struct client *c)
{
    return !c->is_bad && !c->is_lax && !c->may_end && !c->has_gone && !c->was_told;
}

/* Is there one for the broker to end it? It may be refused, and have no room for the word. */
static bool has_reason(const struct client *c)
{
    return !client_is_judged(c) || c->state == CLIENT_ASKED;
}

static void got_disconnect(struct client *c, const struct frame *f)
{
    struct session_end e;
    enum mqtt_rc rc = session_end_decode(f, c->version, &e);
    CHECK(rc == MQTT_RC_OK);
    CHECK(c->version == MQTT_V5);
    CHECK(e.code >= REFUSAL_MIN);
    bool is_limit = e.code == MQTT_RC_QUOTA_EXCEEDED || e.code == MQTT_RC_RECEIVE_MAX_EXCEEDED ||
                    e.code == MQTT_RC_PACKET_TOO_LARGE;
    CHECK(is_limit || has_reason(c));
    c->was_told = true;
}

static void got_pong(struct client *c)
{
    struct asked *a = client_asked(c, PACKET_PINGREQ, 0);
    CHECK(a != NULL || c->is_lax);
    if (a != NULL) client_answered(c, a);
}

static void got_packet(unsigned link, const struct frame *f)
{
    struct client *c = client_of(link);
    CHECK(!c->was_told);
    CHECK(f->total <= c->max_packet); /* [MQTT-3.1.2-24] */
    if (f->type == PACKET_CONNACK) {
        got_connack(c, f);
        return;
    }
    CHECK(c->state == CLIENT_OPEN || (c->is_lax && c->state == CLIENT_ASKED)); /* [MQTT-3.2.0-1] */
    switch (f->type) {
    case PACKET_PUBLISH: got_publish(link, f); break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP: got_ack(link, f); break;
    case PACKET_SUBACK:
    case PACKET_UNSUBACK: got_suback(c, f); break;
    case PACKET_PINGRESP: got_pong(c); break;
    case PACKET_DISCONNECT: got_disconnect(c, f); break;
    default: CHECK(f->type == PACKET_AUTH && c->is_lax); break;
    }
}

/* Gives how many bytes are done with. */
static size_t read_packets(unsigned link, struct bytes b)
{
    size_t done = 0;
    while (done < b.len) {
        struct frame f;
        enum mqtt_rc rc = frame_split(bytes_of(b.at + done, b.len - done), PACKET_BYTES_MAX, &f);
        CHECK(rc == MQTT_RC_OK);
        if (f.total == 0) break;
        done += f.total;
        got_packet(link, &f);
    }
    return done;
}

void client_got(unsigned link, struct bytes b)
{
    struct client *c = client_of(link);
    CHECK(b.len <= sizeof c->got - c->got_bytes);
    if (c->got_bytes == 0) {
        size_t done = read_packets(link, b);
        b = bytes_of(b.at + done, b.len - done);
        memcpy(c->got, b.at, b.len);
        c->got_bytes = b.len;
        return;
    }
    memcpy(c->got + c->got_bytes, b.at, b.len);
    c->got_bytes += b.len;
    size_t done = read_packets(link, bytes_of(c->got, c->got_bytes));
    c->got_bytes -= done;
    memmove(c->got, c->got + done, c->got_bytes);
}

/* --- the end */

void client_ended(unsigned link)
{
    struct client *c = client_of(link);
    CHECK(has_reason(c));
    CHECK(c->got_bytes == 0);
    c->is_over = true;
    if (c->says_goodbye && c->will != NULL && !c->will->is_repeated) c->will->is_withdrawn = true;
}

void client_closed(unsigned link)
{
    struct client *c = client_of(link);
    CHECK(has_reason(c));
    c->is_used = false;
}

void clients_check_rest(void)
{
    for (unsigned i = 0; i < RIG_LINKS; i++) {
        const struct client *c = client_of(i);
        if (!c->is_used || c->has_gone || c->is_over) continue;
        if (c->is_bad) CHECK(!rig_is_read(i) || rig_unread(i) > 0); /* it must be on its way out */
        bool is_amid = c->sent_bytes > 0; /* a packet: its acknowledgements are part of that now */
        if (!client_is_judged(c) || c->state == CLIENT_NEW || is_amid) continue;
        CHECK(c->state == CLIENT_OPEN);
        CHECK(c->asked_count == 0); /* all is answered */
        CHECK(c->flights_count == 0);
        CHECK(rig_is_drained(i));
    }
}
