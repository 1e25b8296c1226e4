/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/journal_rig.h"

/* Queues that a message leaves for others: of groups, and of what is not due yet. */

enum { MEMBER = 5, OTHER = 6, GONE = 7, GROUP = 300 };

/* A limit that no test reaches: with one the store knows what a queue has, wherever its entries are. */
static const struct backlog_limits counting = { .messages_max = 1000 };

static enum command_result make_group(struct rig *r)
{
    struct command *c =
        new_command(COMMAND_GROUP, &(struct command_size){ .data = bytes_of_text("$share/name/filter") }, 0);
    c->session_no = GROUP;
    return run(r, c).result;
}

static struct rig *open_group(const struct implementation *of, struct backlog_limits limits)
{
    struct rig *r = open_rig(of, limits);
    claim(r, MEMBER, 1);
    claim(r, OTHER, 1);
    CHECK_INT(COMMAND_DURABLE, make_group(r));
    return r;
}

static struct arrival move(struct rig *r, uint64_t from, uint64_t seq, const uint64_t *to)
{
    struct command *c = enqueue(to, 0);
    c->kind = COMMAND_MOVE;
    c->session_no = from;
    c->version = seq;
    return run(r, c);
}

static uint64_t delay(struct rig *r)
{
    const uint64_t to[] = { DELAYED_QUEUE, 0 };
    struct command *c = enqueue(to, 0);
    c->due_ms = 1;
    struct arrival a = run(r, c);
    CHECK_INT(COMMAND_DURABLE, a.result);
    CHECK_INT(0, a.dropped);
    return a.position;
}

static const uint64_t to_member[] = { MEMBER, 0 }, to_both[] = { MEMBER, OTHER, 0 }, to_gone[] = { GONE, 0 },
                      to_one_gone[] = { GONE, OTHER, 0 }, to_nobody[] = { 0 }, to_group[] = { GROUP, 0 };

CONTRACT(an_entry_moves_to_the_end_of_its_targets_queue)
{
    struct rig *r = open_group(of, no_limits);
    uint64_t own = *fill(r, MEMBER, 1), p[3];
    memcpy(p, fill(r, GROUP, 3), sizeof p);
    struct arrival a = move(r, GROUP, p[1], to_member);
    CHECK_INT(COMMAND_DURABLE, a.result);
    CHECK_TRUE(a.position > p[2]);
    expect_queue(r, MEMBER, (const uint64_t[]){ own, a.position }, 2);
    expect_queue(r, GROUP, (const uint64_t[]){ p[0], p[2] }, 2);
    CHECK_INT(MEMBER, last(r, 0, KIND_SEAT)->target);
    close_rig(r);
}

CONTRACT(an_entry_moves_once)
{
    struct rig *r = open_group(of, counting);
    const uint64_t *p = fill(r, GROUP, 3);
    CHECK_INT(COMMAND_DURABLE, move(r, GROUP, p[0], to_member).result);
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p[0], to_member).result);
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p[0], to_nobody).result);
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p[2] + 1000, to_member).result);
    CHECK_INT(COMMAND_STALE, move(r, GROUP + 1, p[1], to_member).result);
    CHECK_INT(1, page(r, MEMBER, 0, 10)->count);
    CHECK_INT(2, page(r, GROUP, 0, 10)->count);
    close_rig(r);
}

CONTRACT(what_was_acknowledged_does_not_move)
{
    struct rig *r = open_group(of, counting);
    const uint64_t *p = fill(r, GROUP, 2);
    struct command_ack ack = { .cursor = p[0] };
    CHECK_INT(COMMAND_DURABLE, acknowledge(r, GROUP, 0, &ack).result);
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p[0], to_member).result);
    CHECK_INT(COMMAND_DURABLE, move(r, GROUP, p[1], to_member).result);
    close_rig(r);
}

CONTRACT(a_group_keeps_what_nobody_of_its_targets_is_there_for)
{
    struct rig *r = open_group(of, no_limits);
    uint64_t p = *fill(r, GROUP, 1);
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p, to_gone).result);
    expect_queue(r, GROUP, &p, 1);
    struct arrival a = move(r, GROUP, p, to_one_gone);
    CHECK_INT(COMMAND_DURABLE, a.result);
    expect_queue(r, GROUP, NULL, 0);
    expect_queue(r, OTHER, &a.position, 1);
    close_rig(r);
}

CONTRACT(an_entry_may_move_to_many_or_to_nobody)
{
    struct rig *r = open_group(of, no_limits);
    uint64_t p[2];
    memcpy(p, fill(r, GROUP, 2), sizeof p);
    struct arrival a = move(r, GROUP, p[0], to_both);
    CHECK_INT(COMMAND_DURABLE, a.result);
    expect_queue(r, MEMBER, &a.position, 1);
    expect_queue(r, OTHER, &a.position, 1);
    CHECK_INT(COMMAND_DURABLE, move(r, GROUP, p[1], to_nobody).result);
    expect_queue(r, GROUP, NULL, 0);
    close_rig(r);
}

CONTRACT(a_group_ends_as_a_session_does)
{
    struct rig *r = open_group(of, no_limits);
    uint64_t p = *fill(r, GROUP, 1);
    CHECK_INT(COMMAND_DURABLE, make_group(r)); /* again: it keeps what it has */
    expect_queue(r, GROUP, &p, 1);
    CHECK_INT(COMMAND_DURABLE, run(r, fenced(COMMAND_END_SESSION, GROUP, 0)).result);
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p, to_member).result);
    run(r, enqueue(to_group, 0));
    expect_queue(r, GROUP, NULL, 0);
    CHECK_INT(COMMAND_DURABLE, make_group(r));
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p, to_member).result);
    expect_queue(r, GROUP, NULL, 0);
    p = *fill(r, GROUP, 1);
    expect_queue(r, GROUP, &p, 1);
    close_rig(r);
}

CONTRACT(what_is_due_goes_out_though_it_be_to_nobody)
{
    struct rig *r = open_group(of, no_limits);
    uint64_t p[] = { delay(r), delay(r), delay(r) };
    expect_queue(r, DELAYED_QUEUE, p, 3);
    CHECK_INT(COMMAND_DURABLE, move(r, DELAYED_QUEUE, p[1], to_gone).result);
    struct arrival a = move(r, DELAYED_QUEUE, p[2], to_one_gone);
    CHECK_INT(COMMAND_DURABLE, a.result);
    expect_queue(r, OTHER, &a.position, 1);
    CHECK_INT(COMMAND_DURABLE, move(r, DELAYED_QUEUE, p[0], to_nobody).result);
    expect_queue(r, DELAYED_QUEUE, NULL, 0);
    close_rig(r);
}

/* --- limits */

CONTRACT(a_group_has_a_limit_and_what_moves_makes_room)
{
    struct rig *r = open_group(of, (struct backlog_limits){ .messages_max = 2 });
    const uint64_t *p = fill(r, GROUP, 2);
    CHECK_INT(1, run(r, enqueue(to_group, 0)).dropped);
    CHECK_INT(COMMAND_DURABLE, move(r, GROUP, p[0], to_member).result);
    CHECK_INT(0, run(r, enqueue(to_group, 0)).dropped);
    CHECK_INT(1, run(r, enqueue(to_group, 0)).dropped);
    CHECK_INT(1, run(r, enqueue((const uint64_t[]){ MEMBER, GROUP, 0 }, 0)).dropped); /* one of two there */
    CHECK_INT(1, run(r, enqueue(to_member, 0)).dropped);
    close_rig(r);
}

/* At the limit of one message: its own, and what moves to it twice. */
static void move_into_a_full_queue(struct rig *r)
{
    const uint64_t *group = fill(r, GROUP, 1);
    uint64_t p[3] = { 0, group[0], 0 };
    p[0] = *fill(r, MEMBER, 1);
    for (int i = 1; i < 3; i++) {
        uint64_t seq = i == 1 ? p[1] : *fill(r, GROUP, 1);
        struct arrival a = move(r, GROUP, seq, to_member);
        CHECK_INT(COMMAND_DURABLE, a.result);
        CHECK_INT(0, a.dropped);
        p[i] = a.position;
    }
    expect_queue(r, MEMBER, p, 3);
    expect_queue(r, GROUP, NULL, 0);
}

CONTRACT(what_moves_out_of_a_group_comes_into_a_full_queue_and_costs_it_nothing)
{
    static const enum backlog_policy policies[] = { BACKLOG_DROP_NEW, BACKLOG_DROP_OLDEST, BACKLOG_REFUSE };
    for (int i = 0; i < 3; i++) {
        struct rig *r = open_group(of, (struct backlog_limits){ .messages_max = 1, .policy = policies[i] });
        move_into_a_full_queue(r);
        struct arrival a = run(r, enqueue(to_member, 0)); /* for all others it is full */
        CHECK_INT(policies[i] == BACKLOG_REFUSE ? COMMAND_REFUSED : COMMAND_DURABLE, a.result);
        CHECK_INT(policies[i] == BACKLOG_REFUSE ? 0 : policies[i] == BACKLOG_DROP_OLDEST ? 3 : 1, a.dropped);
        struct command_ack all = { .cursor = a.position };
        acknowledge(r, MEMBER, 1, &all);
        CHECK_INT(0, run(r, enqueue(to_member, 0)).dropped);
        CHECK_INT(1, page(r, MEMBER, 0, 10)->count);
        close_rig(r);
    }
}

CONTRACT(what_a_groups_limit_dropped_does_not_move)
{
    struct rig *r =
        open_group(of, (struct backlog_limits){ .messages_max = 2, .policy = BACKLOG_DROP_OLDEST });
    uint64_t p[3];
    memcpy(p, fill(r, GROUP, 3), sizeof p);
    CHECK_INT(COMMAND_STALE, move(r, GROUP, p[0], to_member).result);
    CHECK_INT(COMMAND_DURABLE, move(r, GROUP, p[1], to_member).result);
    CHECK_INT(0, run(r, enqueue(to_group, 0)).dropped);
    CHECK_INT(1, run(r, enqueue(to_group, 0)).dropped);
    close_rig(r);
}

CONTRACT(what_is_not_due_is_limited_by_nobody_here_and_a_full_target_drops_it)
{
    struct rig *r = open_group(of, (struct backlog_limits){ .messages_max = 1 });
    uint64_t p[] = { delay(r), delay(r), delay(r) };
    expect_queue(r, DELAYED_QUEUE, p, 3);
    CHECK_INT(0, move(r, DELAYED_QUEUE, p[0], to_both).dropped);
    struct arrival a = move(r, DELAYED_QUEUE, p[1], to_both);
    CHECK_INT(COMMAND_DURABLE, a.result);
    CHECK_INT(2, a.dropped);
    CHECK_INT(1, page(r, MEMBER, 0, 10)->count);
    expect_queue(r, DELAYED_QUEUE, &p[2], 1);
    close_rig(r);
}
