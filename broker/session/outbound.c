/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bisect.h"
#include "base/check.h"
#include "session/session_int.h"
#include <stdlib.h>

/*
 * The ring. head, sent and tail count up for ever (modulo 2^32); ring.c says where an entry is:
 *
 *        head            sent              tail
 *         | sent, or acked | waiting         |
 *         +----------------+-----------------+
 *
 * An entry gets its place when it is sent first: in ring order, 1 to ID_ROUND_MAX and 1 again. So the places
 * of all that have one are consecutive from the head on, and an entry is found by subtraction. The place is
 * the packet id, but for QoS 2 in a persistent session, whose place stays unused as an id (session/qos2.h).
 * An entry that is finished out of order stays until it is the head.
 *
 * What another broker had sent before its sessions came here keeps the id that its client knows, and that may
 * be any (COMMAND_SENT_AS). So that no two messages have one id, such entries and the others are never under
 * way together: each kind waits until those of the other before it are finished.
 */
enum { SPAN_MIN = 64 };

static bool push(struct session *s, const struct store_row *row)
{
    if (!session_ring_room(s)) return false;
    *session_at(s, s->tail++) = (struct session_entry){ .msg = row->msg,
                                                        .seq = row->seq,
                                                        .qos = row->qos,
                                                        .state = row->released ? ENTRY_RELEASED : ENTRY_OPEN,
                                                        .retain = row->retain,
                                                        .packet_id = row->packet_id };
    s->foreign += row->packet_id != 0;
    s->queued_bytes += msg_bytes(row->msg);
    if (s->persistent && row->seq > session_kept(s)->fed) session_kept_own(s)->fed = row->seq;
    return true;
}

bool session_has_room(const struct session *s, const struct msg *m)
{
    uint32_t waiting = s->tail - s->sent;
    size_t more_bytes = m == NULL ? 0 : msg_bytes(m);
    if (s->queue_messages_max > 0 && waiting >= s->queue_messages_max) return false;
    return waiting == 0 || s->queued_bytes + more_bytes <= s->queue_bytes_max;
}

static enum err offer_clean(struct session *s, const struct store_row *row)
{
    if (!session_has_room(s, row->msg)) return ERR_FULL;
    return push(s, row) ? ERR_OK : ERR_NOMEM;
}

static enum err offer_persistent(struct session *s, const struct store_row *row)
{
    if (s->feed != FEED_LIVE) return ERR_AGAIN;
    if (NEVER(row->seq <= session_kept(s)->fed)) return ERR_AGAIN;
    bool room = s->tail - s->sent < TAIL_ENTRIES_MAX && s->queued_bytes < CLEAN_QUEUE_BYTES_MAX;
    if (room && push(s, row)) return ERR_OK;
    s->feed = FEED_STORE;
    return ERR_AGAIN;
}

enum err session_offer(struct session *s, const struct store_row *row)
{
    enum err rc = s->persistent ? offer_persistent(s, row) : offer_clean(s, row);
    if (rc == ERR_OK) msg_ref(row->msg);
    return rc;
}

static uint16_t place_after(uint16_t place)
{
    return place == ID_ROUND_MAX ? 1 : (uint16_t)(place + 1);
}

/* Places in use may not meet themselves again, and a client that never acknowledges its oldest message stalls
 * instead of making the ring grow. */
static bool span_left(const struct session *s)
{
    uint32_t most = s->window * 2;
    if (most < SPAN_MIN) most = SPAN_MIN;
    if (most > ID_ROUND_MAX - 1) most = ID_ROUND_MAX - 1;
    return s->sent - s->head < most;
}

static bool ids_may_meet(const struct session *s, const struct session_entry *e)
{
    bool is_foreign = e->packet_id != 0;
    for (uint32_t i = s->head; i != s->sent; i++) {
        const struct session_entry *before = session_at(s, i);
        if (before->state != ENTRY_DONE && (before->packet_id != 0) != is_foreign) return true;
    }
    return is_foreign && s->shared->sent_count > 0;
}

/* The first time in this process. False: not now. */
static bool give_place(struct session *s, struct session_entry *e)
{
    uint16_t place = place_after(s->last_place);
    if (s->foreign > 0 && ids_may_meet(s, e)) return false;
    if (!span_left(s) || (e->qos == 2 && !session_exact_begin(s, e, place))) return false;
    e->place = s->last_place = place;
    s->queued_bytes -= msg_bytes(e->msg);
    return true;
}

/* Behind what needs no PUBLISH over this connection: finished, or received by the client. */
static void go_past(struct session *s)
{
    while (s->sent != s->tail) {
        const struct session_entry *e = session_at(s, s->sent);
        if (e->state == ENTRY_OPEN || e->place == 0) return;
        s->sent++;
    }
}

static void fill(struct session *s, const struct session_entry *e, bool is_first, struct session_send *out)
{
    /* It may have been sent: by this process, or by an earlier one, whose ids of QoS 1 are forgotten. */
    bool dup = !is_first || (e->seq > 0 && e->seq <= session_kept(s)->resent_upto);
    *out = (struct session_send){
        .msg = e->msg, .id = session_entry_id(s, e), .qos = e->qos, .dup = dup, .retain = e->retain
    };
    if (s->fence != NULL) {
        session_unvoid(s, e->seq - 1);
        out->is_void = session_is_void(s, e->seq);
    }
    if (is_first && e->seq > 0 && e->seq <= session_kept(s)->dropped_upto) out->is_void = true;
}

static uint64_t inflight_bytes(const struct session *s)
{
    uint64_t sum = session_shared_inflight_bytes(s);
    for (uint32_t i = s->head; i != s->sent; i++) {
        const struct session_entry *e = session_at(s, i);
        if (e->state != ENTRY_DONE) sum += e->msg->payload_bytes;
    }
    return sum;
}

/* A window is small: adding up is cheaper than keeping a sum over reconnects, and only some want it. */
bool session_is_full(const struct session *s)
{
    if (s->unacked >= s->window) return true;
    return s->inflight_bytes_max > 0 && s->unacked > 0 && inflight_bytes(s) >= s->inflight_bytes_max;
}

bool session_next(struct session *s, struct session_send *out)
{
    while (!session_next_release(s, out)) {
        go_past(s);
        if (s->sent == s->tail) return false;
        struct session_entry *e = session_at(s, s->sent);
        bool was_released = e->state == ENTRY_RELEASED; /* by an earlier process: its PUBREL is next */
        bool is_first = e->place == 0;
        if (!was_released && session_is_full(s)) return false;
        if (is_first && !give_place(s, e)) return false;
        s->sent++;
        s->unacked++;
        if (was_released) continue;
        fill(s, e, is_first, out);
        return true;
    }
    return true;
}

uint32_t session_shed(struct session *s, uint64_t keep_bytes)
{
    uint32_t had = s->tail;
    if (s->feed == FEED_READING) return 0; /* the page begins behind what is here */
    while (s->queued_bytes > keep_bytes && s->tail != s->sent && session_at(s, s->tail - 1)->place == 0) {
        s->queued_bytes -= msg_bytes(session_at(s, s->tail - 1)->msg);
        session_ring_drop_last(s);
    }
    if (!s->persistent || s->tail == had) return had - s->tail;
    struct session_kept *kept = session_kept_own(s);
    kept->fed = s->tail != s->head ? session_at(s, s->tail - 1)->seq : kept->finished;
    s->feed = FEED_STORE;
    return 0;
}

void session_drop_upto(struct session *s, uint64_t seq)
{
    if (seq <= session_kept(s)->dropped_upto) return;
    session_kept_own(s)->dropped_upto = seq;
    session_shared_dropped(s, seq);
}

uint32_t session_index_of(const struct session *s, uint16_t place)
{
    uint32_t first = session_at(s, s->head)->place;
    return s->head + ((uint32_t)place + ID_ROUND_MAX - first) % ID_ROUND_MAX;
}

/* Sent over this connection with an id that goes round, and not finished; or NULL. */
static struct session_entry *find_sent(const struct session *s, uint16_t id)
{
    if (s->head == s->sent || id == 0 || id > ID_ROUND_MAX) return NULL;
    uint32_t index = session_index_of(s, id);
    if (index - s->head >= s->sent - s->head) return NULL;
    struct session_entry *e = session_at(s, index);
    DCHECK(e->place == id);
    return e->state == ENTRY_DONE || session_is_exact(s, e) ? NULL : e;
}

bool session_in_flight(const struct session *s, uint16_t id)
{
    return find_sent(s, id) != NULL || session_exact_in_flight(s, id);
}

uint64_t session_sent_upto(const struct session *s)
{
    uint64_t resent_upto = session_kept(s)->resent_upto;
    for (uint32_t i = s->tail; i != s->head; i--) {
        const struct session_entry *e = session_at(s, i - 1);
        if (e->place == 0 || e->state == ENTRY_DONE) continue;
        return e->seq > resent_upto ? e->seq : resent_upto;
    }
    return resent_upto;
}

void session_let_go(struct session *s, struct session_entry *e)
{
    s->foreign -= e->packet_id != 0;
    msg_unref(&e->msg);
}

void session_finish(struct session *s, struct session_entry *e)
{
    e->state = ENTRY_DONE;
    if (s->persistent && e->seq > session_kept(s)->finished) session_kept_own(s)->finished = e->seq;
    s->acks_dirty = s->persistent;
    if (e->qos == 2) session_shared_finished(s, e->seq);
    while (s->head != s->tail && session_at(s, s->head)->state == ENTRY_DONE) {
        if (s->sent == s->head) s->sent++;
        session_ring_drop_first(s);
    }
}

bool session_acked(struct session *s, uint16_t id)
{
    struct session_entry *e = find_sent(s, id);
    if (e == NULL || e->qos == 2) return false;
    s->unacked--;
    session_finish(s, e);
    return true;
}

void session_skip(struct session *s, const struct session_send *given)
{
    if (given->qos == 2) {
        session_exact_skip(s, given);
        return;
    }
    struct session_entry *e = find_sent(s, given->id);
    CHECK(e != NULL);
    if (s->fence != NULL) session_unvoid(s, e->seq);
    session_acked(s, given->id);
}

bool session_awaits(const struct session *s, const struct session_send *given)
{
    const struct session_entry *e =
        given->qos == 2 ? session_exact_sent(s, given->id) : find_sent(s, given->id);
    return e != NULL && e->msg == given->msg && e->qos == given->qos && e->state == ENTRY_OPEN;
}

bool session_wants_page(const struct session *s)
{
    return s->persistent && s->conn != NULL && s->feed == FEED_STORE &&
           s->tail - s->sent < TAIL_ENTRIES_MAX / 2 && s->queued_bytes < CLEAN_QUEUE_BYTES_MAX / 2;
}

void session_reading(struct session *s)
{
    CHECK(s->feed == FEED_STORE);
    s->feed = FEED_READING;
}

void session_page(struct session *s, struct store_page *page)
{
    CHECK(s->feed == FEED_READING);
    s->feed = page->count == 0 ? FEED_LIVE : FEED_STORE;
    for (uint32_t i = 0; i < page->count; i++) {
        struct store_row *row = &page->rows[i];
        if (row->seq <= session_kept(s)->fed) continue;
        if (!push(s, row)) return; /* read again, when there is memory */
        msg_ref(row->msg);
    }
}

uint32_t session_ack_state(struct session *s, uint64_t *cursor, uint64_t *open, uint32_t room)
{
    uint32_t count = 0;
    *cursor = session_kept(s)->finished;
    s->acks_dirty = false;
    for (uint32_t i = s->head; i != s->tail; i++) {
        const struct session_entry *e = session_at(s, i);
        if (e->seq > *cursor) break;
        if (e->state == ENTRY_DONE) continue;
        if (count < room) open[count] = e->seq;
        count++;
    }
    return count;
}

static bool is_before(const void *of, size_t i, uint64_t seq)
{
    const struct session *s = of;
    return session_at(s, s->head + (uint32_t)i)->seq < seq;
}

struct session_entry *session_find_seq(const struct session *s, uint64_t seq)
{
    uint32_t at = s->head + (uint32_t)bisect(s, s->tail - s->head, seq, is_before);
    return at == s->tail || session_at(s, at)->seq != seq ? NULL : session_at(s, at);
}

bool session_has_finished(const struct session *s, uint64_t seq)
{
    if (seq <= session_kept(s)->dropped_upto) return true;
    if (seq > session_kept(s)->finished) return false;
    const struct session_entry *e = session_find_seq(s, seq);
    return e == NULL || e->state == ENTRY_DONE;
}
