/* SPDX-License-Identifier: Apache-2.0 */
/* What coming, being there and going cost: when epoll is told of a connection, when it is looked at, and who
 * closes it first. */
#include "unit/hook_kit.h"

static void options(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
}

static void connect_of(uint8_t *packet, struct wr *w, const char *id)
{
    struct connect p = { .version = MQTT_V311, .clean_start = true, .client_id = bytes_of_text(id) };
    *w = (struct wr){ .at = packet, .left = KIT_PACKET };
    connect_encode(w, &p);
}

static void say_connect(unsigned link, const char *id)
{
    uint8_t packet[KIT_PACKET];
    struct wr w;
    connect_of(packet, &w, id);
    CHECK_TRUE(rig_send(link, bytes_of(packet, (size_t)(w.at - packet))));
}

static unsigned open_bare(void)
{
    int link = rig_open_bare(0);
    CHECK(link >= 0);
    memset(&kit_clients[link], 0, sizeof kit_clients[link]);
    return (unsigned)link;
}

static unsigned join_bare(const char *id)
{
    unsigned link = open_bare();
    say_connect(link, id);
    rig_settle();
    expect_connack(link, MQTT_V311, 0);
    return link;
}

TEST(who_has_said_connect_when_it_is_accepted_is_heard_before_epoll_knows_of_it)
{
    kit_begin(0, NULL, options);
    unsigned link = open_bare();
    CHECK_INT(0, rig_watches(link));
    say_connect(link, "early");
    rig_turn(0);
    expect_connack(link, MQTT_V311, 0);
    CHECK_INT(1, rig_watches(link));
    ping(link);
    CHECK_INT(1, rig_watches(link));
    rig_end();
}

TEST(who_says_nothing_at_first_is_heard_later)
{
    kit_begin(0, NULL, options);
    unsigned link = open_bare();
    rig_settle();
    CHECK_INT(1, rig_watches(link));
    say_connect(link, "late");
    rig_settle();
    expect_connack(link, MQTT_V311, 0);
    ping(link);
    rig_end();
}

TEST(only_the_shard_of_its_client_id_tells_epoll_of_a_connection)
{
    unsigned handed_over = 0;
    kit_begin_two(options);
    for (char id[] = "a"; id[0] <= 'h'; id[0]++) {
        unsigned link = open_bare();
        say_connect(link, id);
        rig_turn(0); /* accepted here */
        handed_over += hears_nothing(link);
        rig_settle();
        expect_connack(link, MQTT_V311, 0);
        CHECK_INT(1, rig_watches(link));
        ping(link);
    }
    CHECK_TRUE(handed_over > 0 && handed_over < 8);
    rig_end();
}

TEST(connections_are_heard_when_their_ids_begin_anew)
{
    kit_begin(0, NULL, options);
    rig_finish(join_bare("one before"));
    rig_settle();
    rig_wear_ids(0);
    for (char id[] = "a"; id[0] <= 'h'; id[0]++) ping(join_bare(id));
    rig_end();
}

TEST(who_says_disconnect_has_its_answers_and_is_closed_without_closing_itself)
{
    kit_begin(0, NULL, options);
    unsigned link = join_bare("polite");
    CHECK_TRUE(rig_send(link, bytes_of("\xc0\x00\xe0\x00", 4)));
    rig_settle();
    next(link, PACKET_PINGRESP);
    CHECK_TRUE(!rig_is_open(link));
    CHECK_TRUE(!kit_clients[link].is_ended); /* nothing but the close */
    rig_end();
}

TEST(who_takes_no_answers_at_its_disconnect_has_them_when_it_takes_them)
{
    kit_begin(0, NULL, options);
    unsigned link = join_bare("full");
    rig_room(link, 0);
    CHECK_TRUE(rig_send(link, bytes_of("\xc0\x00\xe0\x00", 4)));
    rig_settle();
    CHECK_TRUE(rig_is_open(link) && hears_nothing(link));
    rig_room(link, LINK_ALL_ROOM);
    rig_settle();
    next(link, PACKET_PINGRESP);
    CHECK_TRUE(!rig_is_open(link));
    rig_end();
}

TEST(behind_a_layer_of_its_own_a_disconnect_is_answered_by_that_layers_end)
{
    kit_begin(0, NULL, options);
    unsigned link = open_link();
    say_connect(link, "layered");
    rig_settle();
    expect_connack(link, MQTT_V311, 0);
    send_disconnect(link);
    CHECK_TRUE(kit_clients[link].is_ended && rig_is_open(link));
    rig_finish(link);
    rig_settle();
    CHECK_TRUE(!rig_is_open(link));
    rig_end();
}

static unsigned join_for(const char *id, uint16_t keepalive_s)
{
    struct connect p = {
        .version = MQTT_V5, .clean_start = true, .keepalive_s = keepalive_s, .client_id = bytes_of_text(id)
    };
    unsigned link = try_connect(&p);
    expect_connack(link, MQTT_V5, 0);
    return link;
}

static int64_t timed_out(void)
{
    return rig_metric(METRIC_keepalive_timeouts_total);
}

TEST(those_that_fall_silent_within_a_second_are_noticed_together)
{
    enum { KEEPALIVE_S = 60, SILENCE_MS = KEEPALIVE_S * 1500, GRAIN_MS = 1024, APART_MS = 500 };
    kit_begin(0, NULL, options);
    rig_advance(GRAIN_MS - (rig_now_ms() + SILENCE_MS) % GRAIN_MS + 1); /* due right behind a moment */
    join_for("first", KEEPALIVE_S);
    rig_advance(APART_MS);
    join_for("second", KEEPALIVE_S);
    rig_advance(SILENCE_MS); /* both are due */
    rig_turn_all();
    CHECK_INT(0, timed_out());
    rig_advance(GRAIN_MS - APART_MS - 2);
    rig_turn_all();
    CHECK_INT(0, timed_out());
    rig_advance(1);
    rig_turn_all();
    CHECK_INT(2, timed_out());
    rig_end();
}

TEST(a_short_keepalive_is_late_by_no_more_than_a_64th)
{
    enum { SILENCE_MS = 3000, LATE_MS = SILENCE_MS / 64 };
    kit_begin(0, NULL, options);
    for (int i = 0; i < 50; i++) {
        rig_advance(7);
        join_for("short", 2);
        rig_advance(SILENCE_MS - 1);
        rig_turn_all();
        CHECK_INT(i, timed_out());
        rig_advance(LATE_MS + 1);
        rig_turn_all();
        CHECK_INT(i + 1, timed_out());
    }
    rig_end();
}
