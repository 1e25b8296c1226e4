/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/conn.h"
#include "base/check.h"
#include "net/address.h"
#include "net/listener.h"
#include "shard/acks.h"
#include "shard/admission.h"
#include "shard/alias.h"
#include "shard/backoff.h"
#include "shard/change.h"
#include "shard/connect.h"
#include "shard/guard.h"
#include "shard/heir.h"
#include "shard/hooked.h"
#include "shard/keepalive_way.h"
#include "shard/on_login.h"
#include "shard/parked.h"
#include "shard/route.h"
#include "shard/shard_int.h"
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * Transitions:  accept -> conn_accept        hand-off, input -> conn_in.c
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
    sh->conns_count++;
    if (++slot->generation == 0) slot->generation = 1; /* ids of 0 are the shard's own, and nobody's */
    c->id = (uint64_t)slot->generation << 32 | i;
    return true;
}

static void slot_release(struct shard *sh, struct conn *c)
{
    uint32_t i = (uint32_t)c->id;
    sh->slots[i].conn = NULL;
    sh->conns_count--;
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

/* --- in and out of this shard */

/* A transport that can read on only when there is room for output is told of room, and not of input: of what
 * is not taken epoll would tell again and again. While it is paused, of neither. */
static uint32_t events_wanted(const struct conn *c)
{
    bool reads_by_room = (c->transport.needs & TRANSPORT_WANTS_WRITE) != 0;
    bool writes = c->wants_write || (c->transport.needs & TRANSPORT_HAS_OUTPUT) != 0;
    uint32_t in = c->paused != 0 ? 0 : reads_by_room ? EPOLLOUT : EPOLLIN;
    return in | (writes ? EPOLLOUT : 0);
}

void conn_watch(struct shard *sh, struct conn *c)
{
    if (c->hung_up) return;                 /* it is read until nothing comes, and nobody writes */
    c->watched = (uint8_t)events_wanted(c); /* the two are below 256 */
    struct epoll_event e = { .events = c->watched, .data.u64 = c->id };
    int op = c->is_polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    c->is_polled = true;
    if (c->transport.ops->watch(&c->transport, sh->epoll_fd, op, &e) != ERR_OK) conn_doom(sh, c);
}

static void unwatch(struct shard *sh, struct conn *c)
{
    if (!c->is_polled) return;
    c->is_polled = false;
    c->transport.ops->watch(&c->transport, sh->epoll_fd, EPOLL_CTL_DEL, NULL);
}

void conn_watch_changes(struct shard *sh, struct conn *c)
{
    if (!c->is_polled || events_wanted(c) != c->watched) conn_watch(sh, c);
}

bool conn_join(struct shard *sh, struct conn *c)
{
    if (!slot_take(sh, c)) return false;
    metrics_add(sh->metrics, METRIC_connections_open, 1);
    c->seen_ms = sh->now_ms;
    c->asks = WORK_OF_NEWCOMER;
    c->timer = (struct wheel_timer){ 0 }; /* it may have been a mail */
    wheel_start(sh->conn_wheel, &c->timer, sh->now_ms + (uint64_t)sh->config->connect_timeout_s * 1000);
    guard_joined(sh, c);
    return true; /* even when it is doomed already */
}

void conn_leave(struct shard *sh, struct conn *c)
{
    unwatch(sh, c);
    wheel_stop(sh->conn_wheel, &c->timer);
    guard_left(sh, c);
    slot_release(sh, c);
    c->is_queued = c->is_slow = false; /* by an id that is gone now */
    metrics_sub(sh->metrics, METRIC_connections_open, 1);
}

static void give_place(struct shard *sh)
{
    if (sh->all->conf.connections_max > 0) gauge_give(&sh->all->open);
}

/* Among all, and among those of its listener, which may go with the last one. */
static void give_places(struct shard *sh, const struct shards_listener *l)
{
    give_place(sh);
    gauge_give(l->open);
}

void conn_destroy(struct shard *sh, struct conn *c)
{
    out_clear(&c->out, &sh->pool);
    c->transport.ops->close(&c->transport);
    free(c->in);
    conn_acks_free(c);
    auth_conn_gone(c);
    login_conn_gone(c);
    heir_free(c);
    free(c->username);
    alias_in_free(&c->alias_in);
    alias_out_free(&c->alias_out);
    conn_seldom_end(c);
    hooked_free(c);
    guard_free(sh, c);
    give_places(sh, c->listener);
    free(c);
}

static void log_peer(struct shard *sh, const struct conn *c, enum event e)
{
    char peer[ADDRESS_TEXT_BYTES];
    transport_peer(&c->transport, peer);
    log_event(sh->log, e, LOG_STR("peer", peer), LOG_NUM("port", c->listener->port));
}

/* Most of those that come have said something when they are accepted, so one is read before epoll is told of
 * it: it may belong to another shard, which tells its own. Handshakes have a queue of their own. */
static void listen_to(struct shard *sh, struct conn *c)
{
    if ((c->transport.needs & TRANSPORT_SHAKES) != 0)
        conn_watch(sh, c);
    else if (c->paused == 0)
        conn_queue(sh, c);
}

void conn_begin(struct shard *sh, const struct transport *t, struct shards_listener *l)
{
    metrics_add(sh->metrics, METRIC_connections_accepted_total, 1);
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        log_event(sh->log, EVENT_MEMORY_REFUSED, LOG_NUM("bytes", sizeof *c));
        struct transport refused = *t;
        refused.ops->close(&refused);
        give_places(sh, l);
        return;
    }
    c->transport = *t;
    c->listener = l;
    if (log_wants(sh->log, EVENT_CONNECTION_OPEN)) log_peer(sh, c, EVENT_CONNECTION_OPEN);
    c->max_packet = PACKET_BYTES_MAX;
    list_init(&c->credit_waiter);
    list_init(&c->late_waiter);
    list_init(&c->dirty);
    c->seldom = &conn_seldom_none;
    enum err rc = guard_attach(sh, c);
    if (rc != ERR_OK) guard_refused(sh, c, rc);
    if (rc != ERR_OK || !conn_join(sh, c))
        conn_destroy(sh, c);
    else
        listen_to(sh, c);
}

/* A connection that its listener has room for. */
static void let_in(struct shard *sh, struct shards_listener *l, int fd)
{
    struct transport t = { .fd = fd };
    struct net_address from = { .kind = ADDRESS_NONE };
    const struct shards_door *door = &sh->view->doors[l->door];
    if (door->config->enable_proxy_protocol != CONFIG_PROXY_OFF) transport_address(&t, &from);
    enum err rc = edge_open(door->edge, fd, &t);
    if (rc == ERR_OK) {
        conn_begin(sh, &t, l);
        return;
    }
    give_places(sh, l);
    if (rc == ERR_NOTFOUND) guard_log_refused(sh, l, &from, EVENT_PROXY_UNTRUSTED);
}

static void judge(struct shard *sh, struct shards_listener *l, int fd)
{
    struct transport t = { .fd = fd };
    struct net_address from;
    bool has_room = gauge_take(l->open, sh->view->doors[l->door].config->max_connections);
    if (has_room && guard_accepts(sh, l)) {
        let_in(sh, l, fd);
        return;
    }
    transport_address(&t, &from);
    close(fd);
    if (has_room) gauge_give(l->open);
    give_place(sh);
    guard_log_refused(sh, l, &from, has_room ? EVENT_CONNECT_RATE : EVENT_LISTENER_FULL);
}

/* Descriptors are left for what the broker opens itself, or a journal could not begin its next segment. */
static enum err accept_one(struct shard *sh, const struct shards_listener *l, int *fd)
{
    uint32_t most = sh->all->conf.connections_max;
    if (most > 0 && !gauge_take(&sh->all->open, most)) return ERR_FULL;
    enum err rc = listener_accept(l->fd, fd);
    if (rc != ERR_OK && most > 0) gauge_give(&sh->all->open);
    return rc;
}

/* An accept that finds nothing costs 3.1 us, for it makes a socket first; asking how many wait costs 0.4. One
 * is tried at least: epoll says that there is one. */
static uint32_t accepts_of(const struct shards_listener *l, uint32_t most)
{
    uint32_t waiting = listener_waiting(l->fd);
    if (waiting == 0) return 1;
    return waiting < most ? waiting : most;
}

/* When descriptors have run out, whoever comes waits in the kernel's queue: a client that is closed at once
 * would come back at once. So there is no spare descriptor to accept and close them with. */
void conn_accept(struct shard *sh, uint32_t listener)
{
    enum { ACCEPTS_A_TURN = 64, AGAIN_MS = 500 };
    struct shards_listener *l = sh->listeners[listener];
    /* The event may be older than what a visitor has run since. */
    if (sh->closing || !shard_is_door(sh, l)) return;
    if (sh->alarm_ms[ALARM_ACCEPT] != 0) return;
    uint32_t count = accepts_of(l, ACCEPTS_A_TURN);
    for (uint32_t i = 0; i < count; i++) {
        int fd;
        enum err rc = accept_one(sh, l, &fd);
        if (rc == ERR_AGAIN) return;
        if (rc == ERR_CLOSED) continue;
        if (rc == ERR_FULL) {
            metrics_add(sh->metrics, METRIC_accept_pauses_total, 1);
            log_event(sh->log, EVENT_ACCEPT_FAILED, LOG_NUM("port", l->port));
            shard_pause_accepting(sh, AGAIN_MS);
            return;
        }
        sh->work += WORK_OF_ACCEPT;
        judge(sh, l, fd);
    }
}

/* --- pauses */

void conn_pause(struct shard *sh, struct conn *c, uint16_t why)
{
    bool was = c->paused != 0;
    c->paused |= why;
    if (!was) conn_watch(sh, c);
}

void conn_resume(struct shard *sh, struct conn *c, uint16_t why)
{
    if ((c->paused & why) == 0) return;
    c->paused &= (uint16_t)~why;
    /* With PAUSE_HOOKS alone it is not read; what is parked goes on. */
    if ((c->paused & ~PAUSE_HOOKS) != 0 || c->is_ready || c->state == CONN_CLOSED) return;
    c->is_ready = true;
    c->next_ready = sh->ready;
    sh->ready = c;
}

/* --- the end */

static void bury(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_CLOSED) return;
    c->state = CONN_CLOSED;
    conn_cut(sh, c);
    hooked_gone(sh, c);
    conn_leave(sh, c);
    conn_unmark_dirty(sh, c);
    sh->work += WORK_OF_CLOSE;
    c->next_dead = sh->dead;
    sh->dead = c;
}

void conn_cut(struct shard *sh, struct conn *c)
{
    sh->orphans += c->deferred;
    c->deferred = 0;
    list_remove(&c->credit_waiter);
    list_remove(&c->late_waiter);
    if (c->session != NULL) jobs_conn_gone(c->session);
    heirs_wake(sh, c);
    c->session = NULL;
}

static void leave_session(struct shard *sh, struct conn *c)
{
    struct session *s = c->session;
    if (s == NULL) return;
    way_ended(sh, c, KA_END_OURS); /* unless it is known already how */
    login_check_will(sh, c);
    bool is_inherited = heirs_wait(c);
    if (s->persistent && s->expiry_s > 0 && !is_inherited) hooked_session_stays(c);
    conn_cut(sh, c);
    log_event(sh->log, EVENT_CLIENT_CLOSED, LOG_TEXT("client", session_client_id(s)));
    sessions_offline(sh, s, c);
}

void conn_drop(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_CLOSED) return;
    if (c->session != NULL) admission_lost(sh);
    way_lost(sh, c);
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
    hooked_gone(sh, c);
    c->state = CONN_ENDING;
    c->paused = 0;   /* to see the peer's close */
    c->in_bytes = 0; /* the buffer itself may still be under the parser */
    wheel_start(sh->conn_wheel, &c->timer, sh->now_ms + LINGER_MS);
    if (!c->is_over) conn_watch_changes(sh, c); /* or it is closed in a moment */
    conn_mark_dirty(sh, c);
}

void conn_end_as_asked(struct shard *sh, struct conn *c)
{
    c->is_over = c->transport.ops->is_bare;
    conn_end_quietly(sh, c);
}

static void log_fault(struct shard *sh, const struct conn *c)
{
    char peer[ADDRESS_TEXT_BYTES];
    const char *why = c->transport.why != NULL ? c->transport.why : err_text(ERR_SYNTAX);
    metrics_add(sh->metrics, METRIC_transport_errors_total, 1);
    transport_peer(&c->transport, peer);
    log_event(sh->log, EVENT_PEER_TRANSPORT, LOG_STR("peer", peer), LOG_NUM("port", c->listener->port),
              LOG_STR("transport", c->transport.ops->name), LOG_STR("reason", why));
}

void conn_failed(struct shard *sh, struct conn *c, enum err rc)
{
    bool ends = c->state == CONN_ENDING || c->state == CONN_CLOSED;
    if (rc == ERR_SYNTAX && !ends) log_fault(sh, c);
    if (parked_any(c)) { /* what came before has not been done */
        if (!c->hung_up) conn_hang_up(sh, c);
        if (c->state == CONN_CLOSED || parked_ends(sh, c, MQTT_RC_OK)) return;
    }
    if (!ends && (c->transport.needs & TRANSPORT_HAS_OUTPUT) != 0)
        conn_end_quietly(sh, c);
    else
        conn_drop(sh, c);
}

static void say_disconnect(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    struct session_end e = { .code = (uint8_t)why };
    const char *reference = sh->config->server_reference;
    bool refers = why == MQTT_RC_USE_ANOTHER_SERVER || why == MQTT_RC_SERVER_MOVED;
    if (refers && reference[0] != '\0') PROPS_SET(&e.props, server_reference, bytes_of_text(reference));
    if (session_end_size(c->version, PACKET_DISCONNECT, &e) > c->max_packet) props_clear(&e.props);
    backoff_tell(sh, c, why, &e.props);
    if (session_end_size(c->version, PACKET_DISCONNECT, &e) > c->max_packet)
        e.props.user = bytes_of(NULL, 0); /* [MQTT-3.14.2-4] */
    uint32_t size = session_end_size(c->version, PACKET_DISCONNECT, &e);
    conn_give_reason(c, &e.props, e.code, size);
    size = session_end_size(c->version, PACKET_DISCONNECT, &e);
    uint8_t *at = size > c->max_packet ? NULL : conn_reserve(sh, c, size);
    if (at == NULL) return;
    struct wr w = { .at = at, .left = size };
    session_end_encode(&w, c->version, PACKET_DISCONNECT, &e);
    conn_commit(sh, c, size);
}

/* Whoever it is has done nothing wrong. */
static bool is_our_wish(enum mqtt_rc why)
{
    return why == MQTT_RC_SHUTTING_DOWN || why == MQTT_RC_USE_ANOTHER_SERVER || why == MQTT_RC_ADMINISTRATIVE;
}

void conn_end(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    if (c->state == CONN_CLOSED || c->state == CONN_ENDING) return;
    if ((c->paused & PAUSE_ADMISSION) != 0) { /* it waits for our word, and has done nothing wrong */
        connack_refuse(sh, c, why);
        return;
    }
    hooked_reason(c, (uint8_t)why);
    bool is_new = c->state == CONN_NEW || c->state == CONN_AUTH;
    bool theirs = why == MQTT_RC_MALFORMED || why == MQTT_RC_PROTOCOL || (is_new && !is_our_wish(why));
    if (theirs) metrics_add(sh->metrics, METRIC_protocol_errors_total, 1);
    struct bytes client = c->session == NULL ? bytes_of_text("") : session_client_id(c->session);
    enum event e = why == MQTT_RC_MALFORMED           ? EVENT_PEER_MALFORMED
                   : theirs                           ? EVENT_PEER_PROTOCOL_ERROR
                   : why == MQTT_RC_KEEPALIVE_TIMEOUT ? EVENT_KEEPALIVE_TIMEOUT
                                                      : EVENT_CLIENT_ENDED;
    log_event(sh->log, e, LOG_TEXT("client", client), LOG_STR("reason", mqtt_rc_text((uint8_t)why)));
    /* Never before CONNACK [MQTT-3.14.0-1]. */
    if (c->version == MQTT_V5 && c->state == CONN_OPEN) say_disconnect(sh, c, why);
    if (c->session != NULL) admission_lost(sh);
    conn_end_quietly(sh, c);
}

void conn_free_dead(struct shard *sh)
{
    while (sh->dead != NULL) {
        struct conn *c = sh->dead;
        sh->dead = c->next_dead;
        conn_destroy(sh, c);
    }
}

static uint64_t silence_ms(const struct conn *c)
{
    return (uint64_t)c->keepalive_s * 1500;
}

uint64_t conn_look_ms(const struct conn *c, uint64_t due_ms)
{
    enum { GRAIN_MS_MAX = 1024, OF_SILENCE = 64 };
    uint64_t grain = WHEEL_TICK_MS;
    if (due_ms == UINT64_MAX) return due_ms;
    while (grain < GRAIN_MS_MAX && grain * 2 <= silence_ms(c) / OF_SILENCE) grain *= 2;
    return (due_ms + grain - 1) / grain * grain;
}

/* A packet that has begun must come, however long the keepalive. While it is not read it cannot. */
static uint64_t part_due_ms(const struct shard *sh, const struct conn *c)
{
    if (c->part_ms == 0) return UINT64_MAX;
    return (c->paused != 0 ? sh->now_ms : c->part_ms) + PART_S_MAX * 1000;
}

static uint64_t keepalive_due_ms(const struct shard *sh, const struct conn *c)
{
    if (c->keepalive_s == 0) return UINT64_MAX;
    /* Who is not read through no fault of its own is not silent. Who takes nothing is, though packets of it
     * wait for plugins: they stay where they are until it does. */
    unsigned its_own = PAUSE_OUTPUT;
    if ((c->paused & PAUSE_OUTPUT) != 0) its_own |= PAUSE_HOOKS;
    bool is_held = (c->paused & ~its_own) != 0;
    return (is_held ? sh->now_ms : c->seen_ms) + silence_ms(c);
}

static void end_part(struct shard *sh, struct conn *c)
{
    metrics_add(sh->metrics, METRIC_packet_timeouts_total, 1);
    log_event(sh->log, EVENT_PACKET_TIMEOUT, LOG_TEXT("client", session_client_id(c->session)),
              LOG_NUM("bytes", c->in_bytes));
    conn_end(sh, c, MQTT_RC_QUOTA_EXCEEDED);
}

void conn_timer(struct wheel_timer *t, void *shard)
{
    struct shard *sh = shard;
    struct conn *c = CONTAINER(t, struct conn, timer);
    if (c->state == CONN_ENDING) {
        bury(sh, c);
        return;
    }
    if (c->state == CONN_AUTH && login_wake(sh, c)) return;
    if (c->state == CONN_NEW || c->state == CONN_AUTH) {
        metrics_add(sh->metrics, METRIC_connect_timeouts_total, 1);
        log_peer(sh, c, EVENT_CONNECT_TIMEOUT);
        if ((c->transport.needs & TRANSPORT_SHAKES) != 0)
            metrics_add(sh->metrics, METRIC_tls_handshake_failures_total, 1);
        conn_drop(sh, c);
        return;
    }
    /* Input only notes the time; the timer follows it when it fires [MQTT-3.1.2-22]. */
    uint64_t part = part_due_ms(sh, c), keepalive = keepalive_due_ms(sh, c);
    uint64_t due = part < keepalive ? part : keepalive;
    if (due > sh->now_ms) {
        if (due == keepalive) due = conn_look_ms(c, due);
        if (due != UINT64_MAX) wheel_start(sh->conn_wheel, &c->timer, due);
        return;
    }
    if (part <= sh->now_ms) {
        end_part(sh, c);
        return;
    }
    metrics_add(sh->metrics, METRIC_keepalive_timeouts_total, 1);
    way_ended(sh, c, KA_END_SILENT);
    conn_end(sh, c, MQTT_RC_KEEPALIVE_TIMEOUT);
}

/* --- output */

void conn_hang_up(struct shard *sh, struct conn *c)
{
    bool may_have_said = c->state == CONN_OPEN || c->state == CONN_WAITING;
    if (!may_have_said || c->hung_up) {
        conn_drop(sh, c);
        return;
    }
    unwatch(sh, c);
    c->hung_up = true;
    conn_mark_dirty(sh, c);
    c->wants_write = false;          /* no room will come */
    conn_pause(sh, c, PAUSE_OUTPUT); /* until its output is thrown away */
}

/* What a connection says whose peer is gone. */
static enum err throw_away(struct shard *sh, struct conn *c, size_t *wrote)
{
    *wrote = 0;
    out_clear(&c->out, &sh->pool);
    return c->state == CONN_ENDING ? ERR_CLOSED : ERR_OK;
}

static enum err write_out(struct shard *sh, struct conn *c, size_t *wrote)
{
    if (c->hung_up) return throw_away(sh, c, wrote);
    enum err rc = out_flush(&c->out, &sh->pool, &c->transport, wrote);
    if (rc == ERR_OK && (c->transport.needs & TRANSPORT_HAS_OUTPUT) != 0)
        rc = c->transport.ops->write(&c->transport, NULL, 0, &(size_t){ 0 });
    return rc;
}

static size_t flush(struct shard *sh, struct conn *c)
{
    size_t wrote;
    if (c->doomed) {
        conn_drop(sh, c);
        return 0;
    }
    enum err rc = write_out(sh, c, &wrote);
    metrics_add(sh->metrics, METRIC_bytes_sent_total, wrote);
    if (rc != ERR_OK && rc != ERR_AGAIN) {
        conn_hang_up(sh, c);
        return wrote;
    }
    if ((c->paused & PAUSE_OUTPUT) != 0) {
        if (wrote > 0) c->seen_ms = sh->now_ms; /* it reads: what it says waits for us */
        if (c->out.bytes <= memory_output_max(sh) / 2) conn_resume(sh, c, PAUSE_OUTPUT);
    }
    bool wants = rc == ERR_AGAIN;
    c->wants_write = wants;
    c->taken = wrote < UINT32_MAX - c->taken ? c->taken + (uint32_t)wrote : UINT32_MAX;
    if (wants) slow_note(sh, c);
    if (c->state == CONN_ENDING && !wants) {
        if (c->is_over) {
            bury(sh, c);
            return wrote;
        }
        c->transport.ops->end(&c->transport); /* may have output of its own */
    }
    conn_watch_changes(sh, c);
    if (c->state != CONN_OPEN || wants) return wrote;
    if (c->blocked) {
        c->blocked = false;
        feed_pump(sh, c->session);
    }
    if (session_has_jobs(c->session)) jobs_resume(sh, c->session);
    return wrote;
}

size_t conn_flush(struct shard *sh, struct conn *c)
{
    conn_unmark_dirty(sh, c);
    return flush(sh, c);
}

/* Pumping a session makes its connection dirty again: until there is nothing to say. */
void conn_flush_dirty(struct shard *sh)
{
    while (!list_empty(&sh->dirty)) conn_flush(sh, CONTAINER(sh->dirty.next, struct conn, dirty));
}
