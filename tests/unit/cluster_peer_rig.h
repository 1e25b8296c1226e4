/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_peer_rig - some nodes on this machine, in one thread, with a clock of the test's; and a client that
 * says to one of them whatever a test likes.
 *
 * Thread:  the test's.
 * Memory:  rig_fini frees.
 * Limits:  RIG_NODES.
 * Errors:  CHECK; rig_until fails the test when nothing comes of it.
 * Tests:   whoever includes it.
 */
#ifndef UNIT_CLUSTER_PEER_RIG_H
#define UNIT_CLUSTER_PEER_RIG_H

#include "peer/peer.h"
#include "wire/wire.h"

enum { RIG_NODES = 3, RIG_TEXT_BYTES = 16384, RIG_SESSIONS_AFTER = 1000 };

#define RIG_SECRET "a secret of some thirty bytes..."

/* What the sink of a node has seen. Peers by id, 1 to 63. */
struct rig_node {
    struct peers *p; /* NULL: not there */
    uint64_t session[64];
    bool is_up[64];
    uint32_t ups, downs, frames, notes;
    uint64_t next_zxid; /* frames must come as they were sent: 1, 2, ... */
    uint32_t large;     /* bytes of the payload of the last PROPOSAL, all of which are right */
    struct zab_note note;
    uint16_t note_from;
    char lines[RIG_TEXT_BYTES];
    void (*on_frame)(struct rig_node *n, uint16_t peer, uint64_t session);
};

struct rig {
    uint64_t now_ms;
    struct rig_node node[RIG_NODES]; /* node[0] has id 1 */
    struct peer_conf conf[RIG_NODES];
    struct zab_members members;
};

/* All have the secret, and listen; nobody knows anybody. */
void rig_init(struct rig *rig);
void rig_fini(struct rig *rig);
/* A new process with the rig's conf: peer_open must succeed. */
void rig_open(struct rig *rig, int i);
/* Tells all who is there. */
void rig_meet(struct rig *rig);

/* Runs all nodes until it is so; time goes on when nothing else does. */
void rig_until(struct rig *rig, bool (*is_so)(struct rig *rig));
void rig_run(struct rig *rig, int turns);
bool rig_all_up(struct rig *rig);
/* Waits for a line with these words in the log of a node. */
void rig_until_line(struct rig *rig, int i, const char *words);

void rig_send(struct rig *rig, int from, uint16_t to, uint64_t zxid);
bool rig_send_large(struct rig *rig, int from, uint16_t to, uint32_t payload_bytes);

/* --- a client */

int rig_dial(struct rig *rig, int i, enum wire_plane plane);
void rig_say(int fd, const void *at, size_t len);
/* Runs the nodes until so many bytes have come; false: it was closed before. */
bool rig_hear(struct rig *rig, int fd, void *at, size_t len);
bool rig_is_closed(struct rig *rig, int fd);
/* A hello from the node `from` to node[i]. */
struct wire_hello rig_hello(struct rig *rig, int i, enum wire_plane plane, uint16_t from);
/* Dials and proves, with the secret; gives the descriptor of a session that is up. */
int rig_join(struct rig *rig, int i, enum wire_plane plane, uint16_t from);
/* What the other side answers to a hello. */
enum wire_answer rig_answer(struct rig *rig, int i, enum wire_plane plane, const struct wire_hello *h);

#endif
