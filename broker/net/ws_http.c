/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ws_http.h"
#include "base/check.h"
#include "base/ref.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* --- what is answered */

enum refusal {
    ACCEPTED,
    NOT_HTTP,
    BAD_METHOD,
    BAD_VERSION,
    LINE_TOO_LONG,
    TOO_LONG,
    TOO_MANY,
    BAD_HEADER,
    BAD_HOST,
    HAS_BODY,
    NO_UPGRADE,
    NO_CONNECTION,
    BAD_WS_VERSION,
    BAD_KEY,
    BAD_ORIGIN,
    NO_PROTOCOL,
};

#define CLOSES   "Connection: close\r\n"
#define UPGRADES "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

static const struct {
    const char *status, *headers, *why;
} refusals[] = {
    [NOT_HTTP] = { "400 Bad Request", CLOSES, "the request line is not that of an HTTP request" },
    [BAD_METHOD] = { "405 Method Not Allowed", CLOSES "Allow: GET\r\n", "the method is not GET" },
    [BAD_VERSION] = { "505 HTTP Version Not Supported", CLOSES, "the version of HTTP is not 1.1" },
    [LINE_TOO_LONG] = { "414 URI Too Long", CLOSES, "the request line is too long" },
    [TOO_LONG] = { "431 Request Header Fields Too Large", CLOSES,
                   "the request is longer than websockets_headers_size" },
    [TOO_MANY] = { "431 Request Header Fields Too Large", CLOSES, "there are too many headers" },
    [BAD_HEADER] = { "400 Bad Request", CLOSES, "a header is not well formed" },
    [BAD_HOST] = { "400 Bad Request", CLOSES, "there is not exactly one Host" },
    [HAS_BODY] = { "400 Bad Request", CLOSES, "the request has a body" },
    [NO_UPGRADE] = { "426 Upgrade Required", UPGRADES, "here is only WebSocket: there is no Upgrade to it" },
    [NO_CONNECTION] = { "400 Bad Request", CLOSES, "Connection does not name Upgrade" },
    [BAD_WS_VERSION] = { "426 Upgrade Required", UPGRADES, "Sec-WebSocket-Version is not 13" },
    [BAD_KEY] = { "400 Bad Request", CLOSES, "Sec-WebSocket-Key is not one key of 16 bytes in base64" },
    [BAD_ORIGIN] = { "403 Forbidden", CLOSES, "the Origin is not one of websockets_origin" },
    [NO_PROTOCOL] = { "400 Bad Request", CLOSES, "Sec-WebSocket-Protocol does not offer mqtt" },
};

/* --- small grammar of RFC 7230 */

static bool is_token_byte(uint8_t c)
{
    bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!is_token_byte(b.at[i])) return false;
    return b.len > 0;
}

static bool is_value(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if ((b.at[i] < 0x20 && b.at[i] != '\t') || b.at[i] == 0x7f) return false;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct bytes trimmed(struct bytes b)
{
    while (b.len > 0 && is_blank(b.at[0])) b = bytes_of(b.at + 1, b.len - 1);
    while (b.len > 0 && is_blank(b.at[b.len - 1])) b.len--;
    return b;
}

static bool same_word(struct bytes a, struct bytes b)
{
    return a.len == b.len && strncasecmp((const char *)a.at, (const char *)b.at, a.len) == 0;
}

static bool is_word(struct bytes b, const char *word)
{
    return same_word(b, bytes_of_text(word));
}

/* Takes what stands before the separator; all of it, when there is none. */
static struct bytes take_until(struct bytes *left, uint8_t separator)
{
    const uint8_t *at = left->len > 0 ? memchr(left->at, separator, left->len) : NULL;
    struct bytes taken = bytes_of(left->at, at == NULL ? left->len : (size_t)(at - left->at));
    size_t gone = at == NULL ? taken.len : taken.len + 1;
    *left = bytes_of(left->at + gone, left->len - gone);
    return taken;
}

static bool list_has(struct bytes list, const char *word)
{
    while (list.len > 0)
        if (is_word(trimmed(take_until(&list, ',')), word)) return true;
    return false;
}

/* --- rules */

struct ws_rules {
    struct ref ref;
    uint32_t bytes_max;
    size_t origins_bytes;
    char origins[];
};

/* What a browser says: https://example.com:8080, or null, and never a path. */
static bool is_origin(struct bytes b)
{
    if (is_word(b, "null")) return true;
    const uint8_t *colon = memchr(b.at, ':', b.len);
    if (colon == NULL) return false;
    struct bytes scheme = bytes_of(b.at, (size_t)(colon - b.at));
    struct bytes rest = bytes_of(colon, b.len - scheme.len);
    if (!is_token(scheme) || rest.len < 4 || memcmp(rest.at, "://", 3) != 0) return false;
    return memchr(rest.at + 3, '/', rest.len - 3) == NULL && memchr(rest.at, ' ', rest.len) == NULL;
}

static bool are_origins(struct bytes lines, struct bytes *wrong)
{
    while (lines.len > 0) {
        *wrong = take_until(&lines, '\n');
        if (wrong->len > 0 && !is_origin(*wrong)) return false;
    }
    return true;
}

enum err ws_rules_new(struct ws_rules **out, const struct ws_rules_conf *conf, struct bytes *wrong)
{
    struct bytes origins = bytes_of_text(conf->origins != NULL ? conf->origins : "");
    *out = NULL;
    if (!are_origins(origins, wrong)) return ERR_SYNTAX;
    struct ws_rules *r = calloc(1, sizeof *r + origins.len);
    if (r == NULL) return ERR_NOMEM;
    ref_init(&r->ref, 1);
    r->bytes_max = conf->bytes_max > 0 ? conf->bytes_max : WS_BYTES_MAX_DEFAULT;
    r->origins_bytes = origins.len;
    memcpy(r->origins, origins.at, origins.len);
    *out = r;
    return ERR_OK;
}

struct ws_rules *ws_rules_ref(struct ws_rules *r)
{
    ref_add(&r->ref, 1);
    return r;
}

void ws_rules_unref(struct ws_rules **owner)
{
    struct ws_rules *r = *owner;
    *owner = NULL;
    if (r != NULL && ref_drop(&r->ref)) free(r);
}

uint32_t ws_rules_bytes_max(const struct ws_rules *r)
{
    return r->bytes_max;
}

static bool may_come_from(const struct ws_rules *rules, struct bytes origin)
{
    struct bytes lines = bytes_of(rules->origins, rules->origins_bytes);
    if (lines.len == 0) return true;
    while (lines.len > 0 && origin.len > 0)
        if (same_word(take_until(&lines, '\n'), origin)) return true;
    return false;
}

/* --- headers */

struct request {
    const struct ws_rules *rules;
    unsigned hosts, keys, versions, origins;
    struct bytes key, version, origin;
    const char *protocol; /* chosen: the first that the client offers and we know */
    bool upgrades, names_upgrade, has_body;
};

static void on_host(struct request *r, struct bytes value)
{
    (void)value;
    r->hosts++;
}

static void on_upgrade(struct request *r, struct bytes value)
{
    r->upgrades = r->upgrades || list_has(value, "websocket");
}

static void on_connection(struct request *r, struct bytes value)
{
    r->names_upgrade = r->names_upgrade || list_has(value, "upgrade");
}

static void on_version(struct request *r, struct bytes value)
{
    r->versions++;
    r->version = value;
}

static void on_key(struct request *r, struct bytes value)
{
    r->keys++;
    r->key = value;
}

static void on_origin(struct request *r, struct bytes value)
{
    r->origins++;
    r->origin = value;
}

/* [MQTT-6.0.0-3]. Clients of MQTT 3.1 have another name for it. */
static void on_protocol(struct request *r, struct bytes value)
{
    static const char *const known[] = { "mqtt", "mqttv3.1" };
    while (value.len > 0 && r->protocol == NULL) {
        struct bytes offered = trimmed(take_until(&value, ','));
        for (unsigned i = 0; i < 2; i++)
            if (bytes_equal(offered, bytes_of_text(known[i]))) r->protocol = known[i];
    }
}

static void on_length(struct request *r, struct bytes value)
{
    r->has_body = r->has_body || !is_word(value, "0");
}

static void on_encoding(struct request *r, struct bytes value)
{
    (void)value;
    r->has_body = true;
}

static const struct {
    const char *name;
    void (*take)(struct request *r, struct bytes value);
} headers[] = {
    { "Host", on_host },
    { "Upgrade", on_upgrade },
    { "Connection", on_connection },
    { "Sec-WebSocket-Version", on_version },
    { "Sec-WebSocket-Key", on_key },
    { "Sec-WebSocket-Protocol", on_protocol },
    { "Origin", on_origin },
    { "Content-Length", on_length },
    { "Transfer-Encoding", on_encoding },
};

static enum refusal read_header(struct request *r, struct bytes line)
{
    /* No blank before the colon, no line that goes on with the one before: both are ways to smuggle. */
    bool has_colon = memchr(line.at, ':', line.len) != NULL;
    struct bytes name = take_until(&line, ':');
    if (!has_colon || !is_token(name) || !is_value(line)) return BAD_HEADER;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (is_word(name, headers[i].name)) headers[i].take(r, trimmed(line));
    return ACCEPTED;
}

/* A path, or an address with one, as for a proxy [RFC 7230 sections 5.3.1, 5.3.2]. */
static bool is_target(struct bytes b)
{
    return b.len > 0 && is_value(b) && (b.at[0] == '/' || memmem(b.at, b.len, "://", 3) != NULL);
}

static enum refusal read_request_line(struct bytes line)
{
    if (line.len > WS_REQUEST_LINE_BYTES_MAX) return LINE_TOO_LONG;
    struct bytes method = take_until(&line, ' '), target = take_until(&line, ' ');
    if (!is_token(method)) return NOT_HTTP;
    if (line.len != 8 || memcmp(line.at, "HTTP/", 5) != 0) return NOT_HTTP;
    if (memcmp(line.at + 5, "1.1", 3) != 0) return BAD_VERSION;
    if (!bytes_equal(method, bytes_of_text("GET"))) return BAD_METHOD;
    return is_target(target) ? ACCEPTED : NOT_HTTP;
}

/* --- the whole request */

/* 16 bytes in base64 are 22 digits and two signs of equality. */
static bool is_key(struct bytes key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.len != 24 || memcmp(key.at + 22, "==", 2) != 0) return false;
    for (size_t i = 0; i < 22; i++)
        if (key.at[i] == 0 || strchr(digits, key.at[i]) == NULL) return false;
    return true;
}

static enum refusal judge(const struct request *r)
{
    if (r->hosts != 1) return BAD_HOST;
    if (r->has_body) return HAS_BODY;
    if (!r->upgrades) return NO_UPGRADE;
    if (!r->names_upgrade) return NO_CONNECTION;
    if (r->versions != 1 || !is_word(r->version, "13")) return BAD_WS_VERSION;
    if (r->keys != 1 || !is_key(r->key)) return BAD_KEY;
    if (r->origins > 1 || (r->origins == 1 && !may_come_from(r->rules, r->origin))) return BAD_ORIGIN;
    return r->protocol == NULL ? NO_PROTOCOL : ACCEPTED;
}

/* Lines end with CR LF. False: with LF alone. */
static bool take_line(struct bytes *left, struct bytes *line)
{
    *line = take_until(left, '\n');
    if (line->len == 0 || line->at[line->len - 1] != '\r') return false;
    line->len--;
    return true;
}

/* head: up to the empty line. */
static enum refusal read_request(struct request *r, struct bytes head)
{
    struct bytes line;
    unsigned count = 0;
    enum refusal rc = take_line(&head, &line) ? read_request_line(line) : NOT_HTTP;
    while (rc == ACCEPTED && head.len > 0) {
        rc = take_line(&head, &line) ? read_header(r, line) : BAD_HEADER;
        if (++count > WS_HEADERS_MAX) rc = TOO_MANY;
    }
    return rc == ACCEPTED ? judge(r) : rc;
}

static void accept_request(const struct request *r, struct ws_answer *out)
{
    static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 section 1.3 */
    uint8_t salted[24 + sizeof salt - 1], digest[SHA_DIGEST_LENGTH];
    char accept[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];
    memcpy(salted, r->key.at, 24);
    memcpy(salted + 24, salt, sizeof salt - 1);
    SHA1(salted, sizeof salted, digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    out->why = NULL;
    out->bytes = (size_t)snprintf(out->text, sizeof out->text,
                                  "HTTP/1.1 101 Switching Protocols\r\n"
                                  "Upgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: %s\r\n"
                                  "Sec-WebSocket-Protocol: %s\r\n\r\n",
                                  accept, r->protocol);
}

static void refuse(enum refusal which, struct ws_answer *out)
{
    out->why = refusals[which].why;
    out->bytes =
        (size_t)snprintf(out->text, sizeof out->text,
                         "HTTP/1.1 %s\r\n"
                         "%s"
                         "Content-Type: text/plain\r\n"
                         "Content-Length: %zu\r\n\r\n"
                         "%s\n",
                         refusals[which].status, refusals[which].headers, strlen(out->why) + 1, out->why);
    CHECK(out->bytes < sizeof out->text);
}

/* What is wrong already with a request that has not come to its end. */
static enum refusal judge_part(const struct ws_rules *rules, struct bytes in)
{
    size_t first = in.len < WS_REQUEST_LINE_BYTES_MAX + 2 ? in.len : WS_REQUEST_LINE_BYTES_MAX + 2;
    if (!is_token_byte(in.at[0])) return NOT_HTTP; /* MQTT to the wrong port, perhaps */
    if (in.len > WS_REQUEST_LINE_BYTES_MAX + 2 && memchr(in.at, '\n', first) == NULL) return LINE_TOO_LONG;
    return in.len >= rules->bytes_max ? TOO_LONG : ACCEPTED;
}

size_t ws_http_answer(const struct ws_rules *rules, struct bytes in, size_t seen, struct ws_answer *out)
{
    if (in.len == 0) return 0;
    size_t from = seen > 3 ? seen - 3 : 0;
    const uint8_t *end = memmem(in.at + from, in.len - from, "\r\n\r\n", 4);
    enum refusal rc = judge_part(rules, in);
    if (end == NULL && rc == ACCEPTED) return 0;
    size_t bytes = end == NULL ? in.len : (size_t)(end - in.at) + 4;
    if (end != NULL && rc == TOO_LONG && bytes <= rules->bytes_max) rc = ACCEPTED;
    struct request r = { .rules = rules };
    if (rc == ACCEPTED) rc = read_request(&r, bytes_of(in.at, bytes - 2));
    if (rc == ACCEPTED)
        accept_request(&r, out);
    else
        refuse(rc, out);
    return bytes;
}
