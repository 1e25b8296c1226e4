/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question on its way through the plugins of its door.
 *
 *   plugin_ask_on: next plugin -> visit: steps -> all decided? -> next phase, or answered
 *                              -> its queue                    -> else the next plugin
 *
 * Who walks through a question counts as one of those that have it `open`; each step whose verdict comes
 * later is another one. The last of them goes on.
 */
#include "plugin/plugin_int.h"
#include "topic/topic.h"
#include <stdlib.h>
#include <string.h>

enum { PHASE_FIRST, PHASE_CONTENT }; /* the latter: CONTROL or MESSAGE */
enum { NOT_AUTHORIZED = 0x87, QUOTA_EXCEEDED = 0x97 };

static struct plugin_chain *chain_of(const struct hook_ask *a)
{
    return CONTAINER(a->hooks, struct plugin_chain, hooks);
}

/* --- questions of several items */

static bool has_items(const struct hook_ask *a)
{
    return a->about == HOOK_READ || a->about == HOOK_SUBSCRIBE || a->about == HOOK_UNSUBSCRIBE;
}

static size_t items_count(struct hook_ask *a)
{
    if (a->about == HOOK_READ) return CONTAINER(a, struct hook_reads, ask)->count;
    return has_items(a) ? CONTAINER(a, struct hook_filters, ask)->count : 1;
}

static struct hook_read *read_at(struct hook_ask *a, size_t i)
{
    struct hook_reads *r = CONTAINER(a, struct hook_reads, ask);
    return r->item(r, i);
}

static uint8_t *verdict_at(struct hook_ask *a, size_t i)
{
    if (a->about == HOOK_READ) return &read_at(a, i)->verdict;
    return has_items(a) ? &CONTAINER(a, struct hook_filters, ask)->at[i].verdict : &a->verdict;
}

static uint8_t fallback_at(struct hook_ask *a, size_t i)
{
    if (a->about == HOOK_READ) return read_at(a, i)->fallback;
    return (uint8_t)CONTAINER(a, struct hook_filters, ask)->fallback;
}

static void decide_rest(struct hook_ask *a, enum hook_verdict verdict)
{
    size_t count = items_count(a);
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = verdict_at(a, i);
        if (*at == HOOK_DEFER) *at = (uint8_t)verdict;
    }
}

static bool is_decided(struct hook_ask *a)
{
    size_t count = items_count(a), decided = 0;
    while (decided < count && *verdict_at(a, decided) != HOOK_DEFER) decided++;
    return decided == count;
}

void plugin_ask_late(struct hook_ask *a)
{
    decide_rest(a, HOOK_LATE);
    a->verdict = HOOK_LATE; /* whatever it was: a PUBLISH that may be sent, but was not looked at, is late */
}

void plugin_ask_home(struct hook_ask *a)
{
    if (plugin_is_news(a)) {
        hook_ask_unref(&a);
        return;
    }
    a->mail.kind = a->kind;
    mailbox_send(a->to, &a->mail);
}

/* --- phases */

static int event_of(struct hook_ask *a)
{
    switch ((enum hook_about)a->about) {
    case HOOK_LOGIN: return MOSQ_EVT_BASIC_AUTH;
    case HOOK_AUTH_START:
    case HOOK_AUTH_AGAIN: return MOSQ_EVT_EXT_AUTH_START;
    case HOOK_AUTH_MORE: return MOSQ_EVT_EXT_AUTH_CONTINUE;
    case HOOK_PSK: return MOSQ_EVT_PSK_KEY;
    case HOOK_CONNECTED: return PLUGIN_EVT_CONNECT;
    case HOOK_GONE: return MOSQ_EVT_DISCONNECT;
    default: break;
    }
    if (a->phase == PHASE_FIRST) return MOSQ_EVT_ACL_CHECK;
    return topic_is_control(CONTAINER(a, struct hook_publish, ask)->topic) ? MOSQ_EVT_CONTROL
                                                                           : MOSQ_EVT_MESSAGE;
}

/* Nobody has decided, or somebody has: true when the question goes through the chain once more. */
static bool turn_phase(struct hook_ask *a)
{
    bool is_publish = a->about == HOOK_PUBLISH || a->about == HOOK_WILL;
    if (has_items(a)) {
        size_t count = items_count(a);
        for (size_t i = 0; i < count; i++)
            if (*verdict_at(a, i) == HOOK_DEFER) *verdict_at(a, i) = fallback_at(a, i);
    }
    if (!is_publish) return false;
    if (a->verdict == HOOK_DEFER && a->phase == PHASE_CONTENT) a->verdict = HOOK_ALLOW;
    if (a->verdict == HOOK_DEFER) a->verdict = (uint8_t)CONTAINER(a, struct hook_publish, ask)->fallback;
    if (a->verdict == HOOK_DENY && a->code == 0) a->code = NOT_AUTHORIZED;
    if (a->about == HOOK_WILL || a->phase == PHASE_CONTENT || a->verdict != HOOK_ALLOW) return false;
    a->phase = PHASE_CONTENT;
    a->at = 0;
    a->verdict = HOOK_DEFER;
    return true;
}

/* The next plugin that has something to say to it; all hear that a client is gone. */
static struct plugin *next_plugin(struct hook_ask *a)
{
    const struct plugin_chain *c = chain_of(a);
    int event = event_of(a);
    while (a->at < c->count && a->about != HOOK_GONE && !plugin_is_registered(c->at[a->at], event)) a->at++;
    return a->at < c->count ? c->at[a->at] : NULL;
}

/* --- a step */

static void fill_message(struct plugin_step *s, const struct hook_publish *p)
{
    s->topic = p->topic;
    s->payload = p->payload;
    s->block = p->block;
    s->qos = p->qos;
    s->retain = p->retain;
    s->access = MOSQ_ACL_WRITE;
}

static void fill_read(struct plugin_step *s, const struct hook_read *r)
{
    s->client = hook_client_ref(r->client);
    s->msg = msg_ref(r->msg);
    s->topic = msg_topic(r->msg);
    s->payload = msg_payload(r->msg);
    s->block = msg_block(r->msg);
    s->qos = r->qos;
    s->retain = r->retain;
    s->access = MOSQ_ACL_READ;
}

static void fill_filter(struct plugin_step *s, struct hook_ask *a)
{
    const struct hook_filter *f = &CONTAINER(a, struct hook_filters, ask)->at[s->item];
    s->topic = f->filter;
    s->qos = f->qos;
    s->access = a->about == HOOK_SUBSCRIBE ? MOSQ_ACL_SUBSCRIBE : MOSQ_ACL_UNSUBSCRIBE;
}

static void fill_auth(struct plugin_step *s, const struct hook_auth *h)
{
    s->method = h->method;
    s->data = h->data;
    s->is_again = h->ask.about == HOOK_AUTH_AGAIN;
}

static void fill(struct plugin_step *s, struct hook_ask *a)
{
    switch ((enum hook_about)a->about) {
    case HOOK_LOGIN:
        s->username = CONTAINER(a, struct hook_login, ask)->username;
        s->password = CONTAINER(a, struct hook_login, ask)->password;
        break;
    case HOOK_PUBLISH:
    case HOOK_WILL: fill_message(s, CONTAINER(a, struct hook_publish, ask)); break;
    case HOOK_SUBSCRIBE:
    case HOOK_UNSUBSCRIBE: fill_filter(s, a); break;
    case HOOK_READ: fill_read(s, read_at(a, s->item)); break;
    case HOOK_AUTH_START:
    case HOOK_AUTH_AGAIN:
    case HOOK_AUTH_MORE: fill_auth(s, CONTAINER(a, struct hook_auth, ask)); break;
    case HOOK_PSK:
        s->hint = CONTAINER(a, struct hook_psk, ask)->hint;
        s->identity = CONTAINER(a, struct hook_psk, ask)->identity;
        break;
    case HOOK_CONNECTED: break;
    case HOOK_GONE: s->reason = CONTAINER(a, struct hook_gone, ask)->reason; break;
    }
}

static void fill_step(struct plugin_step *s, struct hook_ask *a)
{
    if (a->client != NULL) s->client = hook_client_ref(a->client);
    fill(s, a);
}

/* --- results */

static void commit_message(struct hook_publish *p, struct plugin_result *r)
{
    struct bytes *fields[] = { &p->topic, &p->payload, &p->block };
    for (size_t i = 0; i < 3; i++) {
        if (!r->has[i]) continue;
        free(p->changed[i]);
        p->changed[i] = (void *)(uintptr_t)r->changed[i].at;
        *fields[i] = r->changed[i];
        r->has[i] = false;
    }
    p->retain = r->retain;
}

static void commit_auth(struct hook_auth *h, struct plugin_result *r)
{
    free((void *)(uintptr_t)h->answer.at);
    h->answer = r->answer;
    r->answer = (struct bytes){ 0 };
}

static void commit_locked(struct plugin_step *s)
{
    struct hook_ask *a = s->ask;
    struct plugin_result *r = &s->result;
    *verdict_at(a, s->item) = r->verdict;
    if (has_items(a)) return;
    a->code = r->verdict == HOOK_DENY && r->code == 0 ? NOT_AUTHORIZED : r->code;
    free(a->reason);
    a->reason = r->reason;
    r->reason = NULL;
    /* NULL: nobody was registered any more, so nothing says what it is to be. */
    if (s->event == MOSQ_EVT_MESSAGE && s->callbacks != NULL)
        commit_message(CONTAINER(a, struct hook_publish, ask), r);
    if (s->method != NULL) commit_auth(CONTAINER(a, struct hook_auth, ask), r);
    if (a->about == HOOK_PSK) {
        struct hook_psk *psk = CONTAINER(a, struct hook_psk, ask);
        memcpy(psk->key, r->key, sizeof psk->key);
    }
}

static void count_verdict(const struct plugin_step *s)
{
    struct plugin_count *c = &s->plugin->counts[s->event];
    if (s->result.verdict == HOOK_DENY || s->result.verdict == HOOK_END) tally_add(&c->denied, 1);
    if (s->result.verdict == HOOK_DEFER) tally_add(&c->deferred, 1);
}

/* False: the question was taken away; which the watch does from the plugin's own thread only. */
static bool commit(struct plugin_step *s)
{
    count_verdict(s);
    lock_take(&s->plugin->lock);
    bool counts = !s->is_own || s->plugin->visitor == s->ask;
    if (counts) commit_locked(s);
    lock_release(&s->plugin->lock);
    return counts;
}

/* --- a visit at one plugin */

/* False: the plugin stops, and its thread alone may call it. */
static bool walk_begin(struct plugin *p, struct hook_ask *a, bool is_own)
{
    lock_take(&p->lock);
    bool may = is_own || !p->stops;
    a->open = 1;
    a->walkers = 1;
    if (is_own) p->visitor = a;
    if (may && !is_own) p->visits++;
    lock_release(&p->lock);
    return may;
}

/* True: nobody else has it any more, so the caller goes on with it. */
static bool walk_end(struct plugin *p, struct hook_ask *a, bool is_own)
{
    lock_take(&p->lock);
    bool is_here = !is_own || p->visitor == a, is_last = false;
    if (is_here) {
        a->walkers--;
        is_last = --a->open == 0;
    }
    if (is_own) p->visitor = NULL;
    bool wakes = !is_own && --p->visits == 0 && p->stops;
    lock_release(&p->lock);
    if (wakes) mailbox_send(&p->mailbox, &p->unvisited);
    return is_last;
}

/* For want of memory: a delivery is asked for again, anything else is refused. */
static void no_step(struct plugin *p, struct hook_ask *a, size_t item)
{
    lock_take(&p->lock);
    *verdict_at(a, item) = a->about == HOOK_READ ? HOOK_LATE : HOOK_DENY;
    if (!has_items(a)) a->code = QUOTA_EXCEEDED;
    lock_release(&p->lock);
}

enum seen { SEEN_GONE, SEEN_DECIDED, SEEN_OPEN };

/* What there is to do for an item; for an open one the step knows all that it needs. The watch may take the
 * question away at any moment, but from its own thread only, and not under this lock. */
static enum seen look(struct plugin_step *s, struct hook_ask *a, size_t item)
{
    struct plugin *p = s->plugin;
    enum seen seen = SEEN_OPEN;
    lock_take(&p->lock);
    if (s->is_own && p->visitor != a)
        seen = SEEN_GONE;
    else if (*verdict_at(a, item) != HOOK_DEFER)
        seen = SEEN_DECIDED;
    else
        fill_step(s, a);
    lock_release(&p->lock);
    return seen;
}

/* False: the question is not here any more. */
static bool decide_item(struct plugin_step *s)
{
    if (!plugin_step_run(s)) return true; /* parked, and maybe gone by now */
    bool is_here = commit(s);
    plugin_step_unref(&s);
    return is_here;
}

/* The same. */
static bool visit_item(struct plugin *p, struct hook_ask *a, size_t item, bool is_own)
{
    struct plugin_step *s = plugin_step_new(p, a, event_of(a));
    if (s == NULL) {
        no_step(p, a, item);
        return true;
    }
    s->is_own = is_own;
    s->item = item;
    enum seen seen = look(s, a, item);
    if (seen == SEEN_OPEN && (!is_own || s->client == NULL || plugin_client_show(p, s->client) == ERR_OK))
        return decide_item(s);
    if (seen == SEEN_OPEN) no_step(p, a, item);
    plugin_step_unref(&s);
    return seen != SEEN_GONE;
}

static void tell(struct plugin *p, struct hook_ask *a, int event)
{
    struct plugin_step *s = plugin_step_new(p, a, event);
    if (s == NULL) return;
    s->is_own = true;
    fill_step(s, a);
    if (plugin_client_show(p, s->client) == ERR_OK) plugin_step_run(s);
    plugin_step_unref(&s);
}

static bool knows(struct plugin *p, const struct hook_client *client)
{
    lock_take(&p->lock);
    bool is = plugin_known_locked(p, client) != NULL;
    lock_release(&p->lock);
    return is;
}

/* Who knows CLIENT_OFFLINE hears that in place of DISCONNECT when the session stays. */
static int gone_event(const struct plugin *p, const struct hook_gone *gone)
{
    bool is_offline = gone->session_stays && plugin_is_registered(p, PLUGIN_EVT_CLIENT_OFFLINE);
    return is_offline ? PLUGIN_EVT_CLIENT_OFFLINE : MOSQ_EVT_DISCONNECT;
}

/* DISCONNECT, also of a client that was asked about and not let in, as mosquitto says it: a plugin may have
 * memory for it. Then the client is not known any more. */
static void visit_gone(struct plugin *p, struct hook_ask *a)
{
    plugin_later_end(p, a->client);
    const struct hook_gone *gone = CONTAINER(a, struct hook_gone, ask);
    bool is_told = gone->was_in || knows(p, a->client);
    int event = gone_event(p, gone);
    if (is_told && plugin_is_registered(p, event)) tell(p, a, event);
    plugin_client_gone(p, a->client);
}

/* True: this plugin has said what it has to say. */
static bool visit(struct plugin *p, struct hook_ask *a, bool is_own)
{
    if (a->about == HOOK_CONNECTED) tell(p, a, event_of(a));
    if (a->about == HOOK_GONE) visit_gone(p, a);
    if (plugin_is_news(a)) return true;
    struct hook_ask *held = a; /* whatever becomes of it: it stays memory until this returns */
    ref_add(&held->ref, 1);
    size_t count = items_count(a);
    bool is_here = walk_begin(p, a, is_own);
    if (!is_here) {
        plugin_ask_late(a);
        hook_ask_unref(&held);
        return true;
    }
    for (size_t i = 0; i < count && is_here; i++) is_here = visit_item(p, a, i, is_own);
    bool is_last = walk_end(p, a, is_own);
    hook_ask_unref(&held);
    return is_last;
}

static bool runs_here(const struct plugin *p, struct hook_ask *a, const struct plugin *here)
{
    if (p == here) return true;
    return !plugin_is_news(a) && (shared_word_get(&p->inlined) & 1u << event_of(a)) != 0;
}

/* After a visit. True: answered. */
static bool step_ahead(struct hook_ask *a)
{
    if (!plugin_is_news(a) && is_decided(a)) return !turn_phase(a);
    a->at++;
    return false;
}

bool plugin_ask_on(struct hook_ask *a, struct plugin *here)
{
    for (;;) {
        struct plugin *p = next_plugin(a);
        if (p == NULL) {
            if (!turn_phase(a)) return true;
            continue;
        }
        if (!runs_here(p, a, here)) return !plugin_queue_put(p, a, here == NULL);
        if (!visit(p, a, p == here)) return false;
        if (step_ahead(a)) return true;
    }
}

/* --- a verdict that has come later */

/* False: the question was taken away while this was on its way. */
static bool unpark(struct plugin_step *s)
{
    struct plugin *p = s->plugin;
    lock_take(&p->lock);
    bool is_here = !s->is_taken;
    list_remove(&s->link);
    list_remove(&s->of_client);
    if (is_here) {
        p->visitor = s->ask;
        s->ask->walkers++;
    }
    lock_release(&p->lock);
    return is_here;
}

/* Its verdict comes later once more. */
static void leave(struct plugin *p, struct hook_ask *a)
{
    lock_take(&p->lock);
    if (p->visitor == a) a->walkers--;
    p->visitor = NULL;
    lock_release(&p->lock);
}

void plugin_step_go_on(struct plugin_step *s)
{
    struct plugin *p = s->plugin;
    struct hook_ask *a = s->ask;
    if (!unpark(s)) {
        plugin_step_unref(&s);
        return;
    }
    s->is_own = true;
    if (!plugin_step_run(s)) {
        leave(p, a);
        return;
    }
    commit(s);
    bool goes_on = walk_end(p, a, true);
    plugin_step_unref(&s);
    if (goes_on && (step_ahead(a) || plugin_ask_on(a, p))) plugin_ask_home(a);
}
