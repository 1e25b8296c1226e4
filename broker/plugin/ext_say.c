/* SPDX-License-Identifier: Apache-2.0 */
/*
 * longlink_plugin.h: a plugin's metrics, and its lines in the log.
 */
#include "plugin/ext_int.h"
#include <stdlib.h>
#include <string.h>

/* --- metrics */

struct longlink_metric {
    struct longlink_metric *next;
    struct tally value;
    enum longlink_metric_kind kind;
    char name[];
};

enum { NAME_BYTES_MAX = 100 };

static bool is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    size_t n = text == NULL ? 0 : strspn(text, allowed);
    return n > 0 && n <= NAME_BYTES_MAX && text[n] == '\0';
}

/* A counter's name says that it is one. */
static bool fits(const char *name, enum longlink_metric_kind kind)
{
    static const char ending[] = "_total";
    size_t n = strlen(name), end = sizeof ending - 1;
    bool is_counter = n > end && strcmp(name + n - end, ending) == 0;
    return (kind == LONGLINK_COUNTER) == is_counter && (kind == LONGLINK_COUNTER || kind == LONGLINK_GAUGE);
}

static struct longlink_metric *find_locked(const struct plugin_ext *e, const char *name)
{
    struct longlink_metric *m = e->metrics;
    while (m != NULL && strcmp(m->name, name) != 0) m = m->next;
    return m;
}

static struct longlink_metric *add_locked(struct plugin_ext *e, const char *name)
{
    size_t bytes = strlen(name) + 1;
    struct longlink_metric *m = e->metrics_count < LONGLINK_METRICS_MAX ? calloc(1, sizeof *m + bytes) : NULL;
    if (m == NULL) return NULL;
    memcpy(m->name, name, bytes);
    m->next = e->metrics;
    e->metrics = m;
    e->metrics_count++;
    return m;
}

/* What it counts, for whoever reads the log of a start. */
static void say_metric(mosquitto_plugin_id_t *id, const char *name, const char *unit, const char *help)
{
    const struct longlink_field fields[] = { { "metric", name }, { "unit", unit }, { "help", help } };
    longlink_log(id, MOSQ_LOG_DEBUG, name, fields, sizeof fields / sizeof fields[0]);
}

struct longlink_metric *longlink_metric_new(mosquitto_plugin_id_t *id, const char *name,
                                            enum longlink_metric_kind kind, const char *unit,
                                            const char *help)
{
    struct plugin *p = plugin_ext_own(id);
    if (p == NULL || !is_name(name) || !fits(name, kind)) return NULL;
    struct plugin_ext *e = plugin_ext_of(p);
    lock_take(&e->lock);
    struct longlink_metric *m = find_locked(e, name);
    bool is_new = m == NULL;
    if (is_new) m = add_locked(e, name);
    if (is_new && m != NULL) m->kind = kind;
    lock_release(&e->lock);
    if (is_new && m != NULL) say_metric(id, name, unit, help);
    return m;
}

void longlink_metric_add(struct longlink_metric *metric, int64_t n)
{
    if (metric == NULL || (n < 0 && metric->kind == LONGLINK_COUNTER)) return;
    tally_add(&metric->value, (uint64_t)n);
}

void longlink_metric_set(struct longlink_metric *metric, int64_t to)
{
    if (metric != NULL && metric->kind == LONGLINK_GAUGE) tally_set(&metric->value, (uint64_t)to);
}

void plugin_ext_figures(struct plugin *p, plugins_each_figure *each, void *ctx)
{
    struct plugin_ext *e = plugin_ext_of(p);
    if (e == NULL) return;
    lock_take(&e->lock);
    const struct longlink_metric *m = e->metrics; /* the list only grows, at its head */
    lock_release(&e->lock);
    for (; m != NULL; m = m->next) {
        char name[NAME_BYTES_MAX + sizeof "plugin_"];
        snprintf(name, sizeof name, "plugin_%s", m->name);
        struct plugin_figure f = { name, p->name, NULL, (int64_t)tally_get(&m->value) };
        each(ctx, &f);
    }
}

void plugin_ext_metrics_free(struct plugin_ext *e)
{
    while (e->metrics != NULL) {
        struct longlink_metric *m = e->metrics;
        e->metrics = m->next;
        free(m);
    }
}

/* --- the log */

enum { VALUE_BYTES_MAX = 200 };

/* Its line a second. */
static struct plugin_says *says_locked(struct plugin_ext *e, const char *what)
{
    for (unsigned i = 0; i < e->says_count; i++)
        if (strncmp(e->says[i].what, what, EXT_SAYS_BYTES - 1) == 0) return &e->says[i];
    if (e->says_count == EXT_SAYS_MAX) return &e->says[EXT_SAYS_MAX];
    struct plugin_says *s = &e->says[e->says_count++];
    snprintf(s->what, sizeof s->what, "%s", what);
    return s;
}

static bool passes(struct plugin_ext *e, const char *what, uint64_t *suppressed)
{
    const uint64_t ns_a_line = (uint64_t)LOG_RATE_MS * 1000000;
    uint64_t now_ns = plugin_clock_ns();
    lock_take(&e->lock);
    struct plugin_says *s = says_locked(e, what);
    bool may = s->line_ns == 0 || now_ns - s->line_ns >= ns_a_line;
    *suppressed = s->suppressed;
    s->suppressed = may ? 0 : s->suppressed + 1;
    if (may) s->line_ns = now_ns;
    lock_release(&e->lock);
    return may;
}

static void say(const struct plugin_gate *gate, int level, const struct log_field *fields)
{
    switch (level) {
    case MOSQ_LOG_ERR: log_fields(gate->log, EVENT_PLUGIN_ERROR, fields); break;
    case MOSQ_LOG_WARNING: log_fields(gate->log, EVENT_PLUGIN_WARNING, fields); break;
    case MOSQ_LOG_NOTICE: log_fields(gate->log, EVENT_PLUGIN_NOTICE, fields); break;
    case MOSQ_LOG_INFO: log_fields(gate->log, EVENT_PLUGIN_INFO, fields); break;
    default: log_fields(gate->log, EVENT_PLUGIN_DEBUG, fields);
    }
}

static struct log_field field_of(const struct longlink_field *f)
{
    const char *value = f->value == NULL ? "" : f->value;
    return LOG_TEXT(is_name(f->key) ? f->key : "field",
                    bytes_of((const uint8_t *)value, strnlen(value, VALUE_BYTES_MAX)));
}

void longlink_log(mosquitto_plugin_id_t *id, int level, const char *what, const struct longlink_field *fields,
                  size_t count)
{
    struct plugin_gate gate;
    struct log_field line[LONGLINK_FIELDS_MAX + 4];
    uint64_t suppressed;
    size_t n = 0;
    struct plugin *p = what == NULL ? NULL : plugin_ext_enter(id, &gate);
    if (p == NULL) return;
    if (passes(plugin_ext_of(p), what, &suppressed)) {
        line[n++] = LOG_STR("plugin", p->name);
        line[n++] = LOG_STR("says", what);
        for (size_t i = 0; i < count && i < LONGLINK_FIELDS_MAX; i++) line[n++] = field_of(&fields[i]);
        if (suppressed > 0) line[n++] = LOG_NUM("suppressed", suppressed);
        line[n] = (struct log_field){ .key = NULL };
        say(&gate, level, line);
    }
    plugins_leave();
}
