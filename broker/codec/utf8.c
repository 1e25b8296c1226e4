/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as Unicode's table 3-7 defines it, less U+0000 [MQTT-1.5.4-1, 2]. */
#include "codec/codec_int.h"

#define EACH_BYTE(b) (0x0101010101010101u * (b))

/* Is one of the eight bytes zero? Exact: the borrow of a byte starts only at a zero below it. */
static bool word_has_zero(uint64_t v)
{
    return ((v - EACH_BYTE(0x01)) & ~v & EACH_BYTE(0x80)) != 0;
}

/* Eight bytes of ASCII with nothing to look at? '+' and '#' differ in one bit, which '+' has. */
static bool word_of_plain(uint64_t v)
{
    uint64_t wild = (v | EACH_BYTE('+' ^ '#')) ^ EACH_BYTE('+');
    return (v & EACH_BYTE(0x80)) == 0 && !word_has_zero(v) && !word_has_zero(wild);
}

static bool word_is_plain(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return word_of_plain(v);
}

/* Bytes of the sequence of two to four that starts at `at`; 0 when it is ill-formed or cut. The range of the
 * second byte is what excludes overlong forms, surrogates, and what is above U+10FFFF. */
static size_t sequence_bytes(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    size_t n = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;

    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    if (n == 0 || n > left || at[1] < low || at[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
    }
    return n;
}

/* Of eight bytes at least, as most topics are: the last eight are looked at in one piece too. */
static bool is_plain(struct bytes text)
{
    for (size_t i = 0; text.len - i >= 8; i += 8)
        if (!word_is_plain(text.at + i)) return false;
    return word_is_plain(text.at + text.len - 8);
}

unsigned utf8_scan(struct bytes text)
{
    if (text.len >= 8 && is_plain(text)) return 0;
    unsigned seen = 0;
    size_t i = 0;

    while (i < text.len) {
        uint8_t c = text.at[i];
        size_t n = 1;
        if (text.len - i >= 8 && word_is_plain(text.at + i))
            n = 8;
        else if (c >= 0x80)
            n = sequence_bytes(text.at + i, text.len - i);
        else if (c == 0)
            n = 0;
        else if (c == '+' || c == '#')
            seen |= UTF8_WILDCARD;
        if (n == 0) return seen | UTF8_ILL_FORMED;
        i += n;
    }
    return seen;
}

struct bytes rd_utf8(struct rd *r)
{
    struct bytes text = rd_str(r);
    if ((utf8_scan(text) & UTF8_ILL_FORMED) == 0) return text;
    *r = (struct rd){ .bad = true };
    return (struct bytes){ 0 };
}
