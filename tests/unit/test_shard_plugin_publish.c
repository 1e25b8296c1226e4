/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "kit/test.h"
#include "unit/reads_rig.h"
#include <stdlib.h>
#include <string.h>

/* What plugins ask of the broker: messages and kicks. */

static void check_heard(const char *want, unsigned link)
{
    assert_string_equal(want, reads_heard(link));
}

static enum err publish(const struct hook_message *m)
{
    struct hook_broker b = rig_broker();
    enum err rc = b.publish(b.ctx, m);
    return rc;
}

static struct hook_message message(const char *topic, const char *payload, uint8_t qos)
{
    return (
        struct hook_message){ .topic = bytes_of_text(topic), .payload = bytes_of_text(payload), .qos = qos };
}

static void publish_text(const char *topic, const char *payload, uint8_t qos)
{
    struct hook_message m = message(topic, payload, qos);
    CHECK_INT(ERR_OK, publish(&m));
    rig_settle();
}

static void publish_to(const char *client, const char *payload, uint8_t qos)
{
    struct hook_message m = message("to/one", payload, qos);
    m.client_id = bytes_of_text(client);
    CHECK_INT(ERR_OK, publish(&m));
    rig_settle();
}

static enum err kick(const struct hook_kick *k)
{
    struct hook_broker b = rig_broker();
    enum err rc = b.kick(b.ctx, k);
    return rc;
}

static void begin(void)
{
    reads_begin(2, 0);
    reads_host.at_once = reads_allow;
}

/* --- to all */

TEST(a_message_of_a_plugin_is_one_of_nobody_and_goes_to_whoever_subscribes)
{
    begin();
    unsigned a = reads_connect("5 -a", 0), b = reads_connect("4 -b", 0), c = reads_connect("5 c", 0);
    reads_subscribe(a, "t/#", 2);
    reads_subscribe(b, "t/1", 1);
    reads_subscribe(c, "t/1", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) publish_text("t/1", "x", qos);
    check_heard("x x1 x2", a);
    check_heard("x x1 x1", b);
    check_heard("x x1 x2", c);
    CHECK_INT(8, reads_host.items - 1); /* READ is asked; publishing is not */
    reads_end();
}

TEST(a_message_of_a_plugin_is_kept_for_who_is_away)
{
    begin();
    unsigned a = reads_connect("5 a", 0);
    reads_subscribe(a, "t", 2);
    rig_break(a);
    rig_settle();
    publish_text("t", "1", 1);
    publish_text("t", "2", 2);
    publish_text("t", "0", 0);
    a = reads_connect("5 a", 0);
    check_heard("11 22", a);
    CHECK_INT(2, reads_ack_all(a));
    reads_end();
}

TEST(a_retained_message_of_a_plugin_is_retained)
{
    begin();
    struct hook_message m = message("t", "x", 1);
    m.retain = true;
    CHECK_INT(ERR_OK, publish(&m));
    rig_settle();
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    check_heard("xr", a);
    reads_end();
}

TEST(what_a_plugin_says_below_sys_is_said_by_the_broker)
{
    begin();
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "$SYS/mine", 2);
    publish_text("$SYS/mine", "x", 2);
    check_heard("x", a);
    reads_end();
}

/* Message Expiry Interval 2 and a user property. */
static const uint8_t expires[] = { 0x02, 0, 0, 0, 2, 0x26, 0, 1, 'k', 0, 1, 'v' };

TEST(a_message_of_a_plugin_expires)
{
    begin();
    unsigned a = reads_connect("5 a", 0);
    reads_subscribe(a, "t", 1);
    rig_break(a);
    rig_settle();
    struct hook_message m = message("t", "x", 1);
    m.block = bytes_of(expires, sizeof expires);
    CHECK_INT(ERR_OK, publish(&m));
    rig_settle();
    rig_advance(1000);
    m.payload = bytes_of_text("y");
    CHECK_INT(ERR_OK, publish(&m));
    rig_settle();
    rig_advance(1500);
    a = reads_connect("5 a", 0);
    check_heard("y1", a);
    reads_end();
}

TEST(what_no_publish_may_be_is_refused)
{
    begin();
    struct hook_message m = message("t/#", "x", 0);
    CHECK_INT(ERR_SYNTAX, publish(&m));
    m = message("", "x", 0);
    CHECK_INT(ERR_SYNTAX, publish(&m));
    m = message("t", "x", 3);
    CHECK_INT(ERR_SYNTAX, publish(&m));
    m = message("t", "x", 0);
    for (size_t cut = 1; cut < sizeof expires; cut++) {
        m.block = bytes_of(expires, cut);
        CHECK_INT(cut == 5 ? ERR_OK : ERR_SYNTAX, publish(&m));
    }
    m.block = bytes_of((const uint8_t *)"\x11\0\0\0\1", 5); /* Session Expiry Interval */
    CHECK_INT(ERR_SYNTAX, publish(&m));
    m.block = bytes_of(NULL, 0);
    m.payload.len = PACKET_BYTES_MAX;
    CHECK_INT(ERR_RANGE, publish(&m));
    rig_settle();
    reads_end();
}

/* --- to one */

static void to_one(const char *who)
{
    begin();
    unsigned a = reads_connect(who, 0), b = reads_connect("5 -b", 0);
    reads_subscribe(b, "#", 2);
    reads_host.at_once = reads_deny; /* nobody is asked */
    for (uint8_t qos = 0; qos <= 2; qos++) publish_to("a", "x", qos);
    check_heard("x x1 x2", a);
    CHECK_INT(2, reads_ack_all(a));
    CHECK_TRUE(rig_is_drained(a));
    check_heard("", b);
    CHECK_INT(0, reads_host.items);
    reads_end();
}

TEST(a_message_for_one_client_goes_to_it_whatever_it_subscribes_to)
{
    to_one("5 -a");
    to_one("4 -a");
    to_one("5 a");
}

TEST(a_message_for_a_client_that_is_not_connected_is_dropped)
{
    begin();
    unsigned a = reads_connect("5 a", 0);
    rig_break(a);
    rig_settle();
    publish_to("a", "x", 1);
    publish_to("nobody", "x", 1);
    a = reads_connect("5 a", 0);
    check_heard("", a);
    reads_end();
}

TEST(a_message_for_one_client_does_not_overtake_what_waits_for_plugins)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    publish_to("a", "2", 0);
    check_heard("", a);
    reads_answer_all(reads_deny);
    check_heard("2", a);
    reads_end();
}

TEST(a_message_for_one_client_says_nothing_of_what_it_may_read)
{
    reads_begin(1, 100);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "#", 0);
    reads_publish(a, "t", "1", 0);
    publish_to("a", "2", 0);
    reads_answer_all(reads_deny);
    check_heard("2", a);
    publish_text("to/one", "3", 0);
    CHECK_INT(1, reads_host.asked_count);
    reads_answer_all(reads_deny);
    check_heard("", a);
    reads_end();
}

/* --- kicks */

static unsigned with_will(const char *id, const char *username)
{
    struct connect c = { .version = MQTT_V5, .clean_start = true, .client_id = bytes_of_text(id) };
    c.has_username = username != NULL;
    if (username != NULL) c.username = bytes_of_text(username);
    c.has_will = true;
    c.will = (struct will){ .topic = bytes_of_text("wills"), .payload = c.client_id };
    return reads_connect_as(&c);
}

static void kick_and_settle(const struct hook_kick *k)
{
    CHECK_INT(ERR_OK, kick(k));
    rig_settle();
}

TEST(a_kick_by_client_id_ends_that_client_alone_without_its_will)
{
    begin();
    unsigned a = with_will("a", NULL), b = with_will("b", NULL), w = reads_connect("5 -w", 0);
    reads_subscribe(w, "wills", 0);
    kick_and_settle(&(struct hook_kick){ .client_id = bytes_of_text("a") });
    check_heard("!98", a);
    check_heard("", b);
    check_heard("", w);
    CHECK_TRUE(rig_is_read(b));
    CHECK_INT(1, rig_metric(METRIC_plugin_kicks_total));
    reads_end();
}

TEST(a_kick_can_leave_the_will_and_say_another_code)
{
    begin();
    unsigned a = with_will("a", NULL), w = reads_connect("5 -w", 0);
    reads_subscribe(w, "wills", 0);
    kick_and_settle(&(struct hook_kick){ .client_id = bytes_of_text("a"), .with_will = true, .code = 0x87 });
    check_heard("!87", a);
    check_heard("a", w);
    reads_end();
}

TEST(a_kick_by_user_name_ends_all_of_that_name_on_all_shards)
{
    begin();
    unsigned links[8];
    for (unsigned i = 0; i < 8; i++) {
        char id[] = { (char)('a' + i), '\0' };
        links[i] = with_will(id, i % 2 == 0 ? "even" : i % 4 == 1 ? "odd" : NULL);
    }
    kick_and_settle(&(struct hook_kick){ .username = bytes_of_text("even") });
    for (unsigned i = 0; i < 8; i++) check_heard(i % 2 == 0 ? "!98" : "", links[i]);
    kick_and_settle(&(struct hook_kick){ .username = bytes_of_text("") });
    for (unsigned i = 0; i < 8; i++) check_heard(i % 4 == 3 ? "!98" : "", links[i]);
    kick_and_settle(&(struct hook_kick){ .with_will = true });
    for (unsigned i = 0; i < 8; i++) check_heard(i % 4 == 1 ? "!98" : "", links[i]);
    CHECK_INT(8, rig_metric(METRIC_plugin_kicks_total));
    reads_end();
}

/* The connection that plugins know, as they know it. */
static struct hook_kick by_connection(void)
{
    const struct hook_client *c = reads_host.asked[0]->item(reads_host.asked[0], 0)->client;
    const struct hook_client_conf *facts = hook_client_facts(c);
    return (struct hook_kick){ .conn_id = facts->conn_id, .shard = facts->shard };
}

TEST(a_kick_by_connection_does_not_end_the_one_that_took_over)
{
    reads_begin(2, 0);
    unsigned a = reads_connect("5 a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    struct hook_kick k = by_connection();
    unsigned b = reads_connect("5 a", 0);
    kick_and_settle(&k);
    CHECK_TRUE(rig_is_read(b));
    CHECK_INT(0, rig_metric(METRIC_plugin_kicks_total));
    reads_answer_all(reads_allow);
    reads_publish(b, "t", "2", 0);
    k = by_connection();
    kick_and_settle(&k);
    check_heard("!98", b);
    k.shard = 2;
    CHECK_INT(ERR_NOTFOUND, kick(&k));
    reads_end();
}

TEST(messages_and_kicks_are_done_in_the_order_in_which_they_were_asked)
{
    begin();
    static const char *const ids[] = { "a", "b", "c", "d" }; /* on both shards */
    for (unsigned i = 0; i < 4; i++) {
        char who[] = { '5', ' ', '-', ids[i][0], '\0' };
        unsigned a = reads_connect(who, 0);
        struct hook_message m = message("to/one", "1", 0);
        m.client_id = bytes_of_text(ids[i]);
        CHECK_INT(ERR_OK, publish(&m));
        CHECK_INT(ERR_OK, kick(&(struct hook_kick){ .client_id = m.client_id }));
        m.payload = bytes_of_text("2");
        CHECK_INT(ERR_OK, publish(&m));
        rig_settle();
        check_heard("1 !98", a);
    }
    reads_end();
}

TEST(a_kick_makes_verdicts_be_forgotten)
{
    reads_begin(1, 100);
    reads_host.at_once = reads_allow;
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    reads_publish(a, "t", "2", 0);
    CHECK_INT(1, reads_host.items);
    kick_and_settle(&(struct hook_kick){ .client_id = bytes_of_text("nobody") });
    reads_publish(a, "t", "3", 0);
    CHECK_INT(2, reads_host.items);
    struct hook_broker b = rig_broker();
    b.forget(b.ctx);
    reads_publish(a, "t", "4", 0);
    CHECK_INT(3, reads_host.items);
    reads_end();
}

/* --- limits */

TEST(only_so_many_words_of_plugins_are_under_way)
{
    begin();
    struct hook_message m = message("t", "x", 0);
    for (unsigned i = 0; i < PLUGIN_PUBLISHES_MAX; i++) CHECK_INT(ERR_OK, publish(&m));
    CHECK_INT(ERR_FULL, publish(&m));
    CHECK_INT(ERR_FULL, kick(&(struct hook_kick){ .client_id = bytes_of_text("a") }));
    rig_settle();
    CHECK_INT(2, rig_metric(METRIC_plugin_refused_total));
    CHECK_INT(ERR_OK, publish(&m));
    rig_settle();
    reads_end();
}

TEST(what_the_journal_has_is_under_way)
{
    enum { PART = PLUGIN_PUBLISH_BYTES_MAX / 16 };
    uint8_t *payload = calloc(1, PART);
    assert_non_null(payload);
    begin();
    unsigned a = reads_connect("5 a", 0);
    reads_subscribe(a, "t", 1);
    rig_break(a);
    rig_settle();
    rig_journal_hold(true);
    struct hook_message m = message("t", "", 1);
    m.payload = bytes_of(payload, PART);
    for (unsigned i = 0; i < 15; i++) CHECK_INT(ERR_OK, publish(&m));
    for (unsigned i = 0; i < 4; i++) rig_turn_all();
    CHECK_INT(ERR_FULL, publish(&m));
    rig_settle();
    CHECK_INT(ERR_OK, publish(&m));
    rig_settle();
    CHECK_INT(1, rig_metric(METRIC_plugin_refused_total));
    reads_end();
    free(payload);
}
