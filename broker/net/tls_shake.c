/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "net/tls_int.h"
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <pthread.h>

/* --- the protocol above [RFC 7301] */

/* Is it in the client's list: each with its length before it? */
static bool offers(const unsigned char *list, unsigned bytes, const char *name)
{
    size_t n = strlen(name);
    for (unsigned at = 0; at < bytes; at += 1u + list[at])
        if (list[at] == n && bytes - at - 1 >= n && memcmp(list + at + 1, name, n) == 0) return true;
    return false;
}

/* Who offers protocols and none of ours must be refused; who says nothing is not asked. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
                           const unsigned char *list, unsigned bytes, void *arg)
{
    static const char mqtt[] = "mqtt", http[] = "http/1.1";
    const struct tls *tls = arg;
    (void)ssl;
    const char *chosen = tls->is_websocket && offers(list, bytes, http) ? http
                         : offers(list, bytes, mqtt)                    ? mqtt
                                                                        : NULL;
    if (chosen == NULL) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = (const unsigned char *)chosen;
    *out_bytes = (unsigned char)strlen(chosen);
    return SSL_TLSEXT_ERR_OK;
}

/* --- the certificate by name */

static int choose_certificate(SSL *ssl, void *arg)
{
    const struct tls *tls = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_pair *p = name == NULL ? NULL : tls_names_find(tls->names, name);
    if (p == NULL) return 1; /* the listener's own */
    SSL_certs_clear(ssl);    /* which may have a key of another kind, and be preferred for that */
    return SSL_use_cert_and_key(ssl, p->own, p->key, p->chain, 1);
}

/* --- pre-shared keys */

/* TLS 1.2: whoever named one has to have its key, and the session keeps the identity. */
static unsigned choose_key(SSL *ssl, const char *identity, unsigned char *key, unsigned size)
{
    struct tls_conn *c = SSL_get_app_data(ssl);
    if (SSL_version(ssl) == TLS1_3_VERSION) return 0; /* find_key has looked */
    unsigned n = tls_ask_find(c, &identity, key, size);
    c->psk_is_strange = n == 0;
    return n;
}

static int identity_index;

static void find_index(void)
{
    identity_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    CHECK(identity_index >= 0);
}

/* A key as the session that TLS 1.3 takes it for. */
static SSL_SESSION *session_of_key(SSL *ssl, const char *identity, const unsigned char *key, unsigned n)
{
    static const unsigned char suite[] = { 0x13, 0x01 }; /* a key that says no hash has SHA-256 [RFC 8446] */
    SSL_SESSION *s = SSL_SESSION_new();
    if (s == NULL) return NULL;
    bool is_good = SSL_SESSION_set1_master_key(s, key, n) == 1 &&
                   SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, suite)) == 1 &&
                   SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) == 1 &&
                   SSL_SESSION_set_ex_data(s, identity_index, (void *)(uintptr_t)identity) == 1;
    if (is_good) return s;
    SSL_SESSION_free(s);
    return NULL;
}

/* TLS 1.3: to have named one means nothing yet. OpenSSL may pass the key over, because the cipher has another
 * hash, and shake hands without it: so the identity goes with the session, not with the connection. */
static int find_key(SSL *ssl, const unsigned char *at, size_t n, SSL_SESSION **out)
{
    unsigned char key[TLS_PSK_KEY_BYTES_MAX];
    char text[TLS_PSK_IDENTITY_BYTES_MAX + 1];
    const char *identity = text;
    struct tls_conn *c = SSL_get_app_data(ssl);
    *out = NULL;
    c->psk_is_strange = true;
    if (n >= sizeof text || memchr(at, '\0', n) != NULL) return 1; /* a ticket, perhaps */
    memcpy(text, at, n);
    text[n] = '\0';
    unsigned bytes = tls_ask_find(c, &identity, key, sizeof key);
    if (bytes == 0) return 1;
    c->psk_is_strange = false;
    *out = session_of_key(ssl, identity, key, bytes);
    OPENSSL_cleanse(key, sizeof key);
    /* A ticket of TLS 1.3 would not say whose it is; and this handshake is a cheap one. */
    SSL_set_num_tickets(ssl, 0);
    return *out != NULL;
}

const char *tls_shake_identity(const SSL *ssl)
{
    const SSL_SESSION *session = SSL_get_session(ssl);
    return session == NULL ? NULL : SSL_SESSION_get_ex_data(session, identity_index);
}

/* --- resumption */

/* A ticket must not outlive the certificate by which its client came in. */
static int limit_ticket(SSL *ssl, void *arg)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    X509 *peer = SSL_SESSION_get0_peer(session);
    const struct tls_conn *c = SSL_get_app_data(ssl);
    int days = 0, seconds = 0;
    (void)arg;
    /* Whoever knows the key may have forgotten it by then, and is to be asked each time: it is too old. */
    if (c->ask != NULL && SSL_get_psk_identity(ssl) != NULL) {
        SSL_SESSION_set_time(session, 1);
        SSL_SESSION_set_timeout(session, 1);
    }
    if (peer == NULL || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(peer)) != 1) return 1;
    long left = days * 86400L + seconds;
    if (left < SSL_SESSION_get_timeout(session)) SSL_SESSION_set_timeout(session, left > 0 ? left : 0);
    return 1;
}

void tls_shake_setup(struct tls *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, find_index) == 0);
    SSL_CTX_set_alpn_select_cb(tls->ctx, choose_protocol, tls);
    SSL_CTX_set_session_ticket_cb(tls->ctx, limit_ticket, NULL, NULL);
    if (tls->names != NULL) SSL_CTX_set_cert_cb(tls->ctx, choose_certificate, tls);
    if (tls->psk_hint != NULL) SSL_CTX_set_client_hello_cb(tls->ctx, tls_ask_hello, NULL);
    if (tls->psk == NULL && tls->psk_hint == NULL) return;
    SSL_CTX_set_psk_server_callback(tls->ctx, choose_key);
    SSL_CTX_set_psk_find_session_callback(tls->ctx, find_key);
}
