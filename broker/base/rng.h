/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng - numbers nobody can guess, for seeds and identifiers.
 *
 * Thread:  any.
 * Memory:  none.
 * Limits:  none.
 * Errors:  none: a kernel that gives no random bytes is a CHECK (start-up only).
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

void rng_fill(void *at, size_t n);
uint64_t rng_u64(void);

#endif
