/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/tls_kit.h"
#include "base/check.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DAY_S = 24 * 60 * 60 };

/* --- certificates */

static X509 *new_certificate(EVP_PKEY *key, const char *const *subject, int serial)
{
    X509 *x = X509_new();
    CHECK(x != NULL);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(x), DAY_S);
    X509_NAME *name = X509_get_subject_name(x);
    for (; *subject != NULL; subject += 2)
        CHECK(X509_NAME_add_entry_by_txt(name, subject[0], MBSTRING_UTF8, (const unsigned char *)subject[1],
                                         -1, -1, 0) == 1);
    X509_set_pubkey(x, key);
    return x;
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    CHECK(e != NULL);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
}

void kit_ca_init(struct kit_ca *ca, const char *name)
{
    const char *const subject[] = { "CN", name, NULL };
    *ca = (struct kit_ca){ .key = EVP_EC_gen("P-256") };
    CHECK(ca->key != NULL);
    ca->own = new_certificate(ca->key, subject, 1);
    X509_set_issuer_name(ca->own, X509_get_subject_name(ca->own));
    add_extension(ca->own, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca->own, NID_key_usage, "critical,keyCertSign,cRLSign");
    CHECK(X509_sign(ca->own, ca->key, EVP_sha256()) > 0);
    ca->issued = 1;
}

void kit_ca_fini(struct kit_ca *ca)
{
    X509_free(ca->own);
    X509_CRL_free(ca->crl);
    EVP_PKEY_free(ca->key);
}

static FILE *create(const char *path)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    return f;
}

void kit_issue(struct kit_ca *ca, const struct kit_dir *d, const char *name, const char *const *subject)
{
    char file[TLS_KIT_PATH_BYTES];
    EVP_PKEY *key = ca->rsa_bits > 0 ? EVP_RSA_gen(ca->rsa_bits) : EVP_EC_gen("P-256");
    X509 *x = new_certificate(key, subject, ++ca->issued);
    X509_set_issuer_name(x, X509_get_subject_name(ca->own));
    if (ca->valid_s > 0) X509_gmtime_adj(X509_getm_notAfter(x), ca->valid_s);
    CHECK(X509_sign(x, ca->key, EVP_sha256()) > 0);
    snprintf(file, sizeof file, "%s.crt", name);
    FILE *f = create(kit_file(d, file));
    CHECK(PEM_write_X509(f, x) == 1);
    fclose(f);
    snprintf(file, sizeof file, "%s.key", name);
    f = create(kit_file(d, file));
    CHECK(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

void kit_issue_cn(struct kit_ca *ca, const struct kit_dir *d, const char *name, const char *common_name)
{
    const char *const subject[] = { "CN", common_name, NULL };
    kit_issue(ca, d, name, subject);
}

void kit_write_ca(const struct kit_ca *ca, const char *path)
{
    FILE *f = create(path);
    CHECK(PEM_write_X509(f, ca->own) == 1);
    fclose(f);
}

static void add_revoked(X509_CRL *crl, const char *crt)
{
    FILE *f = fopen(crt, "r");
    CHECK(f != NULL);
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    X509_REVOKED *r = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(x));
    X509_REVOKED_set_revocationDate(r, (ASN1_TIME *)(uintptr_t)X509_get0_notBefore(x));
    CHECK(X509_CRL_add0_revoked(crl, r) == 1);
    X509_free(x);
}

void kit_write_crl(struct kit_ca *ca, const char *path, const char *revoked_crt)
{
    ASN1_TIME *when = X509_gmtime_adj(NULL, -60);
    X509_CRL_free(ca->crl);
    ca->crl = X509_CRL_new();
    X509_CRL_set_version(ca->crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(ca->crl, X509_get_subject_name(ca->own));
    X509_CRL_set1_lastUpdate(ca->crl, when);
    X509_gmtime_adj(when, DAY_S);
    X509_CRL_set1_nextUpdate(ca->crl, when);
    ASN1_TIME_free(when);
    if (revoked_crt != NULL) add_revoked(ca->crl, revoked_crt);
    CHECK(X509_CRL_sign(ca->crl, ca->key, EVP_sha256()) > 0);
    FILE *f = create(path);
    CHECK(PEM_write_X509_CRL(f, ca->crl) == 1);
    fclose(f);
}

/* --- files */

void kit_dir_init(struct kit_dir *d)
{
    snprintf(d->path, sizeof d->path, "/tmp/longlink-tls.XXXXXX");
    CHECK(mkdtemp(d->path) != NULL);
}

static void remove_all(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd >= 0) {
        DIR *dir = fdopendir(fd);
        for (struct dirent *e; (e = readdir(dir)) != NULL;)
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) remove_all(fd, e->d_name);
        closedir(dir);
    }
    unlinkat(parent, name, fd >= 0 ? AT_REMOVEDIR : 0);
}

void kit_dir_fini(struct kit_dir *d)
{
    remove_all(AT_FDCWD, d->path);
}

const char *kit_file(const struct kit_dir *d, const char *name)
{
    enum { TEXTS = 8 };
    static char texts[TEXTS][2 * TLS_KIT_PATH_BYTES];
    static unsigned next;
    char *text = texts[next++ % TEXTS];
    snprintf(text, sizeof texts[0], "%s/%s", d->path, name);
    return text;
}

void kit_write(const char *path, const char *content)
{
    FILE *f = create(path);
    fputs(content, f);
    fclose(f);
}

/* --- a client */

void kit_client_init(struct kit_client *c, struct tls *tls, const char *pair)
{
    char path[2 * TLS_KIT_PATH_BYTES];
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    *c = (struct kit_client){ .ctx = SSL_CTX_new(TLS_client_method()), .fd = fds[0] };
    SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
    if (pair != NULL) {
        snprintf(path, sizeof path, "%s.crt", pair);
        CHECK(SSL_CTX_use_certificate_chain_file(c->ctx, path) == 1);
        snprintf(path, sizeof path, "%s.key", pair);
        CHECK(SSL_CTX_use_PrivateKey_file(c->ctx, path, SSL_FILETYPE_PEM) == 1);
    }
    c->ssl = SSL_new(c->ctx);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    c->here = (struct transport){ .ops = &transport_tcp, .fd = fds[1] };
    CHECK(tls_open(tls, &c->here) == ERR_OK);
}

void kit_client_fini(struct kit_client *c)
{
    c->here.ops->close(&c->here);
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    ERR_clear_error();
}

enum err kit_read(struct kit_client *c, char *at, size_t size, size_t *got)
{
    return c->here.ops->read(&c->here, at, size, got);
}

/* Some turns more than any handshake has, so that tickets are on their way too. */
enum err kit_shake(struct kit_client *c)
{
    char byte;
    size_t got;
    enum err rc = ERR_AGAIN;
    for (int i = 0; i < 8 && rc == ERR_AGAIN; i++) {
        SSL_do_handshake(c->ssl);
        ERR_clear_error(); /* the client's; the server's queue must be its own */
        rc = kit_read(c, &byte, 1, &got);
        CHECK(ERR_peek_error() == 0);
    }
    SSL_read(c->ssl, &byte, 1); /* tickets, alerts */
    return rc;
}
