/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial - random commands of three shards for a store on a replicated order, and what came of them.
 *
 * A group's queue and that of delayed messages have one reader each, a shard. It takes from pages what it
 * moves, each entry once; pages that were asked for before its queue ended it does not believe.
 *
 * Thread:  the test's; `folds` is sent to from the fold's.
 * Memory:  new_trial gives one, with a log and a directory, without a store.
 * Limits:  LOG_MAX commands a shard, PAGES_MAX pages, between two starts.
 * Errors:  end the test.
 * Tests:   it is one.
 */
#ifndef CONTRACT_TRIAL_H
#define CONTRACT_TRIAL_H

#include "base/clock.h"
#include "contract/fake_order.h"
#include "contract/journal_rig.h"
#include "contract/model.h"

enum { PAGES_MAX = 512, PAGE_LIMIT_MAX = 12, DIR_BYTES = 64 };
enum { OWNED = MODEL_QUEUES - MODEL_SESSIONS, GONE_MAX = 4096 };

/* A command that was submitted. */
struct sent {
    enum command_kind kind;
    uint64_t session_no, claim_no;
    uint32_t seats;
};

/* A page as it was answered. */
struct answered {
    uint64_t session_no, after, snapshot, seqs[PAGE_LIMIT_MAX];
    uint32_t count;
};

/* What the reader of a group, or of the delayed messages, knows. */
struct owned {
    uint64_t life; /* how many of its queues have ended */
    uint32_t known_count, gone_count;
    struct store_row known[PAGE_LIMIT_MAX]; /* of the last page, less what is gone */
    uint64_t gone[GONE_MAX];                /* moved or finished by us */
};

/* How much of each kind a start has shown. */
struct shown {
    unsigned sessions, filters, retained, groups, inbound, delayed;
};

struct trial {
    uint64_t random;
    struct rig *rig;
    struct backlog_limits limits;
    struct fake_log *log;
    char dir[DIR_BYTES], copy[DIR_BYTES];
    struct clock clock;   /* flies */
    unsigned copies_left; /* the fold's: a few of its folds and transactions until the copy is final */
    uint64_t purged, copied_upto; /* the fold's: so far; when the copy was made */
    bool is_copied;
    struct mailbox folds;
    uint64_t folded_upto;
    struct model *model;
    size_t modelled; /* records of the log */
    struct shown shown;

    struct outbox boxes[SHARDS];
    struct sent sent[SHARDS][LOG_MAX];
    size_t sent_count[SHARDS];
    uint64_t claim_no, claims[MODEL_SESSIONS], acked[MODEL_SESSIONS];
    struct owned owned[OWNED];
    struct answered pages[PAGES_MAX];
    size_t pages_asked, pages_count, pages_checked;
};

struct trial *new_trial(uint64_t seed, struct fake_schedule schedule);
void free_trial(struct trial *t);
uint64_t draw(struct trial *t, uint64_t below);

extern const struct clock trial_clock; /* flies: whatever may be folded is, and a transaction is short */

/* Starts its store; checks that it shows what the model has. halt leaves the rig for a look, and the log is
 * read only then: when nobody writes it. */
void start(struct trial *t);
void halt(struct trial *t);
void close_it(struct trial *t);

/* As if the process had died when the copy was made: that is its directory now. The order is not gone. */
void go_on_with_the_copy(struct trial *t);

struct command *claim_by(struct trial *t, uint64_t session_no, unsigned from);
struct command *group_by(unsigned which);
void put(struct trial *t, struct command *c);
void put_any(struct trial *t);
void hand_over(struct trial *t, unsigned shard);
void ask_any(struct trial *t);

/* What has come to a shard. */
void take_all(struct trial *t, unsigned shard, struct mail *m);
void wait_until_all_is_done(struct trial *t);

/* Until a command that changes the tables is in them, and what was before it. */
void wait_for_fold(struct trial *t);

/* So many commands, to the last completion. */
void work(struct trial *t, unsigned commands);

#endif
