/* SPDX-License-Identifier: Apache-2.0 */
/* The nemesis, and the clients: one action of the plan at a time. */
#include "sim/zab_world.h"

struct node *act_leader(struct world *w)
{
    struct node *leader = NULL;
    for (uint32_t i = 0; i < w->k.nodes; i++) {
        struct node *n = &w->nodes[i];
        if (!n->is_up || n->is_leading_epoch == 0) continue;
        if (leader == NULL || n->is_leading_epoch > leader->is_leading_epoch) leader = n;
    }
    return leader;
}

/* While nobody leads, whoever is up and comes first, by the time. */
static struct node *whom(struct world *w, uint16_t id)
{
    struct node *n = id == 0 ? act_leader(w) : world_node(w, id);
    for (uint32_t i = 0; n == NULL && i < w->k.nodes; i++) {
        struct node *other = &w->nodes[(w->now_us / 1000 + i) % w->k.nodes];
        if (other->is_up) n = other;
    }
    return n;
}

static void do_crash(struct world *w, struct node *n, const struct act *a)
{
    node_crash(w, n, (uint64_t)a->value * 1000);
}

static void do_pause(struct world *w, struct node *n, const struct act *a)
{
    if (!n->is_up || n->paused > 0) return;
    n->paused = 1;
    n->resume_at_us = w->now_us + (uint64_t)a->value * 1000;
    world_at(w, n->resume_at_us, (struct happening){ .kind = ON_RESUME, .node = n->index, .life = n->life });
}

static void cut(struct world *w, const struct node *from, const struct node *to, uint32_t ms)
{
    if (from == to) return;
    net_cut(w, from->index, to->index, 1);
    world_at(w, w->now_us + (uint64_t)ms * 1000,
             (struct happening){ .kind = ON_UNCUT, .node = from->index, .x = to->index });
}

static void do_cut(struct world *w, struct node *n, const struct act *a)
{
    struct node *to = whom(w, a->b);
    if (to != NULL) cut(w, n, to, a->value);
}

static void do_isolate(struct world *w, struct node *n, const struct act *a)
{
    for (uint32_t i = 0; i < w->k.nodes; i++) {
        cut(w, &w->nodes[i], n, a->value);
        if (a->b != 0) cut(w, n, &w->nodes[i], a->value);
    }
}

static void do_clog(struct world *w, struct node *n, const struct act *a)
{
    struct node *to = whom(w, a->b);
    if (to == NULL || to == n) return;
    net_clog(w, n, to, w->now_us + (uint64_t)a->value * 1000);
}

static void do_reset(struct world *w, struct node *n, const struct act *a)
{
    struct node *other = whom(w, a->b);
    if (other != NULL && other != n) net_reset_pair(w, n, other, (uint64_t)a->value * 1000);
}

static void do_slow(struct world *w, struct node *n, const struct act *a)
{
    n->slow_until_us = w->now_us + (uint64_t)a->value * 1000;
}

static void do_full(struct world *w, struct node *n, const struct act *a)
{
    n->full_until_us = w->now_us + (uint64_t)a->value * 1000;
}

static void do_fail(struct world *w, struct node *n, const struct act *a)
{
    (void)w;
    (void)a;
    if (n->is_up) n->is_failing = true;
}

static void keep_ghost(struct node *n)
{
    const struct view *d = &n->disk.dur;
    struct view *g = &n->ghost;
    if (view_last(d) < view_last(g)) return;
    g->begin = d->begin;
    g->count = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        g->at = array_grow(g->at, g->count, &g->cap, sizeof *g->at);
        g->at[g->count++] = d->at[i];
    }
}

static void lose_all(struct world *w, struct node *n)
{
    disk_reset(&n->disk, w->k.segment_records);
    for (uint32_t i = 0; i < SNAPS_MAX; i++) n->snaps[i].zxid = 0;
}

/* A minority of every list of members may have forgotten, and no more. */
static bool may_damage(const struct world *w, const struct node *n)
{
    for (uint32_t i = 0; i < w->k.nodes; i++) {
        const struct config *c = oracle_config(&w->oracle, w->nodes[i].disk.mem.config);
        int voters = __builtin_popcount(c->voters), damaged = 1;
        for (uint32_t j = 0; j < w->k.nodes; j++) {
            const struct node *m = &w->nodes[j];
            if (m == n || (c->voters >> m->id & 1) == 0) continue;
            damaged += m->is_damaged || m->disk.dur.must_relearn;
        }
        if ((c->voters >> n->id & 1) != 0 && damaged > (voters - 1) / 2) return false;
    }
    return true;
}

static void do_damage(struct world *w, struct node *n, const struct act *a)
{
    if (!n->is_up || !may_damage(w, n)) return;
    node_crash(w, n, (uint64_t)a->value * 1000);
    keep_ghost(n);
    disk_damage(&n->disk, (uint32_t)dice_below(&w->nemesis_dice, n->disk.count + 1));
    const struct view *v = &n->disk.mem;
    bool has_snap = v->begin == 0;
    for (uint32_t i = 0; i < SNAPS_MAX; i++)
        if (n->snaps[i].zxid >= v->begin && n->snaps[i].is_durable && view_holds(v, n->snaps[i].zxid) &&
            n->snaps[i].zxid <= view_last(v))
            has_snap = true;
    if (!has_snap) lose_all(w, n);
    n->is_damaged = n->is_forgetful = true;
    w->counts.damaged++;
    world_trace(w, n, "its log is damaged, and ends at %llx", (unsigned long long)view_last(v));
}

/* It will be told who the members are: a quorum of those of the first day may all have been wiped since. */
static void tell_members(const struct world *w, struct node *n)
{
    const struct config *c = oracle_config(&w->oracle, w->oracle.config);
    n->begin.count = 0;
    for (uint16_t id = 1; id <= w->k.nodes; id++) {
        if ((c->members >> id & 1) == 0) continue;
        struct zab_member *m = &n->begin.at[n->begin.count++];
        m->id = id;
        m->role = (c->voters >> id & 1) != 0 ? ZAB_VOTER : ZAB_OBSERVER;
        snprintf(m->address, sizeof m->address, "n%u:1:2", id);
    }
}

/* An operator wipes only who is no member any more. */
static void do_wipe(struct world *w, struct node *n, const struct act *a)
{
    const struct oracle *o = &w->oracle;
    if ((oracle_config(o, o->config)->members >> n->id & 1) != 0) return;
    for (uint32_t i = 0; i < w->k.nodes; i++) {
        uint64_t version = w->nodes[i].disk.mem.config;
        if (version > o->config && (oracle_config(o, version)->members >> n->id & 1) != 0) return;
    }
    node_crash(w, n, (uint64_t)a->value * 1000);
    if (n->is_up) return;
    keep_ghost(n);
    lose_all(w, n);
    n->is_damaged = n->is_forgetful = false;
    tell_members(w, n);
    w->counts.wiped++;
    world_trace(w, n, "is wiped");
}

static void do_snap(struct world *w, struct node *n, const struct act *a)
{
    (void)a;
    node_snap(w, n);
}

bool act_submit(struct world *w, struct node *n, uint32_t bytes, uint32_t commands)
{
    uint8_t payload[1024];
    struct oracle *o = &w->oracle;
    uint32_t id = o->submitted_count;
    if (n == NULL || !n->is_up || n->paused > 0) return false;
    o->submitted = array_grow(o->submitted, o->submitted_count, &o->submitted_cap, 1);
    o->submitted[o->submitted_count++] = 1;
    if (bytes < 8) bytes = 8;
    if (bytes > sizeof payload) bytes = sizeof payload;
    memset(payload, (int)(id & 0xFF), bytes);
    memcpy(payload, &id, sizeof id);
    struct zab_event event = { .kind = ZAB_PROPOSE };
    event.propose.token = id;
    event.propose.commands = commands == 0 ? 1 : commands;
    event.propose.payload = bytes_of(payload, bytes);
    w->counts.proposed++;
    node_step(w, n, &event);
    return true;
}

static void do_propose(struct world *w, struct node *n, const struct act *a)
{
    act_submit(w, n, a->value, a->b);
}

static void reconfigure(struct world *w, struct node *n, const struct act *a, enum zab_change change)
{
    if (!n->is_up || n->paused > 0 || a->b == 0 || a->b > w->k.nodes) return;
    struct zab_event event = { .kind = ZAB_RECONFIG };
    event.reconfig.token = UINT32_MAX;
    event.reconfig.change = (uint8_t)change;
    event.reconfig.member.id = a->b;
    event.reconfig.member.role = a->value == ZAB_OBSERVER ? ZAB_OBSERVER : ZAB_VOTER;
    snprintf(event.reconfig.member.address, sizeof event.reconfig.member.address, "n%u:1:2", a->b);
    world_trace(w, n, "is asked for change %u of node %u, role %u", change, a->b, a->value);
    node_step(w, n, &event);
}

static void do_add(struct world *w, struct node *n, const struct act *a)
{
    reconfigure(w, n, a, ZAB_ADD);
}

static void do_remove(struct world *w, struct node *n, const struct act *a)
{
    reconfigure(w, n, a, ZAB_REMOVE);
}

static void do_role(struct world *w, struct node *n, const struct act *a)
{
    reconfigure(w, n, a, ZAB_SET_ROLE);
}

static void (*const acts[ACT_KINDS])(struct world *, struct node *, const struct act *) = {
#define ACT(name, text) [ACT_##name] = do_##name,
#include "sim/zab_acts.def"
#undef ACT
};

void act_perform(struct world *w, const struct act *a)
{
    struct node *n = whom(w, a->a);
    if (n == NULL) return;
    world_trace(w, NULL, "* %s %u %u %u (node %u)", act_names[a->kind], a->a, a->b, a->value, n->id);
    world_hash(w, a->kind);
    acts[a->kind](w, n, a);
}
