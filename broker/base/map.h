/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map - from a 64-bit hash and a key to the caller's item. The key lives in the item.
 *
 * Thread:  the owner's; no locks.
 * Memory:  of one item none; of more 12 bytes a slot, of which a half to three quarters are in use: 16 to 24
 *          bytes an item; two thirds more while a large one grows. Items stay the caller's.
 * Limits:  2^30 items.
 * Errors:  ERR_NOMEM from map_put only, and nothing changes.
 * Tests:   tests/unit/test_map.c
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
    union {
        void *one;    /* the only item, while there are no slots; NULL: there is none */
        void **items; /* slots_count of them, NULL where one is free; then as many uint32_t of their hashes */
    };
    union {
        uint64_t one_hash;
        struct map_old *old; /* while there are slots: those from before it grew, being moved; NULL: none */
    };
    uint32_t slots_count, count;
};

/* Does item carry this key? */
typedef bool map_is(const void *item, const void *key);

void map_init(struct map *m);
void map_fini(struct map *m);

void *map_get(const struct map *m, uint64_t hash, map_is *is, const void *key);

/* Adds item. The caller has made sure that its key is not there. */
enum err map_put(struct map *m, uint64_t hash, void *item);

/* Takes out and gives back the item with this key, or NULL. */
void *map_take(struct map *m, uint64_t hash, map_is *is, const void *key);

/* The items, in no order: the first at or after *at, which moves on. NULL at the end. No changes between. */
void *map_next(const struct map *m, size_t *at);

/* Spreads a number that is not yet well mixed. */
static inline uint64_t map_hash_u64(uint64_t key)
{
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio */
    return key ^ key >> 29;
}

#endif
