/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_kit - what tests of a session's queue share: a session, messages by their seq, and offering them.
 *
 * Thread:  one.
 * Memory:  close_session frees all, and finds out what the session has not given back.
 * Limits:  MSGS different messages.
 * Errors:  none.
 * Tests:   test_session.c, test_session_ring.c
 */
#ifndef UNIT_SESSION_KIT_H
#define UNIT_SESSION_KIT_H

#include "kit/test.h"
#include "session/session.h"

enum { MSGS = 61 };

static struct msg *msgs[MSGS];

/* The message of a seq; few in all, so that a wrong one is likely to be another one. */
static inline struct msg *msg_of(uint64_t seq)
{
    struct msg **m = &msgs[seq % MSGS];
    struct msg_parts parts = { .topic = bytes_of_text("t"), .payload = bytes_of_text("payload"), .qos = 1 };
    if (*m == NULL) CHECK_INT(ERR_OK, msg_new(m, &parts));
    return *m;
}

static inline struct session *open_session(bool persistent)
{
    struct session *s = NULL;
    struct session_conf conf = { .client_id = bytes_of_text("client"),
                                 .session_no = 7,
                                 .persistent = persistent,
                                 .queue_bytes_max = CLEAN_QUEUE_BYTES_MAX };
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    return s;
}

static inline void close_session(struct session *s)
{
    if (s->conn != NULL) session_detach(s);
    session_free(&s);
    CHECK_TRUE(s == NULL);
    for (size_t i = 0; i < MSGS; i++) {
        /* The session has given back every reference it took. */
        if (msgs[i] != NULL) CHECK_INT(1, atomic_load(&msgs[i]->ref.count));
        msg_unref(&msgs[i]);
    }
}

static inline enum err offer(struct session *s, uint64_t seq)
{
    struct store_row row = { .seq = seq, .msg = msg_of(seq), .qos = 1 };
    return session_offer(s, &row);
}

static inline void offer_some(struct session *s, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) CHECK_INT(ERR_OK, offer(s, seq));
}

#endif
