/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/trial.h"
#include "base/check.h"
#include "contract/on_disk.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Word of a fold, from its thread. */
struct folded {
    struct mail mail;
    uint64_t upto;
};

uint64_t draw(struct trial *t, uint64_t below)
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

static _Thread_local bool is_fold; /* since its first purge; at boot, of the thread that starts it */

static void copy(struct trial *t)
{
    if (t->copies_left == 0) return;
    t->copies_left--;
    copy_file(t->dir, t->copy, "longlink.db");
    copy_file(t->dir, t->copy, "longlink.db-wal");
    t->copied_upto = t->purged;
    t->is_copied = true;
}

static void folded(void *ctx, uint64_t upto)
{
    struct trial *t = ctx;
    struct folded *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    is_fold = true;
    f->upto = upto;
    mailbox_send(&t->folds, &f->mail);
    copy(t);
    t->purged = upto;
}

/* Time flies. The fold looks at it before each transaction, and within. */
static uint64_t flying_ms(void *ctx)
{
    static atomic_uint_fast64_t now_ms = 1000;
    if (is_fold && ctx != NULL) copy(ctx);
    return atomic_fetch_add_explicit(&now_ms, 1000, memory_order_relaxed);
}

const struct clock trial_clock = { flying_ms, flying_ms, NULL };

static void take_folds(struct trial *t, struct mail *m)
{
    while (m != NULL) {
        struct folded *f = CONTAINER(m, struct folded, mail);
        m = m->next;
        t->folded_upto = f->upto;
        free(f);
    }
}

void go_on_with_the_copy(struct trial *t)
{
    char was[DIR_BYTES];
    memcpy(was, t->dir, sizeof was);
    memcpy(t->dir, t->copy, sizeof was);
    memcpy(t->copy, was, sizeof was);
    t->copies_left = 0;
    t->purged = t->copied_upto;
    fake_log_set_purged(t->log, t->copied_upto);
}

/* --- what a start shows */

static enum err see_session(void *ctx, const struct restore_session *r)
{
    struct trial *t = ctx;
    if (r->session_no >= MODEL_SESSIONS) return ERR_OK;
    const struct model_session *s = &t->model->sessions[r->session_no];
    t->shown.sessions++;
    CHECK_TRUE(s->is_there);
    CHECK_INT(s->claim_no, r->claim_no);
    CHECK_INT(s->expiry_s, r->expiry_s);
    CHECK_INT(s->has_will, r->will != NULL);
    if (!s->is_online) CHECK_INT(s->sent, r->sent);
    if (s->is_online) CHECK_TRUE(r->sent >= s->sent);
    return ERR_OK;
}

static enum err see_group(void *ctx, uint64_t group_no, struct bytes text)
{
    struct trial *t = ctx;
    const struct model_session *s = model_queue(t->model, group_no);
    t->shown.groups++;
    CHECK_TRUE(s != NULL && s->is_there);
    CHECK_TRUE(bytes_equal(text, bytes_of(&group_no, sizeof group_no)));
    return ERR_OK;
}

static enum err see_filter(void *ctx, const struct restore_subscription *s)
{
    struct trial *t = ctx;
    unsigned which = model_name(s->filter, 'f');
    t->shown.filters++;
    CHECK_TRUE(s->session_no < MODEL_SESSIONS && which < MODEL_NAMES);
    CHECK_INT(t->model->sessions[s->session_no].filters[which], s->options);
    CHECK_INT(t->model->sessions[s->session_no].sub_ids[which], s->id);
    return ERR_OK;
}

static enum err see_retained(void *ctx, struct msg *m, uint64_t version)
{
    struct trial *t = ctx;
    unsigned which = model_name(msg_topic(m), 'r');
    t->shown.retained++;
    CHECK_TRUE(which < MODEL_NAMES);
    CHECK_INT(t->model->retained[which], version);
    return ERR_OK;
}

static enum err see_inbound(void *ctx, uint64_t session_no, uint16_t id)
{
    struct trial *t = ctx;
    t->shown.inbound++;
    CHECK_TRUE(session_no < MODEL_SESSIONS && id < MODEL_IDS);
    CHECK_TRUE(t->model->sessions[session_no].inbound[id]);
    return ERR_OK;
}

static enum err see_delayed(void *ctx, uint64_t seq, uint64_t due_ms)
{
    struct trial *t = ctx;
    const struct model_session *s = &t->model->sessions[MODEL_DELAYED];
    uint32_t i = 0;
    t->shown.delayed++;
    while (i < s->count && s->queue[i].seq != seq) i++;
    CHECK_TRUE(i < s->count);
    CHECK_INT(s->queue[i].due_ms, due_ms);
    return ERR_OK;
}

/* All of it, and nothing twice. */
static void check_shown(const struct trial *t)
{
    struct shown want = { .delayed = t->model->sessions[MODEL_DELAYED].count };
    for (unsigned no = 1; no < MODEL_DELAYED; no++) {
        const struct model_session *s = &t->model->sessions[no];
        bool is_group = no >= MODEL_SESSIONS;
        want.groups += is_group && s->is_there;
        want.sessions += !is_group && s->is_there;
        for (unsigned i = 0; i < MODEL_NAMES; i++) want.filters += s->filters[i] != 0;
        for (unsigned i = 0; i < MODEL_IDS; i++) want.inbound += s->inbound[i];
    }
    for (unsigned i = 0; i < MODEL_NAMES; i++) want.retained += t->model->retained[i] != 0;
    CHECK_INT(want.sessions, t->shown.sessions);
    CHECK_INT(want.filters, t->shown.filters);
    CHECK_INT(want.retained, t->shown.retained);
    CHECK_INT(want.groups, t->shown.groups);
    CHECK_INT(want.inbound, t->shown.inbound);
    CHECK_INT(want.delayed, t->shown.delayed);
}

/* --- starting and stopping */

static const struct implementation trial_store = {
    .name = "trial",
    .stop = on_disk_stop,
    .journal = on_disk_journal,
    .store = on_disk_store,
};

void start(struct trial *t)
{
    struct on_disk_conf conf = { .log = t->log,
                                 .dir = t->dir,
                                 .limits = t->limits,
                                 .clock = &t->clock,
                                 .restore = { .session = see_session,
                                              .group = see_group,
                                              .subscription = see_filter,
                                              .retained = see_retained,
                                              .inbound = see_inbound,
                                              .delayed = see_delayed,
                                              .ctx = t } };
    t->rig = new_rig();
    t->shown = (struct shown){ 0 };
    struct journal_sink sink = rig_sink(t->rig);
    attach(t->rig, &trial_store, on_disk_start(&sink, &conf));
    check_shown(t);
}

void halt(struct trial *t)
{
    on_disk_stop(t->rig->impl);
    t->rig->impl = NULL;
}

static void forget_known(struct owned *o)
{
    for (uint32_t i = 0; i < o->known_count; i++) msg_unref(&o->known[i].msg);
    o->known_count = 0;
}

/* All that a process knows goes with it. */
void close_it(struct trial *t)
{
    close_rig(t->rig);
    t->rig = NULL;
    memset(t->sent_count, 0, sizeof t->sent_count);
    t->pages_asked = t->pages_count = t->pages_checked = 0;
    for (unsigned i = 0; i < OWNED; i++) {
        forget_known(&t->owned[i]);
        t->owned[i].gone_count = 0;
    }
}

struct trial *new_trial(uint64_t seed, struct fake_schedule schedule)
{
    struct trial *t = calloc(1, sizeof *t);
    CHECK_TRUE(t != NULL);
    t->random = seed * 0x9e3779b97f4a7c15 | 1;
    schedule.seed = seed;
    t->log = fake_log_new(&schedule);
    t->model = model_new();
    t->clock = (struct clock){ flying_ms, flying_ms, t };
    t->copies_left = 1 + (unsigned)draw(t, 20);
    CHECK_INT(ERR_OK, mailbox_open(&t->folds));
    make_dir(t->dir);
    make_dir(t->copy);
    fake_log_on_purge(t->log, folded, t);
    return t;
}

void free_trial(struct trial *t)
{
    take_folds(t, mailbox_take(&t->folds));
    mailbox_close(&t->folds);
    fake_log_free(&t->log);
    model_free(&t->model);
    remove_dir(t->dir);
    remove_dir(t->copy);
    free(t);
}

/* --- pages */

static bool is_gone(const struct owned *o, uint64_t seq)
{
    for (uint32_t i = 0; i < o->gone_count; i++)
        if (o->gone[i] == seq) return true;
    return false;
}

static void learn(struct owned *o, const struct store_page *p)
{
    if (p->claim_no != o->life) return;
    forget_known(o);
    for (uint32_t i = 0; i < p->count; i++) {
        if (is_gone(o, p->rows[i].seq)) continue;
        o->known[o->known_count] = p->rows[i];
        msg_ref(o->known[o->known_count++].msg);
    }
}

static void note_page(struct trial *t, const struct store_page *p)
{
    CHECK_TRUE(t->pages_count < PAGES_MAX && p->count <= PAGE_LIMIT_MAX);
    struct answered *a = &t->pages[t->pages_count++];
    *a = (struct answered){ p->session_no, p->after, p->snapshot, { 0 }, p->count };
    for (uint32_t i = 0; i < p->count; i++) a->seqs[i] = p->rows[i].seq;
    for (unsigned i = 0; i < OWNED; i++)
        if (model_number(MODEL_SESSIONS + i) == p->session_no) learn(&t->owned[i], p);
}

static void ask_for(struct trial *t, unsigned queue, uint32_t limit)
{
    struct store_page *p = calloc(1, sizeof *p);
    CHECK_TRUE(p != NULL);
    p->answer.kind = KIND_PAGE;
    p->shard = 1;
    p->session_no = model_number(queue);
    p->claim_no = queue < MODEL_SESSIONS ? 0 : t->owned[queue - MODEL_SESSIONS].life;
    p->limit = limit;
    t->pages_asked++;
    store_page(&t->rig->store, p);
}

void ask_any(struct trial *t)
{
    unsigned queue =
        (unsigned)(draw(t, 2) == 0 ? MODEL_SESSIONS + draw(t, OWNED) : 1 + draw(t, MODEL_SESSIONS - 1));
    if (t->pages_asked < PAGES_MAX) ask_for(t, queue, 1 + (uint32_t)draw(t, PAGE_LIMIT_MAX));
}

void take_all(struct trial *t, unsigned shard, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next;
        bool is_page = m->kind == KIND_PAGE;
        take_one(t->rig, shard, m);
        if (is_page) note_page(t, t->rig->page);
        m = next;
    }
}

void wait_until_all_is_done(struct trial *t)
{
    for (unsigned i = 0; i < SHARDS; i++) hand_over(t, i);
    for (unsigned i = 0; i < SHARDS; i++)
        while (count_of(t->rig, i, KIND_DONE) < t->sent_count[i] ||
               (i == 1 && t->pages_count < t->pages_asked))
            take_all(t, i, mailbox_wait(&t->rig->mailboxes[i]));
    for (unsigned i = 0; i < SHARDS; i++) take_all(t, i, mailbox_take(&t->rig->mailboxes[i]));
}

void wait_for_fold(struct trial *t)
{
    put(t, claim_by(t, 1 + draw(t, MODEL_SESSIONS - 1), 0));
    wait_until_all_is_done(t);
    uint64_t upto = last(t->rig, 0, KIND_DONE)->position;
    while (t->folded_upto < upto) take_folds(t, mailbox_wait(&t->folds));
}

/* What a process that is gone had proposed may come until something of ours has: only then a reader knows
 * what its queue has. */
void work(struct trial *t, unsigned commands)
{
    put(t, new_command(COMMAND_FENCE, &(struct command_size){ 0 }, 0));
    wait_until_all_is_done(t);
    for (unsigned i = 0; i < commands; i++) {
        put_any(t);
        unsigned shard = (unsigned)draw(t, SHARDS);
        if (draw(t, 6) == 0) hand_over(t, shard);
        if (draw(t, 10) == 0) take_all(t, shard, mailbox_take(&t->rig->mailboxes[shard]));
        if (draw(t, 60) == 0) wait_until_all_is_done(t);
        if (draw(t, 80) == 0) wait_for_fold(t);
        if (draw(t, 8) == 0) ask_any(t);
    }
    wait_until_all_is_done(t);
}
