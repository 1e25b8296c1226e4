/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's thread. Questions stand in a queue of their own, so that the watch can empty it while a callback
 * hangs; the mailbox wakes the thread, and brings everything else.
 */
#include "base/check.h"
#include "plugin/plugin_int.h"
#include <stdlib.h>

enum { TICK_MS = 100 }; /* as often as mosquitto's loop turns when it has nothing to do */

static bool may_be_refused(const struct hook_ask *a)
{
    return a->about == HOOK_LOGIN || a->about == HOOK_AUTH_START || a->about == HOOK_AUTH_AGAIN ||
           a->about == HOOK_AUTH_MORE;
}

/* HOOK_DEFER: it may be put. A delivery waits rather than be asked for again and again, and whoever is gone
 * must be told of. */
static enum hook_verdict refused_locked(const struct plugin *p, const struct hook_ask *a, bool is_new)
{
    bool can_wait = a->about == HOOK_READ || plugin_is_news(a);
    if (p->is_ended || ((p->stops || p->is_stuck) && !can_wait)) return HOOK_LATE;
    if (p->stops && a->about == HOOK_READ) return HOOK_LATE;
    bool is_full = p->waiting >= shared_word_get(&p->all->queue_max);
    return is_new && is_full && may_be_refused(a) ? HOOK_BUSY : HOOK_DEFER;
}

bool plugin_queue_put(struct plugin *p, struct hook_ask *a, bool is_new)
{
    bool calls = false;
    lock_take(&p->lock);
    enum hook_verdict refused = refused_locked(p, a, is_new);
    if (refused == HOOK_DEFER) {
        a->mail.next = NULL;
        *p->last = &a->mail;
        p->last = &a->mail.next;
        p->waiting++;
        calls = !p->is_called;
        p->is_called = true;
    }
    lock_release(&p->lock);
    if (calls) mailbox_send(&p->mailbox, &p->call);
    if (refused == HOOK_LATE) plugin_ask_late(a);
    if (refused == HOOK_BUSY) a->verdict = HOOK_BUSY;
    return refused == HOOK_DEFER;
}

static struct hook_ask *queue_take(struct plugin *p)
{
    lock_take(&p->lock);
    struct mail *m = p->first;
    if (m != NULL) {
        p->first = m->next;
        if (p->first == NULL) p->last = &p->first;
        p->waiting--;
    }
    lock_release(&p->lock);
    return m == NULL ? NULL : CONTAINER(m, struct hook_ask, mail);
}

static void answer_one(struct plugin *p, struct hook_ask *a)
{
    if (plugin_ask_on(a, p)) plugin_ask_home(a);
}

/* --- what is no question */

static void run_event(struct plugin *p, int event)
{
    struct plugin_step *s = plugin_step_new(p, NULL, event);
    if (s == NULL) return;
    s->is_own = true;
    plugin_step_run(s);
    plugin_step_unref(&s);
}

struct reload {
    struct mail mail;
    struct plugin_opts *opts; /* NULL: the same as before */
};

bool plugin_send_reload(struct plugin *p, struct plugin_opts *opts)
{
    struct reload *r = calloc(1, sizeof *r);
    if (r == NULL) return false;
    r->mail.kind = PLUGIN_MAIL_RELOAD;
    r->opts = opts;
    mailbox_send(&p->mailbox, &r->mail);
    return true;
}

/* What it has said before may hold no more. */
static void forget_verdicts(void)
{
    struct plugin_gate gate;
    if (!plugins_enter(&gate)) return;
    gate.broker->forget(gate.broker->ctx);
    plugins_leave();
}

static void run_reload(struct plugin *p, struct reload *r)
{
    if (r->opts != NULL) {
        r->opts->before = p->opts;
        p->opts = r->opts;
    }
    free(r);
    run_event(p, MOSQ_EVT_RELOAD);
    forget_verdicts();
}

/* --- its life */

static void tell(struct plugin *p, struct mail *what)
{
    mailbox_send(&p->all->main_mailbox, what);
}

static void clean_up(struct plugin *p)
{
    p->cleanup(p->userdata, p->opts->at, p->opts->count);
    plugin_ext_end(p);
}

/* False: it was the last. */
static bool open_mail(struct plugin *p, struct mail *mail)
{
    switch (mail->kind) {
    case PLUGIN_MAIL_CALL:
        lock_take(&p->lock);
        p->is_called = false;
        lock_release(&p->lock);
        break;
    case PLUGIN_MAIL_STEP: plugin_step_go_on(CONTAINER(mail, struct plugin_step, mail)); break;
    case PLUGIN_MAIL_RELOAD: run_reload(p, CONTAINER(mail, struct reload, mail)); break;
    case PLUGIN_MAIL_STOP: p->says_idle = true; break;
    case PLUGIN_MAIL_CLEAN: return false;
    default: plugin_ext_mail(p, mail); break;
    }
    return true;
}

static bool open_all(struct plugin *p, struct mail *mail)
{
    bool goes_on = true;
    while (mail != NULL) {
        struct mail *next = mail->next;
        goes_on = open_mail(p, mail) && goes_on;
        mail = next;
    }
    return goes_on;
}

/* How long the thread may sleep; -1: until there is mail. Ticks when it is time. */
static int tick(struct plugin *p, uint64_t *next_ns)
{
    const uint64_t ns_a_ms = 1000000;
    if (!plugin_is_registered(p, MOSQ_EVT_TICK)) return -1;
    uint64_t now_ns = plugin_clock_ns();
    if (now_ns >= *next_ns) {
        run_event(p, MOSQ_EVT_TICK);
        now_ns = plugin_clock_ns();
        *next_ns = now_ns + TICK_MS * ns_a_ms;
    }
    return (int)((*next_ns - now_ns) / ns_a_ms) + 1;
}

/* Nothing waits, and no verdict is to come: main may want to know. */
static void say_idle(struct plugin *p)
{
    lock_take(&p->lock);
    bool is_idle = p->first == NULL && list_empty(&p->later);
    lock_release(&p->lock);
    if (!is_idle) return;
    p->says_idle = false;
    tell(p, &p->told_idle);
}

/* From now on nobody is told who is gone. */
static struct hook_ask *take_last(struct plugin *p)
{
    struct hook_ask *a = queue_take(p);
    lock_take(&p->lock);
    p->is_ended = a == NULL && p->first == NULL;
    lock_release(&p->lock);
    return a;
}

static void serve(struct plugin *p)
{
    uint64_t next_tick_ns = 0;
    bool goes_on = true;
    while (goes_on) {
        int wait_ms = tick(p, &next_tick_ns);
        struct hook_ask *a = queue_take(p);
        if (a != NULL) answer_one(p, a);
        if (p->says_idle) say_idle(p);
        struct mail *mail = a != NULL ? mailbox_take(&p->mailbox) : mailbox_wait_for(&p->mailbox, wait_ms);
        goes_on = open_all(p, mail);
    }
    while (!p->is_ended) {
        struct hook_ask *a = take_last(p);
        if (a != NULL) answer_one(p, a);
    }
}

/* It stops: nobody else comes in, and what is left open after that is open for good. */
static void wait_unvisited(struct plugin *p)
{
    bool waits = true;
    while (waits) {
        lock_take(&p->lock);
        waits = p->visits > 0;
        lock_release(&p->lock);
        open_all(p, waits ? mailbox_wait(&p->mailbox) : mailbox_take(&p->mailbox));
    }
    plugin_later_end(p, NULL);
}

void plugin_run(void *arg)
{
    struct plugin *p = arg;
    plugin_now_set(p, NULL);
    p->is_ready = plugin_load(p) == ERR_OK;
    tell(p, &p->told);
    if (!p->is_ready) return;
    serve(p);
    wait_unvisited(p);
    clean_up(p);
    tell(p, &p->told);
}
