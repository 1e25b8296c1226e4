/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"
#include "net/interface.h"
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* Newer than the C library's headers. */
enum { RTO_MAX_MS_OPTION = 44 };

static int rto_max_ms(const struct listener_tcp *tcp)
{
    enum { LEAST = 1000, KERNELS = 120 * 1000 };
    if (tcp->rto_max_ms == 0) return KERNELS;
    return tcp->rto_max_ms < LEAST ? LEAST : (int)tcp->rto_max_ms;
}

static void tune_one(int fd, const struct listener_tcp *tcp)
{
    int values[][2] = {
        { TCP_NODELAY, tcp->nodelay },
        { TCP_THIN_LINEAR_TIMEOUTS, tcp->thin_linear_timeouts },
        { RTO_MAX_MS_OPTION, rto_max_ms(tcp) },
        { TCP_NOTSENT_LOWAT, (int)tcp->notsent_lowat },
        { TCP_DEFER_ACCEPT, (int)tcp->defer_accept_s },
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        setsockopt(fd, IPPROTO_TCP, values[i][0], &values[i][1], sizeof values[i][1]);
}

static enum err open_one(struct listener *l, const struct addrinfo *at, const struct listener_conf *conf)
{
    int on = 1;
    if (conf->interface != NULL && interface_narrow(conf->interface, at->ai_addr) != ERR_OK) return ERR_SYS;
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return ERR_SYS;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    tune_one(fd, &conf->tcp);
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
        (void)listener_close(l);
        errno = why;
    }
    return rc;
}

/* --- sockets of this machine */

static_assert(LISTENER_PATH_BYTES == sizeof((struct sockaddr_un *)0)->sun_path, "a path must fit");

enum { FILE_MODE = 0770 };

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Asked by connecting: only a process that lives answers. 0: nobody listens there; or why we cannot have it.
 */
static int who_has(const struct sockaddr_un *at)
{
    int fd = unix_socket();
    if (fd < 0) return errno;
    int said = connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 ? 0 : errno;
    close(fd);
    if (said == ECONNREFUSED) return 0;
    return said == EACCES ? EACCES : EADDRINUSE;
}

/* Removes what a dead process has left. Sets errno when something stands in the way. */
static bool clear_path(const struct sockaddr_un *at)
{
    struct stat file;
    if (lstat(at->sun_path, &file) != 0) return errno == ENOENT;
    errno = S_ISSOCK(file.st_mode) ? who_has(at) : EEXIST;
    return errno == 0 && unlink(at->sun_path) == 0;
}

static bool bind_path(struct listener *l, const struct sockaddr_un *at, int fd)
{
    struct stat file;
    /* Before bind, so that there is no moment at which others may connect: the file takes over the mode, but
     * for the umask. And after, for what the umask has taken. */
    if (fchmod(fd, FILE_MODE) != 0 || bind(fd, (const struct sockaddr *)at, sizeof *at) != 0) return false;
    memcpy(l->path, at->sun_path, sizeof l->path);
    if (lstat(l->path, &file) != 0) return false;
    l->device = file.st_dev;
    l->inode = file.st_ino;
    return chmod(l->path, FILE_MODE) == 0 && listen(fd, LISTENER_BACKLOG) == 0;
}

enum err listener_open_path(struct listener *l, const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    *l = (struct listener){ .port = 0 };
    if (path[0] == '\0' || strlen(path) >= sizeof at.sun_path) return ERR_RANGE;
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    if (!clear_path(&at)) return ERR_SYS;
    int fd = unix_socket();
    if (fd < 0) return ERR_SYS;
    l->fds[l->fds_count++] = fd;
    if (bind_path(l, &at, fd)) return ERR_OK;
    int why = errno;
    (void)listener_close(l);
    errno = why;
    return ERR_SYS;
}

/* Another process may have put a socket of its own there meanwhile. */
static bool remove_own(const struct listener *l)
{
    struct stat file;
    if (l->path[0] == '\0' || lstat(l->path, &file) != 0) return true;
    if (file.st_dev != l->device || file.st_ino != l->inode) return true;
    return unlink(l->path) == 0;
}

enum err listener_close(struct listener *l)
{
    for (unsigned i = 0; i < l->fds_count; i++) close(l->fds[i]);
    l->fds_count = 0;
    bool removed = remove_own(l);
    l->path[0] = '\0';
    return removed ? ERR_OK : ERR_SYS;
}

const char *listener_why(enum err rc)
{
    if (rc == ERR_NOTFOUND) return "the address does not resolve";
    if (rc == ERR_RANGE) return "the path of a socket has 1 to 107 bytes";
    if (rc != ERR_SYS) return err_text(rc);
    if (errno == EEXIST) return "the path is there and is no socket: remove it, or name another one";
    return strerror(errno);
}

void listener_tune(const struct listener *l, const struct listener_tcp *tcp)
{
    if (l->path[0] != '\0') return;
    for (unsigned i = 0; i < l->fds_count; i++) tune_one(l->fds[i], tcp);
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

uint32_t listener_waiting(int fd)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return UINT32_MAX;
    return info.tcpi_state == TCP_LISTEN ? info.tcpi_unacked : UINT32_MAX;
}
