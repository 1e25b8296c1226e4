/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard sees of its clients' ways, and what it tells them: with the test's clock, and with what the
 * test says that TCP knows. */
#include "base/limits.h"
#include "net/address.h"
#include "shard/keepalive_way.h"
#include "unit/hook_kit.h"
#include <stdio.h>

enum { ASKED_S = 570, LOOK_MS = 2500, FOLD_MS = 61 * 1000 };

static const struct net_address here = { .kind = ADDRESS_V4, .bytes = { 192, 0, 2, 7 } };

static void anonymous(struct config *c, void *ctx)
{
    (void)ctx;
    c->default_listener.security.allow_anonymous = true;
}

static void learns(struct config *c, void *ctx)
{
    anonymous(c, ctx);
    c->default_listener.keepalive_mode = CONFIG_KEEPALIVE_LEARN;
}

static void leaves_alone(struct config *c, void *ctx)
{
    anonymous(c, ctx);
    c->default_listener.keepalive_mode = CONFIG_KEEPALIVE_OFF;
}

static void begin(void (*options)(struct config *c, void *ctx))
{
    kit_begin(0, NULL, options);
    rig_come_from(&here);
}

static void end(void)
{
    rig_come_from(&(struct net_address){ .kind = ADDRESS_NONE });
    rig_end();
}

static void pass(uint64_t s)
{
    rig_advance(s * 1000);
    rig_turn(0); /* for what is due by now */
    rig_settle();
}

/* A client that is connected; *told is its Server Keep Alive, 0 if there is none. */
static unsigned come(uint8_t version, uint16_t keepalive_s, const char *key, const char *value,
                     uint16_t *told)
{
    uint8_t user[128];
    struct wr w = { .at = user, .left = sizeof user };
    struct connack a;
    struct connect p = { .version = version, .clean_start = true, .client_id = bytes_of_text("phone") };
    p.keepalive_s = keepalive_s;
    if (key != NULL) props_user_encode(&w, bytes_of_text(key), bytes_of_text(value));
    p.props.user = bytes_of(user, sizeof user - w.left);
    unsigned link = try_connect(&p);
    rig_set_facts(link, &(struct transport_facts){ 0 });
    CHECK_INT(MQTT_RC_OK, connack_decode(next(link, PACKET_CONNACK).body, version, &a));
    CHECK_INT(0, a.code);
    *told = PROPS_HAS(&a.props, server_keepalive) ? a.props.server_keepalive : 0;
    return link;
}

static uint16_t plain(uint8_t version, unsigned *link)
{
    uint16_t told;
    *link = come(version, ASKED_S, NULL, NULL, &told);
    return told;
}

/* Comes again a moment after its ping was due: it went where nobody knew it any more. */
static uint16_t lose(uint8_t version, uint16_t after_s, unsigned *link)
{
    pass(after_s + 2);
    return plain(version, link);
}

static int64_t after_fold(enum metric m)
{
    pass(FOLD_MS / 1000);
    return rig_metric(m);
}

/* --- the interval */

TEST(a_client_whose_way_is_lost_in_its_silence_is_told_a_shorter_keepalive)
{
    unsigned link;
    begin(anonymous);
    CHECK_INT(0, plain(MQTT_V5, &link));
    CHECK_INT(0, lose(MQTT_V5, ASKED_S, &link)); /* once may be chance */
    uint16_t told = lose(MQTT_V5, ASKED_S, &link);
    CHECK_TRUE(told > 0 && told < ASKED_S);
    CHECK_TRUE(after_fold(METRIC_keepalive_deaths_total) >= 2);
    CHECK_INT(1, rig_metric(METRIC_keepalive_known));
    end();
}

TEST(what_it_was_told_holds_for_its_silence)
{
    unsigned link;
    begin(anonymous);
    plain(MQTT_V5, &link);
    lose(MQTT_V5, ASKED_S, &link);
    uint16_t told = lose(MQTT_V5, ASKED_S, &link);
    pass((uint64_t)told * 3 / 2 + 2);
    expect_disconnect(link, MQTT_RC_KEEPALIVE_TIMEOUT);
    end();
}

/* A client that was told a shorter interval, and heeds only its own. */
static uint16_t tell_shorter(unsigned *link)
{
    plain(MQTT_V5, link);
    lose(MQTT_V5, ASKED_S, link);
    return lose(MQTT_V5, ASKED_S, link);
}

static void be_ended_by(unsigned link, uint16_t told)
{
    pass((uint64_t)told * 3 / 2 + 2);
    expect_disconnect(link, MQTT_RC_KEEPALIVE_TIMEOUT);
}

enum { LINGERS_S = 4 };

TEST(a_client_that_is_silent_too_long_and_closes_when_it_is_told_so_is_told_no_less)
{
    unsigned link;
    begin(anonymous);
    uint16_t told = tell_shorter(&link);
    CHECK_TRUE(told > 0 && told < ASKED_S);
    int64_t deaths = after_fold(METRIC_keepalive_deaths_total);
    for (int i = 0; i < 20; i++) {
        be_ended_by(link, told);
        rig_finish(link);
        rig_settle();
        CHECK_TRUE(!rig_is_open(link));
        CHECK_INT(told, plain(MQTT_V5, &link));
    }
    CHECK_INT(deaths, after_fold(METRIC_keepalive_deaths_total));
    end();
}

enum goodbye { GOODBYE_NONE, GOODBYE_RESET, GOODBYE_TOO_LATE };

/* The client is back after it, or before it. */
static void go(unsigned link, enum goodbye how, unsigned *next_link, uint16_t *told)
{
    if (how == GOODBYE_NONE) pass(LINGERS_S);
    if (how == GOODBYE_RESET) {
        rig_set_facts(link, &(struct transport_facts){ .is_over = true, .ack_ms = 60 * 1000 });
        rig_break(link);
    }
    rig_settle();
    CHECK_INT(how == GOODBYE_TOO_LATE, rig_is_open(link));
    *told = plain(MQTT_V5, next_link);
    if (how != GOODBYE_TOO_LATE) return;
    rig_finish(link);
    rig_settle();
    CHECK_TRUE(!rig_is_open(link));
}

TEST(a_silent_client_whose_close_does_not_come_or_comes_after_its_return_is_told_less)
{
    for (int how = GOODBYE_NONE; how <= GOODBYE_TOO_LATE; how++) {
        unsigned link;
        begin(anonymous);
        uint16_t first = tell_shorter(&link), told = first;
        int64_t deaths = after_fold(METRIC_keepalive_deaths_total);
        for (int i = 0; i < 3; i++) {
            be_ended_by(link, told);
            go(link, (enum goodbye)how, &link, &told);
        }
        CHECK_TRUE(told > 0 && told < first);
        CHECK_INT(deaths + 3, after_fold(METRIC_keepalive_deaths_total));
        end();
    }
}

TEST(a_client_that_leaves_or_comes_back_in_the_middle_is_no_evidence)
{
    unsigned link;
    begin(anonymous);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(0, plain(MQTT_V5, &link));
        pass(i % 2 == 0 ? ASKED_S + 2 : 100);
        if (i % 2 == 0) send_disconnect(link);
        rig_settle();
    }
    CHECK_INT(0, plain(MQTT_V5, &link));
    CHECK_INT(0, after_fold(METRIC_keepalive_deaths_total));
    end();
}

TEST(on_another_network_it_has_its_own_keepalive_and_back_on_the_first_the_learned_one)
{
    const struct net_address there = { .kind = ADDRESS_V4, .bytes = { 198, 51, 100, 7 } };
    unsigned link;
    begin(anonymous);
    plain(MQTT_V5, &link);
    lose(MQTT_V5, ASKED_S, &link);
    uint16_t told = lose(MQTT_V5, ASKED_S, &link);
    rig_come_from(&there);
    CHECK_INT(0, plain(MQTT_V5, &link));
    rig_come_from(&here);
    CHECK_INT(told, plain(MQTT_V5, &link));
    end();
}

TEST(a_network_that_the_client_names_is_one_wherever_it_is)
{
    const struct net_address there = { .kind = ADDRESS_V4, .bytes = { 198, 51, 100, 7 } };
    uint16_t told;
    begin(anonymous);
    for (int i = 0; i < 3; i++) {
        rig_come_from(i % 2 == 0 ? &here : &there);
        come(MQTT_V5, ASKED_S, "net", "mobile", &told);
        pass(i < 2 ? ASKED_S + 2 : 1);
    }
    CHECK_TRUE(told > 0 && told < ASKED_S);
    end();
}

/* option: keepalive_mode */
TEST(with_mode_off_and_for_clients_of_this_machine_nothing_is_learned)
{
    unsigned link;
    for (int local = 0; local < 2; local++) {
        begin(local ? anonymous : leaves_alone);
        if (local) rig_come_from(&(struct net_address){ .kind = ADDRESS_LOCAL });
        plain(MQTT_V5, &link);
        for (int i = 0; i < 4; i++) CHECK_INT(0, lose(MQTT_V5, ASKED_S, &link));
        CHECK_INT(0, after_fold(METRIC_keepalive_known));
        end();
    }
}

TEST(a_client_without_a_keepalive_has_none)
{
    uint16_t told;
    begin(learns);
    for (int i = 0; i < 4; i++) {
        come(MQTT_V5, 0, "ll-keepalive", "learn", &told);
        CHECK_INT(0, told);
        pass(ASKED_S);
    }
    CHECK_INT(0, after_fold(METRIC_keepalive_known));
    end();
}

/* --- raised */

static void raises_all(struct config *c, void *ctx)
{
    learns(c, ctx);
    c->default_listener.keepalive_raise = CONFIG_RAISE_ALL;
}

/* option: keepalive_raise */
TEST(only_who_asks_for_it_is_told_a_longer_keepalive)
{
    uint16_t told;
    begin(learns);
    come(MQTT_V5, 60, NULL, NULL, &told);
    CHECK_INT(0, told);
    come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    CHECK_TRUE(told >= 240);
    end();
    begin(anonymous);
    come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    CHECK_INT(0, told);
    end();
    begin(raises_all);
    come(MQTT_V5, 60, NULL, NULL, &told);
    CHECK_TRUE(told >= 240);
    end();
}

static void narrow(struct config *c, void *ctx)
{
    learns(c, ctx);
    c->keepalive_min = 10;
    c->keepalive_max = 50;
    c->keepalive_start = 20;
    c->keepalive_step = 6;
    c->keepalive_clients = 100;
}

/* option: keepalive_start, keepalive_step */
TEST(where_trials_begin_and_how_far_they_go_is_the_operators)
{
    uint16_t told;
    begin(narrow);
    unsigned link = come(MQTT_V5, 12, "ll-keepalive", "learn", &told);
    CHECK_INT(20, rig_probe(link).idle_s);
    CHECK_INT(20 + 9, told);
    end();
}

/* option: keepalive_min, keepalive_max */
TEST(what_is_learned_stays_within_bounds)
{
    unsigned link = 0;
    uint16_t told = 0;
    begin(narrow);
    for (int i = 0; i < 12; i++) {
        link = come(MQTT_V5, 300, "ll-keepalive", "learn", &told);
        CHECK_TRUE(told >= 10 && told <= 50 + 9);
        rig_set_facts(link, &(struct transport_facts){ .ack_ms = 60000, .sent_ms = 60000 });
        pass((uint64_t)told + 2);
    }
    CHECK_INT(10, told);
    end();
}

static void far(struct config *c, void *ctx)
{
    learns(c, ctx);
    c->keepalive_max = 65535;
    c->keepalive_start = 250;
}

TEST(clients_are_counted_where_they_stand_however_far_it_may_go)
{
    uint16_t told;
    begin(far);
    come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    CHECK_INT(0, after_fold(METRIC_keepalive_upto_120));
    CHECK_INT(0, rig_metric(METRIC_keepalive_upto_240));
    CHECK_INT(1, rig_metric(METRIC_keepalive_upto_360));
    CHECK_INT(1, rig_metric(METRIC_keepalive_known));
    end();
}

TEST(what_was_learned_is_in_the_metrics)
{
    uint16_t told;
    begin(far);
    unsigned link = come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    for (int i = 0; i < 30; i++) { /* its network has no limit */
        pass(told);
        ping(link);
        if (i % 6 != 5) continue;
        send_disconnect(link);
        rig_settle();
        pass(3);
        link = come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    }
    int64_t changes = after_fold(METRIC_keepalive_changed_total);
    CHECK_TRUE(changes >= 4);
    CHECK_TRUE(rig_metric(METRIC_keepalive_survived_total) >= 25);
    CHECK_TRUE(rig_metric(METRIC_keepalive_pings_saved_total) >= 30 * (240 / 60 - 1));
    CHECK_INT(1, rig_metric(METRIC_keepalive_upto_480) + rig_metric(METRIC_keepalive_above_480));
    CHECK_INT(0, rig_metric(METRIC_keepalive_doubts_total));
    pass(told + 120u); /* it is here some time after its ping was due: another cause is as likely */
    come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    CHECK_INT(1, after_fold(METRIC_keepalive_doubts_total));
    CHECK_INT(1, rig_metric(METRIC_keepalive_deaths_total));
    CHECK_INT(changes, rig_metric(METRIC_keepalive_changed_total));
    end();
}

/* option: keepalive_clients */
TEST(of_more_clients_than_it_may_know_the_learner_knows_the_last)
{
    begin(narrow);
    for (int i = 0; i < 120; i++) {
        char id[16];
        snprintf(id, sizeof id, "phone-%d", i);
        struct connect p = { .version = MQTT_V311, .clean_start = true, .client_id = bytes_of_text(id) };
        p.keepalive_s = 300;
        unsigned link = try_connect(&p);
        next(link, PACKET_CONNACK);
        send_disconnect(link);
        rig_settle();
        pass(3); /* until it is closed */
    }
    CHECK_INT(100, after_fold(METRIC_keepalive_known));
    end();
}

TEST(while_a_limit_is_looked_for_the_kernel_probes_before_the_client_pings_and_grows)
{
    uint16_t told;
    begin(learns);
    unsigned link = come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    struct transport_probe p = rig_probe(link);
    CHECK_INT(240, p.idle_s);
    CHECK_INT(240 + 90, told);
    CHECK_TRUE(p.idle_s + p.again_s * p.most >= told * 3 / 2); /* MQTT's rule decides */
    CHECK_INT(1, rig_metric(METRIC_keepalive_probed));
    for (int i = 0; i < 8 && rig_probe(link).idle_s == 240; i++) {
        rig_advance(244 * 1000); /* the probe was answered 4 s ago */
        rig_set_facts(link, &(struct transport_facts){ .ack_ms = 4000, .sent_ms = 244 * 1000 });
        pass(0);
        ping(link);
    }
    CHECK_TRUE(rig_metric(METRIC_keepalive_probes_answered_total) >= 5);
    CHECK_INT(300, rig_probe(link).idle_s);
    CHECK_TRUE(rig_is_open(link));
    end();
}

/* --- clients that cannot be told */

TEST(an_older_client_with_a_long_keepalive_is_probed_by_the_kernel)
{
    unsigned link;
    uint16_t told;
    begin(learns);
    CHECK_INT(0, plain(MQTT_V311, &link));
    CHECK_INT(240, rig_probe(link).idle_s);
    CHECK_INT(1, rig_metric(METRIC_keepalive_probed));
    send_disconnect(link);
    rig_settle();
    CHECK_INT(0, rig_metric(METRIC_keepalive_probed));
    link = come(MQTT_V311, 100, NULL, NULL, &told); /* its own packets come before */
    CHECK_INT(0, rig_probe(link).idle_s);
    end();
}

TEST(probes_that_are_not_answered_show_that_the_way_was_lost)
{
    unsigned link;
    begin(learns);
    plain(MQTT_V311, &link);
    for (int i = 0; i < 2; i++) {
        rig_set_facts(link, &(struct transport_facts){ .probes = 1, .ack_ms = 243 * 1000 });
        pass(243);
        pass(30);
        plain(MQTT_V311, &link); /* it wanted something, and is back over another port */
    }
    CHECK_INT(80, rig_probe(link).idle_s);
    CHECK_INT(2, after_fold(METRIC_keepalive_deaths_total));
    end();
}

TEST(with_cap_an_older_client_is_left_alone)
{
    unsigned link;
    begin(anonymous);
    plain(MQTT_V311, &link);
    for (int i = 0; i < 4; i++) lose(MQTT_V311, ASKED_S, &link);
    CHECK_INT(0, rig_probe(link).idle_s);
    end();
}

static void learns_without_probes(struct config *c, void *ctx)
{
    learns(c, ctx);
    c->keepalive_probes = 0;
}

/* option: keepalive_probes */
TEST(without_a_budget_nobody_is_probed)
{
    unsigned link;
    uint16_t told;
    begin(learns_without_probes);
    plain(MQTT_V311, &link);
    for (int i = 0; i < 4; i++) lose(MQTT_V311, ASKED_S, &link);
    CHECK_INT(0, rig_probe(link).idle_s);
    link = come(MQTT_V5, 60, "ll-keepalive", "learn", &told);
    CHECK_INT(0, rig_probe(link).idle_s);
    CHECK_INT(240, told);
    end();
}

/* --- pushes */

static unsigned subscriber(uint8_t version)
{
    unsigned link;
    plain(version, &link);
    send_subscribe(link, version, 1, "t", NULL);
    next(link, PACKET_SUBACK);
    return link;
}

/* Somebody of this machine, who is not looked at, publishes to it. */
static void push(unsigned to)
{
    rig_come_from(&(struct net_address){ .kind = ADDRESS_LOCAL });
    struct connect p = { .version = MQTT_V311, .clean_start = true, .client_id = bytes_of_text("backend") };
    unsigned link = try_connect(&p);
    next(link, PACKET_CONNACK);
    publish_text(link, MQTT_V311, "t", 0, 0);
    next(to, PACKET_PUBLISH);
    send_disconnect(link);
    rig_settle();
    rig_come_from(&here);
}

/* option: tcp_user_timeout */
TEST(tcp_has_a_time_limit_only_while_a_push_is_not_acknowledged)
{
    begin(anonymous);
    unsigned link = subscriber(MQTT_V311);
    push(link);
    pass(LOOK_MS / 1000 + 1);
    CHECK_TRUE(rig_patience(link) == UINT32_MAX); /* it was acknowledged at once */
    push(link);
    rig_set_facts(link, &(struct transport_facts){ .unanswered_bytes = 5 });
    pass(LOOK_MS / 1000 + 1);
    CHECK_INT(25000, rig_patience(link));
    pass(LOOK_MS / 1000 + 1);
    rig_set_facts(link, &(struct transport_facts){ .unanswered_bytes = 0 });
    pass(LOOK_MS / 1000 + 1);
    CHECK_INT(0, rig_patience(link));
    end();
}

TEST(a_slow_reader_has_its_own_time_limit_and_not_tcps)
{
    begin(anonymous);
    unsigned link = subscriber(MQTT_V311);
    push(link);
    rig_set_facts(link, &(struct transport_facts){ .unanswered_bytes = 5, .is_full = true });
    pass(LOOK_MS / 1000 + 1);
    CHECK_TRUE(rig_patience(link) == UINT32_MAX);
    rig_set_facts(link, &(struct transport_facts){ .unanswered_bytes = 5 });
    pass(LOOK_MS / 1000 + 1);
    CHECK_INT(25000, rig_patience(link));
    rig_set_facts(link, &(struct transport_facts){ .unanswered_bytes = 5, .is_full = true });
    pass(LOOK_MS / 1000 + 1);
    CHECK_INT(0, rig_patience(link));
    end();
}

TEST(a_push_that_is_never_acknowledged_ends_the_connection_and_is_counted)
{
    begin(anonymous);
    unsigned link = subscriber(MQTT_V5);
    pass(300);
    push(link);
    rig_set_facts(link, &(struct transport_facts){ .unanswered_bytes = 5 });
    pass(25);
    CHECK_INT(25000, rig_patience(link));
    rig_set_facts(link, &(struct transport_facts){ .is_over = true });
    rig_break(link);
    rig_settle();
    CHECK_TRUE(!rig_is_open(link));
    CHECK_INT(1, rig_metric(METRIC_push_timeouts_total));
    end();
}

TEST(a_push_that_is_answered_by_a_reset_is_a_way_that_was_forgotten)
{
    unsigned link = 0;
    begin(anonymous);
    for (int i = 0; i < 2; i++) {
        link = subscriber(MQTT_V5);
        pass(ASKED_S - 20);
        push(link);
        rig_set_facts(link, &(struct transport_facts){ .is_over = true });
        rig_break(link);
        rig_settle();
    }
    uint16_t told = plain(MQTT_V5, &link);
    CHECK_TRUE(told > 0 && told < ASKED_S);
    end();
}

TEST(a_push_that_was_acknowledged_shows_that_the_way_has_held)
{
    begin(anonymous);
    unsigned link = subscriber(MQTT_V5);
    pass(300);
    push(link);
    rig_set_facts(link, &(struct transport_facts){ .ack_ms = 2000, .sent_ms = 2000 });
    pass(LOOK_MS / 1000 + 1);
    CHECK_INT(1, after_fold(METRIC_keepalive_survived_total));
    end();
}

TEST(a_silence_that_a_push_has_broken_is_as_long_as_the_rest_of_it)
{
    begin(anonymous);
    unsigned link = subscriber(MQTT_V5);
    pass(30);
    push(link);
    pass(10);
    pass(300);
    rig_set_facts(link, &(struct transport_facts){ .ack_ms = 20 * 1000, .sent_ms = 20 * 1000 });
    ping(link); /* after another push, of which only TCP knows when it was */
    CHECK_INT(0, after_fold(METRIC_keepalive_survived_total));
    pass(300);
    ping(link);
    CHECK_INT(1, after_fold(METRIC_keepalive_survived_total));
    end();
}
