/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include <assert.h>
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

static uint64_t load8(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static uint64_t load4(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* The last n bytes (1 to 7) of b as a number, the first one lowest. A copy of unknown length is a call: so
 * what there is of it is read in pieces, which may overlap. */
static uint64_t load_tail(struct bytes b, size_t n)
{
    const uint8_t *end = b.at + b.len, *at = end - n;
    if (b.len >= 8) return load8(end - 8) >> 8 * (8 - n);
    if (n >= 4) return load4(at) | load4(end - 4) << 8 * (n - 4);
    return at[0] | (uint64_t)at[n / 2] << 8 * (n / 2) | (uint64_t)end[-1] << 8 * (n - 1);
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load_tail puts the first byte lowest");

uint64_t bytes_hash(struct bytes b, uint64_t seed)
{
    /* Odd constants with about half of their bits set (digits of pi and e). */
    const uint64_t k1 = 0x243f6a8885a308d3u, k2 = 0xadf85458a2bb4a9bu;
    uint64_t h = fold(seed ^ k1, b.len ^ k2);
    const uint8_t *at = b.at;
    size_t left = b.len;

    for (; left >= 16; at += 16, left -= 16) h = fold(load8(at) ^ seed ^ k1, load8(at + 8) ^ h);
    if (left >= 8) {
        h = fold(load8(at) ^ seed ^ k2, h ^ k1);
        at += 8;
        left -= 8;
    }
    if (left > 0) h = fold(load_tail(b, left) ^ seed ^ k1, h ^ k2);
    return fold(h ^ k1, seed ^ k2 ^ h);
}
