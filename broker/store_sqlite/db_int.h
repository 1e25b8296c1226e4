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

enum { DB_ERROR_BYTES = 256 };

struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENTS_COUNT];
    uint64_t swept; /* bodies up to here have been looked at in this round */
    char error[DB_ERROR_BYTES];
};

/* The statement, reset and without values; NULL when it cannot be prepared. */
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

/* A message of the columns from `topic` on. */
enum err db_read_message(sqlite3_stmt *s, int topic_column, struct msg **out);

static inline uint8_t db_flags(uint8_t qos, bool retain)
{
    return (uint8_t)(qos | (retain ? 4 : 0));
}

#endif
