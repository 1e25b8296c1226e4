/* SPDX-License-Identifier: Apache-2.0 */
#include "log/escape.h"
#include "base/check.h"

/* The length of the printable character that text begins with; 0 when its first byte must be escaped. */
static size_t printable(struct bytes text)
{
    uint8_t first = text.at[0];
    if (first < 0x80) return first >= 0x20 && first != 0x7f && first != '"' && first != '\\' ? 1 : 0;

    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.len < n) return 0;
    uint32_t code = first & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((text.at[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (text.at[i] & 0x3fu);
    }
    bool overlong = (n == 3 && code < 0x800) || (n == 4 && code < 0x10000);
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    bool control = code < 0xa0; /* a terminal may obey the C1 controls */
    return overlong || surrogate || control || code > 0x10ffff ? 0 : n;
}

bool log_escape(char *out, size_t size, struct bytes text)
{
    static const char hex[] = "0123456789abcdef";
    CHECK(size > 0);
    size_t used = 0, at = 0;
    while (at < text.len) {
        size_t n = printable((struct bytes){ text.at + at, text.len - at });
        size_t needs = n > 0 ? n : 4;
        if (needs >= size - used) break; /* one byte is for the NUL */
        if (n > 0) {
            memcpy(out + used, text.at + at, n);
        } else {
            uint8_t byte = text.at[at];
            memcpy(out + used, (char[4]){ '\\', 'x', hex[byte >> 4], hex[byte & 15] }, 4);
        }
        used += needs;
        at += n > 0 ? n : 1;
    }
    out[used] = '\0';
    return at == text.len;
}
