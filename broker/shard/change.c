/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/change.h"
#include "shard/delayed.h"
#include "shard/guard.h"
#include "shard/on_login.h"
#include "shard/shard_int.h"
#include <stdlib.h>
#include <sys/epoll.h>

/*
 * What changes while the shards run: the descriptors that they accept from, and the view.
 *
 *   listen (the new) -> unlisten (those that go) -> change (the view; then all accept) -> connections are
 * looked at again
 *
 * Only the first can fail. A connection that may stay does not notice; those that may not are ended some in
 * each turn, so that a change does not hold the others up.
 */

enum { RECHECKS_A_TURN = 256 };

/* --- descriptors */

static enum err watch_one(struct shard *sh, size_t place, int op)
{
    struct epoll_event e = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.u64 = ID_LISTENERS + place };
    return epoll_ctl(sh->epoll_fd, op, sh->listeners[place]->fd, &e) == 0 ? ERR_OK : ERR_SYS;
}

void shard_watch_listeners(struct shard *sh, int op)
{
    for (size_t i = 0; i < sh->listeners_count; i++)
        if (sh->listeners[i] != NULL) watch_one(sh, i, op);
}

/* Places keep their numbers: an event that is on its way names one. */
static enum err free_place(struct shard *sh, size_t *place)
{
    for (*place = 0; *place < sh->listeners_count; (*place)++)
        if (sh->listeners[*place] == NULL) return ERR_OK;
    struct shards_listener **grown = realloc(sh->listeners, (*place + 1) * sizeof(struct shards_listener *));
    if (grown == NULL) return ERR_NOMEM;
    grown[*place] = NULL;
    sh->listeners = grown;
    sh->listeners_count++;
    return ERR_OK;
}

static enum err call_listen(struct shard *sh, void *arg)
{
    size_t place;
    enum err rc = free_place(sh, &place);
    if (rc != ERR_OK) return rc;
    sh->listeners[place] = arg;
    /* While descriptors have run out, accept_again adds it. */
    rc = sh->alarm_ms[ALARM_ACCEPT] != 0 ? ERR_OK : watch_one(sh, place, EPOLL_CTL_ADD);
    if (rc != ERR_OK) sh->listeners[place] = NULL;
    return rc;
}

static enum err call_unlisten(struct shard *sh, void *arg)
{
    for (size_t i = 0; i < sh->listeners_count; i++) {
        if (sh->listeners[i] != arg) continue;
        watch_one(sh, i, EPOLL_CTL_DEL);
        sh->listeners[i] = NULL;
    }
    return ERR_OK;
}

enum err shards_listen(struct shards *s, struct shards_listener *listener)
{
    enum err rc = shards_call(s, call_listen, listener);
    if (rc != ERR_OK) shards_unlisten(s, listener);
    return rc;
}

void shards_unlisten(struct shards *s, struct shards_listener *listener)
{
    shards_call(s, call_unlisten, listener);
}

bool shard_is_door(const struct shard *sh, const struct shards_listener *l)
{
    return l != NULL && !sh->is_changing && l->door < sh->view->doors_count &&
           !sh->view->doors[l->door].is_gone;
}

/* --- the view */

static enum err call_change(struct shard *sh, void *arg)
{
    uint32_t sys_interval = sh->config->sys_interval;
    sh->view = arg;
    plugin_forget(sh->all);
    sh->config = sh->view->config;
    sh->is_changing = true;
    sys_changed(sh, sys_interval);
    sh->rechecks = true;
    sh->recheck_at = 0;
    ways_reload(sh);
    if (sh->delayed != NULL) delayed_reload(sh);
    memory_turn(sh); /* its limit may be a new one */
    backoff_learn(sh);
    return ERR_OK;
}

static enum err call_changed(struct shard *sh, void *arg)
{
    (void)arg;
    sh->is_changing = false;
    return ERR_OK;
}

/* Nobody accepts until all have the view: a connection of a new door may be handed over at once, and its door
 * would be none of that shard's. */
void shards_change(struct shards *s, const struct shards_view *view)
{
    heap_gate_set(&s->heap, view->config->memory_limit);
    shards_call(s, call_change, (void *)(uintptr_t)view);
    shards_call(s, call_changed, NULL);
}

void recheck_conn(struct shard *sh, struct conn *c)
{
    if (!sh->view->doors[c->listener->door].is_gone) {
        guard_recheck(sh, c);
        login_recheck(sh, c);
        return;
    }
    if (c->state == CONN_NEW || c->state == CONN_AUTH)
        conn_end_quietly(sh, c); /* nobody's fault, and nobody to tell */
    else
        conn_end(sh, c, MQTT_RC_ADMINISTRATIVE);
}

/* Connections that come meanwhile come under the new view; one that another shard hands over is looked at
 * when it arrives. */
void recheck_turn(struct shard *sh)
{
    if (!sh->rechecks) return;
    for (int i = 0; i < RECHECKS_A_TURN && sh->recheck_at < sh->slots_count; i++) {
        struct conn *c = sh->slots[sh->recheck_at++].conn;
        if (c == NULL || c->state == CONN_CLOSED) continue;
        guard_forgive(sh, c);
        recheck_conn(sh, c);
    }
    sh->rechecks = sh->recheck_at < sh->slots_count && !sh->closing;
}
