/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission - after a mass disconnect the clients come back at a rate that the broker can bear.
 *
 *   well -> (more than admission_rate in a second were lost, or came back) -> troubled
 *   troubled -> (nobody has had to wait for ADMISSION_QUIET_MS) -> well
 *
 * In trouble a CONNECT is looked at before anything is made for it, on the shard of its session:
 *
 *   its session is on line          in: it takes over, and takes a turn if there is one
 *   there is room at the rate       in
 *   its turn comes soon             held: left where it is in its connection's input, which is not read
 *   its turn comes late             version 5: refused, 0x9F; version 3: held, then refused
 *   too many are held               refused: 0x97, 3
 *
 * Who came by a Unix socket is let in: the operator has to see what happens.
 *
 * Thread:  the shard's; what is counted is shared by all (base/bucket.h).
 * Memory:  16 bytes for one that is held, and its CONNECT.
 * Limits:  the options admission_*.
 * Errors:  without memory it is as if too many were held.
 * Tests:   tests/unit/test_admission.c, tests/e2e/test_admission.py
 */
#ifndef SHARD_ADMISSION_H
#define SHARD_ADMISSION_H

#include "base/bucket.h"
#include "base/gauge.h"
#include "base/tally.h"
#include <stdbool.h>
#include <stddef.h>

struct conn;
struct frame;
struct shard;

enum { ADMISSION_QUIET_MS = 60 * 1000 };

/* Of all shards together. All zero: well. */
struct admission {
    struct bucket lost, returned, admitted;
    struct gauge held, watched; /* the second: 1 when a shard looks for its end */
    struct tally until_ms;      /* trouble; over when that is past */
};

/* A session's client is gone, and has not said that it leaves; it has come back to its session. */
void admission_lost(struct shard *sh);
void admission_returned(struct shard *sh);

/* The broker starts, and remembers so many sessions. */
void admission_boot(struct shard *sh, size_t sessions);

/* A packet that begins a connection, at home. True: it is not for now; the connection is paused or ends. */
bool admission_stops(struct shard *sh, struct conn *c, const struct frame *f);

/* Somebody's time has come, or the trouble may be over. */
void admission_alarm(struct shard *sh);

#endif
