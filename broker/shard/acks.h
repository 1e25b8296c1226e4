/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acks - a connection's PUBACKs and PUBRECs, in the order of their PUBLISHes.
 *
 * Thread:  the shard's.
 * Memory:  exists only while there are some that wait.
 * Limits:  ACKS_WAITING_MAX: then the connection is not read.
 * Errors:  ERR_NOMEM.
 * Tests:   tests/conformance/4.6-order
 */
#ifndef SHARD_ACKS_H
#define SHARD_ACKS_H

#include "shard/conn.h"

/* PUBACKs and PUBRECs leave in the order of their PUBLISHes: those of journaled ones wait here, and all after
 * them. */
struct acks_slot {
    uint16_t id;
    uint8_t type; /* PACKET_PUBACK or PACKET_PUBREC */
    uint8_t code;
    bool done;
};
/* What a plugin has said to one that waits. */
struct acks_text {
    struct acks_text *next;
    uint32_t ticket;
    char text[];
};
struct acks {
    uint32_t head, tail, room; /* count up for ever, masked on use */
    uint32_t pubacks;          /* that wait */
    struct acks_text *texts;   /* in their order */
    struct acks_slot slots[];
};

/* In order: a place for a PUBLISH whose PUBACK or PUBREC comes later; its ticket fills it. */
enum err conn_ack_wait(struct shard *sh, struct conn *c, enum packet_type type, uint16_t id,
                       uint32_t *ticket);
void conn_acks_free(struct conn *c);
struct acks_slot *conn_ack_slot(const struct conn *c, uint32_t ticket);
void conn_ack_done(struct shard *sh, struct conn *c, uint32_t ticket, uint8_t code);
/* A publish that reaches even clean receivers at its completion: one more on its way, one less. */
void conn_defer(struct shard *sh, struct conn *c);
void conn_deferred_done(struct shard *sh, struct conn *c);
/* Now, or behind those that wait; with the text of hooked_say. */
void conn_ack_now(struct shard *sh, struct conn *c, enum packet_type type, uint16_t id, uint8_t code);

#endif
