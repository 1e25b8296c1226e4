/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/map.h"
#include "codec/codec.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * The limit that brokers are measured against: a program that takes a PUBLISH apart, acknowledges it and
 * copies it to the subscribers of its topic, and does nothing else of what a broker is for. Nothing waits,
 * nothing is sent again, nothing is refused; filters are exact, sessions end with their connection.
 *
 *   relay PORT      on 127.0.0.1, MQTT 3.1.1, QoS 0 and 1; one thread, one epoll
 *
 * In a turn everything that came is read and copied, and then each connection is written once. So it does
 * what the kernel makes anybody do: a read for each connection with input, a write for each with output.
 *
 *   what came -> on_input -> on_packet -> on_publish -> out of each subscriber -> flush_all
 */

enum { EVENTS_MAX = 512, SCRATCH_BYTES = 262144, PACKET_MAX = 2 * 1048576, FIRST_BYTES = 256 };

struct buffer {
    uint8_t *at;
    size_t start, len, room; /* the bytes at[start .. start + len) */
};

struct peer {
    int fd;
    bool listed, blocked; /* has output; waits for room */
    bool gone;            /* freed at the end of the turn */
    uint16_t last_id;
    struct buffer in, out;
};

struct topic {
    struct bytes name;
    uint64_t hash;
    struct reader {
        struct peer *peer;
        uint8_t qos;
    } * readers;
    uint32_t count, room;
};

/* With room for one more, whatever happened to it this turn. */
struct list {
    struct peer **at;
    size_t count, room;
};

static int epoll_fd;
static struct map topics;
static struct list listed, gone;
static uint8_t scratch[SCRATCH_BYTES + PACKET_MAX];

static void *grown(void *at, size_t bytes)
{
    void *now = realloc(at, bytes);
    CHECK(now != NULL);
    return now;
}

static void list_add(struct list *l, struct peer *p)
{
    if (l->count == l->room) {
        l->room = l->room > 0 ? 2 * l->room : 64;
        l->at = grown(l->at, l->room * sizeof *l->at);
    }
    l->at[l->count++] = p;
}

static uint8_t *reserve(struct buffer *b, size_t n)
{
    if (b->len == 0) b->start = 0;
    if (b->room - b->start - b->len < n) {
        if (b->start > 0) memmove(b->at, b->at + b->start, b->len);
        b->start = 0;
    }
    if (b->room - b->len < n) {
        size_t room = b->room > 0 ? b->room : FIRST_BYTES;
        while (room - b->len < n) room *= 2;
        b->at = grown(b->at, room);
        b->room = room;
    }
    uint8_t *at = b->at + b->start + b->len;
    b->len += n;
    return at;
}

static uint8_t *say(struct peer *p, size_t n)
{
    if (!p->listed) list_add(&listed, p);
    p->listed = true;
    return reserve(&p->out, n);
}

static void say_ack(struct peer *p, enum packet_type type, uint16_t id)
{
    uint8_t *at = say(p, 4);
    at[0] = (uint8_t)(type << 4);
    at[1] = 2;
    at[2] = (uint8_t)(id >> 8);
    at[3] = (uint8_t)id;
}

/* --- topics */

static bool topic_is(const void *item, const void *key)
{
    return bytes_equal(((const struct topic *)item)->name, *(const struct bytes *)key);
}

static struct topic *topic_of(struct bytes name)
{
    return map_get(&topics, bytes_hash(name, 0), topic_is, &name);
}

static struct topic *topic_new(struct bytes name)
{
    struct topic *t = grown(NULL, sizeof *t + name.len);
    uint8_t *own = (uint8_t *)(t + 1);
    memcpy(own, name.at, name.len);
    *t = (struct topic){ .name = { own, name.len }, .hash = bytes_hash(name, 0) };
    CHECK(map_put(&topics, t->hash, t) == ERR_OK);
    return t;
}

static void topic_join(struct topic *t, struct peer *p, uint8_t qos)
{
    if (t->count == t->room) {
        t->room = t->room > 0 ? 2 * t->room : 1;
        t->readers = grown(t->readers, t->room * sizeof *t->readers);
    }
    t->readers[t->count++] = (struct reader){ p, qos > 1 ? 1 : qos };
}

static void topics_leave(const struct peer *p)
{
    size_t at = 0;
    struct topic *t;
    while ((t = map_next(&topics, &at)) != NULL) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < t->count; i++)
            if (t->readers[i].peer != p) t->readers[kept++] = t->readers[i];
        t->count = kept;
    }
}

/* --- packets */

static void peer_end(struct peer *p)
{
    if (p->gone) return;
    p->gone = true;
    close(p->fd);
    topics_leave(p);
    list_add(&gone, p);
}

static void on_connect(struct peer *p, struct bytes body)
{
    struct connect c;
    uint8_t *at = say(p, 4);
    bool good = connect_decode(body, &c) == MQTT_RC_OK && c.version == MQTT_V311;
    memcpy(at, (const uint8_t[]){ PACKET_CONNACK << 4, 2, 0, good ? 0 : 1 }, 4);
}

static void on_subscribe(struct peer *p, struct bytes body)
{
    struct subscribe s;
    struct subscribe_filter f;
    if (subscribe_decode(body, MQTT_V311, &s) != MQTT_RC_OK || s.count > 100) {
        peer_end(p);
        return;
    }
    uint8_t *at = say(p, 4u + s.count);
    memcpy(
        at,
        (const uint8_t[]){ PACKET_SUBACK << 4, (uint8_t)(2 + s.count), (uint8_t)(s.id >> 8), (uint8_t)s.id },
        4);
    for (at += 4; subscribe_next(&s, MQTT_V311, &f); at++) {
        struct topic *t = topic_of(f.filter);
        *at = f.qos > 1 ? 1 : f.qos;
        topic_join(t != NULL ? t : topic_new(f.filter), p, f.qos);
    }
}

/* The whole packet, for one reader. */
static void copy_to(struct reader *r, const struct frame *f, const struct publish *m)
{
    const uint8_t *packet = f->body.at + f->body.len - f->total;
    struct peer *p = r->peer;
    if (m->qos == 0 || r->qos > 0) {
        uint8_t *at = say(p, f->total);
        memcpy(at, packet, f->total);
        if (m->qos == 0) return;
        uint8_t *id = at + (m->payload.at - 2 - packet);
        if (++p->last_id == 0) p->last_id = 1;
        id[0] = (uint8_t)(p->last_id >> 8);
        id[1] = (uint8_t)p->last_id;
        return;
    }
    struct publish plain = { .topic = m->topic, .payload = m->payload };
    struct wr out = { say(p, f->total), f->total, false };
    const uint8_t *begin = out.at;
    publish_encode(&out, MQTT_V311, &plain);
    p->out.len -= f->total - (size_t)(out.at - begin);
}

static void on_publish(struct peer *p, const struct frame *f)
{
    struct publish m;
    if (publish_decode(f, MQTT_V311, &m) != MQTT_RC_OK || m.qos > 1) {
        peer_end(p);
        return;
    }
    if (m.qos == 1) say_ack(p, PACKET_PUBACK, m.id);
    struct topic *t = topic_of(m.topic);
    for (uint32_t i = 0; t != NULL && i < t->count; i++) copy_to(&t->readers[i], f, &m);
}

static void on_packet(struct peer *p, const struct frame *f)
{
    switch (f->type) {
    case PACKET_PUBLISH: on_publish(p, f); break;
    case PACKET_PUBACK: break;
    case PACKET_CONNECT: on_connect(p, f->body); break;
    case PACKET_SUBSCRIBE: on_subscribe(p, f->body); break;
    case PACKET_PINGREQ: memcpy(say(p, 2), (const uint8_t[]){ PACKET_PINGRESP << 4, 0 }, 2); break;
    default: peer_end(p); break;
    }
}

/* --- bytes */

static void on_packets(struct peer *p, struct bytes in)
{
    struct frame f;
    while (in.len > 0 && !p->gone) {
        if (frame_split(in, PACKET_MAX, &f) != MQTT_RC_OK) {
            peer_end(p);
            return;
        }
        if (f.total == 0) break;
        on_packet(p, &f);
        in = bytes_of(in.at + f.total, in.len - f.total);
    }
    p->in.len = 0;
    if (in.len > 0 && !p->gone) memcpy(reserve(&p->in, in.len), in.at, in.len);
}

static void on_input(struct peer *p)
{
    size_t kept = p->in.len;
    if (kept > 0) memcpy(scratch, p->in.at, kept);
    ssize_t n = recv(p->fd, scratch + kept, sizeof scratch - kept, 0);
    if (n > 0)
        on_packets(p, bytes_of(scratch, kept + (size_t)n));
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        peer_end(p);
}

static void want(struct peer *p, bool room)
{
    struct epoll_event e = { .events = EPOLLIN | (room ? EPOLLOUT : 0u), .data.ptr = p };
    if (p->blocked == room) return;
    p->blocked = room;
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &e) == 0);
}

static void flush(struct peer *p)
{
    if (p->gone || p->out.len == 0) return;
    ssize_t n = send(p->fd, p->out.at + p->out.start, p->out.len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        peer_end(p);
        return;
    }
    if (n > 0) {
        p->out.start += (size_t)n;
        p->out.len -= (size_t)n;
    }
    want(p, p->out.len > 0);
}

static void end_turn(void)
{
    for (size_t i = 0; i < listed.count; i++) {
        struct peer *p = listed.at[i];
        p->listed = false;
        if (!p->blocked) flush(p);
    }
    listed.count = 0;
    for (size_t i = 0; i < gone.count; i++) {
        struct peer *p = gone.at[i];
        free(p->in.at);
        free(p->out.at);
        free(p);
    }
    gone.count = 0;
}

static void accept_all(int listener)
{
    int one = 1;
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = calloc(1, sizeof *p);
        CHECK(p != NULL);
        p->fd = fd;
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0);
    }
}

static int listen_at(uint16_t port)
{
    int one = 1;
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    perror("relay");
    exit(1);
}

static void turn(int listener)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        if (p == NULL) {
            accept_all(listener);
            continue;
        }
        if (!p->gone && (events[i].events & EPOLLOUT) != 0) flush(p);
        if (!p->gone && (events[i].events & ~(unsigned)EPOLLOUT) != 0) on_input(p);
    }
    end_turn();
}

int main(int argc, char **argv)
{
    unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    if (port == 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: relay PORT\n");
        return 2;
    }
    int listener = listen_at((uint16_t)port);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    CHECK(epoll_fd >= 0);
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e) == 0);
    map_init(&topics);
    for (;;) turn(listener);
}
