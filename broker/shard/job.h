/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job - a SUBSCRIBE or UNSUBSCRIBE whose answer waits for the journal, and the retained messages after it.
 *
 *   made -> (filters taken) -> (groups joined) -> (barrier) -> submitted -> applied: SUBACK -+
 *                                                             |                            |
 *   stale: submitted again as what the session has now -> gone                             |
 *                                                                                          |
 *   gone <- page of retained messages <----------------------------------------------------+
 *             |                   ^
 *             +- the next page; or fenced again, when what came live is not known any more
 *
 * The filters are taken into the index at once, or with many of them so many a turn, while the connection is
 * not read. If it goes meanwhile, the others are as if they had never come: nobody has been told of them.
 *
 * A job of a persistent session goes on without its connection: what SUBACK has promised goes into the queue.
 * QoS 0 has nobody to go to then. One of a clean session ends with the connection.
 *
 * Thread:  the session's shard; while its question travels to the owner of a topic, that shard reads it.
 * Memory:  freed when nothing of it is under way any more.
 * Limits:  RETAINED_PAGE messages at once, and RETAINED_VISITS_MAX topics looked at for them. The next page
 *          waits until the client has taken the last, or without a connection until there is room for
 *          copies (session_copy_room). JOBS_WAITING_MAX for a connection, JOBS_SESSION_MAX for a session.
 * Errors:  job_new gives NULL.
 * Tests:   tests/unit/test_job.c, tests/conformance/3.8-subscribe, tests/e2e/test_retained.py, tests/stress
 */
#ifndef SHARD_JOB_H
#define SHARD_JOB_H

#include "codec/codec.h"
#include "retained/retained.h"
#include "shard/shard_int.h"

enum { RETAINED_PAGE = 64 };

/* A question to the shard that owns topics, and its answer. */
struct retained_ask {
    struct mail mail;
    uint16_t from, owner;
    struct bytes filter, after; /* in the job's command, and in job.last */
    struct msg *reached;        /* NULL: this owner has no more. Else go on behind its topic; a reference */
    uint32_t count;
    struct retained_value values[RETAINED_PAGE];
};

struct subscribe_job {
    struct list link;       /* of the shard's fence lists */
    struct list of_session; /* session.jobs */
    struct shard *shard;
    struct conn *conn;       /* NULL: gone, nobody is answered */
    struct session *session; /* NULL: gone, or a clean one whose connection is: nothing is left to do */
    struct command *command; /* ours until it is submitted; then a reference of ours */
    uint64_t position;       /* of the fence, once applied */
    uint64_t since;          /* session.notes when it came: what was noted before was no answer to it */
    uint64_t fenced;         /* session.notes at its last fence: what came live until then, its owner has */
    uint16_t packet_id;
    uint16_t count;  /* filters */
    uint32_t sub_id; /* subscription identifier of them all; 0: none */
    uint8_t version;
    uint16_t joins; /* groups that have not answered */
    uint16_t taken; /* filters, so far: the index has them */
    size_t taken_bytes;
    bool is_taking; /* the others are taken in later turns, out of its command */
    bool is_unsubscribe;
    bool is_settling;           /* its command is subscribe_settle's */
    bool is_walking;            /* answered; retained messages are read */
    bool is_parked;             /* until there is room: nothing is under way */
    bool is_held;               /* until groups have answered it, or a job before it */
    bool is_fenced;             /* its session takes notes for it */
    struct subscribe walk;      /* over the filters, for the retained messages */
    struct subscribe_filter at; /* the one whose turn it is */
    uint16_t at_index;
    struct msg *last; /* holds ask.after */
    struct retained_ask ask;
    uint8_t codes[]; /* the answer, then for each filter: are retained messages wanted? */
};

static inline uint8_t *job_wants(struct subscribe_job *j)
{
    return j->codes + j->count;
}

/* NULL without memory, or when the session has too many. */
struct subscribe_job *job_new(struct shard *sh, struct conn *c, uint16_t packet_id, uint16_t count);
void job_free(struct subscribe_job *j);
/* Has this connection asked with this packet id, and is not answered yet? Nobody, before MQTT 5, can be told.
 */
bool job_has_id(const struct conn *c, uint16_t packet_id);

/* To the journal, when all groups that it joins have answered, and never before an earlier one. */
void job_begin(struct shard *sh, struct subscribe_job *j);
void job_joined(struct shard *sh, struct subscribe_job *j); /* its last group has answered */

/* A mail to every other shard before a fence: see fence.c. */
struct barrier {
    struct mail mail;
    uint16_t from, to;
};

/* fence.c: from here to the journal, behind a barrier. */
void fence_begin(struct shard *sh, struct subscribe_job *j);
void job_submitted(struct shard *sh, struct subscribe_job *j);

/* Sends SUBACK or UNSUBACK. */
void job_answer(struct shard *sh, struct conn *c, struct subscribe_job *j);

/* Asks for the next retained messages, or ends the job. */
void retain_step(struct shard *sh, struct subscribe_job *j);
/* The owner of topics answers so many of the questions that wait. */
void retain_turn(struct shard *sh, size_t most);

/* on_subscribe.c: takes more of the filters of c->asking; that is NULL then, or another turn goes on. */
enum mqtt_rc subscribe_go_on(struct shard *sh, struct conn *c);
/* What was refused is not for the journal: once, when all filters are taken that will be. */
void subscribe_settle_codes(struct subscribe_job *j);
/* A command that makes the journal say of the job's filters what the index says, as far as it
 * is this job that said so. NULL: nothing to say, or no memory. */
struct command *subscribe_settle(struct shard *sh, const struct subscribe_job *j);

#endif
