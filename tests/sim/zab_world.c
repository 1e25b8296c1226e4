/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/zab_world.h"
#include "base/check.h"
#include <stdarg.h>
#include <stdlib.h>

enum { EVENTS_MAX_SMALL = 1000000, EVENTS_MAX_SWARM = 50000000 };

/* --- what happens when: a heap by time, and by the order of asking */

static bool is_before(const struct happening *a, const struct happening *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

void world_at(struct world *w, uint64_t at_us, struct happening h)
{
    h.at_us = at_us < w->now_us ? w->now_us : at_us;
    h.seq = w->seq++;
    w->heap = array_grow(w->heap, w->heap_count, &w->heap_cap, sizeof *w->heap);
    uint32_t i = w->heap_count++;
    for (; i > 0 && is_before(&h, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = h;
}

static struct happening heap_pop(struct world *w)
{
    struct happening first = w->heap[0], last = w->heap[--w->heap_count];
    uint32_t i = 0;
    while (2 * i + 1 < w->heap_count) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < w->heap_count && is_before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!is_before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return first;
}

/* --- verdicts and traces */

void world_violate(struct world *w, const char *invariant, const char *format, ...)
{
    va_list rest;
    if (w->is_failed || (w->only != NULL && strcmp(w->only, invariant) != 0)) return;
    w->is_failed = true;
    w->failed_at_us = w->now_us;
    w->invariant = invariant;
    va_start(rest, format);
    vsnprintf(w->text, sizeof w->text, format, rest);
    va_end(rest);
    world_trace(w, NULL, "VIOLATION %s: %s", invariant, w->text);
}

void world_trace(struct world *w, const struct node *n, const char *format, ...)
{
    va_list rest;
    if (!w->is_trace) return;
    printf("%9.3f ", (double)w->now_us / 1000);
    if (n != NULL) {
        printf("%u ", n->id);
    } else {
        printf("  ");
    }
    va_start(rest, format);
    vprintf(format, rest);
    va_end(rest);
    putchar('\n');
}

/* --- a run */

static void make_members(struct world *w)
{
    struct zab_members *m = &w->begin;
    m->version = 0;
    m->count = w->k.voters + w->k.observers;
    for (uint32_t i = 0; i < m->count; i++) {
        m->at[i].id = (uint16_t)(i + 1);
        m->at[i].role = i < w->k.voters ? ZAB_VOTER : ZAB_OBSERVER;
        snprintf(m->at[i].address, sizeof m->at[i].address, "n%u:1:2", i + 1);
    }
}

static void reset_node(struct world *w, struct node *n)
{
    disk_reset(&n->disk, w->k.segment_records);
    n->id = (uint16_t)(n->index + 1);
    n->is_up = n->is_damaged = n->is_forgetful = n->is_failing = n->must_stop = n->is_snapping = false;
    n->life = 1;
    n->paused = n->queue_count = n->is_applying = n->is_leading_epoch = 0;
    n->resume_at_us = n->slow_until_us = n->full_until_us = n->sessions = n->checkpointed = 0;
    n->ghost.count = 0;
    n->ghost.begin = 0;
    for (uint32_t i = 0; i < SNAPS_MAX; i++) n->snaps[i].zxid = 0;
    /* Two of them are never further apart than what the core is told. */
    uint64_t half = (uint64_t)w->k.drift_per_mille * 1000 / 2 * 15 / 16;
    n->drift_ppm = (int64_t)dice_below(&w->clock_dice, 2 * half + 1) - (int64_t)half;
    n->skew_us = (int64_t)dice_below(&w->clock_dice, 100000000) + 1000000;
    n->st = (struct zab_state){ 0 };
    n->begin = w->begin;
    machine_reset(w, &n->machine);
}

static void reset(struct world *w, const struct plan *p)
{
    w->plan = p;
    w->k = p->knobs;
    w->now_us = w->seq = w->heap_count = 0;
    w->hash = dice_mix(p->seed);
    w->is_failed = false;
    w->phase = PHASE_SAFETY;
    w->core = w->probe_first = 0;
    w->deadline_us = (uint64_t)w->k.safety_ms * 1000;
    dice_init(&w->net_dice, p->seed, 10);
    dice_init(&w->disk_dice, p->seed, 11);
    dice_init(&w->clock_dice, p->seed, 12);
    dice_init(&w->nemesis_dice, p->seed, 13);
    dice_init(&w->work_dice, p->seed, 14);
    make_members(w);
    net_reset(&w->net);
    oracle_reset(&w->oracle, &w->begin);
    for (uint32_t i = 0; i < w->k.nodes; i++) {
        w->nodes[i].index = (uint8_t)i;
        reset_node(w, &w->nodes[i]);
    }
    for (uint32_t i = 0; i < w->k.nodes; i++)
        world_at(w, dice_below(&w->clock_dice, 50000),
                 (struct happening){ .kind = ON_START, .node = (uint8_t)i });
    for (uint32_t i = 0; i < p->count; i++)
        world_at(w, p->acts[i].at_us, (struct happening){ .kind = ON_ACT, .arg = i });
}

static void happen(struct world *w, const struct happening *h)
{
    struct node *n = &w->nodes[h->node];
    world_hash(w, h->at_us ^ (uint64_t)h->kind << 56 ^ (uint64_t)h->node << 48);
    switch (h->kind) {
    case ON_DELIVER:
    case ON_NOTE:
    case ON_CONN_UP:
    case ON_CONN_GONE:
    case ON_DIAL: net_happens(w, h); break;
    case ON_ACT: act_perform(w, &w->plan->acts[h->arg]); break;
    case ON_UNCUT: net_cut(w, h->node, h->x, -1); break;
    case ON_UNCLOG: net_wake(w, n); break;
    case ON_PROBE: phase_probe(w); break;
    default: node_happens(w, n, h); break;
    }
}

void world_run(struct world *w, const struct plan *p)
{
    uint64_t most = p->knobs.is_swarm ? EVENTS_MAX_SWARM : EVENTS_MAX_SMALL, done = 0;
    reset(w, p);
    while (!w->is_failed && w->phase != PHASE_DONE) {
        CHECK(w->heap_count > 0);
        if (w->heap[0].at_us >= w->deadline_us) {
            w->now_us = w->deadline_us;
            phase_next(w);
            continue;
        }
        struct happening h = heap_pop(w);
        w->now_us = h.at_us;
        happen(w, &h);
        if (++done <= most) continue;
        w->phase = PHASE_DONE;
        world_violate(w, "too-busy", "more than %llu events", (unsigned long long)most);
    }
    w->counts.runs++;
    w->counts.events += done;
    w->counts.virtual_ms += w->now_us / 1000;
    w->counts.committed += w->oracle.count;
    for (uint32_t i = 0; i < w->k.nodes; i++) {
        if (w->nodes[i].z != NULL) zab_free(&w->nodes[i].z);
        w->nodes[i].is_up = false;
    }
}

void world_init(struct world *w)
{
    w->effects = calloc(1, sizeof *w->effects);
    CHECK(w->effects != NULL);
}

void world_fini(struct world *w)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        struct node *n = &w->nodes[i];
        disk_fini(&n->disk);
        free(n->ghost.at);
        for (uint32_t j = 0; j < SNAPS_MAX; j++) blob_fini(&n->snaps[j].bytes);
        blob_fini(&n->machine.members);
        blob_fini(&n->incoming);
        blob_fini(&n->configs);
    }
    net_fini(&w->net);
    oracle_fini(&w->oracle);
    free(w->heap);
    free(w->effects);
}
