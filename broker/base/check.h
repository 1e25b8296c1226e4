/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - assertions with a meaning. Never on bytes from outside.
 *
 * CHECK    always compiled in: what would otherwise corrupt or lie. Aborts.
 * DCHECK   test builds only: what is expensive to ask.
 * NEVER    what cannot happen but can be survived: test builds abort, production takes the safe path.
 *
 * Thread:  any.
 * Memory:  none.
 * Limits:  none.
 * Errors:  aborts, with file, line and condition on stderr.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stdbool.h>

_Noreturn void check_failed(const char *what, const char *file, int line);

#define CHECK(e) (__builtin_expect(!!(e), 1) ? (void)0 : check_failed(#e, __FILE__, __LINE__))

#ifdef LONGLINK_DCHECK
#define DCHECK(e) CHECK(e)
#define NEVER(e)  ((e) ? (check_failed("NEVER(" #e ")", __FILE__, __LINE__), true) : false)
#else
#define DCHECK(e) ((void)sizeof(e))
#define NEVER(e)  (__builtin_expect(!!(e), 0))
#endif

#endif
