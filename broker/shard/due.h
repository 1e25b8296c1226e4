/* SPDX-License-Identifier: Apache-2.0 */
/*
 * due - what is due when, in milliseconds or whatever else counts: the earliest first, of the same time the
 * one with the lowest number.
 *
 * A binary heap of 16 bytes an entry; put and take cost the logarithm of the count.
 *
 * Thread:  one.
 * Memory:  one block, for as many as were reserved.
 * Limits:  the caller's.
 * Errors:  ERR_NOMEM from due_reserve: nothing has changed.
 * Tests:   tests/unit/test_due.c
 */
#ifndef SHARD_DUE_H
#define SHARD_DUE_H

#include "base/err.h"
#include <stdint.h>

struct due_entry {
    uint64_t due, seq;
};

/* All zero is an empty one without room. */
struct due {
    struct due_entry *at;
    uint32_t count, room;
};

void due_fini(struct due *d);

/* Room for so many in all. */
enum err due_reserve(struct due *d, uint32_t room);

/* There must be room. */
void due_put(struct due *d, struct due_entry e);

/* Lends the first until the next change; NULL: there is none. */
const struct due_entry *due_first(const struct due *d);

/* There must be one. */
struct due_entry due_take(struct due *d);

#endif
