/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab-node - one node of a cluster by itself, for tests and for the bench: the consensus core on a real disk
 * and real sockets, under a state machine that a checker can ask for all it has.
 *
 *   zab-node [--no-ids] CONFIG
 *
 * The state is a chain of hashes over (position, payload), and the list of (position, first eight bytes of
 * the payload) of all entries; --no-ids leaves the list out, which grows for ever. It says on stdout where
 * its client port is. There, big-endian, u32 length of what follows, u8 what, u64 token, then:
 *
 *   1 put       payload                      -> 1 token  u8 why, u64 position, u16 leader, when it is
 * delivered 2 state     nothing                      -> 2 token  JSON 3 list      u64 index of the first -> 3
 * token  u64 how many there are, and up to 8192 pairs 4 reconfig  u8 change, u16 id, u8 role, address -> as
 * put
 *
 * why is enum zab_why, or 99: the leadership ended, and nobody knows.
 */
#include "node/node.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 13,
    READ_BYTES = 256 * 1024,
    FRAME_BYTES_MAX = ZAB_PAYLOAD_BYTES_MAX + HEAD_BYTES,
    OUT_BYTES_MAX = 16 * 1024 * 1024,
    LIST_PAIRS_MAX = 8192,
    WHY_UNKNOWN = 99,
};

enum op { OP_PUT = 1, OP_STATE = 2, OP_LIST = 3, OP_RECONFIG = 4 };

static void put_number(uint8_t *at, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) at[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

static uint64_t get_number(const uint8_t *at, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | at[i];
    return v;
}

static void *grown(void *at, size_t bytes)
{
    void *p = realloc(at, bytes);
    CHECK(p != NULL);
    return p;
}

/* --- the state machine */

struct pair {
    uint64_t zxid, id;
};

struct chain {
    uint64_t hash, zxid, count;
    bool has_list;
    struct pair *list;
    uint64_t room;
};

static void chain_put(struct chain *c, uint64_t zxid, uint64_t id)
{
    if (c->count == c->room) {
        c->room = c->room == 0 ? 1024 : c->room * 2;
        c->list = grown(c->list, c->room * sizeof *c->list);
    }
    c->list[c->count] = (struct pair){ zxid, id };
}

static void chain_apply(struct chain *c, const struct zab_entry *e)
{
    uint8_t first[8] = { 0 };
    size_t n = e->payload.len < sizeof first ? e->payload.len : sizeof first;

    c->hash = bytes_hash(e->payload, c->hash ^ e->last * UINT64_C(0x9e3779b97f4a7c15));
    c->zxid = e->last;
    if (e->kind != ZAB_DATA) return;
    if (n > 0) memcpy(first, e->payload.at, n);
    if (c->has_list) chain_put(c, e->last, get_number(first, 8));
    c->count++;
}

static void *chain_freeze(const struct chain *c)
{
    struct chain *copy = grown(NULL, sizeof *copy);

    *copy = *c;
    copy->list = NULL;
    if (c->has_list && c->count > 0) {
        copy->list = grown(NULL, c->count * sizeof *c->list);
        memcpy(copy->list, c->list, c->count * sizeof *c->list);
    }
    return copy;
}

static void chain_save(void *frozen, struct snap_writer *to)
{
    const struct chain *c = frozen;
    uint8_t head[24];

    put_number(head, c->hash, 8);
    put_number(head + 8, c->zxid, 8);
    put_number(head + 16, c->count, 8);
    snap_write(to, bytes_of(head, sizeof head));
    if (c->list != NULL) snap_write(to, bytes_of(c->list, c->count * sizeof *c->list));
}

static void chain_release(void *frozen)
{
    struct chain *c = frozen;
    free(c->list);
    free(c);
}

static enum err chain_load(struct chain *c, struct snap_reader *from)
{
    uint8_t head[24];

    if (snap_read(from, head, sizeof head) != sizeof head) return ERR_SYNTAX;
    c->hash = get_number(head, 8);
    c->zxid = get_number(head + 8, 8);
    c->count = get_number(head + 16, 8);
    if (!c->has_list) return ERR_OK;
    if (c->count > from->left / sizeof *c->list) return ERR_SYNTAX;
    c->room = c->count + 1;
    c->list = grown(c->list, c->room * sizeof *c->list);
    size_t bytes = c->count * sizeof *c->list;
    return snap_read(from, c->list, bytes) == bytes ? ERR_OK : ERR_SYNTAX;
}

/* --- clients */

struct conn {
    struct list link;
    struct node_watch watch;
    uint64_t no;
    uint8_t *in, *out;
    size_t in_len, in_room, out_len, out_room, out_at;
    bool waits, is_over;
};

/* A command that was accepted and is not delivered. */
struct pending {
    uint64_t zxid, conn_no, token;
};

static struct server {
    struct node *node;
    struct chain chain;
    struct list conns;
    uint64_t conns_made;
    struct conn *asking; /* whose command is with the core now */
    uint64_t asking_token;
    struct pending *ring;
    uint64_t head, tail, ring_size;
    uint16_t leader;
    bool leads;
    struct node_watch listener, signals;
} server;

static uint8_t *out_room(struct conn *c, size_t n)
{
    if (c->out_room - c->out_len < n) {
        c->out_room = (c->out_len + n) * 2;
        c->out = grown(c->out, c->out_room);
    }
    uint8_t *at = c->out + c->out_len;
    c->out_len += n;
    return at;
}

static uint8_t *reply(struct conn *c, enum op op, uint64_t token, size_t body)
{
    uint8_t *at = out_room(c, HEAD_BYTES + body);

    put_number(at, HEAD_BYTES - 4 + body, 4);
    at[4] = (uint8_t)op;
    put_number(at + 5, token, 8);
    return at + HEAD_BYTES;
}

static void reply_put(struct conn *c, uint64_t token, unsigned why, uint64_t zxid)
{
    uint8_t *at = reply(c, OP_PUT, token, 11);

    at[0] = (uint8_t)why;
    put_number(at + 1, zxid, 8);
    put_number(at + 9, server.leader, 2);
}

static struct conn *conn_of(uint64_t no)
{
    for (struct list *at = server.conns.next; at != &server.conns; at = at->next) {
        struct conn *c = CONTAINER(at, struct conn, link);
        if (c->no == no) return c;
    }
    return NULL;
}

static void pending_put(uint64_t zxid)
{
    if (server.tail - server.head == server.ring_size) {
        uint64_t size = server.ring_size == 0 ? 4096 : server.ring_size * 2;
        struct pending *ring = grown(NULL, size * sizeof *ring);
        for (uint64_t i = server.head; i < server.tail; i++)
            ring[i % size] = server.ring[i % server.ring_size];
        free(server.ring);
        server.ring = ring;
        server.ring_size = size;
    }
    server.ring[server.tail++ % server.ring_size] =
        (struct pending){ zxid, server.asking->no, server.asking_token };
}

static void pending_end(unsigned why)
{
    const struct pending *p = &server.ring[server.head++ % server.ring_size];
    struct conn *c = conn_of(p->conn_no);

    if (c != NULL) reply_put(c, p->token, why, p->zxid);
}

/* --- from the node */

static void on_apply(void *arg, const struct zab_entry *e)
{
    (void)arg;
    chain_apply(&server.chain, e);
    while (server.head < server.tail && server.ring[server.head % server.ring_size].zxid <= e->last)
        pending_end(ZAB_OK);
}

static void *on_freeze(void *arg)
{
    return chain_freeze(arg);
}

static enum err on_load(void *arg, struct snap_reader *from)
{
    return chain_load(arg, from);
}

static void on_accepted(void *arg, uint64_t token, enum zab_why why, uint64_t first, uint64_t last)
{
    (void)arg, (void)token, (void)first;
    if (why == ZAB_OK)
        pending_put(last);
    else
        reply_put(server.asking, server.asking_token, why, 0);
}

static void on_role(void *arg, const struct zab_effect *role)
{
    (void)arg;
    server.leader = role->leader;
    server.leads = role->role == ZAB_LEADING;
    while (!server.leads && server.head < server.tail) pending_end(WHY_UNKNOWN);
    fprintf(stderr, "%" PRIu64 " role=%u established=%d leader=%u epoch=%u\n", clock_mono_ms(&clock_system),
            role->role, role->is_established, role->leader, role->epoch);
}

static void on_line(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%" PRIu64 " %s\n", clock_mono_ms(&clock_system), text);
}

static void on_fail(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "zab-node: %s\n", text);
    _exit(3);
}

static void conn_write(struct conn *c)
{
    while (c->out_at < c->out_len && !c->is_over) {
        ssize_t got = send(c->watch.fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) break;
        if (got < 0) c->is_over = true;
        if (got > 0) c->out_at += (size_t)got;
    }
    if (c->out_at == c->out_len) c->out_at = c->out_len = 0;
    bool waits = c->out_len > 0;
    if (waits != c->waits && !c->is_over)
        node_rewatch(server.node, &c->watch, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
    c->waits = waits;
}

static void conn_free(struct conn *c)
{
    int fd = c->watch.fd;

    node_unwatch(server.node, &c->watch);
    close(fd);
    list_remove(&c->link);
    free(c->in);
    free(c->out);
    free(c);
}

static void on_turn(void *arg)
{
    (void)arg;
    for (struct list *at = server.conns.next, *next; at != &server.conns; at = next) {
        struct conn *c = CONTAINER(at, struct conn, link);
        next = at->next;
        if (c->out_len > 0) conn_write(c);
        if (c->is_over) conn_free(c);
    }
}

/* --- what clients ask */

static void tell_state(struct conn *c, uint64_t token)
{
    static const char *const roles[] = { "looking", "following", "leading", "observing" };
    struct node_status s;
    char text[2048];
    uint64_t now = clock_mono_ms(&clock_system);

    node_status(server.node, &s);
    int n = snprintf(
        text, sizeof text,
        "{\"role\":\"%s\",\"established\":%d,\"leader\":%u,\"voter\":%d,\"relearns\":%d,\"accepted\":%u,"
        "\"current\":%u,\"begin\":%" PRIu64 ",\"last\":%" PRIu64 ",\"stored\":%" PRIu64
        ",\"committed\":%" PRIu64 ",\"applied\":%" PRIu64 ",\"settled\":%" PRIu64 ",\"lease_ms\":%" PRIu64
        ",\"members\":%" PRIu64 ",\"full\":%d,\"snapshot\":%" PRIu64 ",\"truncs\":%" PRIu64
        ",\"installs\":%" PRIu64 ",\"sent\":%" PRIu64 ",\"reads\":%" PRIu64 ",\"checkpoints\":%" PRIu64
        ",\"syncs\":%" PRIu64 ",\"records\":%" PRIu64 ",\"segments\":%" PRIu64 ",\"at\":%" PRIu64
        ",\"hash\":\"%016" PRIx64 "\",\"count\":%" PRIu64 "}",
        roles[s.zab.role], s.zab.is_established, s.zab.leader, s.zab.is_voter, s.zab.must_relearn,
        s.zab.accepted, s.zab.current, s.zab.begin, s.zab.last, s.zab.stored, s.zab.committed, s.zab.applied,
        s.zab.settled, s.zab.lease_until_ms > now ? s.zab.lease_until_ms - now : 0, s.zab.members_version,
        s.is_full, s.snapshot, s.truncs, s.installs, s.snaps_sent, s.reads, s.checkpoints, s.syncs, s.records,
        s.segments, server.chain.zxid, server.chain.hash, server.chain.count);
    memcpy(reply(c, OP_STATE, token, (size_t)n), text, (size_t)n);
}

static void tell_list(struct conn *c, uint64_t token, struct bytes body)
{
    uint64_t count = server.chain.has_list ? server.chain.count : 0;
    uint64_t from = body.len == 8 ? get_number(body.at, 8) : count;
    uint64_t n = from < count ? count - from : 0;

    if (n > LIST_PAIRS_MAX) n = LIST_PAIRS_MAX;
    uint8_t *at = reply(c, OP_LIST, token, 8 + n * 16);
    put_number(at, count, 8);
    for (uint64_t i = 0; i < n; i++) {
        put_number(at + 8 + i * 16, server.chain.list[from + i].zxid, 8);
        put_number(at + 16 + i * 16, server.chain.list[from + i].id, 8);
    }
}

static void reconfig(struct bytes body)
{
    struct zab_member m = { 0 };
    size_t n = body.len > 4 ? body.len - 4 : 0;

    if (body.len < 4 || n >= sizeof m.address) {
        on_accepted(NULL, 0, ZAB_NO_SUCH_CHANGE, 0, 0);
        return;
    }
    m.id = (uint16_t)get_number(body.at + 1, 2);
    m.role = body.at[3];
    memcpy(m.address, body.at + 4, n);
    node_reconfig(server.node, 0, body.at[0], &m);
}

static void request(struct conn *c, const uint8_t *at, size_t len)
{
    struct bytes body = bytes_of(at + 9, len - 9);

    server.asking = c;
    server.asking_token = get_number(at + 1, 8);
    switch (at[0]) {
    case OP_PUT: node_propose(server.node, 0, 1, body); break;
    case OP_STATE: tell_state(c, server.asking_token); break;
    case OP_LIST: tell_list(c, server.asking_token, body); break;
    case OP_RECONFIG: reconfig(body); break;
    default: c->is_over = true;
    }
}

static void take_requests(struct conn *c)
{
    size_t at = 0;

    while (!c->is_over && c->in_len - at >= 4) {
        uint64_t len = get_number(c->in + at, 4);
        if (len < 9 || len > FRAME_BYTES_MAX) c->is_over = true;
        if (c->is_over || c->in_len - at - 4 < len) break;
        request(c, c->in + at + 4, (size_t)len);
        at += 4 + (size_t)len;
    }
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
}

static void conn_ready(void *arg, uint32_t events)
{
    struct conn *c = arg;

    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0 || c->is_over) return;
    if (c->out_len - c->out_at > OUT_BYTES_MAX) return;
    if (c->in_room - c->in_len < READ_BYTES) {
        c->in_room = c->in_len + 2 * (size_t)READ_BYTES;
        c->in = grown(c->in, c->in_room);
    }
    ssize_t got = recv(c->watch.fd, c->in + c->in_len, READ_BYTES, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) c->is_over = true;
    if (got <= 0) return;
    c->in_len += (size_t)got;
    take_requests(c);
}

static void listener_ready(void *arg, uint32_t events)
{
    (void)arg, (void)events;
    int fd = accept4(server.listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct conn *c = grown(NULL, sizeof *c);
    *c = (struct conn){ .watch = { fd, conn_ready, c }, .no = ++server.conns_made };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    list_add(&server.conns, &c->link);
    if (node_watch(server.node, &c->watch, EPOLLIN) != ERR_OK) c->is_over = true;
}

static void signal_ready(void *arg, uint32_t events)
{
    (void)arg, (void)events;
    node_stop(server.node);
}

/* --- the process */

static bool listen_on(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    socklen_t len = sizeof a;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 128) != 0) return false;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0) return false;
    printf("port %u\n", ntohs(a.sin_port));
    fflush(stdout);
    server.listener = (struct node_watch){ fd, listener_ready, NULL };
    return node_watch(server.node, &server.listener, EPOLLIN) == ERR_OK;
}

static bool take_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    server.signals = (struct node_watch){ signalfd(-1, &set, SFD_CLOEXEC), signal_ready, NULL };
    return server.signals.fd >= 0;
}

static void end(void)
{
    while (!list_empty(&server.conns)) conn_free(CONTAINER(server.conns.next, struct conn, link));
    close(server.listener.fd);
    close(server.signals.fd);
    node_close(&server.node);
    free(server.chain.list);
    free(server.ring);
}

int main(int argc, char **argv)
{
    static struct conf conf;
    static char text[NODE_TEXT_BYTES];
    const struct node_machine machine = { &server.chain, on_apply,      on_freeze,
                                          chain_save,    chain_release, on_load };
    const struct node_sink sink = { NULL, on_accepted, on_role, on_turn, on_line, on_fail };
    bool has_list = argc < 2 || strcmp(argv[1], "--no-ids") != 0;

    if (argc != 3 - has_list) {
        fprintf(stderr, "usage: zab-node [--no-ids] CONFIG\n");
        return 2;
    }
    server.chain.has_list = has_list;
    list_init(&server.conns);
    enum err rc = take_signals() ? conf_read(&conf, argv[argc - 1], text) : ERR_SYS;
    if (rc == ERR_OK) rc = node_open(&server.node, &conf, &machine, &sink, text);
    if (rc != ERR_OK) {
        fprintf(stderr, "zab-node: %s\n", text);
        return 2;
    }
    if (!listen_on((uint16_t)conf.client_port) ||
        node_watch(server.node, &server.signals, EPOLLIN) != ERR_OK) {
        fprintf(stderr, "zab-node: the client port cannot be opened: %s\n", strerror(errno));
        return 2;
    }
    node_run(server.node);
    end();
    return 0;
}
