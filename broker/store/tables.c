/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tables.h"
#include "base/bisect.h"
#include "base/check.h"
#include "base/map.h"
#include "store/in_ids.h"
#include <stdlib.h>

/* One session's queue: rows[head .. head + count) of a block with room for `room`, ascending by seq. */
struct queue {
    uint64_t session_no, claim_no;
    uint64_t since;       /* position of the CLAIM that made it */
    uint64_t folded;      /* rows up to here are elsewhere */
    uint64_t restored;    /* rows up to here are from before this process started */
    uint64_t dropped;     /* a limit cost all up to here since then */
    uint64_t left;        /* the newest row that is elsewhere, or on its way */
    uint64_t cleared;     /* nothing up to here is there any more, with the folds that were gathered */
    uint64_t acked_in_no; /* the fold that has an acknowledgement of this session, and up to where */
    uint64_t acked_upto;
    bool has_will;
    struct in_ids in_ids; /* that its client has not released */
    struct store_row *rows;
    uint32_t head, count, room;
    uint32_t expected;      /* admitted, not applied yet: there is room for their rows */
    struct backlog backlog; /* with limits only */
};

struct tables {
    struct map queues; /* by session_no */
    struct mids *mids;
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
    backlog_fini(&q->backlog);
    in_ids_fini(&q->in_ids);
    free(q);
}

/* Room for this many rows beyond those that are there. */
static bool queue_make_room(struct queue *q, uint32_t more)
{
    uint32_t need = q->count + more;
    if (q->head + need <= q->room) return true;
    if (q->head > 0) memmove(q->rows, q->rows + q->head, q->count * sizeof *q->rows);
    q->head = 0;
    if (need <= q->room / 2) return true; /* mostly a hole it was, and it will be a while until the next */
    uint32_t room = q->room < 4 ? 4 : q->room;
    while (room < need) room *= 2;
    struct store_row *rows = realloc(q->rows, room * sizeof *rows);
    if (rows == NULL) return need <= q->room;
    q->rows = rows;
    q->room = room;
    return true;
}

static bool is_not_after(const void *items, size_t i, uint64_t seq)
{
    const struct store_row *rows = items;
    return rows[i].seq <= seq;
}

/* Index of the first row after a position. */
static uint32_t queue_after(const struct queue *q, uint64_t after)
{
    return (uint32_t)bisect(q->rows + q->head, q->count, after, is_not_after);
}

/* NULL: it is elsewhere, or gone. */
static struct store_row *queue_row(const struct queue *q, uint64_t seq)
{
    uint32_t i = q->count == 0 ? 0 : queue_after(q, seq - 1); /* it may have no rows at all */
    return i < q->count && q->rows[q->head + i].seq == seq ? &q->rows[q->head + i] : NULL;
}

static void queue_shrink(struct queue *q)
{
    if (q->count > 0 || q->expected > 0) return;
    free(q->rows);
    q->rows = NULL;
    q->head = q->room = 0;
}

/* Drops the rows that are finished; the open ones among them move up to the rows that follow. */
static void queue_acknowledge(struct queue *q, const struct command_ack *ack)
{
    if (q->count == 0) return;
    struct store_row *rows = q->rows + q->head;
    uint32_t seen = 0;
    while (seen < q->count && rows[seen].seq <= ack->cursor) seen++;

    uint32_t keep_at = seen;
    for (uint32_t i = seen; i-- > 0;) {
        if (command_ack_is_open(ack, rows[i].seq))
            rows[--keep_at] = rows[i];
        else
            msg_unref(&rows[i].msg);
    }
    q->head += keep_at;
    q->count -= keep_at;
    queue_shrink(q);
}

static bool is_limited(const struct tables *t, const struct queue *q)
{
    return backlog_is_limited(&t->conf.limits) && q->session_no != DELAYED_QUEUE;
}

/* What is finished leaves the queue; what the limit knows of it, too. */
static void queue_finish(struct queue *q, const struct command_ack *ack)
{
    queue_acknowledge(q, ack);
    backlog_finish(&q->backlog, ack);
}

/* One leaves the queue, if it is here. */
static void queue_take(struct queue *q, uint64_t seq)
{
    struct store_row *row = queue_row(q, seq);
    backlog_take(&q->backlog, seq);
    if (row == NULL) return;
    uint32_t index = (uint32_t)(row - q->rows) - q->head;
    msg_unref(&row->msg);
    memmove(row, row + 1, (q->count - index - 1) * sizeof *row);
    q->count--;
    queue_shrink(q);
}

/* --- when a command is submitted: what may fail, fails here */

static bool fits(const struct tables *t, const struct queue *q, uint32_t bytes)
{
    return !is_limited(t, q) || backlog_fits(&q->backlog, &t->conf.limits, bytes);
}

/* For a will or a retained message nobody can be told: it is dropped. */
static bool refuses(const struct tables *t, const struct command *c)
{
    return backlog_is_limited(&t->conf.limits) && t->conf.limits.policy == BACKLOG_REFUSE &&
           c->kind == COMMAND_ENQUEUE && !c->is_kept;
}

static bool is_refused(struct tables *t, const struct command *c)
{
    for (uint32_t i = 0; i < c->targets_count; i++) {
        const struct queue *q = queue_find(t, c->targets[i].session_no);
        if (q != NULL && !fits(t, q, c->msg->payload_bytes)) return true;
    }
    return false;
}

/* A session of the same number may end and be made again between admission and apply. */
static uint64_t life_of(const struct queue *q)
{
    return q->since + 1;
}

/* What a group was given is not to be lost at the limit of a member, which takes no more of them at a time
 * than its credit: those may be beyond the limit. */
static bool is_beyond_limits(const struct command *c)
{
    return c->is_kept || (c->kind == COMMAND_MOVE && c->session_no != DELAYED_QUEUE);
}

static bool admit_target(struct tables *t, const struct command *c, struct command_target *to)
{
    struct queue *q = queue_find(t, to->session_no);
    uint32_t bytes = c->msg->payload_bytes;
    if (q == NULL) return true; /* not there yet, or gone: apply will see */
    if (!is_beyond_limits(c) && !fits(t, q, bytes)) {
        to->is_skipped = true;
        to->dropped = 1;
        return true;
    }
    if (!queue_make_room(q, q->expected + 1)) return false;
    q->expected++;
    to->expected = life_of(q);
    if (!is_limited(t, q)) return true;
    if (is_beyond_limits(c))
        backlog_expect_beyond(&q->backlog, bytes);
    else
        to->dropped = backlog_expect(&q->backlog, &t->conf.limits, bytes, &to->drop_upto);
    return true;
}

static void forget_targets(struct tables *t, const struct command *c, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct command_target *to = &c->targets[i];
        struct queue *q = to->expected == 0 ? NULL : queue_find(t, to->session_no);
        if (q == NULL || to->expected != life_of(q)) continue;
        q->expected--;
        if (is_limited(t, q)) backlog_unexpect(&q->backlog, c->msg->payload_bytes, to->dropped);
    }
}

enum command_result tables_admit(struct tables *t, struct command *c)
{
    if (refuses(t, c) && is_refused(t, c)) return COMMAND_REFUSED;
    for (uint32_t i = 0; i < c->targets_count; i++) {
        if (admit_target(t, c, &c->targets[i])) continue;
        forget_targets(t, c, i);
        return COMMAND_REFUSED;
    }
    return COMMAND_DURABLE;
}

/* --- apply */

/* Puts a message into the queue of a target. */
static void queue_append(struct tables *t, struct command_target *to, const struct command *c)
{
    struct queue *q = queue_find(t, to->session_no);
    if (q == NULL) {
        to->is_skipped = true;
        return;
    }
    bool was_expected = to->expected == life_of(q);
    struct command_ack dropped = { .cursor = to->drop_upto };
    struct backlog_entry e = { c->position, c->msg->payload_bytes };
    if (to->drop_upto > q->dropped) q->dropped = to->drop_upto;
    if (to->drop_upto > 0) queue_finish(q, &dropped);
    if (was_expected) q->expected--;
    bool counted = !is_limited(t, q) || backlog_add(&q->backlog, e, was_expected) == ERR_OK;
    CHECK(counted);
    CHECK(queue_make_room(q, 1));
    q->rows[q->head + q->count++] = (struct store_row){
        .seq = c->position, .msg = msg_ref(c->msg), .qos = to->qos, .retain = to->retain
    };
}

static enum command_result append_all(struct tables *t, struct command *c)
{
    for (uint32_t i = 0; i < c->targets_count; i++)
        if (!c->targets[i].is_skipped) queue_append(t, &c->targets[i], c);
    return COMMAND_DURABLE;
}

bool tables_has_mid(const struct tables *t, const struct command *c)
{
    return c->mid != NULL && mids_has(t->mids, c->mid->client_id, c->mid->mid, c->stamp_ms);
}

/* With a packet id: is its publisher still connected, and is the id new? */
static enum command_result take_in_id(struct tables *t, const struct command *c)
{
    struct queue *q = queue_find(t, c->session_no);
    if (q == NULL || q->claim_no != c->claim_no) return COMMAND_STALE;
    if (in_ids_find(&q->in_ids, c->in_id) != NULL) return COMMAND_DUPLICATE;
    enum err rc = in_ids_add(&q->in_ids, c->in_id, c->position);
    CHECK(rc == ERR_OK);
    return COMMAND_DURABLE;
}

/* Another one with its mid may have come before it since it was submitted. The packet id is known all the
 * same, until it is released. */
static enum command_result apply_enqueue(struct tables *t, struct command *c)
{
    enum command_result result = c->in_id != 0 ? take_in_id(t, c) : COMMAND_DURABLE;
    if (result == COMMAND_DURABLE && tables_has_mid(t, c)) result = COMMAND_DUPLICATE;
    if (result != COMMAND_DURABLE) {
        forget_targets(t, c, c->targets_count);
        return result;
    }
    if (c->mid != NULL) {
        enum err rc = mids_put(t->mids, c->mid->client_id, c->mid->mid, command_mid_until_ms(c));
        CHECK(rc == ERR_OK);
    }
    return append_all(t, c);
}

/* The queue of a session, made if there is none. */
static struct queue *queue_make(struct tables *t, uint64_t session_no, uint64_t since)
{
    struct queue *q = queue_find(t, session_no);
    if (q != NULL) return q;
    q = calloc(1, sizeof *q);
    if (q == NULL) return NULL;
    q->session_no = session_no;
    q->since = since;
    if (map_put(&t->queues, map_hash_u64(session_no), q) == ERR_OK) return q;
    free(q);
    return NULL;
}

static enum command_result apply_claim(struct tables *t, const struct command *c)
{
    struct queue *q = queue_make(t, c->session_no, c->position);
    CHECK(q != NULL);
    q->claim_no = c->claim_no;
    q->has_will = c->msg != NULL;
    return COMMAND_DURABLE;
}

static enum command_result apply_end(struct tables *t, const struct command *c)
{
    struct queue *q = map_take(&t->queues, map_hash_u64(c->session_no), is_queue, &c->session_no);
    if (q == NULL) return COMMAND_STALE;
    queue_free(q);
    return COMMAND_DURABLE;
}

static enum command_result apply_group(struct tables *t, const struct command *c)
{
    CHECK(queue_make(t, c->session_no, c->position) != NULL);
    return COMMAND_DURABLE;
}

/* A limit drops entries, and knows of each that is still there; but for what a fold that was cut short has
 * left out, because it had moved by then: so when the log's tail says it again, what a limit has not dropped
 * is there. Without limits only the queue's reader takes any out: of what is elsewhere it knows what is
 * there, and moves an entry once. */
static bool has_entry(const struct tables *t, const struct queue *q, uint64_t seq)
{
    if (queue_row(q, seq) != NULL) return true;
    if (!is_limited(t, q)) return seq <= q->folded;
    return backlog_has(&q->backlog, seq) || (seq <= q->restored && seq > q->dropped);
}

/* What is due goes out, though it be to nobody. What a group has stays if those who should have it are all
 * gone. */
static bool has_receiver(const struct tables *t, const struct command *c)
{
    bool somebody = c->targets_count == 0 || c->session_no == DELAYED_QUEUE;
    for (uint32_t i = 0; i < c->targets_count && !somebody; i++)
        somebody = !c->targets[i].is_skipped && queue_find(t, c->targets[i].session_no) != NULL;
    return somebody;
}

/* Which of the two it was that was not there, the entry or its targets, is said by the marks of these. */
static enum command_result apply_move(struct tables *t, struct command *c)
{
    struct queue *q = queue_find(t, c->session_no);
    bool is_there = q != NULL && has_entry(t, q, c->version);
    if (is_there && has_receiver(t, c)) {
        queue_take(q, c->version);
        return append_all(t, c);
    }
    for (uint32_t i = 0; i < c->targets_count; i++) c->targets[i].is_skipped = is_there;
    forget_targets(t, c, c->targets_count);
    return COMMAND_STALE;
}

/* The will goes out once, whoever says so first: its connection's end, a timer, or another node. */
static enum command_result apply_will(struct tables *t, struct queue *q, struct command *c)
{
    if (q == NULL || !q->has_will) {
        forget_targets(t, c, c->targets_count);
        return COMMAND_STALE;
    }
    q->has_will = false;
    return append_all(t, c);
}

/* What is elsewhere is marked there. */
static void queue_release(struct queue *q, const struct command_ack *received)
{
    for (uint32_t i = 0; i < received->open_count; i++) {
        struct store_row *row = queue_row(q, received->open[i]);
        if (row != NULL) row->released = true;
    }
}

static void queue_sent_as(struct queue *q, uint64_t seq, uint16_t packet_id)
{
    struct store_row *row = queue_row(q, seq);
    if (row != NULL) row->packet_id = packet_id;
}

/* Commands that act for a connection: is it still the one that holds the session? */
static enum command_result apply_fenced(struct tables *t, struct command *c)
{
    struct queue *q = queue_find(t, c->session_no);
    if (q != NULL && q->claim_no != c->claim_no) q = NULL;
    if (c->kind == COMMAND_FIRE_WILL) return apply_will(t, q, c);
    if (q == NULL) return COMMAND_STALE;
    if (c->kind == COMMAND_ACK) queue_finish(q, &c->ack);
    if (c->kind == COMMAND_RECEIVED) queue_release(q, &c->ack);
    if (c->kind == COMMAND_SENT_AS) queue_sent_as(q, c->version, c->in_id);
    if (c->kind == COMMAND_RELEASE) c->was_stored = in_ids_take(&q->in_ids, c->in_id);
    if (c->kind == COMMAND_OFFLINE) q->has_will = q->has_will && c->keeps_will;
    return COMMAND_DURABLE;
}

/* Without memory for what the log says already the process cannot go on: CHECK. */
enum command_result tables_apply(struct tables *t, struct command *c)
{
    mids_forget(t->mids, c->stamp_ms);
    switch (c->kind) {
    case COMMAND_ENQUEUE: return apply_enqueue(t, c);
    case COMMAND_RETAINED: return append_all(t, c);
    case COMMAND_CLAIM: return apply_claim(t, c);
    case COMMAND_END_SESSION: return apply_end(t, c);
    case COMMAND_EXPIRY:
    case COMMAND_SUBSCRIBE:
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_ACK:
    case COMMAND_OFFLINE:
    case COMMAND_RECEIVED:
    case COMMAND_RELEASE:
    case COMMAND_SENT_AS:
    case COMMAND_FIRE_WILL: return apply_fenced(t, c);
    case COMMAND_GROUP: return apply_group(t, c);
    case COMMAND_MOVE: return apply_move(t, c);
    case COMMAND_KEEPALIVE:
    case COMMAND_FENCE: return COMMAND_DURABLE;
    }
    check_failed("a command kind without an apply", __FILE__, __LINE__);
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

void tables_ids(const struct tables *t, struct store_ids *p)
{
    const struct queue *q = queue_find(t, p->session_no);
    p->count = 0;
    if (q == NULL || q->count == 0) return;
    uint32_t limit = p->limit < IDS_ENTRIES_MAX ? p->limit : IDS_ENTRIES_MAX;
    for (uint32_t i = queue_after(q, p->after); i < q->count && p->count < limit; i++) {
        const struct store_row *row = &q->rows[q->head + i];
        p->rows[p->count++] = (struct store_id){
            .seq = row->seq,
            .expires_ms = row->msg->expires_ms,
            .payload_bytes = row->msg->payload_bytes,
            .qos = row->qos,
            .retain = row->retain,
        };
    }
}

size_t tables_count(const struct tables *t)
{
    return t->queues.count;
}

bool tables_has(const struct tables *t, uint64_t session_no, uint64_t seq)
{
    const struct queue *q = queue_find(t, session_no);
    return q != NULL && queue_row(q, seq) != NULL;
}

void tables_leave(struct tables *t, uint64_t session_no, uint64_t seq)
{
    struct queue *q = queue_find(t, session_no);
    if (q != NULL && seq > q->left) q->left = seq;
}

bool tables_ack_matters(struct tables *t, const struct command *c, uint64_t fold_no)
{
    struct queue *q = queue_find(t, c->session_no);
    if (q == NULL || q->left <= q->cleared) return false;
    if (q->acked_in_no == fold_no && c->ack.cursor <= q->acked_upto) return false;
    q->acked_in_no = fold_no;
    q->acked_upto = c->ack.cursor;
    bool all = c->ack.cursor >= q->left && (c->ack.open_count == 0 || c->ack.open[0] > q->left);
    if (all) q->cleared = q->left;
    return true;
}

bool tables_received_matters(const struct tables *t, const struct command *c)
{
    const struct queue *q = queue_find(t, c->session_no);
    for (uint32_t i = 0; q != NULL && i < c->ack.open_count; i++) {
        uint64_t seq = c->ack.open[i];
        if (queue_row(q, seq) != NULL || (seq <= q->left && q->left > q->cleared)) return true;
    }
    return false;
}

bool tables_move_matters(const struct tables *t, const struct command *c)
{
    const struct queue *q = queue_find(t, c->session_no);
    return q != NULL && c->version <= q->left;
}

bool tables_in_id_leaves(struct tables *t, const struct command *c)
{
    const struct queue *q = c->in_id == 0 ? NULL : queue_find(t, c->session_no);
    struct in_id *id = q == NULL ? NULL : in_ids_find(&q->in_ids, c->in_id);
    if (id == NULL || id->position != c->position) return false;
    id->is_stored = true;
    return true;
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

uint64_t tables_since(const struct tables *t, uint64_t session_no)
{
    const struct queue *q = queue_find(t, session_no);
    return q == NULL ? UINT64_MAX : q->since;
}

enum err tables_restore(struct tables *t, const struct tables_session *s)
{
    struct queue *q = queue_make(t, s->session_no, 0);
    if (q == NULL) return ERR_NOMEM;
    q->claim_no = s->claim_no;
    q->folded = q->left = q->restored = s->folded;
    q->has_will = s->has_will;
    return ERR_OK;
}

enum err tables_restore_mid(struct tables *t, struct bytes client_id, struct bytes mid, uint64_t until_ms)
{
    return mids_put(t->mids, client_id, mid, until_ms);
}

enum err tables_restore_entry(struct tables *t, uint64_t session_no, struct backlog_entry e)
{
    struct queue *q = queue_find(t, session_no);
    return q == NULL || !is_limited(t, q) ? ERR_OK : backlog_add(&q->backlog, e, false);
}

enum err tables_restore_in_id(struct tables *t, uint64_t session_no, uint16_t id)
{
    struct queue *q = queue_find(t, session_no);
    enum err rc = q == NULL ? ERR_OK : in_ids_add(&q->in_ids, id, 0);
    if (q != NULL && rc == ERR_OK) in_ids_find(&q->in_ids, id)->is_stored = true;
    return rc;
}

enum err tables_new(struct tables **out, const struct tables_conf *conf)
{
    struct tables *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL) return ERR_NOMEM;
    t->conf = *conf;
    map_init(&t->queues);
    enum err rc = mids_new(&t->mids);
    if (rc == ERR_OK && queue_make(t, DELAYED_QUEUE, 0) == NULL) rc = ERR_NOMEM;
    if (rc != ERR_OK) tables_free(out);
    return rc;
}

void tables_free(struct tables **owner)
{
    struct tables *t = *owner;
    *owner = NULL;
    if (t == NULL) return;
    size_t at = 0;
    for (struct queue *q = map_next(&t->queues, &at); q != NULL; q = map_next(&t->queues, &at)) queue_free(q);
    map_fini(&t->queues);
    mids_free(&t->mids);
    free(t);
}
