/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event - what goes into the consensus core, and what comes out.
 *
 * The driver (a node of the cluster, or the simulator) puts events in one at a time and carries their effects
 * out in order. It may be slow, but it does not reorder: STOREs go into one log, SENDs of a session into one
 * FIFO stream. The core holds back by itself what a STORE has to precede: a promise is the effect of the
 * completion, never of the request.
 *
 * Thread:  one at a time.
 * Memory:  an event lends until its effects are carried out, effects until the next zab_step.
 * Limits:  ZAB_EFFECTS_MAX effects a step. When `more` is set, step again, with ZAB_MORE.
 * Errors:  ZAB_HALT: this node must stop, and says why.
 * Tests:   tests/unit/test_zab*.c, tests/sim
 */
#ifndef ZAB_EVENT_H
#define ZAB_EVENT_H

#include "zab/types.h"

enum { ZAB_EFFECTS_MAX = 256, ZAB_READ_ENTRIES_MAX = 64 };

/* A request's name: completions carry it back, and one that is not the latest is dropped. */
struct zab_at {
    uint32_t epoch; /* accepted when it was asked */
    uint64_t no;    /* grows by one with each, for the life of the core */
};

enum zab_change { ZAB_ADD = 1, ZAB_REMOVE = 2, ZAB_SET_ROLE = 3 };

enum zab_event_kind {
    ZAB_MORE,       /* go on: the effects of the last step had no room */
    ZAB_TICK,       /* now_ms: monotone; it may jump ahead */
    ZAB_LINK,       /* link: a session of the peer plane has begun or ended */
    ZAB_NOTE,       /* note */
    ZAB_FRAME,      /* frame: of a session that is up */
    ZAB_STORED,     /* at: this STORE and all before it are durable */
    ZAB_READ_DONE,  /* read */
    ZAB_SNAP_SENT,  /* snap: SNAP_BEGIN to SNAP_END of a snapshot at zxid are in the session's stream. zxid 0:
                       there is none that reaches at_least; the session will be closed */
    ZAB_SNAP_SAVED, /* at, zxid: the snapshot of SNAP_INSTALL is durable and in force. zxid 0: it could not be
                     */
    ZAB_APPLIED,    /* zxid: the state machine has everything up to here */
    ZAB_CHECKPOINT, /* zxid: the state machine's own snapshot is durable up to here; makes a record of it */
    ZAB_PURGED,     /* zxid: entries up to here are no longer in the log */
    ZAB_PROPOSE,    /* propose */
    ZAB_RECONFIG,   /* reconfig */
};

struct zab_event {
    uint8_t kind;
    union {
        uint64_t now_ms;
        uint64_t zxid;
        struct zab_at at;
        struct {
            uint16_t peer;
            uint64_t session; /* never used twice by this process; greater than those before */
            bool is_up;
        } link;
        struct {
            uint16_t from;
            const struct zab_note *note;
        } note;
        struct {
            uint16_t peer;
            uint64_t session;
            const struct zab_frame *frame;
        } frame;
        struct {
            struct zab_at at;
            uint32_t count; /* 0: the log does not have the entry after `after` */
            const struct zab_entry *entries;
        } read;
        struct {
            struct zab_at at;
            uint64_t zxid;
        } snap;
        struct {
            uint64_t token;
            uint32_t commands; /* how many positions it spans; 1 and up */
            struct bytes payload;
        } propose;
        struct {
            uint64_t token;
            uint8_t change;
            struct zab_member member;
        } reconfig;
    };
};

enum zab_role { ZAB_LOOKING, ZAB_FOLLOWING, ZAB_LEADING, ZAB_OBSERVING };

enum zab_why {
    ZAB_OK,
    ZAB_NOT_LEADER, /* no leader here, or not yet established */
    ZAB_FULL,       /* too much is not stored yet; try again after a DELIVER */
    ZAB_TOO_LARGE,
    ZAB_PENDING,        /* a change of the members is not committed yet */
    ZAB_NO_SUCH_CHANGE, /* the member is there already, or is not; or the last voter would go */
    ZAB_NOT_SYNCED,     /* who shall vote must have caught up first, and a quorum of the new be here */
    ZAB_COUNTER_ENDS,   /* this epoch's counter is used up; a new epoch begins */
};

enum zab_effect_kind {
    ZAB_STORE, /* at, record: append to the log, then ZAB_STORED when it is durable (one for many is fine) */
    ZAB_SEND,  /* peer, session, frame */
    ZAB_TELL,  /* peer, note: on the election plane, best effort */
    ZAB_CLOSE, /* peer, session: end it, a new one may begin. text: what is wrong with it; may be NULL */
    ZAB_READ,  /* at, zxid: up to ZAB_READ_ENTRIES_MAX entries and bytes after zxid, then ZAB_READ_DONE */
    ZAB_SNAP_SEND,    /* at, peer, session, zxid: stream a snapshot at zxid or later, then ZAB_SNAP_SENT */
    ZAB_SNAP_OPEN,    /* zxid: a snapshot comes; forget one that is half there */
    ZAB_SNAP_WRITE,   /* data: its next bytes */
    ZAB_SNAP_INSTALL, /* at, zxid, members: it is whole: make it durable, put it in force, ZAB_SNAP_SAVED */
    ZAB_SNAP_DROP,    /* forget it */
    ZAB_DELIVER,      /* entry: committed, and durable here; each once, in order, then ZAB_APPLIED */
    ZAB_ACCEPTED,     /* token, why; when ZAB_OK, entry.first and entry.last are its positions */
    ZAB_ROLE,         /* role, is_established, leader, epoch. What was ACCEPTED and not delivered when LEADING
                         ends is unknown: it may yet be delivered, or never */
    ZAB_LEASE,        /* zxid: this node has a lease until that time of its own clock (ms); 0: none */
    ZAB_SETTLED,      /* zxid: every node that has a lease has applied up to here */
    ZAB_MEMBERS,      /* members: dial these; the newest, maybe not committed yet */
    ZAB_HALT,         /* text: stop the process */
};

struct zab_effect {
    uint8_t kind, role, why;
    bool is_established;
    uint16_t peer, leader;
    uint32_t epoch;
    uint64_t session, zxid, token;
    uint32_t bytes; /* READ: stop after so many bytes of payloads, but give one entry at least */
    struct zab_at at;
    union {
        struct zab_record record;
        struct zab_frame frame;
        struct zab_note note;
        struct zab_entry entry;
        struct bytes data;
        const struct zab_members *members;
        const char *text;
    };
};

struct zab_effects {
    uint32_t count;
    bool more;
    struct zab_effect at[ZAB_EFFECTS_MAX];
};

#endif
