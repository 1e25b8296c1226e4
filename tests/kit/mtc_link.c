/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/mtc_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

static int connect_by_name(const struct link_to *to, int wait_ms)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char service[16];
    int fd = -1;

    (void)snprintf(service, sizeof service, "%u", to->port);
    if (getaddrinfo(to->host, service, &hints, &found) != 0) return -1;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) fd = connect_to(a, wait_ms);
    freeaddrinfo(found);
    return fd;
}

static int connect_to_path(const char *path, int wait_ms)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct addrinfo a = { .ai_family = AF_UNIX, .ai_addr = (struct sockaddr *)&un, .ai_addrlen = sizeof un };

    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    return connect_to(&a, wait_ms);
}

static bool flush(struct link *l, long long until_ms)
{
    while (l->wire.to_net.len > 0) {
        ssize_t n = send(l->fd, l->wire.to_net.at, l->wire.to_net.len, MSG_NOSIGNAL);
        if (n > 0) {
            wire_drop(&l->wire.to_net, (size_t)n);
        } else if (errno != EINTR) {
            if (errno != EAGAIN || !ready(l->fd, POLLOUT, until_ms)) return false;
        }
    }
    return true;
}

/* Takes what has come. False: the other side has closed. */
static bool pull(struct link *l)
{
    uint8_t chunk[16384];
    const char *trouble = l->wire.trouble;
    ssize_t n = recv(l->fd, chunk, sizeof chunk, 0);

    if (n <= 0) return n < 0 && (errno == EINTR || errno == EAGAIN);
    wire_take(&l->wire, chunk, (size_t)n);
    out_add(&l->in, l->wire.plain.at, l->wire.plain.len);
    l->wire.plain.len = 0;
    if (l->wire.trouble != trouble) fprintf(stderr, "mtc: %s\n", l->wire.trouble);
    (void)flush(l, 0); /* what does not go now, an answer to a Close perhaps, goes later or never */
    return l->wire.trouble == NULL;
}

static bool shake(struct link *l, const struct link_to *to, long long until_ms)
{
    struct wire_conf conf = { .is_tls = to->is_tls, .is_websocket = to->is_websocket };

    if (!wire_init(&l->wire, &conf)) return false;
    while (flush(l, until_ms) && !wire_is_open(&l->wire))
        if (!ready(l->fd, POLLIN, until_ms) || !pull(l)) return false;
    return wire_is_open(&l->wire);
}

bool link_open(struct link *l, const struct link_to *to, int wait_ms)
{
    *l = (struct link){ .fd = -1 };
    l->fd = to->path != NULL ? connect_to_path(to->path, wait_ms) : connect_by_name(to, wait_ms);
    if (l->fd < 0) return false;
    if (shake(l, to, now_ms() + wait_ms)) return true;
    link_close(l);
    return false;
}

bool link_send(struct link *l, const struct out *bytes, int wait_ms)
{
    wire_send(&l->wire, bytes->at, bytes->len);
    return flush(l, now_ms() + wait_ms);
}

enum mtc_got link_next(struct link *l, int wait_ms)
{
    long long until_ms = now_ms() + wait_ms;

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
        if (!pull(l)) return l->in.len > 0 || l->wire.trouble != NULL ? GOT_HALF : GOT_CLOSE;
    }
}

/* Has more of MQTT come, or the end? What comes may be for the layers below alone. */
static bool has_news(struct link *l, short events)
{
    size_t had = l->in.len;
    return events != 0 && (!pull(l) || l->in.len > had);
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
        if (n > 0 && has_news(a, both[0].revents)) return a;
        if (n > 0 && has_news(b, both[1].revents)) return b;
        if (n == 0 || (n < 0 && errno != EINTR)) return NULL;
    }
}

void link_finish(struct link *l)
{
    wire_finish(&l->wire);
    (void)flush(l, 0);
    (void)shutdown(l->fd, SHUT_WR);
}

void link_close(struct link *l)
{
    if (l->fd >= 0) close(l->fd);
    out_clear(&l->in);
    wire_fini(&l->wire);
    *l = (struct link){ .fd = -1 };
}
