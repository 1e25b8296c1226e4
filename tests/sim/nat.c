/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The learner against networks that forget: days of virtual time, a number of seeds, one line of JSON. Ends
 * with status 1 when a bound is broken (docs/keepalive.md), 2 for a wrong option.
 */
#include "sim/nat_world.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEATHS_MAX = 15 };

static const char *const rules_names[] = { "ours", "mars", "halving", "fixed", NULL };
static const char *const scenario_names[] = { "independent", "outages", "switch", "restart", "clockjump",
                                              "late",        "change",  "prefix", NULL };
static const char *const how_names[] = { "connect", "explore", "cap", NULL };
static const char *const nat_names[] = { "reset", "silent", "mixed", NULL };

static const char usage[] =
    "usage: nat [--timeout SECONDS|none] [--noise PERCENT] [--seed N] [--seeds N] [--days N]\n"
    "           [--rules ours|mars|halving|fixed] [--how connect|explore|cap] [--clients N]\n"
    "           [--scenario independent|outages|switch|restart|clockjump|late|change|prefix]\n"
    "           [--nat reset|silent|mixed] [--slow] [--session HOURS] [--push MINUTES]\n"
    "           [--deaths-max N] [--out-max N] [--each] [--no-bounds]\n";

struct options {
    struct world_conf world;
    uint64_t seeds;
    uint32_t deaths_max;
    uint64_t out_max; /* clients out of the band, of all */
    bool each, no_bounds;
};

/* Sums over clients and seeds. */
struct sums {
    uint64_t clients, in_band, days_in, days_of, in_since_count, broken, neutral_events, neutral_changes;
    double settled, deaths, late, noise, pings, probes, hours;
    uint32_t settled_min, settled_max, deaths_max;
    double hours_max;
    struct keepalive_counts counts;
};

static unsigned word(const char *text, const char *const *names)
{
    for (unsigned i = 0; names[i] != NULL; i++)
        if (strcmp(text, names[i]) == 0) return i;
    fprintf(stderr, "nat: '%s' is not known\n%s", text, usage);
    exit(2);
}

static double number(const char *text, double low, double high)
{
    char *end;
    double value = strtod(text, &end);
    if (end != text && *end == '\0' && value >= low && value <= high) return value;
    fprintf(stderr, "nat: '%s' is not a number from %g to %g\n%s", text, low, high, usage);
    exit(2);
}

static void option_of_world(struct world_conf *w, int option, const char *value)
{
    switch (option) {
    case 't': w->timeout_s = strcmp(value, "none") == 0 ? NEVER_S : (uint32_t)number(value, 60, 60000); break;
    case 'p': w->noise = number(value, 0, 100) / 100; break;
    case 's': w->seed = (uint64_t)number(value, 0, 1e15); break;
    case 'd': w->days = (uint32_t)number(value, 1, 3650); break;
    case 'c': w->clients = (uint32_t)number(value, 1, CLIENTS_MAX); break;
    case 'r': w->rules = (uint8_t)word(value, rules_names); break;
    case 'S': w->scenario = (uint8_t)word(value, scenario_names); break;
    case 'h': w->how = (uint8_t)word(value, how_names); break;
    case 'N': w->nat = (uint8_t)word(value, nat_names); break;
    case 'H': w->session_s = number(value, 0.1, 10000) * 3600; break;
    default: w->push_s = number(value, 0.1, 1e6) * 60; break;
    }
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option long_options[] = {
        { "timeout", 1, NULL, 't' },    { "noise", 1, NULL, 'p' },     { "seed", 1, NULL, 's' },
        { "days", 1, NULL, 'd' },       { "clients", 1, NULL, 'c' },   { "rules", 1, NULL, 'r' },
        { "scenario", 1, NULL, 'S' },   { "how", 1, NULL, 'h' },       { "nat", 1, NULL, 'N' },
        { "session", 1, NULL, 'H' },    { "push", 1, NULL, 'P' },      { "seeds", 1, NULL, 'n' },
        { "deaths-max", 1, NULL, 'D' }, { "out-max", 1, NULL, 'O' },   { "slow", 0, NULL, 'w' },
        { "each", 0, NULL, 'e' },       { "no-bounds", 0, NULL, 'b' }, { "help", 0, NULL, '?' },
        { NULL, 0, NULL, 0 },
    };
    *o = (struct options){ .seeds = 1,
                           .deaths_max = DEATHS_MAX,
                           .world = { .seed = 1,
                                      .timeout_s = 300,
                                      .days = 30,
                                      .session_s = 3 * 3600,
                                      .push_s = 1800,
                                      .nat = NAT_MIXED } };
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (option) {
        case 'n': o->seeds = (uint64_t)number(optarg, 1, 1e6); break;
        case 'w': o->world.is_slow = true; break;
        case 'D': o->deaths_max = (uint32_t)number(optarg, 0, 1e6); break;
        case 'O': o->out_max = (uint64_t)number(optarg, 0, 1e6); break;
        case 'e': o->each = true; break;
        case 'b': o->no_bounds = true; break;
        case '?': fputs(usage, stderr); exit(2);
        default: option_of_world(&o->world, option, optarg); break;
        }
    }
    if (o->world.clients == 0) {
        uint8_t scenario = o->world.scenario;
        o->world.clients = scenario == SCENARIO_OUTAGES ? 20 : scenario == SCENARIO_PREFIX ? 30 : 1;
    }
    o->world.asked_s = o->world.how == LEARN_EXPLORE ? 1200 : 600;
}

/* What must hold of every client. Noise may end a connection, and late pings do; only what the interval is to
 * blame for is bounded. */
static bool is_broken(const struct options *o, const struct client_result *r)
{
    return r->nat_deaths > o->deaths_max || r->in_band_after_h < 0;
}

static void add(struct sums *s, const struct client_result *r, bool broken)
{
    if (s->clients == 0 || r->settled_s < s->settled_min) s->settled_min = r->settled_s;
    if (r->settled_s > s->settled_max) s->settled_max = r->settled_s;
    if (r->nat_deaths > s->deaths_max) s->deaths_max = r->nat_deaths;
    if (r->in_band_after_h > s->hours_max) s->hours_max = r->in_band_after_h;
    s->clients++;
    s->in_band += r->in_band_after_h >= 0;
    s->hours += r->in_band_after_h >= 0 ? r->in_band_after_h : 0;
    s->days_in += r->days_in;
    s->days_of += r->days_of;
    s->settled += r->settled_s;
    s->deaths += r->nat_deaths;
    s->late += r->late_deaths;
    s->noise += r->noise_deaths;
    s->pings += r->pings;
    s->probes += r->probes;
    s->neutral_events += r->neutral_events;
    s->neutral_changes += r->neutral_changes;
    s->broken += broken;
}

static void print_what(const struct world_conf *w)
{
    char timeout[16] = "\"none\"";
    if (w->timeout_s != NEVER_S) snprintf(timeout, sizeof timeout, "%u", w->timeout_s);
    printf("{\"rules\":\"%s\",\"how\":\"%s\",\"scenario\":\"%s\",\"nat\":\"%s%s\",\"timeout\":%s,\"noise\":%"
           "g,\"days\":%u,",
           rules_names[w->rules], how_names[w->how], scenario_names[w->scenario], nat_names[w->nat],
           w->is_slow ? ",slow" : "", timeout, w->noise * 100, w->days);
}

static void print(const struct options *o, const struct sums *s)
{
    double n = (double)s->clients, days = n * o->world.days;
    print_what(&o->world);
    printf("\"seed\":%llu,\"seeds\":%llu,\"clients\":%u,", (unsigned long long)o->world.seed,
           (unsigned long long)o->seeds, o->world.clients);
    printf("\"settled\":%.0f,\"settled_min\":%u,\"settled_max\":%u,\"in_band\":%.4f,\"days_in_band\":%.4f,",
           s->settled / n, s->settled_min, s->settled_max, (double)s->in_band / n,
           s->days_of > 0 ? (double)s->days_in / (double)s->days_of : 0);
    printf("\"hours_to_band\":%.1f,\"hours_to_band_max\":%.0f,",
           s->in_band > 0 ? s->hours / (double)s->in_band : -1, s->hours_max);
    printf("\"nat_deaths\":%.1f,\"nat_deaths_max\":%u,\"late_deaths\":%.1f,\"noise_deaths\":%.1f,",
           s->deaths / n, s->deaths_max, s->late / n, s->noise / n);
    printf("\"pings_a_day\":%.0f,\"probes_a_day\":%.0f,", s->pings / days, s->probes / days);
    printf("\"neutral_events\":%.0f,\"neutral_changes\":%llu,\"outages\":%.1f,\"in_outage\":%.1f,",
           (double)s->neutral_events / n, (unsigned long long)s->neutral_changes,
           (double)s->counts.outages / (double)o->seeds, (double)s->counts.in_outage / n);
    printf("\"broken\":%llu}\n", (unsigned long long)s->broken);
}

static void run_seed(const struct options *o, uint64_t seed, struct sums *s)
{
    struct world_conf conf = o->world;
    conf.seed = seed;
    struct world *w = world_new(&conf);
    world_run(w);
    for (uint32_t i = 0; i < conf.clients; i++) {
        struct client_result r = world_result(w, i);
        bool broken = is_broken(o, &r);
        add(s, &r, broken);
        if (o->each && (broken || r.neutral_changes > 0))
            printf("seed %llu client %u: settled %u, in the band since hour %.0f, %u of %u days, %u deaths, "
                   "%u changes by neutral events\n",
                   (unsigned long long)seed, i, r.settled_s, r.in_band_after_h, r.days_in, r.days_of,
                   r.nat_deaths, r.neutral_changes);
    }
    struct keepalive_counts counts = world_counts(w);
    s->counts.outages += counts.outages;
    s->counts.in_outage += counts.in_outage;
    world_free(&w);
}

int main(int argc, char **argv)
{
    struct options o;
    struct sums s = { 0 };
    read_options(&o, argc, argv);
    for (uint64_t i = 0; i < o.seeds; i++) run_seed(&o, o.world.seed + i, &s);
    print(&o, &s);
    bool holds = s.deaths_max <= o.deaths_max && s.clients - s.in_band <= o.out_max && s.neutral_changes == 0;
    return !holds && !o.no_bounds;
}
