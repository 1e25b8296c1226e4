/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_int - the core's state, and what its files do for each other.
 *
 *   step.c       an event to its function; roles; time
 *   elect.c      LOOKING: votes
 *   lead.c       LEADING: discovery, establishment
 *   sync.c       LEADING: a cursor for each learner
 *   learn.c      FOLLOWING, OBSERVING
 *   broadcast.c  proposals, commits, deliveries
 *   members.c    who is a member, what is a quorum
 *   lease.c      pings, leases, settled
 *   history.c    the window of entries, ends, the way to disk
 *
 *   LOOKING -> LEADING:   DISCOVER -> PROMISING -> GATHER -> SYNC -> BROADCAST
 *           -> FOLLOWING: CONNECT -> ASKED -> ACCEPTING -> PROMISED -> ADOPTING -> ADOPTED -> ACTIVE
 *   every role -> LOOKING: zab_look(), from wherever something is wrong
 *
 * Thread:  one at a time.
 * Memory:  all of it at birth.
 * Limits:  ZAB_EFFECTS_MAX effects a step; PEERS_MAX nodes that we hear of.
 * Errors:  as zab.h.
 * Tests:   tests/unit/test_zab*.c, tests/sim
 */
#ifndef ZAB_ZAB_INT_H
#define ZAB_ZAB_INT_H

#include "zab/plants.h"
#include "zab/zab.h"

enum { PEERS_MAX = 2 * ZAB_NODES_MAX, SELF = 0 };
enum { READ_BYTES = 1024 * 1024 };                 /* of the log at a time, for a learner or for ourselves */
enum { ROOM_FOR_CURSORS = ZAB_EFFECTS_MAX - 128 }; /* the rest is for what one event causes besides */

enum phase {
    PHASE_DRAIN, /* LOOKING: what was being stored is waited for */
    PHASE_VOTE,
    PHASE_DISCOVER,  /* LEADING: waits for a quorum of FOLLOWERINFO */
    PHASE_PROMISING, /* its own ACCEPTED is being stored */
    PHASE_GATHER,    /* waits for a quorum of ACKEPOCH */
    PHASE_SYNC,      /* waits for a quorum of ACK_NEWLEADER */
    PHASE_BROADCAST,
    PHASE_CONNECT,   /* FOLLOWING, OBSERVING: waits for a session with the leader */
    PHASE_ASKED,     /* FOLLOWERINFO is sent */
    PHASE_ACCEPTING, /* ACCEPTED is being stored */
    PHASE_PROMISED,  /* ACKEPOCH is sent; the history comes */
    PHASE_ADOPTING,  /* NEWLEADER came; CURRENT is being stored */
    PHASE_ADOPTED,   /* ACK_NEWLEADER is sent */
    PHASE_ACTIVE,
};

enum learner_phase { LEARNER_NONE, LEARNER_KNOWN, LEARNER_ASKED, LEARNER_PROMISED, LEARNER_SYNCING };

struct vote {
    uint16_t leader; /* 0: none */
    uint32_t epoch;
    uint64_t zxid;
};

/* What is on its way to a learner, in two parts, so that cumulative acknowledgements can be taken off. */
struct flight {
    uint64_t mark; /* the end of the older part */
    uint32_t old_entries, old_bytes, new_entries, new_bytes;
};

struct peer {
    uint16_t id; /* 0: free */
    bool is_up;
    uint64_t session;

    struct vote vote; /* in this round, when has_vote */
    bool has_vote;
    uint64_t told_ms; /* when we answered it last */
    uint64_t looked;  /* the round in which it looked, before it came to us */
    bool has_out;     /* out_*: what it says of an election that is over */
    uint8_t out_state;
    uint16_t out_leader;
    uint32_t out_epoch;

    bool has_info; /* FOLLOWERINFO of this session */
    bool must_relearn;
    uint32_t accepted, window_entries, window_bytes;

    uint8_t phase; /* enum learner_phase; all below is of a learner of ours */
    bool counts;
    bool is_reading, is_snapping;
    bool newleader_sent, newleader_acked, uptodate_sent;
    uint32_t current;
    uint64_t last, begin;
    uint32_t ends_count;
    struct zab_end ends[ZAB_ENDS_MAX];
    uint64_t sent, acked, snap_zxid, commit_told;
    struct flight flight;
    struct zab_at asked; /* READ or SNAP_SEND */
    uint64_t heard_ms, progress_ms;

    uint64_t stamp_ms, ponged_ms, applied; /* lease.c */
    uint64_t lease_until_ms, lease_commit;
    bool has_ponged;
};

struct slot {
    uint64_t first, last, prev, store_no;
    uint64_t at; /* of its payload, in bytes ever used; modulo the size of the buffer */
    uint32_t len;
    uint8_t kind;
};

struct history {
    struct slot *slots;
    uint8_t *bytes;
    uint32_t slots_mask, bytes_size;
    uint64_t head, tail; /* slots [head, tail) */
    uint64_t durable;    /* slots [head, durable) are durable */
    uint64_t used;       /* bytes ever used */
    uint64_t begin, last, stored;
    uint64_t ends_begin; /* ends are complete after this */
    uint32_t ends_count;
    struct zab_end ends[ZAB_ENDS_MAX];
};

struct zab {
    struct zab_conf conf;
    uint64_t now_ms, random;
    uint8_t role, phase;
    bool is_established, is_started, is_halted;
    uint16_t leader;
    uint32_t accepted, current, epoch; /* epoch: of the leader that is led by or followed */
    uint16_t accepted_leader;
    bool must_relearn;
    struct history h;
    struct zab_members members, before; /* the newest; and those that it replaced */
    struct zab_members snap_members;
    struct peer peers[PEERS_MAX]; /* SELF is ours */

    struct vote vote;
    uint64_t round, note_at_ms, note_wait_ms, finalize_at_ms;
    bool is_finalizing;
    uint32_t epoch_seen; /* the highest accepted one that anybody told us */

    uint64_t commit, delivered, applied, settled;
    uint64_t store_no, stored_no, ask_no;
    uint64_t current_no; /* learner: its last CURRENT */
    uint64_t ack_no;     /* learner: TRUNC or INSTALL; no ACK before it is durable */
    uint64_t wait_no;    /* ACCEPTED, CURRENT or EPOCH_START: what is waited for */
    uint64_t store_progress_ms, since_ms, heard_ms, progress_ms, ping_at_ms;
    uint64_t acked; /* learner: last ACK */
    bool is_reading, is_installing, is_snapping;
    struct zab_at read_at, install_at;
    uint64_t snap_zxid, snap_bytes;
    uint64_t lease_until_ms, established_ms; /* established: by the first tick after it; 0: not yet */
    bool steps_down;
    struct zab_effects *out;
#ifdef ZAB_PLANTS
    enum zab_plant plant;
#endif
};

#endif
