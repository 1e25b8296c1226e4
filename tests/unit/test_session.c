/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "session/session.h"
#include "unit/session_kit.h"
#include <stdlib.h>

/* A page with these rows; the references stay the caller's. */
static void give_page(struct session *s, uint64_t first, uint32_t count)
{
    static struct store_page page;
    page.count = count;
    for (uint32_t i = 0; i < count; i++)
        page.rows[i] = (struct store_row){ .seq = first + i, .msg = msg_of(first + i), .qos = 1 };
    session_page(s, &page);
}

static void go_live(struct session *s)
{
    CHECK_TRUE(session_wants_page(s));
    session_reading(s);
    give_page(s, 0, 0);
    CHECK_INT(FEED_LIVE, s->feed);
}

/* The next packet is this one. */
static void expect_next(struct session *s, uint64_t seq, uint16_t id, bool dup)
{
    struct session_send n;
    CHECK_TRUE(session_next(s, &n));
    CHECK_INT(id, n.id);
    CHECK_INT(dup, n.dup);
    CHECK_INT(1, n.qos);
    CHECK_TRUE(n.msg == msg_of(seq));
}

static void expect_none(struct session *s)
{
    struct session_send n;
    CHECK_TRUE(!session_next(s, &n));
}

static int conn;

static struct session *live_session(uint32_t window)
{
    struct session *s = open_session(true);
    session_attach(s, &conn, window);
    go_live(s);
    return s;
}

TEST(what_was_acknowledged_is_finished_whatever_the_store_says_and_nothing_else)
{
    struct session *s = live_session(10);
    offer_some(s, 11, 16);
    for (uint64_t seq = 11; seq <= 15; seq++) expect_next(s, seq, (uint16_t)(seq - 10), false);
    CHECK_TRUE(!session_has_finished(s, 11));
    CHECK_TRUE(session_acked(s, 1)); /* leaves the ring */
    CHECK_TRUE(session_acked(s, 3)); /* stays in it */
    for (uint64_t seq = 11; seq <= 16; seq++) CHECK_INT(seq == 11 || seq == 13, session_has_finished(s, seq));
    CHECK_TRUE(session_has_finished(s, 5)); /* has been here, and gone */
    session_detach(s);
    for (uint64_t seq = 11; seq <= 16; seq++) CHECK_INT(seq == 11 || seq == 13, session_has_finished(s, seq));
    session_drop_upto(s, 14);
    for (uint64_t seq = 11; seq <= 16; seq++) CHECK_INT(seq <= 14, session_has_finished(s, seq));
    close_session(s);
}

TEST(the_window_bounds_what_is_on_its_way)
{
    struct session *s = open_session(false);
    session_attach(s, &conn, 2);
    offer_some(s, 1, 3);
    expect_next(s, 1, 1, false);
    expect_next(s, 2, 2, false);
    expect_none(s);
    CHECK_TRUE(session_acked(s, 1));
    expect_next(s, 3, 3, false);
    expect_none(s);
    close_session(s);
}

TEST(packet_ids_go_round_from_16383_to_1)
{
    struct session *s = open_session(false);
    session_attach(s, &conn, 3);
    for (uint32_t i = 0; i < 3u * ID_ROUND_MAX; i++) {
        CHECK_INT(ERR_OK, offer(s, 0));
        expect_next(s, 0, (uint16_t)(i % ID_ROUND_MAX + 1), false);
        /* Two stay on their way, across the end, too; acknowledged in turn from either side. */
        if (i >= 1) CHECK_TRUE(session_acked(s, (uint16_t)((i - 1) % ID_ROUND_MAX + 1)));
    }
    close_session(s);
}

TEST(acknowledgements_may_come_out_of_order)
{
    struct session *s = open_session(false);
    session_attach(s, &conn, 4);
    offer_some(s, 1, 8);
    for (uint16_t id = 1; id <= 4; id++) expect_next(s, id, id, false);
    CHECK_TRUE(session_acked(s, 3));
    CHECK_TRUE(session_acked(s, 2));
    expect_next(s, 5, 5, false);
    expect_next(s, 6, 6, false);
    expect_none(s);
    CHECK_TRUE(session_acked(s, 1));
    CHECK_TRUE(session_in_flight(s, 4));
    CHECK_TRUE(!session_in_flight(s, 1));
    expect_next(s, 7, 7, false);
    close_session(s);
}

TEST(an_unknown_or_repeated_acknowledgement_changes_nothing)
{
    struct session *s = open_session(false);
    session_attach(s, &conn, 2);
    CHECK_TRUE(!session_acked(s, 1));
    offer_some(s, 1, 4);
    expect_next(s, 1, 1, false);
    expect_next(s, 2, 2, false);
    CHECK_TRUE(!session_acked(s, 0));
    CHECK_TRUE(!session_acked(s, 3));
    CHECK_TRUE(!session_acked(s, 65535));
    CHECK_TRUE(session_acked(s, 2));
    CHECK_TRUE(!session_acked(s, 2));
    expect_next(s, 3, 3, false);
    expect_none(s);
    close_session(s);
}

TEST(a_client_that_never_acknowledges_its_oldest_message_stalls)
{
    struct session *s = open_session(false);
    session_attach(s, &conn, 2);
    offer_some(s, 1, 200);
    expect_next(s, 1, 1, false);
    struct session_send n;
    uint32_t sent = 1;
    while (session_next(s, &n)) {
        CHECK_TRUE(session_acked(s, n.id));
        sent++;
    }
    CHECK_INT(64, sent); /* the span: twice the window, at least 64 */
    CHECK_TRUE(session_acked(s, 1));
    expect_next(s, 65, 65, false);
    close_session(s);
}

TEST(a_new_connection_gets_what_is_unacknowledged_again_with_dup_ids_and_order)
{
    struct session *s = live_session(10);
    offer_some(s, 1, 6);
    for (uint16_t id = 1; id <= 6; id++) expect_next(s, id, id, false);
    CHECK_TRUE(session_acked(s, 2));
    CHECK_TRUE(session_acked(s, 5));
    session_detach(s);

    session_attach(s, &conn, 2); /* a smaller window than what is open */
    expect_next(s, 1, 1, true);
    expect_next(s, 3, 3, true);
    expect_none(s);
    CHECK_TRUE(!session_acked(s, 4)); /* not sent again yet */
    CHECK_TRUE(session_acked(s, 3));
    expect_next(s, 4, 4, true);
    session_detach(s);

    session_attach(s, &conn, 1);
    expect_next(s, 1, 1, true);
    CHECK_TRUE(session_acked(s, 1));
    expect_next(s, 4, 4, true);
    CHECK_TRUE(session_acked(s, 4));
    expect_next(s, 6, 6, true);
    CHECK_TRUE(session_acked(s, 6));
    go_live(s);
    CHECK_INT(ERR_OK, offer(s, 7));
    expect_next(s, 7, 7, false);
    close_session(s);
}

TEST(what_an_earlier_process_may_have_sent_goes_out_with_dup_and_in_order)
{
    struct session *s = open_session(true);
    session_kept_own(s)->resent_upto = 3;
    session_attach(s, &conn, 2);
    session_reading(s);
    give_page(s, 2, 4);
    expect_next(s, 2, 1, true);
    expect_next(s, 3, 2, true);
    CHECK_TRUE(session_acked(s, 1));
    expect_next(s, 4, 3, false);
    CHECK_TRUE(session_acked(s, 2));
    session_detach(s);

    session_attach(s, &conn, 9);
    expect_next(s, 4, 3, true); /* and this one sent it */
    session_reading(s);
    give_page(s, 5, 1);
    expect_next(s, 5, 4, false);
    close_session(s);
}

TEST(up_to_where_messages_may_be_sent_again_with_dup_is_known)
{
    struct session *s = live_session(5);
    CHECK_INT(0, session_sent_upto(s));
    offer_some(s, 11, 17);
    CHECK_INT(0, session_sent_upto(s)); /* none is sent yet */
    for (uint16_t id = 1; id <= 5; id++) expect_next(s, 10u + id, id, false);
    CHECK_INT(15, session_sent_upto(s));
    CHECK_TRUE(session_acked(s, 5));
    CHECK_INT(14, session_sent_upto(s));
    session_detach(s);
    CHECK_INT(14, session_sent_upto(s));
    session_attach(s, &conn, 5);
    CHECK_INT(14, session_sent_upto(s)); /* not sent over this connection, but over the last */
    for (uint16_t id = 1; id <= 4; id++) {
        expect_next(s, 10u + id, id, true);
        CHECK_TRUE(session_acked(s, id));
    }
    CHECK_INT(0, session_sent_upto(s));
    close_session(s);
}

TEST(what_an_earlier_process_sent_stays_so_until_it_is_through)
{
    struct session *s = open_session(true);
    session_kept_own(s)->resent_upto = 20;
    session_attach(s, &conn, 2);
    session_reading(s);
    give_page(s, 11, 3);
    expect_next(s, 11, 1, true);
    CHECK_INT(20, session_sent_upto(s));
    CHECK_TRUE(session_acked(s, 1));
    session_detach(s);
    CHECK_INT(20, session_sent_upto(s));
    close_session(s);
}

TEST(what_was_not_sent_is_left_to_the_store_when_the_connection_goes)
{
    struct session *s = live_session(2);
    offer_some(s, 1, 5);
    expect_next(s, 1, 1, false);
    expect_next(s, 2, 2, false);
    session_detach(s);
    CHECK_INT(2, session_kept(s)->fed);
    CHECK_INT(ERR_AGAIN, offer(s, 6)); /* off line: the store keeps it */

    session_attach(s, &conn, 10);
    expect_next(s, 1, 1, true);
    expect_next(s, 2, 2, true);
    expect_none(s);
    CHECK_TRUE(session_wants_page(s));
    session_reading(s);
    give_page(s, 3, 4);
    for (uint16_t id = 3; id <= 6; id++) expect_next(s, id, id, false);
    expect_none(s);
    close_session(s);
}

TEST(an_idle_session_comes_back_behind_what_it_has_finished)
{
    struct session *s = live_session(5);
    offer_some(s, 10, 12);
    for (uint16_t id = 1; id <= 3; id++) {
        expect_next(s, 9u + id, id, false);
        CHECK_TRUE(session_acked(s, id));
    }
    session_detach(s);
    CHECK_INT(12, session_kept(s)->fed);
    close_session(s);
}

TEST(a_session_is_live_only_after_an_empty_page)
{
    struct session *s = open_session(true);
    CHECK_TRUE(!session_wants_page(s)); /* off line */
    session_attach(s, &conn, 5);
    CHECK_INT(FEED_STORE, s->feed);
    CHECK_INT(ERR_AGAIN, offer(s, 1));
    CHECK_TRUE(session_wants_page(s));
    session_reading(s);
    CHECK_TRUE(!session_wants_page(s)); /* one at a time */
    CHECK_INT(ERR_AGAIN, offer(s, 2));
    give_page(s, 1, 1);
    CHECK_INT(FEED_STORE, s->feed);
    CHECK_INT(ERR_AGAIN, offer(s, 3)); /* 2 would be missed */
    CHECK_TRUE(session_wants_page(s));
    session_reading(s);
    give_page(s, 2, 2);
    session_reading(s);
    give_page(s, 4, 0);
    CHECK_INT(FEED_LIVE, s->feed);
    CHECK_INT(ERR_OK, offer(s, 4));
    for (uint16_t id = 1; id <= 4; id++) expect_next(s, id, id, false);
    close_session(s);
}

TEST(rows_that_a_page_repeats_are_not_taken_twice)
{
    struct session *s = open_session(true);
    session_attach(s, &conn, 9);
    session_reading(s);
    give_page(s, 1, 3);
    session_reading(s);
    give_page(s, 2, 3);
    for (uint16_t id = 1; id <= 4; id++) expect_next(s, id, id, false);
    expect_none(s);
    close_session(s);
}

TEST(a_full_tail_leaves_the_rest_to_the_store_until_there_is_room)
{
    struct session *s = live_session(1);
    offer_some(s, 1, TAIL_ENTRIES_MAX);
    CHECK_INT(ERR_AGAIN, offer(s, TAIL_ENTRIES_MAX + 1));
    CHECK_INT(FEED_STORE, s->feed);
    CHECK_TRUE(!session_wants_page(s));
    uint32_t sent = 0;
    struct session_send n;
    while (!session_wants_page(s)) {
        CHECK_TRUE(session_next(s, &n));
        CHECK_TRUE(session_acked(s, n.id));
        sent++;
    }
    CHECK_TRUE(sent >= TAIL_ENTRIES_MAX / 2 && sent < TAIL_ENTRIES_MAX);
    session_reading(s);
    give_page(s, TAIL_ENTRIES_MAX + 1, 1);
    while (session_next(s, &n)) CHECK_TRUE(session_acked(s, n.id));
    CHECK_INT(TAIL_ENTRIES_MAX + 1, session_kept(s)->finished);
    close_session(s);
}

TEST(a_clean_session_drops_what_is_beyond_its_limits)
{
    struct session *s = NULL;
    size_t each = msg_bytes(msg_of(0));
    struct session_conf conf = { .client_id = bytes_of_text("c"),
                                 .queue_messages_max = 3,
                                 .queue_bytes_max = 1000 * (uint32_t)each };
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    session_attach(s, &conn, 1);
    CHECK_INT(ERR_OK, offer(s, 0));
    expect_next(s, 0, 1, false); /* on its way: waits no more */
    for (int i = 0; i < 3; i++) CHECK_INT(ERR_OK, offer(s, 0));
    CHECK_TRUE(!session_has_room(s, NULL));
    CHECK_INT(ERR_FULL, offer(s, 0));
    CHECK_TRUE(session_acked(s, 1));
    expect_next(s, 0, 2, false);
    CHECK_INT(ERR_OK, offer(s, 0));
    session_detach(s);
    session_free(&s);

    conf.queue_messages_max = 0;
    conf.queue_bytes_max = 2 * (uint32_t)each;
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    session_attach(s, &conn, 1);
    CHECK_INT(ERR_OK, offer(s, 0));
    CHECK_INT(ERR_OK, offer(s, 0));
    CHECK_INT(ERR_FULL, offer(s, 0));
    close_session(s);
}

TEST(one_message_is_taken_however_large)
{
    struct session *s = NULL;
    struct session_conf conf = { .client_id = bytes_of_text("c"), .queue_bytes_max = 1 };
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    session_attach(s, &conn, 1);
    CHECK_INT(ERR_OK, offer(s, 0));
    CHECK_INT(ERR_FULL, offer(s, 0));
    expect_next(s, 0, 1, false);
    close_session(s);
}

TEST(the_state_of_acknowledgements_is_a_cursor_and_what_is_open_below_it)
{
    struct session *s = live_session(10);
    uint64_t cursor, open[10];
    CHECK_INT(0, session_ack_state(s, &cursor, open, 10));
    CHECK_INT(0, cursor);
    offer_some(s, 11, 18);
    for (uint16_t id = 1; id <= 6; id++) expect_next(s, 10u + id, id, false);
    CHECK_TRUE(!s->acks_dirty);
    CHECK_TRUE(session_acked(s, 1));
    CHECK_TRUE(session_acked(s, 5));
    CHECK_TRUE(s->acks_dirty);
    CHECK_INT(3, session_ack_state(s, &cursor, open, 10));
    CHECK_TRUE(!s->acks_dirty);
    CHECK_INT(15, cursor);
    for (uint64_t i = 0; i < 3; i++) CHECK_INT(12 + i, open[i]);

    open[1] = 99;
    CHECK_INT(3, session_ack_state(s, &cursor, open, 1)); /* says how many, writes what there is room for */
    CHECK_INT(99, open[1]);
    close_session(s);
}

TEST(what_an_earlier_connection_left_open_is_still_open_before_it_is_sent_again)
{
    struct session *s = live_session(10);
    uint64_t cursor, open[10];
    offer_some(s, 1, 9);
    for (uint16_t id = 1; id <= 9; id++) expect_next(s, id, id, false);
    CHECK_TRUE(session_acked(s, 9));
    session_detach(s);
    CHECK_INT(8, session_ack_state(s, &cursor, open, 10));
    session_attach(s, &conn, 2);
    expect_next(s, 1, 1, true);
    CHECK_TRUE(session_acked(s, 1));
    CHECK_INT(7, session_ack_state(s, &cursor, open, 10)); /* more than the window */
    CHECK_INT(9, cursor);
    for (uint64_t i = 0; i < 7; i++) CHECK_INT(2 + i, open[i]);
    close_session(s);
}

TEST(a_skipped_message_is_finished_and_the_next_one_follows)
{
    struct session *s = live_session(1);
    uint64_t cursor;
    struct session_send n;
    offer_some(s, 1, 2);
    CHECK_TRUE(session_next(s, &n));
    session_skip(s, &n);
    CHECK_INT(0, session_ack_state(s, &cursor, NULL, 0));
    CHECK_INT(1, cursor);
    expect_next(s, 2, 2, false);
    close_session(s);
}

TEST(a_void_entry_is_given_out_as_void_whenever_it_comes)
{
    struct session *s = live_session(3);
    struct session_send n;
    enum { TOPIC = 7 };
    for (uint64_t seq = 2; seq <= 3; seq++) {
        CHECK_INT(ERR_OK, session_copy_begin(s, TOPIC));
        session_fence_note(s, TOPIC, 100 + seq);
        session_copy_end(s, TOPIC, 100, seq);
    }
    offer_some(s, 1, 3);
    expect_next(s, 1, 1, false);
    CHECK_TRUE(session_next(s, &n) && n.is_void);
    session_skip(s, &n);
    session_detach(s); /* 3 goes back to the store, void as it is */

    session_attach(s, &conn, 3);
    expect_next(s, 1, 1, true);
    session_reading(s);
    give_page(s, 3, 2);
    CHECK_TRUE(session_next(s, &n) && n.is_void && n.msg == msg_of(3));
    session_skip(s, &n);
    CHECK_TRUE(session_next(s, &n) && !n.is_void && n.msg == msg_of(4));
    CHECK_TRUE(s->fence == NULL);
    close_session(s);
}

/* Its queue's limit took these from the store as well: what has gone out is the client's to acknowledge. */
TEST(what_a_limit_dropped_is_void_unless_it_was_sent)
{
    struct session *s = live_session(2);
    struct session_send n;
    offer_some(s, 1, 5);
    expect_next(s, 1, 1, false);
    expect_next(s, 2, 2, false);
    session_drop_upto(s, 4);
    session_drop_upto(s, 3); /* an older one, late */
    CHECK_TRUE(session_acked(s, 1));
    CHECK_TRUE(session_next(s, &n) && n.is_void && n.msg == msg_of(3));
    session_skip(s, &n);
    session_detach(s);

    session_attach(s, &conn, 3);
    CHECK_TRUE(session_next(s, &n) && !n.is_void && n.dup && n.msg == msg_of(2));
    session_reading(s);
    give_page(s, 4, 2);
    CHECK_TRUE(session_next(s, &n) && n.is_void && n.msg == msg_of(4));
    session_skip(s, &n);
    CHECK_TRUE(session_next(s, &n) && !n.is_void && !n.dup && n.msg == msg_of(5));
    close_session(s);
}

TEST(qos_0_that_waited_is_finished_when_it_is_sent_and_takes_no_room_then)
{
    struct session *s = open_session(true);
    struct session_send n;
    uint64_t cursor;
    session_attach(s, &conn, 1);
    go_live(s);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct store_row row = { .seq = seq, .msg = msg_of(seq) };
        CHECK_INT(ERR_OK, session_offer(s, &row));
    }
    offer_some(s, 4, 5);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        CHECK_TRUE(session_next(s, &n) && n.qos == 0 && n.msg == msg_of(seq));
        session_skip(s, &n);
    }
    CHECK_INT(0, session_ack_state(s, &cursor, NULL, 0));
    CHECK_INT(2, cursor);
    CHECK_TRUE(session_next(s, &n) && n.msg == msg_of(3)); /* and its connection ends */
    session_detach(s);
    session_attach(s, &conn, 1);
    CHECK_TRUE(session_next(s, &n) && n.qos == 0 && n.msg == msg_of(3));
    session_skip(s, &n);
    go_live(s);
    offer_some(s, 4, 4);
    expect_next(s, 4, 4, false);
    expect_none(s);
    close_session(s);
}

TEST(so_many_bytes_are_under_way_and_a_larger_message_goes_alone)
{
    struct session *s = live_session(10);
    uint32_t each = msg_of(1)->payload_bytes;
    s->inflight_bytes_max = 2 * each;
    offer_some(s, 1, 4);
    expect_next(s, 1, 1, false);
    expect_next(s, 2, 2, false);
    expect_none(s);
    CHECK_TRUE(session_acked(s, 2));
    expect_next(s, 3, 3, false);
    expect_none(s);
    s->inflight_bytes_max = 1;
    CHECK_TRUE(session_acked(s, 3));
    expect_none(s);
    CHECK_TRUE(session_acked(s, 1));
    expect_next(s, 4, 4, false);
    close_session(s);
}

TEST(a_will_is_kept_whole_and_replaced_whole)
{
    struct session *s = open_session(true);
    char topic[] = "wills/a", payload[] = "gone";
    struct session_will_parts parts = {
        .topic = bytes_of_text(topic),
        .payload = bytes_of_text(payload),
        .block = bytes_of_text("p"),
        .qos = 1,
        .retain = true,
        .has_expiry = true,
        .delay_s = 5,
        .expiry_s = 6,
    };
    CHECK_INT(ERR_OK, session_set_will(s, &parts));
    memset(topic, 'x', sizeof topic - 1); /* copied */
    memset(payload, 'x', sizeof payload - 1);
    CHECK_TRUE(bytes_equal(s->will->topic, bytes_of_text("wills/a")));
    CHECK_TRUE(bytes_equal(s->will->payload, bytes_of_text("gone")));
    CHECK_TRUE(bytes_equal(s->will->block, bytes_of_text("p")));
    CHECK_TRUE(s->will->qos == 1 && s->will->retain && s->will->has_expiry);
    CHECK_INT(5, s->will->delay_s);
    CHECK_INT(6, s->will->expiry_s);
    CHECK_INT(ERR_OK, session_set_will(s, &(struct session_will_parts){ .topic = bytes_of_text("b") }));
    CHECK_TRUE(bytes_equal(s->will->topic, bytes_of_text("b")));
    CHECK_TRUE(s->will->payload.len == 0 && s->will->block.len == 0 && !s->will->retain);
    session_drop_will(s);
    session_drop_will(s);
    CHECK_TRUE(s->will == NULL);
    CHECK_INT(ERR_OK, session_set_will(s, &parts));
    close_session(s);
}

/* --- against a naive model: a list of all messages, each with what has become of it */

enum { MODEL_MAX = 4000, MODEL_SPAN_MIN = 64 };

struct model_entry {
    uint16_t id;      /* 0: never sent */
    bool acked, sent; /* sent: over this connection */
    bool in_store;
};

struct model {
    struct session *s;
    struct model_entry at[MODEL_MAX + 1]; /* by seq, from 1 */
    uint64_t last;                        /* seq */
    uint32_t window, in_flight;
    uint16_t last_id;
    uint64_t random;
};

static uint32_t roll(struct model *m, uint32_t sides)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->random >> 33) % sides;
}

static void model_offer(struct model *m)
{
    if (m->last == MODEL_MAX) return;
    m->at[++m->last].in_store = true;
    offer(m->s, m->last);
}

/* A page, now or late: what it shows is the present. */
static void model_page(struct model *m)
{
    static struct store_page page;
    if (!session_wants_page(m->s)) return;
    session_reading(m->s);
    for (uint32_t more = roll(m, 3); more > 0; more--) model_offer(m);
    uint32_t limit = 1 + roll(m, 20);
    page.count = 0;
    for (uint64_t seq = session_kept(m->s)->fed + 1; seq <= m->last && page.count < limit; seq++)
        if (m->at[seq].in_store)
            page.rows[page.count++] = (struct store_row){ .seq = seq, .msg = msg_of(seq), .qos = 1 };
    session_page(m->s, &page);
}

/* The first message that must be sent now: unacknowledged, and not sent over this connection. 0: none. */
static uint64_t model_candidate(const struct model *m)
{
    for (uint64_t seq = 1; seq <= m->last; seq++)
        if (!m->at[seq].acked && !m->at[seq].sent) return seq;
    return 0;
}

/* Messages between the oldest unacknowledged and the newest with an id. */
static uint32_t model_span(const struct model *m)
{
    uint64_t first = 1, end = 1;
    while (first <= m->last && m->at[first].acked) first++;
    for (uint64_t seq = first; seq <= m->last; seq++)
        if (m->at[seq].id != 0) end = seq + 1;
    return end > first ? (uint32_t)(end - first) : 0;
}

static bool model_next(struct model *m)
{
    struct session_send n;
    bool got = session_next(m->s, &n);
    uint64_t seq = model_candidate(m);
    if (!got) {
        uint32_t most = m->window * 2 > MODEL_SPAN_MIN ? m->window * 2 : MODEL_SPAN_MIN;
        bool stalled = seq != 0 && m->at[seq].id == 0 && model_span(m) >= most;
        CHECK_TRUE(seq == 0 || m->in_flight == m->window || stalled || m->s->feed != FEED_LIVE);
        return false;
    }
    CHECK_TRUE(seq != 0 && m->in_flight < m->window);
    struct model_entry *e = &m->at[seq];
    CHECK_INT(e->id != 0, n.dup);
    if (e->id == 0) e->id = m->last_id = m->last_id == ID_ROUND_MAX ? 1 : (uint16_t)(m->last_id + 1);
    CHECK_INT(e->id, n.id);
    CHECK_TRUE(n.msg == msg_of(seq));
    e->sent = true;
    m->in_flight++;
    return true;
}

static void model_ack(struct model *m, uint16_t id)
{
    struct model_entry *e = NULL;
    for (uint64_t seq = 1; seq <= m->last; seq++)
        if (m->at[seq].sent && !m->at[seq].acked && m->at[seq].id == id) e = &m->at[seq];
    CHECK_INT(e != NULL, session_in_flight(m->s, id));
    CHECK_INT(e != NULL, session_acked(m->s, id));
    if (e == NULL) return;
    e->acked = true;
    m->in_flight--;
}

/* The lazy ACK command reaches the store: what it finishes is acknowledged, and all below its cursor that is.
 */
static void model_ack_state(struct model *m)
{
    static uint64_t open[MODEL_MAX];
    uint64_t cursor;
    uint32_t count = session_ack_state(m->s, &cursor, open, MODEL_MAX), at = 0;
    for (uint64_t seq = 1; seq <= cursor; seq++) {
        bool is_open = at < count && open[at] == seq;
        at += is_open;
        CHECK_INT(m->at[seq].acked, !is_open);
        m->at[seq].in_store = is_open;
    }
    CHECK_INT(count, at);
    for (uint64_t seq = cursor + 1; seq <= m->last; seq++) CHECK_TRUE(!m->at[seq].acked);
}

static void model_reconnect(struct model *m)
{
    session_detach(m->s);
    if (roll(m, 2) == 0) model_ack_state(m);
    for (uint32_t more = roll(m, 5); more > 0; more--) model_offer(m);
    m->window = 1 + roll(m, 12) * roll(m, 5);
    m->in_flight = 0;
    for (uint64_t seq = 1; seq <= m->last; seq++) m->at[seq].sent = false;
    session_attach(m->s, &conn, m->window);
}

static void model_step(struct model *m)
{
    uint32_t dice = roll(m, 100);
    if (dice < 25)
        model_offer(m);
    else if (dice < 50)
        model_next(m);
    else if (dice < 80)
        model_ack(m, (uint16_t)(m->last_id - roll(m, 40)));
    else if (dice < 92)
        model_page(m);
    else if (dice < 97)
        model_ack_state(m);
    else if (dice < 98)
        model_reconnect(m);
}

/* Everything comes, and is acknowledged. */
static void model_drain(struct model *m)
{
    for (uint32_t turns = 0; model_candidate(m) != 0 || m->in_flight > 0; turns++) {
        CHECK_TRUE(turns < MODEL_MAX);
        while (model_next(m)) continue;
        for (uint64_t seq = 1; seq <= m->last; seq++)
            if (m->at[seq].sent && !m->at[seq].acked) model_ack(m, m->at[seq].id);
        model_page(m);
    }
    model_ack_state(m);
    for (uint64_t seq = 1; seq <= m->last; seq++) CHECK_TRUE(m->at[seq].acked && !m->at[seq].in_store);
}

TEST(whatever_happens_a_persistent_session_does_as_a_plain_list_would)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct model *m = calloc(1, sizeof *m);
        CHECK_TRUE(m != NULL);
        m->random = seed;
        m->window = 5;
        m->s = open_session(true);
        session_attach(m->s, &conn, m->window);
        for (int i = 0; i < 2500; i++) model_step(m);
        model_drain(m);
        close_session(m->s);
        free(m);
    }
}
