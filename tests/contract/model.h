/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model - what a log of commands means, in the plainest way: for comparison with a store.
 *
 * Knows two nodes, some sessions, two groups, the delayed messages, the filters f0 ... f3, the retained
 * topics r0 ... r3 and the packet ids from 1 on; what is about other sessions it leaves out.
 *
 * Thread:  the test's.
 * Memory:  gives a model; its queues share the messages.
 * Limits:  MODEL_*.
 * Errors:  end the test.
 * Tests:   it is one.
 */
#ifndef CONTRACT_MODEL_H
#define CONTRACT_MODEL_H

#include "store/journal.h"

/* Sessions are 1 ... MODEL_SESSIONS - 1. Queues: theirs, then those of the groups, then DELAYED_QUEUE's. */
enum {
    MODEL_SESSIONS = 9,
    MODEL_GROUPS = 2,
    MODEL_GROUP_FIRST = 300,
    MODEL_DELAYED = MODEL_SESSIONS + MODEL_GROUPS,
    MODEL_QUEUES = MODEL_DELAYED + 1,
    MODEL_QUEUE_MAX = 4096,
    MODEL_NAMES = 4,
    MODEL_IDS = 8,
};

struct model_entry {
    uint64_t seq;
    struct msg *msg;
    uint64_t due_ms;
    uint8_t qos;
    bool retain, is_released, has_moved;
};

struct model_session {
    bool is_there, has_will, is_online;
    bool inbound[MODEL_IDS];        /* packet ids that its client has not released */
    uint64_t claim_no, sent, since; /* since: the position of its first CLAIM */
    uint32_t expiry_s;
    uint8_t filters[MODEL_NAMES]; /* options; 0: not subscribed */
    uint32_t sub_ids[MODEL_NAMES];
    uint32_t count;
    struct model_entry queue[MODEL_QUEUE_MAX];
};

struct model {
    struct command_origin last[8]; /* by node */
    struct model_session sessions[MODEL_QUEUES];
    uint64_t retained[MODEL_NAMES]; /* position; 0: none */
};

enum model_verdict { MODEL_DURABLE, MODEL_STALE, MODEL_DUPLICATE, MODEL_NO_EFFECT };

struct model *model_new(void);
void model_free(struct model **owner);

/* The next record. *out, if not NULL: the command, given. */
enum model_verdict model_apply(struct model *m, uint64_t position, struct bytes record, struct command **out);

/* The number of a queue, as a command has it; and the queue of a number, or NULL. */
uint64_t model_number(unsigned queue);
struct model_session *model_queue(struct model *m, uint64_t number);

/* Which of f0 ... or r0 ... it is; MODEL_NAMES: none. */
unsigned model_name(struct bytes name, char letter);

#endif
