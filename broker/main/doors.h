/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doors - the listeners that are open, and what all shards see of each of them.
 *
 * A listener has a place in the view for as long as it lives: from its first plan until, some reload after it
 * has gone from the configuration, its last connection has ended. So what a connection knows of its
 * listener, a number, is good in every view.
 *
 * A change is planned and then applied. A plan opens sockets, reads keys and certificates, and finds out all
 * that can be wrong; what runs does not notice. Applied, it holds for all shards.
 *
 * Thread:  main.
 * Memory:  a plan takes its configuration, also when it fails.
 * Limits:  CONFIG_LISTENERS_MAX that are open, and those that end.
 * Errors:  each problem is an event in the log, and the plan is cancelled.
 * Tests:   tests/e2e/test_reload.py, tests/e2e/test_start.py
 */
#ifndef MAIN_DOORS_H
#define MAIN_DOORS_H

#include "base/err.h"
#include "config/config.h"
#include "log/log.h"
#include "shard/shard.h"

struct doors;
struct doors_plan;
struct plugins;

struct doors_counts {
    unsigned opened, kept, closed;
};

/* Borrows the plugins, which may be NULL. */
enum err doors_new(struct doors **out, struct log *log, struct plugins *plugins);

/* No shard may be running. */
void doors_free(struct doors **owner);

/* What this configuration asks for. */
enum err doors_plan(struct doors *d, struct doors_plan **out, struct config *config);
/* Takes config. Is what its files hold right? Nothing is opened that others could connect to. */
enum err doors_try(struct log *log, struct config *config);
const struct shards_view *doors_plan_view(const struct doors_plan *p);
void doors_cancel(struct doors_plan **owner);

/* Makes it so, or says why not and cancels it. */
enum err doors_apply(struct doors *d, struct doors_plan **owner, struct shards *shards,
                     struct doors_counts *counts);

/* Accepts no more. */
void doors_close(struct doors *d);

/* What holds now; NULL before the first plan is applied. */
const struct config *doors_config(const struct doors *d);

#endif
