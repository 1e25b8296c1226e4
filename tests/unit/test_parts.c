/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that come in parts, or never whole: against a shard with a clock of the test's own. */
#include "base/limits.h"
#include "fuzz/shard_rig.h"
#include "kit/test.h"
#include <string.h>

enum { SECOND = 1000, KEEPALIVE_S = 10 };

static void hear(unsigned link, struct bytes b)
{
    (void)link, (void)b;
}

static void hear_end(unsigned link)
{
    (void)link;
}

static void let_all_in(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
}

static void begin(void)
{
    struct rig_conf conf = { .shards = 1, .ears = { hear, hear_end, hear_end }, .options = let_all_in };
    rig_begin(&conf);
}

static void send_all(unsigned link, const void *at, size_t n)
{
    CHECK_TRUE(rig_send(link, bytes_of(at, n)));
    rig_settle();
}

/* MQTT 3.1.1, so that nothing is said at the end that has to be taken. */
static unsigned join(uint8_t keepalive_s)
{
    uint8_t connect[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, keepalive_s, 0, 1, 'c' };
    int link = rig_open(0);
    CHECK_TRUE(link >= 0);
    send_all((unsigned)link, connect, sizeof connect);
    CHECK_TRUE(rig_is_read((unsigned)link));
    return (unsigned)link;
}

static void pass(unsigned ms)
{
    rig_advance(ms);
    rig_turn(0);
    rig_settle();
}

/* The beginning of a PUBLISH of so many bytes. */
static void send_begin(unsigned link, uint32_t body)
{
    uint8_t head[] = {
        0x30, (uint8_t)(body % 128 | 128), (uint8_t)(body / 128 % 128 | 128), (uint8_t)(body / 16384), 0, 1,
        't'
    };
    send_all(link, head, sizeof head);
}

static bool is_in(unsigned link)
{
    return rig_is_open(link) && rig_is_read(link);
}

TEST(bytes_of_a_packet_are_no_sign_of_life)
{
    begin();
    unsigned link = join(KEEPALIVE_S);
    send_begin(link, 100000);
    for (int i = 0; i < 14; i++) {
        CHECK_TRUE(is_in(link));
        pass(SECOND);
        send_all(link, "x", 1);
    }
    pass(2 * SECOND);
    CHECK_TRUE(!is_in(link));
    rig_end();
}

TEST(a_large_packet_that_really_comes_is_one)
{
    static const uint8_t some[PART_BYTES_MIN];
    begin();
    unsigned link = join(KEEPALIVE_S);
    send_begin(link, 60 * PART_BYTES_MIN);
    for (int i = 0; i < 50; i++) {
        pass(10 * SECOND);
        CHECK_TRUE(is_in(link));
        send_all(link, some, sizeof some);
    }
    pass(16 * SECOND);
    CHECK_TRUE(!is_in(link));
    rig_end();
}

TEST(without_a_keepalive_a_packet_that_has_begun_must_come)
{
    static const uint8_t some[PART_BYTES_MIN];
    begin();
    unsigned link = join(0);
    pass(3600 * SECOND); /* silence is fine */
    CHECK_TRUE(is_in(link));
    send_begin(link, 100000);
    pass((PART_S_MAX - 1) * SECOND);
    CHECK_TRUE(is_in(link));
    send_all(link, some, sizeof some);
    pass((PART_S_MAX - 1) * SECOND);
    CHECK_TRUE(is_in(link));
    send_all(link, some, sizeof some - 1);
    pass(2 * SECOND);
    CHECK_TRUE(!is_in(link));
    rig_end();
}

TEST(a_long_keepalive_is_no_longer_time_for_a_packet)
{
    begin();
    unsigned link = join(255);
    send_begin(link, 100000);
    pass((PART_S_MAX + 1) * SECOND);
    CHECK_TRUE(!is_in(link));
    rig_end();
}

TEST(a_packet_in_two_halves_is_whole_in_the_end_and_time_begins_anew)
{
    static const uint8_t halves[] = { 0xc0, 0 };
    begin();
    unsigned link = join(0);
    for (int i = 0; i < 20; i++) {
        send_all(link, &halves[0], 1);
        pass((PART_S_MAX - 1) * SECOND);
        send_all(link, &halves[1], 1);
        CHECK_TRUE(is_in(link));
    }
    pass(3600 * SECOND);
    CHECK_TRUE(is_in(link));
    rig_end();
}

TEST(whole_packets_count_for_the_keepalive_as_ever)
{
    static const uint8_t ping[] = { 0xc0, 0 };
    begin();
    unsigned link = join(KEEPALIVE_S);
    for (int i = 0; i < 20; i++) {
        pass(14 * SECOND);
        CHECK_TRUE(is_in(link));
        send_all(link, ping, sizeof ping);
    }
    pass(16 * SECOND);
    CHECK_TRUE(!is_in(link));
    rig_end();
}

TEST(a_connect_that_trickles_in_has_its_time_once)
{
    static const uint8_t connect[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'c' };
    begin();
    unsigned link = (unsigned)rig_open(0);
    unsigned step = rig_config()->connect_timeout_s * SECOND / 10;
    for (unsigned i = 0; i < 10; i++) {
        CHECK_TRUE(rig_is_open(link));
        send_all(link, connect + i, 1);
        pass(step);
    }
    pass(SECOND);
    CHECK_TRUE(!rig_is_open(link));
    rig_end();
}
