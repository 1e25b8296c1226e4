/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup_int - directories and MANIFEST, for making and restoring backups.
 *
 *   longlink-backup 1
 *   version 0.1.0
 *   time 2026-11-21T10:00:00Z
 *   boot_no 3
 *   position 123456
 *   file longlink.db 81920 89abcdef         name, bytes, crc32c
 *   crc32c 01234567                         of all lines before
 *
 * Lines whose first word is unknown are skipped.
 *
 * Thread:  one.
 * Memory:  a manifest's files are its own, until manifest_fini.
 * Limits:  MANIFEST_BYTES_MAX.
 * Errors:  see backup.h; text has BACKUP_TEXT_BYTES.
 * Tests:   tests/unit/test_backup.c
 */
#ifndef STORE_SQLITE_BACKUP_INT_H
#define STORE_SQLITE_BACKUP_INT_H

#include "store_sqlite/backup.h"
#include <stdbool.h>
#include <stddef.h>

#define BACKUP_DB_NAME       "longlink.db"
#define BACKUP_MANIFEST_NAME "MANIFEST"
#define BACKUP_NEW_SUFFIX    ".new"
#define BACKUP_LOCK_NAME     "lock" /* wal_open's */

enum { MANIFEST_NAME_BYTES = 32, MANIFEST_BYTES_MAX = 1024 * 1024 };

struct manifest_file {
    char name[MANIFEST_NAME_BYTES];
    uint64_t bytes;
    uint32_t crc;
};

struct manifest {
    uint64_t boot_no, position;
    struct manifest_file *files;
    size_t count, room;
};

/* An open directory; fd is -1 when there is none. */
struct folder {
    const char *path;
    int fd;
    bool is_made; /* by us: goes again when we fail */
};

/* --- backup_folder.c */

/* Says in text that `what` failed with errno on a file, and which error that is. */
enum err folder_fail(const struct folder *f, const char *what, const char *name, char *text);
enum err folder_open(struct folder *f, const char *path, char *text);
/* Makes it, or opens one that is there. */
enum err folder_make(struct folder *f, const char *path, char *text);
/* A lock is nothing. ERR_FULL, with advice: it has something. */
enum err folder_check_empty(const struct folder *f, char *text);
/* Each name but . and .., until one fails. */
enum err folder_each(const struct folder *f, enum err (*each)(void *arg, const char *name), void *arg,
                     char *text);
/* Syncs it and where it is. */
enum err folder_sync(const struct folder *f, char *text);
/* Removes all that is in it, and itself when it was made here. */
void folder_undo(struct folder *f);
void folder_close(struct folder *f);
/* A new file, mode 0600, of the folder's owner when we are root. -1: it failed. */
int folder_create(const struct folder *f, const char *name);

/* Reads a file: its size and checksum. */
enum err folder_measure(const struct folder *f, const char *name, struct manifest_file *out, char *text);
/* Copies and syncs a file; `as` is its new name, out what was read. */
enum err folder_copy(const struct folder *from, const struct folder *to, const char *as,
                     struct manifest_file *file, char *text);
/* A small file of text, synced. */
enum err folder_write(const struct folder *f, const char *name, const char *content, char *text);
/* The new file `name`.new becomes `name`. */
enum err folder_rename(const struct folder *f, const char *name, char *text);

/* --- backup_manifest.c */

enum err manifest_add(struct manifest *m, const struct manifest_file *file);
enum err manifest_write(const struct manifest *m, const struct folder *f, char *text);
enum err manifest_read(struct manifest *m, const struct folder *f, char *text);
void manifest_fini(struct manifest *m);

#endif
