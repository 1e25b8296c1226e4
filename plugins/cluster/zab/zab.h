/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab - the consensus core: one event in, its effects out. Same events, same effects.
 *
 * ZooKeeper's atomic broadcast (Junqueira, Reed, Serafini: DSN 2011), as ZooKeeper runs it: fast leader
 * election, discovery, synchronisation, broadcast. docs/zab.md has the protocol with drawings, where we
 * depart from ZooKeeper, and for each departure the known fault that it ends.
 *
 *   zab_new -> zab_restore for each record of the log -> zab_start -> zab_step ... -> zab_free
 *
 * Thread:  one at a time.
 * Memory:  all of it at birth: a window of the newest entries, and tables by node.
 * Limits:  struct zab_conf; ZAB_NODES_MAX nodes.
 * Errors:  zab_new: ERR_RANGE for a conf that makes no sense, ERR_NOMEM. zab_restore: ERR_SYNTAX for records
 *          that this core cannot have written. A peer that is wrong loses its session, and nothing else.
 * Tests:   tests/unit/test_zab*.c, tests/sim/longlink-sim
 */
#ifndef ZAB_ZAB_H
#define ZAB_ZAB_H

#include "base/err.h"
#include "zab/event.h"
#include "zab/types.h"

struct zab;

struct zab_conf {
    uint16_t id; /* ours: 1 and up */
    uint16_t group;
    uint64_t seed; /* for back-offs only */
    struct zab_members
        members;          /* those of the snapshot that applied stands for, for a damaged log may have lost
                             them; without one, those to begin with. What the log has may be newer */
    uint32_t tick_ms;     /* tickTime; 0: 100 */
    uint32_t init_ticks;  /* initLimit: to reach and synchronise; 0: 50 */
    uint32_t sync_ticks;  /* syncLimit: silence that ends a session, and disks that do not answer; 0: 5 */
    uint32_t finalize_ms; /* after a quorum agrees, wait for a better vote; 0: 200 */
    uint32_t note_max_ms; /* longest pause between repeated votes; 0: 1000 */
    uint32_t lease_ms;    /* 0: 1000 */
    uint32_t drift_per_mille; /* by how much clocks may run apart; 0: 50 */
    uint32_t window_entries;  /* newest entries kept in memory; a power of two; 0: 1024 */
    uint32_t window_bytes;    /* and their payloads; 0: 8 MiB */
    uint64_t counter_max;     /* an epoch ends before its counter does; 0: zab_counter_max. For tests */
    uint64_t applied;         /* what the state machine has already */
    bool is_damaged; /* the log lost records that were durable: no vote before it has followed a leader */
};

enum err zab_new(struct zab **out, const struct zab_conf *conf);
void zab_free(struct zab **owner);

/* One record of the log, in its order, before zab_start. Whatever is restored is durable. */
enum err zab_restore(struct zab *z, const struct zab_record *r);

/* Ends restoring; the first election begins. ERR_SYNTAX: what was restored does not reach conf.applied, which
 * is the state machine's: its snapshot and the log are not of one node. */
enum err zab_start(struct zab *z, uint64_t now_ms, struct zab_effects *out);

/* The whole protocol. out is overwritten. */
void zab_step(struct zab *z, const struct zab_event *event, struct zab_effects *out);

struct zab_state {
    uint8_t role; /* enum zab_role */
    bool is_established;
    bool must_relearn;
    bool is_voter;
    uint16_t leader; /* 0: none */
    uint32_t accepted, current;
    uint64_t begin, last; /* entries (begin, last] are in the log */
    uint64_t stored;      /* those up to here are durable */
    uint64_t committed, delivered, applied, settled;
    uint64_t lease_until_ms; /* on this node's clock; 0: none */
    uint64_t members_version;
};

void zab_state(const struct zab *z, struct zab_state *out);

/* The newest members in the log; valid until the next step. */
const struct zab_members *zab_members(const struct zab *z);

/* The bytes of a CONFIG entry, and of members in a snapshot's head. encode returns how many were written, 0:
 * no room. decode: false: not what encode writes. */
enum { ZAB_MEMBERS_BYTES_MAX = 16 + ZAB_NODES_MAX * (4 + ZAB_ADDRESS_BYTES) };
uint32_t zab_members_encode(const struct zab_members *m, uint8_t *at, uint32_t size);
bool zab_members_decode(struct bytes from, struct zab_members *out);
bool zab_members_are_valid(const struct zab_members *m);

#endif
