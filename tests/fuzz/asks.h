/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asks - the plugins of a script's listener: they keep what they are asked until the script says who is
 * answered, and what.
 *
 * They check what the broker has promised them: whoever is gone is never mentioned again.
 *
 * Thread:  one.
 * Memory:  static; a client that is gone is kept until asks_end, so that no other one has its place.
 * Limits:  ASKS_MAX questions; more are allowed at once, and so is more than GONE_MAX clients not checked.
 * Errors:  aborts (CHECK) when the broker breaks a promise.
 * Tests:   tests/fuzz/fuzz_connection.c uses it.
 */
#ifndef FUZZ_ASKS_H
#define FUZZ_ASKS_H

#include <stdbool.h>
#include <stdint.h>

struct hooks;

/* By the last byte of a script's options. NULL: this one has no plugins. */
struct hooks *asks_begin(uint8_t choice);
uint32_t asks_cache_s(uint8_t choice);
bool asks_are_on(void);

void asks_step(const uint8_t *choice);

/* From now on all are allowed at once, and those who wait, too: until nobody asks any more. */
void asks_rest(void);
void asks_end(void);

#endif
