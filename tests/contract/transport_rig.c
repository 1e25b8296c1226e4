/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/transport_rig.h"
#include "kit/test.h"
#include "net/proxy.h"
#include "unit/tls_kit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 65536, PARTS = 9, PATIENCE_MS = 60000, TURNS_MAX = 500000 };

static unsigned state = 1;

void rig_seed(unsigned seed)
{
    state = seed * 2654435761u + 1;
}

unsigned rig_draw(unsigned below)
{
    state = state * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)(state >> 4) * below) >> 28);
}

#define HEADER(text)                                                                                         \
    {                                                                                                        \
        .at = (uint8_t *)(uintptr_t)(text), .len = sizeof(text) - 1                                          \
    }
#define V1 HEADER("PROXY TCP4 192.0.2.1 192.0.2.2 4000 1883\r\n")
#define V2                                                                                                   \
    HEADER("\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a\x21\x11\x00\x0f\xc0\x00\x02\x01\xc0\x00\x02\x02\x0f\xa0"    \
           "\x07\x5b"                                                                                        \
           "\x04\x00\x00")

static const struct rig_kind kinds[] = {
    { .name = "tcp", .is_plain = true },
    { .name = "unix", .is_unix = true, .is_plain = true },
    { .name = "tls", .client = { .is_tls = true } },
    { .name = "tls on unix", .is_unix = true, .client = { .is_tls = true } },
    { .name = "websocket", .client = { .is_websocket = true } },
    { .name = "websocket on unix", .is_unix = true, .client = { .is_websocket = true } },
    { .name = "websocket on tls", .client = { .is_tls = true, .is_websocket = true } },
    { .name = "websocket on tls on unix",
      .is_unix = true,
      .client = { .is_tls = true, .is_websocket = true } },
    { .name = "proxy", .client = { .preface = V1 } },
    { .name = "proxy on unix, tls", .is_unix = true, .client = { .preface = V2, .is_tls = true } },
    { .name = "proxy, websocket on tls", .client = { .preface = V1, .is_tls = true, .is_websocket = true } },
    { 0 },
};

const struct rig_kind *rig_kinds(void)
{
    return kinds;
}

/* --- certificates, for all tests of the process */

static struct kit_dir files;

static void remove_files(void)
{
    kit_dir_fini(&files);
}

static void make_files(void)
{
    struct kit_ca ca;
    if (files.path[0] != '\0') return;
    kit_dir_init(&files);
    CHECK_INT(0, atexit(remove_files));
    kit_ca_init(&ca, "the tests' authority");
    kit_issue_cn(&ca, &files, "server", "localhost");
    kit_write_ca(&ca, kit_file(&files, "ca.crt"));
    kit_ca_fini(&ca);
}

/* --- both ends of a socket */

static void make_small(int fd)
{
    int bytes = 4096, segment = 512, one = 1;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    /* Of TCP: segments that fit into that, or each one waits for a late acknowledgement. */
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void open_tcp(int fds[2])
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    make_small(listener);
    CHECK_INT(0, bind(listener, (struct sockaddr *)&a, sizeof a));
    CHECK_INT(0, listen(listener, 1));
    CHECK_INT(0, getsockname(listener, (struct sockaddr *)&a, &size));
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    make_small(fds[1]);
    CHECK_INT(0, connect(fds[1], (struct sockaddr *)&a, sizeof a));
    CHECK_INT(0, fcntl(fds[1], F_SETFL, O_NONBLOCK));
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK_TRUE(fds[0] >= 0);
    close(listener);
}

static void open_sockets(const struct rig_kind *kind, int fds[2])
{
    if (!kind->is_unix) {
        open_tcp(fds);
        return;
    }
    CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
    make_small(fds[0]);
    make_small(fds[1]);
}

/* --- the server's end, as shard/conn_in.c and conn.c do it */

static void watch(struct rig *r, int op)
{
    bool wants_output =
        r->to_send.len > 0 || (r->here.needs & (TRANSPORT_WANTS_WRITE | TRANSPORT_HAS_OUTPUT)) != 0;
    uint32_t events = EPOLLIN | (wants_output ? (uint32_t)EPOLLOUT : 0u);
    struct epoll_event e = { .events = events };
    if (op == EPOLL_CTL_MOD && events == r->watched) return;
    r->watched = events;
    CHECK_INT(ERR_OK, r->here.ops->watch(&r->here, r->epoll_fd, op, &e));
}

static void read_here(struct rig *r)
{
    size_t size = 1 + rig_draw((unsigned)r->read_max), got = 99;
    uint8_t *exact = malloc(size); /* so that a byte too many is seen */
    enum err rc = r->here.ops->read(&r->here, exact, size, &got);
    CHECK_TRUE(got <= size && (rc == ERR_OK) == (got > 0));
    if (rc == ERR_OK) out_add(&r->got, exact, got);
    if (rc != ERR_OK && rc != ERR_AGAIN) r->ended = rc;
    free(exact);
}

/* Some bytes in some parts, a few of them empty. */
static void write_here(struct rig *r)
{
    struct iovec parts[PARTS];
    size_t at = 0, wrote = 99, most = 1 + rig_draw((unsigned)r->write_max);
    int count = 0;
    if (most < r->offered) most = r->offered;
    if (most > r->to_send.len) most = r->to_send.len;
    for (; count < PARTS && at < most; count++) {
        size_t n = rig_draw(4) == 0 ? 0 : rig_draw((unsigned)(most - at) + 1);
        if (count == PARTS - 1) n = most - at;
        parts[count] = (struct iovec){ r->to_send.at + at, n };
        at += n;
    }
    enum err rc = r->here.ops->write(&r->here, at > 0 ? parts : NULL, at > 0 ? count : 0, &wrote);
    CHECK_TRUE(wrote <= at && (rc == ERR_OK || wrote == 0));
    wire_drop(&r->to_send, wrote);
    r->offered = at - wrote;
    if (rc != ERR_OK && rc != ERR_AGAIN) r->ended = rc;
}

static bool serve(struct rig *r)
{
    struct epoll_event e = { 0 };
    if (r->ended != ERR_OK && (r->here.needs & TRANSPORT_HAS_OUTPUT) == 0) return false;
    watch(r, EPOLL_CTL_MOD);
    int n = epoll_wait(r->epoll_fd, &e, 1, 0);
    bool can_write = n > 0 && (e.events & EPOLLOUT) != 0;
    bool can_read = n > 0 && (e.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
    if (can_write && (r->here.needs & TRANSPORT_WANTS_WRITE) != 0) can_read = true;
    if ((r->here.needs & TRANSPORT_HAS_INPUT) != 0) can_read = true;
    if (can_read && r->ended == ERR_OK) read_here(r);
    bool has_output = r->to_send.len > 0 || (r->here.needs & TRANSPORT_HAS_OUTPUT) != 0;
    if (can_write && has_output) write_here(r);
    has_output = r->to_send.len > 0 || (r->here.needs & TRANSPORT_HAS_OUTPUT) != 0;
    if ((r->ends || r->ended != ERR_OK) && !has_output) r->here.ops->end(&r->here);
    return n > 0 || can_read;
}

/* --- the client's end */

static bool client_send(struct rig *r)
{
    size_t n = 1 + rig_draw((unsigned)r->net_max);
    if (n > r->wire.to_net.len) n = r->wire.to_net.len;
    if (n == 0 || r->there < 0) return false;
    ssize_t sent = send(r->there, r->wire.to_net.at, n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) out_clear(&r->wire.to_net); /* nobody reads any more */
    if (sent > 0) wire_drop(&r->wire.to_net, (size_t)sent);
    return sent > 0;
}

static bool client_receive(struct rig *r)
{
    uint8_t block[BLOCK];
    if (r->there < 0 || r->is_deaf || r->client_eof) return false;
    ssize_t n = recv(r->there, block, 1 + rig_draw((unsigned)r->net_max), 0);
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) r->client_eof = true;
    if (n > 0) wire_take(&r->wire, block, (size_t)n);
    return true;
}

void rig_client_send_raw(struct rig *r, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(r->there, r->wire.to_net.at, n, MSG_NOSIGNAL);
        if (sent < 0) break;
        wire_drop(&r->wire.to_net, (size_t)sent);
        n -= (size_t)sent;
    }
    CHECK_INT(0, n);
}

void rig_client_hang_up(struct rig *r)
{
    close(r->there);
    r->there = -1;
}

/* --- the whole */

void rig_open(struct rig *r, const struct rig_kind *kind, unsigned fragments)
{
    char text[EDGE_TEXT_BYTES] = "";
    int fds[2];
    struct edge_conf conf = { .is_websocket = kind->client.is_websocket };
    struct wire_conf client = kind->client;
    *r = (struct rig){ .kind = kind, .read_max = BLOCK - 1, .write_max = BLOCK, .net_max = BLOCK - 1 };
    client.fragments = fragments;
    if (client.preface.len > 0) {
        conf.proxy_versions = PROXY_V1 | PROXY_V2;
        conf.proxy_trusted = "127.0.0.0/8 local";
    }
    if (kind->client.is_tls) {
        make_files();
        client.ca_file = kit_file(&files, "ca.crt");
        conf.tls.certfile = kit_file(&files, "server.crt");
        conf.tls.keyfile = kit_file(&files, "server.key");
    }
    CHECK_INT(ERR_OK, edge_new(&r->edge, &conf, text));
    open_sockets(kind, fds);
    r->there = fds[1];
    CHECK_INT(ERR_OK, edge_open(r->edge, fds[0], &r->here));
    CHECK_TRUE(wire_init(&r->wire, &client));
    r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(r, EPOLL_CTL_ADD);
}

void rig_close(struct rig *r)
{
    r->here.ops->close(&r->here);
    CHECK_INT(-1, r->here.fd);
    r->here.ops->close(&r->here); /* twice is harmless */
    if (r->there >= 0) close(r->there);
    close(r->epoll_fd);
    edge_unref(&r->edge);
    wire_fini(&r->wire);
    out_clear(&r->got);
    out_clear(&r->to_send);
}

bool rig_turn(struct rig *r)
{
    if (r->turns++ > TURNS_MAX)
        fail_msg(
            "%s: turns without an end: needs %d, ended %d, to send %zu, got %zu; the client: %s, got %zu",
            r->kind->name, r->here.needs, r->ended, r->to_send.len, r->got.len,
            r->wire.trouble != NULL ? r->wire.trouble : "well", r->wire.plain.len);
    bool sent = client_send(r), received = client_receive(r), served = serve(r);
    return sent || received || served;
}

static void wait_for_sockets(struct rig *r)
{
    bool has_output = r->wire.to_net.len > 0;
    short events = (short)((r->is_deaf || r->client_eof ? 0 : POLLIN) | (has_output ? POLLOUT : 0));
    struct pollfd p[] = { { .fd = r->epoll_fd, .events = POLLIN }, { .fd = r->there, .events = events } };
    if (poll(p, 2, PATIENCE_MS) == 0) fail_msg("%s: nothing more happens: a wake-up was lost", r->kind->name);
}

void rig_run(struct rig *r, bool (*is_done)(const struct rig *r))
{
    while (!is_done(r))
        if (!rig_turn(r)) wait_for_sockets(r);
    if (r->kind->client.is_websocket && r->wire.trouble != NULL && r->ended == ERR_OK)
        fail_msg("%s: %s", r->kind->name, r->wire.trouble);
}

static bool is_open(const struct rig *r)
{
    return wire_is_open(&r->wire) && r->wire.to_net.len == 0;
}

void rig_run_open(struct rig *r)
{
    rig_run(r, is_open);
    CHECK_INT(ERR_OK, r->ended);
}
