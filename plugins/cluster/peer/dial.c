/* SPDX-License-Identifier: Apache-2.0 */
/* Ports to listen at, and nodes to dial. Names of hosts are looked up by the C library's own threads. */
#include "peer/peer_int.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void where_print(const struct sockaddr *sa, socklen_t len, char out[PEER_WHERE_BYTES])
{
    char host[PEER_WHERE_BYTES - 10] = "?", port[8] = "?";

    (void)getnameinfo(sa, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, PEER_WHERE_BYTES, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

static bool is_here(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, sa, sizeof in6);
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

/* Nothing proves who is who: then it is this machine or nobody. */
static bool is_open_to_all(const struct peers *p)
{
    return p->secret_bytes == 0 && p->tls == NULL;
}

static void options_set(const struct peers *p, int fd)
{
    int on = 1, idle_s = 1, every_s = 1, most = 3;
    unsigned patience_ms = p->conf.silence_ms;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &most, sizeof most);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
}

static int look_up(const char *host, uint16_t port, int flags, struct addrinfo **out)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
    char service[8];

    *out = NULL;
    snprintf(service, sizeof service, "%u", port);
    return getaddrinfo(host, service, &hints, out);
}

/* --- doors */

static enum err door_bind(struct peers *p, int plane, const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &p->doors[plane - 1] };

    if (fd < 0) return ERR_SYS;
    p->doors[plane - 1].fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, 2 * PEER_GUESTS_MAX) != 0) return ERR_SYS;
    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? ERR_OK : ERR_SYS;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t len = sizeof sa;
    struct sockaddr_in in;

    (void)getsockname(fd, (struct sockaddr *)&sa, &len);
    memcpy(&in, &sa, sizeof in); /* the port is in the same place in both families */
    return ntohs(in.sin_port);
}

static enum err door_open(struct peers *p, int plane, char *text)
{
    const struct peer_address *at = &p->conf.listen;
    uint16_t port = plane == WIRE_PEER ? at->peer_port : at->election_port;
    bool is_any = at->host[0] == '\0' || strcmp(at->host, "*") == 0;
    struct addrinfo *list;
    int bad = look_up(is_any ? NULL : at->host, port, AI_PASSIVE, &list);
    enum err rc = ERR_OK;

    if (bad != 0) {
        snprintf(text, PEER_TEXT_BYTES, "%s: %s", at->host, gai_strerror(bad));
        return ERR_RANGE;
    }
    if (is_open_to_all(p) && !is_here(list->ai_addr)) {
        snprintf(text, PEER_TEXT_BYTES,
                 "%s is not an address of this machine alone: give the nodes of the cluster a secret or TLS",
                 is_any ? "*" : at->host);
        rc = ERR_RANGE;
    } else if (door_bind(p, plane, list) != ERR_OK) {
        snprintf(text, PEER_TEXT_BYTES, "%s port %u: %s", is_any ? "*" : at->host, port, strerror(errno));
        rc = ERR_SYS;
    }
    freeaddrinfo(list);
    return rc;
}

enum err peer_doors_open(struct peers *p, char *text)
{
    enum err rc = door_open(p, WIRE_PEER, text);

    if (rc == ERR_OK) rc = door_open(p, WIRE_ELECTION, text);
    if (rc != ERR_OK) return rc;
    p->listens = p->conf.listen;
    p->listens.peer_port = bound_port(p->doors[0].fd);
    p->listens.election_port = bound_port(p->doors[1].fd);
    return ERR_OK;
}

/* --- who comes in */

/* Ends the oldest of those that have proven nothing, when they are too many. */
static void guests_limit(struct peers *p)
{
    struct peer_conn *oldest = NULL;
    int count = 0;

    for (struct peer_conn *c = p->conns; c != NULL; c = c->next) {
        if (c->is_dialler || c->state == PEER_UP || c->state == PEER_DEAD) continue;
        count++;
        oldest = c;
    }
    if (count < PEER_GUESTS_MAX) return;
    p->stat.refused++;
    peer_conn_kill(p, oldest, "too many connections that have proven nothing");
}

static void door_shut(struct peers *p, struct peer_door *d)
{
    if (epoll_ctl(p->epoll, EPOLL_CTL_DEL, d->fd, NULL) == 0) d->opens_ms = p->now_ms + PEER_PAUSE_MS;
    peer_say(p, NULL, 0, "no connection can be taken: %s", strerror(errno));
}

void peer_accept(struct peers *p, int plane)
{
    struct peer_door *d = &p->doors[plane - 1];

    for (int i = 0; i < PEER_ACCEPTS_A_TURN; i++) {
        struct sockaddr_storage sa = { 0 };
        socklen_t len = sizeof sa;
        int fd = accept4(d->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) door_shut(p, d);
            return;
        }
        guests_limit(p);
        options_set(p, fd);
        struct peer_conn *c = peer_conn_new(p, fd, plane);
        if (c == NULL) return;
        where_print((struct sockaddr *)&sa, len, c->where);
        peer_shake_begin(p, c);
        peer_conn_flush(p, c);
    }
}

/* --- whom we dial */

struct peer_lookup {
    struct peer_lookup *next;
    struct gaicb *list[1];
    struct gaicb ask;
    struct addrinfo hints;
    char host[ZAB_ADDRESS_BYTES], service[8];
};

static void lookup_free(struct peer_lookup *k)
{
    if (k->ask.ar_result != NULL) freeaddrinfo(k->ask.ar_result);
    free(k);
}

static struct peer_lookup *lookup_new(const char *host, uint16_t port)
{
    struct peer_lookup *k = calloc(1, sizeof *k);

    if (k == NULL) return NULL;
    snprintf(k->host, sizeof k->host, "%s", host);
    snprintf(k->service, sizeof k->service, "%u", port);
    k->hints = (struct addrinfo){ .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    k->ask = (struct gaicb){ .ar_name = k->host, .ar_service = k->service, .ar_request = &k->hints };
    k->list[0] = &k->ask;
    if (getaddrinfo_a(GAI_NOWAIT, k->list, 1, NULL) == 0) return k;
    free(k);
    return NULL;
}

void peer_lookup_forget(struct peers *p, struct peer_link *l)
{
    struct peer_lookup *k = l->lookup;

    l->lookup = NULL;
    if (k == NULL) return;
    if (gai_error(&k->ask) == EAI_INPROGRESS && gai_cancel(&k->ask) == EAI_NOTCANCELED) {
        k->next = p->orphans;
        p->orphans = k;
        return;
    }
    lookup_free(k);
}

static void orphans_sweep(struct peers *p)
{
    struct peer_lookup **at = &p->orphans;

    while (*at != NULL) {
        struct peer_lookup *k = *at;
        if (gai_error(&k->ask) == EAI_INPROGRESS) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        lookup_free(k);
    }
}

/* At the end: a thread of the C library still writes into them. */
void peer_orphans_free(struct peers *p)
{
    while (p->orphans != NULL) {
        const struct gaicb *const list[] = { &p->orphans->ask };
        (void)gai_suspend(list, 1, NULL);
        orphans_sweep(p);
    }
}

static uint64_t draw(struct peers *p, uint64_t below)
{
    p->random = p->random * 6364136223846793005u + 1442695040888963407u;
    return (p->random >> 33) % below;
}

void peer_dial_again(struct peers *p, struct peer_link *l, uint64_t up_ms)
{
    if (up_ms > 0 && p->now_ms - up_ms >= PEER_LIVED_MS) l->backoff_ms = 0;
    l->dial_ms = p->now_ms;
    if (l->backoff_ms == 0) {
        l->backoff_ms = p->conf.retry_min_ms;
        return;
    }
    l->dial_ms += l->backoff_ms / 2 + draw(p, l->backoff_ms / 2 + 1);
    l->backoff_ms = l->backoff_ms < p->conf.retry_max_ms / 2 ? 2 * l->backoff_ms : p->conf.retry_max_ms;
}

static void fails(struct peers *p, struct peer_remote *r, int plane, const char *why)
{
    peer_say(p, r, plane, "server.%u at %s cannot be dialled: %s", r->id, r->at.host, why);
    peer_dial_again(p, &r->links[plane - 1], 0);
}

static void connect_to(struct peers *p, struct peer_remote *r, int plane, const struct addrinfo *a)
{
    if (is_open_to_all(p) && !is_here(a->ai_addr)) {
        fails(p, r, plane, "it is not on this machine, and there is neither a secret nor TLS");
        return;
    }
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fails(p, r, plane, strerror(errno));
        return;
    }
    options_set(p, fd);
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
        int e = errno;
        close(fd);
        fails(p, r, plane, strerror(e));
        return;
    }
    struct peer_conn *c = peer_conn_new(p, fd, plane);
    if (c == NULL) {
        fails(p, r, plane, "out of memory");
        return;
    }
    c->is_dialler = true;
    c->peer = r->id;
    where_print(a->ai_addr, a->ai_addrlen, c->where);
    r->links[plane - 1].conn = c;
}

/* The next of its addresses. */
static void connect_some(struct peers *p, struct peer_remote *r, int plane, const struct addrinfo *list)
{
    struct peer_link *l = &r->links[plane - 1];
    const struct addrinfo *a = list;
    uint32_t count = 0;

    for (; a != NULL; a = a->ai_next) count++;
    count = l->tries++ % count;
    for (a = list; count > 0; count--) a = a->ai_next;
    connect_to(p, r, plane, a);
}

static void lookup_run(struct peers *p, struct peer_remote *r, int plane)
{
    struct peer_link *l = &r->links[plane - 1];
    int rc = gai_error(&l->lookup->ask);

    if (rc == EAI_INPROGRESS) return;
    struct peer_lookup *k = l->lookup;
    l->lookup = NULL;
    if (rc != 0)
        fails(p, r, plane, gai_strerror(rc));
    else
        connect_some(p, r, plane, k->ask.ar_result);
    lookup_free(k);
}

static void dial_one(struct peers *p, struct peer_remote *r, int plane)
{
    struct peer_link *l = &r->links[plane - 1];
    uint16_t port = plane == WIRE_PEER ? r->at.peer_port : r->at.election_port;
    struct addrinfo *list;

    if (l->lookup != NULL) {
        lookup_run(p, r, plane);
        return;
    }
    if (look_up(r->at.host, port, AI_NUMERICHOST, &list) == 0) {
        connect_some(p, r, plane, list);
        freeaddrinfo(list);
        return;
    }
    l->lookup = lookup_new(r->at.host, port);
    if (l->lookup == NULL) fails(p, r, plane, "out of memory");
}

static bool is_dialled(const struct peers *p, const struct peer_remote *r)
{
    return r->id != 0 && r->is_member && r->is_good && r->id < p->conf.id;
}

void peer_dial(struct peers *p)
{
    orphans_sweep(p);
    for (int i = 0; i < PEER_REMOTES_MAX; i++) {
        struct peer_remote *r = &p->remotes[i];
        if (!is_dialled(p, r)) continue;
        for (int plane = WIRE_PEER; plane <= WIRE_ELECTION; plane++) {
            const struct peer_link *l = &r->links[plane - 1];
            if (l->conn == NULL && l->dial_ms <= p->now_ms) dial_one(p, r, plane);
        }
    }
}

uint64_t peer_dial_next_ms(const struct peers *p)
{
    uint64_t next = UINT64_MAX;

    for (int i = 0; i < PEER_REMOTES_MAX * PEER_PLANES; i++) {
        const struct peer_remote *r = &p->remotes[i / PEER_PLANES];
        const struct peer_link *l = &r->links[i % PEER_PLANES];
        if (!is_dialled(p, r) || l->conn != NULL) continue;
        uint64_t at = l->lookup != NULL ? p->now_ms + PEER_LOOK_MS : l->dial_ms;
        if (at < next) next = at;
    }
    return next;
}
