/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_int.h"

#include "base/check.h"

static uint32_t own_count(const struct worker *w, uint32_t all)
{
    uint32_t threads = w->bench->worker_count;
    return all / threads + (w->index < all % threads ? 1 : 0);
}

static bool connects_publishers(enum bench_phase phase)
{
    return phase == PHASE_CONNECT;
}

static bool connects(enum bench_phase phase)
{
    return phase == PHASE_SUBSCRIBE || phase == PHASE_CONNECT || phase == PHASE_RETURN ||
           phase == PHASE_FORGET;
}

static uint32_t kind_count(const struct worker *w)
{
    const struct bench_plan *plan = &w->bench->plan;
    return connects_publishers(w->phase) ? plan->publishers : plan->subscribers;
}

static struct conn *client_at(struct worker *w, uint32_t i)
{
    struct bench *b = w->bench;
    return connects_publishers(w->phase) ? &b->publishers[i].conn : &b->subscribers[i].conn;
}

/* Keeps --connecting connections in the making, shared out among the threads. */
static void open_more(struct worker *w)
{
    uint32_t most = (uint32_t)w->bench->conf.connecting / w->bench->worker_count;
    while (w->next_client < kind_count(w) && w->connecting < (most > 0 ? most : 1)) {
        struct conn *c = client_at(w, w->next_client);
        w->next_client += w->bench->worker_count;
        if (client_open(w, c) != ERR_OK) return;
        w->connecting++;
    }
}

static void each_subscriber(struct worker *w, void (*act)(struct worker *w, struct conn *c))
{
    struct bench *b = w->bench;
    for (uint32_t i = w->index; i < b->plan.subscribers; i += b->worker_count) {
        struct conn *c = &b->subscribers[i].conn;
        if (c->wire.fd >= 0) act(w, c);
    }
}

static void each_publisher(struct worker *w, void (*act)(struct worker *w, struct conn *c))
{
    struct bench *b = w->bench;
    for (uint32_t i = w->index; i < b->plan.publishers; i += b->worker_count) {
        struct conn *c = &b->publishers[i].conn;
        if (c->wire.fd >= 0) act(w, c);
    }
}

static void close_one(struct worker *w, struct conn *c)
{
    (void)w;
    conn_close(c);
}

static void ping_if_due(struct worker *w, struct conn *c)
{
    uint64_t silence_ns = c->keepalive_s * BENCH_NS_PER_S * 3 / 4;
    if (c->state == CONN_READY && c->keepalive_s > 0 && w->now_ns - c->sent_ns >= silence_ns)
        client_ping(w, c);
}

static uint64_t expected_of_subscribers(const struct worker *w)
{
    const struct bench *b = w->bench;
    uint64_t sum = 0;
    for (uint32_t i = 0; b->plan.retains && i < b->plan.streams; i++) sum += b->stream_sent[i];
    if (b->plan.retains) return sum * own_count(w, b->plan.subscribers);
    for (uint32_t i = w->index; i < b->plan.subscribers; i += b->worker_count) sum += b->stream_sent[i];
    return sum;
}

static struct mark mark_now(const struct worker *w)
{
    return (struct mark){ w->now_ns, w->counts };
}

/* The measured time ends with the phase, but for a run of so many messages: with the last that came. */
static struct mark mark_end(const struct worker *w)
{
    struct mark m = mark_now(w);
    if (w->bench->plan.messages > 0) m.at_ns = w->progress_ns;
    return m;
}

static void leave(struct worker *w, struct conn *c)
{
    if (c->state == CONN_READY) client_leave(w, c);
}

static void ask(struct worker *w, struct conn *c)
{
    c->opened_ns = w->now_ns;
    client_subscribe(w, c);
}

/* The values are replaced by nothing, in the same way. */
static void begin_to_clear(struct worker *w)
{
    struct bench *b = w->bench;
    w->counts_kept = w->counts;
    for (uint32_t i = w->index; i < b->plan.publishers; i += b->worker_count) {
        struct publisher *p = &b->publishers[i];
        p->sent = 0;
        p->stream = i;
        publisher_prepare(b, p, 0);
    }
}

/* Clients come, or come back: from the first of ours on. */
static void begin_to_connect(struct worker *w)
{
    if (w->phase == PHASE_FORGET) each_subscriber(w, close_one);
    w->next_client = w->index;
    w->connecting = w->clients_ready = w->retry_count = 0;
    w->last_ready_ns = w->now_ns;
}

static void count_one(struct worker *w, struct conn *c)
{
    (void)c;
    w->clients_ready++;
}

/* Whoever is there; some may be on the way out. */
static void begin_to_leave(struct worker *w)
{
    w->last_ready_ns = w->now_ns;
    w->clients_ready = 0;
    each_subscriber(w, count_one);
}

/* What is there for the subscribers is fetched. */
static void begin_to_fetch(struct worker *w)
{
    w->return_begin = mark_now(w);
    w->expected = expected_of_subscribers(w);
    if (w->phase != PHASE_ASK) return;
    w->connecting = own_count(w, w->bench->plan.subscribers);
    w->clients_ready = 0;
    each_subscriber(w, ask);
}

static void leave_phase(struct worker *w)
{
    if (w->phase == PHASE_RUN) {
        w->end = mark_end(w);
        w->measure_to_ns = w->now_ns;
    }
    if (w->phase == PHASE_RETURN || w->phase == PHASE_ASK)
        w->return_end = (struct mark){ w->progress_ns, w->counts };
    if (w->phase == PHASE_CLEAR) w->counts = w->counts_kept;
}

void phase_enter(struct worker *w, enum bench_phase phase)
{
    leave_phase(w);
    w->phase = phase;
    w->publishing = phase == PHASE_WARM || phase == PHASE_RUN || phase == PHASE_CLEAR;
    w->progress_ns = w->now_ns;

    if (connects(phase)) begin_to_connect(w);
    if (phase == PHASE_CLEAR) begin_to_clear(w);
    if (phase == PHASE_RETURN || phase == PHASE_ASK) begin_to_fetch(w);
    if (phase == PHASE_RUN) {
        w->begin = mark_now(w);
        w->measure_from_ns = w->now_ns;
        w->measure_to_ns = UINT64_MAX;
    }
    if (w->publishing) send_list_all(w);
    if (w->publishing && w->churn_from_ns == 0) w->churn_from_ns = w->now_ns;
    if (phase == PHASE_LEAVE) begin_to_leave(w);
    if (phase == PHASE_LEAVE || phase == PHASE_END) each_subscriber(w, leave);
    if (phase == PHASE_END) each_publisher(w, leave);
}

void phase_step(struct worker *w)
{
    if (w->failed) return;
    retry_step(w);
    if (connects(w->phase)) open_more(w);
    if (w->bench->conf.scenario == BENCH_FLEET && w->publishing) fleet_step(w);
    if (w->now_ns - w->last_ping_ns < BENCH_NS_PER_S) return;
    w->last_ping_ns = w->now_ns;
    each_subscriber(w, ping_if_due);
    each_publisher(w, ping_if_due);
}

static bool publishers_have_sent(const struct worker *w)
{
    const struct bench *b = w->bench;
    for (uint32_t i = w->index; i < b->plan.publishers; i += b->worker_count)
        if (b->publishers[i].sent < b->publishers[i].quota) return false;
    return true;
}

static bool nothing_outstanding(const struct worker *w)
{
    const struct bench *b = w->bench;
    for (uint32_t i = w->index; i < b->plan.publishers; i += b->worker_count)
        if (flow_outstanding(&b->publishers[i].flow) > 0) return false;
    return true;
}

bool phase_ready(const struct worker *w)
{
    const struct bench_plan *plan = &w->bench->plan;
    switch (w->phase) {
    case PHASE_SUBSCRIBE:
    case PHASE_FORGET: return w->clients_ready == own_count(w, plan->subscribers);
    case PHASE_CONNECT: return w->clients_ready == own_count(w, plan->publishers);
    case PHASE_RETURN:
    case PHASE_ASK:
        return w->clients_ready == own_count(w, plan->subscribers) && w->counts.delivered >= w->expected;
    case PHASE_RUN:
    case PHASE_CLEAR: return publishers_have_sent(w) && nothing_outstanding(w);
    case PHASE_DRAIN: return nothing_outstanding(w) && fleet_is_calm(w);
    case PHASE_LEAVE: return w->clients_ready == 0;
    case PHASE_NONE:
    case PHASE_WARM:
    case PHASE_HOLD: return false; /* until their time is over */
    case PHASE_END: return true;
    }
    return false;
}
