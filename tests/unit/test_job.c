/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SUBSCRIBE and UNSUBSCRIBE around their journal: shards with one loop, clients over TCP, and a gate before
 * the journal in memory. The gate holds back commands of the kinds that a test names, so that a test decides
 * what comes before what.
 */
#include "base/limits.h"
#include "base/list.h"
#include "codec/codec.h"
#include "kit/test.h"
#include "net/listener.h"
#include "shard/shard.h"
#include "store/store_mem.h"
#include "unit/one_door.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KINDS = 16, FILTERS_MAX = 8, TEXT_BYTES = 64, PACKET_BYTES = 4096, WINDOW = 100, PATIENCE_S = 60 };

/* A filter as the journal has been told of it. */
struct told {
    char filter[TEXT_BYTES];
    uint8_t options;
};

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct journal journal;
    struct journal_sink shards;
    bool holds[KINDS];
    bool stops; /* the shard, at its next command */
    unsigned stopped;
    struct outbox held;
    unsigned put[KINDS], held_count[KINDS], done[KINDS], stale;
    unsigned known[KINDS];         /* of the done ones, those of which the shard has been told */
    struct told told[FILTERS_MAX]; /* the subscriptions of the one session that there is */
    unsigned told_count;
};

struct rig {
    struct gate gate;
    struct config config;
    struct one_door door;
    struct log *log;
    struct metrics *metrics;
    struct store_mem *store;
    struct shards *shards;
    struct listener listener;
    struct gauge open;
    struct shards_listener of_shards;
};

/* --- the gate */

static struct command *command_of(struct mail *m)
{
    return CONTAINER(m, struct command, mail);
}

/* Oldest first. */
static struct mail *in_order(struct outbox *o)
{
    struct mail *first = NULL, *next;
    for (struct mail *m = o->newest; m != NULL; m = next) {
        next = m->next;
        m->next = first;
        first = m;
    }
    *o = (struct outbox){ 0 };
    return first;
}

static void gate_submit(void *impl, struct outbox *commands)
{
    struct gate *g = impl;
    struct outbox through = { 0 };
    struct mail *next;
    pthread_mutex_lock(&g->lock);
    for (struct mail *m = in_order(commands); m != NULL; m = next) {
        enum command_kind kind = command_of(m)->kind;
        next = m->next;
        g->put[kind]++;
        g->held_count[kind] += g->holds[kind];
        outbox_put(g->holds[kind] ? &g->held : &through, m);
    }
    journal_submit(&g->journal, &through);
    g->stopped += g->stops;
    pthread_cond_broadcast(&g->changed);
    while (g->stops) pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static const struct journal_ops gate_ops = { .name = "gate", .submit = gate_submit };

static struct told *find_told(struct gate *g, struct bytes filter)
{
    struct told *t = g->told;
    while (t < g->told + g->told_count && !bytes_equal(bytes_of_text(t->filter), filter)) t++;
    return t;
}

static void tell(struct gate *g, const struct command *c)
{
    struct rd r = { c->data.at, c->data.len, false };
    while (r.left > 0) {
        struct bytes filter = rd_str(&r);
        struct told *t = find_told(g, filter);
        bool is_there = t < g->told + g->told_count;
        if (c->kind == COMMAND_UNSUBSCRIBE) {
            if (is_there) *t = g->told[--g->told_count];
            continue;
        }
        if (!is_there) g->told_count++;
        memset(t, 0, sizeof *t);
        memcpy(t->filter, filter.at, filter.len);
        t->options = rd_u8(&r);
    }
}

static void sink_post(void *ctx, unsigned shard, struct mail *mail)
{
    struct gate *g = ctx;
    g->shards.post(g->shards.ctx, shard, mail);
}

static void sink_complete(void *ctx, unsigned shard, struct mail *mail)
{
    struct gate *g = ctx;
    const struct command *c = CONTAINER(mail, struct command, completion);
    pthread_mutex_lock(&g->lock);
    bool is_filters = c->kind == COMMAND_SUBSCRIBE || c->kind == COMMAND_UNSUBSCRIBE;
    if (is_filters && c->result == COMMAND_DURABLE) tell(g, c);
    g->stale += is_filters && c->result == COMMAND_STALE;
    g->done[c->kind]++;
    pthread_mutex_unlock(&g->lock);
    g->shards.complete(g->shards.ctx, shard, mail);
}

static void sink_flush(void *ctx)
{
    struct gate *g = ctx;
    g->shards.flush(g->shards.ctx);
    pthread_mutex_lock(&g->lock);
    memcpy(g->known, g->done, sizeof g->known);
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void hold(struct rig *r, enum command_kind kind)
{
    pthread_mutex_lock(&r->gate.lock);
    r->gate.holds[kind] = true;
    pthread_mutex_unlock(&r->gate.lock);
}

static unsigned number(struct rig *r, const unsigned *of_gate)
{
    pthread_mutex_lock(&r->gate.lock);
    unsigned n = *of_gate;
    pthread_mutex_unlock(&r->gate.lock);
    return n;
}

/* Bounded only so that a failure ends. */
static void wait_for(struct rig *r, const unsigned *of_gate, unsigned least)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&r->gate.lock);
    while (*of_gate < least && rc == 0) rc = pthread_cond_timedwait(&r->gate.changed, &r->gate.lock, &until);
    pthread_mutex_unlock(&r->gate.lock);
    CHECK_INT(0, rc);
}

static void stop(struct rig *r, bool stops)
{
    pthread_mutex_lock(&r->gate.lock);
    r->gate.stops = stops;
    pthread_cond_broadcast(&r->gate.changed);
    pthread_mutex_unlock(&r->gate.lock);
}

static void wait_held(struct rig *r, enum command_kind kind, unsigned count)
{
    wait_for(r, &r->gate.held_count[kind], count);
}

/* What is held goes on, and what comes is held as before if `holds`. */
static void release(struct rig *r, enum command_kind kind, bool holds)
{
    struct outbox through = { 0 }, kept = { 0 };
    struct mail *next;
    pthread_mutex_lock(&r->gate.lock);
    for (struct mail *m = in_order(&r->gate.held); m != NULL; m = next) {
        next = m->next;
        outbox_put(command_of(m)->kind == kind ? &through : &kept, m);
    }
    r->gate.held = kept;
    r->gate.held_count[kind] = 0;
    r->gate.holds[kind] = holds;
    journal_submit(&r->gate.journal, &through);
    pthread_mutex_unlock(&r->gate.lock);
}

/* --- the shards */

static void start_shards(struct rig *r)
{
    struct store_mem_conf store = { .sink = { sink_post, sink_complete, sink_flush, &r->gate },
                                    .clock = &clock_system };
    struct shards_conf conf = {
        .count = 1, .view = &r->door.view, .log = r->log, .metrics = r->metrics, .clock = &clock_system
    };
    CHECK_INT(ERR_OK, shards_new(&r->shards, &conf));
    r->gate.shards = shards_sink(r->shards);
    CHECK_INT(ERR_OK, store_mem_start(&r->store, &store));
    r->gate.journal = store_mem_journal(r->store);
    struct store pages = store_mem_store(r->store);
    struct journal gate = { &gate_ops, &r->gate };
    CHECK_INT(ERR_OK, shards_start(r->shards, &gate, &pages, &(struct shards_past){ 0 }));
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);
    struct log_conf log = { .clock = &clock_system };
    struct listener_conf listener = { "127.0.0.1", 0, AF_INET, { .nodelay = true }, NULL };
    pthread_mutex_init(&r->gate.lock, NULL);
    pthread_cond_init(&r->gate.changed, NULL);
    config_init(&r->config);
    one_door_init(&r->door, &r->config);
    r->config.default_listener.security.allow_anonymous = true;
    CHECK_INT(ERR_OK, log_open(&r->log, &log));
    CHECK_INT(ERR_OK, metrics_new(&r->metrics, 2));
    start_shards(r);
    CHECK_INT(ERR_OK, listener_open(&r->listener, &listener));
    r->of_shards =
        (struct shards_listener){ .fd = r->listener.fds[0], .port = r->listener.port, .open = &r->open };
    shards_listen(r->shards, &r->of_shards);
    return r;
}

static void rig_free(struct rig *r)
{
    for (int kind = 0; kind < KINDS; kind++) release(r, (enum command_kind)kind, false);
    shards_close_clients(r->shards);
    listener_close(&r->listener);
    store_mem_stop(&r->store);
    shards_stop(r->shards);
    shards_free(&r->shards);
    one_door_fini(&r->door);
    metrics_free(&r->metrics);
    log_close(&r->log);
    pthread_cond_destroy(&r->gate.changed);
    pthread_mutex_destroy(&r->gate.lock);
    free(r);
}

/* --- a client */

struct client {
    int fd;
    uint16_t last_id;
    uint8_t in[PACKET_BYTES];
    size_t in_bytes, used;
};

static void send_packet(struct client *c, const uint8_t *packet, const struct wr *w)
{
    size_t n = (size_t)(w->at - packet);
    CHECK_TRUE(!w->bad);
    CHECK_INT(n, write(c->fd, packet, n));
}

/* The next packet; false at the end of the connection. */
static bool receive(struct client *c, struct frame *f)
{
    memmove(c->in, c->in + c->used, c->in_bytes -= c->used);
    c->used = 0;
    for (;;) {
        CHECK_INT(MQTT_RC_OK, frame_split(bytes_of(c->in, c->in_bytes), PACKET_BYTES, f));
        if (f->total > 0) break;
        ssize_t got = read(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes);
        if (got <= 0) return false;
        c->in_bytes += (size_t)got;
    }
    c->used = f->total;
    return true;
}

static struct frame expect(struct client *c, enum packet_type type)
{
    struct frame f;
    CHECK_TRUE(receive(c, &f));
    CHECK_INT(type, f.type);
    return f;
}

static struct client *open_client(struct rig *r)
{
    struct client *c = calloc(1, sizeof *c);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(r->listener.port) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = { .tv_sec = PATIENCE_S };
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    CHECK_INT(0, connect(c->fd, (struct sockaddr *)&to, sizeof to));
    return c;
}

static struct client *join(struct rig *r, const char *id, bool clean, uint32_t expiry_s)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct connect p = { .version = MQTT_V5, .clean_start = clean, .client_id = bytes_of_text(id) };
    struct client *c = open_client(r);
    PROPS_SET(&p.props, session_expiry, expiry_s);
    PROPS_SET(&p.props, receive_max, WINDOW);
    connect_encode(&w, &p);
    send_packet(c, packet, &w);
    expect(c, PACKET_CONNACK);
    return c;
}

/* The one client whose session is kept. */
static struct client *come(struct rig *r)
{
    return join(r, "kept", false, 600);
}

static void go(struct client *c)
{
    close(c->fd);
    free(c);
}

/* And the broker knows. */
static void vanish(struct rig *r, struct client *c)
{
    int64_t before = metrics_sum(r->metrics, METRIC_connections_open);
    go(c);
    while (metrics_sum(r->metrics, METRIC_connections_open) >= before) sched_yield();
}

static void subscribe(struct client *c, const char *filter, uint8_t qos)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct subscribe_filter f = { .filter = bytes_of_text(filter), .qos = qos, .retain_as_published = true };
    subscribe_encode(&w, MQTT_V5, ++c->last_id, &f, 1);
    send_packet(c, packet, &w);
}

static void unsubscribe(struct client *c, const char *filter)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct bytes f = bytes_of_text(filter);
    unsubscribe_encode(&w, MQTT_V5, ++c->last_id, &f, 1);
    send_packet(c, packet, &w);
}

static void publish(struct client *c, unsigned topic, const char *payload, uint8_t qos)
{
    uint8_t packet[PACKET_BYTES];
    char name[TEXT_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    snprintf(name, sizeof name, "r/%04u", topic);
    struct publish p = {
        .topic = bytes_of_text(name),
        .payload = bytes_of_text(payload),
        .id = qos > 0 ? ++c->last_id : 0,
        .qos = qos,
        .retain = true,
    };
    publish_encode(&w, MQTT_V5, &p);
    send_packet(c, packet, &w);
}

static void ping(struct client *c)
{
    uint8_t packet[2];
    struct wr w = { .at = packet, .left = sizeof packet };
    ping_encode(&w, PACKET_PINGREQ);
    send_packet(c, packet, &w);
}

/* Retained messages of so many topics. */
static struct client *fill(struct rig *r, unsigned topics, const char *payload)
{
    struct client *c = join(r, "source", true, 0);
    for (unsigned i = 0; i < topics; i++) {
        publish(c, i, payload, 1);
        expect(c, PACKET_PUBACK);
    }
    return c;
}

/* Takes and acknowledges one message; gives the number of its topic. */
static unsigned take(struct client *c, char payload[TEXT_BYTES])
{
    uint8_t packet[8];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct publish p;
    struct frame f = expect(c, PACKET_PUBLISH);
    CHECK_INT(MQTT_RC_OK, publish_decode(&f, MQTT_V5, &p));
    CHECK_TRUE(p.payload.len < TEXT_BYTES && p.topic.len == 6);
    memcpy(payload, p.payload.at, p.payload.len);
    payload[p.payload.len] = '\0';
    char digits[5] = { 0 };
    memcpy(digits, p.topic.at + 2, 4);
    if (p.qos > 0) {
        ack_encode(&w, MQTT_V5, PACKET_PUBACK, &(struct ack){ .id = p.id });
        send_packet(c, packet, &w);
    }
    return (unsigned)strtoul(digits, NULL, 10);
}

static void take_all(struct client *c, unsigned topics, const char *payload)
{
    bool *had = calloc(topics, sizeof *had);
    char got[TEXT_BYTES];
    for (unsigned i = 0; i < topics; i++) {
        unsigned topic = take(c, got);
        CHECK_TRUE(topic < topics && !had[topic]);
        CHECK_INT(0, strcmp(payload, got));
        had[topic] = true;
    }
    free(had);
    ping(c);
    expect(c, PACKET_PINGRESP); /* one more would have come before */
}

/* --- packet ids */

static void check_code(struct client *c, enum packet_type type, uint8_t code)
{
    struct suback s;
    struct frame f = expect(c, type);
    CHECK_INT(MQTT_RC_OK, suback_decode(&f, MQTT_V5, &s));
    CHECK_INT(1, s.id);
    CHECK_INT(1, s.codes.len);
    CHECK_INT(code, s.codes.at[0]);
}

TEST(a_packet_id_of_a_subscribe_that_is_not_answered_yet_cannot_be_used)
{
    struct rig *r = rig_new();
    hold(r, COMMAND_SUBSCRIBE);
    struct client *c = come(r);
    subscribe(c, "a", 1);
    wait_held(r, COMMAND_SUBSCRIBE, 1);
    c->last_id = 0;
    subscribe(c, "b", 1);
    check_code(c, PACKET_SUBACK, MQTT_RC_ID_IN_USE);
    c->last_id = 0;
    unsubscribe(c, "a");
    check_code(c, PACKET_UNSUBACK, MQTT_RC_ID_IN_USE);
    release(r, COMMAND_SUBSCRIBE, false);
    check_code(c, PACKET_SUBACK, 1);
    c->last_id = 0;
    unsubscribe(c, "b"); /* it had no effect */
    check_code(c, PACKET_UNSUBACK, MQTT_RC_NO_SUBSCRIPTION);
    go(c);
    rig_free(r);
}

/* --- what the journal had not when its connection was taken over */

static void check_told(struct rig *r, const char *filter, int options)
{
    pthread_mutex_lock(&r->gate.lock);
    struct told *t = find_told(&r->gate, bytes_of_text(filter));
    bool is_there = t < r->gate.told + r->gate.told_count;
    CHECK_INT(options, is_there ? t->options : -1);
    pthread_mutex_unlock(&r->gate.lock);
}

enum { GONE = -1, AS_PUBLISHED = 8 };

TEST(a_subscribe_that_a_takeover_made_stale_is_in_the_journal_all_the_same)
{
    struct rig *r = rig_new();
    hold(r, COMMAND_SUBSCRIBE);
    struct client *old = come(r);
    subscribe(old, "a", 1);
    wait_held(r, COMMAND_SUBSCRIBE, 1);
    struct client *c = come(r);
    release(r, COMMAND_SUBSCRIBE, true);
    wait_held(r, COMMAND_SUBSCRIBE, 1); /* again */
    CHECK_INT(1, number(r, &r->gate.stale));
    check_told(r, "a", GONE);
    struct client *newer = come(r); /* and stale again */
    release(r, COMMAND_SUBSCRIBE, true);
    wait_held(r, COMMAND_SUBSCRIBE, 1);
    release(r, COMMAND_SUBSCRIBE, false);
    subscribe(newer, "b", 0);
    expect(newer, PACKET_SUBACK);
    check_told(r, "a", 1 | AS_PUBLISHED);
    CHECK_INT(2, number(r, &r->gate.stale));
    CHECK_INT(4, number(r, &r->gate.put[COMMAND_SUBSCRIBE]));
    go(old);
    go(c);
    go(newer);
    rig_free(r);
}

TEST(an_unsubscribe_that_a_takeover_made_stale_is_in_the_journal_all_the_same)
{
    struct rig *r = rig_new();
    struct client *old = come(r);
    subscribe(old, "a", 1);
    expect(old, PACKET_SUBACK);
    check_told(r, "a", 1 | AS_PUBLISHED);
    hold(r, COMMAND_UNSUBSCRIBE);
    unsubscribe(old, "a");
    wait_held(r, COMMAND_UNSUBSCRIBE, 1);
    struct client *c = come(r);
    release(r, COMMAND_UNSUBSCRIBE, true);
    wait_held(r, COMMAND_UNSUBSCRIBE, 1); /* again */
    release(r, COMMAND_UNSUBSCRIBE, false);
    subscribe(c, "b", 0);
    expect(c, PACKET_SUBACK);
    check_told(r, "a", GONE);
    CHECK_INT(1, number(r, &r->gate.stale));
    go(old);
    go(c);
    rig_free(r);
}

TEST(a_stale_packet_says_nothing_of_a_filter_that_a_later_one_has_changed)
{
    struct rig *r = rig_new();
    struct client *old = come(r);
    hold(r, COMMAND_SUBSCRIBE);
    subscribe(old, "a", 1);
    subscribe(old, "b", 1);
    wait_held(r, COMMAND_SUBSCRIBE, 2);
    struct client *c = come(r);
    unsubscribe(c, "a");
    expect(c, PACKET_UNSUBACK);
    subscribe(c, "b", 0);
    wait_held(r, COMMAND_SUBSCRIBE, 3);
    release(r, COMMAND_SUBSCRIBE, true);
    wait_held(r, COMMAND_SUBSCRIBE, 1); /* "b" again, as it is now, and "a" not */
    release(r, COMMAND_SUBSCRIBE, false);
    expect(c, PACKET_SUBACK);
    subscribe(c, "c", 0);
    expect(c, PACKET_SUBACK);
    check_told(r, "a", GONE);
    check_told(r, "b", 0 | AS_PUBLISHED);
    CHECK_INT(2, number(r, &r->gate.stale));
    CHECK_INT(5, number(r, &r->gate.put[COMMAND_SUBSCRIBE]));
    go(old);
    go(c);
    rig_free(r);
}

TEST(a_stale_packet_of_a_session_that_has_ended_is_forgotten)
{
    struct rig *r = rig_new();
    struct client *old = come(r);
    hold(r, COMMAND_SUBSCRIBE);
    subscribe(old, "a", 1);
    wait_held(r, COMMAND_SUBSCRIBE, 1);
    struct client *c = join(r, "kept", true, 600);
    release(r, COMMAND_SUBSCRIBE, false);
    subscribe(c, "b", 1);
    expect(c, PACKET_SUBACK);
    check_told(r, "a", GONE);
    CHECK_INT(2, number(r, &r->gate.put[COMMAND_SUBSCRIBE]));
    go(old);
    go(c);
    rig_free(r);
}

/* --- retained messages */

TEST(retained_messages_come_to_a_session_whose_client_was_gone_before_suback)
{
    enum { TOPICS = 200 };
    struct rig *r = rig_new();
    struct client *source = fill(r, TOPICS, "x");
    struct client *c = come(r);
    hold(r, COMMAND_SUBSCRIBE);
    subscribe(c, "r/#", 1);
    wait_held(r, COMMAND_SUBSCRIBE, 1);
    vanish(r, c);
    release(r, COMMAND_SUBSCRIBE, false);
    c = come(r);
    take_all(c, TOPICS, "x");
    go(c);
    go(source);
    rig_free(r);
}

TEST(copies_of_one_session_under_way_have_a_limit_and_all_come_in_the_end)
{
    enum { TOPICS = COPIES_MAX + 500 };
    struct rig *r = rig_new();
    struct client *source = fill(r, TOPICS, "x");
    struct client *c = come(r);
    hold(r, COMMAND_RETAINED);
    subscribe(c, "r/#", 1);
    expect(c, PACKET_SUBACK);
    vanish(r, c);
    wait_held(r, COMMAND_RETAINED, COPIES_MAX);
    c = come(r);
    subscribe(c, "r/#", 0); /* waits its turn */
    expect(c, PACKET_SUBACK);
    for (int i = 0; i < 10; i++) { /* turns in which one more could come */
        ping(c);
        expect(c, PACKET_PINGRESP);
    }
    CHECK_INT(COPIES_MAX, number(r, &r->gate.put[COMMAND_RETAINED]));
    vanish(r, c);
    release(r, COMMAND_RETAINED, false);
    c = come(r);
    take_all(c, TOPICS, "x");
    go(c);
    go(source);
    rig_free(r);
}

TEST(a_copy_that_a_newer_message_overtakes_in_the_journal_does_not_come)
{
    struct rig *r = rig_new();
    char payload[TEXT_BYTES];
    struct client *source = fill(r, 2, "old");
    struct client *c = come(r);
    hold(r, COMMAND_RETAINED);
    subscribe(c, "r/#", 1);
    expect(c, PACKET_SUBACK);
    wait_held(r, COMMAND_RETAINED, 2);
    publish(source, 1, "new", 1);
    expect(source, PACKET_PUBACK);
    CHECK_INT(1, take(c, payload));
    CHECK_INT(0, strcmp("new", payload));
    release(r, COMMAND_RETAINED, false);
    CHECK_INT(0, take(c, payload));
    CHECK_INT(0, strcmp("old", payload));
    ping(c);
    expect(c, PACKET_PINGRESP);
    go(c);
    go(source);
    rig_free(r);
}

TEST(a_session_with_too_many_packets_unanswered_loses_its_connection)
{
    struct rig *r = rig_new();
    struct frame f;
    hold(r, COMMAND_SUBSCRIBE);
    for (int i = 0; i < JOBS_SESSION_MAX; i++) {
        struct client *c = come(r);
        subscribe(c, "a", 1);
        wait_held(r, COMMAND_SUBSCRIBE, (unsigned)i + 1);
        vanish(r, c);
    }
    struct client *c = come(r);
    subscribe(c, "a", 1);
    f = expect(c, PACKET_DISCONNECT);
    CHECK_INT(MQTT_RC_QUOTA_EXCEEDED, f.body.at[0]);
    CHECK_TRUE(!receive(c, &f));
    go(c);
    release(r, COMMAND_SUBSCRIBE, false);
    do { /* they end by themselves */
        c = come(r);
        subscribe(c, "a", 1);
        CHECK_TRUE(receive(c, &f));
        go(c);
    } while (f.type == PACKET_DISCONNECT);
    CHECK_INT(PACKET_SUBACK, f.type);
    rig_free(r);
}

/* The shard stands still while its SUBSCRIBE is applied and then more topics come live than it may note; so
 * all of them reach it between the fence and the answer to its question. */
TEST(retained_messages_are_read_again_behind_a_fence_when_notes_were_thrown_away)
{
    enum { TOPICS = NOTED_TOPICS_MAX + 100, QUIET = 10 };
    struct rig *r = rig_new();
    struct client *source = fill(r, TOPICS + QUIET, "old");
    struct client *c = come(r), *other = join(r, "other", true, 0);
    hold(r, COMMAND_SUBSCRIBE);
    subscribe(c, "r/#", 1);
    wait_held(r, COMMAND_SUBSCRIBE, 1);
    hold(r, COMMAND_ENQUEUE);
    for (unsigned i = 0; i < TOPICS; i++) publish(i % 2 == 0 ? source : other, i, "new", 0);
    wait_held(r, COMMAND_ENQUEUE, TOPICS);

    stop(r, true);
    unsubscribe(c, "none");
    wait_for(r, &r->gate.stopped, 1);
    unsigned enqueued = number(r, &r->gate.done[COMMAND_ENQUEUE]);
    release(r, COMMAND_SUBSCRIBE, false);
    wait_for(r, &r->gate.known[COMMAND_SUBSCRIBE], 1);
    release(r, COMMAND_ENQUEUE, false);
    wait_for(r, &r->gate.known[COMMAND_ENQUEUE], enqueued + TOPICS);
    CHECK_INT(0, number(r, &r->gate.put[COMMAND_FENCE]));
    stop(r, false);

    /* The live ones are of QoS 0; of the others a copy comes, and of the live ones nothing older. */
    expect(c, PACKET_UNSUBACK); /* the gate let it through before the SUBSCRIBE */
    expect(c, PACKET_SUBACK);
    char payload[TEXT_BYTES];
    for (unsigned i = 0; i < TOPICS + QUIET; i++) {
        unsigned topic = take(c, payload);
        CHECK_INT(0, strcmp(topic < TOPICS ? "new" : "old", payload));
    }
    CHECK_TRUE(number(r, &r->gate.put[COMMAND_FENCE]) > 0);
    go(c);
    go(source);
    go(other);
    rig_free(r);
}
