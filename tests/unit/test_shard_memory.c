/* SPDX-License-Identifier: Apache-2.0 */
/* memory_limit with more than one shard, each of which looks at times of its own what is in use. */
#include "unit/hook_kit.h"

enum { LIMIT = 1000 * 1000, PAYLOAD = 32 * 1024, PUBLISHES_MAX = 16 };

static void options(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
    c->memory_limit = LIMIT;
}

/* Accepted by shard 0: whose answer comes with its turn lives there. */
static unsigned join_on(unsigned shard)
{
    for (char id[] = "a"; id[0] <= 'z'; id[0]++) {
        struct connect p = { .version = MQTT_V5, .clean_start = true, .client_id = bytes_of_text(id) };
        uint8_t packet[KIT_PACKET];
        struct wr w = { .at = packet, .left = sizeof packet };
        connect_encode(&w, &p);
        unsigned link = open_link();
        CHECK_TRUE(rig_send(link, bytes_of(packet, (size_t)(w.at - packet))));
        rig_turn(0);
        bool is_there = !hears_nothing(link);
        rig_settle();
        expect_connack(link, MQTT_V5, 0);
        if (is_there == (shard == 0)) return link;
        send_disconnect(link);
    }
    CHECK(false);
    return 0;
}

static uint8_t code_of_publish(unsigned link)
{
    static uint8_t packet[PAYLOAD + 64], payload[PAYLOAD];
    struct publish p = {
        .topic = bytes_of("t", 1), .qos = 1, .id = 1, .payload = bytes_of(payload, PAYLOAD)
    };
    struct wr w = { .at = packet, .left = sizeof packet };
    publish_encode(&w, MQTT_V5, &p);
    CHECK_TRUE(rig_send(link, bytes_of(packet, (size_t)(w.at - packet))));
    rig_settle();
    struct frame f = next(link, PACKET_PUBACK);
    return f.body.len > 2 ? f.body.at[2] : 0;
}

static void expect_subscribed(unsigned link, const char *filter, const char *code)
{
    send_subscribe(link, MQTT_V5, 7, filter, NULL);
    expect_suback(link, MQTT_V5, PACKET_SUBACK, code, 1);
}

TEST(what_one_shard_has_seen_the_others_refuse_at_once)
{
    kit_begin_two(options);
    unsigned writer = join_on(0), reader = join_on(1);
    rig_turn_all(); /* both have looked, and no time passes from now on */
    rig_use_memory(LIMIT + 1);
    expect_subscribed(reader, "before", "\0"); /* nobody has seen it */
    unsigned granted = 0;
    while (granted < PUBLISHES_MAX && code_of_publish(writer) != MQTT_RC_QUOTA_EXCEEDED) granted++;
    CHECK_TRUE(granted < PUBLISHES_MAX);
    expect_subscribed(reader, "after", "\x97");
    rig_use_memory(0);
    rig_advance(1);
    rig_turn(0);
    expect_subscribed(reader, "again", "\0");
    rig_end();
}
