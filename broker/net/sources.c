/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sources.h"
#include <arpa/inet.h>
#include <string.h>

static const char *const spaces = " \t\r\n";

/* Decimal, without signs, spaces or leading zeros. */
static bool parse_bits(const char *text, unsigned most, uint8_t *out)
{
    unsigned n = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0' || (digits > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < digits; i++) n = n * 10 + (unsigned)(text[i] - '0');
    *out = (uint8_t)n;
    return n <= most;
}

static bool parse_address(const char *text, struct source *out)
{
    if (inet_pton(AF_INET, text, out->bytes) == 1) {
        out->kind = ADDRESS_V4;
        return true;
    }
    out->kind = ADDRESS_V6;
    return inet_pton(AF_INET6, text, out->bytes) == 1;
}

/* Bits behind the prefix are a slip of who wrote it: 10.1.2.3/8 would be taken for one address. */
static bool is_clean(const struct source *s)
{
    size_t bytes = s->kind == ADDRESS_V4 ? 4 : 16;
    for (size_t bit = s->bits; bit < bytes * 8; bit++)
        if ((s->bytes[bit / 8] & 0x80 >> bit % 8) != 0) return false;
    return true;
}

static bool parse_one(struct bytes word, struct source *out)
{
    char text[INET6_ADDRSTRLEN + 4];
    *out = (struct source){ .kind = ADDRESS_LOCAL };
    if (bytes_equal(word, bytes_of_text("local"))) return true;
    if (word.len >= sizeof text) return false;
    memcpy(text, word.at, word.len);
    text[word.len] = '\0';
    char *slash = strchr(text, '/');
    if (slash != NULL) *slash = '\0';
    if (!parse_address(text, out)) return false;
    unsigned most = out->kind == ADDRESS_V4 ? 32 : 128;
    out->bits = (uint8_t)most;
    return (slash == NULL || parse_bits(slash + 1, most, &out->bits)) && is_clean(out);
}

enum err sources_parse(struct sources *out, const char *text, struct bytes *wrong)
{
    out->count = 0;
    for (text += strspn(text, spaces); *text != '\0'; text += strspn(text, spaces)) {
        struct bytes word = bytes_of(text, strcspn(text, spaces));
        *wrong = word;
        if (out->count == SOURCES_MAX) return ERR_FULL;
        if (!parse_one(word, &out->at[out->count])) return ERR_SYNTAX;
        out->count++;
        text += word.len;
    }
    return ERR_OK;
}

static bool has(const struct source *s, const struct net_address *a)
{
    if (s->kind != a->kind) return false;
    if (s->kind == ADDRESS_LOCAL) return true;
    size_t whole = s->bits / 8;
    unsigned rest = s->bits % 8;
    if (memcmp(s->bytes, a->bytes, whole) != 0) return false;
    return rest == 0 || ((s->bytes[whole] ^ a->bytes[whole]) & (0xff00u >> rest & 0xff)) == 0;
}

bool sources_have(const struct sources *s, const struct net_address *a)
{
    for (size_t i = 0; i < s->count; i++)
        if (has(&s->at[i], a)) return true;
    return false;
}
