/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delayed messages with a clock that stands still until the test moves it: shards without threads, the store
 * in memory a step at a time, and between them a journal that counts what is moved and can say no.
 */
#include "base/epoch.h"
#include "kit/test.h"
#include "shard/delayed.h"
#include "shard/route.h"
#include "shard/shard_int.h"
#include "shard/turn_int.h"
#include "store/store_mem.h"
#include "unit/one_door.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 2, MOVES_MAX = 4096, TEXT_BYTES = 32, SECOND = 1000, WALL_MS = 1000000 };

struct moved {
    char payload[TEXT_BYTES];
    uint32_t targets;
    bool retains;
};

struct rig {
    struct config config;
    struct one_door door;
    struct log *log;
    struct metrics *metrics;
    struct store_mem *mem;
    struct journal journal;
    struct shards *shards;
    struct clock clock;
    uint64_t now_ms;
    enum command_result next; /* instead of moving: what a MOVE is answered with, once */
    bool has_refused;
    unsigned moves, pages, pages_rows;
    struct moved moved[MOVES_MAX];
};

static uint64_t mono(void *ctx)
{
    return ((struct rig *)ctx)->now_ms;
}

static uint64_t wall(void *ctx)
{
    return WALL_MS + ((struct rig *)ctx)->now_ms;
}

/* --- the journal between */

static void note_move(struct rig *r, const struct command *c)
{
    assert_true(r->moves < MOVES_MAX);
    struct moved *m = &r->moved[r->moves++];
    struct bytes payload = msg_payload(c->msg);
    assert_true(payload.len < TEXT_BYTES);
    memcpy(m->payload, payload.at, payload.len);
    m->targets = c->targets_count;
    m->retains = c->retains;
}

/* Without an effect: its seats and its completion come back with this result. */
static void refuse(struct rig *r, struct command *c)
{
    struct journal_sink sink = shards_sink(r->shards);
    c->result = r->next;
    r->next = COMMAND_DURABLE;
    r->has_refused = true;
    for (uint16_t i = 0; i < c->seats_count; i++) sink.post(sink.ctx, c->seats[i].shard, &c->seats[i].mail);
    sink.complete(sink.ctx, c->from_shard, &c->completion);
    sink.flush(sink.ctx);
}

static struct mail *oldest_first(struct outbox *o)
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

static void submit(void *impl, struct outbox *commands)
{
    struct rig *r = impl;
    struct outbox through = { 0 };
    struct mail *next;
    for (struct mail *m = oldest_first(commands); m != NULL; m = next) {
        struct command *c = CONTAINER(m, struct command, mail);
        next = m->next;
        if (c->kind == COMMAND_MOVE && r->next != COMMAND_DURABLE) {
            refuse(r, c);
            continue;
        }
        if (c->kind == COMMAND_MOVE) note_move(r, c);
        outbox_put(&through, m);
    }
    journal_submit(&r->journal, &through);
}

static const struct journal_ops ops = { "rig", submit };

static void page(void *impl, struct store_page *p)
{
    struct rig *r = impl;
    struct store inner = store_mem_store(r->mem);
    r->pages++;
    r->pages_rows += p->limit;
    store_page(&inner, p);
}

static const struct store_ops store_ops = { "rig", page, NULL };

/* --- shards a turn at a time */

static void turn(struct rig *r)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        epoch_online(r->shards->epoch, i);
        shard_turn(r->shards->at[i], NULL, 0);
        epoch_offline(r->shards->epoch, i);
    }
}

static void settle(struct rig *r)
{
    do {
        r->has_refused = false;
        turn(r);
    } while (store_mem_step(r->mem) || r->has_refused);
}

static void pass(struct rig *r, uint64_t ms)
{
    r->now_ms += ms;
    settle(r);
}

static struct rig *new_rig(uint32_t delayed_max)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    config_init(&r->config);
    one_door_init(&r->door, &r->config);
    r->config.max_delayed_messages = delayed_max;
    r->config.sys_interval = 0;
    r->clock = (struct clock){ mono, wall, r };
    CHECK_INT(ERR_OK, log_open(&r->log, &(struct log_conf){ .clock = &r->clock }));
    CHECK_INT(ERR_OK, metrics_new(&r->metrics, SHARDS + 1));
    struct shards_conf conf = {
        .count = SHARDS, .view = &r->door.view, .log = r->log, .metrics = r->metrics, .clock = &r->clock
    };
    CHECK_INT(ERR_OK, shards_new(&r->shards, &conf));
    struct store_mem_conf mem = { .sink = shards_sink(r->shards), .clock = &r->clock };
    CHECK_INT(ERR_OK, store_mem_new(&r->mem, &mem));
    r->journal = store_mem_journal(r->mem);
    struct journal journal = { &ops, r };
    struct store store = { &store_ops, r };
    shards_prepare(r->shards, &journal, &store, &(struct shards_past){ 0 });
    return r;
}

static void free_rig(struct rig *r)
{
    settle(r);
    store_mem_free(&r->mem);
    shards_free(&r->shards);
    one_door_fini(&r->door);
    metrics_free(&r->metrics);
    log_close(&r->log);
    free(r);
}

static int64_t waiting(const struct rig *r)
{
    return metrics_sum(r->metrics, METRIC_delayed_messages);
}

/* As on_publish does, on shard 1, but without a connection. */
static enum route_result publish(struct rig *r, const char *payload, uint64_t delay_ms, bool retain)
{
    struct shard *sh = r->shards->at[1];
    struct route_in in = {
        .topic = bytes_of_text("t"),
        .payload = bytes_of_text(payload),
        .qos = 1,
        .retain = retain,
        .due_ms = WALL_MS + r->now_ms + delay_ms,
    };
    epoch_online(r->shards->epoch, 1);
    enum route_result result = route_publish(sh, &in);
    epoch_offline(r->shards->epoch, 1);
    settle(r);
    return result;
}

static void check_moved(const struct rig *r, unsigned at, const char *payload)
{
    assert_true(at < r->moves);
    assert_string_equal(payload, r->moved[at].payload);
}

TEST(it_is_moved_when_its_time_has_come_and_not_before)
{
    struct rig *r = new_rig(10);
    CHECK_INT(ROUTE_PENDING, publish(r, "x", 5 * SECOND, true));
    CHECK_INT(1, waiting(r));
    pass(r, 5 * SECOND - 1);
    CHECK_INT(0, r->moves);
    pass(r, 1);
    CHECK_INT(1, r->moves);
    check_moved(r, 0, "x");
    CHECK_TRUE(r->moved[0].retains);
    CHECK_INT(0, waiting(r));
    pass(r, 3600 * SECOND);
    CHECK_INT(1, r->moves);
    free_rig(r);
}

TEST(they_are_moved_in_the_order_in_which_they_are_due)
{
    struct rig *r = new_rig(10);
    publish(r, "third", 3 * SECOND, false);
    publish(r, "first", 1 * SECOND, false);
    publish(r, "fourth", 3 * SECOND, false);
    publish(r, "second", 2 * SECOND, false);
    pass(r, 60 * SECOND); /* all at once */
    CHECK_INT(4, r->moves);
    check_moved(r, 0, "first");
    check_moved(r, 1, "second");
    check_moved(r, 2, "third");
    check_moved(r, 3, "fourth");
    free_rig(r);
}

TEST(what_is_refused_is_moved_a_moment_later)
{
    struct rig *r = new_rig(10);
    publish(r, "x", SECOND, false);
    r->next = COMMAND_REFUSED;
    pass(r, SECOND);
    CHECK_INT(0, r->moves);
    CHECK_INT(1, waiting(r));
    pass(r, 3 * SECOND);
    CHECK_INT(1, r->moves);
    CHECK_INT(0, waiting(r));
    free_rig(r);
}

/* All whom it was for were gone when it came. */
TEST(what_is_stale_is_matched_again_at_once)
{
    struct rig *r = new_rig(10);
    publish(r, "x", SECOND, false);
    r->next = COMMAND_STALE;
    pass(r, SECOND);
    CHECK_INT(1, r->moves);
    CHECK_INT(0, waiting(r));
    free_rig(r);
}

TEST(at_the_limit_one_more_is_refused_until_one_has_gone)
{
    struct rig *r = new_rig(2);
    CHECK_INT(ROUTE_PENDING, publish(r, "1", SECOND, false));
    CHECK_INT(ROUTE_PENDING, publish(r, "2", 9 * SECOND, false));
    CHECK_INT(ROUTE_REFUSED, publish(r, "3", SECOND, false));
    CHECK_INT(2, waiting(r));
    pass(r, SECOND);
    CHECK_INT(1, waiting(r));
    CHECK_INT(ROUTE_PENDING, publish(r, "4", SECOND, false));
    CHECK_INT(ROUTE_REFUSED, publish(r, "5", SECOND, false));
    free_rig(r);
}

TEST(a_higher_limit_holds_when_there_is_room_for_it)
{
    struct rig *r = new_rig(1);
    CHECK_INT(ROUTE_PENDING, publish(r, "1", SECOND, false));
    r->config.max_delayed_messages = 500; /* the shard of the publisher knows it, shard 0 does not yet */
    CHECK_INT(ROUTE_REFUSED, publish(r, "2", SECOND, false));
    delayed_reload(r->shards->at[0]);
    for (int i = 1; i < 500; i++) CHECK_INT(ROUTE_PENDING, publish(r, "x", SECOND, false));
    CHECK_INT(ROUTE_REFUSED, publish(r, "y", SECOND, false));
    pass(r, SECOND);
    CHECK_INT(500, r->moves);
    free_rig(r);
}

TEST(of_equal_delays_many_are_read_at_once_and_none_is_missed)
{
    enum { COUNT = 3000 };
    struct rig *r = new_rig(COUNT);
    char text[TEXT_BYTES];
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "%u", i);
        publish(r, text, SECOND, false);
    }
    pass(r, SECOND);
    CHECK_INT(COUNT, r->moves);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "%u", i);
        check_moved(r, i, text);
    }
    CHECK_TRUE(r->pages < 30);
    CHECK_INT(0, waiting(r));
    free_rig(r);
}

/* Of every hundred one is due now, another later: long pages would be read for nothing. */
TEST(of_many_that_are_not_due_few_are_read)
{
    enum { COUNT = 2000, EACH = 100 };
    struct rig *r = new_rig(COUNT);
    for (unsigned i = 0; i < COUNT; i++) publish(r, "x", i % EACH == 0 ? SECOND : 3600 * SECOND, false);
    pass(r, SECOND);
    CHECK_INT(COUNT / EACH, r->moves);
    CHECK_INT(COUNT - COUNT / EACH, waiting(r));
    CHECK_TRUE(r->pages_rows <= 4 * COUNT / EACH);
    free_rig(r);
}

TEST(what_the_store_has_not_is_given_up)
{
    struct rig *r = new_rig(10);
    CHECK_INT(ERR_OK, delayed_restore(r->shards, 4711, WALL_MS));
    CHECK_INT(1, waiting(r));
    publish(r, "x", SECOND, false);
    CHECK_INT(1, waiting(r));
    pass(r, SECOND);
    CHECK_INT(1, r->moves);
    CHECK_INT(0, waiting(r));
    free_rig(r);
}

TEST(more_than_the_limit_may_come_from_before)
{
    struct rig *r = new_rig(1);
    for (uint64_t i = 1; i <= 500; i++)
        CHECK_INT(ERR_OK, delayed_restore(r->shards, i, WALL_MS + 3600 * SECOND));
    CHECK_INT(500, waiting(r));
    CHECK_INT(ROUTE_REFUSED, publish(r, "x", SECOND, false));
    free_rig(r);
}
