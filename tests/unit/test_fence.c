/* SPDX-License-Identifier: Apache-2.0 */
/* What a session remembers so that a retained message comes not after a newer one: session/fence.c. */
#include "base/limits.h"
#include "kit/test.h"
#include "session/session.h"

static int conn;

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

/* Persistent, and all of its queue is in RAM: there is nothing yet. */
static struct session *live_session(uint32_t window)
{
    static struct store_page none;
    struct session *s = open_session(true);
    session_attach(s, &conn, window);
    session_reading(s);
    session_page(s, &none);
    CHECK_INT(FEED_LIVE, s->feed);
    return s;
}

static void close_session(struct session *s)
{
    if (s->conn != NULL) session_detach(s);
    session_free(&s);
}

static void offer(struct session *s, uint64_t seq)
{
    struct msg *m = NULL;
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text("payload"), .qos = 1 };
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    CHECK_INT(ERR_OK,
              session_offer(s, &(struct store_row){ .seq = seq, .msg = m, .qos = 1, .retain = true }));
    msg_unref(&m);
}

TEST(notes_are_taken_by_topic_while_a_fence_stands)
{
    struct session *s = open_session(false);
    session_fence_note(s, 1, 100); /* nobody asks */
    CHECK_INT(ERR_OK, session_fence_begin(s));
    CHECK_TRUE(!session_fence_saw(s, 1, 1, 0));
    CHECK_INT(ERR_OK, session_fence_begin(s));
    session_fence_note(s, 1, 10);
    session_fence_note(s, 2, 20);
    session_fence_note(s, 1, 30);
    session_fence_note(s, 1, 15);
    CHECK_TRUE(session_fence_saw(s, 1, 30, 0));
    CHECK_TRUE(session_fence_saw(s, 1, 29, 0));
    CHECK_TRUE(!session_fence_saw(s, 1, 31, 0));
    CHECK_TRUE(!session_fence_saw(s, 2, 21, 0));
    CHECK_TRUE(!session_fence_saw(s, 3, 1, 0));
    session_fence_end(s);
    CHECK_TRUE(session_fence_saw(s, 2, 20, 0)); /* the other one still stands */
    session_fence_end(s);
    CHECK_TRUE(s->fence == NULL && !session_fence_saw(s, 2, 20, 0));
    CHECK_INT(ERR_OK, session_fence_begin(s));
    for (uint64_t i = 0; i < NOTED_TOPICS_MAX; i++) session_fence_note(s, i, i);
    for (uint64_t i = 0; i < NOTED_TOPICS_MAX; i++)
        CHECK_TRUE(session_fence_saw(s, i, i, 0) && !session_fence_saw(s, i, i + 1, 0));
    CHECK_INT(0, s->fence->notes_lost);
    close_session(s); /* and a fence that still stands is no leak */
}

TEST(what_came_live_before_a_subscribe_is_no_answer_to_it)
{
    struct session *s = open_session(false);
    CHECK_INT(ERR_OK, session_fence_begin(s));
    session_fence_note(s, 1, 10);
    uint64_t since = s->fence->notes;
    CHECK_TRUE(session_fence_saw(s, 1, 10, 0) && !session_fence_saw(s, 1, 10, since));
    session_fence_note(s, 1, 11);
    CHECK_TRUE(session_fence_saw(s, 1, 10, since) && session_fence_saw(s, 1, 11, since));
    close_session(s);
}

TEST(notes_of_more_topics_than_the_limit_are_thrown_away_and_that_is_told)
{
    struct session *s = open_session(false);
    CHECK_INT(ERR_OK, session_fence_begin(s));
    for (uint64_t i = 0; i < NOTED_TOPICS_MAX; i++) session_fence_note(s, i, 1);
    uint64_t fence = s->fence->notes;
    session_fence_note(s, 5, 2); /* a topic that is known needs no room */
    CHECK_TRUE(s->fence->notes_lost <= fence && session_fence_saw(s, 5, 2, 0));
    session_fence_note(s, NOTED_TOPICS_MAX, 1);
    CHECK_TRUE(s->fence->notes_lost > fence);
    CHECK_TRUE(!session_fence_saw(s, 5, 2, 0) && session_fence_saw(s, NOTED_TOPICS_MAX, 1, 0));
    CHECK_TRUE(s->fence->notes_lost < s->fence->notes); /* who fences now knows all that comes from now on */
    fence = s->fence->notes;
    for (uint64_t i = 0; i < NOTED_TOPICS_MAX - 1; i++) session_fence_note(s, i, 1);
    CHECK_TRUE(s->fence->notes_lost <= fence);
    close_session(s);
}

TEST(copies_on_their_way_and_void_ones_together_have_a_limit)
{
    struct session *s = live_session(10);
    struct session_send n;
    for (uint64_t i = 0; i < COPIES_MAX; i++) CHECK_INT(ERR_OK, session_copy_begin(s, i));
    CHECK_TRUE(!session_copy_room(s));
    CHECK_INT(ERR_FULL, session_copy_begin(s, COPIES_MAX));
    for (uint64_t i = 0; i < 2 * NOTED_TOPICS_MAX; i++)
        session_fence_note(s, i, 100); /* thrown away, twice */
    for (uint64_t i = 0; i < COPIES_MAX; i++) {
        session_copy_end(s, i, i < 3 ? 99 : 100,
                         i + 1); /* the first three are overtaken, the others are it */
        offer(s, i + 1);
    }
    CHECK_TRUE(session_copy_room(s));
    CHECK_INT(3, s->fence->voided_count);
    for (int i = 0; i < 3; i++) {
        CHECK_TRUE(session_next(s, &n) && n.is_void);
        session_skip(s, &n);
    }
    CHECK_TRUE(session_next(s, &n) && !n.is_void);
    CHECK_TRUE(s->fence == NULL);
    close_session(s);
}

TEST(a_void_entry_that_the_store_has_dropped_takes_no_room_for_ever)
{
    struct session *s = live_session(10);
    struct session_send n;
    for (uint64_t seq = 1; seq <= 2; seq++) {
        CHECK_INT(ERR_OK, session_copy_begin(s, 1));
        session_fence_note(s, 1, 9);
        session_copy_end(s, 1, 8, seq);
    }
    offer(s, 5);
    CHECK_TRUE(session_next(s, &n) && !n.is_void);
    CHECK_TRUE(s->fence == NULL);
    close_session(s);
}

TEST(a_copy_that_the_store_has_dropped_is_no_entry)
{
    struct session *s = live_session(10);
    CHECK_INT(ERR_OK, session_copy_begin(s, 1));
    session_fence_note(s, 1, 9);
    session_copy_end(s, 1, 8, 0);
    CHECK_TRUE(s->fence == NULL); /* an idle session has no room for copies */
    close_session(s);
}
