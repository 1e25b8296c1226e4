/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

enum {
    EVENTS_MAX = 512,
    NS_PER_MS = 1000000,
    TICK_NS = 250000000, /* how long we sleep with nothing to do: pings, the conductor's view of progress */
    RATE_TICK_NS =
        100000, /* open loop, many messages: what is due within this time leaves together; it counts */
    FLEET_TICK_NS = 10000000, /* who leaves and returns, or tries again */
    TIMER_SLACK_NS = 1000,
};

uint64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BENCH_NS_PER_S + (uint64_t)t.tv_nsec;
}

void worker_fail(struct worker *w, struct conn *c, const char *format, ...)
{
    char name[BENCH_CLIENT_ID_BYTES + 1], why[BENCH_PROBLEM_MAX - 64];
    va_list args;

    client_name(w->bench, c, name);
    conn_close(c);
    if (w->failed || w->phase == PHASE_END) return; /* the first is the one that explains */
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    snprintf(w->problem, sizeof w->problem, "client %s: %s", name, why);
    w->failed = true;
    w->publishing = false;
}

static uint64_t sleep_ns(const struct worker *w)
{
    const struct bench_conf *conf = &w->bench->conf;
    if (w->entered) return 0; /* a phase may be ready as soon as it begins */
    uint64_t most = conf->scenario == BENCH_FLEET || w->retry_count > 0 ? FLEET_TICK_NS : TICK_NS;
    if (!w->publishing || conf->rate == 0) return most;
    uint64_t due = send_due_ns(w->bench, w->schedule_next);
    uint64_t wait = due > w->now_ns ? due - w->now_ns : 0;
    if (wait < RATE_TICK_NS && conf->rate > BENCH_NS_PER_S / RATE_TICK_NS) return RATE_TICK_NS;
    return wait < most ? wait : most;
}

/* Passes the door: takes a new phase, leaves our state for the conductor. */
static void pass_door(struct worker *w)
{
    bool ready = phase_ready(w);
    enum bench_phase phase;

    pthread_mutex_lock(&w->door.lock);
    phase = w->door.phase;
    ready = ready && phase == w->phase;
    bool news = (ready && !w->door.ready) || (w->failed && !w->door.failed);
    w->door.ready = ready;
    if (w->failed && !w->door.failed) memcpy(w->door.problem, w->problem, sizeof w->problem);
    w->door.failed = w->failed;
    w->door.progress_ns = w->progress_ns;
    w->door.clients_ready = w->clients_ready;
    w->door.sent = w->counts.sent;
    w->door.delivered = w->counts.delivered;
    pthread_mutex_unlock(&w->door.lock);

    if (news) eventfd_write(w->bench->conductor_fd, 1);
    w->entered = phase != w->phase;
    if (w->entered) phase_enter(w, phase);
}

static void gather(const struct worker *w)
{
    bool loaded =
        w->publishing || w->phase == PHASE_DRAIN || w->phase == PHASE_RETURN || w->phase == PHASE_ASK;
    struct timespec wait = { .tv_nsec = (long)w->bench->conf.gather * 1000 };
    if (loaded && wait.tv_nsec > 0) nanosleep(&wait, NULL);
}

/* Older kernels, and valgrind, know milliseconds only: an open loop is less exact there. */
static int wait_events(const struct worker *w, struct epoll_event *events, uint64_t wait_ns)
{
    struct timespec wait = { .tv_sec = (time_t)(wait_ns / BENCH_NS_PER_S),
                             .tv_nsec = (long)(wait_ns % BENCH_NS_PER_S) };
    int n = epoll_pwait2(w->epoll_fd, events, EVENTS_MAX, &wait, NULL);
    if (n >= 0 || errno != ENOSYS) return n;
    return epoll_wait(w->epoll_fd, events, EVENTS_MAX, (int)(wait_ns / NS_PER_MS));
}

static void take_events(struct worker *w)
{
    struct epoll_event events[EVENTS_MAX];

    gather(w);
    int n = wait_events(w, events, sleep_ns(w));
    CHECK(n >= 0 || errno == EINTR);
    w->now_ns = bench_now_ns();
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr != NULL) {
            input_event(w, events[i].data.ptr, events[i].events);
            continue;
        }
        eventfd_t woken;
        eventfd_read(w->wake_fd, &woken);
    }
}

static void close_all(struct worker *w)
{
    struct bench *b = w->bench;
    for (uint32_t i = w->index; i < b->plan.publishers; i += b->worker_count)
        conn_close(&b->publishers[i].conn);
    for (uint32_t i = w->index; i < b->plan.subscribers; i += b->worker_count)
        conn_close(&b->subscribers[i].conn);
}

void *worker_main(void *arg)
{
    struct worker *w = arg;
    prctl(PR_SET_TIMERSLACK, (unsigned long)TIMER_SLACK_NS);
    w->now_ns = bench_now_ns();
    while (w->phase != PHASE_END) {
        take_events(w);
        pass_door(w);
        phase_step(w);
        send_turn(w);
    }
    close_all(w);
    return NULL;
}
