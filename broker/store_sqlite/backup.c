/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a backup. The order is what makes it consistent while a broker writes:
 *
 *   1. the log      wal_copy: all that was durable when we began, but for segments that were purged
 *   2. the tables   VACUUM INTO: one read transaction, which neither waits for the fold nor delays it
 *   3. the check    the copy is opened as a start would do it, and read
 *
 * A segment is purged when the tables have, durably, all that is in it; we read them later. So above the
 * position of our tables the copy of the log has no gap. It takes for granted that a transaction of the fold
 * leaves nothing in the tables that is above the position it commits. When our tables are ahead of our copy
 * of the log there is nothing in it that they lack, and it goes: the tables never know more than the log.
 */
#include "store_sqlite/backup_int.h"
#include "store_sqlite/db_int.h"
#include "wal/wal.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct backup {
    const char *dir;
    struct folder out;
    struct manifest manifest;
    uint64_t applied, logged; /* the positions of the tables, and of the log */
    char *text;
};

static enum err db_path(const struct backup *b, const char *dir, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/" BACKUP_DB_NAME, dir) < PATH_MAX) return ERR_OK;
    snprintf(b->text, BACKUP_TEXT_BYTES, "the path %.400s... is too long", dir);
    return ERR_RANGE;
}

static enum err check_store(const struct backup *b)
{
    char path[PATH_MAX];
    enum err rc = db_path(b, b->dir, path);

    if (rc != ERR_OK || access(path, F_OK) == 0) return rc;
    char reason[128];
    snprintf(b->text, BACKUP_TEXT_BYTES,
             "%.400s is not the directory of a store: %.400s: %s; name the broker's persistence_location, "
             "and run as its user or root",
             b->dir, path, strerror_r(errno, reason, sizeof reason));
    return ERR_NOTFOUND;
}

static enum err cannot_open(const struct backup *b, const char *path)
{
    snprintf(b->text, BACKUP_TEXT_BYTES, "%.400s: %.300s", path, db_error(NULL));
    return ERR_SYS;
}

/* --- the log, the tables */

static enum err copy_log(const struct backup *b)
{
    char text[WAL_TEXT_BYTES];
    enum err rc = wal_copy(b->dir, b->out.path, NULL, text);
    if (rc != ERR_OK) snprintf(b->text, BACKUP_TEXT_BYTES, "%s", text);
    return rc;
}

static enum err vacuum_into(struct db *db, const char *path)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db->handle, "VACUUM INTO ?1", -1, &s, NULL) != SQLITE_OK)
        return db_fail(db, "copy");
    sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC);
    enum err rc = sqlite3_step(s) == SQLITE_DONE ? ERR_OK : db_fail(db, "copy");
    sqlite3_finalize(s);
    return rc;
}

/* Into an empty file that is there already: SQLite would make one that others may read. */
static enum err copy_tables(const struct backup *b)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct db *db = NULL;
    enum err rc = db_path(b, b->dir, from);

    if (rc == ERR_OK) rc = db_path(b, b->out.path, to);
    if (rc == ERR_OK) rc = folder_write(&b->out, BACKUP_DB_NAME, "", b->text);
    if (rc != ERR_OK) return rc;
    if (db_open_reader(&db, from) != ERR_OK) return cannot_open(b, from);
    if (vacuum_into(db, to) != ERR_OK) {
        snprintf(b->text, BACKUP_TEXT_BYTES, "cannot copy %.400s to %.400s: %.300s", from, to, db_error(db));
        rc = ERR_SYS;
    }
    db_close(&db);
    return rc;
}

/* --- the check */

static enum err read_meta(struct db *db, const char *name, uint64_t *out)
{
    sqlite3_stmt *s = db_statement(db, SQL_meta_get);
    if (s == NULL) return db_fail(db, name);
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    enum err rc = sqlite3_step(s) == SQLITE_ROW ? ERR_OK : db_fail(db, name);
    if (rc == ERR_OK) *out = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return rc;
}

static enum err quick_check(struct db *db)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &s, NULL) != SQLITE_OK)
        return db_fail(db, "check");
    int step = sqlite3_step(s);
    const char *verdict = step == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    enum err rc = ERR_OK;
    if (step != SQLITE_ROW)
        rc = db_fail(db, "check");
    else if (verdict == NULL || strcmp(verdict, "ok") != 0)
        rc = ERR_SYNTAX;
    if (rc == ERR_SYNTAX && verdict != NULL) snprintf(db->error, sizeof db->error, "check: %s", verdict);
    sqlite3_finalize(s);
    return rc;
}

static enum err check_tables(struct backup *b)
{
    char path[PATH_MAX];
    struct db *db = NULL;
    enum err rc = db_path(b, b->out.path, path);

    if (rc != ERR_OK) return rc;
    if (db_open_reader(&db, path) != ERR_OK) return cannot_open(b, path);
    rc = quick_check(db);
    if (rc == ERR_OK) rc = read_meta(db, "applied", &b->applied);
    if (rc == ERR_OK) rc = read_meta(db, "boot_no", &b->manifest.boot_no);
    if (rc != ERR_OK)
        snprintf(b->text, BACKUP_TEXT_BYTES, "%.400s/" BACKUP_DB_NAME " has no good copy: %.300s", b->dir,
                 db_error(db));
    db_close(&db);
    return rc;
}

static enum err see_record(void *arg, const struct wal_record *record)
{
    (void)arg;
    (void)record;
    return ERR_OK; /* that it can be read, and follows the one before, is what we wanted to know */
}

/* What is torn at its end is dropped here. */
static enum err check_log(struct backup *b)
{
    struct wal_conf conf = { .dir = b->out.path };
    struct wal_report report;
    struct wal *w;
    const char *why = report.text;
    enum err rc = wal_open(&w, &conf, &report);

    if (rc == ERR_OK) {
        rc = wal_replay(w, 0, b->applied, see_record, NULL);
        why = wal_error(w);
        b->logged = wal_last(w, 0);
    }
    if (rc != ERR_OK)
        snprintf(b->text, BACKUP_TEXT_BYTES, "the journal in %.400s has no good copy: %.500s", b->dir, why);
    wal_close(&w);
    return rc;
}

/* --- what is left, and its manifest */

static bool is_segment(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".wal") == 0;
}

/* The lock is of our check; segments that the tables have go. */
static enum err drop_unneeded(void *arg, const char *name)
{
    struct backup *b = arg;
    bool is_needed = strcmp(name, BACKUP_DB_NAME) == 0 || (is_segment(name) && b->logged > b->applied);

    if (is_needed || unlinkat(b->out.fd, name, 0) == 0) return ERR_OK;
    return folder_fail(&b->out, "remove", name, b->text);
}

static enum err measure(void *arg, const char *name)
{
    struct backup *b = arg;
    struct manifest_file file = { 0 };
    enum err rc = folder_measure(&b->out, name, &file, b->text);
    if (rc == ERR_OK) rc = manifest_add(&b->manifest, &file);
    return rc;
}

static enum err sync_tables(const struct backup *b)
{
    int fd = openat(b->out.fd, BACKUP_DB_NAME, O_RDWR | O_CLOEXEC);
    enum err rc = fd >= 0 && fsync(fd) == 0 ? ERR_OK : folder_fail(&b->out, "sync", BACKUP_DB_NAME, b->text);
    if (fd >= 0) close(fd);
    return rc;
}

/* The manifest is written when all that it names is durable. */
static enum err complete(struct backup *b)
{
    enum err rc = folder_each(&b->out, drop_unneeded, b, b->text);
    if (rc == ERR_OK) rc = sync_tables(b);
    if (rc == ERR_OK) rc = folder_each(&b->out, measure, b, b->text);
    if (rc == ERR_OK) rc = folder_sync(&b->out, b->text);
    b->manifest.position = b->logged > b->applied ? b->logged : b->applied;
    if (rc == ERR_OK) rc = manifest_write(&b->manifest, &b->out, b->text);
    if (rc == ERR_OK) rc = folder_sync(&b->out, b->text);
    return rc;
}

static enum err fill(struct backup *b)
{
    enum err rc = copy_log(b);
    if (rc == ERR_OK) rc = copy_tables(b);
    if (rc == ERR_OK) rc = check_tables(b);
    if (rc == ERR_OK) rc = check_log(b);
    if (rc == ERR_OK) rc = complete(b);
    return rc;
}

enum err backup_make(const char *dir, const char *out, struct backup_report *report)
{
    *report = (struct backup_report){ 0 };
    struct backup b = { .dir = dir, .out = { .fd = -1 }, .text = report->text };
    enum err rc = check_store(&b);
    if (rc == ERR_OK) rc = folder_make(&b.out, out, b.text);
    if (rc == ERR_OK) rc = folder_check_empty(&b.out, b.text);
    if (rc == ERR_OK) {
        rc = fill(&b);
        if (rc != ERR_OK) folder_undo(&b.out);
    }
    folder_close(&b.out);
    for (size_t i = 0; i < b.manifest.count; i++) report->bytes += b.manifest.files[i].bytes;
    report->files = b.manifest.count;
    report->position = b.manifest.position;
    report->boot_no = b.manifest.boot_no;
    manifest_fini(&b.manifest);
    return rc;
}
