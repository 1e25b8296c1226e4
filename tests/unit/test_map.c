/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"
#include "kit/test.h"
#include "unit/topics_kit.h"
#include <stdlib.h>

static bool calloc_fails;

void *__real_calloc(size_t count, size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_calloc(size_t count, size_t n)
{
    return calloc_fails ? NULL : __real_calloc(count, n);
}

enum { KEYS = 500 };

struct item {
    unsigned key;
    uint64_t hash;
    bool in, seen;
};

static bool item_is(const void *item, const void *key)
{
    return ((const struct item *)item)->key == *(const unsigned *)key;
}

struct model {
    struct map map;
    struct kit_random random;
    struct item items[KEYS];
    size_t count;
};

static void model_check(struct model *m)
{
    CHECK_INT(m->count, m->map.count);
    for (unsigned key = 0; key < KEYS; key++) {
        struct item *want = m->items[key].in ? &m->items[key] : NULL;
        CHECK_TRUE(map_get(&m->map, m->items[key].hash, item_is, &key) == want);
        m->items[key].seen = false;
    }
    size_t at = 0, seen = 0;
    for (struct item *i = map_next(&m->map, &at); i != NULL; i = map_next(&m->map, &at), seen++) {
        CHECK_TRUE(i->in && !i->seen);
        i->seen = true;
    }
    CHECK_INT(m->count, seen);
}

/* Puts and takes at random, with a tide, so that the map fills and empties. */
static void model_run(struct model *m, unsigned steps)
{
    map_init(&m->map);
    for (unsigned step = 0; step < steps; step++) {
        unsigned key = kit_below(&m->random, KEYS);
        struct item *item = &m->items[key];
        bool flood = step / KEYS % 2 == 0;
        if (item->in && (!flood || kit_below(&m->random, 4) == 0)) {
            CHECK_TRUE(map_take(&m->map, item->hash, item_is, &key) == item);
            CHECK_TRUE(map_take(&m->map, item->hash, item_is, &key) == NULL);
            item->in = false;
            m->count--;
        } else if (!item->in && (flood || kit_below(&m->random, 4) == 0)) {
            CHECK_INT(ERR_OK, map_put(&m->map, item->hash, item));
            item->in = true;
            m->count++;
        }
        if (step % 20 == 0) model_check(m);
    }
    map_fini(&m->map);
}

TEST(a_map_holds_what_was_put_and_not_taken)
{
    struct model *m = calloc(1, sizeof *m);
    m->random.at = 1;
    for (unsigned i = 0; i < KEYS; i++)
        m->items[i] = (struct item){ .key = i, .hash = kit_random(&m->random) };
    model_run(m, 20000);
    free(m);
}

/* Of hashes that the map spreads over the last thousandth of its slots. */
static uint64_t last_hash(struct kit_random *random)
{
    uint64_t hash;
    do hash = kit_random(random);
    while (hash * 0x9e3779b97f4a7c15u >> 54 != 1023);
    return hash;
}

/* All homes are the last slots, whatever the size: runs go on at the beginning. */
TEST(a_run_that_wraps_around_the_end_closes_its_holes)
{
    struct model *m = calloc(1, sizeof *m);
    m->random.at = 2;
    for (unsigned i = 0; i < KEYS; i++)
        m->items[i] = (struct item){ .key = i, .hash = last_hash(&m->random) };
    model_run(m, 6000);
    free(m);
}

TEST(items_of_one_hash_are_told_apart_by_their_key)
{
    struct model *m = calloc(1, sizeof *m);
    m->random.at = 3;
    for (unsigned i = 0; i < KEYS; i++) m->items[i] = (struct item){ .key = i, .hash = 5 };
    model_run(m, 3000);
    free(m);
}

TEST(an_empty_map_answers_and_costs_nothing)
{
    struct map map;
    unsigned key = 1;
    size_t at = 0;
    map_init(&map);
    CHECK_INT(0, map.slots_count);
    CHECK_TRUE(map_get(&map, 1, item_is, &key) == NULL);
    CHECK_TRUE(map_take(&map, 1, item_is, &key) == NULL);
    CHECK_TRUE(map_next(&map, &at) == NULL);
    map_fini(&map);
}

TEST(a_map_of_one_item_needs_no_memory)
{
    struct item only = { .key = 7, .hash = 9 }, other = { .key = 8, .hash = 9 };
    struct map map;
    map_init(&map);
    calloc_fails = true;
    for (int round = 0; round < 2; round++) {
        size_t at = 0;
        CHECK_INT(ERR_OK, map_put(&map, only.hash, &only));
        CHECK_TRUE(map_get(&map, 9, item_is, &only.key) == &only);
        CHECK_TRUE(map_get(&map, 8, item_is, &only.key) == NULL);
        CHECK_TRUE(map_get(&map, 9, item_is, &other.key) == NULL);
        CHECK_TRUE(map_next(&map, &at) == &only && map_next(&map, &at) == NULL);
        CHECK_INT(ERR_NOMEM, map_put(&map, other.hash, &other));
        CHECK_TRUE(map_take(&map, 9, item_is, &other.key) == NULL);
        CHECK_TRUE(map_take(&map, 9, item_is, &only.key) == &only);
        CHECK_INT(0, map.count);
    }
    calloc_fails = false;
    map_fini(&map);
}

TEST(without_memory_to_grow_nothing_changes)
{
    struct model *m = calloc(1, sizeof *m);
    unsigned key = 0;
    enum err rc = ERR_OK;
    for (unsigned i = 0; i < KEYS; i++) m->items[i] = (struct item){ .key = i, .hash = map_hash_u64(i) };
    map_init(&m->map);
    CHECK_INT(ERR_OK, map_put(&m->map, m->items[0].hash, &m->items[0]));
    m->items[0].in = true;
    calloc_fails = true;
    for (key = 1; key < KEYS && rc == ERR_OK; key++) {
        rc = map_put(&m->map, m->items[key].hash, &m->items[key]);
        m->items[key].in = rc == ERR_OK;
    }
    CHECK_INT(ERR_NOMEM, rc);
    m->count = m->map.count;
    CHECK_INT(key - 1, m->count);
    model_check(m);
    calloc_fails = false;
    CHECK_INT(ERR_OK, map_put(&m->map, m->items[key].hash, &m->items[key]));
    map_fini(&m->map);
    free(m);
}

TEST(small_numbers_spread_over_the_low_and_the_high_bits)
{
    enum { NUMBERS = 4096, BUCKETS = 64 };
    unsigned low[BUCKETS] = { 0 }, high[BUCKETS] = { 0 };
    for (uint64_t i = 0; i < NUMBERS; i++) {
        low[map_hash_u64(i) % BUCKETS]++;
        high[map_hash_u64(i) >> 58]++;
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        CHECK_TRUE(low[i] > 16 && low[i] < 256);
        CHECK_TRUE(high[i] > 16 && high[i] < 256);
    }
}
