/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <openssl/crypto.h>
#include <openssl/err.h>

/* psk_file: IDENTITY:KEY, the key in hexadecimal, one a line; empty lines, and those that begin with #. */

struct tls_key {
    char *identity;
    unsigned bytes;
    uint8_t key[TLS_PSK_KEY_BYTES_MAX];
};

struct tls_psk {
    struct tls_key *at; /* sorted by identity */
    size_t count, room;
};

static int by_identity(const void *a, const void *b)
{
    return strcmp(((const struct tls_key *)a)->identity, ((const struct tls_key *)b)->identity);
}

static bool make_room(struct tls_psk *p)
{
    if (p->count < p->room) return true;
    size_t room = p->room == 0 ? 16 : p->room * 2;
    /* Not realloc: it would leave keys behind in freed memory. */
    struct tls_key *at = calloc(room, sizeof *at);
    if (at == NULL) return false;
    if (p->count > 0) memcpy(at, p->at, p->count * sizeof *at);
    if (p->at != NULL) OPENSSL_cleanse(p->at, p->room * sizeof *at);
    free(p->at);
    p->at = at;
    p->room = room;
    return true;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* False: not whole bytes in hexadecimal, or more than fit. */
static bool read_hex(struct tls_key *k, const char *hex)
{
    size_t n = strlen(hex);
    if (n == 0 || n % 2 != 0 || n / 2 > sizeof k->key) return false;
    for (size_t i = 0; i < n; i++) {
        int d = digit(hex[i]);
        if (d < 0) return false;
        k->key[i / 2] = (uint8_t)(k->key[i / 2] << 4 | d);
    }
    k->bytes = (unsigned)(n / 2);
    return true;
}

struct place {
    const char *path;
    unsigned line;
    struct tls_text *text;
};

static enum err read_line(struct tls_psk *p, char *line, const struct place *at)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') return ERR_OK;
    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line || colon - line > TLS_PSK_IDENTITY_BYTES_MAX)
        return tls_say(
            at->text, ERR_SYNTAX,
            "psk_file %s:%u: no IDENTITY:KEY; allowed: 1 to %d bytes of identity, a colon, the key", at->path,
            at->line, TLS_PSK_IDENTITY_BYTES_MAX);
    *colon = '\0';
    if (!make_room(p)) return tls_say(at->text, ERR_NOMEM, "out of memory");
    struct tls_key *k = &p->at[p->count];
    if (!read_hex(k, colon + 1))
        return tls_say(
            at->text, ERR_SYNTAX,
            "psk_file %s:%u: the key of '%s' is not hexadecimal; allowed: 1 to %d bytes, two digits each",
            at->path, at->line, line, TLS_PSK_KEY_BYTES_MAX);
    k->identity = strdup(line);
    if (k->identity == NULL) return tls_say(at->text, ERR_NOMEM, "out of memory");
    p->count++;
    return ERR_OK;
}

static enum err read_lines(struct tls_psk *p, BIO *from, const char *path, struct tls_text *text)
{
    enum { LINE_BYTES = TLS_PSK_IDENTITY_BYTES_MAX + 2 * TLS_PSK_KEY_BYTES_MAX + 8 };
    char line[LINE_BYTES];
    struct place at = { path, 0, text };
    enum err rc = ERR_OK;
    int n;
    while (rc == ERR_OK && (n = BIO_gets(from, line, sizeof line)) > 0) {
        at.line++;
        /* Of a line that is too long the rest would be read as one more. */
        bool is_whole = line[n - 1] == '\n' || BIO_pending(from) == 0;
        if (!is_whole && line[0] != '#')
            rc = tls_say(text, ERR_SYNTAX, "psk_file %s:%u: the line is too long", path, at.line);
        while (!is_whole && BIO_gets(from, line + 1, sizeof line - 1) > 0)
            is_whole = strchr(line + 1, '\n') != NULL;
        if (rc == ERR_OK) rc = read_line(p, line, &at);
    }
    OPENSSL_cleanse(line, sizeof line);
    return rc;
}

static enum err sort(struct tls_psk *p, const char *path, struct tls_text *text)
{
    if (p->count == 0) return ERR_OK;
    qsort(p->at, p->count, sizeof *p->at, by_identity);
    for (size_t i = 1; i < p->count; i++)
        if (by_identity(&p->at[i - 1], &p->at[i]) == 0)
            return tls_say(text, ERR_SYNTAX, "psk_file %s: '%s' is there twice", path, p->at[i].identity);
    return ERR_OK;
}

enum err tls_psk_new(struct tls_psk **out, BIO *from, const char *path, struct tls_text *text)
{
    struct tls_psk *p = calloc(1, sizeof *p);
    enum err rc = p == NULL ? tls_say(text, ERR_NOMEM, "out of memory") : read_lines(p, from, path, text);
    if (rc == ERR_OK) rc = sort(p, path, text);
    if (rc != ERR_OK) tls_psk_free(&p);
    *out = p;
    return rc;
}

void tls_psk_free(struct tls_psk **owner)
{
    struct tls_psk *p = *owner;
    *owner = NULL;
    if (p == NULL) return;
    for (size_t i = 0; i < p->count; i++) free(p->at[i].identity);
    if (p->at != NULL) OPENSSL_cleanse(p->at, p->room * sizeof *p->at);
    free(p->at);
    free(p);
}

unsigned tls_psk_find(const struct tls_psk *p, const char **identity, unsigned char *key, unsigned size)
{
    char wanted[TLS_PSK_IDENTITY_BYTES_MAX + 1];
    if (p->count == 0 || strlen(*identity) >= sizeof wanted) return 0;
    snprintf(wanted, sizeof wanted, "%s", *identity);
    struct tls_key like = { .identity = wanted };
    const struct tls_key *k = bsearch(&like, p->at, p->count, sizeof *p->at, by_identity);
    if (k == NULL || k->bytes > size) return 0;
    memcpy(key, k->key, k->bytes);
    *identity = k->identity;
    return k->bytes;
}
