/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nat_world - clients behind address translators that forget, a broker that learns, and time that is made up.
 *
 * The world knows why a connection died. The learner is told what a broker sees: packets and acknowledgements
 * after gaps, resets, time-outs, takeovers, CONNECTs; it is the broker's own code (keepalive/keepalive.h).
 *
 * Thread:  one.
 * Memory:  world_new gives, world_free frees.
 * Limits:  CLIENTS_MAX clients, NETS_MAX networks of one.
 * Errors:  CHECK.
 * Tests:   ctest sim_nat; tests/long nat
 */
#ifndef SIM_NAT_WORLD_H
#define SIM_NAT_WORLD_H

#include "keepalive/keepalive.h"
#include "sim/nat_rules.h"

enum { NETS_MAX = 3, CLIENTS_MAX = 10000, NEVER_S = 0 };

enum scenario {
    SCENARIO_INDEPENDENT, /* noise that hits one client alone */
    SCENARIO_OUTAGES,     /* and twice a day something that hits many at once */
    SCENARIO_SWITCH,      /* and clients that change between three networks */
    SCENARIO_RESTART,     /* and a broker that starts again every other day */
    SCENARIO_CLOCKJUMP,   /* and a clock that is set, far and back */
    SCENARIO_LATE,        /* and phones that sleep: pings come late */
    SCENARIO_CHANGE,      /* no time-out for ten days, and then one */
    SCENARIO_PREFIX,      /* many clients of one network: the prior */
    SCENARIOS,
};

enum how_learned { LEARN_CONNECT, LEARN_EXPLORE, LEARN_CAP };

/* What a translator does with packets of a connection that it has forgotten. */
enum nat { NAT_RESET, NAT_SILENT, NAT_MIXED };

struct world_conf {
    uint64_t seed;
    uint32_t timeout_s; /* NEVER_S: none */
    double noise;       /* of gaps that fail by themselves */
    uint32_t days, clients;
    double session_s, push_s; /* means: how long a client stays, and between two pushes */
    uint16_t asked_s;         /* what clients ask for */
    uint8_t rules, scenario, how, nat;
    bool is_slow; /* clients that wait a whole interval for an answer */
};

/* What came out for one client, on its first network. */
struct client_result {
    uint32_t settled_s;        /* at the end */
    uint32_t days_in, days_of; /* of the days from the third on: at whose end it had settled in the band */
    double in_band_after_h;    /* since when it has been there until the end; -1: it is not */
    uint32_t nat_deaths;       /* the interval was longer than the network's time-out */
    uint32_t late_deaths;      /* it was not, but the ping came later than it should */
    uint32_t noise_deaths, elsewhere_deaths; /* the latter: as nat_deaths, on its other networks */
    uint32_t pings, probes;
    uint32_t neutral_events, neutral_changes; /* what is no evidence, and what it changed nevertheless */
    double connected_s;
};

struct world;

struct world *world_new(const struct world_conf *conf);
void world_free(struct world **owner);
void world_run(struct world *w);
/* Of client number i. */
struct client_result world_result(const struct world *w, uint32_t i);
struct keepalive_counts world_counts(const struct world *w);

/* The interval may be in [low, high], and then it is in the band that issue and manual promise. */
void world_band(uint32_t timeout_s, uint32_t max_s, uint32_t *low_s, uint32_t *high_s);

#endif
