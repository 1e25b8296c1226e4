/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "session/session.h"
#include <stdlib.h>

enum { MSGS = 61, EXACT_1 = ID_EXACT_FIRST + 1 };

static struct msg *msgs[MSGS];
static int conn;

static struct msg *msg_of(uint64_t seq)
{
    struct msg **m = &msgs[seq % MSGS];
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text("payload"), .qos = 2 };
    if (*m == NULL) CHECK_INT(ERR_OK, msg_new(m, &parts));
    return *m;
}

static struct session *open_session(bool persistent)
{
    struct session *s = NULL;
    struct session_conf conf = { .client_id = bytes_of_text("client"),
                                 .session_no = 7,
                                 .persistent = persistent,
                                 .queue_bytes_max = CLEAN_QUEUE_BYTES_MAX };
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    return s;
}

static void close_session(struct session *s)
{
    if (s->conn != NULL) session_detach(s);
    session_free(&s);
    for (size_t i = 0; i < MSGS; i++) {
        if (msgs[i] != NULL) CHECK_INT(1, atomic_load(&msgs[i]->ref.count));
        msg_unref(&msgs[i]);
    }
}

static void give_rows(struct session *s, const struct store_row *rows, uint32_t count)
{
    static struct store_page page;
    session_reading(s);
    page.count = count;
    for (uint32_t i = 0; i < count; i++) page.rows[i] = rows[i];
    session_page(s, &page);
}

static void attach(struct session *s, uint32_t window)
{
    session_attach(s, &conn, window);
}

static void go_live(struct session *s)
{
    give_rows(s, NULL, 0);
    CHECK_INT(FEED_LIVE, s->feed);
}

static struct session *live_session(uint32_t window)
{
    struct session *s = open_session(true);
    attach(s, window);
    go_live(s);
    return s;
}

static struct session *clean_session(uint32_t window)
{
    struct session *s = open_session(false);
    attach(s, window);
    return s;
}

static void offer(struct session *s, uint64_t seq, uint8_t qos)
{
    struct store_row row = { .seq = seq, .msg = msg_of(seq), .qos = qos };
    CHECK_INT(ERR_OK, session_offer(s, &row));
}

static void expect_publish(struct session *s, uint64_t seq, uint16_t id, bool dup)
{
    struct session_send n;
    CHECK_TRUE(session_next(s, &n));
    CHECK_TRUE(!n.is_release && !n.is_void && n.msg == msg_of(seq));
    CHECK_INT(id, n.id);
    CHECK_INT(dup, n.dup);
}

static void expect_pubrel(struct session *s, uint16_t id)
{
    struct session_send n;
    CHECK_TRUE(session_next(s, &n));
    CHECK_TRUE(n.is_release);
    CHECK_INT(id, n.id);
}

static void expect_none(struct session *s)
{
    struct session_send n;
    CHECK_TRUE(!session_next(s, &n));
}

static uint16_t exact(uint64_t seq)
{
    return (uint16_t)(ID_EXACT_FIRST + seq % ID_EXACT_COUNT);
}

/* What the shard does once a turn, and the journal some time after. */
static uint32_t record(struct session *s, uint64_t *seqs)
{
    uint32_t count = session_unrecorded(s);
    CHECK_TRUE(count <= QOS2_OUT_MAX);
    session_record(s, seqs);
    CHECK_INT(0, session_unrecorded(s));
    return count;
}

static void record_all(struct session *s)
{
    uint64_t seqs[QOS2_OUT_MAX];
    uint32_t count = record(s, seqs);
    for (uint32_t i = 0; i < count; i++) session_recorded(s, seqs[i]);
}

/* --- to the client */

TEST(a_clean_session_goes_through_four_packets_without_the_journal)
{
    struct session *s = clean_session(10);
    offer(s, 0, 2);
    expect_publish(s, 0, 1, false);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, 1, false));
    CHECK_INT(0, session_unrecorded(s));
    expect_pubrel(s, 1);
    expect_none(s);
    CHECK_TRUE(session_in_flight(s, 1));
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, 1));
    CHECK_TRUE(!session_in_flight(s, 1));
    CHECK_INT(QOS2_UNKNOWN, session_pubcomp(s, 1));
    close_session(s);
}

TEST(a_persistent_session_releases_when_the_journal_has_what_the_client_received)
{
    struct session *s = live_session(10);
    uint64_t seqs[QOS2_OUT_MAX], cursor;
    offer(s, 1, 2);
    expect_publish(s, 1, EXACT_1, false);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, EXACT_1, false));
    expect_none(s);
    CHECK_INT(1, record(s, seqs));
    CHECK_INT(1, seqs[0]);
    expect_none(s); /* submitted is not durable */
    CHECK_TRUE(!s->acks_dirty);
    session_recorded(s, 1);
    expect_pubrel(s, EXACT_1);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, EXACT_1));
    CHECK_TRUE(s->acks_dirty);
    CHECK_INT(0, session_ack_state(s, &cursor, NULL, 0));
    CHECK_INT(1, cursor);
    close_session(s);
}

TEST(the_window_counts_a_message_until_its_pubcomp_or_a_pubrec_that_refuses)
{
    struct session *s = clean_session(2);
    for (int i = 0; i < 4; i++) offer(s, 0, 2);
    expect_publish(s, 0, 1, false);
    expect_publish(s, 0, 2, false);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, 1, false));
    expect_pubrel(s, 1);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, 2, true));
    expect_publish(s, 0, 3, false);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, 1));
    expect_publish(s, 0, 4, false);
    close_session(s);
}

TEST(an_answer_that_does_not_fit_the_message_is_told_from_one_that_is_unknown)
{
    struct session *s = live_session(10);
    offer(s, 1, 2);
    offer(s, 2, 1);
    expect_publish(s, 1, EXACT_1, false);
    expect_publish(s, 2, 2, false); /* the first one's place, 1, is no id */
    CHECK_INT(QOS2_WRONG, session_pubrec(s, 2, false));
    CHECK_INT(QOS2_WRONG, session_pubcomp(s, 2));
    CHECK_INT(QOS2_WRONG, session_pubcomp(s, EXACT_1)); /* PUBREC comes first */
    CHECK_TRUE(!session_acked(s, EXACT_1) && session_in_flight(s, EXACT_1));
    CHECK_TRUE(!session_acked(s, 1) && !session_in_flight(s, 1));
    CHECK_INT(QOS2_UNKNOWN, session_pubrec(s, 1, false));
    CHECK_INT(QOS2_UNKNOWN, session_pubrec(s, exact(2), false));
    CHECK_INT(QOS2_UNKNOWN, session_pubcomp(s, 0));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, EXACT_1, false));
    CHECK_INT(QOS2_WRONG, session_pubcomp(s, EXACT_1)); /* PUBREL was not sent yet */
    CHECK_TRUE(session_acked(s, 2));
    close_session(s);

    s = clean_session(10); /* where the ids are of one range */
    offer(s, 0, 2);
    expect_publish(s, 0, 1, false);
    CHECK_TRUE(!session_acked(s, 1) && session_in_flight(s, 1));
    close_session(s);
}

/* --- what another broker had sent */

TEST(a_packet_id_of_another_broker_stays_and_meets_no_other)
{
    struct session *s = open_session(true);
    const struct store_row rows[] = {
        { .seq = 5, .msg = msg_of(5), .qos = 1 },
        { .seq = 6, .msg = msg_of(6), .qos = 2, .packet_id = 1, .released = true },
        { .seq = 7, .msg = msg_of(7), .qos = 2, .packet_id = 20000 },
        { .seq = 8, .msg = msg_of(8), .qos = 2, .packet_id = exact(9) },
        { .seq = 9, .msg = msg_of(9), .qos = 2 },
    };
    session_kept_own(s)->resent_upto = 8;
    attach(s, 10);
    give_rows(s, rows, 5);
    expect_publish(s, 5, 1, true); /* its id is the one of the next */
    expect_none(s);
    CHECK_TRUE(session_acked(s, 1));
    expect_pubrel(s, 1);
    expect_publish(s, 7, 20000, true);
    expect_publish(s, 8, exact(9), true);
    expect_none(s);
    CHECK_TRUE(session_in_flight(s, 20000));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, 20000, false));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(9), true));
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, 1));
    expect_none(s);
    session_detach(s);

    attach(s, 10); /* another connection: the id is still the same */
    give_rows(s, rows + 2, 3);
    record_all(s);
    expect_pubrel(s, 20000);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, 20000));
    expect_publish(s, 9, exact(9), false);
    CHECK_INT(0, s->foreign);
    close_session(s);
}

TEST(a_packet_id_of_another_broker_that_was_not_sent_yet_is_let_go_with_its_connection)
{
    struct session *s = open_session(true);
    const struct store_row rows[] = { { .seq = 5, .msg = msg_of(5), .qos = 2, .packet_id = 7 },
                                      { .seq = 6, .msg = msg_of(6), .qos = 2, .packet_id = 7 } };
    attach(s, 10);
    give_rows(s, rows, 2);
    expect_publish(s, 5, 7, false);
    expect_none(s); /* the file was wrong: one at a time */
    session_detach(s);
    CHECK_INT(1, s->foreign);
    close_session(s);
}

TEST(a_repeated_pubrec_is_answered_again_once_its_pubrel_was_sent)
{
    struct session *s = live_session(10);
    offer(s, 1, 2);
    expect_publish(s, 1, EXACT_1, false);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, EXACT_1, false));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, EXACT_1, false));
    CHECK_INT(1, session_unrecorded(s));
    record_all(s);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, EXACT_1, false));
    expect_pubrel(s, EXACT_1);
    CHECK_INT(QOS2_AGAIN, session_pubrec(s, EXACT_1, false));
    CHECK_INT(QOS2_AGAIN, session_pubrec(s, EXACT_1, true)); /* too late to refuse */
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, EXACT_1));
    close_session(s);
}

TEST(pubrels_leave_in_the_order_of_the_pubrecs_over_the_next_connection_too)
{
    struct session *s = live_session(10);
    uint64_t seqs[QOS2_OUT_MAX];
    for (uint64_t seq = 1; seq <= 5; seq++) {
        offer(s, seq, 2);
        expect_publish(s, seq, exact(seq), false);
    }
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(3), false));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(1), false));
    CHECK_INT(2, record(s, seqs));
    CHECK_INT(3, seqs[0]);
    CHECK_INT(1, seqs[1]);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(2), false));
    CHECK_INT(1, record(s, seqs + 2));
    session_recorded(s, 3);
    expect_pubrel(s, exact(3));
    expect_none(s);
    session_detach(s);
    session_recorded(s, 1); /* while it is off line */

    attach(s, 10);
    expect_pubrel(s, exact(3));
    expect_pubrel(s, exact(1));
    expect_publish(s, 4, exact(4), true); /* received is not sent again, the others are */
    expect_publish(s, 5, exact(5), true);
    expect_none(s);
    session_recorded(s, 2);
    expect_pubrel(s, exact(2));
    expect_none(s);
    close_session(s);
}

TEST(what_was_received_counts_against_a_smaller_window_and_its_pubrels_need_no_room)
{
    struct session *s = live_session(10);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        offer(s, seq, 2);
        expect_publish(s, seq, exact(seq), false);
    }
    for (uint64_t seq = 1; seq <= 3; seq++) CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(seq), false));
    record_all(s);
    session_detach(s);
    attach(s, 2);
    for (uint64_t seq = 1; seq <= 3; seq++) expect_pubrel(s, exact(seq));
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(2)));
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(1)));
    expect_publish(s, 4, exact(4), true);
    expect_none(s);
    close_session(s);
}

TEST(an_answer_that_comes_before_the_message_was_sent_again_is_taken)
{
    struct session *s = live_session(10);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        offer(s, seq, 2);
        expect_publish(s, seq, exact(seq), false);
    }
    session_detach(s);
    attach(s, 1);
    expect_publish(s, 1, exact(1), true);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(2), false)); /* not over this connection */
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(3), true));
    record_all(s);
    expect_pubrel(s, exact(2));
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(2)));
    CHECK_INT(1, s->unacked);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(1), true));
    CHECK_INT(0, s->unacked);
    CHECK_TRUE(s->head == s->tail);
    close_session(s);
}

TEST(what_an_earlier_process_had_recorded_is_released_and_not_sent_again)
{
    struct session *s = open_session(true);
    const struct store_row rows[] = {
        { .seq = 5, .msg = msg_of(5), .qos = 2 }, { .seq = 6, .msg = msg_of(6), .qos = 2, .released = true },
        { .seq = 7, .msg = msg_of(7), .qos = 1 }, { .seq = 8, .msg = msg_of(8), .qos = 2, .released = true },
        { .seq = 9, .msg = msg_of(9), .qos = 2 },
    };
    session_kept_own(s)->resent_upto = 8;
    attach(s, 3);
    give_rows(s, rows, 5);
    expect_publish(s, 5, exact(5), true);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(5), false)); /* not recorded yet */
    expect_pubrel(s, exact(6));
    expect_publish(s, 7, 3, true);
    expect_pubrel(s, exact(8)); /* the window is full, for PUBLISH */
    expect_none(s);
    CHECK_INT(1, session_unrecorded(s));
    record_all(s);
    expect_pubrel(s, exact(5));
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(8)));
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(6)));
    expect_publish(s, 9, exact(9), false);
    close_session(s);
}

TEST(a_message_whose_id_is_taken_waits_and_all_behind_it)
{
    struct session *s = live_session(10);
    uint64_t twin = 1 + ID_EXACT_COUNT, cursor;
    offer(s, 1, 2);
    offer(s, twin - 1, 2);
    offer(s, twin, 2);
    offer(s, twin + 1, 1);
    expect_publish(s, 1, EXACT_1, false);
    expect_publish(s, twin - 1, ID_EXACT_FIRST, false);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, EXACT_1, false));
    record_all(s);
    expect_pubrel(s, EXACT_1);
    expect_none(s);
    CHECK_TRUE(!session_wants_settled(s));
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, EXACT_1));
    expect_none(s); /* the store does not know yet: after a crash both would come, with one id */
    CHECK_TRUE(session_wants_settled(s));
    CHECK_INT(0, session_settle_begin(s)); /* no ACK command says it */
    session_ack_state(s, &cursor, NULL, 0);
    uint64_t number = session_settle_begin(s);
    CHECK_TRUE(number != 0 && !session_wants_settled(s));
    expect_none(s);
    session_not_settled(s);
    expect_none(s);
    CHECK_TRUE(session_wants_settled(s));
    number = session_settle_begin(s);
    session_settled(s, number);
    expect_publish(s, twin, EXACT_1, false);
    expect_publish(s, twin + 1, 4, false);
    CHECK_TRUE(!session_wants_settled(s));
    close_session(s);
}

TEST(acknowledgements_that_never_pause_free_an_id_all_the_same)
{
    struct session *s = live_session(QOS2_OUT_MAX);
    uint64_t numbers[6], cursor;
    for (uint64_t seq = 1; seq <= 6; seq++) {
        offer(s, seq, 2);
        expect_publish(s, seq, exact(seq), false);
    }
    offer(s, 1 + ID_EXACT_COUNT, 2);
    CHECK_INT(0, session_settle_begin(s)); /* nothing has finished */
    for (uint64_t i = 0; i < 6; i++) {
        CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(i + 1), true));
        session_ack_state(s, &cursor, NULL, 0);
        numbers[i] = session_settle_begin(s);
        CHECK_TRUE(numbers[i] > (i == 0 ? 0 : numbers[i - 1]));
        expect_none(s);
    }
    session_settled(s, numbers[0]); /* the first is, and what came after it is above the new one's twin */
    expect_publish(s, 1 + ID_EXACT_COUNT, EXACT_1, false);
    offer(s, 2 + ID_EXACT_COUNT, 2);
    expect_none(s);
    session_settled(s, numbers[4]); /* perhaps not the sixth, but that is not known one by one */
    expect_none(s);
    session_settled(s, numbers[5]);
    expect_publish(s, 2 + ID_EXACT_COUNT, exact(2), false);
    close_session(s);
}

TEST(at_most_so_many_are_on_their_way_however_large_the_window)
{
    struct session *s = live_session(1000);
    for (uint64_t seq = 1; seq <= QOS2_OUT_MAX + 2; seq++) offer(s, seq, 2);
    for (uint64_t seq = 1; seq <= QOS2_OUT_MAX; seq++) expect_publish(s, seq, exact(seq), false);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(7), true));
    expect_publish(s, QOS2_OUT_MAX + 1, exact(QOS2_OUT_MAX + 1), false);
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(QOS2_OUT_MAX + 1), false));
    record_all(s);
    expect_pubrel(s, exact(QOS2_OUT_MAX + 1));
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(QOS2_OUT_MAX + 1)));
    expect_publish(s, QOS2_OUT_MAX + 2, exact(QOS2_OUT_MAX + 2), false);
    close_session(s);
}

TEST(what_cannot_be_sent_is_finished_unless_the_client_may_hold_its_id)
{
    struct session *s = live_session(10);
    struct session_send n;
    offer(s, 1, 2);
    offer(s, 2, 2);
    CHECK_TRUE(session_next(s, &n) && !n.dup);
    session_skip(s, &n);
    CHECK_TRUE(session_has_finished(s, 1));
    expect_publish(s, 2, exact(2), false);
    session_detach(s);
    attach(s, 10);
    CHECK_TRUE(session_next(s, &n) && n.dup && n.msg == msg_of(2));
    session_skip(s, &n);
    CHECK_TRUE(!session_has_finished(s, 2));
    expect_pubrel(s, exact(2)); /* which makes it let go of it */
    expect_none(s);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(2)));
    CHECK_TRUE(session_has_finished(s, 2));
    close_session(s);
}

TEST(what_the_queues_limit_dropped_is_let_go_of_where_an_earlier_process_may_have_sent_it)
{
    struct session *s = open_session(true);
    struct session_send n;
    const struct store_row rows[] = { { .seq = 5, .msg = msg_of(5), .qos = 2 },
                                      { .seq = 6, .msg = msg_of(6), .qos = 2 } };
    session_kept_own(s)->resent_upto = 5;
    attach(s, 3);
    give_rows(s, rows, 2);
    session_drop_upto(s, 6);
    CHECK_TRUE(session_next(s, &n) && n.is_void && n.dup);
    session_skip(s, &n);
    expect_pubrel(s, exact(5));
    CHECK_TRUE(session_next(s, &n) && n.is_void && !n.dup);
    session_skip(s, &n);
    CHECK_TRUE(!session_in_flight(s, exact(6)));
    close_session(s);
}

TEST(what_the_journal_could_not_take_is_sent_again)
{
    struct session *s = live_session(10);
    uint64_t seqs[QOS2_OUT_MAX];
    for (uint64_t seq = 1; seq <= 3; seq++) {
        offer(s, seq, 2);
        expect_publish(s, seq, exact(seq), false);
        CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(seq), false));
    }
    CHECK_INT(3, record(s, seqs));
    session_recorded(s, 1);
    session_detach(s);
    session_not_recorded(s, 2);
    session_not_recorded(s, 99);
    attach(s, 10);
    expect_pubrel(s, exact(1));
    expect_publish(s, 2, exact(2), true);
    expect_none(s); /* the third is with the journal still */
    session_recorded(s, 3);
    expect_pubrel(s, exact(3));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(2), false));
    record_all(s);
    expect_pubrel(s, exact(2));
    for (uint64_t seq = 1; seq <= 3; seq++) CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(seq)));
    CHECK_TRUE(s->head == s->tail && s->unacked == 0);
    close_session(s);
}

TEST(what_is_finished_out_of_order_is_not_open_and_the_rest_is)
{
    struct session *s = live_session(10);
    uint64_t cursor, open[10];
    for (uint64_t seq = 1; seq <= 6; seq++) {
        offer(s, seq, seq % 2 == 0 ? 1 : 2);
        expect_publish(s, seq, seq % 2 == 0 ? (uint16_t)seq : exact(seq), false);
    }
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(3), false));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, exact(5), false));
    record_all(s);
    expect_pubrel(s, exact(3));
    expect_pubrel(s, exact(5));
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, exact(5)));
    CHECK_TRUE(session_acked(s, 4));
    CHECK_INT(3, session_ack_state(s, &cursor, open, 10));
    CHECK_INT(5, cursor);
    for (uint64_t i = 0; i < 3; i++) CHECK_INT(1 + i, open[i]);
    close_session(s);
}

/* --- from the client */

TEST(an_id_goes_from_its_publish_through_pubrec_and_pubrel_to_pubcomp)
{
    struct session *s = live_session(10);
    uint32_t ticket = 0;
    CHECK_INT(INBOUND_NONE, session_inbound(s, 9));
    CHECK_INT(ERR_OK, session_inbound_add(s, 9, INBOUND_PENDING));
    CHECK_TRUE(!session_inbound_is_awaited(s, 9));
    session_inbound_await(s, 9, 42);
    CHECK_TRUE(session_inbound_is_awaited(s, 9));
    CHECK_INT(INBOUND_PENDING, session_inbound(s, 9));
    CHECK_TRUE(session_inbound_kept(s, 9, true, &ticket));
    CHECK_INT(42, ticket);
    CHECK_INT(INBOUND_RECEIVED, session_inbound(s, 9));
    CHECK_TRUE(!session_inbound_kept(s, 9, true, &ticket)); /* once */
    session_inbound_release(s, 9);
    CHECK_TRUE(!session_inbound_is_awaited(s, 9));
    session_inbound_await(s, 9, 0);
    CHECK_INT(INBOUND_RELEASING, session_inbound(s, 9));
    CHECK_TRUE(session_inbound_gone(s, 9, true));
    CHECK_INT(INBOUND_NONE, session_inbound(s, 9));
    CHECK_TRUE(!session_inbound_gone(s, 9, true));
    close_session(s);
}

TEST(an_id_that_is_not_kept_is_as_if_it_had_never_come)
{
    struct session *s = live_session(10);
    uint32_t ticket;
    CHECK_INT(ERR_OK, session_inbound_add(s, 1, INBOUND_PENDING));
    CHECK_TRUE(!session_inbound_kept(s, 1, false, &ticket)); /* nobody waits */
    CHECK_INT(INBOUND_NONE, session_inbound(s, 1));
    CHECK_INT(ERR_OK, session_inbound_add(s, 1, INBOUND_RECEIVED));
    session_inbound_release(s, 1);
    CHECK_TRUE(!session_inbound_gone(s, 1, false));
    CHECK_INT(INBOUND_RECEIVED, session_inbound(s, 1));
    close_session(s);
}

TEST(the_answer_goes_to_the_connection_that_asked_last_and_to_none_that_is_gone)
{
    struct session *s = live_session(10);
    uint32_t ticket;
    CHECK_INT(ERR_OK, session_inbound_add(s, 1, INBOUND_PENDING));
    CHECK_INT(ERR_OK, session_inbound_add(s, 2, INBOUND_PENDING));
    session_inbound_await(s, 1, 10);
    session_inbound_await(s, 2, 11);
    CHECK_INT(0, s->inbound.inherited);
    session_detach(s);
    attach(s, 10);
    CHECK_INT(2, s->inbound.inherited);
    session_inbound_await(s, 2, 0);
    CHECK_TRUE(!session_inbound_kept(s, 1, true, &ticket));
    CHECK_TRUE(session_inbound_kept(s, 2, true, &ticket));
    CHECK_INT(0, ticket);
    close_session(s);
}

TEST(ids_in_any_order_are_told_apart)
{
    struct session *s = live_session(10);
    enum { IDS = 2000, STEP = 7919 }; /* prime to 65535 */
    for (uint32_t i = 0; i < IDS; i++)
        CHECK_INT(ERR_OK, session_inbound_add(s, (uint16_t)(i * STEP % PACKET_ID_MAX + 1), INBOUND_RECEIVED));
    CHECK_INT(IDS, s->inbound.count);
    for (uint32_t i = 1; i < IDS; i++) CHECK_TRUE(s->inbound.at[i - 1].id < s->inbound.at[i].id);
    for (uint32_t i = 0; i < IDS; i++) {
        uint16_t id = (uint16_t)(i * STEP % PACKET_ID_MAX + 1);
        CHECK_INT(INBOUND_RECEIVED, session_inbound(s, id));
        session_inbound_release(s, id);
        CHECK_TRUE(!session_inbound_gone(s, id, true));
        CHECK_INT(INBOUND_NONE, session_inbound(s, id));
    }
    CHECK_TRUE(s->inbound.at == NULL);
    close_session(s);
}
