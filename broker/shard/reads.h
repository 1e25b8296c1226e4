/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reads - READ checks by plugins: what waits for a verdict between its session and its connection's output.
 *
 *   conn_send_publish -> reads_judge -> READ_NOW:   into the output
 *                                       READ_NEVER: the client must do without
 *                                       READ_LATER: an item of the vector that this turn asks the plugins
 *   reads_turn: hooks_ask ... MAIL_READS, in the order of asking: into the output, or finished without
 *
 * For its session an item is sent: it has its packet id and stands in the window. What is late is asked
 * again in its place. All that goes to a client whose items wait goes behind them, so the order is kept. An
 * item whose connection is gone is dropped: the session sends it again over the next one.
 *
 * Thread:  the shard's.
 * Memory:  an item shares its message and its client; a vector is freed when the host has let go of it too.
 * Limits:  what waits counts as output of its connection; READS_WAITING_MAX of QoS 0 on a shard, and none
 *          above memory_limit: more is dropped and counted.
 * Errors:  without memory QoS 0 is dropped, and else the connection ends: its session keeps the message.
 * Tests:   tests/unit/test_shard_reads.c
 */
#ifndef SHARD_READS_H
#define SHARD_READS_H

#include "base/list.h"
#include "shard/conn.h"

struct reads_queue;
struct verdicts;

/* A connection's part in it. */
struct conn_reads {
    struct reads_queue *queue; /* where its items wait; NULL: none does */
    uint32_t waiting;
    size_t bytes;              /* of their packets, nearly */
    struct verdicts *verdicts; /* that are remembered; NULL: none */
};

/* A shard's. */
struct reads {
    struct list queues;
    uint32_t waiting;
};

enum read_fate { READ_NOW, READ_NEVER, READ_LATER };

/* Of a connection with c->hooked. */
enum read_fate reads_judge(struct shard *sh, struct conn *c, const struct conn_publish *p);

/* conn_out.c: what has been allowed. As conn_send_publish; and what makes conn_fan_send not ask, until
 * conn_fan_end. */
bool conn_send_allowed(struct shard *sh, struct conn *c, const struct conn_publish *p);
void conn_fan_again(struct shard *sh, struct msg *m);

/* Asks what has gathered, and sends what is answered. */
void reads_turn(struct shard *sh);

/* Its connection has ended. */
void reads_conn_gone(struct conn_reads *r);

void reads_init(struct reads *r);
void reads_fini(struct reads *r);

#endif
