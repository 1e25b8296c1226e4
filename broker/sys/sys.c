/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define SYS_ROOT "$SYS/broker/"

struct voice {
    void (*say)(void *arg, const char *topic, const char *text);
    void *arg;
};

/* A row that is a number: `of` is the row it is the peak of, or itself. */
struct count_row {
    const char *topic; /* NULL: not said */
    enum sys_value value, of;
    const char *doc;
};

struct load_row {
    const char *topic;
    enum sys_value of;
    const char *doc;
};

struct text_row {
    const char *topic, *doc;
};

static const struct text_row texts[] = {
#define SYS_TEXT(topic, doc) { topic, doc },
#include "sys/sys.def"
};

static const struct count_row counts[SYS_VALUES] = {
#define SYS_COUNT(name, topic, value, doc) { topic, SYS_##name, SYS_##name, doc },
#define SYS_PEAK(name, topic, of, doc)     { topic, SYS_##name, SYS_##of, doc },
#define SYS_SUM(name, value)               { NULL, SYS_##name, SYS_##name, NULL },
#include "sys/sys.def"
};

static const struct load_row loads[] = {
#define SYS_LOAD(topic, of, doc) { topic, SYS_##of, doc },
#include "sys/sys.def"
};

enum { TEXTS = sizeof texts / sizeof texts[0], LOADS = sizeof loads / sizeof loads[0] };
_Static_assert((int)LOADS <= (int)SYS_LOADS_MAX, "struct sys has no room for so many loads");

static const struct {
    const char *name;
    double seconds;
} spans[SYS_SPANS] = { { "1min", 60 }, { "5min", 300 }, { "15min", 900 } };

static int64_t heap_bytes(const struct metrics *m)
{
    return metrics_sum(m, METRIC_memory_bytes);
}

void sys_read(struct sys_reading *r, const struct metrics *m)
{
#define SUM(metric)                         metrics_sum(m, METRIC_##metric)
#define SYS_COUNT(name, topic, value_, doc) r->value[SYS_##name] = value_;
#define SYS_PEAK(name, topic, of, doc)      r->value[SYS_##name] = 0;
#define SYS_SUM(name, value_)               r->value[SYS_##name] = value_;
#include "sys/sys.def"
#undef SUM
    for (int i = 0; i < SYS_VALUES; i++)
        if (r->value[i] < 0) r->value[i] = 0;
}

static void say_uptime(const struct sys *s, uint64_t now_ms, const struct voice *v)
{
    char text[SYS_TEXT_BYTES];
    snprintf(text, sizeof text, "%" PRIu64 " seconds", (now_ms - s->started_ms) / 1000);
    v->say(v->arg, SYS_ROOT "uptime", text);
}

static void say_count(struct sys *s, const struct count_row *row, int64_t value, const struct voice *v)
{
    char topic[SYS_TOPIC_BYTES], text[SYS_TEXT_BYTES];
    bool peak = row->of != row->value;
    int64_t before = s->last.value[row->value];
    if (peak && value < before) value = before;
    s->last.value[row->value] = value;
    if (row->topic == NULL || (s->has_begun && value == before)) return;
    snprintf(topic, sizeof topic, SYS_ROOT "%s", row->topic);
    snprintf(text, sizeof text, "%" PRId64, value);
    v->say(v->arg, topic, text);
}

/* per_minute: how much it grew since the last step. */
static void say_load(struct sys *s, unsigned load, double per_minute, double seconds, const struct voice *v)
{
    char topic[SYS_TOPIC_BYTES], text[SYS_TEXT_BYTES];
    for (unsigned i = 0; i < SYS_SPANS; i++) {
        double *at = &s->load[load][i];
        *at = per_minute + (*at - per_minute) * exp(-seconds / spans[i].seconds);
        int64_t hundredths = llround(*at * 100);
        if (s->has_begun && hundredths == s->said[load][i]) continue;
        s->said[load][i] = hundredths;
        snprintf(topic, sizeof topic, SYS_ROOT "load/%s/%s", loads[load].topic, spans[i].name);
        snprintf(text, sizeof text, "%" PRId64 ".%02d", hundredths / 100, (int)(hundredths % 100));
        v->say(v->arg, topic, text);
    }
}

void sys_step(struct sys *s, uint64_t now_ms, const struct sys_reading *r,
              void (*say)(void *arg, const char *topic, const char *text), void *arg)
{
    const struct voice v = { say, arg };
    struct sys_reading before = s->last;
    double seconds = s->has_begun ? (double)(now_ms - s->stepped_ms) / 1000 : 0;

    say_uptime(s, now_ms, &v);
    for (int i = 0; i < SYS_VALUES; i++) say_count(s, &counts[i], r->value[counts[i].of], &v);
    for (unsigned i = 0; i < LOADS; i++) {
        int64_t grew = s->last.value[loads[i].of] - before.value[loads[i].of];
        /* What was counted before the first step has no interval that it came in. */
        double per_minute = seconds > 0 && grew > 0 ? (double)grew * 60 / seconds : 0;
        say_load(s, i, per_minute, seconds, &v);
    }
    s->has_begun = true;
    s->stepped_ms = now_ms;
}

void sys_print_reference(FILE *to)
{
    fputs("# What the broker says below `$SYS`\n\n"
          "<!-- Generated from broker/sys/sys.def by longlink-docs. Do not edit. -->\n\n"
          "The topics of mosquitto 2.0, as retained messages below `$SYS/broker/`. Every `sys_interval` "
          "seconds\n"
          "(10; 0: nothing at all) they are published anew, of them only those that have changed. Wildcards "
          "at\n"
          "a filter's beginning do not match them: subscribe to `$SYS/#`.\n\n"
          "- They are published with QoS 0 (mosquitto: 2) and go to whoever is connected; nothing of them "
          "waits for\n"
          "  an absent client, and they never touch the disk.\n"
          "- Counters begin with 0 at the start of the broker. They are sums over all shards, made once an\n"
          "  interval: one value is exact, two of them need not be of the same moment.\n"
          "- Nobody but the broker publishes below `$SYS`.\n\n"
          "| topic | what it says |\n|---|---|\n",
          to);
    for (int i = 0; i < TEXTS; i++) fprintf(to, "| `%s` | %s |\n", texts[i].topic, texts[i].doc);
    for (int i = 0; i < SYS_VALUES; i++)
        if (counts[i].topic != NULL) fprintf(to, "| `%s` | %s |\n", counts[i].topic, counts[i].doc);
    for (unsigned i = 0; i < LOADS; i++)
        fprintf(to, "| `load/%s/1min`, `/5min`, `/15min` | %s |\n", loads[i].topic, loads[i].doc);
    fputs("\nA load is a moving average of the growth in a minute, over 1, 5 and 15 minutes: what came "
          "longer ago\n"
          "counts for less, by the factor e for each such span.\n",
          to);
}
