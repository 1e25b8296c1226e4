/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "kit/test.h"
#include "unit/reads_rig.h"
#include <stdio.h>
#include <string.h>

/* READ checks of deliveries, against plugins that answer when the test says so: the order of each client, its
 * window, and what becomes of what may not be read. */

static void check_heard(const char *want, unsigned link)
{
    assert_string_equal(want, reads_heard(link));
}

static enum hook_verdict all_but_2(const struct hook_read *r)
{
    return reads_is(r, "2") ? HOOK_DENY : HOOK_ALLOW;
}

static enum hook_verdict late_from_2(const struct hook_read *r)
{
    return reads_is(r, "1") ? HOOK_ALLOW : HOOK_LATE;
}

static enum hook_verdict only_b(const struct hook_read *r)
{
    return strcmp(hook_client_id(r->client), "b") == 0 ? HOOK_ALLOW : HOOK_DENY;
}

/* Payloads "1" and so on. */
static void publish_some(unsigned link, const char *topic, unsigned from, unsigned upto, uint8_t qos)
{
    for (unsigned i = from; i <= upto; i++) {
        char payload[12];
        (void)snprintf(payload, sizeof payload, "%u", i);
        reads_publish(link, topic, payload, qos);
    }
}

TEST(nothing_is_sent_before_plugins_have_said_so)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(p, "t", "1", 0);
    check_heard("", a);
    CHECK_INT(1, reads_host.asked_count);
    const struct hook_read *r = reads_host.asked[0]->item(reads_host.asked[0], 0);
    assert_string_equal("a", hook_client_id(r->client));
    CHECK_TRUE(bytes_equal(bytes_of_text("t"), msg_topic(r->msg)));
    reads_answer(reads_allow);
    check_heard("1", a);
    reads_end();
}

TEST(answers_in_another_order_are_sent_in_the_order_of_asking)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0), b = reads_connect("4 -b", 0);
    reads_subscribe(a, "t", 1);
    reads_subscribe(b, "t", 0);
    reads_publish(b, "t", "1", 0);
    reads_publish(b, "t", "2", 1);
    reads_publish(b, "t", "3", 0);
    CHECK_INT(3, reads_host.asked_count);
    reads_answer_nth(2, reads_allow);
    reads_answer_nth(1, reads_allow);
    check_heard("", a);
    check_heard("", b);
    reads_answer(reads_allow);
    check_heard("1 21 3", a);
    check_heard("1 2 3", b);
    reads_end();
}

TEST(where_nobody_decides_the_acl_file_would_have_to_and_there_is_none)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    reads_answer(reads_defer);
    check_heard("", a);
    CHECK_INT(1, rig_metric(METRIC_deliveries_denied_total));
    reads_end();
}

TEST(plugins_that_answer_at_once_hold_nothing_up)
{
    reads_begin(1, 0);
    reads_host.at_once = all_but_2;
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 2);
    for (uint8_t qos = 0; qos <= 2; qos++) publish_some(a, "t", 1, 3, qos);
    check_heard("1 3 11 31 12 32", a);
    CHECK_INT(3, rig_metric(METRIC_deliveries_denied_total));
    CHECK_INT(4, reads_ack_all(a));
    CHECK_TRUE(rig_is_drained(a));
    reads_end();
}

TEST(plugins_that_care_no_more_are_asked_no_more_and_the_order_stays)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    reads_host.wants = 0;
    reads_publish(a, "t", "2", 0); /* behind what waits */
    check_heard("", a);
    reads_answer(reads_allow);
    reads_answer_all(reads_defer);
    check_heard("1 2", a);
    reads_publish(a, "t", "3", 0);
    CHECK_INT(0, reads_host.asked_count);
    check_heard("3", a);
    reads_end();
}

TEST(a_reload_that_gives_a_door_other_hooks_does_not_change_the_order)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    struct hooks others = { .ops = reads_host.hooks.ops };
    ref_init(&others.ref, 1);
    rig_set_hooks(&others);
    reads_host.at_once = reads_allow;
    reads_publish(a, "t", "2", 0);
    check_heard("", a);
    reads_answer(reads_allow);
    reads_publish(a, "t", "3", 0);
    check_heard("1 2 3", a);
    reads_end();
}

/* --- the window */

static void deny_the_second(const char *who, uint8_t qos, const char *first, const char *then)
{
    reads_begin(1, 0);
    unsigned a = reads_connect(who, 2), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "t", qos);
    publish_some(p, "t", 1, 4, qos);
    CHECK_INT(2, reads_host.items); /* the window */
    reads_answer_all(all_but_2);
    check_heard(first, a); /* what was denied has left its place to another one */
    CHECK_TRUE(reads_id(a, 0) != reads_id(a, 1));
    CHECK_INT(1, rig_metric(METRIC_deliveries_denied_total));
    CHECK_INT(2, reads_ack_all(a));
    reads_answer_all(reads_allow);
    check_heard(then, a);
    CHECK_INT(1, reads_ack_all(a));
    CHECK_TRUE(rig_is_drained(a));
    reads_end();
}

TEST(what_is_denied_in_the_middle_leaves_its_place_in_the_window)
{
    deny_the_second("5 -a", 1, "11 31", "41");
    deny_the_second("5 -a", 2, "12 32", "42");
    deny_the_second("5 a", 1, "11 31", "41");
    deny_the_second("5 a", 2, "12 32", "42");
}

TEST(a_client_that_answers_what_it_was_not_sent_is_not_sent_it)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "t", 2);
    publish_some(p, "t", 1, 1, 1);
    reads_answer_all(reads_allow);
    uint16_t id = reads_id(a, 0);
    reads_ack_all(a);
    check_heard("11", a);
    publish_some(p, "t", 2, 3, 1);
    reads_ack(a, PACKET_PUBACK, (uint16_t)(id + 1));
    reads_answer_all(all_but_2);
    check_heard("31", a);
    publish_some(p, "t", 4, 4, 2);
    reads_ack(a, PACKET_PUBREC, (uint16_t)(id + 3));
    reads_answer_all(reads_deny);
    check_heard("", a);
    CHECK_INT(1, reads_releases(a));
    reads_end();
}

/* --- what is late */

TEST(what_is_late_is_asked_again_in_its_place)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "#", 1);
    for (unsigned i = 0; i < 4; i++) reads_publish(p, "busy", "x", 0); /* what comes next gathers */
    publish_some(p, "t", 1, 3, 1);
    for (unsigned i = 0; i < 4; i++) reads_answer(reads_allow);
    check_heard("x x x x", a);
    reads_publish(p, "t", "4", 0);
    CHECK_INT(2, reads_host.asked_count);
    reads_answer(late_from_2);
    check_heard("11", a);
    CHECK_INT(1, rig_metric(METRIC_reads_asked_again_total));
    reads_answer_nth(0, reads_allow); /* 4, which was asked before */
    check_heard("", a);
    reads_answer(reads_allow);
    check_heard("21 31 4", a);
    reads_end();
}

static void answer_late_as_a_whole(void)
{
    reads_host.asked[0]->ask.verdict = HOOK_LATE; /* its items are as they were */
    reads_answer(reads_defer);
}

TEST(a_question_that_is_late_as_a_whole_is_asked_again)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    for (unsigned i = 0; i < 3; i++) answer_late_as_a_whole();
    check_heard("", a);
    CHECK_INT(3, rig_metric(METRIC_reads_asked_again_total));
    reads_answer(reads_allow);
    check_heard("1", a);
    reads_end();
}

/* --- connections that go and come */

static void lose_the_connection(uint8_t qos, const char *resent)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 a", 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "t", 2);
    publish_some(p, "t", 1, 2, qos);
    CHECK_INT(2, reads_host.items);
    rig_break(a);
    rig_settle();
    reads_answer_all(reads_allow);
    a = reads_connect("5 a", 0);
    check_heard("", a);
    CHECK_INT(4, reads_host.items);
    reads_answer_all(reads_allow);
    check_heard(resent, a);
    CHECK_INT(2, reads_ack_all(a));
    CHECK_TRUE(rig_is_drained(a));
    reads_end();
}

TEST(what_waits_while_its_connection_is_lost_goes_over_the_next_one)
{
    lose_the_connection(1, "11d 21d");
    lose_the_connection(2, "12d 22d");
}

static void take_over(uint8_t qos, const char *resent)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 a", 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "t", 2);
    publish_some(p, "t", 1, 1, qos);
    unsigned b = reads_connect("5 a", 0);
    CHECK_INT(2, reads_host.asked_count);
    reads_answer_nth(1, reads_allow); /* the new connection's first */
    reads_answer(reads_deny);         /* of the old one: nobody's any more */
    check_heard(resent, b);
    CHECK_INT(0, rig_metric(METRIC_deliveries_denied_total));
    CHECK_INT(1, reads_ack_all(b));
    CHECK_TRUE(rig_is_drained(b));
    reads_end();
}

TEST(a_takeover_leaves_what_was_asked_for_the_old_connection_behind)
{
    take_over(1, "11d");
    take_over(2, "12d");
}

TEST(a_client_that_is_gone_is_not_mentioned_again)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0), b = reads_connect("5 -b", 0);
    reads_subscribe(a, "t", 0);
    reads_subscribe(b, "t", 0);
    publish_some(b, "t", 1, 6, 0);
    CHECK_INT(8, reads_host.items); /* the last two gather */
    rig_break(a);
    rig_settle();
    reads_host.gone = "a";
    reads_answer_all(reads_allow);
    CHECK_INT(10, reads_host.items);
    check_heard("1 2 3 4 5 6", b);
    reads_end();
}

/* --- shared subscriptions */

static void share(uint8_t qos, const char *who_a, const char *who_b, const char *want)
{
    reads_begin(2, 0);
    unsigned a = reads_connect(who_a, 0), b = reads_connect(who_b, 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "$share/g/t", qos);
    reads_subscribe(b, "$share/g/t", qos);
    publish_some(p, "t", 1, 4, qos);
    reads_answer_all(only_b);
    check_heard("", a);
    const char *heard = reads_heard(b);
    for (const char *c = want; *c != '\0'; c++) CHECK_TRUE(strchr(heard, *c) != NULL);
    CHECK_INT(4, reads_ack_all(b));
    CHECK_INT(0, rig_metric(METRIC_deliveries_denied_total));
    reads_end();
}

TEST(a_shared_message_goes_to_a_member_that_may_read_it)
{
    share(1, "5 -a", "5 -b", "1234");
    share(1, "5 a", "5 b", "1234");
}

TEST(a_shared_message_that_no_member_may_read_is_dropped_and_counted_once)
{
    reads_begin(2, 0);
    unsigned a = reads_connect("5 -a", 0), b = reads_connect("5 -b", 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "$share/g/t", 1);
    reads_subscribe(b, "$share/g/t", 1);
    publish_some(p, "t", 1, 2, 1);
    reads_answer_all(reads_deny);
    CHECK_INT(4, reads_host.items);
    CHECK_INT(2, rig_metric(METRIC_deliveries_denied_total));
    publish_some(p, "t", 3, 3, 1);
    reads_answer_all(reads_allow);
    CHECK_INT(1, strlen(reads_heard(a)) / 2 + strlen(reads_heard(b)) / 2);
    reads_end();
}

TEST(shared_messages_of_qos_0_and_2_that_may_not_be_read_are_dropped_and_counted)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 1), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "$share/g/t", 2);
    reads_publish(p, "t", "1", 0);
    reads_publish(p, "t", "2", 2);
    reads_answer_all(reads_deny);
    CHECK_INT(2, rig_metric(METRIC_deliveries_denied_total));
    reads_publish(p, "t", "3", 0);
    reads_publish(p, "t", "4", 2);
    reads_answer_all(reads_allow);
    check_heard("3 42", a);
    CHECK_INT(1, reads_ack_all(a));
    reads_end();
}

/* --- retained */

TEST(retained_messages_are_asked_about_when_somebody_subscribes)
{
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0);
    reads_retain(a, "x/1", "1");
    reads_retain(a, "x/2", "2");
    reads_retain(a, "x/3", "3");
    CHECK_INT(0, reads_host.items);
    reads_subscribe(a, "x/#", 0);
    reads_answer_all(all_but_2);
    check_heard("1r 3r", a);
    CHECK_INT(1, rig_metric(METRIC_deliveries_denied_total));
    reads_end();
}

/* --- many */

TEST(a_message_to_many_is_one_question_and_each_gets_his_own)
{
    enum { RECEIVERS = 12, MESSAGES = 60 };
    static const char *const who[] = { "4 -r0", "5 -r0" };
    unsigned links[RECEIVERS];
    char id[8], want[512] = "", own[512] = "";
    reads_begin(1, 0);
    unsigned p = reads_connect("4 -p", 0);
    for (unsigned i = 0; i < RECEIVERS; i++) {
        (void)snprintf(id, sizeof id, "%.4s%c", who[i % 2], 'a' + (int)i);
        links[i] = reads_connect(id, 0);
        if (i == 1)
            reads_subscribe_as(links[i], "t", 7);
        else
            reads_subscribe(links[i], "t", 0);
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        char payload[8];
        (void)snprintf(payload, sizeof payload, "%u", i);
        reads_publish(p, "t", payload, 0);
        (void)snprintf(want + strlen(want), sizeof want - strlen(want), "%s%u", i > 0 ? " " : "", i);
        (void)snprintf(own + strlen(own), sizeof own - strlen(own), "%s%u#7", i > 0 ? " " : "", i);
    }
    CHECK_TRUE(reads_host.asked_count < 8); /* those that come later gather */
    reads_answer_all(reads_allow);
    CHECK_INT(RECEIVERS * MESSAGES, reads_host.items);
    CHECK_INT(READS_A_VECTOR, reads_host.most_items);
    for (unsigned i = 0; i < RECEIVERS; i++) check_heard(i == 1 ? own : want, links[i]);
    reads_end();
}

TEST(qos_0_that_waits_for_slow_plugins_has_a_limit)
{
    enum { MESSAGES = 300, PAYLOAD_BYTES = 60000, ALWAYS = OUT_BYTES_QOS0_MAX / PAYLOAD_BYTES / 2 };
    static char payload[PAYLOAD_BYTES + 1];
    memset(payload, 'x', PAYLOAD_BYTES);
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 0), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "t", 0);
    for (unsigned i = 0; i < MESSAGES; i++) reads_publish(p, "t", payload, 0);
    int64_t dropped = rig_metric(METRIC_publish_dropped_qos0_total);
    CHECK_TRUE(dropped > 0 && dropped < MESSAGES - ALWAYS);
    reads_answer_all(reads_deny);
    CHECK_INT(MESSAGES - dropped, rig_metric(METRIC_deliveries_denied_total));
    reads_publish(p, "t", "1", 0);
    reads_answer_all(reads_allow);
    check_heard("1", a);
    reads_end();
}

TEST(a_client_that_asks_for_more_than_may_wait_is_not_read_for_a_while)
{
    enum { MESSAGES = 60, PAYLOAD_BYTES = 60000 };
    static char payload[PAYLOAD_BYTES + 1];
    memset(payload, 'x', PAYLOAD_BYTES);
    reads_begin(1, 0);
    unsigned a = reads_connect("5 -a", 1000), p = reads_connect("4 -p", 0);
    reads_subscribe(a, "t", 1);
    for (unsigned i = 0; i < MESSAGES; i++) reads_publish(p, "t", payload, 1);
    CHECK_TRUE(reads_host.items < MESSAGES / 2); /* as the window does when output waits */
    reads_answer_all(reads_deny);
    CHECK_INT(MESSAGES, reads_host.items);
    CHECK_INT(MESSAGES, rig_metric(METRIC_deliveries_denied_total));
    CHECK_TRUE(rig_is_drained(a));
    reads_end();
}

/* --- what is remembered */

/* option: acl_cache_seconds */

TEST(a_verdict_is_remembered_as_long_as_the_option_says)
{
    reads_begin(1, 10);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "#", 0);
    reads_publish(a, "t", "1", 0);
    reads_publish(a, "u", "2", 0);
    reads_answer_all(all_but_2);
    reads_publish(a, "t", "3", 0);
    reads_publish(a, "u", "4", 0);
    CHECK_INT(2, reads_host.items);
    CHECK_INT(2, rig_metric(METRIC_deliveries_denied_total));
    check_heard("1 3", a);
    rig_advance(10000);
    reads_publish(a, "t", "5", 0);
    CHECK_INT(3, reads_host.items);
    reads_answer_all(reads_deny);
    reads_publish(a, "t", "6", 0);
    CHECK_INT(3, reads_host.items);
    check_heard("", a);
    reads_end();
}

TEST(what_is_remembered_does_not_overtake_what_waits)
{
    reads_begin(1, 10);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "#", 0);
    reads_publish(a, "t", "1", 0);
    reads_answer_all(reads_allow);
    reads_publish(a, "u", "2", 0);
    reads_publish(a, "t", "3", 0);
    check_heard("1", a);
    reads_answer_all(reads_allow);
    check_heard("2 3", a);
    reads_end();
}

TEST(the_right_to_publish_is_remembered_too)
{
    reads_begin(1, 10);
    reads_host.at_once = reads_allow;
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "#", 0);
    publish_some(a, "t", 1, 3, 0);
    CHECK_INT(1, reads_host.writes);
    check_heard("1 2 3", a);
    reads_host.write = HOOK_DENY;
    publish_some(a, "u", 4, 5, 0);
    CHECK_INT(2, reads_host.writes);
    check_heard("", a);
    rig_advance(10000);
    reads_publish(a, "t", "6", 0);
    CHECK_INT(3, reads_host.writes);
    check_heard("", a);
    reads_end();
}

TEST(a_denial_that_may_be_the_messages_is_not_remembered)
{
    reads_begin(1, 10);
    reads_host.wants |= HOOK_EVENT_MESSAGE;
    reads_host.at_once = reads_allow;
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "#", 0);
    reads_host.write = HOOK_DENY;
    reads_publish(a, "t", "1", 0);
    reads_host.write = HOOK_ALLOW;
    publish_some(a, "t", 2, 3, 0);
    CHECK_INT(3, reads_host.writes); /* of each message */
    check_heard("2 3", a);
    reads_end();
}

TEST(a_verdict_of_before_plugins_changed_their_mind_is_not_remembered)
{
    reads_begin(1, 10);
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "t", 0);
    reads_publish(a, "t", "1", 0);
    struct hook_broker b = rig_broker();
    b.forget(b.ctx); /* the answer is on its way */
    reads_answer(reads_allow);
    reads_publish(a, "t", "2", 0);
    check_heard("1", a);
    reads_answer(reads_deny);
    check_heard("", a);
    reads_end();
}

TEST(so_many_verdicts_of_a_client_are_remembered_at_most)
{
    char topic[16];
    reads_begin(1, 10);
    reads_host.at_once = reads_allow;
    unsigned a = reads_connect("5 -a", 0);
    reads_subscribe(a, "#", 0);
    for (unsigned i = 0; i <= VERDICTS_OF_CLIENT_MAX; i++) {
        (void)snprintf(topic, sizeof topic, "t/%u", i);
        reads_publish(a, topic, "x", 0);
    }
    CHECK_INT(VERDICTS_OF_CLIENT_MAX + 1, reads_host.items);
    reads_publish(a, topic, "x", 0);
    CHECK_INT(VERDICTS_OF_CLIENT_MAX + 1, reads_host.items);
    reads_publish(a, "t/0", "x", 0);
    CHECK_INT(VERDICTS_OF_CLIENT_MAX + 2, reads_host.items);
    reads_end();
}
