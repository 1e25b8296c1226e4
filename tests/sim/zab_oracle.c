/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "sim/zab_world.h"
#include <stdlib.h>

static unsigned long long llx(uint64_t zxid)
{
    return (unsigned long long)zxid;
}

/* --- members */

static void config_add(struct oracle *o, const struct zab_members *m)
{
    CHECK(o->configs_count < ORACLE_CONFIGS_MAX);
    struct config c = { .version = m->version };
    for (uint32_t i = 0; i < m->count; i++) {
        c.members |= (uint32_t)1 << m->at[i].id;
        if (m->at[i].role == ZAB_VOTER) c.voters |= (uint32_t)1 << m->at[i].id;
    }
    o->configs[o->configs_count++] = c;
}

const struct config *oracle_config(const struct oracle *o, uint64_t version)
{
    for (uint32_t i = o->configs_count; i > 0; i--)
        if (o->configs[i - 1].version == version) return &o->configs[i - 1];
    return &o->configs[0];
}

/* --- what was made */

static struct seen *made_find(struct oracle *o, uint64_t zxid, uint32_t *free_slot)
{
    uint32_t i = (uint32_t)dice_mix(zxid) % MADE_SLOTS;
    for (; o->table[i] != 0; i = (i + 1) % MADE_SLOTS)
        if (o->made[o->table[i] - 1].last == zxid) return &o->made[o->table[i] - 1];
    if (free_slot != NULL) *free_slot = i;
    return NULL;
}

/* Who may make it: the epoch's one leader, which its first entry names. */
static void check_maker(struct world *w, struct node *n, const struct zab_entry *e)
{
    struct oracle *o = &w->oracle;
    uint32_t epoch = zab_epoch_of(e->last);
    CHECK(epoch < ORACLE_EPOCHS_MAX);
    if (e->kind == ZAB_EPOCH_START && o->leaders[epoch] == 0) {
        o->leaders[epoch] = n->id;
        if (epoch > o->epoch_max) o->epoch_max = epoch;
        if (!oracle_is_complete(w, n, epoch))
            world_violate(w, "leader-completeness",
                          "node %u begins epoch %u without %llx, which is committed", n->id, epoch,
                          llx(oracle_last(o)));
        return;
    }
    if (o->leaders[epoch] == 0)
        world_violate(w, "integrity", "node %u stores %llx, which no leader made", n->id, llx(e->last));
    else if (o->leaders[epoch] != n->id)
        world_violate(w, e->kind == ZAB_EPOCH_START ? "leadership" : "integrity",
                      "node %u makes %llx of epoch %u, whose leader is %u", n->id, llx(e->last), epoch,
                      o->leaders[epoch]);
    else if (n->st.role != ZAB_LEADING)
        world_violate(w, "integrity", "node %u makes %llx and does not lead", n->id, llx(e->last));
}

/* What a client asked for, once. */
static void check_client(struct world *w, const struct zab_entry *e)
{
    uint32_t id = 0;
    if (e->payload.len >= 8) memcpy(&id, e->payload.at, sizeof id);
    if (id >= w->oracle.submitted_count || w->oracle.submitted[id] == 0)
        world_violate(w, "integrity", "%llx has a payload that no client sent", llx(e->last));
}

void oracle_store_entry(struct world *w, struct node *n, const struct zab_entry *e)
{
    static struct zab_members members;
    struct oracle *o = &w->oracle;
    uint32_t slot = 0;
    struct seen s = {
        .first = e->first, .last = e->last, .prev = e->prev, .kind = e->kind, .hash = entry_hash(e)
    };
    const struct seen *made = made_find(o, e->last, &slot);
    if (made != NULL) {
        if (made->first != s.first || made->prev != s.prev || made->hash != s.hash)
            world_violate(w, "log-matching", "node %u has another %llx: after %llx, not after %llx", n->id,
                          llx(e->last), llx(s.prev), llx(made->prev));
        return;
    }
    check_maker(w, n, e);
    if (e->kind == ZAB_DATA) check_client(w, e);
    CHECK(o->made_count < MADE_SLOTS / 2);
    o->made = array_grow(o->made, o->made_count, &o->made_cap, sizeof *o->made);
    o->made[o->made_count++] = s;
    o->table[slot] = (uint16_t)o->made_count;
    if (e->kind != ZAB_CONFIG) return;
    if (!zab_members_decode(e->payload, &members) || members.version != e->last)
        world_violate(w, "integrity", "%llx is no list of members, or of another version", llx(e->last));
    else
        config_add(o, &members);
}

/* --- what is committed */

uint32_t oracle_position(const struct oracle *o, uint64_t zxid)
{
    uint32_t low = 0, high = o->count;
    if (zxid == 0) return 0;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (o->facts[middle].last < zxid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < o->count && o->facts[low].last == zxid ? low + 1 : UINT32_MAX;
}

static bool has_durable(const struct node *n, uint64_t zxid)
{
    if (view_holds(&n->disk.dur, zxid)) return true;
    return n->ghost.begin + n->ghost.count > 0 && view_holds(&n->ghost, zxid);
}

static bool has_quorum(const struct world *w, const struct config *c, uint64_t zxid)
{
    int voters = __builtin_popcount(c->voters), holding = 0;
    for (uint32_t i = 0; i < w->k.nodes; i++)
        if ((c->voters >> w->nodes[i].id & 1) != 0 && has_durable(&w->nodes[i], zxid)) holding++;
    return holding > voters / 2;
}

/* A change that a new leader finds is in force, committed or not: what it found it commits by the newest
 * members. One that it makes itself needs those before, too, until it is committed. */
static bool is_on_quorum(const struct world *w, const struct node *n, uint64_t zxid)
{
    const struct oracle *o = &w->oracle;
    const struct config *now = oracle_config(o, o->config), *next = oracle_config(o, n->disk.mem.config);
    if (next->version <= now->version) return has_quorum(w, now, zxid);
    if (zab_epoch_of(next->version) != n->disk.mem.current) return has_quorum(w, next, zxid);
    return has_quorum(w, now, zxid) && (zxid < next->version || has_quorum(w, next, zxid));
}

static void check_quorum(struct world *w, const struct node *n, uint64_t zxid)
{
    if (!is_on_quorum(w, n, zxid))
        world_violate(w, "acked-durable-on-quorum",
                      "%llx is committed, says node %u, and no quorum has it durable", llx(zxid), n->id);
}

static void check_order(struct world *w, const struct seen *s)
{
    uint64_t last = oracle_last(&w->oracle);
    uint32_t epoch = zab_epoch_of(s->first), before = zab_epoch_of(last);
    if (s->prev != last)
        world_violate(w, "total-order", "%llx is committed after %llx, and was made after %llx", llx(s->last),
                      llx(last), llx(s->prev));
    else if (epoch < before)
        world_violate(w, "global-primary-order", "%llx is committed after %llx", llx(s->last), llx(last));
    else if (epoch == before ? s->first != last + 1
                             : zab_counter_of(s->first) != 0 || s->kind != ZAB_EPOCH_START)
        world_violate(w, "local-primary-order", "%llx is committed after %llx", llx(s->first), llx(last));
    else if (w->k.counter_max != 0 && zab_counter_of(s->last) > w->k.counter_max)
        world_violate(w, "counter-bound", "%llx is beyond the counter's end", llx(s->last));
}

/* Each id once. It is in the entry's bytes, which whoever holds the entry has. */
static void commit_id(struct world *w, const struct node *n, const struct seen *s)
{
    struct zab_record r;
    uint32_t id;
    if (s->kind != ZAB_DATA) return;
    disk_record(&n->disk, s->rec, &r);
    memcpy(&id, r.entry.payload.at, sizeof id);
    if (w->oracle.submitted[id] == 2)
        world_violate(w, "integrity", "client's %u is committed twice, again at %llx", id, llx(s->last));
    w->oracle.submitted[id] = 2;
}

void oracle_commit(struct world *w, struct node *n, uint64_t zxid)
{
    struct oracle *o = &w->oracle;
    const struct view *v = &n->disk.mem;
    uint64_t last = oracle_last(o);
    if (zxid <= last) {
        if (oracle_position(o, zxid) == UINT32_MAX)
            world_violate(w, "prefix-consistency", "node %u calls %llx committed, which is not among them",
                          n->id, llx(zxid));
        return;
    }
    if (last < v->begin || !view_holds(v, last) || !view_holds(v, zxid)) {
        world_violate(w, "prefix-consistency", "node %u calls %llx committed, and its log lacks %llx or that",
                      n->id, llx(zxid), llx(last));
        return;
    }
    for (uint32_t i = view_find(v, last + 1); i < v->count && v->at[i].last <= zxid && !w->is_failed; i++) {
        const struct seen *s = &v->at[i];
        check_order(w, s);
        check_quorum(w, n, s->last);
        o->facts = array_grow(o->facts, o->count, &o->cap, sizeof *o->facts);
        uint64_t chain = o->count > 0 ? o->facts[o->count - 1].chain : 0;
        o->facts[o->count++] = (struct fact){ .first = s->first,
                                              .last = s->last,
                                              .prev = s->prev,
                                              .hash = s->hash,
                                              .kind = s->kind,
                                              .by = n->disk.mem.current,
                                              .chain = dice_mix(chain ^ dice_mix(s->last) ^ s->hash) };
        if (s->kind == ZAB_CONFIG) {
            o->config = s->last;
            w->counts.reconfigurations++;
        }
        if (!w->is_failed) commit_id(w, n, s);
    }
}

bool oracle_is_complete(const struct world *w, const struct node *n, uint32_t epoch)
{
    const struct oracle *o = &w->oracle;
    const struct view *v = &n->disk.mem;
    uint32_t i = o->count;
    while (i > 0 && o->facts[i - 1].by > epoch) i--;
    uint64_t last = i > 0 ? o->facts[i - 1].last : 0;
    return last < v->begin || (last == v->begin && v->count == 0) || view_holds(v, last);
}

void oracle_reset(struct oracle *o, const struct zab_members *begin)
{
    memset(o->table, 0, sizeof o->table);
    memset(o->leaders, 0, sizeof *o->leaders * (o->epoch_max + 1));
    o->made_count = o->count = o->configs_count = o->epoch_max = o->submitted_count = 0;
    o->config = o->settled = 0;
    config_add(o, begin);
}

void oracle_fini(struct oracle *o)
{
    free(o->made);
    free(o->facts);
    free(o->submitted);
    *o = (struct oracle){ 0 };
}
