/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <openssl/x509.h>

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

/* --- pre-shared keys, of TLS 1.2 and 1.3 */

static unsigned choose_key(SSL *ssl, const char *identity, unsigned char *key, unsigned size)
{
    struct tls_conn *c = SSL_get_app_data(ssl);
    unsigned n = tls_psk_find(c->tls->psk, &identity, key, size);
    c->psk_is_strange = n == 0;
    if (n == 0) return 0; /* in TLS 1.3 it may be a ticket */
    c->psk_identity = identity;
    /* A ticket of TLS 1.3 would not say whose it is; and this handshake is a cheap one. */
    SSL_set_num_tickets(ssl, 0);
    return n;
}

/* --- resumption */

/* A ticket must not outlive the certificate by which its client came in. */
static int limit_ticket(SSL *ssl, void *arg)
{
    SSL_SESSION *session = SSL_get_session(ssl);
    X509 *peer = SSL_SESSION_get0_peer(session);
    int days = 0, seconds = 0;
    (void)arg;
    if (peer == NULL || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(peer)) != 1) return 1;
    long left = days * 86400L + seconds;
    if (left < SSL_SESSION_get_timeout(session)) SSL_SESSION_set_timeout(session, left > 0 ? left : 0);
    return 1;
}

void tls_shake_setup(struct tls *tls)
{
    SSL_CTX_set_alpn_select_cb(tls->ctx, choose_protocol, tls);
    SSL_CTX_set_session_ticket_cb(tls->ctx, limit_ticket, NULL, NULL);
    if (tls->names != NULL) SSL_CTX_set_cert_cb(tls->ctx, choose_certificate, tls);
    if (tls->psk != NULL) SSL_CTX_set_psk_server_callback(tls->ctx, choose_key);
}
