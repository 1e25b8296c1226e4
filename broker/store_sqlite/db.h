/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db - the tables of persistent state in SQLite: opened and migrated, folded into, read in pages, read at
 * boot.
 *
 * A db is one connection. One writes (the fold); others read.
 *
 * Thread:  one at a time for each connection.
 * Memory:  a page's messages are the caller's.
 * Limits:  PAGE_ENTRIES_MAX rows a page.
 * Errors:  ERR_SYS: SQLite's, db_error says what; ERR_SYNTAX: the file is no database, or a damaged one;
 *          ERR_UNKNOWN: its schema is newer than this program.
 * Tests:   tests/unit/test_db.c
 */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include "store/journal.h"
#include "store/store.h"

struct db;

/* Creates the file or upgrades it. */
enum err db_open_writer(struct db **out, const char *path);
enum err db_open_reader(struct db **out, const char *path);
void db_close(struct db **owner);

/* What went wrong last, for an operator. NULL db: opening failed; the text of the last failed open. */
const char *db_error(const struct db *db);

uint64_t db_applied(struct db *db);

/* Counts this start, durably, and gives its number. */
enum err db_boot(struct db *db, uint64_t *boot_no);

/* One transaction: begin, any number of commands in order of position, commit with the position up to which
 * all is in. The commit is synced. is_live says for each target of an ENQUEUE whether it still waits; NULL:
 * all that have a session_no. */
enum err db_begin(struct db *db);
enum err db_fold(struct db *db, const struct command *c, const bool *is_live);
enum err db_commit(struct db *db, uint64_t applied);

/* Fills count, rows and snapshot of a page. */
enum err db_page(struct db *db, struct store_page *page);

/* Everything but queues, for boot. */
struct db_visitor {
    void (*session)(void *ctx,
                    const struct command *claim); /* session_no, claim_no, expiry_s, data: client id */
    void (*subscription)(void *ctx, uint64_t session_no, struct bytes filter, uint8_t options);
    void (*retained)(void *ctx, struct msg *m, uint64_t version); /* lends */
    void *ctx;
};
enum err db_visit(struct db *db, const struct db_visitor *v);

#endif
