/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "store/backlog.h"

static const struct backlog_limits three = { .messages_max = 3, .policy = BACKLOG_DROP_OLDEST };

static void add(struct backlog *b, uint64_t seq, uint32_t bytes)
{
    CHECK_INT(ERR_OK, backlog_add(b, (struct backlog_entry){ seq, bytes }, false));
}

TEST(up_to_the_limit_nothing_is_dropped)
{
    struct backlog b = { 0 };
    uint64_t drop_upto;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        CHECK_INT(0, backlog_expect(&b, &three, 10, &drop_upto));
        CHECK_INT(0, drop_upto);
        CHECK_INT(ERR_OK, backlog_add(&b, (struct backlog_entry){ seq, 10 }, true));
    }
    CHECK_INT(3, b.count);
    CHECK_INT(0, b.expected);
    CHECK_INT(30, b.bytes);
    backlog_fini(&b);
}

TEST(what_is_expected_counts_and_only_what_is_there_can_make_room)
{
    struct backlog b = { 0 };
    uint64_t drop_upto;
    add(&b, 7, 1);
    add(&b, 9, 1);
    CHECK_INT(0, backlog_expect(&b, &three, 1, &drop_upto));
    CHECK_INT(1, backlog_expect(&b, &three, 1, &drop_upto));
    CHECK_INT(7, drop_upto);
    CHECK_INT(1, backlog_expect(&b, &three, 1, &drop_upto));
    CHECK_INT(9, drop_upto);
    CHECK_TRUE(!backlog_fits(&b, &three, 1)); /* three are expected, and none of them is there to go */
    backlog_unexpect(&b, 1, 0);
    CHECK_TRUE(backlog_fits(&b, &three, 1));
    backlog_fini(&b);
}

TEST(what_was_to_go_for_one_that_does_not_come_stays)
{
    struct backlog b = { 0 };
    uint64_t drop_upto, open[] = { 1 };
    for (uint64_t seq = 1; seq <= 3; seq++) add(&b, seq, 10);
    CHECK_INT(1, backlog_expect(&b, &three, 5, &drop_upto));
    CHECK_INT(1, backlog_expect(&b, &three, 5, &drop_upto));
    CHECK_INT(2, drop_upto);
    CHECK_INT(1, b.count);
    backlog_finish(&b, &(struct command_ack){ .cursor = 2, .open_count = 1, .open = open });
    CHECK_INT(1, b.count); /* 3 */
    CHECK_INT(20, b.bytes);
    backlog_unexpect(&b, 5, 1);
    CHECK_INT(2, b.count); /* 1 and 3 */
    CHECK_INT(25, b.bytes);
    backlog_unexpect(&b, 5, 1);
    CHECK_INT(2, b.count);
    CHECK_INT(20, b.bytes);
    backlog_finish(&b, &(struct command_ack){ .cursor = 3 });
    CHECK_INT(0, b.count);
    CHECK_INT(0, b.bytes);
    backlog_fini(&b);
}

TEST(as_many_go_as_the_bytes_need)
{
    const struct backlog_limits bytes = { .bytes_max = 100, .policy = BACKLOG_DROP_OLDEST };
    struct backlog b = { 0 };
    uint64_t drop_upto;
    for (uint64_t seq = 1; seq <= 10; seq++) add(&b, seq, 10);
    CHECK_TRUE(!backlog_fits(&b, &bytes, 101)); /* not even alone */
    CHECK_INT(3, backlog_expect(&b, &bytes, 25, &drop_upto));
    CHECK_INT(3, drop_upto);
    CHECK_INT(95, b.bytes);
    backlog_fini(&b);
}

TEST(without_that_policy_a_full_one_has_no_room)
{
    const struct backlog_limits refusing = { .messages_max = 1, .policy = BACKLOG_REFUSE };
    struct backlog b = { 0 };
    CHECK_TRUE(backlog_fits(&b, &refusing, 1));
    add(&b, 1, 1);
    CHECK_TRUE(!backlog_fits(&b, &refusing, 1));
    backlog_fini(&b);
}

TEST(the_finished_leave_and_the_open_stay_in_order)
{
    struct backlog b = { 0 };
    uint64_t open[] = { 2, 5 };
    struct command_ack ack = { .cursor = 6, .open_count = 2, .open = open };
    for (uint64_t seq = 1; seq <= 8; seq++) add(&b, seq, 10);
    backlog_finish(&b, &ack);
    CHECK_INT(4, b.count);
    CHECK_INT(40, b.bytes);
    const uint64_t left[] = { 2, 5, 7, 8 };
    for (int i = 0; i < 4; i++) CHECK_INT(left[i], b.entries[b.head + (uint32_t)i].seq);
    struct command_ack all = { .cursor = UINT64_MAX };
    backlog_finish(&b, &all);
    CHECK_INT(0, b.count);
    CHECK_INT(0, b.bytes);
    backlog_fini(&b);
}

TEST(a_long_life_keeps_no_more_room_than_its_longest_queue_needs)
{
    struct backlog b = { 0 };
    for (uint64_t seq = 1; seq <= 100000; seq++) {
        struct command_ack ack = { .cursor = seq > 5 ? seq - 5 : 0 };
        add(&b, seq, 1);
        backlog_finish(&b, &ack);
    }
    CHECK_INT(5, b.count);
    CHECK_TRUE(b.room <= 32);
    backlog_fini(&b);
}

/* --- one that moves away */

TEST(one_that_is_taken_gives_its_room_back)
{
    struct backlog b = { 0 };
    uint64_t drop_upto;
    for (uint64_t seq = 1; seq <= 3; seq++) add(&b, seq, (uint32_t)(10 * seq));
    backlog_take(&b, 9); /* is not there */
    CHECK_INT(3, b.count);
    backlog_take(&b, 2);
    CHECK_TRUE(backlog_has(&b, 1) && !backlog_has(&b, 2) && backlog_has(&b, 3) && !backlog_has(&b, 4));
    CHECK_INT(2, b.count);
    CHECK_INT(40, b.bytes);
    CHECK_INT(0, backlog_expect(&b, &three, 5, &drop_upto));
    CHECK_INT(1, backlog_expect(&b, &three, 5, &drop_upto));
    CHECK_INT(1, drop_upto);
    backlog_fini(&b);
}

TEST(one_that_is_taken_while_it_was_to_go_is_counted_out_once)
{
    struct backlog b = { 0 };
    uint64_t drop_upto;
    for (uint64_t seq = 1; seq <= 3; seq++) add(&b, seq, 10);
    CHECK_INT(1, backlog_expect(&b, &three, 5, &drop_upto));
    CHECK_INT(1, backlog_expect(&b, &three, 5, &drop_upto));
    CHECK_TRUE(backlog_has(&b, 1) && backlog_has(&b, 2));
    backlog_take(&b, 2);
    CHECK_TRUE(!backlog_has(&b, 2));
    CHECK_INT(1, b.count);
    CHECK_INT(20, b.bytes);
    backlog_unexpect(&b, 5, 1); /* neither comes: what is left of those two stays */
    backlog_unexpect(&b, 5, 1);
    CHECK_INT(2, b.count);
    CHECK_INT(20, b.bytes);
    CHECK_INT(0, b.leaving);
    backlog_take(&b, 1);
    backlog_take(&b, 3);
    CHECK_INT(0, b.count);
    CHECK_INT(0, b.bytes);
    add(&b, 7, 1);
    CHECK_TRUE(backlog_has(&b, 7));
    backlog_fini(&b);
}

TEST(taking_one_after_the_other_keeps_no_more_room)
{
    struct backlog b = { 0 };
    for (uint64_t seq = 1; seq <= 5; seq++) add(&b, seq, 1);
    for (uint64_t seq = 6; seq <= 100000; seq++) {
        add(&b, seq, 1);
        backlog_take(&b, seq - (seq % 5));
        backlog_finish(&b, &(struct command_ack){ .cursor = seq - 5 });
    }
    CHECK_TRUE(b.count <= 5);
    CHECK_TRUE(b.room <= 32);
    CHECK_INT(b.count, b.bytes);
    backlog_fini(&b);
}

TEST(one_beyond_the_limit_makes_nothing_go_until_the_next)
{
    struct backlog b = { 0 };
    uint64_t drop_upto;
    for (uint64_t seq = 1; seq <= 3; seq++) add(&b, seq, 10);
    backlog_expect_beyond(&b, 10);
    CHECK_INT(3, b.count);
    CHECK_INT(40, b.bytes);
    CHECK_INT(ERR_OK, backlog_add(&b, (struct backlog_entry){ 4, 10 }, true));
    CHECK_INT(4, b.count);
    CHECK_INT(40, b.bytes);
    CHECK_INT(2, backlog_expect(&b, &three, 10, &drop_upto));
    CHECK_INT(2, drop_upto);
    backlog_expect_beyond(&b, 7);
    backlog_unexpect(&b, 7, 0);
    CHECK_INT(30, b.bytes);
    backlog_fini(&b);
}
