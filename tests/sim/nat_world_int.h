/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nat_world_int - the parts of the simulation: clients and paths (nat_client.c), what the broker sees
 * (nat_broker.c), and what happens to all of them (nat_world.c).
 *
 * Thread:  one.
 * Memory:  the world's.
 * Limits:  as nat_world.h.
 * Errors:  CHECK.
 * Tests:   ctest sim_nat
 */
#ifndef SIM_NAT_WORLD_INT_H
#define SIM_NAT_WORLD_INT_H

#include "sim/nat_world.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
#define NO_TIME INT64_MAX

/* What a client, its path or the broker does next. */
enum due {
    DUE_PING,
    DUE_PUBLISH,
    DUE_LEAVE,  /* the user does, or the phone */
    DUE_SWITCH, /* to another network */
    DUE_NOTICE, /* the client notices that its connection is dead */
    DUE_CONNECT,
    DUE_PUSH,     /* from the broker */
    DUE_DEADLINE, /* the broker: one and a half times the keepalive */
    DUE_RETRY,    /* the broker's TCP */
    DUE_PROBE,    /* the broker's kernel */
    DUES,
};

/* Why a connection ended, as only the world knows. From NEUTRAL on it is no evidence. */
enum cause { CAUSE_GAP, CAUSE_NEUTRAL, CAUSE_LATE };

enum fate { FATE_ALIVE, FATE_DEAD, FATE_BLOCKED };

struct client {
    int64_t due[DUES], next;
    uint32_t place; /* in the heap */
    uint64_t rng;
    struct ka_who who[NETS_MAX];
    uint32_t timeout_s[NETS_MAX];
    unsigned net;
    struct rule_state rule[NETS_MAX];
    struct ka_state stored[NETS_MAX]; /* in the broker's database */
    bool is_stored[NETS_MAX];

    /* The client and its path. */
    bool is_up, is_mapped, is_moved;
    uint16_t keepalive_s;
    int64_t path_last, blocked_until, sent_last;
    enum cause cause; /* of the last end */

    /* The broker. */
    bool is_open, has_unacked, is_push;
    unsigned open_net; /* where its connection came from */
    uint16_t in_force_s;
    int64_t packet_last, heard_last, any_last, sent_at;
    uint32_t sent_gap_s;
    bool is_doubt_neutral; /* an event without meaning is in doubt */

    int64_t in_since;
    struct client_result result;
};

struct world {
    struct world_conf conf;
    struct keepalive_conf keepalive;
    struct keepalive *ka;
    struct keepalive_counts gone; /* of learners before the last restart */
    int64_t now, end, jump_s;
    int64_t next_hour, next_outage, next_restart, next_jump;
    uint64_t rng;
    struct client *clients;
    uint32_t *heap; /* clients by what is next */
};

uint64_t sim_random(uint64_t *rng);
/* In [0, 1); below n; and with this mean, exponentially. */
double sim_share(uint64_t *rng);
int64_t sim_between(uint64_t *rng, int64_t low, int64_t high);
int64_t sim_mean(uint64_t *rng, double mean);

/* nat_world.c */
int64_t world_now_s(const struct world *w); /* the learner's clock */
void world_due(struct world *w, struct client *c, enum due due, int64_t at);
uint32_t world_settled_s(const struct world *w, const struct client *c);

/* nat_client.c */
void client_start(struct world *w, struct client *c);
void client_run(struct world *w, struct client *c, enum due due);
void client_lost(struct world *w, struct client *c, enum cause cause, int64_t notice_in);
void client_forget(struct world *w, struct client *c);
void client_blame(struct world *w, struct client *c, enum cause cause);
enum fate client_pass(struct world *w, struct client *c);

/* nat_broker.c */
uint16_t broker_connected(struct world *w, struct client *c); /* gives the interval that the client is told */
void broker_packet(struct world *w, struct client *c);
void broker_ended(struct world *w, struct client *c, enum ka_how how);
void broker_run(struct world *w, struct client *c, enum due due);
const struct ka_entry *broker_entry(const struct world *w, const struct client *c, unsigned net);

#endif
