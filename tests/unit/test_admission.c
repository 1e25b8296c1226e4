/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in after many were lost at once, and when: against a shard with a clock of the test's own. */
#include "fuzz/shard_rig.h"
#include "kit/test.h"
#include "shard/admission.h"
#include <string.h>

enum { SECOND = 1000, CLIENTS = 6, WAIT_S = 3, NOTHING = -1, ENDED = -2, MEMORY = 1000 * 1000 };

/* The last answer of each link: the code of a CONNACK. */
static int heard[RIG_LINKS];

static void hear(unsigned link, struct bytes b)
{
    size_t length_bytes = b.len > 2 && b.at[1] > 127 ? 2 : 1;
    if (b.len >= 4 && b.at[0] == 0x20) heard[link] = b.at[1 + length_bytes + 1];
}

static void hear_end(unsigned link)
{
    if (heard[link] == NOTHING) heard[link] = ENDED;
}

static void options(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
    c->admission_rate = 1;
    c->admission_wait = WAIT_S;
    c->admission_waiting = CLIENTS;
    c->memory_limit = MEMORY;
}

static void begin(void)
{
    struct rig_conf conf = { .shards = 1, .ears = { hear, hear_end, hear_end }, .options = options };
    rig_begin(&conf);
}

/* CONNECT, and a PINGREQ behind it that must not be lost while it is held. */
static unsigned come(uint8_t version, char id)
{
    uint8_t v3[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, (uint8_t)id, 0xc0, 0 };
    uint8_t v5[] = { 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, (uint8_t)id, 0xc0, 0 };
    int link = rig_open(0);
    CHECK_TRUE(link >= 0);
    heard[link] = NOTHING;
    CHECK_TRUE(rig_send((unsigned)link, version == 5 ? bytes_of(v5, sizeof v5) : bytes_of(v3, sizeof v3)));
    rig_settle();
    return (unsigned)link;
}

static void pass(uint64_t ms)
{
    rig_advance(ms);
    rig_turn(0);
    rig_settle();
}

/* Two are lost at once, at a rate of one; then a second passes, and one may come. */
static void be_in_trouble(void)
{
    unsigned one = come(4, 'x'), two = come(4, 'y');
    CHECK_INT(0, rig_metric(METRIC_admission_limited));
    rig_break(one);
    rig_break(two);
    pass(SECOND);
    CHECK_INT(1, rig_metric(METRIC_admission_limited));
}

TEST(in_trouble_each_is_let_in_when_its_turn_comes)
{
    unsigned links[CLIENTS];
    begin();
    be_in_trouble();
    for (int i = 0; i < 1 + WAIT_S; i++) links[i] = come(4, (char)('a' + i));
    for (int i = 0; i < 1 + WAIT_S; i++) {
        CHECK_INT(0, heard[links[i]]);
        if (i < WAIT_S) CHECK_INT(NOTHING, heard[links[i + 1]]);
        pass(SECOND);
    }
    CHECK_INT(WAIT_S, rig_metric(METRIC_connects_held_total));
    CHECK_INT(0, rig_metric(METRIC_connects_put_off_total));
    CHECK_INT(0, rig_unread(links[WAIT_S])); /* and what came behind its CONNECT */
    rig_end();
}

TEST(whose_turn_comes_late_is_told_to_come_later_version_3_after_the_longest_wait)
{
    begin();
    be_in_trouble();
    for (int i = 0; i < 1 + WAIT_S; i++) come(4, (char)('a' + i));
    unsigned v5 = come(5, 'q'), v3 = come(4, 'r');
    CHECK_INT(0x9f, heard[v5]);
    CHECK_INT(NOTHING, heard[v3]);
    pass(WAIT_S * SECOND - 1);
    CHECK_INT(NOTHING, heard[v3]);
    pass(1);
    CHECK_INT(3, heard[v3]);
    CHECK_INT(2, rig_metric(METRIC_connects_put_off_total));
    rig_end();
}

TEST(when_so_many_wait_the_next_is_told_at_once)
{
    begin();
    be_in_trouble();
    come(4, 'a');
    for (int i = 0; i < CLIENTS; i++) CHECK_INT(NOTHING, heard[come(4, (char)('b' + i))]);
    CHECK_INT(0x97, heard[come(5, 'q')]);
    CHECK_INT(3, heard[come(4, 'r')]);
    pass(WAIT_S * SECOND);
    CHECK_INT(NOTHING, heard[come(5, 's')]); /* there is room to wait again */
    rig_end();
}

TEST(one_that_goes_while_it_waits_is_forgotten)
{
    begin();
    be_in_trouble();
    come(4, 'a');
    unsigned held = come(4, 'b');
    rig_break(held);
    pass(WAIT_S * SECOND);
    CHECK_INT(1, rig_metric(METRIC_connections_open));
    rig_end();
}

TEST(trouble_is_over_when_nobody_has_had_to_wait_for_a_minute)
{
    begin();
    be_in_trouble();
    pass(ADMISSION_QUIET_MS / 2);
    come(4, 'a');
    CHECK_INT(NOTHING, heard[come(4, 'b')]);
    pass(ADMISSION_QUIET_MS - SECOND);
    CHECK_INT(1, rig_metric(METRIC_admission_limited));
    pass(2 * SECOND);
    CHECK_INT(0, rig_metric(METRIC_admission_limited));
    for (int i = 0; i < CLIENTS; i++) CHECK_INT(0, heard[come(5, (char)('c' + i))]);
    be_in_trouble();
    rig_end();
}

TEST(who_takes_over_again_and_again_leaves_the_others_their_turns)
{
    enum { TAKEOVERS = 10 * WAIT_S };
    begin();
    be_in_trouble();
    unsigned last = come(4, 'm');
    for (int i = 0; i < TAKEOVERS; i++) {
        unsigned next = come(4, 'm');
        CHECK_INT(0, heard[next]);
        if (rig_is_open(last)) rig_break(last);
        last = next;
    }
    unsigned other = come(5, 'o');
    CHECK_INT(NOTHING, heard[other]);
    pass(SECOND);
    CHECK_INT(0, heard[other]);
    rig_end();
}

/* CONNECT, and so many more bytes behind it. */
static unsigned come_with(char id, size_t more)
{
    static uint8_t said[LINK_IN_BYTES / 2];
    uint8_t connect[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, (uint8_t)id };
    int link = rig_open(0);
    CHECK_TRUE(link >= 0 && more <= sizeof said - sizeof connect);
    memcpy(said, connect, sizeof connect);
    heard[link] = NOTHING;
    CHECK_TRUE(rig_send((unsigned)link, bytes_of(said, sizeof connect + more)));
    rig_settle();
    return (unsigned)link;
}

TEST(what_came_behind_the_connect_of_one_who_waits_is_kept_if_there_is_memory)
{
    enum { MORE = 16 * 1024 };
    begin();
    be_in_trouble();
    come(4, 'a');
    rig_use_memory(2 * MEMORY);
    pass(1);
    unsigned small = come(4, 'b'), large = come_with('c', MORE);
    CHECK_TRUE(rig_is_open(small));
    CHECK_TRUE(!rig_is_open(large));
    rig_use_memory(0);
    pass(1);
    CHECK_TRUE(rig_is_open(come_with('d', MORE)));
    rig_end();
}
