/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "contract/journal_rig.h"
#include "contract/on_disk.h"
#include <stdatomic.h>

/* What waits in a queue, without its messages. */

enum { TEN_BYTES = 10 };

CONTRACT(ids_come_in_order_after_a_seq_and_within_a_limit)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 5, 1);
    const uint64_t *seqs = fill(r, 5, 30);
    uint32_t at = 0;
    for (uint32_t limit = 1; at < 30; limit++) {
        const struct store_ids *p = ids(r, 5, at == 0 ? 0 : seqs[at - 1], limit);
        CHECK_INT(limit < 30 - at ? limit : 30 - at, p->count);
        for (uint32_t i = 0; i < p->count; i++) CHECK_INT(seqs[at++], p->rows[i].seq);
        CHECK_TRUE(p->snapshot >= seqs[29]);
    }
    CHECK_INT(0, ids(r, 5, seqs[29], 10)->count);
    CHECK_INT(0, ids(r, 5, UINT64_MAX, 10)->count);
    close_rig(r);
}

CONTRACT(ids_say_what_a_message_is_without_it)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 8, 5, 0 }; /* the second is delivered as retained */
    claim(r, 5, 1);
    struct command *c = enqueue(to, 0);
    struct msg_parts parts = { .topic = bytes_of_text("t"),
                               .payload = bytes_of_text("seven b"),
                               .qos = 1,
                               .expires_ms = UINT64_C(1) << 60 };
    msg_unref(&c->msg);
    CHECK_INT(ERR_OK, msg_new(&c->msg, &parts));
    uint64_t first = run(r, c).position, second = *fill(r, 5, 1);
    const struct store_ids *p = ids(r, 5, 0, 10);
    CHECK_INT(2, p->count);
    CHECK_INT(first, p->rows[0].seq);
    CHECK_INT(7, p->rows[0].payload_bytes);
    CHECK_TRUE(p->rows[0].expires_ms == UINT64_C(1) << 60);
    CHECK_INT(1, p->rows[0].qos);
    CHECK_TRUE(p->rows[0].retain);
    CHECK_INT(second, p->rows[1].seq);
    CHECK_INT(TEN_BYTES, p->rows[1].payload_bytes);
    CHECK_TRUE(p->rows[1].expires_ms == 0);
    CHECK_TRUE(!p->rows[1].retain);
    close_rig(r);
}

CONTRACT(ids_never_are_more_than_there_is_room_for)
{
    struct rig *r = open_rig(of, no_limits);
    const uint64_t to[] = { 5, 0 };
    struct outbox o = { 0 };
    enum { COUNT = IDS_ENTRIES_MAX + 5 };
    claim(r, 5, 1);
    for (int i = 0; i < COUNT; i++) {
        struct command *c = enqueue(to, 2);
        c->seats_count = 0;
        command_put(&o, c);
    }
    journal_submit(&r->journal, &o);
    wait_for(r, 2, KIND_DONE, COUNT);
    uint64_t after = 0;
    uint32_t seen = 0;
    const struct store_ids *p;
    while ((p = ids(r, 5, after, UINT32_MAX))->count > 0) {
        CHECK_TRUE(p->count <= IDS_ENTRIES_MAX);
        seen += p->count;
        after = p->rows[p->count - 1].seq;
    }
    CHECK_INT(COUNT, seen);
    close_rig(r);
}

CONTRACT(ids_of_a_session_that_is_gone_are_none)
{
    struct rig *r = open_rig(of, no_limits);
    CHECK_INT(0, ids(r, 77, 0, 10)->count);
    claim(r, 5, 1);
    fill(r, 5, 3);
    run(r, fenced(COMMAND_END_SESSION, 5, 1));
    CHECK_INT(0, ids(r, 5, 0, 10)->count);
    claim(r, 5, 2);
    CHECK_INT(0, ids(r, 5, 0, 10)->count);
    uint64_t seq = *fill(r, 5, 1);
    CHECK_INT(1, ids(r, 5, 0, 10)->count);
    CHECK_INT(seq, r->ids->rows[0].seq);
    close_rig(r);
}

/* --- with publishers running */

struct publisher {
    struct rig *r;
    struct thread thread;
    unsigned count;
};

static void publish_on_and_on(void *arg)
{
    struct publisher *p = arg;
    const uint64_t to[] = { 5, 0 };
    struct outbox o = { 0 };
    for (unsigned i = 0; i < p->count; i++) {
        struct command *c = enqueue(to, 2);
        c->seats_count = 0;
        command_put(&o, c);
        if (i % 7 == 0 || i + 1 == p->count) journal_submit(&p->r->journal, &o);
    }
}

/* Whoever goes on after the last seq sees each once, in order. */
static void read_while_it_grows(struct rig *r)
{
    enum { COUNT = 3000, LIMIT = 100 };
    struct publisher p = { .r = r, .count = COUNT };
    uint64_t *seen = calloc(COUNT, sizeof *seen);
    CHECK_TRUE(seen != NULL);
    claim(r, 5, 1);
    CHECK_INT(ERR_OK, thread_start(&p.thread, "publisher", publish_on_and_on, &p));
    for (uint32_t count = 0; count < COUNT;) {
        const struct store_ids *a = ids(r, 5, count == 0 ? 0 : seen[count - 1], LIMIT);
        CHECK_TRUE(a->count <= LIMIT && count + a->count <= COUNT);
        for (uint32_t i = 0; i < a->count; i++) {
            CHECK_TRUE(a->rows[i].seq <= a->snapshot);
            CHECK_INT(TEN_BYTES, a->rows[i].payload_bytes);
            seen[count++] = a->rows[i].seq;
        }
    }
    thread_join(&p.thread);
    wait_for(r, 2, KIND_DONE, COUNT);
    for (size_t i = 0; i < COUNT; i++) CHECK_INT(r->log[2][i].position, seen[i]);
    free(seen);
}

CONTRACT(ids_read_while_a_queue_grows_are_everything_exactly_once)
{
    struct rig *r = open_rig(of, no_limits);
    read_while_it_grows(r);
    close_rig(r);
}

/* --- on disk: from the tables on into what is not folded yet */

static const struct implementation on_disk = {
    "disk", "disk", NULL, on_disk_stop, on_disk_journal, on_disk_store,
};

/* Each look at it is a second later: all that may be folded is. */
static uint64_t flying_ms(void *ctx)
{
    static atomic_uint_fast64_t now_ms = 1000;
    (void)ctx;
    return atomic_fetch_add_explicit(&now_ms, 1000, memory_order_relaxed);
}

static const struct clock flying = { flying_ms, flying_ms, NULL };

TEST(ids_read_while_a_queue_is_folded_are_everything_exactly_once)
{
    struct rig *r = new_rig();
    struct journal_sink sink = rig_sink(r);
    const struct on_disk_conf conf = { .clock = &flying };
    attach(r, &on_disk, on_disk_start(&sink, &conf));
    read_while_it_grows(r);
    close_rig(r);
}

static enum err any_session(void *ctx, const struct restore_session *s)
{
    (void)ctx;
    return s->session_no <= 6 ? ERR_OK : ERR_UNKNOWN;
}

/* Some messages lie in their rows, some in a body that two queues share. */
TEST(ids_go_on_from_the_tables_into_what_is_not_folded)
{
    char dir[64];
    struct rig *r = new_rig();
    struct journal_sink sink = rig_sink(r);
    const uint64_t both[] = { 6, 5, 0 };
    uint64_t seqs[6];
    make_dir(dir);
    const struct on_disk_conf conf = { .dir = dir,
                                       .clock = &clock_system,
                                       .restore = { .session = any_session } };
    attach(r, &on_disk, on_disk_start(&sink, &conf));
    claim(r, 5, 1);
    claim(r, 6, 1);
    for (int i = 0; i < 3; i++) seqs[i] = i == 1 ? run(r, enqueue(both, 0)).position : *fill(r, 5, 1);
    on_disk_stop(r->impl); /* folds */
    attach(r, &on_disk, on_disk_start(&sink, &conf));
    for (int i = 3; i < 6; i++) seqs[i] = i == 4 ? run(r, enqueue(both, 0)).position : *fill(r, 5, 1);

    uint64_t after = 0;
    for (uint32_t i = 0; i < 6; after = seqs[i - 1]) {
        const struct store_ids *p = ids(r, 5, after, 2);
        CHECK_TRUE(p->count > 0);
        for (uint32_t row = 0; row < p->count; row++, i++) {
            CHECK_INT(seqs[i], p->rows[row].seq);
            CHECK_INT(TEN_BYTES, p->rows[row].payload_bytes);
            CHECK_INT(1, p->rows[row].qos);
            CHECK_INT(i == 1 || i == 4, p->rows[row].retain);
            CHECK_TRUE(p->rows[row].expires_ms == 0);
        }
    }
    CHECK_INT(0, ids(r, 5, after, 2)->count);
    close_rig(r);
    remove_dir(dir);
}
