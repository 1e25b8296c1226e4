/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_run.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"

enum {
    LOOK_MS = 100,            /* how often the conductor looks for a stall */
    CONNECT_STALL_MS = 10000, /* nobody's CONNACK or SUBACK came for so long */
    NS_PER_MS = 1000000,
    TELL_NS = 500000000, /* how often the operator is told how it goes */
};

enum bench_outcome { OUTCOME_READY, OUTCOME_TIME_UP, OUTCOME_STALLED, OUTCOME_INTERRUPTED, OUTCOME_FAILED };

/* What the conductor sees of all workers together. */
struct view {
    bool ready, failed;
    uint64_t progress_ns;
    uint32_t clients_ready;
    uint64_t sent, delivered;
};

struct conductor {
    struct bench *bench;
    struct run_result *result;
    int signal_fd;
    bool tells;          /* how it goes: stderr is a terminal */
    uint64_t told_at_ns; /* and with which figures */
    struct view told;
};

static struct view look(struct conductor *o)
{
    struct view v = { .ready = true };
    for (uint32_t i = 0; i < o->bench->worker_count; i++) {
        struct door *d = &o->bench->workers[i].door;
        pthread_mutex_lock(&d->lock);
        v.ready = v.ready && d->ready;
        if (d->failed && !v.failed) memcpy(o->result->problem, d->problem, sizeof d->problem);
        v.failed = v.failed || d->failed;
        if (d->progress_ns > v.progress_ns) v.progress_ns = d->progress_ns;
        v.clients_ready += d->clients_ready;
        v.sent += d->sent;
        v.delivered += d->delivered;
        pthread_mutex_unlock(&d->lock);
    }
    return v;
}

static void post(struct bench *b, enum bench_phase phase)
{
    for (uint32_t i = 0; i < b->worker_count; i++) {
        struct worker *w = &b->workers[i];
        pthread_mutex_lock(&w->door.lock);
        w->door.phase = phase;
        w->door.ready = false;
        pthread_mutex_unlock(&w->door.lock);
        eventfd_write(w->wake_fd, 1);
    }
}

/* How long a phase may take, UINT64_MAX when it ends by itself. */
static uint64_t time_of(const struct bench *b, enum bench_phase phase)
{
    const struct bench_conf *c = &b->conf;
    const struct bench_plan *plan = &b->plan;
    if (phase == PHASE_WARM) return c->warmup * NS_PER_MS;
    if (phase == PHASE_HOLD || (phase == PHASE_RUN && plan->messages == 0)) return c->duration * NS_PER_MS;
    return UINT64_MAX;
}

/* How long nothing may arrive, UINT64_MAX when that is the broker's business: it shows in the figures. */
static uint64_t patience_of(const struct bench *b, enum bench_phase phase)
{
    if (time_of(b, phase) != UINT64_MAX) return UINT64_MAX;
    bool connects =
        phase == PHASE_SUBSCRIBE || phase == PHASE_CONNECT || phase == PHASE_FORGET || phase == PHASE_LEAVE;
    return (connects ? (uint64_t)CONNECT_STALL_MS : b->conf.drain_timeout) * NS_PER_MS;
}

/* Sleeps until a worker has news or limit_ns has passed. True when the operator wants to end the run. */
static bool wait_for_news(struct conductor *o, uint64_t limit_ns)
{
    struct pollfd fds[] = { { .fd = o->bench->conductor_fd, .events = POLLIN },
                            { .fd = o->signal_fd, .events = POLLIN } };
    uint64_t ms = limit_ns / NS_PER_MS + 1;
    struct signalfd_siginfo info;
    eventfd_t news;

    poll(fds, 2, ms < LOOK_MS ? (int)ms : LOOK_MS);
    if ((fds[0].revents & POLLIN) != 0) eventfd_read(o->bench->conductor_fd, &news);
    return (fds[1].revents & POLLIN) != 0 && read(o->signal_fd, &info, sizeof info) > 0;
}

/* Words for the operator: what is going on. */
static const char *phase_words(enum bench_phase phase)
{
    static const char *const words[] = {
        [PHASE_NONE] = "",
        [PHASE_SUBSCRIBE] = "subscribers connect",
        [PHASE_CONNECT] = "publishers connect",
        [PHASE_WARM] = "warm-up",
        [PHASE_RUN] = "running",
        [PHASE_DRAIN] = "waiting for the rest",
        [PHASE_HOLD] = "holding",
        [PHASE_LEAVE] = "clients leave",
        [PHASE_RETURN] = "clients return",
        [PHASE_ASK] = "subscribers ask",
        [PHASE_CLEAR] = "clearing",
        [PHASE_FORGET] = "forgetting sessions",
        [PHASE_END] = "",
    };
    return words[phase];
}

/* One line that is written over again and again; none when no phase is given. */
static void tell(struct conductor *o, enum bench_phase phase, const struct view *v, uint64_t now_ns)
{
    if (!o->tells || (phase != PHASE_NONE && now_ns - o->told_at_ns < TELL_NS)) return;
    double seconds = (double)(now_ns - o->told_at_ns) / 1e9;
    if (phase == PHASE_NONE)
        fprintf(stderr, "\r%78s\r", "");
    else
        fprintf(stderr, "\r%-20s %7u clients  sent %10.0f/s  delivered %10.0f/s ", phase_words(phase),
                v->clients_ready, (double)(v->sent - o->told.sent) / seconds,
                (double)(v->delivered - o->told.delivered) / seconds);
    o->told_at_ns = now_ns;
    o->told = *v;
}

static enum bench_outcome run_phase(struct conductor *o, enum bench_phase phase)
{
    const struct bench *b = o->bench;
    uint64_t begin = bench_now_ns(), time_ns = time_of(b, phase), patience_ns = patience_of(b, phase);

    post(o->bench, phase);
    for (;;) {
        struct view v = look(o);
        uint64_t now = bench_now_ns(), spent = now - begin;
        tell(o, phase, &v, now);
        uint64_t since = v.progress_ns > begin ? v.progress_ns : begin;
        if (v.failed) return OUTCOME_FAILED;
        if (v.ready) return OUTCOME_READY;
        if (spent >= time_ns) return OUTCOME_TIME_UP;
        if (now > since && now - since >= patience_ns) return OUTCOME_STALLED;
        if (wait_for_news(o, time_ns == UINT64_MAX ? UINT64_MAX : time_ns - spent))
            return OUTCOME_INTERRUPTED;
    }
}

static void sample(struct conductor *o, int place)
{
    struct sample *s = &o->result->samples[place];
    s->own_cpu_s = proc_own_cpu_s();
    if (o->bench->conf.pid != 0) proc_read(o->bench->conf.pid, &s->broker);
}

/* One phase with the samples around it (place, place + 1; none below 0). False ends the run. */
static bool stage(struct conductor *o, enum bench_phase phase, int place)
{
    struct run_result *r = o->result;
    if (place >= 0) sample(o, place);
    enum bench_outcome outcome = run_phase(o, phase);
    if (place >= 0) sample(o, place + 1);

    bool connects =
        phase == PHASE_SUBSCRIBE || phase == PHASE_CONNECT || phase == PHASE_FORGET || phase == PHASE_LEAVE;
    if (outcome == OUTCOME_STALLED && connects) {
        uint32_t ready = look(o).clients_ready;
        snprintf(r->problem, sizeof r->problem,
                 "%u clients were %s when the broker stopped answering for %d s; see its log, its limits on "
                 "connections and open files, or try a smaller --connecting",
                 ready, phase == PHASE_LEAVE ? "still there" : "ready", CONNECT_STALL_MS / 1000);
        outcome = OUTCOME_FAILED;
    }
    r->failed = r->failed || outcome == OUTCOME_FAILED;
    r->interrupted = r->interrupted || outcome == OUTCOME_INTERRUPTED;
    return !r->failed && !r->interrupted;
}

static uint64_t last_ready_ns(const struct bench *b)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < b->worker_count; i++)
        if (b->workers[i].last_ready_ns > last) last = b->workers[i].last_ready_ns;
    return last;
}

/* A phase in which clients come or go, and what it took. */
static bool counted(struct conductor *o, enum bench_phase phase, struct spent *sum)
{
    uint64_t begin = bench_now_ns();
    bool go = stage(o, phase, SAMPLE_COUNTED);
    const struct sample *from = &o->result->samples[SAMPLE_COUNTED];
    const struct sample *to = &o->result->samples[SAMPLE_COUNTED_END];
    if (!go) return false;
    /* Read while no worker writes it: the phase's end was seen through every door. */
    sum->ns += last_ready_ns(o->bench) - begin;
    sum->broker_cpu_s += to->broker.cpu_s - from->broker.cpu_s;
    sum->own_cpu_s += to->own_cpu_s - from->own_cpu_s;
    return true;
}

/* The first wave has come. */
static void run_storm(struct conductor *o)
{
    struct run_result *r = o->result;
    bool go = counted(o, PHASE_LEAVE, &r->leave);
    for (uint64_t i = 1; go && i < o->bench->conf.waves; i++)
        go = counted(o, PHASE_SUBSCRIBE, &r->connect) && counted(o, PHASE_LEAVE, &r->leave);
    sample(o, SAMPLE_HOLD_END);
}

/* After Ctrl-C too. */
static void stage_unless_failed(struct conductor *o, enum bench_phase phase, int place)
{
    if (!o->result->failed) stage(o, phase, place);
}

static void run_live(struct conductor *o)
{
    struct bench *b = o->bench;
    bool go = stage(o, PHASE_CONNECT, -1);
    b->schedule_start_ns = bench_now_ns();
    if (go && b->conf.warmup > 0) go = stage(o, PHASE_WARM, -1);
    if (go) stage(o, PHASE_RUN, SAMPLE_RUN);
    stage_unless_failed(o, PHASE_DRAIN, -1); /* else what is under way would be lost */
    if (b->conf.scenario == BENCH_FLEET) stage_unless_failed(o, PHASE_LEAVE, -1);
    if (b->conf.scenario == BENCH_FLEET) stage_unless_failed(o, PHASE_RETURN, SAMPLE_RETURN);
    if (!b->plan.retains) return;
    stage_unless_failed(o, PHASE_ASK, SAMPLE_RETURN);
    stage_unless_failed(o, PHASE_LEAVE, -1);
    stage_unless_failed(o, PHASE_CLEAR, -1);
}

static void run_enqueue(struct conductor *o)
{
    struct bench *b = o->bench;
    bool go = stage(o, PHASE_LEAVE, -1) && stage(o, PHASE_CONNECT, -1);
    b->schedule_start_ns = bench_now_ns();
    if (go) stage(o, PHASE_RUN, SAMPLE_RUN);
    if (go && !o->result->failed) stage(o, PHASE_DRAIN, -1);
    sample(o, SAMPLE_RETURN);
}

/* The first phase connects the subscribers, but for --part drain, which has sessions to find. */
static void run_scenario(struct conductor *o)
{
    struct bench *b = o->bench;
    bool drains = b->conf.scenario == BENCH_OFFLINE && b->conf.part != BENCH_ENQUEUE;

    if (b->conf.part != BENCH_DRAIN) {
        if (!counted(o, PHASE_SUBSCRIBE, &o->result->connect)) return;
        if (b->conf.scenario == BENCH_HOLD)
            stage(o, PHASE_HOLD, SAMPLE_HOLD);
        else if (b->conf.scenario == BENCH_STORM)
            run_storm(o);
        else if (b->conf.scenario == BENCH_OFFLINE)
            run_enqueue(o);
        else
            run_live(o);
    }
    if (drains && !o->result->failed) stage(o, PHASE_RETURN, SAMPLE_RETURN);
    bool stays = b->conf.part == BENCH_ENQUEUE && !o->result->interrupted;
    if (b->plan.persistent && !stays && !o->result->failed) stage(o, PHASE_FORGET, -1);
}

static int open_signals(sigset_t *before)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    CHECK(pthread_sigmask(SIG_BLOCK, &ours, before) == 0); /* workers inherit it */
    int fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(fd >= 0);
    return fd;
}

static void start_workers(struct bench *b)
{
    for (uint32_t i = 0; i < b->worker_count; i++)
        CHECK(pthread_create(&b->workers[i].thread, NULL, worker_main, &b->workers[i]) == 0);
}

void bench_run(struct bench *b, struct run_result *out)
{
    sigset_t before;
    *out = (struct run_result){ 0 };
    struct conductor o = { .bench = b, .result = out, .signal_fd = open_signals(&before) };
    o.tells = isatty(STDERR_FILENO) == 1;
    o.told_at_ns = bench_now_ns();

    start_workers(b);
    sample(&o, SAMPLE_START);
    run_scenario(&o);

    tell(&o, PHASE_NONE, &o.told, bench_now_ns());
    post(b, PHASE_END);
    for (uint32_t i = 0; i < b->worker_count; i++) CHECK(pthread_join(b->workers[i].thread, NULL) == 0);
    close(o.signal_fd);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}
