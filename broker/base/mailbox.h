/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox - the only door between threads: many senders, one receiver, no locks.
 *
 * A sender gathers its mail for one receiver in an outbox, privately, and hands the whole batch over with
 * one compare-and-swap; the receiver takes everything with one exchange. Mail of one sender arrives in the
 * order it was put. A receiver that sleeps (in epoll, on an eventfd) is woken once for a batch.
 *
 * Thread:  an outbox belongs to one thread; mailbox_hand_over from any; the rest from the receiver.
 * Memory:  mail is intrusive: it rides in the sender's structs, whose ownership passes with it.
 * Limits:  none here. What is unbounded in number must take credit first (shard/route.c).
 * Errors:  none: handing over is never refused. Opening fails when no descriptor can be had.
 * Tests:   tests/unit/test_mailbox.c (also under TSan)
 */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include "base/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail {
    struct mail *next;
    uint32_t kind; /* the receiver's to understand */
};

/* Mail for one receiver, newest first, not handed over yet. */
struct outbox {
    struct mail *newest, *oldest;
};

struct mailbox {
    _Atomic(struct mail *) newest;
    atomic_bool sleeping;
    int event_fd; /* readable after a wake-up; watch it edge-triggered and never read it */
};

enum err mailbox_open(struct mailbox *m);
void mailbox_close(struct mailbox *m);

static inline void outbox_put(struct outbox *o, struct mail *mail)
{
    mail->next = o->newest;
    o->newest = mail;
    if (o->oldest == NULL) o->oldest = mail;
}

static inline bool outbox_empty(const struct outbox *o)
{
    return o->newest == NULL;
}

/* Gives all mail of o to m and wakes its receiver if that sleeps. */
void mailbox_hand_over(struct mailbox *m, struct outbox *o);

/* The same without the wake-up. True: the receiver sleeps, and it is this caller's to see that it looks:
 * nobody else will before the receiver has been awake. */
bool mailbox_pass(struct mailbox *m, struct outbox *o);
void mailbox_wake(struct mailbox *m);

/* The same for one piece of mail. */
void mailbox_send(struct mailbox *m, struct mail *mail);

/* Everything that arrived, oldest first, linked by next; NULL when there is nothing. */
struct mail *mailbox_take(struct mailbox *m);

/* Nothing has arrived? For the receiver. */
static inline bool mailbox_empty(struct mailbox *m)
{
    return atomic_load_explicit(&m->newest, memory_order_acquire) == NULL;
}

/* The receiver is about to sleep: true when it may. False: mail is waiting. After waking, call _awake. */
bool mailbox_sleep(struct mailbox *m);
void mailbox_awake(struct mailbox *m);

/* For a thread without an epoll loop: sleeps until there is mail, and takes it. */
struct mail *mailbox_wait(struct mailbox *m);

/* The same for so many milliseconds at most; -1: no limit. NULL: none came. */
struct mail *mailbox_wait_for(struct mailbox *m, int wait_ms);

#endif
