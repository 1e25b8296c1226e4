/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_wire - what goes below MQTT and WebSocket: a socket, or TLS on one.
 *
 * Thread:  a connection's owner; the context is shared and never changed.
 * Memory:  OpenSSL's, until bench_wire_tls_close().
 * Limits:  one TLS record a write.
 * Errors:  as those of send and recv: -1 with errno set, EAGAIN: later; bench_wire_problem() has the words.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_WIRE_H
#define CLI_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"

struct ssl_st;
struct ssl_ctx_st;

struct bench_wire {
    int fd;             /* -1: none */
    struct ssl_st *tls; /* NULL: without */
};

/* cafile "": the system's authorities. checks: whether the broker's certificate is looked at. */
enum err bench_wire_tls_new(struct ssl_ctx_st **out, const char *cafile, bool checks, char *problem,
                            size_t problem_bytes);
void bench_wire_tls_free(struct ssl_ctx_st **owner);

/* Puts TLS on a socket that connects; the handshake is made with the first reads and writes. host is what
 * the certificate must be for. */
void bench_wire_tls_open(struct bench_wire *w, struct ssl_ctx_st *context, const char *host);
void bench_wire_tls_close(struct bench_wire *w);

ssize_t bench_wire_send(struct bench_wire *w, const struct iovec *parts, int count);
/* n: at least 16 KiB. */
ssize_t bench_wire_recv(struct bench_wire *w, void *at, size_t n);

/* After EAGAIN of a send: does it wait for room, and not for what the peer has to say first? */
bool bench_wire_wants_room(const struct bench_wire *w);

/* Says the last word of this side. */
void bench_wire_end(struct bench_wire *w);

/* What went wrong last on this thread, in words. */
const char *bench_wire_problem(void);

#endif
