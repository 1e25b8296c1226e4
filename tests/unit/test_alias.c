/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "kit/test.h"
#include "shard/alias.h"
#include <stdio.h>
#include <stdlib.h>

static uint64_t hash_of(struct bytes topic)
{
    return bytes_hash(topic, 42);
}

static struct alias_pick pick(struct alias_out *a, const char *topic)
{
    return alias_out_pick(a, bytes_of_text(topic), hash_of(bytes_of_text(topic)));
}

/* 'n' was sent whole, '=' whole with this alias, '-' as the alias alone. */
#define CHECK_PICK(how, number, a, topic)                                                                    \
    do {                                                                                                     \
        struct alias_pick p_ = pick(a, topic);                                                               \
        CHECK_INT(number, p_.alias);                                                                         \
        CHECK_INT((how) == '-', p_.is_known);                                                                \
    } while (0)

TEST(a_topic_gets_an_alias_the_second_time)
{
    struct alias_out *a = alias_out_new(3);
    CHECK_PICK('n', 0, a, "some/topic");
    CHECK_PICK('=', 1, a, "some/topic");
    CHECK_PICK('-', 1, a, "some/topic");
    CHECK_PICK('n', 0, a, "another");
    CHECK_PICK('=', 2, a, "another");
    CHECK_PICK('-', 1, a, "some/topic");
    alias_out_free(&a);
    CHECK_TRUE(a == NULL);
}

TEST(the_alias_used_longest_ago_goes_to_a_topic_used_since)
{
    struct alias_out *a = alias_out_new(2);
    CHECK_PICK('n', 0, a, "topic1");
    CHECK_PICK('=', 1, a, "topic1");
    CHECK_PICK('n', 0, a, "topic2");
    CHECK_PICK('=', 2, a, "topic2");
    CHECK_PICK('n', 0, a, "topic3");
    CHECK_PICK('=', 1, a, "topic3");
    CHECK_PICK('n', 0, a, "topic1");
    CHECK_PICK('-', 1, a, "topic3");
    CHECK_PICK('-', 2, a, "topic2");
    CHECK_PICK('n', 0, a, "topic1"); /* both were used since it was here */
    alias_out_free(&a);
}

TEST(topics_in_turn_that_are_more_than_the_aliases_leave_those_given)
{
    struct alias_out *a = alias_out_new(4);
    unsigned new = 0, known = 0;
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 10; i++) {
            char topic[16];
            (void)snprintf(topic, sizeof topic, "topic/%u", i);
            struct alias_pick p = pick(a, topic);
            CHECK_TRUE(p.alias <= 4);
            new += p.alias != 0 && !p.is_known;
            known += p.is_known;
        }
    }
    CHECK_INT(4, new);
    CHECK_INT(4 * 98, known);
    alias_out_free(&a);
}

TEST(a_topic_too_short_to_gain_by_it_or_too_long_to_keep_gets_no_alias)
{
    struct alias_out *a = alias_out_new(1);
    static char longest[ALIAS_TOPIC_BYTES_MAX + 2];
    for (int i = 0; i < 3; i++) CHECK_PICK('n', 0, a, "abc");
    memset(longest, 'x', ALIAS_TOPIC_BYTES_MAX + 1);
    for (int i = 0; i < 3; i++) CHECK_PICK('n', 0, a, longest);
    longest[ALIAS_TOPIC_BYTES_MAX] = '\0';
    CHECK_PICK('n', 0, a, longest);
    CHECK_PICK('=', 1, a, longest);
    alias_out_free(&a);
}

TEST(an_alias_that_was_not_sent_is_not_known)
{
    struct alias_out *a = alias_out_new(1);
    CHECK_PICK('n', 0, a, "topic");
    CHECK_PICK('=', 1, a, "topic");
    alias_out_drop(a, 1);
    CHECK_PICK('=', 1, a, "topic");
    CHECK_PICK('-', 1, a, "topic");
    alias_out_free(&a);
}

TEST(we_give_no_more_aliases_than_we_keep)
{
    struct alias_out *a = alias_out_new(UINT16_MAX);
    for (unsigned i = 0; i < 1000; i++) {
        char topic[16];
        (void)snprintf(topic, sizeof topic, "topic/%u", i);
        pick(a, topic);
        CHECK_TRUE(pick(a, topic).alias <= ALIAS_OUT_MAX);
    }
    alias_out_free(&a);
}

TEST(two_topics_of_one_hash_are_two_topics)
{
    struct alias_out *a = alias_out_new(2);
    alias_out_pick(a, bytes_of_text("topic1"), 7);
    CHECK_INT(1, alias_out_pick(a, bytes_of_text("topic1"), 7).alias);
    struct alias_pick p = alias_out_pick(a, bytes_of_text("topic2"), 7);
    CHECK_TRUE(!p.is_known);
    CHECK_TRUE(alias_out_pick(a, bytes_of_text("topic1"), 7).is_known);
    alias_out_free(&a);
}

static void check_in(const struct alias_in *a, uint16_t alias, const char *topic)
{
    CHECK_TRUE(bytes_equal(bytes_of_text(topic), alias_in_get(a, alias)));
}

TEST(an_alias_of_the_client_stands_for_what_it_was_set_to_last)
{
    struct alias_in *a = NULL;
    check_in(a, 1, "");
    CHECK_INT(ERR_OK, alias_in_set(&a, 5, bytes_of_text("five")));
    CHECK_INT(ERR_OK, alias_in_set(&a, 2, bytes_of_text("two")));
    CHECK_INT(ERR_OK, alias_in_set(&a, 65535, bytes_of_text("the last")));
    CHECK_INT(ERR_OK, alias_in_set(&a, 5, bytes_of_text("again")));
    CHECK_INT(ERR_OK, alias_in_set(&a, 2, bytes_of_text("two")));
    check_in(a, 1, "");
    check_in(a, 2, "two");
    check_in(a, 5, "again");
    check_in(a, 6, "");
    check_in(a, 65535, "the last");
    alias_in_free(&a);
    CHECK_TRUE(a == NULL);
}

TEST(aliases_of_a_client_hold_so_many_bytes_and_no_more)
{
    static uint8_t topic[65535];
    struct alias_in *a = NULL;
    unsigned whole = ALIAS_IN_BYTES_MAX / sizeof topic;
    memset(topic, 'x', sizeof topic);
    for (uint16_t i = 1; i <= whole; i++)
        CHECK_INT(ERR_OK, alias_in_set(&a, i, bytes_of(topic, sizeof topic)));
    size_t left = ALIAS_IN_BYTES_MAX - whole * sizeof topic;
    uint16_t next = (uint16_t)(whole + 1);
    CHECK_INT(ERR_FULL, alias_in_set(&a, next, bytes_of(topic, left + 1)));
    CHECK_INT(0, alias_in_get(a, next).len);
    CHECK_INT(ERR_OK, alias_in_set(&a, next, bytes_of(topic, left)));
    CHECK_INT(ERR_OK, alias_in_set(&a, 1, bytes_of(topic, sizeof topic - 1))); /* makes room */
    CHECK_INT(ERR_OK, alias_in_set(&a, next, bytes_of(topic, left + 1)));
    CHECK_INT(ERR_FULL, alias_in_set(&a, 1, bytes_of(topic, sizeof topic)));
    CHECK_INT(sizeof topic - 1, alias_in_get(a, 1).len);
    alias_in_free(&a);
}
