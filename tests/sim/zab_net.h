/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_net - FIFO sessions that are late, stand still, break half-open and begin anew; and notes, of which any
 * may be lost, doubled, or overtaken.
 *
 * Thread:  one at a time.
 * Memory:  messages are copied, into slots that are used again.
 * Limits:  CONNS_MAX sessions at a time, NET_NODES_MAX nodes.
 * Errors:  none.
 * Tests:   tests/sim: it is one itself
 */
#ifndef SIM_ZAB_NET_H
#define SIM_ZAB_NET_H

#include "sim/zab_disk.h"
#include "wire/wire.h"

enum { NET_NODES_MAX = 14, CONNS_MAX = 512, NO_CONN = -1, NO_MSG = -1 };

/* One frame or note on its way; a frame of type 0 says that the other side has closed. */
struct msg {
    struct zab_frame frame;
    struct zab_note note;
    struct wire_scratch scratch;
    struct blob bytes;
    uint64_t due_us;
    int32_t next;
};

struct lane {
    int32_t head, tail;
    uint64_t last_due_us, clog_until_us;
    bool is_armed;
};

/* Side 0 is the smaller id; lane 0 goes from it. */
struct conn {
    uint32_t gen;
    uint64_t no;     /* in the order of dialling */
    uint8_t node[2]; /* indices */
    bool is_used, is_open[2];
    uint64_t session[2]; /* each side counts its own */
    struct lane lanes[2];
};

struct net {
    struct msg **msgs;
    uint32_t msgs_count, msgs_cap;
    int32_t free_msg;
    struct conn conns[CONNS_MAX];
    uint64_t conns_made;
    uint32_t conns_count;                          /* slots that were ever used in this run */
    int32_t current[NET_NODES_MAX][NET_NODES_MAX]; /* by node and peer: the node's open conn */
    bool is_dialing[NET_NODES_MAX][NET_NODES_MAX]; /* by the larger's index and the smaller's */
    uint32_t cuts[NET_NODES_MAX][NET_NODES_MAX];   /* from, to */
};

struct world;
struct node;
struct happening;

void net_reset(struct net *net);
void net_fini(struct net *net);

/* Copies the frame into the stream, if that session is still n's. */
void net_send(struct world *w, struct node *n, uint16_t peer, uint64_t session,
              const struct zab_frame *frame);
void net_tell(struct world *w, struct node *n, uint16_t peer, const struct zab_note *note);

/* n ends it; the other side learns it from what was sent last, if that arrives. */
void net_close(struct world *w, struct node *n, uint16_t peer, uint64_t session);

/* The process is gone. If it is silent, the others notice late. */
void net_node_down(struct world *w, struct node *n, bool is_silent);
void net_node_up(struct world *w, struct node *n);
void net_wake(struct world *w, struct node *n); /* after a pause */

/* The session of a and b, if any, is over for a now, and for b after so long. */
void net_reset_pair(struct world *w, struct node *a, struct node *b, uint64_t late_us);
void net_clog(struct world *w, struct node *from, struct node *to, uint64_t until_us);
void net_cut(struct world *w, uint32_t from, uint32_t to, int by);

bool net_has_session(const struct world *w, const struct node *n, uint16_t peer, uint64_t session);
void net_happens(struct world *w, const struct happening *h);

#endif
