/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fence - what the SUBSCRIBEs and UNSUBSCRIBEs of a session have under way: themselves, what came live
 * meanwhile, and retained messages on their way through the journal (the note of fence.c says why).
 *
 * Thread:  the session's shard.
 * Memory:  a block of the session's that is there while there is something in it: most have none.
 * Limits:  NOTED_TOPICS_MAX notes, COPIES_MAX copies.
 * Errors:  ERR_NOMEM, ERR_FULL.
 * Tests:   tests/unit/test_fence.c
 */
#ifndef SESSION_FENCE_H
#define SESSION_FENCE_H

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include <stdbool.h>
#include <stdint.h>

struct session;

struct session_fence {
    struct list jobs; /* the shard's: its SUBSCRIBEs and UNSUBSCRIBEs that are not finished */
    uint32_t jobs_count, fences;
    struct map noted;           /* by topic: retained messages that came live while fences > 0 */
    uint64_t notes, notes_lost; /* how many were ever made; up to which they have been thrown away */
    struct map copies;          /* by topic: retained copies on their way through the journal */
    uint32_t copies_count, voided_count, voided_room;
    uint64_t *voided; /* entries of this seq are finished instead of sent */
};

/* Makes s->fence if there is none: for a job, to be put into its list at once. */
enum err session_fence_open(struct session *s);
/* Gives it up when nothing is left in it. */
void session_fence_tidy(struct session *s);

/* While a SUBSCRIBE waits for its retained messages, or such a one is on its way through the journal,
 * remembers which were delivered live: the version of the newest for each topic, known by its hash. Cannot
 * fail while there is a job or another fence. */
enum err session_fence_begin(struct session *s);
void session_fence_note(struct session *s, uint64_t topic_hash, uint64_t version);
/* Did this version or a newer one of the topic come live, after `notes` was `since`? Not if it says no and
 * notes_lost is above what `notes` was at a fence before the version was read: then nobody knows. */
bool session_fence_saw(const struct session *s, uint64_t topic_hash, uint64_t version, uint64_t since);
void session_fence_end(struct session *s);

/* A retained copy goes through the journal to this session. ERR_FULL: not now, see session_copy_room. */
enum err session_copy_begin(struct session *s, uint64_t topic_hash);
bool session_copy_room(const struct session *s);
/* It has arrived, as the entry seq, to be offered now (0: it was dropped). If something newer of its topic
 * came live meanwhile, the entry is given out as void when its turn comes, and finished by session_skip. */
void session_copy_end(struct session *s, uint64_t topic_hash, uint64_t version, uint64_t seq);

#endif
