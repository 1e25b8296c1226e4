/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ext_int - what longlink_plugin.h's functions keep for a plugin.
 *
 * Thread:  said at each. A lock of this rank is held for a few lines, and with no other one.
 * Memory:  the plugin's.
 * Limits:  longlink_plugin.h.
 * Errors:  as said.
 * Tests:   tests/e2e/test_plugin_ext.py
 */
#ifndef PLUGIN_EXT_INT_H
#define PLUGIN_EXT_INT_H

#include "plugin/plugin_int.h"
#pragma GCC visibility push(default)
#include "include/longlink_plugin.h"
#pragma GCC visibility pop

enum { EXT_SAYS_MAX = 64, EXT_SAYS_BYTES = 48 };

/* A kind of line that the plugin writes. */
struct plugin_says {
    char what[EXT_SAYS_BYTES];
    uint64_t line_ns, suppressed; /* the first 0: never yet */
};

struct plugin_ext {
    longlink_connected_fn *connected; /* these two: the plugin's thread's */
    void *connected_userdata;

    struct lock lock; /* guards from here ... */
    struct longlink_metric *metrics;
    unsigned metrics_count, verdicts_count, queries_count, says_count;
    struct plugin_says says[EXT_SAYS_MAX + 1]; /* the last: for all others */
    struct query *first, **last;               /* answered, and not told yet */
    bool is_woken, is_over;                    /* ... to here */
    struct mail wake;
};

static inline struct plugin_ext *plugin_ext_of(const struct plugin *p)
{
    return p->ext;
}

/* The plugin of this id, with the gate open: plugins_leave follows. NULL: none, and the gate is left. */
struct plugin *plugin_ext_enter(const mosquitto_plugin_id_t *id, struct plugin_gate *gate);

/* The plugin of this id, if its own thread runs this. */
struct plugin *plugin_ext_own(const mosquitto_plugin_id_t *id);

/* The end of what each file keeps, on the plugin's thread after its cleanup. */
void plugin_ext_verdicts_end(struct plugin *p);
void plugin_ext_data_end(struct plugin *p);
void plugin_ext_queries_end(struct plugin *p);
void plugin_ext_metrics_free(struct plugin_ext *e);

/* On its thread: answers have come. */
void plugin_ext_tell_queries(struct plugin *p);

#endif
