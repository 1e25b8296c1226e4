/* SPDX-License-Identifier: Apache-2.0 */
/* Mutual TLS: one certificate of ours, one CA that both sides' come from, a name that says which node it is.
 */
#include "peer/peer_int.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>

/* --- below OpenSSL: a socket that does not raise SIGPIPE */

static int fd_of(BIO *b)
{
    return (int)(intptr_t)BIO_get_data(b);
}

static int bio_read(BIO *b, char *at, int size)
{
    BIO_clear_retry_flags(b);
    ssize_t n = recv(fd_of(b), at, (size_t)size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(b);
    return (int)n;
}

static int bio_write(BIO *b, const char *at, int size)
{
    BIO_clear_retry_flags(b);
    ssize_t n = send(fd_of(b), at, (size_t)size, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(b);
    return (int)n;
}

static long bio_ctrl(BIO *b, int what, long number, void *at)
{
    (void)b;
    (void)number;
    (void)at;
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static enum err method_new(struct peers *p)
{
    p->socket = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "peer");
    if (p->socket == NULL) return ERR_NOMEM;
    BIO_meth_set_read(p->socket, bio_read);
    BIO_meth_set_write(p->socket, bio_write);
    BIO_meth_set_ctrl(p->socket, bio_ctrl);
    return ERR_OK;
}

SSL *peer_tls_open(struct peers *p, int fd, bool is_dialler)
{
    SSL *ssl = SSL_new(p->tls);
    BIO *b = BIO_new(p->socket);

    if (ssl == NULL || b == NULL) {
        SSL_free(ssl);
        BIO_free(b);
        return NULL;
    }
    BIO_set_data(b, (void *)(intptr_t)fd);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    if (is_dialler)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

/* --- files */

static enum err file_error(char *text, const char *what, const char *path)
{
    char why[256];

    ERR_error_string_n(ERR_peek_last_error(), why, sizeof why);
    ERR_clear_error();
    snprintf(text, PEER_TEXT_BYTES, "%s %s: %s", what, path, why);
    return ERR_RANGE;
}

static enum err files_load(struct peers *p, char *text)
{
    const struct peer_conf *conf = &p->conf;

    ERR_clear_error();
    if (SSL_CTX_load_verify_file(p->tls, conf->cafile) != 1) return file_error(text, "cafile", conf->cafile);
    if (SSL_CTX_use_certificate_chain_file(p->tls, conf->certfile) != 1)
        return file_error(text, "certfile", conf->certfile);
    if (SSL_CTX_use_PrivateKey_file(p->tls, conf->keyfile, SSL_FILETYPE_PEM) != 1)
        return file_error(text, "keyfile", conf->keyfile);
    return ERR_OK;
}

enum err peer_tls_new(struct peers *p, char *text)
{
    const struct peer_conf *conf = &p->conf;
    int given = (conf->cafile != NULL) + (conf->certfile != NULL) + (conf->keyfile != NULL);

    if (given == 0) return ERR_OK;
    if (given < 3) {
        snprintf(text, PEER_TEXT_BYTES, "cafile, certfile and keyfile go together: give all three or none");
        return ERR_RANGE;
    }
    p->tls = SSL_CTX_new(TLS_method());
    if (p->tls == NULL || method_new(p) != ERR_OK) return ERR_NOMEM;
    SSL_CTX_set_min_proto_version(p->tls, TLS1_3_VERSION);
    SSL_CTX_set_verify(p->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(p->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    /* Each connection shows its certificate: one that is no longer good must not come back by a ticket. */
    SSL_CTX_set_session_cache_mode(p->tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(p->tls, 0);
    return files_load(p, text);
}

/* --- names */

bool peer_tls_is(SSL *ssl, uint16_t id, const struct peer_address *at)
{
    X509 *own = SSL_get0_peer_certificate(ssl);
    char name[32];

    if (own == NULL) return false;
    snprintf(name, sizeof name, "server.%u", id);
    if (X509_check_host(own, name, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1) return true;
    if (at == NULL || at->host[0] == '\0') return false;
    if (X509_check_ip_asc(own, at->host, 0) == 1) return true;
    return X509_check_host(own, at->host, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
}
