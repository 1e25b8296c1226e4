/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bisect.h"
#include "kit/test.h"

enum { ITEMS_MAX = 9 };

static unsigned looks;

static bool is_before(const void *items, size_t i, uint64_t key)
{
    const uint64_t *at = items;
    looks++;
    return at[i] < key;
}

TEST(each_number_is_found_where_it_is_and_each_between_where_it_would_be)
{
    uint64_t items[ITEMS_MAX];
    for (size_t i = 0; i < ITEMS_MAX; i++) items[i] = 10 * (i + 1);
    for (size_t count = 0; count <= ITEMS_MAX; count++) {
        CHECK_INT(0, bisect(items, count, 0, is_before));
        CHECK_INT(count, bisect(items, count, UINT64_MAX, is_before));
        for (size_t i = 0; i < count; i++) {
            CHECK_INT(i, bisect(items, count, items[i], is_before));
            CHECK_INT(i, bisect(items, count, items[i] - 1, is_before));
            CHECK_INT(i + 1, bisect(items, count, items[i] + 1, is_before));
        }
    }
}

TEST(of_the_same_number_it_is_the_first)
{
    static const uint64_t items[] = { 1, 5, 5, 5, 7 };
    CHECK_INT(1, bisect(items, 5, 5, is_before));
    CHECK_INT(4, bisect(items, 5, 6, is_before));
}

TEST(of_a_million_it_looks_at_twenty)
{
    static uint64_t items[1 << 20];
    for (size_t i = 0; i < 1 << 20; i++) items[i] = i;
    looks = 0;
    CHECK_INT(77777, bisect(items, 1 << 20, 77777, is_before));
    CHECK_TRUE(looks <= 21);
}

TEST(nothing_is_looked_at_where_nothing_is)
{
    looks = 0;
    CHECK_INT(0, bisect(NULL, 0, 1, is_before));
    CHECK_INT(0, looks);
}
