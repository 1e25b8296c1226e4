/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport - bytes to and from one peer. The interface; tcp.c is one implementation.
 *
 * Thread:  the connection's shard.
 * Memory:  a value of two words in the connection; an implementation with state of its own hangs it on.
 * Limits:  TRANSPORT_PARTS_MAX runs of bytes a write.
 * Errors:  ERR_AGAIN: nothing now, the loop will tell; ERR_CLOSED: the peer is gone; ERR_SYS.
 * Tests:   tests/unit/test_net.c
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { TRANSPORT_PARTS_MAX = 64 };

struct epoll_event;
struct transport_ops;

struct transport {
    const struct transport_ops *ops;
    int fd;
};

struct transport_ops {
    const char *name;
    /* Does what epoll_ctl does for this loop: from now on it hears of the transport what `e` says. */
    enum err (*watch)(struct transport *t, int epoll_fd, int op, struct epoll_event *e);
    /* Reads at most size bytes; *got is above 0 when ERR_OK. */
    enum err (*read)(struct transport *t, void *at, size_t size, size_t *got);
    /* Writes as much as goes now, from the first of the parts on. */
    enum err (*write)(struct transport *t, struct iovec *parts, int count, size_t *wrote);
    /* No more will be written; what was written still reaches the peer. */
    void (*end)(struct transport *t);
    void (*close)(struct transport *t);
};

extern const struct transport_ops transport_tcp;

#endif
