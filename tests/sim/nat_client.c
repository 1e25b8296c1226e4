/* SPDX-License-Identifier: Apache-2.0 */
/* A client, and the path between it and the broker. */
#include "sim/nat_world_int.h"

enum {
    RESET_IN = 100,           /* a reset is back */
    ANSWER_IN = 10 * SECOND,  /* a client that is not slow waits so long for its answer */
    LATE_S = 20,              /* a ping so late is not the interval's fault */
    NOISE_FROM = 30 * SECOND, /* shorter gaps do not fail by themselves */
};

static uint32_t timeout_of(const struct world *w, const struct client *c)
{
    if (w->conf.scenario == SCENARIO_CHANGE && w->now < 10 * (int64_t)DAY) return NEVER_S;
    return c->timeout_s[c->net];
}

static uint32_t interval_s(const struct world *w, const struct client *c)
{
    return w->conf.rules == RULES_OURS ? c->in_force_s : rule_interval_s(&c->rule[c->net], w->conf.rules);
}

/* A path that was silent for too long is gone, whoever finds out, and when; a death is counted once. */
void client_forget(struct world *w, struct client *c)
{
    int64_t gap = w->now - c->path_last;
    uint32_t timeout_s = timeout_of(w, c);

    if (!c->is_mapped || c->is_moved || timeout_s == NEVER_S || gap < timeout_s * (int64_t)SECOND) return;
    bool is_late = interval_s(w, c) < timeout_s && gap >= (interval_s(w, c) + LATE_S) * (int64_t)SECOND;
    if (is_late)
        c->result.late_deaths++;
    else if (c->net == 0)
        c->result.nat_deaths++;
    else
        c->result.elsewhere_deaths++;
    c->cause = is_late ? CAUSE_LATE : CAUSE_GAP;
    c->is_mapped = false;
}

/* Something other than the interval ends the connection, unless the network had forgotten it before. */
void client_blame(struct world *w, struct client *c, enum cause cause)
{
    client_forget(w, c);
    if (c->is_mapped) c->cause = cause;
}

/* A packet in either direction: does it pass? */
enum fate client_pass(struct world *w, struct client *c)
{
    client_forget(w, c);
    if (w->now < c->blocked_until || c->is_moved) return FATE_BLOCKED;
    if (!c->is_mapped) return FATE_DEAD;
    if (w->now - c->path_last >= NOISE_FROM && sim_share(&c->rng) < w->conf.noise) {
        c->result.noise_deaths++;
        c->cause = CAUSE_GAP;
        c->is_mapped = false;
        return FATE_DEAD;
    }
    c->path_last = w->now;
    return FATE_ALIVE;
}

void client_lost(struct world *w, struct client *c, enum cause cause, int64_t notice_in)
{
    if (!c->is_up) return;
    client_blame(w, c, cause);
    world_due(w, c, DUE_PING, NO_TIME);
    world_due(w, c, DUE_PUBLISH, NO_TIME);
    world_due(w, c, DUE_LEAVE, NO_TIME);
    world_due(w, c, DUE_NOTICE, w->now + notice_in);
}

static int64_t lateness(const struct world *w, struct client *c)
{
    int64_t late = sim_between(&c->rng, 0, 500);
    if (w->conf.scenario != SCENARIO_LATE) return late;
    double share = sim_share(&c->rng);
    if (share < 0.01) return sim_between(&c->rng, 60 * SECOND, 600 * SECOND);
    return share < 0.2 ? sim_between(&c->rng, 0, 15 * SECOND) : late;
}

static void next_ping(struct world *w, struct client *c)
{
    int64_t in = (w->conf.rules == RULES_OURS ? c->keepalive_s : interval_s(w, c)) * (int64_t)SECOND;
    world_due(w, c, DUE_PING, w->now + in + lateness(w, c));
}

/* A packet was sent and found nobody. */
static void unanswered(struct world *w, struct client *c, enum fate fate)
{
    bool is_reset = fate == FATE_DEAD &&
                    (w->conf.nat == NAT_RESET || (w->conf.nat == NAT_MIXED && sim_share(&c->rng) < 0.7));
    int64_t answer_in = w->conf.is_slow ? c->keepalive_s * (int64_t)SECOND : ANSWER_IN;
    client_lost(w, c, CAUSE_NEUTRAL, is_reset ? RESET_IN : answer_in);
}

static void ping(struct world *w, struct client *c)
{
    if (!c->is_up) return;
    enum fate fate = client_pass(w, c);
    c->result.pings++;
    c->sent_last = w->now;
    if (fate == FATE_ALIVE) {
        if (w->conf.rules != RULES_OURS) rule_answered(&c->rule[c->net], w->conf.rules, w->now / SECOND);
        next_ping(w, c);
        broker_packet(w, c);
        return;
    }
    if (w->conf.rules != RULES_OURS) rule_failed(&c->rule[c->net], w->conf.rules, w->now / SECOND);
    unanswered(w, c, fate);
}

static void publish(struct world *w, struct client *c)
{
    if (!c->is_up) return;
    enum fate fate = client_pass(w, c);
    if (fate != FATE_ALIVE) {
        unanswered(w, c, fate);
        return;
    }
    c->sent_last = w->now;
    next_ping(w, c);
    world_due(w, c, DUE_PUBLISH, w->now + sim_mean(&c->rng, 2 * w->conf.push_s * SECOND));
    broker_packet(w, c);
}

/* Away, and back some time later. Whoever's connection is dead cannot say so. */
static void leave(struct world *w, struct client *c)
{
    if (!c->is_up) return;
    client_lost(w, c, CAUSE_NEUTRAL, sim_between(&c->rng, SECOND, 10 * MINUTE));
    bool passes = w->now >= c->blocked_until && c->is_mapped;
    if (passes) broker_ended(w, c, sim_share(&c->rng) < 0.7 ? KA_END_DISCONNECT : KA_END_FIN);
}

/* To another network, and the broker is not told: its connection stays open. */
static void move(struct world *w, struct client *c)
{
    world_due(w, c, DUE_SWITCH, w->now + sim_mean(&c->rng, 2 * HOUR));
    if (!c->is_up) return;
    client_lost(w, c, CAUSE_NEUTRAL, sim_between(&c->rng, 1 * SECOND, 5 * SECOND));
    c->is_moved = true;
    c->net = (c->net + 1 + (unsigned)sim_between(&c->rng, 0, NETS_MAX - 1)) % NETS_MAX;
}

static void notice(struct world *w, struct client *c)
{
    c->is_up = false;
    world_due(w, c, DUE_CONNECT, w->now + sim_between(&c->rng, 200, 3 * SECOND));
}

static void connect_again(struct world *w, struct client *c)
{
    if (w->now < c->blocked_until) {
        world_due(w, c, DUE_CONNECT, w->now + sim_between(&c->rng, 5 * SECOND, 15 * SECOND));
        return;
    }
    c->keepalive_s = broker_connected(w, c);
    c->is_up = c->is_mapped = true;
    c->is_moved = false;
    c->path_last = c->sent_last = w->now;
    rule_connected(&c->rule[c->net]);
    next_ping(w, c);
    if (w->conf.rules == RULES_OURS)
        world_due(w, c, DUE_DEADLINE, w->now + c->keepalive_s * (SECOND * 3 / 2));
    world_due(w, c, DUE_PUBLISH, w->now + sim_mean(&c->rng, 2 * w->conf.push_s * SECOND));
    world_due(w, c, DUE_LEAVE, w->now + sim_mean(&c->rng, w->conf.session_s * SECOND));
    c->cause = CAUSE_GAP;
}

void client_run(struct world *w, struct client *c, enum due due)
{
    switch (due) {
    case DUE_PING: ping(w, c); break;
    case DUE_PUBLISH: publish(w, c); break;
    case DUE_LEAVE: leave(w, c); break;
    case DUE_SWITCH: move(w, c); break;
    case DUE_NOTICE: notice(w, c); break;
    case DUE_CONNECT: connect_again(w, c); break;
    case DUE_PUSH:
    case DUE_DEADLINE:
    case DUE_RETRY:
    case DUE_PROBE:
    case DUES: broker_run(w, c, due); break;
    }
}

void client_start(struct world *w, struct client *c)
{
    for (unsigned i = 0; i < DUES; i++) c->due[i] = NO_TIME;
    for (unsigned i = 0; i < NETS_MAX; i++) rule_init(&c->rule[i], w->conf.rules);
    c->cause = CAUSE_NEUTRAL;
    world_due(w, c, DUE_CONNECT, sim_between(&c->rng, 0, 10 * MINUTE));
    world_due(w, c, DUE_PUSH, sim_mean(&c->rng, w->conf.push_s * SECOND));
    if (w->conf.scenario == SCENARIO_SWITCH) world_due(w, c, DUE_SWITCH, sim_mean(&c->rng, 2 * HOUR));
}
