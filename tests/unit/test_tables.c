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

static uint32_t rows_of(const struct tables *t, uint64_t session_no)
{
    struct store_page p = { .session_no = session_no, .limit = PAGE_ENTRIES_MAX };
    tables_page(t, &p);
    for (uint32_t i = 0; i < p.count; i++) msg_unref(&p.rows[i].msg);
    return p.count;
}

static uint32_t rows(const struct tables *t)
{
    return rows_of(t, SESSION);
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

/* --- moves, and packet ids */

enum { GROUP = 300 };

static struct command *move(uint64_t from, uint64_t seq, uint64_t to)
{
    struct a_message a = { "t", "moved", 0, false };
    struct command *c = make_enqueue(0, &a, (const uint64_t[]){ to, 0 });
    c->kind = COMMAND_MOVE;
    c->session_no = from;
    c->version = seq;
    return c;
}

static struct command *for_queue(struct tables *t, uint64_t session_no)
{
    struct a_message a = { "t", "ten bytes!", 0, false };
    struct command *c = make_enqueue(0, &a, (const uint64_t[]){ session_no, 0 });
    CHECK_INT(COMMAND_DURABLE, tables_admit(t, c));
    return c;
}

static void make_group(struct tables *t, uint64_t position)
{
    CHECK_INT(COMMAND_DURABLE, run(t, make_plain(COMMAND_GROUP, GROUP, bytes_of_text("g")), position));
}

/* Whatever leaves, there is room for what was admitted: nothing may fail when it is applied. */
TEST(entries_that_move_away_leave_the_room_of_those_that_were_admitted)
{
    enum { COUNT = 100 };
    struct tables *t = open_tables((struct backlog_limits){ 0 });
    struct command *late[COUNT];
    uint64_t at = 2;
    make_group(t, 1);
    for (int i = 0; i < COUNT; i++) CHECK_INT(COMMAND_DURABLE, apply(t, for_queue(t, GROUP), at++));
    for (int i = 0; i < COUNT; i++) late[i] = for_queue(t, GROUP);
    for (uint64_t seq = 2; seq < 2 + COUNT; seq += 2)
        CHECK_INT(COMMAND_DURABLE, run(t, move(GROUP, seq, DELAYED_QUEUE), at++));
    CHECK_INT(COUNT / 2, rows_of(t, GROUP));
    for (uint64_t seq = 1 + COUNT; seq > 2; seq -= 2) {
        CHECK_TRUE(tables_has(t, GROUP, seq));
        CHECK_INT(COMMAND_DURABLE, run(t, move(GROUP, seq, DELAYED_QUEUE), at++));
        CHECK_TRUE(!tables_has(t, GROUP, seq));
    }
    CHECK_INT(0, rows_of(t, GROUP));
    for (int i = 0; i < COUNT; i++) CHECK_INT(COMMAND_DURABLE, apply(t, late[i], at++));
    CHECK_INT(COUNT, rows_of(t, GROUP));
    CHECK_INT(COUNT, rows_of(t, DELAYED_QUEUE));
    tables_free(&t);
}

TEST(what_was_to_go_for_another_may_move_before)
{
    struct tables *t =
        open_tables((struct backlog_limits){ .messages_max = 2, .policy = BACKLOG_DROP_OLDEST });
    claim(t, 1);
    make_group(t, 2);
    apply(t, for_queue(t, GROUP), 3);
    apply(t, for_queue(t, GROUP), 4);
    struct command *more = for_queue(t, GROUP);
    CHECK_INT(3, more->targets[0].drop_upto);
    CHECK_INT(COMMAND_DURABLE, run(t, move(GROUP, 3, SESSION), 5));
    CHECK_INT(COMMAND_DURABLE, apply(t, more, 6));
    CHECK_INT(2, rows_of(t, GROUP));
    more = for_queue(t, GROUP);
    CHECK_INT(4, more->targets[0].drop_upto);
    struct command *late = move(GROUP, 4, SESSION);
    CHECK_INT(COMMAND_DURABLE, tables_admit(t, late));
    CHECK_INT(COMMAND_DURABLE, apply(t, more, 7)); /* 4 goes */
    CHECK_INT(COMMAND_STALE, apply(t, late, 8));
    CHECK_INT(2, rows_of(t, GROUP));
    CHECK_INT(1, rows(t));
    tables_free(&t);
}

static bool marks_its_target(struct tables *t, uint64_t seq, uint64_t to, uint64_t position)
{
    struct command *c = move(GROUP, seq, to);
    CHECK_INT(COMMAND_DURABLE, tables_admit(t, c));
    c->position = position;
    CHECK_INT(COMMAND_STALE, tables_apply(t, c));
    bool is_skipped = c->targets[0].is_skipped;
    command_unref(&c);
    return is_skipped;
}

/* The entry may be given to another one, or it is nobody's any more: who asked has to know. */
TEST(a_move_without_effect_says_whether_it_was_for_want_of_its_target)
{
    enum { NOT_THERE = 77 };
    struct tables *t = open_tables((struct backlog_limits){ 0 });
    claim(t, 1);
    make_group(t, 2);
    apply(t, for_queue(t, GROUP), 3);
    CHECK_TRUE(marks_its_target(t, 3, NOT_THERE, 4));
    CHECK_TRUE(!marks_its_target(t, 99, SESSION, 5));
    CHECK_TRUE(!marks_its_target(t, 99, NOT_THERE, 6));
    CHECK_INT(COMMAND_DURABLE, run(t, move(GROUP, 3, SESSION), 7));
    tables_free(&t);
}

/* As the fold asks: of what was acknowledged, moved and released in time nothing matters. */
TEST(what_comes_and_goes_before_a_fold_does_not_matter_to_it)
{
    struct tables *t = open_tables((struct backlog_limits){ 0 });
    claim(t, 1);
    make_group(t, 2);
    struct command *publish = for_queue(t, GROUP), *moved = move(GROUP, 3, SESSION),
                   *received = make_ack(SESSION, 0, (const uint64_t[]){ 4, 0 }),
                   *release = make_plain(COMMAND_RELEASE, SESSION, bytes_of_text(""));
    publish->session_no = SESSION;
    publish->in_id = release->in_id = 7;
    received->kind = COMMAND_RECEIVED;
    struct command *all[] = { publish, moved, received, release };
    for (uint64_t i = 0; i < 4; i++) {
        all[i]->position = 3 + i;
        CHECK_INT(COMMAND_DURABLE, all[i]->result = tables_apply(t, all[i]));
    }
    CHECK_TRUE(tables_received_matters(t, received)); /* it is about to go there */
    acknowledge_all(t, 7);
    CHECK_TRUE(!tables_received_matters(t, received));
    CHECK_TRUE(!tables_move_matters(t, moved));
    CHECK_TRUE(!tables_in_id_leaves(t, publish));
    CHECK_TRUE(!release->was_stored);
    CHECK_TRUE(!tables_has(t, GROUP, 3));
    for (int i = 0; i < 4; i++) command_unref(&all[i]);
    tables_free(&t);
}

TEST(what_is_elsewhere_matters_until_it_is_finished_there)
{
    struct tables *t = open_tables((struct backlog_limits){ 0 });
    const struct tables_session old = { .session_no = SESSION, .folded = 10 };
    struct command *received = make_ack(SESSION, 0, (const uint64_t[]){ 9, 0 }),
                   *moved = move(SESSION, 9, DELAYED_QUEUE), *ack = make_ack(SESSION, 10, (uint64_t[]){ 0 }),
                   *release = make_plain(COMMAND_RELEASE, SESSION, bytes_of_text(""));
    release->in_id = 7;
    received->kind = COMMAND_RECEIVED;
    CHECK_INT(ERR_OK, tables_restore(t, &old));
    CHECK_INT(ERR_OK, tables_restore_in_id(t, SESSION, 7));
    CHECK_TRUE(tables_received_matters(t, received));
    CHECK_TRUE(tables_move_matters(t, moved));
    CHECK_INT(COMMAND_DURABLE, tables_apply(t, release));
    CHECK_TRUE(release->was_stored);
    CHECK_TRUE(tables_ack_matters(t, ack, 1));
    CHECK_TRUE(!tables_received_matters(t, received)); /* the acknowledgement takes it out */
    CHECK_TRUE(!tables_ack_matters(t, ack, 2));
    command_unref(&received);
    command_unref(&moved);
    command_unref(&release);
    command_unref(&ack);
    tables_free(&t);
}

/* A fold that is cut short has left out what had moved by then. */
TEST(where_a_limit_counts_what_came_before_this_process_may_move_unless_it_was_dropped)
{
    struct tables *t =
        open_tables((struct backlog_limits){ .messages_max = 2, .policy = BACKLOG_DROP_OLDEST });
    const struct tables_session old = { .session_no = GROUP, .folded = 10 };
    claim(t, 1);
    CHECK_INT(ERR_OK, tables_restore(t, &old));
    CHECK_INT(ERR_OK, tables_restore_entry(t, GROUP, (struct backlog_entry){ 5, 10 }));
    CHECK_INT(COMMAND_DURABLE, run(t, move(GROUP, 8, SESSION), 11));
    apply(t, for_queue(t, GROUP), 12);
    apply(t, for_queue(t, GROUP), 13); /* 5 goes */
    CHECK_INT(COMMAND_STALE, run(t, move(GROUP, 5, SESSION), 14));
    CHECK_INT(COMMAND_STALE, run(t, move(GROUP, 4, SESSION), 15));
    CHECK_INT(COMMAND_DURABLE, run(t, move(GROUP, 9, SESSION), 16));
    CHECK_INT(COMMAND_DURABLE, run(t, move(GROUP, 12, SESSION), 17));
    CHECK_INT(3, rows(t));
    tables_free(&t);
}
