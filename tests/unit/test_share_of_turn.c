/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "fuzz/shard_rig.h"
#include "kit/test.h"
#include "shard/work.h"
#include <string.h>

/* Who floods waits for himself: whole connections on a shard whose turns are run one by one. */

enum { FLOODERS = 8, FLOOD = 20000, NICE = FLOODERS, ALL };

static const uint8_t hello[] = { 0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'a' };
static const uint8_t ping[] = { 0xc0, 0 };
static unsigned link_of[ALL], answers_of[RIG_LINKS_MAX];

/* Who asks for much in one packet: how much it was answered, and the last of it. */
enum { ASKER = 0 };
static size_t bytes_of_asker;
static uint8_t last_of_asker[16];

static void got(unsigned link, struct bytes b)
{
    if (link == link_of[ASKER]) {
        bytes_of_asker += b.len;
        memcpy(last_of_asker, b.at, b.len < sizeof last_of_asker ? b.len : sizeof last_of_asker);
    }
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
    rig_turn(0); /* from here on they have had more */
    for (unsigned turn = 2; turn <= 6; turn++) {
        send(link_of[NICE], ping, sizeof ping);
        rig_turn(0);
        CHECK_INT(turn - 1, answers_of[link_of[NICE]]);
        unsigned flooded = 0;
        for (unsigned i = 0; i < FLOODERS; i++) flooded += answers_of[link_of[i]];
        CHECK_TRUE(flooded > 0);
        CHECK_TRUE(flooded <= turn * WORK_A_TURN);
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

enum { VISITORS = 3, QUESTIONS = 400 };

/* Each time as somebody new, who asks for all he may before he goes. -1: those who went are not gone yet. */
static int come_and_ask(unsigned visitor)
{
    static uint8_t pings[QUESTIONS * sizeof ping];
    uint8_t packet[sizeof hello];
    for (size_t i = 0; i < sizeof pings; i += sizeof ping) memcpy(pings + i, ping, sizeof ping);
    memcpy(packet, hello, sizeof hello);
    packet[sizeof packet - 1] = (uint8_t)('m' + visitor);
    int opened = rig_open(0);
    if (opened < 0) return opened;
    send((unsigned)opened, packet, sizeof packet);
    send((unsigned)opened, pings, sizeof pings);
    answers_of[opened] = 0;
    return opened;
}

/* Who has been answered goes, and comes again. */
static int go_and_come(unsigned visitor, int link)
{
    if (link >= 0 && answers_of[link] < QUESTIONS) return link;
    if (link >= 0) rig_break((unsigned)link);
    return come_and_ask(visitor);
}

TEST(those_who_come_ask_and_go_again_and_again_do_not_keep_out_those_who_stay)
{
    enum { TURNS = 200, EVEN = TURNS * WORK_A_TURN / (FLOODERS + VISITORS) };
    int visitors[VISITORS] = { -1, -1, -1 };
    begin();
    flood();
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned i = 0; i < VISITORS; i++) visitors[i] = go_and_come(i, visitors[i]);
        rig_turn(0);
    }
    for (unsigned i = 0; i < FLOODERS; i++) CHECK_TRUE(answers_of[link_of[i]] > EVEN / 3);
    for (unsigned i = 0; i < VISITORS; i++) {
        if (visitors[i] >= 0) rig_break((unsigned)visitors[i]);
    }
    rig_settle();
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

/* --- one packet that is the work of many turns */

enum { FILTERS = 4000, FILTER_BYTES = 6, TURNS_AT_LEAST = 3 };

static uint8_t asked[16 + FILTERS * (2 + FILTER_BYTES + 1)];

/* SUBSCRIBE or UNSUBSCRIBE of "f/NNNN", as of version 3.1.1. */
static struct bytes many_filters(uint8_t first, bool has_options)
{
    size_t body = 2 + FILTERS * (2u + FILTER_BYTES + has_options);
    uint8_t *to = asked;
    *to++ = first;
    for (size_t n = body; n > 0; n /= 128) *to++ = (uint8_t)(n % 128 | (n >= 128 ? 128 : 0));
    *to++ = 0;
    *to++ = 7; /* its id */
    for (unsigned i = 0; i < FILTERS; i++) {
        const uint8_t text[] = { 0,
                                 FILTER_BYTES,
                                 'f',
                                 '/',
                                 (uint8_t)('0' + i / 1000),
                                 (uint8_t)('0' + i / 100 % 10),
                                 (uint8_t)('0' + i / 10 % 10),
                                 (uint8_t)('0' + i % 10) };
        memcpy(to, text, sizeof text);
        to += sizeof text;
        if (has_options) *to++ = 0;
    }
    return bytes_of(asked, (size_t)(to - asked));
}

static const uint8_t first_topic[] = { 0x30, 9, 0, 6, 'f', '/', '0', '0', '0', '0', 'x' };
static const uint8_t last_topic[] = { 0x30, 9, 0, 6, 'f', '/', '3', '9', '9', '9', 'x' };

static void begin_asking(void)
{
    begin();
    bytes_of_asker = 0;
}

/* Turns until the asker is answered, in each of which another is. */
static unsigned turns_until_answered(void)
{
    unsigned turns = 0, before = answers_of[link_of[NICE]];
    while (bytes_of_asker == 0) {
        send(link_of[NICE], ping, sizeof ping);
        rig_turn(0);
        turns++;
        CHECK_INT(before + turns, answers_of[link_of[NICE]]);
    }
    return turns;
}

enum { SUBACK_BYTES = 1 + 2 + 2 + FILTERS, UNSUBACK_BYTES = 4 };

TEST(a_subscribe_of_many_filters_takes_several_turns_and_others_are_answered_in_each)
{
    begin_asking();
    CHECK_TRUE(rig_send(link_of[ASKER], many_filters(0x82, true)));
    send(link_of[ASKER], ping, sizeof ping); /* waits for its turn */
    CHECK_TRUE(turns_until_answered() >= TURNS_AT_LEAST);
    rig_settle();
    CHECK_INT(SUBACK_BYTES + sizeof ping, bytes_of_asker);
    bytes_of_asker = 0;
    send(link_of[NICE], last_topic, sizeof last_topic);
    rig_settle();
    CHECK_INT(sizeof last_topic, bytes_of_asker);
    rig_end();
}

TEST(an_unsubscribe_of_many_filters_does_as_well)
{
    begin_asking();
    CHECK_TRUE(rig_send(link_of[ASKER], many_filters(0x82, true)));
    rig_settle();
    bytes_of_asker = 0;
    CHECK_TRUE(rig_send(link_of[ASKER], many_filters(0xa2, false)));
    CHECK_TRUE(turns_until_answered() >= TURNS_AT_LEAST);
    rig_settle();
    CHECK_INT(UNSUBACK_BYTES, bytes_of_asker);
    send(link_of[NICE], last_topic, sizeof last_topic);
    rig_settle();
    CHECK_INT(UNSUBACK_BYTES, bytes_of_asker);
    rig_end();
}

TEST(who_goes_in_the_middle_of_a_subscribe_leaves_nothing_behind)
{
    begin_asking();
    CHECK_TRUE(rig_send(link_of[ASKER], many_filters(0x82, true)));
    rig_turn(0);
    rig_break(link_of[ASKER]);
    rig_settle();
    CHECK_INT(0, bytes_of_asker);
    rig_end();
}

TEST(of_a_kept_session_that_is_taken_over_in_the_middle_what_was_taken_stays_and_the_rest_never_came)
{
    uint8_t again[sizeof hello];
    memcpy(again, hello, sizeof hello);
    again[9] = 0; /* not a clean one */
    again[sizeof again - 1] = 'z';
    begin_asking();
    int opened = rig_open(0);
    CHECK_TRUE(opened >= 0);
    send((unsigned)opened, again, sizeof again);
    rig_settle();
    CHECK_TRUE(rig_send((unsigned)opened, many_filters(0x82, true)));
    rig_turn(0);
    rig_turn(0);
    link_of[ASKER] = (unsigned)rig_open(0);
    send(link_of[ASKER], again, sizeof again);
    rig_settle();
    CHECK_TRUE(!rig_is_open((unsigned)opened));
    bytes_of_asker = 0;
    send(link_of[NICE], first_topic, sizeof first_topic);
    send(link_of[NICE], last_topic, sizeof last_topic);
    rig_settle();
    CHECK_INT(sizeof first_topic, bytes_of_asker);
    CHECK_TRUE(memcmp(last_of_asker, first_topic, sizeof first_topic) == 0);
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

/* --- what a crowd asks, whose packets are small or never whole */

enum { CROWD = 120, HEAVY = CROWD, SELDOM, ALL_OF_CROWD };

static unsigned crowd[ALL_OF_CROWD];

static void begin_crowd(void)
{
    struct rig_conf conf = {
        .shards = 1, .links = ALL_OF_CROWD, .ears = { got, nothing, nothing }, .options = options
    };
    uint8_t packet[] = { 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 2, 0, 0 };
    rig_begin(&conf);
    for (unsigned i = 0; i < ALL_OF_CROWD; i++) {
        int opened = rig_open(0);
        CHECK_TRUE(opened >= 0);
        crowd[i] = (unsigned)opened;
        packet[sizeof packet - 2] = (uint8_t)('a' + i / 16);
        packet[sizeof packet - 1] = (uint8_t)('a' + i % 16);
        send(crowd[i], packet, sizeof packet);
    }
    rig_settle();
    memset(answers_of, 0, sizeof answers_of);
}

/* Each of them sends some bytes of a PUBLISH that never ends. */
static void send_pieces(unsigned count, size_t bytes)
{
    static const uint8_t zeros[LINK_IN_BYTES];
    for (unsigned i = 0; i < count; i++) send(crowd[i], zeros, bytes);
}

static void begin_packets(void)
{
    static const uint8_t head[] = { 0x30, 0x80, 0x80, 0x80, 1, 0, 1, 't' };
    for (unsigned i = 0; i < CROWD; i++) send(crowd[i], head, sizeof head);
    rig_settle();
}

/* Of so many, in one turn. */
static unsigned read_in_a_turn(unsigned count)
{
    unsigned read = 0;
    rig_turn(0);
    for (unsigned i = 0; i < count; i++) read += rig_unread(crowd[i]) == 0;
    return read;
}

TEST(a_turn_reads_a_hundred_at_most_who_send_a_byte_each)
{
    begin_crowd();
    begin_packets();
    send_pieces(CROWD, 1);
    unsigned read = read_in_a_turn(CROWD);
    CHECK_TRUE(read > 50);
    CHECK_TRUE(read <= 100);
    CHECK_INT(CROWD, read_in_a_turn(CROWD)); /* the others, in the next one */
    rig_end();
}

TEST(a_turn_reads_the_fewer_the_more_each_sends_though_no_packet_becomes_whole)
{
    enum { SENDERS = 50, BYTES = 60000 };
    begin_crowd();
    begin_packets();
    send_pieces(SENDERS, BYTES);
    unsigned read = read_in_a_turn(SENDERS);
    CHECK_TRUE(read > 10);
    CHECK_TRUE(read <= 25);
    rig_end();
}

/* Each of so many has sent so much of its packet, and that is read. */
static void send_most(unsigned count, size_t bytes)
{
    for (size_t sent = 8; sent < bytes;) {
        size_t n = bytes - sent < LINK_IN_BYTES ? bytes - sent : LINK_IN_BYTES;
        send_pieces(count, n);
        rig_settle();
        sent += n;
    }
}

TEST(a_turn_reads_the_fewer_the_larger_the_buffers_are_that_grow_in_it)
{
    enum { SENDERS = 50, EACH = WORK_OF_READ + SCRATCH_BYTES / WORK_READ_BYTES };
    begin_crowd();
    begin_packets();
    send_most(SENDERS, SCRATCH_BYTES - 1);
    send_pieces(SENDERS, 1);
    unsigned read = read_in_a_turn(SENDERS);
    CHECK_TRUE(read > 5);
    CHECK_TRUE(read <= WORK_A_TURN / EACH + 1);
    rig_settle();
    send_pieces(SENDERS, 1);
    CHECK_INT(SENDERS, read_in_a_turn(SENDERS)); /* there is room now */
    rig_end();
}

TEST(a_turn_reads_the_fewer_the_more_has_come_of_packets_that_are_copied_with_each_piece)
{
    static const uint8_t head[] = {
        0x30, 0x80, 0xec, 3, 0, 1, 't'
    }; /* less than half of what a read takes */
    enum { SENDERS = 50, BYTES = 60000 };
    begin_crowd();
    for (unsigned i = 0; i < SENDERS; i++) send(crowd[i], head, sizeof head);
    rig_settle();
    send_most(SENDERS, BYTES);
    send_pieces(SENDERS, 1);
    unsigned read = read_in_a_turn(SENDERS);
    CHECK_TRUE(read > 5);
    CHECK_TRUE(read <= WORK_A_TURN / (WORK_OF_READ + 2 * (BYTES / WORK_READ_BYTES)) + 1);
    rig_end();
}

TEST(who_asks_seldom_is_answered_in_the_next_turn_among_many_who_always_ask_and_have_not_all_had_as_much)
{
    enum { BEFORE = 4, ROUNDS = 25, PINGS = 20 };
    static uint8_t pings[PINGS * sizeof ping];
    for (size_t i = 0; i < sizeof pings; i += sizeof ping) memcpy(pings + i, ping, sizeof ping);
    begin_crowd();
    begin_packets();
    for (unsigned i = 1; i <= BEFORE; i++) { /* that it asks for little is known now */
        send(crowd[SELDOM], ping, sizeof ping);
        rig_settle();
        CHECK_INT(i, answers_of[crowd[SELDOM]]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        send(crowd[HEAVY], pings, sizeof pings);
        rig_settle();
        send_pieces(CROWD, 1);
        rig_settle();
    }
    send(crowd[HEAVY], pings, sizeof pings);
    rig_settle();
    send(crowd[SELDOM], ping, sizeof ping);
    send_pieces(CROWD, 1);
    CHECK_TRUE(read_in_a_turn(CROWD) < CROWD); /* or there was no choice */
    CHECK_INT(BEFORE + 1, answers_of[crowd[SELDOM]]);
    rig_end();
}

TEST(who_asks_for_an_answer_comes_before_those_who_send_a_part_of_a_large_packet)
{
    enum { ROUNDS = 10 };
    begin_crowd();
    begin_packets();
    for (unsigned i = 0; i < ROUNDS; i++) { /* that they ask for little is known now, and of him nothing */
        send_pieces(CROWD, 1);
        rig_settle();
    }
    send_pieces(CROWD, 1);
    send(crowd[SELDOM], ping, sizeof ping);
    CHECK_TRUE(read_in_a_turn(CROWD) < CROWD);
    CHECK_INT(1, answers_of[crowd[SELDOM]]);
    rig_end();
}

/* All of the crowd but the last two, anew. */
static void come_and_say_hello(void)
{
    uint8_t packet[] = { 0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 2, 0, 0 };
    for (unsigned i = 0; i < CROWD; i++) {
        int opened = rig_open(0);
        CHECK_TRUE(opened >= 0);
        crowd[i] = (unsigned)opened;
        packet[sizeof packet - 2] = (uint8_t)('a' + i / 16);
        packet[sizeof packet - 1] = (uint8_t)('a' + i % 16);
        send(crowd[i], packet, sizeof packet);
    }
}

/* Turn by turn, among strangers: who asks seldom has his answer, and who always asks his share. */
static void answer_both(unsigned turns)
{
    for (unsigned turn = 0; turn < turns; turn++) {
        unsigned seldom = answers_of[crowd[SELDOM]], heavy = answers_of[crowd[HEAVY]];
        send(crowd[SELDOM], ping, sizeof ping);
        rig_turn(0);
        CHECK_INT(seldom + 1, answers_of[crowd[SELDOM]]);
        CHECK_TRUE(answers_of[crowd[HEAVY]] > heavy + WORK_OF_ONE_MIN / 2);
    }
}

TEST(however_many_come_or_go_at_once_those_who_are_here_are_answered)
{
    enum { TURNS = 3 };
    static uint8_t pings[FLOOD * sizeof ping];
    for (size_t i = 0; i < sizeof pings; i += sizeof ping) memcpy(pings + i, ping, sizeof ping);
    begin_crowd();
    for (unsigned i = 0; i < CROWD; i++) rig_break(crowd[i]);
    rig_settle();
    send(crowd[HEAVY], pings, sizeof pings);
    rig_turn(0);
    come_and_say_hello();
    answer_both(TURNS);
    unsigned welcome = 0;
    for (unsigned i = 0; i < CROWD; i++) welcome += rig_unread(crowd[i]) == 0;
    CHECK_TRUE(welcome > 0);
    CHECK_TRUE(welcome < CROWD);
    for (unsigned i = 0; i < CROWD; i++) rig_break(crowd[i]);
    answer_both(TURNS);
    rig_settle();
    rig_end();
}

enum { VALUES = 400 };

/* A value of each of so many topics; of no bytes: none. */
static void send_retained(uint8_t bytes)
{
    for (unsigned i = 0; i < VALUES; i++) {
        uint8_t first = (uint8_t)('a' + i / 20), second = (uint8_t)('a' + i % 20);
        uint8_t packet[] = { 0x31, (uint8_t)(5 + bytes), 0, 3, 'r', first, second, 'x' };
        send(crowd[HEAVY], packet, 7u + bytes);
    }
}

TEST(a_turn_keeps_a_hundred_retained_values_at_most)
{
    begin_crowd();
    rig_journal_hold(true);
    send_retained(1);
    for (unsigned i = 0; i < VALUES; i++) rig_turn(0); /* all of them are in the journal */
    CHECK_INT(0, rig_unread(crowd[HEAVY]));
    CHECK_INT(0, rig_metric(METRIC_retained_messages));
    rig_journal_release(UINT32_MAX); /* and durable at once */
    rig_turn(0);
    CHECK_TRUE(rig_metric(METRIC_retained_messages) > 50);
    CHECK_TRUE(rig_metric(METRIC_retained_messages) <= 100);
    rig_settle();
    CHECK_INT(VALUES, rig_metric(METRIC_retained_messages));
    send_retained(0);
    rig_settle();
    CHECK_INT(0, rig_metric(METRIC_retained_messages));
    rig_end();
}
