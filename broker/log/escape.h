/* SPDX-License-Identifier: Apache-2.0 */
/*
 * escape - any bytes as one line of printable text, for logs and messages to an operator.
 *
 * Thread:  any.
 * Memory:  the caller's buffer.
 * Limits:  the buffer's size; what does not fit is cut between two characters.
 * Errors:  none.
 * Tests:   tests/unit/test_log.c
 */
#ifndef LOG_ESCAPE_H
#define LOG_ESCAPE_H

#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>

/* Writes text to out, ended by NUL. Control bytes, quotes, backslashes, the C1 controls of UTF-8 and what
 * is not UTF-8 become \xNN. True when all of it fitted into size bytes, which must be at least 1. */
bool log_escape(char *out, size_t size, struct bytes text);

#endif
