/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late - output of messages to many: written a part in each turn, in the order in which its connections began
 * to wait, and gathering meanwhile.
 *
 * A delivery costs a tenth of a microsecond and a write five, so deliveries go on while writes wait. The more
 * there is to do the more a write takes along, and a shard that is behind becomes faster, not slower.
 *
 * Thread:  the shard's.
 * Memory:  the connections' output.
 * Limits:  LATE_BYTES_MAX of a shard's output; at it who publishes to many is not read, and mail of such
 *          messages gives no credit back, until half of it has gone. Those may be thousands, and each adds
 *          one before it is known: at twice as much nobody publishes to many, and mail waits.
 * Errors:  none.
 * Tests:   tests/unit/test_late.c
 */
#ifndef SHARD_LATE_H
#define SHARD_LATE_H

#include "base/list.h"
#include <stdbool.h>
#include <stddef.h>

struct conn;
struct frame;
struct shard;

struct late {
    struct list conns;   /* with output that waits: none of them is dirty */
    struct list few;     /* the same, of those who had little when they were written to: they come first, */
                         /* for the others gain by waiting */
    struct list waiters; /* connections that are not read until it is less */
    size_t bytes;        /* of that output, but for what has waited for a socket that was full */
    size_t *credit;      /* for each shard, to be given back then */
    bool is_full;
};

/* So many bytes of a message to many have been added to its output, which nobody else writes in this turn. */
void late_put(struct shard *sh, struct conn *c, size_t bytes);

/* Its socket was full, and has room: what waited for it, much perhaps, is written in its turn, too. */
void late_room(struct shard *sh, struct conn *c);

/* It waits no more; before its output becomes less. */
void late_leave(struct shard *sh, struct conn *c);

/* It has published to many. */
void late_hold(struct shard *sh, struct conn *c);

/* Is there so much that nothing may be added? */
bool late_is_over(const struct shard *sh);

/* It is about to publish this. True: not now, for it may go to many. */
bool late_stops(struct shard *sh, struct conn *c, const struct frame *f);

/* Does none wait to be written? */
bool late_is_empty(const struct shard *sh);

/* Writes what this turn may. */
void late_flush(struct shard *sh);

#endif
