/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"

enum {
    BUFFER_FIRST = 128,        /* CONNECT, SUBSCRIBE: an idle client needs no more */
    SOURCE_FIRST = 0x7f010001, /* 127.1.0.1 */
    LOOPBACK_NET = 127,
};

enum err bench_target_find(struct bench_target *t, const char *host, uint16_t port, char *problem,
                           size_t problem_bytes)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);

    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0) {
        snprintf(problem, problem_bytes,
                 "--host: '%s' has no address (%s); give a name or an address of the broker", host,
                 gai_strerror(rc));
        return ERR_NOTFOUND;
    }
    memcpy(&t->address, found->ai_addr, found->ai_addrlen);
    t->address_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    if (t->address.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &t->address, sizeof in);
        if (ntohl(in.sin_addr.s_addr) >> 24 == LOOPBACK_NET) return ERR_OK;
    }
    t->sources = 0; /* only the loopback net has addresses to spare */
    return ERR_OK;
}

/* The port is chosen at connect(), where the kernel knows the other end, so each source has all ports for it.
 */
static enum err bind_source(int fd, uint32_t n)
{
    int one = 1;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(SOURCE_FIRST + n) };
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(fd, (struct sockaddr *)&in, sizeof in) == 0 ? ERR_OK : ERR_SYS;
}

static enum err start_connect(struct conn *c, const struct bench_target *t)
{
    int one = 1;
    setsockopt(c->wire.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->wire.fd, (const struct sockaddr *)&t->address, t->address_bytes) == 0) return ERR_OK;
    return errno == EINPROGRESS ? ERR_OK : ERR_SYS;
}

enum err conn_open(struct conn *c, const struct bench_target *t, uint32_t n)
{
    CHECK(c->wire.fd < 0);
    c->wire.fd = socket(t->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum err rc = c->wire.fd >= 0 ? ERR_OK : ERR_SYS;
    if (rc == ERR_OK && t->sources > 0) rc = bind_source(c->wire.fd, n % t->sources);
    if (rc == ERR_OK) rc = start_connect(c, t);
    if (rc == ERR_OK && t->tls != NULL) bench_wire_tls_open(&c->wire, t->tls, t->host);
    c->ws = (struct bench_ws){ .is_on = t->is_websocket };
    c->state = CONN_GREETING;
    if (rc != ERR_OK) {
        int saved = errno;
        conn_close(c);
        errno = saved;
    }
    return rc;
}

void conn_close(struct conn *c)
{
    bench_wire_tls_close(&c->wire);
    if (c->wire.fd >= 0) close(c->wire.fd);
    c->wire.fd = -1;
    c->state = CONN_CLOSED;
    c->write_blocked = c->is_watched = false;
    c->out.len = c->out.start = 0;
    c->in.len = c->in.start = 0;
}

static void buffer_grow(struct conn_buffer *b, uint32_t n)
{
    uint32_t room = b->room > 0 ? b->room : BUFFER_FIRST;
    while (room - b->len < n) room *= 2;
    uint8_t *at = malloc(room);
    CHECK(at != NULL);
    if (b->len > 0) memcpy(at, b->at + b->start, b->len);
    free(b->at);
    *b = (struct conn_buffer){ at, 0, b->len, room };
}

static uint8_t *buffer_reserve(struct conn_buffer *b, uint32_t n)
{
    if (b->len == 0) b->start = 0;
    if (b->room - b->start - b->len < n) buffer_grow(b, n);
    uint8_t *at = b->at + b->start + b->len;
    b->len += n;
    return at;
}

uint8_t *conn_reserve(struct conn *c, uint32_t n)
{
    return buffer_reserve(&c->out, n);
}

static void want_events(struct conn *c, int epoll_fd, bool writable)
{
    struct epoll_event want = { .events = EPOLLIN | (writable ? EPOLLOUT : 0u), .data.ptr = c };
    if (c->is_watched && c->write_blocked == writable) return;
    CHECK(epoll_ctl(epoll_fd, c->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->wire.fd, &want) == 0);
    c->is_watched = true;
    c->write_blocked = writable;
}

enum err conn_flush(struct conn *c, int epoll_fd)
{
    while (c->out.len > 0) {
        struct iovec all = { c->out.at + c->out.start, c->out.len };
        ssize_t n = c->ws.is_on ? bench_ws_send(&c->ws, &c->wire, all.iov_base, c->out.len)
                                : bench_wire_send(&c->wire, &all, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_SYS;
        if (n > 0) {
            c->out.start += (uint32_t)n;
            c->out.len -= (uint32_t)n;
        }
        if (c->out.len == 0) break;
        if (n > 0 && c->wire.tls != NULL) continue;                /* a record at a time */
        want_events(c, epoll_fd, bench_wire_wants_room(&c->wire)); /* a partial write: there is no room now */
        return ERR_AGAIN;
    }
    want_events(c, epoll_fd, false);
    return ERR_OK;
}

enum err conn_read(struct conn *c, uint8_t *scratch, size_t scratch_bytes, struct bytes *out)
{
    size_t kept = c->in.len;
    CHECK(kept < scratch_bytes);
    if (kept > 0) memcpy(scratch, c->in.at, kept);

    ssize_t n = bench_wire_recv(&c->wire, scratch + kept, scratch_bytes - kept);
    size_t got = n > 0 ? (size_t)n : 0;
    if (c->ws.is_on && bench_ws_take(&c->ws, scratch + kept, &got) != ERR_OK) {
        errno = EPROTO;
        return ERR_SYS;
    }
    *out = bytes_of(scratch, kept + got);
    if (n > 0) return got > 0 ? ERR_OK : ERR_AGAIN;
    if (n == 0 || errno == ECONNRESET) return ERR_CLOSED;
    return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_SYS;
}

void conn_keep(struct conn *c, struct bytes rest)
{
    c->in.len = 0;
    if (rest.len > 0) memcpy(buffer_reserve(&c->in, (uint32_t)rest.len), rest.at, rest.len);
}

void conn_free_buffers(struct conn *c)
{
    free(c->out.at);
    free(c->in.at);
    c->out = c->in = (struct conn_buffer){ 0 };
}
