/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <openssl/err.h>
#include <openssl/x509.h>

/* Whom a certificate or a key names. The texts are the names in access lists, so they are mosquitto's. */

static enum err give(char *out, size_t size, const void *at, size_t n)
{
    if (n >= size || memchr(at, '\0', n) != NULL) return ERR_SYNTAX;
    memcpy(out, at, n);
    out[n] = '\0';
    return ERR_OK;
}

/* The first, if it has several. */
static enum err give_common_name(const X509 *own, char *out, size_t size)
{
    const X509_NAME *subject = X509_get_subject_name(own);
    unsigned char *utf8 = NULL;
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) return ERR_NOTFOUND;
    int n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    enum err rc = n <= 0 ? ERR_SYNTAX : give(out, size, utf8, (size_t)n);
    OPENSSL_free(utf8);
    return rc;
}

/* CN=alice,OU=Lamps,O=Home\, Ltd,C=DE [RFC 2253] */
static enum err give_subject(const X509 *own, char *out, size_t size)
{
    char *text;
    BIO *b = BIO_new(BIO_s_mem());
    if (b == NULL) return ERR_NOMEM;
    enum err rc = ERR_SYNTAX;
    if (X509_NAME_print_ex(b, X509_get_subject_name(own), 0, XN_FLAG_RFC2253) > 0) {
        long n = BIO_get_mem_data(b, &text);
        rc = give(out, size, text, (size_t)n);
    }
    BIO_free(b);
    return rc;
}

/* A resumed session of TLS 1.2 says itself whose it was. */
static enum err give_psk(const struct tls_conn *c, char *out, size_t size)
{
    const char *identity = tls_shake_identity(c->ssl);
    if (identity == NULL) identity = SSL_get_psk_identity(c->ssl);
    return identity == NULL ? ERR_NOTFOUND : give(out, size, identity, strlen(identity));
}

void *tls_certificate(const struct transport *t)
{
    const struct tls_conn *c = t->state;
    return c->is_shaken ? SSL_get1_peer_certificate(c->ssl) : NULL;
}

void transport_certificate_free(void *certificate)
{
    X509_free(certificate);
}

enum err tls_identity(const struct transport *t, enum transport_identity which, char *out, size_t size)
{
    const struct tls_conn *c = t->state;
    if (!c->is_shaken) return ERR_NOTFOUND;
    if (which == TRANSPORT_PSK) return give_psk(c, out, size);
    const X509 *own = SSL_get0_peer_certificate(c->ssl);
    if (own == NULL) return ERR_NOTFOUND;
    enum err rc =
        which == TRANSPORT_SUBJECT ? give_subject(own, out, size) : give_common_name(own, out, size);
    ERR_clear_error();
    return rc;
}
