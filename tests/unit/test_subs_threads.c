/* SPDX-License-Identifier: Apache-2.0 */
#include "base/epoch.h"
#include "base/thread.h"
#include "kit/test.h"
#include "subs/subs.h"
#include "unit/topics_kit.h"
#include <stdio.h>
#include <stdlib.h>

/*
 * Every thread is a shard: it adds, changes and removes subscriptions of its own at random, looks up topics
 * all the while, and must meet each permanent subscriber of every shard exactly once.
 */
enum { SHARDS = 4, STEPS = 15000, RESTLESS = 300, PERMANENT = 12, CROWD_TOPICS = 3 };

/* Of each shard: in crowds that come and go around them, and alone, exact and wild. */
static const char *const permanent[PERMANENT] = { "crowd/0", "crowd/1",    "crowd/2",  "crowd/+",
                                                  "crowd/#", "only/x",     "only/+",   "+/x",
                                                  "#",       "deep/+/c/#", "deep/b/+", "deep/b/c" };
static const char *const topics[] = { "crowd/0", "crowd/1", "crowd/2", "only/x", "deep/b/c", "none" };

struct shard {
    struct thread thread;
    struct subs *subs;
    struct epoch *epoch;
    unsigned no;
    struct kit_random random;
    struct subs_found found;
    struct sub permanent[PERMANENT];
    struct sub restless[RESTLESS];
    bool subscribed[RESTLESS];
    uint64_t faults, met;
};

/* A permanent subscription is known by its number, which any shard may read. */
static uint64_t permanent_no(unsigned shard, unsigned i)
{
    return (uint64_t)shard * PERMANENT + i + 1;
}

static void add_permanent(struct shard *s)
{
    for (unsigned i = 0; i < PERMANENT; i++) {
        s->permanent[i].durable_no = permanent_no(s->no, i);
        s->permanent[i].options.qos = 1;
        if (subs_add(s->subs, s->no, bytes_of_text(permanent[i]), &s->permanent[i]) != ERR_OK) s->faults++;
    }
}

/* Half of them join the crowds, others have filters of their own or random ones. */
static void change_one(struct shard *s)
{
    unsigned i = kit_below(&s->random, RESTLESS);
    struct sub *sub = &s->restless[i];
    if (s->subscribed[i] && kit_below(&s->random, 4) == 0) {
        struct sub_options options = { (uint8_t)kit_below(&s->random, 3), false, false, false };
        if (subs_change(s->subs, s->no, sub, options) != ERR_OK) s->faults++;
        return;
    }
    if (s->subscribed[i]) {
        subs_remove(s->subs, s->no, sub);
        s->subscribed[i] = false;
        return;
    }
    struct kit_text filter = kit_filter(&s->random);
    if (i % 2 == 0) snprintf(filter.text, sizeof filter.text, "crowd/%u", i / 2 % CROWD_TOPICS);
    if (i % 8 == 1) snprintf(filter.text, sizeof filter.text, "only/%u", i);
    sub->durable_no = 0;
    if (subs_add(s->subs, s->no, bytes_of_text(filter.text), sub) != ERR_OK) s->faults++;
    s->subscribed[i] = true;
}

static void count_array(struct shard *s, const struct subs_array *a, unsigned seen[])
{
    uint32_t n;
    for (const struct subs_chunk *c = subs_first(a, &n); c != NULL; c = subs_next(c, &n)) {
        for (uint32_t i = 0; i < n; i++) {
            const struct subs_entry *e = &c->entries[i];
            uint64_t no = subs_entry_durable_no(e);
            if (no == 0) continue;
            seen[no]++;
            s->met++;
            if (e->options.qos != 1) s->faults++;
        }
    }
}

static void look_up(struct shard *s, const char *topic)
{
    unsigned seen[SHARDS * PERMANENT + 1] = { 0 };
    if (subs_find(s->subs, bytes_of_text(topic), &s->found) != ERR_OK) s->faults++;
    for (size_t f = 0; f < s->found.count; f++)
        for (unsigned i = 0; i < SHARDS; i++) count_array(s, subs_array_of(s->found.filters[f], i), seen);
    for (unsigned shard = 0; shard < SHARDS; shard++)
        for (unsigned i = 0; i < PERMANENT; i++)
            if (seen[permanent_no(shard, i)] != kit_matches(permanent[i], topic)) s->faults++;
}

static void shard_run(void *arg)
{
    struct shard *s = arg;
    epoch_online(s->epoch, s->no);
    for (unsigned step = 0; step < STEPS; step++) {
        for (unsigned i = kit_below(&s->random, 6); i > 0; i--) change_one(s);
        look_up(s, topics[kit_below(&s->random, sizeof topics / sizeof topics[0])]);
        look_up(s, kit_topic(&s->random).text);
        epoch_quiet(s->epoch, s->no);
        if (kit_below(&s->random, 100) == 0) {
            epoch_offline(s->epoch, s->no);
            epoch_online(s->epoch, s->no);
        }
    }
    for (unsigned i = 0; i < RESTLESS; i++)
        if (s->subscribed[i]) subs_remove(s->subs, s->no, &s->restless[i]);
    epoch_offline(s->epoch, s->no);
}

TEST(whoever_stays_is_met_once_by_every_look_up_while_all_others_come_and_go)
{
    struct epoch *epoch;
    struct subs *subs;
    CHECK_INT(ERR_OK, epoch_new(&epoch, SHARDS, NULL));
    CHECK_INT(ERR_OK, subs_new(&subs, &(struct subs_conf){ .shards = SHARDS, .seed = 5, .epoch = epoch }));
    struct shard *shards = calloc(SHARDS, sizeof *shards);
    for (unsigned i = 0; i < SHARDS; i++) {
        shards[i].subs = subs;
        shards[i].epoch = epoch;
        shards[i].no = i;
        shards[i].random.at = i + 100;
        add_permanent(&shards[i]);
    }
    for (unsigned i = 0; i < SHARDS; i++)
        CHECK_INT(ERR_OK, thread_start(&shards[i].thread, "shard", shard_run, &shards[i]));
    for (unsigned i = 0; i < SHARDS; i++) thread_join(&shards[i].thread);
    for (unsigned i = 0; i < SHARDS; i++) {
        CHECK_INT(0, shards[i].faults);
        CHECK_TRUE(shards[i].met > 0);
        subs_found_fini(&shards[i].found);
    }
    subs_free(&subs);
    epoch_free(&epoch);
    free(shards);
}
