/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/journal_rig.h"

/* A publisher's own id of a message: the same again is acknowledged, and has no effect. */

static struct command *with_mid(const uint64_t *session_nos, const char *client, const char *id)
{
    struct command_mid mid = { bytes_of_text(client), bytes_of_text(id), 600 };
    struct command_size size = { .mid = &mid };
    struct command *plain = enqueue(session_nos, 0);
    size.targets = plain->targets_count;
    size.seats = plain->seats_count;
    struct command *c = new_command(COMMAND_ENQUEUE, &size, 0);
    c->msg = msg_ref(plain->msg);
    if (size.targets > 0) memcpy(c->targets, plain->targets, size.targets * sizeof *c->targets);
    for (uint32_t i = 0; i < size.seats; i++) {
        c->seats[i].shard = (uint16_t)i;
        c->seats[i].first = i;
        c->seats[i].count = 1;
    }
    command_unref(&plain);
    return c;
}

CONTRACT(a_repeat_is_a_duplicate_and_in_no_queue)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    struct arrival first = run(r, with_mid(to, "a", "x"));
    CHECK_INT(COMMAND_DURABLE, first.result);
    struct arrival again = run(r, with_mid(to, "a", "x"));
    CHECK_INT(COMMAND_DUPLICATE, again.result);
    CHECK_TRUE(again.position >= first.position);
    expect_queue(r, 5, &first.position, 1);
    close_rig(r);
}

CONTRACT(a_repeat_of_what_went_to_nobody_is_one_too)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t nobody[] = { 0 }, to[] = { 5, 0 };
    CHECK_INT(COMMAND_DURABLE, run(r, with_mid(nobody, "a", "x")).result);
    claim(r, 5, 1);
    CHECK_INT(COMMAND_DUPLICATE, run(r, with_mid(to, "a", "x")).result);
    expect_queue(r, 5, NULL, 0);
    close_rig(r);
}

CONTRACT(another_id_or_another_client_is_no_repeat)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    CHECK_INT(COMMAND_DURABLE, run(r, with_mid(to, "a", "x")).result);
    CHECK_INT(COMMAND_DURABLE, run(r, with_mid(to, "b", "x")).result);
    CHECK_INT(COMMAND_DURABLE, run(r, with_mid(to, "a", "y")).result);
    CHECK_INT(COMMAND_DURABLE, run(r, enqueue(to, 0)).result);
    CHECK_INT(4, page(r, 5, 0, 10)->count);
    close_rig(r);
}

/* While the first is under way, too. */
CONTRACT(of_many_at_once_one_has_an_effect_and_all_are_answered)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 5, 0 };
    enum { COUNT = 200 };
    claim(r, 5, 1);
    size_t before = r->events[0];
    size_t done = count_of(r, 0, KIND_DONE);
    for (int i = 0; i < COUNT; i++) submit(r, with_mid(to, "a", "x"));
    wait_for(r, 0, KIND_DONE, done + COUNT);
    unsigned durable = 0, duplicates = 0;
    for (size_t i = before; i < r->events[0]; i++) {
        if (r->log[0][i].kind != KIND_DONE) continue;
        durable += r->log[0][i].result == COMMAND_DURABLE;
        duplicates += r->log[0][i].result == COMMAND_DUPLICATE;
    }
    CHECK_INT(1, durable);
    CHECK_INT(COUNT - 1, duplicates);
    CHECK_INT(1, page(r, 5, 0, 10)->count);
    close_rig(r);
}

CONTRACT(repeats_take_no_room_of_a_limit)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 3 });
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    for (int i = 0; i < 10; i++) run(r, with_mid(to, "a", "x"));
    fill(r, 5, 2);
    CHECK_INT(3, page(r, 5, 0, 10)->count);
    CHECK_INT(1, run(r, enqueue(to, 0)).dropped);
    close_rig(r);
}

CONTRACT(what_was_refused_is_not_known_and_what_is_known_is_not_refused)
{
    struct rig *r = open_rig(of, (struct backlog_limits){ .messages_max = 2, .policy = BACKLOG_REFUSE });
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    struct arrival first = run(r, with_mid(to, "a", "x"));
    fill(r, 5, 1);
    CHECK_INT(COMMAND_DUPLICATE, run(r, with_mid(to, "a", "x")).result);
    CHECK_INT(COMMAND_REFUSED, run(r, with_mid(to, "a", "y")).result);
    struct command_ack ack = { .cursor = first.position };
    acknowledge(r, 5, 1, &ack);
    CHECK_INT(COMMAND_DURABLE, run(r, with_mid(to, "a", "y")).result);
    close_rig(r);
}
