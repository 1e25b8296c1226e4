/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/plugin_int.h"
#include <stdlib.h>
#include <time.h>

uint64_t plugin_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct plugin_step *plugin_step_new(struct plugin *p, struct hook_ask *a, int event)
{
    struct plugin_step *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    ref_init(&s->ref, 1);
    list_init(&s->link);
    list_init(&s->of_client);
    s->plugin = p;
    s->event = event;
    s->ask = a;
    if (a != NULL) ref_add(&a->ref, 1);
    return s;
}

void plugin_step_unref(struct plugin_step **owner)
{
    struct plugin_step *s = *owner;
    *owner = NULL;
    if (s == NULL || !ref_drop(&s->ref)) return;
    plugin_ext_step_end(s);
    if (s->callbacks != NULL) plugin_event_end(s);
    plugin_list_unref(&s->callbacks);
    free(s->result.reason);
    for (size_t i = 0; i < 3; i++)
        if (s->result.has[i]) free((void *)(uintptr_t)s->result.changed[i].at);
    free((void *)(uintptr_t)s->result.answer.at);
    if (s->client != NULL) hook_client_unref(&s->client);
    if (s->msg != NULL) msg_unref(&s->msg);
    hook_ask_unref(&s->ask);
    free(s);
}

static bool may_come_later(const struct plugin_step *s)
{
    return s->event == MOSQ_EVT_BASIC_AUTH || s->event == MOSQ_EVT_EXT_AUTH_START ||
           s->event == MOSQ_EVT_EXT_AUTH_CONTINUE || s->event == MOSQ_EVT_ACL_CHECK ||
           s->event == MOSQ_EVT_PSK_KEY;
}

bool plugin_step_later(struct plugin_step *s)
{
    lock_take(&s->plugin->lock);
    bool may = may_come_later(s) && !s->is_later && !s->is_taken;
    if (may) {
        s->is_later = true;
        ref_add(&s->ref, 1);
    }
    lock_release(&s->plugin->lock);
    return may;
}

bool plugin_step_answer(struct plugin_step *s, int rc, void *ext)
{
    struct plugin *p = s->plugin;
    lock_take(&p->lock);
    bool counts = s->is_later && !s->is_taken && !s->has_rc;
    bool goes_on = counts && s->is_parked;
    if (counts) {
        s->has_rc = true;
        s->rc = rc;
        s->ext = ext;
    }
    s->mail.kind = PLUGIN_MAIL_STEP; /* which has the reference that the list of parked ones had */
    lock_release(&p->lock);
    if (goes_on) mailbox_send(&p->mailbox, &s->mail);
    plugin_step_unref(&s);
    return counts;
}

static void begin(struct plugin_step *s)
{
    struct plugin *p = s->plugin;
    uint64_t now_ns = plugin_clock_ns();
    plugin_now_set(p, s);
    lock_take(&p->lock);
    s->began_ns = now_ns;
    if (s->ask == NULL || plugin_is_news(s->ask)) s->is_taken = false; /* nobody waits: each has its time */
    if (s->is_own) p->running = s;
    lock_release(&p->lock);
}

static void park_locked(struct plugin_step *s)
{
    struct plugin *p = s->plugin;
    struct plugin_known *k = s->client == NULL ? NULL : plugin_known_locked(p, s->client);
    s->is_parked = true;
    s->ask->open += s->is_open ? 0 : 1;
    s->is_open = true;
    list_add(&p->later, &s->link);
    if (k != NULL) list_add(&k->parked, &s->of_client);
}

enum called { CALLED, PARKED, TAKEN };

static enum called end_or_park(struct plugin_step *s, int *rc)
{
    struct plugin *p = s->plugin;
    bool parks = false;
    lock_take(&p->lock);
    bool is_taken = s->is_taken;
    if (s->is_own) {
        p->running = NULL;
        p->is_stuck = false;
    }
    if (*rc == PLUGIN_LATER && s->is_later) {
        parks = !s->has_rc && !s->is_taken && !p->stops;
        *rc = s->has_rc ? s->rc : MOSQ_ERR_UNKNOWN;
        s->is_later = parks; /* else the next callback may promise again */
        s->has_rc = false;
    } else {
        s->has_rc = s->is_later; /* it has decided itself: what it has promised does not count */
    }
    if (parks) park_locked(s);
    lock_release(&p->lock);
    return parks ? PARKED : is_taken ? TAKEN : CALLED;
}

static bool is_for(const struct plugin_callback *c, const struct plugin_step *s)
{
    if (shared_word_get(&c->is_gone) != 0) return false;
    return c->topic == NULL || bytes_equal(bytes_of_text(c->topic), s->topic);
}

/* The callback at s->at. */
static enum called call(struct plugin_step *s, int *rc)
{
    const struct plugin_callback *c = s->callbacks->at[s->at];
    struct plugin *before = plugin_now();
    struct plugin_step *step_before = plugin_step_now();
    begin(s);
    uint64_t began_ns = s->began_ns;
    struct plugin_count *counts = &s->plugin->counts[s->event];
    tally_add(&counts->calls, 1);
    *rc = c->run(s->event, &s->event_data, c->userdata);
    tally_add(&counts->nanoseconds, plugin_clock_ns() - began_ns);
    plugin_now_set(before, step_before);
    return end_or_park(s, rc);
}

static bool take(struct plugin_step *s, int rc)
{
    bool is_decided = plugin_event_take(s, rc);
    if (s->ext != NULL) plugin_ext_step_take(s);
    return is_decided;
}

/* A callback's result, and those behind it. */
static bool run_from(struct plugin_step *s, bool has_rc, int rc)
{
    while (s->at < s->callbacks->count) {
        if (!has_rc && is_for(s->callbacks->at[s->at], s)) {
            enum called called = call(s, &rc);
            if (called != CALLED) return called == TAKEN; /* what is left to ask for is nobody's business */
            has_rc = true;
        }
        if (has_rc && take(s, rc)) return true;
        has_rc = false;
        s->at++;
    }
    return true;
}

bool plugin_step_run(struct plugin_step *s)
{
    if (s->callbacks != NULL) {
        int rc = s->rc; /* that has come later */
        s->is_later = s->is_parked = s->has_rc = false;
        return run_from(s, true, rc);
    }
    s->callbacks = plugin_list_hold(s->plugin, s->event);
    if (s->callbacks == NULL) return true;
    if (!plugin_event_make(s)) {
        s->result.verdict = HOOK_DENY;
        s->result.code = 0x97;
        return true;
    }
    return run_from(s, false, 0);
}
