/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugins - the plugins of a configuration: made, given to doors, told of a reload.
 *
 * Thread:  main.
 * Memory:  see plugin/plugin.h.
 * Limits:  CONFIG_PLUGINS_MAX.
 * Errors:  in the log.
 * Tests:   tests/e2e/test_plugin_load.py
 */
#ifndef MAIN_PLUGINS_H
#define MAIN_PLUGINS_H

#include "config/config.h"
#include "plugin/plugin.h"

/* Of the time that the end of the broker may take, DEADLINE_MS. */
enum { PLUGINS_STOP_MS = 2000 };

/* NULL: the configuration has none. */
enum err plugins_of_config(struct plugins **out, const struct config *config, struct log *log);

/* What the listener at `index` asks; NULL: nobody. */
enum err plugins_of_listener(struct hooks **out, struct plugins *p, const struct config *config,
                             size_t index);

/* The same plugins, as config_keep has seen to. */
void plugins_reload_config(struct plugins *p, const struct config *config);

/* Could they be loaded? All that cannot are in the log. */
enum err plugins_try(const struct config *config, struct log *log);

#endif
