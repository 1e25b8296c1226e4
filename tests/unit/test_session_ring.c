/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "session/session.h"
#include "unit/session_kit.h"
#include <stdlib.h>

/* A queue of any length. */

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
        struct session *s = open_session(false);
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
    struct session *s = open_session(false);
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
