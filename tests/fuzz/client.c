/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "fuzz/asks.h"
#include "fuzz/client_int.h"
#include "topic/topic.h"

/* What a client sends, read as the broker will read it. */

static struct client clients[RIG_LINKS];
static uint32_t links_count;

void clients_begin(void)
{
    world_begin();
    links_count = 0;
    for (unsigned i = 0; i < RIG_LINKS; i++) clients[i].is_used = false;
}

struct client *client_of(unsigned link)
{
    return &clients[link];
}

void client_begin(unsigned link)
{
    struct client *c = &clients[link];
    memset(c, 0, offsetof(struct client, flights));
    c->link_no = ++links_count;
    c->is_used = true;
    c->who = -1;
    c->window = PACKET_ID_MAX;
    c->max_packet = PACKET_BYTES_MAX;
    c->born_ms = c->heard_ms = rig_now_ms();
    c->flights_count = c->asked_count = 0;
    c->last_id = 0;
    c->sent_bytes = c->got_bytes = 0;
    memset(c->aliases, 0, sizeof c->aliases);
    memset(c->server_aliases, 0, sizeof c->server_aliases);
}

/* --- what waits for an answer */

/* An id that is in use already: the client should not, and nobody can tell the answers apart. */
static bool is_id_used(const struct client *c, uint16_t id)
{
    for (unsigned i = 0; i < c->asked_count; i++)
        if (c->asked[i].id == id && c->asked[i].type != PACKET_PUBREC) return id != 0;
    return false;
}

/* Those of its earlier connections count, too, while the journal has them. */
static void note_job(struct client *c)
{
    struct who *who = world_of(c->who);
    if (who != NULL && ++who->jobs >= JOBS_WAITING_MAX)
        c->may_end = true; /* more than the broker takes, perhaps */
}

void client_asks(struct client *c, const struct asked *a)
{
    if (a->type == PACKET_SUBSCRIBE || a->type == PACKET_UNSUBSCRIBE) note_job(c);
    if (a->type != PACKET_PUBREC && is_id_used(c, a->id)) c->is_lax = true;
    if (c->asked_count == CLIENT_ASKED_MAX) {
        c->is_lax = true;
        return;
    }
    c->asked[c->asked_count++] = *a;
}

struct asked *client_asked(struct client *c, enum packet_type type, uint16_t id)
{
    for (unsigned i = 0; i < c->asked_count; i++)
        if (c->asked[i].type == type && c->asked[i].id == id) return &c->asked[i];
    return NULL;
}

void client_answered(struct client *c, struct asked *a)
{
    size_t after = c->asked_count - (size_t)(a - c->asked) - 1;
    memmove(a, a + 1, after * sizeof *a);
    c->asked_count--;
}

struct flight *client_flight(struct client *c, uint16_t id)
{
    for (unsigned i = 0; i < c->flights_count; i++)
        if (c->flights[i].id == id) return &c->flights[i];
    return NULL;
}

void client_landed(struct client *c, struct flight *f)
{
    size_t after = c->flights_count - (size_t)(f - c->flights) - 1;
    memmove(f, f + 1, after * sizeof *f);
    c->flights_count--;
}

/* --- packets that it sends */

static void note_will(struct client *c, const struct connect *p)
{
    uint8_t block[CLIENT_BUFFER_BYTES];
    struct wr w = { .at = block, .left = sizeof block };
    if (p->version == MQTT_V5) publish_forward_props(&w, p->will.props.block);
    struct world_publish m = {
        .topic = p->will.topic,
        .payload = p->will.payload,
        .block = bytes_of(block, (size_t)(w.at - block)),
        .qos = p->will.qos,
        .retain = p->will.retain,
        .has_expiry = p->version == MQTT_V5 && PROPS_HAS(&p->will.props, message_expiry),
        .is_late = true,
        .by = c->who,
        .link_no = c->link_no,
    };
    if (m.has_expiry) m.expiry_s = p->will.props.message_expiry;
    c->will = world_publish(&m);
}

/* Whoever has this id may lose it, whichever of them the broker reads first. */
static void note_takeover(struct client *c)
{
    for (unsigned i = 0; i < RIG_LINKS; i++) {
        struct client *other = &clients[i];
        if (other == c || !other->is_used || other->who != c->who) continue;
        other->may_end = c->may_end = true;
        other->says_goodbye = false;
    }
}

static void note_limits(struct client *c, const struct connect *p)
{
    if (c->version != MQTT_V5) return;
    if (PROPS_HAS(&p->props, receive_max)) c->window = p->props.receive_max;
    if (PROPS_HAS(&p->props, max_packet_size)) c->max_packet = p->props.max_packet_size;
    if (PROPS_HAS(&p->props, topic_alias_max)) c->alias_max = p->props.topic_alias_max;
    if (PROPS_HAS(&p->props, auth_method)) c->is_lax = true;
}

static void sent_connect(struct client *c, const struct frame *f)
{
    struct connect p;
    enum mqtt_rc rc = connect_decode(f->body, &p);
    c->state = CLIENT_ASKED;
    c->version = p.version >= MQTT_V31 && p.version <= MQTT_V5 ? p.version : MQTT_V311;
    if (rc != MQTT_RC_OK) {
        c->is_bad = true;
        return;
    }
    c->clean_start = p.clean_start;
    c->keepalive_s = p.keepalive_s;
    uint32_t most = rig_config()->max_keepalive;
    if (c->version == MQTT_V5 && (p.keepalive_s == 0 || p.keepalive_s > most))
        c->keepalive_s = (uint16_t)most;
    note_limits(c, &p);
    if (p.client_id.len > 0) {
        c->who = world_who(p.client_id);
        if (c->who < 0)
            c->is_lax = true;
        else
            world_of(c->who)->connects++;
        note_takeover(c);
    }
    if (p.has_will) note_will(c, &p);
    struct asked a = { .type = PACKET_CONNECT };
    client_asks(c, &a);
}

/* The topic of a PUBLISH, by its alias perhaps. False: it has none, and is to be refused. */
static bool find_topic(struct client *c, struct publish *p)
{
    if (c->version != MQTT_V5 || !PROPS_HAS(&p->props, topic_alias)) return topic_name_valid(p->topic);
    uint16_t alias = p->props.topic_alias;
    if (alias > CLIENT_ALIASES_MAX) {
        c->is_lax = true;
        world_forget();
        return true;
    }
    if (p->topic.len == 0) p->topic = c->aliases[alias];
    if (!topic_name_valid(p->topic)) return false;
    c->aliases[alias] = world_keep(p->topic);
    return true;
}

static void note_publish(struct client *c, const struct publish *p)
{
    uint32_t seconds;
    struct bytes topic;
    if (!topic_delay_split(p->topic, &seconds, &topic)) {
        if (c->version != MQTT_V5) c->may_end = true; /* it cannot be told otherwise */
        return;
    }
    if (seconds > 0 && c->version != MQTT_V5) c->may_end = true; /* the same, when there are too many */
    uint8_t block[CLIENT_BUFFER_BYTES];
    struct wr w = { .at = block, .left = sizeof block };
    if (c->version == MQTT_V5) publish_forward_props(&w, p->props.block);
    struct world_publish m = {
        .topic = topic,
        .payload = p->payload,
        .is_late = seconds > 0,
        .block = bytes_of(block, (size_t)(w.at - block)),
        .qos = p->qos,
        .retain = p->retain,
        .has_expiry = c->version == MQTT_V5 && PROPS_HAS(&p->props, message_expiry),
        .by = c->who,
        .link_no = c->link_no,
    };
    if (m.has_expiry) m.expiry_s = p->props.message_expiry;
    world_publish(&m);
}

static void sent_publish(struct client *c, const struct frame *f)
{
    struct publish p;
    enum mqtt_rc rc = publish_decode(f, c->version, &p);
    if (rc != MQTT_RC_OK || (c->version == MQTT_V5 && p.props.subscription_id_count > 0)) {
        c->is_bad = true;
        return;
    }
    bool uses_alias = c->version == MQTT_V5 && PROPS_HAS(&p.props, topic_alias);
    if (uses_alias && p.props.topic_alias > RIG_TOPIC_ALIASES) c->is_bad = true;
    if (!c->is_bad && !find_topic(c, &p)) c->is_bad = true;
    if (c->is_bad) return;
    if (p.retain && !rig_config()->retain_available) c->is_bad = true;
    note_publish(c, &p);
    if (p.qos == 0) return;
    const struct config *conf = rig_config();
    bool may_refuse = conf->max_queued_messages > 0 && conf->max_queued_policy == CONFIG_QUEUE_REFUSE;
    if (may_refuse && c->version != MQTT_V5) c->may_end = true;
    struct asked a = { .type = PACKET_PUBLISH, .id = p.id, .qos = p.qos };
    client_asks(c, &a);
}

/* PUBREC without a refusal: the message is the client's now. */
static void sent_received(struct client *c, struct flight *flight, uint16_t id)
{
    struct asked asked = { .type = PACKET_PUBREC, .id = id };
    if (flight == NULL || flight->qos != 2 || flight->is_received) c->is_lax = true;
    if (flight != NULL) flight->is_received = true;
    client_asks(c, &asked);
}

static void sent_release(struct client *c, uint16_t id)
{
    struct asked asked = { .type = PACKET_PUBREL, .id = id };
    const struct who *who = world_of(c->who);
    /* An earlier connection's message may have no PUBREC yet. */
    if (who != NULL && who->connects > 1) c->may_end = true;
    client_asks(c, &asked);
}

static void sent_ack(struct client *c, const struct frame *f)
{
    enum { REFUSAL_MIN = 0x80 };
    struct ack a;
    if (ack_decode(f, c->version, &a) != MQTT_RC_OK) {
        c->is_bad = true;
        return;
    }
    struct flight *flight = client_flight(c, a.id);
    if (f->type == PACKET_PUBREL) {
        sent_release(c, a.id);
        return;
    }
    if (f->type == PACKET_PUBREC && a.code < REFUSAL_MIN) {
        sent_received(c, flight, a.id);
        return;
    }
    const struct who *who = world_of(c->who);
    bool is_known = flight != NULL || (f->type == PACKET_PUBCOMP && who != NULL && who->connects > 1);
    bool is_right = flight == NULL || (f->type == PACKET_PUBACK) == (flight->qos == 1);
    if (f->type == PACKET_PUBCOMP && flight != NULL) is_right &= flight->is_released;
    if (f->type == PACKET_PUBREC && flight != NULL) is_right &= !flight->is_received;
    if (!is_known || !is_right) c->is_lax = true; /* it may be on its way; or it is the other QoS's */
    if (flight != NULL) client_landed(c, flight);
}

static void sent_subscribe(struct client *c, const struct frame *f)
{
    struct subscribe p;
    struct subscribe_filter one;
    struct bytes body = world_keep(f->body), group, rest;
    if (body.len == 0 || subscribe_decode(body, c->version, &p) != MQTT_RC_OK) {
        c->is_bad = true;
        return;
    }
    struct asked a = { .type = PACKET_SUBSCRIBE, .id = p.id, .count = p.count };
    a.filters = bytes_of(p.filters.at, p.filters.left);
    bool has_id = c->version == MQTT_V5 && p.props.subscription_id_count > 0;
    uint32_t id = has_id ? p.props.subscription_id : 0;
    while (subscribe_next(&p, c->version, &one)) {
        if (!topic_filter_valid(one.filter)) c->is_bad = true;
        if (topic_share_split(one.filter, &group, &rest)) c->may_end = true; /* not with No Local */
        struct world_wish wish = { one.filter, one.qos, one.no_local, id };
        if (!c->is_bad) world_wants(c->who, &wish);
    }
    if (!c->is_bad) client_asks(c, &a);
}

static void sent_unsubscribe(struct client *c, const struct frame *f)
{
    struct unsubscribe p;
    struct bytes filter;
    if (unsubscribe_decode(f->body, c->version, &p) != MQTT_RC_OK) {
        c->is_bad = true;
        return;
    }
    struct asked a = { .type = PACKET_UNSUBSCRIBE, .id = p.id, .count = p.count };
    while (unsubscribe_next(&p, &filter))
        if (!topic_filter_valid(filter)) c->is_bad = true;
    if (!c->is_bad) client_asks(c, &a);
}

static void sent_end(struct client *c, const struct frame *f)
{
    struct session_end e;
    if (f->type == PACKET_AUTH) {
        c->is_lax = true;
        return;
    }
    if (session_end_decode(f, c->version, &e) != MQTT_RC_OK) c->is_bad = true;
    bool has_expiry = c->version == MQTT_V5 && PROPS_HAS(&e.props, session_expiry); /* which may be wrong */
    c->says_goodbye = client_is_judged(c) && e.code == 0 && !has_expiry;
    c->may_end = true;
}

static void sent_packet(struct client *c, const struct frame *f)
{
    struct asked ping = { .type = PACKET_PINGREQ };
    if (c->state == CLIENT_NEW) {
        if (f->type == PACKET_CONNECT)
            sent_connect(c, f);
        else
            c->is_bad = true;
        return;
    }
    switch (f->type) {
    case PACKET_PUBLISH: sent_publish(c, f); break;
    case PACKET_PUBACK:
    case PACKET_PUBREC:
    case PACKET_PUBREL:
    case PACKET_PUBCOMP: sent_ack(c, f); break;
    case PACKET_SUBSCRIBE: sent_subscribe(c, f); break;
    case PACKET_UNSUBSCRIBE: sent_unsubscribe(c, f); break;
    case PACKET_PINGREQ: client_asks(c, &ping); break;
    case PACKET_DISCONNECT:
    case PACKET_AUTH: sent_end(c, f); break;
    default: c->is_bad = true; break;
    }
}

static uint32_t packet_max(const struct client *c)
{
    uint32_t most = rig_config()->max_packet_size;
    if (c->state == CLIENT_NEW) return CONNECT_BYTES_MAX;
    return most > 0 ? most : PACKET_BYTES_MAX;
}

/* Gives how many bytes are done with. */
static size_t read_packets(struct client *c, struct bytes b)
{
    size_t done = 0;
    while (done < b.len && !c->is_bad) {
        struct frame f;
        struct bytes left = bytes_of(b.at + done, b.len - done);
        enum mqtt_rc rc = c->version == MQTT_V31 ? frame_split_v31(left, packet_max(c), &f)
                                                 : frame_split(left, packet_max(c), &f);
        if (rc != MQTT_RC_OK) c->is_bad = true;
        if (rc != MQTT_RC_OK || f.total == 0) break;
        done += f.total;
        sent_packet(c, &f);
    }
    if (c->is_bad && asks_are_on()) c->is_lax = true; /* it may wait for plugins, and what follows does not */
    return c->is_bad ? b.len : done;
}

bool client_send(unsigned link, struct bytes b)
{
    struct client *c = &clients[link];
    if (!c->is_used || b.len == 0 || !rig_send(link, b)) return false;
    if (c->is_bad) return true;
    CHECK(b.len <= sizeof c->sent - c->sent_bytes);
    memcpy(c->sent + c->sent_bytes, b.at, b.len);
    c->sent_bytes += b.len;
    size_t done = read_packets(c, bytes_of(c->sent, c->sent_bytes));
    if (done > 0) c->heard_ms = rig_now_ms();
    if (done > 0 || c->sent_bytes == b.len) c->began_ms = rig_now_ms();
    c->sent_bytes -= done;
    memmove(c->sent, c->sent + done, c->sent_bytes);
    return true;
}

void client_leave(unsigned link, bool is_broken)
{
    clients[link].has_gone = true;
    if (is_broken)
        rig_break(link);
    else
        rig_finish(link);
}

void clients_clock(void)
{
    for (unsigned i = 0; i < RIG_LINKS; i++) {
        struct client *c = &clients[i];
        uint64_t silent_ms = rig_now_ms() - c->heard_ms;
        if (!c->is_used) continue;
        if (c->state == CLIENT_OPEN || c->state == CLIENT_ASKED) {
            if (c->keepalive_s > 0 && silent_ms >= (uint64_t)c->keepalive_s * 1500) c->may_end = true;
            bool is_amid = c->sent_bytes > 0; /* a packet, which must come */
            if (is_amid && rig_now_ms() - c->began_ms >= PART_S_MAX * 1000) c->may_end = true;
        }
        uint64_t age_ms = rig_now_ms() - c->born_ms;
        if (age_ms >= (uint64_t)rig_config()->connect_timeout_s * 1000) c->may_end |= c->state != CLIENT_OPEN;
    }
}
