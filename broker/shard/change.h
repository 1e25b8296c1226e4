/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change - what changes while the shards run: the descriptors that they accept from, and the view.
 *
 * Thread:  shards_call from main; the others from the shard's.
 * Memory:  the shard's.
 * Limits:  some connections in each turn.
 * Errors:  none of its own.
 * Tests:   tests/e2e/test_reload.py
 */
#ifndef SHARD_CHANGE_H
#define SHARD_CHANGE_H

#include "base/err.h"
#include <stdbool.h>

/* Ids in a loop that are no connection's: slots count up from 0, generations from 1. */
enum { ID_MAILBOX = 0, ID_TIMER = 1, ID_LISTENERS = 2 };

struct conn;
struct shard;
struct shards;
struct shards_listener;

/* Runs a function on every shard's thread, and returns when all have run it: the first error of them. */
enum err shards_call(struct shards *s, enum err (*run)(struct shard *sh, void *arg), void *arg);

/* Tells epoll of all descriptors. */
void shard_watch_listeners(struct shard *sh, int op);

/* Is it one to come in by? */
bool shard_is_door(const struct shard *sh, const struct shards_listener *l);

/* Looks at some connections again, if the view has changed. */
void recheck_turn(struct shard *sh);

/* Ends a connection that may be here no more. */
void recheck_conn(struct shard *sh, struct conn *c);

#endif
