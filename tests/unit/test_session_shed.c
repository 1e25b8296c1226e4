/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "session/session.h"
#include <stdlib.h>

/* What a session lets go of when memory is short. Every message of a test is the same one. */

static struct msg *message;
static int conn;

static struct session *open_session(bool persistent, uint32_t window)
{
    struct session *s = NULL;
    struct session_conf conf = { .client_id = bytes_of_text("client"),
                                 .session_no = 7,
                                 .persistent = persistent,
                                 .queue_bytes_max = CLEAN_QUEUE_BYTES_MAX };
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text("payload"), .qos = 1 };
    CHECK_INT(ERR_OK, msg_new(&message, &parts));
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    session_attach(s, &conn, window);
    return s;
}

static void close_session(struct session *s)
{
    session_detach(s);
    session_free(&s);
    CHECK_INT(1, atomic_load(&message->ref.count)); /* every reference was given back */
    msg_unref(&message);
}

static enum err offer(struct session *s, uint64_t seq)
{
    struct store_row row = { .seq = seq, .msg = message, .qos = 1 };
    return session_offer(s, &row);
}

static void offer_some(struct session *s, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) CHECK_INT(ERR_OK, offer(s, seq));
}

static void give_page(struct session *s, uint64_t first, uint32_t count)
{
    static struct store_page page;
    session_reading(s);
    page.count = count;
    for (uint32_t i = 0; i < count; i++)
        page.rows[i] = (struct store_row){ .seq = first + i, .msg = message, .qos = 1 };
    session_page(s, &page);
}

static struct session *live_session(uint32_t window)
{
    struct session *s = open_session(true, window);
    give_page(s, 0, 0);
    return s;
}

/* The next packet has this id, and is acknowledged. */
static void pass_next(struct session *s, uint16_t id)
{
    struct session_send n;
    CHECK_TRUE(session_next(s, &n));
    CHECK_INT(id, n.id);
    CHECK_TRUE(session_acked(s, id));
}

static uint16_t send_next(struct session *s)
{
    struct session_send n;
    CHECK_TRUE(session_next(s, &n));
    return n.id;
}

static void expect_none(struct session *s)
{
    struct session_send n;
    CHECK_TRUE(!session_next(s, &n));
}

TEST(a_persistent_session_lets_go_of_what_the_store_has_and_reads_it_again)
{
    struct session *s = live_session(2);
    offer_some(s, 11, 20);
    CHECK_INT(1, send_next(s));
    CHECK_INT(2, send_next(s));
    CHECK_INT(0, session_shed(s, 3 * msg_bytes(message))); /* nothing of it is lost */
    CHECK_INT(3 * msg_bytes(message), s->queued_bytes);
    CHECK_INT(15, session_kept(s)->fed);
    CHECK_INT(ERR_AGAIN, offer(s, 21)); /* behind what the store has now */
    CHECK_TRUE(session_wants_page(s));
    give_page(s, 16, 6);
    CHECK_TRUE(session_acked(s, 1));
    CHECK_TRUE(session_acked(s, 2));
    for (uint16_t id = 3; id <= 11; id++) pass_next(s, id);
    expect_none(s);
    close_session(s);
}

TEST(nothing_goes_while_a_page_is_on_its_way_which_begins_behind_it)
{
    struct session *s = live_session(1);
    offer_some(s, 11, 20);
    CHECK_INT(0, session_shed(s, msg_bytes(message)));
    CHECK_INT(11, session_kept(s)->fed);
    session_reading(s);
    CHECK_INT(0, session_shed(s, 0));
    CHECK_INT(11, session_kept(s)->fed);
    CHECK_INT(msg_bytes(message), s->queued_bytes);
    close_session(s);
}

TEST(what_was_sent_stays)
{
    struct session *s = live_session(2);
    offer_some(s, 11, 12);
    CHECK_INT(1, send_next(s));
    CHECK_INT(2, send_next(s));
    CHECK_INT(0, session_shed(s, 0));
    CHECK_INT(FEED_LIVE, s->feed);
    CHECK_TRUE(session_acked(s, 1));
    CHECK_TRUE(session_acked(s, 2));
    close_session(s);
}

TEST(a_clean_session_loses_its_newest_and_says_how_many)
{
    struct session *s = open_session(false, 1);
    for (int i = 0; i < 10; i++) CHECK_INT(ERR_OK, offer(s, 0));
    uint16_t id = send_next(s);
    CHECK_INT(7, session_shed(s, 2 * msg_bytes(message)));
    CHECK_INT(0, session_shed(s, 2 * msg_bytes(message)));
    CHECK_INT(2, session_shed(s, 0));
    CHECK_TRUE(session_acked(s, id));
    expect_none(s);
    CHECK_INT(ERR_OK, offer(s, 0));
    CHECK_TRUE(session_acked(s, send_next(s)));
    close_session(s);
}

TEST(what_another_broker_had_sent_may_go_and_come_again)
{
    static struct store_page page;
    struct session *s = open_session(true, 1);
    for (int round = 0; round < 2; round++) {
        session_reading(s);
        page.count = 2;
        for (uint32_t i = 0; i < 2; i++)
            page.rows[i] = (struct store_row){
                .seq = 11 + i, .msg = message, .qos = 2, .packet_id = (uint16_t)(70 + i)
            };
        session_page(s, &page);
        CHECK_INT(2, s->foreign); /* while there are some, groups must wait */
        CHECK_INT(0, session_shed(s, 0));
        CHECK_INT(0, s->foreign);
    }
    close_session(s);
}
