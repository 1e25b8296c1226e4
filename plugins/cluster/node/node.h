/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node - the consensus core on a disk and on sockets, with a state machine on it.
 *
 *   node_open -> node_run -> node_close
 *
 * The data directory has myid, the log in wal/, snapshots of the state machine, snap.<zxid>, and a number of
 * starts. Four threads: the loop, which has the core, the sockets, the state machine, and whoever watches
 * descriptors on it; the journal, which makes batches of records durable, one sync for all that wait; the
 * reader, for learners that are behind; the keeper: snapshots, segments made ahead, segments removed.
 *
 * Without room on the disk records wait until there is some: nothing that depends on them is said, and
 * is_full tells. A disk that fails ends the process.
 *
 * Thread:  the loop's: whoever calls node_run, and node_open before it. node_stop from a watch or a sink.
 * Memory:  two batches, and what waits for a disk that is full: what the core lets in.
 * Limits:  struct conf.
 * Errors:  node_open says in text what is wrong; later ones are sink.line's, and sink.fail's when the process
 *          must end.
 * Tests:   tests/unit/test_cluster_node.c, tests/e2e/test_zab*.py
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "node/conf.h"
#include "node/snap.h"
#include "zab/event.h"
#include "zab/zab.h"

struct node;

enum { NODE_TEXT_BYTES = CONF_TEXT_BYTES };

/* What the entries are for. On the loop's thread, but for save and release. */
struct node_machine {
    void *arg;
    /* Committed, durable here, in order, each once but for those after the snapshot that a start begins from;
     * of all kinds. Must not call the node. */
    void (*apply)(void *arg, const struct zab_entry *entry);
    /* The state as it is now, for save; NULL: not now. */
    void *(*freeze)(void *arg);
    void (*save)(void *frozen, struct snap_writer *to); /* on the keeper's thread */
    void (*release)(void *frozen);
    /* In the place of the state that there is: what save wrote, here or on another node. */
    enum err (*load)(void *arg, struct snap_reader *from);
};

/* On the loop's thread; fail on any. Only turn may call the node. */
struct node_sink {
    void *arg;
    /* token is of node_propose or node_reconfig; positions when why is ZAB_OK. */
    void (*accepted)(void *arg, uint64_t token, enum zab_why why, uint64_t first, uint64_t last);
    void (*role)(void *arg, const struct zab_effect *role); /* ZAB_ROLE, see event.h */
    void (*turn)(void *arg);                   /* the loop is about to wait: write what was gathered */
    void (*line)(void *arg, const char *text); /* for the operator */
    void (*fail)(void *arg, const char *text); /* ends the process, at once */
};

enum err node_open(struct node **out, const struct conf *conf, const struct node_machine *machine,
                   const struct node_sink *sink, char text[NODE_TEXT_BYTES]);
void node_close(struct node **owner);

void node_run(struct node *n); /* until node_stop */
void node_stop(struct node *n);

/* commands: see ZAB_PROPOSE. The payload is copied. The answer is sink.accepted, within the call. */
void node_propose(struct node *n, uint64_t token, uint32_t commands, struct bytes payload);
void node_reconfig(struct node *n, uint64_t token, enum zab_change change, const struct zab_member *member);

/* A descriptor on the loop; events as of epoll. The struct stays the caller's, until the turn after
 * node_unwatch. */
struct node_watch {
    int fd;
    void (*ready)(void *arg, uint32_t events);
    void *arg;
};

enum err node_watch(struct node *n, struct node_watch *w, uint32_t events);
void node_rewatch(struct node *n, struct node_watch *w, uint32_t events);
void node_unwatch(struct node *n, struct node_watch *w); /* before its fd is closed */

struct node_status {
    struct zab_state zab;
    bool is_full;                     /* the disk: records wait for room */
    uint64_t snapshot;                /* zxid of the newest; 0: none */
    uint64_t truncs;                  /* how often this process cut its log to a leader's, */
    uint64_t installs;                /* took a leader's snapshot, */
    uint64_t snaps_sent;              /* gave one, */
    uint64_t reads;                   /* read its log for somebody, */
    uint64_t checkpoints;             /* wrote a snapshot of its own */
    uint64_t syncs, batches, records; /* of the log */
    uint64_t segments;                /* of the log, on the disk */
};

void node_status(struct node *n, struct node_status *out);

#endif
