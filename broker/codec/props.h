/* SPDX-License-Identifier: Apache-2.0 */
/*
 * props - the MQTT 5 properties of one packet (MQTT 5.0 section 2.2.2), from props.def.
 *
 * A struct props has one field for each property, named as in props.def, and one bit in `has`. What may
 * repeat stays in the block: user properties (all of them) and subscription identifiers of a PUBLISH (the
 * field holds the first).
 *
 * Decoding writes has, block, user and the counts, and the fields whose bit it sets; it leaves all other
 * fields as they were, because a PUBLISH should not pay for clearing 27 of them: ask PROPS_HAS first.
 * Encoding reads has, the fields whose bit is set, and user: start from a struct of zeros.
 *
 * Thread:  any; a value.
 * Memory:  borrows the packet.
 * Limits:  the packet's.
 * Errors:  MQTT_RC_MALFORMED: cut, unknown, or not of this packet's; MQTT_RC_PROTOCOL: twice, or a value
 *          that the standard forbids.
 * Tests:   tests/unit/test_codec_props.c, tests/fuzz/fuzz_props.c
 */
#ifndef CODEC_PROPS_H
#define CODEC_PROPS_H

#include "base/bytes.h"
#include "codec/rd.h"
#include "codec/reason.h"
#include "codec/wr.h"

typedef uint8_t prop_u8;
typedef uint16_t prop_u16;
typedef uint32_t prop_u32;
typedef uint32_t prop_varint;
typedef struct bytes prop_str;
typedef struct bytes prop_bin;
typedef struct bytes prop_pairs;

enum prop_bit {
#define PROP(name, id, type, packets, low, high, doc) PROP_BIT_##name,
#include "codec/props.def"
#undef PROP
};

struct props {
    uint32_t has; /* 1 << PROP_BIT_x */
#define PROP(name, id, type, packets, low, high, doc) prop_##type name;
#include "codec/props.def"
#undef PROP
    struct bytes block; /* the whole block as it came, without its length */
    uint32_t user_count, subscription_id_count;
    /* `user` is a row of props.def. Decoding leaves it empty (walk the block); for encoding it holds user
     * properties that are encoded already and are appended as they are. */
};

#define PROPS_HAS(p, name)        (((p)->has & (1u << PROP_BIT_##name)) != 0)
#define PROPS_SET(p, name, value) ((p)->has |= 1u << PROP_BIT_##name, (p)->name = (value))

/* The column `packets` of props.def; PROPS_IN_WILL stands beside the packet types. */
enum { PROPS_IN_WILL = 1 << 16 };

/* No properties, as a decoder leaves it: what there is to clear for a v3 packet. */
static inline void props_clear(struct props *p)
{
    p->has = 0;
    p->block = p->user = (struct bytes){ 0 };
    p->user_count = p->subscription_id_count = 0;
}

/* Reads a length and that many bytes of properties for a packet (1 << PACKET_x, or PROPS_IN_WILL). */
enum mqtt_rc props_decode(struct rd *r, uint32_t packet_bit, struct props *out);

/* Walks the user properties of a decoded block; start with *at = block. False at the end. */
bool props_next_user(struct bytes *at, struct bytes *key, struct bytes *value);

/* The same for the subscription identifiers of a PUBLISH. */
bool props_next_subscription_id(struct bytes *at, uint32_t *id);

/* Writes one user property, to build props.user. */
void props_user_encode(struct wr *w, struct bytes key, struct bytes value);

uint32_t props_encoded_bytes(const struct props *p);    /* without the length */
void props_encode(struct wr *w, const struct props *p); /* with the length */

#endif
