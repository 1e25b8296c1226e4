/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qos2 - exactly once, to a client and from it (MQTT 5.0 section 4.3.3).
 *
 * To the client:
 *
 *   session_next: PUBLISH -> session_pubrec -> (a persistent session: journaled, session_recorded)
 *       -> session_next: PUBREL -> session_pubcomp -> finished
 *
 * A persistent session gives a message the packet id that its seq says, so that the id is as durable as the
 * message; one whose id is taken waits, and all behind it. After a reconnect the PUBRELs go first, in the
 * order of their PUBRECs [MQTT-4.6.0-4]; what the client has not answered is sent again.
 *
 * From the client: the ids for which no PUBREL has been seen through, each with the state of enum inbound.
 *
 * Thread:  the session's shard.
 * Memory:  the session's: one block for what is on its way out, an array for what comes in.
 * Limits:  QOS2_OUT_MAX on their way out; inbound 65,535, and the caller's Receive Maximum.
 * Errors:  ERR_NOMEM from session_inbound_add; without memory nothing new goes out.
 * Tests:   tests/unit/test_qos2.c
 */
#ifndef SESSION_QOS2_H
#define SESSION_QOS2_H

#include "base/err.h"
#include "base/limits.h"
#include <stdbool.h>
#include <stdint.h>

struct session;

/* --- out */

/* Packet id, and the place in the ring. */
struct qos2_item {
    uint16_t id, place;
};

/* ACK commands are lazy, so what has finished may come again after a crash: then it must not meet another
 * message of the same id. The lowest seq of what finished since the last RECEIVED command (fresh), and of
 * what those under way tell of: up to one of them (early), and after it (late). */
struct qos2_settling {
    uint64_t fresh, early, late; /* 0: none */
    uint64_t early_upto, made;   /* numbers of RECEIVED commands */
    bool is_wanted;              /* a message waits */
};

/* [0, received): PUBREC came, in this order; the first `recorded` of them were given to the journal, and of
 * the first `released` PUBREL was sent over this connection. [received, count): PUBLISH was sent. */
struct qos2_out {
    struct qos2_settling settling;
    uint16_t released, recorded, received, count;
    struct qos2_item at[QOS2_OUT_MAX];
};

enum qos2_reply {
    QOS2_UNKNOWN, /* no such packet id is on its way */
    QOS2_WRONG,   /* it is, and this is no answer to it */
    QOS2_TAKEN,
    QOS2_AGAIN, /* PUBREC once more, though PUBREL was sent */
};

/* PUBREC; refused: with a code of 0x80 or above, which ends it. */
enum qos2_reply session_pubrec(struct session *s, uint16_t id, bool refused);
enum qos2_reply session_pubcomp(struct session *s, uint16_t id);

/* A persistent session's PUBRECs that no RECEIVED command says yet: how many, and their seqs, in order, which
 * count as said from then on. */
uint32_t session_unrecorded(const struct session *s);
void session_record(struct session *s, uint64_t *seqs);
/* The journal has it: PUBREL may go. Or it has not and will not: PUBLISH is sent again. */
void session_recorded(struct session *s, uint64_t seq);
void session_not_recorded(struct session *s, uint64_t seq);

/* Does a message wait until an earlier one's end is durable? Then a RECEIVED command is to be made, perhaps
 * of nothing, behind the ACK command that says what has finished: with this number, to be given back when it
 * is durable, or will not be. */
bool session_wants_settled(const struct session *s);
uint64_t session_settle_begin(struct session *s);
void session_settled(struct session *s, uint64_t number);
void session_not_settled(struct session *s);

/* --- in */

enum inbound {
    INBOUND_NONE,
    INBOUND_PENDING,   /* the journal has the message: PUBREC at its completion */
    INBOUND_RECEIVED,  /* PUBREC was sent: the same id is the same message */
    INBOUND_RELEASING, /* PUBREL came, and the journal has it: PUBCOMP at its completion */
};

struct inbound_item {
    uint32_t ticket;
    uint16_t id;
    uint8_t state;
    bool is_awaited; /* by the present connection */
};

struct qos2_in {
    struct inbound_item *at; /* ascending by id */
    uint16_t count, room;    /* ids are not 0: 65,535 is enough for all */
    uint16_t inherited;      /* how many there were when the present connection came */
};

enum inbound session_inbound(const struct session *s, uint16_t id);

/* A new one: PENDING, or from before this process RECEIVED. */
enum err session_inbound_add(struct session *s, uint16_t id, enum inbound state);

/* The present connection waits for what comes of it. */
void session_inbound_await(struct session *s, uint16_t id, uint32_t ticket);
bool session_inbound_is_awaited(const struct session *s, uint16_t id);

/* What became of a PENDING one: kept (RECEIVED), or as if it had never come. True: *ticket waits. */
bool session_inbound_kept(struct session *s, uint16_t id, bool kept, uint32_t *ticket);

/* PUBREL. RECEIVED becomes RELEASING. */
void session_inbound_release(struct session *s, uint16_t id);

/* What became of a RELEASING one: gone, or RECEIVED still. True: the present connection waits for PUBCOMP. */
bool session_inbound_gone(struct session *s, uint16_t id, bool gone);

#endif
