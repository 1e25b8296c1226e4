/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/db_int.h"
#include <errno.h>
#include <string.h>

/* Transactions, and what is written with them beside the commands' own rows. */

static enum err meta_get(struct db *db, const char *name, uint64_t *value)
{
    sqlite3_stmt *s = db_statement(db, SQL_meta_get);
    *value = 0;
    if (s == NULL) return db_fail(db, "meta");
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    enum err rc = sqlite3_step(s) == SQLITE_ROW ? ERR_OK : db_fail(db, "meta");
    if (rc == ERR_OK) *value = (uint64_t)sqlite3_column_int64(s, 0);
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
    enum err rc = db_write_back(db);
    db->sweep_before = db->sweep;
    return rc == ERR_OK ? db_run(db, db_statement(db, SQL_begin)) : rc;
}

void db_rollback(struct db *db)
{
    db_rows_drop(db);
    db->sweep = db->sweep_before; /* its round may have counted what it did not delete */
    for (int i = 0; i < STATEMENTS_COUNT; i++) sqlite3_reset(db->statements[i]);
    /* SQLite may have done it already; and what it cannot write now it forgets all the same. */
    if (sqlite3_get_autocommit(db->handle) == 0) sqlite3_step(db_statement(db, SQL_rollback));
}

sqlite3_file *db_wal_file(struct db *db)
{
    sqlite3_file *wal = NULL;
    int rc = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    return rc == SQLITE_OK && wal != NULL && wal->pMethods != NULL ? wal : NULL;
}

/* The commits are in the -wal file. SQLite would sync it at each of them, or at none. */
static enum err sync_wal(struct db *db)
{
    sqlite3_file *wal = db_wal_file(db);
    if (wal == NULL || wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) == SQLITE_OK) return ERR_OK;
    snprintf(db->error, sizeof db->error, "sync of the -wal file: %s", strerror(errno));
    return ERR_SYS;
}

enum err db_end(struct db *db, bool is_lazy)
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
    if (rc == ERR_OK) rc = db_end(db, false);
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
    enum err rc = db_rows_flush(db);
    if (rc == ERR_OK && !p->is_lazy && db_sweep_is_due(db)) rc = db_sweep_step(db);
    if (rc == ERR_OK) rc = meta_set(db, "applied", p->applied);
    if (rc == ERR_OK && p->heartbeat_ms != 0) rc = meta_set(db, "heartbeat_ms", p->heartbeat_ms);
    if (rc == ERR_OK) rc = put_origins(db, p);
    return rc == ERR_OK ? db_end(db, p->is_lazy) : rc;
}
