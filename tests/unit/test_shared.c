/* SPDX-License-Identifier: Apache-2.0 */
/* What groups have given to a session: session/shared.c. */
#include "base/limits.h"
#include "kit/test.h"
#include "session/session.h"

static int conn;

static struct session *open_session(bool persistent, uint32_t window)
{
    struct session *s = NULL;
    struct session_conf conf = { .client_id = bytes_of_text("client"),
                                 .session_no = 7,
                                 .persistent = persistent,
                                 .queue_bytes_max = CLEAN_QUEUE_BYTES_MAX };
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    CHECK_INT(ERR_OK, session_shared_open(s));
    session_attach(s, &conn, window);
    return s;
}

static void close_session(struct session *s)
{
    if (s->conn != NULL) session_detach(s);
    while (session_shared_home(s) != NULL) continue;
    session_free(&s);
}

static void give(struct session *s, struct share_entry *e, uint8_t qos)
{
    *e = (struct share_entry){ .qos = qos };
    list_init(&e->of_session);
    session_shared_give(s, e);
}

/* That many wait to go home; the last one is *last. */
static uint32_t home(struct session *s, struct share_entry **last)
{
    uint32_t count = 0;
    for (struct share_entry *e = session_shared_home(s); e != NULL; e = session_shared_home(s)) {
        *last = e;
        count++;
    }
    return count;
}

TEST(a_given_message_has_an_id_of_its_own_range_and_goes_home_with_its_puback)
{
    struct share_entry e, *back = NULL;
    struct session *s = open_session(false, 10);
    give(s, &e, 1);
    CHECK_TRUE(session_shared_next(s) == &e);
    CHECK_TRUE(session_shared_has_id(e.id));
    CHECK_TRUE(!session_shared_has_id(ID_ROUND_MAX) && !session_shared_has_id(ID_EXACT_FIRST));
    CHECK_TRUE(session_shared_next(s) == NULL);
    CHECK_TRUE(!session_shared_puback(s, (uint16_t)(e.id + 1)));
    CHECK_INT(SHARED_UNKNOWN, session_shared_pubrec(s, e.id, false)); /* it is of QoS 1 */
    CHECK_TRUE(session_shared_puback(s, e.id));
    CHECK_TRUE(!session_shared_puback(s, e.id));
    CHECK_INT(1, home(s, &back));
    CHECK_TRUE(back == &e && !e.is_back);
    close_session(s);
}

TEST(given_messages_count_against_the_window)
{
    struct share_entry e[3];
    struct session *s = open_session(false, 2);
    for (int i = 0; i < 3; i++) give(s, &e[i], 1);
    CHECK_TRUE(session_shared_next(s) == &e[0]);
    CHECK_TRUE(session_shared_next(s) == &e[1]);
    CHECK_TRUE(session_shared_next(s) == NULL);
    CHECK_INT(2, s->unacked);
    CHECK_TRUE(session_shared_puback(s, e[1].id));
    CHECK_TRUE(session_shared_next(s) == &e[2]);
    session_shared_skip(s, &e[2]);
    CHECK_INT(1, s->unacked);
    close_session(s);
}

TEST(qos_2_is_released_and_completed)
{
    struct share_entry e, *back = NULL;
    struct session *s = open_session(false, 10);
    give(s, &e, 2);
    CHECK_TRUE(session_shared_next(s) == &e);
    CHECK_TRUE(!session_shared_puback(s, e.id));
    CHECK_INT(SHARED_UNKNOWN, session_shared_pubcomp(s, e.id));
    CHECK_INT(SHARED_RELEASE, session_shared_pubrec(s, e.id, false));
    CHECK_INT(SHARED_RELEASE, session_shared_pubrec(s, e.id, false));
    CHECK_INT(1, s->unacked);
    CHECK_INT(SHARED_DONE, session_shared_pubcomp(s, e.id));
    CHECK_INT(0, s->unacked);
    CHECK_INT(1, home(s, &back));
    close_session(s);
}

TEST(a_refusing_pubrec_ends_qos_2)
{
    struct share_entry e, *back = NULL;
    struct session *s = open_session(false, 10);
    give(s, &e, 2);
    CHECK_TRUE(session_shared_next(s) == &e);
    CHECK_INT(SHARED_DONE, session_shared_pubrec(s, e.id, true));
    CHECK_INT(1, home(s, &back));
    CHECK_TRUE(!e.is_back);
    close_session(s);
}

TEST(with_the_connection_qos_1_goes_back_and_qos_2_that_was_sent_does_not)
{
    struct share_entry sent_1, sent_2, waiting_1, waiting_2, *last = NULL;
    struct session *s = open_session(false, 2);
    give(s, &sent_1, 1);
    give(s, &sent_2, 2);
    give(s, &waiting_1, 1);
    give(s, &waiting_2, 2);
    while (session_shared_next(s) != NULL) continue;
    session_detach(s);
    CHECK_INT(4, home(s, &last));
    CHECK_TRUE(sent_1.is_back && !sent_2.is_back && waiting_1.is_back && waiting_2.is_back);
    close_session(s);
}

TEST(what_is_not_sent_goes_back_when_its_member_leaves)
{
    struct share_entry sent, mine, other, *last = NULL;
    int left, stays;
    struct session *s = open_session(false, 1);
    give(s, &sent, 1);
    give(s, &mine, 1);
    give(s, &other, 1);
    sent.to = mine.to = &left;
    other.to = &stays;
    CHECK_TRUE(session_shared_next(s) == &sent);
    session_shared_leave(s, &left);
    CHECK_INT(1, home(s, &last));
    CHECK_TRUE(last == &mine && mine.is_back);
    CHECK_TRUE(session_shared_puback(s, sent.id)); /* begun, so it is completed */
    CHECK_TRUE(session_shared_next(s) == &other);
    close_session(s);
}

TEST(an_id_that_is_never_acknowledged_is_not_given_again)
{
    struct share_entry stuck, e, *last = NULL;
    struct session *s = open_session(false, 2);
    give(s, &stuck, 1);
    CHECK_TRUE(session_shared_next(s) == &stuck);
    for (uint32_t i = ID_SHARED_FIRST; i <= ID_SHARED_MAX; i++) {
        give(s, &e, 1);
        CHECK_TRUE(session_shared_next(s) == &e);
        CHECK_TRUE(e.id != stuck.id);
        CHECK_TRUE(session_shared_puback(s, e.id));
        CHECK_INT(1, home(s, &last));
    }
    close_session(s);
}

static void offer_qos2(struct session *s, uint64_t seq)
{
    struct msg *m = NULL;
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text("payload"), .qos = 2 };
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    CHECK_INT(ERR_OK, session_offer(s, &(struct store_row){ .seq = seq, .msg = m, .qos = 2 }));
    msg_unref(&m);
}

static void complete(struct session *s)
{
    struct session_send sent;
    uint64_t seq;
    CHECK_TRUE(session_next(s, &sent));
    CHECK_INT(QOS2_TAKEN, session_pubrec(s, sent.id, false));
    CHECK_INT(1, session_unrecorded(s));
    session_record(s, &seq);
    session_recorded(s, seq);
    CHECK_TRUE(session_next(s, &sent));
    CHECK_TRUE(sent.is_release);
    CHECK_INT(QOS2_TAKEN, session_pubcomp(s, sent.id));
}

TEST(a_message_that_was_moved_counts_until_it_is_finished_in_its_own_queue)
{
    static struct store_page none;
    struct share_entry early = { .moved_seq = 11 }, late = { .moved_seq = 12 }, *last = NULL;
    list_init(&early.of_session);
    list_init(&late.of_session);
    struct session *s = open_session(true, 10);
    session_reading(s);
    session_page(s, &none);
    offer_qos2(s, 11);
    session_shared_moved(s, &early);
    CHECK_INT(0, home(s, &last));
    complete(s);
    CHECK_INT(1, home(s, &last));
    CHECK_TRUE(last == &early);

    offer_qos2(s, 12);
    complete(s); /* before the group's note came */
    session_shared_moved(s, &late);
    CHECK_INT(1, home(s, &last));
    CHECK_TRUE(last == &late && !late.is_back);
    close_session(s);
}

/* Its queue is at the limit, and not all of it is in RAM. */
TEST(a_message_that_was_moved_and_dropped_before_it_was_read_counts_no_more)
{
    struct share_entry in_ram = { .moved_seq = 11 }, first = { .moved_seq = 12 },
                       second = { .moved_seq = 13 }, *last = NULL;
    static struct store_page none;
    struct session_send sent;
    list_init(&in_ram.of_session);
    list_init(&first.of_session);
    list_init(&second.of_session);
    struct session *s = open_session(true, 10);
    session_reading(s);
    session_page(s, &none);
    offer_qos2(s, 11);
    session_shared_moved(s, &in_ram);
    session_shared_moved(s, &first);
    session_shared_moved(s, &second);
    session_drop_upto(s, 12);
    CHECK_INT(1, home(s, &last));
    CHECK_TRUE(last == &first && !first.is_back);
    CHECK_TRUE(session_next(s, &sent) && sent.is_void);
    session_skip(s, &sent);
    CHECK_INT(1, home(s, &last));
    CHECK_TRUE(last == &in_ram);
    session_drop_upto(s, 12);
    CHECK_INT(0, home(s, &last));
    session_drop_upto(s, 20);
    CHECK_INT(1, home(s, &last));
    CHECK_TRUE(last == &second);
    close_session(s);
}
