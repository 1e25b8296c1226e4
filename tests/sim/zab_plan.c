/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/zab_plan.h"
#include "sim/zab_dice.h"
#include "sim/zab_disk.h"
#include <stdlib.h>
#include <string.h>

enum { KNOBS = sizeof(struct knobs) / sizeof(uint32_t), NODES_MAX_SMALL = 5 };

const char *const act_names[ACT_KINDS] = {
#define ACT(name, text) #name,
#include "sim/zab_acts.def"
#undef ACT
};

static const char *const knob_names[KNOBS] = {
#define KNOB(name, text) #name,
#include "sim/zab_knobs.def"
#undef KNOB
};

/* How often at most, in a small run, for how long in ms, and from how many. */
static const struct {
    uint8_t kind, most;
    uint16_t low_ms, high_ms;
} faults[] = {
    { ACT_crash, 6, 1, 800 },     { ACT_pause, 3, 20, 1200 }, { ACT_cut, 5, 20, 1000 },
    { ACT_isolate, 3, 50, 1000 }, { ACT_clog, 4, 20, 800 },   { ACT_reset, 5, 1, 600 },
    { ACT_slow, 3, 50, 1000 },    { ACT_full, 2, 50, 800 },   { ACT_fail, 2, 1, 500 },
    { ACT_damage, 1, 1, 400 },    { ACT_wipe, 2, 1, 300 },    { ACT_snap, 6, 1, 1 },
};

static uint32_t between(struct dice *d, uint32_t low, uint32_t high)
{
    return (uint32_t)dice_between(d, low, high);
}

static uint32_t one_of(struct dice *d, const uint32_t *from, uint32_t count)
{
    return from[dice_below(d, count)];
}

static void draw_size(struct knobs *k, struct dice *d)
{
    uint32_t shape = between(d, 0, 9);
    if (k->is_swarm) {
        k->voters = between(d, 3, 9);
        k->observers = between(d, 0, 2);
        k->nodes = k->voters + k->observers + between(d, 0, 2);
        k->safety_ms = between(d, 4000, 15000);
        return;
    }
    k->voters = shape == 9 ? 4 : shape == 8 ? 2 : 3;
    k->observers = shape == 7 || shape == 6;
    k->nodes = k->voters + k->observers + (shape == 5 || shape == 8);
    k->safety_ms = between(d, 800, 3500);
}

static void draw_core(struct knobs *k, struct dice *d)
{
    static const uint32_t ticks[] = { 10, 20, 20, 50 }, windows[] = { 4, 8, 16 }, ends[] = { 5, 8, 20, 50 };
    static const uint32_t bytes[] = { 8400, 8400, 32768 };
    k->tick_ms = one_of(d, ticks, 4);
    k->init_ticks = between(d, 8, 30);
    k->sync_ticks = between(d, 3, 8);
    k->finalize_ms = between(d, 5, 60);
    k->note_max_ms = between(d, 100, 500);
    k->lease_ms = between(d, 1, 6) * k->tick_ms;
    k->drift_per_mille = between(d, 1, 4) * 25;
    k->window_entries = one_of(d, windows, 3);
    k->window_bytes = one_of(d, bytes, 3);
    k->counter_max = dice_chance(d, 250) ? one_of(d, ends, 4) : 0;
    k->beat_us = k->tick_ms * 1000 / 4;
}

static void draw_machine(struct knobs *k, struct dice *d)
{
    static const uint32_t syncs[] = { 100, 1000, 5000, 20000 }, nets[] = { 100, 500, 2000, 8000 };
    k->net_us = one_of(d, nets, 4);
    /* What is healthy answers within syncLimit. */
    uint32_t limit_us = k->sync_ticks * k->tick_ms * 1000;
    if (k->net_us > limit_us / 24) k->net_us = limit_us / 24;
    k->note_lost = dice_chance(d, 500) ? between(d, 0, 300) : 0;
    k->note_doubled = dice_chance(d, 500) ? between(d, 0, 300) : 0;
    k->note_late = dice_chance(d, 300) ? between(d, 0, 200) : 0;
    k->sync_us = one_of(d, syncs, 4);
    k->read_us = one_of(d, syncs, 4);
    k->apply_us = one_of(d, syncs, 4);
    if (k->sync_us > limit_us / 16) k->sync_us = limit_us / 16;
    k->lost = between(d, 0, 600);
    k->torn = between(d, 0, 200);
    k->garbled = between(d, 0, 100);
    k->snap_every = dice_chance(d, 700) ? between(d, 2, 12) : 0;
    k->snap_keep = between(d, 1, 3);
    k->segment_records = between(d, 1, 6);
    k->chunk_bytes = between(d, 16, 200);
    k->liveness = 1;
    k->codec = k->is_swarm || dice_chance(d, 100);
}

static void add(struct plan *p, struct act a)
{
    p->acts = array_grow(p->acts, p->count, &p->cap, sizeof *p->acts);
    p->acts[p->count++] = a;
}

static uint64_t when(const struct plan *p, struct dice *d)
{
    return dice_below(d, (uint64_t)p->knobs.safety_ms * 1000);
}

/* The one that leads is the most interesting one. */
static uint16_t whom(const struct plan *p, struct dice *d, uint32_t leader_per_mille)
{
    return dice_chance(d, leader_per_mille) ? 0 : (uint16_t)between(d, 1, p->knobs.nodes);
}

static void draw_faults(struct plan *p, struct dice *d)
{
    for (uint32_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        bool is_on = dice_chance(d, faults[i].kind == ACT_crash ? 800 : 350);
        uint32_t most = (uint32_t)faults[i].most * (p->knobs.is_swarm ? 6 : 1), n = between(d, 1, most);
        for (uint32_t j = 0; is_on && j < n; j++) {
            struct act a = { .at_us = when(p, d), .kind = faults[i].kind, .a = whom(p, d, 400) };
            a.b = whom(p, d, 200);
            if (a.kind == ACT_isolate) a.b = (uint16_t)between(d, 0, 1);
            a.value = between(d, faults[i].low_ms, faults[i].high_ms);
            if (a.kind == ACT_pause && dice_chance(d, 30)) a.value = between(d, 2000, 10000);
            add(p, a);
        }
    }
    /* Everybody at once: what was acknowledged is on the disks, or nowhere. */
    if (!dice_chance(d, 200)) return;
    uint64_t at = when(p, d);
    for (uint16_t i = 1; i <= p->knobs.nodes; i++)
        add(p,
            (struct act){
                .at_us = at + dice_below(d, 3000), .kind = ACT_crash, .a = i, .value = between(d, 1, 300) });
}

static void draw_work(struct plan *p, struct dice *d)
{
    static const uint8_t kinds[] = { ACT_add, ACT_remove, ACT_role };
    uint32_t most = p->knobs.is_swarm ? 400 : 30, n = between(d, 3, most), bursts = between(d, 1, 6);
    uint32_t misled = dice_chance(d, 300) ? 300 : 30;
    uint64_t at = when(p, d);
    for (uint32_t i = 0; i < n; i++) {
        if (dice_below(d, n) < (uint64_t)bursts * 4) at = when(p, d);
        struct act a = { .at_us = at, .kind = ACT_propose, .a = whom(p, d, 1000 - misled) };
        a.b = (uint16_t)(dice_chance(d, 200) ? between(d, 2, 4) : 1);
        a.value = between(d, 16, dice_chance(d, 50) ? 400 : 60);
        add(p, a);
        at += dice_below(d, 8000);
    }
    if (!dice_chance(d, p->knobs.nodes > p->knobs.voters ? 800 : 350)) return;
    n = between(d, 1, p->knobs.is_swarm ? 30 : 8);
    for (uint32_t i = 0; i < n; i++) {
        struct act a = { .at_us = when(p, d), .kind = kinds[dice_below(d, 3)], .a = whom(p, d, 900) };
        a.b = whom(p, d, 0);
        a.value = between(d, 1, 2);
        add(p, a);
    }
}

/* A leader goes on alone for a while: what it stores then is nobody else's, and has to go again. */
static void draw_tails(struct plan *p, struct dice *d)
{
    static const uint8_t ends[] = { ACT_crash, ACT_pause, ACT_snap };
    uint32_t n = dice_chance(d, 600) ? between(d, 1, p->knobs.is_swarm ? 8 : 2) : 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t at = when(p, d);
        uint32_t alone_ms = between(d, 50, 800), entries = between(d, 1, 5);
        add(p, (struct act){
                   .at_us = at, .kind = ACT_isolate, .b = (uint16_t)between(d, 0, 1), .value = alone_ms });
        for (uint32_t j = 0; j < entries; j++)
            add(p,
                (struct act){ .at_us = at + dice_below(d, 20000), .kind = ACT_propose, .b = 1, .value = 20 });
        if (dice_chance(d, 300))
            add(p, (struct act){ .at_us = at + dice_below(d, 5000),
                                 .kind = (uint8_t)between(d, ACT_add, ACT_role),
                                 .b = whom(p, d, 0),
                                 .value = between(d, 1, 2) });
        if (dice_chance(d, 500))
            add(p, (struct act){
                       .at_us = at + dice_below(d, 100000), .kind = ends[dice_below(d, 3)], .value = 100 });
    }
}

static int earlier(const void *left, const void *right)
{
    const struct act *a = left, *b = right;
    if (a->at_us != b->at_us) return a->at_us < b->at_us ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->a != b->a) return a->a < b->a ? -1 : 1;
    if (a->b != b->b) return a->b < b->b ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

void plan_draw(struct plan *p, uint64_t seed, bool is_swarm)
{
    struct dice knobs, nemesis, work;
    dice_init(&knobs, seed, 1);
    dice_init(&nemesis, seed, 2);
    dice_init(&work, seed, 3);
    p->seed = seed;
    p->count = 0;
    p->knobs = (struct knobs){ .is_swarm = is_swarm };
    draw_size(&p->knobs, &knobs);
    draw_core(&p->knobs, &knobs);
    draw_machine(&p->knobs, &knobs);
    draw_faults(p, &nemesis);
    draw_tails(p, &nemesis);
    draw_work(p, &work);
    qsort(p->acts, p->count, sizeof *p->acts, earlier);
}

/* --- scripts */

void plan_write(const struct plan *p, FILE *to)
{
    const uint32_t *values = (const uint32_t *)&p->knobs;
    fprintf(to, "seed %llu\n", (unsigned long long)p->seed);
    for (uint32_t i = 0; i < KNOBS; i++) fprintf(to, "set %s %u\n", knob_names[i], values[i]);
    for (uint32_t i = 0; i < p->count; i++) {
        const struct act *a = &p->acts[i];
        fprintf(to, "at %llu %s %u %u %u\n", (unsigned long long)a->at_us, act_names[a->kind], a->a, a->b,
                a->value);
    }
}

static bool read_knob(struct knobs *k, const char *line)
{
    char name[32];
    unsigned value;
    uint32_t *values = (uint32_t *)k;
    if (sscanf(line, "set %31s %u", name, &value) != 2) return false;
    for (uint32_t i = 0; i < KNOBS; i++) {
        if (strcmp(name, knob_names[i]) != 0) continue;
        values[i] = value;
        return true;
    }
    return false;
}

static bool read_act(struct plan *p, const char *line)
{
    char name[32];
    unsigned long long at;
    unsigned a, b, value;
    if (sscanf(line, "at %llu %31s %u %u %u", &at, name, &a, &b, &value) != 5) return false;
    for (uint8_t i = 0; i < ACT_KINDS; i++) {
        if (strcmp(name, act_names[i]) != 0) continue;
        add(p, (struct act){ .at_us = at, .kind = i, .a = (uint16_t)a, .b = (uint16_t)b, .value = value });
        return true;
    }
    return false;
}

static bool read_line(struct plan *p, const char *line)
{
    unsigned long long seed;
    if (line[0] == '#' || line[0] == '\n') return true;
    if (sscanf(line, "seed %llu", &seed) == 1) {
        p->seed = seed;
        return true;
    }
    return read_knob(&p->knobs, line) || read_act(p, line);
}

static bool is_playable(const struct knobs *k)
{
    return k->nodes >= 1 && k->nodes <= 14 && k->voters >= 1 && k->voters + k->observers <= k->nodes &&
           k->beat_us > 0 && k->tick_ms > 0;
}

bool plan_read(struct plan *p, const char *path)
{
    char line[256];
    FILE *from = fopen(path, "re");
    if (from == NULL) {
        fprintf(stderr, "longlink-sim: %s cannot be opened\n", path);
        return false;
    }
    bool is_good = true;
    p->count = 0;
    p->knobs = (struct knobs){ 0 };
    while (is_good && fgets(line, sizeof line, from) != NULL) {
        is_good = read_line(p, line);
        if (!is_good) fprintf(stderr, "longlink-sim: %s: this says nothing: %s", path, line);
    }
    fclose(from);
    if (is_good && !is_playable(&p->knobs)) {
        fprintf(stderr, "longlink-sim: %s: these knobs make no run\n", path);
        is_good = false;
    }
    return is_good;
}

void plan_copy(struct plan *to, const struct plan *from)
{
    to->seed = from->seed;
    to->knobs = from->knobs;
    to->count = 0;
    for (uint32_t i = 0; i < from->count; i++) add(to, from->acts[i]);
}

void plan_fini(struct plan *p)
{
    free(p->acts);
    *p = (struct plan){ 0 };
}
