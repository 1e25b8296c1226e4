/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_mem - the journal and the queues in memory, on a thread of their own. Nothing survives the process.
 *
 * Thread:  start and stop from main; see journal.h and store.h for the rest. Made by store_mem_new it has
 *          none of its own: its user steps it.
 * Memory:  a row for each queued message of a persistent session, and one reference to the message.
 * Limits:  conf->limits for each session.
 * Errors:  ERR_NOMEM, ERR_SYS from store_mem_start and store_mem_new.
 * Tests:   tests/contract/journal_contract.c, tests/fuzz/fuzz_connection.c
 */
#ifndef STORE_STORE_MEM_H
#define STORE_STORE_MEM_H

#include "base/clock.h"
#include "store/backlog.h"
#include "store/journal.h"
#include "store/store.h"

struct store_mem;

struct store_mem_conf {
    struct journal_sink sink;
    struct backlog_limits limits;
    const struct clock *clock;
};

enum err store_mem_start(struct store_mem **out, const struct store_mem_conf *conf);

/* Applies what was submitted, then stops. No shard may submit any more. */
void store_mem_stop(struct store_mem **owner);

/* Without a thread: each step applies and answers what was submitted. False: there was nothing. */
enum err store_mem_new(struct store_mem **out, const struct store_mem_conf *conf);
bool store_mem_step(struct store_mem *s);
void store_mem_free(struct store_mem **owner);
size_t store_mem_queues(const struct store_mem *s); /* how many there are */

struct journal store_mem_journal(struct store_mem *s);
struct store store_mem_store(struct store_mem *s);

#endif
