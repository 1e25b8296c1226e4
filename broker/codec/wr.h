/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wr - write cursor into a caller's buffer.
 *
 * Thread:  none; a value on the stack of whoever encodes.
 * Memory:  borrows the buffer.
 * Limits:  the buffer's.
 * Errors:  sticky. A write that does not fit poisons the cursor and writes nothing; nor does any later one.
 * Tests:   tests/unit/test_codec_wr.c
 */
#ifndef CODEC_WR_H
#define CODEC_WR_H

#include "base/bytes.h"

struct wr {
    uint8_t *at; /* next byte to write */
    size_t left;
    bool bad;
};

/* The only function here that moves the cursor; the only bounds check. NULL when it does not fit. */
static inline uint8_t *wr_take(struct wr *w, size_t n)
{
    if (w->bad || n > w->left) {
        w->bad = true;
        return NULL;
    }
    uint8_t *at = w->at;
    w->at += n;
    w->left -= n;
    return at;
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
    uint8_t *at = wr_take(w, 1);
    if (at != NULL) at[0] = v;
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
    uint8_t *at = wr_take(w, 2);
    if (at == NULL) return;
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void wr_u32(struct wr *w, uint32_t v)
{
    uint8_t *at = wr_take(w, 4);
    if (at == NULL) return;
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

static inline void wr_bytes(struct wr *w, struct bytes b)
{
    uint8_t *at = wr_take(w, b.len);
    if (at != NULL && b.len > 0) memcpy(at, b.at, b.len);
}

/* Length-prefixed; a string longer than 65,535 bytes poisons. */
static inline void wr_str(struct wr *w, struct bytes b)
{
    if (b.len > UINT16_MAX || w->left < 2 + b.len) w->bad = true;
    wr_u16(w, (uint16_t)b.len);
    wr_bytes(w, b);
}

/* 1 to 4 bytes; more than 268,435,455 poisons. */
void wr_varint(struct wr *w, uint32_t v);

static inline uint32_t varint_size(uint32_t v)
{
    return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : 4;
}

#endif
