/* SPDX-License-Identifier: Apache-2.0 */
/* Time, chance, and what happens to all clients at once. */
#include "base/check.h"
#include "sim/nat_world_int.h"
#include <math.h>
#include <stdlib.h>

enum {
    OUTAGE_MEAN = 12 * HOUR,
    RESTART_MEAN = 2 * DAY,
    JUMP_MEAN = 3 * DAY,
    SETTLED_AFTER_DAYS = 2,
};
static const double outage_share = 0.6;

/* --- chance: splitmix64 */

uint64_t sim_random(uint64_t *rng)
{
    uint64_t z = *rng += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double sim_share(uint64_t *rng)
{
    return (double)(sim_random(rng) >> 11) * 0x1p-53;
}

int64_t sim_between(uint64_t *rng, int64_t low, int64_t high)
{
    return low + (int64_t)(sim_share(rng) * (double)(high - low));
}

int64_t sim_mean(uint64_t *rng, double mean)
{
    return 1 + (int64_t)(-mean * log(1 - sim_share(rng)));
}

/* --- clients by time: a heap of their numbers */

static bool is_before(const struct world *w, uint32_t a, uint32_t b)
{
    const struct client *x = &w->clients[w->heap[a]], *y = &w->clients[w->heap[b]];
    return x->next < y->next || (x->next == y->next && w->heap[a] < w->heap[b]);
}

static void exchange(struct world *w, uint32_t a, uint32_t b)
{
    uint32_t client = w->heap[a];
    w->heap[a] = w->heap[b];
    w->heap[b] = client;
    w->clients[w->heap[a]].place = a;
    w->clients[w->heap[b]].place = b;
}

static void sift(struct world *w, uint32_t at)
{
    while (at > 0 && is_before(w, at, (at - 1) / 2)) {
        exchange(w, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    for (uint32_t child = 2 * at + 1; child < w->conf.clients; child = 2 * at + 1) {
        if (child + 1 < w->conf.clients && is_before(w, child + 1, child)) child++;
        if (!is_before(w, child, at)) return;
        exchange(w, child, at);
        at = child;
    }
}

void world_due(struct world *w, struct client *c, enum due due, int64_t at)
{
    c->due[due] = at;
    int64_t next = NO_TIME;
    for (unsigned i = 0; i < DUES; i++)
        if (c->due[i] < next) next = c->due[i];
    if (next == c->next) return;
    c->next = next;
    sift(w, c->place);
}

int64_t world_now_s(const struct world *w)
{
    return w->now / SECOND + w->jump_s;
}

/* --- the broker as a whole */

static void store(struct world *w)
{
    for (const struct ka_entry *e = keepalive_next_dirty(w->ka); e != NULL; e = keepalive_next_dirty(w->ka)) {
        struct client *c = &w->clients[e->client - 1];
        unsigned net = 0;
        while (c->who[net].net.key != e->net) net++;
        c->stored[net] = e->state;
        c->is_stored[net] = true;
    }
}

static void restore(struct world *w)
{
    for (uint32_t i = 0; i < w->conf.clients; i++)
        for (unsigned net = 0; net < NETS_MAX; net++) {
            struct client *c = &w->clients[i];
            if (c->is_stored[net])
                CHECK(keepalive_restore(w->ka, c->who[net].client, c->who[net].net.key, &c->stored[net]));
        }
}

static void add_counts(struct keepalive_counts *sum, const struct keepalive_counts *more)
{
    sum->successes += more->successes;
    sum->weak += more->weak;
    sum->strong += more->strong;
    sum->neutral += more->neutral;
    sum->outages += more->outages;
    sum->in_outage += more->in_outage;
    sum->raised += more->raised;
    sum->lowered += more->lowered;
}

struct keepalive_counts world_counts(const struct world *w)
{
    struct keepalive_counts sum = w->gone;
    add_counts(&sum, keepalive_counts(w->ka));
    return sum;
}

/* In order, or by a crash: then what was not stored is lost. All connections are gone. */
static void restart(struct world *w)
{
    w->next_restart = w->now + sim_mean(&w->rng, RESTART_MEAN);
    if (sim_share(&w->rng) < 0.5) store(w);
    add_counts(&w->gone, keepalive_counts(w->ka));
    keepalive_free(&w->ka);
    CHECK(keepalive_new(&w->ka, &w->keepalive, world_now_s(w)) == ERR_OK);
    restore(w);
    for (uint32_t i = 0; i < w->conf.clients; i++) {
        struct client *c = &w->clients[i];
        c->is_open = c->has_unacked = c->is_doubt_neutral = false;
        for (unsigned due = DUE_DEADLINE; due < DUES; due++) world_due(w, c, (enum due)due, NO_TIME);
        client_lost(w, c, CAUSE_NEUTRAL, sim_between(&c->rng, 0, 30 * SECOND));
    }
}

/* Something fails that most connections go through: it resets them, or nothing comes through for a while. */
static void outage(struct world *w)
{
    bool is_silent = sim_share(&w->rng) < 0.5;
    int64_t until = w->now + sim_between(&w->rng, 2 * MINUTE, 5 * MINUTE);
    w->next_outage = w->now + sim_mean(&w->rng, OUTAGE_MEAN);
    for (uint32_t i = 0; i < w->conf.clients; i++) {
        struct client *c = &w->clients[i];
        if (sim_share(&c->rng) >= outage_share) continue;
        if (is_silent) {
            c->blocked_until = until;
            continue;
        }
        client_lost(w, c, CAUSE_NEUTRAL, sim_between(&c->rng, 0, 8 * SECOND));
        if (sim_share(&c->rng) < 0.7) broker_ended(w, c, KA_END_RESET);
    }
}

static void jump(struct world *w)
{
    static const int64_t by_s[] = { 3600, -3600, 86400, -86400, 30 * 86400, -365 * 86400, 10 };
    w->next_jump = w->now + sim_mean(&w->rng, JUMP_MEAN);
    w->jump_s += by_s[sim_random(&w->rng) % (sizeof by_s / sizeof *by_s)];
}

/* --- what comes out */

void world_band(uint32_t timeout_s, uint32_t max_s, uint32_t *low_s, uint32_t *high_s)
{
    *low_s = timeout_s == NEVER_S ? max_s : timeout_s - 40;
    *high_s = timeout_s == NEVER_S ? max_s : timeout_s - 20;
    if (timeout_s == NEVER_S || *low_s >= ka_conf_default.min_s) return;
    *low_s = ka_conf_default.min_s;
    *high_s = timeout_s - 10;
}

uint32_t world_settled_s(const struct world *w, const struct client *c)
{
    if (w->conf.rules != RULES_OURS) return c->rule[0].k_s;
    const struct ka_entry *e = broker_entry(w, c, 0);
    if (e != NULL) return keepalive_settled(w->ka, e);
    return w->conf.how == LEARN_CAP ? w->conf.asked_s : 0;
}

static void look(struct world *w)
{
    bool is_day = w->now % DAY == 0 && w->now > SETTLED_AFTER_DAYS * (int64_t)DAY;
    w->next_hour = w->now + HOUR;
    for (uint32_t i = 0; i < w->conf.clients; i++) {
        struct client *c = &w->clients[i];
        uint32_t low_s, high_s, settled_s = world_settled_s(w, c);
        uint32_t most_s = w->conf.how == LEARN_CAP ? w->conf.asked_s : w->keepalive.learn.max_s;
        world_band(c->timeout_s[0], most_s, &low_s, &high_s);
        bool is_in = settled_s >= low_s && settled_s <= high_s;
        if (!is_in) c->in_since = -1;
        if (is_in && c->in_since < 0) c->in_since = w->now;
        c->result.settled_s = settled_s;
        c->result.in_band_after_h = c->in_since < 0 ? -1 : (double)c->in_since / HOUR;
        c->result.days_of += is_day;
        c->result.days_in += is_day && is_in;
    }
}

struct client_result world_result(const struct world *w, uint32_t i)
{
    return w->clients[i].result;
}

/* --- life */

static struct ka_net net_of(const struct world *w, uint32_t client, unsigned net)
{
    bool is_shared = w->conf.scenario == SCENARIO_PREFIX;
    uint32_t block = is_shared ? net : client * NETS_MAX + net;
    uint8_t address[4] = { (uint8_t)(is_shared ? 10 : block >> 8), (uint8_t)block, (uint8_t)block,
                           (uint8_t)(is_shared ? client : 7) };
    return ka_net_of(bytes_of(address, sizeof address), 0, bytes_of(NULL, 0));
}

static void make_client(struct world *w, uint32_t i)
{
    static const uint8_t modes[] = {
        [LEARN_CONNECT] = KA_LEARN, [LEARN_EXPLORE] = KA_PROBE, [LEARN_CAP] = KA_CAP
    };
    static const uint32_t elsewhere_s[NETS_MAX] = { 0, 420, NEVER_S };
    struct client *c = &w->clients[i];

    c->place = i;
    w->heap[i] = i;
    c->next = NO_TIME;
    c->rng = sim_random(&w->rng);
    c->in_since = -1;
    for (unsigned net = 0; net < NETS_MAX; net++) {
        c->who[net] = (struct ka_who){ i + 1, net_of(w, i, net), w->conf.asked_s, modes[w->conf.how] };
        c->timeout_s[net] = net == 0 ? w->conf.timeout_s : elsewhere_s[net];
    }
}

struct world *world_new(const struct world_conf *conf)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->conf = *conf;
    w->rng = conf->seed * 1000003;
    w->end = conf->days * (int64_t)DAY;
    w->jump_s = 1700000000;
    w->keepalive = (struct keepalive_conf){ ka_conf_default, NETS_MAX * conf->clients + 1, 4096 };
    CHECK(keepalive_new(&w->ka, &w->keepalive, world_now_s(w)) == ERR_OK);
    w->clients = calloc(conf->clients, sizeof *w->clients);
    w->heap = calloc(conf->clients, sizeof *w->heap);
    CHECK(w->clients != NULL);
    CHECK(w->heap != NULL);
    for (uint32_t i = 0; i < conf->clients; i++) make_client(w, i);
    for (uint32_t i = 0; i < conf->clients; i++) client_start(w, &w->clients[i]);
    w->next_hour = HOUR;
    w->next_outage = conf->scenario == SCENARIO_OUTAGES ? sim_mean(&w->rng, OUTAGE_MEAN) : NO_TIME;
    w->next_restart = conf->scenario == SCENARIO_RESTART ? sim_mean(&w->rng, RESTART_MEAN) : NO_TIME;
    w->next_jump = conf->scenario == SCENARIO_CLOCKJUMP ? sim_mean(&w->rng, JUMP_MEAN) : NO_TIME;
    return w;
}

void world_free(struct world **owner)
{
    struct world *w = *owner;
    *owner = NULL;
    keepalive_free(&w->ka);
    free(w->clients);
    free(w->heap);
    free(w);
}

static void run_client(struct world *w, struct client *c)
{
    for (unsigned due = 0; due < DUES; due++) {
        if (c->due[due] > w->now) continue;
        world_due(w, c, (enum due)due, NO_TIME);
        client_run(w, c, (enum due)due);
    }
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void run_all(struct world *w)
{
    if (w->next_outage <= w->now) outage(w);
    if (w->next_restart <= w->now) restart(w);
    if (w->next_jump <= w->now) jump(w);
    if (w->next_hour > w->now) return;
    store(w);
    look(w);
}

void world_run(struct world *w)
{
    while (w->now < w->end) {
        struct client *c = &w->clients[w->heap[0]];
        int64_t all =
            earliest(earliest(w->next_hour, w->next_outage), earliest(w->next_restart, w->next_jump));
        w->now = earliest(all, c->next);
        if (c->next <= w->now)
            run_client(w, c);
        else
            run_all(w);
    }
}
