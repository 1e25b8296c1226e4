/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

/*
 * Open addressing with linear probing. Removing shifts later items of the run back, so there are no
 * tombstones and a look-up ends at the first free slot.
 */
enum { SLOTS_MIN = 8 };

void map_init(struct map *m)
{
    *m = (struct map){ 0 };
}

void map_fini(struct map *m)
{
    free(m->slots);
    map_init(m);
}

static size_t find(const struct map *m, uint64_t hash, map_is *is, const void *key)
{
    size_t i = hash & m->mask;
    while (m->slots[i].item != NULL) {
        if (m->slots[i].hash == hash && is(m->slots[i].item, key)) return i;
        i = (i + 1) & m->mask;
    }
    return SIZE_MAX;
}

void *map_get(const struct map *m, uint64_t hash, map_is *is, const void *key)
{
    if (m->count == 0) return NULL;
    size_t i = find(m, hash, is, key);
    return i == SIZE_MAX ? NULL : m->slots[i].item;
}

static void insert(struct map *m, uint64_t hash, void *item)
{
    size_t i = hash & m->mask;
    while (m->slots[i].item != NULL) i = (i + 1) & m->mask;
    m->slots[i] = (struct map_slot){ hash, item };
}

static enum err grow(struct map *m)
{
    size_t slots = m->slots == NULL ? SLOTS_MIN : (m->mask + 1) * 2;
    struct map bigger = { calloc(slots, sizeof *bigger.slots), slots - 1, m->count };
    if (bigger.slots == NULL) return ERR_NOMEM;
    for (size_t i = 0; m->slots != NULL && i <= m->mask; i++)
        if (m->slots[i].item != NULL) insert(&bigger, m->slots[i].hash, m->slots[i].item);
    free(m->slots);
    *m = bigger;
    return ERR_OK;
}

enum err map_put(struct map *m, uint64_t hash, void *item)
{
    CHECK(item != NULL);
    if (m->slots == NULL || (m->count + 1) * 3 > (m->mask + 1) * 2) {
        enum err rc = grow(m);
        if (rc != ERR_OK) return rc;
    }
    insert(m, hash, item);
    m->count++;
    return ERR_OK;
}

/* Moves back what probed past the hole, until a free slot ends the run. */
static void close_hole(struct map *m, size_t hole)
{
    for (size_t i = (hole + 1) & m->mask; m->slots[i].item != NULL; i = (i + 1) & m->mask) {
        size_t home = m->slots[i].hash & m->mask;
        /* May it stand in the hole? Only if its home is not between the hole and itself. */
        if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){ 0 };
}

void *map_take(struct map *m, uint64_t hash, map_is *is, const void *key)
{
    if (m->count == 0) return NULL;
    size_t i = find(m, hash, is, key);
    if (i == SIZE_MAX) return NULL;
    void *item = m->slots[i].item;
    close_hole(m, i);
    m->count--;
    return item;
}

void *map_next(const struct map *m, size_t *at)
{
    while (m->slots != NULL && *at <= m->mask) {
        void *item = m->slots[(*at)++].item;
        if (item != NULL) return item;
    }
    return NULL;
}
