/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delayed - messages to be published later ($delayed/SECONDS/TOPIC): they wait in a queue of the store, and
 * shard 0 remembers when each is due.
 *
 *   admitted -> (ENQUEUE into DELAYED_QUEUE) -> added -> due: read -> (MOVE to who wants it then) ->
 * dismissed refused: dismissed               ^                     |
 *                                                +---------------------+ stale, refused: once more
 *
 * An entry is moved by one command at a time, and the first one wins: it is published once, also across
 * kill -9. What became due while no broker ran is due at once.
 *
 * Thread:  shard 0's, but for delayed_admit and delayed_dismiss.
 * Memory:  16 bytes a message, and a page; the messages are the store's.
 * Limits:  max_delayed_messages, counted over all shards from their ENQUEUE to their MOVE. DELAYED_MOVES_MAX
 *          and DELAYED_MOVES_BYTES_MAX are moved at once; the others wait.
 * Errors:  ERR_NOMEM from delayed_new and delayed_restore. What the store refuses to move is moved later.
 * Tests:   tests/unit/test_shard_delayed.c, tests/e2e/test_delayed.py
 */
#ifndef SHARD_DELAYED_H
#define SHARD_DELAYED_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct shard;
struct shards;
struct command;
struct delayed;

enum err delayed_new(struct delayed **out, uint32_t messages_max);
void delayed_free(struct delayed **owner);

/* max_delayed_messages may be another one. */
void delayed_reload(struct shard *sh);

/* May one more come? It is counted then. By the publisher's shard, before its ENQUEUE. */
bool delayed_admit(struct shard *sh);
/* It has not come after all, or it has gone. */
void delayed_dismiss(struct shard *sh);

/* Its ENQUEUE is applied. */
void delayed_add(struct shard *sh, uint64_t seq, uint64_t due_ms);

/* Its MOVE is complete. */
void delayed_moved(struct shard *sh, const struct command *cmd);

/* At boot; however many there are. */
enum err delayed_restore(struct shards *all, uint64_t seq, uint64_t due_ms);

#endif
