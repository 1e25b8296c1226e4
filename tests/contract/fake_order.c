/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/fake_order.h"
#include "base/check.h"
#include "store/record.h"
#include <stdlib.h>
#include <string.h>

enum { EPOCH_SHIFT = 40, OTHERS_MAX = 16, OTHER_RETRY_PERCENT = 10 };

/* A growing array of records. As proposals, their position is no position yet, but the epoch. */
struct records {
    struct fake_record *at;
    size_t first, count, room; /* [first, count) */
};

struct fake_log {
    struct fake_schedule schedule;
    uint64_t random;
    struct records log, proposed;
    uint64_t epoch, last, purged;
    struct fake_counts counts;
    void (*purging)(void *ctx, uint64_t upto);
    void *purging_ctx;

    /* the store that runs */
    const struct order_sink *sink;
    struct mail turn;
    bool is_awake, is_unknown, is_unsettled;
    bool is_late; /* it has proposed nothing yet: what comes is of the one before it */
    uint32_t idle_turns;
    uint32_t boot_no;
    uint64_t proposed_n, accepted_n; /* of this boot_no: the highest ever; the last that took effect */
    uint64_t again_n;                /* within unknown: the last that came again */

    /* the other node */
    struct command_origin other;
    uint64_t other_claims[OTHERS_MAX], other_claim;
};

static uint64_t draw(struct fake_log *l, uint64_t below)
{
    l->random += 0x9e3779b97f4a7c15;
    uint64_t z = l->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

static bool chance(struct fake_log *l, uint32_t percent)
{
    return draw(l, 100) < percent;
}

/* --- records */

static void keep(struct records *r, uint64_t position, struct bytes bytes)
{
    if (r->count == r->room) {
        r->room = r->room == 0 ? 64 : r->room * 2;
        r->at = realloc(r->at, r->room * sizeof *r->at);
        CHECK(r->at != NULL);
    }
    uint8_t *copy = malloc(bytes.len);
    CHECK(copy != NULL);
    memcpy(copy, bytes.at, bytes.len);
    r->at[r->count++] = (struct fake_record){ position, bytes_of(copy, bytes.len) };
}

static void drop(struct records *r, size_t i)
{
    free((void *)(uintptr_t)r->at[i].bytes.at);
}

static void drop_from(struct records *r, size_t i)
{
    while (r->count > i) drop(r, --r->count);
}

static void forget(struct records *r)
{
    drop_from(r, r->first);
    free(r->at);
}

/* --- committed: it has its position, and goes to the store */

/* What of our own the store must take, and what not. */
static void expect(struct fake_log *l, struct bytes record)
{
    struct command_origin o = record_origin(record);
    if (o.node == FAKE_OTHER_NODE) return;
    if (l->is_late || o.boot_no != l->boot_no)
        l->counts.late++;
    else if (o.n == l->accepted_n + 1)
        l->accepted_n++;
    else if (o.n <= l->accepted_n)
        l->counts.repeats++;
    else
        l->counts.gaps++;
}

static bool is_lazy(struct bytes record)
{
    uint8_t kind = record.at[0];
    return kind == COMMAND_ACK || kind == COMMAND_OFFLINE || kind == COMMAND_KEEPALIVE;
}

static void commit(struct fake_log *l, uint64_t epoch, struct bytes record)
{
    uint64_t first = epoch << EPOCH_SHIFT | 1;
    l->last = l->last >> EPOCH_SHIFT == epoch ? l->last + 1 : first;
    keep(&l->log, l->last, record);
    expect(l, record);
    l->is_unsettled |= !is_lazy(record);
    enum err rc = l->sink->applied(l->sink->ctx, l->last, record);
    CHECK(rc == ERR_OK);
}

/* --- the other node */

static struct msg *other_message(struct fake_log *l)
{
    struct msg *m;
    struct msg_parts parts = { .topic = bytes_of_text("other"),
                               .payload = bytes_of_text("of node 7"),
                               .qos = 1 };
    parts.payload.len -= draw(l, 5);
    enum err rc = msg_new(&m, &parts);
    CHECK(rc == ERR_OK);
    return m;
}

static struct command *other_claim(struct fake_log *l, uint64_t which)
{
    uint64_t session_no = l->schedule.others_first + which;
    struct command_size size = { .data = bytes_of(&session_no, sizeof session_no) };
    struct command *c = command_new(COMMAND_CLAIM, &size);
    CHECK(c != NULL);
    c->claim_no = l->other_claims[which] = (uint64_t)FAKE_OTHER_NODE << EPOCH_SHIFT | ++l->other_claim;
    if (chance(l, 30)) c->msg = other_message(l);
    return c;
}

static struct command *other_enqueue(struct fake_log *l, enum command_kind kind)
{
    uint32_t first = (uint32_t)draw(l, l->schedule.others_count);
    uint32_t most = l->schedule.others_count - first < 3 ? l->schedule.others_count - first : 3;
    struct command_size size = { .targets = 1 + (uint32_t)draw(l, most) };
    struct command *c = command_new(kind, &size);
    CHECK(c != NULL);
    c->msg = other_message(l);
    for (uint32_t i = 0; i < size.targets; i++)
        c->targets[i] =
            (struct command_target){ .session_no = l->schedule.others_first + first + i, .qos = 1 };
    return c;
}

static struct command *other_command(struct fake_log *l, uint64_t which)
{
    uint64_t roll = draw(l, 100);
    if (l->other_claims[which] == 0 || roll < 15) return other_claim(l, which);
    if (roll < 60) return other_enqueue(l, COMMAND_ENQUEUE);
    if (roll < 67) return other_enqueue(l, COMMAND_FIRE_WILL);
    static const enum command_kind plain[] = { COMMAND_ACK, COMMAND_ACK, COMMAND_FENCE, COMMAND_OFFLINE };
    enum command_kind kind = roll < 97 ? plain[roll % 4] : COMMAND_END_SESSION;
    struct command *c = command_new(kind, &(struct command_size){ 0 });
    CHECK(c != NULL);
    c->keeps_will = chance(l, 50);
    if (kind == COMMAND_ACK && l->log.count > 0) c->ack.cursor = l->log.at[draw(l, l->log.count)].position;
    return c;
}

/* A record of a command, which it drops; the caller frees it. */
static struct bytes record_of(struct command *c)
{
    size_t bytes = record_size(c);
    uint8_t *at = malloc(bytes);
    CHECK(at != NULL);
    record_encode(c, at);
    command_unref(&c);
    return bytes_of(at, bytes);
}

/* Its next record; the caller frees it. */
static struct bytes other_record(struct fake_log *l)
{
    uint64_t which = draw(l, l->schedule.others_count);
    struct command *c = other_command(l, which);
    if (c->kind != COMMAND_ENQUEUE) c->session_no = l->schedule.others_first + which;
    if (c->claim_no == 0) c->claim_no = l->other_claims[which];
    if (chance(l, 3)) l->other = (struct command_origin){ FAKE_OTHER_NODE, l->other.boot_no + 1, 0 };
    l->other.n++;
    c->origin = l->other;
    c->stamp_ms = 1;
    l->counts.others++;
    return record_of(c);
}

/* One record of it, or two of which one comes twice, or the second first as well. */
static void commit_other(struct fake_log *l, uint64_t epoch)
{
    struct bytes one = other_record(l), two = { NULL, 0 };
    bool twice = chance(l, OTHER_RETRY_PERCENT);
    if (chance(l, OTHER_RETRY_PERCENT)) two = other_record(l);
    if (two.len > 0) commit(l, epoch, two);
    commit(l, epoch, one);
    if (two.len > 0) commit(l, epoch, two);
    if (twice) commit(l, epoch, one);
    free((void *)(uintptr_t)one.at);
    free((void *)(uintptr_t)two.at);
}

/* --- a turn */

/* The old leader is gone. What its followers had of its proposals comes all the same: a part from the
 * beginning, at times without one of the middle. */
static void fail_over(struct fake_log *l)
{
    struct records *p = &l->proposed;
    size_t survive = draw(l, p->count - p->first + 1);
    drop_from(p, p->first + survive);
    if (survive >= 2 && chance(l, 50)) {
        size_t lost = p->first + draw(l, survive - 1);
        drop(p, lost);
        memmove(p->at + lost, p->at + lost + 1, (--p->count - lost) * sizeof *p->at);
    }
    l->epoch++;
    l->counts.fail_overs++;
    l->is_unknown = true;
    l->again_n = l->accepted_n;
    l->sink->unknown(l->sink->ctx);
    CHECK(l->again_n == l->proposed_n); /* all that has not come back came again */
    l->is_unknown = false;
}

static void commit_some(struct fake_log *l)
{
    struct records *p = &l->proposed;
    uint64_t count = 1 + draw(l, l->schedule.commits_max + (p->count - p->first) / 4);
    for (; count > 0 && p->first < p->count; count--) {
        uint64_t epoch = p->at[p->first].position;
        if (chance(l, l->schedule.others_percent)) commit_other(l, epoch);
        commit(l, epoch, p->at[p->first].bytes);
        drop(p, p->first++);
    }
    if (p->first == p->count) p->first = p->count = 0;
}

static void wake(struct fake_log *l)
{
    if (l->is_awake || l->proposed.first == l->proposed.count) return;
    l->is_awake = true;
    l->sink->wake(l->sink->ctx, &l->turn);
}

static void run(void *impl, struct mail *m)
{
    struct fake_log *l = impl;
    CHECK(m == &l->turn);
    l->is_awake = false;
    if (l->idle_turns > 0) {
        l->idle_turns--;
    } else {
        l->idle_turns = (uint32_t)draw(l, l->schedule.idle_turns_max + 1);
        if (chance(l, l->schedule.fail_over_percent))
            fail_over(l);
        else
            commit_some(l);
    }
    wake(l);
}

/* --- what the store calls */

static bool is_full(struct fake_log *l)
{
    if (l->counts.fulls == l->schedule.fulls || chance(l, 70)) return false;
    l->counts.fulls++;
    return true;
}

/* Ours come in order, from 1 on; again only after unknown, and from the one on that is missing. */
static void check_order(struct fake_log *l, const struct command_origin *o)
{
    CHECK(o->node != FAKE_OTHER_NODE);
    CHECK(o->boot_no >= l->boot_no);
    if (o->boot_no > l->boot_no) {
        CHECK(o->n == 1);
        l->is_late = false;
        l->proposed_n = l->accepted_n = 0;
        l->boot_no = o->boot_no;
    }
    if (l->is_unknown) {
        CHECK(o->n == ++l->again_n);
        CHECK(o->n <= l->proposed_n);
        l->counts.again++;
        return;
    }
    CHECK(o->n == ++l->proposed_n);
}

static enum err propose(void *impl, struct bytes record)
{
    struct fake_log *l = impl;
    if (is_full(l)) return ERR_FULL;
    struct command_origin o = record_origin(record);
    check_order(l, &o);
    keep(&l->proposed, l->epoch, record);
    wake(l);
    return ERR_OK;
}

static enum err settle(void *impl)
{
    struct fake_log *l = impl;
    if (is_full(l)) return ERR_FULL;
    l->is_unsettled = false;
    return ERR_OK;
}

static enum err replay(void *impl, uint64_t after, const struct order_sink *sink)
{
    struct fake_log *l = impl;
    enum err rc = ERR_OK;
    CHECK(after >= l->purged);
    for (size_t i = 0; i < l->log.count && rc == ERR_OK; i++)
        if (l->log.at[i].position > after)
            rc = sink->applied(sink->ctx, l->log.at[i].position, l->log.at[i].bytes);
    return rc;
}

/* What was proposed by a process that is gone may still come. */
static void start(void *impl, const struct order_sink *sink)
{
    struct fake_log *l = impl;
    CHECK(l->sink == NULL);
    l->sink = sink;
    l->is_unsettled = false;
    l->is_late = true;
    l->proposed_n = l->accepted_n = 0;
    wake(l);
}

static enum err purge(void *impl, uint64_t upto)
{
    struct fake_log *l = impl;
    if (l->purging != NULL) l->purging(l->purging_ctx, upto);
    CHECK(upto >= l->purged);
    l->purged = upto;
    l->counts.purges++;
    return ERR_OK;
}

static const char *error(void *impl)
{
    (void)impl;
    return "";
}

/* The process may have died with something on its way. */
static void leave_one_behind(struct fake_log *l)
{
    struct command *c = other_enqueue(l, COMMAND_ENQUEUE);
    c->stamp_ms = 1;
    c->origin = (struct command_origin){ 0, l->boot_no, ++l->accepted_n };
    struct bytes record = record_of(c);
    keep(&l->proposed, l->epoch, record);
    free((void *)(uintptr_t)record.at);
}

static void fake_order_close(void *impl)
{
    struct fake_log *l = impl;
    if (l->boot_no > 0) leave_one_behind(l);
    l->sink = NULL;
    l->is_awake = false;
    l->counts.closes++;
}

struct order fake_order(struct fake_log *l)
{
    static const struct order_ops ops = {
        .name = "fake",
        .replay = replay,
        .start = start,
        .propose = propose,
        .settle = settle,
        .run = run,
        .purge = purge,
        .error = error,
        .upkeep_error = error,
        .close = fake_order_close,
    };
    return (struct order){ &ops, l };
}

/* --- what tests call */

struct fake_log *fake_log_new(const struct fake_schedule *schedule)
{
    struct fake_log *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    CHECK(schedule->others_count > 0);
    CHECK(schedule->others_count <= OTHERS_MAX);
    l->schedule = *schedule;
    l->random = schedule->seed;
    l->epoch = 1;
    l->other = (struct command_origin){ FAKE_OTHER_NODE, 1, 0 };
    return l;
}

void fake_log_free(struct fake_log **owner)
{
    struct fake_log *l = *owner;
    *owner = NULL;
    if (l == NULL) return;
    forget(&l->log);
    forget(&l->proposed);
    free(l);
}

void fake_log_on_purge(struct fake_log *l, void (*purging)(void *ctx, uint64_t upto), void *ctx)
{
    l->purging = purging;
    l->purging_ctx = ctx;
}

void fake_log_set_purged(struct fake_log *l, uint64_t upto)
{
    l->purged = upto;
}

void fake_log_lose_proposed(struct fake_log *l)
{
    drop_from(&l->proposed, l->proposed.first);
}

bool fake_log_is_settled(const struct fake_log *l)
{
    return !l->is_unsettled;
}

const struct fake_record *fake_log_records(const struct fake_log *l, size_t *count)
{
    *count = l->log.count;
    return l->log.at;
}

const struct fake_counts *fake_log_counts(const struct fake_log *l)
{
    return &l->counts;
}
