/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_rig - a few cores on a perfect network with disks that the test holds: for tests of one behaviour at a
 * time. Whatever is random, slow or broken is the simulator's (tests/sim).
 *
 * Thread:  one.
 * Memory:  the rig's own; frames are copied.
 * Limits:  RIG_NODES_MAX nodes; ids 1 and up.
 * Errors:  CHECKs.
 * Tests:   none of its own
 */
#ifndef TESTS_ZAB_RIG_H
#define TESTS_ZAB_RIG_H

#include "zab/zab.h"

enum { RIG_NODES_MAX = 9, RIG_TICK_MS = 10 };

struct rig;

/* Nodes 1 to `nodes` run. conf may be NULL; id is the rig's, and members, when conf has none: all of them are
 * voters. */
struct rig *rig_new(uint32_t nodes, const struct zab_conf *conf);
void rig_free(struct rig **owner);

/* Carries out all that is under way; time stands still. Sessions that have ended begin anew with time. */
void rig_settle(struct rig *r);
/* Time goes on in ticks of RIG_TICK_MS, everything settled after each. */
void rig_run_ms(struct rig *r, uint64_t ms);
/* Runs until one established leader is there that all nodes which can follow it do; returns its id. */
uint16_t rig_leader(struct rig *r);
uint64_t rig_now_ms(const struct rig *r);

struct zab *rig_zab(struct rig *r, uint16_t id);
struct zab_state rig_state(struct rig *r, uint16_t id);

/* One more node, that the members to begin with do not have. */
void rig_join(struct rig *r, uint16_t id);
/* A node that is cut off exchanges nothing with anybody; its sessions end. */
void rig_cut(struct rig *r, uint16_t id, bool is_cut);
/* Likewise, but sessions stay: what is sent is lost. */
void rig_mute(struct rig *r, uint16_t id, bool is_mute);
/* A disk that is held completes nothing: no STORE, READ, snapshot. */
void rig_hold_disk(struct rig *r, uint16_t id, bool is_held);
/* It completes so many more, and is held then. */
void rig_hold_disk_after(struct rig *r, uint16_t id, uint32_t count);
/* A state machine that is held applies nothing. */
void rig_hold_apply(struct rig *r, uint16_t id, bool is_held);
/* Ends the process: what was not durable is lost. It comes back with what is on its disk. */
void rig_crash(struct rig *r, uint16_t id);
void rig_restart(struct rig *r, uint16_t id);
/* Likewise, with a log that has lost all but its first records. */
void rig_restart_damaged(struct rig *r, uint16_t id, uint32_t records);

/* Proposes text; the answer. */
enum zab_why rig_propose(struct rig *r, uint16_t id, const char *text);
enum zab_why rig_reconfig(struct rig *r, uint16_t id, uint8_t change, uint16_t member, uint8_t role);
void rig_event(struct rig *r, uint16_t id, const struct zab_event *event);

/* What the node has delivered, DATA payloads joined by commas. */
const char *rig_delivered(struct rig *r, uint16_t id);
/* A snapshot at the node's applied position, and the log purged below it. */
void rig_snapshot(struct rig *r, uint16_t id);
/* How many records of a kind are durable on a node's disk; kind 0: of any kind. */
uint32_t rig_records(struct rig *r, uint16_t id, uint8_t kind);
/* Frames of a type that were sent to a node since the last call. */
uint32_t rig_frames(struct rig *r, uint16_t to, uint8_t type);
/* Effects of a kind that a node had since the last call. */
uint32_t rig_effects(struct rig *r, uint16_t id, uint8_t kind);
/* The last effect of a kind; what it points to is gone. */
const struct zab_effect *rig_last(struct rig *r, uint16_t id, uint8_t kind);
uint64_t rig_session(struct rig *r, uint16_t a, uint16_t b);
const char *rig_halted(struct rig *r, uint16_t id);

#endif
