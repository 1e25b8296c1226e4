/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/table.h"
#include "kit/test.h"

static struct ka_table *open_table(uint32_t entries_max)
{
    struct ka_table *t;
    CHECK_INT(ERR_OK, ka_table_new(&t, entries_max));
    return t;
}

static struct ka_entry *get(struct ka_table *t, uint64_t client, uint64_t net)
{
    bool is_new;
    return ka_table_get(t, client, net, &is_new);
}

TEST(what_was_put_is_found_and_nothing_else)
{
    struct ka_table *t = open_table(1000);
    bool is_new;
    struct ka_entry *e = ka_table_get(t, 7, 1, &is_new);
    CHECK_TRUE(is_new);
    CHECK_TRUE(e == ka_table_get(t, 7, 1, &is_new));
    CHECK_TRUE(!is_new);
    CHECK_TRUE(e == ka_table_find(t, 7, 1));
    assert_null(ka_table_find(t, 7, 2));
    assert_null(ka_table_find(t, 8, 1));
    CHECK_INT(1, ka_table_count(t));
    ka_table_free(&t);
}

TEST(the_table_never_grows_above_its_bound_and_the_longest_unused_goes)
{
    struct ka_table *t = open_table(100);
    for (uint64_t i = 0; i < 100; i++) get(t, i, 1);
    get(t, 0, 1); /* used again */
    for (uint64_t i = 100; i < 150; i++) get(t, i, 1);
    CHECK_INT(100, ka_table_count(t));
    assert_non_null(ka_table_find(t, 0, 1));
    for (uint64_t i = 1; i < 51; i++) assert_null(ka_table_find(t, i, 1));
    for (uint64_t i = 51; i < 150; i++) assert_non_null(ka_table_find(t, i, 1));
    ka_table_free(&t);
}

TEST(a_client_has_twenty_networks_at_most_and_the_one_used_last_is_its_first)
{
    struct ka_table *t = open_table(1000);
    get(t, 9, 1);
    for (uint64_t net = 1; net <= 30; net++) get(t, 7, net);
    unsigned count = 0;
    for (struct ka_entry *e = ka_table_first(t, 7); e != NULL; e = e->next) count++;
    CHECK_INT(KA_NETS_OF_CLIENT_MAX, count);
    assert_null(ka_table_find(t, 7, 10));
    assert_non_null(ka_table_find(t, 7, 11));
    get(t, 7, 11);
    CHECK_INT(11, ka_table_first(t, 7)->net);
    assert_non_null(ka_table_find(t, 9, 1));
    ka_table_free(&t);
}

TEST(an_entry_that_goes_from_the_middle_leaves_the_others)
{
    struct ka_table *t = open_table(3);
    get(t, 7, 1);
    get(t, 7, 2);
    get(t, 7, 3);
    get(t, 7, 1); /* now 2 is the longest unused, in the middle of the chain or at its end */
    get(t, 8, 1);
    assert_null(ka_table_find(t, 7, 2));
    assert_non_null(ka_table_find(t, 7, 1));
    assert_non_null(ka_table_find(t, 7, 3));
    assert_non_null(ka_table_find(t, 8, 1));
    ka_table_free(&t);
}

TEST(what_is_dirty_comes_once_and_the_longest_dirty_first)
{
    struct ka_table *t = open_table(10);
    for (uint64_t i = 0; i < 3; i++) ka_table_dirty(t, get(t, i, 1));
    ka_table_dirty(t, get(t, 0, 1));
    for (uint64_t i = 0; i < 3; i++) CHECK_INT(i, ka_table_next_dirty(t)->client);
    assert_null(ka_table_next_dirty(t));
    ka_table_free(&t);
}

TEST(each_entry_is_counted_in_one_class_until_it_goes)
{
    struct ka_table *t = open_table(3);
    for (uint64_t i = 0; i < 3; i++) get(t, i, 1);
    CHECK_INT(3, ka_table_count_of_class(t, 0));
    for (uint64_t i = 0; i < 3; i++) ka_table_put_into_class(t, get(t, i, 1), KA_CLASSES - 1);
    ka_table_put_into_class(t, get(t, 1, 1), 4);
    get(t, 3, 1); /* client 0 goes */
    CHECK_INT(1, ka_table_count_of_class(t, 0));
    CHECK_INT(1, ka_table_count_of_class(t, 4));
    CHECK_INT(1, ka_table_count_of_class(t, KA_CLASSES - 1));
    ka_table_free(&t);
}

TEST(who_goes_is_no_longer_dirty)
{
    struct ka_table *t = open_table(1);
    ka_table_dirty(t, get(t, 1, 1));
    get(t, 2, 1);
    assert_null(ka_table_next_dirty(t));
    ka_table_free(&t);
}

TEST(a_table_of_no_entries_has_none)
{
    struct ka_table *t = open_table(0);
    assert_null(get(t, 1, 1));
    ka_table_free(&t);
}

TEST(random_use_keeps_what_a_plain_list_keeps)
{
    enum { MAX = 50, CLIENTS = 9, NETS = 30 };
    struct ka_table *t = open_table(MAX);
    uint64_t x = 3;
    for (unsigned i = 0; i < 50000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        uint64_t client = (x >> 33) % CLIENTS, net = 1 + (x >> 48) % NETS;
        struct ka_entry *e = get(t, client, net);
        CHECK_TRUE(e->client == client && e->net == net);
        CHECK_TRUE(ka_table_first(t, client) == e);
        CHECK_TRUE(ka_table_count(t) <= MAX);
    }
    unsigned chained = 0;
    for (uint64_t client = 0; client < CLIENTS; client++)
        for (struct ka_entry *e = ka_table_first(t, client); e != NULL; e = e->next) chained++;
    CHECK_INT(ka_table_count(t), chained);
    ka_table_free(&t);
}
