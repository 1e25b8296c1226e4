/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that wait for plugins: what comes of them, and in which order. */
#include "access/access.h"
#include "base/limits.h"
#include "unit/hook_kit.h"
#include <stdio.h>

enum { KEEPALIVE_S = 10 };

static void anonymous(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
}

static void begin(uint32_t wants)
{
    kit_begin(wants, NULL, anonymous);
}

static unsigned join_with(struct connect *p)
{
    unsigned link = try_connect(p);
    expect_connack(link, p->version, 0);
    return link;
}

static unsigned join(uint8_t version, const char *id)
{
    struct connect p = {
        .version = version, .clean_start = true, .keepalive_s = KEEPALIVE_S, .client_id = bytes_of_text(id)
    };
    return join_with(&p);
}

/* Subscribes before plugins are asked about anything. */
static unsigned listen_to(const char *filter)
{
    uint32_t wants = plugins.wants;
    plugins.wants = 0;
    unsigned link = join(MQTT_V5, "reader");
    send_subscribe(link, MQTT_V5, 1, filter, NULL);
    next(link, PACKET_SUBACK);
    plugins.wants = wants;
    return link;
}

/* --- PUBLISH */

TEST(a_publish_goes_on_when_it_is_allowed)
{
    begin(HOOK_EVENT_ACL);
    unsigned reader = listen_to("t"), link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "t", 1, 7);
    expect_asked("writer publish t x\n");
    CHECK_TRUE(hears_nothing(link));
    CHECK_TRUE(hears_nothing(reader));
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "t", "x");
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 7, 0);
    rig_end();
}

TEST(a_publish_that_is_denied_goes_to_nobody_and_version_5_is_told)
{
    for (int i = 0; i < 2; i++) {
        uint8_t version = i == 0 ? MQTT_V5 : MQTT_V311, denied = i == 0 ? MQTT_RC_NOT_AUTHORIZED : 0;
        begin(HOOK_EVENT_ACL);
        unsigned reader = listen_to("t"), link = join(version, "writer");
        for (uint8_t qos = 0; qos <= 2; qos++) publish_text(link, version, "t", qos, qos);
        for (unsigned asked = 0; asked < 3; asked++) answer(asked, HOOK_DENY);
        expect_ack(link, version, PACKET_PUBACK, 1, denied);
        expect_ack(link, version, PACKET_PUBREC, 2, denied);
        CHECK_TRUE(hears_nothing(reader));
        ping(link);
        rig_end();
    }
}

TEST(a_plugin_may_say_with_which_code_it_denies)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "t", 1, 7);
    plugins.asked[0]->code = MQTT_RC_QUOTA_EXCEEDED;
    answer(0, HOOK_DENY);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 7, MQTT_RC_QUOTA_EXCEEDED);
    publish_text(link, MQTT_V5, "t", 1, 8);
    say(1, MQTT_RC_KEEPALIVE_TIMEOUT, NULL);
    answer(1, HOOK_DENY);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 8, MQTT_RC_NOT_AUTHORIZED); /* it has no such code */
    rig_end();
}

TEST(a_plugin_may_say_why_it_denies_to_clients_that_want_to_know)
{
    char much[1026];
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    const char *const bad[] = { "\xc0\x80", "", much };
    struct connect quiet = { .version = MQTT_V5, .client_id = bytes_of_text("quiet") };
    PROPS_SET(&quiet.props, request_problem_info, 0);
    begin(HOOK_EVENT_MESSAGE);
    unsigned wants = join(MQTT_V5, "writer"), wants_not = join_with(&quiet);
    publish_text(wants, MQTT_V5, "t", 1, 1);
    publish_text(wants_not, MQTT_V5, "t", 1, 1);
    for (unsigned i = 0; i < 2; i++) say(i, MQTT_RC_QUOTA_EXCEEDED, "no more today");
    for (unsigned i = 0; i < 2; i++) answer(i, HOOK_DENY);
    expect_ack_text(wants, PACKET_PUBACK, 1, "no more today");
    expect_ack_text(wants_not, PACKET_PUBACK, 1, NULL);
    for (unsigned i = 0; i < 3; i++) { /* what no client may be sent is as if nothing had been said */
        publish_text(wants, MQTT_V5, "t", 2, (uint16_t)(i + 2));
        say(i + 2, MQTT_RC_QUOTA_EXCEEDED, bad[i]);
        answer(i + 2, HOOK_DENY);
        expect_ack_text(wants, PACKET_PUBREC, (uint16_t)(i + 2), mqtt_rc_advice(MQTT_RC_QUOTA_EXCEEDED));
    }
    rig_end();
}

/* Whoever publishes there with QoS 1 waits for the journal. */
static unsigned keep(const char *topic)
{
    uint8_t packet[64];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text("kept") };
    PROPS_SET(&p.props, session_expiry, 1000);
    unsigned link = join_with(&p);
    struct subscribe_filter f = { .filter = bytes_of_text(topic), .qos = 1 };
    subscribe_encode(&w, MQTT_V5, 1, &f, 1);
    send_bytes(link, packet, (size_t)(w.at - packet));
    next(link, PACKET_SUBACK);
    return link;
}

TEST(why_a_publish_was_denied_goes_with_its_own_acknowledgement_when_that_waits_behind_others)
{
    static const char *const texts[] = { NULL, NULL, "second", NULL, "fourth" };
    begin(HOOK_EVENT_MESSAGE);
    keep("kept");
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "kept", 1, 1);
    for (uint16_t id = 2; id < 7; id++) publish_text(link, MQTT_V5, "t", 1, id);
    for (unsigned i = 0; i < 5; i++) say(i, MQTT_RC_QUOTA_EXCEEDED, texts[i]);
    for (unsigned i = 0; i < 6; i++) answer_unheard(i, i % 2 == 0 && i > 0 ? HOOK_DENY : HOOK_ALLOW);
    rig_turn(0);
    CHECK_TRUE(hears_nothing(link)); /* the first is not in the journal yet */
    rig_settle();
    for (uint16_t i = 0; i < 5; i++) expect_ack_text(link, PACKET_PUBACK, (uint16_t)(i + 1), texts[i]);
    expect_ack_text(link, PACKET_PUBACK, 6, NULL);
    rig_end();
}

TEST(why_a_publish_was_denied_is_forgotten_with_its_client)
{
    begin(HOOK_EVENT_MESSAGE);
    keep("kept");
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "kept", 1, 1);
    publish_text(link, MQTT_V5, "t", 1, 2);
    say(1, MQTT_RC_QUOTA_EXCEEDED, "for nobody");
    answer_unheard(0, HOOK_ALLOW);
    answer_unheard(1, HOOK_DENY);
    rig_turn(0);
    CHECK_TRUE(hears_nothing(link));
    rig_break(link);
    rig_end(); /* which counts blocks */
}

TEST(acknowledgements_leave_in_the_order_of_the_publishes_whichever_answer_comes_first)
{
    begin(HOOK_EVENT_ACL);
    unsigned reader = listen_to("#"), link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "a", 1, 1);
    publish_text(link, MQTT_V5, "b", 2, 2);
    publish_text(link, MQTT_V5, "c", 1, 3);
    answer(2, HOOK_ALLOW);
    answer(1, HOOK_ALLOW);
    CHECK_TRUE(hears_nothing(link) && hears_nothing(reader));
    answer(0, HOOK_DENY);
    expect_publish(reader, MQTT_V5, "b", "x");
    expect_publish(reader, MQTT_V5, "c", "x");
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_NOT_AUTHORIZED);
    expect_ack(link, MQTT_V5, PACKET_PUBREC, 2, 0);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 3, 0);
    rig_end();
}

TEST(what_needs_no_answer_of_plugins_does_not_wait_behind_what_does)
{
    begin(HOOK_EVENT_ACL);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "a", 1, 1);
    ping(link);
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    rig_end();
}

TEST(a_message_is_what_plugins_make_of_it)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned reader = listen_to("#"), link = join(MQTT_V5, "writer");
    plugins.topic = "other";
    publish_text(link, MQTT_V5, "t", 1, 1);
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "other", "x");
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, 0);
    plugins.topic = "no/+/topic"; /* nonsense */
    publish_text(link, MQTT_V5, "t", 1, 2);
    answer(1, HOOK_ALLOW);
    CHECK_TRUE(hears_nothing(reader));
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 2, MQTT_RC_TOPIC_INVALID);
    rig_end();
}

TEST(properties_go_on_and_plugins_see_those_of_the_message_alone)
{
    static const uint8_t packet[] = { 0x30, 17, 0, 1,   't', 12, /* properties */
                                      0x02, 0,  0, 0,   9,       /* expiry */
                                      0x23, 0,  1,               /* alias */
                                      0x03, 0,  1, 'c',          /* content type */
                                      'x' };
    begin(HOOK_EVENT_MESSAGE);
    unsigned reader = listen_to("t"), link = join(MQTT_V5, "writer");
    for (unsigned i = 0; i < 2; i++) {
        send_bytes(link, packet, sizeof packet);
        struct hook_publish *q = (struct hook_publish *)(void *)plugins.asked[i];
        CHECK_TRUE(bytes_equal(bytes_of("\x03\0\1c", 4), q->block));
        if (i == 1) q->block = bytes_of(NULL, 0); /* taken out */
        answer(i, HOOK_ALLOW);
        struct publish p;
        struct frame f = next(reader, PACKET_PUBLISH);
        CHECK_INT(MQTT_RC_OK, publish_decode(&f, MQTT_V5, &p));
        CHECK_INT(9, p.props.message_expiry);
        CHECK_INT(i == 0, PROPS_HAS(&p.props, content_type));
        CHECK_TRUE(!PROPS_HAS(&p.props, topic_alias));
    }
    rig_end();
}

TEST(an_alias_stands_for_what_it_stood_for_when_the_publish_came)
{
    static const uint8_t one[] = { 0x30, 8, 0, 1, 'a', 3, 0x23, 0, 1, 'x' };
    static const uint8_t two[] = { 0x30, 8, 0, 1, 'b', 3, 0x23, 0, 1, 'x' };
    static const uint8_t again[] = { 0x30, 7, 0, 0, 3, 0x23, 0, 1, 'x' };
    begin(HOOK_EVENT_ACL);
    unsigned link = join(MQTT_V5, "writer");
    send_bytes(link, one, sizeof one);
    send_bytes(link, again, sizeof again);
    send_bytes(link, two, sizeof two);
    answer(0, HOOK_ALLOW);
    answer(1, HOOK_ALLOW);
    send_bytes(link, again, sizeof again);
    expect_asked("writer publish a x\nwriter publish a x\nwriter publish b x\nwriter publish b x\n");
    answer(2, HOOK_ALLOW);
    answer(3, HOOK_ALLOW);
    rig_end();
}

TEST(a_control_message_goes_to_plugins_and_to_nobody_else)
{
    begin(HOOK_EVENT_CONTROL);
    unsigned reader = listen_to("$CONTROL/#"), link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "$CONTROL/mine", 1, 1);
    publish_text(link, MQTT_V5, "$CONTROL/mine", 2, 2);
    publish_text(link, MQTT_V5, "t", 1, 3); /* nobody wants to hear of it */
    expect_asked("writer publish $CONTROL/mine x\nwriter publish $CONTROL/mine x\n");
    answer(0, HOOK_ALLOW);
    answer(1, HOOK_DEFER); /* nobody has registered for it: as with mosquitto */
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, 0);
    expect_ack(link, MQTT_V5, PACKET_PUBREC, 2, 0);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 3, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    CHECK_TRUE(hears_nothing(reader));
    rig_end();
}

TEST(a_control_message_of_qos_2_is_finished_like_any_other)
{
    begin(HOOK_EVENT_CONTROL);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "$CONTROL/mine", 2, 2);
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBREC, 2, 0);
    send_bytes(link, "\x62\x02\x00\x02", 4);
    expect_ack(link, MQTT_V5, PACKET_PUBCOMP, 2, 0);
    rig_end();
}

TEST(too_late_is_told_to_version_5_and_ends_an_older_client_that_waits_for_an_acknowledgement)
{
    begin(HOOK_EVENT_ACL);
    unsigned v5 = join(MQTT_V5, "five"), v3 = join(MQTT_V311, "three");
    publish_text(v5, MQTT_V5, "t", 0, 0);
    publish_text(v5, MQTT_V5, "t", 1, 1);
    publish_text(v5, MQTT_V5, "t", 2, 2);
    publish_text(v3, MQTT_V311, "t", 0, 0);
    for (unsigned i = 0; i < 4; i++) answer(i, HOOK_LATE);
    expect_ack(v5, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_IMPLEMENTATION);
    expect_ack(v5, MQTT_V5, PACKET_PUBREC, 2, MQTT_RC_IMPLEMENTATION);
    ping(v3);
    publish_text(v3, MQTT_V311, "t", 1, 1);
    answer(4, HOOK_LATE);
    CHECK_TRUE(hears_nothing(v3));
    CHECK_TRUE(kit_clients[v3].is_ended);
    rig_end();
}

TEST(a_callback_that_fails_ends_the_connection)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "t", 1, 1);
    publish_text(link, MQTT_V5, "t", 1, 2);
    answer(0, HOOK_END);
    expect_disconnect(link, MQTT_RC_UNSPECIFIED);
    answer(1, HOOK_ALLOW); /* of a connection that is gone */
    rig_end();
}

TEST(a_qos_2_publish_that_comes_again_is_asked_about_once)
{
    begin(HOOK_EVENT_ACL);
    unsigned reader = listen_to("t"), link = join(MQTT_V311, "writer");
    publish_text(link, MQTT_V311, "t", 2, 5);
    publish_text(link, MQTT_V311, "t", 2, 5);
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V311, PACKET_PUBREC, 5, 0);
    publish_text(link, MQTT_V311, "t", 2, 5);
    expect_ack(link, MQTT_V311, PACKET_PUBREC, 5, 0);
    /* Behind another one its PUBREC waits; when the client finishes meanwhile, it is no new message. */
    publish_text(link, MQTT_V311, "t", 1, 6);
    publish_text(link, MQTT_V311, "t", 2, 5);
    CHECK_TRUE(hears_nothing(link));
    send_bytes(link, "\x62\x02\x00\x05", 4);
    expect_ack(link, MQTT_V311, PACKET_PUBCOMP, 5, 0);
    answer(1, HOOK_ALLOW);
    expect_ack(link, MQTT_V311, PACKET_PUBACK, 6, 0);
    CHECK_TRUE(hears_nothing(link));
    expect_asked("writer publish t x\nwriter publish t x\n");
    expect_publish(reader, MQTT_V5, "t", "x");
    expect_publish(reader, MQTT_V5, "t", "x");
    CHECK_TRUE(hears_nothing(reader));
    rig_end();
}

static void receive_two(struct config *c, void *ctx)
{
    anonymous(c, ctx);
    c->receive_maximum = 2;
}

TEST(a_packet_id_is_free_again_though_what_came_twice_with_it_waits)
{
    begin(HOOK_EVENT_ACL);
    unsigned reader = listen_to("t"), link = join(MQTT_V311, "writer");
    publish_text(link, MQTT_V311, "t", 2, 5);
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V311, PACKET_PUBREC, 5, 0);
    expect_publish(reader, MQTT_V5, "t", "x");
    publish_text(link, MQTT_V311, "t", 0, 0);
    publish_text(link, MQTT_V311, "t", 2, 5);
    send_bytes(link, "\x62\x02\x00\x05", 4);
    expect_ack(link, MQTT_V311, PACKET_PUBCOMP, 5, 0);
    publish_text(link, MQTT_V311, "t", 2, 5); /* another message */
    answer(1, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "t", "x");
    CHECK_INT(3, plugins.count);
    answer(2, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "t", "x");
    expect_ack(link, MQTT_V311, PACKET_PUBREC, 5, 0);
    CHECK_TRUE(hears_nothing(link));
    rig_end();
}

static void limited(struct config *c, void *ctx)
{
    anonymous(c, ctx);
    c->memory_limit = 1000 * 1000;
}

static void use_memory(uint64_t bytes)
{
    rig_use_memory(bytes);
    rig_advance(1); /* it is looked at once a moment */
}

TEST(a_qos_2_publish_that_comes_again_is_not_refused_for_want_of_memory)
{
    kit_begin(HOOK_EVENT_ACL, NULL, limited);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "t", 2, 5);
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBREC, 5, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    publish_text(link, MQTT_V5, "t", 0, 0);
    use_memory(2000 * 1000);
    publish_text(link, MQTT_V5, "t", 1, 4);
    publish_text(link, MQTT_V5, "t", 2, 5);
    answer(1, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 4, MQTT_RC_QUOTA_EXCEEDED);
    expect_ack(link, MQTT_V5, PACKET_PUBREC, 5, 0);
    use_memory(0);
    rig_end();
}

TEST(what_waits_for_plugins_counts_for_receive_maximum)
{
    kit_begin(HOOK_EVENT_ACL, NULL, receive_two);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "t", 1, 1);
    publish_text(link, MQTT_V5, "t", 2, 2);
    publish_text(link, MQTT_V5, "t", 0, 0);
    publish_text(link, MQTT_V5, "t", 1, 3);
    CHECK_TRUE(hears_nothing(link)); /* what came before is still to be done */
    answer(0, HOOK_ALLOW);
    answer(1, HOOK_ALLOW);
    answer(2, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    expect_ack(link, MQTT_V5, PACKET_PUBREC, 2, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    expect_disconnect(link, MQTT_RC_RECEIVE_MAX_EXCEEDED);
    rig_end();
}

TEST(what_goes_to_nobody_anyway_is_not_asked_about_and_waits_for_its_turn)
{
    begin(HOOK_EVENT_ACL);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "$SYS/mine", 1, 1);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_NOT_AUTHORIZED);
    publish_text(link, MQTT_V5, "t", 1, 2);
    publish_text(link, MQTT_V5, "$SYS/mine", 1, 3);
    publish_text(link, MQTT_V5, "$delayed/never/t", 1, 4);
    CHECK_TRUE(hears_nothing(link));
    expect_asked("writer publish t x\n");
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 2, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 3, MQTT_RC_NOT_AUTHORIZED);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 4, MQTT_RC_TOPIC_INVALID);
    rig_end();
}

TEST(plugins_see_the_topic_of_a_delayed_message)
{
    begin(HOOK_EVENT_ACL);
    unsigned reader = listen_to("t"), link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "$delayed/2/t", 1, 1);
    expect_asked("writer publish t x\n");
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, 0);
    CHECK_TRUE(hears_nothing(reader));
    rig_advance(2001);
    rig_turn(0);
    rig_settle();
    expect_publish(reader, MQTT_V5, "t", "x");
    rig_end();
}

static void mounted(struct config *c, void *ctx)
{
    anonymous(c, ctx);
    (void)snprintf(c->default_listener.mount_point, sizeof c->default_listener.mount_point, "m/");
}

TEST(plugins_see_topics_and_filters_below_the_mount_point)
{
    kit_begin(HOOK_EVENT_ACL | HOOK_EVENT_CONTROL, NULL, mounted);
    unsigned link = join(MQTT_V5, "phone");
    send_subscribe(link, MQTT_V5, 1, "t", "$share/g/t");
    answer(0, HOOK_ALLOW);
    expect_suback(link, MQTT_V5, PACKET_SUBACK, "\0\0", 2);
    publish_text(link, MQTT_V5, "t", 0, 0);
    publish_text(link, MQTT_V5, "$CONTROL/mine", 0, 0);
    expect_asked("phone subscribe m/t $share/g/m/t\nphone publish m/t x\nphone publish m/$CONTROL/mine x\n");
    answer(1, HOOK_ALLOW);
    answer(2, HOOK_ALLOW);
    expect_publish(link, MQTT_V5, "t", "x");
    expect_publish(link, MQTT_V5, "t", "x");
    rig_end();
}

TEST(plugins_that_answer_at_once_make_nobody_wait)
{
    begin(HOOK_EVENT_ACL | HOOK_EVENT_MESSAGE);
    plugins.at_once = true;
    plugins.answer = HOOK_ALLOW;
    unsigned link = join(MQTT_V5, "phone");
    send_subscribe(link, MQTT_V5, 1, "t", NULL);
    expect_suback(link, MQTT_V5, PACKET_SUBACK, "\0", 1);
    plugins.wants = HOOK_EVENT_MESSAGE;
    publish_text(link, MQTT_V5, "t", 1, 1);
    expect_publish(link, MQTT_V5, "t", "x");
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, 0);
    plugins.answer = HOOK_DENY;
    publish_text(link, MQTT_V5, "t", 1, 2);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 2, MQTT_RC_NOT_AUTHORIZED);
    rig_end();
}

static struct access *rules_of(const char *text)
{
    struct access *access;
    struct access_notes notes = { 0 };
    struct access_source none = { 0 }, rules = { "acl", bytes_of_text(text) };
    CHECK_INT(ERR_OK, access_parse(&access, &none, &rules, &notes));
    return access;
}

TEST(when_all_defer_the_acl_file_has_the_last_word_and_without_one_nothing_is_allowed)
{
    struct access *access = rules_of("topic write w\n");
    for (int i = 0; i < 2; i++) {
        kit_begin(HOOK_EVENT_ACL, i == 0 ? access : NULL, anonymous);
        unsigned link = join(MQTT_V5, "writer");
        publish_text(link, MQTT_V5, "w", 1, 1);
        publish_text(link, MQTT_V5, "r", 1, 2);
        send_subscribe(link, MQTT_V5, 3, "r", NULL);
        for (unsigned asked = 0; asked < 3; asked++) answer(asked, HOOK_DEFER);
        expect_ack(link, MQTT_V5, PACKET_PUBACK, 1,
                   i == 0 ? MQTT_RC_NO_MATCHING_SUBSCRIBERS : MQTT_RC_NOT_AUTHORIZED);
        expect_ack(link, MQTT_V5, PACKET_PUBACK, 2, MQTT_RC_NOT_AUTHORIZED);
        expect_suback(link, MQTT_V5, PACKET_SUBACK, i == 0 ? "\0" : "\x87", 1);
        rig_end();
    }
    access_unref(&access);
}

TEST(plugins_that_want_messages_alone_hear_of_those_that_the_acl_file_allows)
{
    struct access *access = rules_of("topic write w\n");
    kit_begin(HOOK_EVENT_MESSAGE, access, anonymous);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "r", 1, 1);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_NOT_AUTHORIZED);
    publish_text(link, MQTT_V5, "w", 1, 2);
    expect_asked("writer publish w x\n");
    answer(0, HOOK_DEFER);
    rig_end();
    access_unref(&access);
}

/* --- SUBSCRIBE and UNSUBSCRIBE */

static void verdicts(unsigned i, enum hook_verdict first, enum hook_verdict second)
{
    struct hook_filters *q = (struct hook_filters *)(void *)plugins.asked[i];
    q->at[0].verdict = (uint8_t)first;
    if (q->count > 1) q->at[1].verdict = (uint8_t)second;
    answer(i, HOOK_ALLOW);
}

TEST(filters_are_granted_or_refused_one_by_one)
{
    begin(HOOK_EVENT_ACL);
    unsigned v5 = join(MQTT_V5, "five"), v3 = join(MQTT_V311, "three");
    send_subscribe(v5, MQTT_V5, 1, "a", "b");
    send_subscribe(v5, MQTT_V5, 2, "c", "d");
    send_subscribe(v3, MQTT_V311, 1, "a", "b");
    expect_asked("five subscribe a b\nfive subscribe c d\nthree subscribe a b\n");
    verdicts(0, HOOK_ALLOW, HOOK_DENY);
    verdicts(1, HOOK_LATE, HOOK_ALLOW);
    verdicts(2, HOOK_DENY, HOOK_ALLOW);
    expect_suback(v5, MQTT_V5, PACKET_SUBACK, "\0\x87", 2);
    expect_suback(v5, MQTT_V5, PACKET_SUBACK, "\x83\0", 2);
    expect_suback(v3, MQTT_V311, PACKET_SUBACK, "\x80\0", 2);
    plugins.at_once = true;
    plugins.answer = HOOK_ALLOW;
    publish_text(v5, MQTT_V5, "a", 0, 0);
    publish_text(v5, MQTT_V5, "b", 0, 0);
    expect_publish(v5, MQTT_V5, "a", "x");
    expect_publish(v3, MQTT_V311, "b", "x");
    CHECK_TRUE(hears_nothing(v5) && hears_nothing(v3));
    rig_end();
}

TEST(a_subscription_that_may_not_go_stays_even_in_a_session_that_is_kept)
{
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text("phone") };
    PROPS_SET(&p.props, session_expiry, 1000);
    begin(HOOK_EVENT_ACL);
    unsigned link = join_with(&p);
    send_subscribe(link, MQTT_V5, 1, "a", NULL);
    answer(0, HOOK_ALLOW);
    expect_suback(link, MQTT_V5, PACKET_SUBACK, "\0", 1);
    send_unsubscribe(link, MQTT_V5, 2, "a");
    expect_asked("phone subscribe a\nphone unsubscribe a\n");
    answer(1, HOOK_DENY);
    expect_suback(link, MQTT_V5, PACKET_UNSUBACK, "\x87", 1);
    plugins.wants = 0;
    publish_text(link, MQTT_V5, "a", 0, 0);
    expect_publish(link, MQTT_V5, "a", "x");
    rig_end();
}

TEST(a_packet_of_filters_that_is_wrong_is_not_asked_about)
{
    begin(HOOK_EVENT_ACL);
    unsigned link = join(MQTT_V5, "phone");
    send_subscribe(link, MQTT_V5, 1, "a#", NULL);
    CHECK_INT(0, plugins.count);
    expect_disconnect(link, MQTT_RC_MALFORMED);
    rig_end();
}

TEST(subscriptions_and_publishes_of_a_client_stay_in_order)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned link = join(MQTT_V5, "phone");
    publish_text(link, MQTT_V5, "t", 1, 1);
    send_subscribe(link, MQTT_V5, 2, "t", NULL); /* nobody is asked about it */
    publish_text(link, MQTT_V5, "t", 1, 3);
    CHECK_TRUE(hears_nothing(link));
    answer(0, HOOK_ALLOW);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    expect_suback(link, MQTT_V5, PACKET_SUBACK, "\0", 1);
    answer(1, HOOK_ALLOW);
    expect_publish(link, MQTT_V5, "t", "x");
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 3, 0);
    rig_end();
}

/* --- the end */

static unsigned join_with_will(const char *id)
{
    struct connect p = { .version = MQTT_V311,
                         .clean_start = true,
                         .client_id = bytes_of_text(id),
                         .has_will = true,
                         .will = { .topic = bytes_of_text("will"), .payload = bytes_of_text("gone") } };
    return join_with(&p);
}

TEST(who_publishes_disconnects_and_closes_at_once_has_published)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned reader = listen_to("#"), link = join_with_will("writer");
    publish_text(link, MQTT_V311, "a", 0, 0);
    publish_text(link, MQTT_V311, "b", 0, 0);
    send_disconnect(link);
    rig_break(link);
    rig_settle();
    expect_asked("writer publish a x\nwriter publish b x\n");
    answer(1, HOOK_ALLOW);
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "a", "x");
    expect_publish(reader, MQTT_V5, "b", "x");
    CHECK_TRUE(hears_nothing(reader)); /* no will */
    CHECK_TRUE(!rig_is_open(link));
    expect_asked("writer gone 0\n");
    rig_end();
}

TEST(what_came_before_the_network_went_is_published_and_then_the_will)
{
    for (int i = 0; i < 2; i++) {
        begin(HOOK_EVENT_MESSAGE);
        unsigned reader = listen_to("#"), link = join_with_will("writer");
        publish_text(link, MQTT_V311, "a", 0, 0);
        if (i == 0)
            rig_break(link);
        else
            rig_finish(link);
        rig_settle();
        CHECK_TRUE(rig_is_open(link));
        answer(0, HOOK_ALLOW);
        expect_publish(reader, MQTT_V5, "a", "x");
        expect_publish(reader, MQTT_V5, "will", "gone");
        CHECK_TRUE(!rig_is_open(link));
        expect_asked("writer publish a x\nwriter gone -1\n");
        rig_end();
    }
}

TEST(a_packet_that_is_wrong_ends_the_connection_when_those_before_it_are_done)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned reader = listen_to("#"), link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "a", 1, 1);
    send_bytes(link, "\x00\x00", 2);
    CHECK_TRUE(hears_nothing(link));
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "a", "x");
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, 0);
    expect_disconnect(link, MQTT_RC_MALFORMED);
    rig_end();
}

/* --- bounds */

TEST(a_client_with_so_many_packets_at_plugins_is_not_read_until_half_are_done)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned link = join(MQTT_V5, "writer");
    for (unsigned i = 0; i < HOOKED_PACKETS_MAX; i++) {
        CHECK_TRUE(rig_is_read(link));
        publish_text(link, MQTT_V5, "t", 0, 0);
    }
    CHECK_TRUE(!rig_is_read(link));
    publish_text(link, MQTT_V5, "t", 0, 0);
    CHECK_INT(HOOKED_PACKETS_MAX, plugins.count);
    CHECK_TRUE(rig_unread(link) > 0);
    for (unsigned i = 0; i < HOOKED_PACKETS_MAX / 2; i++) {
        CHECK_TRUE(!rig_is_read(link));
        answer(i, HOOK_ALLOW);
    }
    CHECK_TRUE(rig_is_read(link));
    CHECK_INT(HOOKED_PACKETS_MAX + 1, plugins.count);
    for (unsigned i = HOOKED_PACKETS_MAX / 2; i < plugins.count; i++) answer(i, HOOK_ALLOW);
    rig_end();
}

TEST(many_answers_at_once_are_worked_off_without_holding_others_up)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned link = join(MQTT_V5, "writer");
    for (unsigned i = 0; i < HOOKED_PACKETS_MAX; i++) publish_text(link, MQTT_V5, "t", 1, (uint16_t)(i + 1));
    for (unsigned i = HOOKED_PACKETS_MAX; i > 0; i--) answer(i - 1, HOOK_ALLOW);
    for (unsigned i = 0; i < HOOKED_PACKETS_MAX; i++)
        expect_ack(link, MQTT_V5, PACKET_PUBACK, (uint16_t)(i + 1), MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    CHECK_TRUE(rig_is_read(link));
    rig_end();
}

TEST(a_client_with_so_many_bytes_at_plugins_is_not_read)
{
    enum { EACH = 2000 };
    static uint8_t payload[EACH];
    begin(HOOK_EVENT_MESSAGE);
    unsigned link = join(MQTT_V5, "writer");
    struct publish p = { .topic = bytes_of_text("t"), .payload = bytes_of(payload, EACH) };
    static uint8_t head[] = { 0x30, 0x84, 0x80, 0x10, 0, 1, 't', 0 }; /* 256 KiB of payload */
    send_publish(link, MQTT_V5, &p);
    CHECK_TRUE(rig_is_read(link));
    send_bytes(link, head, sizeof head);
    for (size_t sent = 0; sent < HOOKED_BYTES_MAX; sent += EACH) {
        size_t left = HOOKED_BYTES_MAX - sent;
        CHECK_TRUE(rig_is_read(link));
        send_bytes(link, payload, left < EACH ? left : EACH);
    }
    CHECK_INT(2, plugins.count);
    CHECK_TRUE(!rig_is_read(link));
    answer(0, HOOK_ALLOW);
    CHECK_TRUE(!rig_is_read(link));
    answer(1, HOOK_ALLOW);
    CHECK_TRUE(rig_is_read(link));
    rig_end();
}

TEST(a_client_that_is_not_read_because_of_plugins_is_not_silent)
{
    begin(HOOK_EVENT_MESSAGE);
    unsigned link = join(MQTT_V5, "writer");
    for (unsigned i = 0; i < HOOKED_PACKETS_MAX; i++) publish_text(link, MQTT_V5, "t", 0, 0);
    for (int i = 0; i < 10; i++) {
        rig_advance(KEEPALIVE_S * 1000);
        rig_turn(0);
    }
    CHECK_TRUE(!kit_clients[link].is_ended);
    for (unsigned i = 0; i < HOOKED_PACKETS_MAX; i++) answer(i, HOOK_ALLOW);
    rig_advance(KEEPALIVE_S * 1600);
    rig_turn(0);
    rig_settle();
    expect_disconnect(link, MQTT_RC_KEEPALIVE_TIMEOUT);
    rig_end();
}

TEST(a_connection_without_a_client_left_keeps_nothing_of_what_plugins_still_have)
{
    begin(HOOK_EVENT_ACL);
    unsigned link = join(MQTT_V5, "writer");
    publish_text(link, MQTT_V5, "t", 1, 1);
    send_subscribe(link, MQTT_V5, 2, "t", NULL);
    rig_advance(KEEPALIVE_S * 1600);
    rig_turn(0);
    rig_settle();
    expect_disconnect(link, MQTT_RC_KEEPALIVE_TIMEOUT);
    answer(0, HOOK_ALLOW);
    answer(1, HOOK_ALLOW);
    rig_end();
}
