/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mailbox.h"
#include "base/check.h"
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum err mailbox_open(struct mailbox *m)
{
    atomic_init(&m->newest, NULL);
    atomic_init(&m->sleeping, false);
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return m->event_fd >= 0 ? ERR_OK : ERR_SYS;
}

void mailbox_close(struct mailbox *m)
{
    if (m->event_fd >= 0) close(m->event_fd);
    m->event_fd = -1;
}

void mailbox_wake(struct mailbox *m)
{
    uint64_t one = 1;
    /* It cannot fill up in practice (2^64), and EAGAIN would mean that it is readable already. */
    while (write(m->event_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

bool mailbox_pass(struct mailbox *m, struct outbox *o)
{
    if (o->newest == NULL) return false;
    struct mail *seen = atomic_load_explicit(&m->newest, memory_order_relaxed);
    do {
        o->oldest->next = seen;
    } while (!atomic_compare_exchange_weak_explicit(&m->newest, &seen, o->newest, memory_order_seq_cst,
                                                    memory_order_relaxed));
    *o = (struct outbox){ 0 };
    /* Sequentially consistent on both sides: either we see it asleep, or it sees our mail in
     * mailbox_sleep(). The exchange lets one sender of many wake it. */
    return atomic_load_explicit(&m->sleeping, memory_order_seq_cst) &&
           atomic_exchange_explicit(&m->sleeping, false, memory_order_seq_cst);
}

void mailbox_hand_over(struct mailbox *m, struct outbox *o)
{
    if (mailbox_pass(m, o)) mailbox_wake(m);
}

void mailbox_send(struct mailbox *m, struct mail *mail)
{
    struct outbox o = { 0 };
    outbox_put(&o, mail);
    mailbox_hand_over(m, &o);
}

struct mail *mailbox_take(struct mailbox *m)
{
    if (atomic_load_explicit(&m->newest, memory_order_relaxed) == NULL) return NULL;
    struct mail *at = atomic_exchange_explicit(&m->newest, NULL, memory_order_acquire);
    struct mail *oldest_first = NULL;
    while (at != NULL) {
        struct mail *older = at->next;
        at->next = oldest_first;
        oldest_first = at;
        at = older;
    }
    return oldest_first;
}

bool mailbox_sleep(struct mailbox *m)
{
    atomic_store_explicit(&m->sleeping, true, memory_order_seq_cst);
    if (atomic_load_explicit(&m->newest, memory_order_seq_cst) == NULL) return true;
    mailbox_awake(m);
    return false;
}

void mailbox_awake(struct mailbox *m)
{
    atomic_store_explicit(&m->sleeping, false, memory_order_relaxed);
}

struct mail *mailbox_wait_for(struct mailbox *m, int wait_ms)
{
    for (;;) {
        struct mail *got = mailbox_take(m);
        if (got != NULL) return got;
        if (!mailbox_sleep(m)) continue;
        struct pollfd p = { .fd = m->event_fd, .events = POLLIN };
        int n = poll(&p, 1, wait_ms);
        CHECK(n >= 0 || errno == EINTR);
        uint64_t count;
        if (n > 0 && read(m->event_fd, &count, sizeof count) < 0) CHECK(errno == EAGAIN);
        mailbox_awake(m);
        if (n == 0) return mailbox_take(m);
    }
}

struct mail *mailbox_wait(struct mailbox *m)
{
    return mailbox_wait_for(m, -1);
}
