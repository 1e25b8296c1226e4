/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_dir - the directory for what is kept on disk: which one it is, and that it is there.
 *
 * Thread:  main, before other threads run and before it becomes another user.
 * Memory:  none.
 * Limits:  the option's length.
 * Errors:  ERR_SYS, ERR_RANGE, with a text for the operator.
 * Tests:   tests/e2e/test_store_start.py
 */
#ifndef MAIN_STATE_DIR_H
#define MAIN_STATE_DIR_H

#include "config/config.h"

enum { STATE_DIR_TEXT_BYTES = 512 };

/* persistence_location; when that was not set, and this process may not write there because it is not root's:
 * $XDG_STATE_HOME/longlink, or ~/.local/state/longlink, as the XDG Base Directory Specification has it. */
enum err state_dir_choose(char *path, size_t bytes, const struct config *config);

/* Makes it and what is missing above it, for the user that the broker will be. One that is there stays as it
 * is. */
enum err state_dir_make(const char *path, const char *user, char text[STATE_DIR_TEXT_BYTES]);

#endif
