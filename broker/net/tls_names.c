/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>

/* sni_dir: NAME.crt with NAME.key for each name that clients ask for; *.DOMAIN, or _.DOMAIN where a star is
 * no file name, for all names with one more label. */

enum { NAME_BYTES_MAX = 255 };

struct tls_name {
    char *text; /* lower case; a wildcard begins with "*." */
    struct tls_pair pair;
};

struct tls_names {
    struct tls_name *at; /* sorted by text */
    size_t count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct tls_name *)a)->text, ((const struct tls_name *)b)->text);
}

static int is_certificate(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 4 && d->d_name[0] != '.' && strcmp(d->d_name + n - 4, ".crt") == 0;
}

static void lower(char *s)
{
    for (; *s != '\0'; s++) *s = (char)tolower((unsigned char)*s);
}

/* What OpenSSL would refuse in a handshake, a short key perhaps, is refused here. */
static enum err try_pair(SSL_CTX *ctx, const struct tls_pair *p, const char *path, struct tls_text *text)
{
    SSL *ssl = SSL_new(ctx);
    if (ssl == NULL) return tls_say(text, ERR_NOMEM, "out of memory");
    int is_good = SSL_use_cert_and_key(ssl, p->own, p->key, p->chain, 1);
    SSL_free(ssl);
    return is_good == 1 ? ERR_OK : tls_say_file(text, "sni_dir", path);
}

struct source {
    SSL_CTX *ctx;
    const char *dir;
    struct tls_text *text;
};

/* file: NAME.crt. */
static enum err read_name(struct tls_name *out, const struct source *from, const char *file)
{
    const char *dir = from->dir;
    struct tls_text *text = from->text;
    char cert[PATH_MAX], key[PATH_MAX];
    int stem = (int)strlen(file) - 4;
    snprintf(cert, sizeof cert, "%s/%s", dir, file);
    int n = snprintf(key, sizeof key, "%s/%.*s.key", dir, stem, file);
    if (n < 0 || (size_t)n >= sizeof key) return tls_say(text, ERR_RANGE, "sni_dir %s: is too long", dir);
    out->text = strndup(file, (size_t)stem);
    if (out->text == NULL) return tls_say(text, ERR_NOMEM, "out of memory");
    lower(out->text);
    if (strncmp(out->text, "_.", 2) == 0) out->text[0] = '*';
    struct tls_pair_files files = { "sni_dir", cert, "sni_dir", key };
    enum err rc = tls_pair_read(&out->pair, &files, text);
    return rc == ERR_OK ? try_pair(from->ctx, &out->pair, cert, text) : rc;
}

static enum err read_all(struct tls_names *n, const struct source *from, struct dirent **files, size_t count)
{
    if (count == 0)
        return tls_say(from->text, ERR_NOTFOUND, "sni_dir %s: has no NAME.crt with NAME.key", from->dir);
    if (count > TLS_NAMES_MAX)
        return tls_say(from->text, ERR_FULL, "sni_dir %s: has %zu names; allowed: %d", from->dir, count,
                       TLS_NAMES_MAX);
    n->at = calloc(count, sizeof *n->at);
    if (n->at == NULL) return tls_say(from->text, ERR_NOMEM, "out of memory");
    enum err rc = ERR_OK;
    for (size_t i = 0; i < count && rc == ERR_OK; i++)
        rc = read_name(&n->at[n->count++], from, files[i]->d_name);
    if (rc == ERR_OK) qsort(n->at, n->count, sizeof *n->at, by_text);
    return rc;
}

enum err tls_names_new(struct tls_names **out, SSL_CTX *ctx, const char *dir, struct tls_text *text)
{
    struct dirent **files;
    struct source from = { ctx, dir, text };
    *out = NULL;
    int count = scandir(dir, &files, is_certificate, alphasort);
    if (count < 0) return tls_say(text, ERR_SYS, "sni_dir %s: %s", dir, strerror(errno));
    struct tls_names *n = calloc(1, sizeof *n);
    enum err rc =
        n == NULL ? tls_say(text, ERR_NOMEM, "out of memory") : read_all(n, &from, files, (size_t)count);
    for (int i = 0; i < count; i++) free(files[i]);
    free(files);
    if (rc != ERR_OK) tls_names_free(&n);
    *out = n;
    return rc;
}

void tls_names_free(struct tls_names **owner)
{
    struct tls_names *n = *owner;
    *owner = NULL;
    if (n == NULL) return;
    for (size_t i = 0; i < n->count; i++) {
        free(n->at[i].text);
        tls_pair_fini(&n->at[i].pair);
    }
    free(n->at);
    free(n);
}

static const struct tls_pair *find(const struct tls_names *n, char *text)
{
    struct tls_name wanted = { .text = text };
    const struct tls_name *found = bsearch(&wanted, n->at, n->count, sizeof *n->at, by_text);
    return found == NULL ? NULL : &found->pair;
}

const struct tls_pair *tls_names_find(const struct tls_names *n, const char *name)
{
    char text[NAME_BYTES_MAX + 2];
    if (strlen(name) > NAME_BYTES_MAX) return NULL;
    snprintf(text, sizeof text, "%s", name);
    lower(text);
    const struct tls_pair *own = find(n, text);
    char *dot = strchr(text, '.');
    if (own != NULL || dot == NULL || dot == text) return own;
    dot[-1] = '*'; /* in place of its first label */
    return find(n, dot - 1);
}
