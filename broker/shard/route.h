/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route - one published message to all who want it.
 *
 * Thread:  the publisher's shard; other shards get their share by mail.
 * Memory:  borrows the parts; the message made of them is counted.
 * Limits:  credit for each pair of shards: a source that outruns it is not read for a while.
 * Errors:  ROUTE_FAILED without memory: nothing was delivered that the publisher could think acknowledged.
 * Tests:   tests/conformance, tests/stress
 */
#ifndef SHARD_ROUTE_H
#define SHARD_ROUTE_H

#include "base/bytes.h"
#include "shard/conn.h"

/* One subscription that a match hit: a session and the best of its overlapping filters. */
struct hit {
    struct session *session;
    uint8_t qos;
    bool retain;
};

struct route_in {
    struct bytes topic, block, payload;
    struct bytes mid; /* the publisher's own id of it, to be de-duplicated by; empty: none */
    uint8_t qos;
    bool retain;
    uint64_t expires_ms;
    uint64_t due_ms;                    /* wall clock: not before; 0: now */
    uint64_t from_session, from_client; /* the latter with retain only */
    struct conn *conn;                  /* NULL: a will, or a plugin's */
    uint16_t id;                        /* whose PUBACK or PUBREC waits; 0: none */
    uint16_t in_id;  /* the same for QoS 2 of a persistent session: as durable as the message; else 0 */
    uint64_t ticket; /* without conn: what the command's completion says; 0: nothing */
    const struct session *will_of; /* whose durable will it is: the journal decides whether it goes out */
};

enum route_result {
    ROUTE_DONE,    /* delivered, or on its way to clean receivers */
    ROUTE_NOBODY,  /* no subscriber */
    ROUTE_PENDING, /* the journal has it; its completion acknowledges */
    ROUTE_REFUSED, /* too many are to be published later */
    ROUTE_FAILED,
};

/* A delayed message that is due, with its seq in the queue of these: to who wants it now, or to nobody, and
 * out of that queue. delayed_moved follows. False: no memory, and nothing has happened. */
bool route_delayed(struct shard *sh, struct msg *m, uint64_t seq, bool is_wanted);

/* A value of the broker's own: QoS 0, retained, and nothing of it is durable. */
void route_own(struct shard *sh, const struct route_in *in);

enum route_result route_publish(struct shard *sh, const struct route_in *in);

/* Output to many has gone: so has what other shards have sent for it, as far as their credit goes. */
void route_late_gone(struct shard *sh);

#endif
