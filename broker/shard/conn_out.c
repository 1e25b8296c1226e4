/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/acks.h"
#include "shard/alias.h"
#include "shard/hooked.h"
#include "shard/keepalive_way.h"
#include "shard/mount.h"
#include "shard/on_login.h"
#include "shard/shard_int.h"
#include "shard/subscribe.h"
#include <stdlib.h>

/* What a connection says: packets into its output, and the output to the network once a turn. */

void conn_mark_dirty(struct shard *sh, struct conn *c)
{
    if (c->is_dirty) return;
    if (!list_empty(&c->dirty)) late_leave(sh, c);
    c->is_dirty = true;
    list_add(&sh->dirty, &c->dirty);
    sh->work += WORK_OF_WRITE;
}

void conn_unmark_dirty(struct shard *sh, struct conn *c)
{
    late_leave(sh, c);
    list_remove(&c->dirty);
    c->is_dirty = false;
}

/* Something has been added to its output. */
static void note_output(struct shard *sh, struct conn *c, size_t bytes)
{
    metrics_add(sh->metrics, METRIC_packets_sent_total, 1);
    if (!sh->fans_out) {
        sh->work += bytes / WORK_BYTES;
        conn_mark_dirty(sh, c);
    } else if (!c->wants_write) { /* else it is written when there is room */
        late_put(sh, c, bytes);
    }
}

uint8_t *conn_reserve(struct shard *sh, struct conn *c, size_t n)
{
    uint8_t *at = out_reserve(&c->out, &sh->pool, n);
    if (at == NULL) log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_NUM("bytes", n));
    return at;
}

void conn_commit(struct shard *sh, struct conn *c, size_t n)
{
    out_commit(&c->out, n);
    note_output(sh, c, n);
}

/* Seconds left of a message's expiry, rounded up so that a live message never says 0. */
static uint32_t expiry_left_s(const struct shard *sh, const struct msg *m)
{
    uint64_t left_ms = m->expires_ms > sh->wall_ms ? m->expires_ms - sh->wall_ms : 0;
    return (uint32_t)((left_ms + 999) / 1000);
}

static struct publish_head head_of(const struct shard *sh, const struct conn *c, const struct conn_publish *p)
{
    bool v5 = c->version == MQTT_V5;
    struct publish_head h = {
        .topic = msg_topic(p->msg),
        .block_bytes = v5 ? p->msg->block_bytes : 0,
        .payload_bytes = p->msg->payload_bytes,
        .id = p->id,
        .qos = p->qos,
        .dup = p->dup,
        .retain = p->retain,
    };
    if (v5 && p->msg->expires_ms != 0) {
        h.has_expiry = true;
        h.expiry_s = expiry_left_s(sh, p->msg);
    }
    return h;
}

/* Small payloads are copied: cheaper than another part in the write. Large ones are lent. */
static bool write_publish(struct shard *sh, struct conn *c, const struct publish_head *h, struct msg *m)
{
    uint32_t total = publish_head_size(c->version, h);
    struct bytes tail = msg_tail(m, c->version == MQTT_V5);
    bool share = tail.len >= PAYLOAD_SHARED_BYTES;
    size_t copied = share ? total - tail.len : total;

    uint8_t *at = conn_reserve(sh, c, copied);
    if (at == NULL) return false;
    struct wr w = { .at = at, .left = copied };
    publish_head_encode(&w, c->version, h);
    if (!share) wr_bytes(&w, tail);
    CHECK(!w.bad);
    CHECK(w.left == 0);
    /* The head is committed only once its tail is sure. */
    if (!share) {
        conn_commit(sh, c, copied);
        return true;
    }
    out_commit(&c->out, copied);
    if (out_share(&c->out, m, tail) == ERR_OK) {
        note_output(sh, c, total);
        return true;
    }
    /* Half a packet is in the stream: this connection is lost, its session is not. */
    conn_doom(sh, c);
    return true;
}

/* What a version 5 client has asked for itself. False: no memory. */
static bool make_personal(struct shard *sh, struct conn *c, const struct conn_publish *p,
                          struct publish_head *h)
{
    if (p->is_shared)
        h->ids_count = p->share_id != 0;
    else if (!sub_ids_find(sh, c->session, p->msg, &h->ids_count))
        return false;
    h->ids = p->is_shared ? &p->share_id : sh->sub_ids;
    if (c->alias_max == 0) return true;
    if (c->alias_out == NULL) c->alias_out = alias_out_new(c->alias_max);
    if (c->alias_out == NULL) return true;
    struct alias_pick pick = alias_out_pick(c->alias_out, h->topic, subs_hash(sh->all->subs, h->topic));
    h->topic_alias = pick.alias;
    if (pick.is_known) h->topic.len = 0;
    if (pick.alias == 0 || pick.is_known || publish_head_size(c->version, h) <= c->max_packet) return true;
    alias_out_drop(c->alias_out, pick.alias); /* the alias is what makes it too large */
    h->topic_alias = 0;
    return true;
}

/* Nothing of it has been sent. */
static bool no_memory(struct shard *sh, struct conn *c, const struct conn_publish *p,
                      const struct publish_head *h)
{
    if (h->topic_alias != 0 && h->topic.len > 0) alias_out_drop(c->alias_out, h->topic_alias);
    if (p->qos == 0) return false;
    conn_doom(sh, c); /* its session keeps the message */
    return true;
}

static bool is_personal(const struct conn *c)
{
    bool has_ids = c->session->identified > 0 || c->session->shared->identified > 0;
    return c->alias_max > 0 || (has_ids && c->version == MQTT_V5);
}

static void note_sent(struct shard *sh, struct conn *c, const struct msg *m)
{
    if (!c->is_pushed) way_pushed(sh, c);
    metrics_add(sh->metrics, METRIC_messages_sent_total, 1);
    metrics_add(sh->metrics, METRIC_publish_bytes_sent_total, m->payload_bytes);
}

/* What was sent with QoS 2 expires no more [MQTT-4.3.3-7]. */
static inline bool has_expired(struct shard *sh, const struct conn_publish *p)
{
    bool may_expire = p->msg->expires_ms != 0 && !(p->dup && p->qos == 2);
    if (!may_expire || p->msg->expires_ms > sh->wall_ms) return false;
    metrics_add(sh->metrics, METRIC_publish_expired_total, 1);
    return true;
}

static inline bool send(struct shard *sh, struct conn *c, const struct conn_publish *p)
{
    struct publish_head h = head_of(sh, c, p);
    if (c->is_mounted && !mount_strip(sh, c, &h.topic)) {
        log_event(sh->log, EVENT_MESSAGE_DROPPED, LOG_STR("why", "mount_point"),
                  LOG_TEXT("client", session_client_id(c->session)), LOG_TEXT("topic", h.topic));
        return false;
    }
    if (is_personal(c) && !make_personal(sh, c, p, &h)) return no_memory(sh, c, p, &h);
    if (publish_head_size(c->version, &h) > c->max_packet) {
        metrics_add(sh->metrics, METRIC_publish_too_large_total, 1);
        return false;
    }
    if (!write_publish(sh, c, &h, p->msg)) return no_memory(sh, c, p, &h);
    note_sent(sh, c, p->msg);
    return true;
}

static bool send_hooked(struct shard *sh, struct conn *c, const struct conn_publish *p)
{
    enum read_fate fate = reads_judge(sh, c, p);
    return fate == READ_NOW ? send(sh, c, p) : fate == READ_LATER;
}

bool conn_send_publish(struct shard *sh, struct conn *c, const struct conn_publish *p)
{
    if (c->doomed) return true; /* its session will send it again, or ends with it */
    if (has_expired(sh, p)) return false;
    if (c->hooked != NULL) return send_hooked(sh, c, p);
    if (!p->msg->is_for_one && !conn_may_get(sh, c, msg_topic(p->msg))) return false;
    return send(sh, c, p);
}

bool conn_send_allowed(struct shard *sh, struct conn *c, const struct conn_publish *p)
{
    return c->doomed || (!has_expired(sh, p) && send(sh, c, p));
}

void conn_fan_begin(struct shard *sh, struct msg *m, size_t receivers)
{
    sh->fan_msg = sh->found_msg = m;
    sh->fans_out = receivers > RECEIVERS_AT_ONCE;
    sh->has_fanned_out = sh->fans_out;
    sh->fan[0].bytes = sh->fan[1].bytes = 0;
}

void conn_fan_again(struct shard *sh, struct msg *m)
{
    if (m == sh->fan_msg) return;
    conn_fan_begin(sh, m, 1);
    sh->found_msg = NULL;
}

void conn_fan_end(struct shard *sh)
{
    sh->fan_msg = sh->found_msg = NULL;
    sh->fans_out = false;
}

/* False: too large to be worth it, or expired. */
static bool fan_build(struct shard *sh, const struct conn *c, struct fan_packet *f, bool retain)
{
    struct conn_publish p = { .msg = sh->fan_msg, .retain = retain };
    struct publish_head h = head_of(sh, c, &p);
    uint32_t total = publish_head_size(c->version, &h);
    if (total > sizeof f->data || (p.msg->expires_ms != 0 && p.msg->expires_ms <= sh->wall_ms)) return false;
    struct wr w = { .at = f->data, .left = sizeof f->data };
    publish_head_encode(&w, c->version, &h);
    wr_bytes(&w, msg_tail(p.msg, c->version == MQTT_V5));
    CHECK(!w.bad);
    f->bytes = total;
    f->retain = retain;
    return true;
}

/* What conn_fan_again has begun is allowed. */
static bool fan_may(struct shard *sh, struct conn *c, bool retain)
{
    struct conn_publish p = { .msg = sh->fan_msg, .retain = retain };
    return sh->found_msg == NULL || (!c->doomed && reads_judge(sh, c, &p) == READ_NOW);
}

void conn_fan_send(struct shard *sh, struct conn *c, bool retain)
{
    struct fan_packet *f = &sh->fan[c->version == MQTT_V5];
    bool is_own = c->is_mounted || is_personal(c);
    if (c->hooked != NULL ? !fan_may(sh, c, retain) : !conn_may_get(sh, c, msg_topic(sh->fan_msg))) return;
    bool built = !is_own && ((f->bytes > 0 && f->retain == retain) || fan_build(sh, c, f, retain));
    if (!built || f->bytes > c->max_packet) {
        struct conn_publish p = { .msg = sh->fan_msg, .retain = retain };
        conn_send_allowed(sh, c, &p);
        return;
    }
    uint8_t *at = c->doomed ? NULL : conn_reserve(sh, c, f->bytes);
    if (at == NULL) return;
    memcpy(at, f->data, f->bytes);
    conn_commit(sh, c, f->bytes);
    note_sent(sh, c, sh->fan_msg);
}

static struct bytes why(const struct conn *c, uint8_t code)
{
    bool has_own = c->hooked != NULL && c->hooked->why != NULL;
    return bytes_of_text(has_own ? c->hooked->why : mqtt_rc_advice(code));
}

void conn_give_reason(const struct conn *c, struct props *props, uint8_t code, uint32_t bytes)
{
    /* Its identifier and length; and what the packet's lengths, and the property length, may grow by. */
    enum { REFUSAL_MIN = 0x80, MORE_BYTES = 3 + 3 + 4 };
    struct bytes text = why(c, code);
    if (!c->wants_reasons || code < REFUSAL_MIN || text.len == 0) return;
    if (bytes + text.len + MORE_BYTES <= c->max_packet) PROPS_SET(props, reason_string, text);
}

static void send_bare_ack(struct shard *sh, struct conn *c, enum packet_type type, uint16_t id)
{
    uint8_t *at = conn_reserve(sh, c, ACK_BARE_BYTES);
    if (at == NULL) {
        conn_doom(sh, c);
        return;
    }
    ack_bare_write(at, type, id);
    conn_commit(sh, c, ACK_BARE_BYTES);
}

void conn_send_ack(struct shard *sh, struct conn *c, enum packet_type type, uint16_t id, uint8_t code)
{
    enum { ACK_CODED_BYTES = 5, ACK_BYTES_MAX = 16 };
    if (code == MQTT_RC_OK) {
        send_bare_ack(sh, c, type, id);
        return;
    }
    struct ack a = { .id = id, .code = code };
    conn_give_reason(c, &a.props, code, ACK_CODED_BYTES);
    size_t room = ACK_BYTES_MAX + a.props.reason_string.len;
    uint8_t *at = conn_reserve(sh, c, room);
    if (at == NULL) {
        conn_doom(sh, c);
        return;
    }
    struct wr w = { .at = at, .left = room };
    ack_encode(&w, c->version, type, &a);
    conn_commit(sh, c, (size_t)(w.at - at));
}

static bool acks_make_room(struct conn *c)
{
    uint32_t room = c->acks == NULL ? 0 : c->acks->room;
    if (c->acks != NULL && c->acks->tail - c->acks->head < room) return true;
    uint32_t bigger = room == 0 ? 4 : room * 2;
    struct acks *a = malloc(sizeof *a + bigger * sizeof a->slots[0]);
    if (a == NULL) return false;
    a->room = bigger;
    a->head = c->acks == NULL ? 0 : c->acks->head;
    a->tail = c->acks == NULL ? 0 : c->acks->tail;
    a->pubacks = c->acks == NULL ? 0 : c->acks->pubacks;
    a->texts = c->acks == NULL ? NULL : c->acks->texts;
    for (uint32_t i = a->head; i != a->tail; i++) a->slots[i & (bigger - 1)] = c->acks->slots[i & (room - 1)];
    free(c->acks);
    c->acks = a;
    return true;
}

enum err conn_ack_wait(struct shard *sh, struct conn *c, enum packet_type type, uint16_t id, uint32_t *ticket)
{
    if (!acks_make_room(c)) return ERR_NOMEM;
    struct acks *a = c->acks;
    *ticket = a->tail;
    a->slots[a->tail++ & (a->room - 1)] = (struct acks_slot){ .id = id, .type = (uint8_t)type };
    if (type == PACKET_PUBACK) a->pubacks++;
    if (a->tail - a->head >= ACKS_WAITING_MAX) conn_pause(sh, c, PAUSE_ACKS);
    return ERR_OK;
}

void conn_acks_free(struct conn *c)
{
    while (c->acks != NULL && c->acks->texts != NULL) {
        struct acks_text *t = c->acks->texts;
        c->acks->texts = t->next;
        free(t);
    }
    free(c->acks);
    c->acks = NULL;
}

/* Keeps what hooked_say says, if anything, until this one goes. Without memory for it the client gets our
 * text. */
static void note_text(struct conn *c, uint32_t ticket)
{
    const char *text = c->hooked == NULL ? NULL : c->hooked->why;
    size_t bytes = text == NULL ? 0 : strlen(text) + 1;
    struct acks_text *t = text == NULL ? NULL : malloc(sizeof *t + bytes), **last = &c->acks->texts;
    if (t == NULL) return;
    t->next = NULL;
    t->ticket = ticket;
    memcpy(t->text, text, bytes);
    while (*last != NULL) last = &(*last)->next;
    *last = t;
}

/* Of the first that waits; NULL: none. */
static struct acks_text *take_text(struct acks *a)
{
    struct acks_text *t = a->texts;
    if (t == NULL || t->ticket != a->head) return NULL;
    a->texts = t->next;
    return t;
}

static void send_first_ack(struct shard *sh, struct conn *c)
{
    struct acks *a = c->acks;
    struct acks_text *t = take_text(a);
    const struct acks_slot *s = &a->slots[a->head++ & (a->room - 1)];
    if (s->type == PACKET_PUBACK) a->pubacks--;
    hooked_say(c, t == NULL ? NULL : t->text);
    conn_send_ack(sh, c, s->type, s->id, s->code);
    hooked_say(c, NULL);
    free(t);
}

static void send_done_acks(struct shard *sh, struct conn *c)
{
    struct acks *a = c->acks;
    while (a->head != a->tail && a->slots[a->head & (a->room - 1)].done) send_first_ack(sh, c);
    if ((c->paused & PAUSE_ACKS) != 0 && a->tail - a->head < ACKS_WAITING_MAX / 2)
        conn_resume(sh, c, PAUSE_ACKS);
}

struct acks_slot *conn_ack_slot(const struct conn *c, uint32_t ticket)
{
    return &c->acks->slots[ticket & (c->acks->room - 1)];
}

void conn_ack_done(struct shard *sh, struct conn *c, uint32_t ticket, uint8_t code)
{
    struct acks_slot *s = conn_ack_slot(c, ticket);
    s->done = true;
    s->code = code;
    send_done_acks(sh, c);
}

void conn_defer(struct shard *sh, struct conn *c)
{
    if (++c->deferred >= ACKS_WAITING_MAX) conn_pause(sh, c, PAUSE_DEFERRED);
}

void conn_deferred_done(struct shard *sh, struct conn *c)
{
    if (--c->deferred < ACKS_WAITING_MAX / 2) conn_resume(sh, c, PAUSE_DEFERRED);
}

static size_t command_bytes(const struct command *cmd)
{
    return sizeof *cmd + msg_bytes(cmd->msg) + cmd->targets_count * sizeof cmd->targets[0];
}

void conn_journal_take(struct shard *sh, struct conn *c, const struct command *cmd)
{
    c->journal_bytes += command_bytes(cmd);
    if (c->journal_bytes > JOURNAL_BYTES_MAX) conn_pause(sh, c, PAUSE_JOURNAL);
}

void conn_journal_give(struct shard *sh, struct conn *c, const struct command *cmd)
{
    c->journal_bytes -= command_bytes(cmd);
    if (c->journal_bytes <= JOURNAL_BYTES_MAX / 2) conn_resume(sh, c, PAUSE_JOURNAL);
}

void conn_ack_now(struct shard *sh, struct conn *c, enum packet_type type, uint16_t id, uint8_t code)
{
    uint32_t ticket;
    if (c->acks == NULL || c->acks->head == c->acks->tail) {
        conn_send_ack(sh, c, type, id, code);
        return;
    }
    if (conn_ack_wait(sh, c, type, id, &ticket) != ERR_OK) {
        conn_doom(sh, c);
        return;
    }
    note_text(c, ticket);
    conn_ack_done(sh, c, ticket, code);
}
