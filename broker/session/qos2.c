/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "session/session_int.h"
#include <stdlib.h>

/*
 * QoS 2 on its way out. A message is in the list from its PUBLISH (or, of an earlier process, its PUBREL) to
 * its end:
 *
 *        released   recorded    received          count
 *           |          |           |                |
 *   PUBREL  | PUBREL   | journal   | PUBLISH sent   |
 *   sent    | waits *  | not told  |                |
 *
 *   * for its turn over this connection, or for the journal, which answers in this order
 *
 * A client answers in the order it is sent to [MQTT-4.6.0-3], so what is looked for is mostly the first of
 * its kind; QOS2_OUT_MAX bounds the rest.
 */

enum { NOT_THERE = UINT16_MAX };

static uint16_t find(const struct session *s, uint16_t id)
{
    const struct qos2_out *q = s->exact;
    for (uint16_t i = 0; q != NULL && i < q->count; i++)
        if (q->at[i].id == id) return i;
    return NOT_THERE;
}

static uint16_t find_place(const struct session *s, uint16_t place)
{
    const struct qos2_out *q = s->exact;
    for (uint16_t i = 0; q != NULL && i < q->count; i++)
        if (q->at[i].place == place) return i;
    return NOT_THERE;
}

static struct session_entry *entry_at(const struct session *s, uint16_t i)
{
    return session_at(s, session_index_of(s, s->exact->at[i].place));
}

static void take_out(struct qos2_out *q, uint16_t i)
{
    memmove(&q->at[i], &q->at[i + 1], (size_t)(q->count - i - 1) * sizeof q->at[0]);
    q->count--;
    if (i < q->received) q->received--;
    if (i < q->recorded) q->recorded--;
    if (i < q->released) q->released--;
}

static void put_in(struct qos2_out *q, uint16_t i, struct qos2_item item)
{
    memmove(&q->at[i + 1], &q->at[i], (size_t)(q->count - i) * sizeof q->at[0]);
    q->at[i] = item;
    q->count++;
}

static void put_recorded(struct qos2_out *q, struct qos2_item item)
{
    put_in(q, q->recorded, item);
    q->recorded++;
    q->received++;
}

static void put_received(struct qos2_out *q, struct qos2_item item)
{
    put_in(q, q->received, item);
    q->received++;
}

/* --- what has finished and may come again after a crash */

static uint64_t lower(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) return a + b;
    return a < b ? a : b;
}

/* Where an earlier message of its id finished a moment ago: after a crash both would come with that id. */
static bool would_meet(struct qos2_settling *t, uint64_t seq)
{
    uint64_t first = lower(t->fresh, lower(t->early, t->late));
    t->is_wanted = first != 0 && seq >= first + ID_EXACT_COUNT;
    return t->is_wanted;
}

bool session_wants_settled(const struct session *s)
{
    return s->exact != NULL && s->exact->settling.is_wanted && s->exact->settling.fresh != 0;
}

uint64_t session_settle_begin(struct session *s)
{
    /* Finished, and no ACK command says so yet: another time. */
    if (s->exact == NULL || s->acks_dirty || s->exact->settling.fresh == 0) return 0;
    struct qos2_settling *t = &s->exact->settling;
    t->made++;
    if (t->early == 0) {
        t->early = t->fresh;
        t->early_upto = t->made;
    } else {
        t->late = lower(t->late, t->fresh);
    }
    t->fresh = 0;
    return t->made;
}

/* Whatever is durable, so is all before it. */
void session_settled(struct session *s, uint64_t number)
{
    if (s->exact == NULL || number < s->exact->settling.early_upto) return;
    struct qos2_settling *t = &s->exact->settling;
    t->early = number < t->made ? t->late : 0;
    t->late = 0;
    t->early_upto = t->made;
}

void session_not_settled(struct session *s)
{
    if (s->exact == NULL) return;
    struct qos2_settling *t = &s->exact->settling;
    t->fresh = lower(t->fresh, lower(t->early, t->late));
    t->early = t->late = 0;
}

/* --- the list */

static bool make_list(struct session *s)
{
    if (s->exact == NULL) s->exact = calloc(1, sizeof *s->exact);
    return s->exact != NULL && s->exact->count < QOS2_OUT_MAX;
}

bool session_exact_begin(struct session *s, const struct session_entry *e, uint16_t place)
{
    struct session_entry with_place = *e;
    with_place.place = place;
    struct qos2_item item = { session_entry_id(s, &with_place), place };
    if (!make_list(s) || find(s, item.id) != NOT_THERE) return false;
    if (s->persistent && e->packet_id == 0 && would_meet(&s->exact->settling, e->seq)) return false;
    if (e->state == ENTRY_RELEASED)
        put_recorded(s->exact, item);
    else
        put_in(s->exact, s->exact->count, item);
    return true;
}

/* Between two connections. */
void session_exact_reset(struct session *s)
{
    struct qos2_out *q = s->exact;
    if (q == NULL) return;
    q->released = 0;
    s->unacked = q->received;
    if (q->count > 0 || lower(q->settling.fresh, q->settling.early) != 0) return;
    free(q);
    s->exact = NULL;
}

bool session_exact_in_flight(const struct session *s, uint16_t id)
{
    return find(s, id) != NOT_THERE;
}

bool session_next_release(struct session *s, struct session_send *out)
{
    struct qos2_out *q = s->exact;
    if (q == NULL || q->released == q->recorded) return false;
    if (entry_at(s, q->released)->state != ENTRY_RELEASED) return false;
    *out = (struct session_send){ .id = q->at[q->released++].id, .qos = 2, .is_release = true };
    return true;
}

/* Does the window count it? What PUBREC has come for, always; else what went out over this connection. */
static bool is_counted(const struct session *s, uint16_t i)
{
    if (i < s->exact->received) return true;
    return session_index_of(s, s->exact->at[i].place) - s->head < s->sent - s->head;
}

struct session_entry *session_exact_sent(const struct session *s, uint16_t id)
{
    uint16_t i = find(s, id);
    return i == NOT_THERE || !is_counted(s, i) ? NULL : entry_at(s, i);
}

static void finish(struct session *s, uint16_t i)
{
    struct session_entry *e = entry_at(s, i);
    if (is_counted(s, i)) s->unacked--;
    take_out(s->exact, i);
    if (s->persistent) s->exact->settling.fresh = lower(s->exact->settling.fresh, e->seq);
    session_finish(s, e);
}

/* The client may hold the id of a message that cannot be sent to it again: PUBREL makes it let go, and we
 * behave as if it had answered [MQTT-3.1.2-25]. Else nothing of it is known to the client. */
void session_exact_skip(struct session *s, const struct session_send *given)
{
    uint16_t i = find(s, given->id);
    CHECK(i != NOT_THERE);
    struct session_entry *e = entry_at(s, i);
    if (s->fence != NULL) session_unvoid(s, e->seq);
    if (!given->dup) {
        finish(s, i);
        return;
    }
    struct qos2_item item = s->exact->at[i];
    take_out(s->exact, i);
    put_recorded(s->exact, item);
    e->state = ENTRY_RELEASED;
}

/* --- answers */

static enum qos2_reply not_there(const struct session *s, uint16_t id)
{
    return session_in_flight(s, id) ? QOS2_WRONG : QOS2_UNKNOWN;
}

enum qos2_reply session_pubrec(struct session *s, uint16_t id, bool refused)
{
    uint16_t i = find(s, id);
    struct qos2_out *q = s->exact;
    if (i == NOT_THERE) return not_there(s, id);
    if (i < q->received) return i < q->released ? QOS2_AGAIN : QOS2_TAKEN;
    if (refused) {
        finish(s, i);
        return QOS2_TAKEN;
    }
    if (!is_counted(s, i)) s->unacked++;
    struct qos2_item item = q->at[i];
    entry_at(s, i)->state = s->persistent ? ENTRY_RECEIVED : ENTRY_RELEASED;
    take_out(q, i);
    if (s->persistent)
        put_received(q, item);
    else
        put_recorded(q, item);
    return QOS2_TAKEN;
}

enum qos2_reply session_pubcomp(struct session *s, uint16_t id)
{
    uint16_t i = find(s, id);
    if (i == NOT_THERE) return not_there(s, id);
    if (entry_at(s, i)->state != ENTRY_RELEASED) return QOS2_WRONG;
    finish(s, i);
    return QOS2_TAKEN;
}

/* --- the journal */

uint32_t session_unrecorded(const struct session *s)
{
    return s->exact == NULL ? 0 : (uint32_t)(s->exact->received - s->exact->recorded);
}

void session_record(struct session *s, uint64_t *seqs)
{
    struct qos2_out *q = s->exact;
    while (q != NULL && q->recorded < q->received) *seqs++ = entry_at(s, q->recorded++)->seq;
}

void session_recorded(struct session *s, uint64_t seq)
{
    struct session_entry *e = session_find_seq(s, seq);
    if (e != NULL && e->state == ENTRY_RECEIVED) e->state = ENTRY_RELEASED;
}

void session_not_recorded(struct session *s, uint64_t seq)
{
    struct session_entry *e = session_find_seq(s, seq);
    if (e == NULL || e->state != ENTRY_RECEIVED) return;
    uint16_t i = find_place(s, e->place);
    CHECK(i < s->exact->recorded);
    struct qos2_item item = s->exact->at[i];
    take_out(s->exact, i);
    put_in(s->exact, s->exact->count, item);
    e->state = ENTRY_OPEN;
}
