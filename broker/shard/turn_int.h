/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn_int - the loop of a shard without its thread: parts of shards_start, for tests that bring none.
 *
 * Thread:  one, for all of it.
 * Memory:  as shards_start.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/fuzz/fuzz_connection.c
 */
#ifndef SHARD_TURN_INT_H
#define SHARD_TURN_INT_H

#include "shard/shard.h"

struct shard;
struct epoll_event;

/* All of shards_start but the threads. */
void shards_prepare(struct shards *s, const struct journal *journal, const struct store *store,
                    const struct shards_past *past);

/* One turn of the loop, with what epoll would have said. The shard is on line in the epoch. */
void shard_turn(struct shard *sh, const struct epoll_event *events, int count);

/* Has it left something that the next turn is to go on with at once? */
bool shard_has_more(const struct shard *sh);

#endif
