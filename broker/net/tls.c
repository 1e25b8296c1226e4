/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <openssl/err.h>
#include <sys/socket.h>

/*
 * The transport.
 *
 *   SHAKING -> (handshake) -> SHAKEN -> ended or closed by the peer
 *      \________________________\_____> FAILED
 *
 * FAILED: OpenSSL has sent its alert. What comes is thrown away, so that the alert is not lost by a reset,
 * until the peer or the shard closes.
 *
 * OpenSSL's queue of errors is the thread's. It is empty before each call of it here, and after.
 */

enum { RECORD_BYTES_MAX = SSL3_RT_MAX_PLAIN_LENGTH };

/* --- the socket below, as OpenSSL sees it */

static int socket_read(BIO *b, char *at, int size)
{
    struct tls_conn *c = BIO_get_data(b);
    size_t got = 0;
    BIO_clear_retry_flags(b);
    c->broke = c->ask == NULL ? c->below.ops->read(&c->below, at, (size_t)size, &got)
                              : tls_ask_read(c, (uint8_t *)at, (size_t)size, &got);
    if (c->broke == ERR_AGAIN) BIO_set_retry_read(b);
    if (c->broke == ERR_OK) c->is_heard = true;
    return c->broke == ERR_OK ? (int)got : -1;
}

static int socket_write(BIO *b, const char *at, int n)
{
    struct tls_conn *c = BIO_get_data(b);
    struct iovec part = { (void *)(uintptr_t)at, (size_t)n };
    size_t wrote = 0;
    BIO_clear_retry_flags(b);
    c->broke = c->below.ops->write(&c->below, &part, 1, &wrote);
    if (c->broke == ERR_AGAIN) BIO_set_retry_write(b);
    return c->broke == ERR_OK ? (int)wrote : -1;
}

static long socket_ctrl(BIO *b, int what, long number, void *at)
{
    (void)b, (void)number, (void)at;
    return what == BIO_CTRL_FLUSH; /* nothing is held back */
}

static int socket_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

enum err tls_socket_new(struct tls *tls)
{
    tls->socket = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
    if (tls->socket == NULL) return ERR_NOMEM;
    BIO_meth_set_read(tls->socket, socket_read);
    BIO_meth_set_write(tls->socket, socket_write);
    BIO_meth_set_ctrl(tls->socket, socket_ctrl);
    BIO_meth_set_create(tls->socket, socket_create);
    return ERR_OK;
}

/* --- what a call of OpenSSL has come to */

static enum err failed(struct transport *t, struct tls_conn *c, const char *why)
{
    c->has_failed = true;
    t->needs = TRANSPORT_HAS_OUTPUT; /* the alert, which has gone already: ended in good order */
    t->why = why != NULL ? why : "OpenSSL does not say why";
    return ERR_SYNTAX;
}

/* What the peer did wrong, in OpenSSL's words. Some are less clear than what we know. */
static const char *reason(const struct tls_conn *c, unsigned long e)
{
    long verdict = SSL_get_verify_result(c->ssl);
    if (ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    if (!c->is_shaken && c->psk_is_strange && SSL_get_certificate(c->ssl) == NULL)
        return "no pre-shared key has the identity that it named";
    return ERR_reason_error_string(e);
}

static enum err settle(struct transport *t, struct tls_conn *c, int ret)
{
    int what = SSL_get_error(c->ssl, ret);
    unsigned long e = ERR_peek_error();
    ERR_clear_error();
    switch (what) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_CLIENT_HELLO_CB: return ERR_AGAIN;
    case SSL_ERROR_WANT_WRITE: t->needs |= TRANSPORT_WANTS_WRITE; return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return ERR_CLOSED;
    case SSL_ERROR_SSL: return failed(t, c, reason(c, e));
    default: break;
    }
    /* Who only looks whether the port is open is no fault. */
    if (!c->is_shaken && c->is_heard) return failed(t, c, "the peer closed in the middle of the handshake");
    return c->broke == ERR_SYS ? ERR_SYS : ERR_CLOSED;
}

/* --- the operations */

static enum err tls_watch(struct transport *t, int epoll_fd, int op, struct epoll_event *e)
{
    struct tls_conn *c = t->state;
    return c->below.ops->watch(&c->below, epoll_fd, op, e);
}

static enum err shake(struct transport *t, struct tls_conn *c)
{
    int n = SSL_do_handshake(c->ssl);
    if (tls_ask_waits(c)) t->needs |= TRANSPORT_ASKS;
    if (n != 1) return settle(t, c, n);
    c->is_shaken = true;
    tls_ask_forget(c);
    t->needs = SSL_session_reused(c->ssl) == 1 && tls_shake_identity(c->ssl) == NULL ? TRANSPORT_RESUMED : 0;
    return ERR_OK;
}

/* As many records as there is room for. */
static enum err read_records(struct transport *t, struct tls_conn *c, uint8_t *at, size_t size, size_t *got)
{
    size_t n;
    do {
        if (SSL_read_ex(c->ssl, at + *got, size - *got, &n) != 1) return settle(t, c, 0);
        *got += n;
    } while (*got < size && (n == RECORD_BYTES_MAX || SSL_has_pending(c->ssl) == 1));
    /* Only when room has run out: half a record in OpenSSL's buffer is no input yet. */
    if (SSL_has_pending(c->ssl) == 1) t->needs |= TRANSPORT_HAS_INPUT;
    return ERR_OK;
}

/* After a failure: see the top. */
static enum err throw_away(struct transport *t, struct tls_conn *c, void *at, size_t size)
{
    size_t n;
    enum err rc = c->below.ops->read(&c->below, at, size, &n);
    t->needs &= (uint8_t)~TRANSPORT_HAS_INPUT;
    return rc == ERR_OK ? ERR_AGAIN : rc; /* there may be more, and the loop will tell */
}

static enum err tls_read(struct transport *t, void *at, size_t size, size_t *got)
{
    struct tls_conn *c = t->state;
    enum err rc = c->later;
    *got = 0;
    if (rc == ERR_OK && c->has_failed) return throw_away(t, c, at, size);
    c->later = ERR_OK;
    t->needs = c->has_failed ? TRANSPORT_HAS_OUTPUT : 0;
    if (rc != ERR_OK) return rc;
    t->needs = (uint8_t)((c->is_shaken ? 0 : TRANSPORT_SHAKES) | (c->owes_end ? TRANSPORT_HAS_OUTPUT : 0));
    if (!c->is_shaken) rc = shake(t, c);
    if (rc == ERR_OK) rc = read_records(t, c, at, size, got);
    if (rc == ERR_OK || *got == 0) return rc;
    /* Data first, then what has come behind it. */
    if (rc != ERR_AGAIN) {
        c->later = rc;
        t->needs |= TRANSPORT_HAS_INPUT;
    }
    return ERR_OK;
}

/* Where the next byte to write is. */
struct place {
    const struct iovec *part;
    int parts;
    size_t done; /* of the first part */
};

static void step(struct place *p, size_t n)
{
    p->done += n;
    while (p->parts > 0 && p->done >= p->part->iov_len) {
        p->done -= p->part->iov_len;
        p->part++;
        p->parts--;
    }
}

/* At most `most` bytes from p on: a large part's own, several small ones' in `room`. */
static struct bytes gather(const struct place *p, uint8_t *room, size_t most)
{
    size_t n = 0;
    struct place at = *p;
    if (at.parts == 0) return bytes_of(NULL, 0);
    const uint8_t *first = (const uint8_t *)at.part->iov_base + at.done;
    if (at.part->iov_len - at.done >= most) return bytes_of(first, most);
    while (at.parts > 0 && n < most) {
        size_t left = at.part->iov_len - at.done;
        size_t take = left < most - n ? left : most - n;
        memcpy(room + n, (const uint8_t *)at.part->iov_base + at.done, take);
        n += take;
        step(&at, take);
    }
    return bytes_of(room, n);
}

/* "That was all", before the socket says so; it may have to wait for room. */
static enum err say_end(struct transport *t, struct tls_conn *c)
{
    int n = SSL_shutdown(c->ssl);
    c->owes_end = n < 0 && SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE;
    ERR_clear_error();
    if (c->owes_end)
        t->needs |= TRANSPORT_HAS_OUTPUT;
    else
        c->below.ops->end(&c->below);
    return c->owes_end ? ERR_AGAIN : ERR_OK;
}

/* A record at a time. One that did not go whole is in OpenSSL's buffer, sealed: the next call gives the same
 * bytes, from wherever they are now, and no others. */
static enum err tls_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    uint8_t room[RECORD_BYTES_MAX];
    struct tls_conn *c = t->state;
    struct place at = { parts, count, 0 };
    *wrote = 0;
    t->needs &= (uint8_t)~TRANSPORT_HAS_OUTPUT;
    if (c->owes_end) return say_end(t, c);
    if (c->has_failed || c->has_ended) return count == 0 ? ERR_OK : ERR_CLOSED;
    step(&at, 0); /* over empty parts */
    while (at.parts > 0) {
        size_t n;
        struct bytes b = gather(&at, room, c->owed > 0 ? c->owed : sizeof room);
        if (!c->is_shaken) return ERR_AGAIN;
        if (SSL_write_ex(c->ssl, b.at, b.len, &n) != 1) {
            uint8_t needs = t->needs; /* of reading */
            enum err rc = settle(t, c, 0);
            if (rc != ERR_AGAIN) return rc;
            t->needs = needs;
            c->owed = (uint32_t)b.len;
            return *wrote > 0 ? ERR_OK : ERR_AGAIN;
        }
        c->owed = 0;
        *wrote += n;
        step(&at, n);
    }
    return ERR_OK;
}

static void tls_end(struct transport *t)
{
    struct tls_conn *c = t->state;
    if (c->has_ended) return;
    c->has_ended = true;
    if (c->is_shaken && !c->has_failed)
        (void)say_end(t, c);
    else
        c->below.ops->end(&c->below);
}

static void tls_close(struct transport *t)
{
    struct tls_conn *c = t->state;
    if (c == NULL) return;
    SSL_free(c->ssl);
    tls_ask_free(c);      /* whose identity the session may point to */
    c->below.from = NULL; /* the outer one's */
    c->below.ops->close(&c->below);
    tls_unref(&c->tls);
    free(c);
    free(t->from);
    t->from = NULL;
    t->state = NULL;
    t->fd = -1;
}

static const struct transport_ops transport_tls = {
    .name = "tls",
    .watch = tls_watch,
    .read = tls_read,
    .write = tls_write,
    .identity = tls_identity,
    .ask = tls_ask,
    .certificate = tls_certificate,
    .facts = socket_facts,
    .patience = socket_patience,
    .probe = socket_probe,
    .end = tls_end,
    .close = tls_close,
};

/* A session that waits for its ClientHello. NULL: no memory. */
static SSL *new_session(struct tls *tls, struct tls_conn *c)
{
    SSL *ssl = SSL_new(tls->ctx);
    BIO *socket = ssl == NULL ? NULL : BIO_new(tls->socket);
    if (socket == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    BIO_set_data(socket, c);
    SSL_set_bio(ssl, socket, socket);
    SSL_set_app_data(ssl, c);
    SSL_set_accept_state(ssl);
    return ssl;
}

enum err tls_open(struct tls *tls, struct transport *t)
{
    struct tls_conn *c = calloc(1, sizeof *c);
    if (c == NULL) return ERR_NOMEM;
    c->ssl = tls_ask_new(tls, c) ? new_session(tls, c) : NULL;
    ERR_clear_error();
    if (c->ssl == NULL) {
        tls_ask_free(c);
        free(c);
        return ERR_NOMEM;
    }
    c->tls = tls_ref(tls);
    c->below = *t;
    c->below.from = NULL;
    *t = (struct transport){
        .ops = &transport_tls,
        .fd = t->fd,
        .needs = TRANSPORT_SHAKES,
        .state = c,
        .from = t->from,
    };
    return ERR_OK;
}
