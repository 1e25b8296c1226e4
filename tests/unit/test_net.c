/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/transport.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void open_on(struct listener *l, const char *address, uint16_t port, int family)
{
    struct listener_conf conf = { address, port, family, { .nodelay = true }, NULL };
    CHECK_INT(ERR_OK, listener_open(l, &conf));
    CHECK_TRUE(l->fds_count > 0);
    CHECK_TRUE(l->port != 0);
}

/* A client's socket, connected. -1: this family is not there. */
static int dial(int family, uint16_t port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons(port),
                               .sin6_addr = in6addr_loopback };
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int rc = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4)
                               : connect(fd, (struct sockaddr *)&v6, sizeof v6);
    if (rc == 0) return fd;
    close(fd);
    return -1;
}

static void wait_until(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    CHECK_INT(1, poll(&p, 1, -1));
}

static void accept_one(int from, struct transport *t)
{
    *t = (struct transport){ .ops = &transport_tcp, .fd = -1 };
    CHECK_INT(ERR_OK, listener_accept(from, &t->fd));
}

/* Whichever descriptor of the listener has it. */
static struct transport accept_any(const struct listener *l)
{
    struct pollfd p[LISTENER_FDS_MAX];
    struct transport t = { 0 };
    for (unsigned i = 0; i < l->fds_count; i++) p[i] = (struct pollfd){ .fd = l->fds[i], .events = POLLIN };
    CHECK_TRUE(poll(p, l->fds_count, -1) > 0);
    for (unsigned i = 0; i < l->fds_count; i++)
        if ((p[i].revents & POLLIN) != 0) accept_one(l->fds[i], &t);
    return t;
}

struct pair {
    struct listener listener;
    struct transport here;
    int there;
};

static void open_pair(struct pair *p)
{
    open_on(&p->listener, "127.0.0.1", 0, AF_INET);
    p->there = dial(AF_INET, p->listener.port);
    CHECK_TRUE(p->there >= 0);
    p->here = accept_any(&p->listener);
}

static void close_pair(struct pair *p)
{
    p->here.ops->close(&p->here);
    if (p->there >= 0) close(p->there);
    listener_close(&p->listener);
}

static enum err read_some(struct pair *p, char *at, size_t size, size_t *got)
{
    return p->here.ops->read(&p->here, at, size, got);
}

TEST(port_0_is_a_free_port_and_it_is_told)
{
    struct listener a, b;
    open_on(&a, "127.0.0.1", 0, AF_INET);
    open_on(&b, "127.0.0.1", 0, AF_INET);
    CHECK_TRUE(a.port != b.port);
    listener_close(&a);
    listener_close(&b);
    CHECK_INT(0, a.fds_count);
}

TEST(a_port_that_is_taken_is_a_system_error_with_its_cause)
{
    struct listener first, second;
    open_on(&first, "127.0.0.1", 0, AF_INET);
    struct listener_conf conf = { "127.0.0.1", first.port, AF_INET, { 0 }, NULL };
    CHECK_INT(ERR_SYS, listener_open(&second, &conf));
    CHECK_INT(EADDRINUSE, errno);
    CHECK_INT(0, second.fds_count);
    listener_close(&first);
    CHECK_INT(ERR_OK, listener_open(&second, &conf)); /* free again at once */
    CHECK_INT(conf.port, second.port);
    listener_close(&second);
}

TEST(a_port_taken_in_one_family_leaves_no_half_open_listener)
{
    struct listener first, second;
    open_on(&first, "127.0.0.1", 0, AF_INET);
    struct listener_conf conf = { NULL, first.port, AF_UNSPEC, { 0 }, NULL };
    CHECK_INT(ERR_SYS, listener_open(&second, &conf));
    CHECK_INT(EADDRINUSE, errno);
    CHECK_INT(0, second.fds_count);
    listener_close(&first);
}

TEST(an_address_that_is_none_is_not_found)
{
    struct listener l;
    struct listener_conf conf = { "not an address", 0, AF_INET, { 0 }, NULL };
    CHECK_INT(ERR_NOTFOUND, listener_open(&l, &conf));
    CHECK_INT(0, l.fds_count);
}

static uint32_t bound_v4(const struct listener *l)
{
    struct sockaddr_in a = { 0 };
    socklen_t n = sizeof a;
    CHECK_INT(0, getsockname(l->fds[0], (struct sockaddr *)&a, &n));
    return ntohl(a.sin_addr.s_addr);
}

TEST(bound_to_an_interface_a_listener_has_its_address_only)
{
    struct listener l;
    struct listener_conf conf = { .family = AF_INET, .interface = "lo" };
    CHECK_INT(ERR_OK, listener_open(&l, &conf));
    CHECK_INT(1, l.fds_count);
    CHECK_INT(INADDR_LOOPBACK, bound_v4(&l));
    listener_close(&l);

    conf.address = "127.0.0.1";
    CHECK_INT(ERR_OK, listener_open(&l, &conf));
    listener_close(&l);
}

TEST(an_address_that_the_interface_has_not_is_refused)
{
    struct listener l;
    struct listener_conf conf = { .address = "192.0.2.1", .family = AF_INET, .interface = "lo" };
    CHECK_INT(ERR_SYS, listener_open(&l, &conf));
    CHECK_INT(EADDRNOTAVAIL, errno);
    conf = (struct listener_conf){ .family = AF_INET, .interface = "no-such" };
    CHECK_INT(ERR_SYS, listener_open(&l, &conf));
    CHECK_INT(ENODEV, errno);
    CHECK_INT(0, l.fds_count);
}

TEST(without_an_address_both_families_are_served_on_one_port)
{
    struct listener l;
    open_on(&l, NULL, 0, AF_UNSPEC);
    int v4 = dial(AF_INET, l.port), v6 = dial(AF_INET6, l.port);
    CHECK_TRUE(v4 >= 0);
    if (l.fds_count > 1) CHECK_TRUE(v6 >= 0); /* a machine may have no IPv6 */
    struct transport t = accept_any(&l);
    char peer[ADDRESS_TEXT_BYTES];
    transport_peer(&t, peer);
    CHECK_TRUE(strstr(peer, "127.0.0.1:") != NULL || strstr(peer, "[::1]:") != NULL);
    t.ops->close(&t);
    close(v4);
    if (v6 >= 0) close(v6);
    listener_close(&l);
}

TEST(one_family_can_be_asked_for)
{
    struct listener l;
    open_on(&l, NULL, 0, AF_INET);
    CHECK_INT(1, l.fds_count);
    CHECK_INT(-1, dial(AF_INET6, l.port));
    listener_close(&l);
}

TEST(who_accepts_with_nobody_there_is_told_to_wait)
{
    struct listener l;
    int fd;
    open_on(&l, "127.0.0.1", 0, AF_INET);
    CHECK_INT(ERR_AGAIN, listener_accept(l.fds[0], &fd));
    listener_close(&l);
}

TEST(a_connection_knows_its_peer_and_has_nodelay_from_its_listener)
{
    struct pair p;
    char peer[ADDRESS_TEXT_BYTES], want[ADDRESS_TEXT_BYTES];
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int on = 0;
    socklen_t on_bytes = sizeof on;
    open_pair(&p);
    CHECK_INT(0, getsockname(p.there, (struct sockaddr *)&a, &n));
    snprintf(want, sizeof want, "127.0.0.1:%u", ntohs(a.sin_port));
    transport_peer(&p.here, peer);
    CHECK_TRUE(strcmp(want, peer) == 0);
    CHECK_INT(0, getsockopt(p.here.fd, IPPROTO_TCP, TCP_NODELAY, &on, &on_bytes));
    CHECK_TRUE(on != 0);
    close_pair(&p);
}

TEST(an_address_can_be_told_without_its_port)
{
    char text[ADDRESS_TEXT_BYTES];
    struct net_address v4 = { .kind = ADDRESS_V4, .port = 5, .bytes = { 192, 0, 2, 1 } };
    struct net_address v6 = { .kind = ADDRESS_V6, .port = 5, .bytes = { [15] = 1 } };
    struct net_address local = { .kind = ADDRESS_LOCAL };
    address_print_host(&v4, text);
    assert_string_equal("192.0.2.1", text);
    address_print_host(&v6, text);
    assert_string_equal("::1", text);
    address_print_host(&local, text);
    assert_string_equal("", text);
}

TEST(bytes_go_both_ways_and_a_read_does_not_wait)
{
    struct pair p;
    char got[16];
    size_t n = 99;
    open_pair(&p);
    CHECK_INT(ERR_AGAIN, read_some(&p, got, sizeof got, &n));
    CHECK_INT(0, n);

    CHECK_INT(5, send(p.there, "hello", 5, 0));
    wait_until(p.here.fd, POLLIN);
    CHECK_INT(ERR_OK, read_some(&p, got, 3, &n));
    CHECK_TRUE(n == 3 && memcmp(got, "hel", 3) == 0);
    CHECK_INT(ERR_OK, read_some(&p, got, sizeof got, &n));
    CHECK_TRUE(n == 2 && memcmp(got, "lo", 2) == 0);

    char a[] = "one", b[] = "two";
    struct iovec parts[] = { { a, 3 }, { b, 3 } };
    CHECK_INT(ERR_OK, p.here.ops->write(&p.here, parts, 2, &n));
    CHECK_INT(6, n);
    CHECK_INT(6, recv(p.there, got, 6, MSG_WAITALL));
    CHECK_TRUE(memcmp(got, "onetwo", 6) == 0);
    close_pair(&p);
}

TEST(a_peer_that_does_not_read_makes_a_write_stop_not_wait)
{
    static char block[1 << 16];
    struct pair p;
    struct iovec part = { block, sizeof block };
    size_t n;
    enum err rc;
    open_pair(&p);
    do rc = p.here.ops->write(&p.here, &part, 1, &n);
    while (rc == ERR_OK);
    CHECK_INT(ERR_AGAIN, rc);
    CHECK_INT(0, n);
    close_pair(&p);
}

/* What the system says of it then, once what is under way has arrived. */
TEST(a_peer_that_does_not_read_is_full_and_acknowledges_all_the_same)
{
    static uint8_t lump[65536];
    struct iovec part = { lump, sizeof lump };
    struct transport_facts f = { 0 };
    struct pair p;
    size_t n;
    open_pair(&p);
    CHECK_TRUE(p.here.ops->facts(&p.here, &f));
    CHECK_TRUE(f.unanswered_bytes == 0 && !f.is_full && !f.is_over);
    while (p.here.ops->write(&p.here, &part, 1, &n) == ERR_OK) continue;
    while (!f.is_full) CHECK_TRUE(p.here.ops->facts(&p.here, &f) && !f.is_over);
    CHECK_TRUE(f.unanswered_bytes > 0);
    close_pair(&p);
}

TEST(an_end_by_us_still_lets_through_what_was_written)
{
    struct pair p;
    char got[8], bye[] = "bye";
    struct iovec part = { bye, 3 };
    size_t n;
    open_pair(&p);
    CHECK_INT(ERR_OK, p.here.ops->write(&p.here, &part, 1, &n));
    p.here.ops->end(&p.here);
    CHECK_INT(3, recv(p.there, got, sizeof got, MSG_WAITALL));
    CHECK_INT(0, recv(p.there, got, sizeof got, 0));
    CHECK_INT(2, send(p.there, "ok", 2, 0)); /* the other way is still open */
    wait_until(p.here.fd, POLLIN);
    CHECK_INT(ERR_OK, read_some(&p, got, sizeof got, &n));
    CHECK_INT(2, n);
    close_pair(&p);
}

TEST(a_peer_that_closes_or_resets_is_closed_and_kills_nobody)
{
    struct pair p;
    char got[8], text[] = "text";
    struct iovec part = { text, 4 };
    struct linger reset = { 1, 0 };
    size_t n;
    open_pair(&p);
    close(p.there);
    p.there = -1;
    wait_until(p.here.fd, POLLIN);
    CHECK_INT(ERR_CLOSED, read_some(&p, got, sizeof got, &n));
    close_pair(&p);

    open_pair(&p);
    CHECK_INT(0, setsockopt(p.there, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    close(p.there);
    p.there = -1;
    wait_until(p.here.fd, POLLIN);
    CHECK_INT(ERR_CLOSED, read_some(&p, got, sizeof got, &n));
    CHECK_INT(ERR_CLOSED, p.here.ops->write(&p.here, &part, 1, &n)); /* no SIGPIPE */
    close_pair(&p);
}

TEST(closing_twice_is_harmless)
{
    struct pair p;
    open_pair(&p);
    p.here.ops->close(&p.here);
    CHECK_INT(-1, p.here.fd);
    close_pair(&p);
}
