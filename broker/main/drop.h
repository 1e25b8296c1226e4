/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drop - what a daemon does to its process: background, pid file, another user.
 *
 * Thread:  main, before other threads run.
 * Memory:  none.
 * Limits:  none.
 * Errors:  ERR_SYS, ERR_NOTFOUND; what is wrong is on stderr.
 * Tests:   tests/e2e/test_start.py
 */
#ifndef MAIN_DROP_H
#define MAIN_DROP_H

#include "base/err.h"

/* The parent leaves with status 0; the caller goes on in the child. */
enum err drop_to_background(void);
enum err drop_pid_file(const char *path, const char *set_at);

/* As root only: become this user. If the default one does not exist, nobody. "root" stays root. */
enum err drop_to_user(const char *name, const char *set_at);

/* As root only: gives a file to that user. errno says what failed. */
enum err drop_give(const char *path, const char *name);

#endif
