/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A durable group and its one member, with QoS 2: a shard without a thread, and the store in memory a step at
 * a time, which hears of the member's session when the test says so.
 */
#include "base/epoch.h"
#include "kit/test.h"
#include "shard/route.h"
#include "shard/shard_int.h"
#include "shard/subscribe.h"
#include "shard/turn_int.h"
#include "store/store_mem.h"
#include "unit/one_door.h"
#include <stdlib.h>

enum { MEMBER = 1000, WINDOW = 10 };

struct rig {
    struct config config;
    struct one_door door;
    struct log *log;
    struct metrics *metrics;
    struct store_mem *mem;
    struct shards *shards;
    struct shard *shard;
    struct conn conn; /* not open: nothing is sent over it */
    struct shards_listener listener;
    struct store_page page;
};

/* What the test asks is answered to the test. */
static void post(void *ctx, unsigned shard, struct mail *mail)
{
    struct rig *r = ctx;
    struct journal_sink sink = shards_sink(r->shards);
    if (mail != &r->page.answer) sink.post(sink.ctx, shard, mail);
}

static void complete(void *ctx, unsigned shard, struct mail *mail)
{
    struct rig *r = ctx;
    struct journal_sink sink = shards_sink(r->shards);
    sink.complete(sink.ctx, shard, mail);
}

static void flush(void *ctx)
{
    struct rig *r = ctx;
    struct journal_sink sink = shards_sink(r->shards);
    sink.flush(sink.ctx);
}

static bool turn(struct rig *r)
{
    epoch_online(r->shards->epoch, 0);
    shard_turn(r->shard, NULL, 0);
    epoch_offline(r->shards->epoch, 0);
    return store_mem_step(r->mem);
}

static void settle(struct rig *r)
{
    enum { MAIL_TURNS = 4 }; /* from the shard to itself */
    for (int idle = 0; idle < MAIL_TURNS;) idle = turn(r) ? 0 : idle + 1;
}

static uint32_t rows(struct rig *r, uint64_t session_no)
{
    struct store store = store_mem_store(r->mem);
    r->page = (struct store_page){ .session_no = session_no, .limit = PAGE_ENTRIES_MAX };
    store_page(&store, &r->page);
    store_mem_step(r->mem);
    for (uint32_t i = 0; i < r->page.count; i++) msg_unref(&r->page.rows[i].msg);
    return r->page.count;
}

/* As the member's shard does, when it is slower than the group's. */
static void claim(struct rig *r)
{
    struct command_size size = { .data = bytes_of_text("member") };
    struct command *c = command_new(COMMAND_CLAIM, &size);
    assert_non_null(c);
    c->session_no = MEMBER;
    journal_put(r->shard, c);
}

static void fill(struct rig *r, uint64_t session_no)
{
    struct msg *m;
    struct command_size size = { .targets = 1 };
    struct msg_parts parts = { .topic = bytes_of_text("own"), .qos = 1 };
    struct command *c = command_new(COMMAND_ENQUEUE, &size);
    assert_non_null(c);
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    c->msg = m;
    c->targets[0] = (struct command_target){ .session_no = session_no, .qos = 1 };
    journal_put(r->shard, c);
    settle(r);
    CHECK_INT(1, rows(r, session_no));
}

static struct session *restore_member(struct rig *r)
{
    struct restore_sink sink = shards_restore(r->shards);
    struct restore_session s = { .session_no = MEMBER,
                                 .expiry_s = UINT32_MAX,
                                 .client_id = bytes_of_text("member") };
    struct restore_subscription share = { .session_no = MEMBER,
                                          .filter = bytes_of_text("$share/g/t"),
                                          .options = 2 };
    CHECK_INT(ERR_OK, sink.session(sink.ctx, &s));
    CHECK_INT(ERR_OK, sink.subscription(sink.ctx, &share));
    return sessions_find_no(r->shard, MEMBER);
}

/* The limit of a queue; 0: none. */
static struct rig *new_rig(uint32_t messages_max)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    config_init(&r->config);
    one_door_init(&r->door, &r->config);
    r->config.sys_interval = 0;
    CHECK_INT(ERR_OK, log_open(&r->log, &(struct log_conf){ .clock = &clock_system }));
    CHECK_INT(ERR_OK, metrics_new(&r->metrics, 2));
    struct shards_conf conf = {
        .count = 1, .view = &r->door.view, .log = r->log, .metrics = r->metrics, .clock = &clock_system
    };
    CHECK_INT(ERR_OK, shards_new(&r->shards, &conf));
    r->shard = r->shards->at[0];
    r->conn.listener = &r->listener;
    r->conn.seldom = &conn_seldom_none;
    struct store_mem_conf mem = { .sink = { post, complete, flush, r },
                                  .limits = { .messages_max = messages_max },
                                  .clock = &clock_system };
    CHECK_INT(ERR_OK, store_mem_new(&r->mem, &mem));
    return r;
}

static void run(struct rig *r)
{
    struct journal journal = store_mem_journal(r->mem);
    struct store store = store_mem_store(r->mem);
    shards_prepare(r->shards, &journal, &store, &(struct shards_past){ 0 });
    settle(r);
}

static void free_rig(struct rig *r)
{
    settle(r);
    conn_seldom_end(&r->conn);
    store_mem_free(&r->mem);
    shards_free(&r->shards);
    one_door_fini(&r->door);
    metrics_free(&r->metrics);
    log_close(&r->log);
    free(r);
}

static struct session *make_clean_member(struct rig *r)
{
    struct subscribe_wish wish = { .options = { .qos = 2 } };
    struct session *s = sessions_create(r->shard, bytes_of_text("clean"), false);
    CHECK_INT(ERR_OK, shares_restore(r->shard, s, bytes_of_text("$share/g/t"), &wish));
    return s;
}

static void publish(struct rig *r)
{
    struct route_in in = { .topic = bytes_of_text("t"), .payload = bytes_of_text("x"), .qos = 2 };
    epoch_online(r->shards->epoch, 0);
    CHECK_INT(ROUTE_PENDING, route_publish(r->shard, &in));
    epoch_offline(r->shards->epoch, 0);
    settle(r);
}

static void go_online(struct rig *r, struct session *s, uint32_t window)
{
    session_attach(s, &r->conn, window);
    shares_online(r->shard, s);
}

static void go_offline(struct rig *r, struct session *s)
{
    session_detach(s);
    shares_offline(r->shard, s);
}

TEST(a_message_for_a_member_that_the_store_has_not_heard_of_waits_for_it)
{
    enum { TURNS = 20 };
    struct rig *r = new_rig(0);
    struct session *s = restore_member(r);
    run(r);
    publish(r);
    go_online(r, s, WINDOW);
    for (int i = 0; i < TURNS; i++) turn(r);
    CHECK_INT(0, rows(r, MEMBER));
    claim(r);
    settle(r);
    CHECK_INT(1, rows(r, MEMBER));
    go_offline(r, s);
    free_rig(r);
}

/* It was taken out of the queue to be given to a clean member, and another one has its place there now. */
TEST(a_message_that_comes_back_to_a_full_queue_is_kept)
{
    struct rig *r = new_rig(1);
    struct session *s = restore_member(r), *clean = make_clean_member(r);
    run(r);
    claim(r);
    go_online(r, clean, 1);
    publish(r);
    publish(r);
    CHECK_INT(0, metrics_sum(r->metrics, METRIC_publish_dropped_queue_full_total));
    go_offline(r, clean);
    settle(r);
    CHECK_INT(0, metrics_sum(r->metrics, METRIC_publish_dropped_queue_full_total));
    go_online(r, s, WINDOW);
    settle(r);
    CHECK_INT(2, rows(r, MEMBER));
    go_offline(r, s);
    free_rig(r);
}

/* The same, but the queue of the one that shall have it is full too: the publisher has its word already. */
TEST(what_comes_back_goes_into_the_full_queue_of_a_member)
{
    struct rig *r = new_rig(1);
    struct session *s = restore_member(r), *clean = make_clean_member(r);
    run(r);
    claim(r);
    go_online(r, clean, 1);
    publish(r);
    publish(r);
    go_offline(r, clean);
    settle(r);
    fill(r, MEMBER);
    go_online(r, s, WINDOW);
    settle(r);
    CHECK_INT(3, rows(r, MEMBER));
    CHECK_INT(0, metrics_sum(r->metrics, METRIC_publish_dropped_queue_full_total));
    go_offline(r, s);
    free_rig(r);
}
