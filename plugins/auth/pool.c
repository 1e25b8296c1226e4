/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pool.h"
#include "base/thread.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct pool {
    pthread_mutex_t lock; /* guards all below but the threads */
    pthread_cond_t more;
    struct pool_job *first, **last;
    uint32_t waiting, waiting_max;
    bool is_stopping;
    unsigned count;
    struct thread threads[POOL_THREADS_MAX];
};

static struct pool_job *take_locked(struct pool *p)
{
    struct pool_job *j = p->first;
    if (j == NULL) return NULL;
    p->first = j->next;
    if (p->first == NULL) p->last = &p->first;
    p->waiting--;
    return j;
}

static void run(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->is_stopping) {
        struct pool_job *j = take_locked(p);
        if (j == NULL) {
            pthread_cond_wait(&p->more, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        j->run(j);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

enum err pool_start(struct pool **out, unsigned threads, uint32_t waiting_max)
{
    struct pool *p = calloc(1, sizeof *p);
    enum err rc = ERR_OK;
    *out = p;
    if (p == NULL) return ERR_NOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    p->last = &p->first;
    p->waiting_max = waiting_max;
    for (; p->count < threads && rc == ERR_OK; p->count += rc == ERR_OK) {
        char name[16];
        snprintf(name, sizeof name, "auth %u", p->count);
        rc = thread_start(&p->threads[p->count], name, run, p);
    }
    if (rc != ERR_OK) pool_stop(out);
    return rc;
}

enum err pool_put(struct pool *p, struct pool_job *j)
{
    enum err rc = ERR_OK;
    j->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->waiting >= p->waiting_max) {
        rc = ERR_FULL;
    } else {
        *p->last = j;
        p->last = &j->next;
        p->waiting++;
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

void pool_stop(struct pool **owner)
{
    struct pool *p = *owner;
    *owner = NULL;
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->count; i++) thread_join(&p->threads[i]);
    for (struct pool_job *j = take_locked(p); j != NULL; j = take_locked(p)) j->drop(j);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
