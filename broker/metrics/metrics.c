/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"
#include "base/check.h"
#include "base/heap.h"
#include <inttypes.h>
#include <stdlib.h>

enum metric_kind { METRIC_KIND_COUNTER, METRIC_KIND_GAUGE };

struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *unit, *doc;
};

static const struct metric_row rows[METRICS_COUNT] = {
#define METRIC(name_, kind_, unit_, doc_) { #name_, METRIC_KIND_##kind_, unit_, doc_ },
#include "metrics/metrics.def"
#undef METRIC
};

static const char *const kind_names[] = {
    [METRIC_KIND_COUNTER] = "counter",
    [METRIC_KIND_GAUGE] = "gauge",
};

struct metrics {
    struct metrics_shard *shards;
    unsigned shards_count;
};

enum err metrics_new(struct metrics **out, unsigned shards)
{
    *out = NULL;
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL) return ERR_NOMEM;

    /* sizeof is a multiple of the alignment, as aligned_alloc() wants. */
    m->shards = aligned_alloc(METRICS_CACHE_LINE_BYTES, shards * sizeof *m->shards);
    if (m->shards == NULL) {
        free(m);
        return ERR_NOMEM;
    }
    m->shards_count = shards;
    for (unsigned s = 0; s < shards; s++)
        for (unsigned i = 0; i < METRICS_COUNT; i++) atomic_init(&m->shards[s].value[i], 0);
    *out = m;
    return ERR_OK;
}

void metrics_free(struct metrics **owner)
{
    struct metrics *m = *owner;
    *owner = NULL;
    if (m == NULL) return;
    free(m->shards);
    free(m);
}

struct metrics_shard *metrics_shard(struct metrics *m, unsigned shard)
{
    CHECK(shard < m->shards_count);
    return &m->shards[shard];
}

int64_t metrics_sum(const struct metrics *m, enum metric which)
{
    uint64_t sum = 0; /* unsigned: it may wrap on the way to a gauge's sum */
    if (which == METRIC_memory_bytes) return (int64_t)heap_used(); /* counted elsewhere */
    for (unsigned s = 0; s < m->shards_count; s++)
        sum += atomic_load_explicit(&m->shards[s].value[which], memory_order_relaxed);
    return (int64_t)sum;
}

void metrics_print(const struct metrics *m, FILE *to)
{
    for (unsigned i = 0; i < METRICS_COUNT; i++) {
        const struct metric_row *r = &rows[i];
        fprintf(to, "# HELP longlink_%s %s\n", r->name, r->doc);
        fprintf(to, "# TYPE longlink_%s %s\n", r->name, kind_names[r->kind]);
        fprintf(to, "longlink_%s %" PRId64 "\n", r->name, metrics_sum(m, (enum metric)i));
    }
}

void metrics_print_reference(FILE *to)
{
    fputs("# Metrics\n\n"
          "<!-- Generated from broker/metrics/metrics.def by longlink-docs. Do not edit. -->\n\n"
          "Every name has the prefix `longlink_`. Values are sums over all shards since the start.\n\n"
          "| name | kind | unit | what it says |\n|---|---|---|---|\n",
          to);
    for (unsigned i = 0; i < METRICS_COUNT; i++) {
        const struct metric_row *r = &rows[i];
        fprintf(to, "| `%s` | %s | %s | %s |\n", r->name, kind_names[r->kind], r->unit, r->doc);
    }
}
