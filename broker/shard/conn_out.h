/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn_out - what a connection says: packets into its output, and the output to the network once a turn.
 *
 * Thread:  the shard's.
 * Memory:  the connection's output, see out.h.
 * Limits:  of output to many a turn writes a part, see late.h.
 * Errors:  a connection without memory for its output is doomed.
 * Tests:   tests/unit/test_share_of_turn.c, tests/conformance
 */
#ifndef SHARD_CONN_OUT_H
#define SHARD_CONN_OUT_H

#include "codec/codec.h"
#include "msg/msg.h"

struct conn;
struct shard;

/* Output gathers until the end of the turn. One commit a packet. What goes to many at once (conn_fan_begin)
 * may wait for later turns, and goes with the first that is marked. */
uint8_t *conn_reserve(struct shard *sh, struct conn *c, size_t n);
void conn_commit(struct shard *sh, struct conn *c, size_t n);
void conn_mark_dirty(struct shard *sh, struct conn *c);
void conn_unmark_dirty(struct shard *sh, struct conn *c);
size_t conn_flush(struct shard *sh, struct conn *c); /* how much was written */
void conn_flush_dirty(struct shard *sh);

/* One PUBLISH. False: it is not sent, and the client must do without (too large, expired, no memory). */
struct conn_publish {
    struct msg *msg;
    uint16_t id;
    uint8_t qos;
    bool dup, retain;
    bool is_shared;    /* by a group: */
    uint32_t share_id; /* the only subscription identifier that it gets; 0: none */
};
bool conn_send_publish(struct shard *sh, struct conn *c, const struct conn_publish *p);
/* The same message to so many; of QoS 0 one call of conn_fan_send a receiver. The packet is built for the
 * first of a protocol version and copied for the others. From begin to end sh->found is what matches it. */
void conn_fan_begin(struct shard *sh, struct msg *m, size_t receivers);
void conn_fan_end(struct shard *sh);
void conn_fan_send(struct shard *sh, struct conn *c, bool retain);
/* Adds a Reason String for this code to a packet of so many bytes, if the client wants and can take it. */
void conn_give_reason(const struct conn *c, struct props *props, uint8_t code, uint32_t bytes);
void conn_send_ack(struct shard *sh, struct conn *c, enum packet_type type, uint16_t id, uint8_t code);

#endif
