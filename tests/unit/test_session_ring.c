/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "session/session.h"
#include <stdlib.h>

/* A queue of any length. */

enum { MSGS = 61 };

static struct msg *msgs[MSGS];

/* The message of a seq; few in all, so that a wrong one is likely to be another one. */
static struct msg *msg_of(uint64_t seq)
{
    struct msg **m = &msgs[seq % MSGS];
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text("payload"), .qos = 1 };
    if (*m == NULL) CHECK_INT(ERR_OK, msg_new(m, &parts));
    return *m;
}

static struct session *open_session(void)
{
    struct session *s = NULL;
    struct session_conf conf = { .client_id = bytes_of_text("client"),
                                 .session_no = 7,
                                 .persistent = false,
                                 .queue_bytes_max = CLEAN_QUEUE_BYTES_MAX };
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    return s;
}

static void close_session(struct session *s)
{
    if (s->conn != NULL) session_detach(s);
    session_free(&s);
    CHECK_TRUE(s == NULL);
    for (size_t i = 0; i < MSGS; i++) {
        /* The session has given back every reference it took. */
        if (msgs[i] != NULL) CHECK_INT(1, atomic_load(&msgs[i]->ref.count));
        msg_unref(&msgs[i]);
    }
}

static enum err offer(struct session *s, uint64_t seq)
{
    struct store_row row = { .seq = seq, .msg = msg_of(seq), .qos = 1 };
    return session_offer(s, &row);
}

static void offer_some(struct session *s, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) CHECK_INT(ERR_OK, offer(s, seq));
}

static int conn;

/* Sends what the window allows; gives the first of them and how many. */
static uint32_t send_all(struct session *s, uint16_t *first)
{
    struct session_send n;
    uint32_t count = 0;
    for (; session_next(s, &n); count++)
        if (count == 0) *first = n.id;
    return count;
}

TEST(a_queue_of_thousands_comes_in_order_wherever_it_begins)
{
    enum { WINDOW = 100, WAITING = 3000 };
    for (uint64_t done_before = 0; done_before < 70; done_before += 3) {
        struct session *s = open_session();
        session_attach(s, &conn, WINDOW);
        offer_some(s, 1, done_before + 1); /* never empty, so its beginning moves */
        uint16_t id = 0;
        uint64_t seq = done_before + 1, acked = 0;
        CHECK_INT(seq, send_all(s, &id));
        for (; acked < done_before; acked++) CHECK_TRUE(session_acked(s, (uint16_t)(id + acked)));
        offer_some(s, seq + 1, seq + WAITING);
        for (uint64_t last = seq + WAITING; acked < last; acked++) {
            struct session_send n;
            while (session_next(s, &n)) CHECK_TRUE(n.msg == msg_of(n.id));
            CHECK_TRUE(session_acked(s, (uint16_t)(acked + 1)));
        }
        CHECK_TRUE(s->head == s->tail);
        close_session(s);
    }
}

TEST(of_a_long_queue_what_is_let_go_at_its_end_makes_room_for_more)
{
    struct session *s = open_session();
    session_attach(s, &conn, 1);
    offer_some(s, 1, 1000);
    uint16_t id = 0;
    CHECK_INT(1, send_all(s, &id));
    CHECK_INT(999, session_shed(s, 0));
    offer_some(s, 2, 500);
    for (uint64_t seq = 1; seq <= 500; seq++) {
        CHECK_TRUE(session_acked(s, id));
        uint32_t next = send_all(s, &id);
        CHECK_INT(seq < 500, next);
    }
    close_session(s);
}
