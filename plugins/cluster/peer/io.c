/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from and to a socket, with TLS on it or without. */
#include "peer/peer_int.h"
#include <errno.h>
#include <openssl/err.h>
#include <unistd.h>

enum { TLS_PIECE_BYTES = 16 * 1024 }; /* a record's; what is tried again is never shorter */

static long verdict(SSL *ssl, int rc)
{
    int e = SSL_get_error(ssl, rc);

    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static long tls_read(struct peer_conn *c, uint8_t *at, size_t size)
{
    size_t got = 0;

    ERR_clear_error();
    int rc = SSL_read_ex(c->ssl, at, size, &got);
    return rc == 1 ? (long)got : verdict(c->ssl, rc);
}

static long tls_write(struct peer_conn *c, const struct iovec *parts, int count)
{
    long all = 0;

    for (int i = 0; i < count; i++) {
        const uint8_t *at = parts[i].iov_base;
        size_t left = parts[i].iov_len;
        while (left > 0) {
            size_t wrote = 0, n = left < TLS_PIECE_BYTES ? left : TLS_PIECE_BYTES;
            ERR_clear_error();
            int rc = SSL_write_ex(c->ssl, at, n, &wrote);
            if (rc != 1) return verdict(c->ssl, rc) == 0 ? all : -1;
            at += wrote;
            left -= wrote;
            all += (long)wrote;
        }
    }
    return all;
}

static long outcome(ssize_t n)
{
    if (n > 0) return n;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

long peer_io_read(struct peer_conn *c, uint8_t *at, size_t size)
{
    return c->ssl != NULL ? tls_read(c, at, size) : outcome(recv(c->fd, at, size, 0));
}

long peer_io_write(struct peer_conn *c, const struct iovec *parts, int count)
{
    struct iovec copy[PEER_PARTS_MAX + 2];
    struct msghdr m = { .msg_iov = copy, .msg_iovlen = (size_t)count };

    if (c->ssl != NULL) return tls_write(c, parts, count);
    for (int i = 0; i < count; i++) copy[i] = parts[i];
    return outcome(sendmsg(c->fd, &m, MSG_NOSIGNAL));
}
