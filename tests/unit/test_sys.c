/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "sys/sys.h"
#include <stdlib.h>
#include <string.h>

enum { SAID_MAX = 128, SECOND = 1000 };

struct said {
    unsigned count;
    char topic[SAID_MAX][SYS_TOPIC_BYTES], text[SAID_MAX][SYS_TEXT_BYTES];
};

static void hear(void *arg, const char *topic, const char *text)
{
    struct said *s = arg;
    assert_true(s->count < SAID_MAX);
    snprintf(s->topic[s->count], sizeof s->topic[0], "%s", topic);
    snprintf(s->text[s->count++], sizeof s->text[0], "%s", text);
}

/* What a step says. */
static struct said step(struct sys *s, uint64_t now_ms, const struct sys_reading *r)
{
    struct said said = { 0 };
    sys_step(s, now_ms, r, hear, &said);
    return said;
}

/* NULL: nothing was said of the topic. */
static const char *text_of(const struct said *s, const char *below_broker)
{
    char topic[SYS_TOPIC_BYTES];
    const char *found = NULL;
    snprintf(topic, sizeof topic, "$SYS/broker/%s", below_broker);
    for (unsigned i = 0; i < s->count; i++) {
        if (strcmp(s->topic[i], topic) != 0) continue;
        assert_null(found); /* once a topic */
        found = s->text[i];
    }
    return found;
}

static void check_text(const char *want, const struct said *s, const char *below_broker)
{
    const char *text = text_of(s, below_broker);
    assert_non_null(text);
    assert_string_equal(want, text);
}

TEST(the_first_step_says_every_topic_that_mosquitto_has)
{
    static const char *const topics[] = {
        "uptime",
        "clients/total",
        "clients/maximum",
        "clients/inactive",
        "clients/disconnected",
        "clients/active",
        "clients/connected",
        "clients/expired",
        "messages/stored",
        "messages/received",
        "messages/sent",
        "store/messages/count",
        "store/messages/bytes",
        "subscriptions/count",
        "shared_subscriptions/count",
        "retained messages/count",
        "heap/current",
        "heap/maximum",
        "publish/messages/dropped",
        "publish/messages/received",
        "publish/messages/sent",
        "publish/bytes/received",
        "publish/bytes/sent",
        "bytes/received",
        "bytes/sent",
    };
    static const char *const loads[] = { "messages/received", "messages/sent", "publish/dropped",
                                         "publish/received",  "publish/sent",  "bytes/received",
                                         "bytes/sent",        "sockets",       "connections" };
    static const char *const spans[] = { "1min", "5min", "15min" };
    struct sys s = { .started_ms = 5 * SECOND };
    struct sys_reading r = { .value = { [SYS_messages_received] = 17 } };
    struct said said = step(&s, 5 * SECOND, &r);

    check_text("0 seconds", &said, "uptime");
    check_text("17", &said, "messages/received");
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) assert_non_null(text_of(&said, topics[i]));
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        for (size_t k = 0; k < 3; k++) {
            char topic[SYS_TOPIC_BYTES];
            snprintf(topic, sizeof topic, "load/%s/%s", loads[i], spans[k]);
            check_text("0.00", &said, topic);
        }
    }
    CHECK_INT(sizeof topics / sizeof topics[0] + sizeof loads / sizeof loads[0] * 3, said.count);
}

TEST(what_has_not_changed_is_not_said_again_but_for_the_uptime)
{
    struct sys s = { 0 };
    struct sys_reading r = { .value = { [SYS_clients_connected] = 3, [SYS_sockets] = 3 } };
    step(&s, 0, &r);
    struct said said = step(&s, 10 * SECOND, &r);
    CHECK_INT(1, said.count);
    check_text("10 seconds", &said, "uptime");

    r.value[SYS_clients_connected] = 4;
    said = step(&s, 20 * SECOND, &r);
    CHECK_INT(2, said.count);
    check_text("4", &said, "clients/connected");
}

TEST(a_peak_stays_when_its_row_goes_down)
{
    struct sys s = { 0 };
    struct sys_reading r = { .value = { [SYS_clients_total] = 7 } };
    struct said said = step(&s, 0, &r);
    check_text("7", &said, "clients/maximum");

    r.value[SYS_clients_total] = 5;
    said = step(&s, SECOND, &r);
    check_text("5", &said, "clients/total");
    assert_null(text_of(&said, "clients/maximum"));

    r.value[SYS_clients_total] = 8;
    said = step(&s, 2 * SECOND, &r);
    check_text("8", &said, "clients/maximum");
}

/* 100 in ten seconds are 600 a minute; of a minute, ten seconds are 1 - e^(-1/6) = 0.15352. */
TEST(a_load_is_the_exponential_average_of_growth_per_minute)
{
    struct sys s = { 0 };
    struct sys_reading r = { .value = { [SYS_publish_received] = 50 } };
    step(&s, 0, &r);

    r.value[SYS_publish_received] = 150;
    struct said said = step(&s, 10 * SECOND, &r);
    check_text("92.11", &said, "load/publish/received/1min");
    check_text("19.67", &said, "load/publish/received/5min");
    check_text("6.63", &said, "load/publish/received/15min");
    assert_null(text_of(&said, "load/publish/sent/1min"));

    said = step(&s, 70 * SECOND, &r); /* a minute without: 1/e of it is left */
    check_text("33.89", &said, "load/publish/received/1min");
}

TEST(a_load_is_the_same_however_long_the_intervals_are)
{
    struct sys often = { 0 }, seldom = { 0 };
    struct sys_reading r = { 0 };
    struct said a = step(&often, 0, &r), b = step(&seldom, 0, &r);
    for (unsigned i = 1; i <= 60; i++) {
        r.value[SYS_bytes_sent] = i * 100;
        a = step(&often, i * SECOND, &r);
    }
    b = step(&seldom, 60 * SECOND, &r);
    check_text("3792.72", &a, "load/bytes/sent/1min"); /* 6000 * (1 - 1/e) */
    check_text("3792.72", &b, "load/bytes/sent/1min");
}

TEST(a_load_goes_back_to_nothing_and_then_is_silent)
{
    struct sys s = { 0 };
    struct sys_reading r = { 0 };
    step(&s, 0, &r);
    r.value[SYS_sockets] = 1;
    step(&s, 10 * SECOND, &r);
    struct said said = step(&s, 7200 * SECOND, &r);
    check_text("0.00", &said, "load/sockets/1min");
    said = step(&s, 7210 * SECOND, &r);
    CHECK_INT(1, said.count);
}

TEST(a_step_without_time_since_the_last_divides_by_nothing)
{
    struct sys s = { 0 };
    struct sys_reading r = { 0 };
    step(&s, 0, &r);
    r.value[SYS_messages_sent] = 5;
    struct said said = step(&s, 0, &r);
    check_text("5", &said, "messages/sent");
    assert_null(text_of(&said, "load/messages/sent/1min"));
}

TEST(a_reading_is_the_sum_of_all_shards_and_never_below_zero)
{
    struct metrics *m = NULL;
    struct sys_reading r;
    CHECK_INT(ERR_OK, metrics_new(&m, 2));
    metrics_add(metrics_shard(m, 0), METRIC_publish_dropped_qos0_total, 2);
    metrics_add(metrics_shard(m, 1), METRIC_publish_dropped_queue_full_total, 3);
    metrics_add(metrics_shard(m, 1), METRIC_sessions, 1);
    metrics_add(metrics_shard(m, 0), METRIC_clients_connected, 2); /* as sums of two moments may be */
    sys_read(&r, m);
    CHECK_INT(5, r.value[SYS_publish_dropped]);
    CHECK_INT(1, r.value[SYS_clients_total]);
    CHECK_INT(0, r.value[SYS_clients_disconnected]);
    assert_true(r.value[SYS_heap_current] > 0);
    metrics_free(&m);
}
