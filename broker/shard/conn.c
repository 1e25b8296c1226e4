/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/conn.h"
#include "base/check.h"
#include "net/listener.h"
#include "shard/alias.h"
#include "shard/connect.h"
#include "shard/shard_int.h"
#include <stdlib.h>
#include <sys/epoll.h>

/*
 * Transitions:  accept -> conn_accept        hand-off -> conn_mail_handoff   input -> conn_event, read_more
 *               end    -> conn_end(_quietly) network gone -> conn_drop       freed -> conn_free_dead
 *
 * A connection is never freed while the turn runs: whoever ends one may stand under its parser.
 */

#define NO_SLOT UINT32_MAX /* no int, so no enum */
enum { SLOTS_MIN = 64, LINGER_MS = 2000 };

/* --- slots: connection ids that go stale instead of naming another connection */

static bool slots_grow(struct shard *sh)
{
    uint32_t count = sh->slots_count == 0 ? SLOTS_MIN : sh->slots_count * 2;
    struct conn_slot *slots = realloc(sh->slots, count * sizeof *slots);
    if (slots == NULL) return false;
    for (uint32_t i = sh->slots_count; i < count; i++)
        slots[i] = (struct conn_slot){ .next_free = i + 1 < count ? i + 1 : NO_SLOT };
    sh->slots_free = sh->slots_count;
    sh->slots = slots;
    sh->slots_count = count;
    return true;
}

static bool slot_take(struct shard *sh, struct conn *c)
{
    if (sh->slots_free == NO_SLOT && !slots_grow(sh)) return false;
    uint32_t i = sh->slots_free;
    struct conn_slot *slot = &sh->slots[i];
    sh->slots_free = slot->next_free;
    slot->conn = c;
    slot->generation++;
    c->id = (uint64_t)slot->generation << 32 | i;
    return true;
}

static void slot_release(struct shard *sh, struct conn *c)
{
    uint32_t i = (uint32_t)c->id;
    sh->slots[i].conn = NULL;
    sh->slots[i].next_free = sh->slots_free;
    sh->slots_free = i;
}

struct conn *conn_find(struct shard *sh, uint64_t id)
{
    uint32_t i = (uint32_t)id;
    if (i >= sh->slots_count || sh->slots[i].generation != id >> 32) return NULL;
    struct conn *c = sh->slots[i].conn;
    return c == NULL || c->state == CONN_CLOSED ? NULL : c;
}

uint8_t conn_max_qos(const struct conn *c)
{
    uint8_t refused = c->listener->refused_qos;
    return refused == 0 ? 2 : (uint8_t)(refused - 1);
}

/* --- in and out of this shard */

static void watch(struct shard *sh, struct conn *c, int op)
{
    uint32_t in = c->paused == 0 ? EPOLLIN : 0;
    uint32_t out = c->wants_write ? EPOLLOUT : 0;
    struct epoll_event e = { .events = in | out, .data.u64 = c->id };
    if (c->transport.ops->watch(&c->transport, sh->epoll_fd, op, &e) != ERR_OK) conn_doom(sh, c);
}

/* Takes a connection into the loop. False: no room; it is the caller's still. */
static bool adopt(struct shard *sh, struct conn *c)
{
    if (!slot_take(sh, c)) return false;
    metrics_add(sh->metrics, METRIC_connections_open, 1);
    c->seen_ms = sh->now_ms;
    wheel_start(sh->conn_wheel, &c->timer, sh->now_ms + (uint64_t)sh->config->connect_timeout_s * 1000);
    watch(sh, c, EPOLL_CTL_ADD);
    return true; /* even when it is doomed already */
}

static void give_away(struct shard *sh, struct conn *c)
{
    c->transport.ops->watch(&c->transport, sh->epoll_fd, EPOLL_CTL_DEL, NULL);
    wheel_stop(sh->conn_wheel, &c->timer);
    slot_release(sh, c);
    metrics_sub(sh->metrics, METRIC_connections_open, 1);
}

static void destroy(struct shard *sh, struct conn *c)
{
    out_clear(&c->out, &sh->pool);
    c->transport.ops->close(&c->transport);
    gauge_give(c->listener->open);
    free(c->in);
    free(c->acks);
    auth_conn_gone(c);
    alias_in_free(&c->alias_in);
    alias_out_free(&c->alias_out);
    free(c->assigned_id);
    free(c);
}

static void log_peer(struct shard *sh, const struct conn *c, enum event e)
{
    char peer[PEER_TEXT_BYTES];
    transport_peer(&c->transport, peer);
    log_event(sh->log, e, LOG_STR("peer", peer), LOG_NUM("port", c->listener->port));
}

void conn_begin(struct shard *sh, const struct transport *t, struct shards_listener *l)
{
    metrics_add(sh->metrics, METRIC_connections_accepted_total, 1);
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_NUM("bytes", sizeof *c));
        struct transport refused = *t;
        gauge_give(l->open);
        refused.ops->close(&refused);
        return;
    }
    c->transport = *t;
    c->listener = l;
    if (log_wants(sh->log, EVENT_CONNECTION_OPEN)) log_peer(sh, c, EVENT_CONNECTION_OPEN);
    c->max_packet = PACKET_BYTES_MAX;
    list_init(&c->credit_waiter);
    if (!adopt(sh, c)) destroy(sh, c);
}

void conn_accept(struct shard *sh, uint32_t listener)
{
    enum { ACCEPTS_A_TURN = 64, AGAIN_MS = 500 };
    struct shards_listener *l = sh->listeners[listener];
    if (sh->alarm_ms[ALARM_ACCEPT] != 0) return;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct transport t;
        enum err rc = listener_accept(l->fd, &t);
        if (rc == ERR_AGAIN) return;
        if (rc == ERR_CLOSED) continue;
        if (rc == ERR_FULL) {
            log_event(sh->log, EVENT_ACCEPT_FAILED, LOG_NUM("port", l->port));
            shard_pause_accepting(sh, AGAIN_MS);
            return;
        }
        if (gauge_take(l->open, l->max_connections)) {
            conn_begin(sh, &t, l);
        } else {
            log_event(sh->log, EVENT_LISTENER_FULL, LOG_NUM("port", l->port),
                      LOG_NUM("max_connections", l->max_connections));
            t.ops->close(&t);
        }
    }
}

/* --- input */

static uint32_t packet_max(const struct shard *sh, const struct conn *c)
{
    if (c->state == CONN_NEW || c->state == CONN_AUTH) return CONNECT_BYTES_MAX;
    return sh->config->max_packet_size > 0 ? sh->config->max_packet_size : PACKET_BYTES_MAX;
}

static bool is_read(const struct conn *c)
{
    return c->state == CONN_NEW || c->state == CONN_AUTH || c->state == CONN_OPEN;
}

/* Runs the packets in `in`. Gives how many bytes are done with; *want is the size of the packet cut off. */
static size_t run_packets(struct shard *sh, struct conn *c, struct bytes in, uint32_t *want)
{
    size_t done = 0, packets = 0;
    *want = 0;
    while (done < in.len && c->paused == 0 && is_read(c)) {
        struct frame f;
        struct bytes left = bytes_of(in.at + done, in.len - done);
        enum mqtt_rc rc = c->version == MQTT_V31 ? frame_split_v31(left, packet_max(sh, c), &f)
                                                 : frame_split(left, packet_max(sh, c), &f);
        if (rc == MQTT_RC_OK && f.total == 0) {
            *want = f.want;
            break;
        }
        if (rc == MQTT_RC_OK && c->state == CONN_NEW && connect_hand_over(sh, c, &f, left)) return in.len;
        if (rc == MQTT_RC_OK) {
            done += f.total;
            packets++;
            rc = dispatch(sh, c, &f);
        }
        if (rc != MQTT_RC_OK) conn_end(sh, c, rc);
        if (c->out.bytes > OUT_BYTES_READ_MAX && c->state == CONN_OPEN) conn_pause(sh, c, PAUSE_OUTPUT);
    }
    metrics_add(sh->metrics, METRIC_packets_received_total, packets);
    return c->state == CONN_ENDING || c->state == CONN_CLOSED ? in.len : done;
}

static void in_clear(struct conn *c)
{
    free(c->in);
    c->in = NULL;
    c->in_bytes = c->in_room = 0;
}

static bool in_make_room(struct conn *c, size_t room)
{
    if (room <= c->in_room) return true;
    uint8_t *in = realloc(c->in, room);
    if (in == NULL) return false;
    c->in = in;
    c->in_room = (uint32_t)room;
    return true;
}

/* Copies bytes to the front of c->in; they may lie in it already. False without memory. */
static bool in_store(struct conn *c, struct bytes b)
{
    bool inside = c->in != NULL && b.at >= c->in && b.at < c->in + c->in_room;
    if (inside) {
        memmove(c->in, b.at, b.len);
    } else {
        if (!in_make_room(c, b.len)) return false;
        memcpy(c->in, b.at, b.len);
    }
    c->in_bytes = (uint32_t)b.len;
    return true;
}

/* Keeps what no packet has used. */
static void in_keep(struct shard *sh, struct conn *c, struct bytes left)
{
    if (c->state == CONN_CLOSED) return; /* handed over, or dropped: not ours to touch */
    if (left.len == 0)
        in_clear(c);
    else if (!in_store(c, left))
        conn_drop(sh, c);
}

/* Runs what is there. A large packet that is still incomplete gets a buffer of its own, which grows with what
 * has really come: a peer cannot make us hold more than twice what it sent. */
static void run_input(struct shard *sh, struct conn *c, struct bytes in)
{
    uint32_t want;
    uint64_t id = c->id;
    size_t done = run_packets(sh, c, in, &want);
    if (conn_find(sh, id) != c) return; /* handed over, or gone */
    in_keep(sh, c, bytes_of(in.at + done, in.len - done));
    if (want > SCRATCH_BYTES / 2 && c->state != CONN_CLOSED) {
        size_t room = (size_t)c->in_bytes * 2 > SCRATCH_BYTES ? (size_t)c->in_bytes * 2 : SCRATCH_BYTES;
        if (!in_make_room(c, room < want ? room : want)) conn_drop(sh, c);
    }
}

static void read_more(struct shard *sh, struct conn *c)
{
    bool own = c->in_room > SCRATCH_BYTES / 2; /* an incomplete large packet */
    uint8_t *at = own ? c->in : sh->scratch;
    size_t room = own ? c->in_room : SCRATCH_BYTES;
    size_t got;
    if (!own && c->in_bytes > 0) memcpy(at, c->in, c->in_bytes);

    enum err rc = c->transport.ops->read(&c->transport, at + c->in_bytes, room - c->in_bytes, &got);
    if (rc == ERR_AGAIN) return;
    if (rc != ERR_OK) {
        conn_drop(sh, c);
        return;
    }
    metrics_add(sh->metrics, METRIC_bytes_received_total, got);
    c->seen_ms = sh->now_ms;
    if (c->state == CONN_ENDING) return; /* thrown away */
    run_input(sh, c, bytes_of(at, c->in_bytes + got));
}

void conn_event(struct shard *sh, uint64_t id, uint32_t events)
{
    struct conn *c = conn_find(sh, id);
    if (c == NULL) return;
    if ((events & EPOLLOUT) != 0) conn_mark_dirty(sh, c);
    if ((events & EPOLLIN) != 0 && c->paused == 0) {
        read_more(sh, c);
        return;
    }
    /* Paused and the peer is gone for good: its data can wait no longer. */
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) conn_drop(sh, c);
}

/* --- pauses */

void conn_pause(struct shard *sh, struct conn *c, uint8_t why)
{
    bool was = c->paused != 0;
    c->paused |= why;
    if (!was) watch(sh, c, EPOLL_CTL_MOD);
}

void conn_resume(struct shard *sh, struct conn *c, uint8_t why)
{
    if ((c->paused & why) == 0) return;
    c->paused &= (uint8_t)~why;
    if (c->paused != 0 || c->is_ready || c->state == CONN_CLOSED) return;
    c->is_ready = true;
    c->next_ready = sh->ready;
    sh->ready = c;
}

void conn_run_ready(struct shard *sh)
{
    while (sh->ready != NULL) {
        struct conn *c = sh->ready;
        sh->ready = c->next_ready;
        c->is_ready = false;
        if (c->state == CONN_CLOSED || c->paused != 0) continue;
        c->seen_ms = sh->now_ms; /* its keepalive did not run meanwhile */
        watch(sh, c, EPOLL_CTL_MOD);
        if (c->in_bytes > 0 && c->state != CONN_CLOSED) run_input(sh, c, bytes_of(c->in, c->in_bytes));
    }
}

/* --- the end */

static void bury(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_CLOSED) return;
    c->state = CONN_CLOSED;
    conn_cut(sh, c);
    give_away(sh, c);
    c->is_dead = true;
    c->next_dead = sh->dead;
    sh->dead = c;
}

void conn_cut(struct shard *sh, struct conn *c)
{
    sh->orphans += c->deferred;
    c->deferred = 0;
    list_remove(&c->credit_waiter);
    if (c->session != NULL) jobs_conn_gone(c->session);
    c->session = NULL;
}

static void leave_session(struct shard *sh, struct conn *c)
{
    struct session *s = c->session;
    if (s == NULL) return;
    conn_cut(sh, c);
    log_event(sh->log, EVENT_CLIENT_CLOSED, LOG_TEXT("client", session_client_id(s)));
    sessions_offline(sh, s, true);
}

void conn_drop(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_CLOSED) return;
    leave_session(sh, c);
    bury(sh, c);
}

void conn_doom(struct shard *sh, struct conn *c)
{
    c->doomed = true;
    conn_mark_dirty(sh, c);
}

void conn_end_quietly(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_CLOSED || c->state == CONN_ENDING) return;
    leave_session(sh, c);
    if (c->state == CONN_CLOSED) return;
    c->state = CONN_ENDING;
    c->paused = 0;   /* to see the peer's close */
    c->in_bytes = 0; /* the buffer itself may still be under the parser */
    wheel_start(sh->conn_wheel, &c->timer, sh->now_ms + LINGER_MS);
    watch(sh, c, EPOLL_CTL_MOD);
    conn_mark_dirty(sh, c);
}

static void say_disconnect(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    struct session_end e = { .code = (uint8_t)why };
    const char *reference = sh->config->server_reference;
    bool refers = why == MQTT_RC_USE_ANOTHER_SERVER || why == MQTT_RC_SERVER_MOVED;
    if (refers && reference[0] != '\0') PROPS_SET(&e.props, server_reference, bytes_of_text(reference));
    if (session_end_size(c->version, PACKET_DISCONNECT, &e) > c->max_packet) props_clear(&e.props);
    uint32_t size = session_end_size(c->version, PACKET_DISCONNECT, &e);
    conn_give_reason(c, &e.props, e.code, size);
    size = session_end_size(c->version, PACKET_DISCONNECT, &e);
    uint8_t *at = size > c->max_packet ? NULL : conn_reserve(sh, c, size);
    if (at == NULL) return;
    struct wr w = { .at = at, .left = size };
    session_end_encode(&w, c->version, PACKET_DISCONNECT, &e);
    conn_commit(sh, c, size);
}

void conn_end(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    if (c->state == CONN_CLOSED || c->state == CONN_ENDING) return;
    bool theirs =
        why == MQTT_RC_MALFORMED || why == MQTT_RC_PROTOCOL || c->state == CONN_NEW || c->state == CONN_AUTH;
    if (theirs) metrics_add(sh->metrics, METRIC_protocol_errors_total, 1);
    struct bytes client = c->session == NULL ? bytes_of_text("") : session_client_id(c->session);
    enum event e = why == MQTT_RC_MALFORMED           ? EVENT_PEER_MALFORMED
                   : theirs                           ? EVENT_PEER_PROTOCOL_ERROR
                   : why == MQTT_RC_KEEPALIVE_TIMEOUT ? EVENT_KEEPALIVE_TIMEOUT
                                                      : EVENT_CLIENT_ENDED;
    log_event(sh->log, e, LOG_TEXT("client", client), LOG_STR("reason", mqtt_rc_text((uint8_t)why)));
    /* Never before CONNACK [MQTT-3.14.0-1]. */
    if (c->version == MQTT_V5 && c->state == CONN_OPEN) say_disconnect(sh, c, why);
    conn_end_quietly(sh, c);
}

void conn_free_dead(struct shard *sh)
{
    while (sh->dead != NULL) {
        struct conn *c = sh->dead;
        sh->dead = c->next_dead;
        destroy(sh, c);
    }
}

static uint64_t silence_ms(const struct conn *c)
{
    return (uint64_t)c->keepalive_s * 1500;
}

void conn_timer(struct wheel_timer *t, void *shard)
{
    struct shard *sh = shard;
    struct conn *c = CONTAINER(t, struct conn, timer);
    if (c->state == CONN_ENDING) {
        bury(sh, c);
        return;
    }
    if (c->state == CONN_NEW || c->state == CONN_AUTH) {
        log_peer(sh, c, EVENT_CONNECT_TIMEOUT);
        conn_drop(sh, c);
        return;
    }
    /* Input only notes the time; the timer follows it when it fires [MQTT-3.1.2-22]. */
    uint64_t due = c->seen_ms + silence_ms(c);
    if (c->keepalive_s == 0) return;
    /* Who is not read through no fault of its own is not silent. */
    if ((c->paused & ~PAUSE_OUTPUT) != 0) due = sh->now_ms + silence_ms(c);
    if (due > sh->now_ms) {
        wheel_start(sh->conn_wheel, &c->timer, due);
        return;
    }
    metrics_add(sh->metrics, METRIC_keepalive_timeouts_total, 1);
    conn_end(sh, c, MQTT_RC_KEEPALIVE_TIMEOUT);
}

/* --- output */

static void flush(struct shard *sh, struct conn *c)
{
    size_t wrote;
    if (c->doomed) {
        conn_drop(sh, c);
        return;
    }
    enum err rc = out_flush(&c->out, &sh->pool, &c->transport, &wrote);
    metrics_add(sh->metrics, METRIC_bytes_sent_total, wrote);
    if (rc != ERR_OK && rc != ERR_AGAIN) {
        conn_drop(sh, c);
        return;
    }
    if ((c->paused & PAUSE_OUTPUT) != 0) {
        if (wrote > 0) c->seen_ms = sh->now_ms; /* it reads: what it says waits for us */
        if (c->out.bytes <= OUT_BYTES_READ_MAX / 2) conn_resume(sh, c, PAUSE_OUTPUT);
    }
    bool wants = rc == ERR_AGAIN;
    if (wants != c->wants_write) {
        c->wants_write = wants;
        watch(sh, c, EPOLL_CTL_MOD);
    }
    if (c->state == CONN_ENDING && !wants) c->transport.ops->end(&c->transport);
    if (c->state != CONN_OPEN || wants) return;
    if (c->blocked) {
        c->blocked = false;
        feed_pump(sh, c->session);
    }
    if (!list_empty(&c->session->jobs)) jobs_resume(sh, c->session);
}

void conn_flush_dirty(struct shard *sh)
{
    /* Pumping a session makes its connection dirty again: until there is nothing to say. */
    while (sh->dirty != NULL) {
        struct conn *c = sh->dirty;
        sh->dirty = c->next_dirty;
        c->is_dirty = false;
        if (c->state != CONN_CLOSED) flush(sh, c);
    }
}

/* --- hand-off */

bool connect_hand_over(struct shard *sh, struct conn *c, const struct frame *f, struct bytes unread)
{
    struct connect p;
    if (c->handed_over || f->type != PACKET_CONNECT) return false;
    if (connect_decode(f->body, &p) != MQTT_RC_OK || p.client_id.len == 0) return false;
    unsigned to = shard_of_client(sh->all, p.client_id);
    if (to == sh->index) return false;

    if (!in_store(c, unread)) {
        conn_drop(sh, c);
        return true;
    }
    c->handed_over = true;
    give_away(sh, c);
    shard_post(sh, to, &c->mail, MAIL_HANDOFF);
    return true;
}

void conn_mail_handoff(struct shard *sh, struct mail *m)
{
    struct conn *c = CONTAINER(m, struct conn, mail);
    if (sh->closing || !adopt(sh, c)) {
        destroy(sh, c);
        return;
    }
    run_input(sh, c, bytes_of(c->in, c->in_bytes));
}
