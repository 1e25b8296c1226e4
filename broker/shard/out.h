/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out - bytes on their way to one peer: copied into chunks, or lent from a message.
 *
 * Thread:  the shard's.
 * Memory:  chunks come from the shard's pool and go back when written, so an idle connection has none. A
 *          shared part holds a reference to its message.
 * Limits:  the callers' (OUT_BYTES_QOS0_MAX, OUT_BYTES_QOS1_MAX); the pool keeps OUT_CHUNKS_KEPT of
 *          each size.
 * Errors:  NULL or ERR_NOMEM without memory, and nothing was added.
 * Tests:   tests/unit/test_out.c
 */
#ifndef SHARD_OUT_H
#define SHARD_OUT_H

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/limits.h"
#include "msg/msg.h"
#include "net/transport.h"

struct out_part {
    struct out_part *next;
    struct msg *msg; /* NULL: the bytes are in data */
    const uint8_t *at;
    uint32_t bytes;
    uint32_t room; /* of data */
    uint8_t data[];
};

struct out_shelf {
    struct out_part *free;
    uint32_t count;
};
struct out_pool {
    struct out_shelf small, large;
};

struct out {
    struct out_part *first, *last;
    size_t bytes; /* waiting */
};

/* A QoS 0 PUBLISH as it goes to many receivers of one protocol version. */
struct fan_packet {
    uint32_t bytes; /* 0: not built */
    bool retain;
    uint8_t data[FAN_PACKET_BYTES_MAX];
};

void out_pool_fini(struct out_pool *pool);

/* Where the next byte of a chunk goes, and how many fit: what was written already has moved `at`, not the
 * end. */
static inline uint8_t *out_chunk_end(struct out_part *p)
{
    return p->data + (p->at - p->data) + p->bytes;
}
static inline size_t out_chunk_left(struct out_part *p)
{
    return p->msg != NULL ? 0 : p->room - (size_t)(out_chunk_end(p) - p->data);
}

/* Room for n bytes in one run, to be filled and then committed (n or fewer bytes). */
uint8_t *out_reserve_more(struct out *o, struct out_pool *pool, size_t n);
static inline uint8_t *out_reserve(struct out *o, struct out_pool *pool, size_t n)
{
    bool fits = o->last != NULL && out_chunk_left(o->last) >= n;
    return fits ? out_chunk_end(o->last) : out_reserve_more(o, pool, n);
}
static inline void out_commit(struct out *o, size_t n)
{
    DCHECK(n <= out_chunk_left(o->last));
    o->last->bytes += (uint32_t)n;
    o->bytes += n;
}

/* Appends bytes that lie in a message, without copying. */
enum err out_share(struct out *o, struct msg *m, struct bytes part);

static inline bool out_empty(const struct out *o)
{
    return o->bytes == 0;
}

/* Writes what goes now. ERR_AGAIN: the rest waits for the peer. *wrote counts all. */
enum err out_flush(struct out *o, struct out_pool *pool, struct transport *t, size_t *wrote);

void out_clear(struct out *o, struct out_pool *pool);

#endif
