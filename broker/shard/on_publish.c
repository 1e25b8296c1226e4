/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/acks.h"
#include "shard/alias.h"
#include "shard/mount.h"
#include "shard/on_login.h"
#include "shard/parked.h"
#include "shard/qos2.h"
#include "shard/route.h"
#include "shard/shard_int.h"
#include "shard/verdicts.h"
#include "topic/topic.h"
#include <stdlib.h>

/* PUBLISH from a client (section 3.3), and its PUBACKs for what we sent. */

/* An alias instead of a topic becomes that topic; with one, it stands for it from now on. */
static enum mqtt_rc resolve_alias(struct shard *sh, struct conn *c, struct publish *p)
{
    uint16_t alias = p->props.topic_alias;
    if (alias > c->told.alias_max) return MQTT_RC_TOPIC_ALIAS_INVALID; /* [MQTT-3.3.2-9] */
    if (p->topic.len == 0) {
        p->topic = alias_in_get(c->alias_in, alias);
        return p->topic.len > 0 ? MQTT_RC_OK : MQTT_RC_PROTOCOL; /* section 3.3.4 */
    }
    bool is_new = !bytes_equal(alias_in_get(c->alias_in, alias), p->topic);
    if (is_new && !memory_grants(sh, p->topic.len)) return MQTT_RC_QUOTA_EXCEEDED;
    return alias_in_set(&c->alias_in, alias, p->topic) == ERR_OK ? MQTT_RC_OK : MQTT_RC_QUOTA_EXCEEDED;
}

static enum mqtt_rc check(struct shard *sh, struct conn *c, struct publish *p)
{
    if (p->props.subscription_id_count > 0) return MQTT_RC_PROTOCOL; /* [MQTT-3.3.4-6] */
    if (PROPS_HAS(&p->props, topic_alias)) {
        enum mqtt_rc rc = resolve_alias(sh, c, p);
        if (rc != MQTT_RC_OK) return rc;
    }
    /* Too many levels for us. Who can be told is told (is_dropped). */
    bool can_be_told = c->version == MQTT_V5 && p->qos > 0;
    if (!can_be_told && !topic_decoded_valid(p->topic)) return MQTT_RC_TOPIC_INVALID;
    if (p->qos > c->told.qos) return MQTT_RC_QOS_NOT_SUPPORTED;
    if (p->retain && !c->told.retains) return MQTT_RC_RETAIN_NOT_SUPPORTED;
    return MQTT_RC_OK;
}

/* PUBACK or PUBREC, in its turn. */
static void answer(struct shard *sh, struct conn *c, const struct publish *p, enum mqtt_rc code)
{
    if (p->qos > 0) conn_ack_now(sh, c, p->qos == 2 ? PACKET_PUBREC : PACKET_PUBACK, p->id, (uint8_t)code);
}

static void acknowledge(struct shard *sh, struct conn *c, const struct publish *p, enum route_result result)
{
    uint32_t ticket;
    if (result == ROUTE_PENDING) return;
    if (p->qos == 2) session_inbound_kept(c->session, p->id, true, &ticket);
    answer(sh, c, p, result == ROUTE_NOBODY ? MQTT_RC_NO_MATCHING_SUBSCRIBERS : MQTT_RC_OK);
}

/* A version 5 client is told to slow down; an older one can only be closed, unacknowledged. */
static enum mqtt_rc refuse(struct shard *sh, struct conn *c, const struct publish *p)
{
    uint32_t ticket;
    if (p->qos == 2) session_inbound_kept(c->session, p->id, false, &ticket);
    if (c->version != MQTT_V5) return MQTT_RC_QUOTA_EXCEEDED;
    answer(sh, c, p, MQTT_RC_QUOTA_EXCEEDED);
    return MQTT_RC_OK;
}

static enum mqtt_rc failed(struct shard *sh, struct conn *c, const struct publish *p)
{
    log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_NUM("bytes", p->payload.len));
    return refuse(sh, c, p);
}

/* Too many are to be published later; with QoS 0 nobody is told. */
static enum mqtt_rc too_many_delayed(struct shard *sh, struct conn *c, const struct publish *p)
{
    metrics_add(sh->metrics, METRIC_publish_refused_total, 1);
    log_event(sh->log, EVENT_PUBLISH_REFUSED, LOG_TEXT("client", session_client_id(c->session)),
              LOG_TEXT("topic", p->topic), LOG_NUM("max_delayed_messages", sh->config->max_delayed_messages));
    return p->qos == 0 ? MQTT_RC_OK : refuse(sh, c, p);
}

/* What makes a retained message go needs no room. */
bool publish_is_over_limit(struct shard *sh, const struct publish *p)
{
    bool shrinks = p->retain && p->payload.len == 0;
    return !shrinks && !memory_grants(sh, p->payload.len + p->topic.len + p->props.block.len);
}

/* memory_limit: a QoS 0 publish is lost, like on its way to a slow receiver. */
enum mqtt_rc publish_over_limit(struct shard *sh, struct conn *c, const struct publish *p)
{
    log_event(sh->log, EVENT_PUBLISH_REFUSED, LOG_TEXT("client", session_client_id(c->session)),
              LOG_TEXT("topic", p->topic), LOG_NUM("qos", p->qos), LOG_STR("limit", "memory_limit"));
    if (p->qos == 0) {
        metrics_add(sh->metrics, METRIC_publish_dropped_qos0_total, 1);
        return MQTT_RC_OK;
    }
    metrics_add(sh->metrics, METRIC_publish_refused_total, 1);
    return refuse(sh, c, p);
}

/* The properties that go on to receivers: as they came, unless one of them is per hop or counts down. */
static enum mqtt_rc with_block(struct shard *sh, struct conn *c, const struct publish *p, struct route_in *in)
{
    uint8_t *copy = NULL;
    in->block = p->props.block;
    bool is_per_hop = PROPS_HAS(&p->props, message_expiry) || PROPS_HAS(&p->props, topic_alias);
    if (is_per_hop && in->block.len > 0) { /* a plugin may have taken them all out */
        copy = malloc(p->props.block.len);
        if (copy == NULL) return failed(sh, c, p);
        struct wr w = { .at = copy, .left = p->props.block.len };
        publish_forward_props(&w, p->props.block);
        in->block = bytes_of(copy, (size_t)(w.at - copy));
    }
    enum route_result result = route_publish(sh, in);
    free(copy);
    if (result == ROUTE_FAILED) return failed(sh, c, p);
    if (result == ROUTE_REFUSED) return too_many_delayed(sh, c, p);
    acknowledge(sh, c, p, result);
    return MQTT_RC_OK;
}

static enum mqtt_rc drop_code(const struct shard *sh, const struct publish *p, const char **why)
{
    uint32_t most = sh->config->message_size_limit;
    *why = "topic";
    if (!topic_decoded_valid(p->topic)) return MQTT_RC_TOPIC_INVALID;
    *why = "message_size_limit";
    if (most > 0 && p->payload.len > most) return MQTT_RC_IMPLEMENTATION;
    *why = "$SYS";
    return sys_owns(p->topic) ? MQTT_RC_NOT_AUTHORIZED : MQTT_RC_OK;
}

/* Its client may not. It is acknowledged; version 5 is told. */
static enum mqtt_rc deny(struct shard *sh, struct conn *c, const struct publish *p, uint8_t code)
{
    metrics_add(sh->metrics, METRIC_publish_denied_total, 1);
    log_event(sh->log, EVENT_PUBLISH_DENIED, LOG_TEXT("client", session_client_id(c->session)),
              LOG_TEXT("topic", p->topic));
    answer(sh, c, p, code);
    return MQTT_RC_OK;
}

/* What goes to nobody is acknowledged: version 5 is told why. */
static bool is_dropped(struct shard *sh, struct conn *c, const struct publish *p)
{
    const char *why;
    enum mqtt_rc code = drop_code(sh, p, &why);
    if (code == MQTT_RC_OK) return false;
    log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", why),
              LOG_TEXT("client", session_client_id(c->session)), LOG_NUM("bytes", p->payload.len));
    answer(sh, c, p, code);
    return true;
}

/* "$delayed/SECONDS/TOPIC" becomes TOPIC, later. False: it is neither that nor another topic. */
static bool take_delay(struct shard *sh, struct publish *p, uint64_t *due_ms)
{
    uint32_t seconds;
    struct bytes rest;
    *due_ms = 0;
    if (!topic_delay_split(p->topic, &seconds, &rest)) return false;
    p->topic = rest;
    if (seconds > 0) *due_ms = sh->wall_ms + (uint64_t)seconds * 1000;
    return true;
}

/* Only version 5 can be told and stay. */
static enum mqtt_rc bad_delay(struct shard *sh, struct conn *c, const struct publish *p)
{
    if (c->version != MQTT_V5) return MQTT_RC_TOPIC_INVALID;
    log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", "$delayed"),
              LOG_TEXT("client", session_client_id(c->session)), LOG_TEXT("topic", p->topic));
    answer(sh, c, p, MQTT_RC_TOPIC_INVALID);
    return MQTT_RC_OK;
}

/* What a resend is recognised by: the first user property of this name, if we keep one of its length. */
static struct bytes mid_of(const struct shard *sh, const struct publish *p)
{
    struct bytes at = p->props.block, none = { 0 }, key, value;
    if (sh->config->duplicate_window == 0 || p->qos == 0 || !PROPS_HAS(&p->props, user)) return none;
    while (props_next_user(&at, &key, &value)) {
        if (!bytes_equal(key, bytes_of_text("mid"))) continue;
        return value.len <= MID_BYTES_MAX ? value : none;
    }
    return none;
}

/* More under way than CONNACK has allowed [MQTT-3.3.4-7]. What was under way before this connection came is
 * not counted: its PUBCOMPs give room that was never taken (section 4.9). */
bool publish_is_too_many(const struct conn *c)
{
    const struct qos2_in *in = &c->session->inbound;
    uint32_t waiting = in->count + (c->acks == NULL ? 0 : c->acks->pubacks) + parked_publishes(c);
    return c->version == MQTT_V5 && waiting >= c->told.receive_max + in->inherited;
}

bool publish_is_for_nobody(struct shard *sh, struct conn *c, const struct publish *p, struct bytes *topic)
{
    struct publish whole = *p;
    uint64_t due_ms;
    const char *why;
    if (!take_delay(sh, &whole, &due_ms)) return true;
    if (c->is_mounted) whole.topic = mount_topic(sh, c, whole.topic);
    *topic = whole.topic;
    return drop_code(sh, &whole, &why) != MQTT_RC_OK;
}

/* A plugin took too long. Who can be told is told; else an acknowledgement would be a lie. */
static enum mqtt_rc too_late(struct shard *sh, struct conn *c, const struct publish *p)
{
    metrics_add(sh->metrics, METRIC_publish_late_total, 1);
    if (p->qos > 0 && c->version != MQTT_V5) return MQTT_RC_IMPLEMENTATION;
    answer(sh, c, p, MQTT_RC_IMPLEMENTATION);
    return MQTT_RC_OK;
}

/* It has gone to plugins, and goes to nobody else. */
static enum mqtt_rc controlled(struct shard *sh, struct conn *c, const struct publish *p)
{
    if (p->qos == 2 && session_inbound_add(c->session, p->id, INBOUND_PENDING) != ERR_OK)
        return failed(sh, c, p);
    acknowledge(sh, c, p, ROUTE_DONE);
    return MQTT_RC_OK;
}

static enum mqtt_rc publish(struct shard *sh, struct conn *c, struct publish *p, struct route_in *in)
{
    if (publish_is_over_limit(sh, p)) return publish_over_limit(sh, c, p);
    if (p->qos == 2 && session_inbound_add(c->session, p->id, INBOUND_PENDING) != ERR_OK)
        return failed(sh, c, p);
    in->topic = p->topic;
    in->payload = p->payload;
    in->qos = p->qos;
    in->retain = p->retain;
    in->from_session = c->session->session_no;
    in->from_client = p->retain ? client_hash(sh, c->session) : 0;
    in->conn = c;
    in->id = p->qos > 0 ? p->id : 0;
    in->in_id = p->qos == 2 && c->session->persistent ? p->id : 0;
    return with_block(sh, c, p, in);
}

/* What the file says, or what plugins have said: with them, the file's word is the last of theirs. */
static enum hook_verdict verdict_of(const struct shard *sh, const struct conn *c, const struct publish *p,
                                    const struct hook_publish *said)
{
    enum hook_verdict known = HOOK_DEFER; /* why nobody was asked */
    if (said == NULL && c->hooked != NULL) known = verdicts_find(sh, c, p->topic, ACCESS_WRITE);
    if (known != HOOK_DEFER) return known;
    if (said == NULL) return conn_may(sh, c, p->topic, ACCESS_WRITE) ? HOOK_ALLOW : HOOK_DENY;
    if (said->ask.verdict != HOOK_DEFER) return said->ask.verdict;
    return said->asks_acl ? said->fallback : HOOK_ALLOW;
}

/* A denial may be of the message instead of the right, where somebody looks at messages. */
static void remember(struct shard *sh, struct conn *c, const struct verdict_of *v)
{
    bool is_right =
        v->said == HOOK_ALLOW || !hooks_want(conn_hooks(sh, c), HOOK_EVENT_MESSAGE | HOOK_EVENT_CONTROL);
    if (is_right) verdicts_note(sh, c, v);
}

static uint8_t denial_of(const struct hook_publish *said)
{
    enum { REFUSAL_MIN = 0x80 };
    uint8_t code = said == NULL ? 0 : said->ask.code;
    return code >= REFUSAL_MIN && reason_fits(PACKET_PUBACK, code) ? code : MQTT_RC_NOT_AUTHORIZED;
}

static enum mqtt_rc deny_as(struct shard *sh, struct conn *c, const struct publish *p,
                            const struct hook_publish *said)
{
    hooked_say(c, said == NULL ? NULL : said->ask.reason);
    enum mqtt_rc rc = deny(sh, c, p, denial_of(said));
    hooked_say(c, NULL);
    return rc;
}

enum mqtt_rc publish_go_on(struct shard *sh, struct conn *c, struct publish *p,
                           const struct publish_past *past)
{
    const struct hook_publish *said = past->said;
    struct route_in in = { .mid = mid_of(sh, p) };
    if (PROPS_HAS(&p->props, message_expiry))
        in.expires_ms = past->came_ms + (uint64_t)p->props.message_expiry * 1000; /* [MQTT-3.3.2-6] */
    bool is_special = p->topic.len > 0 && p->topic.at[0] == '$';
    if (is_special && !take_delay(sh, p, &in.due_ms)) return bad_delay(sh, c, p);
    if (c->is_mounted) p->topic = mount_topic(sh, c, p->topic);
    if (is_dropped(sh, c, p)) return MQTT_RC_OK;
    enum hook_verdict verdict = verdict_of(sh, c, p, said);
    struct verdict_of known = { p->topic, ACCESS_WRITE, verdict, past->epoch };
    if (said != NULL && said->asks_acl) remember(sh, c, &known);
    if (verdict == HOOK_LATE) return too_late(sh, c, p);
    if (verdict == HOOK_DENY) return deny_as(sh, c, p, said);
    if (verdict != HOOK_ALLOW) return MQTT_RC_UNSPECIFIED; /* a callback has failed */
    if (c->hooked != NULL && topic_is_control(p->topic)) return controlled(sh, c, p);
    if (said == NULL) return publish(sh, c, p, &in);
    /* What plugins have made of it; what is no topic goes to nobody. */
    p->topic = topic_name_valid(said->topic) ? said->topic : (struct bytes){ 0 };
    p->retain = said->retain;
    p->payload = said->payload;
    p->props.block = said->block;
    return is_dropped(sh, c, p) ? MQTT_RC_OK : publish(sh, c, p, &in);
}

enum mqtt_rc publish_comes(struct shard *sh, struct conn *c, struct publish *p)
{
    return publish_go_on(sh, c, p, &(struct publish_past){ .came_ms = sh->wall_ms });
}

enum mqtt_rc on_publish(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct publish p;
    enum mqtt_rc rc = publish_decode(f, c->version, &p);
    if (rc == MQTT_RC_OK) rc = check(sh, c, &p);
    if (rc != MQTT_RC_OK) return rc;
    metrics_add(sh->metrics, METRIC_messages_received_total, 1);
    metrics_add(sh->metrics, METRIC_publish_bytes_received_total, p.payload.len);
    if (c->hooked != NULL) return parked_publish(sh, c, &p);
    if (p.qos == 2 && qos2_again(sh, c, p.id)) return MQTT_RC_OK;
    if (p.qos > 0 && publish_is_too_many(c)) return MQTT_RC_RECEIVE_MAX_EXCEEDED;
    return publish_comes(sh, c, &p);
}

enum mqtt_rc on_puback(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct ack a;
    enum mqtt_rc rc = ack_decode(f, c->version, &a);
    if (rc != MQTT_RC_OK) return rc;
    /* A negative one finishes the message too [MQTT-4.4.0-2, 4.8.2-6]; an unknown id does no harm. */
    bool is_done = session_shared_has_id(a.id) ? session_shared_puback(c->session, a.id)
                                               : session_acked(c->session, a.id);
    if (is_done)
        feed_pump(sh, c->session);
    else if (session_in_flight(c->session, a.id))
        return MQTT_RC_PROTOCOL; /* QoS 2 is acknowledged by PUBREC */
    return MQTT_RC_OK;
}
