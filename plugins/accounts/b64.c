/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/b64.h"

static int digit_of(uint8_t c, enum b64_kind kind)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == (kind == B64_URL ? '-' : '+')) return 62;
    return c == (kind == B64_URL ? '_' : '/') ? 63 : -1;
}

/* Its digits; false: the padding is not as it must be. */
static bool without_padding(struct bytes *text, enum b64_kind kind)
{
    size_t n = 0;
    if (kind == B64_URL) return text->len % 4 != 1;
    if (text->len % 4 != 0) return false;
    while (n < 2 && n < text->len && text->at[text->len - 1 - n] == '=') n++;
    text->len -= n;
    return true;
}

bool b64_decode(struct bytes text, enum b64_kind kind, uint8_t *out, size_t room, size_t *bytes)
{
    uint32_t bits = 0;
    unsigned have = 0;
    *bytes = 0;
    if (!without_padding(&text, kind)) return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.at[i], kind);
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        if (*bytes == room) return false;
        out[(*bytes)++] = (uint8_t)(bits >> have);
        bits &= (1u << have) - 1;
    }
    return bits == 0;
}

void b64_encode(struct bytes data, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t bits = (uint32_t)data.at[i] << 16;
        if (left > 1) bits |= (uint32_t)data.at[i + 1] << 8;
        if (left > 2) bits |= data.at[i + 2];
        *text++ = digits[bits >> 18];
        *text++ = digits[bits >> 12 & 63];
        *text++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *text++ = left > 2 ? digits[bits & 63] : '=';
    }
    *text = '\0';
}
