/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_rig - plays the shards for the journal's contract: has their mailboxes, and takes from them what a
 * shard would.
 *
 * Thread:  the test's.
 * Memory:  open_rig gives a rig with a running implementation; commands are the journal's once submitted.
 * Limits:  LOG_MAX events a shard.
 * Errors:  end the test.
 * Tests:   it is one.
 */
#ifndef CONTRACT_JOURNAL_RIG_H
#define CONTRACT_JOURNAL_RIG_H

#include "base/list.h"
#include "kit/test.h"
#include "store/backlog.h"
#include "store/journal.h"
#include "store/store.h"
#include <stdlib.h>

enum { SHARDS = 3, LOG_MAX = 8192 };
enum { KIND_SEAT = 100, KIND_DONE, KIND_PAGE, KIND_IDS };

struct implementation {
    const char *name, *store_name; /* of the row; that the store gives itself */
    void *(*start)(const struct journal_sink *sink, const struct backlog_limits *limits);
    void (*stop)(void *impl);
    struct journal (*journal)(void *impl);
    struct store (*store)(void *impl);
};

extern const struct implementation implementations[];
extern const size_t implementations_count;

/* What came to a shard, in its order. */
struct arrival {
    uint32_t kind;
    enum command_kind command;
    enum command_result result;
    uint64_t position;
    uint64_t ticket;
    uint32_t dropped; /* entries, of all targets */
    uint64_t target;  /* SEAT: the session of its first target, after apply */
};

struct rig {
    const struct implementation *of;
    void *impl;
    struct journal journal;
    struct store store;
    struct mailbox mailboxes[SHARDS];
    struct outbox posted[SHARDS], completed[SHARDS];
    struct arrival log[SHARDS][LOG_MAX];
    size_t events[SHARDS];
    struct store_page *page;  /* the last answer */
    struct store_ids *ids;    /* the same; is not in the log */
    uint64_t filled[LOG_MAX]; /* positions of the last fill */
};

/* A rig without an implementation; what one needs to start; one that has started. open_rig is all three. */
struct rig *new_rig(void);
struct journal_sink rig_sink(struct rig *r);
void attach(struct rig *r, const struct implementation *of, void *impl);
struct rig *open_rig(const struct implementation *of, struct backlog_limits limits);
void take_one(struct rig *r, unsigned shard, struct mail *m);
void take(struct rig *r, unsigned shard, struct mail *m);
void look(struct rig *r, unsigned shard);
size_t count_of(const struct rig *r, unsigned shard, uint32_t kind);
void wait_for(struct rig *r, unsigned shard, uint32_t kind, size_t count);
const struct arrival *last(const struct rig *r, unsigned shard, uint32_t kind);
void close_rig(struct rig *r);
struct command *new_command(enum command_kind kind, const struct command_size *size, unsigned from);
struct command *fenced(enum command_kind kind, uint64_t session_no, uint64_t claim_no);
struct command *enqueue(const uint64_t *session_nos, unsigned from);
void submit(struct rig *r, struct command *c);
struct arrival run(struct rig *r, struct command *c);
void claim(struct rig *r, uint64_t session_no, uint64_t claim_no);
const uint64_t *fill(struct rig *r, uint64_t session_no, unsigned count);
struct arrival acknowledge(struct rig *r, uint64_t session_no, uint64_t claim_no,
                           const struct command_ack *ack);
void ask(struct rig *r, unsigned shard, uint64_t session_no, uint64_t after, uint32_t limit);
const struct store_page *page(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit);
const struct store_ids *ids(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit);
void expect_queue(struct rig *r, uint64_t session_no, const uint64_t *positions, uint32_t count);

/* Each test runs for each implementation. */
#define CONTRACT(name)                                                                                       \
    static void name##_by(const struct implementation *of);                                                  \
    TEST(name)                                                                                               \
    {                                                                                                        \
        for (size_t i = 0; i < implementations_count; i++) name##_by(&implementations[i]);                   \
    }                                                                                                        \
    static void name##_by(const struct implementation *of)

static const struct backlog_limits no_limits = { 0 };

#endif
