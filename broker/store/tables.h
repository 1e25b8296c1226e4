/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables - the persistent sessions and their queues in RAM: what applying a command changes and checks.
 *
 * A queue may have an older part that is elsewhere (folded): everything up to tables_folded(). Then the rows
 * here are the newer ones.
 *
 * Thread:  one: the journal's.
 * Memory:  a row for each queued message, and one reference to the message.
 * Limits:  conf->rows_max and bytes_max for each session, of what is here; more is dropped and counted.
 * Errors:  ERR_NOMEM from tables_new and tables_restore.
 * Tests:   tests/contract/journal_contract.c
 */
#ifndef STORE_TABLES_H
#define STORE_TABLES_H

#include "store/journal.h"
#include "store/store.h"

struct tables;

struct tables_conf {
    uint32_t rows_max;  /* 0: none */
    uint64_t bytes_max; /* of payload; 0: none */
};

enum err tables_new(struct tables **out, const struct tables_conf *conf);
void tables_free(struct tables **owner);

/* Applies a command that has its position: checks its fences, and appends to or shortens queues. Targets that
 * get nothing lose their session_no. */
enum command_result tables_apply(struct tables *t, struct command *c);

/* Fills the rows of a page from what is here. */
void tables_page(const struct tables *t, struct store_page *p);

/* Is this row still waiting? */
bool tables_has(const struct tables *t, uint64_t session_no, uint64_t seq);

/* The rows up to a position are elsewhere now. */
void tables_fold(struct tables *t, uint64_t session_no, uint64_t upto);
uint64_t tables_folded(const struct tables *t, uint64_t session_no); /* 0: nothing is elsewhere */

/* A session from before this process started, with rows elsewhere up to a position. */
struct tables_session {
    uint64_t session_no, claim_no, folded;
};
enum err tables_restore(struct tables *t, const struct tables_session *s);

#endif
