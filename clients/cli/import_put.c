/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_plan.h"
#include "codec/codec.h"
#include "topic/topic.h"
#include <inttypes.h>
#include <stdlib.h>

/*
 * Writing, in this order:
 *
 *   CLAIM, SUBSCRIBE ...   each session
 *   ENQUEUE                messages by their ids, to the queues that are in order, and retained ones
 *   ENQUEUE                queues that are not in order, one after the other
 *   SENT_AS, RECEIVED, OFFLINE   each session, when the places in its queue are known
 *   ENQUEUE                what came with QoS 2 and was not released: mosquitto would have delivered it at
 *                          PUBREL, we have it delivered, and PUBREL frees the packet id
 */

enum { SESSION_STRIDE = 256 }; /* as shards count them */

struct putting {
    struct import_plan *plan;
    const struct import_target *to;
};

static enum err put(const struct putting *w, struct command *c)
{
    return w->to->put(w->to->ctx, c);
}

void import_done(const struct command *c)
{
    struct import_entry *e = c->job;
    if (c->kind != COMMAND_ENQUEUE) return;
    for (uint32_t i = 0; i < c->targets_count && e != NULL; i++, e = e->next_of_message) {
        e->seq = c->position;
        if (e->was_sent && e->seq > e->session->sent) e->session->sent = e->seq;
    }
}

static struct command *make(enum command_kind kind, const struct import_session *s,
                            const struct command_size *size)
{
    struct command *c = command_new(kind, size);
    if (c == NULL) return NULL;
    c->session_no = s->session_no;
    c->claim_no = s->claim_no;
    c->expiry_s = s->expiry_s;
    return c;
}

/* --- sessions */

static enum err put_sessions(const struct putting *w)
{
    enum err rc = ERR_OK;
    uint64_t number = w->to->numbers_from;
    for (struct import_session *s = w->plan->sessions; s != NULL && rc == ERR_OK; s = s->next) {
        struct command_size size = { .data = s->id };
        s->claim_no = ++number;
        s->session_no = s->claim_no * SESSION_STRIDE;
        rc = put(w, make(COMMAND_CLAIM, s, &size));
    }
    return rc;
}

static enum err put_filter(const struct putting *w, const struct import_filter *f)
{
    uint8_t packet[2 + TOPIC_BYTES_MAX + 1];
    struct wr to = { packet, sizeof packet, false };
    wr_str(&to, f->filter);
    wr_u8(&to, f->options);
    struct command_size size = { .data = bytes_of(packet, sizeof packet - to.left) };
    struct command *c = make(COMMAND_SUBSCRIBE, f->session, &size);
    if (c != NULL) c->sub_id = f->id;
    return put(w, c);
}

static enum err put_filters(const struct putting *w)
{
    enum err rc = ERR_OK;
    for (const struct import_filter *f = w->plan->filters; f != NULL && rc == ERR_OK; f = f->next)
        rc = put_filter(w, f);
    return rc;
}

/* --- messages */

static bool is_source(const void *item, const void *key)
{
    const struct import_session *s = item;
    return bytes_equal(s->id, *(const struct bytes *)key);
}

/* NULL: out of memory. */
static struct msg *make_msg(const struct putting *w, const struct mosquitto_message *m, bool retain)
{
    struct rd r = { m->props.at, m->props.len, false };
    uint32_t bytes = m->props.len > 0 ? rd_varint(&r) : 0;
    uint8_t *room = malloc(bytes + 1u);
    if (room == NULL) return NULL;
    struct wr block = { room, bytes, false };
    publish_forward_props(&block, rd_take(&r, bytes));
    const struct import_session *source =
        map_get(&w->plan->sessions_by_id, bytes_hash(m->source_id, 0), is_source, &m->source_id);
    struct msg *out;
    struct msg_parts parts = {
        .topic = m->topic,
        .block = bytes_of(room, bytes - block.left),
        .payload = m->payload,
        .qos = m->qos,
        .retain = retain,
        .from_session = source != NULL ? source->session_no : 0,
        .from_client = m->source_id.len > 0 ? bytes_hash(m->source_id, w->to->client_key) : 0,
        .expires_ms = (uint64_t)m->expires_s * 1000,
    };
    enum err rc = msg_new(&out, &parts);
    free(room);
    return rc == ERR_OK ? out : NULL;
}

/* To so many targets, which are to be filled in. */
static struct command *make_enqueue(const struct putting *w, const struct import_message *m, uint32_t targets)
{
    struct command_size size = { .targets = targets };
    struct command *c = command_new(COMMAND_ENQUEUE, &size);
    if (c != NULL) c->msg = make_msg(w, &m->is, m->is_retained);
    if (c != NULL && c->msg == NULL) command_unref(&c);
    return c;
}

static void aim(struct command_target *t, const struct import_entry *e)
{
    *t = (struct command_target){ .session_no = e->session->session_no, .qos = e->qos, .retain = e->retain };
}

static enum err put_message(const struct putting *w, const struct import_message *m)
{
    struct command *c = make_enqueue(w, m, m->entries_count);
    uint32_t i = 0;
    if (c == NULL) return put(w, NULL);
    for (const struct import_entry *e = m->entries; e != NULL; e = e->next_of_message)
        aim(&c->targets[i++], e);
    c->job = m->entries;
    return put(w, c);
}

static int by_id(const void *a, const void *b)
{
    const struct import_message *const *x = a, *const *y = b;
    return (*x)->is.id < (*y)->is.id ? -1 : (*x)->is.id > (*y)->is.id;
}

static enum err put_messages(const struct putting *w)
{
    size_t count = 0;
    const struct import_message **all = calloc(w->plan->messages_by_id.count + 1, sizeof(void *));
    if (all == NULL) return put(w, NULL);
    for (const struct import_message *m = w->plan->messages; m != NULL; m = m->next)
        if (m->entries != NULL || m->is_retained) all[count++] = m;
    qsort(all, count, sizeof(void *), by_id);
    enum err rc = ERR_OK;
    for (size_t i = 0; i < count && rc == ERR_OK; i++) rc = put_message(w, all[i]);
    free(all);
    return rc;
}

/* Is it retained, that is done: here it goes into one queue only. */
static enum err put_one(const struct putting *w, struct import_entry *e)
{
    struct import_message alone = { .is = e->message->is };
    struct command *c = make_enqueue(w, &alone, 1);
    if (c == NULL) return put(w, NULL);
    aim(&c->targets[0], e);
    c->job = e;
    return put(w, c);
}

static enum err put_mixed(const struct putting *w)
{
    enum err rc = ERR_OK;
    for (const struct import_session *s = w->plan->sessions; s != NULL; s = s->next)
        for (struct import_entry *e = s->is_mixed ? s->entries : NULL; e != NULL && rc == ERR_OK; e = e->next)
            rc = put_one(w, e);
    return rc;
}

/* --- what is known when the places are */

static enum err put_sent_as(const struct putting *w, const struct import_session *s)
{
    const struct command_size nothing = { 0 };
    enum err rc = ERR_OK;
    for (const struct import_entry *e = s->entries; e != NULL && rc == ERR_OK; e = e->next) {
        if (e->qos != 2 || !e->was_sent || e->packet_id == 0) continue;
        struct command *c = make(COMMAND_SENT_AS, s, &nothing);
        if (c != NULL) {
            c->version = e->seq;
            c->in_id = e->packet_id;
        }
        rc = put(w, c);
    }
    return rc;
}

static enum err put_received(const struct putting *w, const struct import_session *s)
{
    struct command_size size = { .open = s->released_count };
    struct command *c = s->released_count > 0 ? make(COMMAND_RECEIVED, s, &size) : NULL;
    uint32_t i = 0;
    if (s->released_count == 0) return ERR_OK;
    for (const struct import_entry *e = s->entries; e != NULL && c != NULL; e = e->next)
        if (e->is_released) c->ack.open[i++] = e->seq;
    return put(w, c);
}

static enum err put_states(const struct putting *w)
{
    const struct command_size nothing = { 0 };
    enum err rc = w->to->wait(w->to->ctx);
    for (const struct import_session *s = w->plan->sessions; s != NULL && rc == ERR_OK; s = s->next) {
        rc = put_sent_as(w, s);
        if (rc == ERR_OK) rc = put_received(w, s);
        struct command *c = rc == ERR_OK ? make(COMMAND_OFFLINE, s, &nothing) : NULL;
        if (c != NULL) c->sent = s->sent;
        if (rc == ERR_OK) rc = put(w, c);
    }
    return rc;
}

/* --- from clients, not released */

static bool takes(const struct import_filter *f, const struct import_entry *e)
{
    struct bytes group, filter = f->filter;
    bool is_own = f->session == e->session && (f->options & 4) != 0; /* No Local */
    topic_share_split(f->filter, &group, &filter);
    return (f->options & 3) > 0 && !is_own && topic_matches(filter, e->message->is.topic);
}

/* Several filters of a session: the highest QoS [MQTT-3.3.4-2]. */
static void add_target(struct command *c, const struct import_filter *f, bool retain)
{
    uint32_t i = 0;
    while (i < c->targets_count && c->targets[i].session_no != f->session->session_no) i++;
    struct command_target *t = &c->targets[i];
    if (i == c->targets_count) {
        *t = (struct command_target){ .session_no = f->session->session_no };
        c->targets_count++;
    }
    uint8_t qos = f->options & 3;
    if (qos > t->qos) t->qos = qos;
    t->retain |= retain && (f->options & 8) != 0; /* Retain As Published */
}

/* Of a shared subscription the first member gets it. */
static bool is_taken(const struct import_filter *first, const struct import_filter *f,
                     const struct import_entry *e)
{
    struct bytes group, rest;
    if (!topic_share_split(f->filter, &group, &rest)) return false;
    for (; first != f; first = first->next)
        if (bytes_equal(first->filter, f->filter) && takes(first, e)) return true;
    return false;
}

static enum err put_inbound(const struct putting *w, const struct import_entry *e)
{
    const struct import_filter *first = w->plan->filters;
    struct import_message m = *e->message;
    uint32_t most = 0;
    bool has_ended = m.is_expired;
    for (const struct import_filter *f = first; f != NULL; f = f->next) most += !has_ended && takes(f, e);
    m.is_retained = m.is.retain && !has_ended;
    struct command *c = make_enqueue(w, &m, most);
    if (c == NULL) return put(w, NULL);
    c->in_id = e->packet_id;
    c->session_no = e->session->session_no;
    c->claim_no = e->session->claim_no;
    c->targets_count = 0;
    for (const struct import_filter *f = first; f != NULL && !has_ended; f = f->next)
        if (takes(f, e) && !is_taken(first, f, e)) add_target(c, f, m.is.retain);
    return put(w, c);
}

static enum err put_all_inbound(const struct putting *w)
{
    enum err rc = ERR_OK;
    for (const struct import_entry *e = w->plan->inbound; e != NULL && rc == ERR_OK; e = e->next)
        rc = put_inbound(w, e);
    return rc;
}

enum err import_put(struct import_plan *p, const struct import_target *to)
{
    const struct putting w = { p, to };
    enum err rc = put_sessions(&w);
    if (rc == ERR_OK) rc = put_filters(&w);
    if (rc == ERR_OK) rc = put_messages(&w);
    if (rc == ERR_OK) rc = put_mixed(&w);
    if (rc == ERR_OK) rc = put_states(&w);
    if (rc == ERR_OK) rc = put_all_inbound(&w);
    return rc == ERR_OK ? to->wait(to->ctx) : rc;
}
