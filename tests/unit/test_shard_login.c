/* SPDX-License-Identifier: Apache-2.0 */
/* A CONNECT that plugins are asked about, and the end of a client as they hear it. */
#include "access/access.h"
#include "base/limits.h"
#include "unit/hook_kit.h"
#include <stdio.h>

enum { CONNECT_TIMEOUT_S = 5 };

static void anonymous(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
    c->connect_timeout_s = CONNECT_TIMEOUT_S;
}

static void nobody(struct config *c, void *ctx)
{
    anonymous(c, ctx);
    c->default_listener.security.allow_anonymous = false;
}

static unsigned try(uint8_t version, const char *id, const char *username, const char *password)
{
    struct connect p = { .version = version, .clean_start = true, .client_id = bytes_of_text(id) };
    p.has_username = username != NULL;
    p.has_password = password != NULL;
    if (username != NULL) p.username = bytes_of_text(username);
    if (password != NULL) p.password = bytes_of_text(password);
    return try_connect(&p);
}

TEST(a_client_that_plugins_allow_is_let_in_when_they_have_said_so)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, nobody);
    unsigned link = try(MQTT_V5, "phone", "me", "secret");
    expect_asked("phone login me secret\n");
    CHECK_TRUE(hears_nothing(link));
    CHECK_TRUE(!rig_is_read(link));
    answer(0, HOOK_ALLOW);
    expect_connack(link, MQTT_V5, 0);
    ping(link);
    rig_end();
}

TEST(who_has_no_name_is_asked_about_too)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, nobody);
    unsigned link = try(MQTT_V311, "phone", NULL, NULL);
    expect_asked("phone login - -\n");
    answer(0, HOOK_ALLOW);
    expect_connack(link, MQTT_V311, 0);
    rig_end();
}

TEST(plugins_may_take_longer_than_a_client_may)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, nobody);
    unsigned link = try(MQTT_V5, "phone", "me", "secret");
    rig_advance(100 * CONNECT_TIMEOUT_S * 1000);
    rig_turn(0);
    CHECK_TRUE(rig_is_open(link));
    answer(0, HOOK_ALLOW);
    expect_connack(link, MQTT_V5, 0);
    rig_advance(2 * CONNECT_TIMEOUT_S * 1000); /* that time is over and done with */
    rig_turn(0);
    ping(link);
    rig_end();
}

TEST(a_refusal_has_the_code_of_its_reason)
{
    static const struct {
        enum hook_verdict verdict;
        uint8_t code, v5, v3;
    } rows[] = { { HOOK_DENY, 0, MQTT_RC_NOT_AUTHORIZED, 5 },
                 { HOOK_DENY, MQTT_RC_BAD_USERNAME_PASSWORD, MQTT_RC_BAD_USERNAME_PASSWORD, 4 },
                 { HOOK_DENY, MQTT_RC_BANNED, MQTT_RC_BANNED, 5 },
                 { HOOK_DENY, MQTT_RC_KEEPALIVE_TIMEOUT, MQTT_RC_NOT_AUTHORIZED, 5 }, /* no CONNACK has it */
                 { HOOK_BUSY, 0, MQTT_RC_SERVER_BUSY, 3 },
                 { HOOK_LATE, 0, MQTT_RC_SERVER_UNAVAILABLE, 3 },
                 { HOOK_END, 0, MQTT_RC_NOT_AUTHORIZED, 5 } };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        uint8_t version = i % 2 == 0 ? MQTT_V5 : MQTT_V311;
        kit_begin(HOOK_EVENT_LOGIN, NULL, anonymous);
        unsigned link = try(version, "phone", "me", "wrong");
        plugins.asked[0]->code = rows[i / 2].code;
        answer(0, rows[i / 2].verdict);
        expect_connack(link, version, version == MQTT_V5 ? rows[i / 2].v5 : rows[i / 2].v3);
        rig_end();
    }
}

TEST(a_plugin_may_say_why_a_client_is_not_let_in)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, anonymous);
    unsigned link = try(MQTT_V5, "phone", "me", "wrong");
    say(0, MQTT_RC_BANNED, "until Monday");
    answer(0, HOOK_DENY);
    expect_connack_text(link, "until Monday");
    link = try(MQTT_V5, "phone", "me", "wrong");
    answer(1, HOOK_DENY);
    expect_connack_text(link, mqtt_rc_advice(MQTT_RC_NOT_AUTHORIZED));
    rig_end();
}

TEST(when_all_defer_a_name_that_no_file_knows_is_refused_and_nobody_is_welcome)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, anonymous);
    unsigned none = try(MQTT_V5, "one", NULL, NULL), name = try(MQTT_V5, "two", "me", "secret");
    answer(0, HOOK_DEFER);
    answer(1, HOOK_DEFER);
    expect_connack(none, MQTT_V5, 0);
    expect_connack(name, MQTT_V5, MQTT_RC_NOT_AUTHORIZED);
    rig_end();
    kit_begin(HOOK_EVENT_LOGIN, NULL, nobody);
    none = try(MQTT_V5, "one", NULL, NULL);
    answer(0, HOOK_DEFER);
    expect_connack(none, MQTT_V5, MQTT_RC_NOT_AUTHORIZED);
    rig_end();
}

TEST(a_plugin_that_says_it_may_be_called_at_once_is)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, nobody);
    plugins.at_once = true;
    plugins.answer = HOOK_ALLOW;
    unsigned link = try(MQTT_V5, "phone", "me", "secret");
    expect_connack(link, MQTT_V5, 0);
    plugins.answer = HOOK_DENY;
    link = try(MQTT_V5, "tablet", "me", "wrong");
    expect_connack(link, MQTT_V5, MQTT_RC_NOT_AUTHORIZED);
    rig_end();
}

TEST(plugins_that_do_not_want_logins_are_not_asked)
{
    kit_begin(HOOK_EVENT_ACL, NULL, anonymous);
    unsigned link = try(MQTT_V5, "phone", "me", "secret");
    expect_connack(link, MQTT_V5, 0);
    expect_asked("");
    rig_end();
}

TEST(a_client_that_goes_while_it_is_asked_about_is_gone_and_was_never_in)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, nobody);
    unsigned link = try(MQTT_V5, "phone", "me", "secret");
    rig_break(link);
    rig_settle();
    CHECK_TRUE(!rig_is_open(link));
    expect_asked("phone login me secret\nphone gone -1 never in\n");
    answer(0, HOOK_ALLOW); /* too late for anybody */
    rig_end();
}

TEST(plugins_hear_why_a_client_has_gone)
{
    kit_begin(HOOK_EVENT_DISCONNECT, NULL, anonymous);
    unsigned said = try(MQTT_V5, "a", NULL, NULL), lost = try(MQTT_V5, "b", NULL, NULL);
    unsigned wrong = try(MQTT_V5, "c", NULL, NULL), will = try(MQTT_V5, "d", NULL, NULL);
    unsigned old = try(MQTT_V5, "e", NULL, NULL);
    send_disconnect(said);
    rig_break(lost);
    rig_settle();
    send_bytes(wrong, "\x00\x00", 2);
    send_bytes(will, "\xe0\x01\x04", 3);
    unsigned new = try(MQTT_V5, "e", NULL, NULL);
    expect_connack(new, MQTT_V5, 0);
    (void)old;
    char want[128];
    (void)snprintf(want, sizeof want, "a gone 0\nb gone -1\nc gone %d\nd gone 4\ne gone %d\n",
                   MQTT_RC_MALFORMED, MQTT_RC_TAKEN_OVER);
    expect_asked(want);
    rig_end();
}

TEST(plugins_hear_whose_session_stays)
{
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text("kept") };
    static const uint8_t now[] = {
        0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0
    }; /* DISCONNECT: Session Expiry Interval 0 */
    kit_begin(HOOK_EVENT_DISCONNECT, NULL, anonymous);
    PROPS_SET(&p.props, session_expiry, 1000);
    rig_break(try_connect(&p));
    rig_settle();
    unsigned old = try_connect(&p), new = try_connect(&p);
    expect_connack(new, MQTT_V5, 0);
    send_bytes(new, now, sizeof now);
    rig_break(try(MQTT_V311, "older", NULL, NULL));
    rig_settle();
    (void)old;
    char want[128];
    (void)snprintf(want, sizeof want, "kept gone -1 for now\nkept gone %d\nkept gone 0\nolder gone -1\n",
                   MQTT_RC_TAKEN_OVER);
    expect_asked(want);
    rig_end();
}

/* A rule of the ACL file is for the name that the plugin has given. */
TEST(the_name_that_a_plugin_gives_is_the_clients)
{
    struct access *access;
    struct access_notes notes = { 0 };
    struct access_source none = { 0 };
    struct access_source rules = { "acl", bytes_of_text("user boss\ntopic write t\n") };
    CHECK_INT(ERR_OK, access_parse(&access, &none, &rules, &notes));
    kit_begin(HOOK_EVENT_LOGIN, access, nobody);
    unsigned link = try(MQTT_V5, "phone", "me", "secret");
    CHECK_INT(ERR_OK, hook_client_set_username(plugins.asked[0]->client, "boss"));
    answer(0, HOOK_ALLOW);
    expect_connack(link, MQTT_V5, 0);
    publish_text(link, MQTT_V5, "t", 1, 1);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 1, MQTT_RC_NO_MATCHING_SUBSCRIBERS);
    publish_text(link, MQTT_V5, "u", 1, 2);
    expect_ack(link, MQTT_V5, PACKET_PUBACK, 2, MQTT_RC_NOT_AUTHORIZED);
    rig_end();
    access_unref(&access);
}

TEST(plugins_know_how_many_subscriptions_a_client_has)
{
    kit_begin(HOOK_EVENT_LOGIN, NULL, nobody);
    unsigned link = try(MQTT_V5, "phone", "me", "secret");
    struct hook_client *client = hook_client_ref(plugins.asked[0]->client);
    answer(0, HOOK_ALLOW);
    send_subscribe(link, MQTT_V5, 1, "a", "b");
    CHECK_INT(2, gauge_count(hook_client_subs(client)));
    send_unsubscribe(link, MQTT_V5, 2, "a");
    CHECK_INT(1, gauge_count(hook_client_subs(client)));
    send_subscribe(link, MQTT_V5, 3, "$share/g/a", NULL);
    CHECK_INT(2, gauge_count(hook_client_subs(client)));
    hook_client_unref(&client);
    rig_end();
}
