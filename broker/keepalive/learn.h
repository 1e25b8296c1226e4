/* SPDX-License-Identifier: Apache-2.0 */
/*
 * learn - how long one client may be silent on one network before the network forgets it.
 *
 * A machine without I/O and without a clock: a state, an event, the next state. Time comes in with the gaps
 * that were survived. docs/keepalive.md has the algorithm, where its constants come from, and what it does
 * on simulated networks.
 *
 * Thread:  any; plain values.
 * Memory:  none; struct ka_state is the caller's, of fixed size, and may be copied and stored.
 * Limits:  seconds in 16 bits, as MQTT has them.
 * Errors:  none. A state from outside goes through ka_state_mend() first.
 * Tests:   tests/unit/test_learn.c, tests/sim/nat
 */
#ifndef KEEPALIVE_LEARN_H
#define KEEPALIVE_LEARN_H

#include <stdbool.h>
#include <stdint.h>

enum ka_mode {
    KA_OFF,   /* the client's own interval, and nothing is learned */
    KA_CAP,   /* the client's own interval, until it has been shown to be too long for its network */
    KA_LEARN, /* the longest interval that its network permits, and what is needed to find it */
    KA_PROBE, /* the same, for a client that cannot be told: never above its own interval */
};

struct ka_conf {
    uint16_t start_s;      /* the first interval, without a prior */
    uint16_t min_s, max_s; /* what is ever granted; and the client's own value, with KA_CAP */
    uint16_t step_s;       /* up, while no limit is known */
    uint16_t fine_s;       /* up, between what held and what failed */
    uint16_t margin_s;     /* at rest: so far below the longest that held */
    uint16_t good;         /* successes that prove an interval */
    uint16_t bad_new; /* failures in a row that end an interval without a success; in halves, as the others */
    uint16_t bad_held;  /* the same of one with successes */
    uint16_t bad_again; /* the same of one that has failed before */
    uint32_t wait_s;    /* connected time until a limit is tested again; it grows with each test that fails */
    uint32_t wait_max_s;       /* up to this */
    uint16_t outage_s;         /* losses within so many seconds ... */
    uint16_t outage_count;     /* ... at least so many ... */
    uint16_t outage_per_mille; /* ... and above this share of all connections are nobody's evidence */
};

/* Defaults, with their sources in docs/keepalive.md. */
extern const struct ka_conf ka_conf_default;

/* UP: no limit known, coarse steps. FINE: between what held and what failed. REST. TEST: does the limit still
 * hold? */
enum ka_phase { KA_UP, KA_FINE, KA_REST, KA_TEST, KA_PHASES };

struct ka_state {
    uint16_t k_s;      /* the interval under trial, or at rest */
    uint16_t proven_s; /* the longest that held; 0: none has */
    uint16_t ceil_s;   /* the shortest that failed; 0: none has */
    uint8_t phase;     /* enum ka_phase */
    uint8_t good;      /* successes of trial_s, no more than are needed */
    uint8_t bad;       /* and its failures in a row, in halves */
    uint16_t trial_s;  /* what good and bad are of */
    uint32_t wait_s;   /* this rest's length */
    uint32_t rested_s; /* of which so much is over */
};

enum ka_kind { KA_NEUTRAL, KA_SUCCESS, KA_FAIL_WEAK, KA_FAIL_STRONG };

struct ka_event {
    uint8_t kind;        /* enum ka_kind */
    uint16_t gap_s;      /* silence in both directions before it */
    uint16_t in_force_s; /* the interval that the connection had: told to the client, or the kernel's */
};

/* What else bounds a grant. */
struct ka_terms {
    uint16_t asked_s; /* the client's own keepalive; 0: it wants none, and none is granted */
    uint8_t mode;     /* enum ka_mode */
    uint16_t limit_s; /* trials above this are others'; 0: no such bound */
};

/* A new pair of client and network. prior_s: what its neighbours have, 0: not known. */
void ka_state_init(struct ka_state *s, const struct ka_conf *c, uint16_t prior_s);

/* Makes a state that was stored, perhaps under another configuration or by somebody else, one that can be. */
void ka_state_mend(struct ka_state *s, const struct ka_conf *c);

/* The interval that a connection is to have. */
uint16_t ka_grant(const struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t);

/* The same, as it is at rest: what has been found out so far. */
uint16_t ka_settled(const struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t);

/* Takes one event. Only what a connection with the interval granted now went through counts, and gaps of that
 * length. Gives whether what is granted, proven or known to fail has changed, so that it should be stored. */
bool ka_learn(struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t,
              const struct ka_event *e);

#endif
