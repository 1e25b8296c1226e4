/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_oracle - what no node knows, and the checkers do: every entry that a leader made, and the one list of
 * those that are committed.
 *
 * Thread:  one at a time.
 * Memory:  grows, and is used again by the next run.
 * Limits:  ORACLE_EPOCHS_MAX epochs, ORACLE_CONFIGS_MAX lists of members, in a run.
 * Errors:  a broken invariant ends the run: world_violate.
 * Tests:   the planted bugs: ctest sim_zab_plants, tests/long zab-plants
 */
#ifndef SIM_ZAB_ORACLE_H
#define SIM_ZAB_ORACLE_H

#include "sim/zab_disk.h"

enum { ORACLE_EPOCHS_MAX = 8192, ORACLE_CONFIGS_MAX = 1024, MADE_SLOTS = 32768 };

/* Bits by id. */
struct config {
    uint64_t version;
    uint32_t voters, members;
};

/* Committed: somebody delivered it, or a leader said so with a quorum behind it. */
struct fact {
    uint64_t first, last, prev, hash;
    uint64_t chain; /* the state machine's, after it */
    uint32_t by;    /* the epoch whose leader committed it: its own, or one that found it in its history */
    uint8_t kind;
};

struct oracle {
    struct seen *made;
    uint32_t made_count, made_cap;
    uint16_t table[MADE_SLOTS]; /* by zxid: 1 + index in made */
    struct fact *facts;
    uint32_t count, cap;
    struct config configs[ORACLE_CONFIGS_MAX];
    uint32_t configs_count;
    uint64_t config; /* the newest that is committed */
    uint16_t leaders[ORACLE_EPOCHS_MAX];
    uint32_t epoch_max; /* of those that have a leader */
    uint8_t *submitted; /* by client id: 1 proposed, 2 committed */
    uint32_t submitted_count, submitted_cap;
    uint64_t settled;
};

struct world;
struct node;

void oracle_reset(struct oracle *o, const struct zab_members *begin);
void oracle_fini(struct oracle *o);

static inline uint64_t oracle_last(const struct oracle *o)
{
    return o->count > 0 ? o->facts[o->count - 1].last : 0;
}

/* How many facts are at zxid or before; 0 for zxid 0. Not there: UINT32_MAX. */
uint32_t oracle_position(const struct oracle *o, uint64_t zxid);
const struct config *oracle_config(const struct oracle *o, uint64_t version);

/* Somebody appends it: a leader makes it, or a learner has it from one. */
void oracle_store_entry(struct world *w, struct node *n, const struct zab_entry *e);

/* The log of n has these entries, up to zxid, and they are committed now. */
void oracle_commit(struct world *w, struct node *n, uint64_t zxid);

/* All that leaders of epochs up to this one have committed is in the log of n. What a later one has, a leader
 * that was overtaken need not know: it commits nothing any more. */
bool oracle_is_complete(const struct world *w, const struct node *n, uint32_t epoch);

#endif
