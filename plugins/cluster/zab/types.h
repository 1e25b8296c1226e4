/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types - what the members of a cluster say to each other, and what each writes into its log.
 *
 * Values, decoded: wire/ gives them bytes. Positions (zxids) are 64 bits: the epoch in the high 24, a counter
 * of commands in the low 40, as everywhere in this broker. An entry spans [first, last] and is kept,
 * acknowledged, committed and truncated whole; first is the last of the entry before it plus one, or, in
 * another epoch, counter 0: each epoch begins with an entry of its own, ZAB_EPOCH_START.
 *
 * Thread:  any; plain values.
 * Memory:  payloads and arrays are borrowed from whoever made the value.
 * Limits:  ZAB_NODES_MAX nodes, ZAB_PAYLOAD_BYTES_MAX an entry, ZAB_ENDS_MAX epochs in one log.
 * Errors:  none.
 * Tests:   tests/unit/test_zab*.c, tests/unit/test_cluster_wire.c
 */
#ifndef ZAB_TYPES_H
#define ZAB_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    ZAB_NODES_MAX = 16, /* voters and observers; docs speak of 3 to 9 voters */
    ZAB_ADDRESS_BYTES = 256,
    ZAB_ENDS_MAX = 64,
    ZAB_PAYLOAD_BYTES_MAX = 1000 * 1000, /* an entry and its heads fit into one record of the log */
    ZAB_SNAP_CHUNK_BYTES_MAX = 256 * 1024,
    ZAB_COUNTER_BITS = 40,
    ZAB_EPOCH_MAX = 0xFFFFFF,
    ZAB_EPOCH_LEAP_MAX = 0x10000, /* nobody has promised one so far above all that we know */
};

static const uint64_t zab_counter_max = ((uint64_t)1 << ZAB_COUNTER_BITS) - 1;

static inline uint64_t zab_zxid(uint32_t epoch, uint64_t counter)
{
    return (uint64_t)epoch << ZAB_COUNTER_BITS | counter;
}

static inline uint32_t zab_epoch_of(uint64_t zxid)
{
    return (uint32_t)(zxid >> ZAB_COUNTER_BITS);
}

static inline uint64_t zab_counter_of(uint64_t zxid)
{
    return zxid & zab_counter_max;
}

enum zab_member_role { ZAB_VOTER = 1, ZAB_OBSERVER = 2 };

/* server.N of the configuration. The core reads id and role; the address is for whoever dials. */
struct zab_member {
    uint16_t id; /* 1 and up: myid */
    uint8_t role;
    char address[ZAB_ADDRESS_BYTES]; /* host:peerPort:electionPort, NUL at the end */
};

/* In order of id, each once. version is the zxid of its CONFIG entry; 0: the one that the nodes began with.
 */
struct zab_members {
    uint64_t version;
    uint32_t count;
    struct zab_member at[ZAB_NODES_MAX];
};

enum zab_entry_kind {
    ZAB_DATA = 1,
    ZAB_EPOCH_START = 2, /* counter 0 of its epoch; the payload is two bytes, its leader's id */
    ZAB_CONFIG = 3,      /* the payload is struct zab_members, by zab_members_encode */
};

struct zab_entry {
    uint64_t first, last;
    uint64_t prev; /* last of the entry before it; 0: it is the first of all */
    uint8_t kind;
    struct bytes payload;
};

/* Where an epoch ends in somebody's log. Two logs that have entries of the same epoch are equal up to the
 * lesser of its two ends, for one leader made them in one order. */
struct zab_end {
    uint32_t epoch;
    uint64_t counter;
};

/* --- what is written into the log; its order there is its order of meaning, and one sync is for all */

enum zab_record_kind {
    ZAB_RECORD_ENTRY = 1,
    ZAB_RECORD_ACCEPTED = 2,   /* epoch, leader: the promise not to follow an older epoch */
    ZAB_RECORD_CURRENT = 3,    /* epoch: the history up to here is its leader's */
    ZAB_RECORD_TRUNC = 4,      /* zxid: entries after it are not part of the history */
    ZAB_RECORD_INSTALL = 5,    /* zxid, members: a leader's snapshot takes the place of all entries */
    ZAB_RECORD_CHECKPOINT = 6, /* all of below: what is before it may be purged, but for entries after zxid */
    ZAB_RECORD_RELEARN = 7,    /* this log lost what it had promised: no vote until it followed a leader */
};

struct zab_record {
    uint8_t kind;
    bool must_relearn; /* CHECKPOINT */
    uint32_t epoch;    /* ACCEPTED, CURRENT; CHECKPOINT: the current one */
    uint32_t accepted; /* CHECKPOINT */
    uint16_t leader;   /* ACCEPTED, CHECKPOINT: whose epoch was accepted */
    uint64_t zxid;     /* TRUNC, INSTALL, CHECKPOINT */
    struct zab_entry entry;
    const struct zab_members *members; /* INSTALL; CHECKPOINT: those in force at zxid or later, committed */
};

/* --- on the election plane: may be lost, doubled, late */

enum zab_note_state { ZAB_NOTE_LOOKING, ZAB_NOTE_FOLLOWING, ZAB_NOTE_LEADING, ZAB_NOTE_OBSERVING };

struct zab_note {
    uint8_t state;
    uint16_t leader; /* whom the sender votes for, or follows; 0: nobody (an observer that looks) */
    uint16_t group;
    uint32_t epoch; /* LOOKING: current epoch of the proposed leader; else the leader's established one */
    uint64_t zxid;  /* the end of the proposed leader's durable log */
    uint64_t round;
};

/* --- on the peer plane: FIFO sessions that may break, and begin anew with another number */

enum zab_frame_type {
    ZAB_FOLLOWERINFO = 1,   /* learner: info */
    ZAB_LEADERINFO = 2,     /* leader: the new epoch */
    ZAB_ACKEPOCH = 3,       /* learner: ack_epoch */
    ZAB_SYNC_TRUNC = 4,     /* leader: zxid */
    ZAB_SNAP_BEGIN = 5,     /* leader: snap */
    ZAB_SNAP_CHUNK = 6,     /* leader: chunk */
    ZAB_SNAP_END = 7,       /* leader: chunk, its offset being the whole length, without bytes */
    ZAB_PROPOSAL = 8,       /* leader: proposal */
    ZAB_NEWLEADER = 9,      /* leader: zxid, the EPOCH_START that the learner has got by now */
    ZAB_ACK = 10,           /* learner: zxid, durable to here. Counts for a quorum after ACK_NEWLEADER only */
    ZAB_ACK_NEWLEADER = 11, /* learner: zxid, durable to here; the current epoch is durable, too */
    ZAB_UPTODATE = 12,      /* leader: zxid, committed to here */
    ZAB_COMMIT = 13,        /* leader: zxid */
    ZAB_PING = 14,          /* leader: ping */
    ZAB_PONG = 15,          /* learner: pong */
};

struct zab_frame {
    uint8_t type;
    uint16_t group;
    uint32_t epoch; /* the leader's; of FOLLOWERINFO the one accepted last */
    uint64_t zxid;
    union {
        struct {
            bool must_relearn;                     /* does not count in any quorum */
            uint32_t window_entries, window_bytes; /* what the sender can take that it has not stored */
        } info;
        struct {
            uint32_t current;
            bool counts;    /* false: this epoch was promised to another leader */
            uint64_t last;  /* durable */
            uint64_t begin; /* the log has the entries after this */
            uint32_t ends_count;
            const struct zab_end *ends; /* of those entries, ascending */
        } ack_epoch;
        struct {
            uint64_t zxid;
            const struct zab_members *members;
        } snap;
        struct {
            uint64_t offset;
            struct bytes data;
        } chunk;
        struct {
            struct zab_entry entry;
            uint64_t commit;
        } proposal;
        struct {
            uint64_t leader_ms; /* comes back in PONG */
            uint64_t stamp_ms;  /* of the learner's last PONG; its lease runs from there; 0: none yet */
            uint32_t lease_ms;  /* 0: no lease */
            uint64_t commit;
            uint64_t settled; /* every node that has a lease has applied up to here */
        } ping;
        struct {
            uint64_t leader_ms;
            uint64_t stamp_ms; /* the learner's clock */
            uint64_t applied;
        } pong;
    };
};

#endif
