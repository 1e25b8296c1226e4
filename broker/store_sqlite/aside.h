/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aside - what is done with files that are damaged: they are kept, under another name.
 *
 * Damage may show only while the broker runs, in a page that is read for the first time. Then a mark is left,
 * so that the next start does not go on as if nothing had been.
 *
 * Thread:  any one.
 * Memory:  none.
 * Limits:  ASIDE_TEXT_BYTES of the reason are kept.
 * Errors:  ERR_SYS.
 * Tests:   tests/e2e/test_store_start.py
 */
#ifndef STORE_SQLITE_ASIDE_H
#define STORE_SQLITE_ASIDE_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

enum { ASIDE_TEXT_BYTES = 256, ASIDE_NAME_BYTES = 32 };

/* Moves everything but the lock and the ballast into a new folder of the directory, and gives its name. */
enum err aside_move(int dir_fd, uint64_t wall_ms, char name[ASIDE_NAME_BYTES]);

void aside_mark(int dir_fd, const char *why);

/* True: marked; text says why. */
bool aside_is_marked(int dir_fd, char text[ASIDE_TEXT_BYTES]);

#endif
