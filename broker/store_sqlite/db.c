/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "store_sqlite/db_int.h"
#include "store_sqlite/schema.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
#define STATEMENT(name, sql) sql,
#include "store_sqlite/statements.def"
#undef STATEMENT
};

static _Thread_local char open_error[DB_ERROR_BYTES];

/* A write without room can be tried again when there is some. After a sync that failed nobody knows what the
 * disk has: that is no lack of room, whatever the reason given. */
static bool is_no_room(struct db *db)
{
    int code = sqlite3_extended_errcode(db->handle), why = sqlite3_system_errno(db->handle);
    if ((code & 0xff) == SQLITE_FULL) return true;
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) return false;
    return (code & 0xff) == SQLITE_IOERR && (why == ENOSPC || why == EDQUOT);
}

enum err db_fail(struct db *db, const char *doing)
{
    snprintf(db->error, sizeof db->error, "%s: %s", doing, sqlite3_errmsg(db->handle));
    switch (sqlite3_errcode(db->handle) & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT: return ERR_SYNTAX;
    case SQLITE_NOMEM: return ERR_NOMEM;
    default: return is_no_room(db) ? ERR_FULL : ERR_SYS;
    }
}

const char *db_error(const struct db *db)
{
    return db == NULL ? open_error : db->error;
}

sqlite3_stmt *db_statement(struct db *db, enum statement which)
{
    sqlite3_stmt **s = &db->statements[which];
    if (*s == NULL) {
        sqlite3_prepare_v3(db->handle, texts[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
        return *s;
    }
    sqlite3_reset(*s);
    sqlite3_clear_bindings(*s);
    return *s;
}

enum err db_run(struct db *db, sqlite3_stmt *s)
{
    int rc = s == NULL ? SQLITE_ERROR : sqlite3_step(s);
    enum err done = rc == SQLITE_DONE ? ERR_OK : db_fail(db, s == NULL ? "prepare" : sqlite3_sql(s));
    if (s != NULL) sqlite3_reset(s);
    return done;
}

static enum err execute(struct db *db, const char *sql)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : db_fail(db, sql);
}

static enum err user_version(struct db *db, int *version)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db->handle, "PRAGMA user_version", -1, &s, NULL) != SQLITE_OK)
        return db_fail(db, "open");
    enum err rc = sqlite3_step(s) == SQLITE_ROW ? ERR_OK : db_fail(db, "user_version");
    *version = rc == ERR_OK ? sqlite3_column_int(s, 0) : 0;
    sqlite3_finalize(s);
    return rc;
}

static enum err step_up(struct db *db, int from)
{
    char set[48];
    snprintf(set, sizeof set, "PRAGMA user_version = %d", from + 1);
    enum err rc = execute(db, "BEGIN IMMEDIATE");
    if (rc == ERR_OK) rc = execute(db, schema_broker[from]);
    if (rc == ERR_OK) rc = execute(db, set);
    if (rc == ERR_OK) rc = execute(db, "COMMIT");
    return rc;
}

static enum err migrate(struct db *db)
{
    int version = 0, newest = 0;
    while (schema_broker[newest] != NULL) newest++;
    enum err rc = user_version(db, &version);
    if (rc != ERR_OK) return rc;
    if (version > newest) {
        snprintf(db->error, sizeof db->error, "its schema is version %d; this program knows up to %d",
                 version, newest);
        return ERR_UNKNOWN;
    }
    for (; version < newest && rc == ERR_OK; version++) rc = step_up(db, version);
    return rc;
}

static enum err open_at(struct db **out, const char *path, int flags)
{
    struct db *db = calloc(1, sizeof *db);
    *out = NULL;
    if (db == NULL) return ERR_NOMEM;
    enum err rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK
                      ? ERR_OK
                      : db_fail(db, "open");
    if (rc == ERR_OK) sqlite3_busy_timeout(db->handle, 5000);
    *out = db;
    return rc;
}

static enum err keep_or_close(struct db **out, enum err rc)
{
    if (rc == ERR_OK) return rc;
    if (*out != NULL) snprintf(open_error, sizeof open_error, "%s", (*out)->error);
    db_close(out);
    return rc;
}

enum err db_open_writer(struct db **out, const char *path)
{
    enum err rc = open_at(out, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (rc == ERR_OK) rc = execute(*out, "PRAGMA auto_vacuum = INCREMENTAL");
    if (rc == ERR_OK) rc = execute(*out, "PRAGMA journal_mode = WAL");
    /* Commits are synced here (sync_wal), when asked for; what SQLite syncs itself is around checkpoints. */
    if (rc == ERR_OK) rc = execute(*out, "PRAGMA synchronous = NORMAL");
    /* Rows of 200 sessions come interleaved: the pages that a fold touches should stay, and be written back
     * once for many folds. */
    if (rc == ERR_OK) rc = execute(*out, "PRAGMA cache_size = -32768");
    if (rc == ERR_OK) rc = execute(*out, "PRAGMA wal_autocheckpoint = 16384");
    if (rc == ERR_OK) rc = migrate(*out);
    return keep_or_close(out, rc);
}

enum err db_open_reader(struct db **out, const char *path)
{
    return keep_or_close(out, open_at(out, path, SQLITE_OPEN_READONLY));
}

void db_close(struct db **owner)
{
    struct db *db = *owner;
    *owner = NULL;
    if (db == NULL) return;
    for (int i = 0; i < STATEMENTS_COUNT; i++) sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    free(db);
}

static enum err meta_get(struct db *db, const char *name, uint64_t *value)
{
    sqlite3_stmt *s = db_statement(db, SQL_meta_get);
    if (s == NULL) return db_fail(db, "meta");
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    enum err rc = sqlite3_step(s) == SQLITE_ROW ? ERR_OK : db_fail(db, "meta");
    *value = rc == ERR_OK ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return rc;
}

static enum err meta_set(struct db *db, const char *name, uint64_t value)
{
    sqlite3_stmt *s = db_statement(db, SQL_meta_set);
    if (s == NULL) return db_fail(db, "meta");
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    db_bind_u64(s, 2, value);
    return db_run(db, s);
}

uint64_t db_applied(struct db *db)
{
    uint64_t applied;
    return meta_get(db, "applied", &applied) == ERR_OK ? applied : 0;
}

enum err db_meta(struct db *db, struct db_meta *out)
{
    *out = (struct db_meta){ 0 };
    enum err rc = meta_get(db, "boot_no", &out->boot_no);
    if (rc == ERR_OK) rc = meta_get(db, "heartbeat_ms", &out->heartbeat_ms);
    if (rc == ERR_OK) rc = meta_get(db, "client_key", &out->client_key);
    return rc;
}

enum err db_begin(struct db *db)
{
    return db_run(db, db_statement(db, SQL_begin));
}

void db_rollback(struct db *db)
{
    for (int i = 0; i < STATEMENTS_COUNT; i++) sqlite3_reset(db->statements[i]);
    /* SQLite may have done it already; and what it cannot write now it forgets all the same. */
    if (sqlite3_get_autocommit(db->handle) == 0) sqlite3_step(db_statement(db, SQL_rollback));
}

/* The commits are in the -wal file. SQLite would sync it at each of them. */
static enum err sync_wal(struct db *db)
{
    sqlite3_file *wal = NULL;
    if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK)
        return db_fail(db, "sync");
    if (wal->pMethods == NULL) return ERR_OK; /* nothing has ever been written */
    if (wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) == SQLITE_OK) return ERR_OK;
    snprintf(db->error, sizeof db->error, "sync of the -wal file: %s", strerror(errno));
    return ERR_SYS;
}

static enum err commit(struct db *db, bool is_lazy)
{
    enum err rc = db_run(db, db_statement(db, SQL_commit));
    return rc == ERR_OK && !is_lazy ? sync_wal(db) : rc;
}

/* A transaction around one change of meta. */
static enum err set_durably(struct db *db, const char *name, uint64_t value)
{
    enum err rc = db_begin(db);
    if (rc != ERR_OK) return rc;
    rc = meta_set(db, name, value);
    if (rc == ERR_OK) rc = commit(db, false);
    if (rc != ERR_OK) db_rollback(db);
    return rc;
}

enum err db_boot(struct db *db, uint64_t *boot_no)
{
    enum err rc = meta_get(db, "boot_no", boot_no);
    return rc == ERR_OK ? set_durably(db, "boot_no", ++*boot_no) : rc;
}

enum err db_heartbeat(struct db *db, uint64_t ms)
{
    return set_durably(db, "heartbeat_ms", ms);
}

/* Looks at the next bodies, round after round, and deletes those that nothing names. */
static enum err sweep(struct db *db)
{
    enum { BODIES_A_TIME = 4096 };
    sqlite3_stmt *s = db_statement(db, SQL_sweep_end);
    if (s == NULL) return db_fail(db, "sweep");
    db_bind_u64(s, 1, db->swept);
    sqlite3_bind_int(s, 2, BODIES_A_TIME);
    int rc = sqlite3_step(s);
    uint64_t end = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (rc != SQLITE_ROW) return db_fail(db, "sweep");
    if (end == 0) { /* past the last: begin again next time */
        db->swept = 0;
        return ERR_OK;
    }
    s = db_statement(db, SQL_sweep);
    if (s == NULL) return db_fail(db, "sweep");
    db_bind_u64(s, 1, db->swept);
    db_bind_u64(s, 2, end);
    db->swept = end;
    return db_run(db, s);
}

static enum err put_origins(struct db *db, const struct db_progress *p)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; i < p->origins_count && rc == ERR_OK; i++) {
        sqlite3_stmt *s = db_statement(db, SQL_origin);
        if (s == NULL) return db_fail(db, "origin");
        db_bind_u64(s, 1, p->origins[i].node);
        db_bind_u64(s, 2, p->origins[i].boot_no);
        db_bind_u64(s, 3, p->origins[i].n);
        rc = db_run(db, s);
    }
    return rc;
}

enum err db_commit_progress(struct db *db, const struct db_progress *p)
{
    enum err rc = sweep(db);
    if (rc == ERR_OK) rc = meta_set(db, "applied", p->applied);
    if (rc == ERR_OK && p->heartbeat_ms != 0) rc = meta_set(db, "heartbeat_ms", p->heartbeat_ms);
    if (rc == ERR_OK) rc = put_origins(db, p);
    return rc == ERR_OK ? commit(db, p->is_lazy) : rc;
}

enum err db_commit(struct db *db, uint64_t applied)
{
    return db_commit_progress(db, &(struct db_progress){ .applied = applied });
}

enum err db_read_message(sqlite3_stmt *s, int topic_column, struct msg **out)
{
    struct bytes column[3];
    for (int i = 0; i < 3; i++) {
        const void *at = sqlite3_column_blob(s, topic_column + i);
        column[i] = bytes_of(at, (size_t)sqlite3_column_bytes(s, topic_column + i));
    }
    int flags = sqlite3_column_int(s, topic_column + 3);
    struct msg_parts parts = {
        .topic = column[0],
        .block = column[1],
        .payload = column[2],
        .qos = (uint8_t)(flags & 3),
        .retain = (flags & 4) != 0,
        .expires_ms = (uint64_t)sqlite3_column_int64(s, topic_column + 4),
        .from_session = (uint64_t)sqlite3_column_int64(s, topic_column + 5),
        .from_client = (uint64_t)sqlite3_column_int64(s, topic_column + 6),
    };
    return msg_new(out, &parts);
}
