/* SPDX-License-Identifier: Apache-2.0 */
/* One connection, from its socket to the sink. */
#include "peer/peer_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct peer_conn *peer_conn_new(struct peers *p, int fd, int plane)
{
    struct peer_conn *c = calloc(1, sizeof *c);
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };

    if (c == NULL || epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        free(c);
        close(fd);
        return NULL;
    }
    c->fd = fd;
    c->plane = (uint8_t)plane;
    c->state = PEER_CONNECTING;
    c->events = e.events;
    c->end_ms = p->now_ms + p->conf.hello_ms;
    c->next = p->conns;
    p->conns = c;
    return c;
}

static void say_end(struct peers *p, struct peer_conn *c, const char *why)
{
    static const char *const planes[] = { "?", "peer", "election" };
    bool is_known = c->is_dialler || c->up_ms > 0;
    struct peer_remote *r = is_known ? peer_remote_find(p, c->peer) : NULL;

    if (c->peer == 0)
        peer_say(p, NULL, c->plane, "a connection from %s to the %s port: %s", c->where, planes[c->plane],
                 why);
    else
        peer_say(p, r, c->plane, "server.%u at %s, %s: %s", c->peer, c->where, planes[c->plane], why);
}

void peer_conn_kill(struct peers *p, struct peer_conn *c, const char *why)
{
    struct peer_link *l = peer_link_of(p, c);

    if (c->state == PEER_DEAD) return;
    if (why != NULL) say_end(p, c, why);
    c->state = PEER_DEAD;
    p->has_dead = true;
    if (c->ssl != NULL) SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
    c->fd = -1;
    peer_queue_fini(p, &c->out);
    if (l == NULL) return;
    l->conn = NULL;
    if (c->is_dialler) peer_dial_again(p, l, c->up_ms);
}

void peer_conn_watch(struct peers *p, struct peer_conn *c)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

    if (c->state == PEER_DEAD) return;
    if (c->is_full || c->state == PEER_CONNECTING) e.events |= EPOLLOUT;
    if (e.events == c->events) return;
    if (epoll_ctl(p->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0)
        c->events = e.events;
    else
        peer_conn_kill(p, c, "out of memory");
}

/* --- out */

bool peer_conn_put(struct peers *p, struct peer_conn *c, struct bytes b)
{
    char why[96];

    if (c->state == PEER_DEAD) return false;
    if (b.len > p->conf.queue_bytes_max || c->out.bytes > p->conf.queue_bytes_max - b.len) {
        p->stat.overflows++;
        snprintf(why, sizeof why, "it takes too little: more than %u bytes wait for it",
                 p->conf.queue_bytes_max);
        peer_conn_kill(p, c, why);
    } else if (!peer_queue_put(p, &c->out, b)) {
        peer_conn_kill(p, c, "out of memory");
    }
    return c->state != PEER_DEAD;
}

/* What of the parts has not gone; false: it died. */
static bool put_rest(struct peers *p, struct peer_conn *c, struct bytes b, size_t *gone)
{
    size_t n = *gone < b.len ? *gone : b.len;

    *gone -= n;
    return peer_conn_put(p, c, bytes_of(b.at + n, b.len - n));
}

bool peer_conn_send(struct peers *p, struct peer_conn *c, struct bytes head, struct bytes payload)
{
    size_t gone = 0;

    if (payload.len >= PEER_DIRECT_BYTES_MIN && c->ssl == NULL) {
        peer_conn_flush(p, c);
        if (c->state == PEER_DEAD) return false;
        if (c->out.bytes == 0 && !c->is_full) {
            union {
                const uint8_t *from;
                uint8_t *to;
            } h = { .from = head.at }, b = { .from = payload.at }; /* struct iovec has no const */
            struct iovec parts[] = { { h.to, head.len }, { b.to, payload.len } };
            long n = peer_io_write(c, parts, 2);
            if (n < 0) {
                peer_conn_kill(p, c, "closed by the other side");
                return false;
            }
            gone = (size_t)n;
            p->stat.bytes_out += gone;
            c->is_full = gone < head.len + payload.len;
        }
    }
    if (!put_rest(p, c, head, &gone) || !put_rest(p, c, payload, &gone)) return false;
    peer_conn_watch(p, c);
    return c->state != PEER_DEAD;
}

void peer_conn_flush(struct peers *p, struct peer_conn *c)
{
    struct iovec parts[PEER_PARTS_MAX];

    while (c->state != PEER_DEAD && c->state != PEER_CONNECTING && c->out.bytes > 0 && !c->is_full) {
        int count = peer_queue_parts(&c->out, parts);
        size_t want = 0;
        for (int i = 0; i < count; i++) want += parts[i].iov_len;
        long n = peer_io_write(c, parts, count);
        if (n < 0) {
            peer_conn_kill(p, c, "closed by the other side");
            return;
        }
        p->stat.bytes_out += (uint64_t)n;
        peer_queue_drop(p, &c->out, (size_t)n);
        c->is_full = (size_t)n < want;
    }
    peer_conn_watch(p, c);
}

/* --- in */

static void malformed(struct peers *p, struct peer_conn *c, enum wire_rc rc)
{
    p->stat.malformed++;
    peer_conn_kill(p, c, wire_rc_text(rc));
}

static void deliver(struct peers *p, struct peer_conn *c, struct bytes b)
{
    const struct peer_sink *sink = &p->conf.sink;
    struct zab_frame f;
    struct zab_note n;
    enum wire_rc rc =
        c->plane == WIRE_ELECTION ? wire_note_decode(b, &n) : wire_frame_decode(b, &f, &p->scratch);

    if (rc != WIRE_OK) {
        malformed(p, c, rc);
        return;
    }
    p->stat.frames_in++;
    if (c->plane == WIRE_ELECTION)
        sink->note(sink->arg, c->peer, &n);
    else
        sink->frame(sink->arg, c->peer, c->session, &f);
}

/* Room for a whole frame of that size, from the beginning. */
static bool make_room(struct peers *p, struct peer_conn *c, uint32_t size)
{
    if (c->in_begin > 0) memmove(c->in, c->in + c->in_begin, c->in_end - c->in_begin);
    c->in_end -= c->in_begin;
    c->in_begin = 0;
    if (size <= c->in_size) return true;
    uint8_t *at = realloc(c->in, size);
    if (at == NULL) {
        peer_conn_kill(p, c, "out of memory");
        return false;
    }
    c->in = at;
    c->in_size = size;
    return true;
}

/* All frames that are whole. A callback may have ended it. */
static void take(struct peers *p, struct peer_conn *c)
{
    uint32_t size = 0;

    while (c->state == PEER_UP) {
        struct bytes left = bytes_of(c->in + c->in_begin, c->in_end - c->in_begin);
        enum wire_rc rc = wire_size(left, &size);
        if (rc == WIRE_MORE) size = WIRE_HEAD_BYTES;
        if (rc != WIRE_OK && rc != WIRE_MORE) {
            malformed(p, c, rc);
        } else if (rc == WIRE_MORE || size > left.len) {
            if (size > c->in_size - c->in_begin) make_room(p, c, size);
            return;
        } else {
            c->in_begin += size;
            deliver(p, c, bytes_of(left.at, size));
        }
    }
}

static void read_up(struct peers *p, struct peer_conn *c)
{
    long budget = PEER_TURN_BYTES, n = 1, room = 0;

    c->has_input = false;
    while (c->state == PEER_UP && n > 0 && budget > 0) {
        if (c->in_begin == c->in_end) c->in_begin = c->in_end = 0;
        if (c->in_end == c->in_size && !make_room(p, c, 0)) return;
        room = (long)(c->in_size - c->in_end);
        n = peer_io_read(c, c->in + c->in_end, (size_t)room);
        if (n < 0) {
            peer_conn_kill(p, c, "closed by the other side");
            return;
        }
        p->stat.bytes_in += (uint64_t)n;
        c->in_end += (uint32_t)n;
        budget -= n;
        take(p, c);
        if (c->ssl == NULL && n < room) return; /* that was all */
    }
    c->has_input = c->ssl != NULL && c->state == PEER_UP && n > 0;
}

static void connected(struct peers *p, struct peer_conn *c)
{
    int e = 0;
    socklen_t len = sizeof e;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0) e = errno;
    if (e != 0) {
        char why[128];
        snprintf(why, sizeof why, "cannot connect: %s", strerror(e));
        peer_conn_kill(p, c, why);
        return;
    }
    peer_shake_begin(p, c);
}

static void drain(struct peers *p, struct peer_conn *c)
{
    uint8_t waste[512];
    long n = peer_io_read(c, waste, sizeof waste);

    if (n < 0) peer_conn_kill(p, c, NULL);
}

void peer_conn_run(struct peers *p, struct peer_conn *c, uint32_t events)
{
    if ((events & ~(uint32_t)EPOLLIN) != 0) c->is_full = false;
    if (c->state == PEER_CONNECTING) {
        if ((events & ~(uint32_t)EPOLLIN) != 0) connected(p, c);
    }
    if (c->state == PEER_PARTING)
        drain(p, c);
    else if (c->state > PEER_CONNECTING && c->state < PEER_UP)
        peer_shake_run(p, c);
    if (c->state == PEER_UP) read_up(p, c);
    peer_conn_flush(p, c);
}

/* --- beginning and end of a session */

void peer_conn_up(struct peers *p, struct peer_conn *c)
{
    const struct peer_sink *sink = &p->conf.sink;
    struct peer_remote *r = peer_remote_make(p, c->peer);

    c->in = malloc(PEER_INPUT_BYTES);
    if (r == NULL || c->in == NULL) {
        peer_conn_kill(p, c, r == NULL ? wire_answer_text(WIRE_TOO_MANY) : "out of memory");
        return;
    }
    struct peer_link *l = &r->links[c->plane - 1];
    if (l->conn != NULL && l->conn != c) {
        p->stat.replaced++;
        peer_conn_kill(p, l->conn, "a newer connection takes its place");
    }
    l->conn = c;
    l->said = 0;
    c->in_size = PEER_INPUT_BYTES;
    c->state = PEER_UP;
    c->up_ms = p->now_ms;
    c->end_ms = UINT64_MAX;
    if (c->plane != WIRE_PEER) return;
    c->session = ++p->session;
    peer_conn_mourn(p);
    if (c->state != PEER_UP) return; /* by what the sink did */
    p->stat.sessions++;
    c->is_told = true;
    peer_say(p, r, c->plane, "server.%u at %s: session %llu begins", c->peer, c->where,
             (unsigned long long)c->session);
    l->said = 0;
    sink->link(sink->arg, c->peer, c->session, true);
}

void peer_conn_mourn(struct peers *p)
{
    const struct peer_sink *sink = &p->conf.sink;

    if (!p->has_dead) return;
    for (struct peer_conn *c = p->conns; c != NULL; c = c->next) {
        if (c->state != PEER_DEAD || !c->is_told) continue;
        c->is_told = false;
        sink->link(sink->arg, c->peer, c->session, false);
    }
}

void peer_conn_bury(struct peers *p)
{
    struct peer_conn **at = &p->conns;

    if (!p->has_dead) return;
    p->has_dead = false;
    while (*at != NULL) {
        struct peer_conn *c = *at;
        if (c->state == PEER_DEAD && !c->is_told) {
            *at = c->next;
            free(c->in);
            free(c);
            continue;
        }
        p->has_dead = p->has_dead || c->state == PEER_DEAD;
        at = &c->next;
    }
}
