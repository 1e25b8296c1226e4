/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "kit/test.h"
#include "shard/addresses.h"
#include <string.h>

enum { NOW = 100000, ENTRIES = 100 };

static struct addresses *make(uint32_t entries_max)
{
    struct addresses *t;
    CHECK_INT(ERR_OK, addresses_new(&t, entries_max, 7));
    return t;
}

static struct net_address v4(unsigned n)
{
    struct net_address a = { .kind = ADDRESS_V4, .port = (uint16_t)n };
    a.bytes[0] = 10;
    a.bytes[2] = (uint8_t)(n >> 8);
    a.bytes[3] = (uint8_t)n;
    return a;
}

static enum err enter(struct addresses *t, struct net_address a, struct address_limits l,
                      struct address **out)
{
    struct address_from from = { &a, 0, l };
    return address_enter(t, &from, NOW, out);
}

static const struct address_limits two = { 2, ADDRESS_NO_LIMIT };
static const struct address_limits none = { ADDRESS_NO_LIMIT, ADDRESS_NO_LIMIT };

TEST(an_address_has_so_many_connections_and_a_place_that_is_left_is_taken)
{
    struct addresses *t = make(ENTRIES);
    struct address *a, *b, *c;
    CHECK_INT(ERR_OK, enter(t, v4(1), two, &a));
    CHECK_INT(ERR_OK, enter(t, v4(1), two, &b));
    CHECK_INT(ERR_FULL, enter(t, v4(1), two, &c));
    CHECK_TRUE(c == NULL);
    address_leave(t, &a, NOW);
    CHECK_TRUE(a == NULL);
    CHECK_INT(ERR_OK, enter(t, v4(1), two, &c));
    CHECK_INT(1, addresses_count(t));
    address_leave(t, &b, NOW);
    address_leave(t, &c, NOW);
    CHECK_INT(0, addresses_count(t));
    addresses_free(&t);
}

TEST(ports_do_not_tell_addresses_apart_and_listeners_do)
{
    struct addresses *t = make(ENTRIES);
    struct address *at[3];
    struct net_address a = v4(1), b = v4(1);
    b.port = 4711;
    struct address_limits one = { 1, ADDRESS_NO_LIMIT };
    struct address_from first = { &a, 0, one }, port = { &b, 0, one }, other = { &a, 1, one };
    CHECK_INT(ERR_OK, address_enter(t, &first, NOW, &at[0]));
    CHECK_INT(ERR_FULL, address_enter(t, &port, NOW, &at[1]));
    CHECK_INT(ERR_OK, address_enter(t, &other, NOW, &at[2]));
    address_leave(t, &at[0], NOW);
    address_leave(t, &at[2], NOW);
    addresses_free(&t);
}

TEST(an_ipv6_address_counts_by_its_first_64_bits_and_local_peers_together)
{
    struct addresses *t = make(ENTRIES);
    struct address *at[4], *refused;
    struct net_address six = { .kind = ADDRESS_V6, .bytes = { 0x20, 1, [7] = 1 } };
    CHECK_INT(ERR_OK, enter(t, six, two, &at[0]));
    six.bytes[15] = 9;
    CHECK_INT(ERR_OK, enter(t, six, two, &at[1]));
    six.bytes[8] = 9;
    CHECK_INT(ERR_FULL, enter(t, six, two, &refused));
    six.bytes[7] = 2;
    CHECK_INT(ERR_OK, enter(t, six, two, &at[2]));
    for (int i = 0; i < 3; i++) address_leave(t, &at[i], NOW);

    struct net_address local = { .kind = ADDRESS_LOCAL, .bytes = { 1 } };
    CHECK_INT(ERR_OK, enter(t, local, two, &at[0]));
    local.bytes[0] = 2;
    CHECK_INT(ERR_OK, enter(t, local, two, &at[1]));
    local.bytes[0] = 3;
    CHECK_INT(ERR_FULL, enter(t, local, two, &refused));
    address_leave(t, &at[0], NOW);
    address_leave(t, &at[1], NOW);
    addresses_free(&t);
}

TEST(an_address_comes_so_often_and_is_remembered_until_it_may_come_again)
{
    struct addresses *t = make(ENTRIES);
    struct net_address a = v4(1);
    struct address_from from = { &a, 0, { ADDRESS_NO_LIMIT, 2 } };
    struct address *at;
    for (int i = 0; i < 2; i++) {
        CHECK_INT(ERR_OK, address_enter(t, &from, NOW, &at));
        address_leave(t, &at, NOW);
    }
    CHECK_INT(1, addresses_count(t));
    CHECK_INT(ERR_AGAIN, address_enter(t, &from, NOW, &at));
    CHECK_INT(ERR_OK, address_enter(t, &from, NOW + 500, &at));
    address_leave(t, &at, NOW + 5000);
    CHECK_INT(0, addresses_count(t));
    addresses_free(&t);
}

TEST(bytes_are_the_addresses_whichever_connection_they_come_by)
{
    struct addresses *t = make(ENTRIES);
    struct address *a, *b, *other;
    enter(t, v4(1), none, &a);
    enter(t, v4(1), none, &b);
    enter(t, v4(2), none, &other);
    CHECK_INT(0, address_spend(a, 1000, 900, NOW));
    CHECK_INT(901, address_spend(b, 1000, 1000, NOW));
    CHECK_INT(901, address_spend(a, 1000, 0, NOW));
    CHECK_INT(0, address_spend(other, 1000, 0, NOW));
    address_leave(t, &a, NOW);
    address_leave(t, &b, NOW);
    CHECK_INT(2, addresses_count(t)); /* it comes back to what it owes */
    enter(t, v4(1), none, &a);
    CHECK_INT(901, address_spend(a, 1000, 0, NOW));
    address_leave(t, &a, NOW);
    address_leave(t, &other, NOW);
    addresses_free(&t);
}

TEST(who_owes_nothing_any_more_is_forgotten_as_others_come)
{
    struct addresses *t = make(100000);
    struct address_limits rated = { ADDRESS_NO_LIMIT, 1 };
    struct address *at;
    for (unsigned i = 0; i < 10000; i++) {
        CHECK_INT(ERR_OK, enter(t, v4(i), rated, &at));
        address_leave(t, &at, NOW);
    }
    CHECK_INT(10000, addresses_count(t));
    for (unsigned i = 0; i < 10000; i++) {
        struct net_address a = v4(20000 + i);
        struct address_from from = { &a, 0, none };
        CHECK_INT(ERR_OK, address_enter(t, &from, NOW + 60000, &at));
        address_leave(t, &at, NOW + 60000);
    }
    CHECK_INT(0, addresses_count(t));
    addresses_free(&t);
}

TEST(when_it_is_full_the_others_share_one_entry_and_those_who_are_there_do_not_notice)
{
    struct addresses *t = make(2);
    struct address *first[2], *shared[2], *at;
    CHECK_INT(ERR_OK, enter(t, v4(1), two, &first[0]));
    CHECK_INT(ERR_OK, enter(t, v4(2), two, &first[1]));
    CHECK_INT(ERR_OK, enter(t, v4(3), two, &shared[0]));
    CHECK_INT(ERR_OK, enter(t, v4(4), two, &shared[1]));
    CHECK_TRUE(shared[0] == shared[1]);
    CHECK_INT(ERR_FULL, enter(t, v4(5), two, &at));
    CHECK_INT(2, addresses_count(t));
    CHECK_INT(ERR_OK, enter(t, v4(1), two, &at));
    address_leave(t, &at, NOW);
    for (int i = 0; i < 2; i++) {
        address_leave(t, &first[i], NOW);
        address_leave(t, &shared[i], NOW);
    }
    CHECK_INT(0, addresses_count(t));
    CHECK_INT(ERR_OK, enter(t, v4(5), two, &at)); /* one of its own again */
    CHECK_INT(1, addresses_count(t));
    address_leave(t, &at, NOW);
    addresses_free(&t);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void come_and_go(void *arg)
{
    struct addresses *t = arg;
    struct address_limits most = { 2, 1000000 };
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct address *at[2];
        bool in[2];
        for (unsigned k = 0; k < 2; k++) in[k] = enter(t, v4(i % 7 + k), most, &at[k]) == ERR_OK;
        for (unsigned k = 0; k < 2; k++) {
            if (!in[k]) continue;
            address_spend(at[k], 1000000, 10, NOW);
            address_leave(t, &at[k], NOW + 1000000);
        }
    }
}

TEST(several_threads_come_and_go)
{
    struct addresses *t = make(4);
    struct thread threads[THREADS];
    for (int i = 0; i < THREADS; i++) CHECK_INT(ERR_OK, thread_start(&threads[i], "t", come_and_go, t));
    for (int i = 0; i < THREADS; i++) thread_join(&threads[i]);
    CHECK_INT(0, addresses_count(t));
    addresses_free(&t);
}
