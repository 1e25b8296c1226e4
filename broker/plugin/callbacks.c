/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is registered for what. A list never changes, so that a callback may register and unregister while the
 * list that it is in is walked; the one that was unregistered meanwhile says so itself.
 */
#include "plugin/plugin_int.h"
#include <stdlib.h>
#include <string.h>

static const uint32_t wants_of[PLUGIN_EVENTS_COUNT] = {
    [MOSQ_EVT_ACL_CHECK] = HOOK_EVENT_ACL,       [MOSQ_EVT_BASIC_AUTH] = HOOK_EVENT_LOGIN,
    [MOSQ_EVT_EXT_AUTH_START] = HOOK_EVENT_AUTH, [MOSQ_EVT_EXT_AUTH_CONTINUE] = HOOK_EVENT_AUTH,
    [MOSQ_EVT_CONTROL] = HOOK_EVENT_CONTROL,     [MOSQ_EVT_MESSAGE] = HOOK_EVENT_MESSAGE,
    [MOSQ_EVT_PSK_KEY] = HOOK_EVENT_PSK,         [MOSQ_EVT_DISCONNECT] = HOOK_EVENT_DISCONNECT,
    [PLUGIN_EVT_CONNECT] = HOOK_EVENT_CONNECTED, [PLUGIN_EVT_CLIENT_OFFLINE] = HOOK_EVENT_DISCONNECT,
};

static void callback_unref(struct plugin_callback *c)
{
    if (c == NULL || !ref_drop(&c->ref)) return;
    free(c->topic);
    free(c);
}

void plugin_list_unref(struct plugin_list **owner)
{
    struct plugin_list *l = *owner;
    *owner = NULL;
    if (l == NULL || !ref_drop(&l->ref)) return;
    for (size_t i = 0; i < l->count; i++) callback_unref(l->at[i]);
    free(l);
}

struct plugin_list *plugin_list_hold(struct plugin *p, int event)
{
    lock_take(&p->lock);
    struct plugin_list *l = p->lists[event];
    if (l != NULL) ref_add(&l->ref, 1);
    lock_release(&p->lock);
    return l;
}

bool plugin_is_registered(const struct plugin *p, int event)
{
    return (shared_word_get(&p->registered) & 1u << event) != 0;
}

/* Without the one at `without`, and with `more` at the end if that is not NULL. */
static struct plugin_list *list_make(const struct plugin_list *l, size_t without,
                                     struct plugin_callback *more)
{
    size_t count = l == NULL ? 0 : l->count;
    struct plugin_list *made = calloc(1, sizeof *made + (count + 1) * sizeof made->at[0]);
    if (made == NULL) return NULL;
    ref_init(&made->ref, 1);
    for (size_t i = 0; i < count; i++) {
        if (i == without) continue;
        ref_add(&l->at[i]->ref, 1);
        made->at[made->count++] = l->at[i];
    }
    if (more != NULL) made->at[made->count++] = more;
    return made;
}

static uint32_t wants_by(uint32_t events)
{
    uint32_t wants = 0;
    for (int i = 1; i < PLUGIN_EVENTS_COUNT; i++)
        if ((events & 1u << i) != 0) wants |= wants_of[i];
    return wants;
}

/* What others read of the lists without the lock. */
static void show_locked(struct plugin *p)
{
    uint32_t registered = 0;
    for (int i = 1; i < PLUGIN_EVENTS_COUNT; i++)
        if (p->lists[i] != NULL && p->lists[i]->count > 0) registered |= 1u << i;
    shared_word_set(&p->registered, registered);
    shared_word_set(&p->wants, wants_by(registered));
    shared_word_set(&p->wants_thread, wants_by(registered & ~shared_word_get(&p->inlined)));
}

/* Takes the list. */
static void list_set(struct plugin *p, int event, struct plugin_list *made)
{
    lock_take(&p->lock);
    struct plugin_list *before = p->lists[event];
    p->lists[event] = made;
    show_locked(p);
    lock_release(&p->lock);
    plugin_list_unref(&before);
}

void plugin_run_anywhere(struct plugin *p, int event)
{
    lock_take(&p->lock);
    shared_word_set(&p->inlined, shared_word_get(&p->inlined) | 1u << event);
    show_locked(p);
    lock_release(&p->lock);
}

static bool is_like(const struct plugin_callback *c, const struct plugin_callback_conf *conf)
{
    if (conf->topic == NULL) return c->run == conf->run;
    return strcmp(c->topic, conf->topic) == 0;
}

/* The count of the list: it is not there. */
static size_t find(const struct plugin_list *l, const struct plugin_callback_conf *conf)
{
    size_t i = 0;
    while (l != NULL && i < l->count && !is_like(l->at[i], conf)) i++;
    return i;
}

static bool has(struct plugin *p, const struct plugin_callback_conf *conf)
{
    struct plugin_list *l = plugin_list_hold(p, conf->event);
    bool is_there = l != NULL && find(l, conf) < l->count;
    plugin_list_unref(&l);
    return is_there;
}

/* A topic below $CONTROL/ has one owner. */
static bool is_taken(struct plugin *p, const struct plugin_callback_conf *conf)
{
    bool is = has(p, conf);
    lock_take(&p->lock);
    uint64_t others = conf->topic != NULL ? p->shares_doors_with : 0;
    lock_release(&p->lock);
    for (size_t i = 0; i < p->all->count; i++)
        if ((others & (uint64_t)1 << i) != 0) is = is || has(&p->all->at[i], conf);
    return is;
}

int plugin_callback_add(struct plugin *p, const struct plugin_callback_conf *conf)
{
    const struct plugin_list *before = p->lists[conf->event]; /* nobody but this thread changes it */
    if (is_taken(p, conf)) return MOSQ_ERR_ALREADY_EXISTS;
    if (before != NULL && before->count >= PLUGIN_CALLBACKS_MAX) return MOSQ_ERR_NOMEM;
    struct plugin_callback *c = calloc(1, sizeof *c);
    if (c == NULL) return MOSQ_ERR_NOMEM;
    ref_init(&c->ref, 1);
    c->run = conf->run;
    c->userdata = conf->userdata;
    if (conf->topic != NULL) c->topic = strdup(conf->topic);
    struct plugin_list *made =
        conf->topic != NULL && c->topic == NULL ? NULL : list_make(before, SIZE_MAX, c);
    if (made == NULL) {
        callback_unref(c);
        return MOSQ_ERR_NOMEM;
    }
    list_set(p, conf->event, made);
    return MOSQ_ERR_SUCCESS;
}

int plugin_callback_remove(struct plugin *p, const struct plugin_callback_conf *conf)
{
    struct plugin_list *before = plugin_list_hold(p, conf->event);
    size_t i = find(before, conf);
    struct plugin_list *made = NULL;
    int rc = before == NULL || i == before->count || before->at[i]->run != conf->run ? MOSQ_ERR_NOT_FOUND
                                                                                     : MOSQ_ERR_SUCCESS;
    if (rc == MOSQ_ERR_SUCCESS) {
        made = list_make(before, i, NULL);
        rc = made == NULL ? MOSQ_ERR_NOMEM : MOSQ_ERR_SUCCESS;
    }
    if (made != NULL) {
        shared_word_set(&before->at[i]->is_gone, 1);
        list_set(p, conf->event, made);
    }
    plugin_list_unref(&before);
    return rc;
}
