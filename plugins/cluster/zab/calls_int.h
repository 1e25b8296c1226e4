/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls_int - what the core's files do for each other; zab_int.h has the map.
 *
 * Thread:  one at a time.
 * Memory:  all of it at birth.
 * Limits:  ZAB_EFFECTS_MAX effects a step; PEERS_MAX nodes that we hear of.
 * Errors:  as zab.h.
 * Tests:   tests/unit/test_zab*.c, tests/sim
 */
#ifndef ZAB_CALLS_INT_H
#define ZAB_CALLS_INT_H

#include "zab/zab_int.h"

/* step.c */
struct zab_effect *zab_emit(struct zab *z, enum zab_effect_kind kind);
void zab_halt(struct zab *z, const char *text);
void zab_send(struct zab *z, struct peer *p, const struct zab_frame *f);
void zab_send_zxid(struct zab *z, struct peer *p, enum zab_frame_type type, uint64_t zxid);
void zab_close(struct zab *z, struct peer *p);
void zab_tell_role(struct zab *z);
void zab_fit_role(struct zab *z); /* a learner that became a voter, or is none any more */
void zab_look(struct zab *z);     /* leaves whatever role there is */
void zab_drained(struct zab *z);
struct zab_at zab_ask(struct zab *z);

static inline uint64_t zab_ticks_ms(const struct zab *z, uint32_t ticks)
{
    return (uint64_t)z->conf.tick_ms * ticks;
}

/* history.c: history_append copies the entry into the window and STOREs it; false: no room */
enum err history_init(struct history *h, const struct zab_conf *conf);
void history_fini(struct history *h);
bool history_append(struct zab *z, const struct zab_entry *e);
bool history_keep(struct zab *z, const struct zab_entry *e, uint64_t store_no);
void history_truncate(struct zab *z, uint64_t to);
void history_reset(struct zab *z, uint64_t zxid);
void history_purge(struct zab *z, uint64_t zxid);
void history_stored(struct zab *z);
bool history_entry_after(const struct zab *z, uint64_t after,
                         struct zab_entry *out); /* false: not in the window */
bool history_follows(uint64_t last, const struct zab_entry *e);
uint64_t history_known(const struct history *h); /* ends tell all after this */
void history_store(struct zab *z, const struct zab_record *r);

/* members.c */
struct peer *peer_find(struct zab *z, uint16_t id);
struct peer *peer_make(struct zab *z, uint16_t id); /* NULL: no room */
const struct zab_member *member_find(const struct zab_members *m, uint16_t id);
bool is_member(const struct zab *z, uint16_t id);
/* A voter of the newest members, or of those before while that may not be committed: who is not in his own
 * newest list must be able to lead as long as he may be needed to commit it (Ongaro's thesis, 4.2.2). */
bool is_voter(const struct zab *z, uint16_t id);
bool is_newest_voter(const struct zab *z, uint16_t id);
bool may_vote(const struct zab *z);
bool members_are_pending(const struct zab *z);
bool is_quorum(const struct zab *z, uint32_t set);                           /* bits are places in peers */
uint64_t quorum_least(const struct zab *z, const uint64_t value[PEERS_MAX]); /* a quorum has this or more */
void members_adopt(struct zab *z, const struct zab_members *m);
void members_note(struct zab *z, const struct zab_entry *e);
void members_truncate(struct zab *z, uint64_t to);
void members_change(struct zab *z, const struct zab_event *event);

/* elect.c */
void elect_begin(struct zab *z);
void elect_tick(struct zab *z);
void elect_note(struct zab *z, uint16_t from, const struct zab_note *n);
void elect_tell_all(struct zab *z);

/* lead.c */
void lead_begin(struct zab *z);
void lead_frame(struct zab *z, struct peer *p, const struct zab_frame *f);
void lead_stored(struct zab *z);
void lead_tick(struct zab *z);
void lead_drop(struct zab *z, struct peer *p);    /* this learner is gone */
void lead_give_up(struct zab *z, struct peer *p); /* and its session with it */
void lead_check_established(struct zab *z);

/* learn.c */
void learn_begin(struct zab *z, uint16_t leader);
void learn_link(struct zab *z);
void learn_frame(struct zab *z, const struct zab_frame *f);
void learn_stored(struct zab *z);
void learn_tick(struct zab *z);
void learn_snap_saved(struct zab *z, struct zab_at at, uint64_t zxid);

/* sync.c */
void sync_begin(struct zab *z, struct peer *p);
void sync_ack(struct zab *z, struct peer *p, uint64_t zxid);
void sync_pump(struct zab *z);
void sync_read_done(struct zab *z, const struct zab_event *event);
void sync_snap_sent(struct zab *z, struct zab_at at, uint64_t zxid);

/* broadcast.c */
bool broadcast_is_open(const struct zab *z); /* to proposals and changes */
void broadcast_propose(struct zab *z, const struct zab_event *event);
bool broadcast_append(struct zab *z, uint8_t kind, uint64_t commands, struct bytes payload);
void broadcast_commit(struct zab *z); /* as far as quorums have it */
void broadcast_committed(struct zab *z, uint64_t zxid);
void broadcast_pump(struct zab *z); /* DELIVER */
void broadcast_read_done(struct zab *z, const struct zab_event *event);
void broadcast_answer(struct zab *z, uint64_t token, enum zab_why why);

/* lease.c */
void lease_ping_all(struct zab *z);
void lease_pong(struct zab *z, struct peer *p, const struct zab_frame *f);
void lease_pinged(struct zab *z, const struct zab_frame *f);
void lease_renew(struct zab *z); /* our own, as long as a quorum follows */
void lease_settle(struct zab *z);

#endif
