/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

/* What one publisher puts into one write at most; the rest follows when the kernel took that. */
enum { FILL_BYTES_MAX = 65536, TOPIC_DIGITS = 8 };

void send_list(struct worker *w, struct publisher *p)
{
    if (p->listed) return;
    p->listed = true;
    w->fill[w->fill_count++] = p;
}

void send_list_all(struct worker *w)
{
    struct bench *b = w->bench;
    for (uint32_t i = w->index; i < b->plan.publishers; i += b->worker_count) send_list(w, &b->publishers[i]);
}

void send_flush_later(struct worker *w, struct conn *c)
{
    if (c->listed) return;
    c->listed = true;
    w->flush[w->flush_count++] = c;
}

uint64_t send_due_ns(const struct bench *b, uint64_t number)
{
    uint64_t rate = b->conf.rate;
    return b->schedule_start_ns + number / rate * BENCH_NS_PER_S + number % rate * BENCH_NS_PER_S / rate;
}

/* Open loop: hands every message whose time has come to its publisher, round robin. */
static void take_due(struct worker *w)
{
    struct bench *b = w->bench;
    while (send_due_ns(b, w->schedule_next) <= w->now_ns) {
        struct publisher *p = &b->publishers[w->schedule_next % b->plan.publishers];
        w->schedule_next++;
        if (p->conn.index % b->worker_count != w->index) continue;
        p->due++;
        send_list(w, p);
    }
}

static bool may_publish(const struct worker *w, const struct publisher *p)
{
    return w->publishing && p->sent < p->quota && (w->bench->conf.rate == 0 || p->due > 0) &&
           flow_may_send(&p->flow);
}

static void patch_topic(uint8_t *digits, uint32_t stream)
{
    for (int i = TOPIC_DIGITS - 1; i >= 0; i--) {
        digits[i] = (uint8_t)('0' + stream % 10);
        stream /= 10;
    }
}

/* The prepared packet has the topic of the next message. */
static void next_stream(struct publisher *p, const struct bench_plan *plan)
{
    if (plan->streams == plan->publishers) return;
    p->stream += plan->publishers;
    if (p->stream >= plan->streams) p->stream = p->conn.index;
    patch_topic(p->packet + p->topic_number_at, p->stream);
}

static void publish_one(struct worker *w, struct publisher *p)
{
    struct bench *b = w->bench;
    const struct bench_plan *plan = &b->plan;
    struct payload_head head = { .run = b->run, .stream = p->stream, .seq = b->stream_sent[p->stream]++ };
    /* Message k of publisher p is number k * publishers + p of the schedule. */
    head.intended_ns =
        b->conf.rate > 0 ? send_due_ns(b, p->sent * plan->publishers + p->conn.index) : w->now_ns;
    uint64_t number = flow_send(&p->flow, plan->counts_delivery ? plan->deliveries : 0, (uint8_t)b->conf.qos,
                                head.intended_ns);

    uint8_t *at = conn_reserve(&p->conn, p->packet_bytes);
    memcpy(at, p->packet, p->packet_bytes);
    if (p->payload_at < p->packet_bytes) memcpy(at + p->payload_at, &head, sizeof head);
    if (b->conf.qos > 0) {
        uint16_t id = flow_packet_id(number);
        at[p->id_at] = (uint8_t)(id >> 8);
        at[p->id_at + 1] = (uint8_t)id;
    }
    next_stream(p, plan);
    p->sent++;
    if (p->due > 0) p->due--;
    w->counts.sent++;
}

bool send_flush(struct worker *w, struct conn *c)
{
    if (c->wire.fd < 0) return false;
    enum err rc = conn_flush(c, w->epoll_fd);
    c->sent_ns = w->now_ns;
    if (rc == ERR_OK && c->state == CONN_LEAVING) bench_wire_end(&c->wire);
    if (rc == ERR_OK || rc == ERR_AGAIN) return true;
    if (c->state == CONN_GREETING && retry_later(w, c)) return false;
    if (rc == ERR_SYS && c->state == CONN_GREETING)
        worker_fail(w, c, "cannot connect to %s port %" PRIu64 ": %s; is the broker there?",
                    w->bench->conf.host, w->bench->conf.port, bench_wire_problem());
    else
        worker_fail(w, c, "the broker closed the connection while we were writing (%s)",
                    bench_wire_problem());
    return false;
}

static void fill_one(struct worker *w, struct publisher *p)
{
    while (!p->conn.write_blocked && p->conn.state == CONN_READY && may_publish(w, p)) {
        w->now_ns = bench_now_ns(); /* the publishers before this one took their time */
        while (may_publish(w, p) && p->conn.out.len < FILL_BYTES_MAX) publish_one(w, p);
        if (!send_flush(w, &p->conn)) return;
    }
}

static void credits_add(struct credits *c, struct credit credit)
{
    if (c->len > 0) {
        struct credit *last = &c->at[c->len - 1];
        if (last->publisher == credit.publisher && last->seq + last->count == credit.seq) {
            last->count += credit.count;
            return;
        }
    }
    if (c->len == c->room) {
        uint32_t room = c->room == 0 ? 64 : c->room * 2;
        struct credit *at = realloc(c->at, room * sizeof *at);
        CHECK(at != NULL);
        c->at = at;
        c->room = room;
    }
    c->at[c->len++] = credit;
}

/* One of the group has it: nobody else may. Between members there is no order. */
static void group_take(struct worker *w, uint32_t stream, uint64_t seq)
{
    uint64_t skipped;
    if (track_see(&w->bench->group_tracks[stream], seq, &skipped) != TRACK_REPEAT) w->counts.delivered++;
}

static void credit_own(struct worker *w, const struct credit *credit)
{
    struct publisher *p = &w->bench->publishers[credit->publisher];
    for (uint32_t i = 0; i < credit->count; i++) {
        if (w->bench->plan.group) group_take(w, credit->publisher, credit->seq + i);
        flow_deliver(&p->flow, credit->seq + i);
    }
    if (w->publishing) send_list(w, p);
}

void send_credit(struct worker *w, uint32_t stream, uint64_t seq, uint64_t count)
{
    struct credit credit = { .publisher = stream, .count = (uint32_t)count, .seq = seq };
    uint32_t owner = stream % w->bench->worker_count;
    if (owner == w->index)
        credit_own(w, &credit);
    else
        credits_add(&w->outbox[owner], credit);
}

/* One lock and at most one wake-up for each other worker and turn. */
static void post_credits(struct worker *w)
{
    for (uint32_t i = 0; i < w->bench->worker_count; i++) {
        struct credits *out = &w->outbox[i];
        if (out->len == 0) continue;
        struct worker *other = &w->bench->workers[i];
        pthread_mutex_lock(&other->door.lock);
        bool was_empty = other->door.credits.len == 0;
        for (uint32_t k = 0; k < out->len; k++) credits_add(&other->door.credits, out->at[k]);
        pthread_mutex_unlock(&other->door.lock);
        out->len = 0;
        if (was_empty) eventfd_write(other->wake_fd, 1);
    }
}

static void take_credits(struct worker *w)
{
    struct credits came;
    if (w->bench->worker_count == 1) return;
    pthread_mutex_lock(&w->door.lock);
    came = w->door.credits;
    w->door.credits =
        w->outbox[w->index]; /* its own place there is never used otherwise: a spare to swap with */
    w->door.credits.len = 0;
    pthread_mutex_unlock(&w->door.lock);
    for (uint32_t i = 0; i < came.len; i++) credit_own(w, &came.at[i]);
    came.len = 0;
    w->outbox[w->index] = came;
}

void send_turn(struct worker *w)
{
    w->now_ns = bench_now_ns(); /* a turn with many events takes a while: its publishes start now */
    take_credits(w);
    if (w->publishing && w->bench->conf.rate > 0) take_due(w);
    for (uint32_t i = 0; i < w->fill_count; i++) {
        w->fill[i]->listed = false;
        fill_one(w, w->fill[i]);
    }
    w->fill_count = 0;
    for (uint32_t i = 0; i < w->flush_count; i++) {
        w->flush[i]->listed = false;
        if (w->flush[i]->out.len > 0) send_flush(w, w->flush[i]);
    }
    w->flush_count = 0;
    post_credits(w);
}
