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

/* --- a large one grows in steps */

enum { MANY = 12000, GROWTHS = 3 };

static struct item *many_items(void)
{
    struct kit_random random = { .at = 4 };
    struct item *items = calloc(MANY, sizeof *items);
    for (unsigned i = 0; i < MANY; i++)
        items[i] = (struct item){ .key = i, .hash = i % 60 == 0 ? last_hash(&random) : kit_random(&random) };
    return items;
}

static void check_many(const struct map *m, struct item *items)
{
    size_t at = 0, seen = 0, count = 0;
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_TRUE(map_get(m, items[i].hash, item_is, &i) == (items[i].in ? &items[i] : NULL));
        items[i].seen = false;
        count += items[i].in;
    }
    for (struct item *i = map_next(m, &at); i != NULL; i = map_next(m, &at), seen++) {
        CHECK_TRUE(i->in && !i->seen);
        i->seen = true;
    }
    CHECK_INT(count, seen);
    CHECK_INT(count, m->count);
}

static void take_one(struct map *m, struct item *item)
{
    CHECK_TRUE(map_take(m, item->hash, item_is, &item->key) == (item->in ? item : NULL));
    item->in = false;
}

/* Each third that comes takes one out again, and comes back later. */
TEST(a_large_map_has_all_its_items_while_it_grows)
{
    struct item *items = many_items();
    struct kit_random random = { .at = 5 };
    struct map map;
    unsigned growths = 0, steps = 0;
    map_init(&map);
    for (unsigned i = 0; i < MANY; i++) {
        bool was = map.slots_count > 0 && map.old != NULL;
        CHECK_INT(ERR_OK, map_put(&map, items[i].hash, &items[i]));
        items[i].in = true;
        if (i % 3 == 0) take_one(&map, &items[kit_below(&random, i + 1)]);
        bool is = map.slots_count > 0 && map.old != NULL;
        growths += is && !was;
        steps += is;
        if (is && i % 8 == 0) check_many(&map, items);
    }
    check_many(&map, items);
    CHECK_TRUE(growths >= GROWTHS - 1);
    CHECK_TRUE(steps > growths * 100);
    for (unsigned i = 0; i < MANY; i++) {
        if (!items[i].in) CHECK_INT(ERR_OK, map_put(&map, items[i].hash, &items[i]));
        items[i].in = true;
    }
    check_many(&map, items);
    for (unsigned i = 0; i < MANY; i++) take_one(&map, &items[i]);
    CHECK_INT(0, map.count);
    map_fini(&map);
    free(items);
}

TEST(a_map_that_is_growing_may_be_emptied_and_filled_again_or_end)
{
    struct item *items = many_items();
    struct map map;
    unsigned count = 0;
    map_init(&map);
    do CHECK_INT(ERR_OK, map_put(&map, items[count].hash, &items[count]));
    while (++count < MANY && (map.slots_count < 5000 || map.old == NULL));
    CHECK_TRUE(map.old != NULL);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < count; i++) items[i].in = true;
        check_many(&map, items);
        for (unsigned i = 0; i < count; i++) take_one(&map, &items[i]);
        check_many(&map, items);
        if (round == 1) break;
        for (unsigned i = 0; i < count; i++) CHECK_INT(ERR_OK, map_put(&map, items[i].hash, &items[i]));
        CHECK_TRUE(map.old == NULL);
    }
    map_fini(&map);
    free(items);
}

TEST(without_memory_for_its_growth_a_large_map_stays_as_it_is)
{
    struct item *items = many_items();
    struct map map;
    enum err rc = ERR_OK;
    unsigned count = 0;
    map_init(&map);
    while (rc == ERR_OK) {
        calloc_fails = map.slots_count > 5000;
        rc = map_put(&map, items[count].hash, &items[count]);
        if (rc == ERR_OK) items[count++].in = true;
    }
    CHECK_INT(ERR_NOMEM, rc);
    check_many(&map, items);
    calloc_fails = false;
    CHECK_INT(ERR_OK, map_put(&map, items[count].hash, &items[count]));
    items[count].in = true;
    CHECK_TRUE(map.old != NULL);
    check_many(&map, items);
    map_fini(&map);
    free(items);
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
