/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock - a mutex that knows its owner and its rank. A thread that holds a lock takes only locks of a higher
 * rank, so no two can wait for each other. To try one waits for nobody, and may be done at any rank.
 *
 * Thread:  any.
 * Memory:  in the caller's struct; a comment there says what it guards.
 * Limits:  LOCK_HELD_MAX locks held by one thread at once.
 * Errors:  a wrong order, or releasing what is not held: CHECK, in test builds for the order.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum lock_rank {
    LOCK_RANK_SHARD = 0,
    LOCK_RANK_SUBS = 1,
    LOCK_RANK_CLUSTER_NODE = 2,
    LOCK_RANK_WAL_NEXT = 3,
    LOCK_RANK_WAL_LIST = 4,
    LOCK_RANK_ADDRESSES = 5,
    LOCK_RANK_LOGIN = 6,
    LOCK_RANK_WORKERS = 7,
    LOCK_RANK_PLUGINS = 8,
    LOCK_RANK_PLUGIN = 9,
    LOCK_RANK_HOOK_CLIENT = 10,
    LOCK_RANK_PLUGIN_EXT = 11,
    LOCK_RANK_LOG = 12
};

enum { LOCK_HELD_MAX = 6 };

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
    atomic_uint waiters; /* in lock_take */
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_fini(struct lock *l);
void lock_take(struct lock *l);

/* False: somebody has it, or waits for it. So those who try, however often, keep nobody out for longer than
 * one of them has it. */
bool lock_try(struct lock *l);
void lock_release(struct lock *l);

#endif
