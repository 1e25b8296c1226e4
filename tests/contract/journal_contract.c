/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What journal.h and store.h promise, for every implementation: one row each in `implementations`.
 *
 * The rig plays the shards: it has their mailboxes, and takes from them what a shard would.
 */
#include "base/list.h"
#include "base/thread.h"
#include "kit/test.h"
#include "store/journal.h"
#include "store/store.h"
#include "store/store_mem.h"
#include "store_sqlite/store_disk.h"
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARDS = 3, LOG_MAX = 8192 };
enum { KIND_SEAT = 100, KIND_DONE, KIND_PAGE };

struct limits {
    uint32_t rows_max;
    uint64_t bytes_max;
};

struct implementation {
    const char *name;
    void *(*start)(const struct journal_sink *sink, const struct limits *limits);
    void (*stop)(void *impl);
    struct journal (*journal)(void *impl);
    struct store (*store)(void *impl);
};

static void *mem_start(const struct journal_sink *sink, const struct limits *limits)
{
    struct store_mem *s;
    struct store_mem_conf conf = { *sink, limits->rows_max, limits->bytes_max };
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

/* --- on disk, in a directory of its own */

struct on_disk {
    struct store_disk *s;
    char dir[64];
};

static enum err no_session(void *ctx, const struct restore_session *s)
{
    (void)ctx;
    (void)s;
    return ERR_UNKNOWN; /* the directory is new */
}

static void *disk_start(const struct journal_sink *sink, const struct limits *limits)
{
    char text[STORE_DISK_TEXT_BYTES];
    struct restore_sink restore = { .session = no_session };
    struct on_disk *d = calloc(1, sizeof *d);
    CHECK_TRUE(d != NULL);
    snprintf(d->dir, sizeof d->dir, "/tmp/journal_contract.XXXXXX");
    CHECK_TRUE(mkdtemp(d->dir) != NULL);
    struct store_disk_conf conf = {
        .sink = *sink,
        .dir = d->dir,
        .rows_max = limits->rows_max,
        .bytes_max = limits->bytes_max,
        .clock = &clock_system,
    };
    CHECK_INT(ERR_OK, store_disk_open(&d->s, &conf, &restore, text));
    CHECK_INT(ERR_OK, store_disk_run(d->s));
    return d;
}

static void disk_stop(void *impl)
{
    struct on_disk *d = impl;
    store_disk_stop(&d->s);
    CHECK_TRUE(d->s == NULL);
    DIR *files = opendir(d->dir);
    CHECK_TRUE(files != NULL);
    for (const struct dirent *e = readdir(files); e != NULL; e = readdir(files))
        if (e->d_name[0] != '.') unlinkat(dirfd(files), e->d_name, 0);
    closedir(files);
    CHECK_INT(0, rmdir(d->dir));
    free(d);
}

static struct journal disk_journal(void *impl)
{
    return store_disk_journal(((struct on_disk *)impl)->s);
}

static struct store disk_store(void *impl)
{
    return store_disk_store(((struct on_disk *)impl)->s);
}

static const struct implementation implementations[] = {
    { "memory", mem_start, mem_stop, mem_journal, mem_store },
    { "disk", disk_start, disk_stop, disk_journal, disk_store },
};

/* --- the rig */

/* What came to a shard, in its order. */
struct arrival {
    uint32_t kind;
    enum command_kind command;
    enum command_result result;
    uint64_t position;
    uint64_t ticket;
    uint32_t dropped;
    uint64_t target; /* SEAT: the session of its first target, after apply */
};

struct rig {
    const struct implementation *of;
    void *impl;
    struct journal journal;
    struct store store;
    struct mailbox mailboxes[SHARDS];
    struct outbox posted[SHARDS], completed[SHARDS];
    struct arrival log[SHARDS][LOG_MAX];
    size_t events[SHARDS];
    struct store_page *page; /* the last answer */
};

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

static struct rig *open_rig(const struct implementation *of, struct limits limits)
{
    struct rig *r = calloc(1, sizeof *r);
    CHECK_TRUE(r != NULL);
    struct journal_sink sink = { post, complete, flush, r };
    r->of = of;
    for (unsigned i = 0; i < SHARDS; i++) CHECK_INT(ERR_OK, mailbox_open(&r->mailboxes[i]));
    r->impl = of->start(&sink, &limits);
    r->journal = of->journal(r->impl);
    r->store = of->store(r->impl);
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
        .dropped = c->dropped,
        .target = seat != NULL && seat->count > 0 ? c->targets[seat->first].session_no : 0,
    };
    CHECK_TRUE(r->events[shard] < LOG_MAX);
    r->log[shard][r->events[shard]++] = e;
}

static void free_page(struct store_page *p)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++) msg_unref(&p->rows[i].msg);
    free(p);
}

static void take_one(struct rig *r, unsigned shard, struct mail *m)
{
    struct command *c;
    if (m->kind == KIND_PAGE) {
        free_page(r->page);
        r->page = CONTAINER(m, struct store_page, answer);
        CHECK_TRUE(r->events[shard] < LOG_MAX);
        r->log[shard][r->events[shard]++] = (struct arrival){ .kind = KIND_PAGE };
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

static void take(struct rig *r, unsigned shard, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next;
        take_one(r, shard, m);
        m = next;
    }
}

/* Takes what has come to a shard, and notes it. */
static void look(struct rig *r, unsigned shard)
{
    take(r, shard, mailbox_take(&r->mailboxes[shard]));
}

static size_t count_of(const struct rig *r, unsigned shard, uint32_t kind)
{
    size_t n = 0;
    for (size_t i = 0; i < r->events[shard]; i++) n += r->log[shard][i].kind == kind;
    return n;
}

/* Waits until so many events of a kind have come to a shard. */
static void wait_for(struct rig *r, unsigned shard, uint32_t kind, size_t count)
{
    while (count_of(r, shard, kind) < count) take(r, shard, mailbox_wait(&r->mailboxes[shard]));
}

static const struct arrival *last(const struct rig *r, unsigned shard, uint32_t kind)
{
    for (size_t i = r->events[shard]; i-- > 0;)
        if (r->log[shard][i].kind == kind) return &r->log[shard][i];
    return NULL;
}

static void close_rig(struct rig *r)
{
    if (r->impl != NULL) r->of->stop(r->impl);
    for (unsigned i = 0; i < SHARDS; i++) {
        look(r, i);
        mailbox_close(&r->mailboxes[i]);
    }
    free_page(r->page);
    free(r);
}

/* --- commands */

static struct command *new_command(enum command_kind kind, const struct command_size *size, unsigned from)
{
    struct command *c = command_new(kind, size);
    CHECK_TRUE(c != NULL);
    c->from_shard = (uint16_t)from;
    c->completion.kind = KIND_DONE;
    for (uint16_t i = 0; i < c->seats_count; i++) c->seats[i].mail.kind = KIND_SEAT;
    return c;
}

static struct command *fenced(enum command_kind kind, uint64_t session_no, uint64_t claim_no)
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
static struct command *enqueue(const uint64_t *session_nos, unsigned from)
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
        c->targets[i] = (struct command_target){ session_nos[i], (uint16_t)i, 1, i == 1 };
        c->seats[i].shard = (uint16_t)i;
        c->seats[i].first = i;
        c->seats[i].count = 1;
    }
    return c;
}

static void submit(struct rig *r, struct command *c)
{
    struct outbox o = { 0 };
    command_put(&o, c);
    journal_submit(&r->journal, &o);
}

/* Submits, and gives the completion. */
static struct arrival run(struct rig *r, struct command *c)
{
    unsigned from = c->from_shard;
    size_t before = count_of(r, from, KIND_DONE);
    submit(r, c);
    wait_for(r, from, KIND_DONE, before + 1);
    return *last(r, from, KIND_DONE);
}

static void claim(struct rig *r, uint64_t session_no, uint64_t claim_no)
{
    CHECK_INT(COMMAND_DURABLE, run(r, fenced(COMMAND_CLAIM, session_no, claim_no)).result);
}

/* Puts so many messages into a queue; gives the position of the first. */
static uint64_t fill(struct rig *r, uint64_t session_no, unsigned count)
{
    const uint64_t to[] = { session_no, 0 };
    uint64_t first = run(r, enqueue(to, 0)).position;
    for (unsigned i = 1; i < count; i++) CHECK_INT(first + i, run(r, enqueue(to, 0)).position);
    return first;
}

static struct arrival acknowledge(struct rig *r, uint64_t session_no, uint64_t claim_no,
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

static void ask(struct rig *r, unsigned shard, uint64_t session_no, uint64_t after, uint32_t limit)
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

static const struct store_page *page(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit)
{
    size_t before = count_of(r, 1, KIND_PAGE);
    ask(r, 1, session_no, after, limit);
    wait_for(r, 1, KIND_PAGE, before + 1);
    return r->page;
}

/* The whole queue is these positions. */
static void expect_queue(struct rig *r, uint64_t session_no, const uint64_t *positions, uint32_t count)
{
    const struct store_page *p = page(r, session_no, 0, PAGE_ENTRIES_MAX);
    CHECK_INT(count, p->count);
    for (uint32_t i = 0; i < count; i++) CHECK_INT(positions[i], p->rows[i].seq);
}

/* Each test runs for each implementation. */
#define CONTRACT(name)                                                                                       \
    static void name##_by(const struct implementation *of);                                                  \
    TEST(name)                                                                                               \
    {                                                                                                        \
        for (size_t i = 0; i < sizeof implementations / sizeof implementations[0]; i++)                      \
            name##_by(&implementations[i]);                                                                  \
    }                                                                                                        \
    static void name##_by(const struct implementation *of)

static const struct limits no_limits = { 0 };

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
    uint64_t first = last(r, 0, KIND_DONE)->position + 1;
    for (unsigned i = 0; i < COUNT; i++) submit(r, enqueue(to, 0));
    while (done < COUNT) {
        take(r, 0, mailbox_wait(&r->mailboxes[0]));
        done = count_of(r, 0, KIND_DONE) - seen;
        look(r, 1);
        look(r, 2);
        /* Completions come in order, so this many say up to where. */
        for (unsigned shard = 0; shard < SHARDS && done > 0; shard++)
            CHECK_TRUE(seats_up_to(r, shard, first + done - 1) == done);
    }
    close_rig(r);
}

/* --- fences */

CONTRACT(commands_of_a_lost_claim_are_stale_and_without_effect)
{
    struct rig *r = open_rig(of, no_limits);
    claim(r, 5, 1);
    uint64_t first = fill(r, 5, 3);
    claim(r, 5, 2); /* keeps the queue */
    static const enum command_kind kinds[] = { COMMAND_SUBSCRIBE, COMMAND_UNSUBSCRIBE, COMMAND_EXPIRY };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        CHECK_INT(COMMAND_STALE, run(r, fenced(kinds[i], 5, 1)).result);
        CHECK_INT(COMMAND_DURABLE, run(r, fenced(kinds[i], 5, 2)).result);
        CHECK_INT(COMMAND_STALE, run(r, fenced(kinds[i], 6, 2)).result);
    }
    struct command_ack all = { .cursor = first + 2 };
    CHECK_INT(COMMAND_STALE, acknowledge(r, 5, 1, &all).result);
    expect_queue(r, 5, (const uint64_t[]){ first, first + 1, first + 2 }, 3);
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
    uint64_t p = fill(r, 5, 10), open[] = { p + 1, p + 4 };
    struct command_ack ack = { .cursor = p + 5, .open_count = 2, .open = open };
    acknowledge(r, 5, 1, &ack);
    expect_queue(r, 5, (const uint64_t[]){ p + 1, p + 4, p + 6, p + 7, p + 8, p + 9 }, 6);

    acknowledge(r, 5, 1, &ack); /* again: the same */
    expect_queue(r, 5, (const uint64_t[]){ p + 1, p + 4, p + 6, p + 7, p + 8, p + 9 }, 6);

    open[0] = p + 4;
    ack = (struct command_ack){ .cursor = p + 7, .open_count = 1, .open = open };
    acknowledge(r, 5, 1, &ack);
    expect_queue(r, 5, (const uint64_t[]){ p + 4, p + 8, p + 9 }, 3);

    uint64_t q = fill(r, 5, 1);
    ack = (struct command_ack){ .cursor = q + 100 };
    acknowledge(r, 5, 1, &ack);
    expect_queue(r, 5, NULL, 0);
    q = fill(r, 5, 2);
    expect_queue(r, 5, (const uint64_t[]){ q, q + 1 }, 2);
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
    uint64_t first = fill(r, 5, 30), after = 0, next = first;
    for (uint32_t limit = 1; next < first + 30; limit++) {
        const struct store_page *p = page(r, 5, after, limit);
        uint64_t left = first + 30 - next;
        CHECK_INT(limit < left ? limit : left, p->count);
        for (uint32_t i = 0; i < p->count; i++) CHECK_INT(next++, p->rows[i].seq);
        CHECK_TRUE(p->snapshot >= first + 29);
        after = next - 1;
    }
    CHECK_INT(0, page(r, 5, after, 10)->count);
    CHECK_INT(0, page(r, 5, UINT64_MAX, 10)->count);
    CHECK_INT(10, page(r, 5, first + 19, 10)->count);
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
    fill(r, 5, 20);
    uint64_t before = last(r, 0, KIND_DONE)->position - 20;
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
    for (size_t i = 0; i < s->count; i++) CHECK_INT(before + 1 + i, s->seen[i]);
    free(s);
    close_rig(r);
}

/* --- limits and the end */

CONTRACT(a_full_queue_drops_what_comes_and_says_so)
{
    struct rig *r = open_rig(of, (struct limits){ .rows_max = 3 });
    const uint64_t both[] = { 5, 6, 0 };
    claim(r, 5, 1);
    claim(r, 6, 1);
    uint64_t first = fill(r, 5, 3);
    struct arrival e = run(r, enqueue(both, 0));
    CHECK_INT(COMMAND_DURABLE, e.result);
    CHECK_INT(1, e.dropped);
    CHECK_INT(0, last(r, 0, KIND_SEAT)->target);
    expect_queue(r, 6, &e.position, 1);
    expect_queue(r, 5, (const uint64_t[]){ first, first + 1, first + 2 }, 3);

    struct command_ack ack = { .cursor = first };
    acknowledge(r, 5, 1, &ack);
    e = run(r, enqueue(both, 0));
    CHECK_INT(0, e.dropped);
    expect_queue(r, 5, (const uint64_t[]){ first + 1, first + 2, e.position }, 3);
    close_rig(r);
}

CONTRACT(a_queue_has_a_limit_of_bytes_too)
{
    struct rig *r = open_rig(of, (struct limits){ .bytes_max = 25 });
    const uint64_t to[] = { 5, 0 };
    claim(r, 5, 1);
    uint64_t first = fill(r, 5, 2); /* 20 bytes */
    CHECK_INT(1, run(r, enqueue(to, 0)).dropped);
    struct command_ack ack = { .cursor = first };
    acknowledge(r, 5, 1, &ack);
    CHECK_INT(0, run(r, enqueue(to, 0)).dropped);
    close_rig(r);
}

CONTRACT(a_dropped_target_is_not_one_that_was_never_there)
{
    struct rig *r = open_rig(of, (struct limits){ .rows_max = 3 });
    const uint64_t to[] = { 999, 0 };
    CHECK_INT(0, run(r, enqueue(to, 0)).dropped);
    close_rig(r);
}

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
    CHECK_TRUE(strcmp(of->name, r->journal.ops->name) == 0);
    CHECK_TRUE(strcmp(of->name, r->store.ops->name) == 0);
    close_rig(r);
}
