/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_int - what the files of codec share among themselves.
 *
 * Thread:  any; no state.
 * Memory:  borrows.
 * Limits:  none.
 * Errors:  enum mqtt_rc, or a poisoned cursor.
 * Tests:   those of codec.h
 */
#ifndef CODEC_CODEC_INT_H
#define CODEC_CODEC_INT_H

#include "codec/codec.h"

enum { REMAINING_MAX = 268435455, VARINT_CUT = 0, VARINT_BAD = 5 };

static inline struct rd rd_of(struct bytes b)
{
    return (struct rd){ b.at, b.len, false };
}
static inline struct bytes rd_rest(const struct rd *r)
{
    return (struct bytes){ r->at, r->left };
}

/* Bytes that the variable byte integer at `at` takes, or VARINT_CUT, or VARINT_BAD. */
size_t varint_parse(const uint8_t *at, size_t left, uint32_t *value);

/* Writes the fixed header, when the whole packet fits; else poisons. */
void packet_open(struct wr *w, enum packet_type type, uint8_t flags, size_t remaining);

/* Properties with their length, for v5; nothing, for v3. */
static inline size_t props_size(uint8_t version, const struct props *p)
{
    uint32_t bytes = version == MQTT_V5 ? props_encoded_bytes(p) : 0;
    return version == MQTT_V5 ? varint_size(bytes) + (size_t)bytes : 0;
}

/* A packet with its fixed header. */
static inline uint32_t packet_size(size_t remaining)
{
    return 1 + varint_size((uint32_t)remaining) + (uint32_t)remaining;
}

static inline bool props_absent(const struct props *p)
{
    return p->has == 0 && p->user.len == 0;
}

/* The same both ways: reads or writes properties for v5 only. */
static inline enum mqtt_rc props_decode_v5(struct rd *r, uint8_t version, uint32_t packet_bit,
                                           struct props *out)
{
    if (version == MQTT_V5) return props_decode(r, packet_bit, out);
    props_clear(out);
    return MQTT_RC_OK;
}

static inline void props_encode_v5(struct wr *w, uint8_t version, const struct props *p)
{
    if (version == MQTT_V5) props_encode(w, p);
}

#endif
