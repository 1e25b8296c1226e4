/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/model.h"
#include "codec/rd.h"
#include "kit/test.h"
#include "store/record.h"
#include <stdlib.h>
#include <string.h>

struct model *model_new(void)
{
    struct model *m = calloc(1, sizeof *m);
    CHECK_TRUE(m != NULL);
    m->sessions[MODEL_DELAYED].is_there = true;
    return m;
}

static void clear(struct model_session *s)
{
    for (uint32_t i = 0; i < s->count; i++) msg_unref(&s->queue[i].msg);
    *s = (struct model_session){ 0 };
}

void model_free(struct model **owner)
{
    struct model *m = *owner;
    *owner = NULL;
    for (unsigned i = 0; m != NULL && i < MODEL_QUEUES; i++) clear(&m->sessions[i]);
    free(m);
}

unsigned model_name(struct bytes name, char letter)
{
    if (name.len != 2 || name.at[0] != (uint8_t)letter) return MODEL_NAMES;
    unsigned which = (unsigned)(name.at[1] - '0');
    return which < MODEL_NAMES ? which : MODEL_NAMES;
}

uint64_t model_number(unsigned queue)
{
    if (queue < MODEL_SESSIONS) return queue;
    return queue == MODEL_DELAYED ? DELAYED_QUEUE : MODEL_GROUP_FIRST + (queue - MODEL_SESSIONS);
}

struct model_session *model_queue(struct model *m, uint64_t number)
{
    for (unsigned i = 1; i < MODEL_QUEUES; i++)
        if (model_number(i) == number) return &m->sessions[i];
    return NULL;
}

/* What is finished goes. */
static void finish(struct model_session *s, uint64_t cursor, const struct command_ack *open)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        bool is_open = s->queue[i].seq > cursor;
        for (uint32_t k = 0; k < open->open_count; k++) is_open |= open->open[k] == s->queue[i].seq;
        if (is_open)
            s->queue[kept++] = s->queue[i];
        else
            msg_unref(&s->queue[i].msg);
    }
    s->count = kept;
}

static void enqueue(struct model *m, const struct command *c)
{
    for (uint32_t i = 0; i < c->targets_count; i++) {
        const struct command_target *t = &c->targets[i];
        struct model_session *s = model_queue(m, t->session_no);
        if (s == NULL || !s->is_there) continue;
        finish(s, t->drop_upto, &(struct command_ack){ 0 });
        CHECK_TRUE(s->count < MODEL_QUEUE_MAX);
        s->queue[s->count++] = (struct model_entry){ .seq = c->position,
                                                     .msg = msg_ref(c->msg),
                                                     .due_ms = c->due_ms,
                                                     .has_moved = c->kind == COMMAND_MOVE,
                                                     .qos = t->qos,
                                                     .retain = t->retain };
    }
    bool retains = c->kind == COMMAND_MOVE ? c->retains
                                           : c->kind != COMMAND_RETAINED && c->msg->retain && c->due_ms == 0;
    unsigned which = model_name(msg_topic(c->msg), 'r');
    if (retains && which < MODEL_NAMES) m->retained[which] = c->msg->payload_bytes > 0 ? c->position : 0;
}

static struct model_entry *entry(struct model_session *s, uint64_t seq)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->queue[i].seq == seq) return &s->queue[i];
    return NULL;
}

/* What is not due stays for nobody; what a group has, until one of those who should get it is there. */
static enum model_verdict move(struct model *m, struct model_session *from, const struct command *c)
{
    struct model_entry *e = from->is_there ? entry(from, c->version) : NULL;
    bool somebody = c->targets_count == 0 || c->session_no == DELAYED_QUEUE;
    for (uint32_t i = 0; i < c->targets_count; i++) {
        const struct model_session *s = model_queue(m, c->targets[i].session_no);
        somebody |= s != NULL && s->is_there;
    }
    if (e == NULL || !somebody) return MODEL_STALE;
    msg_unref(&e->msg);
    memmove(e, e + 1, (size_t)(&from->queue[--from->count] - e) * sizeof *e);
    enqueue(m, c);
    return MODEL_DURABLE;
}

static enum model_verdict publish(struct model *m, struct model_session *from, const struct command *c)
{
    if (c->in_id != 0 && from != NULL) {
        CHECK_TRUE(c->in_id < MODEL_IDS);
        if (!from->is_there || from->claim_no != c->claim_no) return MODEL_STALE;
        if (from->inbound[c->in_id]) return MODEL_DUPLICATE;
        from->inbound[c->in_id] = true;
    }
    enqueue(m, c);
    return MODEL_DURABLE;
}

static void received(struct model_session *s, const struct command_ack *which)
{
    for (uint32_t i = 0; i < which->open_count; i++) {
        struct model_entry *e = entry(s, which->open[i]);
        if (e != NULL) e->is_released = true;
    }
}

static void filters(struct model_session *s, const struct command *c)
{
    struct rd r = { c->data.at, c->data.len, false };
    while (r.left > 0) {
        unsigned which = model_name(rd_str(&r), 'f');
        uint8_t options = c->kind == COMMAND_SUBSCRIBE ? rd_u8(&r) : 0;
        CHECK_TRUE(!r.bad && which < MODEL_NAMES);
        s->filters[which] = options;
        s->sub_ids[which] = c->sub_id;
    }
}

static void claim(struct model_session *s, const struct command *c)
{
    if (!s->is_there) s->since = c->position;
    s->is_there = s->is_online = true;
    s->has_will = c->msg != NULL;
    s->claim_no = c->claim_no;
    s->expiry_s = c->expiry_s;
}

static void offline(struct model_session *s, const struct command *c)
{
    s->is_online = false;
    s->has_will = s->has_will && c->keeps_will;
    if (c->sent > s->sent) s->sent = c->sent;
}

/* Of a connection that holds its session. */
static enum model_verdict apply_fenced(struct model *m, struct model_session *s, const struct command *c)
{
    if (!s->is_there || s->claim_no != c->claim_no) return MODEL_STALE;
    switch (c->kind) {
    case COMMAND_EXPIRY: s->expiry_s = c->expiry_s; break;
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE: filters(s, c); break;
    case COMMAND_ACK: finish(s, c->ack.cursor, &c->ack); break;
    case COMMAND_RECEIVED: received(s, &c->ack); break;
    case COMMAND_RELEASE: s->inbound[c->in_id] = false; break;
    case COMMAND_OFFLINE: offline(s, c); break;
    case COMMAND_FIRE_WILL:
        if (!s->has_will) return MODEL_STALE;
        s->has_will = false;
        enqueue(m, c);
        break;
    default: CHECK_TRUE(false);
    }
    return MODEL_DURABLE;
}

static void group(struct model_session *s, const struct command *c)
{
    if (!s->is_there) s->since = c->position;
    s->is_there = true;
}

static enum model_verdict apply(struct model *m, const struct command *c)
{
    struct model_session *s = model_queue(m, c->session_no);
    switch (c->kind) {
    case COMMAND_FENCE: return MODEL_DURABLE;
    case COMMAND_ENQUEUE: return publish(m, s, c);
    case COMMAND_RETAINED: enqueue(m, c); return MODEL_DURABLE;
    default: break;
    }
    if (s == NULL) return MODEL_DURABLE; /* the other node's own */
    switch (c->kind) {
    case COMMAND_CLAIM: claim(s, c); return MODEL_DURABLE;
    case COMMAND_GROUP: group(s, c); return MODEL_DURABLE;
    case COMMAND_MOVE: return move(m, s, c);
    case COMMAND_END_SESSION: break;
    default: return apply_fenced(m, s, c);
    }
    bool was_there = s->is_there;
    clear(s);
    return was_there ? MODEL_DURABLE : MODEL_STALE;
}

/* The next of its process, or the first of a new one. */
static bool is_next(struct model *m, const struct command_origin *o)
{
    CHECK_TRUE(o->node < sizeof m->last / sizeof m->last[0]);
    struct command_origin *last = &m->last[o->node];
    bool is_new = o->boot_no > last->boot_no;
    if (o->boot_no < last->boot_no || o->n != (is_new ? 1 : last->n + 1)) return false;
    *last = *o;
    return true;
}

enum model_verdict model_apply(struct model *m, uint64_t position, struct bytes record, struct command **out)
{
    struct command *c;
    CHECK_INT(ERR_OK, record_decode(record, &c));
    c->position = position;
    enum model_verdict v = is_next(m, &c->origin) ? apply(m, c) : MODEL_NO_EFFECT;
    if (out != NULL)
        *out = c;
    else
        command_unref(&c);
    return v;
}
