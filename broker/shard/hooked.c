/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/hooked.h"
#include "net/address.h"
#include "shard/connect.h"
#include "shard/on_login.h"
#include "shard/parked.h"
#include "shard/verdicts.h"
#include <stdlib.h>

struct hooked_login {
    struct hook_login q;
    struct conn *conn;    /* NULL: gone */
    struct bytes connect; /* kept */
    uint64_t left_ms;     /* of connect_timeout_s */
    size_t texts_bytes;
    char texts[]; /* user name, password */
};

static enum err client_new(const struct shard *sh, const struct conn *c, const struct connect *p,
                           struct hook_client **out)
{
    struct net_address from;
    char address[ADDRESS_TEXT_BYTES];
    transport_address(&c->transport, &from);
    address_print_host(&from, address);
    struct hook_client_conf conf = {
        .id = c->seldom->assigned_id != NULL ? bytes_of_text(c->seldom->assigned_id) : p->client_id,
        .address = address,
        .conn_id = c->id,
        .shard = (uint16_t)sh->index,
        .port = c->listener->port,
        .keepalive_s = p->keepalive_s,
        .version = p->version,
        .clean_start = p->clean_start,
        .is_websocket = conn_door(sh, c)->protocol == CONFIG_PROTOCOL_WEBSOCKETS,
    };
    if (p->has_username) conf.username = p->username;
    if (c->transport.ops->certificate != NULL)
        conf.certificate = c->transport.ops->certificate(&c->transport);
    conf.certificate_free = transport_certificate_free;
    return hook_client_new(out, &conf);
}

static void gone_free(struct hook_ask *a)
{
    free(CONTAINER(a, struct hook_gone, ask));
}

static void connected_free(struct hook_ask *a)
{
    free(CONTAINER(a, struct hook_connected, ask));
}

struct hook_gone *hooked_gone_new(struct hooks *hooks, struct hook_client *client)
{
    struct hook_gone *gone = calloc(1, sizeof *gone);
    if (gone == NULL) return NULL;
    hook_ask_init(&gone->ask, HOOK_GONE, hooks, client);
    gone->ask.destroy = gone_free;
    gone->reason = HOOK_REASON_LOST;
    return gone;
}

/* Made before they are needed: neither must fail for want of memory. */
static bool news_new(struct hooked *h, struct hooks *hooks)
{
    h->connected = calloc(1, sizeof *h->connected);
    h->gone = h->connected != NULL ? hooked_gone_new(hooks, h->client) : NULL;
    if (h->gone == NULL) {
        free(h->connected);
        return false;
    }
    hook_ask_init(&h->connected->ask, HOOK_CONNECTED, hooks, h->client);
    h->connected->ask.destroy = connected_free;
    return true;
}

bool hooked_begin(const struct shard *sh, struct conn *c, const struct connect *p)
{
    struct hooks *hooks = sh->view->doors[c->listener->door].hooks;
    if (hooks == NULL) return true;
    struct hooked *h = calloc(1, sizeof *h);
    if (h == NULL) return false;
    if (client_new(sh, c, p, &h->client) == ERR_OK && news_new(h, hooks)) {
        list_init(&h->heirs);
        c->hooked = h;
        return true;
    }
    hook_client_unref(&h->client);
    free(h);
    return false;
}

static void drop_connected(struct hooked *h)
{
    struct hook_ask *a = h->connected == NULL ? NULL : &h->connected->ask;
    h->connected = NULL;
    hook_ask_unref(&a);
}

void hooked_in(struct conn *c)
{
    struct hooked *h = c->hooked;
    if (h == NULL || h->was_in) return;
    h->was_in = true;
    if (!hooks_want(h->connected->ask.hooks, HOOK_EVENT_CONNECTED)) {
        drop_connected(h);
        return;
    }
    struct hook_connected *connected = h->connected;
    h->connected = NULL;
    connected->session_present = c->session_present;
    hooks_ask(&connected->ask);
}

void hooked_reason(struct conn *c, uint8_t reason)
{
    struct hooked *h = c->hooked;
    if (h != NULL && h->gone != NULL && h->gone->reason == HOOK_REASON_LOST) h->gone->reason = reason;
}

void hooked_session_stays(struct conn *c)
{
    struct hooked *h = c->hooked;
    if (h != NULL && h->gone != NULL) h->gone->session_stays = true;
}

void hooked_say(struct conn *c, const char *why)
{
    struct hooked *h = c->hooked;
    if (h == NULL) return;
    struct bytes text = why != NULL ? bytes_of_text(why) : (struct bytes){ 0 };
    bool may = text.len > 0 && text.len <= HOOKED_WHY_BYTES_MAX && (utf8_scan(text) & UTF8_ILL_FORMED) == 0;
    h->why = may ? why : NULL;
}

void hooked_gone(struct shard *sh, struct conn *c)
{
    struct hooked *h = c->hooked;
    if (h == NULL || h->gone == NULL) return;
    parked_drop(sh, h);
    if (h->login != NULL) h->login->conn = NULL;
    h->login = NULL;
    struct hook_gone *gone = h->gone;
    h->gone = NULL;
    gone->was_in = h->was_in;
    hook_client_end(h->client);
    drop_connected(h);
    hooks_ask(&gone->ask);
}

void hooked_free(struct conn *c)
{
    struct hooked *h = c->hooked;
    c->hooked = NULL;
    if (h == NULL) return;
    drop_connected(h);
    hook_client_unref(&h->client);
    reads_conn_gone(&h->reads);
    free(h->name_before);
    free(h);
}

void hooked_count_subs(const struct conn *c)
{
    if (c->hooked == NULL) return;
    const struct session *s = c->session;
    gauge_set(hook_client_subs(c->hooked->client), (uint32_t)(s->subs.count + s->shared->members.count));
}

/* --- user name and password */

static void login_free(struct hook_ask *a)
{
    struct hooked_login *l = CONTAINER(a, struct hooked_login, q.ask);
    connect_forget(&l->connect);
    explicit_bzero(l->texts, l->texts_bytes);
    free(l);
}

static void login_unref(struct hooked_login *l)
{
    struct hook_ask *a = &l->q.ask;
    hook_ask_unref(&a);
}

static const char *put_text(char **at, struct bytes text)
{
    const char *begin = *at;
    if (text.len > 0) memcpy(*at, text.at, text.len);
    *at += text.len + 1; /* behind it is a 0 already */
    return begin;
}

static struct hooked_login *login_new(struct shard *sh, struct conn *c, const struct connect *p)
{
    size_t bytes = p->username.len + 1 + p->password.len + 1;
    struct hooked_login *l = calloc(1, sizeof *l + bytes);
    if (l == NULL) return NULL;
    char *at = l->texts;
    hook_ask_init(&l->q.ask, HOOK_LOGIN, conn_hooks(sh, c), c->hooked->client);
    l->q.ask.destroy = login_free;
    l->q.ask.to = &sh->mailbox;
    l->q.ask.kind = MAIL_HOOK_LOGIN;
    l->texts_bytes = bytes;
    l->conn = c;
    if (p->has_username) l->q.username = put_text(&at, p->username);
    if (p->has_password) l->q.password = put_text(&at, p->password);
    return l;
}

static enum mqtt_rc refusal(const struct hook_ask *a)
{
    enum { REFUSAL_MIN = 0x80 };
    if (a->verdict == HOOK_BUSY) return MQTT_RC_SERVER_BUSY;
    if (a->verdict == HOOK_LATE) return MQTT_RC_SERVER_UNAVAILABLE;
    bool fits = a->code >= REFUSAL_MIN && reason_fits(PACKET_CONNACK, a->code);
    return fits ? a->code : MQTT_RC_NOT_AUTHORIZED;
}

static enum mqtt_rc login_refuse(struct shard *sh, struct conn *c, const struct hooked_login *l)
{
    const struct hook_ask *a = &l->q.ask;
    if (a->verdict == HOOK_DENY) {
        metrics_add(sh->metrics, METRIC_logins_failed_total, 1);
        login_log_failed(sh, c, bytes_of_text(l->q.username != NULL ? l->q.username : ""));
    }
    hooked_say(c, a->reason);
    enum mqtt_rc rc = connack_refuse(sh, c, refusal(a));
    hooked_say(c, NULL);
    return rc;
}

/* p is what body says. */
static enum mqtt_rc login_act(struct shard *sh, struct conn *c, const struct hooked_login *l,
                              const struct connect *p, struct bytes body)
{
    uint8_t verdict = l->q.ask.verdict;
    if (verdict != HOOK_BUSY) metrics_add(sh->metrics, METRIC_logins_total, 1);
    if (verdict == HOOK_DEFER) return login_deferred(sh, c, p, body);
    if (verdict != HOOK_ALLOW) return login_refuse(sh, c, l);
    c->hooked->is_allowed = true;
    return connect_open(sh, c, p);
}

/* Plugins have their own time: its timer goes on when they have answered. */
static void wait_for_login(struct shard *sh, struct conn *c, struct hooked_login *l)
{
    l->left_ms = c->timer.when_ms > sh->now_ms ? c->timer.when_ms - sh->now_ms : 0;
    wheel_stop(sh->conn_wheel, &c->timer);
    c->hooked->login = l;
    c->state = CONN_AUTH;
    conn_pause(sh, c, PAUSE_CONNACK);
}

enum mqtt_rc hooked_login(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body)
{
    enum mqtt_rc rc = MQTT_RC_OK;
    struct hooked_login *l = login_new(sh, c, p);
    if (l == NULL) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    if (hooks_ask(&l->q.ask)) {
        rc = login_act(sh, c, l, p, body);
        login_unref(l);
        return rc;
    }
    l->connect = connect_keep(body);
    wait_for_login(sh, c, l);
    return l->connect.at != NULL ? rc : connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
}

static void login_answered(struct shard *sh, struct conn *c, struct hooked_login *l)
{
    struct connect p;
    c->hooked->login = NULL;
    wheel_start(sh->conn_wheel, &c->timer, sh->now_ms + l->left_ms);
    conn_resume(sh, c, PAUSE_CONNACK);
    enum mqtt_rc rc = connect_decode(l->connect, &p);
    if (rc == MQTT_RC_OK) rc = login_identify(sh, c, &p);
    if (rc == MQTT_RC_OK)
        login_act(sh, c, l, &p, l->connect);
    else
        connack_refuse(sh, c, rc);
}

void hooked_mail_login(struct shard *sh, struct mail *m)
{
    struct hook_ask *a = CONTAINER(m, struct hook_ask, mail);
    struct hooked_login *l = CONTAINER(a, struct hooked_login, q.ask);
    if (l->conn != NULL) login_answered(sh, l->conn, l);
    login_unref(l);
}

bool hooked_take_name(struct conn *c)
{
    const char *name = hook_client_username(c->hooked->client);
    if (name != NULL && c->username != NULL && strcmp(name, c->username) == 0) return true;
    verdicts_free(&c->hooked->reads.verdicts); /* they were another user's */
    free(c->hooked->name_before);
    c->hooked->name_before = c->username; /* its CONNECT may still point to it */
    c->username = name != NULL ? bytes_to_text(bytes_of_text(name)) : NULL;
    return name == NULL || c->username != NULL;
}
