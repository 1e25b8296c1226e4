/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_order - a replicated order without a cluster, as one of its nodes sees it, driven by a seed.
 *
 *   propose -> proposed ----- turns pass -----> log ---> sink.applied
 *                 |                              ^
 *                 | fail-over: some survive,     | records of another node; one of its records twice,
 *                 | perhaps not those before     | or without the one before it
 *                 | them; then sink.unknown      |
 *
 * The log is what a quorum has: it outlives the store. A turn is mail that the order sends itself; nothing
 * here waits for time to pass.
 *
 * It checks the store, too: what is proposed has no gap; after unknown all comes again, in order and before
 * anything new; nothing is seen before it is settled; nothing is asked for that was purged.
 *
 * Thread:  see store/order.h; the rest while no store runs.
 * Memory:  the whole log, until fake_log_free. An order is the log's.
 * Limits:  one order at a time on a log.
 * Errors:  a store that breaks its promises: CHECK.
 * Tests:   it is one.
 */
#ifndef CONTRACT_FAKE_ORDER_H
#define CONTRACT_FAKE_ORDER_H

#include "store/order.h"

/* The other node: its number, and the sessions it works on. */
enum { FAKE_OTHER_NODE = 7 };

struct fake_schedule {
    uint64_t seed;
    uint32_t idle_turns_max;    /* between turns that do something */
    uint32_t commits_max;       /* of a turn, and more when much is proposed */
    uint32_t others_percent;    /* how often a record of the other node comes before one of ours */
    uint32_t fail_over_percent; /* of turns that do something */
    uint32_t fulls;             /* so many calls of propose and settle find no room */
    uint64_t others_first;      /* the other node's sessions are [first, first + count) */
    uint32_t others_count;
};

struct fake_record {
    uint64_t position;
    struct bytes bytes;
};

/* What has happened, so that a test can see that it tested something. */
struct fake_counts {
    uint32_t fail_overs, again; /* proposed again after unknown */
    uint32_t repeats, gaps;     /* of ours: came a second time; came without the one before it */
    uint32_t late;              /* of a process that was gone when they came */
    uint32_t others, fulls, purges, closes;
};

struct fake_log;

struct fake_log *fake_log_new(const struct fake_schedule *schedule);
void fake_log_free(struct fake_log **owner);

struct order fake_order(struct fake_log *l);

/* Called on the fold's thread: its commit is durable, and what is purged is still there. */
void fake_log_on_purge(struct fake_log *l, void (*purging)(void *ctx, uint64_t upto), void *ctx);

/* For a store that starts from an older copy of its directory: up to where that had purged. */
void fake_log_set_purged(struct fake_log *l, uint64_t upto);

/* No leader has what was proposed by the store that is gone. Else it may still come. */
void fake_log_lose_proposed(struct fake_log *l);

/* Has all that came back and somebody waits for been settled? On the store's thread. */
bool fake_log_is_settled(const struct fake_log *l);

const struct fake_record *fake_log_records(const struct fake_log *l, size_t *count);
const struct fake_counts *fake_log_counts(const struct fake_log *l);

#endif
