/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits for a client, asked from outside the shards: three loops, the store in memory, clients over TCP.
 * Between shards and store stands one that can answer as a store on disk does, which hears of
 * acknowledgements later than the shard.
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
#include <stdlib.h>
#include <unistd.h>

enum { SHARDS = 3, PACKET_BYTES = 4096, KIND_ANSWER = 77, MESSAGES = 6, PATIENCE_S = 60 };

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
    struct mailbox mailbox;
    struct shards_ids q;
    struct store_ids old; /* with rows: what the store answers, from here */
    unsigned asked;       /* by the shards, since there are old rows */
    struct journal_sink sink;
};

/* --- a store that is late: on the journal's thread, when it answers */

static void answer_as_of_old(struct rig *r)
{
    struct store_ids *p = &r->q.page;
    r->asked++;
    p->count = 0;
    for (uint32_t i = 0; i < r->old.count && p->count < p->limit; i++)
        if (r->old.rows[i].seq > p->after) p->rows[p->count++] = r->old.rows[i];
}

static void post(void *ctx, unsigned shard, struct mail *m)
{
    struct rig *r = ctx;
    if (m == &r->q.page.answer && r->old.count > 0) answer_as_of_old(r);
    r->sink.post(r->sink.ctx, shard, m);
}

static void complete(void *ctx, unsigned shard, struct mail *m)
{
    const struct rig *r = ctx;
    r->sink.complete(r->sink.ctx, shard, m);
}

static void flush(void *ctx)
{
    const struct rig *r = ctx;
    r->sink.flush(r->sink.ctx);
}

/* --- the shards */

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);
    CHECK_TRUE(r != NULL);
    struct log_conf log = { .clock = &clock_system };
    struct listener_conf listener = { "127.0.0.1", 0, AF_INET, { .nodelay = true }, NULL };
    config_init(&r->config);
    one_door_init(&r->door, &r->config);
    r->config.default_listener.security.allow_anonymous = true;
    CHECK_INT(ERR_OK, mailbox_open(&r->mailbox));
    CHECK_INT(ERR_OK, log_open(&r->log, &log));
    CHECK_INT(ERR_OK, metrics_new(&r->metrics, SHARDS + 1));
    struct shards_conf conf = {
        .count = SHARDS, .view = &r->door.view, .log = r->log, .metrics = r->metrics, .clock = &clock_system
    };
    CHECK_INT(ERR_OK, shards_new(&r->shards, &conf));
    r->sink = shards_sink(r->shards);
    struct store_mem_conf mem = { .sink = { post, complete, flush, r }, .clock = &clock_system };
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

static void close_shards(struct rig *r)
{
    shards_close_clients(r->shards);
    listener_close(&r->listener);
    store_mem_stop(&r->mem);
}

static void rig_free(struct rig *r)
{
    if (r->mem != NULL) close_shards(r);
    shards_stop(r->shards);
    shards_free(&r->shards);
    one_door_fini(&r->door);
    metrics_free(&r->metrics);
    log_close(&r->log);
    mailbox_close(&r->mailbox);
    free(r);
}

/* --- clients */

struct client {
    int fd;
    uint8_t in[PACKET_BYTES];
    size_t in_bytes, used;
};

static void send_packet(struct client *c, const uint8_t *packet, const struct wr *w)
{
    size_t n = (size_t)(w->at - packet);
    CHECK_TRUE(!w->bad);
    CHECK_INT(n, write(c->fd, packet, n));
}

static struct frame expect(struct client *c, enum packet_type type)
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

static struct client *join(struct rig *r, const char *id, uint32_t expiry_s)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct connect p = { .version = MQTT_V5, .client_id = bytes_of_text(id) };
    struct client *c = calloc(1, sizeof *c);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(r->listener.port) };
    struct timeval patience = { .tv_sec = PATIENCE_S };
    CHECK_TRUE(c != NULL);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    CHECK_INT(0, connect(c->fd, (struct sockaddr *)&to, sizeof to));
    PROPS_SET(&p.props, session_expiry, expiry_s);
    connect_encode(&w, &p);
    send_packet(c, packet, &w);
    expect(c, PACKET_CONNACK);
    return c;
}

static void go(struct client *c)
{
    close(c->fd);
    free(c);
}

static void subscribe(struct client *c, const char *filter)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct subscribe_filter f = { .filter = bytes_of_text(filter), .qos = 1 };
    subscribe_encode(&w, MQTT_V5, 1, &f, 1);
    send_packet(c, packet, &w);
    expect(c, PACKET_SUBACK);
}

static void publish(struct client *c, const char *topic, uint16_t id)
{
    uint8_t packet[PACKET_BYTES];
    struct wr w = { .at = packet, .left = sizeof packet };
    struct publish p = {
        .topic = bytes_of_text(topic), .payload = bytes_of_text("payload"), .id = id, .qos = 1
    };
    publish_encode(&w, MQTT_V5, &p);
    send_packet(c, packet, &w);
    expect(c, PACKET_PUBACK);
}

static void acknowledge(struct client *c, uint16_t id)
{
    uint8_t packet[8];
    struct wr w = { .at = packet, .left = sizeof packet };
    ack_encode(&w, MQTT_V5, PACKET_PUBACK, &(struct ack){ .id = id });
    send_packet(c, packet, &w);
}

/* The broker has read all that was sent before. */
static void catch_up(struct client *c)
{
    uint8_t packet[2];
    struct wr w = { .at = packet, .left = sizeof packet };
    ping_encode(&w, PACKET_PINGREQ);
    send_packet(c, packet, &w);
    expect(c, PACKET_PINGRESP);
}

/* --- questions */

static const struct store_ids *ask(struct rig *r, const char *client, uint64_t after, uint32_t limit)
{
    r->q = (struct shards_ids){ .client_id = bytes_of_text(client), .to = &r->mailbox, .kind = KIND_ANSWER };
    r->q.page.after = after;
    r->q.page.limit = limit;
    shards_offline_ids(r->shards, &r->q);
    struct mail *m = mailbox_wait(&r->mailbox);
    CHECK_INT(KIND_ANSWER, m->kind);
    CHECK_TRUE(CONTAINER(m, struct shards_ids, mail) == &r->q);
    return &r->q.page;
}

/* Its messages have gone out to it, and are not acknowledged. */
static struct client *with_messages(struct rig *r, const char *id)
{
    struct client *source = join(r, "source", 0), *c = join(r, id, 600);
    subscribe(c, id);
    for (uint16_t i = 1; i <= MESSAGES; i++) publish(source, id, i);
    for (uint16_t i = 1; i <= MESSAGES; i++) expect(c, PACKET_PUBLISH);
    go(source);
    return c;
}

TEST(the_shard_of_a_client_finds_what_waits_for_it)
{
    struct rig *r = rig_new();
    const char *const names[] = { "a", "b", "c", "d", "e" }; /* not all on one shard, whatever the seed */
    for (int i = 0; i < 5; i++) go(with_messages(r, names[i]));
    for (int i = 0; i < 5; i++) {
        const struct store_ids *p = ask(r, names[i], 0, 4);
        CHECK_INT(ERR_OK, r->q.rc);
        CHECK_INT(4, p->count);
        for (uint32_t row = 0; row < 4; row++) CHECK_INT(7, p->rows[row].payload_bytes);
        uint64_t last = p->rows[3].seq;
        CHECK_TRUE(p->rows[0].seq < last);
        CHECK_INT(MESSAGES - 4, ask(r, names[i], last, 4)->count);
        CHECK_TRUE(r->q.page.rows[0].seq > last);
    }
    rig_free(r);
}

TEST(who_is_not_known_and_who_has_nothing_kept_is_not_found)
{
    struct rig *r = rig_new();
    struct client *c = join(r, "clean", 0);
    CHECK_INT(0, ask(r, "nobody", 0, 10)->count);
    CHECK_INT(ERR_NOTFOUND, r->q.rc);
    CHECK_INT(0, ask(r, "clean", 0, 10)->count);
    CHECK_INT(ERR_NOTFOUND, r->q.rc);
    go(c);
    rig_free(r);
}

TEST(a_session_with_an_empty_queue_is_found)
{
    struct rig *r = rig_new();
    struct client *c = join(r, "kept", 600);
    CHECK_INT(0, ask(r, "kept", 0, 10)->count);
    CHECK_INT(ERR_OK, r->q.rc);
    go(c);
    rig_free(r);
}

/* Packet ids begin with 1. The first page of the store has only what was acknowledged: that is not the end.
 */
TEST(what_was_acknowledged_is_not_shown_though_the_store_still_has_it)
{
    struct rig *r = rig_new();
    struct client *c = with_messages(r, "kept");
    struct store_ids *all = malloc(sizeof *all);
    CHECK_TRUE(all != NULL);
    *all = *ask(r, "kept", 0, MESSAGES);
    CHECK_INT(MESSAGES, all->count);
    acknowledge(c, 1);
    acknowledge(c, 2);
    acknowledge(c, 4);
    catch_up(c);
    r->old = *all;
    const struct store_ids *p = ask(r, "kept", 0, 2);
    CHECK_INT(2, r->asked);
    CHECK_INT(1, p->count);
    CHECK_INT(all->rows[2].seq, p->rows[0].seq);
    p = ask(r, "kept", all->rows[3].seq, 10);
    CHECK_INT(2, p->count);
    CHECK_INT(all->rows[4].seq, p->rows[0].seq);
    CHECK_INT(0, ask(r, "kept", all->rows[5].seq, 10)->count);
    CHECK_INT(ERR_OK, r->q.rc);
    free(all);
    go(c);
    rig_free(r);
}

TEST(when_the_store_has_been_stopped_the_answer_says_so)
{
    struct rig *r = rig_new();
    go(with_messages(r, "kept"));
    close_shards(r);
    CHECK_INT(0, ask(r, "kept", 0, 10)->count);
    CHECK_INT(ERR_CLOSED, r->q.rc);
    rig_free(r);
}
