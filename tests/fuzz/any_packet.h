/* SPDX-License-Identifier: Apache-2.0 */
/*
 * any_packet - one packet of whatever type, for tests of the codec: decode, encode, compare.
 *
 * Thread:  any; a value.
 * Memory:  borrows the bytes it was decoded from.
 * Limits:  none.
 * Errors:  enum mqtt_rc; any_round_trip() aborts when a promise of the codec is broken.
 * Tests:   used by tests/unit/test_codec_*.c and all of tests/fuzz.
 */
#ifndef FUZZ_ANY_PACKET_H
#define FUZZ_ANY_PACKET_H

#include "codec/codec.h"

struct any_packet {
    enum packet_type type;
    uint8_t version;
    union {
        struct connect connect;
        struct connack connack;
        struct publish publish;
        struct ack ack;
        struct subscribe subscribe;
        struct unsubscribe unsubscribe;
        struct suback suback;
        struct session_end session_end;
    };
};

enum mqtt_rc any_decode(struct any_packet *out, const struct frame *f, uint8_t version);

/* Of several subscription identifiers of a PUBLISH the first; no properties of SUBSCRIBE and UNSUBSCRIBE. */
void any_encode(struct wr *w, const struct any_packet *p);

/* Of what any_encode() writes, is all the same? */
bool any_equal(const struct any_packet *a, const struct any_packet *b);

bool any_props_equal(const struct props *a, const struct props *b);

/* Encodes the user properties of a decoded block again and sets p->user to them; the caller frees what it
 * gives. */
uint8_t *any_users_collect(struct props *p);

/* Encodes p, whose body had body_bytes, and decodes it: the same packet must come out, and nothing longer. */
void any_round_trip(const struct any_packet *p, size_t body_bytes);

/* Decodes f as v3.1.1 and as v5 and sends what is well formed on a round trip. */
void any_try(const struct frame *f);

/* Decodes one body as a packet of the type; checks what any_try() does. For fuzzers of one family. */
void any_try_body(enum packet_type type, uint8_t flags, struct bytes body);

#endif
