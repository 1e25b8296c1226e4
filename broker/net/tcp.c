/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"
#include "net/transport.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static enum err failed(void)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return ERR_AGAIN;
    if (errno == ECONNRESET || errno == EPIPE || errno == ETIMEDOUT || errno == EHOSTUNREACH)
        return ERR_CLOSED;
    return ERR_SYS;
}

static enum err tcp_watch(struct transport *t, int epoll_fd, int op, struct epoll_event *e)
{
    return epoll_ctl(epoll_fd, op, t->fd, e) == 0 ? ERR_OK : ERR_SYS;
}

static enum err tcp_read(struct transport *t, void *at, size_t size, size_t *got)
{
    ssize_t n = recv(t->fd, at, size, 0);
    *got = n > 0 ? (size_t)n : 0;
    if (n > 0) return ERR_OK;
    return n == 0 ? ERR_CLOSED : failed();
}

static enum err tcp_write(struct transport *t, struct iovec *parts, int count, size_t *wrote)
{
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = (size_t)count };
    /* Most writes are of one part; the kernel need not fetch a list for them. */
    ssize_t n = count == 1 ? send(t->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
                           : sendmsg(t->fd, &m, MSG_NOSIGNAL);
    *wrote = n > 0 ? (size_t)n : 0;
    return n >= 0 ? ERR_OK : failed();
}

static void tcp_end(struct transport *t)
{
    shutdown(t->fd, SHUT_WR);
}

static enum err tcp_identity(const struct transport *t, enum transport_identity which, char *out, size_t size)
{
    (void)t, (void)which, (void)out, (void)size;
    return ERR_NOTFOUND;
}

static void tcp_close(struct transport *t)
{
    if (t->fd >= 0) close(t->fd);
    t->fd = -1;
    free(t->from);
    t->from = NULL;
}

const struct transport_ops transport_tcp = {
    .name = "tcp",
    .is_bare = true,
    .watch = tcp_watch,
    .read = tcp_read,
    .write = tcp_write,
    .identity = tcp_identity,
    .facts = socket_facts,
    .patience = socket_patience,
    .probe = socket_probe,
    .end = tcp_end,
    .close = tcp_close,
};
