/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credit - how many bytes one thread has under way to another, so that a fast one cannot bury a slow one.
 *
 * The giver takes credit for what it passes on, never waits for it, and stops reading its sources while more
 * than a limit is under way. The receiver gives it back; at the moment when the amount falls to half of the
 * limit it owes the giver one piece of mail.
 *
 * Thread:  credit_take and credit_heard by the giver, credit_give by the receiver.
 * Memory:  one for each ordered pair of threads, the giver's; the mail is part of it.
 * Limits:  limit_bytes, and what one read of a source adds to it.
 * Errors:  none.
 * Tests:   tests/unit/test_mailbox.c
 */
#ifndef BASE_CREDIT_H
#define BASE_CREDIT_H

#include "base/mailbox.h"

struct credit {
    struct mail mail; /* receiver to giver: there is room again */
    _Atomic(size_t) used_bytes;
    atomic_bool posted;
    size_t limit_bytes;
};

static inline void credit_init(struct credit *c, size_t limit_bytes)
{
    *c = (struct credit){ .limit_bytes = limit_bytes };
    atomic_init(&c->used_bytes, 0);
    atomic_init(&c->posted, false);
}

/* False: it is taken, but the limit is passed, and mail will follow. */
static inline bool credit_take(struct credit *c, size_t bytes)
{
    /* Ordered, so that who gives these bytes back sees all that credit_heard did before. */
    size_t before = atomic_fetch_add_explicit(&c->used_bytes, bytes, memory_order_acq_rel);
    return before + bytes <= c->limit_bytes;
}

/* True: put c->mail into an outbox to the giver. */
static inline bool credit_give(struct credit *c, size_t bytes)
{
    size_t before = atomic_fetch_sub_explicit(&c->used_bytes, bytes, memory_order_acq_rel);
    size_t low = c->limit_bytes / 2;
    if (before <= low || before - bytes > low) return false;
    return !atomic_exchange_explicit(&c->posted, true, memory_order_acq_rel);
}

/* The mail has come. Only after this may it be posted again. */
static inline void credit_heard(struct credit *c)
{
    atomic_store_explicit(&c->posted, false, memory_order_release);
}

#endif
