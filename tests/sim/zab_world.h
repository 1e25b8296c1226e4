/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_world - nodes, their disks and clocks, the network between them, and what happens when, in microseconds
 * of a time that only this file knows.
 *
 * Thread:  one at a time.
 * Memory:  one world is used for all runs.
 * Limits:  SIM_NODES_MAX nodes.
 * Errors:  world_violate ends a run.
 * Tests:   ctest sim_zab*
 */
#ifndef SIM_ZAB_WORLD_H
#define SIM_ZAB_WORLD_H

#include "sim/zab_net.h"
#include "sim/zab_oracle.h"
#include "sim/zab_plan.h"

enum { SIM_NODES_MAX = 14, SNAPS_MAX = 6, TEXT_MAX = 512 };

enum happening_kind {
    ON_BEAT,
    ON_DELIVER,
    ON_NOTE,
    ON_SYNCED,
    ON_READ,
    ON_SNAP_SEND,
    ON_SNAP_DURABLE,
    ON_INSTALLED,
    ON_APPLY,
    ON_CONN_UP,
    ON_CONN_GONE,
    ON_DIAL,
    ON_RESUME,
    ON_START,
    ON_UNCUT,
    ON_UNCLOG,
    ON_ACT,
    ON_PROBE,
};

struct happening {
    uint64_t at_us, seq, arg;
    uint32_t life; /* of the node; 0: whichever */
    uint16_t x;
    uint8_t kind, node; /* node: index */
};

/* The state machine's file: head, members, checksum. */
struct snap {
    struct blob bytes;
    uint64_t zxid;
    bool is_durable;
};

struct machine {
    uint64_t zxid, chain;
    uint32_t pos;        /* facts applied */
    struct blob members; /* encoded; those of the newest CONFIG applied */
};

/* An effect that the driver is to answer later. */
struct request {
    struct zab_at at;
    uint64_t zxid, session;
    uint32_t bytes, epoch;
    uint16_t peer;
    bool is_used;
};

enum { REQUESTS_MAX = 64, DELIVERED_MAX = 4096 };

struct delivered {
    uint64_t zxid, hash;
    uint32_t members_len, members_at; /* a CONFIG: where its payload is in `configs` */
};

struct node {
    uint16_t id;
    uint8_t index;
    bool is_up, is_damaged, is_failing, must_stop;
    bool is_forgetful; /* its log was damaged once: a lost promise is made up for in memory */
    uint32_t life, paused;
    uint64_t resume_at_us, slow_until_us, full_until_us;
    struct zab *z;
    struct zab_members begin; /* what its operator has written */
    struct zab_state st;      /* after the last step */
    int64_t skew_us, drift_ppm;
    uint64_t sessions;
    struct disk disk;
    struct view ghost; /* what was durable here before the log was damaged or wiped */
    struct snap snaps[SNAPS_MAX];
    bool is_snapping;
    uint64_t checkpointed;
    struct machine machine;
    struct blob incoming, configs;
    struct delivered queue[DELIVERED_MAX]; /* delivered, not yet applied */
    uint32_t queue_count;
    uint64_t delivered_zxid;
    struct request requests[REQUESTS_MAX];
    uint64_t lease_until_ms, ended_epoch;
    uint32_t is_applying;
    uint8_t sync_how[SIM_NODES_MAX + 1]; /* by learner: 1 TRUNC, 2 entries of older epochs, 4 a snapshot */
    uint32_t is_leading_epoch;           /* established */
};

struct counts {
    uint64_t runs, events, elections, crashes, diff, trunc, trunc_diff, snap, torn_tails;
    uint64_t reconfigurations, reconfigurations_during_elections, roll_overs, proposed, committed;
    uint64_t damaged, wiped, purges, frames, notes, leases, settled, hopeless, virtual_ms, violations;
};

enum phase { PHASE_SAFETY, PHASE_LIVENESS, PHASE_CONVERGE, PHASE_DONE };

struct world {
    const struct plan *plan;
    struct knobs k;
    uint64_t now_us, seq, hash, deadline_us;
    struct happening *heap;
    uint32_t heap_count, heap_cap;
    struct dice net_dice, disk_dice, clock_dice, nemesis_dice, work_dice;
    struct node nodes[SIM_NODES_MAX];
    struct net net;
    struct oracle oracle;
    struct zab_effects *effects;
    struct zab_members begin;
    struct counts counts;
    enum phase phase;
    uint32_t core;           /* bits of the ids that must make progress */
    uint32_t probe_first;    /* the first client id of the liveness phase */
    uint32_t probe_position; /* what the core must have applied */
    bool is_trace, is_failed;
    uint64_t failed_at_us;
    const char *invariant;
    const char *only; /* NULL: all are looked at; else a break of another one does not end the run */
    char text[TEXT_MAX];
};

void world_init(struct world *w);
void world_fini(struct world *w);

/* Plays the plan to its end, or to the first violation. */
void world_run(struct world *w, const struct plan *p);

void world_at(struct world *w, uint64_t at_us, struct happening h);
void world_violate(struct world *w, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void world_trace(struct world *w, const struct node *n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline void world_hash(struct world *w, uint64_t value)
{
    w->hash = (w->hash ^ value) * 0x9E3779B97F4A7C15;
    w->hash ^= w->hash >> 29;
}

static inline struct node *world_node(struct world *w, uint16_t id)
{
    return id >= 1 && id <= w->k.nodes ? &w->nodes[id - 1] : NULL;
}

/* zab_node.c: a process */
uint64_t node_now_ms(const struct world *w, const struct node *n);
void node_start(struct world *w, struct node *n);
void node_crash(struct world *w, struct node *n, uint64_t down_us);
void node_step(struct world *w, struct node *n, const struct zab_event *event);
void node_happens(struct world *w, struct node *n, const struct happening *h);
void node_snap(struct world *w, struct node *n);
void node_resume(struct world *w, struct node *n);

/* zab_driver.c: carries out what the core asked for */
void driver_run(struct world *w, struct node *n);
void driver_kick(struct world *w, struct node *n);

/* zab_snap.c: the state machine and its files */
void snap_write(struct machine *m, struct blob *to);
bool snap_read(struct bytes from, struct machine *to, struct zab_members *members);
struct snap *snap_slot(struct node *n);
struct snap *snap_newest(struct node *n, uint64_t at_most);
void machine_apply(struct world *w, struct node *n);
void machine_reset(struct world *w, struct machine *m);

/* zab_check.c: after each effect, and after each step */
void check_effect(struct world *w, struct node *n, const struct zab_effect *e);
void check_step(struct world *w, struct node *n, const struct zab_state *before);
void check_machine(struct world *w, struct node *n);

/* zab_act.c: the nemesis and the clients; zab_phase.c: what comes after them */
void act_perform(struct world *w, const struct act *a);
bool act_submit(struct world *w, struct node *n, uint32_t bytes, uint32_t commands);
struct node *act_leader(struct world *w);
void phase_next(struct world *w);
void phase_probe(struct world *w);

#endif
