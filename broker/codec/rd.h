/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rd - read cursor over bytes a peer sent us.
 *
 * Thread:  none; a cursor is a value on the stack of whoever decodes.
 * Memory:  borrows the bytes. Everything it returns points into them.
 * Limits:  none.
 * Errors:  sticky. The first short read poisons the cursor; from then on every
 *          read gives zero or empty, so a decoder asks once, at the end.
 * Tests:   tests/unit/test_codec_rd.c
 */
#ifndef CODEC_RD_H
#define CODEC_RD_H

#include "base/bytes.h"

struct rd {
    const uint8_t *at;
    size_t left;
    bool bad;
};

/* The only function here that moves the cursor; the only bounds check. */
static inline struct bytes rd_take(struct rd *r, size_t n)
{
    if (n > r->left) { /* compare to what is left: cannot wrap */
        *r = (struct rd){ .bad = true };
        return (struct bytes){ 0 };
    }
    struct bytes b = { r->at, n };
    if (n > 0) {
        r->at += n;
        r->left -= n;
    }
    return b;
}

static inline uint8_t rd_u8(struct rd *r)
{
    struct bytes b = rd_take(r, 1);
    if (b.len < 1) return 0;
    return b.at[0];
}

static inline uint16_t rd_u16(struct rd *r)
{
    struct bytes b = rd_take(r, 2);
    if (b.len < 2) return 0;
    return (uint16_t)(b.at[0] << 8 | b.at[1]);
}

static inline uint32_t rd_u32(struct rd *r)
{
    struct bytes b = rd_take(r, 4);
    if (b.len < 4) return 0;
    return (uint32_t)b.at[0] << 24 | (uint32_t)b.at[1] << 16 | (uint32_t)b.at[2] << 8 | b.at[3];
}

/* Length-prefixed string; also used for binary fields. */
static inline struct bytes rd_str(struct rd *r)
{
    return rd_take(r, rd_u16(r));
}

/* Variable byte integer, 1 to 4 bytes, shortest form only [MQTT-1.5.5-1]; anything else poisons. */
uint32_t rd_varint(struct rd *r);

/* A UTF-8 string as MQTT wants it: well formed, no U+0000, no surrogates [MQTT-1.5.4-1, 2]. Else poisons. */
struct bytes rd_utf8(struct rd *r);

/* What a look at a string tells: one pass, eight bytes at a time while they are plain ASCII. */
enum { UTF8_ILL_FORMED = 1, UTF8_WILDCARD = 2 }; /* a '+' or '#' somewhere */
unsigned utf8_scan(struct bytes text);

/* Splits off the next n bytes, so a nested block cannot read past its end. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
    struct bytes b = rd_take(r, n);
    return (struct rd){ b.at, b.len, r->bad };
}

/* True when every byte was read and none was missing. */
static inline bool rd_done(const struct rd *r)
{
    return !r->bad && r->left == 0;
}

#endif
