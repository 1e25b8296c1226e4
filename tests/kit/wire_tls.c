/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/wire.h"
#include <openssl/ssl.h>

/* All of TLS's bytes go through two BIOs in memory: what comes is put into one, what goes is taken from the
 * other. */
static void flush(struct wire *w)
{
    char some[16384];
    int n;
    while ((n = BIO_read(SSL_get_wbio(w->tls), some, sizeof some)) > 0) out_add(&w->to_net, some, (size_t)n);
}

static void note(struct wire *w, int rc)
{
    int error = SSL_get_error(w->tls, rc);
    if (error == SSL_ERROR_ZERO_RETURN)
        w->has_end = true;
    else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        w->trouble = "TLS failed";
}

bool wire_tls_start(struct wire *w, const struct wire_conf *conf)
{
    w->tls_context = SSL_CTX_new(TLS_client_method());
    if (w->tls_context == NULL) return false;
    if (conf->ca_file != NULL) {
        if (SSL_CTX_load_verify_locations(w->tls_context, conf->ca_file, NULL) != 1) return false;
        SSL_CTX_set_verify(w->tls_context, SSL_VERIFY_PEER, NULL);
    }
    w->tls = SSL_new(w->tls_context);
    if (w->tls == NULL) return false;
    SSL_set_bio(w->tls, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(w->tls);
    (void)SSL_do_handshake(w->tls);
    flush(w);
    return true;
}

void wire_tls_send(struct wire *w, const void *at, size_t len)
{
    if (!SSL_is_init_finished(w->tls)) {
        out_add(&w->tls_waiting, at, len);
        return;
    }
    for (size_t n = 0; len > 0; len -= n) {
        if (SSL_write_ex(w->tls, at, len, &n) != 1) {
            w->trouble = "TLS does not take a write";
            break;
        }
        at = (const char *)at + n;
    }
    flush(w);
}

static bool is_shaken(struct wire *w)
{
    if (!SSL_is_init_finished(w->tls)) {
        int rc = SSL_do_handshake(w->tls);
        if (rc != 1) note(w, rc);
    }
    flush(w);
    if (!SSL_is_init_finished(w->tls)) return false;
    if (w->tls_waiting.len > 0) wire_tls_send(w, w->tls_waiting.at, w->tls_waiting.len);
    out_clear(&w->tls_waiting);
    return true;
}

void wire_tls_take(struct wire *w, const void *at, size_t len)
{
    char some[16384];
    size_t n;
    if (w->trouble != NULL || len == 0) return;
    (void)BIO_write(SSL_get_rbio(w->tls), at, (int)len);
    if (!is_shaken(w)) return;
    int rc;
    while ((rc = SSL_read_ex(w->tls, some, sizeof some, &n)) == 1) wire_take_above_tls(w, some, n);
    note(w, rc);
    flush(w);
}

void wire_tls_finish(struct wire *w)
{
    (void)SSL_shutdown(w->tls);
    flush(w);
}

void wire_tls_fini(struct wire *w)
{
    SSL_free(w->tls);
    SSL_CTX_free(w->tls_context);
    w->tls = NULL;
    w->tls_context = NULL;
}
