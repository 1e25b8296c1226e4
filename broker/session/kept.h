/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept - what only a persistent session has: it stands behind its struct session, in the same block.
 *
 * Thread:  the session's shard.
 * Memory:  the session's.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_session.c
 */
#ifndef SESSION_KEPT_H
#define SESSION_KEPT_H

#include "wheel/wheel.h"

struct session;

struct session_kept {
    struct wheel_timer timer; /* expiry, or the will's delay; off line only */
    uint64_t expires_ms;      /* with the timer: when the session ends; UINT64_MAX: never */
    struct session *next_acking;
    uint64_t fed;          /* the highest seq taken into the ring */
    uint64_t finished;     /* the highest seq acknowledged */
    uint64_t dropped_upto; /* its queue's limit cost what was not sent up to here */
    uint64_t resent_upto;  /* entries up to here may have been sent before this process began */
};

/* What a clean session has of it: nothing. To be read. */
extern const struct session_kept session_kept_none;

#endif
