/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failpoint - named steps at which a test can end the process as kill -9 would, to see that the next start
 * mends it.
 *
 *   LONGLINK_FAILPOINT=NAME[:COUNT][,NAME[:COUNT]]...
 *
 * The process kills itself when it comes to a step for the COUNT-th time (1 if not said), the first of them
 * that does; it says so on stderr before. failpoint.def has the names; a name that is none is an error, and
 * lists them.
 *
 * Only sanitizer builds and those with -DLONGLINK_FAILPOINTS=ON have failpoints (failpoint_on.c). Without
 * them (failpoint_off.c) a failpoint is no code, and the variable is an error.
 *
 * Thread:  failpoints_arm in main, before there are others; the steps on any.
 * Memory:  none.
 * Limits:  FAILPOINT_COUNT_MAX.
 * Errors:  ERR_SYNTAX: the variable; stderr says what is wrong.
 * Tests:   tests/unit/test_failpoint.c, tests/unit/test_wal_failpoints.c, tests/e2e/test_kill9.py
 */
#ifndef BASE_FAILPOINT_H
#define BASE_FAILPOINT_H

#include "base/err.h"
#include <stdbool.h>

#define FAILPOINT_VARIABLE "LONGLINK_FAILPOINT"

enum { FAILPOINT_COUNT_MAX = 1000000000 };

enum failpoint {
#define FAILPOINT(name, step) FAIL_##name,
#include "base/failpoint.def"
#undef FAILPOINT
    FAILPOINTS_COUNT
};

/* What the variable says; NULL: it is not set. */
enum err failpoints_arm(const char *variable);

#ifdef LONGLINK_FAILPOINTS

/* This step is reached. Does not return when it is the one. */
void failpoint(enum failpoint f);

/* Will it end here, this time or a later one? For a step that has to be made, as the middle of a write. */
bool failpoint_is_armed(enum failpoint f);

#else

static inline void failpoint(enum failpoint f)
{
    (void)f;
}
static inline bool failpoint_is_armed(enum failpoint f)
{
    (void)f;
    return false;
}

#endif

#endif
