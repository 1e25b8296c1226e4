/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/db_int.h"

/*
 * Upkeep: bodies that nothing names any more, pages that nothing is in, and the -wal file. All of it in
 * pieces, so that a fold need not wait long, even after a backlog of gigabytes has been read.
 */

enum {
    BODIES_A_TIME = 4096,
    WAL_BYTES_KEPT = 1024 * 1024,
};

/* A new round over all bodies pays when an eighth of them may be garbage. */
bool db_sweep_is_due(const struct db *db)
{
    const struct db_sweep *w = &db->sweep;
    return w->upto > 0 || (w->finished > 0 && w->finished >= w->seen / 8);
}

/* Gives where the next piece of the round ends, 0 when the round has. */
static enum err next_piece(struct db *db, uint64_t *end)
{
    sqlite3_stmt *s = db_statement(db, SQL_sweep_end);
    *end = 0;
    if (s == NULL) return db_fail(db, "sweep");
    db_bind_u64(s, 1, db->sweep.upto);
    db_bind_u64(s, 2, BODIES_A_TIME);
    int step = sqlite3_step(s);
    enum err rc = step == SQLITE_ROW ? ERR_OK : db_fail(db, "sweep");
    if (step == SQLITE_ROW) {
        *end = (uint64_t)sqlite3_column_int64(s, 0);
        db->sweep.seen += (uint64_t)sqlite3_column_int64(s, 1);
    }
    sqlite3_reset(s);
    return rc;
}

enum err db_sweep_step(struct db *db)
{
    struct db_sweep *w = &db->sweep;
    if (w->upto == 0) w->seen = w->finished = 0;
    uint64_t end, from = w->upto;
    enum err rc = next_piece(db, &end);
    w->upto = end;
    if (rc != ERR_OK || end == 0) return rc;
    sqlite3_stmt *s = db_statement(db, SQL_sweep);
    if (s == NULL) return db_fail(db, "sweep");
    db_bind_u64(s, 1, from);
    db_bind_u64(s, 2, end);
    return db_run(db, s);
}

static enum err number(struct db *db, enum statement which, uint64_t *out)
{
    sqlite3_stmt *s = db_statement(db, which);
    enum err rc = s != NULL && sqlite3_step(s) == SQLITE_ROW ? ERR_OK : db_fail(db, "upkeep");
    *out = rc == ERR_OK ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    if (s != NULL) sqlite3_reset(s);
    return rc;
}

/* Pages are given back when they are many: in numbers, and as a part of all. */
static enum err vacuum_is_due(struct db *db, bool *is_due)
{
    uint64_t free_pages = 0, pages = 0;
    enum err rc = number(db, SQL_free_pages, &free_pages);
    if (rc == ERR_OK) rc = number(db, SQL_pages, &pages);
    *is_due = rc == ERR_OK && free_pages > db->free_pages_kept && free_pages > pages / 4;
    return rc;
}

/* Each page that is moved goes into the -wal file first: a small piece of what that may hold. */
static enum err vacuum_step(struct db *db)
{
    sqlite3_stmt *s = db_statement(db, SQL_vacuum);
    uint32_t pages = 0, most = db->wal_frames_max / 4;
    int step = SQLITE_ERROR;
    while (s != NULL && (step = sqlite3_step(s)) == SQLITE_ROW && ++pages < most)
        continue; /* a row for each */
    enum err rc = step == SQLITE_DONE || step == SQLITE_ROW ? ERR_OK : db_fail(db, "vacuum");
    if (s != NULL) sqlite3_reset(s);
    db->has_vacuumed = true;
    return rc;
}

static enum err step(struct db *db)
{
    bool sweeps = db_sweep_is_due(db);
    enum err rc = db_begin(db);
    if (rc != ERR_OK) return rc;
    /* Readers keep the -wal file from starting over. To give pages back must not be what fills the disk. */
    if (sweeps)
        rc = db_sweep_step(db);
    else
        rc = db->wal_frames < db->wal_frames_max ? vacuum_step(db) : ERR_FULL;
    if (rc == ERR_OK) rc = db_end(db, true);
    if (rc != ERR_OK) db_rollback(db);
    return rc;
}

static enum err is_due(struct db *db, bool *is_due)
{
    *is_due = db_sweep_is_due(db);
    return *is_due ? ERR_OK : vacuum_is_due(db, is_due);
}

enum err db_tidy(struct db *db, bool *more)
{
    enum err rc = is_due(db, more);
    if (rc == ERR_OK && *more) {
        rc = step(db);
        if (rc == ERR_OK) rc = is_due(db, more);
    }
    return rc;
}

void db_fit(struct db *db, uint64_t wal_bytes)
{
    uint64_t pages = wal_bytes / DB_PAGE_BYTES;
    db->wal_frames_max = pages < DB_WAL_FRAMES_MAX ? (uint32_t)pages : (uint32_t)DB_WAL_FRAMES_MAX;
    db->free_pages_kept =
        pages / 8 < DB_FREE_PAGES_KEPT ? (uint32_t)(pages / 8) : (uint32_t)DB_FREE_PAGES_KEPT;
}

/* --- the -wal file */

static enum err checkpoint(struct db *db, int mode)
{
    int frames = 0, done = 0;
    int rc = sqlite3_wal_checkpoint_v2(db->handle, "main", mode, &frames, &done);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) return db_fail(db, "checkpoint");
    if (frames >= 0 && done >= 0) {
        db->wal_frames = (uint32_t)frames;
        db->wal_frames_done = (uint32_t)done;
    }
    return ERR_OK; /* what a reader still needs is for the next time */
}

enum err db_write_back(struct db *db)
{
    if (db->wal_frames - db->wal_frames_done < db->wal_frames_max) return ERR_OK;
    return checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
}

static bool is_wal_large(struct db *db)
{
    sqlite3_int64 bytes = 0;
    sqlite3_file *wal = db_wal_file(db);
    return wal != NULL && wal->pMethods->xFileSize(wal, &bytes) == SQLITE_OK && bytes > WAL_BYTES_KEPT;
}

enum err db_settle(struct db *db, bool *more)
{
    *more = false;
    if (!db->has_vacuumed && !is_wal_large(db)) return ERR_OK;
    sqlite3_busy_timeout(db->handle, 0);
    enum err rc = checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
    sqlite3_busy_timeout(db->handle, DB_BUSY_MS);
    *more = rc == ERR_OK && db->wal_frames > 0;
    db->has_vacuumed &= *more || rc != ERR_OK;
    return rc;
}
