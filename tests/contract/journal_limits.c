/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/journal_rig.h"

/* What happens to a queue at its limit. */

CONTRACT(a_full_queue_drops_what_comes_and_says_so)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 3 });
    const uint64_t both[] = { 5, 6, 0 };
    claim(r, 5, 1);
    claim(r, 6, 1);
    const uint64_t *p = fill(r, 5, 3);
    struct arrival e = run(r, enqueue(both, 0));
    CHECK_INT(COMMAND_DURABLE, e.result);
    CHECK_INT(1, e.dropped);
    CHECK_INT(0, last(r, 0, KIND_SEAT)->target);
    expect_queue(r, 6, &e.position, 1);
    expect_queue(r, 5, p, 3);

    struct command_ack ack = { .cursor = p[0] };
    acknowledge(r, 5, 1, &ack);
    e = run(r, enqueue(both, 0));
    CHECK_INT(0, e.dropped);
    expect_queue(r, 5, (const uint64_t[]){ p[1], p[2], e.position }, 3);
    close_rig(r);
}

CONTRACT(a_queue_has_a_limit_of_bytes_too)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .bytes_max = 25 });
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    const uint64_t *p = fill(r, 5, 2); /* 20 bytes */
    CHECK_INT(1, run(r, enqueue(to, 0)).dropped);
    struct command_ack ack = { .cursor = p[0] };
    acknowledge(r, 5, 1, &ack);
    CHECK_INT(0, run(r, enqueue(to, 0)).dropped);
    close_rig(r);
}

CONTRACT(a_full_queue_lets_the_oldest_go_when_told_to)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 3, .policy = BACKLOG_DROP_OLDEST });
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    const uint64_t *p = fill(r, 5, 3);
    struct arrival e = run(r, enqueue(to, 0));
    CHECK_INT(1, e.dropped);
    CHECK_INT(5, last(r, 0, KIND_SEAT)->target);
    expect_queue(r, 5, (const uint64_t[]){ p[1], p[2], e.position }, 3);
    close_rig(r);
}

CONTRACT(a_publish_for_a_full_queue_is_refused_for_all_when_told_to)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 2, .policy = BACKLOG_REFUSE });
    const uint64_t both[] = { 5, 6, 0 };
    claim(r, 5, 1);
    claim(r, 6, 1);
    const uint64_t *p = fill(r, 5, 2);
    CHECK_INT(COMMAND_REFUSED, run(r, enqueue(both, 0)).result);
    expect_queue(r, 6, NULL, 0);
    struct command_ack ack = { .cursor = p[0] };
    acknowledge(r, 5, 1, &ack);
    CHECK_INT(COMMAND_DURABLE, run(r, enqueue(both, 0)).result);
    close_rig(r);
}

CONTRACT(a_refusal_has_its_place_among_the_completions)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 2, .policy = BACKLOG_REFUSE });
    const uint64_t to[] = { 5, 0 };
    enum { COUNT = 300 };
    size_t refused = 0;
    claim(r, 5, 1);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct command *c = i % 2 == 0 ? fenced(COMMAND_FENCE, 0, 0) : enqueue(to, 0);
        c->ticket = i;
        submit(r, c);
    }
    wait_for(r, 0, KIND_DONE, 1 + COUNT);
    uint64_t next = 0, position = 0;
    for (size_t i = 0; i < r->events[0]; i++) {
        const struct arrival *a = &r->log[0][i];
        if (a->kind != KIND_DONE || a->command == COMMAND_CLAIM) continue;
        CHECK_INT(next++, a->ticket);
        CHECK_TRUE(a->position >= position);
        position = a->position;
        refused += a->result == COMMAND_REFUSED;
    }
    CHECK_INT(COUNT / 2 - 2, refused);
    close_rig(r);
}

CONTRACT(a_limit_counts_what_is_under_way_too)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 10 });
    const uint64_t to[] = { 5, 0 };
    enum { COUNT = 100 };
    claim(r, 5, 1);
    for (int i = 0; i < COUNT; i++) submit(r, enqueue(to, 0)); /* all at once */
    wait_for(r, 0, KIND_DONE, 1 + COUNT);
    CHECK_INT(10, page(r, 5, 0, COUNT)->count);
    close_rig(r);
}

CONTRACT(a_dropped_target_is_not_one_that_was_never_there)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 3 });
    const uint64_t to[] = { 999, 0 };
    CHECK_INT(0, run(r, enqueue(to, 0)).dropped);
    close_rig(r);
}

CONTRACT(what_was_acknowledged_long_ago_comes_into_a_full_queue_and_costs_it_nothing)
{
    static const enum backlog_policy policies[] = { BACKLOG_DROP_NEW, BACKLOG_DROP_OLDEST, BACKLOG_REFUSE };
    for (int i = 0; i < 3; i++) {
        struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 2, .policy = policies[i] });
        const uint64_t to[] = { 5, 0 };
        claim(r, 5, 1);
        const uint64_t *p = fill(r, 5, 2);
        struct command *c = enqueue(to, 0);
        c->is_kept = true;
        struct arrival e = run(r, c);
        CHECK_INT(COMMAND_DURABLE, e.result);
        CHECK_INT(0, e.dropped);
        expect_queue(r, 5, (const uint64_t[]){ p[0], p[1], e.position }, 3);
        close_rig(r);
    }
}
