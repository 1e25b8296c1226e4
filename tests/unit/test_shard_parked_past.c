/* SPDX-License-Identifier: Apache-2.0 */
/* What passes while a packet waits for plugins: time, and what they think. */
#include "unit/hook_kit.h"

static void remembering(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
    c->acl_cache_seconds = 100;
}

static unsigned join(const char *id)
{
    struct connect p = { .version = MQTT_V5, .clean_start = true, .client_id = bytes_of_text(id) };
    unsigned link = try_connect(&p);
    expect_connack(link, MQTT_V5, 0);
    return link;
}

TEST(a_message_expires_while_plugins_look_at_it)
{
    static const uint8_t packet[] = { 0x30, 10, 0, 1, 't', 5, 0x02, 0, 0, 0, 9, /* expiry */ 'x' };
    kit_begin(0, NULL, remembering);
    unsigned reader = join("reader"), link = join("writer");
    send_subscribe(reader, MQTT_V5, 1, "t", NULL);
    next(reader, PACKET_SUBACK);
    plugins.wants = HOOK_EVENT_MESSAGE;
    send_bytes(link, packet, sizeof packet);
    rig_advance(4000);
    answer(0, HOOK_ALLOW);
    struct publish p;
    struct frame f = next(reader, PACKET_PUBLISH);
    CHECK_INT(MQTT_RC_OK, publish_decode(&f, MQTT_V5, &p));
    CHECK_INT(5, p.props.message_expiry);
    send_bytes(link, packet, sizeof packet);
    rig_advance(9000);
    answer(1, HOOK_ALLOW);
    CHECK_TRUE(hears_nothing(reader));
    CHECK_INT(1, rig_metric(METRIC_publish_expired_total));
    rig_end();
}

TEST(what_plugins_have_said_before_they_changed_their_mind_is_not_remembered)
{
    kit_begin(HOOK_EVENT_ACL, NULL, remembering);
    unsigned link = join("writer");
    struct hook_broker b = rig_broker();
    publish_text(link, MQTT_V5, "t", 0, 0);
    b.forget(b.ctx); /* the answer is on its way */
    answer(0, HOOK_ALLOW);
    publish_text(link, MQTT_V5, "t", 0, 0);
    CHECK_INT(2, plugins.count);
    answer(1, HOOK_ALLOW);
    publish_text(link, MQTT_V5, "t", 0, 0);
    CHECK_INT(2, plugins.count);
    rig_end();
}
