/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_int - the ring of a session and what its fence remembers, for the module's own files.
 *
 * Thread:  the session's shard.
 * Memory:  the session's.
 * Limits:  see session.h.
 * Errors:  none.
 * Tests:   tests/unit/test_session.c, tests/unit/test_session_ring.c, tests/unit/test_fence.c
 */
#ifndef SESSION_SESSION_INT_H
#define SESSION_SESSION_INT_H

#include "session/session.h"

enum { RING_BLOCK = 64 };

static inline struct session_entry *session_at(const struct session *s, uint32_t index)
{
    return &s->blocks[index / RING_BLOCK & (s->blocks_room - 1)][index & (s->block_room - 1)];
}

/* ring.c */
bool session_ring_room(struct session *s);       /* for one more at the tail; false: no memory */
void session_ring_drop_first(struct session *s); /* lets go of it */
void session_ring_drop_last(struct session *s);
void session_ring_free(struct session *s); /* of all */

/* Has it an id of its own, of ID_EXACT? Else its place is its id. */
static inline bool session_is_exact(const struct session *s, const struct session_entry *e)
{
    return e->qos == 2 && s->persistent;
}

static inline uint16_t session_entry_id(const struct session *s, const struct session_entry *e)
{
    if (e->place == 0 || !session_is_exact(s, e)) return e->place;
    if (e->packet_id != 0) return e->packet_id;
    return (uint16_t)(ID_EXACT_FIRST + e->seq % ID_EXACT_COUNT);
}

/* outbound.c */
bool session_is_full(const struct session *s);                      /* the window, for another PUBLISH */
void session_let_go(struct session *s, struct session_entry *e);    /* it leaves the ring */
uint32_t session_index_of(const struct session *s, uint16_t place); /* of an entry in the ring */
struct session_entry *session_find_seq(const struct session *s, uint64_t seq); /* NULL: not in the ring */
void session_finish(struct session *s, struct session_entry *e); /* the window is the caller's */

/* qos2.c */
bool session_exact_begin(struct session *s, const struct session_entry *e, uint16_t place);
bool session_next_release(struct session *s, struct session_send *out);
void session_exact_skip(struct session *s, const struct session_send *given);
struct session_entry *session_exact_sent(const struct session *s, uint16_t id); /* NULL: none has it */
bool session_exact_in_flight(const struct session *s, uint16_t id);
void session_exact_reset(struct session *s);

/* inbound.c */
void session_inbound_attach(struct session *s);
void session_inbound_detach(struct session *s);

/* shared.c */
uint64_t session_shared_inflight_bytes(const struct session *s); /* of payload */
void session_shared_fini(struct session *s);
void session_shared_detach(struct session *s);
void session_shared_finished(struct session *s, uint64_t seq); /* an entry of its own queue */
void session_shared_dropped(struct session *s, uint64_t upto); /* the same, by its limit */

/* fence.c */
bool session_is_void(const struct session *s, uint64_t seq);
void session_unvoid(struct session *s, uint64_t seq); /* this one and all before it */
void session_fence_free(struct session *s);

#endif
