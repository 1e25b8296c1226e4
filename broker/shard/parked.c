/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/parked.h"
#include "shard/connect.h"
#include "shard/heir.h"
#include "shard/mount.h"
#include "shard/on_login.h"
#include "shard/qos2.h"
#include "shard/verdicts.h"
#include "topic/topic.h"
#include <stdlib.h>

/*
 *   on_publish, dispatch -> parked_publish, parked_takes -> put -> go_on         answered at once, none
 * before it
 *                                                               -> the queue
 *   answer               -> parked_mail_answer -> parked_run    -> go_on
 *   pause over           -> conn_run_ready     -> parked_run
 *   connection ends      -> hooked_gone        -> parked_drop
 */

enum parked_kind { PARKED_PUBLISH, PARKED_FRAME, PARKED_END };

struct parked {
    union {
        struct hook_ask ask; /* also of what nobody is asked about: it counts who has this */
        struct hook_publish publish;
        struct hook_filters filters;
    } q;
    struct parked *next;
    struct conn *conn; /* NULL: gone */
    uint8_t kind;      /* enum parked_kind */
    bool is_asked, waits;
    bool is_again;   /* a PUBLISH whose packet id was known when it came */
    bool is_refused; /* by memory_limit: its payload is not here */
    size_t bytes;
    uint64_t came_ms, epoch; /* struct publish_past */
    struct publish came;     /* of its properties, those that are numbers, and the block */
    struct frame frame;
    enum mqtt_rc why;       /* of PARKED_END; MQTT_RC_OK: the network is gone */
    struct hook_filter *at; /* what the filters of a question lie in, and their text */
    uint8_t *mounted;
    uint8_t copy[]; /* of the packet: topic, properties, payload; or its body */
};

static void parked_free(struct hook_ask *a)
{
    struct parked *k = CONTAINER(a, struct parked, q.ask);
    free(k->at);
    free(k->mounted);
    free(k);
}

static void parked_unref(struct parked *k)
{
    struct hook_ask *a = &k->q.ask;
    hook_ask_unref(&a);
}

static struct parked *parked_new(struct shard *sh, struct conn *c, enum parked_kind kind, size_t bytes)
{
    struct parked *k = calloc(1, sizeof *k + bytes);
    enum hook_about about = kind == PARKED_PUBLISH ? HOOK_PUBLISH : HOOK_SUBSCRIBE;
    if (k == NULL) return NULL;
    hook_ask_init(&k->q.ask, about, conn_hooks(sh, c), c->hooked->client);
    k->q.ask.destroy = parked_free;
    k->q.ask.to = &sh->mailbox;
    k->q.ask.kind = MAIL_HOOK_PACKET;
    k->kind = (uint8_t)kind;
    k->conn = c;
    k->bytes = bytes;
    k->came_ms = sh->wall_ms;
    k->epoch = verdicts_epoch(sh);
    return k;
}

/* --- going on */

static enum mqtt_rc go_on_with_frame(struct shard *sh, struct conn *c, struct parked *k)
{
    enum mqtt_rc rc;
    c->hooked->parked.said = k->is_asked ? &k->q.filters : NULL;
    switch (k->frame.type) {
    case PACKET_SUBSCRIBE: rc = on_subscribe(sh, c, &k->frame); break;
    case PACKET_UNSUBSCRIBE: rc = on_unsubscribe(sh, c, &k->frame); break;
    case PACKET_AUTH: rc = on_auth(sh, c, &k->frame); break;
    default: rc = on_disconnect(sh, c, &k->frame); break;
    }
    c->hooked->parked.said = NULL;
    return rc;
}

static enum mqtt_rc go_on_with_publish(struct shard *sh, struct conn *c, struct parked *k)
{
    struct publish_past past = { k->is_asked ? &k->q.publish : NULL, k->came_ms, k->epoch };
    /* One that came again and has been finished meanwhile is no new message. */
    if (k->came.qos == 2 && (qos2_again(sh, c, k->came.id) || k->is_again)) return MQTT_RC_OK;
    if (k->is_refused) return publish_over_limit(sh, c, &k->came);
    return publish_go_on(sh, c, &k->came, &past);
}

static enum mqtt_rc go_on(struct shard *sh, struct conn *c, struct parked *k)
{
    if (k->kind == PARKED_PUBLISH) return go_on_with_publish(sh, c, k);
    if (k->kind == PARKED_FRAME) return go_on_with_frame(sh, c, k);
    if (k->why == MQTT_RC_OK) conn_drop(sh, c);
    return k->why;
}

static bool counts(const struct parked *k)
{
    return k->kind == PARKED_PUBLISH && k->came.qos > 0;
}

static struct parked *take_first(struct shard *sh, struct hooked *h)
{
    struct parked *k = h->parked.first;
    h->parked.first = k->next;
    if (k->next == NULL) h->parked.last = NULL;
    h->parked.count--;
    h->parked.bytes -= k->bytes;
    h->parked.publishes -= counts(k);
    metrics_sub(sh->metrics, METRIC_packets_parked, 1);
    return k;
}

static void read_again(struct shard *sh, struct conn *c)
{
    const struct hooked *h = c->hooked;
    bool has_room = h->parked.count <= HOOKED_PACKETS_MAX / 2 && h->parked.bytes <= HOOKED_BYTES_MAX / 2;
    if (has_room && !h->parked.is_last) conn_resume(sh, c, PAUSE_HOOKS);
}

static bool may_run(const struct conn *c)
{
    const struct parked *k = c->hooked->parked.first;
    return k != NULL && !k->waits && c->state == CONN_OPEN && (c->paused & ~PAUSE_HOOKS) == 0;
}

/* As much as of packets that have just come; the rest in a later turn. */
void parked_run(struct shard *sh, struct conn *c)
{
    uint64_t before = sh->work;
    while (may_run(c) && sh->work - before < sh->work_of_one) {
        struct parked *k = take_first(sh, c->hooked);
        sh->work++;
        enum mqtt_rc rc = go_on(sh, c, k);
        parked_unref(k);
        if (rc != MQTT_RC_OK) conn_end(sh, c, rc);
        if (c->out.bytes > memory_output_max(sh) && c->state == CONN_OPEN) conn_pause(sh, c, PAUSE_OUTPUT);
    }
    heirs_press(sh, c);
    if (c->state != CONN_OPEN) return;
    if (may_run(c)) conn_queue(sh, c);
    read_again(sh, c);
}

void parked_mail_answer(struct shard *sh, struct mail *m)
{
    struct hook_ask *a = CONTAINER(m, struct hook_ask, mail);
    struct parked *k = CONTAINER(a, struct parked, q.ask);
    struct conn *c = k->conn;
    k->waits = false;
    if (c == NULL)
        parked_unref(k);
    else
        parked_run(sh, c);
}

void parked_drop(struct shard *sh, struct hooked *h)
{
    while (h->parked.first != NULL) {
        struct parked *k = take_first(sh, h);
        k->conn = NULL;
        if (!k->waits) parked_unref(k);
    }
}

/* --- coming in */

static void append(struct shard *sh, struct conn *c, struct parked *k)
{
    struct hooked *h = c->hooked;
    if (h->parked.last == NULL)
        h->parked.first = k;
    else
        h->parked.last->next = k;
    h->parked.last = k;
    h->parked.count++;
    h->parked.bytes += k->bytes;
    h->parked.publishes += counts(k);
    metrics_add(sh->metrics, METRIC_packets_parked, 1);
    bool is_full = h->parked.count >= HOOKED_PACKETS_MAX || h->parked.bytes >= HOOKED_BYTES_MAX;
    if (is_full || h->parked.is_last) conn_pause(sh, c, PAUSE_HOOKS);
}

/* Takes it. */
static enum mqtt_rc put(struct shard *sh, struct conn *c, struct parked *k)
{
    if (k->is_asked) k->waits = !hooks_ask(&k->q.ask);
    if (k->waits || c->hooked->parked.first != NULL) {
        append(sh, c, k);
        return MQTT_RC_OK;
    }
    enum mqtt_rc rc = go_on(sh, c, k);
    parked_unref(k);
    return rc;
}

bool parked_ends(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    if (!parked_any(c) || c->hooked->parked.is_last) return parked_any(c);
    struct parked *k = parked_new(sh, c, PARKED_END, 0);
    if (k == NULL) return false;
    k->why = why;
    c->hooked->parked.is_last = true;
    append(sh, c, k);
    return true;
}

/* --- PUBLISH */

/* A new one: what had come again when it came is no message, and its id may be another's by now. */
static bool is_parked(const struct conn *c, uint16_t id)
{
    for (const struct parked *k = c->hooked->parked.first; k != NULL; k = k->next)
        if (k->kind == PARKED_PUBLISH && k->came.qos == 2 && k->came.id == id && !k->is_again) return true;
    return false;
}

static struct bytes put_bytes(struct wr *w, struct bytes b)
{
    const uint8_t *at = w->at;
    wr_bytes(w, b);
    return bytes_of(at, b.len);
}

/* A copy, with what points into the packet pointing into it. */
static void copy_publish(struct parked *k, const struct publish *p)
{
    struct wr w = { .at = k->copy, .left = k->bytes };
    k->came = *p;
    k->came.topic = put_bytes(&w, p->topic);
    k->came.props.block = put_bytes(&w, p->props.block);
    k->came.payload = put_bytes(&w, p->payload);
}

/* What plugins are told of: the whole topic, and the properties that go on to receivers. False: no memory. */
static bool fill_question(struct parked *k, const struct conn *c, struct bytes topic)
{
    struct hook_publish *q = &k->q.publish;
    struct bytes block = k->came.props.block;
    k->at = NULL;
    k->mounted = malloc(topic.len + block.len + 1);
    if (k->mounted == NULL) return false;
    struct wr w = { .at = k->mounted, .left = topic.len + block.len };
    q->topic = put_bytes(&w, topic);
    const uint8_t *forward = w.at;
    publish_forward_props(&w, block);
    q->block = bytes_of(forward, (size_t)(w.at - forward));
    q->payload = k->came.payload;
    q->qos = k->came.qos;
    q->retain = k->came.retain;
    q->version = c->version;
    return true;
}

/* Does anybody want to hear of it? Then says in the question what about. */
static bool wants(const struct shard *sh, const struct conn *c, struct bytes topic, struct hook_publish *q)
{
    struct hooks *hooks = conn_hooks(sh, c);
    bool has_rules = access_has_rules(sh->view->doors[c->listener->door].access);
    bool may = conn_may(sh, c, topic, ACCESS_WRITE);
    q->asks_acl = hooks_want(hooks, HOOK_EVENT_ACL);
    q->fallback = may && (has_rules || !q->asks_acl) ? HOOK_ALLOW : HOOK_DENY;
    enum hook_verdict said = HOOK_DEFER;
    /* Behind others it may be remembered no more when its turn comes. */
    if (q->asks_acl && !parked_any(c)) said = verdicts_find(sh, c, topic, ACCESS_WRITE);
    if (said != HOOK_DEFER) {
        may = said == HOOK_ALLOW;
        q->asks_acl = false;
    }
    if (q->asks_acl) return true;
    return may && hooks_want(hooks, topic_is_control(topic) ? HOOK_EVENT_CONTROL : HOOK_EVENT_MESSAGE);
}

/* A copy, asked about or not. NULL: no memory. */
static struct parked *new_publish(struct shard *sh, struct conn *c, const struct publish *p, bool is_refused)
{
    struct publish kept = *p;
    if (is_refused) kept.payload = bytes_of(NULL, 0);
    size_t bytes = kept.topic.len + kept.props.block.len + kept.payload.len;
    struct parked *k = parked_new(sh, c, PARKED_PUBLISH, bytes);
    if (k == NULL) return NULL;
    copy_publish(k, &kept);
    k->is_refused = is_refused;
    return k;
}

enum mqtt_rc parked_publish(struct shard *sh, struct conn *c, struct publish *p)
{
    struct bytes topic;
    bool is_again = p->qos == 2 && session_inbound(c->session, p->id) != INBOUND_NONE;
    if (p->qos == 2 && !is_again && is_parked(c, p->id)) {
        metrics_add(sh->metrics, METRIC_publish_duplicates_total, 1);
        return MQTT_RC_OK; /* the PUBREC to come is for both */
    }
    if (is_again && !parked_any(c)) {
        qos2_again(sh, c, p->id);
        return MQTT_RC_OK;
    }
    if (p->qos > 0 && !is_again && publish_is_too_many(c)) return MQTT_RC_RECEIVE_MAX_EXCEEDED;
    struct hook_publish about = { 0 };
    bool asks = !is_again && !publish_is_for_nobody(sh, c, p, &topic) && wants(sh, c, topic, &about);
    if (!asks && !parked_any(c)) return publish_comes(sh, c, p);

    struct parked *k = new_publish(sh, c, p, publish_is_over_limit(sh, p));
    if (k == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    k->is_again = is_again;
    k->is_asked = asks && !k->is_refused;
    k->q.publish.asks_acl = about.asks_acl;
    k->q.publish.fallback = about.fallback;
    if (!k->is_asked || fill_question(k, c, topic)) return put(sh, c, k);
    parked_unref(k);
    return MQTT_RC_QUOTA_EXCEEDED;
}

/* --- other packets */

static void add_filter(struct hook_filters *q, struct bytes filter, uint8_t qos)
{
    q->at[q->count++] = (struct hook_filter){ .filter = filter, .qos = qos };
}

/* None, of a packet that is wrong. False: no memory. */
static bool read_subscribe(struct hook_filters *q, const struct frame *f, uint8_t version)
{
    struct subscribe p;
    struct subscribe_filter one;
    if (subscribe_decode(f->body, version, &p) != MQTT_RC_OK) return true;
    q->at = calloc(p.count, sizeof *q->at);
    while (q->at != NULL && q->count < p.count && subscribe_next(&p, version, &one))
        add_filter(q, one.filter, one.qos);
    return q->at != NULL;
}

static bool read_unsubscribe(struct hook_filters *q, const struct frame *f, uint8_t version)
{
    struct unsubscribe p;
    struct bytes filter;
    if (unsubscribe_decode(f->body, version, &p) != MQTT_RC_OK) return true;
    q->at = calloc(p.count, sizeof *q->at);
    while (q->at != NULL && q->count < p.count && unsubscribe_next(&p, &filter)) add_filter(q, filter, 0);
    return q->at != NULL;
}

/* A packet that is wrong is not asked about: who handles it says so. False: no memory. */
static bool ask_filters(struct shard *sh, const struct conn *c, struct parked *k)
{
    struct hook_filters *q = &k->q.filters;
    struct frame whole = k->frame;
    enum mqtt_rc rc = c->is_mounted ? mount_filters(sh, c, &whole, &k->mounted) : MQTT_RC_OK;
    if (rc != MQTT_RC_OK) return rc != MQTT_RC_QUOTA_EXCEEDED;
    bool subscribes = whole.type == PACKET_SUBSCRIBE;
    bool is_read =
        subscribes ? read_subscribe(q, &whole, c->version) : read_unsubscribe(q, &whole, c->version);
    k->at = q->at;
    if (!is_read) return false;
    for (size_t i = 0; i < q->count; i++)
        if (topic_filter_check(q->at[i].filter) == TOPIC_FILTER_WRONG) return true;
    k->is_asked = q->count > 0;
    q->ask.about = subscribes ? HOOK_SUBSCRIBE : HOOK_UNSUBSCRIBE;
    /* An ACL file says nothing of subscriptions: it is asked when messages are delivered. */
    bool has_rules = access_has_rules(sh->view->doors[c->listener->door].access);
    q->fallback = has_rules ? HOOK_ALLOW : HOOK_DENY;
    return true;
}

static bool is_filters(const struct frame *f)
{
    return f->type == PACKET_SUBSCRIBE || f->type == PACKET_UNSUBSCRIBE;
}

static enum mqtt_rc park(struct shard *sh, struct conn *c, const struct frame *f, bool asks)
{
    bool fits = f->type == PACKET_DISCONNECT || memory_grants_input(sh, f->body.len);
    struct parked *k = fits ? parked_new(sh, c, PARKED_FRAME, f->body.len) : NULL;
    if (k == NULL) return MQTT_RC_QUOTA_EXCEEDED;
    if (f->body.len > 0) memcpy(k->copy, f->body.at, f->body.len);
    k->frame = *f;
    k->frame.body = bytes_of(k->copy, f->body.len);
    if (asks && !ask_filters(sh, c, k)) {
        parked_unref(k);
        return MQTT_RC_QUOTA_EXCEEDED;
    }
    if (f->type == PACKET_DISCONNECT) c->hooked->parked.is_last = true;
    return put(sh, c, k);
}

bool parked_takes(struct shard *sh, struct conn *c, const struct frame *f, enum mqtt_rc *rc)
{
    bool waits = f->type == PACKET_DISCONNECT || f->type == PACKET_AUTH;
    bool asks = is_filters(f) && hooks_want(conn_hooks(sh, c), HOOK_EVENT_ACL);
    if (!asks && !(parked_any(c) && (waits || is_filters(f)))) return false;
    *rc = park(sh, c, f, asks);
    return true;
}

uint8_t parked_refusal(const struct conn *c, uint16_t index)
{
    const struct hook_filters *q = c->hooked == NULL ? NULL : c->hooked->parked.said;
    if (q == NULL) return 0;
    uint8_t verdict = q->at[index].verdict != HOOK_DEFER ? q->at[index].verdict : (uint8_t)q->fallback;
    if (verdict == HOOK_ALLOW) return 0;
    return verdict == HOOK_LATE ? MQTT_RC_IMPLEMENTATION : MQTT_RC_NOT_AUTHORIZED;
}
