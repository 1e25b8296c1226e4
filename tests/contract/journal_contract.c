/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "contract/journal_rig.h"

/* What journal.h and store.h promise, for every implementation: one row each in `implementations`. */

/* --- positions and order */

/* What changes nothing may share the position of what came before it. */
CONTRACT(positions_never_descend_and_each_change_has_its_own_whoever_submits)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 999, 1);
    uint64_t position = run(r, fenced(COMMAND_FENCE, 0, 0)).position;
    for (unsigned i = 0; i < 200; i++) {
        const uint64_t to[] = { 999, 0 };
        bool changes = i % 3 == 1;
        struct command *c = i % 3 == 0   ? fenced(COMMAND_FENCE, 0, 0)
                            : i % 3 == 1 ? enqueue(to, i % SHARDS)
                                         : fenced(COMMAND_ACK, 888, 1); /* a session that does not exist */
        uint64_t got = run(r, c).position;
        CHECK_TRUE(changes ? got > position : got >= position);
        position = got;
    }
    close_rig(r);
}

CONTRACT(one_submitters_commands_keep_their_order_in_whatever_batches)
{
    struct rig *r = open_rig(of, no_limits);
    struct outbox boxes[SHARDS] = { 0 };
    enum { EACH = 600 };
    for (uint64_t i = 0; i < EACH; i++) {
        for (unsigned from = 0; from < SHARDS; from++) {
            struct command *c = fenced(COMMAND_FENCE, 0, 0);
            c->from_shard = (uint16_t)from;
            c->ticket = i;
            command_put(&boxes[from], c);
            if (i % (3 + 4 * from) == 0 || i + 1 == EACH) journal_submit(&r->journal, &boxes[from]);
        }
    }
    for (unsigned from = 0; from < SHARDS; from++) {
        wait_for(r, from, KIND_DONE, EACH);
        for (uint64_t i = 0; i < EACH; i++) {
            CHECK_INT(i, r->log[from][i].ticket);
            CHECK_TRUE(i == 0 || r->log[from][i].position >= r->log[from][i - 1].position);
        }
    }
    close_rig(r);
}

CONTRACT(a_shard_gets_its_seats_in_the_order_of_positions)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 1, 2, 3, 0 };
    for (uint64_t no = 1; no <= 3; no++) claim(r, no, 1);
    for (unsigned i = 0; i < 300; i++) submit(r, enqueue(to, 0));
    for (unsigned shard = 0; shard < SHARDS; shard++) {
        uint64_t before = 0;
        wait_for(r, shard, KIND_SEAT, 300);
        for (size_t i = 0; i < r->events[shard]; i++) {
            const struct arrival *e = &r->log[shard][i];
            if (e->kind != KIND_SEAT) continue;
            CHECK_TRUE(e->position > before);
            CHECK_INT(shard + 1, e->target);
            before = e->position;
        }
    }
    close_rig(r);
}

/* Seats at or below a position that a shard has been given. */
static size_t seats_up_to(const struct rig *r, unsigned shard, uint64_t position)
{
    size_t n = 0;
    for (size_t i = 0; i < r->events[shard]; i++)
        n += r->log[shard][i].kind == KIND_SEAT && r->log[shard][i].position <= position;
    return n;
}

CONTRACT(who_sees_a_completion_finds_the_seats_up_to_it_in_every_mailbox)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 1, 2, 3, 0 };
    enum { COUNT = 500 };
    for (uint64_t no = 1; no <= 3; no++) claim(r, no, 1);
    size_t seen = count_of(r, 0, KIND_DONE), done = 0;
    for (unsigned i = 0; i < COUNT; i++) submit(r, enqueue(to, 0));
    while (done < COUNT) {
        take(r, 0, mailbox_wait(&r->mailboxes[0]));
        done = count_of(r, 0, KIND_DONE) - seen;
        look(r, 1);
        look(r, 2);
        uint64_t upto = last(r, 0, KIND_DONE)->position;
        for (unsigned shard = 0; shard < SHARDS && done > 0; shard++)
            CHECK_INT(done, seats_up_to(r, shard, upto));
    }
    close_rig(r);
}

/* --- fences */

CONTRACT(commands_of_a_lost_claim_are_stale_and_without_effect)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 5, 1);
    const uint64_t *p = fill(r, 5, 3);
    claim(r, 5, 2); /* keeps the queue */
    static const enum command_kind kinds[] = { COMMAND_SUBSCRIBE, COMMAND_UNSUBSCRIBE, COMMAND_EXPIRY };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        CHECK_INT(COMMAND_STALE, run(r, fenced(kinds[i], 5, 1)).result);
        CHECK_INT(COMMAND_DURABLE, run(r, fenced(kinds[i], 5, 2)).result);
        CHECK_INT(COMMAND_STALE, run(r, fenced(kinds[i], 6, 2)).result);
    }
    struct command_ack all = { .cursor = p[2] };
    CHECK_INT(COMMAND_STALE, acknowledge(r, 5, 1, &all).result);
    expect_queue(r, 5, p, 3);
    CHECK_INT(COMMAND_DURABLE, acknowledge(r, 5, 2, &all).result);
    expect_queue(r, 5, NULL, 0);
    close_rig(r);
}

CONTRACT(a_stale_command_has_its_place_in_the_order)
{
    struct rig *r = open_rig(of, no_limits);
    struct arrival a = run(r, fenced(COMMAND_SUBSCRIBE, 9, 9));
    struct arrival b = run(r, fenced(COMMAND_FENCE, 0, 0));
    CHECK_INT(COMMAND_STALE, a.result);
    CHECK_INT(COMMAND_DURABLE, b.result);
    CHECK_TRUE(b.position >= a.position);
    close_rig(r);
}

CONTRACT(an_ended_session_gets_nothing_and_its_name_alone_does_not_bring_it_back)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t both[] = { 5, 6, 0 };
    claim(r, 5, 1);
    claim(r, 6, 1);
    fill(r, 5, 2);
    CHECK_INT(COMMAND_DURABLE, run(r, fenced(COMMAND_END_SESSION, 5, 1)).result);
    expect_queue(r, 5, NULL, 0);

    uint64_t position = run(r, enqueue(both, 2)).position;
    CHECK_INT(COMMAND_DURABLE, last(r, 2, KIND_DONE)->result);
    wait_for(r, 1, KIND_SEAT, 1);
    look(r, 0);
    CHECK_INT(0, last(r, 0, KIND_SEAT)->target); /* told to its shard: nobody's */
    CHECK_INT(6, last(r, 1, KIND_SEAT)->target);
    expect_queue(r, 5, NULL, 0);
    expect_queue(r, 6, &position, 1);

    CHECK_INT(COMMAND_STALE, run(r, fenced(COMMAND_END_SESSION, 5, 1)).result);
    CHECK_INT(COMMAND_STALE, run(r, fenced(COMMAND_SUBSCRIBE, 5, 1)).result);
    claim(r, 5, 2);
    expect_queue(r, 5, NULL, 0); /* a new one, empty */
    close_rig(r);
}

CONTRACT(a_retained_message_for_a_subscriber_is_queued_at_its_own_position)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    struct command *c = enqueue(to, 1);
    c->kind = COMMAND_RETAINED;
    c->session_no = 5;
    c->version = 1;
    c->targets[0].retain = true;
    uint64_t position = run(r, c).position;
    const struct store_page *p = page(r, 5, 0, 10);
    CHECK_INT(1, p->count);
    CHECK_INT(position, p->rows[0].seq);
    CHECK_TRUE(p->rows[0].retain);
    close_rig(r);
}

/* --- acknowledgements */

CONTRACT(an_acknowledgement_finishes_all_up_to_its_cursor_but_what_is_open)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 5, 1);
    const uint64_t *p = fill(r, 5, 10);
    uint64_t open[] = { p[1], p[4] };
    struct command_ack ack = { .cursor = p[5], .open_count = 2, .open = open };
    acknowledge(r, 5, 1, &ack);
    expect_queue(r, 5, (const uint64_t[]){ p[1], p[4], p[6], p[7], p[8], p[9] }, 6);

    acknowledge(r, 5, 1, &ack); /* again: the same */
    expect_queue(r, 5, (const uint64_t[]){ p[1], p[4], p[6], p[7], p[8], p[9] }, 6);

    open[0] = p[4];
    ack = (struct command_ack){ .cursor = p[7], .open_count = 1, .open = open };
    acknowledge(r, 5, 1, &ack);
    expect_queue(r, 5, (const uint64_t[]){ p[4], p[8], p[9] }, 3);

    p = fill(r, 5, 1);
    ack = (struct command_ack){ .cursor = p[0] + 100 };
    acknowledge(r, 5, 1, &ack);
    expect_queue(r, 5, NULL, 0);
    expect_queue(r, 5, fill(r, 5, 2), 2);
    close_rig(r);
}

CONTRACT(a_message_for_many_is_finished_by_each_for_itself)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 1, 2, 3, 0 };
    for (uint64_t no = 1; no <= 3; no++) claim(r, no, 1);
    uint64_t position = run(r, enqueue(to, 0)).position;
    struct command_ack ack = { .cursor = position };
    acknowledge(r, 2, 1, &ack);
    expect_queue(r, 1, &position, 1);
    expect_queue(r, 2, NULL, 0);
    const struct store_page *p = page(r, 3, 0, 10);
    CHECK_INT(1, p->count);
    CHECK_TRUE(bytes_equal(msg_payload(p->rows[0].msg), bytes_of_text("ten bytes!")));
    CHECK_INT(1, p->rows[0].qos);
    close_rig(r);
}

/* --- pages */

CONTRACT(pages_come_in_order_after_a_position_and_within_a_limit)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 5, 1);
    enum { COUNT = 30 };
    const uint64_t *positions = fill(r, 5, COUNT);
    uint64_t after = 0;
    uint32_t next = 0;
    for (uint32_t limit = 1; next < COUNT; limit++) {
        const struct store_page *p = page(r, 5, after, limit);
        uint32_t left = COUNT - next;
        CHECK_INT(limit < left ? limit : left, p->count);
        for (uint32_t i = 0; i < p->count; i++) CHECK_INT(positions[next++], p->rows[i].seq);
        CHECK_TRUE(p->snapshot >= positions[COUNT - 1]);
        after = positions[next - 1];
    }
    CHECK_INT(0, page(r, 5, after, 10)->count);
    CHECK_INT(0, page(r, 5, UINT64_MAX, 10)->count);
    CHECK_INT(10, page(r, 5, positions[COUNT - 11], 10)->count);
    close_rig(r);
}

CONTRACT(a_page_never_holds_more_than_it_has_room_for)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 5, 1);
    fill(r, 5, PAGE_ENTRIES_MAX + 5);
    CHECK_INT(PAGE_ENTRIES_MAX, page(r, 5, 0, UINT32_MAX)->count);
    close_rig(r);
}

CONTRACT(a_page_of_a_session_that_is_not_there_is_empty)
{
    struct rig *r = open_rig(of, no_limits);
    CHECK_INT(0, page(r, 77, 0, 10)->count);
    close_rig(r);
}

/* Another shard that submits while this one reads. */
struct publisher {
    struct rig *r;
    struct thread thread;
    unsigned count;
};

static void publish_on_and_on(void *arg)
{
    struct publisher *p = arg;
    const uint64_t to[] = { 8, 5, 0 }; /* 5 on shard 1 */
    struct outbox o = { 0 };
    for (unsigned i = 0; i < p->count; i++) {
        struct command *c = enqueue(to, 2);
        command_put(&o, c);
        if (i % 7 == 0 || i + 1 == p->count) journal_submit(&p->r->journal, &o);
    }
}

/* As a session does: pages until an empty one, from then on what its seats bring. */
struct reader {
    uint64_t fed, snapshot, seen[LOG_MAX];
    size_t count, at; /* messages; events looked at */
    bool live;
};

static void read_event(struct rig *r, struct reader *s, const struct arrival *e)
{
    if (e->kind == KIND_PAGE) {
        CHECK_TRUE(r->page->snapshot >= s->snapshot);
        s->snapshot = r->page->snapshot;
        for (uint32_t i = 0; i < r->page->count; i++) s->seen[s->count++] = s->fed = r->page->rows[i].seq;
        CHECK_TRUE(s->fed <= s->snapshot);
        s->live = r->page->count == 0;
        if (!s->live) ask(r, 1, 5, s->fed, 5);
        return;
    }
    if (s->live) CHECK_TRUE(e->position > s->snapshot);
    if (s->live) s->seen[s->count++] = s->fed = e->position;
}

CONTRACT(a_page_and_the_seats_after_it_are_everything_exactly_once)
{
    struct rig *r = open_rig(of, no_limits);
    struct reader *s = calloc(1, sizeof *s);
    struct publisher p = { .r = r, .count = 1500 };
    CHECK_TRUE(s != NULL);
    claim(r, 5, 1);
    const uint64_t *before = fill(r, 5, 20);
    CHECK_INT(ERR_OK, thread_start(&p.thread, "publisher", publish_on_and_on, &p));
    ask(r, 1, 5, 0, 5);
    while (s->count < p.count + 20) {
        struct mail *m = mailbox_wait(&r->mailboxes[1]);
        while (m != NULL) { /* one by one: a page lies in r->page only until the next */
            struct mail *next = m->next;
            take_one(r, 1, m);
            read_event(r, s, &r->log[1][s->at++]);
            m = next;
        }
    }
    thread_join(&p.thread);
    wait_for(r, 2, KIND_DONE, p.count);
    CHECK_INT(p.count + 20, s->count);
    for (size_t i = 0; i < s->count; i++)
        CHECK_INT(i < 20 ? before[i] : r->log[2][i - 20].position, s->seen[i]);
    free(s);
    close_rig(r);
}

CONTRACT(a_will_is_published_once)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 6, 0 };
    claim(r, 6, 1);
    struct command *c = fenced(COMMAND_CLAIM, 5, 1), *message = enqueue(to, 0);
    c->msg = msg_ref(message->msg);
    command_unref(&message);
    run(r, c);
    for (int i = 0; i < 2; i++) {
        struct command *will = enqueue(to, 0);
        will->kind = COMMAND_FIRE_WILL;
        will->session_no = 5;
        will->claim_no = 1;
        CHECK_INT(i == 0 ? COMMAND_DURABLE : COMMAND_STALE, run(r, will).result);
    }
    CHECK_INT(1, page(r, 6, 0, 10)->count);
    close_rig(r);
}

/* --- the end */

CONTRACT(stopping_finishes_what_was_submitted)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 1, 2, 3, 0 };
    enum { COUNT = 1000 };
    for (uint64_t no = 1; no <= 3; no++) claim(r, no, 1);
    for (unsigned i = 0; i < COUNT; i++) submit(r, enqueue(to, 0));
    r->of->stop(r->impl);
    r->impl = NULL;
    for (unsigned i = 0; i < SHARDS; i++) look(r, i);
    CHECK_INT(COUNT + 3, count_of(r, 0, KIND_DONE));
    for (unsigned i = 0; i < SHARDS; i++) CHECK_INT(COUNT, count_of(r, i, KIND_SEAT));
    close_rig(r);
}

CONTRACT(stopping_gives_back_what_is_queued)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 5, 1);
    fill(r, 5, 50); /* the sanitizer counts */
    close_rig(r);
}

CONTRACT(each_implementation_has_a_name)
{
    struct rig *r = open_rig(of, no_limits);
    CHECK_TRUE(strcmp(of->store_name, r->journal.ops->name) == 0);
    CHECK_TRUE(strcmp(of->store_name, r->store.ops->name) == 0);
    close_rig(r);
}
