/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of shared subscriptions: who gets what, what comes back, and a random run against a model. */
#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"
#include "kit/test.h"
#include "share/share.h"
#include <stdio.h>
#include <string.h>

static const struct share_conf roomy = { .queue_bytes_max = CLEAN_QUEUE_BYTES_MAX };
static const struct share_terms clean_1 = { .qos = 1 }, clean_2 = { .qos = 2 };
static const struct share_terms kept_1 = { .session_no = 7, .qos = 1 },
                                kept_2 = { .session_no = 8, .qos = 2 };

static struct msg *make_msg(uint8_t qos, uint32_t number)
{
    char text[16];
    struct msg *m;
    snprintf(text, sizeof text, "%u", (unsigned)number);
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text(text), .qos = qos };
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    return m;
}

static uint32_t number_of(const struct msg *m)
{
    uint32_t n = 0;
    struct bytes text = msg_payload(m);
    for (size_t i = 0; i < text.len; i++) n = n * 10 + (uint32_t)(text.at[i] - '0');
    return n;
}

static enum err offer(struct share *s, uint8_t qos, uint64_t seq, uint32_t number)
{
    struct msg *m = make_msg(qos, number);
    enum err rc = share_offer(s, &(struct share_row){ m, seq, false });
    msg_unref(&m);
    return rc;
}

static struct share_member *join(struct share *s, const struct share_terms *terms, uint32_t credit)
{
    struct share_member *m;
    CHECK_INT(ERR_OK, share_join(s, &m, NULL, terms));
    share_credit(m, credit);
    return m;
}

/* Durable, and its queue is empty. */
static void open_durable(struct share *s)
{
    share_init(s, &roomy);
    share_make_durable(s);
}

static void go_live(struct share *s)
{
    CHECK_TRUE(share_wants_page(s));
    share_reading(s);
    share_page(s, NULL, 0, 0);
}

static void finish_all(struct share *s)
{
    for (struct share_entry *e = share_next(s); e != NULL; e = share_next(s)) share_done(e);
}

TEST(members_with_room_get_messages_in_turn)
{
    struct share s;
    uint32_t had[3] = { 0 };
    share_init(&s, &roomy);
    struct share_member *m[3];
    for (int i = 0; i < 3; i++) m[i] = join(&s, &clean_1, 10);
    for (uint32_t i = 0; i < 30; i++) CHECK_INT(ERR_OK, offer(&s, 1, 0, i));
    for (struct share_entry *e = share_next(&s); e != NULL; e = share_next(&s)) {
        for (int i = 0; i < 3; i++) had[i] += e->member == m[i];
        share_done(e);
    }
    for (int i = 0; i < 3; i++) CHECK_INT(10, had[i]);
    share_fini(&s);
}

TEST(a_slow_member_does_not_hold_the_others_up)
{
    struct share s;
    struct share_entry *held[3];
    share_init(&s, &roomy);
    struct share_member *slow = join(&s, &clean_1, 3), *fast = join(&s, &clean_1, 3);
    for (uint32_t i = 0; i < 100; i++) CHECK_INT(ERR_OK, offer(&s, 1, 0, i));
    uint32_t count = 0, done = 0;
    for (struct share_entry *e = share_next(&s); e != NULL; e = share_next(&s)) {
        if (e->member == slow) {
            held[count++] = e;
            continue;
        }
        CHECK_TRUE(e->member == fast);
        share_done(e);
        done++;
    }
    CHECK_INT(3, count);
    CHECK_INT(97, done);
    while (count > 0) share_done(held[--count]);
    share_fini(&s);
}

TEST(what_a_member_hands_back_goes_to_another_one_first)
{
    struct share s;
    share_init(&s, &roomy);
    struct share_member *a = join(&s, &clean_1, 2), *b = join(&s, &clean_1, 0);
    for (uint32_t i = 1; i <= 3; i++) CHECK_INT(ERR_OK, offer(&s, 1, 0, i));
    struct share_entry *first = share_next(&s), *second = share_next(&s);
    CHECK_TRUE(share_next(&s) == NULL);
    share_back(first);
    share_back(second);
    share_credit(a, 0);
    CHECK_TRUE(share_next(&s) == NULL);
    share_credit(b, 10);
    for (uint32_t i = 1; i <= 3; i++) {
        struct share_entry *e = share_next(&s);
        CHECK_INT(i, number_of(e->msg));
        CHECK_TRUE(e->member == b);
        share_done(e);
    }
    share_fini(&s);
}

TEST(each_gets_the_lower_of_both_qos)
{
    struct share s;
    static const struct share_terms clean_0 = { .qos = 0 };
    share_init(&s, &roomy);
    join(&s, &clean_0, 1);
    join(&s, &clean_2, 1);
    CHECK_INT(2, share_qos(&s));
    CHECK_INT(ERR_OK, offer(&s, 2, 0, 1));
    CHECK_INT(ERR_OK, offer(&s, 1, 0, 2));
    struct share_entry *e = share_next(&s), *f = share_next(&s);
    CHECK_INT(0, e->qos);
    CHECK_INT(1, f->qos);
    share_done(e);
    share_done(f);
    share_fini(&s);
}

TEST(retain_as_published_is_the_member_s)
{
    struct share s;
    static const struct share_terms as_published = { .qos = 1, .retain_as_published = true };
    share_init(&s, &roomy);
    struct share_member *plain = join(&s, &clean_1, 1), *other = join(&s, &as_published, 0);
    struct msg *m = make_msg(1, 1);
    CHECK_INT(ERR_OK, share_offer(&s, &(struct share_row){ m, 0, true }));
    msg_unref(&m);
    struct share_entry *e = share_next(&s);
    CHECK_TRUE(e->member == plain && !e->retain);
    share_back(e);
    share_credit(plain, 0);
    share_credit(other, 1);
    e = share_next(&s);
    CHECK_TRUE(e->member == other && e->retain);
    share_done(e);
    share_fini(&s);
}

TEST(a_volatile_group_drops_what_is_beyond_its_limit)
{
    struct share s;
    struct share_conf two = { .queue_messages_max = 2, .queue_bytes_max = CLEAN_QUEUE_BYTES_MAX };
    share_init(&s, &two);
    CHECK_INT(ERR_OK, offer(&s, 1, 0, 1));
    CHECK_INT(ERR_OK, offer(&s, 1, 0, 2));
    CHECK_INT(ERR_FULL, offer(&s, 1, 0, 3));
    share_fini(&s);
}

TEST(qos_0_goes_to_one_member_at_once_or_to_nobody)
{
    struct share s;
    share_init(&s, &roomy);
    struct share_row row = { make_msg(0, 1), 0, false };
    struct share_member *off = join(&s, &clean_1, 0);
    CHECK_TRUE(share_next_qos0(&s, &row) == NULL);
    struct share_member *a = join(&s, &clean_1, 1), *b = join(&s, &clean_1, 1);
    struct share_entry *e = share_next_qos0(&s, &row), *f = share_next_qos0(&s, &row);
    CHECK_TRUE(e->member != off && f->member != off && e->member != f->member);
    CHECK_INT(2, a->out_qos0 + b->out_qos0);
    CHECK_INT(0, a->out + b->out); /* of their credit nothing is used */
    share_done(e);
    share_back(f);
    CHECK_TRUE(share_next(&s) == NULL); /* it does not wait */
    msg_unref(&row.msg);
    share_fini(&s);
}

TEST(qos_2_leaves_the_queue_before_it_is_given)
{
    struct share s;
    open_durable(&s);
    struct share_member *kept = join(&s, &kept_2, 1);
    go_live(&s);
    CHECK_INT(ERR_OK, offer(&s, 2, 11, 1));
    struct share_entry *e = share_next(&s);
    CHECK_INT(SHARE_MOVE, e->how);
    CHECK_TRUE(share_moved(e, 12));
    CHECK_INT(12, e->moved_seq);
    CHECK_INT(1, kept->out); /* until it is finished there */
    share_done(e);
    CHECK_TRUE(!s.acks_dirty);

    share_leave(kept);
    struct share_member *clean = join(&s, &clean_2, 1);
    go_live(&s);
    CHECK_INT(ERR_OK, offer(&s, 2, 13, 2));
    e = share_next(&s);
    CHECK_INT(SHARE_TAKE, e->how);
    share_credit(clean, 0);
    CHECK_TRUE(!share_taken(e)); /* gone meanwhile */
    CHECK_INT(0, e->seq);
    share_done(e);
    share_fini(&s);
}

TEST(qos_2_that_only_ram_has_is_given_to_a_clean_member_and_moved_to_a_kept_one)
{
    struct share s;
    open_durable(&s);
    struct share_member *clean = join(&s, &clean_2, 1);
    CHECK_INT(ERR_OK, offer(&s, 2, 0, 1));
    struct share_entry *e = share_next(&s);
    CHECK_INT(SHARE_GIVE, e->how);
    share_back(e);
    share_leave(clean);
    join(&s, &kept_2, 1);
    e = share_next(&s);
    CHECK_INT(SHARE_MOVE, e->how);
    CHECK_INT(0, e->seq);
    share_done(e);
    share_fini(&s);
}

TEST(a_member_that_left_is_kept_until_its_last_message_is_home)
{
    struct share s;
    share_init(&s, &roomy);
    struct share_member *a = join(&s, &clean_1, 2);
    CHECK_INT(ERR_OK, offer(&s, 1, 0, 1));
    struct share_entry *e = share_next(&s);
    share_leave(a);
    CHECK_INT(0, s.members_count);
    CHECK_TRUE(!list_empty(&s.members));
    share_done(e);
    CHECK_TRUE(list_empty(&s.members));
    share_fini(&s);
}

TEST(an_acknowledgement_lists_what_is_given_and_not_done)
{
    struct share s;
    uint64_t cursor, open[8];
    open_durable(&s);
    join(&s, &kept_1, 4);
    go_live(&s);
    struct share_entry *e[4];
    for (uint32_t i = 0; i < 4; i++) CHECK_INT(ERR_OK, offer(&s, 1, 10 + i, i));
    for (int i = 0; i < 4; i++) e[i] = share_next(&s);
    share_back(e[0]);
    share_done(e[2]);
    CHECK_TRUE(s.acks_dirty);
    CHECK_INT(2, share_ack_state(&s, &cursor, open, 8));
    CHECK_INT(12, cursor);
    CHECK_INT(10, open[0]);
    CHECK_INT(11, open[1]);
    share_done(e[1]);
    share_done(e[3]);
    finish_all(&s);
    CHECK_INT(0, share_ack_state(&s, &cursor, open, 8));
    CHECK_INT(13, cursor);
    share_fini(&s);
}

TEST(without_members_on_line_what_the_store_has_is_let_go)
{
    struct share s;
    open_durable(&s);
    struct share_member *m = join(&s, &kept_1, 1);
    go_live(&s);
    for (uint32_t i = 0; i < 3; i++) CHECK_INT(ERR_OK, offer(&s, 1, 10 + i, i));
    CHECK_INT(ERR_OK, offer(&s, 1, 0, 9));
    struct share_entry *e = share_next(&s);
    share_credit(m, 0);
    CHECK_INT(1, s.waiting_count); /* that which only RAM has */
    CHECK_INT(10, s.fed);
    CHECK_TRUE(!share_wants_page(&s));
    CHECK_INT(ERR_AGAIN, offer(&s, 1, 13, 3));
    share_back(e);
    share_credit(m, 1);
    CHECK_TRUE(share_wants_page(&s));
    share_reading(&s);
    share_credit(m, 0); /* the page is on its way: it follows nothing any more */
    share_credit(m, 1);
    CHECK_TRUE(!share_wants_page(&s));
    share_page(&s, NULL, 0, 0);
    CHECK_INT(SHARE_STORE, s.feed);
    CHECK_TRUE(share_wants_page(&s));
    finish_all(&s);
    share_fini(&s);
}

TEST(a_tail_that_is_too_long_is_left_to_the_store)
{
    struct share s;
    open_durable(&s);
    join(&s, &kept_1, 1);
    go_live(&s);
    for (uint32_t i = 1; i <= TAIL_ENTRIES_MAX; i++) CHECK_INT(ERR_OK, offer(&s, 1, i, i));
    CHECK_INT(ERR_AGAIN, offer(&s, 1, TAIL_ENTRIES_MAX + 1, 0));
    CHECK_TRUE(!share_wants_page(&s));
    finish_all(&s);
    CHECK_TRUE(share_wants_page(&s));
    CHECK_INT(TAIL_ENTRIES_MAX, s.fed);
    share_fini(&s);
}

TEST(what_the_limit_of_its_queue_drops_is_not_given_any_more)
{
    struct share s;
    open_durable(&s);
    join(&s, &kept_1, 1);
    go_live(&s);
    for (uint32_t i = 0; i < 4; i++) CHECK_INT(ERR_OK, offer(&s, 1, 10 + i, i));
    share_drop_upto(&s, 12);
    struct share_entry *e = share_next(&s);
    CHECK_INT(13, e->seq);
    share_done(e);
    share_fini(&s);
}

TEST(many_members_leave_something_for_one_more)
{
    enum { MANY = SHARE_OUT_MAX / SHARE_CREDIT_MAX * 2 };
    struct share s;
    share_init(&s, &roomy);
    static struct share_entry *held[SHARE_OUT_MAX];
    for (int i = 0; i < MANY; i++) join(&s, &clean_1, SHARE_CREDIT_MAX);
    for (uint32_t i = 0; i < SHARE_OUT_MAX + 10; i++) CHECK_INT(ERR_OK, offer(&s, 1, 0, i));
    uint32_t count = 0;
    for (struct share_entry *e = share_next(&s); e != NULL; e = share_next(&s)) held[count++] = e;
    CHECK_INT(SHARE_OUT_MAX, count);
    struct share_member *late = join(&s, &clean_1, SHARE_CREDIT_MAX);
    struct share_entry *e = share_next(&s);
    CHECK_TRUE(e->member == late);
    share_done(e);
    while (count > 0) share_done(held[--count]);
    finish_all(&s);
    share_fini(&s);
}

/* --- a random run against a model */

enum { ROWS = 400, MEMBERS = 5, STEPS = 20000, OUT = 256 };

enum fate { UNUSED, QUEUED, DONE, MOVED };

struct model {
    uint64_t state; /* of its random numbers: a run is a seed */
    struct share share;
    struct share_member *members[MEMBERS];
    struct share_terms terms[MEMBERS];
    struct share_entry *out[OUT];
    uint32_t out_count;
    bool in_store[ROWS + 1]; /* by seq: the queue as the store has it */
    enum fate fate[ROWS + 1];
    uint8_t qos[ROWS + 1];
    bool is_out[ROWS + 1];
    bool is_sent_qos2[ROWS + 1];
    uint32_t used;
    bool has_asked;
};

static uint32_t pick(struct model *o, uint32_t below)
{
    o->state = o->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(o->state >> 33) % below;
}

static void model_offer(struct model *o)
{
    if (o->used == ROWS) return;
    uint32_t seq = ++o->used;
    o->qos[seq] = (uint8_t)(1 + pick(o, 2));
    o->in_store[seq] = true;
    o->fate[seq] = QUEUED;
    offer(&o->share, o->qos[seq], seq, seq);
}

static void model_page(struct model *o)
{
    struct share_row rows[4] = { 0 };
    uint32_t count = 0;
    if (!o->has_asked) {
        if (!share_wants_page(&o->share)) return;
        share_reading(&o->share);
        o->has_asked = true;
        return;
    }
    o->has_asked = false;
    for (uint64_t seq = o->share.fed + 1; seq <= o->used && count < 4; seq++)
        if (o->in_store[seq])
            rows[count++] = (struct share_row){ make_msg(o->qos[seq], (uint32_t)seq), seq, false };
    share_page(&o->share, rows, count, o->used);
    for (uint32_t i = 0; i < count; i++) msg_unref(&rows[i].msg);
}

static void model_next(struct model *o)
{
    struct share_entry *e = o->out_count == OUT ? NULL : share_next(&o->share);
    if (e == NULL) return;
    uint32_t n = number_of(e->msg);
    CHECK_TRUE(!o->is_out[n]);       /* not with two at once */
    CHECK_TRUE(!o->is_sent_qos2[n]); /* and never with a second one */
    CHECK_TRUE(o->fate[n] == QUEUED);
    CHECK_TRUE(e->member->credit > 0);
    o->is_out[n] = true;
    o->out[o->out_count++] = e;
}

/* Its journal, then its client. */
static void model_finish(struct model *o, bool is_back)
{
    if (o->out_count == 0) return;
    uint32_t at = pick(o, o->out_count);
    struct share_entry *e = o->out[at];
    uint32_t n = number_of(e->msg);
    if (e->how != SHARE_GIVE && e->seq != 0) {
        CHECK_TRUE(o->in_store[n]);
        o->in_store[n] = false;
        o->is_sent_qos2[n] = true;
        o->fate[n] = MOVED;
        if (e->how == SHARE_MOVE)
            share_moved(e, e->seq);
        else
            share_taken(e);
    }
    if (is_back && o->is_sent_qos2[n]) return;
    o->out[at] = o->out[--o->out_count];
    o->is_out[n] = false;
    if (!is_back && o->fate[n] == QUEUED) o->fate[n] = DONE;
    if (is_back)
        share_back(e);
    else
        share_done(e);
}

static void model_acknowledge(struct model *o)
{
    uint64_t cursor, open[OUT + ROWS];
    uint32_t count = share_ack_state(&o->share, &cursor, open, OUT + ROWS), at = 0;
    for (uint64_t seq = 1; seq <= cursor; seq++) {
        if (at < count && open[at] == seq) {
            at++;
            continue;
        }
        CHECK_TRUE(o->fate[seq] != QUEUED || !o->in_store[seq]); /* nothing is lost */
        o->in_store[seq] = false;
    }
    CHECK_INT(count, at);
}

static void model_member(struct model *o)
{
    uint32_t i = pick(o, MEMBERS);
    if (pick(o, 4) > 0) {
        share_credit(o->members[i], pick(o, 3) == 0 ? 0 : 1 + pick(o, 8));
        return;
    }
    share_leave(o->members[i]);
    CHECK_INT(ERR_OK, share_join(&o->share, &o->members[i], NULL, &o->terms[i]));
}

static void model_join_all(struct model *o, uint32_t credit)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        CHECK_INT(ERR_OK, share_join(&o->share, &o->members[i], NULL, &o->terms[i]));
        share_credit(o->members[i], credit);
    }
}

/* kill -9: what the store has is there again, and nothing else. */
static void model_crash(struct model *o)
{
    while (o->out_count > 0) share_done(o->out[--o->out_count]);
    share_fini(&o->share);
    memset(o->is_out, 0, sizeof o->is_out);
    o->has_asked = false;
    for (uint32_t n = 1; n <= o->used; n++)
        if (o->in_store[n]) o->fate[n] = QUEUED;
    open_durable(&o->share);
    model_join_all(o, 4);
}

static void model_step(struct model *o)
{
    switch (pick(o, 10)) {
    case 0: model_offer(o); break;
    case 1:
    case 2: model_page(o); break;
    case 3:
    case 4:
    case 5: model_next(o); break;
    case 6: model_finish(o, false); break;
    case 7: model_finish(o, true); break;
    case 8: model_acknowledge(o); break;
    default: model_member(o); break;
    }
    if (pick(o, 1000) == 0) model_crash(o);
}

static void model_drain(struct model *o)
{
    for (uint32_t i = 0; i < MEMBERS; i++) share_credit(o->members[i], 8);
    for (uint32_t i = 0; i < 20 * ROWS; i++) {
        model_page(o);
        model_next(o);
        model_finish(o, false);
    }
    model_acknowledge(o);
    for (uint32_t n = 1; n <= o->used; n++) {
        CHECK_TRUE(o->fate[n] == DONE || o->fate[n] == MOVED);
        CHECK_TRUE(!o->in_store[n]);
    }
}

TEST(whatever_happens_nothing_is_lost_and_qos_2_goes_to_one_member_only)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static struct model o;
        o = (struct model){ .state = seed, .terms = { clean_1, clean_2, kept_1, kept_2, kept_2 } };
        open_durable(&o.share);
        model_join_all(&o, 4);
        for (uint32_t step = 0; step < STEPS; step++) model_step(&o);
        model_drain(&o);
        CHECK_INT(ROWS, o.used);
        while (o.out_count > 0) share_done(o.out[--o.out_count]);
        share_fini(&o.share);
    }
}

/* --- what not all may have */

static int even = 0, odd = 1, none = 2;

/* A member's reader is the remainder of the numbers that it may have. */
static bool may(const struct share_member *m, const struct msg *msg)
{
    const int *remainder = m->reader;
    return (int)(number_of(msg) % 2) == *remainder;
}

static struct share_member *join_reader(struct share *s, const struct share_terms *terms, uint32_t credit,
                                        int *reader)
{
    struct share_member *m;
    CHECK_INT(ERR_OK, share_join(s, &m, NULL, terms));
    m->reader = reader;
    share_credit(m, credit);
    return m;
}

static void open_guarded(struct share *s)
{
    struct share_conf conf = roomy;
    conf.may = may;
    share_init(s, &conf);
}

TEST(a_message_goes_to_a_member_that_may_have_it)
{
    struct share s;
    open_guarded(&s);
    struct share_member *evens = join_reader(&s, &clean_1, 10, &even);
    struct share_member *odds = join_reader(&s, &clean_1, 10, &odd);
    for (uint32_t i = 0; i < 8; i++) CHECK_INT(ERR_OK, offer(&s, 1, 0, i / 4)); /* 0 0 0 0 1 1 1 1 */
    for (uint32_t i = 0; i < 8; i++) {
        struct share_entry *e = share_next(&s);
        CHECK_TRUE(e != NULL && e->member == (number_of(e->msg) == 0 ? evens : odds));
        share_done(e);
    }
    CHECK_TRUE(share_next(&s) == NULL);
    CHECK_INT(0, s.denied);
    share_fini(&s);
}

TEST(what_only_a_member_without_room_may_have_is_passed_and_comes_in_order_when_it_has_some)
{
    struct share s;
    struct share_entry *e[4];
    open_guarded(&s);
    struct share_member *evens = join_reader(&s, &clean_1, 1, &even);
    join_reader(&s, &clean_1, 10, &odd);
    for (uint32_t i = 0; i < 6; i++) CHECK_INT(ERR_OK, offer(&s, 1, 0, i));
    static const uint32_t first[] = { 0, 1, 3, 5 };
    for (int i = 0; i < 4; i++) {
        e[i] = share_next(&s);
        CHECK_TRUE(e[i] != NULL && number_of(e[i]->msg) == first[i]);
    }
    CHECK_TRUE(share_next(&s) == NULL);
    for (uint32_t want = 2; want < 6; want += 2) {
        share_done(e[0]);
        e[0] = share_next(&s);
        CHECK_TRUE(e[0] != NULL && e[0]->member == evens && number_of(e[0]->msg) == want);
    }
    for (int i = 0; i < 4; i++) share_done(e[i]);
    CHECK_INT(0, s.denied);
    share_fini(&s);
}

TEST(not_too_many_are_held_for_who_has_no_room)
{
    struct share s;
    open_guarded(&s);
    join_reader(&s, &clean_1, 1, &even);
    join_reader(&s, &clean_1, 10, &odd);
    for (uint32_t i = 0; i <= SHARE_HELD_MAX; i++) CHECK_INT(ERR_OK, offer(&s, 1, 0, 0));
    CHECK_INT(ERR_OK, offer(&s, 1, 0, 1));
    struct share_entry *e = share_next(&s);
    CHECK_TRUE(e != NULL && number_of(e->msg) == 0);
    CHECK_TRUE(share_next(&s) == NULL); /* the odd one is behind them */
    CHECK_INT(1, s.waiting_count);
    share_done(e);
    e = share_next(&s);
    CHECK_TRUE(e != NULL && number_of(e->msg) == 0);
    struct share_entry *passed = share_next(&s);
    CHECK_TRUE(passed != NULL && number_of(passed->msg) == 1);
    share_done(e);
    share_done(passed);
    finish_all(&s);
    share_fini(&s);
}

TEST(what_nobody_on_line_may_have_is_dropped_and_finished)
{
    struct share s;
    struct share_conf conf = roomy;
    uint64_t cursor;
    conf.may = may;
    share_init(&s, &conf);
    share_make_durable(&s);
    struct share_member *m = join_reader(&s, &kept_1, 10, &even);
    go_live(&s);
    for (uint32_t i = 1; i <= 5; i++) CHECK_INT(ERR_OK, offer(&s, 1, i, i)); /* 2 and 4 may be had */
    struct share_entry *two = share_next(&s), *four = share_next(&s);
    CHECK_TRUE(two != NULL && two->seq == 2 && four != NULL && four->seq == 4);
    CHECK_TRUE(share_next(&s) == NULL);
    CHECK_INT(3, s.denied);
    uint64_t open[4];
    CHECK_INT(2, share_ack_state(&s, &cursor, open, 4));
    CHECK_TRUE(cursor == 5 && open[0] == 2 && open[1] == 4);
    share_done(two);
    share_done(four);
    m->reader = &none;
    CHECK_INT(ERR_OK, offer(&s, 1, 6, 6));
    CHECK_TRUE(share_next(&s) == NULL);
    CHECK_INT(4, s.denied);
    CHECK_INT(0, share_ack_state(&s, &cursor, open, 4));
    CHECK_INT(6, cursor);
    share_fini(&s);
}

TEST(what_a_member_that_is_away_may_have_waits_until_it_is_back_or_has_left)
{
    struct share s;
    struct share_conf conf = roomy;
    conf.may = may;
    share_init(&s, &conf);
    share_make_durable(&s);
    join_reader(&s, &clean_1, 10, &odd);
    struct share_member *away = join_reader(&s, &kept_1, 10, &even);
    share_credit(away, 0);
    go_live(&s);
    for (uint32_t i = 1; i <= 4; i++) CHECK_INT(ERR_OK, offer(&s, 1, i, i));
    struct share_entry *one = share_next(&s), *three = share_next(&s);
    CHECK_TRUE(one != NULL && one->seq == 1 && three != NULL && three->seq == 3);
    CHECK_TRUE(share_next(&s) == NULL);
    CHECK_INT(0, s.denied);
    uint64_t cursor, open[4];
    share_done(one);
    share_done(three);
    CHECK_INT(1, share_ack_state(&s, &cursor, open, 4));
    CHECK_TRUE(cursor == 3 && open[0] == 2);

    share_credit(away, 1);
    struct share_entry *two = share_next(&s);
    CHECK_TRUE(two != NULL && two->seq == 2 && two->member == away);
    share_done(two);
    share_leave(away);
    CHECK_TRUE(share_next(&s) == NULL);
    CHECK_INT(1, s.denied); /* the fourth: nobody is left who may have it */
    share_fini(&s);
}

TEST(what_comes_back_goes_to_another_that_may_have_it_or_is_dropped)
{
    struct share s;
    open_guarded(&s);
    struct share_member *first = join_reader(&s, &clean_1, 1, &even);
    struct share_member *second = join_reader(&s, &clean_1, 1, &odd);
    CHECK_INT(ERR_OK, offer(&s, 1, 0, 2));
    struct share_entry *e = share_next(&s);
    CHECK_TRUE(e != NULL && e->member == first);
    second->reader = &even;
    share_credit(first, 0);
    share_back(e);
    e = share_next(&s);
    CHECK_TRUE(e != NULL && e->member == second);
    second->reader = &none;
    share_back(e);
    CHECK_TRUE(share_next(&s) == NULL);
    CHECK_INT(1, s.denied);
    share_fini(&s);
}

TEST(a_message_of_qos_0_goes_to_who_may_have_it_or_is_counted)
{
    struct share s;
    open_guarded(&s);
    struct share_member *evens = join_reader(&s, &clean_1, 1, &even);
    struct share_member *nobody = join_reader(&s, &clean_1, 1, &none);
    for (uint32_t i = 0; i < 4; i++) {
        struct msg *m = make_msg(0, i);
        struct share_entry *e = share_next_qos0(&s, &(struct share_row){ m, 0, false });
        CHECK_TRUE((e != NULL) == (i % 2 == 0));
        if (e != NULL) CHECK_TRUE(e->member == evens && e->member != nobody);
        if (e != NULL) share_done(e);
        msg_unref(&m);
    }
    CHECK_INT(2, s.denied);
    share_fini(&s);
}
