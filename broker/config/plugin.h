/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin - the plugins of a configuration, with their options.
 *
 * Thread:  as config.h.
 * Memory:  no pointers inside: it may be copied.
 * Limits:  CONFIG_PLUGINS_MAX, CONFIG_PLUGIN_OPTS_BYTES.
 * Errors:  noted, as config.h says.
 * Tests:   tests/unit/test_config_plugins.c
 */
#ifndef CONFIG_PLUGIN_H
#define CONFIG_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONFIG_PLUGINS_MAX = 32,
    CONFIG_PLUGIN_PATH_BYTES = 1024,
    CONFIG_PLUGIN_ORIGIN_BYTES = 160,
    CONFIG_PLUGIN_OPTS_BYTES = 16384, /* keys and values of one plugin, with their NULs */
};

/* Whose connections it is asked about. NOBODY: a reload has taken its listener away. */
enum config_plugin_of { CONFIG_PLUGIN_OF_ALL, CONFIG_PLUGIN_OF_LISTENER, CONFIG_PLUGIN_OF_NOBODY };

/* A plugin line, and the plugin_opt_ lines that follow it. */
struct config_plugin {
    char path[CONFIG_PLUGIN_PATH_BYTES];
    char origin[CONFIG_PLUGIN_ORIGIN_BYTES];
    enum config_plugin_of of;
    uint16_t listener; /* its place, after config_finish */
    uint32_t opts_bytes, opts_count;
    char opts[CONFIG_PLUGIN_OPTS_BYTES]; /* key, NUL, value, NUL, key ... */
};

/* Is this plugin asked about connections of the listener at `index`? After config_finish. */
bool config_plugin_serves(const struct config_plugin *p, size_t index);

/* The next option: `for (at = p->opts; config_plugin_next(p, &at, &key, &value);)`. False at the end. */
bool config_plugin_next(const struct config_plugin *p, const char **at, const char **key, const char **value);

#endif
