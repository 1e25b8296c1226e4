/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db_int - a connection and its statements, for the module's own files.
 *
 * Thread:  see db.h.
 * Memory:  see db.h.
 * Limits:  see db.h.
 * Errors:  ERR_SYS, with db->error set.
 * Tests:   tests/unit/test_db.c
 */
#ifndef STORE_SQLITE_DB_INT_H
#define STORE_SQLITE_DB_INT_H

#include "store_sqlite/db.h"
#include <sqlite3.h>

enum statement {
#define STATEMENT(name, sql) SQL_##name,
#include "store_sqlite/statements.def"
#undef STATEMENT
    STATEMENTS_COUNT
};

enum {
    DB_ERROR_BYTES = 256,
    DB_BUSY_MS = 5000, /* a reader begins or ends meanwhile */

    /* A message up to here may lie in its queue row: the row still fits a page of 4096 bytes without
     * overflow, (4096 - 12) * 64 / 255 - 23 with its numbers. */
    DB_WHOLE_BYTES_MAX = 900,

    /* Rows gathered, so that they can be written in the order of their keys; 1 MiB and the messages. */
    DB_ROWS_MAX = 32768,
    DB_ROWS_FILTER_WORDS = 64,

    /* The -wal file is written back into the other from this size on: 64 MiB. */
    DB_WAL_FRAMES_MAX = 16384,
    DB_FREE_PAGES_KEPT = 2048, /* 8 MiB: what goes and comes every day */
    DB_PAGE_BYTES = 4096,
};

/* A row for a queue. */
struct db_row {
    uint64_t session_no, seq;
    struct msg *msg; /* NULL: its body is in a table of its own */
    uint8_t flags;
};

struct db_rows {
    struct db_row *at; /* DB_ROWS_MAX of them; NULL before the first */
    uint32_t count;
    uint64_t
        filter[DB_ROWS_FILTER_WORDS]; /* a bit for each session that has one, and for some that have not */
};

/* Rounds over the bodies. */
struct db_sweep {
    uint64_t upto;     /* of this round; 0: none is under way */
    uint64_t seen;     /* bodies in this round, or the last one */
    uint64_t finished; /* rows that have gone since it began: so many bodies may have become garbage */
};

struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENTS_COUNT];
    struct db_rows rows;
    struct db_sweep sweep, sweep_before; /* as it is; as it was when the transaction began */
    uint32_t wal_frames_max, free_pages_kept;
    bool has_vacuumed;                    /* the file shrinks with the next checkpoint */
    uint32_t wal_frames, wal_frames_done; /* in the -wal file; of these, written back */
    char error[DB_ERROR_BYTES];
};

/* The statement, reset, with the values of its last use; NULL when it cannot be prepared. */
sqlite3_stmt *db_statement(struct db *db, enum statement which);

static inline void db_bind_u64(sqlite3_stmt *s, int at, uint64_t v)
{
    sqlite3_bind_int64(s, at, (sqlite3_int64)v);
}
static inline void db_bind_bytes(sqlite3_stmt *s, int at, struct bytes b)
{
    /* An empty run still is a value: not NULL. The bytes outlive the step. */
    sqlite3_bind_blob64(s, at, b.len > 0 ? (const void *)b.at : "", b.len, SQLITE_STATIC);
}

/* Runs a statement that gives no rows. */
enum err db_run(struct db *db, sqlite3_stmt *s);

enum err db_fail(struct db *db, const char *doing);

enum err db_execute(struct db *db, const char *sql);

/* db_rows.c. A row comes into the tables when enough have been gathered, or before anything that could
 * delete it: db_rows_settle, for the rows of a session up to a seq. db_rows_add shares the message. */
enum err db_rows_add(struct db *db, const struct db_row *row);
enum err db_rows_settle(struct db *db, uint64_t session_no, uint64_t upto);
enum err db_rows_flush(struct db *db);
void db_rows_drop(struct db *db);

/* db_tidy.c */
bool db_sweep_is_due(const struct db *db);
enum err db_sweep_step(struct db *db);
enum err db_write_back(struct db *db); /* if the -wal file has grown large */

/* db_commit.c */
sqlite3_file *db_wal_file(struct db *db); /* NULL: nothing has ever been written */
enum err db_end(struct db *db, bool is_lazy);

/* Topic, properties, payload, flags, expires_ms, from_session, from_client: the columns that a message has.
 */
void db_bind_message(sqlite3_stmt *s, int at, const struct msg *m);
enum err db_read_message(sqlite3_stmt *s, int topic_column, struct msg **out);

static inline uint8_t db_flags(uint8_t qos, bool retain)
{
    return (uint8_t)(qos | (retain ? 4 : 0));
}

#endif
