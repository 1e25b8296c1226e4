/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes for a session whose connection has packets that wait for plugins. */
#include "base/limits.h"
#include "unit/hook_kit.h"
#include <stdlib.h>

enum { TIMEOUT_S = 20 };

static void options(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
    c->connect_timeout_s = TIMEOUT_S;
}

static unsigned ask_for(const char *id, bool has_will)
{
    struct connect p = {
        .version = MQTT_V5, .clean_start = true, .has_will = has_will, .client_id = bytes_of_text(id)
    };
    if (has_will) p.will = (struct will){ .topic = bytes_of_text("will"), .payload = bytes_of_text("gone") };
    return try_connect(&p);
}

static unsigned join(const char *id)
{
    unsigned link = ask_for(id, false);
    expect_connack(link, MQTT_V5, 0);
    return link;
}

static unsigned begin(void)
{
    kit_begin(0, NULL, options);
    unsigned reader = join("reader");
    send_subscribe(reader, MQTT_V5, 1, "#", NULL);
    next(reader, PACKET_SUBACK);
    plugins.wants = HOOK_EVENT_MESSAGE;
    return reader;
}

TEST(who_disconnects_and_comes_again_has_published_what_plugins_still_look_at)
{
    unsigned reader = begin(), old = ask_for("writer", true);
    expect_connack(old, MQTT_V5, 0);
    publish_text(old, MQTT_V5, "a", 0, 0);
    publish_text(old, MQTT_V5, "b", 1, 1);
    send_disconnect(old);
    rig_finish(old);
    unsigned link = ask_for("writer", false);
    CHECK_TRUE(hears_nothing(link));
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "a", "x");
    CHECK_TRUE(hears_nothing(link));
    answer(1, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "b", "x");
    expect_connack(link, MQTT_V5, 0);
    CHECK_TRUE(hears_nothing(reader)); /* no will */
    CHECK_INT(0, rig_metric(METRIC_takeovers_total));
    ping(link);
    rig_end();
}

TEST(who_is_taken_over_has_published_what_came_before)
{
    unsigned reader = begin(), old = ask_for("writer", true);
    expect_connack(old, MQTT_V5, 0);
    publish_text(old, MQTT_V5, "a", 0, 0);
    publish_text(old, MQTT_V5, "b", 1, 1);
    unsigned link = ask_for("writer", false);
    publish_text(old, MQTT_V5, "c", 0, 0); /* it is not heard any more */
    CHECK_TRUE(hears_nothing(link) && hears_nothing(old));
    answer(0, HOOK_ALLOW);
    answer(1, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "a", "x");
    expect_publish(reader, MQTT_V5, "b", "x");
    expect_publish(reader, MQTT_V5, "will", "gone");
    expect_ack(old, MQTT_V5, PACKET_PUBACK, 1, 0);
    expect_disconnect(old, MQTT_RC_TAKEN_OVER);
    expect_connack(link, MQTT_V5, 0);
    CHECK_TRUE(hears_nothing(reader));
    CHECK_INT(1, rig_metric(METRIC_takeovers_total));
    CHECK_INT(2, plugins.count);
    rig_end();
}

TEST(a_session_goes_on_with_what_was_published_before_it_was_taken_over)
{
    begin();
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text("writer") };
    PROPS_SET(&p.props, session_expiry, 1000);
    unsigned old = try_connect(&p);
    expect_connack(old, MQTT_V5, 0);
    publish_text(old, MQTT_V5, "a", 2, 5);
    unsigned link = try_connect(&p);
    answer(0, HOOK_ALLOW);
    expect_asked("writer publish a x\nwriter gone 142\n"); /* not "for now" */
    expect_connack(link, MQTT_V5, 0);
    struct publish again = {
        .topic = bytes_of_text("a"), .payload = bytes_of_text("x"), .qos = 2, .id = 5, .dup = true
    };
    send_publish(link, MQTT_V5, &again);
    CHECK_INT(1, plugins.count); /* it is known */
    expect_ack(link, MQTT_V5, PACKET_PUBREC, 5, 0);
    rig_end();
}

TEST(all_who_come_for_a_session_get_it_and_the_last_one_keeps_it)
{
    begin();
    unsigned old = join("writer");
    publish_text(old, MQTT_V5, "a", 0, 0);
    unsigned first = ask_for("writer", false), second = ask_for("writer", false);
    answer(0, HOOK_ALLOW);
    expect_disconnect(old, MQTT_RC_TAKEN_OVER);
    next(first, PACKET_CONNACK);
    expect_disconnect(first, MQTT_RC_TAKEN_OVER);
    expect_connack(second, MQTT_V5, 0);
    ping(second);
    rig_end();
}

TEST(who_does_not_wait_for_the_session_leaves_nothing_behind)
{
    begin();
    unsigned old = join("writer");
    publish_text(old, MQTT_V5, "a", 0, 0);
    unsigned first = ask_for("writer", false), second = ask_for("writer", false);
    rig_break(first);
    rig_settle();
    CHECK_TRUE(!rig_is_open(first));
    rig_advance(TIMEOUT_S * 1000 + 1000);
    rig_turn_all();
    CHECK_TRUE(!rig_is_open(second));
    CHECK_INT(1, rig_metric(METRIC_connect_timeouts_total));
    answer(0, HOOK_ALLOW);
    expect_disconnect(old, MQTT_RC_TAKEN_OVER);
    rig_end();
}

/* More than may wait for it, so that it is not read until it takes some. */
static void stop_reading(unsigned link, const char *id)
{
    size_t bytes = OUT_BYTES_READ_MAX + 1;
    uint8_t *large = calloc(1, bytes);
    CHECK(large != NULL);
    rig_room(link, 0);
    struct hook_broker b = rig_broker();
    struct hook_message m = { .client_id = bytes_of_text(id),
                              .topic = bytes_of_text("t"),
                              .payload = bytes_of(large, bytes) };
    CHECK_INT(ERR_OK, b.publish(b.ctx, &m));
    rig_settle();
    free(large);
    send_bytes(link, "\xc0\x00", 2);
    CHECK_TRUE(!rig_is_read(link));
}

TEST(a_connection_that_takes_nothing_holds_nobody_up_who_comes_for_its_session)
{
    unsigned reader = begin(), old = join("writer");
    publish_text(old, MQTT_V5, "a", 0, 0);
    stop_reading(old, "writer");
    unsigned link = ask_for("writer", false);
    CHECK_TRUE(hears_nothing(link));
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "a", "x");
    expect_connack(link, MQTT_V5, 0);
    rig_end();
}

/* Plugins do not hold it up: it takes nothing itself. */
TEST(a_connection_that_takes_nothing_is_silent_though_plugins_have_packets_of_it)
{
    enum { KEEPALIVE_S = 10 };
    unsigned reader = begin();
    struct connect p = { .version = MQTT_V5, .keepalive_s = KEEPALIVE_S, .client_id = bytes_of_text("w") };
    unsigned link = try_connect(&p);
    expect_connack(link, MQTT_V5, 0);
    publish_text(link, MQTT_V5, "a", 0, 0);
    send_disconnect(link);
    stop_reading(link, "w");
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "a", "x");
    for (int i = 0; i < 2; i++) {
        rig_advance(KEEPALIVE_S * 1500 + 1000);
        rig_turn_all();
    }
    CHECK_INT(1, rig_metric(METRIC_keepalive_timeouts_total));
    CHECK_TRUE(hears_nothing(reader));
    rig_end();
}
