/* SPDX-License-Identifier: Apache-2.0 */
/* Wills that plugins are asked about when they are to go out. */
#include "unit/hook_kit.h"

enum { EXPIRY_S = 1000, DELAY_S = 10 };

static void anonymous(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
}

static unsigned join(const char *id, bool has_will, uint32_t expiry_s, uint32_t delay_s)
{
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text(id), .has_will = has_will };
    if (has_will) p.will = (struct will){ .topic = bytes_of_text("will"), .payload = bytes_of_text("gone") };
    if (expiry_s > 0) PROPS_SET(&p.props, session_expiry, expiry_s);
    if (delay_s > 0) PROPS_SET(&p.will.props, will_delay, delay_s);
    unsigned link = try_connect(&p);
    expect_connack(link, MQTT_V5, 0);
    return link;
}

static unsigned begin(void)
{
    kit_begin(0, NULL, anonymous);
    unsigned reader = join("reader", false, 0, 0);
    send_subscribe(reader, MQTT_V5, 1, "will", NULL);
    next(reader, PACKET_SUBACK);
    plugins.wants = HOOK_EVENT_ACL;
    return reader;
}

static void lose(unsigned link)
{
    rig_break(link);
    rig_settle();
    CHECK_TRUE(!rig_is_open(link));
}

static void pass(unsigned seconds)
{
    rig_advance(seconds * 1000 + 100);
    rig_turn(0);
    rig_settle();
}

TEST(plugins_are_asked_when_a_will_goes_out_and_not_when_it_comes)
{
    for (uint32_t expiry_s = 0; expiry_s <= EXPIRY_S; expiry_s += EXPIRY_S) {
        unsigned reader = begin(), link = join("phone", true, expiry_s, 0);
        expect_asked("");
        lose(link);
        expect_asked(expiry_s == 0 ? "phone will will gone\nphone gone -1\n"
                                   : "phone will will gone\nphone gone -1 for now\n");
        CHECK_TRUE(hears_nothing(reader));
        answer(0, HOOK_ALLOW);
        expect_publish(reader, MQTT_V5, "will", "gone");
        pass(2 * EXPIRY_S);
        CHECK_TRUE(hears_nothing(reader));
        rig_end();
    }
}

TEST(a_will_that_is_denied_or_decided_too_late_does_not_go_out)
{
    static const enum hook_verdict rows[] = { HOOK_DENY, HOOK_LATE, HOOK_DEFER };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        unsigned reader = begin(), link = join("phone", true, i % 2 == 0 ? 0 : EXPIRY_S, 0);
        lose(link);
        answer(0, rows[i / 2]);
        pass(2 * EXPIRY_S);
        CHECK_TRUE(hears_nothing(reader));
        rig_end();
    }
}

TEST(a_plugin_may_decide_on_a_will_at_once)
{
    static const enum hook_verdict rows[] = { HOOK_ALLOW, HOOK_DENY };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        unsigned reader = begin(), link = join("phone", true, i % 2 == 0 ? 0 : EXPIRY_S, 0);
        plugins.at_once = true;
        plugins.answer = (uint8_t)rows[i / 2];
        lose(link);
        if (rows[i / 2] == HOOK_ALLOW) expect_publish(reader, MQTT_V5, "will", "gone");
        CHECK_TRUE(hears_nothing(reader));
        rig_end();
    }
}

TEST(who_says_good_bye_has_no_will_to_ask_about)
{
    begin();
    unsigned link = join("phone", true, EXPIRY_S, 0);
    send_disconnect(link);
    expect_asked("phone gone 0 for now\n");
    rig_end();
}

/* The client is long gone for plugins: they see one that was never in. */
TEST(a_delayed_will_is_asked_about_when_its_delay_is_over)
{
    unsigned reader = begin(), link = join("phone", true, EXPIRY_S, DELAY_S);
    lose(link);
    expect_asked("phone gone -1 for now\n");
    pass(DELAY_S);
    expect_asked("phone will will gone\n");
    CHECK_TRUE(hears_nothing(reader));
    answer(0, HOOK_ALLOW);
    expect_asked("phone gone -1 never in\n");
    expect_publish(reader, MQTT_V5, "will", "gone");
    rig_end();
}

TEST(a_client_that_is_back_before_its_will_is_decided_on_does_not_stop_it)
{
    for (int i = 0; i < 2; i++) {
        enum hook_verdict verdict = i == 0 ? HOOK_ALLOW : HOOK_DENY;
        unsigned reader = begin(), link = join("phone", true, EXPIRY_S, 0);
        lose(link);
        link = join("phone", true, EXPIRY_S, 0);
        answer(0, verdict);
        if (verdict == HOOK_ALLOW) expect_publish(reader, MQTT_V5, "will", "gone");
        CHECK_TRUE(hears_nothing(reader));
        lose(link); /* the new one's will is another */
        answer(1, HOOK_ALLOW);
        expect_publish(reader, MQTT_V5, "will", "gone");
        rig_end();
    }
}

TEST(the_will_of_one_that_is_taken_over_is_asked_about_too)
{
    unsigned reader = begin(), old = join("phone", true, EXPIRY_S, 0);
    join("phone", false, EXPIRY_S, 0);
    expect_disconnect(old, MQTT_RC_TAKEN_OVER);
    CHECK_INT(1, plugins.count);
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "will", "gone");
    rig_end();
}

TEST(a_session_may_end_while_its_will_is_asked_about)
{
    unsigned reader = begin(), link = join("phone", true, DELAY_S, 0);
    lose(link);
    pass(2 * DELAY_S);
    CHECK_TRUE(hears_nothing(reader));
    answer(0, HOOK_ALLOW);
    expect_publish(reader, MQTT_V5, "will", "gone");
    rig_end();
}
