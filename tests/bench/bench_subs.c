/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "subs/subs.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/*
 * What a look-up and a filter cost. bench_subs prints, for each number of filters with one subscriber each,
 * nanoseconds for an addition, for look-ups, for a removal, and bytes a filter.
 *
 * Exact filters share their index with wildcards, a tenth as many as there are exact ones in the last step,
 * and as many in all steps. One device in ten has a wildcard. Topics are asked for in two ways: a set of
 * SAME topics again and again, spread over all devices, which differs from step to step by nothing but how
 * many filters lie between them; and topics at random of all, where ever fewer are in the cache.
 */
enum { SHARDS = 2, TOPICS = 1 << 16, SAME = 512, TOPIC_ROOM = 48, LOOKUPS = 1 << 21, QUIET_EVERY = 64 };
enum { DEVICES_A_WILDCARD = 10 };

struct bench {
    struct epoch *epoch;
    struct subs *subs;
    struct subs_found found;
    char (*topics)[TOPIC_ROOM];
    unsigned filters, wildcards;
    const char *name, *form;
    struct sub *all, *wild;
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
}

static unsigned scatter(unsigned i)
{
    return i * 2654435761u;
}

static double add_all(struct bench *b)
{
    char filter[TOPIC_ROOM];
    double start = now_ns();
    for (unsigned i = 0; i < b->filters; i++) {
        snprintf(filter, sizeof filter, b->form, i);
        CHECK(subs_add(b->subs, i % SHARDS, bytes_of_text(filter), &b->all[i]) == ERR_OK);
        if (i % QUIET_EVERY == 0) epoch_quiet(b->epoch, 0);
    }
    return (now_ns() - start) / b->filters;
}

static void add_wildcards(struct bench *b)
{
    static const char *const forms[] = { "device/%07u/#", "device/%07u/+/temperature" };
    char filter[TOPIC_ROOM];
    for (unsigned i = 0; i < b->wildcards; i++) {
        snprintf(filter, sizeof filter, forms[i % 2], i * DEVICES_A_WILDCARD);
        CHECK(subs_add(b->subs, i % SHARDS, bytes_of_text(filter), &b->wild[i]) == ERR_OK);
        if (i % QUIET_EVERY == 0) epoch_quiet(b->epoch, 0);
    }
}

/* Topic i is that of a device; how many wildcards match it. */
static size_t set_topic(struct bench *b, unsigned i, unsigned device)
{
    snprintf(b->topics[i], TOPIC_ROOM, "device/%07u/sensor/temperature", device);
    return device % DEVICES_A_WILDCARD == 0 && device / DEVICES_A_WILDCARD < b->wildcards;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* CPU time of one look-up of the first `topics`: of many passes one that is better than three in four, as
 * others use the machine and its caches. */
static double find_all(struct bench *b, unsigned topics, size_t want)
{
    static double took[LOOKUPS / SAME];
    unsigned passes = LOOKUPS / topics;
    for (unsigned pass = 0; pass < passes; pass++) {
        size_t found = 0;
        double start = now_ns();
        for (unsigned i = 0; i < topics; i++) {
            CHECK(subs_find(b->subs, bytes_of_text(b->topics[i]), &b->found) == ERR_OK);
            found += b->found.count;
        }
        took[pass] = (now_ns() - start) / topics;
        CHECK(found == want);
    }
    qsort(took, passes, sizeof took[0], by_size);
    return took[passes / 4];
}

/* Topics at random of devices from first on, which `each` exact or other filter match. */
static double find_any(struct bench *b, unsigned first, size_t each)
{
    size_t want = 0;
    for (unsigned i = 0; i < TOPICS; i++) want += each + set_topic(b, i, first + scatter(i) % b->filters);
    return find_all(b, TOPICS, want);
}

/* The same number of topics, whatever the number of filters, in no order. */
static double find_same(struct bench *b)
{
    size_t want = 0;
    for (unsigned i = 0; i < SAME; i++)
        want += 1 + set_topic(b, i, (unsigned)((uint64_t)(scatter(i) % SAME) * b->filters / SAME));
    return find_all(b, SAME, want);
}

static double remove_all(struct bench *b)
{
    double start = now_ns();
    for (unsigned i = 0; i < b->filters; i++) {
        subs_remove(b->subs, i % SHARDS, &b->all[i]);
        if (i % QUIET_EVERY == 0) epoch_quiet(b->epoch, i / QUIET_EVERY % SHARDS);
    }
    return (now_ns() - start) / b->filters;
}

static void begin(struct bench *b)
{
    CHECK(epoch_new(&b->epoch, SHARDS, NULL) == ERR_OK);
    struct subs_conf conf = { .shards = SHARDS, .seed = 1, .epoch = b->epoch };
    CHECK(subs_new(&b->subs, &conf) == ERR_OK);
    b->all = calloc(b->filters, sizeof *b->all);
    b->wild = calloc(b->wildcards + 1, sizeof *b->wild);
    b->topics = calloc(TOPICS, sizeof *b->topics);
    CHECK(b->all != NULL && b->wild != NULL && b->topics != NULL);
    epoch_online(b->epoch, 0);
}

static void end(struct bench *b)
{
    for (unsigned i = 0; i < SHARDS; i++) epoch_offline(b->epoch, i);
    subs_found_fini(&b->found);
    subs_free(&b->subs);
    epoch_free(&b->epoch);
    free(b->all);
    free(b->wild);
    free(b->topics);
}

static void measure_exact(unsigned filters, unsigned wildcards)
{
    struct bench b = { .filters = filters, .wildcards = wildcards, .form = "device/%07u/sensor/temperature" };
    begin(&b);
    add_wildcards(&b);
    epoch_quiet(b.epoch, 0);
    double before = heap_bytes();
    double add = add_all(&b);
    epoch_quiet(b.epoch, 0);
    double bytes = (heap_bytes() - before) / filters;
    double same = find_same(&b), any = find_any(&b, 0, 1);
    double miss = find_any(&b, filters + wildcards * DEVICES_A_WILDCARD, 0);
    double gone = remove_all(&b);
    printf("exact, %6u wildcards %7u: add %5.0f ns, found: same %3.0f ns, any %3.0f ns, not found %3.0f ns,"
           " remove %5.0f ns, %4.0f bytes\n",
           wildcards, filters, add, same, any, miss, gone, bytes);
    end(&b);
}

static void measure(const char *name, const char *form, unsigned filters)
{
    struct bench b = { .filters = filters, .name = name, .form = form };
    begin(&b);
    double before = heap_bytes();
    double add = add_all(&b);
    epoch_quiet(b.epoch, 0);
    double bytes = (heap_bytes() - before) / filters;
    double hit = find_any(&b, 0, 1), miss = find_any(&b, filters, 0);
    double gone = remove_all(&b);
    printf("%-22s %7u: add %5.0f ns, found %3.0f ns, not found %3.0f ns, remove %5.0f ns, %4.0f bytes\n",
           name, filters, add, hit, miss, gone, bytes);
    end(&b);
}

/* All on one filter. */
static void measure_crowd(unsigned subscribers)
{
    struct bench b = { .filters = subscribers, .name = "one filter", .form = "news" };
    begin(&b);
    double before = heap_bytes();
    double add = add_all(&b);
    for (unsigned i = 0; i < 2 * SHARDS; i++) epoch_quiet(b.epoch, i % SHARDS);
    double bytes = (heap_bytes() - before) / subscribers;
    double gone = remove_all(&b);
    printf("%-22s %8u subscribers: add %5.0f ns, remove %5.0f ns, %4.0f bytes\n", b.name, subscribers, add,
           gone, bytes);
    end(&b);
}

/* `many` exact ones and so many with wildcards, in three steps. */
static void measure_all(unsigned many, unsigned wildcards)
{
    for (unsigned alone = 0; alone < 2; alone++)
        for (unsigned filters = many / 100; filters <= many; filters *= 10)
            measure_exact(filters, alone ? 0 : wildcards);
    measure("wildcard, early", "device/%07u/#", wildcards);
    measure("wildcard, amid", "device/%07u/+/temperature", wildcards);
    measure_crowd(wildcards);
}

/* A number: of exact filters, for a run that only shows that it runs. */
int main(int argc, char **argv)
{
    unsigned many = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
    CHECK(many >= 100);
    measure_all(many, many / 10);
    return 0;
}
