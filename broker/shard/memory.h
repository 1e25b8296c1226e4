/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory - what a shard does at memory_limit: asks before it takes more, and lets go while there is too much.
 *
 *   below        everything is granted
 *   above        publishes, sessions, subscriptions, aliases and large packets are refused; reading goes on,
 *                acknowledgements are processed, what leaves is sent. Ten times a second some sessions let go
 *                of what waits for them: what the store has is read again later, what a clean session has is
 *                dropped and counted. Readers that take nothing are ended soon.
 *   5 % below    everything is granted again
 *
 * Thread:  the shard's; the gate is everybody's: what one shard has seen holds for all.
 * Memory:  none of its own.
 * Limits:  between two looks a shard takes LOOK_BYTES; a larger piece is compared with what is left.
 * Errors:  none: false says that the peer is to be refused.
 * Tests:   tests/unit/test_shard_memory.c, tests/e2e/test_memory_limit.py
 */
#ifndef SHARD_MEMORY_H
#define SHARD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct shard;

struct memory {
    bool is_high; /* as this shard has seen last: it lets go */
    uint8_t pass; /* how often all sessions have been walked since: each takes more */
    size_t taken; /* bytes granted since it looked */
    uint64_t looked_ms;
    size_t walk_at; /* in the map of sessions */
};

/* Connections whose output does not go, and since when it has been so (slow.c). */
struct slow_reader {
    uint64_t id, since_ms;
};
struct slow_list {
    struct slow_reader *at;
    size_t count, room;
};

void memory_turn(struct shard *sh);

/* May a peer make us keep so many bytes more? False: it is counted as refused. */
bool memory_grants(struct shard *sh, size_t bytes);

/* The same for what it makes us keep only while a packet of its own is not whole: packets of a usual
 * size may come a little above the limit, so that an answer can refuse them. */
bool memory_grants_input(struct shard *sh, size_t bytes);

/* Output of one connection above which it is not read; and above which no QoS 1 is put on its way. */
size_t memory_output_max(const struct shard *sh);
size_t memory_window_max(const struct shard *sh);
/* Output of all of a shard's connections that may wait for its turn to be written, see late.h. */
size_t memory_late_max(const struct shard *sh);

/* slow.c: a connection's output does not go for the moment. */
void slow_note(struct shard *sh, struct conn *c);

#endif
