/* SPDX-License-Identifier: Apache-2.0 */
#include "main/plugins.h"
#include "base/limits.h"
#include <assert.h>
#include <stdlib.h>

static_assert((int)CONFIG_PLUGINS_MAX == (int)PLUGINS_MAX, "what can be configured can be loaded");

static void opts_fill(struct plugin_opt *to, const struct config_plugin *p)
{
    for (const char *at = p->opts; config_plugin_next(p, &at, &to->key, &to->value);) to++;
}

/* For the time of a call: all is the configuration's but the options, which conf_free frees. */
static enum err conf_fill(struct plugins_conf *out, struct plugin_conf at[CONFIG_PLUGINS_MAX],
                          const struct config *config)
{
    enum { MS_A_S = 1000 };
    *out = (struct plugins_conf){
        .timeout_ms = config->plugin_timeout * MS_A_S,
        .queue_max = config->plugin_queue,
        .at = at,
        .count = config->plugins_count,
    };
    enum err rc = ERR_OK;
    for (size_t i = 0; i < config->plugins_count; i++) {
        const struct config_plugin *p = &config->plugins[i];
        struct plugin_opt *opts = calloc(p->opts_count + 1, sizeof *opts);
        at[i] = (struct plugin_conf){ p->path, p->origin, opts, p->opts_count };
        if (opts != NULL)
            opts_fill(opts, p);
        else
            rc = ERR_NOMEM;
    }
    return rc;
}

static void conf_free(const struct plugins_conf *conf)
{
    for (size_t i = 0; i < conf->count; i++) free((void *)(uintptr_t)conf->at[i].opts);
}

enum err plugins_of_config(struct plugins **out, const struct config *config, struct log *log)
{
    struct plugins_conf conf;
    struct plugin_conf at[CONFIG_PLUGINS_MAX];
    *out = NULL;
    if (config->plugins_count == 0) return ERR_OK;
    enum err rc = conf_fill(&conf, at, config);
    conf.log = log;
    if (rc == ERR_OK) rc = plugins_new(out, &conf);
    conf_free(&conf);
    return rc;
}

void plugins_reload_config(struct plugins *p, const struct config *config)
{
    struct plugins_conf conf;
    struct plugin_conf at[CONFIG_PLUGINS_MAX];
    if (p == NULL) return;
    if (conf_fill(&conf, at, config) == ERR_OK) plugins_reload(p, &conf);
    conf_free(&conf);
}

enum err plugins_of_listener(struct hooks **out, struct plugins *p, const struct config *config, size_t index)
{
    uint16_t which[CONFIG_PLUGINS_MAX];
    size_t count = 0;
    *out = NULL;
    for (size_t i = 0; i < config->plugins_count; i++)
        if (config_plugin_serves(&config->plugins[i], index)) which[count++] = (uint16_t)i;
    if (p == NULL || count == 0) return ERR_OK;
    *out = plugins_hooks(p, which, count);
    return *out == NULL ? ERR_NOMEM : ERR_OK;
}

enum err plugins_try(const struct config *config, struct log *log)
{
    char text[PLUGIN_TEXT_BYTES];
    enum err rc = ERR_OK;
    for (size_t i = 0; i < config->plugins_count; i++) {
        const struct config_plugin *p = &config->plugins[i];
        enum err one = plugin_try(p->path, text);
        if (one == ERR_OK) continue;
        rc = one;
        log_event(log, EVENT_PLUGIN_FAILED, LOG_STR("plugin", p->path), LOG_STR("set_at", p->origin),
                  LOG_STR("error", text));
    }
    return rc;
}
