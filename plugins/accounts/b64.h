/* SPDX-License-Identifier: Apache-2.0 */
/*
 * b64 - base64 in both alphabets: the standard one with padding, as in password files and SCRAM, and the one
 * of URLs without, as in tokens.
 *
 * Thread:  any; no state.
 * Memory:  borrows; the caller's room.
 * Limits:  the room.
 * Errors:  false: not well formed, or longer than the room. Bits that the last digit does not use must be
 *          zero, so that there is one text for one value.
 * Tests:   tests/unit/test_accounts_secret.c
 */
#ifndef ACCOUNTS_B64_H
#define ACCOUNTS_B64_H

#include "base/bytes.h"

enum b64_kind { B64_STANDARD, B64_URL };

bool b64_decode(struct bytes text, enum b64_kind kind, uint8_t *out, size_t room, size_t *bytes);

/* The standard alphabet, with its padding and a NUL: B64_TEXT_BYTES(data.len) bytes. */
#define B64_TEXT_BYTES(n) (((n) + 2) / 3 * 4 + 1)
void b64_encode(struct bytes data, char *text);

#endif
