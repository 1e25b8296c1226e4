/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/failpoint.h"
#include "store_sqlite/db_int.h"
#include "store_sqlite/schema.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

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
    return *s;
}

enum err db_run(struct db *db, sqlite3_stmt *s)
{
    int rc = s == NULL ? SQLITE_ERROR : sqlite3_step(s);
    enum err done = rc == SQLITE_DONE ? ERR_OK : db_fail(db, s == NULL ? "prepare" : sqlite3_sql(s));
    if (s != NULL) sqlite3_reset(s);
    return done;
}

enum err db_execute(struct db *db, const char *sql)
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
    enum err rc = db_execute(db, "BEGIN IMMEDIATE");
    if (rc == ERR_OK) rc = db_execute(db, schema_broker[from]);
    if (rc == ERR_OK) rc = db_execute(db, set);
    failpoint(FAIL_migrate_half);
    if (rc == ERR_OK) rc = db_execute(db, "COMMIT");
    failpoint(FAIL_migrate_between);
    return rc;
}

static int note_frames(void *arg, sqlite3 *handle, const char *name, int frames)
{
    struct db *db = arg;
    (void)handle;
    (void)name;
    if ((uint32_t)frames < db->wal_frames) db->wal_frames_done = 0; /* begun again from its start */
    db->wal_frames = (uint32_t)frames;
    return SQLITE_OK;
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
    db_fit(db, UINT64_MAX);
    enum err rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK
                      ? ERR_OK
                      : db_fail(db, "open");
    if (rc == ERR_OK) sqlite3_busy_timeout(db->handle, DB_BUSY_MS);
    *out = db;
    return rc;
}

enum err db_fit_cache(struct db *db, uint64_t bytes)
{
    char set[48];
    snprintf(set, sizeof set, "PRAGMA cache_size = -%u", (unsigned)(bytes / 1024));
    return db_execute(db, set);
}

static enum err keep_or_close(struct db **out, enum err rc)
{
    if (rc == ERR_OK) return rc;
    if (*out != NULL) snprintf(open_error, sizeof open_error, "%s", (*out)->error);
    db_close(out);
    return rc;
}

/* SQLite would make it for all to read; its other files have the modes of this one. What cannot be made here
 * is its business to say. */
static void make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

enum err db_open_writer(struct db **out, const char *path)
{
    make_file(path);
    enum err rc = open_at(out, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (rc == ERR_OK) rc = db_execute(*out, "PRAGMA auto_vacuum = INCREMENTAL");
    if (rc == ERR_OK) rc = db_execute(*out, "PRAGMA journal_mode = WAL");
    /* Commits are synced by db_end, when asked for; what SQLite syncs itself is around checkpoints. */
    if (rc == ERR_OK) rc = db_execute(*out, "PRAGMA synchronous = NORMAL");
    /* Rows of 200 sessions come interleaved: the pages that a fold touches should stay. */
    if (rc == ERR_OK) rc = db_execute(*out, "PRAGMA cache_size = -32768");
    /* Debian's SQLite writes zeros over what is deleted: each page of a backlog once more, into the -wal
     * file, at the very moment when a full disk is to get room. */
    if (rc == ERR_OK) rc = db_execute(*out, "PRAGMA secure_delete = OFF");
    if (rc == ERR_OK) rc = migrate(*out);
    /* In place of SQLite's own checkpoints, which nobody hears of when they fail. */
    if (rc == ERR_OK) sqlite3_wal_hook((*out)->handle, note_frames, *out);
    if (rc == ERR_OK) (*out)->sweep.finished = 1; /* the last process may have left something */
    return keep_or_close(out, rc);
}

enum err db_open_reader(struct db **out, const char *path)
{
    enum err rc = open_at(out, path, SQLITE_OPEN_READONLY);
    /* The inner pages of the queue's tree, so that a page of rows costs its leaves only. */
    if (rc == ERR_OK) rc = db_execute(*out, "PRAGMA cache_size = -8192");
    return keep_or_close(out, rc);
}

void db_close(struct db **owner)
{
    struct db *db = *owner;
    *owner = NULL;
    if (db == NULL) return;
    for (int i = 0; i < STATEMENTS_COUNT; i++) sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    db_rows_drop(db);
    free(db->rows.at);
    free(db);
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

void db_bind_message(sqlite3_stmt *s, int at, const struct msg *m)
{
    db_bind_bytes(s, at, msg_topic(m));
    db_bind_bytes(s, at + 1, msg_block(m));
    db_bind_bytes(s, at + 2, msg_payload(m));
    db_bind_u64(s, at + 3, db_flags(m->qos, m->retain));
    db_bind_u64(s, at + 4, m->expires_ms);
    db_bind_u64(s, at + 5, m->from_session);
    db_bind_u64(s, at + 6, m->from_client);
}
