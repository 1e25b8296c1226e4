/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"

enum {
    SCRATCH_BYTES = 262144,
    SPARE_FDS = 64, /* ours beside the clients: epoll, eventfd, /proc, stdio */
    PACKET_OVERHEAD_MAX = 1024,
    PACKET_IDS = 65536,
};

static enum err check_fd_limit(const struct bench *b, char *problem)
{
    struct rlimit limit;
    uint64_t need = (uint64_t)b->plan.publishers + b->plan.subscribers + SPARE_FDS + 2 * b->conf.threads;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need) return ERR_OK;
    if (limit.rlim_max >= need) {
        limit.rlim_cur = need;
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return ERR_OK;
    }
    snprintf(problem, BENCH_PROBLEM_MAX,
             "--clients %" PRIu64 " needs %" PRIu64 " open files and the limit is %" PRIu64
             "; raise it (ulimit -n %" PRIu64 ", the broker's too) or ask for fewer clients",
             b->conf.clients, need, (uint64_t)limit.rlim_max, need);
    return ERR_FULL;
}

static enum err check_pid(const struct bench *b, char *problem)
{
    struct proc_sample sample;
    if (b->conf.pid == 0 || proc_read(b->conf.pid, &sample) == ERR_OK) return ERR_OK;
    snprintf(problem, BENCH_PROBLEM_MAX,
             "--pid: there is no process %" PRIu64 " on this machine; give the broker's, or leave --pid out",
             b->conf.pid);
    return ERR_NOTFOUND;
}

static void *room_for(size_t count, size_t size)
{
    void *at = calloc(count > 0 ? count : 1, size);
    CHECK(at != NULL);
    return at;
}

static uint32_t tracks_of(const struct bench_plan *plan)
{
    return plan->shared_topic ? plan->streams : 1;
}

static void setup_clients(struct bench *b)
{
    b->publishers = room_for(b->plan.publishers, sizeof *b->publishers);
    b->subscribers = room_for(b->plan.subscribers, sizeof *b->subscribers);
    b->stream_sent = room_for(b->plan.streams, sizeof *b->stream_sent);
    for (uint32_t i = 0; b->conf.part == BENCH_DRAIN && i < b->plan.streams; i++)
        b->stream_sent[i] = bench_share_of(&b->plan, i);
    for (uint32_t i = 0; i < b->plan.publishers; i++) {
        struct publisher *p = &b->publishers[i];
        p->conn = (struct conn){ .wire.fd = -1, .is_publisher = true, .index = i };
        p->stream = i;
        p->quota = bench_quota_of(&b->plan, i);
        flow_init(&p->flow, b->plan.window);
        publisher_prepare(b, p, b->conf.size);
    }
    if (b->plan.group) b->group_tracks = room_for(b->plan.streams, sizeof *b->group_tracks);
    for (uint32_t i = 0; i < b->plan.subscribers; i++) {
        struct subscriber *s = &b->subscribers[i];
        s->conn = (struct conn){ .wire.fd = -1, .index = i };
        s->tracks = room_for(tracks_of(&b->plan), sizeof(struct track));
        if (b->plan.retains) s->seen = room_for((b->plan.streams + 63) / 64, sizeof *s->seen);
        if (b->plan.persistent && b->conf.qos == 2)
            s->open_ids = room_for(PACKET_IDS / 64, sizeof *s->open_ids);
    }
}

static void setup_worker(struct bench *b, struct worker *w)
{
    w->bench = b;
    w->scratch_bytes = SCRATCH_BYTES + 2 * (b->conf.size + PACKET_OVERHEAD_MAX);
    w->scratch = room_for(w->scratch_bytes, 1);
    w->flush = room_for(b->plan.publishers + b->plan.subscribers, sizeof *w->flush);
    w->fill = room_for(b->plan.publishers, sizeof *w->fill);
    if (b->conf.scenario == BENCH_FLEET) w->away = room_for(b->plan.subscribers, sizeof *w->away);
    if (b->conf.retry > 0) w->retry = room_for(b->plan.publishers + b->plan.subscribers, sizeof *w->retry);
    w->outbox = room_for(b->worker_count, sizeof *w->outbox);
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(w->epoll_fd >= 0);
    CHECK(w->wake_fd >= 0);
    CHECK(pthread_mutex_init(&w->door.lock, NULL) == 0);
    struct epoll_event want = { .events = EPOLLIN, .data.ptr = NULL };
    CHECK(epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &want) == 0);
}

static uint32_t run_name(const struct bench_conf *conf)
{
    if (conf->seed != 0) return (uint32_t)conf->seed;
    uint64_t here[2] = { bench_now_ns(), (uint64_t)getpid() };
    return (uint32_t)bytes_hash(bytes_of(here, sizeof here), 0);
}

enum err bench_setup(struct bench *b, char *problem)
{
    b->plan = bench_plan_of(&b->conf);
    b->version = b->conf.version == 0 ? MQTT_V311 : MQTT_V5;
    b->run = run_name(&b->conf);
    b->target.sources = (uint32_t)b->conf.sources;
    b->target.is_websocket = b->conf.websockets != 0;
    b->target.host = b->conf.host;
    b->conductor_fd = -1;

    enum err rc = check_fd_limit(b, problem);
    if (rc == ERR_OK) rc = check_pid(b, problem);
    if (rc == ERR_OK)
        rc = bench_target_find(&b->target, b->conf.host, (uint16_t)b->conf.port, problem, BENCH_PROBLEM_MAX);
    if (rc == ERR_OK && b->conf.tls != 0)
        rc = bench_wire_tls_new(&b->target.tls, b->conf.cafile, b->conf.insecure == 0, problem,
                                BENCH_PROBLEM_MAX);
    if (rc != ERR_OK) return rc;

    setup_clients(b);
    b->conductor_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(b->conductor_fd >= 0);
    b->worker_count = (uint32_t)b->conf.threads;
    b->workers = room_for(b->worker_count, sizeof *b->workers);
    for (uint32_t i = 0; i < b->worker_count; i++) {
        b->workers[i].index = i;
        setup_worker(b, &b->workers[i]);
    }
    return ERR_OK;
}

static void fini_worker(struct bench *b, struct worker *w)
{
    for (uint32_t i = 0; i < b->worker_count; i++) free(w->outbox[i].at);
    free(w->door.credits.at);
    free(w->outbox);
    free(w->away);
    free(w->retry);
    free(w->fill);
    free(w->flush);
    free(w->scratch);
    close(w->epoll_fd);
    close(w->wake_fd);
    pthread_mutex_destroy(&w->door.lock);
}

void bench_fini(struct bench *b)
{
    for (uint32_t i = 0; i < b->worker_count; i++) fini_worker(b, &b->workers[i]);
    for (uint32_t i = 0; b->publishers != NULL && i < b->plan.publishers; i++) {
        conn_free_buffers(&b->publishers[i].conn);
        flow_fini(&b->publishers[i].flow);
        free(b->publishers[i].packet);
    }
    for (uint32_t i = 0; b->subscribers != NULL && i < b->plan.subscribers; i++) {
        struct subscriber *s = &b->subscribers[i];
        for (uint32_t k = 0; k < tracks_of(&b->plan); k++) track_fini(&s->tracks[k]);
        conn_free_buffers(&s->conn);
        free(s->tracks);
        free(s->seen);
        free(s->open_ids);
    }
    if (b->conductor_fd >= 0) close(b->conductor_fd);
    free(b->publishers);
    free(b->subscribers);
    for (uint32_t i = 0; b->group_tracks != NULL && i < b->plan.streams; i++) track_fini(&b->group_tracks[i]);
    free(b->group_tracks);
    bench_wire_tls_free(&b->target.tls);
    free(b->stream_sent);
    free(b->workers);
    *b = (struct bench){ .conductor_fd = -1 };
}
