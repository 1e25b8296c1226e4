/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload cannot change: the options that are read at start keep their values, and their operator is
 * told that the new ones wait for the next start.
 */
#include "config/keep.h"
#include "config/config_int.h"
#include "config/keep_int.h"
#include <string.h>

struct keeper {
    const struct config *now;
    config_each_change *each;
    void *ctx;
};

static void keep_option(const struct keeper *k, void *now, const void *before, const struct option *o)
{
    char old_value[CONFIG_LIST_BYTES], new_value[CONFIG_LIST_BYTES], set_at[CONFIG_ORIGIN_BYTES];
    value_print(before, o, old_value, sizeof old_value);
    value_print(now, o, new_value, sizeof new_value);
    if (strcmp(old_value, new_value) == 0) return;
    config_origin_print(k->now, option_origins(now, o->scope)[o->id], set_at);
    struct config_change change = { o->name, set_at, old_value, new_value };
    k->each(k->ctx, &change);
    value_copy(now, before, o);
}

static void keep_scope(const struct keeper *k, void *now, const void *before, enum config_scope scope)
{
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        bool has_value = o->type != CONFIG_TYPE_group && o->type != CONFIG_TYPE_directive;
        if (o->scope == scope && has_value && o->when == CONFIG_WHEN_START) keep_option(k, now, before, o);
    }
}

void config_keep(struct config *now, const struct config *before, config_each_change *each, void *ctx)
{
    struct keeper k = { now, each, ctx };
    keep_scope(&k, now, before, CONFIG_SCOPE_GLOBAL);
    plugins_keep(now, before, each, ctx);
    for (size_t i = 0; i < now->listeners_count; i++) {
        struct config_listener *l = &now->listeners[i];
        size_t at = config_find_listener(before, now, i);
        if (at == before->listeners_count) continue;
        keep_scope(&k, l, &before->listeners[at], CONFIG_SCOPE_LISTENER);
        keep_scope(&k, &l->security, &before->listeners[at].security, CONFIG_SCOPE_SECURITY);
    }
}

static unsigned changes_of_scope(const void *now, const void *before, enum config_scope scope)
{
    unsigned changes = 0;
    for (size_t i = 0; i < config_options_count; i++) {
        const struct option *o = &config_options[i];
        bool has_value = o->type != CONFIG_TYPE_group && o->type != CONFIG_TYPE_directive;
        if (o->scope != scope || !has_value || o->when == CONFIG_WHEN_START) continue;
        char old_value[CONFIG_LIST_BYTES], new_value[CONFIG_LIST_BYTES];
        value_print(before, o, old_value, sizeof old_value);
        value_print(now, o, new_value, sizeof new_value);
        changes += strcmp(old_value, new_value) != 0;
    }
    return changes;
}

unsigned config_changes(const struct config *now, const struct config *before)
{
    unsigned changes = changes_of_scope(now, before, CONFIG_SCOPE_GLOBAL);
    for (size_t i = 0; i < now->listeners_count; i++) {
        size_t at = config_find_listener(before, now, i);
        if (at == before->listeners_count) continue;
        const struct config_listener *l = &now->listeners[i], *old = &before->listeners[at];
        changes += changes_of_scope(l, old, CONFIG_SCOPE_LISTENER);
        changes += changes_of_scope(&l->security, &old->security, CONFIG_SCOPE_SECURITY);
    }
    return changes;
}
