/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that plugins call have no argument that says which broker they mean, and may be called by threads
 * of their own, even of a plugin that was left behind. So the way into the broker is one, and can be closed.
 */
#include "plugin/plugin_int.h"

static struct lock lock = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_RANK_PLUGINS };
static struct plugin_gate gate; /* from here on: guarded by the lock */
static bool is_open;
static unsigned users;
static struct mailbox *waiter; /* for the last one to leave */
static struct mail last_left;

static _Thread_local struct plugin *now;
static _Thread_local struct plugin_step *step_now;

struct plugin *plugin_now(void)
{
    return now;
}

struct plugin_step *plugin_step_now(void)
{
    return step_now;
}

void plugin_now_set(struct plugin *p, struct plugin_step *s)
{
    now = p;
    step_now = s;
}

bool plugins_enter(struct plugin_gate *out)
{
    lock_take(&lock);
    bool may = is_open;
    if (may) {
        users++;
        *out = gate;
    }
    lock_release(&lock);
    return may;
}

void plugins_leave(void)
{
    lock_take(&lock);
    struct mailbox *called = --users == 0 ? waiter : NULL;
    if (called != NULL) waiter = NULL;
    lock_release(&lock);
    if (called != NULL) mailbox_send(called, &last_left);
}

void plugins_gate_open(const struct plugin_gate *to)
{
    lock_take(&lock);
    gate = *to;
    is_open = true;
    lock_release(&lock);
}

/* Nobody stays inside for long: nothing there waits. */
void plugins_gate_close(void)
{
    struct plugins *all = NULL;
    lock_take(&lock);
    if (is_open) all = gate.plugins;
    is_open = false;
    if (all != NULL && users > 0) waiter = &all->main_mailbox;
    bool waits = waiter != NULL;
    lock_release(&lock);
    while (waits) {
        for (struct mail *m = mailbox_wait(&all->main_mailbox); m != NULL; m = m->next)
            if (m == &last_left) waits = false;
    }
}

struct plugin *plugin_of(const void *id)
{
    struct plugins *all = gate.plugins; /* does not change between plugins_enter and plugins_leave */
    for (size_t i = 0; i < all->count; i++)
        if (&all->at[i] == id) return &all->at[i];
    return NULL;
}
