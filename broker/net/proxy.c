/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy.h"
#include "base/check.h"
#include "net/edge_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 *   proxy_open -> read: fill, proxy_parse ... -> (whole) skip -> rise -> the transport above
 *
 * Bytes are taken from the socket only when they are the header's for sure, so that what follows is still in
 * it for OpenSSL, which reads the socket itself. A line of version 1 has no length: it is peeked at first.
 * What was peeked at and is not the line's end is taken too, or the loop would be told of it again and again.
 */

struct proxy {
    struct edge *edge;
    unsigned versions;
    uint32_t have;  /* bytes of the header that were looked at */
    uint32_t bytes; /* of the header; 0: not known yet */
    uint32_t taken; /* of them */
    uint8_t header[PROXY_SEEN_BYTES];
};

/* After the header, when a name was told with it: a socket that has an identity. */
struct named {
    uint32_t bytes;
    uint8_t name[PROXY_NAME_BYTES];
};

static enum err take(int fd, void *at, size_t size, int flags, size_t *got)
{
    ssize_t n = recv(fd, at, size, flags);
    *got = n > 0 ? (size_t)n : 0;
    if (n > 0) return ERR_OK;
    bool waits = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    return waits ? ERR_AGAIN : ERR_CLOSED;
}

/* Of a line: up to its end, or all that is there. */
static enum err fill_line(struct proxy *p, int fd, size_t *got)
{
    size_t room = PROXY_V1_BYTES_MAX - p->have;
    enum err rc = take(fd, p->header + p->have, room, MSG_PEEK, got);
    if (rc != ERR_OK) return rc;
    const uint8_t *end = memchr(p->header + p->have, '\n', *got);
    size_t mine = end == NULL ? *got : (size_t)(end - p->header) + 1 - p->have;
    return take(fd, p->header + p->have, mine, 0, got);
}

/* More of a header that is not whole. */
static enum err fill(struct proxy *p, int fd)
{
    size_t got = 0;
    size_t want = p->have < PROXY_FIRST_BYTES ? (size_t)PROXY_FIRST_BYTES : (size_t)PROXY_V2_BYTES;
    if (p->bytes > 0) want = p->bytes < PROXY_SEEN_BYTES ? p->bytes : (size_t)PROXY_SEEN_BYTES;
    bool is_line = p->have >= PROXY_FIRST_BYTES && p->header[0] == 'P';
    enum err rc = is_line ? fill_line(p, fd, &got) : take(fd, p->header + p->have, want - p->have, 0, &got);
    p->have += (uint32_t)got;
    p->taken += (uint32_t)got;
    return rc;
}

/* What is beyond the bytes that are looked at. */
static enum err skip(struct proxy *p, int fd)
{
    uint8_t nobody[4096];
    while (p->taken < p->bytes) {
        size_t got, left = p->bytes - p->taken;
        enum err rc = take(fd, nobody, left < sizeof nobody ? left : sizeof nobody, 0, &got);
        if (rc != ERR_OK) return rc;
        p->taken += (uint32_t)got;
    }
    return ERR_OK;
}

static void proxy_free(struct transport *t)
{
    struct proxy *p = t->state;
    if (p != NULL) edge_unref(&p->edge);
    free(p);
    t->state = NULL;
}

/* --- the socket, with a name */

static enum err named_identity(const struct transport *t, enum transport_identity which, char *out,
                               size_t size)
{
    const struct named *n = t->state;
    if (which != TRANSPORT_COMMON_NAME) return ERR_NOTFOUND;
    if (n->bytes >= size || n->bytes == 0 || memchr(n->name, 0, n->bytes) != NULL) return ERR_SYNTAX;
    memcpy(out, n->name, n->bytes);
    out[n->bytes] = '\0';
    return ERR_OK;
}

static enum err named_watch(struct transport *t, int epoll_fd, int op, struct epoll_event *e)
{
    return transport_tcp.watch(t, epoll_fd, op, e);
}

static enum err named_read(struct transport *t, void *at, size_t size, size_t *got)
{
    return transport_tcp.read(t, at, size, got);
}

static enum err named_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    return transport_tcp.write(t, parts, count, wrote);
}

static void named_end(struct transport *t)
{
    transport_tcp.end(t);
}

static void named_close(struct transport *t)
{
    free(t->state);
    t->state = NULL;
    transport_tcp.close(t);
}

static const struct transport_ops transport_named = {
    .name = "tcp",
    .watch = named_watch,
    .read = named_read,
    .write = named_write,
    .identity = named_identity,
    .facts = socket_facts,
    .patience = socket_patience,
    .probe = socket_probe,
    .end = named_end,
    .close = named_close,
};

/* --- the header has come */

/* A name that is longer than any certificate's is kept as one that is no text. */
static struct named *named_new(struct bytes name)
{
    struct named *n = calloc(1, sizeof *n);
    if (n == NULL) return NULL;
    n->bytes = name.len < sizeof n->name ? (uint32_t)name.len : 0;
    memcpy(n->name, name.at, n->bytes);
    return n;
}

static enum err rise(struct transport *t, const struct proxy_header *h)
{
    struct proxy *p = t->state;
    struct net_address *from = malloc(sizeof *from);
    /* TLS between the proxy and us stands on a bare socket, and has a name of its own. */
    bool has_name = h->name.at != NULL && !edge_has_tls(p->edge);
    struct named *named = has_name ? named_new(h->name) : NULL;
    if (from == NULL || (has_name && named == NULL)) {
        free(from);
        free(named);
        return ERR_NOMEM;
    }
    transport_address(t, from); /* of the socket, if nothing is told */
    if (h->is_told) *from = h->from;
    struct edge *e = edge_ref(p->edge);
    proxy_free(t);
    t->ops = named != NULL ? &transport_named : &transport_tcp;
    t->state = named;
    t->from = from; /* before: a layer may lend it from the one below */
    enum err rc = edge_climb(e, t);
    edge_unref(&e);
    return rc;
}

static enum err header_read(struct transport *t, struct proxy_header *h)
{
    struct proxy *p = t->state;
    for (;;) {
        enum err rc = proxy_parse(bytes_of(p->header, p->have), p->versions, h, &t->why);
        p->bytes = h->bytes;
        if (rc == ERR_OK) return skip(p, t->fd);
        if (rc == ERR_AGAIN) rc = fill(p, t->fd);
        if (rc != ERR_OK) return rc;
    }
}

static enum err proxy_read(struct transport *t, void *at, size_t size, size_t *got)
{
    struct proxy_header h;
    *got = 0;
    enum err rc = header_read(t, &h);
    if (rc == ERR_OK) rc = rise(t, &h);
    if (rc != ERR_OK) return rc;
    /* A handshake has its turn, within the budget of all of them. */
    return (t->needs & TRANSPORT_SHAKES) != 0 ? ERR_AGAIN : t->ops->read(t, at, size, got);
}

/* MQTT says nothing before it is asked. */
static enum err proxy_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    (void)t, (void)parts;
    *wrote = 0;
    return count == 0 ? ERR_OK : ERR_CLOSED;
}

static enum err proxy_watch(struct transport *t, int epoll_fd, int op, struct epoll_event *e)
{
    return transport_tcp.watch(t, epoll_fd, op, e);
}

static enum err proxy_identity(const struct transport *t, enum transport_identity which, char *out,
                               size_t size)
{
    return transport_tcp.identity(t, which, out, size);
}

static void proxy_end(struct transport *t)
{
    transport_tcp.end(t);
}

static void proxy_close(struct transport *t)
{
    proxy_free(t);
    transport_tcp.close(t);
}

static const struct transport_ops transport_proxy = {
    .name = "proxy",
    .watch = proxy_watch,
    .read = proxy_read,
    .write = proxy_write,
    .identity = proxy_identity,
    .facts = socket_facts,
    .patience = socket_patience,
    .probe = socket_probe,
    .end = proxy_end,
    .close = proxy_close,
};

enum err proxy_open(struct edge *e, unsigned versions, struct transport *t)
{
    struct proxy *p = calloc(1, sizeof *p);
    CHECK(t->ops == &transport_tcp);
    if (p == NULL) return ERR_NOMEM;
    p->edge = edge_ref(e);
    p->versions = versions;
    t->ops = &transport_proxy;
    t->state = p;
    return ERR_OK;
}
