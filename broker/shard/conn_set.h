/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_set - how a shard holds its connections: slots by id, and queues of ids.
 *
 * Thread:  the shard's.
 * Memory:  16 bytes a slot, 8 an id; what has grown stays.
 * Limits:  none of its own.
 * Errors:  none.
 * Tests:   tests/fuzz/fuzz_connection.c
 */
#ifndef SHARD_CONN_SET_H
#define SHARD_CONN_SET_H

#include <stddef.h>
#include <stdint.h>

struct conn;

/* Connections in a queue; one that is gone is not found by its id. */
struct conn_ids {
    uint64_t *at;
    size_t count, room;
};

struct conn_slot {
    struct conn *conn; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

#endif
