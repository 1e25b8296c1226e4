/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "kit/test.h"
#include "msg/msg.h"
#include <stdlib.h>

static struct msg *message(const struct msg_parts *parts)
{
    struct msg *m = NULL;
    CHECK_INT(ERR_OK, msg_new(&m, parts));
    return m;
}

static bool is(struct bytes b, const char *text)
{
    return bytes_equal(b, bytes_of_text(text));
}

TEST(a_message_keeps_copies_of_its_parts_one_after_the_other)
{
    char topic[] = "a/b", block[] = "properties", payload[] = "hello";
    struct msg_parts parts = { .topic = bytes_of_text(topic),
                               .block = bytes_of_text(block),
                               .payload = bytes_of_text(payload),
                               .qos = 2,
                               .retain = true,
                               .from_shard = 3,
                               .from_session = 4,
                               .expires_ms = 6 };
    struct msg *m = message(&parts);
    topic[0] = block[0] = payload[0] = '!';
    CHECK_TRUE(is(msg_topic(m), "a/b"));
    CHECK_TRUE(is(msg_block(m), "properties"));
    CHECK_TRUE(is(msg_payload(m), "hello"));
    CHECK_TRUE(is(msg_tail(m, true), "propertieshello"));
    CHECK_TRUE(is(msg_tail(m, false), "hello"));
    CHECK_INT(0, m->data[0]);
    CHECK_INT(3, m->data[1]);
    CHECK_TRUE(m->qos == 2 && m->retain && m->from_shard == 3 && m->from_session == 4);
    CHECK_TRUE(m->expires_ms == 6);
    msg_unref(&m);
    CHECK_TRUE(m == NULL);
    msg_unref(&m);
}

TEST(a_message_may_be_empty_but_for_its_topic)
{
    struct msg *m = message(&(struct msg_parts){ .topic = bytes_of_text("t") });
    CHECK_INT(0, msg_payload(m).len);
    CHECK_INT(0, msg_block(m).len);
    CHECK_INT(0, msg_tail(m, true).len);
    CHECK_TRUE(msg_bytes(m) >= sizeof *m + 3);
    msg_unref(&m);
}

TEST(the_longest_topic_has_its_length_before_it)
{
    char *topic = calloc(1, 65535);
    struct msg *m =
        message(&(struct msg_parts){ .topic = bytes_of(topic, 65535), .payload = bytes_of_text("p") });
    CHECK_INT(0xff, m->data[0]);
    CHECK_INT(0xff, m->data[1]);
    CHECK_INT(65535, msg_topic(m).len);
    CHECK_TRUE(is(msg_payload(m), "p"));
    msg_unref(&m);
    free(topic);
}

TEST(each_ride_is_a_seat_of_its_own)
{
    enum { RIDES = 7 };
    struct msg_parts parts = { .topic = bytes_of_text("t"),
                               .payload = bytes_of_text("p"),
                               .rides_count = RIDES };
    struct msg *m = message(&parts);
    struct msg *without = message(&(struct msg_parts){ .topic = parts.topic, .payload = parts.payload });
    for (unsigned i = 0; i < RIDES; i++) m->rides[i] = (struct msg_ride){ .mail.kind = i, .msg = m };
    CHECK_TRUE(is(msg_topic(m), "t"));
    CHECK_TRUE(is(msg_payload(m), "p"));
    CHECK_INT(RIDES, m->rides_count);
    CHECK_INT(msg_bytes(without) + RIDES * sizeof(struct msg_ride), msg_bytes(m));
    msg_unref(&m);
    msg_unref(&without);
}

enum { HOLDERS = 4 };

static void hold_and_let_go(void *arg)
{
    struct msg *m = arg;
    for (int i = 0; i < 5000; i++) {
        struct msg *mine = msg_ref(m);
        CHECK(msg_payload(mine).at[0] == 'p');
        msg_unref(&mine);
    }
    msg_unref(&m);
}

TEST(threads_share_a_message_and_the_last_one_frees_it)
{
    struct thread threads[HOLDERS];
    struct msg *m =
        message(&(struct msg_parts){ .topic = bytes_of_text("t"), .payload = bytes_of_text("p") });
    for (int i = 0; i < HOLDERS; i++)
        CHECK_INT(ERR_OK, thread_start(&threads[i], "holder", hold_and_let_go, msg_ref(m)));
    msg_unref(&m);
    for (int i = 0; i < HOLDERS; i++) thread_join(&threads[i]);
}
