/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bucket.h"
#include "kit/test.h"

enum { NOW = 5000 };

static unsigned take_all(struct bucket *b, uint32_t rate, uint64_t now_ms)
{
    unsigned n = 0;
    while (n < 1000 && bucket_take(b, rate, now_ms)) n++;
    return n;
}

TEST(a_full_bucket_gives_what_a_second_gives_at_once)
{
    for (uint32_t rate = 1; rate <= 200; rate += 7) {
        struct bucket b = { 0 };
        CHECK_INT(rate, take_all(&b, rate, NOW));
    }
}

TEST(an_empty_bucket_fills_at_its_rate)
{
    struct bucket b = { 0 };
    take_all(&b, 10, NOW);
    CHECK_INT(100, bucket_wait_ms(&b, 10, NOW));
    CHECK_INT(0, take_all(&b, 10, NOW + 99));
    CHECK_INT(1, take_all(&b, 10, NOW + 100));
    CHECK_INT(3, take_all(&b, 10, NOW + 400));
    CHECK_INT(10, take_all(&b, 10, NOW + 100000)); /* and never holds more than a second's */
}

TEST(in_the_long_run_nobody_gets_more_than_the_rate)
{
    struct bucket b = { 0 };
    unsigned got = 0;
    for (uint64_t ms = 0; ms < 60000; ms += 7) got += take_all(&b, 33, NOW + ms);
    CHECK_TRUE(got <= 33 * 61);
    CHECK_TRUE(got >= 33 * 60 - 1);
}

TEST(what_is_refused_costs_nothing)
{
    struct bucket b = { 0 };
    take_all(&b, 2, NOW);
    for (int i = 0; i < 1000; i++) CHECK_TRUE(!bucket_take(&b, 2, NOW));
    CHECK_INT(500, bucket_wait_ms(&b, 2, NOW));
}

TEST(what_has_come_is_taken_even_beyond_the_rate_and_must_be_waited_for)
{
    struct bucket b = { 0 };
    CHECK_INT(0, bucket_spend(&b, 1000, 999, NOW));
    CHECK_INT(1, bucket_spend(&b, 1000, 1, NOW));
    CHECK_INT(4001, bucket_spend(&b, 1000, 4000, NOW));
    CHECK_INT(4001, bucket_wait_ms(&b, 1000, NOW));
    CHECK_INT(1, bucket_wait_ms(&b, 1000, NOW + 4000));
    CHECK_INT(0, bucket_wait_ms(&b, 1000, NOW + 4001));
}

TEST(those_who_share_a_bucket_wait_one_after_the_other)
{
    struct bucket b = { 0 };
    uint64_t last = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t wait = bucket_spend(&b, 1000, 1000, NOW);
        CHECK_TRUE(i == 0 || wait == last + 1000);
        last = wait;
    }
}

TEST(the_largest_numbers_do_not_wrap)
{
    struct bucket b = { 0 };
    uint64_t wait = bucket_spend(&b, 1, UINT32_MAX, NOW);
    CHECK_TRUE(wait >= (uint64_t)UINT32_MAX * 1000 && wait <= (uint64_t)UINT32_MAX * 1000 + 1000);
    struct bucket fast = { 0 };
    CHECK_INT(0, bucket_spend(&fast, UINT32_MAX, 1 << 20, NOW));
}

TEST(a_bucket_is_at_rest_when_all_is_paid_for)
{
    struct bucket b = { 0 };
    CHECK_TRUE(bucket_at_rest(&b, 0));
    bucket_spend(&b, 100, 50, NOW);
    CHECK_TRUE(!bucket_at_rest(&b, NOW + 499));
    CHECK_TRUE(bucket_at_rest(&b, NOW + 500));
}

TEST(a_rate_that_changes_holds_from_then_on)
{
    struct bucket b = { 0 };
    take_all(&b, 10, NOW);
    CHECK_INT(10, bucket_wait_ms(&b, 100, NOW));
    CHECK_INT(1, take_all(&b, 100, NOW + 10));
}
