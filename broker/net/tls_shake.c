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

/* A certificate that has run out meanwhile must not come back by a ticket. */
static bool is_out_of_date(const SSL_SESSION *session)
{
    SSL_SESSION *s = (SSL_SESSION *)(uintptr_t)session;
    X509 *peer = SSL_SESSION_get0_peer(s);
    return peer != NULL && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0;
}

static SSL_TICKET_RETURN check_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t bytes,
                                      SSL_TICKET_STATUS status, void *arg)
{
    (void)ssl, (void)name, (void)bytes, (void)arg;
    bool is_good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    if (!is_good || is_out_of_date(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tls_shake_setup(struct tls *tls)
{
    SSL_CTX_set_alpn_select_cb(tls->ctx, choose_protocol, tls);
    SSL_CTX_set_session_ticket_cb(tls->ctx, NULL, check_ticket, NULL);
    if (tls->names != NULL) SSL_CTX_set_cert_cb(tls->ctx, choose_certificate, tls);
    if (tls->psk != NULL) SSL_CTX_set_psk_server_callback(tls->ctx, choose_key);
}
