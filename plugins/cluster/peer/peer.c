/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, and what their owner asks for. */
#include "peer/peer.h"
#include "peer/peer_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* --- addresses */

/* The port after the last colon, which is cut off; 0: there is none. */
static uint16_t port_cut(char *text)
{
    char *colon = strrchr(text, ':'), *end = NULL;

    if (colon == NULL || colon[1] < '0' || colon[1] > '9') return 0;
    unsigned long n = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || n > UINT16_MAX) return 0;
    *colon = '\0';
    return (uint16_t)n;
}

bool peer_address_parse(const char *text, struct peer_address *out)
{
    size_t len = strlen(text);

    *out = (struct peer_address){ 0 };
    if (len >= sizeof out->host) return false;
    memcpy(out->host, text, len + 1);
    out->election_port = port_cut(out->host);
    if (out->election_port != 0) out->peer_port = port_cut(out->host);
    len = strlen(out->host);
    if (out->host[0] == '[' && len > 2 && out->host[len - 1] == ']') {
        memmove(out->host, out->host + 1, len - 2);
        out->host[len - 2] = '\0';
    } else if (strpbrk(out->host, ":[]") != NULL) {
        return false;
    }
    return out->peer_port != 0 && out->host[0] != '\0';
}

/* --- words */

static uint64_t hash(const char *text)
{
    uint64_t h = 14695981039346656037u;

    for (; *text != '\0'; text++) h = (h ^ (uint8_t)*text) * 1099511628211u;
    return h;
}

void peer_say(struct peers *p, struct peer_remote *r, int plane, const char *format, ...)
{
    char text[PEER_TEXT_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (r == NULL) {
        if (p->now_ms < p->guest_said_ms) return;
        p->guest_said_ms = p->now_ms + 1000;
    } else {
        uint64_t h = hash(text);
        if (r->links[plane - 1].said == h) return;
        r->links[plane - 1].said = h;
    }
    if (p->conf.sink.line != NULL) p->conf.sink.line(p->conf.sink.arg, text);
}

/* --- nodes */

struct peer_remote *peer_remote_find(struct peers *p, uint16_t id)
{
    for (int i = 0; i < PEER_REMOTES_MAX && id != 0; i++)
        if (p->remotes[i].id == id) return &p->remotes[i];
    return NULL;
}

struct peer_remote *peer_remote_make(struct peers *p, uint16_t id)
{
    struct peer_remote *r = peer_remote_find(p, id);

    for (int i = 0; r == NULL && i < PEER_REMOTES_MAX; i++) {
        if (p->remotes[i].id != 0) continue;
        r = &p->remotes[i];
        *r = (struct peer_remote){ .id = id };
    }
    return r;
}

struct peer_link *peer_link_of(struct peers *p, const struct peer_conn *c)
{
    struct peer_remote *r = peer_remote_find(p, c->peer);

    return r != NULL && r->links[c->plane - 1].conn == c ? &r->links[c->plane - 1] : NULL;
}

static void links_end(struct peers *p, struct peer_remote *r, const char *why)
{
    for (int i = 0; i < PEER_PLANES; i++) {
        struct peer_link *l = &r->links[i];
        peer_lookup_forget(p, l);
        if (l->conn != NULL) peer_conn_kill(p, l->conn, why);
        l->dial_ms = 0;
        l->backoff_ms = 0;
        l->said = 0;
    }
}

static void member_put(struct peers *p, const struct zab_member *m)
{
    struct peer_remote *r = m->id == p->conf.id ? NULL : peer_remote_make(p, m->id);
    struct peer_address at;

    if (r == NULL) return;
    bool is_good = peer_address_parse(m->address, &at);
    bool is_same = r->is_good == is_good && strcmp(r->at.host, at.host) == 0 &&
                   r->at.peer_port == at.peer_port && r->at.election_port == at.election_port;
    if (r->is_member && !is_same) links_end(p, r, "it has another address now");
    r->is_member = true;
    r->is_good = is_good;
    r->at = at;
    if (!is_good && !is_same)
        peer_say(p, r, WIRE_PEER, "server.%u: \"%s\" is not host:peerPort:electionPort", m->id, m->address);
}

static bool is_listed(const struct zab_members *members, uint16_t id)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (members->at[i].id == id) return true;
    return false;
}

/* A node that is nobody's, and has no connection, needs no place. */
static void remotes_sweep(struct peers *p)
{
    for (int i = 0; i < PEER_REMOTES_MAX; i++) {
        struct peer_remote *r = &p->remotes[i];
        if (r->id != 0 && !r->is_member && r->links[0].conn == NULL && r->links[1].conn == NULL) r->id = 0;
    }
}

void peer_members(struct peers *p, const struct zab_members *members)
{
    for (int i = 0; i < PEER_REMOTES_MAX; i++) {
        struct peer_remote *r = &p->remotes[i];
        if (r->id == 0 || !r->is_member || is_listed(members, r->id)) continue;
        r->is_member = false;
        r->is_good = false;
        links_end(p, r, "it is no longer a member");
    }
    remotes_sweep(p);
    for (uint32_t i = 0; i < members->count && i < ZAB_NODES_MAX; i++) member_put(p, &members->at[i]);
}

/* --- birth and end */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void conf_take(struct peers *p, const struct peer_conf *conf)
{
    p->conf = *conf;
    p->conf.queue_bytes_max = or_default(conf->queue_bytes_max, 64u * 1024 * 1024);
    p->conf.hello_ms = or_default(conf->hello_ms, 2000);
    p->conf.retry_min_ms = or_default(conf->retry_min_ms, 100);
    p->conf.retry_max_ms = or_default(conf->retry_max_ms, 1000);
    p->conf.silence_ms = or_default(conf->silence_ms, 3000);
    p->session = conf->sessions_after;
    p->random = conf->seed;
    p->doors[0].fd = p->doors[1].fd = -1;
}

static enum err secret_take(struct peers *p, struct bytes secret, char *text)
{
    if (secret.len == 0) return ERR_OK;
    if (secret.len < PEER_SECRET_BYTES_MIN || secret.len > PEER_SECRET_BYTES_MAX) {
        snprintf(text, PEER_TEXT_BYTES, "the cluster's secret has %zu bytes: it needs %d to %d", secret.len,
                 PEER_SECRET_BYTES_MIN, PEER_SECRET_BYTES_MAX);
        return ERR_RANGE;
    }
    memcpy(p->secret, secret.at, secret.len);
    p->secret_bytes = (uint32_t)secret.len;
    return ERR_OK;
}

enum err peer_open(struct peers **out, const struct peer_conf *conf, char *text)
{
    struct peers *p = calloc(1, sizeof *p);
    enum err rc = p != NULL ? ERR_OK : ERR_NOMEM;

    *out = NULL;
    text[0] = '\0';
    if (rc != ERR_OK) return rc;
    conf_take(p, conf);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll < 0) rc = ERR_SYS;
    if (rc == ERR_OK && conf->id == 0) {
        snprintf(text, PEER_TEXT_BYTES, "a node's id is 1 or more");
        rc = ERR_RANGE;
    }
    if (rc == ERR_OK) rc = secret_take(p, conf->secret, text);
    if (rc == ERR_OK) rc = peer_tls_new(p, text);
    if (rc == ERR_OK) rc = peer_doors_open(p, text);
    if (rc != ERR_OK) {
        peer_free(&p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void peer_free(struct peers **owner)
{
    struct peers *p = *owner;

    *owner = NULL;
    if (p == NULL) return;
    for (int i = 0; i < PEER_REMOTES_MAX; i++)
        for (int k = 0; k < PEER_PLANES; k++) peer_lookup_forget(p, &p->remotes[i].links[k]);
    peer_orphans_free(p);
    for (struct peer_conn *c = p->conns; c != NULL; c = c->next) {
        peer_conn_kill(p, c, NULL);
        c->is_told = false;
    }
    peer_conn_bury(p);
    peer_chunks_free(p);
    for (int i = 0; i < PEER_PLANES; i++)
        if (p->doors[i].fd >= 0) close(p->doors[i].fd);
    if (p->epoll >= 0) close(p->epoll);
    SSL_CTX_free(p->tls);
    BIO_meth_free(p->socket);
    OPENSSL_cleanse(p->secret, sizeof p->secret);
    free(p);
}

const struct peer_address *peer_listens(const struct peers *p)
{
    return &p->listens;
}

int peer_fd(const struct peers *p)
{
    return p->epoll;
}

struct peer_stat peer_stat(const struct peers *p)
{
    return p->stat;
}

/* --- to send */

static struct peer_conn *session_find(const struct peers *p, uint16_t peer, uint64_t session)
{
    for (int i = 0; i < PEER_REMOTES_MAX && peer != 0; i++) {
        struct peer_conn *c = p->remotes[i].links[WIRE_PEER - 1].conn;
        if (p->remotes[i].id == peer && c != NULL && c->state == PEER_UP && c->session == session) return c;
    }
    return NULL;
}

bool peer_send(struct peers *p, uint16_t peer, uint64_t session, const struct zab_frame *frame)
{
    struct peer_conn *c = session_find(p, peer, session);

    if (c == NULL) return false;
    if (wire_frame_encode(&p->out, frame) != ERR_OK) {
        peer_conn_kill(p, c, "we made a frame that nobody would take");
        return false;
    }
    p->stat.frames_out++;
    return peer_conn_send(p, c, bytes_of(p->out.at, p->out.len), p->out.payload);
}

void peer_tell(struct peers *p, uint16_t to, const struct zab_note *note)
{
    struct peer_remote *r = peer_remote_find(p, to);

    if (r != NULL && wire_note_encode(r->note, note) == ERR_OK) r->has_note = true;
}

static bool note_may_go(const struct peer_remote *r)
{
    const struct peer_conn *c = r->links[WIRE_ELECTION - 1].conn;

    return r->id != 0 && r->has_note && c != NULL && c->state == PEER_UP && c->out.bytes == 0;
}

static void notes_put(struct peers *p)
{
    for (int i = 0; i < PEER_REMOTES_MAX; i++) {
        struct peer_remote *r = &p->remotes[i];
        struct peer_conn *c = r->links[WIRE_ELECTION - 1].conn;
        if (!note_may_go(r)) continue;
        r->has_note = false;
        p->stat.frames_out++;
        peer_conn_put(p, c, bytes_of(r->note, sizeof r->note));
    }
}

void peer_flush(struct peers *p)
{
    notes_put(p);
    for (struct peer_conn *c = p->conns; c != NULL; c = c->next)
        if (c->out.bytes > 0) peer_conn_flush(p, c);
}

void peer_close_session(struct peers *p, uint16_t peer, uint64_t session)
{
    struct peer_conn *c = session_find(p, peer, session);

    if (c != NULL) peer_conn_kill(p, c, "we end the session");
}

uint64_t peer_queued(const struct peers *p, uint16_t peer, uint64_t session)
{
    const struct peer_conn *c = session_find(p, peer, session);

    return c != NULL ? c->out.bytes : UINT64_MAX;
}

/* --- the loop */

static void event_run(struct peers *p, const struct epoll_event *e)
{
    for (int i = 0; i < PEER_PLANES; i++)
        if (e->data.ptr == &p->doors[i]) {
            peer_accept(p, i + 1);
            return;
        }
    struct peer_conn *c = e->data.ptr;
    if (c->state != PEER_DEAD) peer_conn_run(p, c, e->events);
}

static void doors_run(struct peers *p)
{
    for (int i = 0; i < PEER_PLANES; i++) {
        struct peer_door *d = &p->doors[i];
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = d };
        if (d->opens_ms == 0 || d->opens_ms > p->now_ms) continue;
        d->opens_ms = epoll_ctl(p->epoll, EPOLL_CTL_ADD, d->fd, &e) == 0 ? 0 : p->now_ms + PEER_PAUSE_MS;
    }
}

/* What no event tells: input inside of OpenSSL, time that is over. */
static void conns_run(struct peers *p)
{
    for (struct peer_conn *c = p->conns; c != NULL; c = c->next) {
        if (c->state == PEER_DEAD) continue;
        if (c->has_input) peer_conn_run(p, c, 0);
        if (c->state == PEER_DEAD || c->end_ms > p->now_ms) continue;
        if (c->state != PEER_PARTING) p->stat.late++;
        peer_conn_kill(p, c, c->state == PEER_PARTING ? NULL : "it took too long to prove who it is");
    }
}

void peer_run(struct peers *p, uint64_t now_ms)
{
    struct epoll_event events[PEER_EVENTS_A_TURN];

    p->now_ms = now_ms;
    int n = epoll_wait(p->epoll, events, PEER_EVENTS_A_TURN, 0);
    for (int i = 0; i < n; i++) event_run(p, &events[i]);
    conns_run(p);
    doors_run(p);
    peer_dial(p);
    peer_conn_mourn(p);
    peer_conn_bury(p);
    remotes_sweep(p);
}

/* Is there something that the next peer_run does, whatever comes? */
static bool has_work(const struct peers *p)
{
    if (p->has_dead) return true;
    for (int i = 0; i < PEER_REMOTES_MAX; i++)
        if (note_may_go(&p->remotes[i])) return true;
    for (const struct peer_conn *c = p->conns; c != NULL; c = c->next) {
        if (c->has_input) return true;
        if (c->out.bytes > 0 && !c->is_full && c->state != PEER_CONNECTING) return true;
    }
    return false;
}

uint64_t peer_next_ms(const struct peers *p)
{
    uint64_t next = peer_dial_next_ms(p);

    if (has_work(p)) return p->now_ms;
    for (int i = 0; i < PEER_PLANES; i++)
        if (p->doors[i].opens_ms != 0 && p->doors[i].opens_ms < next) next = p->doors[i].opens_ms;
    for (const struct peer_conn *c = p->conns; c != NULL; c = c->next)
        if (c->end_ms < next) next = c->end_ms;
    return next;
}
