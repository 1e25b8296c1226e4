/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/on_disk.h"
#include "contract/trial.h"
#include "store/record.h"
#include <stdio.h>
#include <string.h>

/*
 * Random commands of three shards over a replicated order, against a model that reads the order's log: each
 * completed once, in the order of its shard, with the model's result; then the store starts again, from its
 * directory or from a copy made in the middle, and has what the model has.
 *
 * JOURNAL_SEED=N runs that seed alone, JOURNAL_SEEDS=N so many from the first on.
 */

enum { COMMANDS = 300, SEEDS = 12 };

/* --- compared with the model */

static bool has(const struct answered *a, uint64_t seq)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->seqs[i] == seq) return true;
    return false;
}

/* Up to its last row, or its snapshot if it has none, nothing that waited then is missing. What was finished
 * in between may be there; what an earlier session of the same number had, not. */
static void check_page(const struct trial *t, const struct answered *a)
{
    const struct model_session *s = model_queue(t->model, a->session_no);
    uint64_t upto = a->count > 0 ? a->seqs[a->count - 1] : a->snapshot;
    for (uint32_t i = 1; i < a->count; i++) CHECK_TRUE(a->seqs[i] > a->seqs[i - 1]);
    CHECK_TRUE(upto <= a->snapshot);
    if (a->count > 0) CHECK_TRUE(s->is_there && a->seqs[0] > s->since);
    for (uint32_t i = 0; i < s->count; i++)
        if (s->queue[i].seq > a->after && s->queue[i].seq <= upto) CHECK_TRUE(has(a, s->queue[i].seq));
}

static void check_pages_before(struct trial *t, uint64_t position)
{
    while (t->pages_checked < t->pages_count && t->pages[t->pages_checked].snapshot < position)
        check_page(t, &t->pages[t->pages_checked++]);
}

/* The completion with a position, of any shard; NULL if there is none. Changes nothing else. */
static const struct arrival *completion_at(const struct trial *t, uint64_t position, unsigned *shard)
{
    for (*shard = 0; *shard < SHARDS; ++*shard)
        for (size_t i = 0; i < t->rig->events[*shard]; i++) {
            const struct arrival *a = &t->rig->log[*shard][i];
            if (a->kind == KIND_DONE && a->result != COMMAND_REFUSED && a->position == position) return a;
        }
    return NULL;
}

static void check_completion(const struct trial *t, const struct command *c, enum model_verdict v)
{
    unsigned shard;
    const struct arrival *a = completion_at(t, c->position, &shard);
    CHECK_TRUE(a != NULL);
    const struct sent *s = &t->sent[shard][a->ticket];
    static const enum command_result results[] = { COMMAND_DURABLE, COMMAND_STALE, COMMAND_DUPLICATE };
    CHECK_INT(results[v], a->result);
    CHECK_INT(c->kind, a->command);
    CHECK_INT(c->kind, s->kind);
    CHECK_INT(c->session_no, s->session_no);
    CHECK_INT(c->claim_no, s->claim_no);
}

/* What moved out of a group is beyond it. Then more than one goes for the next, and if that one is stale,
 * they stay until what was to come after it has. */
static void check_limit(struct trial *t, const struct command *c)
{
    uint32_t most = t->limits.messages_max * (t->limits.policy == BACKLOG_DROP_OLDEST ? 2 : 1);
    for (uint32_t i = 0; most > 0 && i < c->targets_count; i++) {
        const struct model_session *s = model_queue(t->model, c->targets[i].session_no);
        uint32_t count = 0;
        if (s == NULL || c->targets[i].session_no == DELAYED_QUEUE) continue;
        for (uint32_t k = 0; k < s->count; k++) count += !s->queue[k].has_moved;
        CHECK_TRUE(count <= most);
    }
}

/* The boot_no of the last process of ours in the log. */
static uint32_t last_boot(const struct trial *t)
{
    size_t count;
    uint32_t boot_no = 0;
    const struct fake_record *log = fake_log_records(t->log, &count);
    for (size_t i = 0; i < count; i++) {
        struct command_origin o = record_origin(log[i].bytes);
        if (o.node != FAKE_OTHER_NODE && o.boot_no > boot_no) boot_no = o.boot_no;
    }
    return boot_no;
}

/* Reads on in the log: what this process proposed has been completed. Gives how many these were. */
static size_t follow(struct trial *t)
{
    size_t count, ours = 0;
    uint32_t boot_no = last_boot(t);
    const struct fake_record *log = fake_log_records(t->log, &count);
    for (; t->modelled < count; t->modelled++) {
        const struct fake_record *r = &log[t->modelled];
        struct command *c;
        check_pages_before(t, r->position);
        enum model_verdict v = model_apply(t->model, r->position, r->bytes, &c);
        bool is_ours =
            c->origin.node != FAKE_OTHER_NODE && c->origin.boot_no == boot_no && v != MODEL_NO_EFFECT;
        if (is_ours) check_limit(t, c);
        if (is_ours) check_completion(t, c, v);
        ours += is_ours;
        command_unref(&c);
    }
    check_pages_before(t, UINT64_MAX);
    return ours;
}

/* Completions in the order in which they were sent, seats in that of positions. */
static size_t check_arrivals(const struct trial *t, unsigned shard)
{
    const struct rig *r = t->rig;
    size_t done = 0, refused = 0;
    uint64_t seat = 0, position = 0;
    for (size_t i = 0; i < r->events[shard]; i++) {
        const struct arrival *a = &r->log[shard][i];
        if (a->kind == KIND_SEAT && a->result != COMMAND_REFUSED) {
            CHECK_TRUE(a->position > seat);
            seat = a->position;
        }
        if (a->kind != KIND_DONE) continue;
        CHECK_INT(done++, a->ticket);
        CHECK_TRUE(a->position >= position);
        position = a->position;
        refused += a->result == COMMAND_REFUSED;
    }
    CHECK_INT(t->sent_count[shard], done);
    return done - refused;
}

static void check_seats(const struct trial *t)
{
    size_t want[SHARDS] = { 0 };
    for (unsigned from = 0; from < SHARDS; from++)
        for (size_t i = 0; i < t->sent_count[from]; i++)
            for (uint32_t k = 0; k < t->sent[from][i].seats; k++) want[k]++;
    for (unsigned i = 0; i < SHARDS; i++) CHECK_INT(want[i], count_of(t->rig, i, KIND_SEAT));
}

static void check_all(struct trial *t)
{
    size_t completed = 0;
    for (unsigned i = 0; i < SHARDS; i++) completed += check_arrivals(t, i);
    check_seats(t);
    CHECK_INT(completed, follow(t));
}

/* After a start the queues are the model's, neither more nor less. */
static void check_queue(struct trial *t, unsigned queue)
{
    const struct model_session *s = &t->model->sessions[queue];
    uint64_t session_no = model_number(queue);
    uint64_t after = 0;
    uint32_t seen = 0, count;
    do {
        const struct store_page *p = page(t->rig, session_no, after, 1 + (uint32_t)draw(t, PAGE_ENTRIES_MAX));
        count = p->count;
        for (uint32_t i = 0; i < count; i++, seen++) {
            const struct model_entry *e = &s->queue[seen];
            CHECK_TRUE(seen < s->count);
            CHECK_INT(e->seq, p->rows[i].seq);
            CHECK_INT(e->qos, p->rows[i].qos);
            CHECK_INT(e->retain, p->rows[i].retain);
            CHECK_INT(e->is_released, p->rows[i].released);
            CHECK_TRUE(bytes_equal(msg_payload(e->msg), msg_payload(p->rows[i].msg)));
            after = e->seq;
        }
    } while (count > 0);
    CHECK_INT(s->count, seen);
}

static void check_queues(struct trial *t)
{
    for (unsigned no = 1; no < MODEL_QUEUES; no++) check_queue(t, no);
    for (unsigned i = 0; i < SHARDS; i++) t->rig->events[i] = 0;
}

/* --- the tests */

static const struct fake_schedule wild = { .idle_turns_max = 4,
                                           .commits_max = 3,
                                           .others_percent = 30,
                                           .fail_over_percent = 25,
                                           .others_first = 1,
                                           .others_count = MODEL_SESSIONS - 1 };

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void add_counts(struct fake_counts *sum, const struct fake_counts *c)
{
    sum->fail_overs += c->fail_overs;
    sum->again += c->again;
    sum->repeats += c->repeats;
    sum->gaps += c->gaps;
    sum->late += c->late;
    sum->others += c->others;
    sum->fulls += c->fulls;
    sum->purges += c->purges;
}

static void work_and_check(struct trial *t, unsigned commands)
{
    work(t, commands);
    halt(t);
    check_all(t);
    close_it(t);
}

/* Starts again, perhaps as after a crash, with nothing on its way; and has what the log says. */
static void start_and_look(struct trial *t)
{
    fake_log_lose_proposed(t->log);
    start(t);
    check_queues(t);
    halt(t);
    close_it(t);
}

static void run_trial(uint64_t seed, struct fake_schedule schedule, struct fake_counts *sum)
{
    struct trial *t = new_trial(seed, schedule);
    start(t);
    work_and_check(t, COMMANDS);
    if (t->is_copied && draw(t, 3) != 0) go_on_with_the_copy(t);
    if (draw(t, 2) == 0) start_and_look(t);
    start(t);
    work_and_check(t, COMMANDS / 3);
    start_and_look(t);
    add_counts(sum, fake_log_counts(t->log));
    free_trial(t);
}

TEST(whatever_fails_over_each_command_is_completed_once_and_the_queues_are_those_of_the_log)
{
    struct fake_counts sum = { 0 };
    uint64_t first = number_from("JOURNAL_SEED", 1),
             count = number_from("JOURNAL_SEEDS", first > 1 ? 1 : SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_trial(seed, wild, &sum);
    }
    print_message("fail-overs %u, again %u, repeats %u, gaps %u, late %u, others %u, folds %u\n",
                  sum.fail_overs, sum.again, sum.repeats, sum.gaps, sum.late, sum.others, sum.purges);
    if (count < SEEDS) return;
    CHECK_TRUE(sum.again > 0 && sum.repeats > 0 && sum.gaps > 0 && sum.late > 0);
    CHECK_TRUE(sum.others > 0 && sum.purges > count * 4);
}

TEST(without_room_the_store_waits_and_loses_nothing)
{
    struct fake_counts sum = { 0 };
    struct fake_schedule full = wild;
    full.fulls = 6;
    run_trial(1, full, &sum);
    CHECK_INT(full.fulls, sum.fulls);
}

/* --- limits */

static struct arrival run_one(struct trial *t, struct command *c)
{
    put(t, c);
    wait_until_all_is_done(t);
    return *last(t->rig, 0, KIND_DONE);
}

/* What was finished has given its room back, all of it. */
static void check_room(struct trial *t, uint64_t session_no)
{
    const uint64_t to[] = { session_no, 0 };
    run_one(t, claim_by(t, session_no, 0));
    struct command *all = new_command(COMMAND_ACK, &(struct command_size){ 0 }, 0);
    all->session_no = session_no;
    all->claim_no = t->claims[session_no];
    all->ack.cursor = last(t->rig, 0, KIND_DONE)->position;
    CHECK_INT(COMMAND_DURABLE, run_one(t, all).result);
    for (uint32_t i = 0; i < t->limits.messages_max; i++) CHECK_INT(0, run_one(t, enqueue(to, 0)).dropped);
    struct arrival a = run_one(t, enqueue(to, 0));
    bool is_refused = t->limits.policy == BACKLOG_REFUSE;
    CHECK_INT(is_refused ? COMMAND_REFUSED : COMMAND_DURABLE, a.result);
    CHECK_INT(is_refused ? 0 : 1, a.dropped);
}

TEST(whatever_fails_over_limits_hold_and_no_room_is_lost)
{
    struct fake_schedule schedule = wild;
    schedule.others_first = 100; /* the limits of another node are its own to keep */
    uint64_t first = number_from("JOURNAL_SEED", 1), count = number_from("JOURNAL_SEEDS", first > 1 ? 1 : 9);
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        struct trial *t = new_trial(seed, schedule);
        t->limits = (struct backlog_limits){ .messages_max = 5, .policy = (enum backlog_policy)(seed % 3) };
        start(t);
        /* Limits are those of a session that is there when a message is admitted. */
        for (uint64_t no = 1; no < MODEL_SESSIONS; no++) put(t, claim_by(t, no, 0));
        for (unsigned i = 0; i < MODEL_GROUPS; i++) put(t, group_by(i));
        wait_until_all_is_done(t);
        work(t, COMMANDS);
        for (uint64_t no = 1; no < MODEL_SESSIONS; no++) check_room(t, no);
        halt(t);
        check_all(t);
        close_it(t);
        /* Of what was dropped before the copy was made it does not know that it must not move. */
        if (t->is_copied && t->limits.policy != BACKLOG_DROP_OLDEST) go_on_with_the_copy(t);
        start_and_look(t);
        free_trial(t);
    }
}

/* --- who closes an order that was handed to a store */

static enum err try_to_open(struct fake_log *log, const char *dir, struct store_disk **s)
{
    char text[STORE_DISK_TEXT_BYTES];
    struct restore_sink restore = { 0 };
    const struct order order = fake_order(log);
    struct store_disk_conf conf = {
        .order = &order, .dir = dir, .clock = &trial_clock, .sets_damaged_aside = true
    };
    return store_disk_open(s, &conf, &restore, text);
}

TEST(a_store_that_cannot_open_closes_the_order_it_was_given)
{
    struct store_disk *s;
    struct fake_log *log = fake_log_new(&wild);
    CHECK_INT(ERR_SYS, try_to_open(log, "/nowhere/at/all", &s));
    CHECK_INT(1, fake_log_counts(log)->closes);
    fake_log_free(&log);
}

TEST(a_store_that_tries_again_to_open_keeps_its_order)
{
    char dir[DIR_BYTES], path[DIR_BYTES + 32];
    struct store_disk *s;
    struct fake_log *log = fake_log_new(&wild);
    make_dir(dir);
    snprintf(path, sizeof path, "%s/longlink.db", dir);
    FILE *damaged = fopen(path, "wb");
    CHECK_TRUE(damaged != NULL && fputs("no database, by any means: it should be set aside", damaged) >= 0);
    CHECK_INT(0, fclose(damaged));
    CHECK_INT(ERR_OK, try_to_open(log, dir, &s));
    CHECK_INT(0, fake_log_counts(log)->closes);
    store_disk_stop(&s);
    CHECK_INT(1, fake_log_counts(log)->closes);
    fake_log_free(&log);
    remove_dir(dir);
}
