/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pool.h"
#include "kit/test.h"
#include <pthread.h>

struct item {
    struct pool_job job;
    int ran, dropped;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int done, held, may_go;

static void count(struct pool_job *j)
{
    pthread_mutex_lock(&lock);
    ((struct item *)(void *)j)->ran++;
    done++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Keeps its thread until it may go. */
static void hold(struct pool_job *j)
{
    pthread_mutex_lock(&lock);
    held++;
    pthread_cond_broadcast(&changed);
    while (!may_go) pthread_cond_wait(&changed, &lock);
    ((struct item *)(void *)j)->ran++;
    pthread_mutex_unlock(&lock);
}

static void drop(struct pool_job *j)
{
    ((struct item *)(void *)j)->dropped++;
}

static void wait_until(int *what, int is)
{
    pthread_mutex_lock(&lock);
    while (*what < is) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

TEST(all_jobs_run_once)
{
    static struct item items[1000];
    struct pool *p;
    done = 0;
    CHECK_INT(ERR_OK, pool_start(&p, 4, 1000));
    for (int i = 0; i < 1000; i++) {
        items[i].job = (struct pool_job){ .run = count, .drop = drop };
        CHECK_INT(ERR_OK, pool_put(p, &items[i].job));
    }
    wait_until(&done, 1000);
    pool_stop(&p);
    for (int i = 0; i < 1000; i++) CHECK_TRUE(items[i].ran == 1 && items[i].dropped == 0);
}

TEST(more_than_may_wait_are_refused_and_those_that_wait_at_the_end_are_dropped)
{
    struct item items[4] = { 0 };
    struct pool *p;
    held = may_go = 0;
    for (int i = 0; i < 4; i++)
        items[i].job = (struct pool_job){ .run = i == 0 ? hold : count, .drop = drop };
    CHECK_INT(ERR_OK, pool_start(&p, 1, 2));
    CHECK_INT(ERR_OK, pool_put(p, &items[0].job));
    wait_until(&held, 1);
    CHECK_INT(ERR_OK, pool_put(p, &items[1].job));
    CHECK_INT(ERR_OK, pool_put(p, &items[2].job));
    CHECK_INT(ERR_FULL, pool_put(p, &items[3].job));
    pthread_mutex_lock(&lock);
    may_go = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pool_stop(&p);
    CHECK_INT(1, items[0].ran);
    for (int i = 1; i < 3; i++) CHECK_INT(1, items[i].ran + items[i].dropped);
    CHECK_INT(0, items[3].ran + items[3].dropped);
}
