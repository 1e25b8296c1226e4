/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

/*
 * Open addressing with linear probing. Removing shifts later items of the run back, so there are no
 * tombstones and a look-up ends at the first free slot.
 *
 * Most maps have one item, which needs no slots. In those that have some, 32 bits of the hash are kept. They
 * say where an item's home is as a part of all slots, so their number may be any, and items have the same
 * order in a larger table: growing walks through both from the front to the back.
 *
 * To move a million takes tens of milliseconds, so a large one grows in steps: each item that comes moves
 * some slots. Until all have moved, the old ones are looked at behind the new ones. Nothing is put there, and
 * what is taken out leaves `gone`, so that no run is cut.
 */
enum { SLOTS_MIN = 4, STEPS_FROM_SLOTS = 4096, SLOTS_A_STEP = 32 };

struct map_old {
    void **items;
    uint32_t slots_count;
    uint32_t at; /* the first that has not moved */
};

static char gone;

static uint32_t short_hash(uint64_t hash)
{
    return (uint32_t)(hash * 0x9e3779b97f4a7c15u >> 32);
}

static uint32_t *hashes_of(const struct map *m)
{
    return (uint32_t *)(void *)(m->items + m->slots_count);
}

static uint32_t home_of(const struct map *m, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash * m->slots_count >> 32);
}

static uint32_t after(const struct map *m, uint32_t i)
{
    return i + 1 == m->slots_count ? 0 : i + 1;
}

void map_init(struct map *m)
{
    *m = (struct map){ 0 };
}

void map_fini(struct map *m)
{
    if (m->slots_count > 0 && m->old != NULL) {
        free(m->old->items);
        free(m->old);
    }
    if (m->slots_count > 0) free(m->items);
    map_init(m);
}

static struct map table_of(const struct map_old *o)
{
    return (struct map){ .items = o->items, .slots_count = o->slots_count };
}

/* Where it stands of what has not moved; NULL: it does not. A run goes from the last slot to the first, and
 * so from the last to `at`, and one that began before `at` goes on there. */
static void **find_old(const struct map *m, uint32_t hash, map_is *is, const void *key)
{
    const struct map_old *o = m->old;
    if (o == NULL) return NULL;
    struct map t = table_of(o);
    const uint32_t *hashes = hashes_of(&t);
    uint32_t home = home_of(&t, hash), first = home > o->at ? home : o->at, i = first;
    do {
        void **slot = &t.items[i];
        if (*slot == NULL) return NULL;
        if (hashes[i] == hash && *slot != &gone && is(*slot, key)) return slot;
        i = i + 1 == t.slots_count ? o->at : i + 1;
    } while (i != first);
    return NULL;
}

/* UINT32_MAX: it is not there. */
static uint32_t find(const struct map *m, uint32_t hash, map_is *is, const void *key)
{
    const uint32_t *hashes = hashes_of(m);
    uint32_t i = home_of(m, hash);
    while (m->items[i] != NULL) {
        if (hashes[i] == hash && is(m->items[i], key)) return i;
        i = after(m, i);
    }
    return UINT32_MAX;
}

void *map_get(const struct map *m, uint64_t hash, map_is *is, const void *key)
{
    if (m->count == 0) return NULL;
    if (m->slots_count == 0) return m->one_hash == hash && is(m->one, key) ? m->one : NULL;
    uint32_t i = find(m, short_hash(hash), is, key);
    if (i != UINT32_MAX) return m->items[i];
    void **old = find_old(m, short_hash(hash), is, key);
    return old == NULL ? NULL : *old;
}

static void insert(struct map *m, uint32_t hash, void *item)
{
    uint32_t i = home_of(m, hash);
    while (m->items[i] != NULL) i = after(m, i);
    m->items[i] = item;
    hashes_of(m)[i] = hash;
}

static void move_some(struct map *m)
{
    struct map_old *o = m->old;
    if (o == NULL) return;
    struct map t = table_of(o);
    for (int i = 0; i < SLOTS_A_STEP && o->at < o->slots_count; i++, o->at++) {
        void *item = o->items[o->at];
        if (item != NULL && item != &gone) insert(m, hashes_of(&t)[o->at], item);
    }
    if (o->at < o->slots_count) return;
    free(o->items);
    free(o);
    m->old = NULL;
}

static enum err grow_in_steps(struct map *m, uint32_t slots)
{
    CHECK(m->old == NULL); /* half as many have come since as there were, and each has moved some */
    struct map_old *o = malloc(sizeof *o);
    void **items = calloc(slots, sizeof(void *) + sizeof(uint32_t));
    if (o == NULL || items == NULL) {
        free(o);
        free(items);
        return ERR_NOMEM;
    }
    *o = (struct map_old){ m->items, m->slots_count, 0 };
    m->items = items;
    m->slots_count = slots;
    m->old = o;
    return ERR_OK;
}

static enum err grow(struct map *m)
{
    uint32_t slots = m->slots_count < SLOTS_MIN ? SLOTS_MIN : m->slots_count + m->slots_count / 2;
    if (m->slots_count >= STEPS_FROM_SLOTS) return grow_in_steps(m, slots);
    struct map bigger = { .items = calloc(slots, sizeof(void *) + sizeof(uint32_t)),
                          .slots_count = slots,
                          .count = m->count };
    if (bigger.items == NULL) return ERR_NOMEM;
    if (m->slots_count == 0 && m->count > 0) insert(&bigger, short_hash(m->one_hash), m->one);
    for (uint32_t i = 0; i < m->slots_count; i++)
        if (m->items[i] != NULL) insert(&bigger, hashes_of(m)[i], m->items[i]);
    if (m->slots_count > 0) free(m->items);
    *m = bigger;
    return ERR_OK;
}

enum err map_put(struct map *m, uint64_t hash, void *item)
{
    CHECK(item != NULL);
    if (m->count == 0 && m->slots_count == 0) {
        *m = (struct map){ .one = item, .one_hash = hash, .count = 1 };
        return ERR_OK;
    }
    if ((m->count + 1) * 4ull > m->slots_count * 3ull) {
        enum err rc = grow(m);
        if (rc != ERR_OK) return rc;
    }
    move_some(m);
    insert(m, short_hash(hash), item);
    m->count++;
    return ERR_OK;
}

/* How far behind its home the slot i is. */
static uint32_t way(const struct map *m, uint32_t home, uint32_t i)
{
    return i >= home ? i - home : i + (m->slots_count - home);
}

/* Moves back what probed past the hole, until a free slot ends the run. */
static void close_hole(struct map *m, uint32_t hole)
{
    uint32_t *hashes = hashes_of(m);
    for (uint32_t i = after(m, hole); m->items[i] != NULL; i = after(m, i)) {
        /* May it stand in the hole? Only if its home is not between the hole and itself. */
        if (way(m, home_of(m, hashes[i]), i) < way(m, hole, i)) continue;
        m->items[hole] = m->items[i];
        hashes[hole] = hashes[i];
        hole = i;
    }
    m->items[hole] = NULL;
}

void *map_take(struct map *m, uint64_t hash, map_is *is, const void *key)
{
    if (m->count == 0) return NULL;
    if (m->slots_count == 0) {
        void *item = map_get(m, hash, is, key);
        if (item != NULL) map_init(m);
        return item;
    }
    uint32_t i = find(m, short_hash(hash), is, key);
    void **old = i == UINT32_MAX ? find_old(m, short_hash(hash), is, key) : NULL;
    if (i == UINT32_MAX && old == NULL) return NULL;
    void *item = old != NULL ? *old : m->items[i];
    if (old != NULL)
        *old = &gone;
    else
        close_hole(m, i);
    m->count--;
    return item;
}

void *map_next(const struct map *m, size_t *at)
{
    if (m->slots_count == 0) return (*at)++ == 0 ? m->one : NULL;
    const struct map_old *o = m->old;
    size_t before = o == NULL ? 0 : o->slots_count;
    if (o != NULL && *at < o->at) *at = o->at;
    while (*at < before) {
        void *item = o->items[(*at)++];
        if (item != NULL && item != &gone) return item;
    }
    while (*at - before < m->slots_count) {
        void *item = m->items[(*at)++ - before];
        if (item != NULL) return item;
    }
    return NULL;
}
