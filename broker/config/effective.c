/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds, for --print-config: a line for each option, NAME VALUE  # ORIGIN. A text that is not set is a
 * comment, as in the sample; a listener's options follow its listener line.
 */
#include "config/config_int.h"
#include "config/print.h"
#include <string.h>

static void print_line(const char *name, const char *value, size_t len, const char *origin, FILE *to)
{
    if (len > 0)
        fprintf(to, "%s %.*s  # %s\n", name, (int)len, value, origin);
    else
        fprintf(to, "#%s  # %s\n", name, origin);
}

static void print_option(const struct config *c, const void *base, const struct option *o, FILE *to)
{
    char value[CONFIG_LIST_BYTES], origin[CONFIG_ORIGIN_BYTES];
    value_print(base, o, value, sizeof value);
    config_origin_print(c, option_origins(base, o->scope)[o->id], origin);
    if (o->type != CONFIG_TYPE_list || value[0] == '\0') {
        print_line(o->name, value, strlen(value), origin, to);
        return;
    }
    const char *at = value;
    struct bytes text;
    while (config_list_next(&at, &text)) print_line(o->name, (const char *)text.at, text.len, origin, to);
}

static void print_scope(const struct config *c, const void *base, enum config_scope scope, FILE *to)
{
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        if (o->scope != scope || o->type == CONFIG_TYPE_group || o->type == CONFIG_TYPE_directive) continue;
        print_option(c, base, o, to);
    }
}

static void print_log(const struct config *c, FILE *to)
{
    static const char *const words[] = { "error", "warning",   "notice",     "information",
                                         "debug", "subscribe", "unsubscribe" };
    char dest[CONFIG_ORIGIN_BYTES], type[CONFIG_ORIGIN_BYTES];
    config_origin_print(c, c->origins[CONFIG_ID_log_type], type);
    config_origin_print(c, c->origins[CONFIG_ID_log_dest], dest);
    if (c->log_dests_count == 0) fprintf(to, "log_dest none  # %s\n", dest);
    for (size_t i = 0; i < c->log_dests_count; i++) {
        config_origin_print(c, c->log_dests[i].set_at, dest);
        fprintf(to, "log_dest %s%s%s  # %s\n", c->log_dests[i].sink,
                c->log_dests[i].path[0] != '\0' ? " " : "", c->log_dests[i].path, dest);
    }
    if (c->log_types == 0) fprintf(to, "log_type none  # %s\n", type);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((c->log_types & 1u << i) != 0) fprintf(to, "log_type %s  # %s\n", words[i], type);
}

static void print_listener(const struct config *c, const struct config_listener *l, FILE *to)
{
    const char *where = l->path[0] != '\0' ? l->path : l->address;
    fprintf(to, "listener %u%s%s  # %s\n", l->port, where[0] != '\0' ? " " : "", where, l->origin);
    if (c->per_listener_settings) print_scope(c, &l->security, CONFIG_SCOPE_SECURITY, to);
    if (c->per_listener_settings) plugins_print(c, (size_t)(l - c->listeners), to);
    print_scope(c, l, CONFIG_SCOPE_LISTENER, to);
}

void config_print_effective(const struct config *c, FILE *to)
{
    print_scope(c, c, CONFIG_SCOPE_GLOBAL, to);
    print_log(c, to);
    /* Everyone's are alike at all listeners, and there is one at least. */
    if (!c->per_listener_settings) print_scope(c, &c->listeners[0].security, CONFIG_SCOPE_SECURITY, to);
    if (!c->per_listener_settings) plugins_print(c, 0, to);
    for (size_t i = 0; i < c->listeners_count; i++) print_listener(c, &c->listeners[i], to);
}
