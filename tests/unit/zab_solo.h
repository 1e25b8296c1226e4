/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_solo - one core whose peers are the test: what it does for each frame, right or wrong.
 *
 * Thread:  one.
 * Memory:  its own; effects are kept, but what they point to is lent until the next step.
 * Limits:  SOLO_EFFECTS_MAX effects between two solo_forget.
 * Errors:  CHECKs.
 * Tests:   none of its own
 */
#ifndef TESTS_ZAB_SOLO_H
#define TESTS_ZAB_SOLO_H

#include "zab/zab.h"

enum { SOLO_EFFECTS_MAX = 4096, SOLO_PEERS_MAX = 64 };

struct solo {
    struct zab *z;
    struct zab_conf conf;
    uint64_t now_ms, sessions, session[SOLO_PEERS_MAX];
    uint64_t round;
    struct zab_at stored; /* of the newest STORE */
    uint16_t leader;
    uint32_t epoch;
    uint32_t count;
    struct zab_effect effects[SOLO_EFFECTS_MAX];
    struct zab_effects out;
};

/* Node `id` of voters 1 to `nodes`; it looks for a leader. conf may be NULL, and have the members. */
struct solo *solo_new(uint16_t id, uint32_t nodes, const struct zab_conf *conf);
void solo_free(struct solo **owner);

void solo_step(struct solo *s, const struct zab_event *event);
void solo_tick(struct solo *s, uint64_t ms);
void solo_up(struct solo *s, uint16_t peer);
void solo_down(struct solo *s, uint16_t peer);
void solo_note(struct solo *s, uint16_t from, struct zab_note note);
/* A frame on the newest session of that peer, of our group; without an epoch, of the leader's. */
void solo_frame(struct solo *s, uint16_t peer, struct zab_frame f);
void solo_zxid(struct solo *s, uint16_t peer, uint8_t type, uint64_t zxid);
/* All that was STOREd is durable. */
void solo_stored(struct solo *s);
enum zab_why solo_propose(struct solo *s, const char *text);

void solo_forget(struct solo *s);
const struct zab_effect *solo_effect(const struct solo *s, uint8_t kind); /* the last one; NULL: none */
uint32_t solo_count(const struct solo *s, uint8_t kind);
const struct zab_frame *solo_sent(const struct solo *s, uint16_t peer, uint8_t type);
uint32_t solo_sent_count(const struct solo *s, uint16_t peer, uint8_t type);
bool solo_closed(const struct solo *s, uint16_t peer);
struct zab_state solo_state(const struct solo *s);

/* As a learner, each going on from the one before. */
void solo_ask(struct solo *s, uint16_t leader);    /* FOLLOWERINFO is sent */
void solo_promise(struct solo *s, uint32_t epoch); /* ACKEPOCH is sent */
void solo_adopt(struct solo *s);                   /* ACK_NEWLEADER is sent */
void solo_activate(struct solo *s);
void solo_follow(struct solo *s, uint16_t leader, uint32_t epoch);
struct zab_entry solo_entry(const struct solo *s, uint8_t kind, uint64_t zxid, const char *text);
void solo_proposal(struct solo *s, struct zab_entry e, uint64_t commit);

/* As a leader of three with the help of one, who has an empty log. */
void solo_elect(struct solo *s);                  /* DISCOVER */
void solo_info(struct solo *s, uint16_t learner); /* FOLLOWERINFO comes */
void solo_ack_epoch(struct solo *s, uint16_t learner, uint32_t current, uint64_t last);
void solo_lead(struct solo *s, uint16_t learner);  /* all of it: established */
void solo_comes(struct solo *s, uint16_t learner); /* a new session, FOLLOWERINFO on it */
void solo_commit(struct solo *s, uint32_t count);  /* so many entries, that node 1 acknowledges */

#endif
