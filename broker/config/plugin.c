/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins and their options: lines that belong to the one before them.
 */
#include "config/config_int.h"
#include "config/keep_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert((int)CONFIG_PLUGIN_ORIGIN_BYTES == (int)CONFIG_ORIGIN_BYTES,
              "a place is one wherever it is kept");

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static const char *key_of(const char *name)
{
    return name + strlen(begins(name, "auth_opt_") ? "auth_opt_" : "plugin_opt_");
}

const struct option *plugin_opt_row(const char *name)
{
    return begins(name, "plugin_opt_") || begins(name, "auth_opt_") ? option_find("plugin_opt_KEY") : NULL;
}

/* Until config_finish a plugin's listener is the place of its section; behind all sections: the default one.
 */
static uint16_t section_of(const struct place *p)
{
    const struct config *c = p->config;
    if (p->listener == &c->default_listener) return CONFIG_LISTENERS_MAX;
    return (uint16_t)(p->listener - c->listeners);
}

bool directive_plugin(const struct place *p, const char *value)
{
    struct config *c = p->config;
    if (value[0] == '\0' || strlen(value) >= CONFIG_PLUGIN_PATH_BYTES)
        return note_value(p, p->name, value, "the path of a plugin, of at most 1023 bytes");
    if (c->plugins_count == CONFIG_PLUGINS_MAX) {
        note_error(p, p->name, "is one too many; allowed: %d plugins", CONFIG_PLUGINS_MAX);
        return false;
    }
    struct config_plugin *made = &c->plugins[c->plugins_count++];
    snprintf(made->path, sizeof made->path, "%s", value);
    place_print(p, made->origin);
    made->of = c->per_listener_settings ? CONFIG_PLUGIN_OF_LISTENER : CONFIG_PLUGIN_OF_ALL;
    made->listener = section_of(p);
    made->opts_bytes = made->opts_count = 0;
    return true;
}

bool directive_plugin_opt_KEY(const struct place *p, const char *value)
{
    struct config_plugin *to = p->plugin;
    const char *key = key_of(p->name);
    size_t key_bytes = strlen(key) + 1, value_bytes = strlen(value) + 1;
    if (to == NULL) {
        note_error(p, p->name, "belongs to no plugin; allowed: after a plugin line, in the same file");
        return false;
    }
    /* The value is never repeated: it may be a password. */
    if (key[0] == '\0' || value[0] == '\0') {
        note_error(p, p->name, "is not whole; allowed: plugin_opt_KEY VALUE");
        return false;
    }
    if (key_bytes + value_bytes > sizeof to->opts - to->opts_bytes) {
        note_error(p, p->name, "is too much for one plugin; allowed: %d bytes of keys and values",
                   CONFIG_PLUGIN_OPTS_BYTES);
        return false;
    }
    memcpy(to->opts + to->opts_bytes, key, key_bytes);
    memcpy(to->opts + to->opts_bytes + key_bytes, value, value_bytes);
    to->opts_bytes += (uint32_t)(key_bytes + value_bytes);
    to->opts_count++;
    return true;
}

bool config_plugin_next(const struct config_plugin *p, const char **at, const char **key, const char **value)
{
    if (*at == p->opts + p->opts_bytes) return false;
    *key = *at;
    *value = *key + strlen(*key) + 1;
    *at = *value + strlen(*value) + 1;
    return true;
}

void plugins_settle(struct config *c)
{
    for (size_t i = 0; i < c->plugins_count; i++) {
        struct config_plugin *p = &c->plugins[i];
        if (p->listener == CONFIG_LISTENERS_MAX && c->listeners_count > 0)
            p->listener = (uint16_t)(c->listeners_count - 1); /* where the default one was put */
    }
}

bool config_plugin_serves(const struct config_plugin *p, size_t index)
{
    return p->of == CONFIG_PLUGIN_OF_ALL || (p->of == CONFIG_PLUGIN_OF_LISTENER && p->listener == index);
}

bool plugins_any(const struct config *c, size_t listener)
{
    bool any = false;
    for (size_t i = 0; i < c->plugins_count; i++) any = any || config_plugin_serves(&c->plugins[i], listener);
    return any;
}

/* Where a secret is, is none. */
static bool is_path(const char *key)
{
    static const char *const endings[] = { "file", "path", "dir" };
    size_t bytes = strlen(key);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(endings[i]);
        if (bytes >= n && strcasecmp(key + bytes - n, endings[i]) == 0) return true;
    }
    return false;
}

/* "scheme://user:password@host" */
static bool has_password(const char *value)
{
    const char *authority = strstr(value, "://");
    if (authority == NULL) return false;
    authority += 3;
    const char *at = memchr(authority, '@', strcspn(authority, "/?#"));
    return at != NULL && memchr(authority, ':', (size_t)(at - authority)) != NULL;
}

/* What a plugin's option means only the plugin knows; its name may say that nobody else is to see it. */
static bool is_secret(const char *key, const char *value)
{
    static const char *const words[] = { "pass", "pwd", "secret", "token", "key", "credential" };
    bool says_so = false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        says_so = says_so || strcasestr(key, words[i]) != NULL;
    return (says_so && !is_path(key)) || has_password(value);
}

/* Of a secret a comment, so that what is printed, used as a file, lacks it rather than has another one. */
static void print_opt(const char *key, const char *value, FILE *to)
{
    if (is_secret(key, value))
        fprintf(to, "#plugin_opt_%s  # is set, and not shown\n", key);
    else
        fprintf(to, "plugin_opt_%s %s\n", key, value);
}

void plugins_print(const struct config *c, size_t listener, FILE *to)
{
    for (size_t i = 0; i < c->plugins_count; i++) {
        const struct config_plugin *p = &c->plugins[i];
        const char *at = p->opts, *key, *value;
        if (!config_plugin_serves(p, listener)) continue;
        fprintf(to, "plugin %s  # %s\n", p->path, p->origin);
        while (config_plugin_next(p, &at, &key, &value)) print_opt(key, value, to);
    }
}

/* --- a reload: the plugins stay, their options may change */

static bool is_same(const struct config *now, const struct config_plugin *p, const struct config *before,
                    const struct config_plugin *old)
{
    if (p->of != old->of || strcmp(p->path, old->path) != 0) return false;
    if (p->of != CONFIG_PLUGIN_OF_LISTENER) return p->of == CONFIG_PLUGIN_OF_ALL;
    return listener_binds_alike(&now->listeners[p->listener], &before->listeners[old->listener]);
}

static bool are_same(const struct config *now, const struct config *before)
{
    bool same = now->plugins_count == before->plugins_count;
    for (size_t i = 0; same && i < now->plugins_count; i++)
        same = is_same(now, &now->plugins[i], before, &before->plugins[i]);
    return same;
}

static void print_paths(const struct config *c, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < c->plugins_count && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "", c->plugins[i].path);
        used += n > 0 ? (size_t)n : 0;
    }
}

static void tell_kept(const struct config *now, const struct config *before, config_each_change *each,
                      void *ctx)
{
    char old_paths[CONFIG_LIST_BYTES], new_paths[CONFIG_LIST_BYTES], set_at[CONFIG_ORIGIN_BYTES];
    print_paths(before, old_paths, sizeof old_paths);
    print_paths(now, new_paths, sizeof new_paths);
    config_origin_print(now, now->origins[CONFIG_ID_plugin], set_at);
    struct config_change change = { "plugin", set_at, old_paths, new_paths };
    each(ctx, &change);
}

/* A listener that comes with a plugin of its own would be open without it. */
static void mark_lacking(struct config *now, const struct config *before)
{
    for (size_t i = 0; i < now->plugins_count; i++) {
        const struct config_plugin *p = &now->plugins[i];
        bool is_new = p->of == CONFIG_PLUGIN_OF_LISTENER &&
                      config_find_listener(before, now, p->listener) == before->listeners_count;
        if (is_new) now->listeners[p->listener].lacks_plugin = true;
    }
}

/* The place of a listener of `before` in `now`. */
static void move_listener(struct config_plugin *p, const struct config *now, const struct config *before)
{
    if (p->of != CONFIG_PLUGIN_OF_LISTENER) return;
    size_t at = config_find_listener(now, before, p->listener);
    p->listener = (uint16_t)at;
    if (at == now->listeners_count) p->of = CONFIG_PLUGIN_OF_NOBODY;
}

/* The options that the same plugin has now; each of `wanted` counts once. */
static void take_opts(struct config_plugin *p, struct config_plugin *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct config_plugin *w = &wanted[i];
        if (strcmp(w->path, p->path) != 0 || w->of != p->of || w->listener != p->listener) continue;
        p->opts_bytes = w->opts_bytes;
        p->opts_count = w->opts_count;
        memcpy(p->opts, w->opts, w->opts_bytes);
        w->of = CONFIG_PLUGIN_OF_NOBODY;
        return;
    }
}

void plugins_keep(struct config *now, const struct config *before, config_each_change *each, void *ctx)
{
    size_t wanted_count = now->plugins_count;
    if (are_same(now, before)) return;
    tell_kept(now, before, each, ctx);
    mark_lacking(now, before);
    struct config_plugin *wanted = malloc((wanted_count + 1) * sizeof *wanted);
    if (wanted != NULL) memcpy(wanted, now->plugins, wanted_count * sizeof *wanted);
    now->plugins_count = before->plugins_count;
    for (size_t i = 0; i < before->plugins_count; i++) {
        now->plugins[i] = before->plugins[i];
        move_listener(&now->plugins[i], now, before);
        if (wanted != NULL) take_opts(&now->plugins[i], wanted, wanted_count);
    }
    free(wanted);
}
