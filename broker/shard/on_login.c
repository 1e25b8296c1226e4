/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/on_login.h"
#include "access/throttle.h"
#include "base/check.h"
#include "net/address.h"
#include "shard/connect.h"
#include "shard/hook_will.h"
#include "shard/hooked.h"
#include "worker/worker.h"
#include <stdlib.h>

/*
 *   CONNECT -> login_begin         may come in without, or is refused; or CONN_AUTH, and:
 *     had failures -> conn_timer   waits -> login_wake: as the next
 *     else         -> ask          a worker has it
 *   worker done    -> login_mail_done  let in, or refused
 *   connection freed -> login_conn_gone
 */

struct login {
    struct work work;
    struct conn *conn; /* NULL: gone, and a worker has this still */
    struct access *access;
    struct bytes connect; /* kept; the next two lie in it */
    struct bytes username, password;
    struct throttle_keys keys;
    uint64_t deadline_ms; /* of its CONNECT; while it waits */
    bool is_asked, is_waiting, is_right;
};

static const struct config_security *security_of(const struct shard *sh, const struct conn *c)
{
    return &conn_door(sh, c)->security;
}

static const struct access *access_of(const struct shard *sh, const struct conn *c)
{
    return sh->view->doors[c->listener->door].access;
}

/* --- who it is */

/* As mosquitto: an empty user name is none. */
static bool has_name(const struct connect *p)
{
    return p->has_username && p->username.len > 0;
}

/* The name in its certificate or of its key, in place of what its CONNECT says. */
static enum mqtt_rc identify_by_transport(struct conn *c, bool by_subject, struct connect *p)
{
    char name[4096];
    enum transport_identity which = by_subject ? TRANSPORT_SUBJECT : TRANSPORT_COMMON_NAME;
    enum err rc = c->transport.ops->identity(&c->transport, TRANSPORT_PSK, name, sizeof name);
    if (rc == ERR_NOTFOUND) rc = c->transport.ops->identity(&c->transport, which, name, sizeof name);
    struct bytes text = bytes_of_text(rc == ERR_OK ? name : "");
    if (text.len == 0 || (utf8_scan(text) & UTF8_ILL_FORMED) != 0) return MQTT_RC_BAD_USERNAME_PASSWORD;
    free(c->username);
    c->username = bytes_to_text(text);
    if (c->username == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    p->username = bytes_of(c->username, text.len);
    p->has_username = c->is_vouched = true;
    return MQTT_RC_OK;
}

enum mqtt_rc login_identify(const struct shard *sh, struct conn *c, struct connect *p)
{
    const struct config_listener *door = conn_door(sh, c);
    if (door->use_identity_as_username || door->use_subject_as_username) {
        enum mqtt_rc rc = identify_by_transport(c, !door->use_identity_as_username, p);
        if (rc != MQTT_RC_OK) return rc;
    } else if (c->is_vouched) { /* it was asked for on the shard that the connection comes from */
        free(c->username);
        c->username = NULL;
        c->is_vouched = false;
    }
    if (!has_name(p)) {
        p->has_username = false;
        p->username = (struct bytes){ 0 };
    }
    if (!door->use_username_as_clientid) return MQTT_RC_OK;
    p->client_id = p->username;
    return p->has_username ? MQTT_RC_OK : MQTT_RC_NOT_AUTHORIZED;
}

bool login_keep_name(struct conn *c, const struct connect *p)
{
    if (c->hooked != NULL) return hooked_take_name(c);
    if (!p->has_username || c->username != NULL) return true;
    c->username = bytes_to_text(p->username);
    return c->username != NULL;
}

/* --- a login */

static void login_free(struct login *l)
{
    connect_forget(&l->connect);
    access_unref(&l->access);
    free(l);
}

void login_conn_gone(struct conn *c)
{
    struct login *l = c->seldom->login;
    if (l == NULL) return;
    conn_seldom(c)->login = NULL;
    l->conn = NULL;
    if (!l->is_asked) login_free(l);
}

/* On a worker. */
static void verify(struct work *w)
{
    struct login *l = CONTAINER(w, struct login, work);
    l->is_right = access_verify(l->access, l->username, l->password);
}

/* Who has a network of IPv6 addresses has at least 64 bits of them. */
static struct throttle_keys keys_of(const struct shard *sh, const struct conn *c, struct bytes username)
{
    struct net_address from;
    transport_address(&c->transport, &from);
    size_t bytes = from.kind == ADDRESS_V6 ? 8 : from.kind == ADDRESS_V4 ? 4 : 0;
    uint64_t seed = sh->all->seed;
    return (struct throttle_keys){
        .address = bytes == 0 ? 0 : bytes_hash(bytes_of(from.bytes, bytes), seed ^ from.kind) | 1,
        .account = bytes_hash(username, seed) | 1,
    };
}

static struct login *login_new(struct shard *sh, struct conn *c, struct bytes body)
{
    struct connect p;
    struct login *l = calloc(1, sizeof *l);
    if (l == NULL) return NULL;
    l->connect = connect_keep(body);
    if (l->connect.at == NULL) {
        free(l);
        return NULL;
    }
    CHECK(connect_decode(l->connect, &p) == MQTT_RC_OK); /* it was right a moment ago */
    l->conn = c;
    l->access = access_ref(sh->view->doors[c->listener->door].access);
    l->username = p.username;
    l->password = p.password;
    l->keys = keys_of(sh, c, p.username);
    l->work = (struct work){ .run = verify, .mail.kind = MAIL_LOGIN_DONE, .to = &sh->mailbox };
    return l;
}

static void ask(struct shard *sh, struct conn *c)
{
    struct login *l = c->seldom->login;
    l->is_asked = workers_put(sh->all->conf.workers, &l->work) == ERR_OK;
    if (!l->is_asked) connack_refuse(sh, c, MQTT_RC_SERVER_BUSY);
}

/* Half of the time that is left is for the worker. */
static void wait_then_ask(struct shard *sh, struct conn *c, uint32_t delay_ms)
{
    struct login *l = c->seldom->login;
    l->deadline_ms = c->timer.when_ms;
    uint64_t left_ms = l->deadline_ms > sh->now_ms ? l->deadline_ms - sh->now_ms : 0;
    l->is_waiting = true;
    metrics_add(sh->metrics, METRIC_logins_delayed_total, 1);
    wheel_start(sh->conn_wheel, &c->timer, sh->now_ms + (delay_ms < left_ms / 2 ? delay_ms : left_ms / 2));
}

bool login_wake(struct shard *sh, struct conn *c)
{
    struct login *l = c->seldom->login;
    if (l == NULL || !l->is_waiting) return false;
    l->is_waiting = false;
    wheel_start(sh->conn_wheel, &c->timer, l->deadline_ms);
    ask(sh, c);
    return true;
}

static enum mqtt_rc check_password(struct shard *sh, struct conn *c, struct bytes body)
{
    struct conn_seldom *seldom = conn_seldom(c);
    if (seldom != NULL) seldom->login = login_new(sh, c, body);
    if (c->seldom->login == NULL) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    c->state = CONN_AUTH;
    conn_pause(sh, c, PAUSE_CONNACK);
    uint32_t delay_ms = throttle_delay_ms(sh->all->conf.throttle, &c->seldom->login->keys, sh->now_ms);
    if (delay_ms > 0)
        wait_then_ask(sh, c, delay_ms);
    else
        ask(sh, c);
    return MQTT_RC_OK;
}

/* Its id begins as the configuration says. */
static bool has_prefix(const struct shard *sh, const struct conn *c, const struct connect *p)
{
    struct bytes id = c->seldom->assigned_id != NULL ? bytes_of_text(c->seldom->assigned_id) : p->client_id;
    struct bytes prefix = bytes_of_text(sh->config->clientid_prefixes);
    return id.len >= prefix.len && bytes_equal(bytes_of(id.at, prefix.len), prefix);
}

/* By the password file, if there is one. */
static enum mqtt_rc login_by_file(struct shard *sh, struct conn *c, const struct connect *p,
                                  struct bytes body)
{
    bool is_checked = p->has_username && access_has_accounts(access_of(sh, c));
    if (c->is_vouched) return connect_open(sh, c, p);
    if (is_checked) return check_password(sh, c, body);
    if (security_of(sh, c)->allow_anonymous) return connect_open(sh, c, p);
    return connack_refuse(sh, c, MQTT_RC_NOT_AUTHORIZED);
}

enum mqtt_rc login_begin(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body)
{
    if (!has_prefix(sh, c, p)) return connack_refuse(sh, c, MQTT_RC_NOT_AUTHORIZED);
    if (PROPS_HAS(&p->props, auth_method)) return auth_begin(sh, c, p, body);
    bool asks_plugins = !c->is_vouched && hooks_want(conn_hooks(sh, c), HOOK_EVENT_LOGIN);
    return asks_plugins ? hooked_login(sh, c, p, body) : login_by_file(sh, c, p, body);
}

enum mqtt_rc login_deferred(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body)
{
    bool is_unknown = p->has_username && !access_has_accounts(access_of(sh, c));
    return is_unknown ? connack_refuse(sh, c, MQTT_RC_NOT_AUTHORIZED) : login_by_file(sh, c, p, body);
}

/* --- its end */

void login_log_failed(struct shard *sh, const struct conn *c, struct bytes username)
{
    char peer[ADDRESS_TEXT_BYTES];
    transport_peer(&c->transport, peer);
    log_event(sh->log, EVENT_LOGIN_FAILED, LOG_TEXT("user", username), LOG_STR("peer", peer),
              LOG_NUM("port", c->listener->port));
}

static void count(struct shard *sh, const struct login *l)
{
    metrics_add(sh->metrics, METRIC_logins_total, 1);
    if (l->is_right) {
        throttle_passed(sh->all->conf.throttle, &l->keys);
        return;
    }
    metrics_add(sh->metrics, METRIC_logins_failed_total, 1);
    throttle_failed(sh->all->conf.throttle, &l->keys, sh->now_ms);
}

/* The door may have changed while the worker had it. */
static bool is_known(const struct shard *sh, const struct conn *c, struct bytes username)
{
    const struct access *a = access_of(sh, c);
    if (username.len == 0 || !access_has_accounts(a)) return security_of(sh, c)->allow_anonymous;
    return access_knows(a, username);
}

static void finish(struct shard *sh, struct conn *c, struct login *l)
{
    struct bytes connect = l->connect;
    bool may_enter = l->is_right && is_known(sh, c, l->username);
    if (!l->is_right) login_log_failed(sh, c, l->username);
    if (may_enter) {
        c->is_proven = true;
        l->connect = (struct bytes){ 0 };
        conn_resume(sh, c, PAUSE_CONNACK);
        connect_go_on(sh, c, &connect);
    } else {
        connack_refuse(sh, c, MQTT_RC_NOT_AUTHORIZED);
    }
}

void login_mail_done(struct shard *sh, struct mail *m)
{
    struct login *l = CONTAINER(CONTAINER(m, struct work, mail), struct login, work);
    struct conn *c = l->conn;
    l->is_asked = false;
    if (l->work.is_done) count(sh, l);
    if (c == NULL) {
        login_free(l);
        return;
    }
    if (c->state == CONN_AUTH && l->work.is_done) finish(sh, c, l);
    login_conn_gone(c);
}

/* Who came in when no password was asked for has only said that it is this user. */
static bool may_stay(const struct shard *sh, const struct conn *c)
{
    struct bytes username = bytes_of_text(c->username != NULL ? c->username : "");
    bool is_said = username.len > 0 && !c->is_proven && access_has_accounts(access_of(sh, c));
    return !is_said && is_known(sh, c, username);
}

void login_recheck(struct shard *sh, struct conn *c)
{
    bool is_in = c->state == CONN_OPEN || c->state == CONN_WAITING;
    if (!is_in || c->is_vouched || c->seldom->auth != NULL) return;
    if (c->hooked != NULL && c->hooked->is_allowed) return;
    if (!may_stay(sh, c)) conn_end(sh, c, MQTT_RC_NOT_AUTHORIZED);
}

/* --- rights */

bool login_may(const struct access *a, const struct conn *c, struct bytes topic, enum access_right right)
{
    struct access_who who = { .client_id = session_client_id(c->session) };
    if (!access_has_rules(a)) return true;
    if (c->username != NULL) who.username = bytes_of_text(c->username);
    return access_may(a, &who, topic, right);
}

bool login_may_deliver(struct shard *sh, const struct access *a, const struct conn *c, struct bytes topic)
{
    if (login_may(a, c, topic, ACCESS_READ)) return true;
    metrics_add(sh->metrics, METRIC_deliveries_denied_total, 1);
    return false;
}

void login_deny_will(struct shard *sh, struct session *s)
{
    metrics_add(sh->metrics, METRIC_publish_denied_total, 1);
    log_event(sh->log, EVENT_PUBLISH_DENIED, LOG_TEXT("client", session_client_id(s)),
              LOG_TEXT("topic", s->will->topic), LOG_NUM("will", 1));
    session_drop_will(s);
}

void login_check_will(struct shard *sh, struct conn *c)
{
    struct session *s = c->session;
    if (s->will == NULL || will_hooks(sh, s->will) != NULL) return;
    if (!conn_may(sh, c, s->will->topic, ACCESS_WRITE)) login_deny_will(sh, s);
}

/* NULL: its listener is gone, and so is who could take the right away; or it is from before a restart. */
static const struct access *access_of_will(const struct shard *sh, const struct session_will *w)
{
    for (size_t i = 0; w->door_no != 0 && i < sh->view->doors_count; i++)
        if (sh->view->doors[i].number == w->door_no) return sh->view->doors[i].access;
    return NULL;
}

bool login_may_late_will(const struct shard *sh, const struct session *s)
{
    const struct session_will *w = s->will;
    const struct access *a = access_of_will(sh, w);
    struct access_who who = { w->username, session_client_id(s) };
    return will_hooks(sh, w) != NULL || !access_has_rules(a) || access_may(a, &who, w->topic, ACCESS_WRITE);
}
