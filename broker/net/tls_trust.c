/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

/*
 * Whose certificates are believed: cafile, capath, crlfile.
 *
 * All of it is read here and now. OpenSSL would open the files of capath when a peer needs one: on a shard,
 * which must not wait for a disk, with another user's rights, and at a time that no reload has chosen.
 */

void tls_trust_mix(uint8_t digest[TLS_DIGEST_BYTES], const void *at, size_t n)
{
    uint8_t both[TLS_DIGEST_BYTES + SHA256_DIGEST_LENGTH];
    _Static_assert(TLS_DIGEST_BYTES == SHA256_DIGEST_LENGTH, "the digest is SHA-256");
    memcpy(both, digest, TLS_DIGEST_BYTES);
    SHA256(at, n, both + TLS_DIGEST_BYTES);
    SHA256(both, sizeof both, digest);
}

static bool add(X509_STORE *store, const X509_INFO *info)
{
    /* One that is there already is no error. */
    if (info->x509 != NULL && X509_STORE_add_cert(store, info->x509) != 1) return false;
    return info->crl == NULL || X509_STORE_add_crl(store, info->crl) == 1;
}

/* A file's certificates and lists into the store. Gives how many there are of each. */
struct tls_added {
    unsigned certs, crls;
};

static enum err add_file(struct tls *tls, const char *option, const char *path, struct tls_added *added,
                         struct tls_text *text)
{
    BIO *from;
    char *bytes;
    *added = (struct tls_added){ 0 };
    enum err rc = tls_load(&from, option, path, text);
    if (rc != ERR_OK) return rc;
    long n = BIO_get_mem_data(from, &bytes);
    tls_trust_mix(tls->trust, bytes, (size_t)n);
    STACK_OF(X509_INFO) *found = PEM_X509_INFO_read_bio(from, NULL, NULL, NULL);
    BIO_free(from);
    if (found == NULL) return tls_say_file(text, option, path);
    for (int i = 0; i < sk_X509_INFO_num(found) && rc == ERR_OK; i++) {
        const X509_INFO *info = sk_X509_INFO_value(found, i);
        added->certs += info->x509 != NULL;
        added->crls += info->crl != NULL;
        if (!add(SSL_CTX_get_cert_store(tls->ctx), info)) rc = tls_say_file(text, option, path);
    }
    sk_X509_INFO_pop_free(found, X509_INFO_free);
    return rc;
}

/* The names of the CAs go to clients that have several certificates to choose from. A long list would only
 * make every handshake longer; none means any. */
static enum err tell_names(struct tls *tls, const char *path, struct tls_text *text)
{
    enum { NAMES_TOLD_MAX = 32 };
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (names == NULL) return tls_say_file(text, "cafile", path);
    if (sk_X509_NAME_num(names) <= NAMES_TOLD_MAX)
        SSL_CTX_set_client_CA_list(tls->ctx, names);
    else
        sk_X509_NAME_pop_free(names, X509_NAME_free);
    return ERR_OK;
}

static enum err add_cafile(struct tls *tls, const char *path, struct tls_text *text)
{
    struct tls_added added;
    enum err rc = add_file(tls, "cafile", path, &added, text);
    if (rc == ERR_OK && added.certs == 0)
        rc = tls_say(text, ERR_SYNTAX, "cafile %s: has no certificate in PEM form", path);
    return rc == ERR_OK ? tell_names(tls, path, text) : rc;
}

static enum err add_crlfile(struct tls *tls, const char *path, struct tls_text *text)
{
    struct tls_added added;
    enum err rc = add_file(tls, "crlfile", path, &added, text);
    if (rc == ERR_OK && added.crls == 0)
        rc = tls_say(text, ERR_SYNTAX,
                     "crlfile %s: has no list of revoked certificates (X509 CRL) in PEM form", path);
    /* Of the client's own certificate, as mosquitto: its issuer must have a list there. */
    if (rc == ERR_OK) X509_STORE_set_flags(SSL_CTX_get_cert_store(tls->ctx), X509_V_FLAG_CRL_CHECK);
    return rc;
}

/* What 'openssl rehash' makes: eight hexadecimal digits, a dot, for a list of revoked ones r, a number. */
static int is_hashed(const struct dirent *d)
{
    enum { HASH_DIGITS = 8 };
    size_t at = strspn(d->d_name, "0123456789abcdef");
    if (at != HASH_DIGITS || d->d_name[at++] != '.') return 0;
    if (d->d_name[at] == 'r') at++;
    return d->d_name[at] != '\0' && d->d_name[at + strspn(d->d_name + at, "0123456789")] == '\0';
}

static enum err add_hashed(struct tls *tls, const char *dir, const char *name, struct tls_text *text)
{
    char path[PATH_MAX];
    struct tls_added added;
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path) return tls_say(text, ERR_RANGE, "capath %s: is too long", dir);
    return add_file(tls, "capath", path, &added, text);
}

static enum err add_capath(struct tls *tls, const char *dir, struct tls_text *text)
{
    struct dirent **found;
    int n = scandir(dir, &found, is_hashed, alphasort);
    if (n < 0) return tls_say(text, ERR_SYS, "capath %s: %s", dir, strerror(errno));
    enum err rc = ERR_OK;
    if (n == 0)
        rc = tls_say(text, ERR_NOTFOUND, "capath %s: has no certificates by hash; run 'openssl rehash %s'",
                     dir, dir);
    for (int i = 0; i < n; i++) {
        if (rc == ERR_OK) rc = add_hashed(tls, dir, found[i]->d_name, text);
        free(found[i]);
    }
    free(found);
    return rc;
}

enum err tls_trust(struct tls *tls, const struct tls_conf *conf, struct tls_text *text)
{
    enum err rc = ERR_OK;
    bool has_ca = tls_is_set(conf->cafile) || tls_is_set(conf->capath);
    tls_trust_mix(tls->trust, &conf->require_certificate, sizeof conf->require_certificate);
    if (conf->require_certificate && !has_ca)
        rc = tls_say(
            text, ERR_SYNTAX,
            "require_certificate true needs cafile or capath: without them no certificate is trusted");
    if (rc == ERR_OK && tls_is_set(conf->cafile)) rc = add_cafile(tls, conf->cafile, text);
    tls_trust_mix(tls->trust, "", 0); /* the same bytes in another option are something else */
    if (rc == ERR_OK && tls_is_set(conf->capath)) rc = add_capath(tls, conf->capath, text);
    tls_trust_mix(tls->trust, "", 0);
    if (rc == ERR_OK && tls_is_set(conf->crlfile)) rc = add_crlfile(tls, conf->crlfile, text);
    if (rc == ERR_OK && conf->require_certificate)
        SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    ERR_clear_error();
    return rc;
}
