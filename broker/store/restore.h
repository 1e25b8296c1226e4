/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore - what a store shows at boot: sessions, groups, then subscriptions and the other rows, in this
 * order.
 *
 * Thread:  main, before the shards run.
 * Memory:  all is lent for the call.
 * Limits:  none.
 * Errors:  the callee's first error ends the boot.
 * Tests:   tests/e2e/test_kill9.py
 */
#ifndef STORE_RESTORE_H
#define STORE_RESTORE_H

#include "base/bytes.h"
#include "base/err.h"
#include "store/journal.h"
#include "store/keepalive_row.h"

struct restore_session {
    uint64_t session_no, claim_no;
    uint32_t expiry_s;
    struct bytes client_id;
    uint64_t offline_ms;      /* since when, wall clock; at the latest when the last process was last seen */
    uint64_t sent;            /* entries up to this seq may have been sent before */
    struct msg *will;         /* NULL: none; lent */
    struct command_will when; /* of the will */
};

/* filter may be a shared one, "$share/NAME/FILTER". */
struct restore_subscription {
    uint64_t session_no;
    struct bytes filter;
    uint8_t options; /* as in a SUBSCRIBE packet */
    uint32_t id;     /* subscription identifier; 0: none */
};

/* NULL: not wanted. */
struct restore_sink {
    enum err (*session)(void *ctx, const struct restore_session *s);
    enum err (*group)(void *ctx, uint64_t group_no, struct bytes text);
    enum err (*subscription)(void *ctx, const struct restore_subscription *s);
    enum err (*retained)(void *ctx, struct msg *m, uint64_t version);
    /* A packet id that a client has not released yet. */
    enum err (*inbound)(void *ctx, uint64_t session_no, uint16_t id);
    /* An entry of DELAYED_QUEUE. */
    enum err (*delayed)(void *ctx, uint64_t seq, uint64_t due_ms);
    /* What was learned of a client's way, the newest first. */
    enum err (*keepalive)(void *ctx, const struct keepalive_row *row);
    void *ctx;
};

#endif
