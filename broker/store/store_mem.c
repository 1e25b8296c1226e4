/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_mem.h"
#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include <stdlib.h>

enum { MAIL_COMMAND, MAIL_PAGE, MAIL_STOP };

/* One session's queue: rows[head .. head + count) of a block with room for `room`, ascending by seq. */
struct queue {
    uint64_t session_no, claim_no;
    uint64_t bytes; /* of payload, in all rows */
    struct store_row *rows;
    uint32_t head, count, room;
};

struct store_mem {
    struct mailbox mailbox;
    struct thread thread;
    struct mail stop;
    struct store_mem_conf conf;
    struct map queues; /* by session_no; the journal's thread alone */
    uint64_t position;
    bool stopping;
};

static bool is_queue(const void *item, const void *key)
{
    const struct queue *q = item;
    const uint64_t *session_no = key;
    return q->session_no == *session_no;
}

static struct queue *queue_find(const struct store_mem *s, uint64_t session_no)
{
    return map_get(&s->queues, map_hash_u64(session_no), is_queue, &session_no);
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

static bool queue_full(const struct store_mem *s, const struct queue *q, const struct msg *m)
{
    if (s->conf.rows_max > 0 && q->count >= s->conf.rows_max) return true;
    return s->conf.bytes_max > 0 && q->bytes + m->payload_bytes > s->conf.bytes_max;
}

/* Puts a message into the queue of a target. ERR_NOTFOUND: the session is gone. ERR_FULL: dropped by a limit.
 */
static enum err queue_append(struct store_mem *s, const struct command_target *t, struct command *c)
{
    struct queue *q = queue_find(s, t->session_no);
    if (q == NULL) return ERR_NOTFOUND;
    if (queue_full(s, q, c->msg)) {
        c->dropped++;
        return ERR_FULL;
    }
    if (!queue_make_room(q)) return ERR_NOMEM;
    q->rows[q->head + q->count++] = (struct store_row){ c->position, msg_ref(c->msg), t->qos, t->retain };
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
static enum command_result apply_enqueue(struct store_mem *s, struct command *c)
{
    enum command_result result = COMMAND_DURABLE;
    for (uint32_t i = 0; i < c->targets_count; i++) {
        enum err rc = queue_append(s, &c->targets[i], c);
        if (rc == ERR_NOMEM) result = COMMAND_REFUSED;
        /* A target without a row gets nothing on its shard either: session_no 0 is nobody's. */
        if (rc != ERR_OK) c->targets[i].session_no = 0;
    }
    return result;
}

static enum command_result apply_claim(struct store_mem *s, const struct command *c)
{
    struct queue *q = queue_find(s, c->session_no);
    if (q == NULL) {
        q = calloc(1, sizeof *q);
        if (q == NULL) return COMMAND_REFUSED;
        q->session_no = c->session_no;
        if (map_put(&s->queues, map_hash_u64(c->session_no), q) != ERR_OK) {
            free(q);
            return COMMAND_REFUSED;
        }
    }
    q->claim_no = c->claim_no;
    return COMMAND_DURABLE;
}

static enum command_result apply_end(struct store_mem *s, const struct command *c)
{
    struct queue *q = map_take(&s->queues, map_hash_u64(c->session_no), is_queue, &c->session_no);
    if (q == NULL) return COMMAND_STALE;
    queue_free(q);
    return COMMAND_DURABLE;
}

/* Commands that act for a connection: is it still the one that holds the session? */
static enum command_result apply_fenced(struct store_mem *s, const struct command *c)
{
    struct queue *q = queue_find(s, c->session_no);
    if (q == NULL || q->claim_no != c->claim_no) return COMMAND_STALE;
    if (c->kind == COMMAND_ACK) queue_acknowledge(q, &c->ack);
    return COMMAND_DURABLE;
}

static enum command_result apply(struct store_mem *s, struct command *c)
{
    switch (c->kind) {
    case COMMAND_ENQUEUE:
    case COMMAND_RETAINED: return apply_enqueue(s, c);
    case COMMAND_CLAIM: return apply_claim(s, c);
    case COMMAND_END_SESSION: return apply_end(s, c);
    case COMMAND_EXPIRY:
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_ACK: return apply_fenced(s, c);
    case COMMAND_FENCE: return COMMAND_DURABLE;
    }
    check_failed("a command kind without an apply", __FILE__, __LINE__);
}

static void run_command(struct store_mem *s, struct command *c)
{
    c->position = ++s->position;
    c->result = apply(s, c);
    for (uint32_t i = 0; i < c->seats_count; i++)
        s->conf.sink.post(s->conf.sink.ctx, c->seats[i].shard, &c->seats[i].mail);
    s->conf.sink.complete(s->conf.sink.ctx, c->from_shard, &c->completion);
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

static void run_page(struct store_mem *s, struct store_page *p)
{
    const struct queue *q = queue_find(s, p->session_no);
    p->count = 0;
    p->snapshot = s->position;
    if (q != NULL && q->count > 0) {
        const struct store_row *rows = q->rows + q->head;
        uint32_t limit = p->limit < PAGE_ENTRIES_MAX ? p->limit : PAGE_ENTRIES_MAX;
        for (uint32_t i = queue_after(q, p->after); i < q->count && p->count < limit; i++) {
            p->rows[p->count] = rows[i];
            msg_ref(p->rows[p->count++].msg);
        }
    }
    s->conf.sink.post(s->conf.sink.ctx, p->shard, &p->answer);
}

static void run_mail(struct store_mem *s, struct mail *m)
{
    switch (m->kind) {
    case MAIL_COMMAND: run_command(s, CONTAINER(m, struct command, mail)); break;
    case MAIL_PAGE: run_page(s, CONTAINER(m, struct store_page, request)); break;
    case MAIL_STOP: s->stopping = true; break;
    default: check_failed("unknown mail to the journal", __FILE__, __LINE__);
    }
}

static void run(void *arg)
{
    struct store_mem *s = arg;
    while (!s->stopping) {
        struct mail *m = mailbox_wait(&s->mailbox);
        while (m != NULL) {
            struct mail *next = m->next; /* the next rides on, so read it before m is anybody else's */
            run_mail(s, m);
            m = next;
        }
        s->conf.sink.flush(s->conf.sink.ctx);
    }
}

static void submit(void *impl, struct outbox *commands)
{
    struct store_mem *s = impl;
    for (struct mail *m = commands->newest; m != NULL; m = m->next) {
        m->kind = MAIL_COMMAND;
        if (m == commands->oldest) break;
    }
    mailbox_hand_over(&s->mailbox, commands);
}

static void ask_page(void *impl, struct store_page *p)
{
    struct store_mem *s = impl;
    struct outbox o = { 0 };
    p->request.kind = MAIL_PAGE;
    outbox_put(&o, &p->request);
    mailbox_hand_over(&s->mailbox, &o);
}

enum err store_mem_start(struct store_mem **out, const struct store_mem_conf *conf)
{
    struct store_mem *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL) return ERR_NOMEM;
    s->conf = *conf;
    map_init(&s->queues);
    enum err rc = mailbox_open(&s->mailbox);
    if (rc == ERR_OK) rc = thread_start(&s->thread, "journal", run, s);
    if (rc != ERR_OK) {
        mailbox_close(&s->mailbox);
        free(s);
        return rc;
    }
    *out = s;
    return ERR_OK;
}

void store_mem_stop(struct store_mem **owner)
{
    struct store_mem *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    struct outbox o = { 0 };
    s->stop.kind = MAIL_STOP;
    outbox_put(&o, &s->stop);
    mailbox_hand_over(&s->mailbox, &o);
    thread_join(&s->thread);

    size_t at = 0;
    for (struct queue *q = map_next(&s->queues, &at); q != NULL; q = map_next(&s->queues, &at)) queue_free(q);
    map_fini(&s->queues);
    mailbox_close(&s->mailbox);
    free(s);
}

static const struct journal_ops journal_mem_ops = { .name = "memory", .submit = submit };
static const struct store_ops store_mem_ops = { .name = "memory", .page = ask_page };

struct journal store_mem_journal(struct store_mem *s)
{
    return (struct journal){ &journal_mem_ops, s };
}
struct store store_mem_store(struct store_mem *s)
{
    return (struct store){ &store_mem_ops, s };
}
