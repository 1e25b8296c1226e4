/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtc_packet - MQTT packets to and from name=value lists. On purpose it shares nothing with the codec of
 * the broker: a wrong idea of the standard must not be able to agree with itself.
 *
 * Encoding is obedient: it writes what the scenario says, right or wrong. Decoding is strict: reserved bits,
 * lengths, properties that do not belong or come twice are refused.
 *
 * Thread:  any; no state.
 * Memory:  borrows its input, adds to the lists and bytes of the caller.
 * Limits:  none of its own.
 * Errors:  NULL, or a text that says what is wrong.
 * Tests:   tests/conformance/test_mtc_packet.c
 */
#ifndef KIT_MTC_PACKET_H
#define KIT_MTC_PACKET_H

#include "kit/mtc_fields.h"

enum mtc_type {
    MTC_CONNECT = 1,
    MTC_CONNACK,
    MTC_PUBLISH,
    MTC_PUBACK,
    MTC_PUBREC,
    MTC_PUBREL,
    MTC_PUBCOMP,
    MTC_SUBSCRIBE,
    MTC_SUBACK,
    MTC_UNSUBSCRIBE,
    MTC_UNSUBACK,
    MTC_PINGREQ,
    MTC_PINGRESP,
    MTC_DISCONNECT,
    MTC_AUTH
};

enum mtc_form { FORM_BYTE, FORM_U16, FORM_U32, FORM_VARINT, FORM_TEXT, FORM_PAIR };

struct mtc_prop {
    const char *name;
    unsigned id;
    enum mtc_form form;
    unsigned in; /* bit 1 << type for each packet in which a server may send it */
};

/* Both NULL or 0 for what does not exist. */
const char *mtc_type_name(unsigned type);
unsigned mtc_type_of(const char *name);
const struct mtc_prop *mtc_prop_by_name(const char *name);
const struct mtc_prop *mtc_prop_by_id(unsigned id);

/* Is it one of the codes that the standard lets a server put into this packet? Packets without a code have
 * none. */
bool mtc_has_code(unsigned type, unsigned version, unsigned long code);

/* Is it one of the words that only MQTT 5.0 has in this packet, so that an older run leaves it out? */
bool mtc_is_v5_only(unsigned type, const char *name);

/* Appends the packet that the words describe; marks the words it used. */
const char *mtc_encode(struct out *to, unsigned type, unsigned version, struct fields *words);

/* Takes one whole packet apart, as a client of that version reads it. */
const char *mtc_decode(struct fields *out, unsigned version, const uint8_t *at, size_t len);

/* Length of the packet at the start of these bytes; 0: not all there yet; a header that is too long: -1. */
long mtc_packet_len(const uint8_t *at, size_t len);

#endif
