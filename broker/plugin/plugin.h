/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin - loads plugins that speak mosquitto's ABI of version 5, and asks them what shards want to know.
 *
 * A plugin has a thread of its own, on which all its callbacks run one after the other; a slow one holds up
 * nobody but who waits for its answer. Which doors it serves is said by plugins_hooks.
 *
 *   plugins_new -> plugins_hooks (for each door) -> plugins_start -> plugins_reload ... -> plugins_stop
 *
 * Thread:  these functions from main; the hooks from shards, as hook/hook.h says.
 * Memory:  copies its configuration. Hooks keep what they need alive.
 * Limits:  conf->queue_max questions wait for a plugin before logins are refused; conf->timeout_ms for one
 *          callback.
 * Errors:  in the log; ERR_SYS for a plugin that cannot be loaded or does not want to start, ERR_NOMEM.
 * Tests:   tests/unit/test_plugin_host.c, tests/e2e/test_plugin_load.py
 */
#ifndef PLUGIN_PLUGIN_H
#define PLUGIN_PLUGIN_H

#include "hook/broker.h"
#include "hook/hook.h"
#include "log/log.h"

struct plugins;

struct plugin_opt {
    const char *key, *value;
};

struct plugin_conf {
    const char *path;
    const char *set_at; /* FILE:LINE, for errors */
    const struct plugin_opt *opts;
    size_t opts_count;
};

struct plugins_conf {
    struct log *log;                /* borrows it until plugins_stop */
    uint32_t timeout_ms, queue_max; /* the first 0: a callback may take as long as it likes */
    const struct plugin_conf *at;
    size_t count;
};

/* Nothing is loaded yet. */
enum err plugins_new(struct plugins **out, const struct plugins_conf *conf);

/* The hooks of a door that has these plugins, by their places in the configuration, in this order. NULL: for
 * want of memory. Gives. */
struct hooks *plugins_hooks(struct plugins *p, const uint16_t *which, size_t count);

/* Loads and initialises them, in order. Shares `broker`; its functions may be called from now on. */
enum err plugins_start(struct plugins *p, const struct hook_broker *broker);

/* The same plugins with other options, a time-out and a queue. Each hears of it in its turn. */
void plugins_reload(struct plugins *p, const struct plugins_conf *conf);

/* Who waits for an answer gets HOOK_LATE; clients that are gone are told of; then the plugins clean up. One
 * that is not done within wait_ms is left behind: its thread goes on, its memory stays. Nothing reaches the
 * broker or the log any more when this returns. */
void plugins_stop(struct plugins *p, uint32_t wait_ms);

/* Was a plugin left behind? Then the process may not run the handlers of exit(3), which would pull the ground
 * from under it. */
bool plugins_left_any(void);

/* Hooks live on, and answer HOOK_LATE. Stops it if that was not done. */
void plugins_free(struct plugins **owner);

/* A metric of one plugin, and perhaps of one event. */
struct plugin_figure {
    const char *name, *plugin;
    const char *event; /* "acl_check"; NULL: of the plugin */
    int64_t value;
};
typedef void plugins_each_figure(void *ctx, const struct plugin_figure *f);
void plugins_figures(struct plugins *p, plugins_each_figure *each, void *ctx);

/* Could it be loaded? Its code is loaded and its version asked for, but it is not initialised. */
enum { PLUGIN_TEXT_BYTES = 512 };
enum err plugin_try(const char *path, char text[PLUGIN_TEXT_BYTES]);

#endif
