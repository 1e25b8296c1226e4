/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the nemesis: a random majority is healed for good, the rest stays as it is, and something new must be
 * committed and applied by all of the majority. Then everything is healed, and all must be equal.
 */
#include "sim/zab_world.h"

/* How long progress may take: some elections that fail, each with its time-outs. */
static uint64_t patience_us(const struct world *w)
{
    uint64_t init_ms = w->k.init_ticks * w->k.tick_ms, sync_ms = w->k.sync_ticks * w->k.tick_ms;
    return (20000 + 30 * (init_ms + sync_ms) + 30 * w->k.note_max_ms + 20 * w->k.lease_ms) * 1000;
}

static void heal_node(struct world *w, struct node *n)
{
    n->slow_until_us = n->full_until_us = 0;
    n->is_failing = false;
    if (n->paused > 0) node_resume(w, n);
    node_start(w, n);
}

static void heal(struct world *w, uint32_t ids)
{
    for (uint32_t i = 0; i < w->k.nodes; i++)
        for (uint32_t j = 0; j < w->k.nodes; j++) {
            if ((ids >> (i + 1) & 1) == 0 || (ids >> (j + 1) & 1) == 0) continue;
            net_clog(w, &w->nodes[i], &w->nodes[j], 0);
            w->net.cuts[i][j] = 0;
        }
    for (uint32_t i = 0; i < w->k.nodes && !w->is_failed; i++)
        if ((ids >> (i + 1) & 1) != 0) heal_node(w, &w->nodes[i]);
    for (uint32_t i = 0; i < w->k.nodes; i++)
        if ((ids >> (i + 1) & 1) != 0 && w->nodes[i].is_up) net_wake(w, &w->nodes[i]);
}

static bool is_majority(uint32_t ids, const struct config *c)
{
    return __builtin_popcount(ids & c->voters) > __builtin_popcount(c->voters) / 2;
}

/* Adds random voters until they are a majority; of those whose log is damaged only when there is no other. */
static uint32_t add_majority(struct world *w, uint32_t ids, const struct config *c)
{
    for (uint32_t tries = 0; tries < 2000 && !is_majority(ids, c); tries++) {
        const struct node *n = &w->nodes[dice_below(&w->nemesis_dice, w->k.nodes)];
        bool forgets = n->is_damaged || n->disk.dur.must_relearn;
        if ((c->voters >> n->id & 1) != 0 && (!forgets || tries > 1000)) ids |= (uint32_t)1 << n->id;
    }
    return ids;
}

/* The list before that one, in this log. */
static const struct config *config_before(const struct world *w, const struct node *n, uint64_t version)
{
    const struct oracle *o = &w->oracle;
    const struct config *before = &o->configs[0];
    for (uint32_t i = 0; i < o->configs_count; i++) {
        const struct config *c = &o->configs[i];
        if (c->version < version && c->version > before->version && view_holds(&n->disk.mem, c->version))
            before = c;
    }
    return before;
}

/* Who has a list and does not know that it is committed (a restart forgets that) needs the one before, too.
 */
static uint32_t add_for(struct world *w, uint32_t ids, struct node *n)
{
    uint64_t version = n->disk.mem.config;
    const struct snap *s = snap_newest(n, UINT64_MAX);
    uint64_t known = n->is_up ? n->st.committed : s != NULL ? s->zxid : 0;
    ids = add_majority(w, ids, oracle_config(&w->oracle, version));
    return version > known ? add_majority(w, ids, config_before(w, n, version)) : ids;
}

/* A majority of the newest members that are committed, and of all those that may be found in one of its logs.
 * 0: there is none with whole logs. */
static uint32_t choose_core(struct world *w, uint32_t ids)
{
    const struct oracle *o = &w->oracle;
    uint32_t before = 0;
    ids = add_majority(w, ids, oracle_config(o, o->config));
    while (ids != before) {
        before = ids;
        for (uint32_t i = 0; i < w->k.nodes; i++)
            if ((ids >> (i + 1) & 1) != 0) ids = add_for(w, ids, &w->nodes[i]);
    }
    for (uint32_t i = 0; i < w->k.nodes; i++)
        if ((ids >> (i + 1) & 1) != 0 && (w->nodes[i].is_damaged || w->nodes[i].disk.dur.must_relearn))
            return 0;
    return ids;
}

static void probe_later(struct world *w)
{
    world_at(w, w->now_us + (uint64_t)w->k.tick_ms * 3000, (struct happening){ .kind = ON_PROBE });
}

static bool is_probe_committed(const struct world *w)
{
    const struct oracle *o = &w->oracle;
    for (uint32_t i = w->probe_first; i < o->submitted_count; i++)
        if (o->submitted[i] == 2) return true;
    return false;
}

static bool is_core_through(const struct world *w)
{
    for (uint32_t i = 0; i < w->k.nodes; i++)
        if ((w->core >> (i + 1) & 1) != 0 && w->nodes[i].machine.pos < w->probe_position) return false;
    return w->probe_position > 0;
}

static bool are_equal(const struct world *w)
{
    for (uint32_t i = 0; i < w->k.nodes; i++)
        if (!w->nodes[i].is_up || w->nodes[i].machine.pos != w->oracle.count) return false;
    return true;
}

static void converge(struct world *w)
{
    w->phase = PHASE_CONVERGE;
    w->deadline_us = w->now_us + patience_us(w);
    world_trace(w, NULL, "* all are healed");
    heal(w, UINT32_MAX);
    probe_later(w);
}

void phase_probe(struct world *w)
{
    if (w->phase == PHASE_LIVENESS) {
        act_submit(w, act_leader(w), 16, 1);
        if (w->probe_position == 0 && is_probe_committed(w)) w->probe_position = w->oracle.count;
        if (is_core_through(w)) {
            converge(w);
            return;
        }
    } else if (are_equal(w)) {
        w->phase = PHASE_DONE;
        return;
    }
    probe_later(w);
}

static void describe(struct world *w, const char *invariant, const char *what)
{
    char text[256];
    size_t at = 0;
    for (uint32_t i = 0; i < w->k.nodes && at + 40 < sizeof text; i++) {
        const struct node *n = &w->nodes[i];
        at += (size_t)snprintf(text + at, sizeof text - at, " %u:%s%s role %u at %u", n->id,
                               n->is_up ? "up" : "down", n->paused > 0 ? " paused" : "", n->st.role,
                               n->machine.pos);
    }
    text[at] = '\0';
    w->phase = PHASE_DONE;
    world_violate(w, invariant, "%s; core %x, %u committed;%s", what, w->core, w->oracle.count, text);
}

/* What was under way when the majority was healed may have brought it another list of members: then it is a
 * majority no more, and those that are needed are healed, too. */
static void no_progress(struct world *w)
{
    uint32_t ids = choose_core(w, w->core);
    if (ids == w->core) {
        describe(w, "quiescent-liveness", "a majority makes no progress");
    } else if (ids == 0) {
        w->counts.hopeless++;
        w->phase = PHASE_DONE;
    } else {
        w->core = ids;
        w->deadline_us = w->now_us + patience_us(w);
        heal(w, ids);
    }
}

void phase_next(struct world *w)
{
    switch (w->phase) {
    case PHASE_SAFETY:
        if (w->k.liveness == 0) {
            w->phase = PHASE_DONE;
            return;
        }
        w->phase = PHASE_LIVENESS;
        w->core = choose_core(w, 0);
        if (w->core == 0) {
            w->counts.hopeless++;
            w->phase = PHASE_DONE;
            return;
        }
        w->probe_first = w->oracle.submitted_count;
        w->probe_position = 0;
        w->deadline_us = w->now_us + patience_us(w);
        world_trace(w, NULL, "* healed for good: %x", w->core);
        heal(w, w->core);
        probe_later(w);
        break;
    case PHASE_LIVENESS: no_progress(w); break;
    default: describe(w, "convergence", "not all are equal"); break;
    }
}
