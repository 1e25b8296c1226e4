/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs stand in one queue under a lock, so that a long one holds up nobody but its own thread. A thread that
 * finds no job says that it is idle, and sleeps on a mailbox that never brings anything but its own `call`;
 * whoever puts a job takes one of the idle and hands it that.
 */
#include "worker/worker.h"
#include "base/check.h"
#include "base/lock.h"
#include "base/thread.h"
#include <stdio.h>
#include <stdlib.h>

struct worker {
    struct workers *all;
    struct worker *next_idle;
    struct mailbox mailbox;
    struct mail call;
    struct thread thread;
    bool is_open, runs;
};

struct workers {
    struct workers_conf conf;
    struct worker at[WORKERS_MAX];

    struct lock lock; /* guards from here ... */
    struct work *first, **last;
    uint32_t waiting;
    struct worker *idle;
    bool stopping; /* ... to here */
};

/* NULL: none now, and the worker will be called; or, with *ends, never again. */
static struct work *take(struct worker *me, bool *ends)
{
    struct workers *s = me->all;
    lock_take(&s->lock);
    struct work *w = s->first;
    *ends = w == NULL && s->stopping;
    if (w != NULL) {
        s->first = w->next;
        if (s->first == NULL) s->last = &s->first;
        s->waiting--;
    } else if (!s->stopping) {
        me->next_idle = s->idle;
        s->idle = me;
    }
    lock_release(&s->lock);
    return w;
}

static void loop(void *arg)
{
    struct worker *me = arg;
    bool ends;
    for (;;) {
        struct work *w = take(me, &ends);
        if (ends) return;
        if (w == NULL) {
            mailbox_wait(&me->mailbox);
            continue;
        }
        w->run(w);
        w->is_done = true;
        mailbox_send(w->to, &w->mail);
    }
}

static struct worker *idle_take_locked(struct workers *s)
{
    struct worker *one = s->idle;
    if (one != NULL) s->idle = one->next_idle;
    return one;
}

enum err workers_put(struct workers *s, struct work *w)
{
    struct worker *called = NULL;
    lock_take(&s->lock);
    bool is_full = s->stopping || s->waiting >= s->conf.waiting_max;
    if (!is_full) {
        w->next = NULL;
        w->is_done = false;
        *s->last = w;
        s->last = &w->next;
        s->waiting++;
        called = idle_take_locked(s);
    }
    lock_release(&s->lock);
    if (called != NULL) mailbox_send(&called->mailbox, &called->call);
    return is_full ? ERR_FULL : ERR_OK;
}

static enum err start_one(struct workers *s, unsigned i)
{
    struct worker *one = &s->at[i];
    char name[16];
    one->all = s;
    enum err rc = mailbox_open(&one->mailbox);
    if (rc != ERR_OK) return rc;
    one->is_open = true;
    snprintf(name, sizeof name, "worker %hhu", (unsigned char)i);
    rc = thread_start(&one->thread, name, loop, one);
    one->runs = rc == ERR_OK;
    return rc;
}

enum err workers_start(struct workers **out, const struct workers_conf *conf)
{
    CHECK(conf->threads >= 1 && conf->threads <= WORKERS_MAX);
    struct workers *s = calloc(1, sizeof *s);
    *out = s;
    if (s == NULL) return ERR_NOMEM;
    s->conf = *conf;
    s->last = &s->first;
    lock_init(&s->lock, LOCK_RANK_WORKERS);
    enum err rc = ERR_OK;
    for (unsigned i = 0; i < conf->threads && rc == ERR_OK; i++) rc = start_one(s, i);
    if (rc != ERR_OK) workers_free(out);
    return rc;
}

void workers_stop(struct workers *s)
{
    lock_take(&s->lock);
    struct work *left = s->first;
    struct worker *idle = s->idle;
    s->first = NULL;
    s->last = &s->first;
    s->waiting = 0;
    s->idle = NULL;
    s->stopping = true;
    lock_release(&s->lock);

    while (left != NULL) {
        struct work *w = left;
        left = w->next;
        mailbox_send(w->to, &w->mail);
    }
    for (struct worker *one = idle; one != NULL; one = one->next_idle)
        mailbox_send(&one->mailbox, &one->call);
    for (unsigned i = 0; i < s->conf.threads; i++) {
        if (s->at[i].runs) thread_join(&s->at[i].thread);
        s->at[i].runs = false;
    }
}

void workers_free(struct workers **owner)
{
    struct workers *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    workers_stop(s);
    for (unsigned i = 0; i < s->conf.threads; i++)
        if (s->at[i].is_open) mailbox_close(&s->at[i].mailbox);
    lock_fini(&s->lock);
    free(s);
}
