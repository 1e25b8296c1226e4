/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup - longlink backup and longlink restore. store_sqlite/backup.h does the work.
 *
 * Thread:  one.
 * Memory:  none of its own.
 * Limits:  none.
 * Errors:  the exit status: 0 good, 1 failed, 2 wrong usage; stderr says why.
 * Tests:   tests/e2e/test_backup.py
 */
#ifndef CLI_BACKUP_H
#define CLI_BACKUP_H

int backup_main(int argc, char *const *argv);
void backup_help(void);
int restore_main(int argc, char *const *argv);
void restore_help(void);

#endif
