/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

enum { RECORD_BYTES = 16384, READ_MAX = 1 << 30 };

enum err bench_wire_tls_new(struct ssl_ctx_st **out, const char *cafile, bool checks, char *problem,
                            size_t problem_bytes)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    CHECK(c != NULL);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    if (checks) SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    int good = cafile[0] != '\0' ? SSL_CTX_load_verify_locations(c, cafile, NULL)
                                 : SSL_CTX_set_default_verify_paths(c);
    *out = c;
    if (good == 1) return ERR_OK;
    snprintf(problem, problem_bytes, "--cafile %s: no certificates can be read from it (%s)", cafile,
             bench_wire_problem());
    bench_wire_tls_free(out);
    return ERR_NOTFOUND;
}

void bench_wire_tls_free(struct ssl_ctx_st **owner)
{
    SSL_CTX_free(*owner);
    *owner = NULL;
}

static bool is_address(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

void bench_wire_tls_open(struct bench_wire *w, struct ssl_ctx_st *context, const char *host)
{
    w->tls = SSL_new(context);
    CHECK(w->tls != NULL);
    CHECK(SSL_set_fd(w->tls, w->fd) == 1);
    if (is_address(host)) {
        CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(w->tls), host) == 1);
    } else {
        CHECK(SSL_set1_host(w->tls, host) == 1);
        /* as SSL_set_tlsext_host_name, whose cast drops const */
        CHECK(SSL_ctrl(w->tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                       (void *)(uintptr_t)host) == 1);
    }
    SSL_set_connect_state(w->tls);
}

void bench_wire_tls_close(struct bench_wire *w)
{
    SSL_free(w->tls);
    w->tls = NULL;
}

/* What a call of SSL gave, as send and recv would say it. */
static ssize_t result_of(struct bench_wire *w, int n)
{
    if (n > 0) return n;
    switch (SSL_get_error(w->tls, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL:
        if (errno == 0) return 0; /* the peer is gone and has not said so */
        return -1;
    default: errno = EPROTO; return -1;
    }
}

static size_t gather(const struct iovec *parts, int count, unsigned char at[RECORD_BYTES])
{
    size_t n = 0;
    for (int i = 0; i < count && n < RECORD_BYTES; i++) {
        size_t some = parts[i].iov_len < RECORD_BYTES - n ? parts[i].iov_len : RECORD_BYTES - n;
        if (some > 0) memcpy(at + n, parts[i].iov_base, some);
        n += some;
    }
    return n;
}

ssize_t bench_wire_send(struct bench_wire *w, const struct iovec *parts, int count)
{
    if (w->tls == NULL) {
        if (count == 1) return send(w->fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL);
        struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count };
        return sendmsg(w->fd, &m, MSG_NOSIGNAL);
    }
    unsigned char record[RECORD_BYTES];
    size_t n = gather(parts, count, record);
    ERR_clear_error();
    errno = 0;
    return result_of(w, SSL_write(w->tls, record, (int)n));
}

ssize_t bench_wire_recv(struct bench_wire *w, void *at, size_t n)
{
    if (w->tls == NULL) return recv(w->fd, at, n, 0);
    CHECK(n >= RECORD_BYTES); /* a whole record: nothing stays in OpenSSL, where no epoll sees it */
    ERR_clear_error();
    errno = 0;
    return result_of(w, SSL_read(w->tls, at, n < READ_MAX ? (int)n : READ_MAX));
}

bool bench_wire_wants_room(const struct bench_wire *w)
{
    return w->tls == NULL || SSL_want_write(w->tls);
}

void bench_wire_end(struct bench_wire *w)
{
    ERR_clear_error();
    if (w->tls != NULL) SSL_shutdown(w->tls);
    shutdown(w->fd, SHUT_WR);
}

const char *bench_wire_problem(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *words = code != 0 ? ERR_reason_error_string(code) : NULL;
    return words != NULL ? words : strerror(errno);
}
