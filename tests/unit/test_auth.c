/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enhanced authentication against plugins of this test, in place of a host of real ones: a shard with its
 * loop, the store in memory, clients over TCP. They know the method TEST, and do what the client's data says,
 * so that a test reads like the exchange that it shows.
 */
#include "base/limits.h"
#include "base/list.h"
#include "codec/codec.h"
#include "hook/hook.h"
#include "kit/test.h"
#include "net/listener.h"
#include "shard/shard.h"
#include "store/store_mem.h"
#include "unit/one_door.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PACKET_BYTES = 4096, PATIENCE_S = 60 };

struct rig {
    struct config config;
    struct one_door door;
    struct log *log;
    struct metrics *metrics;
    struct store_mem *mem;
    struct shards *shards;
    struct listener listener;
    struct gauge open;
    struct shards_listener of_shards;
    struct hooks hooks;
    uint32_t wants;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct hook_auth *late; /* answered by the test */
    unsigned asked;         /* steps */
    char seen[256];         /* of the last step: who, and what */
    struct clock clock;
    uint64_t skipped_ms; /* the clock of the shard is ahead by it */
};

/* --- the clock */

static uint64_t mono_ms(void *ctx)
{
    struct rig *r = ctx;
    pthread_mutex_lock(&r->lock);
    uint64_t now_ms = clock_mono_ms(&clock_system) + r->skipped_ms;
    pthread_mutex_unlock(&r->lock);
    return now_ms;
}

static uint64_t wall_ms(void *ctx)
{
    (void)ctx;
    return clock_wall_ms(&clock_system);
}

/* --- the plugins */

static void note(struct rig *r, const struct hook_auth *q)
{
    static const char *const steps[] = {
        [HOOK_AUTH_START] = "connect", [HOOK_AUTH_AGAIN] = "again", [HOOK_AUTH_MORE] = "more"
    };
    const char *name = hook_client_username(q->ask.client);
    pthread_mutex_lock(&r->lock);
    (void)snprintf(r->seen, sizeof r->seen, "%s %s/%s: %.*s", steps[q->ask.about],
                   hook_client_id(q->ask.client), name == NULL ? "" : name, (int)q->data.len,
                   q->data.len == 0 ? "" : (const char *)q->data.at);
    r->asked++;
    pthread_mutex_unlock(&r->lock);
}

static bool says(const struct hook_auth *q, const char *word)
{
    return bytes_equal(q->data, bytes_of_text(word));
}

static void answer(struct hook_auth *q, enum hook_verdict verdict, const char *data)
{
    q->ask.verdict = (uint8_t)verdict;
    if (data != NULL) q->answer = bytes_of((uint8_t *)strdup(data), strlen(data));
}

/* From another thread than the one that asked. */
static void answer_late(struct hook_auth *q, enum hook_verdict verdict, const char *data)
{
    answer(q, verdict, data);
    q->ask.mail.kind = q->ask.kind;
    mailbox_send(q->ask.to, &q->ask.mail);
}

static void deny(struct hook_auth *q, uint8_t code)
{
    q->ask.verdict = HOOK_DENY;
    q->ask.code = code;
}

static bool keep_for_the_test(struct rig *r, struct hook_auth *q)
{
    pthread_mutex_lock(&r->lock);
    r->late = q;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return false;
}

static bool step(struct rig *r, struct hook_auth *q)
{
    note(r, q);
    if (strcmp(q->method, "TEST") != 0) return true;
    if (says(q, "later")) return keep_for_the_test(r, q);
    if (says(q, "secret")) answer(q, HOOK_ALLOW, "welcome");
    if (says(q, "quiet")) answer(q, HOOK_ALLOW, NULL);
    if (says(q, "ask me")) answer(q, HOOK_MORE, "who?");
    if (says(q, "banned")) deny(q, MQTT_RC_BANNED);
    if (says(q, "odd")) deny(q, MQTT_RC_TOPIC_INVALID);
    if (says(q, "wrong") || q->data.len == 0) deny(q, MQTT_RC_NOT_AUTHORIZED);
    if (says(q, "slow")) answer(q, HOOK_LATE, NULL);
    if (says(q, "busy")) answer(q, HOOK_BUSY, NULL);
    if (says(q, "broken")) answer(q, HOOK_END, NULL);
    return true;
}

static bool plugins_ask(struct hooks *h, struct hook_ask *a)
{
    struct rig *r = CONTAINER(h, struct rig, hooks);
    if (a->about != HOOK_GONE) return step(r, CONTAINER(a, struct hook_auth, ask));
    hook_ask_unref(&a);
    return true;
}

static uint32_t plugins_want(const struct hooks *h)
{
    return CONTAINER((struct hooks *)(uintptr_t)h, struct rig, hooks)->wants;
}

static bool plugins_are_inline(const struct hooks *h, enum hook_event e)
{
    (void)h, (void)e;
    return true;
}

/* It is in the rig. */
static void plugins_destroy(struct hooks *h)
{
    (void)h;
}

static struct hook_auth *wait_for_late(struct rig *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->late == NULL) pthread_cond_wait(&r->changed, &r->lock);
    struct hook_auth *q = r->late;
    r->late = NULL;
    pthread_mutex_unlock(&r->lock);
    return q;
}

static void check_asked(struct rig *r, unsigned steps)
{
    pthread_mutex_lock(&r->lock);
    CHECK_INT(steps, r->asked);
    pthread_mutex_unlock(&r->lock);
}

static void check_seen(struct rig *r, const char *want)
{
    pthread_mutex_lock(&r->lock);
    assert_string_equal(want, r->seen);
    pthread_mutex_unlock(&r->lock);
}

/* --- the broker */

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);
    CHECK_TRUE(r != NULL);
    struct log_conf log = { .clock = &clock_system };
    struct listener_conf listener = { "127.0.0.1", 0, AF_INET, { .nodelay = true }, NULL };
    config_init(&r->config);
    one_door_init(&r->door, &r->config);
    static const struct hooks_ops plugins = {
        .wants = plugins_want, .ask = plugins_ask, .is_inline = plugins_are_inline, .destroy = plugins_destroy
    };
    r->hooks.ops = &plugins;
    r->wants = HOOK_EVENT_AUTH;
    ref_init(&r->hooks.ref, 1);
    r->door.door.hooks = &r->hooks;
    r->config.default_listener.security.allow_anonymous = false;
    r->clock = (struct clock){ mono_ms, wall_ms, r };
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    CHECK_INT(ERR_OK, log_open(&r->log, &log));
    CHECK_INT(ERR_OK, metrics_new(&r->metrics, 2));
    struct shards_conf conf = {
        .count = 1, .view = &r->door.view, .log = r->log, .metrics = r->metrics, .clock = &r->clock
    };
    CHECK_INT(ERR_OK, shards_new(&r->shards, &conf));
    struct store_mem_conf mem = { .sink = shards_sink(r->shards), .clock = &clock_system };
    CHECK_INT(ERR_OK, store_mem_start(&r->mem, &mem));
    struct journal journal = store_mem_journal(r->mem);
    struct store store = store_mem_store(r->mem);
    CHECK_INT(ERR_OK, shards_start(r->shards, &journal, &store, &(struct shards_past){ 0 }));
    CHECK_INT(ERR_OK, listener_open(&r->listener, &listener));
    r->of_shards =
        (struct shards_listener){ .fd = r->listener.fds[0], .port = r->listener.port, .open = &r->open };
    shards_listen(r->shards, &r->of_shards);
    return r;
}

/* Every question has been freed when the broker is gone. */
static void rig_free(struct rig *r)
{
    shards_close_clients(r->shards);
    listener_close(&r->listener);
    store_mem_stop(&r->mem);
    shards_stop(r->shards);
    shards_free(&r->shards);
    one_door_fini(&r->door);
    CHECK_TRUE(ref_drop(&r->hooks.ref));
    metrics_free(&r->metrics);
    log_close(&r->log);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    free(r);
}

/* --- clients */

struct client {
    int fd;
    uint8_t in[PACKET_BYTES];
    size_t in_bytes, used;
};

static struct client *open_client(struct rig *r)
{
    struct client *c = calloc(1, sizeof *c);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(r->listener.port) };
    struct timeval patience = { .tv_sec = PATIENCE_S };
    CHECK_TRUE(c != NULL);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    CHECK_INT(0, connect(c->fd, (struct sockaddr *)&to, sizeof to));
    return c;
}

static void go(struct client *c)
{
    close(c->fd);
    free(c);
}

/* Not in good order: the broker hears of it whatever it waits for. */
static void vanish(struct client *c)
{
    struct linger at_once = { .l_onoff = 1 };
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    go(c);
}

static void send_packet(struct client *c, const uint8_t *packet, const struct wr *w)
{
    size_t n = (size_t)(w->at - packet);
    CHECK_TRUE(!w->bad);
    CHECK_INT(n, write(c->fd, packet, n));
}

static struct props with(const char *method, const char *data)
{
    struct props p = { 0 };
    if (method != NULL) PROPS_SET(&p, auth_method, bytes_of_text(method));
    if (data != NULL) PROPS_SET(&p, auth_data, bytes_of_text(data));
    return p;
}

static struct client *try_with(struct rig *r, const struct connect *p)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct client *c = open_client(r);
    connect_encode(&w, p);
    send_packet(c, packet, &w);
    return c;
}

static struct client *try(struct rig *r, const char *id, const char *data)
{
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text(id), .props = with("TEST", data) };
    return try_with(r, &p);
}

static void send_auth(struct client *c, enum mqtt_rc code, const char *method, const char *data)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct session_end e = { .code = (uint8_t)code, .props = with(method, data) };
    session_end_encode(&w, MQTT_V5, PACKET_AUTH, &e);
    send_packet(c, packet, &w);
}

static struct frame next(struct client *c, enum packet_type type)
{
    struct frame f;
    memmove(c->in, c->in + c->used, c->in_bytes -= c->used);
    for (;;) {
        CHECK_INT(MQTT_RC_OK, frame_split(bytes_of(c->in, c->in_bytes), PACKET_BYTES, &f));
        if (f.total > 0) break;
        ssize_t got = read(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes);
        CHECK_TRUE(got > 0);
        c->in_bytes += (size_t)got;
    }
    c->used = f.total;
    CHECK_INT(type, f.type);
    return f;
}

static void check_props(const struct props *p, const char *data)
{
    CHECK_TRUE(PROPS_HAS(p, auth_method));
    CHECK_TRUE(bytes_equal(bytes_of_text("TEST"), p->auth_method));
    CHECK_INT(data != NULL, PROPS_HAS(p, auth_data));
    if (data != NULL) CHECK_TRUE(bytes_equal(bytes_of_text(data), p->auth_data));
}

/* data: what comes with it; NULL: none. */
static void expect_auth(struct client *c, enum mqtt_rc code, const char *data)
{
    struct session_end e;
    struct frame f = next(c, PACKET_AUTH);
    CHECK_INT(MQTT_RC_OK, session_end_decode(&f, MQTT_V5, &e));
    CHECK_INT(code, e.code);
    check_props(&e.props, data);
}

static void expect_let_in(struct client *c, const char *data)
{
    struct connack a;
    CHECK_INT(MQTT_RC_OK, connack_decode(next(c, PACKET_CONNACK).body, MQTT_V5, &a));
    CHECK_INT(MQTT_RC_OK, a.code);
    check_props(&a.props, data);
}

static void expect_closed(struct client *c)
{
    uint8_t byte;
    CHECK_INT(c->used, c->in_bytes);
    CHECK_INT(0, read(c->fd, &byte, 1));
}

static void expect_refused(struct client *c, enum mqtt_rc code)
{
    struct connack a;
    CHECK_INT(MQTT_RC_OK, connack_decode(next(c, PACKET_CONNACK).body, MQTT_V5, &a));
    CHECK_INT(code, a.code);
    expect_closed(c);
}

static void expect_ended(struct client *c, enum mqtt_rc code)
{
    struct session_end e;
    struct frame f = next(c, PACKET_DISCONNECT);
    CHECK_INT(MQTT_RC_OK, session_end_decode(&f, MQTT_V5, &e));
    CHECK_INT(code, e.code);
    expect_closed(c);
}

/* The connection is open, and all that was sent before has been read. */
static void catch_up(struct client *c)
{
    uint8_t packet[2];
    struct wr w = { .at = packet, .left = sizeof packet };
    ping_encode(&w, PACKET_PINGREQ);
    send_packet(c, packet, &w);
    next(c, PACKET_PINGRESP);
}

static void subscribe(struct client *c, const char *filter)
{
    uint8_t packet[64];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct subscribe_filter f = { .filter = bytes_of_text(filter) };
    subscribe_encode(&w, MQTT_V5, 1, &f, 1);
    send_packet(c, packet, &w);
    next(c, PACKET_SUBACK);
}

static void publish(struct client *c, const char *topic)
{
    uint8_t packet[64];
    struct wr w = { .at = packet, .left = sizeof packet };
    publish_encode(&w, MQTT_V5, &(struct publish){ .topic = bytes_of_text(topic) });
    send_packet(c, packet, &w);
}

/* And the shard has seen it: it has let in somebody since. */
static void skip_connect_timeout(struct rig *r)
{
    pthread_mutex_lock(&r->lock);
    r->skipped_ms += (uint64_t)r->config.connect_timeout_s * 1000;
    pthread_mutex_unlock(&r->lock);
    struct client *c = try(r, "witness", "secret");
    expect_let_in(c, "welcome");
    go(c);
}

/* --- CONNECT */

TEST(a_method_that_all_plugins_pass_over_is_refused)
{
    struct rig *r = rig_new();
    struct connect p = { .version = MQTT_V5,
                         .client_id = bytes_of_text("c"),
                         .props = with("OTHER", "secret") };
    struct client *c = try_with(r, &p);
    expect_refused(c, MQTT_RC_BAD_AUTH_METHOD);
    go(c);
    check_seen(r, "connect c/: secret");
    rig_free(r);
}

TEST(a_method_is_refused_when_no_plugin_cares)
{
    struct rig *r = rig_new();
    r->wants = 0;
    struct client *c = try(r, "phone", "secret");
    expect_refused(c, MQTT_RC_BAD_AUTH_METHOD);
    go(c);
    check_asked(r, 0);
    rig_free(r);
}

TEST(success_at_once_lets_in_with_the_methods_name_and_data)
{
    struct rig *r = rig_new();
    struct connect p = { .version = MQTT_V5,
                         .client_id = bytes_of_text("phone"),
                         .has_username = true,
                         .username = bytes_of_text("me"),
                         .props = with("TEST", "secret") };
    struct client *c = try_with(r, &p);
    expect_let_in(c, "welcome");
    check_seen(r, "connect phone/me: secret");
    check_asked(r, 1);
    catch_up(c);
    go(c);
    c = try(r, "tablet", "quiet");
    expect_let_in(c, NULL);
    go(c);
    rig_free(r);
}

TEST(the_client_is_asked_until_the_method_is_content)
{
    struct rig *r = rig_new();
    struct client *c = try(r, "phone", "ask me");
    for (int i = 0; i < 3; i++) {
        expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
        send_auth(c, MQTT_RC_CONTINUE_AUTH, "TEST", "ask me");
    }
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
    send_auth(c, MQTT_RC_CONTINUE_AUTH, "TEST", "secret");
    expect_let_in(c, "welcome");
    check_seen(r, "more phone/: secret");
    check_asked(r, 5);
    catch_up(c);
    go(c);
    rig_free(r);
}

TEST(failure_is_a_refusal_with_a_code_that_fits)
{
    static const struct {
        const char *data;
        enum mqtt_rc code;
    } rows[] = { { NULL, MQTT_RC_NOT_AUTHORIZED },       { "wrong", MQTT_RC_NOT_AUTHORIZED },
                 { "banned", MQTT_RC_BANNED },           { "odd", MQTT_RC_NOT_AUTHORIZED },
                 { "slow", MQTT_RC_SERVER_UNAVAILABLE }, { "busy", MQTT_RC_SERVER_BUSY },
                 { "broken", MQTT_RC_UNSPECIFIED },      { "never heard of", MQTT_RC_BAD_AUTH_METHOD } };
    struct rig *r = rig_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client *c = try(r, "phone", rows[i].data);
        expect_refused(c, rows[i].code);
        go(c);
    }
    struct client *c = try(r, "phone", "ask me");
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
    send_auth(c, MQTT_RC_CONTINUE_AUTH, "TEST", "wrong");
    expect_refused(c, MQTT_RC_NOT_AUTHORIZED);
    go(c);
    rig_free(r);
}

TEST(a_verdict_may_come_later_from_another_thread)
{
    struct rig *r = rig_new();
    struct client *c = try(r, "phone", "later");
    answer_late(wait_for_late(r), HOOK_MORE, NULL);
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, NULL);
    send_auth(c, MQTT_RC_CONTINUE_AUTH, "TEST", "later");
    answer_late(wait_for_late(r), HOOK_ALLOW, "at last");
    expect_let_in(c, "at last");
    catch_up(c);
    go(c);
    rig_free(r);
}

TEST(an_answer_about_a_client_that_has_gone_is_about_no_other)
{
    struct rig *r = rig_new();
    struct client *c = try(r, "phone", "later");
    struct hook_auth *q = wait_for_late(r);
    vanish(c);
    /* Another one of the same id: a verdict about the first does not take its session. */
    struct client *other = try(r, "phone", "secret");
    expect_let_in(other, "welcome");
    answer_late(q, HOOK_ALLOW, "too late");
    catch_up(other);
    check_asked(r, 2);
    go(other);
    rig_free(r);
}

TEST(before_connack_a_client_sends_auth_or_disconnect_and_nothing_else)
{
    struct rig *r = rig_new();
    struct client *c = try(r, "one", "ask me");
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
    publish(c, "t");
    expect_refused(c, MQTT_RC_PROTOCOL);
    go(c);
    c = try(r, "two", "ask me");
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
    CHECK_INT(2, write(c->fd, "\xe0\x00", 2));
    expect_closed(c);
    go(c);
    rig_free(r);
}

TEST(each_auth_names_the_method_of_the_connect)
{
    static const struct {
        enum mqtt_rc code;
        const char *method;
    } wrong[] = { { MQTT_RC_CONTINUE_AUTH, "OTHER" },
                  { MQTT_RC_CONTINUE_AUTH, NULL },
                  { MQTT_RC_REAUTHENTICATE, "TEST" },
                  { MQTT_RC_OK, "TEST" } };
    struct rig *r = rig_new();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct client *c = try(r, "phone", "ask me");
        expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
        send_auth(c, wrong[i].code, wrong[i].method, "secret");
        expect_refused(c, MQTT_RC_PROTOCOL);
        go(c);
    }
    rig_free(r);
}

TEST(a_client_that_does_not_answer_is_closed_when_its_time_is_up)
{
    struct rig *r = rig_new();
    struct client *c = try(r, "phone", "ask me");
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
    skip_connect_timeout(r);
    expect_closed(c);
    go(c);
    rig_free(r);
}

TEST(data_larger_than_the_client_takes_is_not_sent)
{
    struct rig *r = rig_new();
    struct connect p = { .version = MQTT_V5,
                         .client_id = bytes_of_text("phone"),
                         .props = with("TEST", "ask me") };
    PROPS_SET(&p.props, max_packet_size, 12);
    struct client *c = try_with(r, &p);
    expect_refused(c, MQTT_RC_PACKET_TOO_LARGE);
    go(c);
    rig_free(r);
}

TEST(without_a_method_the_broker_asks_nobody)
{
    struct rig *r = rig_new();
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text("phone") };
    struct client *c = try_with(r, &p);
    expect_refused(c, MQTT_RC_NOT_AUTHORIZED);
    go(c);
    check_asked(r, 0);
    rig_free(r);
}

/* Its time for a CONNECT stands still while the plugin is asked. */
TEST(a_client_has_its_time_again_when_the_plugin_has_answered)
{
    struct rig *r = rig_new();
    struct client *c = try(r, "phone", "later");
    struct hook_auth *q = wait_for_late(r);
    skip_connect_timeout(r);
    answer_late(q, HOOK_MORE, NULL);
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, NULL);
    skip_connect_timeout(r);
    expect_closed(c);
    go(c);
    rig_free(r);
}

/* --- again */

static struct client *join(struct rig *r, const char *id)
{
    struct client *c = try(r, id, "secret");
    expect_let_in(c, "welcome");
    return c;
}

TEST(a_client_can_authenticate_again)
{
    struct rig *r = rig_new();
    struct client *c = join(r, "phone");
    send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", "ask me");
    expect_auth(c, MQTT_RC_CONTINUE_AUTH, "who?");
    check_seen(r, "again phone/: ask me");
    send_auth(c, MQTT_RC_CONTINUE_AUTH, "TEST", "secret");
    expect_auth(c, MQTT_RC_OK, "welcome");
    check_asked(r, 3);
    send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", "quiet");
    expect_auth(c, MQTT_RC_OK, NULL);
    catch_up(c);
    go(c);
    rig_free(r);
}

TEST(messages_go_both_ways_meanwhile)
{
    struct rig *r = rig_new();
    struct client *c = join(r, "phone");
    subscribe(c, "t");
    send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", "later");
    struct hook_auth *q = wait_for_late(r);
    publish(c, "t");
    next(c, PACKET_PUBLISH);
    catch_up(c);
    answer_late(q, HOOK_ALLOW, NULL);
    expect_auth(c, MQTT_RC_OK, NULL);
    go(c);
    rig_free(r);
}

TEST(failing_again_ends_the_connection)
{
    struct rig *r = rig_new();
    struct client *c = join(r, "phone");
    send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", "wrong");
    expect_ended(c, MQTT_RC_NOT_AUTHORIZED);
    go(c);
    c = join(r, "phone");
    send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", "banned"); /* a code that is CONNACK's alone */
    expect_ended(c, MQTT_RC_NOT_AUTHORIZED);
    go(c);
    rig_free(r);
}

TEST(who_is_passed_over_or_waited_for_too_long_again_is_told)
{
    static const struct {
        const char *data;
        enum mqtt_rc code;
    } rows[] = { { "never heard of", MQTT_RC_NOT_AUTHORIZED },
                 { "slow", MQTT_RC_IMPLEMENTATION },
                 { "busy", MQTT_RC_SERVER_BUSY } };
    struct rig *r = rig_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client *c = join(r, "phone");
        send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", rows[i].data);
        expect_ended(c, rows[i].code);
        go(c);
    }
    rig_free(r);
}

TEST(what_an_open_connection_may_not_say_ends_it)
{
    static const struct {
        enum mqtt_rc code;
        const char *method;
    } wrong[] = { { MQTT_RC_REAUTHENTICATE, "OTHER" },
                  { MQTT_RC_CONTINUE_AUTH, "TEST" },
                  { MQTT_RC_REAUTHENTICATE, NULL },
                  { MQTT_RC_OK, "TEST" } };
    struct rig *r = rig_new();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct client *c = join(r, "phone");
        send_auth(c, wrong[i].code, wrong[i].method, "secret");
        expect_ended(c, MQTT_RC_PROTOCOL);
        go(c);
    }
    struct client *c = join(r, "phone");
    send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", "later");
    struct hook_auth *q = wait_for_late(r);
    send_auth(c, MQTT_RC_REAUTHENTICATE, "TEST", "secret"); /* the first is not answered yet */
    expect_ended(c, MQTT_RC_PROTOCOL);
    answer_late(q, HOOK_ALLOW, NULL);
    go(c);
    rig_free(r);
}
