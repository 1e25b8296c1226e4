/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "kit/test.h"
#include "metrics/metrics.h"
#include <stdlib.h>
#include <string.h>

static struct metrics *new_metrics(unsigned shards)
{
    struct metrics *m = NULL;
    CHECK_INT(ERR_OK, metrics_new(&m, shards));
    return m;
}

/* What metrics_print writes; the caller frees it. */
static char *printed(const struct metrics *m)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    metrics_print(m, to);
    fclose(to);
    return text;
}

TEST(a_new_block_counts_from_zero)
{
    struct metrics *m = new_metrics(2);
    for (unsigned i = 0; i < METRICS_COUNT; i++)
        if (i != METRIC_memory_bytes) CHECK_INT(0, metrics_sum(m, (enum metric)i)); /* counted elsewhere */
    metrics_free(&m);
    assert_null(m);
}

TEST(a_sum_is_over_all_shards)
{
    struct metrics *m = new_metrics(3);
    for (unsigned s = 0; s < 3; s++) metrics_add(metrics_shard(m, s), METRIC_messages_sent_total, s + 1);
    CHECK_INT(6, metrics_sum(m, METRIC_messages_sent_total));
    CHECK_INT(2, metrics_get(metrics_shard(m, 1), METRIC_messages_sent_total));
    CHECK_INT(0, metrics_sum(m, METRIC_messages_received_total));
    metrics_free(&m);
}

TEST(a_gauge_raised_on_one_shard_and_lowered_on_another_sums_right)
{
    struct metrics *m = new_metrics(2);
    metrics_add(metrics_shard(m, 0), METRIC_sessions, 5);
    metrics_sub(metrics_shard(m, 1), METRIC_sessions, 2);
    CHECK_INT(3, metrics_sum(m, METRIC_sessions));
    metrics_set(metrics_shard(m, 0), METRIC_sessions, -1);
    CHECK_INT(-3, metrics_sum(m, METRIC_sessions));
    metrics_free(&m);
}

TEST(blocks_of_two_shards_share_no_cache_line)
{
    struct metrics *m = new_metrics(2);
    uintptr_t a = (uintptr_t)metrics_shard(m, 0), b = (uintptr_t)metrics_shard(m, 1);
    CHECK_INT(0, a % METRICS_CACHE_LINE_BYTES);
    CHECK_INT(0, b % METRICS_CACHE_LINE_BYTES);
    CHECK_TRUE(b - a >= sizeof(struct metrics_shard));
    metrics_free(&m);
}

TEST(a_print_has_help_type_and_value_of_every_row)
{
    struct metrics *m = new_metrics(1);
    metrics_add(metrics_shard(m, 0), METRIC_bytes_sent_total, 12345678901u);
    char *text = printed(m);

    size_t lines = 0;
    for (const char *at = text; *at != '\0'; at++) lines += *at == '\n';
    CHECK_INT(3 * METRICS_COUNT, lines);
    assert_non_null(strstr(text, "# HELP longlink_sessions Sessions, connected or not.\n"));
    assert_non_null(strstr(text, "# TYPE longlink_sessions gauge\nlonglink_sessions 0\n"));
    assert_non_null(
        strstr(text, "# TYPE longlink_bytes_sent_total counter\nlonglink_bytes_sent_total 12345678901\n"));
    free(text);
    metrics_free(&m);
}

TEST(a_name_ends_in_total_exactly_when_it_is_a_counter)
{
    static const struct {
        const char *name, *kind, *unit, *doc;
    } rows[] = {
#define METRIC(name, kind, unit, doc) { #name, #kind, unit, doc },
#include "metrics/metrics.def"
#undef METRIC
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = strlen(rows[i].name);
        bool total = n > 6 && strcmp(rows[i].name + n - 6, "_total") == 0;
        CHECK_INT(strcmp(rows[i].kind, "COUNTER") == 0, total);
        CHECK_INT('.', rows[i].doc[strlen(rows[i].doc) - 1]);
        CHECK_TRUE(rows[i].unit[0] != '\0');
    }
}

enum { ROUNDS = 20000 };

static void count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) metrics_add(arg, METRIC_messages_sent_total, 1);
}

TEST(a_reader_sees_a_counter_only_grow_while_its_shard_counts)
{
    struct metrics *m = new_metrics(2);
    struct thread t;
    CHECK_INT(ERR_OK, thread_start(&t, "counts", count, metrics_shard(m, 1)));
    int64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t now = metrics_sum(m, METRIC_messages_sent_total);
        CHECK_TRUE(now >= last);
        last = now;
    }
    thread_join(&t);
    CHECK_INT(ROUNDS, metrics_sum(m, METRIC_messages_sent_total));
    metrics_free(&m);
}
