/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup - a copy of a store's directory that is consistent whether a broker runs on it or not, and a
 * directory made of such a copy.
 *
 * A backup is a directory with longlink.db, the segments of the log that it lacks (often none), and MANIFEST,
 * which comes last and has size and checksum of each file. It has everything that was acknowledged before
 * backup_make began, and perhaps some of what came during it. Whatever came later a restored store has
 * forgotten, with the numbers minted for it: its next start mints from a boot_no of its own on.
 *
 * Thread:  any; a process of its own.
 * Memory:  one segment of the log at a time.
 * Limits:  while a backup is made, the SQLite log of a broker that runs is not reused, and grows.
 * Errors:  all with a text for an operator. ERR_AGAIN: the directory is in use. ERR_FULL: it is not empty.
 *          ERR_NOTFOUND: no store, or no backup. ERR_SYNTAX: damaged. What was begun is removed.
 * Tests:   tests/unit/test_backup.c, tests/e2e/test_backup.py
 */
#ifndef STORE_SQLITE_BACKUP_H
#define STORE_SQLITE_BACKUP_H

#include "base/err.h"
#include <stdint.h>

enum { BACKUP_TEXT_BYTES = 1280 };

struct backup_report {
    uint64_t position; /* it has everything up to here */
    uint64_t boot_no;  /* the store had been started so often */
    uint64_t files, bytes;
    char text[BACKUP_TEXT_BYTES]; /* when it failed: what, where, what to do */
};

/* Makes a backup of the store in dir as the directory out, which must not exist, or be empty. */
enum err backup_make(const char *dir, const char *out, struct backup_report *report);

/* Makes a store in dir, which must not exist, or be empty, of the backup in. Run by root, it gives the files
 * to the owner of dir. */
enum err backup_restore(const char *in, const char *dir, struct backup_report *report);

#endif
