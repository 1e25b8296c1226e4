/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers append whole lines to `filling`; the thread swaps it for the empty one and writes without the lock.
 * The mailbox carries one mail, the wake-up: whoever sets `called` hands it over, and the thread, having
 * taken it, clears `called` in the same critical section in which it takes the queue.
 *
 *   caller:  lock, append, called = true (was it false?), unlock, hand over if it was
 *   thread:  wait for mail, lock, called = false, swap, unlock, write
 */
#include "log/log.h"
#include "base/check.h"
#include "base/lock.h"
#include "base/mailbox.h"
#include "base/thread.h"
#include "log/log_int.h"
#include <errno.h>
#include <stdlib.h>

/* A record of the queue is this head and the line. */
struct record {
    uint32_t size;
    enum log_level level;
};

struct queue {
    char *at;
    size_t used;
};

/* How often a peer's event came since its last line. */
struct rate {
    uint64_t line_ms;
    uint64_t suppressed;
    bool seen;
};

struct log {
    /* Fixed after log_open. */
    struct clock clock;
    unsigned levels;
    bool timestamps;
    size_t queue_bytes;

    struct lock lock; /* guards from here ... */
    struct queue filling;
    struct rate rates[EVENTS_COUNT];
    uint64_t lost, lost_told;
    bool called, stopping, reopening; /* ... to here */

    struct mailbox mailbox;
    struct mail call;
    struct thread thread;
    bool running, mailbox_is_open;

    /* The thread's own. */
    struct queue writing;
    struct log_sink sinks[LOG_DESTS_MAX];
    size_t sinks_count;
};

bool log_wants(const struct log *l, enum event e)
{
    return l != NULL && (l->levels & 1u << log_event_rows[e].level) != 0;
}

/* True: write it, with *suppressed of its kind held back since the last line. */
static bool rate_passes_locked(struct log *l, enum event e, uint64_t now_ms, uint64_t *suppressed)
{
    struct rate *r = &l->rates[e];
    *suppressed = 0;
    if (!log_event_rows[e].peer) return true;
    if (r->seen && now_ms - r->line_ms < LOG_RATE_MS) {
        r->suppressed++;
        return false;
    }
    *suppressed = r->suppressed;
    *r = (struct rate){ .line_ms = now_ms, .seen = true };
    return true;
}

/* Appends, or counts the line as lost. */
static void append_locked(struct log *l, enum event e, const struct log_line *line)
{
    struct record head = { .size = (uint32_t)line->len, .level = log_event_rows[e].level };
    if (sizeof head + line->len > l->queue_bytes - l->filling.used) {
        l->lost++;
        return;
    }
    memcpy(l->filling.at + l->filling.used, &head, sizeof head);
    memcpy(l->filling.at + l->filling.used + sizeof head, line->at, line->len);
    l->filling.used += sizeof head + line->len;
}

/* True: the caller must hand the wake-up over once it has released the lock. */
static bool call_locked(struct log *l)
{
    bool first = !l->called;
    l->called = true;
    return first;
}

static void hand_over_call(struct log *l)
{
    struct outbox out = { 0 };
    outbox_put(&out, &l->call);
    mailbox_hand_over(&l->mailbox, &out);
}

static void line_begin(const struct log *l, struct log_line *line, enum event e)
{
    line->len = 0;
    line->cut = false;
    if (l->timestamps) log_line_stamp(line, clock_wall_ms(&l->clock));
    log_line_start(line, e);
}

void log_fields(struct log *l, enum event e, const struct log_field *fields)
{
    if (!log_wants(l, e)) return;
    uint64_t suppressed;
    lock_take(&l->lock);
    bool passes = rate_passes_locked(l, e, clock_mono_ms(&l->clock), &suppressed);
    lock_release(&l->lock);
    if (!passes) return;

    struct log_line line;
    line_begin(l, &line, e);
    if (suppressed > 0) log_line_add(&line, &LOG_NUM("suppressed", suppressed));
    for (; fields->key != NULL; fields++) log_line_add(&line, fields);
    log_line_end(&line, e);

    lock_take(&l->lock);
    append_locked(l, e, &line);
    bool call = call_locked(l);
    lock_release(&l->lock);
    if (call) hand_over_call(l);
}

uint64_t log_lost(struct log *l)
{
    lock_take(&l->lock);
    uint64_t lost = l->lost;
    lock_release(&l->lock);
    return lost;
}

/* --- the thread */

static uint64_t write_line(struct log *l, enum log_level level, const char *text, size_t n)
{
    uint64_t failed = 0;
    for (size_t i = 0; i < l->sinks_count; i++) {
        struct log_sink *s = &l->sinks[i];
        if (s->fd < 0 || !s->ops->write(s, level, text, n)) failed = 1;
    }
    return failed;
}

/* Writes the thread's queue and says how many lines a destination refused. */
static uint64_t write_queue(struct log *l)
{
    uint64_t failed = 0;
    for (size_t at = 0; at < l->writing.used;) {
        struct record head;
        memcpy(&head, l->writing.at + at, sizeof head);
        failed += write_line(l, head.level, l->writing.at + at + sizeof head, head.size);
        at += sizeof head + head.size;
    }
    l->writing.used = 0;
    return failed;
}

static void tell(struct log *l, enum event e, const struct log_field *fields)
{
    if (!log_wants(l, e)) return;
    struct log_line line;
    line_begin(l, &line, e);
    for (; fields->key != NULL; fields++) log_line_add(&line, fields);
    log_line_end(&line, e);
    write_line(l, log_event_rows[e].level, line.at, line.len);
}

static void reopen_files(struct log *l)
{
    for (size_t i = 0; i < l->sinks_count; i++) {
        struct log_sink *s = &l->sinks[i];
        s->ops->close(s);
        if (s->ops->open(s) != ERR_OK) s->fd = -1; /* its lines count as lost until the next reopen */
    }
}

/* One round: what came until now. False once it was asked to stop. */
static bool write_round(struct log *l)
{
    lock_take(&l->lock);
    struct queue full = l->filling;
    l->filling = l->writing;
    l->writing = full;
    l->called = false;
    bool stopping = l->stopping, reopening = l->reopening;
    l->reopening = false;
    uint64_t lost = l->lost - l->lost_told;
    l->lost_told = l->lost;
    lock_release(&l->lock);

    if (reopening) reopen_files(l);
    uint64_t failed = write_queue(l);
    if (lost > 0) tell(l, EVENT_LOG_LOST, (const struct log_field[]){ LOG_NUM("lines", lost), LOG_END_ });

    /* Told at the next round: now the destination would refuse again. */
    lock_take(&l->lock);
    l->lost += failed;
    lock_release(&l->lock);
    return !stopping;
}

static void run(void *arg)
{
    struct log *l = arg;
    bool more = true;
    while (more) {
        mailbox_wait(&l->mailbox);
        more = write_round(l);
    }
}

/* --- open and close */

static enum err sinks_open(struct log *l, const struct log_conf *conf)
{
    enum err rc = conf->dests_count <= LOG_DESTS_MAX ? ERR_OK : ERR_RANGE;
    for (size_t i = 0; rc == ERR_OK && i < conf->dests_count; i++) {
        struct log_sink *s = &l->sinks[i];
        s->ops = log_sink_find(conf->dests[i].sink);
        s->fd = -1;
        if (s->ops == NULL) return ERR_UNKNOWN;
        if (conf->dests[i].path != NULL) {
            s->path = strdup(conf->dests[i].path);
            if (s->path == NULL) return ERR_NOMEM;
        }
        l->sinks_count = i + 1;
        rc = s->ops->open(s);
    }
    return rc;
}

static enum err queues_new(struct log *l, size_t queue_bytes)
{
    l->queue_bytes = queue_bytes > 0 ? queue_bytes : LOG_QUEUE_BYTES;
    l->filling.at = malloc(l->queue_bytes);
    l->writing.at = malloc(l->queue_bytes);
    return l->filling.at != NULL && l->writing.at != NULL ? ERR_OK : ERR_NOMEM;
}

enum err log_open(struct log **out, const struct log_conf *conf)
{
    *out = NULL;
    struct log *l = calloc(1, sizeof *l);
    if (l == NULL) return ERR_NOMEM;
    l->clock = *conf->clock;
    l->levels = conf->dests_count > 0 ? conf->levels : 0;
    l->timestamps = conf->timestamps;
    lock_init(&l->lock, LOCK_RANK_LOG);

    enum err rc = queues_new(l, conf->queue_bytes);
    if (rc == ERR_OK) rc = sinks_open(l, conf);
    if (rc == ERR_OK) rc = mailbox_open(&l->mailbox);
    if (rc == ERR_OK) {
        l->mailbox_is_open = true;
        rc = thread_start(&l->thread, "log", run, l);
        l->running = rc == ERR_OK;
    }
    if (rc != ERR_OK) {
        int saved = errno; /* the caller says what the system refused */
        log_close(&l);
        errno = saved;
    }
    *out = l;
    return rc;
}

/* The last burst of a peer has no next line that would count it. */
static void tell_suppressed(struct log *l)
{
    for (unsigned e = 0; e < EVENTS_COUNT; e++) {
        if (l->rates[e].suppressed == 0) continue;
        tell(l, EVENT_LOG_SUPPRESSED,
             (const struct log_field[]){ LOG_STR("event", log_event_rows[e].name),
                                         LOG_NUM("suppressed", l->rates[e].suppressed), LOG_END_ });
    }
}

/* False: someone else did, or is about to. */
static bool stop_thread(struct log *l)
{
    lock_take(&l->lock);
    bool first = !l->stopping;
    l->stopping = true;
    bool call = first && call_locked(l);
    lock_release(&l->lock);
    if (!first) return false;
    if (call) hand_over_call(l);
    thread_join(&l->thread);
    tell_suppressed(l);
    return true;
}

bool log_finish(struct log *l)
{
    return l == NULL || stop_thread(l);
}

void log_close(struct log **owner)
{
    struct log *l = *owner;
    *owner = NULL;
    if (l == NULL) return;
    if (l->running) stop_thread(l);
    if (l->mailbox_is_open) mailbox_close(&l->mailbox);
    for (size_t i = 0; i < l->sinks_count; i++) l->sinks[i].ops->close(&l->sinks[i]);
    for (size_t i = 0; i < LOG_DESTS_MAX; i++) free(l->sinks[i].path);
    lock_fini(&l->lock);
    free(l->filling.at);
    free(l->writing.at);
    free(l);
}

void log_reopen(struct log *l)
{
    if (l == NULL) return;
    lock_take(&l->lock);
    l->reopening = true;
    bool call = call_locked(l);
    lock_release(&l->lock);
    if (call) hand_over_call(l);
}
