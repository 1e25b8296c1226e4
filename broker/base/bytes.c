/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include <stdlib.h>

char *bytes_to_text(struct bytes b)
{
    char *text = malloc(b.len + 1);
    if (text == NULL) return NULL;
    if (b.len > 0) memcpy(text, b.at, b.len);
    text[b.len] = '\0';
    return text;
}

/* Folds a 128-bit product: each output bit depends on every bit of both factors. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide p = (wide)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t load(const uint8_t *at, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, at, n);
    return v;
}

uint64_t bytes_hash(struct bytes b, uint64_t seed)
{
    /* Odd constants with about half of their bits set (digits of pi and e). */
    const uint64_t k1 = 0x243f6a8885a308d3u, k2 = 0xadf85458a2bb4a9bu;
    uint64_t h = fold(seed ^ k1, b.len ^ k2);
    const uint8_t *at = b.at;
    size_t left = b.len;

    for (; left >= 16; at += 16, left -= 16) h = fold(load(at, 8) ^ seed ^ k1, load(at + 8, 8) ^ h);
    if (left >= 8) {
        h = fold(load(at, 8) ^ seed ^ k2, h ^ k1);
        at += 8;
        left -= 8;
    }
    if (left > 0) h = fold(load(at, left) ^ seed ^ k1, h ^ k2);
    return fold(h ^ k1, seed ^ k2 ^ h);
}
