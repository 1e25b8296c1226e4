/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"
#include "base/check.h"

#ifdef LONGLINK_DCHECK
static _Thread_local const struct lock *held[LOCK_HELD_MAX];
static _Thread_local unsigned held_count;

static void note_taken(const struct lock *l)
{
    CHECK(held_count < LOCK_HELD_MAX);
    held[held_count++] = l;
}

static void check_order(const struct lock *l)
{
    CHECK(held_count == 0 || held[held_count - 1]->rank < l->rank);
}

static void note_released(const struct lock *l)
{
    CHECK(held_count > 0);
    CHECK(held[held_count - 1] == l);
    held_count--;
}
#else
static void check_order(const struct lock *l)
{
    (void)l;
}
static void note_taken(const struct lock *l)
{
    (void)l;
}
static void note_released(const struct lock *l)
{
    (void)l;
}
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    CHECK(pthread_mutex_init(&l->mutex, NULL) == 0);
    l->rank = rank;
}

void lock_fini(struct lock *l)
{
    CHECK(pthread_mutex_destroy(&l->mutex) == 0);
}

void lock_take(struct lock *l)
{
    /* Before it, so that a wrong order is told and not waited for. */
    check_order(l);
    note_taken(l);
    CHECK(pthread_mutex_lock(&l->mutex) == 0);
}

bool lock_try(struct lock *l)
{
    if (pthread_mutex_trylock(&l->mutex) != 0) return false;
    note_taken(l);
    return true;
}

void lock_release(struct lock *l)
{
    note_released(l);
    CHECK(pthread_mutex_unlock(&l->mutex) == 0);
}
