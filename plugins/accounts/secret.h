/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret - what is kept of a password: "$7$..." or "$6$...", as in a password file, or
 * "SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY" (RFC 5803), by which a client can also log in without
 * sending its password.
 *
 * Thread:  any; no state. Checking takes milliseconds, so it is a worker's.
 * Memory:  borrows; what was derived is wiped.
 * Limits:  SECRET_TEXT_BYTES; SECRET_ITERATIONS_MAX.
 * Errors:  false, or a text that says what is allowed.
 * Tests:   tests/unit/test_accounts_secret.c
 */
#ifndef ACCOUNTS_SECRET_H
#define ACCOUNTS_SECRET_H

#include "base/bytes.h"

enum {
    SECRET_TEXT_BYTES = 256,
    SECRET_ITERATIONS_MAX = 2 * 1000 * 1000,
    SECRET_ITERATIONS_USUAL = 20000,
    SCRAM_ITERATIONS_MIN = 4096, /* RFC 7677 section 4 */
    SCRAM_KEY_BYTES = 32,
    SCRAM_SALT_BYTES_MAX = 64,
    SCRAM_SALT_BYTES_USUAL = 16,
};

struct scram_keys {
    uint32_t iterations;
    uint8_t salt_bytes;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    uint8_t stored[SCRAM_KEY_BYTES], server[SCRAM_KEY_BYTES];
};

/* NULL: it can be checked against; else what is allowed. */
const char *secret_wrong(struct bytes text);

bool secret_check(struct bytes text, struct bytes password);

/* The keys in it; false: it has none. */
bool secret_keys(struct bytes text, struct scram_keys *out);

/* Fills in the keys for iterations and salt, which are set. */
void scram_derive(struct scram_keys *k, struct bytes password);
void scram_print(const struct scram_keys *k, char text[SECRET_TEXT_BYTES]);

/* With a salt of its own. */
void secret_make(struct bytes password, uint32_t iterations, char text[SECRET_TEXT_BYTES]);

void scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], struct bytes data, uint8_t out[SCRAM_KEY_BYTES]);
void scram_hash(const uint8_t data[SCRAM_KEY_BYTES], uint8_t out[SCRAM_KEY_BYTES]);

#endif
