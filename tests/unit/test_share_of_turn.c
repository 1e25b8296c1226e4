/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "fuzz/shard_rig.h"
#include "kit/test.h"
#include <string.h>

/* Who floods waits for himself: whole connections on a shard whose turns are run one by one. */

enum { FLOODERS = 8, FLOOD = 20000, NICE = FLOODERS, ALL };

static const uint8_t hello[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'a' };
static const uint8_t ping[] = { 0xc0, 0 };
static unsigned link_of[ALL], answers_of[RIG_LINKS];

static void got(unsigned link, struct bytes b)
{
    answers_of[link] += (unsigned)b.len / sizeof ping; /* but for CONNACK, of which nobody asks */
}

static void nothing(unsigned link)
{
    (void)link;
}

static void send(unsigned link, const uint8_t *at, size_t n)
{
    CHECK_TRUE(rig_send(link, bytes_of(at, n)));
}

static void options(struct config *c, void *ctx)
{
    (void)ctx;
    c->sys_interval = 0;
    c->default_listener.security.allow_anonymous = true;
}

static void begin(void)
{
    struct rig_conf conf = { .shards = 1, .ears = { got, nothing, nothing }, .options = options };
    uint8_t packet[sizeof hello];
    memcpy(packet, hello, sizeof hello);
    rig_begin(&conf);
    for (unsigned i = 0; i < ALL; i++, packet[sizeof packet - 1]++) {
        int opened = rig_open(0);
        CHECK_TRUE(opened >= 0);
        link_of[i] = (unsigned)opened;
        send(link_of[i], packet, sizeof packet);
    }
    rig_settle();
    memset(answers_of, 0, sizeof answers_of);
}

static void flood(void)
{
    static uint8_t pings[FLOOD * sizeof ping];
    for (size_t i = 0; i < sizeof pings; i += sizeof ping) memcpy(pings + i, ping, sizeof ping);
    for (unsigned i = 0; i < FLOODERS; i++) send(link_of[i], pings, sizeof pings);
}

TEST(who_says_little_is_answered_in_the_next_turn_whatever_others_send)
{
    begin();
    flood();
    for (unsigned turn = 1; turn <= 5; turn++) {
        send(link_of[NICE], ping, sizeof ping);
        rig_turn(0);
        CHECK_INT(turn, answers_of[link_of[NICE]]);
        unsigned flooded = 0;
        for (unsigned i = 0; i < FLOODERS; i++) flooded += answers_of[link_of[i]];
        CHECK_TRUE(flooded > 0);
        /* What the first of a turn do, and what is done of the queue. */
        CHECK_TRUE(flooded <= turn * (2 * WORK_A_TURN + WORK_OF_QUEUED));
    }
    rig_settle();
    rig_end();
}

TEST(what_a_flood_asks_is_answered_to_the_last)
{
    begin();
    flood();
    rig_settle();
    for (unsigned i = 0; i < FLOODERS; i++) CHECK_INT(FLOOD, answers_of[link_of[i]]);
    rig_end();
}

TEST(a_flood_that_is_cut_off_in_its_turn_leaves_nothing_behind)
{
    begin();
    flood();
    rig_turn(0);
    for (unsigned i = 0; i < FLOODERS; i++) rig_break(link_of[i]);
    rig_settle();
    send(link_of[NICE], ping, sizeof ping);
    rig_turn(0);
    CHECK_INT(1, answers_of[link_of[NICE]]);
    rig_end();
}
