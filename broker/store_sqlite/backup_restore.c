/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restoring. The backup is read whole and compared with its manifest before anything is made. Then, under the
 * store's lock, so that no broker starts on half of it:
 *
 *   1. a longlink.db that is no database: a restore that was cut short is refused by the broker
 *   2. the segments of the log
 *   3. longlink.db under another name, which then replaces the first
 *
 * All of it is synced. Nothing is done about numbers: what was minted after the backup is known to nobody
 * here, and the next start counts boot_no up.
 */
#include "store_sqlite/backup_int.h"
#include "wal/wal.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLACEHOLDER                                                                                          \
    "A restore was begun here and did not end. Move the files of this directory away and restore again.\n"

struct restore {
    struct folder in, out;
    struct manifest manifest;
    struct wal *lock;
    char *text;
};

static enum err changed(const struct restore *r, const struct manifest_file *file)
{
    snprintf(r->text, BACKUP_TEXT_BYTES,
             "%.400s/%s is damaged: it is not what " BACKUP_MANIFEST_NAME " says; use another backup",
             r->in.path, file->name);
    return ERR_SYNTAX;
}

static bool is_same(const struct manifest_file *a, const struct manifest_file *b)
{
    return a->bytes == b->bytes && a->crc == b->crc;
}

static enum err verify(const struct restore *r)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < r->manifest.count; i++) {
        const struct manifest_file *want = &r->manifest.files[i];
        struct manifest_file got = { 0 };
        rc = folder_measure(&r->in, want->name, &got, r->text);
        if (rc == ERR_OK && !is_same(&got, want)) rc = changed(r, want);
    }
    return rc;
}

/* Looked at again under the lock: who had it before may have left something. */
static enum err take(struct restore *r, const char *dir)
{
    struct wal_conf conf = { .dir = dir };
    struct wal_report report;
    long pid;

    enum err rc = folder_make(&r->out, dir, r->text);
    if (rc == ERR_OK && wal_is_in_use(dir, &pid)) {
        snprintf(r->text, BACKUP_TEXT_BYTES,
                 "%.400s is in use by process %ld: stop it, or name another directory", dir, pid);
        return ERR_AGAIN;
    }
    if (rc == ERR_OK) rc = folder_check_empty(&r->out, r->text);
    if (rc != ERR_OK) return rc;
    rc = wal_open(&r->lock, &conf, &report);
    if (rc != ERR_OK) {
        snprintf(r->text, BACKUP_TEXT_BYTES, "%s", report.text);
        if (r->out.is_made) rmdir(dir);
        return rc;
    }
    rc = folder_check_empty(&r->out, r->text);
    if (rc != ERR_OK) wal_close(&r->lock);
    return rc;
}

static enum err copy(struct restore *r, const struct manifest_file *want, const char *as)
{
    struct manifest_file got = *want;
    enum err rc = folder_copy(&r->in, &r->out, as, &got, r->text);
    return rc == ERR_OK && !is_same(&got, want) ? changed(r, want) : rc;
}

static enum err copy_segments(struct restore *r)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < r->manifest.count; i++) {
        const struct manifest_file *f = &r->manifest.files[i];
        if (strcmp(f->name, BACKUP_DB_NAME) != 0) rc = copy(r, f, f->name);
    }
    return rc;
}

static enum err copy_tables(struct restore *r)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < r->manifest.count; i++) {
        const struct manifest_file *f = &r->manifest.files[i];
        if (strcmp(f->name, BACKUP_DB_NAME) == 0) rc = copy(r, f, BACKUP_DB_NAME BACKUP_NEW_SUFFIX);
    }
    return rc;
}

static enum err fill(struct restore *r)
{
    enum err rc = folder_write(&r->out, BACKUP_DB_NAME, PLACEHOLDER, r->text);
    if (rc == ERR_OK) rc = folder_sync(&r->out, r->text);
    if (rc == ERR_OK) rc = copy_segments(r);
    if (rc == ERR_OK) rc = copy_tables(r);
    if (rc == ERR_OK) rc = folder_sync(&r->out, r->text); /* the segments' names before the tables' */
    if (rc == ERR_OK) rc = folder_rename(&r->out, BACKUP_DB_NAME, r->text);
    if (rc == ERR_OK) rc = folder_sync(&r->out, r->text);
    return rc;
}

/* The lock's file goes, as its owner may be another than the broker's: while it is held, so whoever makes a
 * new one comes after us. */
static void release(struct restore *r)
{
    if (r->lock != NULL) unlinkat(r->out.fd, BACKUP_LOCK_NAME, 0);
    wal_close(&r->lock);
}

static enum err fill_or_undo(struct restore *r)
{
    enum err rc = fill(r);
    if (rc != ERR_OK) folder_undo(&r->out);
    release(r);
    return rc;
}

enum err backup_restore(const char *in, const char *dir, struct backup_report *report)
{
    *report = (struct backup_report){ 0 };
    struct restore r = { .in = { .fd = -1 }, .out = { .fd = -1 }, .text = report->text };
    enum err rc = folder_open(&r.in, in, r.text);
    if (rc == ERR_OK) rc = manifest_read(&r.manifest, &r.in, r.text);
    if (rc == ERR_OK) rc = verify(&r);
    if (rc == ERR_OK) rc = take(&r, dir);
    if (rc == ERR_OK) rc = fill_or_undo(&r);
    folder_close(&r.in);
    folder_close(&r.out);
    for (size_t i = 0; i < r.manifest.count; i++) report->bytes += r.manifest.files[i].bytes;
    report->files = r.manifest.count;
    report->position = r.manifest.position;
    report->boot_no = r.manifest.boot_no;
    manifest_fini(&r.manifest);
    return rc;
}
