/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_kit - packets as hex text, and decoding from a heap block of exactly their size, so that the address
 * sanitizer sees a byte read too far.
 *
 * Thread:  one.
 * Memory:  the bytes behind the last decoded packet live until the next call.
 * Limits:  KIT_PACKET_MAX bytes.
 * Errors:  fails the running test case.
 * Tests:   every test_codec_*.c
 */
#ifndef UNIT_CODEC_KIT_H
#define UNIT_CODEC_KIT_H

#include "fuzz/any_packet.h"
#include "kit/test.h"
#include <stdlib.h>

enum { KIT_PACKET_MAX = 1024 };

struct hex {
    uint8_t at[KIT_PACKET_MAX];
    size_t len;
};

static inline void hex_put(struct hex *h, unsigned byte)
{
    assert_true(h->len < sizeof h->at);
    h->at[h->len++] = (uint8_t)byte;
}

/* <text>: two bytes of length, then the text as it is. Gives where it ended. */
static inline const char *hex_string(struct hex *h, const char *text)
{
    const char *end = strchr(text, '>');

    assert_non_null(end);
    hex_put(h, (unsigned)(end - text - 1) >> 8);
    for (hex_put(h, (unsigned)(end - text - 1) & 0xff); ++text < end;) hex_put(h, (unsigned char)*text);
    return end;
}

/* Bytes in hex, with spaces as one likes; <text> is a string with its length; [...] is a part of at most 127
 * bytes with its length: "10 [<MQTT> 04 02 003c <client>]". */
static inline struct hex hex_of(const char *text)
{
    struct hex h = { .len = 0 };
    size_t open[4], depth = 0;

    for (; *text != '\0'; text++) {
        if (*text == '[') {
            open[depth++] = h.len;
            hex_put(&h, 0);
        } else if (*text == ']') {
            depth--;
            assert_true(h.len - open[depth] - 1 < 128);
            h.at[open[depth]] = (uint8_t)(h.len - open[depth] - 1);
        } else if (*text == '<') {
            text = hex_string(&h, text);
        } else if (*text != ' ') {
            char pair[3] = { text[0], text[1], '\0' };
            hex_put(&h, (unsigned)strtoul(pair, NULL, 16));
            text++;
        }
    }
    return h;
}

static inline struct bytes hex_bytes(const struct hex *h)
{
    return bytes_of(h->at, h->len);
}

/* A copy in a heap block of exactly that size; the block before it is freed. */
static inline struct bytes exact_copy(struct bytes b)
{
    static uint8_t *block;

    free(block);
    block = malloc(b.len);
    assert_true(block != NULL || b.len == 0);
    if (b.len > 0) memcpy(block, b.at, b.len);
    return bytes_of(block, b.len);
}

/* Decodes one whole packet; the frame itself must be well formed and alone. */
static inline enum mqtt_rc decode_hex(const char *text, uint8_t version, struct any_packet *out)
{
    struct hex h = hex_of(text);
    struct frame f;

    CHECK_INT(MQTT_RC_OK, frame_split(exact_copy(hex_bytes(&h)), UINT32_MAX, &f));
    CHECK_INT(h.len, f.total);
    return any_decode(out, &f, version);
}

/* A packet, and what its decoder says of it. */
struct packet_row {
    const char *what;
    uint8_t version;
    const char *hex;
    enum mqtt_rc want;
};

static inline void check_packets(const struct packet_row *rows, size_t count)
{
    struct any_packet p;

    for (size_t i = 0; i < count; i++) {
        enum mqtt_rc got = decode_hex(rows[i].hex, rows[i].version, &p);
        if (got != rows[i].want) print_error("v%d, %s:\n", rows[i].version, rows[i].what);
        CHECK_INT(rows[i].want, got);
        if (got == MQTT_RC_OK) any_round_trip(&p, hex_of(rows[i].hex).len);
    }
}

#define CHECK_PACKETS(rows) check_packets(rows, sizeof(rows) / sizeof *(rows))

/* Cuts the body after each byte. It must be refused, but for the lengths in may_end: bytes that a packet of
 * its own could have. Neither may any reader go past the cut. */
static inline void check_cuts(const char *text, uint8_t version, struct bytes may_end)
{
    struct hex h = hex_of(text);
    struct frame whole;
    struct any_packet p;

    CHECK_INT(MQTT_RC_OK, frame_split(hex_bytes(&h), UINT32_MAX, &whole));
    CHECK_INT(h.len, whole.total);
    CHECK_INT(MQTT_RC_OK, any_decode(&p, &whole, version));
    for (size_t n = 0; n < whole.body.len; n++) {
        struct frame cut = whole;
        cut.body = exact_copy(bytes_of(whole.body.at, n));
        enum mqtt_rc rc = any_decode(&p, &cut, version);
        bool fine = may_end.len > 0 && memchr(may_end.at, (int)n, may_end.len) != NULL;
        if (fine != (rc == MQTT_RC_OK)) print_error("v%d, %s cut to %zu bytes\n", version, text, n);
        assert_true(fine == (rc == MQTT_RC_OK));
        if (rc == MQTT_RC_OK) any_round_trip(&p, n);
    }
}

/* MAY_END(2, 3): the lengths for check_cuts(); NO_END: none. */
#define MAY_END(...)                                                                                         \
    (struct bytes)                                                                                           \
    {                                                                                                        \
        (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })                           \
    }
#define NO_END                                                                                               \
    (struct bytes)                                                                                           \
    {                                                                                                        \
        0                                                                                                    \
    }

#endif
