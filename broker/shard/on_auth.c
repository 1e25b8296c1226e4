/* SPDX-License-Identifier: Apache-2.0 */
#include "hook/auth.h"
#include "shard/connect.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * Enhanced authentication (MQTT 5.0 section 4.12): the client's side of hook/auth.h.
 *
 *   CONNECT with a method -> auth_begin       CONN_AUTH, first step is asked
 *   AUTH                  -> on_auth          next step; or, of an open connection, the first of a new
 * exchange the method's answer   -> auth_mail_answer AUTH to the client; or CONNACK, AUTH 0x00; or the end
 *   connection freed      -> auth_conn_gone
 */

struct conn_auth {
    struct auth_step step;
    struct conn *conn; /* NULL: gone, and a step is not answered yet */
    const struct auth_method *method;
    bool is_on;           /* an exchange */
    bool is_asked;        /* a step of it */
    uint8_t *data;        /* of the step */
    struct bytes connect; /* body of the CONNECT, until it is let in or refused */
    uint8_t who[];        /* client id, user name */
};

static void exchange_end(struct conn_auth *a)
{
    if (a->is_on) a->method->end(a->method->ctx, a->step.exchange);
    a->is_on = false;
    a->step.exchange = NULL;
}

static void auth_free(struct conn_auth *a)
{
    exchange_end(a);
    auth_reply_clear(&a->step.reply);
    connect_forget(&a->connect);
    free(a->data);
    free(a);
}

void auth_conn_gone(struct conn *c)
{
    struct conn_auth *a = c->auth;
    c->auth = NULL;
    if (a == NULL) return;
    a->conn = NULL;
    if (!a->is_asked) auth_free(a);
}

static struct conn_auth *auth_new(struct shard *sh, struct conn *c, const struct connect *p,
                                  struct bytes body)
{
    struct bytes id = c->assigned_id != NULL ? bytes_of_text(c->assigned_id) : p->client_id;
    struct conn_auth *a = calloc(1, sizeof *a + id.len + p->username.len);
    if (a == NULL) return NULL;
    a->conn = c;
    a->connect = connect_keep(body);
    memcpy(a->who, id.at, id.len);
    a->step.client_id = bytes_of(a->who, id.len);
    if (p->has_username) {
        if (p->username.len > 0) memcpy(a->who + id.len, p->username.at, p->username.len);
        a->step.username = bytes_of(a->who + id.len, p->username.len);
    }
    a->step.to = &sh->mailbox;
    a->step.mail.kind = MAIL_AUTH_ANSWER;
    if (a->connect.at != NULL) return a;
    auth_free(a);
    return NULL;
}

/* The method may answer before this returns: by mail. */
static enum mqtt_rc ask(struct conn_auth *a, enum auth_stage stage, const struct props *props)
{
    struct bytes data = PROPS_HAS(props, auth_data) ? props->auth_data : (struct bytes){ 0 };
    free(a->data);
    a->data = data.len > 0 ? malloc(data.len) : NULL;
    if (a->data == NULL && data.len > 0) return MQTT_RC_QUOTA_EXCEEDED;
    if (data.len > 0) memcpy(a->data, data.at, data.len);
    auth_reply_clear(&a->step.reply);
    a->step.stage = stage;
    a->step.data = bytes_of(a->data, data.len);
    a->is_on = a->is_asked = true;
    a->method->ask(a->method->ctx, &a->step);
    return MQTT_RC_OK;
}

enum mqtt_rc auth_begin(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body)
{
    const struct auth_method *method = auth_find(&sh->all->auth, p->props.auth_method);
    if (method == NULL) return connack_refuse(sh, c, MQTT_RC_BAD_AUTH_METHOD); /* [MQTT-4.12.0-1] */
    c->auth = auth_new(sh, c, p, body);
    if (c->auth == NULL) return connack_refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    c->auth->method = method;
    c->state = CONN_AUTH;
    conn_pause(sh, c, PAUSE_CONNACK);
    enum mqtt_rc rc = ask(c->auth, AUTH_CONNECT, &p->props);
    return rc == MQTT_RC_OK ? rc : connack_refuse(sh, c, rc);
}

/* May this AUTH come now? */
static enum mqtt_rc check(const struct conn *c, const struct session_end *e)
{
    const struct conn_auth *a = c->auth;
    if (a == NULL) return MQTT_RC_PROTOCOL; /* [MQTT-4.12.0-7] */
    bool is_same = bytes_equal(e->props.auth_method, bytes_of_text(a->method->name));
    if (!is_same || a->is_asked) return MQTT_RC_PROTOCOL; /* [MQTT-4.12.0-5], [MQTT-4.12.1-1] */
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
    if (c->state == CONN_AUTH) conn_pause(sh, c, PAUSE_CONNACK);
    return ask(c->auth, e.code == MQTT_RC_CONTINUE_AUTH ? AUTH_MORE : AUTH_AGAIN, &e.props);
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
    const struct conn_auth *a = c->auth;
    if (a == NULL) return;
    PROPS_SET(props, auth_method, bytes_of_text(a->method->name)); /* [MQTT-4.12.0-5] */
    if (a->step.reply.data.len > 0) PROPS_SET(props, auth_data, a->step.reply.data);
}

void auth_told(struct conn *c)
{
    if (c->auth != NULL) auth_reply_clear(&c->auth->step.reply);
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

/* A method may say why in any code; CONNACK and DISCONNECT have not all of them. */
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
        if (c->state == CONN_AUTH) return code;
        break;
    default: break;
    }
    return MQTT_RC_NOT_AUTHORIZED;
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
    struct bytes connect = c->auth->connect;
    c->auth->connect = (struct bytes){ 0 };
    connect_go_on(sh, c, &connect);
}

static void act(struct shard *sh, struct conn *c)
{
    struct conn_auth *a = c->auth;
    enum auth_verdict verdict = a->step.reply.verdict;
    bool is_new = c->state == CONN_AUTH;
    enum mqtt_rc rc = MQTT_RC_OK;
    if (verdict != AUTH_CONTINUE) exchange_end(a);
    if (verdict == AUTH_FAILURE) {
        fail(sh, c, refusal(c, a->step.reply.code));
        return;
    }
    if (is_new) conn_resume(sh, c, PAUSE_CONNACK);
    if (verdict == AUTH_CONTINUE)
        rc = say(sh, c, MQTT_RC_CONTINUE_AUTH);
    else if (is_new)
        let_in(sh, c);
    else
        rc = say(sh, c, MQTT_RC_OK);
    if (rc != MQTT_RC_OK) fail(sh, c, rc);
}

void auth_mail_answer(struct shard *sh, struct mail *m)
{
    struct auth_step *step = CONTAINER(m, struct auth_step, mail);
    struct conn_auth *a = CONTAINER(step, struct conn_auth, step);
    a->is_asked = false;
    if (a->conn == NULL)
        auth_free(a);
    else if (a->conn->state == CONN_AUTH || a->conn->state == CONN_OPEN)
        act(sh, a->conn);
}
