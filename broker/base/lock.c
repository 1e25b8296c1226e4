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
    atomic_init(&l->waiters, 0);
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
    if (pthread_mutex_trylock(&l->mutex) != 0) {
        atomic_fetch_add_explicit(&l->waiters, 1, memory_order_relaxed);
        CHECK(pthread_mutex_lock(&l->mutex) == 0);
        atomic_fetch_sub_explicit(&l->waiters, 1, memory_order_relaxed);
    }
    note_taken(l);
}

bool lock_try(struct lock *l)
{
    bool is_wanted = atomic_load_explicit(&l->waiters, memory_order_relaxed) > 0;
    if (is_wanted || pthread_mutex_trylock(&l->mutex) != 0) return false;
    note_taken(l);
    return true;
}

void lock_release(struct lock *l)
{
    note_released(l);
    CHECK(pthread_mutex_unlock(&l->mutex) == 0);
}
