/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script_mutate - changes to a script that leave most of it a script: by step and not by byte.
 *
 * Thread:  one.
 * Memory:  the caller's, and a few of the scripts that came before, whose steps it uses.
 * Limits:  room bytes.
 * Errors:  none.
 * Tests:   tests/fuzz/replay_connection.c and libFuzzer use it.
 */
#ifndef FUZZ_SCRIPT_MUTATE_H
#define FUZZ_SCRIPT_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Changes size bytes in a block with room for `room`; the same calls make the same changes. Gives the
 * new size. */
size_t script_mutate(uint8_t *at, size_t size, size_t room, uint32_t seed);

#endif
