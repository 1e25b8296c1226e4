/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_rig - a connection whose server's end is a struct transport and whose client's end is a wire, on
 * sockets with small buffers; the server's end is served as a shard does it: by what epoll and `needs` say.
 *
 * Thread:  the test's.
 * Memory:  owned by the rig until rig_close.
 * Limits:  rig_run gives up when nothing can happen any more: then a wake-up was lost.
 * Errors:  what must not happen fails the test.
 * Tests:   transport_contract.c
 */
#ifndef CONTRACT_TRANSPORT_RIG_H
#define CONTRACT_TRANSPORT_RIG_H

#include "kit/wire.h"
#include "net/edge.h"
#include <stdint.h>

struct rig_kind {
    const char *name;
    bool is_unix;
    bool is_plain; /* any bytes are good */
    struct wire_conf client;
};

/* All that this build has; the last one has no name. */
const struct rig_kind *rig_kinds(void);

struct rig {
    const struct rig_kind *kind;
    struct edge *edge;
    struct transport here;
    int epoll_fd, there;
    uint32_t watched;
    struct wire wire;
    struct out got;             /* by the server */
    struct out to_send;         /* by the server; taken from the front */
    size_t offered;             /* of it, by the last write and not taken: the next one offers no less */
    size_t read_max, write_max; /* bytes of one read or write of the server: a random number up to that */
    size_t net_max;             /* of what the client moves at once */
    enum err ended;             /* what a read or write has failed with; ERR_OK: nothing has */
    bool ends;                  /* the server ends when all has been written */
    bool is_deaf;               /* the client reads nothing */
    bool client_eof;            /* the server's end has closed */
    unsigned turns;
};

void rig_seed(unsigned seed);
unsigned rig_draw(unsigned below);

/* fragments: see wire_conf. */
void rig_open(struct rig *r, const struct rig_kind *kind, unsigned fragments);
void rig_close(struct rig *r);

/* The client sends n bytes of the wire's output, as they are, at once, or closes. */
void rig_client_send_raw(struct rig *r, size_t n);
void rig_client_hang_up(struct rig *r);

/* One turn of both ends. False: nothing has moved. */
bool rig_turn(struct rig *r);
/* Turns until is_done says so; waits for the sockets between. */
void rig_run(struct rig *r, bool (*is_done)(const struct rig *r));
void rig_run_open(struct rig *r);

#endif
