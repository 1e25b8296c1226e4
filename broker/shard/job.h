/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job - a SUBSCRIBE or UNSUBSCRIBE whose answer waits for the journal, and the retained messages after it.
 *
 *   made -> (barrier) -> submitted -> applied: SUBACK -> page of retained messages, page by page -> gone
 *
 * Thread:  the session's shard; while its question travels to the owner of a topic, that shard reads it.
 * Memory:  freed when its last answer has come, with or without the connection.
 * Limits:  RETAINED_PAGE messages at once, and RETAINED_VISITS_MAX topics looked at for them; the next page
 *          waits until the client has taken the last.
 * Errors:  ERR_NOMEM from job_new.
 * Tests:   tests/conformance/3.8-subscribe, tests/stress
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
    struct list link; /* of the shard's fence lists */
    struct shard *shard;
    struct conn *conn;          /* NULL: gone, nobody is answered */
    struct session *session;    /* while conn is there */
    struct subscribe_job *next; /* of the connection's jobs */
    struct command *command;    /* ours until it is submitted; then a reference of ours */
    uint64_t position;          /* of the fence, once applied */
    uint16_t packet_id;
    uint16_t count; /* filters */
    bool is_unsubscribe, is_asking, is_parked;
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

/* The packet's filters are copied. NULL without memory. */
struct subscribe_job *job_new(struct shard *sh, struct conn *c, uint16_t packet_id, uint16_t count);
void job_free(struct subscribe_job *j);

/* Sends SUBACK or UNSUBACK. */
void job_answer(struct shard *sh, struct conn *c, const struct subscribe_job *j);

/* Asks for the next retained messages, or ends the job. */
void retain_step(struct shard *sh, struct subscribe_job *j);

#endif
