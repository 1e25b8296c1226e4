/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy.h"
#include <arpa/inet.h>
#include <string.h>

/* The header alone, of both versions: pure, nothing is read here. */

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_NONE = 0, FAMILY_V4 = 1, FAMILY_V6 = 2, FAMILY_UNIX = 3 };
enum { KIND_NONE = 0, KIND_STREAM = 1, KIND_DATAGRAM = 2 };
enum { TLV_SSL = 0x20, TLV_SSL_NAME = 0x22, TLV_HEAD = 3, SSL_HEAD = 5 };
enum { SSL_CERT_CONNECTION = 2, SSL_CERT_SESSION = 4 };

static enum err wrong(const char **why, const char *what)
{
    *why = what;
    return ERR_SYNTAX;
}

/* --- version 1: a line of text */

/* The word up to the next space, which is there; the last one ends with the line. */
static bool word_take(const char **at, const char *end, char *out, size_t size)
{
    size_t n = strcspn(*at, " ");
    if (n == 0 || n >= size) return false;
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    if (*at < end) (*at)++;
    return true;
}

static bool port_parse(const char *text, uint16_t *out)
{
    uint32_t n = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0' || (digits > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < digits; i++) n = n * 10 + (uint32_t)(text[i] - '0');
    *out = (uint16_t)n;
    return n <= UINT16_MAX;
}

static void address_v6(struct net_address *out, const void *bytes, uint16_t port)
{
    struct sockaddr_storage a = { 0 };
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, bytes, sizeof v6->sin6_addr);
    address_from_sockaddr(out, &a); /* an IPv4 address inside is that one */
}

static void address_v4(struct net_address *out, const void *bytes, uint16_t port)
{
    *out = (struct net_address){ .kind = ADDRESS_V4, .port = port };
    memcpy(out->bytes, bytes, 4);
}

/* "1.2.3.4 5.6.7.8 1000 1883": whose it is, and where it has come to, which is checked and not kept. */
static bool addresses_v1(const char *at, const char *end, int family, struct net_address *out)
{
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], from_port[6], to_port[6];
    uint8_t bytes[16], to_bytes[16];
    uint16_t port, ignored;
    bool ok = word_take(&at, end, from, sizeof from) && word_take(&at, end, to, sizeof to) &&
              word_take(&at, end, from_port, sizeof from_port) &&
              word_take(&at, end, to_port, sizeof to_port);
    if (!ok || at != end || end[-1] == ' ') return false;
    if (inet_pton(family, from, bytes) != 1 || inet_pton(family, to, to_bytes) != 1) return false;
    if (!port_parse(from_port, &port) || !port_parse(to_port, &ignored)) return false;
    if (family == AF_INET)
        address_v4(out, bytes, port);
    else
        address_v6(out, bytes, port);
    return true;
}

static enum err line_parse(const char *line, size_t len, struct proxy_header *out, const char **why)
{
    static const char tcp4[] = "PROXY TCP4 ", tcp6[] = "PROXY TCP6 ", unknown[] = "PROXY UNKNOWN";
    bool is_v4 = strncmp(line, tcp4, sizeof tcp4 - 1) == 0, is_v6 = strncmp(line, tcp6, sizeof tcp6 - 1) == 0;
    if (strlen(line) != len) return wrong(why, "its PROXY line has a byte that is no text");
    if (strncmp(line, unknown, sizeof unknown - 1) == 0) {
        char next = line[sizeof unknown - 1];
        return next == '\0' || next == ' ' ? ERR_OK : wrong(why, "its PROXY line names no known protocol");
    }
    if (!is_v4 && !is_v6) return wrong(why, "its PROXY line names no known protocol");
    const char *rest = line + sizeof tcp4 - 1;
    if (!addresses_v1(rest, line + len, is_v4 ? AF_INET : AF_INET6, &out->from))
        return wrong(why, "its PROXY line has an address or port that is none");
    out->is_told = true;
    return ERR_OK;
}

static enum err parse_v1(struct bytes in, struct proxy_header *out, const char **why)
{
    static const char begin[] = "PROXY ";
    char line[PROXY_V1_BYTES_MAX + 1];
    size_t some = in.len < sizeof begin - 1 ? in.len : sizeof begin - 1;
    size_t most = in.len < PROXY_V1_BYTES_MAX ? in.len : PROXY_V1_BYTES_MAX;
    if (memcmp(in.at, begin, some) != 0) return wrong(why, "it sent no PROXY header");
    const uint8_t *end = memchr(in.at, '\n', most);
    if (end == NULL && most == PROXY_V1_BYTES_MAX)
        return wrong(why, "its PROXY line is longer than 107 bytes");
    if (end == NULL) return ERR_AGAIN;
    size_t len = (size_t)(end - in.at);
    if (len == 0 || in.at[len - 1] != '\r') return wrong(why, "its PROXY line does not end with CR LF");
    memcpy(line, in.at, len - 1);
    line[len - 1] = '\0';
    out->bytes = (uint32_t)len + 1;
    return line_parse(line, len - 1, out, why);
}

/* --- version 2: binary */

static size_t be16(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* One type-length-value, and what is left. False at the end; *whole: it does not reach beyond. */
static bool tlv_next(struct bytes *left, uint8_t *type, struct bytes *value, bool *whole)
{
    *whole = left->len == 0;
    if (left->len < TLV_HEAD) return false;
    size_t n = be16(left->at + 1);
    if (n > left->len - TLV_HEAD) return false;
    *type = left->at[0];
    *value = bytes_of(left->at + TLV_HEAD, n);
    *left = bytes_of(left->at + TLV_HEAD + n, left->len - TLV_HEAD - n);
    *whole = true;
    return true;
}

/* The name in the certificate that the client has shown the proxy, if it was found good: `verify` is 0 also
 * when there was none. False: not well formed. */
static bool ssl_parse(struct bytes value, struct bytes *name)
{
    static const uint8_t good[4] = { 0 };
    uint8_t type;
    struct bytes sub;
    bool whole;
    if (value.len < SSL_HEAD) return false;
    bool shown = (value.at[0] & (SSL_CERT_CONNECTION | SSL_CERT_SESSION)) != 0;
    bool is_good = shown && memcmp(value.at + 1, good, sizeof good) == 0;
    struct bytes left = bytes_of(value.at + SSL_HEAD, value.len - SSL_HEAD);
    while (tlv_next(&left, &type, &sub, &whole))
        if (type == TLV_SSL_NAME && is_good) *name = sub;
    return whole;
}

static bool tlvs_parse(struct bytes left, bool is_cut, struct bytes *name)
{
    uint8_t type;
    struct bytes value;
    bool whole;
    while (tlv_next(&left, &type, &value, &whole))
        if (type == TLV_SSL && !ssl_parse(value, name)) return false;
    return whole || is_cut;
}

static size_t addresses_bytes(unsigned family)
{
    static const uint8_t bytes[] = {
        [FAMILY_NONE] = 0, [FAMILY_V4] = 12, [FAMILY_V6] = 36, [FAMILY_UNIX] = 216
    };
    return bytes[family];
}

static void address_v2(unsigned family, const uint8_t *at, struct proxy_header *out)
{
    out->is_told = true;
    if (family == FAMILY_V4)
        address_v4(&out->from, at, (uint16_t)be16(at + 8));
    else if (family == FAMILY_V6)
        address_v6(&out->from, at, (uint16_t)be16(at + 32));
    else
        out->from = (struct net_address){ .kind = ADDRESS_LOCAL };
}

static enum err body_parse(struct bytes body, bool is_cut, uint8_t protocol, struct proxy_header *out,
                           const char **why)
{
    unsigned family = protocol >> 4, kind = protocol & 15;
    if (family > FAMILY_UNIX || kind > KIND_DATAGRAM)
        return wrong(why, "its PROXY header names no known address family or protocol");
    size_t addresses = addresses_bytes(family);
    if (body.len < addresses) return wrong(why, "its PROXY header is too short for its addresses");
    /* Without a family, or with datagrams, which these are none of, its own address is all that is known. */
    if (family != FAMILY_NONE && kind == KIND_STREAM) address_v2(family, body.at, out);
    body = bytes_of(body.at + addresses, body.len - addresses);
    if (!tlvs_parse(body, is_cut, &out->name))
        return wrong(why, "its PROXY header has a value that reaches beyond its end");
    return ERR_OK;
}

static enum err parse_v2(struct bytes in, struct proxy_header *out, const char **why)
{
    size_t some = in.len < sizeof signature ? in.len : sizeof signature;
    if (memcmp(in.at, signature, some) != 0) return wrong(why, "it sent no PROXY header");
    if (in.len < PROXY_V2_BYTES) return ERR_AGAIN;
    unsigned version = in.at[12] >> 4, command = in.at[12] & 15;
    if (version != 2 || command > COMMAND_PROXY)
        return wrong(why, "its PROXY header has a version or command that is not known");
    size_t bytes = PROXY_V2_BYTES + be16(in.at + 14);
    bool is_cut = bytes > PROXY_SEEN_BYTES;
    size_t seen = is_cut ? (size_t)PROXY_SEEN_BYTES : bytes;
    out->bytes = (uint32_t)bytes;
    if (in.len < seen) return ERR_AGAIN;
    if (command == COMMAND_LOCAL) return ERR_OK; /* what it says of addresses is to be ignored */
    return body_parse(bytes_of(in.at + PROXY_V2_BYTES, seen - PROXY_V2_BYTES), is_cut, in.at[13], out, why);
}

enum err proxy_parse(struct bytes in, unsigned versions, struct proxy_header *out, const char **why)
{
    *out = (struct proxy_header){ 0 };
    if (in.len == 0) return ERR_AGAIN;
    bool is_v2 = in.at[0] == signature[0];
    if ((versions & (is_v2 ? PROXY_V2 : PROXY_V1)) == 0) {
        bool other = is_v2 || in.at[0] == 'P';
        return wrong(why, other ? "its PROXY header has a version that this listener does not take"
                                : "it sent no PROXY header");
    }
    return is_v2 ? parse_v2(in, out, why) : parse_v1(in, out, why);
}
