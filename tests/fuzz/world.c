/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/world.h"
#include "topic/topic.h"
#include <string.h>

static uint8_t arena[WORLD_ARENA_BYTES];
static size_t arena_used;
static bool is_known;
static struct who everybody[WORLD_WHO_MAX];
static unsigned everybody_count;
static struct published published[WORLD_PUBLISHED_MAX * 2];
static unsigned published_count;
static uint32_t run;

void world_begin(void)
{
    arena_used = 0;
    is_known = true;
    everybody_count = published_count = 0;
    if (++run == 0) memset(published, 0, sizeof published);
}

bool world_is_known(void)
{
    return is_known;
}

void world_forget(void)
{
    is_known = false;
}

struct bytes world_keep(struct bytes b)
{
    if (b.len > sizeof arena - arena_used) {
        is_known = false;
        return bytes_of(NULL, 0);
    }
    struct bytes kept = bytes_of(arena + arena_used, b.len);
    if (b.len > 0) memcpy(arena + arena_used, b.at, b.len);
    arena_used += b.len;
    return kept;
}

int world_who(struct bytes client_id)
{
    for (unsigned i = 0; i < everybody_count; i++)
        if (bytes_equal(everybody[i].id, client_id)) return (int)i;
    if (everybody_count == WORLD_WHO_MAX) return -1;
    struct who *w = &everybody[everybody_count];
    w->id = world_keep(client_id);
    w->is_unknown = false;
    w->connects = w->jobs = 0;
    w->wanted_count = 0;
    return (int)everybody_count++;
}

struct who *world_of(int who)
{
    return who < 0 ? NULL : &everybody[who];
}

static struct wanted *wanted_of(struct who *w, struct bytes filter)
{
    for (unsigned i = 0; i < w->wanted_count; i++)
        if (bytes_equal(w->wanted[i].filter, filter)) return &w->wanted[i];
    if (w->wanted_count == WORLD_FILTERS_MAX) return NULL;
    struct wanted *new = &w->wanted[w->wanted_count++];
    new->filter = world_keep(filter);
    new->qos = 0;
    new->ids_count = 0;
    new->is_shared = new->takes_own = false;
    return new;
}

static bool add_id(struct wanted *wanted, uint32_t id)
{
    for (unsigned i = 0; i < wanted->ids_count; i++)
        if (wanted->ids[i] == id) return true;
    if (wanted->ids_count == WORLD_IDS_MAX) return false;
    wanted->ids[wanted->ids_count++] = id;
    return true;
}

void world_wants(int who, const struct world_wish *wish)
{
    struct who *w = world_of(who);
    struct bytes group, filter;
    if (w == NULL) return;
    bool is_shared = topic_share_split(wish->filter, &group, &filter);
    struct wanted *wanted = wanted_of(w, is_shared ? filter : wish->filter);
    if (wanted == NULL || (wish->id != 0 && !add_id(wanted, wish->id))) {
        w->is_unknown = true;
        return;
    }
    if (wish->qos > wanted->qos) wanted->qos = wish->qos;
    wanted->is_shared |= is_shared;
    wanted->takes_own |= !wish->no_local;
}

bool world_is_shared(int who, struct bytes topic)
{
    const struct who *w = world_of(who);
    if (w == NULL || w->is_unknown || !is_known) return true;
    for (unsigned i = 0; i < w->wanted_count; i++)
        if (w->wanted[i].is_shared && topic_matches(w->wanted[i].filter, topic)) return true;
    return false;
}

bool world_has_id(int who, struct bytes topic, uint32_t id)
{
    const struct who *w = world_of(who);
    if (w == NULL || w->is_unknown || !is_known) return true;
    for (unsigned i = 0; i < w->wanted_count; i++) {
        const struct wanted *wanted = &w->wanted[i];
        unsigned n = 0;
        while (n < wanted->ids_count && wanted->ids[n] != id) n++;
        if (n < wanted->ids_count && topic_matches(wanted->filter, topic)) return true;
    }
    return false;
}

int world_may_get(int who, struct bytes topic, int by)
{
    enum { ANYTHING = 2 };
    const struct who *w = world_of(who);
    int best = -1;
    if (w == NULL || w->is_unknown || !is_known) return ANYTHING;
    for (unsigned i = 0; i < w->wanted_count; i++) {
        const struct wanted *wanted = &w->wanted[i];
        if (wanted->qos <= best || !topic_matches(wanted->filter, topic)) continue;
        if (by == who && !wanted->takes_own) continue;
        best = wanted->qos;
    }
    return best;
}

uint64_t world_hash(struct bytes b, uint64_t seed)
{
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u ^ b.len, word;
    size_t i = 0;
    for (; b.len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, b.at + i, sizeof word);
        h = (h ^ word) * 0x9fb21c651e98df25u;
        h ^= h >> 29;
    }
    for (; i < b.len; i++) h = (h ^ b.at[i]) * 0x100000001b3u;
    h ^= h >> 32;
    return h == 0 ? 1 : h;
}

static struct published *place_of(uint64_t hash)
{
    size_t i = hash % (WORLD_PUBLISHED_MAX * 2);
    while (published[i].run == run && published[i].hash != hash) i = (i + 1) % (WORLD_PUBLISHED_MAX * 2);
    return &published[i];
}

struct published *world_publish(const struct world_publish *p)
{
    uint64_t hash = world_hash(p->payload, world_hash(p->topic, 1));
    struct published *at = place_of(hash);
    if (at->run == run) {
        at->is_repeated = true;
        at->is_withdrawn = false;
        at->retain |= p->retain;
        if (p->qos > at->qos) at->qos = p->qos;
        return at;
    }
    if (published_count == WORLD_PUBLISHED_MAX) {
        is_known = false;
        return NULL;
    }
    *at = (struct published){
        .hash = hash,
        .props_hash = world_hash(p->block, 2),
        .run = run,
        .qos = p->qos,
        .retain = p->retain,
        .has_expiry = p->has_expiry,
        .is_late = p->is_late,
        .expiry_s = p->expiry_s,
        .by = p->by,
        .link_no = p->link_no,
        .order = ++published_count,
    };
    return at;
}

struct published *world_published(struct bytes topic, struct bytes payload)
{
    struct published *at = place_of(world_hash(payload, world_hash(topic, 1)));
    return at->run == run ? at : NULL;
}
