/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugins of a door, as shards see them.
 */
#include "plugin/plugin_int.h"
#include <stdlib.h>

static struct plugin_chain *chain_of(struct hooks *h)
{
    return CONTAINER(h, struct plugin_chain, hooks);
}

static const struct plugin_chain *chain_seen(const struct hooks *h)
{
    return (const struct plugin_chain *)(const void *)((const char *)h -
                                                       offsetof(struct plugin_chain, hooks));
}

static uint32_t chain_wants(const struct hooks *h)
{
    const struct plugin_chain *c = chain_seen(h);
    uint32_t wants = 0;
    for (size_t i = 0; i < c->count; i++) wants |= shared_word_get(&c->at[i]->wants);
    return wants;
}

static bool chain_ask(struct hooks *h, struct hook_ask *a)
{
    (void)h;
    bool has_acl = a->about != HOOK_PUBLISH || CONTAINER(a, struct hook_publish, ask)->asks_acl;
    a->at = 0;
    a->phase = has_acl ? 0 : 1;
    a->walkers = 0;
    a->verdict = HOOK_DEFER;
    bool is_done = plugin_ask_on(a, NULL);
    if (is_done && plugin_is_news(a)) {
        plugin_ask_home(a);
        return false;
    }
    return is_done;
}

static bool chain_is_inline(const struct hooks *h, enum hook_event e)
{
    const struct plugin_chain *c = chain_seen(h);
    for (size_t i = 0; i < c->count; i++)
        if ((shared_word_get(&c->at[i]->wants_thread) & e) != 0) return false;
    return true;
}

static void chain_destroy(struct hooks *h)
{
    struct plugin_chain *c = chain_of(h);
    plugins_unref(c->all);
    free(c);
}

static const struct hooks_ops chain_ops = { chain_wants, chain_ask, chain_is_inline, chain_destroy };

/* Plugins of one door know of each other's $CONTROL topics. */
static void introduce(struct plugin_chain *c)
{
    uint64_t all = 0;
    for (size_t i = 0; i < c->count; i++) all |= (uint64_t)1 << c->at[i]->place;
    for (size_t i = 0; i < c->count; i++) {
        lock_take(&c->at[i]->lock);
        c->at[i]->shares_doors_with |= all;
        lock_release(&c->at[i]->lock);
    }
}

struct hooks *plugins_hooks(struct plugins *p, const uint16_t *which, size_t count)
{
    struct plugin_chain *c = calloc(1, sizeof *c + count * sizeof c->at[0]);
    if (c == NULL) return NULL;
    c->hooks.ops = &chain_ops;
    ref_init(&c->hooks.ref, 1);
    c->all = p;
    ref_add(&p->ref, 1);
    c->count = count;
    for (size_t i = 0; i < count; i++) c->at[i] = &p->at[which[i]];
    introduce(c);
    return &c->hooks;
}
