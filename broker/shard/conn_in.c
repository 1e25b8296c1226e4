/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "shard/admission.h"
#include "shard/change.h"
#include "shard/conn.h"
#include "shard/connect.h"
#include "shard/guard.h"
#include "shard/heir.h"
#include "shard/hooked.h"
#include "shard/job.h"
#include "shard/keepalive_way.h"
#include "shard/on_login.h"
#include "shard/parked.h"
#include "shard/shard_int.h"
#include <stdlib.h>
#include <sys/epoll.h>

/*
 * Bytes from a peer into packets.
 *
 *   event -> conn_event -> (more) -> read_more -> run_input -> run_packets -> dispatch
 *
 * Three queues live longer than a turn. In `more` is who has input: who will have had least of the shard's
 * work is the first, does its share, and comes again if it has packets left or its transport holds input
 * back. A turn does only so much of it, so nobody can hold up who asks for less. In `strangers` are those who
 * are new or gone, in the order in which they come, and in `shaking` those whose handshake goes on, which
 * share a budget of time in each turn. They hold ids: one that is gone is not found.
 */

/* --- queues */

static bool ids_put(struct conn_ids *q, uint64_t id)
{
    if (q->count == q->room) {
        size_t room = q->room == 0 ? 64 : q->room * 2;
        uint64_t *at = realloc(q->at, room * sizeof *at);
        if (at == NULL) return false;
        q->at = at;
        q->room = room;
    }
    q->at[q->count++] = id;
    return true;
}

static void ids_drop_first(struct conn_ids *q, size_t n)
{
    q->count -= n;
    if (q->count > 0) memmove(q->at, q->at + n, q->count * sizeof *q->at);
}

static void queue_shaking(struct shard *sh, struct conn *c)
{
    if (c->is_queued) return;
    c->is_queued = ids_put(&sh->shaking, c->id);
    if (!c->is_queued) conn_doom(sh, c);
}

static bool is_new(const struct conn *c)
{
    return c->state == CONN_NEW || c->state == CONN_AUTH;
}

/* Who is new has half a claim when he is known. */
static void queue_stranger(struct shard *sh, struct conn *c)
{
    if (c->is_queued) return;
    uint64_t had = sh->had + WORK_OF_CLAIM / 2;
    if (c->had < had) c->had = had;
    c->is_queued = ids_put(&sh->strangers, c->id);
    if (!c->is_queued) conn_doom(sh, c);
}

/* Those with as much come in order; what they have had has room for years of work. */
enum { ARRIVAL_BITS = 16 };

/* Who asked for nothing for a while has no claim to more now than WORK_OF_CLAIM. What it asks for is not
 * known, but what it was before, and that nobody waits for an answer to a part of a packet. */
void conn_queue(struct shard *sh, struct conn *c)
{
    struct due *q = &sh->more;
    if (c->is_queued) return;
    if (is_new(c)) {
        queue_stranger(sh, c);
        return;
    }
    c->is_queued = q->count < q->room || due_reserve(q, q->room * 2 + 64) == ERR_OK;
    if (!c->is_queued) {
        conn_doom(sh, c);
        return;
    }
    if (c->had < sh->had) c->had = sh->had;
    uint64_t asks = c->asks + (uint64_t)c->lacks * WORK_OF_READ;
    uint64_t place = (c->had + asks) << ARRIVAL_BITS | sh->arrivals++;
    due_put(q, (struct due_entry){ place, c->id });
}

/* What has been done since is this connection's. */
static void note_work(const struct shard *sh, struct conn *c, uint64_t since)
{
    c->had += sh->work - since;
}

/* --- input */

static uint32_t packet_max(const struct conn *c)
{
    if (is_new(c)) return CONNECT_BYTES_MAX;
    return c->told.packet_bytes;
}

static bool is_read(const struct conn *c)
{
    return is_new(c) || c->state == CONN_OPEN;
}

/* Runs the packets in `in`. Gives how many bytes are done with; *want is the size of the packet cut off. */
static size_t run_packets(struct shard *sh, struct conn *c, struct bytes in, uint32_t *want)
{
    size_t done = 0, packets = 0;
    uint64_t before = sh->work;
    *want = 0;
    c->has_rest = false;
    while (done < in.len && c->paused == 0 && is_read(c)) {
        c->has_rest = sh->work - before >= sh->work_of_one;
        if (c->has_rest) break;
        struct frame f;
        struct bytes left = bytes_of(in.at + done, in.len - done);
        enum mqtt_rc rc = c->version == MQTT_V31 ? frame_split_v31(left, packet_max(c), &f)
                                                 : frame_split(left, packet_max(c), &f);
        if (rc == MQTT_RC_OK && f.total == 0) {
            *want = f.want;
            break;
        }
        if (rc == MQTT_RC_OK && c->state == CONN_NEW && connect_hand_over(sh, c, &f, left)) return in.len;
        if (rc == MQTT_RC_OK && c->state == CONN_NEW && admission_stops(sh, c, &f)) break;
        if (rc == MQTT_RC_OK && f.type == PACKET_PUBLISH && late_stops(sh, c, &f)) break;
        if (rc == MQTT_RC_OK) {
            done += f.total;
            packets++;
            sh->work += 1 + f.total / WORK_BYTES;
            rc = dispatch(sh, c, &f);
            if (c->guard != NULL && f.type == PACKET_PUBLISH) guard_message(sh, c);
        }
        if (rc != MQTT_RC_OK && !parked_ends(sh, c, rc)) conn_end(sh, c, rc);
        if (c->out.bytes > memory_output_max(sh) && c->state == CONN_OPEN) conn_pause(sh, c, PAUSE_OUTPUT);
        if (c->hooked != NULL && c->hooked->reads.bytes > memory_output_max(sh))
            conn_pause(sh, c, PAUSE_READS);
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
        if (b.at != c->in) memmove(c->in, b.at, b.len); /* a large packet comes in many parts */
    } else {
        if (!in_make_room(c, b.len)) return false;
        memcpy(c->in, b.at, b.len);
    }
    c->in_bytes = (uint32_t)b.len;
    return true;
}

/* The rest of a packet would not fit below memory_limit. */
static void in_refuse(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_OPEN)
        conn_end(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    else
        conn_drop(sh, c);
}

static bool in_fits(struct shard *sh, const struct conn *c, size_t room)
{
    return room <= c->in_room || memory_grants_input(sh, room - c->in_room);
}

/* Keeps what no packet has used. Who may be anybody keeps nothing beyond the limit while he waits either. */
static void in_keep(struct shard *sh, struct conn *c, struct bytes left)
{
    bool goes_on = (c->paused & (uint16_t)~PAUSE_ADMISSION) == 0 && !c->has_rest;
    if (c->state == CONN_CLOSED) return; /* handed over, or dropped: not ours to touch */
    if (left.len == 0)
        in_clear(c);
    else if (goes_on && !in_fits(sh, c, left.len))
        in_refuse(sh, c);
    else if (!in_store(c, left))
        conn_drop(sh, c);
}

/* To copy what a connection keeps is work as to read it was. */
static void work_of_copy(struct shard *sh, struct conn *c, size_t bytes)
{
    uint64_t before = sh->work;
    sh->work += bytes / WORK_READ_BYTES;
    note_work(sh, c, before);
}

/* The keepalive counts whole packets [MQTT-3.1.2-22]. One on its way counts as well for each PART_BYTES_MIN
 * of it, or a slow link could send no large one; but bytes alone are no sign of life, or one a minute would
 * keep a connection and what it has begun for ever. */
static void note_packets(struct shard *sh, struct conn *c, size_t done)
{
    if (done > 0) {
        way_note_packet(sh, c, sh->now_ms);
        c->seen_ms = sh->now_ms;
    }
    if (c->in_bytes == 0 || c->paused != 0 || c->has_rest || c->state != CONN_OPEN) {
        c->part_ms = 0;
        return;
    }
    bool begins = done > 0 || c->part_ms == 0;
    if (!begins && c->in_bytes - c->part_bytes < PART_BYTES_MIN) return;
    c->seen_ms = begins ? c->seen_ms : sh->now_ms;
    c->part_ms = sh->now_ms;
    c->part_bytes = c->in_bytes;
    uint64_t due = sh->now_ms + PART_S_MAX * 1000;
    if (!wheel_running(&c->timer) || c->timer.when_ms > due) wheel_start(sh->conn_wheel, &c->timer, due);
}

/* Of a packet of `want` bytes, if that is known, so many have come. */
static void note_lack(struct conn *c, uint32_t want, size_t have)
{
    size_t reads = want > have ? (want - have) / WORK_READ_BYTES : 0;
    c->lacks = reads < UINT8_MAX ? (uint8_t)reads : UINT8_MAX;
}

/* Runs what is there. A large packet that is still incomplete gets a buffer of its own, which grows with what
 * has really come: a peer cannot make us hold more than twice what it sent. */
static void run_input(struct shard *sh, struct conn *c, struct bytes in)
{
    uint32_t want;
    uint64_t id = c->id;
    uint64_t before = sh->work;
    size_t done = run_packets(sh, c, in, &want);
    if (conn_find(sh, id) != c) return; /* handed over, or gone */
    note_work(sh, c, before);
    note_lack(c, want, in.len - done);
    in_keep(sh, c, bytes_of(in.at + done, in.len - done));
    note_packets(sh, c, done);
    if (c->has_rest && is_read(c)) conn_queue(sh, c);
    bool is_full = c->in_room <= SCRATCH_BYTES / 2 || c->in_bytes == c->in_room;
    if (want > SCRATCH_BYTES / 2 && is_full && is_read(c)) {
        size_t room = (size_t)c->in_bytes * 2 > SCRATCH_BYTES ? (size_t)c->in_bytes * 2 : SCRATCH_BYTES;
        if (room > want) room = want;
        work_of_copy(sh, c, c->in_bytes);
        if (!in_fits(sh, c, room))
            in_refuse(sh, c);
        else if (!in_make_room(c, room))
            conn_drop(sh, c);
    }
}

/* What a call of the transport has left for the loop to do. */
static void heed(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_CLOSED) return;
    if ((c->transport.needs & TRANSPORT_HAS_OUTPUT) != 0) conn_mark_dirty(sh, c);
    bool has_input = c->hung_up || (c->transport.needs & TRANSPORT_HAS_INPUT) != 0;
    if (has_input && c->paused == 0) conn_queue(sh, c);
    conn_watch_changes(sh, c);
}

/* A read of a connection whose handshake was going on has said so. */
static void count_handshake(struct shard *sh, const struct conn *c, enum err rc)
{
    if (rc != ERR_OK && rc != ERR_AGAIN) {
        metrics_add(sh->metrics, METRIC_tls_handshake_failures_total, 1);
        return;
    }
    if ((c->transport.needs & TRANSPORT_SHAKES) != 0) return;
    metrics_add(sh->metrics, METRIC_tls_handshakes_total, 1);
    if ((c->transport.needs & TRANSPORT_RESUMED) != 0)
        metrics_add(sh->metrics, METRIC_tls_resumptions_total, 1);
}

/* As far as limits go that are known only now. False: it is dropped. */
static bool is_welcome(struct shard *sh, struct conn *c, size_t got)
{
    enum err rc = guard_learn(sh, c);
    if (rc == ERR_OK) {
        guard_bytes(sh, c, got);
        return true;
    }
    guard_refused(sh, c, rc);
    conn_drop(sh, c);
    return false;
}

/* A header of some bytes is about as much as OVERHEAD_WORK_BYTES are to others. */
static void work_of_headers(struct shard *sh, struct conn *c)
{
    enum { OVERHEAD_WORK_BYTES = 32 };
    uint64_t before = sh->work;
    sh->work += c->transport.overhead_bytes / OVERHEAD_WORK_BYTES;
    note_work(sh, c, before);
}

static void read_more(struct shard *sh, struct conn *c)
{
    bool shakes = (c->transport.needs & TRANSPORT_SHAKES) != 0;
    bool own = c->in_room > SCRATCH_BYTES / 2; /* an incomplete large packet */
    uint8_t *at = own ? c->in : sh->scratch;
    size_t room = own ? c->in_room : SCRATCH_BYTES;
    size_t got;
    uint64_t id = c->id;
    if (!own && c->in_bytes > 0) {
        memcpy(at, c->in, c->in_bytes);
        work_of_copy(sh, c, 2 * (size_t)c->in_bytes); /* and back, when the packet is still not whole */
    }
    room -= c->in_bytes;
    if (c->guard != NULL) room = guard_room(sh, c, room);

    CHECK(room > 0);
    uint64_t before = sh->work;
    enum err rc = c->transport.ops->read(&c->transport, at + c->in_bytes, room, &got);
    sh->work += WORK_OF_READ + (rc == ERR_OK ? got / WORK_READ_BYTES : 0);
    note_work(sh, c, before);
    if (shakes) count_handshake(sh, c, rc);
    work_of_headers(sh, c);
    if (rc == ERR_AGAIN && c->hung_up) rc = ERR_CLOSED;
    if (rc != ERR_OK && rc != ERR_AGAIN) {
        conn_failed(sh, c, rc);
        return;
    }
    if ((c->transport.needs & TRANSPORT_ASKS) != 0) psk_ask(sh, c);
    if (c->guard != NULL && !is_welcome(sh, c, got)) return;
    if (rc == ERR_OK) {
        metrics_add(sh->metrics, METRIC_bytes_received_total, got);
        if (c->state != CONN_ENDING) run_input(sh, c, bytes_of(at, c->in_bytes + got)); /* else thrown away */
    }
    if (conn_find(sh, id) != c) return;
    if (c->guard != NULL) guard_hold(sh, c);
    heed(sh, c);
}

void conn_event(struct shard *sh, uint64_t id, uint32_t events)
{
    struct conn *c = conn_find(sh, id);
    if (c == NULL) return;
    if ((events & EPOLLOUT) != 0 && c->wants_write)
        late_room(sh, c);
    else if ((events & EPOLLOUT) != 0)
        conn_mark_dirty(sh, c);
    bool can_read = (events & EPOLLIN) != 0 ||
                    ((events & EPOLLOUT) != 0 && (c->transport.needs & TRANSPORT_WANTS_WRITE) != 0);
    if (can_read && (c->is_queued || c->is_ready)) return; /* its turn comes */
    if (can_read && c->paused == 0) {
        if ((c->transport.needs & TRANSPORT_SHAKES) != 0)
            queue_shaking(sh, c);
        else if ((events & (EPOLLERR | EPOLLHUP)) != 0)
            queue_stranger(sh, c);
        else
            conn_queue(sh, c);
        return;
    }
    if ((events & (EPOLLERR | EPOLLHUP)) == 0) return;
    if (c->paused != 0 || c->is_ready || parked_any(c))
        conn_hang_up(sh, c);
    else
        conn_drop(sh, c);
}

/* The SUBSCRIBE or UNSUBSCRIBE that had more than a turn's share. */
static void go_on_asking(struct shard *sh, struct conn *c)
{
    uint64_t before = sh->work;
    enum mqtt_rc rc = subscribe_go_on(sh, c);
    note_work(sh, c, before);
    if (rc != MQTT_RC_OK) conn_end(sh, c, rc);
    if (c->asking != NULL) conn_queue(sh, c);
}

static void read_queued(struct shard *sh, uint64_t id)
{
    struct conn *c = conn_find(sh, id);
    if (c == NULL) return;
    c->is_queued = false;
    if (c->asking != NULL) {
        go_on_asking(sh, c);
        return;
    }
    if (c->hooked != NULL) parked_run(sh, c);
    if (c->state == CONN_CLOSED || c->paused != 0 || c->is_ready)
        return; /* what it has kept is run first, when it goes on */
    if (!c->has_rest) {
        read_more(sh, c);
        return;
    }
    run_input(sh, c, bytes_of(c->in, c->in_bytes));
    if (conn_find(sh, id) == c) heed(sh, c);
}

/* The more there are, the less each does before the others. */
static uint32_t share_of_one(const struct shard *sh)
{
    uint32_t each = WORK_A_TURN / (sh->more.count + (uint32_t)sh->strangers.count + 1);
    if (each < WORK_OF_ONE_MIN) return WORK_OF_ONE_MIN;
    return each < WORK_OF_ONE_MAX ? each : WORK_OF_ONE_MAX;
}

/* Nobody is kept out for long by what he has had long ago. */
static void note_served(struct shard *sh, uint64_t place)
{
    if (place > sh->had + WORK_OF_CLAIM) sh->had = place - WORK_OF_CLAIM;
}

/* Half of what each would have had of it, had all an equal share: who comes now has no claim to that. Those
 * who always ask go on faster, until they are WORK_OF_CLAIM behind the others. */
static void note_shared(struct shard *sh, uint64_t work, uint32_t count)
{
    uint32_t by = 2 * count + 1;
    work += sh->had_rest;
    sh->had += work / by;
    sh->had_rest = (uint32_t)(work % by);
}

static void run_first(struct shard *sh)
{
    struct due_entry e = due_take(&sh->more);
    uint64_t id = e.seq, before = sh->work;
    struct conn *c = conn_find(sh, id);
    note_served(sh, e.due >> ARRIVAL_BITS);
    read_queued(sh, id);
    if (c == NULL || conn_find(sh, id) != c) return;
    uint64_t asks = (3ull * c->asks + (sh->work - before)) / 4;
    c->asks = asks < UINT16_MAX ? (uint16_t)asks : UINT16_MAX;
}

/* Runs who comes before `place`, each once. */
static void run_known(struct shard *sh, uint64_t place, uint64_t until)
{
    uint64_t began = sh->work;
    uint32_t count = sh->more.count;
    for (uint32_t i = 0; i < count && sh->work < until; i++) {
        if (due_first(&sh->more)->due >> ARRIVAL_BITS >= place) break;
        run_first(sh);
    }
    note_shared(sh, sh->work - began, count);
}

/* They are new, or their ends have come, and are not told apart: in the order in which they come. */
static void run_strangers(struct shard *sh, uint64_t until)
{
    size_t done = 0, count = sh->strangers.count;
    while (done < count && sh->work < until) read_queued(sh, sh->strangers.at[done++]);
    ids_drop_first(&sh->strangers, done);
}

bool conn_run_claims(struct shard *sh)
{
    uint64_t before = sh->work;
    sh->work_of_one = share_of_one(sh);
    run_known(sh, sh->had + WORK_OF_CLAIM / 2, sh->work + WORK_OF_STAGE);
    return sh->work > before && conn_has_input(sh);
}

bool conn_has_input(const struct shard *sh)
{
    return sh->more.count > 0 || sh->strangers.count > 0;
}

/* However many strangers come, those who are here have half. */
void conn_run_more(struct shard *sh)
{
    uint64_t until = shard_stage_until(sh);
    sh->work_of_one = share_of_one(sh);
    run_strangers(sh, sh->work + (until - sh->work) / 2);
    run_known(sh, UINT64_MAX, until);
    run_strangers(sh, until);
}

void conn_run_shaking(struct shard *sh)
{
    if (sh->shaking.count == 0) return;
    uint64_t until = clock_mono_ms(sh->clock) + SHAKE_MS_A_TURN;
    size_t done = 0;
    do read_queued(sh, sh->shaking.at[done++]);
    while (done < sh->shaking.count && clock_mono_ms(sh->clock) < until);
    ids_drop_first(&sh->shaking, done);
}

/* What had come before the pause; in the queue, when this turn has done enough. */
static void run_kept(struct shard *sh, struct conn *c)
{
    c->has_rest = sh->work >= sh->turn_until;
    if (c->has_rest)
        conn_queue(sh, c);
    else
        run_input(sh, c, bytes_of(c->in, c->in_bytes));
}

void conn_run_ready(struct shard *sh)
{
    while (sh->ready != NULL) {
        struct conn *c = sh->ready;
        sh->ready = c->next_ready;
        c->is_ready = false;
        if (c->seldom->heir != NULL) heir_go_on(sh, c);
        if (c->hooked != NULL) parked_run(sh, c);
        if (c->state == CONN_CLOSED || c->paused != 0) continue;
        c->seen_ms = sh->now_ms; /* its keepalive did not run meanwhile, nor could a packet come */
        c->part_ms = 0;
        uint64_t id = c->id;
        conn_watch(sh, c);
        if (c->in_bytes > 0 && c->state != CONN_CLOSED) run_kept(sh, c);
        if (conn_find(sh, id) == c) heed(sh, c);
    }
}

/* --- hand-off */

bool connect_hand_over(struct shard *sh, struct conn *c, const struct frame *f, struct bytes unread)
{
    struct connect p;
    if (c->handed_over || f->type != PACKET_CONNECT) return false;
    if (connect_decode(f->body, &p) != MQTT_RC_OK || login_identify(sh, c, &p) != MQTT_RC_OK) return false;
    if (p.client_id.len == 0) return false;
    unsigned to = shard_of_client(sh->all, p.client_id);
    if (to == sh->index) return false;

    if (!in_store(c, unread)) {
        conn_drop(sh, c);
        return true;
    }
    c->handed_over = true;
    conn_unmark_dirty(sh, c); /* the other shard sees itself what is to be written */
    conn_leave(sh, c);
    shard_post(sh, to, &c->mail, MAIL_HANDOFF);
    return true;
}

void conn_mail_handoff(struct shard *sh, struct mail *m)
{
    struct conn *c = CONTAINER(m, struct conn, mail);
    if (sh->closing || !conn_join(sh, c)) {
        conn_destroy(sh, c);
        return;
    }
    uint64_t id = c->id;
    recheck_conn(sh, c);
    run_input(sh, c, bytes_of(c->in, c->in_bytes));
    if (conn_find(sh, id) == c) heed(sh, c);
}
