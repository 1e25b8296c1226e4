/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener - sockets that accept connections.
 *
 * One descriptor is shared by all shards: each watches it exclusively (one is woken), so two brokers on one
 * port still collide at start, which a port shared by option would hide.
 *
 * Thread:  open and close from main; listener_accept from any shard.
 * Memory:  the caller's struct.
 * Limits:  LISTENER_BACKLOG connections that nobody accepted yet.
 * Errors:  ERR_SYS with errno; ERR_NOTFOUND for an address that does not resolve.
 * Tests:   tests/unit/test_net.c
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

enum { LISTENER_BACKLOG = 4096, LISTENER_FDS_MAX = 4 };

struct listener_conf {
    const char *address;   /* NULL: all of this machine's */
    uint16_t port;         /* 0: one that is free */
    int family;            /* AF_INET, AF_INET6, or AF_UNSPEC for both */
    bool nodelay;          /* for the connections: they inherit it */
    const char *interface; /* whose addresses only; NULL: any */
};

struct listener {
    int fds[LISTENER_FDS_MAX]; /* one for each address that the name has */
    unsigned fds_count;
    uint16_t port; /* the real one */
};

enum err listener_open(struct listener *l, const struct listener_conf *conf);
void listener_close(struct listener *l);

/* For the connections to come. */
void listener_nodelay(struct listener *l, bool on);

/* Keeps its addresses and listens no more, so that another listener can share or take its port. Who had not
 * been accepted is refused. */
void listener_mute(struct listener *l);
void listener_unmute(struct listener *l);

/* Accepts one connection of a descriptor of a listener. ERR_AGAIN: none waits. ERR_FULL: descriptors ran out.
 * ERR_CLOSED: it was gone before it could be accepted; try again. */
enum err listener_accept(int fd, int *out);

#endif
