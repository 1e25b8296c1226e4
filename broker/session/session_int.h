/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_int - the ring of a session and what its fence remembers, for the module's own files.
 *
 * Thread:  the session's shard.
 * Memory:  the session's.
 * Limits:  see session.h.
 * Errors:  none.
 * Tests:   tests/unit/test_session.c, tests/unit/test_fence.c
 */
#ifndef SESSION_SESSION_INT_H
#define SESSION_SESSION_INT_H

#include "session/session.h"

static inline struct session_entry *session_at(const struct session *s, uint32_t index)
{
    return &s->ring[index & (s->room - 1)];
}

/* fence.c */
bool session_is_void(const struct session *s, uint64_t seq);
void session_unvoid(struct session *s, uint64_t seq); /* this one and all before it */
void session_fence_free(struct session *s);

#endif
