/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener - sockets that accept connections.
 *
 * One descriptor is shared by all shards: each watches it exclusively (one is woken), so two brokers on one
 * port still collide at start, which a port shared by option would hide.
 *
 * A socket of this machine is a file: what a dead process has left of one is replaced, a live one collides,
 * and what is no socket is never touched. Its mode is 0770, as mosquitto's.
 *
 * Thread:  open and close from main; listener_accept from any shard.
 * Memory:  the caller's struct.
 * Limits:  LISTENER_BACKLOG connections that nobody accepted yet; LISTENER_PATH_BYTES.
 * Errors:  ERR_SYS with errno; ERR_NOTFOUND for an address that does not resolve; ERR_RANGE for a path that
 *          is empty or too long. listener_why has words for them.
 * Tests:   tests/unit/test_net.c, tests/unit/test_listener.c, tests/e2e/test_unix.py
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LISTENER_BACKLOG = 4096, LISTENER_FDS_MAX = 4, LISTENER_PATH_BYTES = 108 };

/* What TCP does for the connections, which inherit it: nothing of it costs a call when one comes. What this
 * kernel does not know is passed over. */
struct listener_tcp {
    bool nodelay;
    bool thin_linear_timeouts; /* of few segments under way the first six repeats come evenly */
    uint32_t rto_max_ms;       /* the longest wait for a repeat; 0: the kernel's */
    uint32_t notsent_lowat;    /* bytes that wait in the kernel; 0: its own limit */
    uint32_t defer_accept_s;   /* for the first byte; 0: accepted before it */
};

struct listener_conf {
    const char *address; /* NULL: all of this machine's */
    uint16_t port;       /* 0: one that is free */
    int family;          /* AF_INET, AF_INET6, or AF_UNSPEC for both */
    struct listener_tcp tcp;
    const char *interface; /* whose addresses only; NULL: any */
};

struct listener {
    int fds[LISTENER_FDS_MAX]; /* one for each address that the name has */
    unsigned fds_count;
    uint16_t port;                  /* the real one */
    char path[LISTENER_PATH_BYTES]; /* of a socket of this machine; empty: it is none */
    dev_t device;                   /* of its file, so that we remove no other one at the end */
    ino_t inode;
};

enum err listener_open(struct listener *l, const struct listener_conf *conf);
enum err listener_open_path(struct listener *l, const char *path);

/* ERR_SYS with errno: closed, but its file could not be removed. */
enum err listener_close(struct listener *l);

/* What an operator is to read, after listener_open or listener_open_path has given rc and before errno
 * changes. */
const char *listener_why(enum err rc);

/* For the connections to come. */
void listener_tune(const struct listener *l, const struct listener_tcp *tcp);

/* Keeps its addresses and listens no more, so that another listener can share or take its port. Who had not
 * been accepted is refused. */
void listener_mute(struct listener *l);
void listener_unmute(struct listener *l);

/* Accepts one connection of a descriptor of a listener. ERR_AGAIN: none waits. ERR_FULL: descriptors ran out.
 * ERR_CLOSED: it was gone before it could be accepted; try again. */
enum err listener_accept(int fd, int *out);

/* How many can be accepted now, as far as the kernel says; UINT32_MAX: it does not. */
uint32_t listener_waiting(int fd);

#endif
