/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that looks after callbacks which take too long. It sleeps until the first of those that run
 * could be late; when none runs, for as long as one that begins now may take. So beginning one wakes nobody.
 */
#include "plugin/plugin_int.h"

enum { NS_A_MS = 1000000, SOONEST_MS = 5 };

/* Questions that go home when the lock has been released. */
struct homing {
    struct mail *first;
};

static void put(struct homing *h, struct hook_ask *a)
{
    a->mail.next = h->first;
    h->first = &a->mail;
}

static void send_home(struct homing *h)
{
    while (h->first != NULL) {
        struct mail *m = h->first;
        h->first = m->next;
        plugin_ask_home(CONTAINER(m, struct hook_ask, mail));
    }
}

/* It loses its question, and waits in `dead` to be freed. */
static void drop_locked(struct plugin_step *s, struct list *dead)
{
    s->is_taken = true;
    list_remove(&s->link);
    list_remove(&s->of_client);
    if (!s->has_rc) list_add(dead, &s->link); /* else it is on its way, and freed when it arrives */
}

static void drop_known_locked(const struct hook_ask *a, struct plugin_known *k, uint32_t *left,
                              struct list *dead)
{
    for (struct list *at = k->parked.next, *next; *left > 0 && at != &k->parked; at = next) {
        struct plugin_step *s = CONTAINER(at, struct plugin_step, of_client);
        next = at->next;
        if (s->ask != a) continue;
        drop_locked(s, dead);
        --*left;
    }
}

/* All steps of a question. There may be very many of others, so it looks first where they are likely to be.
 */
static void drop_parked_locked(struct plugin *p, const struct hook_ask *a, struct list *dead)
{
    struct plugin_known *k = a->client == NULL ? NULL : plugin_known_locked(p, a->client);
    uint32_t left = a->open - a->walkers;
    if (k != NULL) drop_known_locked(a, k, &left, dead);
    for (struct list *at = p->later.next, *next; left > 0 && at != &p->later; at = next) {
        struct plugin_step *s = CONTAINER(at, struct plugin_step, link);
        next = at->next;
        if (s->ask != a) continue;
        drop_locked(s, dead);
        left--;
    }
}

static void free_dead(struct list *dead)
{
    while (!list_empty(dead)) {
        struct plugin_step *s = CONTAINER(dead->next, struct plugin_step, link);
        list_remove(&s->link);
        plugin_step_unref(&s);
    }
}

/* With the plugin's lock held. */
static void take_locked(struct plugin *p, struct hook_ask *a, struct homing *home, struct list *dead)
{
    if (p->visitor == a) p->visitor = NULL;
    drop_parked_locked(p, a, dead);
    a->walkers = 0;
    plugin_ask_late(a);
    put(home, a);
}

/* A question that an event loop walks through is left alone until it has done so. */
static bool may_be_taken(const struct plugin *p, const struct hook_ask *a)
{
    return a->walkers == 0 || (a->walkers == 1 && p->visitor == a);
}

/* A will is asked about when its client ends, and is not the less to be sent. Of a client that is not known
 * nothing is parked that would end with it. */
static struct hook_ask *next_to_end_locked(struct plugin *p, const struct hook_client *client)
{
    struct plugin_known *k = client == NULL ? NULL : plugin_known_locked(p, client);
    struct list *all = client == NULL ? &p->later : k == NULL ? NULL : &k->parked;
    if (all == NULL) return NULL;
    for (struct list *at = all->next; at != all; at = at->next) {
        struct hook_ask *a = client == NULL ? CONTAINER(at, struct plugin_step, link)->ask
                                            : CONTAINER(at, struct plugin_step, of_client)->ask;
        bool ends = client == NULL || (a->client == client && a->about != HOOK_WILL);
        if (ends && may_be_taken(p, a)) return a;
    }
    return NULL;
}

void plugin_later_end(struct plugin *p, const struct hook_client *client)
{
    struct homing home = { 0 };
    struct list dead;
    list_init(&dead);
    lock_take(&p->lock);
    for (struct hook_ask *a; (a = next_to_end_locked(p, client)) != NULL;) take_locked(p, a, &home, &dead);
    lock_release(&p->lock);
    send_home(&home);
    free_dead(&dead);
}

void plugin_running_end(struct plugin *p)
{
    struct homing home = { 0 };
    struct list dead;
    list_init(&dead);
    lock_take(&p->lock);
    if (p->visitor != NULL && !plugin_is_news(p->visitor)) take_locked(p, p->visitor, &home, &dead);
    if (p->running != NULL) p->running->is_taken = true;
    lock_release(&p->lock);
    send_home(&home);
    free_dead(&dead);
}

void plugin_queue_end(struct plugin *p, bool all)
{
    struct homing home = { 0 };
    lock_take(&p->lock);
    struct mail *left = p->first;
    p->first = NULL;
    p->last = &p->first;
    p->waiting = 0;
    while (left != NULL) {
        struct hook_ask *a = CONTAINER(left, struct hook_ask, mail);
        left = left->next;
        if (plugin_is_news(a) || (a->about == HOOK_READ && !all)) {
            a->mail.next = NULL;
            *p->last = &a->mail;
            p->last = &a->mail.next;
            p->waiting++;
        } else {
            plugin_ask_late(a);
            put(&home, a);
        }
    }
    lock_release(&p->lock);
    send_home(&home);
}

/* --- the watch */

struct round {
    uint64_t now_ns, timeout_ns, next_ns;
    struct homing home;
    struct list dead;
    int late_event;              /* of the callback that has just become late; 0: none */
    bool is_stuck, is_stuck_now; /* the latter: and was not before */
};

static bool is_late(struct round *r, uint64_t began_ns, unsigned times)
{
    uint64_t due_ns = began_ns + times * r->timeout_ns;
    if (due_ns <= r->now_ns) return true;
    if (due_ns < r->next_ns) r->next_ns = due_ns;
    return false;
}

/* The callback that runs, and what waits behind one that has hung for twice its time. */
static void look_at_running(struct plugin *p, struct round *r)
{
    struct plugin_step *s = p->running;
    if (s == NULL || !is_late(r, s->began_ns, 1)) return;
    if (!s->is_taken) {
        s->is_taken = true;
        r->late_event = s->event;
        tally_add(&p->counts[s->event].late, 1);
        if (s->ask != NULL && !plugin_is_news(s->ask)) take_locked(p, s->ask, &r->home, &r->dead);
    }
    r->is_stuck = is_late(r, s->began_ns, 2);
    r->is_stuck_now = r->is_stuck && !p->is_stuck;
    p->is_stuck = r->is_stuck;
}

static void look_at_later(struct plugin *p, struct round *r)
{
    for (struct list *at = p->later.next; at != &p->later;) {
        struct plugin_step *s = CONTAINER(at, struct plugin_step, link);
        at = at->next;
        if (s->has_rc || !is_late(r, s->began_ns, 1) || !may_be_taken(p, s->ask)) continue;
        r->late_event = s->event;
        tally_add(&p->counts[s->event].late, 1);
        take_locked(p, s->ask, &r->home, &r->dead);
        at = p->later.next;
    }
}

static void look_at(struct plugin *p, struct round *r)
{
    r->home = (struct homing){ 0 };
    r->late_event = 0;
    r->is_stuck = r->is_stuck_now = false;
    list_init(&r->dead);
    lock_take(&p->lock);
    look_at_running(p, r);
    look_at_later(p, r);
    lock_release(&p->lock);
    if (r->late_event != 0)
        log_event(p->all->log, EVENT_PLUGIN_LATE, LOG_STR("plugin", p->name),
                  LOG_STR("event", plugin_event_name(r->late_event)),
                  LOG_NUM("plugin_timeout_ms", r->timeout_ns / NS_A_MS));
    if (r->is_stuck_now) log_event(p->all->log, EVENT_PLUGIN_STUCK, LOG_STR("plugin", p->name));
    send_home(&r->home);
    free_dead(&r->dead);
    if (r->is_stuck) plugin_queue_end(p, false);
}

/* -1: nothing is ever late. */
static int look_at_all(struct plugins *all)
{
    uint32_t timeout_ms = shared_word_get(&all->timeout_ms);
    struct round r = { .now_ns = plugin_clock_ns(), .timeout_ns = (uint64_t)timeout_ms * NS_A_MS };
    if (timeout_ms == 0) return -1;
    r.next_ns = r.now_ns + r.timeout_ns;
    for (size_t i = 0; i < all->count; i++) look_at(&all->at[i], &r);
    int ms = (int)((r.next_ns - r.now_ns) / NS_A_MS) + 1;
    return ms < SOONEST_MS ? SOONEST_MS : ms;
}

void plugins_watch(void *arg)
{
    struct plugins *all = arg;
    for (;;) {
        struct mail *m = mailbox_wait_for(&all->watch_mailbox, look_at_all(all));
        bool looks = false, stops = false;
        for (; m != NULL; m = m->next) {
            looks = looks || m == &all->watch_look;
            stops = stops || m == &all->watch_stop;
        }
        if (looks) mailbox_send(&all->main_mailbox, &all->watch_looked);
        if (stops) return;
    }
}
