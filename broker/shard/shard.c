/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/shard.h"
#include "base/check.h"
#include "base/rng.h"
#include "shard/addresses.h"
#include "shard/change.h"
#include "shard/delayed.h"
#include "shard/guard.h"
#include "shard/job.h"
#include "shard/shard_int.h"
#include "shard/turn_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/*
 * One turn of the loop: events, mail, timers, what pauses held back; then, with all of it in hand, output to
 * the clients, acknowledgements and commands to the journal, mail to the other shards. One write a
 * connection, one hand-over a receiver, however much came in.
 */

/* The work of a visit is that of some messages. */
enum { WORK_OF_VISIT = 64 };

enum { EVENTS_A_TURN = 512, LONGEST_SLEEP_MS = 60 * 1000, RETAINED_TOPICS_MAX = 16 * 1000 * 1000 };

/* The end of the process waits no longer than this for the journal, which may wait for room on the disk, and
 * for clients to take the last that was said and to close. */
enum { HOME_WAIT_MS = 1500, LAST_WORDS_MS = 500 };

static void (*const mail_handlers[])(struct shard *, struct mail *) = {
#define MAIL(name, handler, doc) [MAIL_##name] = handler,
#include "shard/mailbox_kinds.def"
#undef MAIL
};

static void read_clocks(struct shard *sh)
{
    sh->now_ms = clock_mono_ms(sh->clock);
    sh->wall_ms = clock_wall_ms(sh->clock);
}

uint64_t shard_stage_until(const struct shard *sh)
{
    uint64_t least = sh->work + (sh->is_visited ? WORK_OF_VISIT : WORK_OF_STAGE);
    return sh->turn_until > least ? sh->turn_until : least;
}

/* In order, so what has come since waits for what the last turn has left. */
static void run_mail(struct shard *sh, uint64_t until)
{
    if (sh->mail_left == NULL) sh->mail_left = mailbox_take(&sh->mailbox);
    while (sh->mail_left != NULL && sh->work < until) {
        struct mail *m = sh->mail_left;
        sh->mail_left = m->next; /* m may be gone, or be on its way elsewhere, after its handler */
        sh->work++;
        mail_handlers[m->kind](sh, m);
    }
}

static void run_events(struct shard *sh, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t id = events[i].data.u64;
        if (id == ID_TIMER) sh->rings_ms = 0;
        if (id == ID_MAILBOX || id == ID_TIMER) continue; /* edge-triggered: they only wake */
        if (id - ID_LISTENERS < sh->listeners_count)
            conn_accept(sh, (uint32_t)(id - ID_LISTENERS));
        else
            conn_event(sh, id, events[i].events);
    }
}

/* To all shards, but for the last of those that sleep: that is the caller's to wake. NULL: none sleeps. */
static struct shard *pass_mail(struct shard *sh)
{
    struct shard *last = NULL;
    for (unsigned to = 0; to < sh->all->count; to++) {
        struct shard *receiver = sh->all->at[to];
        if (!mailbox_pass(&receiver->mailbox, &sh->to[to])) continue;
        if (last != NULL) mailbox_wake(&last->mailbox);
        last = receiver;
    }
    return last;
}

/* Mail first: a message on its way to a shard must not be overtaken by a later one that comes as a seat. */
void shard_submit(struct shard *sh)
{
    struct shard *sleeper = pass_mail(sh);
    if (sleeper != NULL) mailbox_wake(&sleeper->mailbox);
    journal_submit(&sh->all->journal, &sh->to_journal);
}

/* Has this turn little to do? Then its thread has time for one of another shard. */
static bool is_light(const struct shard *sh)
{
    return !sh->is_visited && sh->work + WORK_A_TURN <= sh->turn_until + WORK_OF_VISIT && !shard_has_more(sh);
}

static void visit(struct shard *sh);

static void hand_over(struct shard *sh)
{
    struct shard *sleeper = pass_mail(sh);
    journal_submit(&sh->all->journal, &sh->to_journal);
    mailbox_hand_over(&sh->all->main, &sh->to_main);
    if (sleeper == NULL) return;
    if (is_light(sh))
        visit(sleeper);
    else
        mailbox_wake(&sleeper->mailbox);
}

static void drop_all(struct shard *sh)
{
    for (uint32_t i = 0; i < sh->slots_count; i++)
        if (sh->slots[i].conn != NULL) conn_drop(sh, sh->slots[i].conn);
}

/* The process ends, and main waits until what groups have given is home again, and until clients have taken
 * our last words: or so long. */
static void answer_when_home(struct shard *sh)
{
    if (sh->asked_home == NULL) return;
    uint64_t waited_ms = sh->now_ms - sh->asked_ms;
    if (waited_ms < LAST_WORDS_MS && sh->conns_count > 0) return;
    drop_all(sh);
    if (waited_ms < HOME_WAIT_MS && !shares_are_home(sh)) return;
    outbox_put(&sh->to_main, sh->asked_home);
    sh->asked_home = NULL;
    sh->is_settled = true;
}

static void flush(struct shard *sh)
{
    while (!list_empty(&sh->dirty) || sh->ready != NULL) {
        conn_flush_dirty(sh);
        conn_run_ready(sh);
        reads_turn(sh);
    }
}

/* Commands go to the journal, and mail to other shards, before the writes: they work while we write. */
static void answer(struct shard *sh)
{
    conn_run_ready(sh);
    reads_turn(sh);
    feed_turn(sh);
    shares_turn(sh);
    fence_turn(sh);
    hand_over(sh);
    flush(sh);
}

static void end_turn(struct shard *sh)
{
    answer(sh);
    late_flush(sh);
    flush(sh);
    feed_turn(sh);
    shares_turn(sh);
    fence_turn(sh);
    answer_when_home(sh);
    hand_over(sh); /* what flushing gave rise to */
    conn_free_dead(sh);
}

void shard_pause_accepting(struct shard *sh, uint32_t for_ms)
{
    shard_watch_listeners(sh, EPOLL_CTL_DEL);
    sh->alarm_ms[ALARM_ACCEPT] = sh->now_ms + for_ms;
}

static void accept_again(struct shard *sh)
{
    shard_watch_listeners(sh, EPOLL_CTL_ADD);
}

static void (*const alarm_handlers[ALARMS])(struct shard *) = {
    [ALARM_ACCEPT] = accept_again,       [ALARM_SYS] = sys_alarm,
    [ALARM_DELAYED] = delayed_alarm,     [ALARM_MEMORY] = memory_alarm,
    [ALARM_SLOW] = slow_alarm,           [ALARM_PUSHES] = pushes_alarm,
    [ALARM_PROBES] = probes_alarm,       [ALARM_KEEPALIVE] = keepalive_alarm,
    [ALARM_ADMISSION] = admission_alarm,
};

static void run_alarms(struct shard *sh)
{
    for (int i = 0; i < ALARMS; i++) {
        if (sh->alarm_ms[i] == 0 || sh->now_ms < sh->alarm_ms[i]) continue;
        sh->alarm_ms[i] = 0;
        alarm_handlers[i](sh);
    }
}

static uint64_t longest_sleep_ms(const struct shard *sh, uint64_t now)
{
    if (sh->asked_home == NULL) return LONGEST_SLEEP_MS;
    uint64_t waited_ms = now - sh->asked_ms,
             until_ms = waited_ms < LAST_WORDS_MS ? LAST_WORDS_MS : HOME_WAIT_MS;
    return waited_ms < until_ms ? until_ms - waited_ms : 0;
}

/* The first of timers and alarms, or `wait`, if that is sooner. */
static uint64_t next_timer_ms(const struct shard *sh, uint64_t now, uint64_t wait)
{
    const struct wheel *wheels[] = { sh->conn_wheel, sh->session_wheel, sh->rate_wheel };
    for (size_t i = 0; i < sizeof wheels / sizeof wheels[0]; i++) {
        uint64_t first = wheel_wait_ms(wheels[i], now);
        if (wait > first) wait = first;
    }
    for (int i = 0; i < ALARMS; i++) {
        uint64_t at = sh->alarm_ms[i];
        if (at != 0) wait = at <= now ? 0 : wait < at - now ? wait : at - now;
    }
    return wait;
}

bool shard_has_more(const struct shard *sh)
{
    bool has_input = conn_has_input(sh) || sh->shaking.count > 0;
    bool has_output = !late_is_empty(sh) || sh->late.is_full, has_mail = sh->mail_left != NULL;
    return has_input || has_output || has_mail || sh->rechecks || sh->asks != NULL || !list_empty(&sh->kicks);
}

/* A timer for each sleep, as epoll_wait would make one, costs a sixth of going to sleep and waking up. So it
 * is set when it has rung, or would ring too late: what it was set for may have moved meanwhile, and then a
 * wake-up is in vain. */
static void set_timer(struct shard *sh, uint64_t rings_ms)
{
    if (sh->rings_ms != 0 && sh->rings_ms <= rings_ms) return;
    uint64_t now = clock_mono_ms(sh->clock);
    uint64_t wait = rings_ms > now ? rings_ms - now : 1; /* 0 would be never */
    struct itimerspec at = { .it_value = { (time_t)(wait / 1000), (long)(wait % 1000) * 1000000 } };
    CHECK(timerfd_settime(sh->timer_fd, 0, &at, NULL) == 0);
    sh->rings_ms = rings_ms;
}

/* Is there nothing to do before something comes, or the timer rings? What the turn has had is its time: what
 * came due since then lets the timer ring at once. */
static bool may_sleep(struct shard *sh)
{
    if (shard_has_more(sh)) return false;
    uint64_t now = sh->now_ms;
    uint64_t wait = longest_sleep_ms(sh, now);
    if (!sh->closing) wait = next_timer_ms(sh, now, wait);
    if (wait == 0 || !mailbox_sleep(&sh->mailbox)) return false;
    /* A tick late at most, instead of a wake-up for each timer within a tick. */
    set_timer(sh, now + (wait + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS * WHEEL_TICK_MS);
    return true;
}

/* From here on it is who visits that may have it. */
static void go_to_sleep(struct shard *sh)
{
    epoch_offline(sh->all->epoch, sh->index);
    lock_release(&sh->own);
}

static int sleep_for_events(struct shard *sh, struct epoll_event *events)
{
    bool sleeps = may_sleep(sh);
    if (sleeps) go_to_sleep(sh);
    int n = epoll_wait(sh->epoll_fd, events, EVENTS_A_TURN, sleeps ? -1 : 0);
    if (sleeps) {
        lock_take(&sh->own);
        mailbox_awake(&sh->mailbox);
    }
    epoch_quiet(sh->all->epoch, sh->index); /* on line from here, holding nothing yet */
    CHECK(n >= 0 || errno == EINTR);
    return n < 0 ? 0 : n;
}

static void turn(struct shard *sh, const struct epoll_event *events, int count)
{
    read_clocks(sh);
    memory_turn(sh);
    run_events(sh, events, count);
    run_mail(sh, late_is_over(sh) ? sh->work : shard_stage_until(sh));
    if (conn_run_claims(sh)) answer(sh); /* before the others' work */
    conn_run_more(sh);
    retain_turn(sh, RETAINED_ASKS_A_TURN);
    recheck_turn(sh);
    plugin_kick_turn(sh);
    if (!sh->closing && !sh->is_visited) {
        run_alarms(sh);
        wheel_advance(sh->conn_wheel, sh->now_ms, conn_timer, sh);
        wheel_advance(sh->session_wheel, sh->now_ms, sessions_timer, sh);
        wheel_advance(sh->rate_wheel, sh->now_ms, guard_timer, sh);
    }
    end_turn(sh);
    if (sh->shaking.count == 0 || sh->is_visited) return;
    conn_run_shaking(sh); /* which takes long, so only now that the others have what they wait for */
    end_turn(sh);
}

void shard_turn(struct shard *sh, const struct epoll_event *events, int count)
{
    sh->turn_until = sh->work + WORK_A_TURN;
    sh->is_visited = false;
    turn(sh, events, count);
}

/* The mail of a shard that sleeps, run by another's thread, which costs less than to wake it for a message or
 * two (decision 17). Its timers and handshakes are left to its own thread, for they may take long, and the
 * clients of the other would wait. It sleeps on, or is woken when something is left to do. */
static void visit(struct shard *sh)
{
    bool sleeps = false;
    if (lock_try(&sh->own)) {
        epoch_quiet(sh->all->epoch, sh->index);
        sh->turn_until = sh->work + WORK_OF_VISIT;
        sh->is_visited = true;
        turn(sh, NULL, 0);
        metrics_add(sh->metrics, METRIC_visits_total, 1);
        sleeps = !sh->stopping && may_sleep(sh);
        epoch_offline(sh->all->epoch, sh->index);
        lock_release(&sh->own);
    }
    if (!sleeps) mailbox_wake(&sh->mailbox);
}

static void loop(void *arg)
{
    struct shard *sh = arg;
    static _Thread_local struct epoll_event events[EVENTS_A_TURN];
    log_event(sh->log, EVENT_SHARD_STARTED, LOG_NUM("shard", sh->index));
    lock_take(&sh->own);
    while (!sh->stopping) {
        int n = sleep_for_events(sh, events);
        shard_turn(sh, events, n);
    }
    epoch_offline(sh->all->epoch, sh->index);
    lock_release(&sh->own);
}

/* --- calls from main */

struct shard_call {
    struct mail mail;
    enum err (*run)(struct shard *sh, void *arg); /* NULL: to be answered when its groups have all at home */
    void *arg;
    enum err rc; /* what it said */
};

void shard_mail_call(struct shard *sh, struct mail *m)
{
    struct shard_call *call = CONTAINER(m, struct shard_call, mail);
    m->kind = MAIL_CALL;
    if (call->run == NULL) {
        sh->asked_home = m;
        sh->asked_ms = sh->now_ms;
        return;
    }
    call->rc = call->run(sh, call->arg);
    outbox_put(&sh->to_main, m);
}

enum err shards_call(struct shards *s, enum err (*run)(struct shard *sh, void *arg), void *arg)
{
    struct shard_call calls[SHARDS_MAX];
    for (unsigned i = 0; i < s->count; i++) {
        calls[i] = (struct shard_call){ .mail.kind = MAIL_CALL, .run = run, .arg = arg };
        mailbox_send(&s->at[i]->mailbox, &calls[i].mail);
    }
    unsigned back = 0;
    while (back < s->count)
        for (struct mail *m = mailbox_wait(&s->main); m != NULL; m = m->next) back++;
    enum err rc = ERR_OK;
    for (unsigned i = 0; i < s->count && rc == ERR_OK; i++) rc = calls[i].rc;
    return rc;
}

/* The operator may have named a server for those who have to go. */
static enum mqtt_rc why_closing(const struct shard *sh)
{
    return sh->config->server_reference[0] != '\0' ? MQTT_RC_USE_ANOTHER_SERVER : MQTT_RC_SHUTTING_DOWN;
}

/* Closed under what it sends, a client might see a reset in place of our last words: it gets some time. */
static bool is_silent(struct shard *sh, struct conn *c)
{
    size_t got;
    return c->transport.ops->read(&c->transport, sh->scratch, SCRATCH_BYTES, &got) != ERR_OK;
}

static enum err call_close(struct shard *sh, void *arg)
{
    (void)arg;
    shard_watch_listeners(sh, EPOLL_CTL_DEL);
    sh->closing = true;
    ways_fold(sh);
    retain_turn(sh, SIZE_MAX);
    for (uint32_t i = 0; i < sh->slots_count; i++) {
        struct conn *c = sh->slots[i].conn;
        if (c == NULL) continue;
        if (c->session != NULL) session_drop_will(c->session); /* the broker leaves, not the client */
        conn_end(sh, c, why_closing(sh));
        conn_flush_dirty(sh);
        if (c->state == CONN_ENDING && !c->wants_write && is_silent(sh, c)) conn_drop(sh, c);
    }
    return ERR_OK;
}

void shards_close_clients(struct shards *s)
{
    shared_word_set(&s->plugins.is_closed, 1);
    shards_call(s, call_close, NULL);
    shards_call(s, NULL, NULL); /* behind the mail of all of them that their clients are gone */
}

static enum err call_stop(struct shard *sh, void *arg)
{
    (void)arg;
    sh->stopping = true;
    retain_turn(sh, SIZE_MAX);
    return ERR_OK;
}

void shards_stop(struct shards *s)
{
    shards_call(s, call_stop, NULL);
    for (unsigned i = 0; i < s->count; i++) thread_join(&s->at[i]->thread);
    /* Mail that crossed the end: it only gives things back now, until nothing moves. */
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned i = 0; i < s->count; i++) {
            struct shard *sh = s->at[i];
            moved |= sh->mail_left != NULL || !mailbox_empty(&sh->mailbox);
            run_mail(sh, UINT64_MAX);
            hand_over(sh);
        }
    }
}

/* --- birth and death */

static void free_jobs(struct list *jobs)
{
    while (!list_empty(jobs)) job_free(CONTAINER(jobs->next, struct subscribe_job, link));
}

static void shard_free(struct shard *sh)
{
    if (sh == NULL) return;
    free_jobs(&sh->fencing);
    free_jobs(&sh->fence_next);
    size_t at = 0;
    for (struct session *s = map_next(&sh->by_id, &at); s != NULL; s = map_next(&sh->by_id, &at)) {
        size_t sub_at = 0;
        for (struct sub *b = map_next(&s->subs, &sub_at); b != NULL; b = map_next(&s->subs, &sub_at))
            subs_remove(sh->all->subs, sh->index, b);
        if (s->persistent) wheel_stop(sh->session_wheel, &session_kept_own(s)->timer);
        jobs_session_gone(s);
        shares_forget(s);
        session_free(&s);
    }
    map_fini(&sh->by_id);
    map_fini(&sh->by_no);
    shares_fini(sh);
    reads_fini(&sh->reads);
    ways_fini(sh);
    plugin_kicks_fini(sh);
    retained_free(&sh->retained);
    delayed_free(&sh->delayed);
    wheel_free(&sh->conn_wheel);
    wheel_free(&sh->session_wheel);
    wheel_free(&sh->rate_wheel);
    conn_free_dead(sh);
    out_pool_fini(&sh->pool);
    subs_found_fini(&sh->found);
    subs_found_fini(&sh->sub_ids_found);
    free(sh->sub_ids);
    mailbox_close(&sh->mailbox);
    if (sh->timer_fd >= 0) close(sh->timer_fd);
    if (sh->epoll_fd >= 0) close(sh->epoll_fd);
    free(sh->to);
    free(sh->credit);
    free(sh->late.credit);
    free(sh->barriers);
    free(sh->direct);
    free(sh->slots);
    free(sh->scratch);
    free(sh->hits);
    free(sh->targets);
    free(sh->listeners);
    due_fini(&sh->more);
    due_fini(&sh->held);
    free(sh->shaking.at);
    free(sh->strangers.at);
    free(sh->slow.at);
    lock_fini(&sh->own);
    free(sh);
}

static enum err shard_open(struct shard *sh)
{
    struct retained_conf retained = { .topics_max = RETAINED_TOPICS_MAX, .seed = sh->all->seed };
    enum err rc = mailbox_open(&sh->mailbox);
    if (rc == ERR_OK) rc = wheel_new(&sh->conn_wheel, sh->now_ms);
    if (rc == ERR_OK) rc = wheel_new(&sh->session_wheel, sh->now_ms);
    if (rc == ERR_OK) rc = wheel_new(&sh->rate_wheel, sh->now_ms);
    if (rc == ERR_OK) rc = retained_new(&sh->retained, &retained);
    if (rc == ERR_OK && sh->index == 0) rc = delayed_new(&sh->delayed, sh->config->max_delayed_messages);
    if (rc == ERR_OK) rc = ways_open(sh);
    if (rc != ERR_OK) return rc;
    sh->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sh->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (sh->epoll_fd < 0 || sh->timer_fd < 0) return ERR_SYS;
    struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.u64 = ID_MAILBOX };
    if (epoll_ctl(sh->epoll_fd, EPOLL_CTL_ADD, sh->mailbox.event_fd, &e) != 0) return ERR_SYS;
    e.data.u64 = ID_TIMER;
    return epoll_ctl(sh->epoll_fd, EPOLL_CTL_ADD, sh->timer_fd, &e) == 0 ? ERR_OK : ERR_SYS;
}

static enum err shard_new(struct shards *all, unsigned index)
{
    struct shard *sh = calloc(1, sizeof *sh);
    if (sh == NULL) return ERR_NOMEM;
    all->at[index] = sh;
    sh->all = all;
    sh->index = index;
    sh->epoll_fd = sh->timer_fd = sh->mailbox.event_fd = -1;
    sh->view = all->conf.view;
    sh->config = sh->view->config;
    sh->log = all->conf.log;
    sh->metrics = metrics_shard(all->conf.metrics, index);
    sh->clock = all->conf.clock;
    backoff_learn(sh);
    sh->slots_free = UINT32_MAX;
    lock_init(&sh->own, LOCK_RANK_SHARD);
    list_init(&sh->dirty);
    list_init(&sh->late.conns);
    list_init(&sh->late.few);
    list_init(&sh->late.waiters);
    list_init(&sh->credit_waiters);
    list_init(&sh->fencing);
    list_init(&sh->fence_next);
    shares_init(&sh->shares);
    reads_init(&sh->reads);
    list_init(&sh->kicks);
    read_clocks(sh);
    sh->to = calloc(all->count, sizeof *sh->to);
    sh->credit = calloc(all->count, sizeof *sh->credit);
    sh->late.credit = calloc(all->count, sizeof *sh->late.credit);
    sh->barriers = calloc(all->count, sizeof *sh->barriers);
    sh->direct = calloc(all->count, sizeof *sh->direct);
    sh->scratch = malloc(SCRATCH_BYTES);
    if (sh->to == NULL || sh->credit == NULL || sh->barriers == NULL) return ERR_NOMEM;
    if (sh->direct == NULL || sh->scratch == NULL || sh->late.credit == NULL) return ERR_NOMEM;
    for (unsigned i = 0; i < all->count; i++) credit_init(&sh->credit[i], CREDIT_BYTES_MAX);
    return shard_open(sh);
}

static enum err shards_make(struct shards *s)
{
    struct subs_conf subs = { .shards = s->count, .seed = s->seed };
    enum err rc = mailbox_open(&s->main);
    if (rc == ERR_OK) rc = addresses_new(&s->addresses, ADDRESSES_MAX, s->seed);
    if (rc == ERR_OK) rc = epoch_new(&s->epoch, s->count, NULL);
    subs.epoch = s->epoch;
    if (rc == ERR_OK) rc = subs_new(&s->subs, &subs);
    for (unsigned i = 0; i < s->count && rc == ERR_OK; i++) rc = shard_new(s, i);
    return rc;
}

enum err shards_new(struct shards **out, const struct shards_conf *conf)
{
    struct shards *s = calloc(1, sizeof *s);
    *out = s;
    if (s == NULL) return ERR_NOMEM;
    s->conf = *conf;
    s->count = conf->count;
    heap_gate_set(&s->heap, conf->view->config->memory_limit);
    s->seed = rng_u64();
    s->main.event_fd = -1;
    s->at = calloc(s->count, sizeof *s->at);
    s->posted = calloc(s->count, sizeof *s->posted);
    s->completed = calloc(s->count, sizeof *s->completed);
    enum err rc = s->at == NULL || s->posted == NULL || s->completed == NULL ? ERR_NOMEM : shards_make(s);
    if (rc != ERR_OK) shards_free(out);
    return rc;
}

void shards_prepare(struct shards *s, const struct journal *journal, const struct store *store,
                    const struct shards_past *past)
{
    size_t sessions = 0;
    s->journal = *journal;
    s->store = *store;
    s->client_key = past->client_key != 0 ? past->client_key : s->seed;
    for (unsigned i = 0; i < s->count; i++) {
        s->at[i]->sessions_minted = s->at[i]->claims_minted = past->boot_no << 32;
        groups_start(s->at[i]);
        sessions += s->at[i]->by_no.count;
    }
    read_clocks(s->at[0]);
    admission_boot(s->at[0], sessions);
    ways_prepare(s);
}

enum err shards_start(struct shards *s, const struct journal *journal, const struct store *store,
                      const struct shards_past *past)
{
    shards_prepare(s, journal, store, past);
    for (unsigned i = 0; i < s->count; i++) {
        char name[16];
        snprintf(name, sizeof name, "shard %hhu", (unsigned char)i);
        enum err rc = thread_start(&s->at[i]->thread, name, loop, s->at[i]);
        CHECK(rc == ERR_OK); /* with half of the loops there is no broker */
    }
    return ERR_OK;
}

void shards_free(struct shards **owner)
{
    struct shards *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    for (unsigned i = 0; s->at != NULL && i < s->count; i++) shard_free(s->at[i]);
    subs_free(&s->subs);
    epoch_free(&s->epoch);
    mailbox_close(&s->main);
    addresses_free(&s->addresses);
    ways_past_fini(s);
    free(s->at);
    free(s->posted);
    free(s->completed);
    free(s);
}
