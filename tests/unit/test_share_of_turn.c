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

TEST(what_can_be_read_only_when_there_is_room_costs_no_turns_until_there_is)
{
    begin();
    rig_read_by_room(link_of[NICE]);
    rig_room(link_of[NICE], 0);
    send(link_of[NICE], ping, sizeof ping);
    rig_settle(); /* comes to rest */
    CHECK_INT(sizeof ping, rig_unread(link_of[NICE]));
    rig_room(link_of[NICE], LINK_ALL_ROOM);
    rig_settle();
    CHECK_INT(1, answers_of[link_of[NICE]]);
    rig_end();
}

/* --- handshakes */

enum { SHAKERS = 10, STEPS = 4 };

static unsigned shakers[SHAKERS];

static void begin_shaking(unsigned step_ms)
{
    struct rig_conf conf = { .shards = 1, .ears = { got, nothing, nothing }, .options = options };
    rig_begin(&conf);
    link_of[NICE] = (unsigned)rig_open(0);
    send(link_of[NICE], hello, sizeof hello);
    rig_settle();
    memset(answers_of, 0, sizeof answers_of);
    for (unsigned i = 0; i < SHAKERS; i++) {
        uint8_t packet[sizeof hello];
        memcpy(packet, hello, sizeof hello);
        packet[sizeof packet - 1] = (uint8_t)('b' + i);
        shakers[i] = (unsigned)rig_open_shaking(0, STEPS, step_ms);
        send(shakers[i], packet, sizeof packet); /* what it will find when it is through */
    }
}

static unsigned steps_left(void)
{
    unsigned left = 0;
    for (unsigned i = 0; i < SHAKERS; i++) left += rig_shakes(shakers[i]);
    return left;
}

TEST(handshakes_have_so_much_of_a_turn_and_others_are_answered_before_them)
{
    begin_shaking(1);
    for (unsigned turn = 1; turn <= 5; turn++) {
        unsigned left = steps_left();
        uint64_t before_ms = rig_now_ms();
        send(link_of[NICE], ping, sizeof ping);
        rig_turn(0);
        CHECK_INT(turn, answers_of[link_of[NICE]]);
        CHECK_INT(SHAKE_MS_A_TURN, rig_now_ms() - before_ms);
        CHECK_INT(SHAKE_MS_A_TURN, left - steps_left());
    }
    rig_settle();
    rig_end();
}

TEST(a_step_that_takes_longer_than_a_turn_has_is_done_all_the_same_one_a_turn)
{
    begin_shaking(10 * SHAKE_MS_A_TURN);
    for (unsigned left = SHAKERS * STEPS; left > 0; left--) {
        CHECK_INT(left, steps_left());
        rig_turn(0);
    }
    rig_settle();
    for (unsigned i = 0; i < SHAKERS; i++) CHECK_INT(2, answers_of[shakers[i]]); /* CONNACK: twice as long */
    rig_end();
}

TEST(no_handshake_is_overtaken_twice)
{
    begin_shaking(1);
    while (steps_left() > 0) {
        unsigned least = STEPS, most = 0;
        for (unsigned i = 0; i < SHAKERS; i++) {
            unsigned left = rig_shakes(shakers[i]);
            if (left < least) least = left;
            if (left > most) most = left;
        }
        CHECK_TRUE(most - least <= 1);
        rig_turn(0);
    }
    rig_settle();
    rig_end();
}
