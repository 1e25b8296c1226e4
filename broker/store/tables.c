/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tables.h"
#include "base/check.h"
#include "base/map.h"
#include <stdlib.h>

/* One session's queue: rows[head .. head + count) of a block with room for `room`, ascending by seq. */
struct queue {
    uint64_t session_no, claim_no;
    uint64_t folded; /* rows up to here are elsewhere */
    uint64_t bytes;  /* of payload, in all rows */
    struct store_row *rows;
    uint32_t head, count, room;
};

struct tables {
    struct map queues; /* by session_no */
    struct tables_conf conf;
};

static bool is_queue(const void *item, const void *key)
{
    const struct queue *q = item;
    const uint64_t *session_no = key;
    return q->session_no == *session_no;
}

static struct queue *queue_find(const struct tables *t, uint64_t session_no)
{
    return map_get(&t->queues, map_hash_u64(session_no), is_queue, &session_no);
}

static void queue_free(struct queue *q)
{
    for (uint32_t i = 0; i < q->count; i++) msg_unref(&q->rows[q->head + i].msg);
    free(q->rows);
    free(q);
}

static bool queue_make_room(struct queue *q)
{
    if (q->head + q->count < q->room) return true;
    if (q->head > q->room / 2) { /* mostly a hole at the front: move down */
        memmove(q->rows, q->rows + q->head, q->count * sizeof *q->rows);
        q->head = 0;
        return true;
    }
    uint32_t room = q->room == 0 ? 4 : q->room * 2;
    struct store_row *rows = realloc(q->rows, room * sizeof *rows);
    if (rows == NULL) return false;
    q->rows = rows;
    q->room = room;
    return true;
}

static bool queue_full(const struct tables *t, const struct queue *q, const struct msg *m)
{
    if (t->conf.rows_max > 0 && q->count >= t->conf.rows_max) return true;
    return t->conf.bytes_max > 0 && q->bytes + m->payload_bytes > t->conf.bytes_max;
}

/* Puts a message into the queue of a target. ERR_NOTFOUND: the session is gone. ERR_FULL: dropped by a limit.
 */
static enum err queue_append(struct tables *t, const struct command_target *to, struct command *c)
{
    struct queue *q = queue_find(t, to->session_no);
    if (q == NULL) return ERR_NOTFOUND;
    if (queue_full(t, q, c->msg)) {
        c->dropped++;
        return ERR_FULL;
    }
    if (!queue_make_room(q)) return ERR_NOMEM;
    q->rows[q->head + q->count++] = (struct store_row){ c->position, msg_ref(c->msg), to->qos, to->retain };
    q->bytes += c->msg->payload_bytes;
    return ERR_OK;
}

static bool is_open(const struct command_ack *ack, uint64_t seq)
{
    uint32_t low = 0, high = ack->open_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (ack->open[mid] < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low < ack->open_count && ack->open[low] == seq;
}

/* Drops the rows that are finished; the open ones among them move up to the rows that follow. */
static void queue_acknowledge(struct queue *q, const struct command_ack *ack)
{
    struct store_row *rows = q->rows + q->head;
    uint32_t seen = 0;
    while (seen < q->count && rows[seen].seq <= ack->cursor) seen++;

    uint32_t keep_at = seen;
    for (uint32_t i = seen; i-- > 0;) {
        if (is_open(ack, rows[i].seq)) {
            rows[--keep_at] = rows[i];
            continue;
        }
        q->bytes -= rows[i].msg->payload_bytes;
        msg_unref(&rows[i].msg);
    }
    q->head += keep_at;
    q->count -= keep_at;
    if (q->count == 0) {
        free(q->rows);
        q->rows = NULL;
        q->head = q->room = 0;
    }
}

/* Without memory for one target the publisher must not hear that all have it: it will send it again. */
static enum command_result apply_enqueue(struct tables *t, struct command *c)
{
    enum command_result result = COMMAND_DURABLE;
    for (uint32_t i = 0; i < c->targets_count; i++) {
        enum err rc = queue_append(t, &c->targets[i], c);
        if (rc == ERR_NOMEM) result = COMMAND_REFUSED;
        /* A target without a row gets nothing on its shard either: session_no 0 is nobody's. */
        if (rc != ERR_OK) c->targets[i].session_no = 0;
    }
    return result;
}

/* The queue of a session, made if there is none. */
static struct queue *queue_make(struct tables *t, uint64_t session_no)
{
    struct queue *q = queue_find(t, session_no);
    if (q != NULL) return q;
    q = calloc(1, sizeof *q);
    if (q == NULL) return NULL;
    q->session_no = session_no;
    if (map_put(&t->queues, map_hash_u64(session_no), q) == ERR_OK) return q;
    free(q);
    return NULL;
}

static enum command_result apply_claim(struct tables *t, const struct command *c)
{
    struct queue *q = queue_make(t, c->session_no);
    if (q == NULL) return COMMAND_REFUSED;
    q->claim_no = c->claim_no;
    return COMMAND_DURABLE;
}

static enum command_result apply_end(struct tables *t, const struct command *c)
{
    struct queue *q = map_take(&t->queues, map_hash_u64(c->session_no), is_queue, &c->session_no);
    if (q == NULL) return COMMAND_STALE;
    queue_free(q);
    return COMMAND_DURABLE;
}

/* Commands that act for a connection: is it still the one that holds the session? */
static enum command_result apply_fenced(struct tables *t, const struct command *c)
{
    struct queue *q = queue_find(t, c->session_no);
    if (q == NULL || q->claim_no != c->claim_no) return COMMAND_STALE;
    if (c->kind == COMMAND_ACK) queue_acknowledge(q, &c->ack);
    return COMMAND_DURABLE;
}

enum command_result tables_apply(struct tables *t, struct command *c)
{
    switch (c->kind) {
    case COMMAND_ENQUEUE:
    case COMMAND_RETAINED: return apply_enqueue(t, c);
    case COMMAND_CLAIM: return apply_claim(t, c);
    case COMMAND_END_SESSION: return apply_end(t, c);
    case COMMAND_EXPIRY:
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_ACK: return apply_fenced(t, c);
    case COMMAND_FENCE: return COMMAND_DURABLE;
    }
    check_failed("a command kind without an apply", __FILE__, __LINE__);
}

/* Index of the first row after a position. */
static uint32_t queue_after(const struct queue *q, uint64_t after)
{
    const struct store_row *rows = q->rows + q->head;
    uint32_t low = 0, high = q->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (rows[mid].seq <= after)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void tables_page(const struct tables *t, struct store_page *p)
{
    const struct queue *q = queue_find(t, p->session_no);
    p->count = 0;
    if (q != NULL && q->count > 0) {
        const struct store_row *rows = q->rows + q->head;
        uint32_t limit = p->limit < PAGE_ENTRIES_MAX ? p->limit : PAGE_ENTRIES_MAX;
        for (uint32_t i = queue_after(q, p->after); i < q->count && p->count < limit; i++) {
            p->rows[p->count] = rows[i];
            msg_ref(p->rows[p->count++].msg);
        }
    }
}

bool tables_has(const struct tables *t, uint64_t session_no, uint64_t seq)
{
    const struct queue *q = queue_find(t, session_no);
    if (q == NULL) return false;
    uint32_t i = queue_after(q, seq - 1);
    return i < q->count && q->rows[q->head + i].seq == seq;
}

void tables_fold(struct tables *t, uint64_t session_no, uint64_t upto)
{
    struct queue *q = queue_find(t, session_no);
    struct command_ack all = { .cursor = upto };
    if (q == NULL) return;
    queue_acknowledge(q, &all);
    if (upto > q->folded) q->folded = upto;
}

uint64_t tables_folded(const struct tables *t, uint64_t session_no)
{
    const struct queue *q = queue_find(t, session_no);
    return q == NULL ? 0 : q->folded;
}

enum err tables_restore(struct tables *t, const struct tables_session *s)
{
    struct queue *q = queue_make(t, s->session_no);
    if (q == NULL) return ERR_NOMEM;
    q->claim_no = s->claim_no;
    q->folded = s->folded;
    return ERR_OK;
}

enum err tables_new(struct tables **out, const struct tables_conf *conf)
{
    struct tables *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL) return ERR_NOMEM;
    t->conf = *conf;
    map_init(&t->queues);
    return ERR_OK;
}

void tables_free(struct tables **owner)
{
    struct tables *t = *owner;
    *owner = NULL;
    if (t == NULL) return;
    size_t at = 0;
    for (struct queue *q = map_next(&t->queues, &at); q != NULL; q = map_next(&t->queues, &at)) queue_free(q);
    map_fini(&t->queues);
    free(t);
}
