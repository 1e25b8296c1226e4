/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker - a few threads for what takes long or may block: password hashes.
 *
 * A job is put by a thread that may not wait, run once on whichever worker is free, and comes back as mail.
 *
 * Thread:  workers_put from any; run on a worker, so what it reads must be its own or never change.
 * Memory:  takes a job that it accepts, and gives it back by its mail.
 * Limits:  WORKERS_MAX threads; conf->waiting_max jobs that wait for one.
 * Errors:  ERR_FULL from workers_put: nothing was taken. ERR_SYS, ERR_NOMEM from workers_start.
 * Tests:   tests/unit/test_worker.c (also under TSan)
 */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "base/err.h"
#include "base/mailbox.h"
#include <stdbool.h>
#include <stdint.h>

enum { WORKERS_MAX = 8 };

struct workers;

struct workers_conf {
    unsigned threads; /* 1 to WORKERS_MAX */
    uint32_t waiting_max;
};

struct work {
    struct work *next;
    void (*run)(struct work *w);
    struct mail mail; /* back to the asker, with the kind that it has set */
    struct mailbox *to;
    bool is_done; /* false when it is back: the workers have stopped, and it was not run */
};

enum err workers_start(struct workers **out, const struct workers_conf *conf);

enum err workers_put(struct workers *s, struct work *w);

/* What runs is finished, what waits comes back as it is. Nothing is accepted from now on. Frees nothing that
 * a late workers_put would touch. */
void workers_stop(struct workers *s);

/* After workers_stop, when nobody puts any more. NULL is fine, and so is one that was not stopped. */
void workers_free(struct workers **owner);

#endif
