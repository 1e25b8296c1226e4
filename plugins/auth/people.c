/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/people.h"
#include "auth/login.h"
#include "auth/scram.h"
#include <pthread.h>
#include <stdlib.h>

struct people {
    struct ref
        ref; /* the plugin's, and each person's: the host may say of some that they are gone after the end */
    pthread_mutex_t lock; /* guards all below, and what person says is its */
    const struct people_ops *ops;
    struct list all;
    struct devices *devices;
    struct wheel *wheel;
    struct person *ending; /* by the call that holds the lock, which tells the host when it no longer does */
};

enum err people_new(struct people **out, const struct people_ops *ops, uint64_t now_ms)
{
    struct people *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL) return ERR_NOMEM;
    ref_init(&p->ref, 1);
    pthread_mutex_init(&p->lock, NULL);
    p->ops = ops;
    list_init(&p->all);
    enum err rc = devices_new(&p->devices);
    if (rc == ERR_OK) rc = wheel_new(&p->wheel, now_ms);
    if (rc != ERR_OK) people_unref(out);
    return rc;
}

void people_unref(struct people **owner)
{
    struct people *p = *owner;
    *owner = NULL;
    if (p == NULL || !ref_drop(&p->ref)) return;
    wheel_free(&p->wheel);
    devices_free(&p->devices);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* --- a person */

enum err person_new(struct person **out, struct people *p, void *client, const char *client_id)
{
    struct person *q = calloc(1, sizeof *q);
    *out = q;
    if (q == NULL) {
        p->ops->forget(client);
        return ERR_NOMEM;
    }
    ref_init(&q->ref, 1);
    ref_add(&p->ref, 1);
    q->people = p;
    q->client = client;
    q->source = SOURCES;
    list_init(&q->link);
    q->client_id = strdup(client_id);
    if (q->client_id == NULL) person_unref(out);
    return *out == NULL ? ERR_NOMEM : ERR_OK;
}

struct person *person_ref(struct person *q)
{
    ref_add(&q->ref, 1);
    return q;
}

void person_unref(struct person **owner)
{
    struct person *q = *owner;
    *owner = NULL;
    if (q == NULL || !ref_drop(&q->ref)) return;
    q->people->ops->forget(q->client);
    grants_free(&q->grants);
    free(q->account);
    free(q->client_id);
    if (q->scram != NULL) scram_wipe(q->scram);
    free(q->scram);
    people_unref(&q->people);
    free(q);
}

/* --- who has to go */

/* Somebody may be telling the host of it already, without the lock: `next` is his then. */
static void end_locked(struct person *q)
{
    struct people *p = q->people;
    if (q->is_ending) return;
    q->is_ending = true;
    q->next = p->ending;
    p->ending = person_ref(q);
}

static void go(struct device *dev)
{
    end_locked(CONTAINER(dev, struct person, device));
}

static void told(struct people *p, struct person *q)
{
    pthread_mutex_lock(&p->lock);
    q->is_ending = false;
    pthread_mutex_unlock(&p->lock);
    person_unref(&q);
}

/* Releases the lock, and tells the host. Gives how many. */
static size_t release(struct people *p, enum people_end why)
{
    struct person *q = p->ending;
    size_t count = 0;
    p->ending = NULL;
    pthread_mutex_unlock(&p->lock);
    for (struct person *next; q != NULL; q = next, count++) {
        next = q->next;
        p->ops->end(q->client, why);
        told(p, q);
    }
    return count;
}

/* --- in and out */

static enum err enter_locked(struct person *q, const struct person_entry *e)
{
    struct people *p = q->people;
    if (q->is_gone) return ERR_CLOSED;
    if (q->is_in) return ERR_OK; /* it has shown again who it is */
    q->account = e->account == NULL ? NULL : strdup(e->account);
    if (e->account != NULL && q->account == NULL) return ERR_NOMEM;
    struct device_place place = { .client_id = q->client_id,
                                  .class = e->class,
                                  .connections = e->limit.connections,
                                  .policy = e->limit.policy };
    if (e->account != NULL) place.account = bytes_of_text(e->account);
    bool is_counted = e->account != NULL && e->class != NULL;
    enum err rc = is_counted ? devices_enter(p->devices, &q->device, &place, go) : ERR_OK;
    if (rc != ERR_OK) return rc;
    q->is_in = true;
    q->source = e->source;
    if (e->grants != NULL) {
        q->grants = *e->grants;
        *e->grants = NULL;
    }
    list_add(&p->all, &q->link);
    if (e->expires_ms > 0) wheel_start(p->wheel, &q->timer, e->expires_ms);
    return ERR_OK;
}

enum err people_enter(struct person *q, const struct person_entry *e)
{
    struct people *p = q->people;
    pthread_mutex_lock(&p->lock);
    enum err rc = enter_locked(q, e);
    if (rc != ERR_OK && !q->is_in) {
        free(q->account);
        q->account = NULL;
    }
    release(p, PEOPLE_TOO_MANY);
    return rc;
}

void people_gone(struct person *q)
{
    struct people *p = q->people;
    pthread_mutex_lock(&p->lock);
    q->is_gone = true;
    list_remove(&q->link);
    devices_leave(p->devices, &q->device);
    wheel_stop(p->wheel, &q->timer);
    pthread_mutex_unlock(&p->lock);
}

static void fire(struct wheel_timer *t, void *arg)
{
    (void)arg;
    end_locked(CONTAINER(t, struct person, timer));
}

void people_tick(struct people *p, uint64_t now_ms)
{
    pthread_mutex_lock(&p->lock);
    wheel_advance(p->wheel, now_ms, fire, NULL);
    release(p, PEOPLE_EXPIRED);
}

size_t people_review(struct people *p, const struct world *w)
{
    pthread_mutex_lock(&p->lock);
    for (struct list *l = p->all.next; l != &p->all; l = l->next) {
        struct person *q = CONTAINER(l, struct person, link);
        if (!login_still(w, q->source, q->account)) end_locked(q);
    }
    return release(p, PEOPLE_NOT_ALLOWED);
}
