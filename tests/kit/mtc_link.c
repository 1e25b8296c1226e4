/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/mtc_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kit/mtc_packet.h"

static long long now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static bool ready(int fd, short events, long long until_ms)
{
    struct pollfd p = { .fd = fd, .events = events };

    for (;;) {
        long long left = until_ms - now_ms();
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0) return true;
        if (n == 0 || errno != EINTR) return false;
    }
}

static int connect_to(const struct addrinfo *a, int wait_ms)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int failed = 0, one = 1;
    socklen_t size = sizeof failed;

    if (fd < 0) return -1;
    bool is_open = connect(fd, a->ai_addr, a->ai_addrlen) == 0;
    if (!is_open && errno == EINPROGRESS)
        is_open = ready(fd, POLLOUT, now_ms() + wait_ms) &&
                  getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) == 0 && failed == 0;
    if (!is_open) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

bool link_open(struct link *l, const char *host, unsigned port, int wait_ms)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char service[16];

    *l = (struct link){ .fd = -1 };
    (void)snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) return false;
    for (const struct addrinfo *a = found; a != NULL && l->fd < 0; a = a->ai_next)
        l->fd = connect_to(a, wait_ms);
    freeaddrinfo(found);
    return l->fd >= 0;
}

bool link_send(struct link *l, const struct out *bytes, int wait_ms)
{
    long long until_ms = now_ms() + wait_ms;
    size_t sent = 0;

    while (sent < bytes->len) {
        ssize_t n = send(l->fd, bytes->at + sent, bytes->len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno != EINTR) {
            if (errno != EAGAIN || !ready(l->fd, POLLOUT, until_ms)) return false;
        }
    }
    return true;
}

enum mtc_got link_next(struct link *l, int wait_ms)
{
    long long until_ms = now_ms() + wait_ms;
    uint8_t chunk[16384];

    l->in.len -= l->packet_len;
    if (l->packet_len > 0) memmove(l->in.at, l->in.at + l->packet_len, l->in.len);
    l->packet_len = 0;

    for (;;) {
        long len = mtc_packet_len(l->in.at, l->in.len);
        if (len < 0) return GOT_HALF;
        if (len > 0) {
            l->packet_len = (size_t)len;
            return GOT_PACKET;
        }
        if (!ready(l->fd, POLLIN, until_ms)) return GOT_SILENCE;
        ssize_t n = recv(l->fd, chunk, sizeof chunk, 0);
        if (n > 0)
            out_add(&l->in, chunk, (size_t)n);
        else if (n == 0 || (errno != EINTR && errno != EAGAIN))
            return l->in.len > 0 ? GOT_HALF : GOT_CLOSE;
    }
}

struct link *link_wait_either(struct link *a, struct link *b, int wait_ms)
{
    struct pollfd both[] = { { .fd = a->fd, .events = POLLIN }, { .fd = b->fd, .events = POLLIN } };
    long long until_ms = now_ms() + wait_ms;

    if (a->in.len > a->packet_len) return a;
    if (b->in.len > b->packet_len) return b;
    for (;;) {
        long long left = until_ms - now_ms();
        int n = poll(both, 2, left > 0 ? (int)left : 0);
        if (n > 0) return both[0].revents != 0 ? a : b;
        if (n == 0 || errno != EINTR) return NULL;
    }
}

void link_finish(struct link *l)
{
    (void)shutdown(l->fd, SHUT_WR);
}

void link_close(struct link *l)
{
    if (l->fd >= 0) close(l->fd);
    out_clear(&l->in);
    *l = (struct link){ .fd = -1 };
}
