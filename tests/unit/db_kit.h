/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db_kit - a database in a directory of its own, commands for it, and its content as text.
 *
 * Thread:  one.
 * Memory:  rig_free removes the files, too.
 * Limits:  what is seen at boot fits SEEN_BYTES.
 * Errors:  a failed check ends the test.
 * Tests:   it is one.
 */
#ifndef UNIT_DB_KIT_H
#define UNIT_DB_KIT_H

#include "store_sqlite/db.h"
#include "unit/store_kit.h"

enum { DB_PATH_BYTES = 96, SEEN_BYTES = 4096, NEVER_S = 3600 };

/* A database, and two connections to it. */
struct rig {
    char dir[64], path[DB_PATH_BYTES];
    struct db *writer, *reader;
    struct store_page page;
    char seen[SEEN_BYTES];
};

struct rig *rig_new(void); /* not open yet */
struct rig *rig_open(void);
void rig_open_both(struct rig *r);
void rig_close_both(struct rig *r);
void rig_reopen(struct rig *r);
void rig_free(struct rig *r);

/* Folds a command and drops it. */
void fold(struct rig *r, struct command *c, const bool *is_live);

void commit(struct rig *r, uint64_t position);

/* One command in a transaction of its own. */
void fold_alone(struct rig *r, struct command *c, uint64_t position);

struct command *claim(uint64_t session_no, const char *client);
struct command *filters(enum command_kind kind, uint64_t session_no, const char *filter, int options);
struct command *message(uint64_t position, const char *payload, const uint64_t *sessions);
struct command *retain(uint64_t position, const char *topic, const char *payload);

/* All upkeep there is. */
void tidy(struct rig *r);

/* Sessions, subscriptions, retained messages; then all the rest. */
const char *at_boot(struct rig *r);
const char *all_at_boot(struct rig *r);

/* A page of the reader: seq and payload of each row; r->page has it. */
const char *page(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit);

/* Past the db: SQL on the file. */
int count(const struct rig *r, const char *sql);
void execute(const struct rig *r, const char *sql);

#endif
