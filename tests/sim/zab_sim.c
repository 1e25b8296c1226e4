/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consensus core under a virtual clock: seeds in, one line of JSON out. Ends with status 1 when an
 * invariant was broken, or when many runs never came to something that they are for; 2 for a wrong option.
 */
#include "sim/zab_plants.h"
#include "sim/zab_shrink.h"
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { RUNS_THAT_SEE_ALL = 20000 };

static const char usage[] =
    "usage: longlink-sim [--swarm] [--seed N] [--runs M] [--trace] [--twice] [--keep-going]\n"
    "                    [--script FILE] [--keep FILE] [--only NAME] [--plant NAME] [--plants]\n"
    "  --seed N      the first seed; a run is its seed (1)\n"
    "  --runs M      so many, from there (1)\n"
    "  --swarm       3 to 9 voters, observers, hundreds of actions; else small: 3 nodes, up to 30 entries\n"
    "  --trace       what happens, line by line\n"
    "  --twice       each seed twice: both must be the same\n"
    "  --keep FILE   a run that fails leaves a script there, with what it needs (sim-failed.script)\n"
    "  --script FILE plays one; --seed and the like do not matter then\n"
    "  --keep-going  the first failure does not end the runs; each prints a line on stderr\n"
    "  --only NAME   the invariant to look at, and no other\n"
    "  --plant NAME  with this fault in the core (longlink-sim-planted); --plants lists them\n";

struct options {
    uint64_t seed, runs;
    bool is_swarm, is_trace, is_twice, keeps_going;
    const char *script, *keep, *plant, *only;
};

static uint64_t current_seed;

/* A CHECK of the core ends the process: say at least which run it was. */
static void on_abort(int signal_no)
{
    char text[64] = "longlink-sim: aborted in seed ", digits[24];
    size_t at = strlen(text), n = 0;
    (void)signal_no;
    for (uint64_t s = current_seed; n == 0 || s > 0; s /= 10) digits[n++] = (char)('0' + s % 10);
    while (n > 0) text[at++] = digits[--n];
    text[at++] = '\n';
    if (write(STDERR_FILENO, text, at) < 0) _exit(3);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end != text && *end == '\0') return value;
    fprintf(stderr, "longlink-sim: '%s' is not a number\n%s", text, usage);
    exit(2);
}

static void list_plants(void)
{
    const char *name, *invariant, *text;
    for (uint32_t i = 0; plants_row(i, &name, &invariant, &text); i++)
        printf("%s\t%s\t%s\n", name, invariant, text);
    exit(0);
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {
        { "swarm", no_argument, NULL, 's' },
        { "seed", required_argument, NULL, 'n' },
        { "runs", required_argument, NULL, 'r' },
        { "trace", no_argument, NULL, 't' },
        { "twice", no_argument, NULL, '2' },
        { "script", required_argument, NULL, 'f' },
        { "keep", required_argument, NULL, 'k' },
        { "plant", required_argument, NULL, 'p' },
        { "plants", no_argument, NULL, 'l' },
        { "keep-going", no_argument, NULL, 'g' },
        { "only", required_argument, NULL, 'o' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    int c;
    *o = (struct options){ .seed = 1, .runs = 1, .keep = "sim-failed.script" };
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 's': o->is_swarm = true; break;
        case 'n': o->seed = number(optarg); break;
        case 'r': o->runs = number(optarg); break;
        case 't': o->is_trace = true; break;
        case '2': o->is_twice = true; break;
        case 'f': o->script = optarg; break;
        case 'k': o->keep = optarg; break;
        case 'p': o->plant = optarg; break;
        case 'g': o->keeps_going = true; break;
        case 'o': o->only = optarg; break;
        case 'l': list_plants(); break;
        case 'h': printf("%s", usage); exit(0);
        default: fprintf(stderr, "%s", usage); exit(2);
        }
    }
    if (optind < argc || (o->plant != NULL && !plants_select(o->plant))) {
        fprintf(stderr, "longlink-sim: not known here: %s\n%s", optind < argc ? argv[optind] : o->plant,
                usage);
        exit(2);
    }
}

/* What is needed for it goes into a file. */
static void keep_failure(struct world *w, struct plan *p, const struct options *o)
{
    struct counts counts = w->counts;
    char text[TEXT_MAX];
    const char *invariant = w->invariant;
    snprintf(text, sizeof text, "%s", w->text);
    w->is_trace = false;
    shrink(w, p, invariant);
    w->counts = counts;
    FILE *to = fopen(o->keep, "we");
    if (to == NULL) {
        fprintf(stderr, "longlink-sim: %s cannot be written\n", o->keep);
        return;
    }
    fprintf(to, "# %s: %s\n", invariant, text);
    plan_write(p, to);
    fclose(to);
    fprintf(stderr, "longlink-sim: %s has the %u actions that are needed; --script %s --trace plays it\n",
            o->keep, p->count, o->keep);
}

static bool play(struct world *w, struct plan *p, const struct options *o, uint64_t *hash)
{
    w->is_trace = o->is_trace;
    world_run(w, p);
    bool holds = !w->is_failed;
    uint64_t first = w->hash;
    if (holds && o->is_twice) {
        world_run(w, p);
        if (w->hash != first) {
            world_violate(w, "determinism", "the same seed gave %llx and %llx", (unsigned long long)first,
                          (unsigned long long)w->hash);
            holds = false;
        }
    }
    *hash = dice_mix(*hash ^ first);
    if (holds) return true;
    fprintf(stderr, "longlink-sim: seed %llu%s: %s: %s (at %.3f ms)\n", (unsigned long long)p->seed,
            p->knobs.is_swarm ? " --swarm" : "", w->invariant, w->text, (double)w->failed_at_us / 1000);
    if (!o->keeps_going && o->plant == NULL && o->script == NULL) keep_failure(w, p, o);
    return false;
}

static bool has_seen_all(const struct counts *c)
{
    return c->elections > 0 && c->crashes > 0 && c->diff > 0 && c->trunc > 0 && c->trunc_diff > 0 &&
           c->snap > 0 && c->torn_tails > 0 && c->reconfigurations_during_elections > 0 && c->roll_overs > 0;
}

static void report(const struct world *w, const struct options *o, uint64_t hash, double seconds)
{
    const struct counts *c = &w->counts;
#define PRINT(name) printf("\"" #name "\": %llu, ", (unsigned long long)c->name)
    printf("{\"mode\": \"%s\", \"seed\": %llu, ", o->is_swarm ? "swarm" : "small",
           (unsigned long long)o->seed);
    PRINT(runs);
    PRINT(events);
    PRINT(elections);
    PRINT(crashes);
    PRINT(diff);
    PRINT(trunc);
    PRINT(trunc_diff);
    PRINT(snap);
    PRINT(torn_tails);
    PRINT(reconfigurations);
    PRINT(reconfigurations_during_elections);
    PRINT(roll_overs);
    PRINT(proposed);
    PRINT(committed);
    PRINT(damaged);
    PRINT(wiped);
    PRINT(purges);
    PRINT(frames);
    PRINT(notes);
    PRINT(leases);
    PRINT(settled);
    PRINT(hopeless);
    PRINT(virtual_ms);
    PRINT(violations);
#undef PRINT
    printf("\"hash\": \"%016llx\", \"seconds\": %.2f}\n", (unsigned long long)hash, seconds);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static struct world w;
    struct options o;
    struct plan p = { 0 };
    uint64_t hash = 0, violations = 0;
    read_options(&o, argc, argv);
    signal(SIGABRT, on_abort);
    world_init(&w);
    w.only = o.only;
    double begin = seconds_now();
    if (o.script != NULL) o.runs = 1;
    for (uint64_t i = 0; i < o.runs && (violations == 0 || o.keeps_going); i++) {
        current_seed = o.seed + i;
        if (o.script == NULL) {
            plan_draw(&p, o.seed + i, o.is_swarm);
        } else if (!plan_read(&p, o.script)) {
            return 2;
        }
        if (!play(&w, &p, &o, &hash)) violations++;
    }
    w.counts.violations = violations;
    report(&w, &o, hash, seconds_now() - begin);
    bool is_blind = w.counts.runs >= RUNS_THAT_SEE_ALL && !has_seen_all(&w.counts);
    if (is_blind) fprintf(stderr, "longlink-sim: so many runs should have seen every case at least once\n");
    world_fini(&w);
    plan_fini(&p);
    return violations > 0 || is_blind ? 1 : 0;
}
