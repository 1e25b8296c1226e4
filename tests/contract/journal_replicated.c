/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "codec/wr.h"
#include "contract/journal_rig.h"
#include "contract/model.h"
#include "contract/on_disk.h"
#include "store/record.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/*
 * Random commands of three shards over a replicated order, against a model that reads the order's log: each
 * completed once, in the order of its shard, with the model's result; then the store starts again, from its
 * directory or from a copy made in the middle, and has what the model has.
 *
 * JOURNAL_SEED=N runs that seed alone, JOURNAL_SEEDS=N so many from the first on.
 */

enum { COMMANDS = 300, SEEDS = 12, PAGES_MAX = 256, PAGE_LIMIT_MAX = 12, DIR_BYTES = 64 };

/* A command that was submitted. */
struct sent {
    enum command_kind kind;
    uint64_t session_no, claim_no;
    uint32_t seats;
};

/* A page as it was answered. */
struct answered {
    uint64_t session_no, after, snapshot, seqs[PAGE_LIMIT_MAX];
    uint32_t count;
};

struct trial {
    uint64_t random;
    struct rig *rig;
    struct backlog_limits limits;
    struct fake_log *log;
    char dir[DIR_BYTES], copy[DIR_BYTES];
    unsigned copies_left; /* the fold's: a few of its commits until the copy is final */
    uint64_t copied_upto; /* what had been purged then */
    struct mailbox folds;
    uint64_t folded_upto;
    struct model *model;
    size_t modelled; /* records of the log */

    struct outbox boxes[SHARDS];
    struct sent sent[SHARDS][LOG_MAX];
    size_t sent_count[SHARDS], taken[SHARDS]; /* events that have been looked at */
    uint64_t claim_no, claims[MODEL_SESSIONS], acked[MODEL_SESSIONS];
    struct answered pages[PAGES_MAX];
    size_t pages_asked, pages_count, pages_checked;
};

/* Word of a fold, from its thread. */
struct folded {
    struct mail mail;
    uint64_t upto;
};

/* Time flies: whatever may be folded is, and a transaction ends at its first look at the clock. */
static uint64_t flying_ms(void *ctx)
{
    static atomic_uint_fast64_t now_ms = 1000;
    (void)ctx;
    return atomic_fetch_add_explicit(&now_ms, 1000, memory_order_relaxed);
}

static const struct clock flying = { flying_ms, flying_ms, NULL };

static uint64_t draw(struct trial *t, uint64_t below)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random % below;
}

/* --- a copy of the directory, as a crash leaves it: on the fold's thread, which alone writes there */

static void copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    char path[2][DIR_BYTES + 32], block[8192];
    snprintf(path[0], sizeof path[0], "%s/%s", from_dir, name);
    snprintf(path[1], sizeof path[1], "%s/%s", to_dir, name);
    FILE *from = fopen(path[0], "rb"), *to = fopen(path[1], "wb");
    CHECK(from != NULL);
    CHECK(to != NULL);
    for (size_t n; (n = fread(block, 1, sizeof block, from)) > 0;) CHECK(fwrite(block, 1, n, to) == n);
    fclose(from);
    CHECK(fclose(to) == 0);
}

static void folded(void *ctx, uint64_t upto)
{
    struct trial *t = ctx;
    struct folded *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->upto = upto;
    mailbox_send(&t->folds, &f->mail);
    if (t->copies_left == 0) return;
    t->copies_left--;
    copy_file(t->dir, t->copy, "longlink.db");
    copy_file(t->dir, t->copy, "longlink.db-wal");
    t->copied_upto = upto;
}

/* --- starting and stopping */

static enum err see_session(void *ctx, const struct restore_session *r)
{
    const struct trial *t = ctx;
    if (r->session_no >= MODEL_SESSIONS) return ERR_OK;
    const struct model_session *s = &t->model->sessions[r->session_no];
    CHECK_TRUE(s->is_there);
    CHECK_INT(s->claim_no, r->claim_no);
    CHECK_INT(s->expiry_s, r->expiry_s);
    CHECK_INT(s->has_will, r->will != NULL);
    if (!s->is_online) CHECK_INT(s->sent, r->sent);
    if (s->is_online) CHECK_TRUE(r->sent >= s->sent);
    return ERR_OK;
}

static enum err see_filter(void *ctx, const struct restore_subscription *s)
{
    const struct trial *t = ctx;
    unsigned which = model_name(s->filter, 'f');
    CHECK_TRUE(s->session_no < MODEL_SESSIONS && which < MODEL_NAMES);
    CHECK_INT(t->model->sessions[s->session_no].filters[which], s->options);
    return ERR_OK;
}

static enum err see_retained(void *ctx, struct msg *m, uint64_t version)
{
    const struct trial *t = ctx;
    unsigned which = model_name(msg_topic(m), 'r');
    CHECK_TRUE(which < MODEL_NAMES);
    CHECK_INT(t->model->retained[which], version);
    return ERR_OK;
}

static const struct implementation trial_store = {
    .name = "trial",
    .stop = on_disk_stop,
    .journal = on_disk_journal,
    .store = on_disk_store,
};

static void start(struct trial *t)
{
    struct on_disk_conf conf = {
        .log = t->log,
        .dir = t->dir,
        .limits = t->limits,
        .clock = &flying,
        .restore = { .session = see_session, .subscription = see_filter, .retained = see_retained, .ctx = t }
    };
    t->rig = new_rig();
    struct journal_sink sink = rig_sink(t->rig);
    attach(t->rig, &trial_store, on_disk_start(&sink, &conf));
}

/* The log is only read when nobody writes it. */
static void halt(struct trial *t)
{
    on_disk_stop(t->rig->impl);
    t->rig->impl = NULL;
}

static void close_it(struct trial *t)
{
    close_rig(t->rig);
    t->rig = NULL;
    memset(t->sent_count, 0, sizeof t->sent_count);
    memset(t->taken, 0, sizeof t->taken);
    t->pages_asked = t->pages_count = t->pages_checked = 0;
}

static struct trial *new_trial(uint64_t seed, struct fake_schedule schedule)
{
    struct trial *t = calloc(1, sizeof *t);
    CHECK_TRUE(t != NULL);
    t->random = seed * 0x9e3779b97f4a7c15 | 1;
    schedule.seed = seed;
    t->log = fake_log_new(&schedule);
    t->model = model_new();
    t->copies_left = 1 + (unsigned)draw(t, 6);
    CHECK_INT(ERR_OK, mailbox_open(&t->folds));
    make_dir(t->dir);
    make_dir(t->copy);
    fake_log_on_purge(t->log, folded, t);
    return t;
}

static void take_folds(struct trial *t, struct mail *m)
{
    while (m != NULL) {
        struct folded *f = CONTAINER(m, struct folded, mail);
        m = m->next;
        t->folded_upto = f->upto;
        free(f);
    }
}

static void free_trial(struct trial *t)
{
    take_folds(t, mailbox_take(&t->folds));
    mailbox_close(&t->folds);
    fake_log_free(&t->log);
    model_free(&t->model);
    remove_dir(t->dir);
    remove_dir(t->copy);
    free(t);
}

/* The process that made it is gone; the order is not. */
static void go_on_with_the_copy(struct trial *t)
{
    char was[DIR_BYTES];
    memcpy(was, t->dir, sizeof was);
    memcpy(t->dir, t->copy, sizeof was);
    memcpy(t->copy, was, sizeof was);
    t->copies_left = 0;
    fake_log_set_purged(t->log, t->copied_upto);
}

/* --- random commands */

static struct msg *message(struct trial *t, const char *topic, bool retain)
{
    static unsigned made;
    char payload[16];
    struct msg *m;
    snprintf(payload, sizeof payload, "%u", made++);
    struct msg_parts parts = {
        .topic = bytes_of_text(topic), .payload = bytes_of_text(payload), .qos = 1, .retain = retain
    };
    if (retain && draw(t, 4) == 0) parts.payload.len = 0;
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    return m;
}

/* Any of them; at times one that is not there. */
static uint64_t any_session(struct trial *t)
{
    return 1 + draw(t, MODEL_SESSIONS - 1);
}

/* A message for one to three sessions in a row. */
static struct command *publish(struct trial *t, unsigned from)
{
    uint64_t to[SHARDS + 1] = { 0 }, first = any_session(t), count = 1 + draw(t, SHARDS);
    for (uint64_t i = 0; i < count && first + i < MODEL_SESSIONS; i++) to[i] = first + i;
    struct command *c = enqueue(to, from);
    char topic[] = "r0";
    topic[1] = (char)('0' + draw(t, MODEL_NAMES));
    bool retain = draw(t, 4) == 0;
    msg_unref(&c->msg);
    c->msg = message(t, retain ? topic : "t", retain);
    return c;
}

static struct command *retained(struct trial *t, unsigned from)
{
    const uint64_t to[] = { any_session(t), 0 };
    struct command *c = enqueue(to, from);
    c->kind = COMMAND_RETAINED;
    c->version = 1;
    c->targets[0].retain = true;
    return c;
}

static struct command *filter(struct trial *t, enum command_kind kind, unsigned from)
{
    uint8_t data[2 * 5];
    struct wr w = { .at = data, .left = sizeof data };
    unsigned first = (unsigned)draw(t, MODEL_NAMES - 1);
    for (unsigned i = 0; i < 2; i++) {
        char name[] = "f0";
        name[1] = (char)('0' + first + i);
        wr_str(&w, bytes_of_text(name));
        if (kind == COMMAND_SUBSCRIBE) wr_u8(&w, (uint8_t)(1 + 4 * draw(t, 4)));
    }
    struct command_size size = { .data = bytes_of(data, sizeof data - w.left) };
    return new_command(kind, &size, from);
}

/* Up to one of the positions that this shard has seen completed. Where nobody else acknowledges, but one or
 * two of those that have never been finished. */
static struct command *ack(struct trial *t, uint64_t session_no)
{
    unsigned from =
        (unsigned)(session_no % SHARDS); /* a session's acknowledgements are its own shard's, in order */
    const struct rig *r = t->rig;
    uint64_t seen[LOG_MAX] = { 0 };
    size_t count = 0;
    for (size_t i = 0; i < r->events[from]; i++) {
        const struct arrival *a = &r->log[from][i];
        if (a->kind == KIND_DONE && (count == 0 || a->position > seen[count - 1]))
            seen[count++] = a->position;
    }
    size_t at = count > 0 ? (size_t)draw(t, count) : 0, most = (size_t)draw(t, 3), open = 0;
    if (!backlog_is_limited(&t->limits)) most = 0;
    while (open < most && open < at && seen[at - open - 1] > t->acked[session_no]) open++;
    struct command_size size = { .open = (uint32_t)open };
    struct command *c = new_command(COMMAND_ACK, &size, from);
    c->ack.cursor = seen[at];
    for (size_t i = 0; i < open; i++) c->ack.open[i] = seen[at - open + i];
    if (seen[at] > t->acked[session_no]) t->acked[session_no] = seen[at];
    return c;
}

static struct command *claim_by(struct trial *t, uint64_t session_no, unsigned from)
{
    struct command *c = fenced(COMMAND_CLAIM, session_no, ++t->claim_no);
    c->from_shard = (uint16_t)from;
    c->expiry_s = (uint32_t)draw(t, 1000);
    t->claims[session_no] = t->claim_no;
    if (draw(t, 2) == 0) c->msg = message(t, "will", false);
    return c;
}

static struct command *will(struct trial *t, unsigned from)
{
    struct command *c = publish(t, from);
    c->kind = COMMAND_FIRE_WILL;
    return c;
}

static struct command *plain(struct trial *t, enum command_kind kind, unsigned from)
{
    const uint64_t *at = &t->rig->log[from][t->rig->events[from] > 0 ? t->rig->events[from] - 1 : 0].position;
    struct command *c = new_command(kind, &(struct command_size){ 0 }, from);
    c->expiry_s = (uint32_t)draw(t, 1000);
    c->sent = *at;
    c->keeps_will = draw(t, 2) == 0;
    return c;
}

static struct command *any_command(struct trial *t, uint64_t session_no, unsigned from)
{
    uint64_t roll = draw(t, 100);
    if (roll < 10) return claim_by(t, session_no, from);
    if (roll < 50) return publish(t, from);
    if (roll < 65) return ack(t, session_no);
    if (roll < 72) return filter(t, COMMAND_SUBSCRIBE, from);
    if (roll < 76) return filter(t, COMMAND_UNSUBSCRIBE, from);
    if (roll < 80 && !backlog_is_limited(&t->limits)) return retained(t, from);
    if (roll < 85) return will(t, from);
    if (roll < 90) return plain(t, COMMAND_OFFLINE, from);
    if (roll < 93) return plain(t, COMMAND_EXPIRY, from);
    bool ends = roll >= 97 && !backlog_is_limited(&t->limits);
    return plain(t, ends ? COMMAND_END_SESSION : COMMAND_FENCE, from);
}

static void put(struct trial *t, struct command *c)
{
    unsigned from = c->from_shard;
    struct sent *s = &t->sent[from][t->sent_count[from]];
    CHECK_TRUE(t->sent_count[from] < LOG_MAX);
    *s = (struct sent){ c->kind, c->session_no, c->claim_no, c->seats_count };
    c->ticket = t->sent_count[from]++;
    command_put(&t->boxes[from], c);
}

static void put_any(struct trial *t)
{
    unsigned from = (unsigned)draw(t, SHARDS);
    uint64_t session_no = any_session(t);
    struct command *c = any_command(t, session_no, from);
    bool is_fenced = c->kind != COMMAND_ENQUEUE && c->kind != COMMAND_FENCE && c->kind != COMMAND_CLAIM;
    if (is_fenced || c->kind == COMMAND_CLAIM) c->session_no = session_no;
    if (is_fenced) c->claim_no = t->claims[session_no]; /* the last of ours: another node may have taken it */
    if (c->kind == COMMAND_RETAINED) c->targets[0].session_no = session_no;
    put(t, c);
}

static void hand_over(struct trial *t, unsigned shard)
{
    journal_submit(&t->rig->journal, &t->boxes[shard]);
}

/* --- what comes back */

static void note_page(struct trial *t, const struct store_page *p)
{
    CHECK_TRUE(t->pages_count < PAGES_MAX && p->count <= PAGE_LIMIT_MAX);
    struct answered *a = &t->pages[t->pages_count++];
    *a = (struct answered){ p->session_no, p->after, p->snapshot, { 0 }, p->count };
    for (uint32_t i = 0; i < p->count; i++) a->seqs[i] = p->rows[i].seq;
}

static void take_all(struct trial *t, unsigned shard, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next;
        bool is_page = m->kind == KIND_PAGE;
        take_one(t->rig, shard, m);
        if (is_page) note_page(t, t->rig->page);
        m = next;
    }
}

static void wait_until_all_is_done(struct trial *t)
{
    for (unsigned i = 0; i < SHARDS; i++) hand_over(t, i);
    for (unsigned i = 0; i < SHARDS; i++)
        while (count_of(t->rig, i, KIND_DONE) < t->sent_count[i] ||
               (i == 1 && t->pages_count < t->pages_asked))
            take_all(t, i, mailbox_wait(&t->rig->mailboxes[i]));
    for (unsigned i = 0; i < SHARDS; i++) take_all(t, i, mailbox_take(&t->rig->mailboxes[i]));
}

/* Until a command that changes the tables is in them, and what was before it. */
static void wait_for_fold(struct trial *t)
{
    put(t, claim_by(t, any_session(t), 0));
    wait_until_all_is_done(t);
    uint64_t upto = last(t->rig, 0, KIND_DONE)->position;
    while (t->folded_upto < upto) take_folds(t, mailbox_wait(&t->folds));
}

static void work(struct trial *t, unsigned commands)
{
    for (unsigned i = 0; i < commands; i++) {
        put_any(t);
        unsigned shard = (unsigned)draw(t, SHARDS);
        if (draw(t, 6) == 0) hand_over(t, shard);
        if (draw(t, 10) == 0) take_all(t, shard, mailbox_take(&t->rig->mailboxes[shard]));
        if (draw(t, 60) == 0) wait_until_all_is_done(t);
        if (draw(t, 80) == 0) wait_for_fold(t);
        if (draw(t, 20) != 0 || t->pages_asked == PAGES_MAX) continue;
        t->pages_asked++;
        ask(t->rig, 1, any_session(t), 0, 1 + (uint32_t)draw(t, PAGE_LIMIT_MAX));
    }
    wait_until_all_is_done(t);
}

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
    const struct model_session *s = &t->model->sessions[a->session_no];
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
    CHECK_INT(v == MODEL_DURABLE ? COMMAND_DURABLE : COMMAND_STALE, a->result);
    CHECK_INT(c->kind, a->command);
    CHECK_INT(c->kind, s->kind);
    CHECK_INT(c->session_no, s->session_no);
    CHECK_INT(c->claim_no, s->claim_no);
}

static void check_limit(const struct trial *t, const struct command *c)
{
    for (uint32_t i = 0; t->limits.messages_max > 0 && i < c->targets_count; i++) {
        uint64_t no = c->targets[i].session_no;
        if (no < MODEL_SESSIONS) CHECK_TRUE(t->model->sessions[no].count <= t->limits.messages_max);
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
static void check_queue(struct trial *t, uint64_t session_no)
{
    const struct model_session *s = &t->model->sessions[session_no];
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
            CHECK_TRUE(bytes_equal(msg_payload(e->msg), msg_payload(p->rows[i].msg)));
            after = e->seq;
        }
    } while (count > 0);
    CHECK_INT(s->count, seen);
}

static void check_queues(struct trial *t)
{
    for (uint64_t no = 1; no < MODEL_SESSIONS; no++) check_queue(t, no);
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
    if (t->copied_upto > 0 && draw(t, 3) != 0) go_on_with_the_copy(t);
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
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct trial *t = new_trial(seed, schedule);
        t->limits = (struct backlog_limits){ .messages_max = 5, .policy = (enum backlog_policy)(seed % 3) };
        start(t);
        /* Limits are those of a session that is there when a message is admitted. */
        for (uint64_t no = 1; no < MODEL_SESSIONS; no++) put(t, claim_by(t, no, 0));
        wait_until_all_is_done(t);
        work(t, COMMANDS);
        for (uint64_t no = 1; no < MODEL_SESSIONS; no++) check_room(t, no);
        halt(t);
        check_all(t);
        close_it(t);
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
        .order = &order, .dir = dir, .clock = &flying, .sets_damaged_aside = true
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
