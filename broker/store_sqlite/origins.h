/* SPDX-License-Identifier: Apache-2.0 */
/*
 * origins - which submission of each node was the last that had an effect. Part of the replicated state: all
 * nodes, and each restart, decide alike what is a repeat.
 *
 * Thread:  one at a time.
 * Memory:  a value.
 * Limits:  ORIGINS_MAX nodes. Of one more nothing is accepted.
 * Errors:  ERR_FULL.
 * Tests:   tests/unit/test_origins.c, tests/contract/journal_replicated.c
 */
#ifndef STORE_SQLITE_ORIGINS_H
#define STORE_SQLITE_ORIGINS_H

#include "base/err.h"
#include "store/journal.h"

enum { ORIGINS_MAX = 16 }; /* nodes of a cluster and then some */

struct origins {
    struct command_origin at[ORIGINS_MAX];
    uint32_t count;
};

/* Is it the one after the last of its process, or the first of a later one? Then it is the last now. Else it
 * comes a second time, or one before it was lost and will come again first; and nothing changes. */
bool origins_accept(struct origins *o, const struct command_origin *next);

/* At boot: the last of a node. */
enum err origins_restore(struct origins *o, const struct command_origin *last);

#endif
