/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "net/address.h"
#include "shard/admission.h"
#include "shard/connect.h"
#include "shard/heir.h"
#include "shard/hook_will.h"
#include "shard/hooked.h"
#include "shard/keepalive_way.h"
#include "shard/mount.h"
#include "shard/on_login.h"
#include "shard/shard_int.h"
#include "topic/topic.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* CONNECT (MQTT 5.0 section 3.1): checks, the session it gets, takeover. */

/* A packet that cannot be read. Version 5 clients understand why; older ones get a close [MQTT-3.1.4-1]. */
static enum mqtt_rc refuse_undecoded(struct shard *sh, struct conn *c, enum mqtt_rc rc, uint8_t version)
{
    c->version = version == MQTT_V5 ? MQTT_V5 : MQTT_V311;
    if (c->version == MQTT_V5 || rc == MQTT_RC_UNSUPPORTED_VERSION) return connack_refuse(sh, c, rc);
    metrics_add(sh->metrics, METRIC_connects_refused_total, 1);
    return rc;
}

static enum mqtt_rc check_will(const struct shard *sh, const struct conn *c, const struct connect *p)
{
    if (!p->has_will) return MQTT_RC_OK;
    uint32_t seconds;
    struct bytes rest;
    if (!topic_name_valid(p->will.topic) || !topic_name_valid(mount_topic(sh, c, p->will.topic)))
        return MQTT_RC_TOPIC_INVALID;
    /* A will has a delay of its own. */
    if (!topic_delay_split(p->will.topic, &seconds, &rest) || seconds > 0) return MQTT_RC_TOPIC_INVALID;
    if (p->will.qos > conn_door(sh, c)->max_qos) return MQTT_RC_QOS_NOT_SUPPORTED; /* [MQTT-3.2.2-12] */
    return p->will.retain && !sh->config->retain_available ? MQTT_RC_RETAIN_NOT_SUPPORTED : MQTT_RC_OK;
}

static enum mqtt_rc check(const struct shard *sh, const struct conn *c, const struct connect *p)
{
    enum mqtt_rc rc = check_will(sh, c, p);
    if (rc != MQTT_RC_OK) return rc;
    /* A 3.1.1 client without an id must ask for a clean session [MQTT-3.1.3-7]; a 3.1 client has one. */
    bool may_lack_id = p->version == MQTT_V5 || (p->version == MQTT_V311 && p->clean_start);
    may_lack_id = may_lack_id && conn_door(sh, c)->security.allow_zero_length_clientid; /* [MQTT-3.1.3-8] */
    return p->client_id.len == 0 && !may_lack_id ? MQTT_RC_CLIENT_ID_INVALID : MQTT_RC_OK;
}

/* Makes up an id whose session lives on this shard. */
static bool assign_id(struct shard *sh, struct conn *c)
{
    uint64_t raw[2];
    const char *set = conn_door(sh, c)->security.auto_id_prefix, *prefix = set[0] != '\0' ? set : "auto-";
    size_t size = strlen(prefix) + 32 + 1;
    struct conn_seldom *seldom = conn_seldom(c);
    if (seldom != NULL) seldom->assigned_id = malloc(size);
    if (c->seldom->assigned_id == NULL) return false;
    do {
        rng_fill(raw, sizeof raw);
        snprintf(seldom->assigned_id, size, "%s%016" PRIx64 "%016" PRIx64, prefix, raw[0], raw[1]);
    } while (shard_of_client(sh->all, bytes_of_text(c->seldom->assigned_id)) != sh->index);
    return true;
}

/* UINT32_MAX: never. A version 3 session without clean start lasts as long as the option says. */
static uint32_t wanted_expiry(const struct shard *sh, const struct connect *p)
{
    uint32_t most = sh->config->persistent_client_expiration;
    uint32_t want = p->clean_start ? 0 : UINT32_MAX;
    if (p->version == MQTT_V5) want = PROPS_HAS(&p->props, session_expiry) ? p->props.session_expiry : 0;
    return want < most ? want : most;
}

static uint32_t wanted_window(const struct shard *sh, const struct connect *p)
{
    uint32_t most =
        sh->config->max_inflight_messages == 0 ? PACKET_ID_MAX : sh->config->max_inflight_messages;
    if (p->version != MQTT_V5 || !PROPS_HAS(&p->props, receive_max)) return most;
    return p->props.receive_max < most ? p->props.receive_max : most;
}

/* Section 3.1.4: the connection that holds the session now is closed first [MQTT-3.1.4-3]. Its will goes out
 * unless the session goes on and the will has a delay (section 3.1.3.2.2). */
static void take_over(struct shard *sh, struct session *s, bool goes_on)
{
    struct conn *old = s->conn;
    login_check_will(sh, old);
    metrics_add(sh->metrics, METRIC_takeovers_total, 1);
    log_event(sh->log, EVENT_SESSION_TAKEN_OVER, LOG_TEXT("client", session_client_id(s)));
    way_ended(sh, old, KA_END_TAKEN_OVER);
    conn_cut(sh, old);
    session_detach(s);
    metrics_sub(sh->metrics, METRIC_clients_connected, 1);
    shares_offline(sh, s);
    if (s->will != NULL && (s->will->delay_s == 0 || !goes_on)) will_fire(sh, s, old);
    conn_end(sh, old, MQTT_RC_TAKEN_OVER);
}

/* The session this client id has, if the new connection may go on with it; any other is ended. *destroyed
 * says that durable state goes. */
static struct session *resume(struct shard *sh, const struct connect *p, struct bytes client_id,
                              bool *destroyed)
{
    struct session *s = sessions_find(sh, client_id);
    *destroyed = false;
    if (s == NULL) return NULL;
    admission_returned(sh);
    /* One that was to end with its connection ends as that is taken over (section 3.1.4). */
    bool ends = !s->persistent || (s->conn != NULL && s->expiry_s == 0);
    bool goes_on = !p->clean_start && !ends;
    if (s->conn != NULL) take_over(sh, s, goes_on);
    if (s->persistent) wheel_stop(sh->session_wheel, &session_kept_own(s)->timer);
    if (goes_on) {
        *destroyed = s->persistent && s->will != NULL; /* connected again before its delay had passed */
        will_detach(s);
        session_drop_will(s);
        return s;
    }
    if (s->will != NULL) sessions_late_will(sh, s); /* the session ends, and the delay with it */
    *destroyed = s->persistent;
    sessions_destroy(sh, s);
    return NULL;
}

/* It is as if it had none: the client is in, and is not told, as with mosquitto. */
static enum err refuse_will(struct shard *sh, const struct conn *c, struct bytes topic)
{
    metrics_add(sh->metrics, METRIC_publish_denied_total, 1);
    log_event(sh->log, EVENT_PUBLISH_DENIED, LOG_TEXT("client", session_client_id(c->session)),
              LOG_TEXT("topic", topic), LOG_NUM("will", 1));
    return ERR_OK;
}

static enum err keep_will(struct shard *sh, struct conn *c, const struct connect *p)
{
    struct bytes topic = p->has_will ? mount_topic(sh, c, p->will.topic) : bytes_of(NULL, 0);
    if (!p->has_will || sys_owns(topic)) return ERR_OK;                /* it would go to nobody */
    bool asks_plugins = hooks_want(conn_hooks(sh, c), HOOK_EVENT_ACL); /* when it goes out */
    if (!asks_plugins && !conn_may(sh, c, topic, ACCESS_WRITE)) return refuse_will(sh, c, topic);
    const struct props *props = &p->will.props;
    uint8_t block[4096];
    uint8_t *at = props->block.len > sizeof block ? malloc(props->block.len) : block;
    if (at == NULL) return ERR_NOMEM;
    struct wr w = { .at = at, .left = props->block.len };
    if (p->version == MQTT_V5) publish_forward_props(&w, props->block);
    bool v5 = p->version == MQTT_V5;
    struct session_will_parts parts = {
        .topic = topic,
        .payload = p->will.payload,
        .username = c->username == NULL ? bytes_of(NULL, 0) : bytes_of_text(c->username),
        .door_no = sh->view->doors[c->listener->door].number,
        .block = bytes_of(at, (size_t)(w.at - at)),
        .qos = p->will.qos,
        .retain = p->will.retain,
        .delay_s = v5 && PROPS_HAS(props, will_delay) ? props->will_delay : 0,
        .has_expiry = v5 && PROPS_HAS(props, message_expiry),
        .expiry_s = v5 && PROPS_HAS(props, message_expiry) ? props->message_expiry : 0,
    };
    enum err rc = session_set_will(c->session, &parts);
    if (at != block) free(at);
    return rc;
}

static void limit_keepalive(const struct shard *sh, struct conn *c, uint16_t wanted_s)
{
    uint32_t most = sh->config->max_keepalive;
    c->keepalive_s = wanted_s;
    if (c->version == MQTT_V5 && most > 0 && (wanted_s == 0 || wanted_s > most) && most < UINT16_MAX)
        c->keepalive_s = (uint16_t)most;
}

/* Whatever a client says that it takes, MQTT has no larger packet: a message may grow on its way. */
void connect_learn(struct conn *c, const struct connect *p)
{
    const struct props *props = &p->props;
    c->version = p->version;
    if (p->version != MQTT_V5) return;
    if (PROPS_HAS(props, topic_alias_max)) c->alias_max = props->topic_alias_max;
    c->wants_reasons = !PROPS_HAS(props, request_problem_info) || props->request_problem_info == 1;
    c->wants_response_info = PROPS_HAS(props, request_response_info) && props->request_response_info == 1;
    if (PROPS_HAS(props, max_packet_size) && props->max_packet_size < c->max_packet)
        c->max_packet = props->max_packet_size;
}

static void restart_timer(struct shard *sh, struct conn *c)
{
    uint64_t due_ms = sh->now_ms + (uint64_t)c->keepalive_s * 1500;
    wheel_stop(sh->conn_wheel, &c->timer);
    if (c->keepalive_s > 0) wheel_start(sh->conn_wheel, &c->timer, conn_look_ms(c, due_ms));
}

/* Its will is the session's like its queue is, and outlives the process [MQTT-3.1.2-7]. */
static bool journal_will(const struct shard *sh, const struct session *s, struct command *cmd)
{
    const struct session_will *w = s->will;
    cmd->will = (struct command_will){ w->delay_s, w->has_expiry ? w->expiry_s : UINT32_MAX };
    cmd->msg = sessions_will_msg(sh, s);
    return cmd->msg != NULL;
}

/* Commands may follow without waiting for it: the numbers that fence them are ours already. */
static enum err claim(struct shard *sh, struct conn *c, struct session *s)
{
    s->claim_no = (++sh->claims_minted) * SHARDS_MAX + sh->index;
    if (!s->persistent) return ERR_OK;
    struct command *cmd = journal_fenced(s, COMMAND_CLAIM, session_client_id(s));
    if (cmd == NULL) return ERR_NOMEM;
    if (s->will != NULL && !journal_will(sh, s, cmd)) {
        command_unref(&cmd);
        return ERR_NOMEM;
    }
    cmd->conn_id = c->id;
    journal_put(sh, cmd);
    return ERR_OK;
}

/* CONNACK waits for the journal when it says that durable state is gone, a will among it, or that there is a
 * will which must go out whatever happens. */
static void answer(struct shard *sh, struct conn *c, bool destroyed)
{
    bool leaves_will = c->session->persistent && c->session->will != NULL;
    if (!destroyed && !leaves_will) {
        connack_send(sh, c);
        return;
    }
    c->state = CONN_WAITING;
    conn_pause(sh, c, PAUSE_CONNACK);
    if (c->session->persistent) return; /* the CLAIM's completion comes after that of END_SESSION */
    struct command *fence = journal_fenced(c->session, COMMAND_FENCE, bytes_of(NULL, 0));
    if (fence == NULL) {
        conn_drop(sh, c);
        return;
    }
    fence->conn_id = c->id;
    journal_put(sh, fence);
}

static void log_connected(struct shard *sh, const struct conn *c, const struct connect *p)
{
    char peer[ADDRESS_TEXT_BYTES];
    struct bytes user = bytes_of_text(c->username != NULL ? c->username : "");
    transport_peer(&c->transport, peer);
    log_event(sh->log, EVENT_CLIENT_CONNECTED, LOG_TEXT("client", session_client_id(c->session)),
              LOG_TEXT("user", user), LOG_STR("peer", peer), LOG_NUM("version", c->version),
              LOG_NUM("clean", p->clean_start), LOG_NUM("session_present", c->session_present),
              LOG_NUM("keepalive_s", c->keepalive_s));
}

static enum mqtt_rc open_session(struct shard *sh, struct conn *c, const struct connect *p)
{
    struct bytes client_id =
        c->seldom->assigned_id != NULL ? bytes_of_text(c->seldom->assigned_id) : p->client_id;
    uint32_t expiry_s = wanted_expiry(sh, p);
    bool destroyed;
    if (!login_keep_name(c, p)) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    struct session *s = resume(sh, p, client_id, &destroyed);
    c->session_present = s != NULL;
    if (s == NULL) s = sessions_create(sh, client_id, expiry_s > 0);
    if (s == NULL) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);

    s->expiry_s = expiry_s;
    c->session = s;
    c->is_mounted = mount_point(sh, c).len > 0;
    session_attach(s, c, wanted_window(sh, p));
    s->inflight_bytes_max = sh->config->max_inflight_bytes;
    metrics_add(sh->metrics, METRIC_clients_connected, 1);
    shares_online(sh, s);
    hooked_count_subs(c);
    if (keep_will(sh, c, p) != ERR_OK || claim(sh, c, s) != ERR_OK) {
        conn_drop(sh, c);
        return MQTT_RC_OK;
    }
    way_connected(sh, c, p);
    c->limited_keepalive = c->keepalive_s != p->keepalive_s;
    if (log_wants(sh->log, EVENT_CLIENT_CONNECTED)) log_connected(sh, c, p);
    restart_timer(sh, c);
    c->state = CONN_OPEN;
    answer(sh, c, destroyed);
    return MQTT_RC_OK;
}

/* One more session is more memory; who has one may come for what waits, which makes it less. */
static bool has_room(struct shard *sh, const struct conn *c, const struct connect *p)
{
    bool has_session = c->seldom->assigned_id == NULL && sessions_find(sh, p->client_id) != NULL;
    return has_session || memory_grants(sh, sizeof(struct session));
}

/* A reload may have changed what the client id is made of, since the connection came to the shard of the id
 * that it had. Another session of that id would be the end of the store: the client is to come again. */
static bool is_at_home(const struct shard *sh, const struct conn *c, const struct connect *p)
{
    if (c->seldom->assigned_id != NULL) return true;
    return p->client_id.len > 0 && shard_of_client(sh->all, p->client_id) == sh->index;
}

enum mqtt_rc connect_open(struct shard *sh, struct conn *c, const struct connect *p)
{
    if (!is_at_home(sh, c, p)) return connack_refuse(sh, c, MQTT_RC_SERVER_BUSY);
    limit_keepalive(sh, c, p->keepalive_s);
    c->limited_keepalive = c->keepalive_s != p->keepalive_s || way_may_tell(sh, c);
    if (!connack_fits(sh, c, wanted_expiry(sh, p))) return connack_refuse(sh, c, MQTT_RC_PACKET_TOO_LARGE);
    if (!has_room(sh, c, p)) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    if (heir_waits(sh, c, p)) return MQTT_RC_OK;
    return open_session(sh, c, p);
}

enum mqtt_rc on_connect(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct connect p;
    enum mqtt_rc rc = connect_decode(f->body, &p);
    if (rc != MQTT_RC_OK) return refuse_undecoded(sh, c, rc, p.version);
    connect_learn(c, &p);
    rc = login_identify(sh, c, &p);
    if (rc == MQTT_RC_OK) rc = check(sh, c, &p);
    if (rc != MQTT_RC_OK) return connack_refuse(sh, c, rc);
    if (p.client_id.len == 0 && !assign_id(sh, c)) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    if (!hooked_begin(sh, c, &p)) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    return login_begin(sh, c, &p, f->body);
}

/* --- later */

struct bytes connect_keep(struct bytes body)
{
    uint8_t *copy = malloc(body.len);
    if (copy == NULL) return (struct bytes){ 0 };
    memcpy(copy, body.at, body.len);
    return bytes_of(copy, body.len);
}

void connect_forget(struct bytes *kept)
{
    void *at = (void *)(uintptr_t)kept->at;
    if (at != NULL) explicit_bzero(at, kept->len);
    free(at);
    *kept = (struct bytes){ 0 };
}

void connect_go_on(struct shard *sh, struct conn *c, struct bytes *kept)
{
    struct connect p;
    enum mqtt_rc rc = connect_decode(*kept, &p);
    if (rc == MQTT_RC_OK) rc = login_identify(sh, c, &p);
    if (rc == MQTT_RC_OK)
        connect_open(sh, c, &p);
    else
        connack_refuse(sh, c, rc);
    connect_forget(kept);
}
