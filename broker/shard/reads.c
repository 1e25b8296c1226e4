/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/reads.h"
#include "shard/hooked.h"
#include "shard/on_login.h"
#include "shard/verdicts.h"
#include <stdlib.h>

/*
 *   queue of some hooks:   first                                          last
 *                          vector (asked, back) -> vector (asked) -> ... -> vector (gathers)
 *
 * A vector is asked when it is full; at the end of a turn; or, while the plugins have enough to do, when an
 * earlier one comes back, so that many small turns do not make as many questions. Only the first is handled,
 * from its first item on: that is what keeps the order.
 */

enum { ITEMS_MIN = 8, ASKED_ENOUGH = 4 };

struct read_item {
    struct hook_read read;
    uint64_t conn_id;
    uint32_t share_id, bytes;
    uint16_t id;
    uint8_t qos;
    bool dup, retain, is_shared;
};

struct reads_vector {
    struct hook_reads reads;
    struct reads_vector *next;
    bool is_asked, is_back;
    size_t room, done; /* the second: items that are handled */
    uint64_t epoch;    /* of verdicts, when it was asked */
    struct read_item at[];
};

struct reads_queue {
    struct list of_shard;
    struct hooks *hooks;
    struct reads_vector *first, *last;
    uint32_t asked; /* and not back */
};

void reads_init(struct reads *r)
{
    list_init(&r->queues);
}

/* --- vectors */

static struct reads_vector *vector_of(struct hook_ask *a)
{
    return CONTAINER(CONTAINER(a, struct hook_reads, ask), struct reads_vector, reads);
}

static struct hook_read *item_at(struct hook_reads *r, size_t i)
{
    return &CONTAINER(r, struct reads_vector, reads)->at[i].read;
}

static void vector_destroy(struct hook_ask *a)
{
    struct reads_vector *v = vector_of(a);
    for (size_t i = 0; i < v->reads.count; i++) {
        hook_client_unref(&v->at[i].read.client);
        msg_unref(&v->at[i].read.msg);
    }
    free(v);
}

static struct reads_vector *vector_new(struct hooks *hooks, size_t room)
{
    struct reads_vector *v = malloc(sizeof *v + room * sizeof v->at[0]);
    if (v == NULL) return NULL;
    *v = (struct reads_vector){ .room = room };
    hook_ask_init(&v->reads.ask, HOOK_READ, hooks, NULL);
    v->reads.ask.destroy = vector_destroy;
    v->reads.item = item_at;
    return v;
}

static void vector_free(struct reads_vector *v)
{
    struct hook_ask *a = &v->reads.ask;
    hook_ask_unref(&a);
}

static void vector_add(struct reads_vector *v, const struct read_item *item)
{
    struct read_item *at = &v->at[v->reads.count++];
    *at = *item;
    at->read.client = hook_client_ref(item->read.client);
    at->read.msg = msg_ref(item->read.msg);
}

/* --- queues */

static struct reads_queue *queue_of(struct shard *sh, struct hooks *hooks)
{
    struct list *all = &sh->reads.queues;
    for (struct list *at = all->next; at != all; at = at->next) {
        struct reads_queue *q = CONTAINER(at, struct reads_queue, of_shard);
        if (q->hooks == hooks) return q;
    }
    struct reads_queue *q = calloc(1, sizeof *q);
    if (q == NULL) return NULL;
    q->hooks = hooks_ref(hooks);
    list_add(all, &q->of_shard);
    return q;
}

static void queue_free(struct reads_queue *q)
{
    list_remove(&q->of_shard);
    hooks_unref(&q->hooks);
    free(q);
}

void reads_fini(struct reads *r)
{
    while (!list_empty(&r->queues)) {
        struct reads_queue *q = CONTAINER(r->queues.next, struct reads_queue, of_shard);
        for (struct reads_vector *next, *v = q->first; v != NULL; v = next) {
            next = v->next;
            if (!v->is_asked || v->is_back) vector_free(v); /* else it is the host's, who ends later */
        }
        queue_free(q);
    }
}

static bool is_open(const struct reads_vector *v)
{
    return v != NULL && !v->is_asked;
}

/* It waits no more. NULL: its connection has ended, and what is known of it is known no more. */
static struct conn *take_off(struct shard *sh, const struct read_item *i)
{
    struct conn *c = conn_find(sh, i->conn_id);
    sh->reads.waiting--;
    if (c == NULL || c->hooked == NULL) return NULL;
    struct conn_reads *r = &c->hooked->reads;
    r->bytes -= i->bytes;
    if (--r->waiting == 0) r->queue = NULL;
    return c->state == CONN_OPEN ? c : NULL;
}

/* Plugins have heard that these clients are gone, and do not know them any more. */
static void drop_gone(struct shard *sh, struct reads_vector *v)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->reads.count; i++) {
        struct read_item *item = &v->at[i];
        const struct conn *c = conn_find(sh, item->conn_id);
        if (c != NULL && c->state == CONN_OPEN) {
            v->at[kept++] = *item;
            continue;
        }
        take_off(sh, item);
        hook_client_unref(&item->read.client);
        msg_unref(&item->read.msg);
    }
    v->reads.count = kept;
}

/* The host says when it is back: by mail, or at once. */
static void ask(struct shard *sh, struct reads_queue *q, struct reads_vector *v)
{
    drop_gone(sh, v);
    v->is_asked = true;
    v->epoch = verdicts_epoch(sh);
    v->reads.ask.to = &sh->mailbox;
    v->reads.ask.kind = MAIL_READS;
    v->is_back = v->reads.count == 0 || hooks_ask(&v->reads.ask);
    q->asked += !v->is_back;
}

/* The last one, with room for another item; NULL without memory. */
static struct reads_vector *open_vector(struct reads_queue *q)
{
    struct reads_vector *v = q->last;
    if (is_open(v) && v->reads.count < v->room) return v;
    if (!is_open(v)) {
        struct reads_vector *fresh = vector_new(q->hooks, ITEMS_MIN);
        if (fresh == NULL) return NULL;
        if (v == NULL)
            q->first = fresh;
        else
            v->next = fresh;
        return q->last = fresh;
    }
    struct reads_vector **at = &q->first; /* the one before may point to it */
    while (*at != v) at = &(*at)->next;
    size_t room = v->room * 2;
    struct reads_vector *grown = realloc(v, sizeof *v + room * sizeof v->at[0]);
    if (grown == NULL) return NULL;
    grown->room = room;
    return *at = q->last = grown;
}

/* --- in */

static bool allows(const struct access *a, const struct conn *c, struct bytes topic)
{
    return a == NULL || login_may(a, c, topic, ACCESS_READ);
}

/* When all plugins defer. Where one could have decided and none has, an ACL file must allow it. */
static enum hook_verdict fallback(const struct shard *sh, const struct conn *c, struct bytes topic,
                                  bool wanted)
{
    const struct access *a = sh->view->doors[c->listener->door].access;
    bool has_rules = a != NULL && access_has_rules(a);
    if (wanted && !has_rules) return HOOK_DENY;
    return allows(a, c, topic) ? HOOK_ALLOW : HOOK_DENY;
}

static bool queue_item(struct shard *sh, struct conn *c, const struct read_item *item, struct hooks *hooks)
{
    struct conn_reads *r = &c->hooked->reads;
    struct reads_queue *q = r->queue != NULL ? r->queue : queue_of(sh, hooks);
    struct reads_vector *v = q == NULL ? NULL : open_vector(q);
    if (v == NULL) return false; /* an empty queue goes with the turn */
    vector_add(v, item);
    r->queue = q;
    r->waiting++;
    r->bytes += item->bytes;
    sh->reads.waiting++;
    if (v->reads.count == READS_A_VECTOR) ask(sh, q, v);
    return true;
}

/* QoS 0 that would take too much: as for a slow reader. */
static bool is_too_much(struct shard *sh, const struct conn *c, const struct read_item *item)
{
    if (item->qos > 0) return false;
    bool is_slow = c->out.bytes + c->hooked->reads.bytes > OUT_BYTES_QOS0_MAX;
    return is_slow || sh->reads.waiting >= READS_WAITING_MAX || !memory_grants(sh, sizeof *item);
}

static enum read_fate no_room(struct shard *sh, struct conn *c, uint8_t qos)
{
    if (qos > 0) {
        conn_doom(sh, c); /* its session keeps the message */
        return READ_LATER;
    }
    metrics_add(sh->metrics, METRIC_publish_dropped_qos0_total, 1);
    log_event(sh->log, EVENT_CLIENT_SLOW, LOG_TEXT("client", session_client_id(c->session)));
    return READ_NEVER;
}

static enum read_fate denied(struct shard *sh)
{
    metrics_add(sh->metrics, METRIC_deliveries_denied_total, 1);
    return READ_NEVER;
}

enum read_fate reads_judge(struct shard *sh, struct conn *c, const struct conn_publish *p)
{
    struct conn_reads *r = &c->hooked->reads;
    struct hooks *hooks = conn_hooks(sh, c);
    bool wanted = hooks_want(hooks, HOOK_EVENT_ACL);
    struct bytes topic = msg_topic(p->msg);
    if (r->waiting == 0 && p->msg->is_for_one) return READ_NOW;
    if (r->waiting == 0 && !wanted) return conn_may_get(sh, c, topic) ? READ_NOW : READ_NEVER;
    if (r->waiting == 0) {
        enum hook_verdict said = verdicts_find(sh, c, topic, ACCESS_READ);
        if (said != HOOK_DEFER) return said == HOOK_ALLOW ? READ_NOW : denied(sh);
    }
    struct read_item item = {
        .read = { .client = c->hooked->client,
                  .msg = p->msg,
                  .qos = p->msg->qos,
                  .retain = p->msg->retain,
                  .fallback = (uint8_t)fallback(sh, c, topic, wanted) },
        .conn_id = c->id,
        .share_id = p->share_id,
        .bytes = (uint32_t)(sizeof item + topic.len + p->msg->block_bytes + p->msg->payload_bytes),
        .id = p->id,
        .qos = p->qos,
        .dup = p->dup,
        .retain = p->retain,
        .is_shared = p->is_shared,
    };
    if (is_too_much(sh, c, &item) || !queue_item(sh, c, &item, hooks)) return no_room(sh, c, p->qos);
    return READ_LATER;
}

/* --- out */

static struct session_send send_of(const struct read_item *i)
{
    return (struct session_send){
        .msg = i->read.msg, .id = i->id, .qos = i->qos, .dup = i->dup, .retain = i->retain
    };
}

/* A client may have answered what it had over an earlier connection, or what it cannot know of. */
static bool is_expected(const struct session *s, const struct read_item *i)
{
    if (i->qos == 0) return true;
    if (i->is_shared) return session_shared_sent(s, i->id, i->read.msg) != NULL;
    struct session_send given = send_of(i);
    return session_awaits(s, &given);
}

/* The window has room for another one. */
static void finish(struct shard *sh, struct session *s, const struct read_item *i, bool is_denied)
{
    if (i->qos == 0) return;
    if (!i->is_shared) {
        struct session_send given = send_of(i);
        session_skip(s, &given);
    } else {
        struct share_entry *e = session_shared_sent(s, i->id, i->read.msg);
        if (is_denied)
            session_shared_refuse(s, e);
        else
            session_shared_skip(s, e);
    }
    feed_pump(sh, s);
}

static bool send(struct shard *sh, struct conn *c, const struct read_item *i)
{
    if (i->qos == 0 && !i->is_shared) {
        conn_fan_again(sh, i->read.msg);
        conn_fan_send(sh, c, i->retain);
        return true;
    }
    struct conn_publish p = { i->read.msg, i->id, i->qos, i->dup, i->retain, i->is_shared, i->share_id };
    return conn_send_allowed(sh, c, &p);
}

/* A shared message that is refused goes to another member; when there is none, its group counts it. */
static bool is_for_another(const struct read_item *i)
{
    return i->is_shared && i->qos == 1;
}

static void apply(struct shard *sh, struct conn *c, const struct read_item *i)
{
    if (!is_expected(c->session, i)) return;
    if (i->read.verdict == HOOK_ALLOW) {
        if (!send(sh, c, i)) finish(sh, c->session, i, false);
        return;
    }
    if (!is_for_another(i)) metrics_add(sh->metrics, METRIC_deliveries_denied_total, 1);
    finish(sh, c->session, i, true);
}

static void go_on(struct shard *sh, struct conn *c)
{
    const struct conn_reads *r = &c->hooked->reads;
    if (r->bytes <= memory_output_max(sh) / 2) conn_resume(sh, c, PAUSE_READS);
    if (c->blocked || session_has_jobs(c->session)) conn_mark_dirty(sh, c); /* its flush goes on */
}

/* A message for one client alone is asked about for the order: that says nothing of what it may read. */
static void remember(struct shard *sh, struct conn *c, const struct reads_vector *v,
                     const struct read_item *i)
{
    if (i->read.msg->is_for_one) return;
    struct verdict_of said = { msg_topic(i->read.msg), ACCESS_READ, i->read.verdict, v->epoch };
    verdicts_note(sh, c, &said);
}

static void settle(struct shard *sh, const struct reads_vector *v, struct read_item *i)
{
    struct conn *c = take_off(sh, i);
    if (i->read.verdict == HOOK_DEFER) i->read.verdict = i->read.fallback;
    if (c == NULL) return;
    remember(sh, c, v, i);
    if (i->read.msg->is_for_one) i->read.verdict = HOOK_ALLOW;
    apply(sh, c, i);
    go_on(sh, c);
}

/* Has nobody said anything about it? */
static bool is_late(const struct reads_vector *v, const struct read_item *i)
{
    return i->read.verdict == HOOK_LATE ||
           (i->read.verdict == HOOK_DEFER && v->reads.ask.verdict == HOOK_LATE);
}

/* False: what is left is to be asked again. */
static bool handle(struct shard *sh, struct reads_vector *v)
{
    for (; v->done < v->reads.count; v->done++) {
        struct read_item *i = &v->at[v->done];
        if (is_late(v, i) && !sh->closing) break;
        settle(sh, v, i);
    }
    conn_fan_end(sh);
    return v->done == v->reads.count;
}

/* The host may still read the old question, and so it is another one. Without memory: later. */
static bool ask_again(struct shard *sh, struct reads_queue *q)
{
    struct reads_vector *old = q->first;
    struct reads_vector *v = vector_new(q->hooks, old->reads.count - old->done);
    if (v == NULL) return false;
    for (size_t i = old->done; i < old->reads.count; i++) {
        struct read_item item = old->at[i];
        item.read.verdict = HOOK_DEFER;
        vector_add(v, &item);
    }
    v->next = old->next;
    q->first = v;
    if (q->last == old) q->last = v;
    vector_free(old);
    ask(sh, q, v);
    return true;
}

static void run(struct shard *sh, struct reads_queue *q)
{
    while (q->first != NULL && q->first->is_back) {
        struct reads_vector *v = q->first;
        if (!handle(sh, v)) {
            metrics_add(sh->metrics, METRIC_reads_asked_again_total, 1);
            ask_again(sh, q);
            return; /* one that is answered at once, and late, waits for another turn */
        }
        sh->work += (uint32_t)v->reads.count;
        q->first = v->next;
        if (q->first == NULL) q->last = NULL;
        vector_free(v);
    }
}

void reads_mail_answer(struct shard *sh, struct mail *m)
{
    struct reads_vector *v = vector_of(CONTAINER(m, struct hook_ask, mail));
    v->is_back = true;
    struct list *all = &sh->reads.queues, *next;
    for (struct list *at = all->next; at != all; at = next) {
        struct reads_queue *q = CONTAINER(at, struct reads_queue, of_shard);
        next = at->next;
        if (q->hooks != v->reads.ask.hooks) continue;
        q->asked--;
        run(sh, q);
        return;
    }
}

/* True: it was asked. */
static bool ask_open(struct shard *sh, struct reads_queue *q)
{
    if (!is_open(q->last) || q->asked >= ASKED_ENOUGH) return false;
    ask(sh, q, q->last);
    return true;
}

void reads_turn(struct shard *sh)
{
    struct list *all = &sh->reads.queues, *next;
    for (struct list *at = all->next; at != all; at = next) {
        struct reads_queue *q = CONTAINER(at, struct reads_queue, of_shard);
        do run(sh, q);
        while (ask_open(sh, q));
        next = at->next;
        if (q->first == NULL) queue_free(q);
    }
}

void reads_conn_gone(struct conn_reads *r)
{
    verdicts_free(&r->verdicts);
}
