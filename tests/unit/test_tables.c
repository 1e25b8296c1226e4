/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tables.h"
#include "unit/store_kit.h"
#include <stdio.h>

/* Commands that are applied later than they were admitted, as with an order that takes its time. */

enum { SESSION = 5, LIMIT_BYTES = 1000 };

static struct tables *open_tables(struct backlog_limits limits)
{
    struct tables *t;
    struct tables_conf conf = { limits };
    CHECK_INT(ERR_OK, tables_new(&t, &conf));
    return t;
}

static enum command_result apply(struct tables *t, struct command *c, uint64_t position)
{
    c->position = position;
    c->result = tables_apply(t, c);
    enum command_result result = c->result;
    command_unref(&c);
    return result;
}

static enum command_result run(struct tables *t, struct command *c, uint64_t position)
{
    enum command_result result = tables_admit(t, c);
    if (result == COMMAND_DURABLE) return apply(t, c, position);
    command_unref(&c);
    return result;
}

static void claim(struct tables *t, uint64_t position)
{
    struct command *c = make_plain(COMMAND_CLAIM, SESSION, bytes_of_text("client"));
    CHECK_INT(COMMAND_DURABLE, run(t, c, position));
}

/* A message of so many bytes, admitted. */
static struct command *admitted(struct tables *t, int bytes)
{
    char payload[LIMIT_BYTES + 2];
    snprintf(payload, sizeof payload, "%0*d", bytes, 0);
    struct a_message a = { "t", payload, 0, false };
    struct command *c = make_enqueue(0, &a, (const uint64_t[]){ SESSION, 0 });
    CHECK_INT(COMMAND_DURABLE, tables_admit(t, c));
    return c;
}

/* How many entries a message of so many bytes costs the queue. */
static unsigned cost(struct tables *t, int bytes, uint64_t position)
{
    struct command *c = admitted(t, bytes);
    unsigned dropped = c->targets[0].dropped;
    apply(t, c, position);
    return dropped;
}

static void acknowledge_all(struct tables *t, uint64_t position)
{
    run(t, make_ack(SESSION, position, (const uint64_t[]){ 0 }), position);
}

static uint32_t rows(const struct tables *t)
{
    struct store_page p = { .session_no = SESSION, .limit = PAGE_ENTRIES_MAX };
    tables_page(t, &p);
    for (uint32_t i = 0; i < p.count; i++) msg_unref(&p.rows[i].msg);
    return p.count;
}

/* The limit holds, and what is finished gives all of its room back. */
static void check_limit_bytes(struct tables *t, uint64_t position)
{
    acknowledge_all(t, position);
    CHECK_INT(0, rows(t));
    CHECK_INT(0, cost(t, LIMIT_BYTES - 10, position + 1));
    CHECK_INT(1, cost(t, 11, position + 2));
    CHECK_INT(0, cost(t, 10, position + 3));
}

TEST(a_message_admitted_before_its_session_takes_no_other_ones_place)
{
    struct tables *t = open_tables((struct backlog_limits){ .bytes_max = LIMIT_BYTES });
    struct command *early = admitted(t, 700);
    claim(t, 1);
    struct command *late = admitted(t, 10);
    apply(t, early, 2);
    CHECK_INT(1, cost(t, 300, 3)); /* 710 are there or expected */
    apply(t, late, 4);
    CHECK_INT(2, rows(t));
    check_limit_bytes(t, 5);
    tables_free(&t);
}

TEST(a_message_admitted_for_a_session_that_ended_takes_no_place_in_the_next)
{
    struct tables *t = open_tables((struct backlog_limits){ .bytes_max = LIMIT_BYTES });
    claim(t, 1);
    struct command *early = admitted(t, 700);
    run(t, make_plain(COMMAND_END_SESSION, SESSION, bytes_of_text("")), 2);
    claim(t, 3);
    struct command *late = admitted(t, 10);
    apply(t, early, 4);
    apply(t, late, 5);
    CHECK_INT(2, rows(t));
    check_limit_bytes(t, 6);
    tables_free(&t);
}

TEST(a_will_that_comes_too_late_drops_nothing)
{
    struct tables *t =
        open_tables((struct backlog_limits){ .messages_max = 3, .policy = BACKLOG_DROP_OLDEST });
    claim(t, 1);
    for (uint64_t i = 0; i < 3; i++) CHECK_INT(0, cost(t, 10, 2 + i));
    for (uint64_t i = 0; i < 3; i++) {
        struct command *will = admitted(t, 10);
        will->kind = COMMAND_FIRE_WILL;
        will->session_no = 99; /* has none */
        CHECK_INT(COMMAND_STALE, apply(t, will, 5 + i));
    }
    CHECK_INT(3, rows(t));
    for (uint64_t i = 0; i < 5; i++) {
        CHECK_INT(1, cost(t, 10, 8 + i));
        CHECK_INT(3, rows(t));
    }
    tables_free(&t);
}

TEST(what_must_go_goes_though_a_will_before_it_came_too_late)
{
    struct tables *t =
        open_tables((struct backlog_limits){ .messages_max = 3, .policy = BACKLOG_DROP_OLDEST });
    claim(t, 1);
    for (uint64_t i = 0; i < 3; i++) CHECK_INT(0, cost(t, 10, 2 + i));
    struct command *will = admitted(t, 10), *message = admitted(t, 10);
    will->kind = COMMAND_FIRE_WILL;
    will->session_no = 99;
    CHECK_INT(COMMAND_STALE, apply(t, will, 5));
    apply(t, message, 6); /* it was to be the second beyond the limit: two rows go */
    CHECK_INT(2, rows(t));
    CHECK_INT(0, cost(t, 10, 7));
    CHECK_INT(1, cost(t, 10, 8));
    CHECK_INT(3, rows(t));
    tables_free(&t);
}
