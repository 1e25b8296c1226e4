/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "contract/journal_rig.h"
#include "contract/on_disk.h"
#include "store_sqlite/space.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What goes on while the fold is behind: it stands still, and as much waits for it as may. */

enum { BIG = 1024 * 1024, CLIENT = 5, QUEUE = 6, OTHER = 7, GROUP = 8 };

/* The fold waits here, once; then never again. */
struct gate {
    struct mailbox box;
    struct mail open;
    bool was_passed; /* the fold's */
};

static void wait_at_gate(void *ctx, uint64_t upto)
{
    struct gate *g = ctx;
    (void)upto;
    if (g->was_passed) return;
    CHECK(mailbox_wait(&g->box) == &g->open);
    g->was_passed = true;
}

static uint64_t unfolded_bytes_max(void)
{
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_TRUE(fd >= 0);
    struct space s = space_of(fd);
    close(fd);
    return s.unfolded_bytes_max;
}

static struct msg *big_message(void)
{
    struct msg *m;
    uint8_t *payload = calloc(1, BIG);
    CHECK_TRUE(payload != NULL);
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of(payload, BIG), .qos = 1 };
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    free(payload);
    return m;
}

static struct command *for_queue(enum command_kind kind)
{
    const uint64_t to[] = { QUEUE, 0 };
    struct command *c = enqueue(to, 0);
    c->kind = kind;
    return c;
}

/* As much as may wait; what is beside the payloads makes it more. */
static void fill_up(struct rig *r)
{
    struct msg *m = big_message();
    for (uint64_t bytes = 0; bytes < unfolded_bytes_max(); bytes += BIG) {
        struct command *c = for_queue(COMMAND_ENQUEUE);
        msg_unref(&c->msg);
        c->msg = msg_ref(m);
        CHECK_INT(COMMAND_DURABLE, run(r, c).result);
    }
    msg_unref(&m);
}

static struct command *of_client(enum command_kind kind)
{
    struct command *c = for_queue(kind);
    c->session_no = CLIENT;
    c->claim_no = 1;
    return c;
}

static void claim_with_will(struct rig *r)
{
    struct command *c = fenced(COMMAND_CLAIM, CLIENT, 1), *message = for_queue(COMMAND_ENQUEUE);
    c->msg = msg_ref(message->msg);
    command_unref(&message);
    CHECK_INT(COMMAND_DURABLE, run(r, c).result);
}

static const struct implementation store = { .stop = on_disk_stop,
                                             .journal = on_disk_journal,
                                             .store = on_disk_store };

static const struct fake_schedule quiet = {
    .seed = 1, .idle_turns_max = 2, .commits_max = 4, .others_first = 100, .others_count = 1
};

static struct command *of_queue(enum command_kind kind, uint64_t session_no, unsigned from)
{
    struct command *c = new_command(kind, &(struct command_size){ 0 }, from);
    c->session_no = session_no;
    c->claim_no = 1;
    return c;
}

/* A group with one message; gives its seq. */
static uint64_t make_group(struct rig *r)
{
    struct command *group = of_queue(COMMAND_GROUP, GROUP, 0);
    group->claim_no = 0;
    CHECK_INT(COMMAND_DURABLE, run(r, group).result);
    return *fill(r, GROUP, 1);
}

/* One behind the other; each pair keeps its order, whatever waits. */
static void submit_pairs(struct rig *r, uint64_t seq)
{
    struct command *move = for_queue(COMMAND_MOVE), *ack = of_queue(COMMAND_ACK, GROUP, 0);
    /* The will of a connection, and that it is gone and has none any more. */
    submit(r, of_client(COMMAND_FIRE_WILL));
    submit(r, fenced(COMMAND_OFFLINE, CLIENT, 1));
    /* An entry of a group, which has it no more. */
    move->session_no = GROUP;
    move->version = seq;
    submit(r, move);
    ack->claim_no = 0;
    ack->ack.cursor = seq;
    submit(r, ack);
    /* A packet id and its release. */
    for (unsigned i = 0; i < 2; i++) {
        struct command *c = i == 0 ? for_queue(COMMAND_ENQUEUE) : of_queue(COMMAND_RELEASE, OTHER, 0);
        c->session_no = OTHER;
        c->claim_no = 1;
        c->in_id = 3;
        submit(r, c);
    }
}

TEST(while_the_fold_is_behind_publishes_wait_and_acknowledgements_and_pages_do_not)
{
    struct gate gate = { .was_passed = false };
    struct on_disk_conf conf = { .log = fake_log_new(&quiet), .clock = &clock_system };
    struct rig *r = new_rig();
    struct journal_sink sink = rig_sink(r);
    CHECK_INT(ERR_OK, mailbox_open(&gate.box));
    attach(r, &store, on_disk_start(&sink, &conf));
    claim(r, QUEUE, 1);
    claim(r, OTHER, 1);
    claim_with_will(r);
    uint64_t seq = make_group(r);
    fake_log_on_purge(conf.log, wait_at_gate, &gate);
    fill_up(r);

    size_t done = count_of(r, 0, KIND_DONE);
    submit(r, for_queue(COMMAND_ENQUEUE));
    submit_pairs(r, seq);
    static const enum command_kind passing[] = { COMMAND_ACK, COMMAND_RECEIVED, COMMAND_OFFLINE };
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        CHECK_INT(COMMAND_DURABLE, run(r, of_queue(passing[i], QUEUE, 1)).result);
    page(r, QUEUE, 0, 1);
    look(r, 0);
    CHECK_INT(done, count_of(r, 0, KIND_DONE));

    mailbox_send(&gate.box, &gate.open);
    wait_for(r, 0, KIND_DONE, done + 7);
    for (size_t i = 0; i < r->events[0]; i++)
        if (r->log[0][i].kind == KIND_DONE) CHECK_INT(COMMAND_DURABLE, r->log[0][i].result);
    struct command *again = for_queue(COMMAND_ENQUEUE); /* released, it is free */
    again->session_no = OTHER;
    again->claim_no = 1;
    again->in_id = 3;
    CHECK_INT(COMMAND_DURABLE, run(r, again).result);
    close_rig(r);
    mailbox_close(&gate.box);
    fake_log_free(&conf.log);
}
