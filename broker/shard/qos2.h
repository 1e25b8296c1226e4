/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qos2 - QoS 2 between clients, their sessions and the journal: what on_qos2.c offers the other files.
 *
 * Thread:  the shard's.
 * Memory:  borrows.
 * Limits:  see session/qos2.h.
 * Errors:  without memory a connection is doomed, or what is to be said waits for the next turn.
 * Tests:   tests/conformance/4.3-qos2
 */
#ifndef SHARD_QOS2_H
#define SHARD_QOS2_H

#include <stdbool.h>
#include <stdint.h>

struct command;
struct conn;
struct session;
struct shard;

/* A PUBLISH whose packet id is known: answered, now or later. False: it is new. */
bool qos2_again(struct shard *sh, struct conn *c, uint16_t id);

/* The completion of an ENQUEUE with a packet id, to be answered with this code; of a RELEASE; of a RECEIVED.
 */
void qos2_published(struct shard *sh, const struct command *cmd, uint8_t code);
void qos2_released(struct shard *sh, const struct command *cmd);
void qos2_received(struct shard *sh, const struct command *cmd);

/* One RECEIVED for what this turn's PUBRECs said, behind the ACK that says what has finished. */
void qos2_put_received(struct shard *sh, struct session *s);

#endif
