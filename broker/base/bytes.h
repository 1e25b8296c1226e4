/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes - a borrowed run of bytes, and the keyed hash of one.
 *
 * Thread:  any; a value.
 * Memory:  borrows. Not terminated by NUL; bytes_to_text gives a copy that is, to be freed.
 * Limits:  none.
 * Errors:  NULL from bytes_to_text without memory.
 * Tests:   tests/unit/test_base.c
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *at;
    size_t len;
};

static inline struct bytes bytes_of(const void *at, size_t len)
{
    return (struct bytes){ at, len };
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

char *bytes_to_text(struct bytes b);

/* 64 well mixed bits under a secret seed, so that a peer who chooses the bytes cannot choose the bucket. */
uint64_t bytes_hash(struct bytes b, uint64_t seed);

#endif
