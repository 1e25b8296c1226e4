/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - threads for what takes long: passwords that are hashed, tokens that are verified.
 *
 * Thread:  pool_put from any; jobs run one by one on whichever thread is free, in the order in which they
 *          came.
 * Memory:  a job is the caller's until it is put, and then its own: `run` or `drop` end it.
 * Limits:  POOL_THREADS_MAX threads; so many jobs that wait as was said.
 * Errors:  ERR_FULL from pool_put: nothing was taken. ERR_SYS, ERR_NOMEM from pool_start.
 * Tests:   tests/unit/test_auth_plugin_pool.c
 */
#ifndef AUTH_POOL_H
#define AUTH_POOL_H

#include "base/err.h"
#include <stdint.h>

enum { POOL_THREADS_MAX = 8 };

struct pool;

struct pool_job {
    struct pool_job *next;
    void (*run)(struct pool_job *j);
    void (*drop)(struct pool_job *j); /* it will not run: the pool stops */
};

enum err pool_start(struct pool **out, unsigned threads, uint32_t waiting_max);
enum err pool_put(struct pool *p, struct pool_job *j);

/* What runs is finished, what waits is dropped. Nobody may put any more. */
void pool_stop(struct pool **owner);

#endif
