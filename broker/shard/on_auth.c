/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/connect.h"
#include "shard/hooked.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * Enhanced authentication (MQTT 5.0 section 4.12), by plugins: the broker has no method of its own. An
 * exchange is one question after the other; each is answered once, at once or by mail.
 *
 *   CONNECT with a method -> auth_begin  HOOK_AUTH_START, in CONN_AUTH
 *   AUTH                  -> on_auth     HOOK_AUTH_MORE; or, of an open connection, HOOK_AUTH_AGAIN
 *   answer                -> act         MORE: AUTH to the client; ALLOW: CONNACK, or AUTH 0x00; else the end
 *
 * Who the client is, is the plugin's to find out: with a method, allow_anonymous and the password file do not
 * matter. The name that it has then is what the ACL file knows it by.
 */

struct question {
    struct hook_auth auth;
    uint64_t conn_id;
    char texts[]; /* the method with its end, the client's data */
};

struct conn_auth {
    struct question *asked; /* it comes back by mail, whatever becomes of the connection */
    struct question *said;  /* the last that was answered; NULL: its data need not be told any more */
    uint64_t left_ms;     /* of the time for a CONNECT, which does not run while a plugin has the question */
    bool is_on;           /* an exchange */
    struct bytes connect; /* body of the CONNECT, until it is let in or refused */
    char method[];
};

static void question_free(struct hook_ask *a)
{
    struct question *q = CONTAINER(CONTAINER(a, struct hook_auth, ask), struct question, auth);
    if (q->auth.data.len > 0) explicit_bzero((void *)(uintptr_t)q->auth.data.at, q->auth.data.len);
    free(q);
}

static void question_unref(struct question **owner)
{
    struct hook_ask *a = *owner == NULL ? NULL : &(*owner)->auth.ask;
    *owner = NULL;
    hook_ask_unref(&a);
}

void auth_conn_gone(struct conn *c)
{
    struct conn_auth *a = c->seldom->auth;
    if (a == NULL) return;
    conn_seldom(c)->auth = NULL;
    question_unref(&a->said);
    connect_forget(&a->connect);
    free(a);
}

static struct conn_auth *auth_new(struct bytes method, struct bytes body)
{
    struct conn_auth *a = calloc(1, sizeof *a + method.len + 1);
    if (a == NULL) return NULL;
    memcpy(a->method, method.at, method.len);
    a->connect = connect_keep(body);
    if (a->connect.at != NULL) return a;
    free(a);
    return NULL;
}

static struct question *question_new(struct shard *sh, struct conn *c, enum hook_about about,
                                     const struct props *props)
{
    size_t method_bytes = strlen(c->seldom->auth->method) + 1;
    struct bytes data = PROPS_HAS(props, auth_data) ? props->auth_data : (struct bytes){ 0 };
    struct question *q = calloc(1, sizeof *q + method_bytes + data.len);
    if (q == NULL) return NULL;
    memcpy(q->texts, c->seldom->auth->method, method_bytes);
    if (data.len > 0) memcpy(q->texts + method_bytes, data.at, data.len);
    hook_ask_init(&q->auth.ask, about, conn_hooks(sh, c), c->hooked->client);
    q->auth.ask.destroy = question_free;
    q->auth.ask.to = &sh->mailbox;
    q->auth.ask.kind = MAIL_AUTH_ANSWER;
    q->auth.method = q->texts;
    if (PROPS_HAS(props, auth_data)) q->auth.data = bytes_of((uint8_t *)q->texts + method_bytes, data.len);
    q->conn_id = c->id;
    return q;
}

static void act(struct shard *sh, struct conn *c);

static void wait_for_answer(struct shard *sh, struct conn *c)
{
    if (c->state != CONN_AUTH) return; /* who is in goes on meanwhile, and its keepalive runs */
    c->seldom->auth->left_ms = c->timer.when_ms > sh->now_ms ? c->timer.when_ms - sh->now_ms : 0;
    wheel_stop(sh->conn_wheel, &c->timer);
    conn_pause(sh, c, PAUSE_CONNACK);
}

static enum mqtt_rc ask(struct shard *sh, struct conn *c, enum hook_about about, const struct props *props)
{
    struct conn_auth *a = c->seldom->auth;
    if (!hooks_want(conn_hooks(sh, c), HOOK_EVENT_AUTH)) return MQTT_RC_BAD_AUTH_METHOD;
    a->asked = question_new(sh, c, about, props);
    if (a->asked == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    a->is_on = true;
    if (hooks_ask(&a->asked->auth.ask))
        act(sh, c);
    else
        wait_for_answer(sh, c);
    return MQTT_RC_OK;
}

enum mqtt_rc auth_begin(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body)
{
    if (!hooks_want(conn_hooks(sh, c), HOOK_EVENT_AUTH))
        return connack_refuse(sh, c, MQTT_RC_BAD_AUTH_METHOD); /* [MQTT-4.12.0-1] */
    struct conn_seldom *seldom = conn_seldom(c);
    if (seldom != NULL) seldom->auth = auth_new(p->props.auth_method, body);
    if (c->seldom->auth == NULL) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    c->state = CONN_AUTH;
    enum mqtt_rc rc = ask(sh, c, HOOK_AUTH_START, &p->props);
    return rc == MQTT_RC_OK ? rc : connack_refuse(sh, c, rc);
}

/* May this AUTH come now? */
static enum mqtt_rc check(const struct conn *c, const struct session_end *e)
{
    const struct conn_auth *a = c->seldom->auth;
    if (a == NULL) return MQTT_RC_PROTOCOL; /* [MQTT-4.12.0-7] */
    bool is_same = bytes_equal(e->props.auth_method, bytes_of_text(a->method));
    if (!is_same || a->asked != NULL) return MQTT_RC_PROTOCOL; /* [MQTT-4.12.0-5], [MQTT-4.12.1-1] */
    bool fits = e->code == MQTT_RC_CONTINUE_AUTH    ? a->is_on
                : e->code == MQTT_RC_REAUTHENTICATE ? !a->is_on && c->state == CONN_OPEN
                                                    : false;
    return fits ? MQTT_RC_OK : MQTT_RC_PROTOCOL;
}

enum mqtt_rc on_auth(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct session_end e;
    enum mqtt_rc rc = session_end_decode(f, c->version, &e);
    if (rc == MQTT_RC_OK) rc = check(c, &e);
    if (rc != MQTT_RC_OK) return rc;
    return ask(sh, c, e.code == MQTT_RC_CONTINUE_AUTH ? HOOK_AUTH_MORE : HOOK_AUTH_AGAIN, &e.props);
}

enum mqtt_rc auth_dispatch(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct session_end e;
    enum mqtt_rc rc = MQTT_RC_PROTOCOL; /* [MQTT-3.1.2-30] */
    if (f->type == PACKET_AUTH) rc = on_auth(sh, c, f);
    if (f->type == PACKET_DISCONNECT) rc = session_end_decode(f, c->version, &e);
    if (rc != MQTT_RC_OK) return connack_refuse(sh, c, rc);
    if (f->type == PACKET_DISCONNECT) conn_end_quietly(sh, c);
    return MQTT_RC_OK;
}

void auth_fill(const struct conn *c, struct props *props)
{
    const struct conn_auth *a = c->seldom->auth;
    if (a == NULL) return;
    PROPS_SET(props, auth_method, bytes_of_text(a->method)); /* [MQTT-4.12.0-5] */
    if (a->said != NULL && a->said->auth.answer.len > 0) PROPS_SET(props, auth_data, a->said->auth.answer);
}

void auth_told(struct conn *c)
{
    if (c->seldom->auth != NULL) question_unref(&c->seldom->auth->said);
}

static enum mqtt_rc say(struct shard *sh, struct conn *c, enum mqtt_rc code)
{
    struct session_end e = { .code = (uint8_t)code };
    auth_fill(c, &e.props);
    uint32_t size = session_end_size(c->version, PACKET_AUTH, &e);
    if (size > c->max_packet) return MQTT_RC_PACKET_TOO_LARGE;
    uint8_t *at = conn_reserve(sh, c, size);
    if (at == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    struct wr w = { .at = at, .left = size };
    session_end_encode(&w, c->version, PACKET_AUTH, &e);
    conn_commit(sh, c, size);
    auth_told(c);
    return MQTT_RC_OK;
}

/* A plugin may say why in any code; CONNACK and DISCONNECT have not all of them. */
static enum mqtt_rc refusal(const struct conn *c, uint8_t code)
{
    switch (code) {
    case MQTT_RC_UNSPECIFIED:
    case MQTT_RC_IMPLEMENTATION:
    case MQTT_RC_SERVER_BUSY:
    case MQTT_RC_QUOTA_EXCEEDED: return code;
    case MQTT_RC_CLIENT_ID_INVALID:
    case MQTT_RC_BAD_USERNAME_PASSWORD:
    case MQTT_RC_SERVER_UNAVAILABLE:
    case MQTT_RC_BANNED:
    case MQTT_RC_BAD_AUTH_METHOD:
        if (c->state == CONN_AUTH) return code;
        break;
    default: break;
    }
    return MQTT_RC_NOT_AUTHORIZED;
}

/* What the client is told when it is not let in, or may not stay. */
static enum mqtt_rc why_not(const struct conn *c, const struct hook_ask *a)
{
    switch (a->verdict) {
    case HOOK_DEFER: return refusal(c, MQTT_RC_BAD_AUTH_METHOD); /* nobody knows it [MQTT-4.12.0-1] */
    case HOOK_DENY: return refusal(c, a->code);
    case HOOK_BUSY: return MQTT_RC_SERVER_BUSY;
    case HOOK_LATE: return c->state == CONN_AUTH ? MQTT_RC_SERVER_UNAVAILABLE : MQTT_RC_IMPLEMENTATION;
    default: return MQTT_RC_UNSPECIFIED; /* a callback that failed */
    }
}

static void fail(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    if (c->state == CONN_AUTH)
        connack_refuse(sh, c, why);
    else
        conn_end(sh, c, why);
}

static void let_in(struct shard *sh, struct conn *c)
{
    struct bytes connect = c->seldom->auth->connect;
    c->seldom->auth->connect = (struct bytes){ 0 };
    connect_go_on(sh, c, &connect);
}

static enum mqtt_rc go_on(struct shard *sh, struct conn *c, enum hook_verdict verdict)
{
    bool is_new = c->state == CONN_AUTH;
    if (is_new && !wheel_running(&c->timer))
        wheel_start(sh->conn_wheel, &c->timer, sh->now_ms + c->seldom->auth->left_ms);
    if (is_new) conn_resume(sh, c, PAUSE_CONNACK);
    if (verdict == HOOK_MORE) return say(sh, c, MQTT_RC_CONTINUE_AUTH);
    if (!hooked_take_name(c)) return MQTT_RC_QUOTA_EXCEEDED;
    if (!is_new) return say(sh, c, MQTT_RC_OK);
    let_in(sh, c);
    return MQTT_RC_OK;
}

/* The question under way is answered. */
static void act(struct shard *sh, struct conn *c)
{
    struct conn_auth *a = c->seldom->auth;
    const struct hook_ask *answer = &a->asked->auth.ask;
    enum hook_verdict verdict = (enum hook_verdict)answer->verdict;
    question_unref(&a->said);
    a->said = a->asked;
    a->asked = NULL;
    if (verdict != HOOK_MORE) a->is_on = false;
    bool goes_on = verdict == HOOK_MORE || verdict == HOOK_ALLOW;
    enum mqtt_rc rc = goes_on ? go_on(sh, c, verdict) : why_not(c, answer);
    if (rc == MQTT_RC_OK) return;
    hooked_say(c, goes_on ? NULL : answer->reason);
    fail(sh, c, rc);
    hooked_say(c, NULL);
}

void auth_mail_answer(struct shard *sh, struct mail *m)
{
    struct hook_ask *answer = CONTAINER(m, struct hook_ask, mail);
    struct question *q = CONTAINER(CONTAINER(answer, struct hook_auth, ask), struct question, auth);
    struct conn *c = conn_find(sh, q->conn_id);
    bool is_waited_for = c != NULL && (c->state == CONN_AUTH || c->state == CONN_OPEN);
    if (is_waited_for)
        act(sh, c);
    else
        question_unref(&q);
}
