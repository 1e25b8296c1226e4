/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "subs/subs.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/*
 * What a look-up and a filter cost: bench_subs prints, for each number of filters with one subscriber each,
 * nanoseconds for an addition, a look-up that finds, one that does not, a removal, and bytes a filter.
 */
enum { SHARDS = 2, TOPICS = 1 << 16, TOPIC_ROOM = 48, ROUNDS = 16, QUIET_EVERY = 64 };

struct bench {
    struct epoch *epoch;
    struct subs *subs;
    struct subs_found found;
    char (*topics)[TOPIC_ROOM];
    unsigned filters;
    const char *name, *form;
    struct sub *all;
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
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

/* Topics of devices from first on; nanoseconds of one look-up. */
static double find_all(struct bench *b, unsigned first, size_t want)
{
    for (unsigned i = 0; i < TOPICS; i++)
        snprintf(b->topics[i], TOPIC_ROOM, "device/%07u/sensor/temperature", first + scatter(i) % b->filters);
    size_t found = 0;
    double start = now_ns();
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < TOPICS; i++) {
            CHECK(subs_find(b->subs, bytes_of_text(b->topics[i]), &b->found) == ERR_OK);
            found += b->found.count;
        }
    double took = now_ns() - start;
    CHECK(found == want * ROUNDS * TOPICS);
    return took / ((double)ROUNDS * TOPICS);
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
    b->topics = calloc(TOPICS, sizeof *b->topics);
    CHECK(b->all != NULL && b->topics != NULL);
    epoch_online(b->epoch, 0);
}

static void end(struct bench *b)
{
    for (unsigned i = 0; i < SHARDS; i++) epoch_offline(b->epoch, i);
    subs_found_fini(&b->found);
    subs_free(&b->subs);
    epoch_free(&b->epoch);
    free(b->all);
    free(b->topics);
}

static void measure(const char *name, const char *form, unsigned filters)
{
    struct bench b = { .filters = filters, .name = name, .form = form };
    begin(&b);
    double before = heap_bytes();
    double add = add_all(&b);
    epoch_quiet(b.epoch, 0);
    double bytes = (heap_bytes() - before) / filters;
    double hit = find_all(&b, 0, 1), miss = find_all(&b, filters, 0);
    double gone = remove_all(&b);
    printf(
        "%-22s %8u filters: add %5.0f ns, found %5.0f ns, not found %5.0f ns, remove %5.0f ns, %4.0f bytes\n",
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
    for (unsigned filters = many / 100; filters <= many; filters *= 10)
        measure("exact", "device/%07u/sensor/temperature", filters);
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
