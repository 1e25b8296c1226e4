/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db - the tables of persistent state in SQLite: opened and migrated, folded into, read in pages, read at
 * boot.
 *
 * A db is one connection. One writes (the fold); others read.
 *
 * Thread:  one at a time for each connection.
 * Memory:  a page's messages are the caller's; all that db_restore shows is lent.
 * Limits:  PAGE_ENTRIES_MAX rows a page, IDS_ENTRIES_MAX without messages.
 * Errors:  ERR_FULL: no room to write; db_rollback, and the transaction may be tried again from its begin.
 *          ERR_SYS: reading, writing or syncing failed; ERR_NOMEM; ERR_SYNTAX: the file is no database, or a
 *          damaged one; ERR_UNKNOWN: its schema is newer than this program. db_error says more.
 * Tests:   tests/unit/test_db.c, tests/unit/test_db_boot.c, tests/unit/test_store_sqlite_disk.c
 */
#ifndef STORE_SQLITE_DB_H
#define STORE_SQLITE_DB_H

#include "store/backlog.h"
#include "store/journal.h"
#include "store/restore.h"
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

struct db_meta {
    uint64_t boot_no;
    uint64_t
        heartbeat_ms; /* when the broker was last known to be alive: at the latest when the file was made */
    uint64_t client_key; /* random, made once with the file */
};
enum err db_meta(struct db *db, struct db_meta *out);

/* The broker is alive, and has nothing to fold. Durable. */
enum err db_heartbeat(struct db *db, uint64_t ms);

/* One transaction: begin, any number of commands in order of position, commit with the position up to which
 * all is in; or rollback, after any error. is_live says for each target of a message whether it still waits,
 * and after them, if the command has an in_id, whether that is still to be known; NULL: all that are not
 * skipped. Of a COMMAND_DUPLICATE its in_id is folded, and nothing else. */
static inline uint32_t db_marks(const struct command *c)
{
    return c->targets_count + (c->kind == COMMAND_ENQUEUE && c->in_id != 0 ? 1 : 0);
}
enum err db_begin(struct db *db);
enum err db_fold(struct db *db, const struct command *c, const bool *is_live);

struct db_progress {
    uint64_t applied;
    uint64_t heartbeat_ms;                /* 0: as it was */
    const struct command_origin *origins; /* the last of each node that submitted something */
    uint32_t origins_count;
    bool is_lazy; /* durable with the next commit that is not: many small transactions, one sync */
};
enum err db_commit_progress(struct db *db, const struct db_progress *p);
void db_rollback(struct db *db);

/* For a small disk: the -wal file is written back into the tables from so many bytes on, and fewer free pages
 * are kept. */
void db_fit(struct db *db, uint64_t wal_bytes);

/* For a small process: SQLite keeps no more than so many bytes of the tables in memory. */
enum err db_fit_cache(struct db *db, uint64_t bytes);

/* A piece of upkeep, some 10 ms: bodies that nothing names any more, free pages back to the file system. Says
 * whether there is more. Between transactions. ERR_FULL: not before db_settle. */
enum err db_tidy(struct db *db, bool *more);

/* When there has been nothing to do for a while: a large -wal file goes back to nothing, and what db_tidy
 * gave back leaves the other file. Syncs. More: a reader was in the way. */
enum err db_settle(struct db *db, bool *more);

/* A publisher's own id of a message: put as its ENQUEUE is folded. Forgetting, between begin and commit,
 * takes those whose time is over, some thousands at most. */
struct db_mid {
    struct bytes client_id, mid;
    uint64_t until_ms;
};
enum err db_mid_put(struct db *db, const struct db_mid *mid);
enum err db_mids_forget(struct db *db, uint64_t now_ms);

/* Fills count, rows and snapshot of a page. */
enum err db_page(struct db *db, struct store_page *page);
enum err db_ids(struct db *db, struct store_ids *ids);

/* For boot, in this order, whatever is not NULL: what restore.h says (offline_ms is 0 for a session that was
 * connected); the entries of all queues, each queue's in order of seq; ids of publishers' messages, oldest
 * first; the last submissions. The context of all is the sink's. The callee's error ends it and is given
 * back; db_error is empty then. */
struct db_restore {
    struct restore_sink sink;
    enum err (*entry)(void *ctx, uint64_t session_no, struct backlog_entry e);
    enum err (*mid)(void *ctx, const struct db_mid *mid);
    enum err (*origin)(void *ctx, const struct command_origin *o);
};
enum err db_restore(struct db *db, const struct db_restore *to);

#endif
