/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heir - a CONNECT for a session whose connection has packets that wait for plugins.
 *
 *   CONNECT -> heir_waits   those packets first: it stays in CONN_AUTH; the other one is read no more
 *   the other one leaves the session -> heirs_wake -> heir_go_on, in the order in which they came
 *
 * So what came before it is done as if plugins answered at once: a publish is one, a DISCONNECT takes the
 * will back. How long that may last is bounded by plugin_timeout, and for who waits by connect_timeout_s.
 *
 * Thread:  the shard's.
 * Memory:  the connection's that waits: its CONNECT.
 * Limits:  those of connections.
 * Errors:  MQTT_RC_QUOTA_EXCEEDED without memory.
 * Tests:   tests/unit/test_shard_heir.c
 */
#ifndef SHARD_HEIR_H
#define SHARD_HEIR_H

#include "shard/conn.h"

/* Must p, of this connection, wait? False: it may have the session. */
bool heir_waits(struct shard *sh, struct conn *c, const struct connect *p);

/* This connection has left its session, or is about to: who waits for that goes on in this turn. */
void heirs_wake(struct shard *sh, struct conn *c);
void heir_go_on(struct shard *sh, struct conn *c);

/* Does somebody wait for the session of this connection? */
bool heirs_wait(const struct conn *c);

/* Somebody may wait, and this connection's output stands in the way: it is thrown away. */
void heirs_press(struct shard *sh, struct conn *c);

void heir_free(struct conn *c);

#endif
