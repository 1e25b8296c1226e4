/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "fuzz/shard_rig.h"
#include "kit/test.h"
#include "shard/work.h"
#include <string.h>

/* One who publishes to many, and what they get, turn by turn: of so many bytes that one turn cannot write a
 * message to all of them. */

enum { RECEIVERS = 12, PUBLISHER = RECEIVERS, LAST_PUBLISHER = PUBLISHER + 2, TALKER, ALL };
enum { HEAD_BYTES = 7, PACKET_BYTES = 20 * 1024, LINK_HOLDS = LINK_IN_BYTES / PACKET_BYTES };

static_assert((int)RECEIVERS > (int)RECEIVERS_AT_ONCE, "they must be many");
static_assert(RECEIVERS * (PACKET_BYTES / (int)WORK_BYTES + (int)WORK_OF_WRITE) > (int)WORK_OF_STAGE / 2,
              "a turn must not be able to write much more than a message to all");

static unsigned link_of[ALL];
static size_t got_bytes[RIG_LINKS];
static size_t published;
static bool is_begun, are_numbered;

/* Every byte of a numbered payload is the number of its message. */
static void got(unsigned link, struct bytes b)
{
    if (!is_begun) return;
    for (size_t i = 0; i < b.len && are_numbered && link != link_of[TALKER]; i++) {
        size_t at = got_bytes[link] + i;
        if (at % PACKET_BYTES >= HEAD_BYTES) CHECK_INT(at / PACKET_BYTES % 256, b.at[i]);
    }
    got_bytes[link] += b.len;
}

static void nothing(unsigned link)
{
    (void)link;
}

static void options(struct config *c, void *ctx)
{
    (void)ctx;
    c->sys_interval = 0;
    c->default_listener.security.allow_anonymous = true;
}

static void send(unsigned who, const void *at, size_t n)
{
    CHECK_TRUE(rig_send(link_of[who], bytes_of(at, n)));
}

static void begin(unsigned shards)
{
    struct rig_conf conf = { .shards = shards, .ears = { got, nothing, nothing }, .options = options };
    uint8_t hello[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'a' };
    static const uint8_t subscribe[] = { 0x82, 6, 0, 1, 0, 1, 't', 0 },
                         to_itself[] = { 0x82, 6, 0, 1, 0, 1, 'p', 0 };
    is_begun = false;
    rig_begin(&conf);
    for (unsigned i = 0; i < ALL; i++, hello[sizeof hello - 1]++) {
        int opened = rig_open(0);
        CHECK_TRUE(opened >= 0);
        link_of[i] = (unsigned)opened;
        send(i, hello, sizeof hello);
        if (i < RECEIVERS) send(i, subscribe, sizeof subscribe);
        if (i == TALKER) send(i, to_itself, sizeof to_itself);
    }
    rig_settle();
    memset(got_bytes, 0, sizeof got_bytes);
    published = 0;
    is_begun = are_numbered = true;
}

static void publish(unsigned who)
{
    static uint8_t packet[PACKET_BYTES];
    size_t left = sizeof packet - 4;
    uint8_t head[HEAD_BYTES] = { 0x30,
                                 (uint8_t)(left % 128 | 128),
                                 (uint8_t)(left / 128 % 128 | 128),
                                 (uint8_t)(left / 128 / 128),
                                 0,
                                 1,
                                 't' };
    memset(packet, (int)(published % 256), sizeof packet);
    memcpy(packet, head, sizeof head);
    send(who, packet, sizeof packet);
    published++;
}

/* As much as its link holds. */
static void publish_on(unsigned who)
{
    for (size_t n = rig_unread(link_of[who]) / PACKET_BYTES; n < LINK_HOLDS; n++) publish(who);
}

/* One turn in which many publish more than can be written in it; so what waits becomes more. */
static void flood(unsigned shards)
{
    are_numbered = false;
    for (unsigned i = PUBLISHER; i <= LAST_PUBLISHER; i++) publish_on(i);
    for (unsigned i = 0; i < shards; i++) rig_turn(i);
}

static bool is_held(void)
{
    for (unsigned i = PUBLISHER; i <= LAST_PUBLISHER; i++)
        if (rig_is_read(link_of[i])) return false;
    return true;
}

static size_t got_by_all(void)
{
    size_t sum = 0;
    for (unsigned i = 0; i < RECEIVERS; i++) sum += got_bytes[link_of[i]];
    return sum;
}

static unsigned writes_to_all(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < RECEIVERS; i++) sum += rig_writes(link_of[i]);
    return sum;
}

/* What has been read of the publisher and has not been written to all. */
static size_t waiting_bytes(void)
{
    size_t read = (size_t)published * PACKET_BYTES;
    for (unsigned i = PUBLISHER; i <= LAST_PUBLISHER; i++) read -= rig_unread(link_of[i]);
    return read * RECEIVERS - got_by_all();
}

static void check_all_have_all(void)
{
    for (unsigned i = 0; i < RECEIVERS; i++)
        CHECK_INT((size_t)published * PACKET_BYTES, got_bytes[link_of[i]]);
}

TEST(small_messages_to_many_go_many_to_a_write)
{
    enum { MESSAGES = 2000, MESSAGES_A_WRITE = 20 };
    static const uint8_t small[] = { 0x30, 3, 0, 1, 't' };
    begin(1);
    are_numbered = false;
    unsigned before = writes_to_all();
    for (unsigned i = 0; i < MESSAGES; i++) send(PUBLISHER, small, sizeof small);
    rig_settle();
    CHECK_INT(MESSAGES * sizeof small * RECEIVERS, got_by_all());
    CHECK_TRUE((writes_to_all() - before) * MESSAGES_A_WRITE < MESSAGES * RECEIVERS);
    rig_end();
}

TEST(a_message_to_many_that_comes_alone_is_written_at_once)
{
    begin(1);
    publish(PUBLISHER);
    rig_turn(0);
    rig_turn(0);
    check_all_have_all();
    rig_end();
}

TEST(who_publishes_to_many_is_not_read_while_too_much_waits)
{
    /* What has been read of a publisher, and is run when it goes on. */
    enum { READ_BYTES = (LAST_PUBLISHER - PUBLISHER + 1) * LINK_IN_BYTES * RECEIVERS };
    begin(1);
    size_t most = 0;
    unsigned holds = 0;
    bool was_held = false;
    for (unsigned turn = 0; holds < 3; turn++) {
        CHECK_TRUE(turn < 1000);
        flood(1);
        if (is_held() && !was_held) holds++;
        was_held = is_held();
        if (waiting_bytes() > most) most = waiting_bytes();
    }
    CHECK_TRUE(most > LATE_BYTES_MAX / 2); /* some of it has been written in the same turn */
    CHECK_TRUE(most < LATE_BYTES_MAX + READ_BYTES);
    rig_settle();
    check_all_have_all();
    rig_end();
}

/* A packet that is larger than a link, but for its last byte, which makes it whole. */
static void publish_large(unsigned who, size_t bytes)
{
    static const uint8_t some[LINK_IN_BYTES / 2];
    size_t left = bytes - 5;
    uint8_t head[] = { 0x30,
                       (uint8_t)(left % 128 | 128),
                       (uint8_t)(left / 128 % 128 | 128),
                       (uint8_t)(left / 128 / 128 % 128 | 128),
                       (uint8_t)(left / 128 / 128 / 128),
                       0,
                       1,
                       't' };
    send(who, head, sizeof head);
    for (size_t at = sizeof head; at < bytes - 1;) {
        size_t n = bytes - 1 - at < sizeof some ? bytes - 1 - at : sizeof some;
        send(who, some, n);
        rig_settle();
        at += n;
    }
}

TEST(however_many_publish_to_many_at_once_nothing_is_dropped_for_who_takes_all)
{
    enum { PUBLISHERS = TALKER - PUBLISHER + 1, LARGE_BYTES = OUT_BYTES_QOS0_MAX / 3 + LINK_IN_BYTES };
    static_assert((int)LARGE_BYTES * ((int)PUBLISHERS - 1) > (int)OUT_BYTES_QOS0_MAX, "too much for one");
    static const uint8_t last[1];
    begin(1);
    are_numbered = false;
    for (unsigned i = 0; i < PUBLISHERS; i++) publish_large(PUBLISHER + i, LARGE_BYTES);
    for (unsigned i = 0; i < PUBLISHERS; i++) send(PUBLISHER + i, last, sizeof last);
    rig_settle();
    CHECK_INT(0, rig_metric(METRIC_publish_dropped_qos0_total));
    CHECK_INT((size_t)LARGE_BYTES * PUBLISHERS * RECEIVERS, got_by_all());
    rig_end();
}

TEST(who_publishes_to_few_is_read_while_too_much_waits_for_many)
{
    static const uint8_t few[] = { 0x30, 3, 0, 1, 'p' };
    begin(1);
    while (!is_held()) flood(1);
    size_t before = got_bytes[link_of[TALKER]];
    send(TALKER, few, sizeof few);
    rig_turn(0);
    CHECK_INT(before + sizeof few, got_bytes[link_of[TALKER]]);
    rig_settle();
    rig_end();
}

TEST(who_publishes_to_few_is_read_even_while_nobody_publishes_to_many)
{
    enum { LARGE_BYTES = OUT_BYTES_QOS0_MAX / 4 };
    static_assert((size_t)LARGE_BYTES * RECEIVERS > 4 * (size_t)LATE_BYTES_MAX,
                  "one is more than twice too much");
    static const uint8_t last[1], few[] = { 0x30, 3, 0, 1, 'p' };
    begin(1);
    are_numbered = false;
    publish_large(PUBLISHER, LARGE_BYTES);
    send(PUBLISHER, last, sizeof last);
    rig_turn(0);
    publish(LAST_PUBLISHER);
    size_t before = got_bytes[link_of[TALKER]];
    send(TALKER, few, sizeof few);
    rig_turn(0);
    CHECK_INT(before + sizeof few, got_bytes[link_of[TALKER]]);
    CHECK_TRUE(!rig_is_read(link_of[LAST_PUBLISHER]));
    rig_settle();
    CHECK_INT(((size_t)LARGE_BYTES + PACKET_BYTES) * RECEIVERS, got_by_all());
    rig_end();
}

/* All but one of those who get it have much waiting. */
TEST(who_gets_little_of_what_goes_to_many_does_not_wait_for_those_who_get_much)
{
    static const uint8_t subscribe[] = { 0x82, 6, 0, 1, 0, 1, 'm', 0 }, small[] = { 0x30, 3, 0, 1, 'm' };
    begin(1);
    are_numbered = false;
    for (unsigned i = 0; i < RECEIVERS; i++) send(i, subscribe, sizeof subscribe);
    send(TALKER, subscribe, sizeof subscribe);
    rig_settle();
    for (unsigned turn = 0; turn < 2 * RECEIVERS; turn++) flood(1); /* they are known by now */
    size_t before = got_bytes[link_of[TALKER]];
    send(TALKER, small, sizeof small);
    rig_turn(0);
    CHECK_INT(before + sizeof small, got_bytes[link_of[TALKER]]);
    CHECK_TRUE(waiting_bytes() > 0);
    rig_settle();
    rig_end();
}

TEST(whose_socket_is_full_is_not_written_to_for_each_message_to_many)
{
    begin(1);
    unsigned slow = link_of[0];
    rig_room(slow, 0);
    publish_on(PUBLISHER);
    rig_settle();
    unsigned writes = rig_writes(slow);
    for (int i = 0; i < 10; i++) {
        publish_on(PUBLISHER);
        rig_settle();
    }
    CHECK_INT(writes, rig_writes(slow));
    rig_room(slow, LINK_ALL_ROOM);
    rig_settle();
    check_all_have_all();
    rig_end();
}

TEST(sockets_that_have_room_again_are_written_to_in_their_turn)
{
    begin(1);
    for (unsigned i = 0; i < RECEIVERS; i++) rig_room(link_of[i], 0);
    for (int i = 0; i < 3; i++) {
        publish_on(PUBLISHER);
        rig_settle();
    }
    CHECK_INT(0, got_by_all());
    for (unsigned i = 0; i < RECEIVERS; i++) rig_room(link_of[i], LINK_ALL_ROOM);
    rig_turn(0);
    CHECK_TRUE(got_by_all() >= published * PACKET_BYTES);
    CHECK_TRUE(got_by_all() < published * PACKET_BYTES * RECEIVERS / 2);
    rig_settle();
    check_all_have_all();
    rig_end();
}

TEST(receivers_that_go_while_their_output_waits_let_the_publishers_go_on)
{
    begin(1);
    while (!is_held()) flood(1);
    for (unsigned i = 0; i < RECEIVERS; i++) rig_break(link_of[i]);
    rig_settle();
    CHECK_TRUE(rig_is_read(link_of[PUBLISHER]));
    rig_end();
}

TEST(what_many_get_from_another_shard_is_held_back_by_the_one_that_lags_and_comes_whole_and_in_order)
{
    enum { TURNS = 600, LAG = 16 };
    for (unsigned lagging = 0; lagging < 2; lagging++) {
        begin(2);
        for (unsigned turn = 0; turn < TURNS; turn++) {
            publish_on(PUBLISHER);
            rig_turn(turn % LAG == 0 ? lagging : 1 - lagging);
        }
        CHECK_TRUE(published < LINK_HOLDS * (size_t)TURNS);
        rig_settle();
        check_all_have_all();
        rig_end();
    }
}
