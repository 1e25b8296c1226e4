/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker sees of the connections, and tells its learner: as the shard does, with the shard's code. */
#include "sim/nat_world_int.h"
#include <stddef.h>

enum {
    USER_TIMEOUT = 30 * SECOND, /* a push that is not acknowledged ends its connection */
    RETRY = 10 * SECOND,
    ROUND_TRIP = 100,
};

const struct ka_entry *broker_entry(const struct world *w, const struct client *c, unsigned net)
{
    const struct ka_entry *e = keepalive_first(w->ka, c->who[net].client);
    while (e != NULL && e->net != c->who[net].net.key) e = e->next;
    return e;
}

static uint64_t in_outage(const struct world *w)
{
    return keepalive_counts(w->ka)->in_outage;
}

/* What an event that is no evidence has changed: at once, or when it is no longer in doubt. */
struct watch {
    struct ka_state state;
    bool is_known, was_in_doubt;
    uint64_t in_outage;
};

static struct watch watch_begin(const struct world *w, const struct client *c)
{
    const struct ka_entry *e = broker_entry(w, c, c->open_net);
    struct watch watch = { .is_known = e != NULL, .in_outage = in_outage(w) };
    if (e == NULL) return watch;
    watch.state = e->state;
    watch.was_in_doubt = e->doubt_kind != KA_NEUTRAL;
    return watch;
}

/* Of what it will have at rest. A test of an old limit that is broken off early is tried again, and changes
 * nothing. */
static bool is_lower(const struct world *w, const struct watch *before, const struct ka_entry *e)
{
    struct ka_entry then = *e;
    then.state = before->state;
    return keepalive_settled(w->ka, e) < keepalive_settled(w->ka, &then);
}

/* A doubt that has been taken for a failure, though it came of nothing that is one. */
static void watch_doubt(const struct world *w, struct client *c, const struct watch *before)
{
    const struct ka_entry *e = broker_entry(w, c, c->open_net);
    if (!c->is_doubt_neutral || e == NULL || e->doubt_kind != KA_NEUTRAL) return;
    c->is_doubt_neutral = false;
    if (in_outage(w) == before->in_outage && is_lower(w, before, e)) c->result.neutral_changes++;
}

static void watch_return(const struct world *w, struct client *c, const struct watch *before)
{
    const struct ka_entry *e = broker_entry(w, c, c->open_net);
    if (c->cause == CAUSE_GAP) return;
    c->result.neutral_events++;
    if (e == NULL) return;
    c->is_doubt_neutral = e->doubt_kind != KA_NEUTRAL && !before->was_in_doubt;
    if (before->is_known && !before->was_in_doubt && is_lower(w, before, e)) c->result.neutral_changes++;
}

static uint32_t seconds(int64_t ms)
{
    return ms < 0 ? 0 : (uint32_t)(ms / SECOND);
}

static void unacked(struct world *w, struct client *c, bool is_push)
{
    if (!c->has_unacked) {
        c->has_unacked = true;
        c->is_push = is_push;
        c->sent_at = w->now;
        c->sent_gap_s = seconds(w->now - c->any_last);
    } else if (is_push) {
        c->is_push = true;
    }
    world_due(w, c, DUE_RETRY, w->now + RETRY);
}

static void next_probe(struct world *w, struct client *c)
{
    bool probes = w->conf.how == LEARN_EXPLORE && w->conf.rules == RULES_OURS && c->is_open;
    world_due(w, c, DUE_PROBE, probes ? c->any_last + c->in_force_s * SECOND : NO_TIME);
}

static void heard(struct world *w, struct client *c, enum ka_sign sign)
{
    uint32_t gap_s = seconds(w->now - c->any_last);
    if (c->has_unacked) {
        sign = KA_SIGN_LATE;
        gap_s = c->sent_gap_s;
    }
    c->has_unacked = false;
    world_due(w, c, DUE_RETRY, NO_TIME);
    if (w->conf.rules == RULES_OURS && gap_s >= keepalive_gap_min_s(w->ka)) {
        struct watch before = watch_begin(w, c);
        uint16_t k_s = keepalive_heard(w->ka, &c->who[c->open_net], sign, gap_s, world_now_s(w));
        watch_doubt(w, c, &before);
        if (w->conf.how == LEARN_EXPLORE && k_s != c->in_force_s)
            c->in_force_s = keepalive_renew(w->ka, &c->who[c->open_net]);
    }
    c->any_last = c->heard_last = w->now;
    next_probe(w, c);
}

/* A packet that is not MQTT's answer to ours: it counts for the keepalive, too. */
void broker_packet(struct world *w, struct client *c)
{
    if (!c->is_open) { /* it has closed: its reset is the answer */
        client_lost(w, c, c->cause, ROUND_TRIP);
        return;
    }
    heard(w, c, KA_SIGN_PACKET);
    c->packet_last = w->now;
    if (w->conf.rules == RULES_OURS)
        world_due(w, c, DUE_DEADLINE, w->now + c->keepalive_s * (SECOND * 3 / 2));
}

void broker_ended(struct world *w, struct client *c, enum ka_how how)
{
    if (!c->is_open) return;
    struct ka_end end = {
        .how = (uint8_t)how,
        .keepalive_s = c->keepalive_s,
        .packet_s = seconds(w->now - c->packet_last),
        .silent_s = seconds(w->now - c->heard_last),
        .has_unacked = c->has_unacked,
        .sent_gap_s = c->sent_gap_s,
        .sent_ago_ms = c->has_unacked ? (uint32_t)(w->now - c->sent_at) : 0,
        .round_trip_ms = ROUND_TRIP,
    };
    c->is_open = c->has_unacked = false;
    world_due(w, c, DUE_DEADLINE, NO_TIME);
    world_due(w, c, DUE_RETRY, NO_TIME);
    world_due(w, c, DUE_PROBE, NO_TIME);
    if (w->conf.rules != RULES_OURS) return;
    struct watch before = watch_begin(w, c);
    keepalive_ended(w->ka, &c->who[c->open_net], &end, world_now_s(w));
    watch_doubt(w, c, &before);
}

uint16_t broker_connected(struct world *w, struct client *c)
{
    if (c->is_open) {
        client_forget(w, c); /* then this is what the takeover shows, whatever has kept the client away */
        broker_ended(w, c, KA_END_TAKEN_OVER);
    }
    c->is_open = true;
    c->open_net = c->net;
    c->any_last = c->heard_last = c->packet_last = w->now;
    if (w->conf.rules != RULES_OURS) return w->conf.asked_s;

    struct watch before = watch_begin(w, c);
    c->in_force_s = keepalive_connected(w->ka, &c->who[c->open_net], world_now_s(w));
    watch_doubt(w, c, &before);
    watch_return(w, c, &before);
    next_probe(w, c);
    return w->conf.how == LEARN_EXPLORE ? w->conf.asked_s : c->in_force_s;
}

static void dead_send(struct world *w, struct client *c, bool is_push)
{
    bool is_reset = w->conf.nat == NAT_RESET || (w->conf.nat == NAT_MIXED && sim_share(&c->rng) < 0.7);
    unacked(w, c, is_push);
    if (is_reset) broker_ended(w, c, KA_END_RESET);
}

static void push(struct world *w, struct client *c)
{
    world_due(w, c, DUE_PUSH, w->now + sim_mean(&c->rng, w->conf.push_s * SECOND));
    if (!c->is_open || c->has_unacked) return;
    switch (client_pass(w, c)) {
    case FATE_ALIVE: /* TCP's acknowledgement, and MQTT's */
        heard(w, c, KA_SIGN_ACK);
        c->sent_last = w->now;
        broker_packet(w, c);
        if (c->is_up) world_due(w, c, DUE_PING, w->now + c->keepalive_s * SECOND);
        break;
    case FATE_DEAD: dead_send(w, c, true); break;
    case FATE_BLOCKED: unacked(w, c, true); break;
    }
}

static void probe(struct world *w, struct client *c)
{
    if (!c->is_open || c->has_unacked) return;
    c->result.probes++;
    switch (client_pass(w, c)) {
    case FATE_ALIVE: heard(w, c, KA_SIGN_ACK); break;
    case FATE_DEAD: dead_send(w, c, false); break;
    case FATE_BLOCKED: unacked(w, c, false); break;
    }
}

/* The broker has lost patience. */
static void closed(struct world *w, struct client *c, enum ka_how how, enum cause cause)
{
    client_blame(w, c, cause);
    broker_ended(w, c, how);
}

static void retry(struct world *w, struct client *c)
{
    if (!c->is_open || !c->has_unacked) return;
    bool passes = c->is_mapped && w->now >= c->blocked_until;
    if (passes && client_pass(w, c) == FATE_ALIVE)
        heard(w, c, KA_SIGN_ACK);
    else if (c->is_push && w->now - c->sent_at >= USER_TIMEOUT)
        closed(w, c, KA_END_TIMED_OUT, CAUSE_NEUTRAL);
    else
        world_due(w, c, DUE_RETRY, w->now + RETRY);
}

void broker_run(struct world *w, struct client *c, enum due due)
{
    if (due == DUE_PUSH) push(w, c);
    if (due == DUE_PROBE) probe(w, c);
    if (due == DUE_RETRY) retry(w, c);
    if (due == DUE_DEADLINE) closed(w, c, KA_END_SILENT, CAUSE_LATE);
}
