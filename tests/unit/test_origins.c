/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "store_sqlite/origins.h"

static bool accepts(struct origins *o, unsigned node, unsigned boot_no, uint64_t n)
{
    return origins_accept(o, &(struct command_origin){ (uint16_t)node, boot_no, n });
}

TEST(a_stream_is_accepted_in_its_order_and_nothing_of_it_twice)
{
    struct origins o = { 0 };
    for (uint64_t n = 1; n <= 5; n++) {
        CHECK_TRUE(!accepts(&o, 1, 1, n + 1));
        CHECK_TRUE(accepts(&o, 1, 1, n));
        CHECK_TRUE(!accepts(&o, 1, 1, n));
    }
}

TEST(each_node_has_its_own_stream)
{
    struct origins o = { 0 };
    CHECK_TRUE(accepts(&o, 1, 1, 1));
    CHECK_TRUE(!accepts(&o, 2, 1, 2));
    CHECK_TRUE(accepts(&o, 2, 1, 1));
    CHECK_TRUE(accepts(&o, 1, 1, 2));
}

TEST(a_later_process_begins_again_and_ends_the_earlier_one)
{
    struct origins o = { 0 };
    CHECK_TRUE(accepts(&o, 1, 3, 1));
    CHECK_TRUE(accepts(&o, 1, 4, 1));
    CHECK_TRUE(!accepts(&o, 1, 3, 2));
    CHECK_TRUE(accepts(&o, 1, 4, 2));
}

/* What is refused must leave no trace: a restart knows only what was accepted. */
TEST(a_later_process_whose_first_is_missing_ends_nothing_yet)
{
    struct origins o = { 0 };
    CHECK_TRUE(accepts(&o, 1, 3, 1));
    CHECK_TRUE(!accepts(&o, 1, 4, 2));
    CHECK_TRUE(accepts(&o, 1, 3, 2));
    CHECK_TRUE(accepts(&o, 1, 4, 1));
    CHECK_TRUE(accepts(&o, 1, 4, 2));
}

TEST(of_one_node_too_many_nothing_is_accepted)
{
    struct origins o = { 0 };
    for (unsigned node = 0; node < ORIGINS_MAX; node++) CHECK_TRUE(accepts(&o, node, 1, 1));
    CHECK_TRUE(!accepts(&o, ORIGINS_MAX, 1, 1));
    CHECK_TRUE(accepts(&o, 0, 1, 2));
}
