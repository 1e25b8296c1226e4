/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"
#include "net/interface.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static void set_port(struct sockaddr *a, uint16_t port)
{
    if (a->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)a)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)a)->sin6_port = htons(port);
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage a = { 0 };
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0) return 0;
    return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                        : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static enum err open_one(struct listener *l, const struct addrinfo *at, const struct listener_conf *conf)
{
    int on = 1;
    if (conf->interface != NULL && interface_narrow(conf->interface, at->ai_addr) != ERR_OK) return ERR_SYS;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return ERR_SYS;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (conf->nodelay) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* IPv4 has a socket of its own, so that the two do not collide. */
    if (at->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    set_port(at->ai_addr, l->port);
    if (bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, LISTENER_BACKLOG) != 0) {
        int why = errno;
        close(fd);
        errno = why;
        return ERR_SYS;
    }
    l->fds[l->fds_count++] = fd;
    l->port = bound_port(fd); /* the second address takes the port that the first one got */
    return ERR_OK;
}

static bool is_no_family_here(enum err rc)
{
    return rc == ERR_SYS && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL || errno == ENODEV);
}

/* A machine or an interface without IPv6 still serves IPv4: a family that does not exist is passed over. */
static enum err open_all(struct listener *l, const struct addrinfo *found, const struct listener_conf *conf)
{
    enum err rc = ERR_NOTFOUND;
    for (const struct addrinfo *at = found; at != NULL && l->fds_count < LISTENER_FDS_MAX; at = at->ai_next) {
        enum err one = open_one(l, at, conf);
        if (is_no_family_here(one) && (at->ai_next != NULL || l->fds_count > 0)) continue;
        rc = one;
        if (rc != ERR_OK) return rc;
    }
    return rc;
}

enum err listener_open(struct listener *l, const struct listener_conf *conf)
{
    struct addrinfo *found = NULL;
    struct addrinfo hints = { .ai_family = conf->family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    *l = (struct listener){ .port = conf->port };
    if (getaddrinfo(conf->address, "0", &hints, &found) != 0) return ERR_NOTFOUND;
    enum err rc = open_all(l, found, conf);
    freeaddrinfo(found);
    if (rc != ERR_OK) {
        int why = errno;
        listener_close(l);
        errno = why;
    }
    return rc;
}

void listener_close(struct listener *l)
{
    for (unsigned i = 0; i < l->fds_count; i++) close(l->fds[i]);
    l->fds_count = 0;
}

void listener_nodelay(struct listener *l, bool on)
{
    int value = on;
    for (unsigned i = 0; i < l->fds_count; i++)
        setsockopt(l->fds[i], IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
}

void listener_mute(struct listener *l)
{
    for (unsigned i = 0; i < l->fds_count; i++) shutdown(l->fds[i], SHUT_RDWR);
}

void listener_unmute(struct listener *l)
{
    for (unsigned i = 0; i < l->fds_count; i++) listen(l->fds[i], LISTENER_BACKLOG);
}

enum err listener_accept(int fd, int *out)
{
    *out = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*out >= 0) return ERR_OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return ERR_AGAIN;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) return ERR_FULL;
    return ERR_CLOSED;
}
