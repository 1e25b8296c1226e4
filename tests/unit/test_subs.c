/* SPDX-License-Identifier: Apache-2.0 */
#include "base/epoch.h"
#include "base/list.h"
#include "kit/test.h"
#include "subs/subs.h"
#include "unit/topics_kit.h"
#include <stdio.h>
#include <stdlib.h>

/* Allocations that still succeed; below zero: all. The linker leads every allocation here. */
static long allocations_left = -1;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *at, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *at, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);

static bool allocation_fails(void)
{
    if (allocations_left < 0) return false;
    if (allocations_left == 0) return true;
    allocations_left--;
    return false;
}
void *__wrap_malloc(size_t n)
{
    return allocation_fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t count, size_t n)
{
    return allocation_fails() ? NULL : __real_calloc(count, n);
}
void *__wrap_realloc(void *at, size_t n)
{
    return allocation_fails() ? NULL : __real_realloc(at, n);
}
void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return allocation_fails() ? NULL : __real_aligned_alloc(align, n);
}

enum { SHARDS = 3 };

struct world {
    struct epoch *epoch;
    struct subs *subs;
    struct subs_found found;
};

static struct world world_new(void)
{
    struct world w = { 0 };
    CHECK_INT(ERR_OK, epoch_new(&w.epoch, SHARDS, NULL));
    struct subs_conf conf = { .shards = SHARDS, .seed = 42, .epoch = w.epoch };
    CHECK_INT(ERR_OK, subs_new(&w.subs, &conf));
    for (unsigned i = 0; i < SHARDS; i++) epoch_online(w.epoch, i);
    return w;
}

/* Twice: in the first round, a shard may come before another that was not quiet yet. */
static void all_quiet(struct world *w)
{
    for (unsigned i = 0; i < 2 * SHARDS; i++) epoch_quiet(w->epoch, i % SHARDS);
}

static void world_free(struct world *w)
{
    for (unsigned i = 0; i < SHARDS; i++) epoch_offline(w->epoch, i);
    subs_found_fini(&w->found);
    subs_free(&w->subs);
    epoch_free(&w->epoch);
}

static enum err add(struct world *w, unsigned shard, const char *filter, struct sub *sub)
{
    return subs_add(w->subs, shard, bytes_of_text(filter), sub);
}

/* How many filters match. */
static size_t find(struct world *w, const char *topic)
{
    CHECK_INT(ERR_OK, subs_find(w->subs, bytes_of_text(topic), &w->found));
    return w->found.count;
}

typedef void seen_fn(const struct subs_entry *e, unsigned shard, void *arg);

/* Shows every entry of an array that is not blank. */
static void each_of_array(const struct subs_array *a, unsigned shard, seen_fn *seen, void *arg)
{
    uint32_t n;
    for (const struct subs_chunk *c = subs_first(a, &n); c != NULL; c = subs_next(c, &n))
        for (uint32_t k = 0; k < n; k++)
            if (subs_entry_sub(&c->entries[k]) != NULL) seen(&c->entries[k], shard, arg);
}

/* The same for all that was found. */
static void each_found(const struct world *w, seen_fn *seen, void *arg)
{
    for (size_t i = 0; i < w->found.count; i++)
        for (unsigned shard = 0; shard < SHARDS; shard++)
            each_of_array(subs_array_of(w->found.filters[i], shard), shard, seen, arg);
}

static void count_one(const struct subs_entry *e, unsigned shard, void *arg)
{
    (void)e;
    (void)shard;
    ++*(size_t *)arg;
}

static size_t entries_found(struct world *w, const char *topic)
{
    size_t n = 0;
    find(w, topic);
    each_found(w, count_one, &n);
    return n;
}

/* --- against a plain list */

enum { MODEL_SUBS = 400 };

struct model_sub {
    struct sub sub;
    struct kit_text filter;
    unsigned shard, seen;
    bool subscribed;
};

struct model {
    struct world w;
    struct kit_random random;
    struct model_sub subs[MODEL_SUBS];
};

static void model_seen(const struct subs_entry *e, unsigned shard, void *arg)
{
    (void)arg;
    struct model_sub *m = CONTAINER(subs_entry_sub(e), struct model_sub, sub);
    m->seen++;
    CHECK_TRUE(m->shard == shard);
    CHECK_TRUE(m->sub.durable_no == subs_entry_durable_no(e));
    CHECK_TRUE(m->sub.options.qos == e->options.qos);
    CHECK_TRUE(m->sub.options.no_local == e->options.no_local);
}

static void model_step(struct model *m)
{
    struct model_sub *one = &m->subs[kit_below(&m->random, MODEL_SUBS)];
    struct sub_options options = { (uint8_t)kit_below(&m->random, 3), kit_below(&m->random, 2) == 0, false,
                                   false };
    if (!one->subscribed) {
        one->filter = kit_filter(&m->random);
        one->shard = kit_below(&m->random, SHARDS);
        one->sub.durable_no = kit_below(&m->random, 2);
        one->sub.options = options;
        CHECK_INT(ERR_OK, add(&m->w, one->shard, one->filter.text, &one->sub));
        CHECK_TRUE(bytes_equal(subs_filter_text(&one->sub), bytes_of_text(one->filter.text)));
        one->subscribed = true;
    } else if (kit_below(&m->random, 3) == 0) {
        CHECK_INT(ERR_OK, subs_change(m->w.subs, one->shard, &one->sub, options));
        CHECK_INT(options.qos, one->sub.options.qos);
    } else {
        subs_remove(m->w.subs, one->shard, &one->sub);
        one->subscribed = false;
    }
}

static void model_compare(struct model *m, const char *topic)
{
    for (size_t i = 0; i < MODEL_SUBS; i++) m->subs[i].seen = 0;
    find(&m->w, topic);
    each_found(&m->w, model_seen, NULL);
    for (size_t i = 0; i < MODEL_SUBS; i++) {
        bool want = m->subs[i].subscribed && kit_matches(m->subs[i].filter.text, topic);
        if (want != (m->subs[i].seen == 1) || m->subs[i].seen > 1)
            print_error("%s for %s\n", m->subs[i].filter.text, topic);
        CHECK_INT(want, m->subs[i].seen);
    }
}

struct counted {
    uint32_t durable, all;
};

static void count_kind(const struct subs_entry *e, unsigned shard, void *arg)
{
    struct counted *counted = arg;
    (void)shard;
    counted->all++;
    counted->durable += subs_entry_durable_no(e) != 0 && e->options.qos >= 1;
}

/* The counters of each filter that was found are those of its entries. */
static void model_compare_counters(struct model *m)
{
    for (size_t i = 0; i < m->w.found.count; i++) {
        for (unsigned shard = 0; shard < SHARDS; shard++) {
            const struct subs_array *a = subs_array_of(m->w.found.filters[i], shard);
            struct counted counted = { 0 };
            each_of_array(a, shard, count_kind, &counted);
            CHECK_INT(counted.durable, subs_durable(a));
            CHECK_INT(counted.all - counted.durable, subs_direct(a));
        }
    }
}

TEST(a_topic_finds_the_subscribers_whose_filter_matches_and_no_other)
{
    struct model *m = calloc(1, sizeof *m);
    m->w = world_new();
    m->random.at = 1;
    for (int i = 0; i < 20000; i++) {
        model_step(m);
        if (kit_below(&m->random, 4) == 0) {
            model_compare(m, kit_topic(&m->random).text);
            model_compare_counters(m);
        }
        if (kit_below(&m->random, 50) == 0) all_quiet(&m->w);
    }
    for (size_t i = 0; i < MODEL_SUBS; i++)
        if (m->subs[i].subscribed) subs_remove(m->w.subs, m->subs[i].shard, &m->subs[i].sub);
    for (int i = 0; i < 100; i++) CHECK_INT(0, find(&m->w, kit_topic(&m->random).text));
    world_free(&m->w);
    free(m);
}

TEST(filters_match_as_the_specification_says)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } cases[] = {
        { "sport/tennis/player1/#", "sport/tennis/player1", true },
        { "sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true },
        { "sport/#", "sport", true },
        { "sport/+", "sport", false },
        { "sport/+", "sport/", true },
        { "#", "a", true },
        { "+", "/finance", false },
        { "+/+", "/finance", true },
        { "/+", "/finance", true },
        { "+", "", false },
        { "#", "$SYS/uptime", false },
        { "+/monitor/Clients", "$SYS/monitor/Clients", false },
        { "$SYS/#", "$SYS/monitor/Clients", true },
        { "$SYS/monitor/+", "$SYS/monitor/Clients", true },
        { "a/+/$b", "a/x/$b", true },
        { "a/#", "a/$b", true },
        { "a", "a", true },
        { "a", "a/", false },
        { "//", "//", true },
        { "+/+/+", "//", true },
        { "A", "a", false },
        { "+/#", "a", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w = world_new();
        struct sub sub = { 0 };
        CHECK_INT(ERR_OK, add(&w, 0, cases[i].filter, &sub));
        if (cases[i].topic[0] != '\0') CHECK_INT(cases[i].matches, find(&w, cases[i].topic));
        if (cases[i].topic[0] != '\0')
            CHECK_INT(cases[i].matches, kit_matches(cases[i].filter, cases[i].topic));
        world_free(&w);
    }
}

TEST(all_shards_find_one_filter_and_each_subscriber_in_its_own_array)
{
    struct world w = world_new();
    struct sub subs[SHARDS] = { 0 };
    for (unsigned i = 0; i < SHARDS; i++) CHECK_INT(ERR_OK, add(&w, i, "a/b", &subs[i]));
    CHECK_INT(1, find(&w, "a/b"));
    for (unsigned i = 0; i < SHARDS; i++) CHECK_INT(1, subs_direct(subs_array_of(w.found.filters[0], i)));
    subs_remove(w.subs, 0, &subs[0]);
    subs_remove(w.subs, 2, &subs[2]);
    CHECK_INT(1, entries_found(&w, "a/b"));
    subs_remove(w.subs, 1, &subs[1]);
    CHECK_INT(0, find(&w, "a/b"));
    world_free(&w);
}

TEST(a_change_of_options_moves_a_subscriber_from_direct_to_durable)
{
    struct world w = world_new();
    struct sub sub = { .durable_no = 7, .options = { .qos = 0 } };
    CHECK_INT(ERR_OK, add(&w, 1, "a/+", &sub));
    find(&w, "a/b");
    const struct subs_array *a = subs_array_of(w.found.filters[0], 1);
    CHECK_INT(1, subs_direct(a));
    CHECK_INT(0, subs_durable(a));
    CHECK_INT(ERR_OK, subs_change(w.subs, 1, &sub, (struct sub_options){ .qos = 2 }));
    CHECK_INT(0, subs_direct(a));
    CHECK_INT(1, subs_durable(a));
    world_free(&w);
}

/* --- many subscribers of one filter */

enum { CROWD = 5000 };

struct crowd {
    struct world w;
    struct sub subs[CROWD];
    size_t last_seen;
    bool ordered;
};

static void crowd_seen(const struct subs_entry *e, unsigned shard, void *arg)
{
    (void)shard;
    struct crowd *c = arg;
    size_t index = (size_t)(subs_entry_sub(e) - c->subs) + 1;
    c->ordered = c->ordered && index > c->last_seen;
    c->last_seen = index;
}

static struct crowd *crowd_new(const char *filter)
{
    struct crowd *c = calloc(1, sizeof *c);
    c->w = world_new();
    for (size_t i = 0; i < CROWD; i++) CHECK_INT(ERR_OK, add(&c->w, 0, filter, &c->subs[i]));
    return c;
}

static void crowd_free(struct crowd *c)
{
    world_free(&c->w);
    free(c);
}

TEST(those_who_stay_keep_their_order_while_others_leave)
{
    struct crowd *c = crowd_new("news");
    struct kit_random random = { 3 };
    bool gone[CROWD] = { false };
    size_t left = CROWD;
    while (left > 0) {
        size_t i = kit_below(&random, CROWD);
        while (gone[i]) i = (i + 1) % CROWD;
        gone[i] = true;
        subs_remove(c->w.subs, 0, &c->subs[i]);
        left--;
        if (left % 97 != 0) continue;
        c->last_seen = 0;
        c->ordered = true;
        CHECK_INT(left, entries_found(&c->w, "news"));
        each_found(&c->w, crowd_seen, c);
        CHECK_TRUE(c->ordered);
        all_quiet(&c->w);
    }
    CHECK_INT(0, find(&c->w, "news"));
    crowd_free(c);
}

TEST(a_thinned_crowd_is_gathered_in_few_chunks)
{
    struct crowd *c = crowd_new("news");
    for (size_t i = 0; i < CROWD; i++)
        if (i % 32 != 0) subs_remove(c->w.subs, 0, &c->subs[i]);
    find(&c->w, "news");
    size_t chunks = 0;
    uint32_t n;
    const struct subs_chunk *at = subs_first(subs_array_of(c->w.found.filters[0], 0), &n);
    for (; at != NULL; at = subs_next(at, &n)) chunks++;
    CHECK_TRUE(chunks <= 1 + CROWD / 32 / 8);
    CHECK_INT((CROWD + 31) / 32, entries_found(&c->w, "news"));
    crowd_free(c);
}

TEST(a_reader_amid_a_crowd_meets_those_who_stay_once_while_chunks_are_replaced)
{
    struct crowd *c = crowd_new("news");
    find(&c->w, "news");
    uint32_t n;
    const struct subs_chunk *at = subs_first(subs_array_of(c->w.found.filters[0], 0), &n);
    /* At each step all others but every fifth leave just behind, at and before the reader. */
    size_t met = 0, gone = 0;
    for (; at != NULL; at = subs_next(at, &n)) {
        for (uint32_t k = 0; k < n; k++) {
            const struct sub *sub = subs_entry_sub(&at->entries[k]);
            if (sub != NULL) met += (size_t)(sub - c->subs) % 5 == 0;
        }
        for (size_t end = gone + 200; gone < end && gone < CROWD; gone++)
            if (gone % 5 != 0) subs_remove(c->w.subs, 0, &c->subs[gone]);
    }
    CHECK_INT(CROWD / 5, met);
    crowd_free(c);
}

/* --- many filters */

enum { MANY = 20000 };

TEST(twenty_thousand_filters_come_and_go)
{
    struct world w = world_new();
    struct sub *subs = calloc(MANY, sizeof *subs);
    char text[64];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, i % 2 == 0 ? "device/%u/up" : "device/%u/+", i);
        CHECK_INT(ERR_OK, add(&w, i % SHARDS, text, &subs[i]));
        if (i % 64 == 0) all_quiet(&w);
    }
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "device/%u/up", i);
        CHECK_INT(1, find(&w, text));
    }
    for (unsigned i = 0; i < MANY; i++) subs_remove(w.subs, i % SHARDS, &subs[i]);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(text, sizeof text, "device/%u/up", i);
        CHECK_INT(0, find(&w, text));
    }
    all_quiet(&w);
    for (unsigned i = 0; i < SHARDS; i++) CHECK_INT(0, epoch_waiting(w.epoch, i));
    free(subs);
    world_free(&w);
}

TEST(filters_that_come_and_go_for_long_leave_no_trace)
{
    struct world w = world_new();
    struct sub sub = { 0 };
    char text[64];
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(text, sizeof text, "a/%u%s", i, i % 2 == 0 ? "" : "/#");
        CHECK_INT(ERR_OK, add(&w, 0, text, &sub));
        subs_remove(w.subs, 0, &sub);
        if (i % 16 == 0) all_quiet(&w);
    }
    all_quiet(&w);
    CHECK_INT(0, epoch_waiting(w.epoch, 0));
    world_free(&w);
}

/* Bit i of mask: '+' or 'a' as level i. */
static void mixed_levels(char *text, unsigned levels, unsigned mask)
{
    for (unsigned i = 0; i < levels; i++) {
        text[2 * i] = mask >> i & 1 ? '+' : 'a';
        text[2 * i + 1] = i + 1 < levels ? '/' : '\0';
    }
}

TEST(every_mix_of_wildcards_over_ten_levels_is_found)
{
    enum { LEVELS = 10, MIXES = 1 << LEVELS };
    struct world w = world_new();
    static struct sub subs[MIXES];
    char text[2 * LEVELS];
    for (unsigned mask = 0; mask < MIXES; mask++) {
        mixed_levels(text, LEVELS, mask);
        CHECK_INT(ERR_OK, add(&w, 0, text, &subs[mask]));
    }
    CHECK_INT(MIXES, find(&w, "a/a/a/a/a/a/a/a/a/a"));
    CHECK_INT(MIXES / 2, find(&w, "a/a/a/b/a/a/a/a/a/a"));
    CHECK_INT(1, find(&w, "b/b/b/b/b/b/b/b/b/b"));
    CHECK_INT(0, find(&w, "a/a/a/a/a/a/a/a/a"));
    CHECK_INT(0, find(&w, "a/a/a/a/a/a/a/a/a/a/a"));
    world_free(&w);
}

TEST(filters_of_two_hundred_levels_are_found)
{
    enum { LEVELS = 200 };
    struct world w = world_new();
    struct sub subs[3] = { 0 };
    char plus[2 * LEVELS], tail[2 * LEVELS], topic[2 * LEVELS];
    for (unsigned i = 0; i < LEVELS; i++) {
        plus[2 * i] = '+';
        topic[2 * i] = tail[2 * i] = 'a';
        plus[2 * i + 1] = topic[2 * i + 1] = tail[2 * i + 1] = i + 1 < LEVELS ? '/' : '\0';
    }
    CHECK_INT(ERR_OK, add(&w, 0, plus, &subs[0]));
    tail[2 * LEVELS - 2] = '#';
    CHECK_INT(ERR_OK, add(&w, 0, tail, &subs[1]));
    CHECK_INT(ERR_OK, add(&w, 0, topic, &subs[2]));
    CHECK_INT(3, find(&w, topic));
    topic[2 * LEVELS - 3] = '\0';
    CHECK_INT(1, find(&w, topic));
    world_free(&w);
}

/* --- without memory */

static const char *const scarce[] = { "a/b", "a/+/c", "a/+/#", "a/b", "a/b", "x/y/z/#", "a/+/c", "+", "a/b" };
enum { SCARCE = sizeof scarce / sizeof scarce[0] };

/* A round in which only `left` allocations succeed. True when none failed. */
static bool scarce_round(struct world *w, long left)
{
    struct sub subs[SCARCE] = { 0 };
    bool all = true;
    allocations_left = left;
    for (size_t i = 0; i < SCARCE; i++) {
        enum err rc = add(w, 0, scarce[i], &subs[i]);
        CHECK_TRUE(rc == ERR_OK || rc == ERR_NOMEM);
        if (rc != ERR_OK) subs[i].filter = NULL;
        all = all && rc == ERR_OK;
    }
    for (size_t i = 0; i < SCARCE; i++) {
        if (subs[i].filter == NULL) continue;
        enum err rc = subs_change(w->subs, 0, &subs[i], (struct sub_options){ .qos = 1 });
        CHECK_INT(rc == ERR_OK ? 1 : 0, subs[i].options.qos);
        all = all && rc == ERR_OK;
    }
    bool used_up = allocations_left == 0;
    allocations_left = -1;
    size_t held = 0;
    for (size_t i = 0; i < SCARCE; i++) held += subs[i].filter != NULL && strcmp(scarce[i], "a/b") == 0;
    find(w, "a/b");
    size_t plus_tail = subs[2].filter != NULL;
    CHECK_INT(held + plus_tail, entries_found(w, "a/b"));
    allocations_left = used_up ? 0 : -1;
    for (size_t i = 0; i < SCARCE; i++)
        if (subs[i].filter != NULL) subs_remove(w->subs, 0, &subs[i]);
    allocations_left = -1;
    CHECK_INT(0, entries_found(w, "a/b"));
    CHECK_INT(0, find(w, "a/b"));
    CHECK_INT(0, find(w, "a/q/c"));
    return all;
}

TEST(when_an_allocation_fails_nothing_changes)
{
    long left = 0;
    for (bool enough = false; !enough; left++) {
        struct world w = world_new();
        find(&w, "a");
        enough = scarce_round(&w, left);
        world_free(&w);
        CHECK_TRUE(left < 1000);
    }
    CHECK_TRUE(left > 20);
}

TEST(without_memory_there_is_no_index_and_no_answer_but_an_error)
{
    struct epoch *epoch;
    struct subs *subs;
    CHECK_INT(ERR_OK, epoch_new(&epoch, 1, NULL));
    struct subs_conf conf = { .shards = 1, .seed = 1, .epoch = epoch };
    for (long left = 0; left < 2; left++) {
        allocations_left = left;
        CHECK_INT(ERR_NOMEM, subs_new(&subs, &conf));
        allocations_left = -1;
        CHECK_TRUE(subs == NULL);
    }
    CHECK_INT(ERR_OK, subs_new(&subs, &conf));
    struct sub sub = { 0 };
    CHECK_INT(ERR_OK, subs_add(subs, 0, bytes_of_text("a"), &sub));
    struct subs_found found = { 0 };
    allocations_left = 0;
    CHECK_INT(ERR_NOMEM, subs_find(subs, bytes_of_text("a"), &found));
    allocations_left = -1;
    subs_found_fini(&found);
    subs_free(&subs);
    epoch_free(&epoch);
}

TEST(a_crowd_leaves_without_memory)
{
    struct crowd *c = crowd_new("news");
    find(&c->w, "news");
    allocations_left = 0;
    for (size_t i = 0; i < CROWD - 1; i++) subs_remove(c->w.subs, 0, &c->subs[i]);
    CHECK_INT(1, entries_found(&c->w, "news"));
    subs_remove(c->w.subs, 0, &c->subs[CROWD - 1]);
    CHECK_INT(0, find(&c->w, "news"));
    allocations_left = -1;
    crowd_free(c);
}
