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
#include "base/word.h"
#include "log/log_int.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Of records, each a struct log_record and its line. */
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
    size_t queue_bytes;

    struct shared_word wanted; /* as in a plan */
    struct log_publish publish;

    struct lock lock; /* guards from here ... */
    bool stamps;
    char stamp[LOG_STAMP_FORMAT_BYTES];
    struct log_plan *next; /* that the thread is to use */
    struct queue filling;
    struct rate rates[EVENTS_COUNT];
    uint64_t lost, lost_told;
    bool called, stopping, reopening, changing; /* ... to here */

    struct mailbox mailbox;
    struct mail call;
    struct thread thread;
    bool running, mailbox_is_open;

    /* The thread's own. */
    struct queue writing;
    struct log_plan *plan;
};

static unsigned bits_of(enum event e)
{
    unsigned kinds = log_event_kinds[e], bits = 1u << log_event_rows[e].level;
    if ((kinds & LOG_KIND_SUBSCRIBE) != 0) bits |= LOG_WANTS_SUBSCRIBE;
    if ((kinds & LOG_KIND_UNSUBSCRIBE) != 0) bits |= LOG_WANTS_UNSUBSCRIBE;
    return bits;
}

bool log_wants(const struct log *l, enum event e)
{
    unsigned wanted = l == NULL ? 0 : shared_word_get(&l->wanted);
    bool is_muted =
        (wanted & LOG_WANTS_NO_CONNECTIONS) != 0 && (log_event_kinds[e] & LOG_KIND_CONNECTION) != 0;
    return (wanted & bits_of(e)) != 0 && !is_muted;
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

/* A line of an event, and what a destination wants to know of it. */
struct written {
    struct log_record head;
    struct log_line line;
};

/* Appends, or counts the line as lost. */
static void append_locked(struct log *l, const struct written *w)
{
    if (sizeof w->head + w->line.len > l->queue_bytes - l->filling.used) {
        l->lost++;
        return;
    }
    memcpy(l->filling.at + l->filling.used, &w->head, sizeof w->head);
    memcpy(l->filling.at + l->filling.used + sizeof w->head, w->line.at, w->line.len);
    l->filling.used += sizeof w->head + w->line.len;
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

/* How a line begins. */
struct style {
    bool stamps;
    char stamp[LOG_STAMP_FORMAT_BYTES];
    uint64_t suppressed; /* of its kind since the last one */
};

static void style_locked(const struct log *l, struct style *out)
{
    out->stamps = l->stamps;
    out->suppressed = 0;
    memcpy(out->stamp, l->stamp, sizeof out->stamp);
}

static void write_fields(const struct log *l, struct written *w, const struct style *style, enum event e,
                         const struct log_field *fields)
{
    w->line.len = 0;
    w->line.cut = false;
    if (style->stamps) log_line_stamp(&w->line, style->stamp, clock_wall_ms(&l->clock));
    w->head = (struct log_record){
        .stamp = (uint16_t)w->line.len,
        .level = (uint8_t)log_event_rows[e].level,
        .kinds = log_event_kinds[e],
    };
    log_line_start(&w->line, e);
    if (style->suppressed > 0) log_line_add(&w->line, &LOG_NUM("suppressed", style->suppressed));
    for (; fields->key != NULL; fields++) log_line_add(&w->line, fields);
    log_line_end(&w->line, e);
    w->head.size = (uint16_t)w->line.len;
}

/* Who starts a broker looks at his terminal, wherever the log goes. Written at once: the process may be about
 * to end. */
static void tell_who_starts(const struct written *w)
{
    struct log_sink terminal = { .fd = STDERR_FILENO };
    (void)log_sink_write_fd(&terminal, &w->head, w->line.at); /* if he does not listen, he does not */
}

static bool is_for_who_starts(const struct log *l, enum event e)
{
    bool starts = l != NULL && (shared_word_get(&l->wanted) & LOG_WANTS_START) != 0;
    return starts && log_event_rows[e].level == LOG_LEVEL_ERROR;
}

void log_fields(struct log *l, enum event e, const struct log_field *fields)
{
    bool is_wanted = log_wants(l, e), tells = is_for_who_starts(l, e);
    if (!is_wanted && !tells) return;
    struct style style;
    lock_take(&l->lock);
    style_locked(l, &style);
    bool passes = rate_passes_locked(l, e, clock_mono_ms(&l->clock), &style.suppressed);
    lock_release(&l->lock);
    if (!passes) return;

    struct written w;
    write_fields(l, &w, &style, e, fields);
    if (tells) tell_who_starts(&w);
    if (!is_wanted) return;

    lock_take(&l->lock);
    append_locked(l, &w);
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

static uint64_t write_line(struct log *l, const struct log_record *r, const char *text)
{
    uint64_t failed = 0;
    for (size_t i = 0; i < l->plan->sinks_count; i++) {
        struct log_sink *s = &l->plan->sinks[i];
        if (!s->ops->write(s, r, text)) failed = 1;
    }
    return failed;
}

static void tell(struct log *l, enum event e, const struct log_field *fields)
{
    if (!log_wants(l, e)) return;
    struct style style;
    struct written w;
    lock_take(&l->lock);
    style_locked(l, &style);
    lock_release(&l->lock);
    write_fields(l, &w, &style, e, fields);
    write_line(l, &w.head, w.line.at);
}

static void tell_not_reopened(struct log *l, const struct log_sink *s)
{
    tell(l, EVENT_LOG_NOT_REOPENED,
         (const struct log_field[]){ LOG_STR("file", s->path == NULL ? "" : s->path), LOG_END_ });
}

/* What cannot be opened again goes on: a line in an old file is better than none. */
static void reopen_files(struct log *l)
{
    for (size_t i = 0; i < l->plan->sinks_count; i++) {
        struct log_sink *s = &l->plan->sinks[i], again = *s;
        again.fd = -1;
        if (s->ops->open(&again) != ERR_OK) {
            tell_not_reopened(l, s);
            continue;
        }
        int fd = again.fd;
        s->ops->close(s);
        s->fd = fd;
    }
}

static void use_plan(struct log *l, struct log_plan *next)
{
    log_plan_inherit(next, l->plan);
    for (size_t i = 0; i < next->sinks_count; i++) next->sinks[i].publish = &l->publish;
    log_plan_free(&l->plan);
    l->plan = next;
    for (size_t i = 0; i < next->sinks_count; i++)
        if (next->sinks[i].is_old) tell_not_reopened(l, &next->sinks[i]);
}

static void use_next(struct log *l)
{
    lock_take(&l->lock);
    struct log_plan *next = l->next;
    l->next = NULL;
    lock_release(&l->lock);
    if (next != NULL) use_plan(l, next);
}

/* Writes the thread's queue and says how many lines a destination refused. */
static uint64_t write_queue(struct log *l)
{
    uint64_t failed = 0;
    for (size_t at = 0; at < l->writing.used;) {
        struct log_record head;
        memcpy(&head, l->writing.at + at, sizeof head);
        if (head.size > 0)
            failed += write_line(l, &head, l->writing.at + at + sizeof head);
        else
            use_next(l);
        at += sizeof head + head.size;
    }
    l->writing.used = 0;
    return failed;
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
    bool changes = l->changing;
    l->changing = false;
    lock_release(&l->lock);

    if (reopening) reopen_files(l);
    if (changes) use_next(l);
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

static enum err queues_new(struct log *l, size_t queue_bytes)
{
    l->queue_bytes = queue_bytes > 0 ? queue_bytes : LOG_QUEUE_BYTES;
    l->filling.at = malloc(l->queue_bytes);
    l->writing.at = malloc(l->queue_bytes);
    return l->filling.at != NULL && l->writing.at != NULL ? ERR_OK : ERR_NOMEM;
}

static void take_style(struct log *l, const struct log_plan *p)
{
    l->stamps = p->stamps;
    memcpy(l->stamp, p->stamp, sizeof l->stamp);
    shared_word_set(&l->wanted, p->wanted);
}

enum err log_open(struct log **out, const struct log_conf *conf)
{
    *out = NULL;
    struct log *l = calloc(1, sizeof *l);
    if (l == NULL) return ERR_NOMEM;
    size_t bad;
    l->clock = *conf->clock;
    lock_init(&l->lock, LOCK_RANK_LOG);
    lock_init(&l->publish.lock, LOCK_RANK_LOG);

    enum err rc = queues_new(l, conf->queue_bytes);
    if (rc == ERR_OK) rc = log_plan_new(&l->next, conf, &bad);
    if (rc == ERR_OK) {
        take_style(l, l->next);
        use_plan(l, l->next);
        l->next = NULL;
    }
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

void log_started(struct log *l)
{
    shared_word_set(&l->wanted, shared_word_get(&l->wanted) & ~(unsigned)LOG_WANTS_START);
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
    log_plan_free(&l->plan);
    log_plan_free(&l->next);
    lock_fini(&l->publish.lock);
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

/* Between the lines before and those after: a record without a line. A queue that is full has no room for it.
 */
static bool append_change_locked(struct log *l)
{
    struct log_record none = { 0 };
    if (sizeof none > l->queue_bytes - l->filling.used) return false;
    memcpy(l->filling.at + l->filling.used, &none, sizeof none);
    l->filling.used += sizeof none;
    return true;
}

void log_change(struct log *l, struct log_plan **plan)
{
    struct log_plan *unused = NULL;
    lock_take(&l->lock);
    if (l->next != NULL) unused = l->next;
    l->next = *plan;
    l->changing |= !append_change_locked(l);
    take_style(l, *plan);
    *plan = NULL;
    bool call = call_locked(l);
    lock_release(&l->lock);
    log_plan_free(&unused);
    if (call) hand_over_call(l);
}

void log_publish(struct log *l, log_publisher *publisher, void *arg)
{
    lock_take(&l->publish.lock);
    l->publish.run = publisher;
    l->publish.arg = arg;
    lock_release(&l->publish.lock);
}
