/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/journal_rig.h"
#include "contract/on_disk.h"
#include "store/keepalive_row.h"
#include <stdatomic.h>

/* Packet ids of publishers, which are known until they are released, and PUBRECs of receivers. */

enum { PUBLISHER = 5, RECEIVER = 6 };

static struct command *of_publisher(struct command *c, uint64_t claim_no, uint16_t id)
{
    c->session_no = PUBLISHER;
    c->claim_no = claim_no;
    c->in_id = id;
    return c;
}

static enum command_result publish(struct rig *r, uint64_t claim_no, uint16_t id)
{
    const uint64_t to[] = { RECEIVER, 0 };
    return run(r, of_publisher(enqueue(to, 0), claim_no, id)).result;
}

static enum command_result release(struct rig *r, uint64_t claim_no, uint16_t id)
{
    struct command *c = new_command(COMMAND_RELEASE, &(struct command_size){ 0 }, 0);
    return run(r, of_publisher(c, claim_no, id)).result;
}

static struct rig *open_both(const struct implementation *of, struct backlog_limits limits)
{
    struct rig *r = open_rig(of, limits);
    claim(r, PUBLISHER, 1);
    claim(r, RECEIVER, 1);
    return r;
}

CONTRACT(a_packet_id_is_a_duplicate_until_it_is_released)
{
    struct rig *r = open_both(of, no_limits);
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    CHECK_INT(COMMAND_DUPLICATE, publish(r, 1, 7));
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 8));
    CHECK_INT(2, page(r, RECEIVER, 0, 10)->count);
    CHECK_INT(COMMAND_DURABLE, release(r, 1, 7));
    CHECK_INT(COMMAND_DURABLE, release(r, 1, 7)); /* there is none: nothing happens */
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    CHECK_INT(COMMAND_DUPLICATE, publish(r, 1, 8));
    CHECK_INT(3, page(r, RECEIVER, 0, 10)->count);
    close_rig(r);
}

CONTRACT(any_packet_id_may_be_known)
{
    struct rig *r = open_both(of, no_limits);
    static const uint16_t all[] = { 65535, 1, 300, 2, 65534 };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) CHECK_INT(COMMAND_DURABLE, publish(r, 1, all[i]));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        CHECK_INT(COMMAND_DUPLICATE, publish(r, 1, all[i]));
    close_rig(r);
}

CONTRACT(another_connection_of_the_client_knows_its_packet_ids)
{
    struct rig *r = open_both(of, no_limits);
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    claim(r, PUBLISHER, 2);
    CHECK_INT(COMMAND_DUPLICATE, publish(r, 2, 7));
    CHECK_INT(COMMAND_DURABLE, release(r, 2, 7));
    CHECK_INT(COMMAND_DURABLE, publish(r, 2, 7));
    close_rig(r);
}

CONTRACT(a_publish_with_a_packet_id_and_its_release_are_stale_when_the_claim_is_lost)
{
    struct rig *r = open_both(of, no_limits);
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    claim(r, PUBLISHER, 2);
    CHECK_INT(COMMAND_STALE, publish(r, 1, 8));
    CHECK_INT(COMMAND_STALE, release(r, 1, 7));
    CHECK_INT(1, page(r, RECEIVER, 0, 10)->count);
    CHECK_INT(COMMAND_DURABLE, publish(r, 2, 8));
    CHECK_INT(COMMAND_DUPLICATE, publish(r, 2, 7));
    close_rig(r);
}

CONTRACT(packet_ids_go_with_their_session)
{
    struct rig *r = open_both(of, no_limits);
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    CHECK_INT(COMMAND_DURABLE, run(r, fenced(COMMAND_END_SESSION, PUBLISHER, 1)).result);
    CHECK_INT(COMMAND_STALE, publish(r, 1, 7));
    claim(r, PUBLISHER, 2);
    CHECK_INT(COMMAND_DURABLE, publish(r, 2, 7));
    close_rig(r);
}

CONTRACT(two_clients_may_use_the_same_packet_id)
{
    struct rig *r = open_both(of, no_limits);
    const uint64_t to[] = { PUBLISHER, 0 };
    struct command *other = enqueue(to, 0);
    other->session_no = RECEIVER;
    other->claim_no = 1;
    other->in_id = 7;
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    CHECK_INT(COMMAND_DURABLE, run(r, other).result);
    close_rig(r);
}

CONTRACT(a_duplicate_or_stale_publish_takes_no_room)
{
    struct rig *r = open_both(of, (struct backlog_limits){ .messages_max = 2 });
    const uint64_t to[] = { RECEIVER, 0 };
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    for (int i = 0; i < 5; i++) CHECK_INT(COMMAND_DUPLICATE, publish(r, 1, 7));
    for (int i = 0; i < 5; i++) CHECK_INT(COMMAND_STALE, publish(r, 99, 8));
    CHECK_INT(0, run(r, enqueue(to, 0)).dropped);
    CHECK_INT(1, run(r, enqueue(to, 0)).dropped);
    close_rig(r);
}

CONTRACT(a_refused_publish_leaves_its_packet_id_free)
{
    struct rig *r = open_both(of, (struct backlog_limits){ .messages_max = 1, .policy = BACKLOG_REFUSE });
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    CHECK_INT(COMMAND_REFUSED, publish(r, 1, 8));
    struct command_ack all = { .cursor = page(r, RECEIVER, 0, 1)->rows[0].seq };
    acknowledge(r, RECEIVER, 1, &all);
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 8));
    close_rig(r);
}

/* --- with the publisher's own id, too */

static enum command_result publish_mid(struct rig *r, const char *text, uint16_t id)
{
    struct command_mid mid = { bytes_of_text("publisher"), bytes_of_text(text), 600 };
    const uint64_t to[] = { RECEIVER, 0 };
    struct command *plain = enqueue(to, 0);
    struct command *c = new_command(COMMAND_ENQUEUE, &(struct command_size){ .targets = 1, .mid = &mid }, 0);
    c->msg = msg_ref(plain->msg);
    c->targets[0] = plain->targets[0];
    command_unref(&plain);
    return run(r, of_publisher(c, 1, id)).result;
}

CONTRACT(a_message_that_is_there_already_makes_its_packet_id_known_all_the_same)
{
    struct rig *r = open_both(of, no_limits);
    CHECK_INT(COMMAND_DURABLE, publish_mid(r, "m", 0));
    CHECK_INT(COMMAND_DUPLICATE, publish_mid(r, "m", 7));
    CHECK_INT(COMMAND_DUPLICATE, publish(r, 1, 7)); /* its resend, when the window is over */
    CHECK_INT(1, page(r, RECEIVER, 0, 10)->count);
    CHECK_INT(COMMAND_DURABLE, release(r, 1, 7));
    CHECK_INT(COMMAND_DURABLE, publish(r, 1, 7));
    CHECK_INT(COMMAND_DUPLICATE, publish_mid(r, "n", 7)); /* which is not known by that */
    CHECK_INT(COMMAND_DURABLE, publish_mid(r, "n", 8));
    claim(r, PUBLISHER, 2);
    CHECK_INT(COMMAND_STALE, publish_mid(r, "n", 9)); /* of the connection before */
    close_rig(r);
}

/* --- PUBREC */

static enum command_result receive(struct rig *r, uint64_t claim_no, const uint64_t *seqs, uint32_t count)
{
    struct command *c = new_command(COMMAND_RECEIVED, &(struct command_size){ .open = count }, 0);
    c->session_no = RECEIVER;
    c->claim_no = claim_no;
    memcpy(c->ack.open, seqs, count * sizeof *seqs);
    return run(r, c).result;
}

CONTRACT(what_its_client_has_received_waits_until_it_is_acknowledged)
{
    struct rig *r = open_both(of, no_limits);
    uint64_t p[3];
    memcpy(p, fill(r, RECEIVER, 3), sizeof p);
    CHECK_INT(COMMAND_DURABLE, receive(r, 1, p, 2));
    CHECK_INT(COMMAND_DURABLE, receive(r, 1, p, 2)); /* again: the same */
    expect_queue(r, RECEIVER, p, 3);
    struct command_ack ack = { .cursor = p[1], .open_count = 1, .open = p };
    acknowledge(r, RECEIVER, 1, &ack);
    CHECK_INT(COMMAND_DURABLE, receive(r, 1, p, 3)); /* some are gone */
    expect_queue(r, RECEIVER, (const uint64_t[]){ p[0], p[2] }, 2);
    close_rig(r);
}

CONTRACT(a_lost_connection_has_received_nothing)
{
    struct rig *r = open_both(of, no_limits);
    uint64_t p = *fill(r, RECEIVER, 1);
    claim(r, RECEIVER, 2);
    CHECK_INT(COMMAND_STALE, receive(r, 1, &p, 1));
    CHECK_TRUE(!page(r, RECEIVER, 0, 1)->rows[0].released);
    CHECK_INT(COMMAND_DURABLE, receive(r, 2, &p, 1));
    CHECK_INT(COMMAND_DURABLE, run(r, fenced(COMMAND_END_SESSION, RECEIVER, 2)).result);
    CHECK_INT(COMMAND_STALE, receive(r, 2, &p, 1));
    close_rig(r);
}

/* --- another broker's packet ids */

static enum command_result sent_as(struct rig *r, uint64_t claim_no, uint64_t seq, uint16_t id)
{
    struct command *c = fenced(COMMAND_SENT_AS, RECEIVER, claim_no);
    c->version = seq;
    c->in_id = id;
    return run(r, c).result;
}

CONTRACT(an_entry_keeps_the_packet_id_that_another_broker_sent_it_with)
{
    struct rig *r = open_both(of, no_limits);
    uint64_t p[3];
    memcpy(p, fill(r, RECEIVER, 3), sizeof p);
    CHECK_INT(COMMAND_DURABLE, sent_as(r, 1, p[0], 65535));
    CHECK_INT(COMMAND_DURABLE, sent_as(r, 1, p[1], 7));
    CHECK_INT(COMMAND_DURABLE, receive(r, 1, p, 1));
    CHECK_INT(COMMAND_STALE, sent_as(r, 99, p[2], 8));
    const struct store_row *rows = page(r, RECEIVER, 0, 10)->rows;
    CHECK_TRUE(rows[0].packet_id == 65535 && rows[0].released && rows[0].qos == 1);
    CHECK_TRUE(rows[1].packet_id == 7 && !rows[1].released);
    CHECK_INT(0, rows[2].packet_id);
    CHECK_INT(COMMAND_DURABLE, sent_as(r, 1, p[2] + 1, 9)); /* there is none: nothing happens */
    close_rig(r);
}

/* --- what nobody waits for */

CONTRACT(what_was_learned_of_ways_is_taken_whether_or_not_a_client_has_a_session)
{
    struct rig *r = open_both(of, no_limits);
    const struct keepalive_row row = { 1, 2, { 240 } };
    uint8_t at[KEEPALIVE_ROW_BYTES];
    struct wr w = { .at = at, .left = sizeof at };
    keepalive_row_write(&w, &row);
    struct command_size size = { .data = bytes_of(at, sizeof at) };
    uint64_t before = run(r, fenced(COMMAND_FENCE, RECEIVER, 1)).position;
    struct arrival said = run(r, new_command(COMMAND_KEEPALIVE, &size, 1));
    CHECK_INT(COMMAND_DURABLE, said.result);
    CHECK_TRUE(said.position > before);
    close_rig(r);
}

/* --- on disk */

static atomic_uint_fast64_t hand_ms = UINT64_C(1) << 42; /* later than when the file is made */

static uint64_t by_hand_ms(void *ctx)
{
    (void)ctx;
    return atomic_load_explicit(&hand_ms, memory_order_relaxed);
}

static const struct clock by_hand = { by_hand_ms, by_hand_ms, NULL };

static const struct implementation on_disk = {
    "disk", "disk", NULL, on_disk_stop, on_disk_journal, on_disk_store,
};

/* A message on its way through a group to a receiver who is there, to its end. */
static void exchange(struct rig *r, uint16_t id)
{
    enum { GROUP = 300 };
    const uint64_t to_group[] = { GROUP, 0 }, to_receiver[] = { RECEIVER, 0 };
    struct arrival a = run(r, of_publisher(enqueue(to_group, 0), 1, id));
    CHECK_INT(COMMAND_DURABLE, a.result);
    struct command *move = enqueue(to_receiver, 0);
    move->kind = COMMAND_MOVE;
    move->session_no = GROUP;
    move->version = a.position;
    CHECK_INT(COMMAND_DURABLE, release(r, 1, id));
    a = run(r, move);
    CHECK_INT(COMMAND_DURABLE, a.result);
    CHECK_INT(COMMAND_DURABLE, receive(r, 1, &a.position, 1));
    acknowledge(r, RECEIVER, 1, &(struct command_ack){ .cursor = a.position });
}

/* Folds that had something to write, as they purge the log. */
static atomic_uint_fast64_t folded_upto;
static atomic_uint folds;

static void note_fold(void *ctx, uint64_t upto)
{
    (void)ctx;
    atomic_fetch_add_explicit(&folds, 1, memory_order_relaxed);
    atomic_store_explicit(&folded_upto, upto, memory_order_release);
}

/* Time for a fold, and for the journal to think of it. */
static void let_time_pass(struct rig *r)
{
    atomic_fetch_add_explicit(&hand_ms, 60 * 1000, memory_order_relaxed);
    for (int i = 0; i < 3; i++) ids(r, RECEIVER, 0, 1);
}

static void wait_for_fold(struct rig *r, uint64_t upto)
{
    let_time_pass(r);
    while (atomic_load_explicit(&folded_upto, memory_order_acquire) < upto) ids(r, RECEIVER, 0, 1);
}

TEST(of_what_is_finished_before_a_fold_nothing_comes_into_the_tables_on_disk)
{
    const struct fake_schedule quiet = {
        .seed = 1, .idle_turns_max = 1, .commits_max = 4, .others_count = 1
    };
    const uint64_t to[] = { RECEIVER, 0 };
    struct on_disk_conf conf = { .log = fake_log_new(&quiet), .clock = &by_hand };
    struct rig *r = new_rig();
    struct journal_sink sink = rig_sink(r);
    struct command *group = new_command(COMMAND_GROUP, &(struct command_size){ 0 }, 0);
    fake_log_on_purge(conf.log, note_fold, NULL);
    attach(r, &on_disk, on_disk_start(&sink, &conf));
    claim(r, PUBLISHER, 1);
    claim(r, RECEIVER, 1);
    group->session_no = 300;
    wait_for_fold(r, run(r, group).position);
    for (uint16_t id = 1; id <= 100; id++) exchange(r, id);
    let_time_pass(r);
    wait_for_fold(r, run(r, enqueue(to, 0)).position); /* this one is not finished */
    CHECK_INT(2, atomic_load(&folds));
    close_rig(r);
    fake_log_free(&conf.log);
}
