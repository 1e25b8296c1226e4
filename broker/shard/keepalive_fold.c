/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bisect.h"
#include "shard/keepalive_way.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * What was learned goes to the journal some time later, many rows in one command that nobody waits for, and
 * into the metrics. What earlier processes had learned is one sorted array, which all shards read; a client's
 * rows are taken from it when it connects.
 */

enum { FOLD_MS = 60 * 1000, ROWS_OF_COMMAND = 128, COMMANDS_A_FOLD = 64 };

/* --- of earlier processes */

enum err ways_restore(struct shards *all, const struct keepalive_row *row)
{
    struct keepalive_past *p = &all->past_ways;
    if (p->count >= all->conf.view->config->keepalive_clients) return ERR_OK; /* the newest came first */
    if (p->count == p->room) {
        size_t room = p->room == 0 ? 64 : p->room * 2;
        struct keepalive_row *grown = realloc(p->at, room * sizeof *grown);
        if (grown == NULL) return ERR_NOMEM;
        p->at = grown;
        p->room = room;
    }
    p->at[p->count++] = *row;
    return ERR_OK;
}

static int by_client(const void *a, const void *b)
{
    const struct keepalive_row *x = a, *y = b;
    return (x->client > y->client) - (x->client < y->client);
}

void ways_prepare(struct shards *all)
{
    struct keepalive_past *p = &all->past_ways;
    if (p->count > 1) qsort(p->at, p->count, sizeof *p->at, by_client);
}

void ways_past_fini(struct shards *all)
{
    free(all->past_ways.at);
    all->past_ways = (struct keepalive_past){ 0 };
}

static bool is_before(const void *items, size_t i, uint64_t client)
{
    const struct keepalive_row *rows = items;
    return rows[i].client < client;
}

/* The first row of a client, or of whoever comes after it. */
static size_t find(const struct keepalive_past *p, uint64_t client)
{
    return bisect(p->at, p->count, client, is_before);
}

static struct ka_state state_of(const struct keepalive_row *row)
{
    const uint32_t *n = row->at;
    return (struct ka_state){
        .k_s = (uint16_t)n[KEEPALIVE_K],
        .proven_s = (uint16_t)n[KEEPALIVE_PROVEN],
        .ceil_s = (uint16_t)n[KEEPALIVE_CEIL],
        .phase = (uint8_t)n[KEEPALIVE_PHASE],
        .trial_s = (uint16_t)n[KEEPALIVE_TRIAL],
        .good = (uint8_t)n[KEEPALIVE_GOOD],
        .bad = (uint8_t)n[KEEPALIVE_BAD],
        .wait_s = n[KEEPALIVE_WAIT],
        .rested_s = n[KEEPALIVE_RESTED],
    };
}

void ways_remember(struct shard *sh, uint64_t client)
{
    const struct keepalive_past *p = &sh->all->past_ways;
    if (p->count == 0 || keepalive_first(sh->ways.learner, client) != NULL) return;
    for (size_t i = find(p, client); i < p->count && p->at[i].client == client; i++) {
        struct ka_state s = state_of(&p->at[i]);
        keepalive_restore(sh->ways.learner, client, p->at[i].net, &s);
    }
}

/* --- to the journal */

static struct keepalive_row row_of(const struct ka_entry *e)
{
    const struct ka_state *s = &e->state;
    return (struct keepalive_row){ .client = e->client,
                                   .net = e->net,
                                   .at = { [KEEPALIVE_K] = s->k_s,
                                           [KEEPALIVE_PROVEN] = s->proven_s,
                                           [KEEPALIVE_CEIL] = s->ceil_s,
                                           [KEEPALIVE_PHASE] = s->phase,
                                           [KEEPALIVE_TRIAL] = s->trial_s,
                                           [KEEPALIVE_GOOD] = s->good,
                                           [KEEPALIVE_BAD] = s->bad,
                                           [KEEPALIVE_WAIT] = s->wait_s,
                                           [KEEPALIVE_RESTED] = s->rested_s } };
}

/* False: there was nothing. Without memory what it was about is learned again. */
static bool put_some(struct shard *sh)
{
    uint8_t rows[ROWS_OF_COMMAND * KEEPALIVE_ROW_BYTES];
    struct wr w = { .at = rows, .left = sizeof rows };
    while (w.left > 0) {
        const struct ka_entry *e = keepalive_next_dirty(sh->ways.learner);
        if (e == NULL) break;
        struct keepalive_row row = row_of(e);
        keepalive_row_write(&w, &row);
    }
    if (w.left == sizeof rows) return false;
    struct command_size size = { .data = bytes_of(rows, sizeof rows - w.left) };
    struct command *c = command_new(COMMAND_KEEPALIVE, &size);
    if (c != NULL) journal_put(sh, c);
    return w.left == 0;
}

/* --- into the metrics */

static void gauge_to(struct shard *sh, enum metric which, uint64_t to)
{
    metrics_set(sh->metrics, which, (int64_t)to);
}

static void count_settled(struct shard *sh, const struct keepalive_counts *now)
{
    static const struct {
        uint16_t upto_s;
        enum metric metric;
    } classes[] = { { 120, METRIC_keepalive_upto_120 },
                    { 240, METRIC_keepalive_upto_240 },
                    { 360, METRIC_keepalive_upto_360 },
                    { 480, METRIC_keepalive_upto_480 },
                    { UINT16_MAX, METRIC_keepalive_above_480 } };
    uint64_t in[5] = { 0 };
    for (unsigned i = 0, class = 0; i < KEEPALIVE_CLASSES; i++) {
        while ((i + 1) * KEEPALIVE_CLASS_S > classes[class].upto_s) class ++;
        in[class] += now->settled[i];
    }
    for (size_t i = 0; i < 5; i++) gauge_to(sh, classes[i].metric, in[i]);
    gauge_to(sh, METRIC_keepalive_known, now->entries);
}

static void count(struct shard *sh)
{
    struct keepalive_counts now, *before = &sh->ways.counted;
    keepalive_count(sh->ways.learner, &now);
    uint64_t changes = now.raised - before->raised + now.lowered - before->lowered;
    metrics_add(sh->metrics, METRIC_keepalive_survived_total, now.successes - before->successes);
    metrics_add(sh->metrics, METRIC_keepalive_doubts_total, now.weak - before->weak);
    metrics_add(sh->metrics, METRIC_keepalive_deaths_total,
                now.strong - before->strong + now.weak - before->weak);
    metrics_add(sh->metrics, METRIC_keepalive_outages_total, now.outages - before->outages);
    metrics_add(sh->metrics, METRIC_keepalive_changed_total, changes);
    count_settled(sh, &now);
    *before = now;
}

void ways_note(struct shard *sh)
{
    if (sh->alarm_ms[ALARM_KEEPALIVE] == 0) sh->alarm_ms[ALARM_KEEPALIVE] = sh->now_ms + FOLD_MS;
}

void ways_fold(struct shard *sh)
{
    int most = COMMANDS_A_FOLD;
    while (most > 0 && put_some(sh)) most--;
    if (most == 0) ways_note(sh);
    count(sh);
}

void keepalive_alarm(struct shard *sh)
{
    ways_fold(sh);
}
