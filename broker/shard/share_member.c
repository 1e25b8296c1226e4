/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "shard/hooked.h"
#include "shard/job.h"
#include "shard/shard_int.h"
#include "shard/subscribe.h"
#include <stdlib.h>

/* A session's side of its shared subscriptions: it joins and leaves, says what it can take, and sends to its
 * client what its groups give it. */

static bool is_text(const void *item, const void *key)
{
    return bytes_equal(membership_text(item), *(const struct bytes *)key);
}

static uint64_t text_hash(const struct shard *sh, struct bytes text)
{
    return bytes_hash(text, sh->all->seed);
}

struct membership *shares_find(const struct shard *sh, const struct session *s, struct bytes text)
{
    return map_get(&s->shared->members, text_hash(sh, text), is_text, &text);
}

/* --- notes to the groups */

static struct share_note *note_new(const struct shard *sh, struct membership *ms, enum note_kind kind)
{
    struct share_note *n = calloc(1, sizeof *n);
    if (n == NULL) return NULL;
    list_init(&n->of_group);
    n->kind = kind;
    n->from = (uint16_t)sh->index;
    n->membership = ms;
    return n;
}

/* Small and fixed: without it the group would count on who is gone. */
static struct share_note *note_surely(const struct shard *sh, struct membership *ms, enum note_kind kind)
{
    struct share_note *n = note_new(sh, ms, kind);
    CHECK(n != NULL);
    return n;
}

static void post(struct shard *sh, struct share_note *n)
{
    shard_post(sh, n->membership->owner, &n->mail, MAIL_SHARE_NOTE);
}

/* What it can take, and who it is. Without memory for that it takes nothing. */
static void set_credit(const struct shard *sh, struct share_note *n, const struct session *s)
{
    if (s->conn == NULL) return;
    n->reader = share_reader_of(sh, s->conn, s);
    if (n->reader != NULL) n->credit = s->window < SHARE_CREDIT_MAX ? s->window : SHARE_CREDIT_MAX;
}

static struct share_terms terms_of(const struct shard *sh, const struct membership *ms)
{
    const struct session *s = ms->session;
    return (struct share_terms){
        .session_no = s->persistent ? s->session_no : 0,
        .shard = (uint16_t)sh->index,
        .qos = ms->options.qos,
        .retain_as_published = ms->options.retain_as_published,
    };
}

static void set_credits(struct shard *sh, struct session *s)
{
    const struct map *members = &s->shared->members;
    size_t at = 0;
    for (struct membership *ms = map_next(members, &at); ms != NULL; ms = map_next(members, &at)) {
        struct share_note *n = note_surely(sh, ms, NOTE_CREDIT);
        set_credit(sh, n, s);
        post(sh, n);
    }
}

/* --- memberships */

static struct membership *membership_new(struct shard *sh, struct session *s, struct bytes text)
{
    if (s->subs.count + s->shared->members.count >= SUBSCRIPTIONS_MAX) return NULL;
    struct membership *ms = calloc(1, sizeof *ms + text.len);
    if (ms == NULL) return NULL;
    if (session_shared_open(s) != ERR_OK) {
        free(ms);
        return NULL;
    }
    ms->session = s;
    ms->owner = (uint16_t)shard_of_client(sh->all, text);
    ms->text_bytes = (uint16_t)text.len;
    memcpy(ms->text, text.at, text.len);
    if (map_put(&session_shared_own(s->shared)->members, text_hash(sh, text), ms) != ERR_OK) {
        free(ms);
        return NULL;
    }
    metrics_add(sh->metrics, METRIC_shared_subscriptions, 1);
    return ms;
}

static void set_wish(struct membership *ms, const struct subscribe_wish *wish)
{
    uint32_t *identified = &session_shared_own(ms->session->shared)->identified;
    *identified -= ms->id != 0;
    *identified += wish->id != 0;
    ms->id = wish->id;
    ms->options = wish->options;
}

static struct membership *membership_take(struct shard *sh, struct session *s, struct bytes text)
{
    if (s->shared->members.count == 0) return NULL;
    struct map *members = &session_shared_own(s->shared)->members;
    struct membership *ms = map_take(members, text_hash(sh, text), is_text, &text);
    if (ms == NULL) return NULL;
    set_wish(ms, &(struct subscribe_wish){ 0 });
    ms->session = NULL;
    metrics_sub(sh->metrics, METRIC_shared_subscriptions, 1);
    return ms;
}

static void membership_end(struct shard *sh, struct membership *ms)
{
    post(sh, note_surely(sh, ms, NOTE_LEAVE));
}

enum err shares_subscribe(struct shard *sh, struct subscribe_job *j, uint16_t index, struct bytes text,
                          const struct subscribe_wish *wish)
{
    struct session *s = j->session;
    struct membership *ms = shares_find(sh, s, text);
    struct share_note *n = note_new(sh, NULL, NOTE_JOIN);
    if (n != NULL && ms == NULL) ms = membership_new(sh, s, text);
    if (n == NULL || ms == NULL) {
        free(n);
        return ERR_FULL;
    }
    set_wish(ms, wish);
    n->membership = ms;
    n->terms = terms_of(sh, ms);
    set_credit(sh, n, s);
    n->job = j;
    n->job_index = index;
    j->joins++;
    post(sh, n);
    return ERR_OK;
}

bool shares_unsubscribe(struct shard *sh, struct session *s, struct bytes text)
{
    struct membership *ms = membership_take(sh, s, text);
    if (ms == NULL) return false;
    session_shared_leave(s, ms);
    shares_send_home(sh, s);
    membership_end(sh, ms);
    return true;
}

void shares_online(struct shard *sh, struct session *s)
{
    set_credits(sh, s);
}

void shares_offline(struct shard *sh, struct session *s)
{
    shares_send_home(sh, s);
    set_credits(sh, s);
}

static struct membership *any_of(const struct session *s)
{
    size_t at = 0;
    return map_next(&s->shared->members, &at);
}

void shares_session_gone(struct shard *sh, struct session *s)
{
    for (struct membership *ms = any_of(s); ms != NULL; ms = any_of(s))
        membership_end(sh, membership_take(sh, s, membership_text(ms)));
}

void shares_forget(struct session *s)
{
    size_t at = 0;
    const struct map *members = &s->shared->members;
    if (members->count == 0) return;
    for (struct membership *ms = map_next(members, &at); ms != NULL; ms = map_next(members, &at)) free(ms);
    map_fini(&session_shared_own(s->shared)->members);
}

static void joined(struct shard *sh, struct share_note *n)
{
    struct subscribe_job *j = n->job;
    struct membership *ms = n->membership;
    if (n->code != MQTT_RC_OK) {
        if (ms->session != NULL) shares_unsubscribe(sh, ms->session, membership_text(ms));
        j->codes[n->job_index] = n->code;
    }
    if (--j->joins == 0) job_joined(sh, j);
}

void share_mail_answer(struct shard *sh, struct mail *mail)
{
    struct share_note *n = CONTAINER(mail, struct share_note, mail);
    if (n->kind == NOTE_JOIN)
        joined(sh, n);
    else
        free(n->membership);
    free(n);
}

enum err shares_restore(struct shard *sh, struct session *s, struct bytes text,
                        const struct subscribe_wish *wish)
{
    struct membership *ms = membership_new(sh, s, text);
    if (ms == NULL) return ERR_NOMEM;
    set_wish(ms, wish);
    struct share_terms terms = terms_of(sh, ms);
    return group_restore_member(sh->all->at[ms->owner], ms, &terms);
}

/* --- what the groups give */

static void go_home(struct shard *sh, struct share_entry *e)
{
    shard_post(sh, e->home, &e->mail, MAIL_SHARE_HOME);
}

void shares_send_home(struct shard *sh, struct session *s)
{
    for (struct share_entry *e = session_shared_home(s); e != NULL; e = session_shared_home(s))
        go_home(sh, e);
}

static struct conn_publish packet_of(const struct share_entry *e)
{
    return (struct conn_publish){
        .msg = e->msg,
        .id = e->id,
        .qos = e->qos,
        .dup = e->dup && e->qos == 1, /* QoS 2 leaves its queue before it is given: it is new */
        .retain = e->retain,
        .is_shared = true,
        .share_id = e->sub_id,
    };
}

bool shares_send(struct shard *sh, struct session *s)
{
    struct share_entry *e = session_shared_next(s);
    if (e == NULL) return false;
    struct conn_publish p = packet_of(e);
    if (!conn_send_publish(sh, s->conn, &p)) session_shared_skip(s, e);
    return true;
}

/* QoS 0: now or never. */
static void send_qos0(struct shard *sh, struct conn *c, struct share_entry *e)
{
    struct conn_publish p = packet_of(e);
    if (c->state != CONN_OPEN) return;
    if (conn_output_bytes(c) <= OUT_BYTES_QOS0_MAX) {
        conn_send_publish(sh, c, &p);
        return;
    }
    metrics_add(sh->metrics, METRIC_publish_dropped_qos0_total, 1);
    log_event(sh->log, EVENT_CLIENT_SLOW, LOG_TEXT("client", session_client_id(c->session)));
}

void share_mail_give(struct shard *sh, struct mail *mail)
{
    struct share_entry *e = CONTAINER(mail, struct share_entry, mail);
    const struct membership *ms = e->to;
    struct session *s = ms->session;
    e->sub_id = ms->id;
    if (s == NULL || s->conn == NULL) { /* since it was given */
        e->is_back = e->how == SHARE_GIVE;
        go_home(sh, e);
    } else if (e->how == SHARE_MOVE) {
        session_shared_moved(s, e);
        shares_send_home(sh, s);
    } else if (e->qos == 0) {
        send_qos0(sh, s->conn, e);
        go_home(sh, e);
    } else {
        session_shared_give(s, e);
        feed_pump(sh, s);
    }
}
