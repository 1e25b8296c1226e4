/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order - one order of records: this machine's log, or a cluster's. The seam below a store.
 *
 * A store proposes records and applies what comes back: its own and those of others, each once it has its
 * position. On one machine it comes back within propose, and is durable after settle; in a cluster it comes
 * later, when a quorum has it.
 *
 * What a process proposes is one stream: its records come back in the order of their origin's n, though maybe
 * twice after unknown(), or with a hole before them; the store applies n only after n - 1.
 *
 * Thread:  all from the store's own thread, but for purge, which belongs to one other, and wake, which any
 *          thread may call. An implementation with threads sends itself mail by wake, and gets it in run.
 * Memory:  borrows records; lends them to applied for the call.
 * Limits:  none on a record's size.
 * Errors:  ERR_FULL from propose and settle: no room; nothing has changed, and it may be tried again. Others:
 *          order_error says what; the process must stop.
 * Tests:   tests/contract/journal_*.c
 */
#ifndef STORE_ORDER_H
#define STORE_ORDER_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mailbox.h"

struct order_sink {
    /* An error ends replay. */
    enum err (*applied)(void *ctx, uint64_t position, struct bytes record);
    /* A leader was lost: what was proposed and has not come back must be proposed again, in its order, before
     * anything new. */
    void (*unknown)(void *ctx);
    void (*wake)(void *ctx, struct mail *m);
    void *ctx;
};

struct order_ops {
    const char *name;
    /* Nobody else proposes, and what is proposed comes back at once: what changes nothing needs no record. */
    bool is_alone;
    /* At boot: all records after a position, until each fails; its error. */
    enum err (*replay)(void *impl, uint64_t after, const struct order_sink *sink);
    /* From here on the sink is called. */
    void (*start)(void *impl, const struct order_sink *sink);
    enum err (*propose)(void *impl, struct bytes record);
    /* What has come back may be seen by others when this returns. */
    enum err (*settle)(void *impl);
    void (*run)(void *impl, struct mail *m);
    /* Records up to here are not needed any more. */
    enum err (*purge)(void *impl, uint64_t upto);
    const char *(*error)(void *impl);        /* of the store's thread */
    const char *(*upkeep_error)(void *impl); /* of purge */
    void (*close)(void *impl);
};

struct order {
    const struct order_ops *ops;
    void *impl;
};

#endif
