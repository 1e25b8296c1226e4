/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/journal_rig.h"
#include "contract/on_disk.h"
#include "store/store_mem.h"

static void *mem_start(const struct journal_sink *sink, const struct backlog_limits *limits)
{
    struct store_mem *s;
    struct store_mem_conf conf = { *sink, *limits, &clock_system };
    CHECK_INT(ERR_OK, store_mem_start(&s, &conf));
    return s;
}

static void mem_stop(void *impl)
{
    struct store_mem *s = impl;
    store_mem_stop(&s);
    CHECK_TRUE(s == NULL);
}

static struct journal mem_journal(void *impl)
{
    return store_mem_journal(impl);
}

static struct store mem_store(void *impl)
{
    return store_mem_store(impl);
}

/* --- on disk; with a log of its own, or a replicated order */

static void *disk_start(const struct journal_sink *sink, const struct backlog_limits *limits)
{
    const struct on_disk_conf conf = { .limits = *limits, .clock = &clock_system };
    return on_disk_start(sink, &conf);
}

static void *replicated_start(const struct journal_sink *sink, const struct backlog_limits *limits,
                              const struct fake_schedule *schedule)
{
    const struct on_disk_conf conf = { .log = fake_log_new(schedule),
                                       .limits = *limits,
                                       .clock = &clock_system };
    return on_disk_start(sink, &conf);
}

static void replicated_stop(void *impl)
{
    struct fake_log *log = on_disk_log(impl);
    on_disk_stop(impl);
    fake_log_free(&log);
}

/* The other node keeps to sessions of its own: the contract's tests know nothing of it. */
enum { OTHERS_FIRST = 1000000, OTHERS_COUNT = 4 };

static void *quiet_start(const struct journal_sink *sink, const struct backlog_limits *limits)
{
    const struct fake_schedule quiet = { .seed = 1,
                                         .idle_turns_max = 3,
                                         .commits_max = 8,
                                         .others_percent = 10,
                                         .others_first = OTHERS_FIRST,
                                         .others_count = OTHERS_COUNT };
    return replicated_start(sink, limits, &quiet);
}

static void *wild_start(const struct journal_sink *sink, const struct backlog_limits *limits)
{
    static uint64_t seed;
    const struct fake_schedule wild = { .seed = ++seed,
                                        .idle_turns_max = 5,
                                        .commits_max = 3,
                                        .others_percent = 40,
                                        .fail_over_percent = 30,
                                        .others_first = OTHERS_FIRST,
                                        .others_count = OTHERS_COUNT };
    return replicated_start(sink, limits, &wild);
}

const struct implementation implementations[] = {
    { "memory", "memory", mem_start, mem_stop, mem_journal, mem_store },
    { "disk", "disk", disk_start, on_disk_stop, on_disk_journal, on_disk_store },
    { "replicated", "disk", quiet_start, replicated_stop, on_disk_journal, on_disk_store },
    { "replicated, failing over", "disk", wild_start, replicated_stop, on_disk_journal, on_disk_store },
};

const size_t implementations_count = sizeof implementations / sizeof implementations[0];

/* --- the rig */

static void post(void *ctx, unsigned shard, struct mail *mail)
{
    struct rig *r = ctx;
    outbox_put(&r->posted[shard], mail);
}

static void complete(void *ctx, unsigned shard, struct mail *mail)
{
    struct rig *r = ctx;
    outbox_put(&r->completed[shard], mail);
}

static void flush(void *ctx)
{
    struct rig *r = ctx;
    for (unsigned i = 0; i < SHARDS; i++) mailbox_hand_over(&r->mailboxes[i], &r->posted[i]);
    for (unsigned i = 0; i < SHARDS; i++) mailbox_hand_over(&r->mailboxes[i], &r->completed[i]);
}

struct rig *new_rig(void)
{
    struct rig *r = calloc(1, sizeof *r);
    CHECK_TRUE(r != NULL);
    for (unsigned i = 0; i < SHARDS; i++) CHECK_INT(ERR_OK, mailbox_open(&r->mailboxes[i]));
    return r;
}

struct journal_sink rig_sink(struct rig *r)
{
    return (struct journal_sink){ post, complete, flush, r };
}

void attach(struct rig *r, const struct implementation *of, void *impl)
{
    r->of = of;
    r->impl = impl;
    r->journal = of->journal(impl);
    r->store = of->store(impl);
}

struct rig *open_rig(const struct implementation *of, struct backlog_limits limits)
{
    struct rig *r = new_rig();
    struct journal_sink sink = rig_sink(r);
    attach(r, of, of->start(&sink, &limits));
    return r;
}

static void note(struct rig *r, unsigned shard, const struct command *c, const struct command_seat *seat)
{
    struct arrival e = {
        .kind = seat != NULL ? KIND_SEAT : KIND_DONE,
        .command = c->kind,
        .result = c->result,
        .position = c->position,
        .ticket = c->ticket,
    };
    const struct command_target *first = seat != NULL && seat->count > 0 ? &c->targets[seat->first] : NULL;
    if (first != NULL && !first->is_skipped) e.target = first->session_no;
    for (uint32_t i = 0; i < c->targets_count; i++) e.dropped += c->targets[i].dropped;
    CHECK_TRUE(r->events[shard] < LOG_MAX);
    r->log[shard][r->events[shard]++] = e;
}

static void free_page(struct store_page *p)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++) msg_unref(&p->rows[i].msg);
    free(p);
}

void take_one(struct rig *r, unsigned shard, struct mail *m)
{
    struct command *c;
    if (m->kind == KIND_PAGE) {
        free_page(r->page);
        r->page = CONTAINER(m, struct store_page, answer);
        CHECK_TRUE(r->events[shard] < LOG_MAX);
        r->log[shard][r->events[shard]++] = (struct arrival){ .kind = KIND_PAGE };
        return;
    }
    if (m->kind == KIND_IDS) {
        r->ids = CONTAINER(m, struct store_ids, answer);
        return;
    }
    if (m->kind == KIND_SEAT) {
        struct command_seat *seat = CONTAINER(m, struct command_seat, mail);
        CHECK_INT(shard, seat->shard);
        c = seat->command;
        note(r, shard, c, seat);
    } else {
        CHECK_INT(KIND_DONE, m->kind);
        c = CONTAINER(m, struct command, completion);
        CHECK_INT(shard, c->from_shard);
        note(r, shard, c, NULL);
    }
    command_unref(&c);
}

void take(struct rig *r, unsigned shard, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next;
        take_one(r, shard, m);
        m = next;
    }
}

/* Takes what has come to a shard, and notes it. */
void look(struct rig *r, unsigned shard)
{
    take(r, shard, mailbox_take(&r->mailboxes[shard]));
}

size_t count_of(const struct rig *r, unsigned shard, uint32_t kind)
{
    size_t n = 0;
    for (size_t i = 0; i < r->events[shard]; i++) n += r->log[shard][i].kind == kind;
    return n;
}

/* Waits until so many events of a kind have come to a shard. */
void wait_for(struct rig *r, unsigned shard, uint32_t kind, size_t count)
{
    while (count_of(r, shard, kind) < count) take(r, shard, mailbox_wait(&r->mailboxes[shard]));
}

const struct arrival *last(const struct rig *r, unsigned shard, uint32_t kind)
{
    for (size_t i = r->events[shard]; i-- > 0;)
        if (r->log[shard][i].kind == kind) return &r->log[shard][i];
    return NULL;
}

void close_rig(struct rig *r)
{
    if (r->impl != NULL) r->of->stop(r->impl);
    for (unsigned i = 0; i < SHARDS; i++) {
        look(r, i);
        mailbox_close(&r->mailboxes[i]);
    }
    free_page(r->page);
    free(r->ids);
    free(r);
}

/* --- commands */

struct command *new_command(enum command_kind kind, const struct command_size *size, unsigned from)
{
    struct command *c = command_new(kind, size);
    CHECK_TRUE(c != NULL);
    c->from_shard = (uint16_t)from;
    c->completion.kind = KIND_DONE;
    for (uint16_t i = 0; i < c->seats_count; i++) c->seats[i].mail.kind = KIND_SEAT;
    return c;
}

struct command *fenced(enum command_kind kind, uint64_t session_no, uint64_t claim_no)
{
    /* The client id of a CLAIM: one for each session. */
    struct command_size size = { 0 };
    if (kind == COMMAND_CLAIM) size.data = bytes_of(&session_no, sizeof session_no);
    struct command *c = new_command(kind, &size, 0);
    c->session_no = session_no;
    c->claim_no = claim_no;
    return c;
}

/* A message for some sessions, one target each on shards 0, 1, ... in turn; session_nos ends with 0. */
struct command *enqueue(const uint64_t *session_nos, unsigned from)
{
    struct command_size size = { 0 };
    while (session_nos[size.targets] != 0) size.targets++;
    size.seats = size.targets < SHARDS ? size.targets : SHARDS;
    struct command *c = new_command(COMMAND_ENQUEUE, &size, from);
    struct msg_parts parts = { .topic = bytes_of_text("t"),
                               .payload = bytes_of_text("ten bytes!"),
                               .qos = 1 };
    CHECK_INT(ERR_OK, msg_new(&c->msg, &parts));
    CHECK_TRUE(size.targets <= SHARDS);
    for (uint32_t i = 0; i < size.targets; i++) {
        c->targets[i] = (struct command_target){
            .session_no = session_nos[i], .shard = (uint16_t)i, .qos = 1, .retain = i == 1
        };
        c->seats[i].shard = (uint16_t)i;
        c->seats[i].first = i;
        c->seats[i].count = 1;
    }
    return c;
}

void submit(struct rig *r, struct command *c)
{
    struct outbox o = { 0 };
    command_put(&o, c);
    journal_submit(&r->journal, &o);
}

/* Submits, and gives the completion. */
struct arrival run(struct rig *r, struct command *c)
{
    unsigned from = c->from_shard;
    size_t before = count_of(r, from, KIND_DONE);
    submit(r, c);
    wait_for(r, from, KIND_DONE, before + 1);
    return *last(r, from, KIND_DONE);
}

void claim(struct rig *r, uint64_t session_no, uint64_t claim_no)
{
    CHECK_INT(COMMAND_DURABLE, run(r, fenced(COMMAND_CLAIM, session_no, claim_no)).result);
}

/* Puts so many messages into a queue; gives their positions, until the next time. */
const uint64_t *fill(struct rig *r, uint64_t session_no, unsigned count)
{
    const uint64_t to[] = { session_no, 0 };
    CHECK_TRUE(count <= LOG_MAX);
    for (unsigned i = 0; i < count; i++) {
        r->filled[i] = run(r, enqueue(to, 0)).position;
        CHECK_TRUE(i == 0 || r->filled[i] > r->filled[i - 1]);
    }
    return r->filled;
}

struct arrival acknowledge(struct rig *r, uint64_t session_no, uint64_t claim_no,
                           const struct command_ack *ack)
{
    struct command_size size = { .open = ack->open_count };
    struct command *c = new_command(COMMAND_ACK, &size, 0);
    c->session_no = session_no;
    c->claim_no = claim_no;
    c->ack.cursor = ack->cursor;
    for (uint32_t i = 0; i < ack->open_count; i++) c->ack.open[i] = ack->open[i];
    return run(r, c);
}

/* --- pages */

void ask(struct rig *r, unsigned shard, uint64_t session_no, uint64_t after, uint32_t limit)
{
    struct store_page *p = calloc(1, sizeof *p);
    CHECK_TRUE(p != NULL);
    p->answer.kind = KIND_PAGE;
    p->shard = (uint16_t)shard;
    p->session_no = session_no;
    p->after = after;
    p->limit = limit;
    store_page(&r->store, p);
}

const struct store_page *page(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit)
{
    size_t before = count_of(r, 1, KIND_PAGE);
    ask(r, 1, session_no, after, limit);
    wait_for(r, 1, KIND_PAGE, before + 1);
    return r->page;
}

const struct store_ids *ids(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit)
{
    struct store_ids *p = r->ids != NULL ? r->ids : calloc(1, sizeof *p);
    CHECK_TRUE(p != NULL);
    r->ids = NULL;
    p->answer.kind = KIND_IDS;
    p->shard = 1;
    p->session_no = session_no;
    p->after = after;
    p->limit = limit;
    store_ids(&r->store, p);
    while (r->ids == NULL) take(r, 1, mailbox_wait(&r->mailboxes[1]));
    return r->ids;
}

/* The whole queue is these positions. */
void expect_queue(struct rig *r, uint64_t session_no, const uint64_t *positions, uint32_t count)
{
    const struct store_page *p = page(r, session_no, 0, PAGE_ENTRIES_MAX);
    CHECK_INT(count, p->count);
    for (uint32_t i = 0; i < count; i++) CHECK_INT(positions[i], p->rows[i].seq);
}
