/* SPDX-License-Identifier: Apache-2.0 */
/*
 * throttle - how long who failed to log in waits for the next answer: longer with each failure, but never so
 * long that a right password would not get in.
 *
 * Failures are counted for the address they come from and for the account they are about; the longer of both
 * delays holds. They are forgotten with time, by half each THROTTLE_HALF_MS.
 *
 * Thread:  any; a lock, held for some instructions.
 * Memory:  fixed: when a table is full, those with the fewest failures are forgotten first.
 * Limits:  THROTTLE_SLOTS addresses and as many accounts.
 * Errors:  none.
 * Tests:   tests/unit/test_throttle.c
 */
#ifndef ACCESS_THROTTLE_H
#define ACCESS_THROTTLE_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    THROTTLE_SLOTS = 8192,
    THROTTLE_FREE = 5, /* failures that cost no time: people mistype */
    THROTTLE_FIRST_MS = 250,
    THROTTLE_ADDRESS_MOST_MS = 2000, /* lower: a whole site may have one address */
    THROTTLE_ACCOUNT_MOST_MS = 8000,
    THROTTLE_HALF_MS = 60 * 1000,
};

struct throttle;

/* Hashes of both; 0: it is not known, and counts for nothing. */
struct throttle_keys {
    uint64_t address, account;
};

enum err throttle_new(struct throttle **out);
void throttle_free(struct throttle **owner);

uint32_t throttle_delay_ms(struct throttle *t, const struct throttle_keys *k, uint64_t now_ms);

/* A password was wrong. */
void throttle_failed(struct throttle *t, const struct throttle_keys *k, uint64_t now_ms);

/* It was right: the account has its owner. The address keeps its count, or whoever has one account could
 * guess at all others from there. */
void throttle_passed(struct throttle *t, const struct throttle_keys *k);

#endif
