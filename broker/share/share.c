/* SPDX-License-Identifier: Apache-2.0 */
#include "share/share.h"
#include "base/check.h"
#include "base/limits.h"
#include <stdlib.h>

/*
 * Entries stand in one of two lists, both in the order of the queue:
 *
 *   taken:    given at least once, and not done. Also in `back`: with nobody at the moment.
 *   waiting:  never given.
 *
 * They are given from the front, so everything in `taken` stands before everything in `waiting`, and whatever
 * the store has up to `taken_upto` is either in `taken` or finished.
 */

void share_init(struct share *s, const struct share_conf *conf)
{
    *s = (struct share){ .conf = *conf, .feed = SHARE_LIVE };
    list_init(&s->members);
    list_init(&s->able);
    list_init(&s->online);
    list_init(&s->waiting);
    list_init(&s->taken);
    list_init(&s->back);
}

static struct share_entry *entry_at(struct list *l)
{
    return CONTAINER(l, struct share_entry, of_share);
}

static void entry_free(struct share_entry *e)
{
    list_remove(&e->of_share);
    list_remove(&e->of_back);
    msg_unref(&e->msg);
    free(e->refusers);
    free(e);
}

void share_fini(struct share *s)
{
    CHECK(s->out == 0);
    while (!list_empty(&s->waiting)) entry_free(entry_at(s->waiting.next));
    while (!list_empty(&s->taken)) entry_free(entry_at(s->taken.next));
    while (!list_empty(&s->members)) {
        struct share_member *m = CONTAINER(s->members.next, struct share_member, of_share);
        list_remove(&m->of_share);
        free(m);
    }
}

void share_make_durable(struct share *s)
{
    s->is_durable = true;
    s->feed = SHARE_STORE;
}

/* --- members */

/* So that those who hold what they have got, however many they are, leave something for the others. */
static uint32_t fair(const struct share *s)
{
    uint32_t most = s->online_count == 0 ? SHARE_OUT_MAX : SHARE_OUT_MAX / s->online_count;
    return most == 0 ? 1 : most;
}

static bool has_room(const struct share_member *m)
{
    return m->credit > m->out && m->out < fair(m->share);
}

/* Stands among the able exactly while it has room; comes in as the last. */
static void settle(struct share_member *m)
{
    bool is_able = !list_empty(&m->of_able);
    if (has_room(m) == is_able) return;
    if (is_able)
        list_remove(&m->of_able);
    else
        list_add(&m->share->able, &m->of_able);
}

/* What the store has as well need not wait here while nobody is there. */
static void let_go(struct share *s)
{
    struct list *next;
    if (!s->is_durable) return;
    for (struct list *at = s->waiting.next; at != &s->waiting; at = next) {
        struct share_entry *e = entry_at(at);
        next = at->next;
        if (e->seq == 0) continue;
        s->waiting_count--;
        s->waiting_bytes -= msg_bytes(e->msg);
        entry_free(e);
    }
    if (s->feed == SHARE_READING) s->page_is_late = true;
    s->feed = SHARE_STORE;
    s->fed = s->taken_upto;
}

static bool is_strong(const struct share_terms *t)
{
    return t->session_no != 0 && t->qos > 0;
}

/* One more or one less. */
static void count_terms(struct share *s, const struct share_terms *t, uint32_t by)
{
    s->of_qos[t->qos] += by;
    if (is_strong(t)) s->persistent_count += by;
}

enum err share_join(struct share *s, struct share_member **out, void *who, const struct share_terms *terms)
{
    *out = NULL;
    if (s->members_count >= SHARE_MEMBERS_MAX) return ERR_FULL;
    struct share_member *m = calloc(1, sizeof *m);
    if (m == NULL) return ERR_NOMEM;
    m->share = s;
    m->number = ++s->members_made;
    m->who = who;
    m->terms = *terms;
    list_init(&m->of_able);
    list_init(&m->of_online);
    list_add(&s->members, &m->of_share);
    s->members_count++;
    count_terms(s, terms, 1);
    *out = m;
    return ERR_OK;
}

void share_change(struct share_member *m, const struct share_terms *terms)
{
    count_terms(m->share, &m->terms, (uint32_t)-1);
    count_terms(m->share, terms, 1);
    m->terms = *terms;
}

void share_credit(struct share_member *m, uint32_t credit)
{
    struct share *s = m->share;
    bool was_online = m->credit > 0, is_online = credit > 0;
    m->credit = credit > SHARE_CREDIT_MAX ? SHARE_CREDIT_MAX : credit;
    if (is_online && !was_online) {
        list_add(&s->online, &m->of_online);
        s->online_count++;
    }
    if (!is_online && was_online) {
        list_remove(&m->of_online);
        s->online_count--;
        if (s->online_count == 0) let_go(s);
    }
    settle(m);
}

static void free_if_gone(struct share_member *m)
{
    if (!m->has_left || m->out > 0 || m->out_qos0 > 0) return;
    list_remove(&m->of_share);
    free(m);
}

void share_leave(struct share_member *m)
{
    struct share *s = m->share;
    share_credit(m, 0);
    m->has_left = true;
    count_terms(s, &m->terms, (uint32_t)-1);
    s->members_count--;
    free_if_gone(m);
}

uint8_t share_qos(const struct share *s)
{
    return s->of_qos[2] > 0 ? 2 : s->of_qos[1] > 0;
}

bool share_wants_durable(const struct share *s)
{
    return s->persistent_count > 0;
}

/* --- in */

static struct share_entry *entry_new(const struct share_row *row)
{
    struct share_entry *e = calloc(1, sizeof *e);
    if (e == NULL) return NULL;
    e->msg = msg_ref(row->msg);
    e->seq = row->seq;
    e->is_retained = row->retain;
    list_init(&e->of_share);
    list_init(&e->of_back);
    list_init(&e->of_session);
    return e;
}

static enum err add_waiting(struct share *s, const struct share_row *row)
{
    struct share_entry *e = entry_new(row);
    if (e == NULL) return ERR_NOMEM;
    e->dup = row->seq != 0 && row->seq <= s->resent_upto;
    list_add(&s->waiting, &e->of_share);
    s->waiting_count++;
    s->waiting_bytes += msg_bytes(row->msg);
    if (row->seq > s->fed) s->fed = row->seq;
    return ERR_OK;
}

static enum err offer_volatile(struct share *s, const struct share_row *row)
{
    if (s->conf.queue_messages_max > 0 && s->waiting_count >= s->conf.queue_messages_max) return ERR_FULL;
    if (s->waiting_count > 0 && s->waiting_bytes + msg_bytes(row->msg) > s->conf.queue_bytes_max)
        return ERR_FULL;
    return add_waiting(s, row);
}

static enum err offer_durable(struct share *s, const struct share_row *row)
{
    if (s->feed != SHARE_LIVE) return ERR_AGAIN;
    bool room = s->waiting_count < TAIL_ENTRIES_MAX && s->waiting_bytes < CLEAN_QUEUE_BYTES_MAX;
    if (room && add_waiting(s, row) == ERR_OK) return ERR_OK;
    s->feed = SHARE_STORE;
    return ERR_AGAIN;
}

enum err share_offer(struct share *s, const struct share_row *row)
{
    return row->seq == 0 ? offer_volatile(s, row) : offer_durable(s, row);
}

void share_drop_upto(struct share *s, uint64_t seq)
{
    struct list *next;
    for (struct list *at = s->waiting.next; at != &s->waiting; at = next) {
        struct share_entry *e = entry_at(at);
        next = at->next;
        if (e->seq > seq) break;
        if (e->seq == 0) continue;
        s->waiting_count--;
        s->waiting_bytes -= msg_bytes(e->msg);
        entry_free(e);
    }
}

/* --- out */

static uint8_t lower(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

static enum share_how how_of(const struct share_entry *e)
{
    if (e->qos < 2) return SHARE_GIVE;
    if (e->member->terms.session_no != 0) return SHARE_MOVE;
    return e->seq != 0 ? SHARE_TAKE : SHARE_GIVE;
}

static void assign(struct share_entry *e, struct share_member *m)
{
    e->member = m;
    e->to = m->who;
    e->qos = lower(e->msg->qos, m->terms.qos);
    e->retain = e->is_retained && m->terms.retain_as_published;
    e->is_back = e->is_refused = false;
    e->id = 0;
    e->step = 0;
    e->how = (uint8_t)how_of(e);
}

static bool may_have(const struct share_member *m, const struct msg *msg)
{
    const struct share *s = m->share;
    return s->conf.may == NULL || s->conf.may(m, msg);
}

static bool has_refused(const struct share_member *m, const struct share_entry *e)
{
    for (uint32_t i = 0; i < e->refusers_count; i++)
        if (e->refusers[i] == m->number) return true;
    return false;
}

static bool may_take(const struct share_member *m, const struct share_entry *e)
{
    return !has_refused(m, e) && may_have(m, e->msg);
}

/* Of those that may have it, the one that has stood longest among those with room; the last from now on. */
static struct share_member *next_able(struct share *s, const struct share_entry *e)
{
    struct list *next;
    for (struct list *at = s->able.next; at != &s->able; at = next) {
        struct share_member *m = CONTAINER(at, struct share_member, of_able);
        next = at->next;
        bool fits = has_room(m);
        if (fits && !may_take(m, e)) continue;
        list_remove(&m->of_able);
        if (fits) return m;
    }
    return NULL;
}

/* Might somebody who is on line have it? */
static bool has_reader(const struct share *s, const struct msg *msg)
{
    for (struct list *at = s->online.next; at != &s->online; at = at->next)
        if (may_have(CONTAINER(at, struct share_member, of_online), msg)) return true;
    return false;
}

static struct share_entry *next_waiting(struct share *s)
{
    struct share_entry *e = entry_at(s->waiting.next);
    list_remove(&e->of_share);
    list_add(&s->taken, &e->of_share);
    s->waiting_count--;
    s->waiting_bytes -= msg_bytes(e->msg);
    if (e->seq > s->taken_upto) s->taken_upto = e->seq;
    return e;
}

static void finish(struct share *s, struct share_entry *e)
{
    if (e->seq > s->finished) s->finished = e->seq;
    if (e->seq != 0) s->acks_dirty = true;
    entry_free(e);
}

static struct share_entry *give(struct share_entry *e, struct share_member *m)
{
    assign(e, m);
    m->share->out++;
    m->out++;
    settle(m);
    return e;
}

/* Or who is away and comes back? The message has been acknowledged. */
static bool has_absent_reader(const struct share *s, const struct share_entry *e)
{
    for (struct list *at = s->members.next; at != &s->members; at = at->next) {
        const struct share_member *m = CONTAINER(at, struct share_member, of_share);
        if (m->credit == 0 && !m->has_left && is_strong(&m->terms) && may_take(m, e)) return true;
    }
    return false;
}

static bool has_taker(const struct share *s, const struct share_entry *e)
{
    for (struct list *at = s->online.next; at != &s->online; at = at->next)
        if (may_take(CONTAINER(at, struct share_member, of_online), e)) return true;
    return false;
}

/* Nobody with room may have it. True: somebody else may; or it is dropped. */
static bool hold(struct share *s, struct share_entry *e)
{
    if (has_taker(s, e) || has_absent_reader(s, e)) {
        if (list_empty(&e->of_back)) list_add(&s->back, &e->of_back);
        return true;
    }
    s->denied++;
    finish(s, e);
    return false;
}

/* Of those that have come back, or are held, the first that somebody can have now. */
static struct share_entry *next_of_back(struct share *s, uint32_t *held)
{
    struct list *next;
    *held = 0;
    for (struct list *at = s->back.next; at != &s->back && *held < SHARE_HELD_MAX; at = next) {
        struct share_entry *e = CONTAINER(at, struct share_entry, of_back);
        next = at->next;
        struct share_member *m = next_able(s, e);
        if (m != NULL) {
            list_remove(&e->of_back);
            return give(e, m);
        }
        if (list_empty(&s->able)) return NULL;
        *held += hold(s, e);
    }
    return NULL;
}

struct share_entry *share_next(struct share *s)
{
    uint32_t held;
    struct share_entry *e = next_of_back(s, &held);
    while (e == NULL && held < SHARE_HELD_MAX && !list_empty(&s->waiting)) {
        struct share_member *m = next_able(s, entry_at(s->waiting.next));
        if (m == NULL && list_empty(&s->able)) return NULL;
        struct share_entry *first = next_waiting(s);
        if (m != NULL)
            e = give(first, m);
        else
            held += hold(s, first);
    }
    return e;
}

static struct share_member *next_online(struct share *s, const struct msg *msg)
{
    for (uint32_t i = 0; i < s->online_count; i++) {
        struct share_member *m = CONTAINER(s->online.next, struct share_member, of_online);
        list_remove(&m->of_online);
        list_add(&s->online, &m->of_online);
        if (m->out_qos0 < SHARE_OUT_QOS0_MAX && may_have(m, msg)) return m;
    }
    return NULL;
}

struct share_entry *share_next_qos0(struct share *s, const struct share_row *row)
{
    struct share_member *m = next_online(s, row->msg);
    if (m == NULL && s->online_count > 0 && !has_reader(s, row->msg)) s->denied++;
    struct share_entry *e = m == NULL ? NULL : entry_new(row);
    if (e == NULL) return NULL;
    assign(e, m);
    e->qos = 0;
    e->how = SHARE_GIVE;
    e->is_qos0 = true;
    list_add(&s->taken, &e->of_share);
    s->out++;
    m->out_qos0++;
    return e;
}

/* It is home again. */
static struct share *come_home(struct share_entry *e)
{
    struct share_member *m = e->member;
    struct share *s = m->share;
    CHECK(s->out > 0);
    s->out--;
    if (e->is_qos0)
        m->out_qos0--;
    else
        m->out--;
    e->member = NULL;
    settle(m);
    free_if_gone(m);
    return s;
}

void share_done(struct share_entry *e)
{
    struct share *s = come_home(e);
    finish(s, e);
}

void share_back(struct share_entry *e)
{
    struct share *s = come_home(e);
    if (e->is_qos0)
        entry_free(e);
    else
        list_add(&s->back, &e->of_back);
}

/* Without memory to note that it is as if nobody might have it. */
void share_refused(struct share_entry *e)
{
    struct share *s = e->member->share;
    uint64_t *grown = realloc(e->refusers, (e->refusers_count + 1) * sizeof *grown);
    if (grown == NULL) {
        s->denied++;
        share_done(e);
        return;
    }
    e->refusers = grown;
    grown[e->refusers_count++] = e->member->number;
    share_back(e);
}

/* The store knows that it is gone: no acknowledgement has to say so. */
static bool leave_queue(struct share_entry *e)
{
    struct share *s = e->member->share;
    if (e->seq > s->finished) s->finished = e->seq;
    e->seq = 0;
    return e->member->credit > 0;
}

bool share_moved(struct share_entry *e, uint64_t seq)
{
    e->moved_seq = seq;
    return leave_queue(e);
}

bool share_taken(struct share_entry *e)
{
    e->how = SHARE_GIVE;
    return leave_queue(e);
}

/* --- the store */

bool share_wants_page(const struct share *s)
{
    return s->is_durable && s->feed == SHARE_STORE && !s->page_is_late && s->online_count > 0 &&
           s->waiting_count < TAIL_ENTRIES_MAX / 2 && s->waiting_bytes < CLEAN_QUEUE_BYTES_MAX / 2;
}

void share_reading(struct share *s)
{
    CHECK(s->feed == SHARE_STORE);
    s->feed = SHARE_READING;
}

void share_page(struct share *s, const struct share_row *rows, uint32_t count, uint64_t snapshot)
{
    if (s->page_is_late) { /* what it was to follow is not here any more */
        s->page_is_late = false;
        return;
    }
    CHECK(s->feed == SHARE_READING);
    if (s->was_before && s->resent_upto == 0) s->resent_upto = snapshot;
    s->feed = count == 0 ? SHARE_LIVE : SHARE_STORE;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].seq <= s->fed) continue;
        if (add_waiting(s, &rows[i]) != ERR_OK) return; /* read again, when there is memory */
    }
}

uint32_t share_ack_state(struct share *s, uint64_t *cursor, uint64_t *open, uint32_t room)
{
    uint32_t count = 0;
    *cursor = s->finished;
    s->acks_dirty = false;
    for (struct list *at = s->taken.next; at != &s->taken; at = at->next) {
        const struct share_entry *e = entry_at(at);
        if (e->seq == 0) continue;
        if (e->seq > s->finished) break;
        if (count < room) open[count] = e->seq;
        count++;
    }
    return count;
}
