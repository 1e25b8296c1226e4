/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/map.h"
#include "subs/subs_int.h"
#include <stdlib.h>

/*
 * Wildcard filters by levels. A topic visits the nodes whose levels match its own beginning, so the work is
 * bounded by how many such nodes subscribers have made, and the stack by twice the depth.
 */

static bool is_plus(struct bytes level)
{
    return level.len == 1 && level.at[0] == '+';
}
static bool is_tail(struct bytes level)
{
    return level.len == 1 && level.at[0] == '#';
}

/* Both parts are well mixed and secret. */
static uint64_t edge_hash(const struct trie_node *parent, uint64_t level_hash)
{
    return map_hash_u64(parent->hash ^ level_hash);
}

static struct trie_node *literal_child(const struct subs *s, const struct trie_node *parent,
                                       struct bytes level, uint64_t hash)
{
    if (atomic_load_explicit(&parent->literals, memory_order_acquire) == 0) return NULL;
    struct table_probe p = table_probe(&s->edges, edge_hash(parent, hash));
    for (struct trie_node *n = table_probe_next(&p); n != NULL; n = table_probe_next(&p))
        if (n->parent == parent && bytes_equal(bytes_of(n->level, n->level_bytes), level)) return n;
    return NULL;
}

static struct trie_node *child_of(const struct subs *s, const struct trie_node *parent, struct bytes level)
{
    if (is_plus(level)) return atomic_load_explicit(&parent->plus, memory_order_acquire);
    return literal_child(s, parent, level, bytes_hash(level, s->seed));
}

static struct trie_node *node_new(struct trie_node *parent, struct bytes level, uint64_t hash)
{
    struct trie_node *n = malloc(sizeof *n + level.len);
    if (n == NULL) return NULL;
    n->parent = parent;
    n->hash = hash;
    atomic_init(&n->plus, NULL);
    atomic_init(&n->here, NULL);
    atomic_init(&n->tail, NULL);
    atomic_init(&n->literals, 0);
    n->level_bytes = (uint32_t)level.len;
    if (level.len > 0) memcpy(n->level, level.at, level.len);
    return n;
}

static void literals_add(struct trie_node *n, uint32_t change)
{
    uint32_t before = atomic_load_explicit(&n->literals, memory_order_relaxed);
    atomic_store_explicit(&n->literals, before + change, memory_order_release);
}

static struct trie_node *child_new(struct subs *s, unsigned shard, struct trie_node *parent,
                                   struct bytes level)
{
    uint64_t hash = edge_hash(parent, bytes_hash(level, s->seed));
    struct trie_node *n = node_new(parent, level, hash);
    if (n == NULL) return NULL;
    if (is_plus(level)) {
        atomic_store_explicit(&parent->plus, n, memory_order_release);
    } else if (table_put(s, shard, &s->edges, hash, n) == ERR_OK) {
        literals_add(parent, 1);
    } else {
        free(n);
        return NULL;
    }
    return n;
}

static bool node_empty(const struct trie_node *n)
{
    return atomic_load_explicit(&n->literals, memory_order_relaxed) == 0 &&
           atomic_load_explicit(&n->plus, memory_order_relaxed) == NULL &&
           atomic_load_explicit(&n->here, memory_order_relaxed) == NULL &&
           atomic_load_explicit(&n->tail, memory_order_relaxed) == NULL;
}

/* Unlinks n and its parents as far as they lead nowhere. */
static void prune(struct subs *s, unsigned shard, struct trie_node *n)
{
    while (n != s->root && node_empty(n)) {
        struct trie_node *parent = n->parent;
        if (atomic_load_explicit(&parent->plus, memory_order_relaxed) == n) {
            atomic_store_explicit(&parent->plus, NULL, memory_order_release);
        } else {
            table_take(s, shard, &s->edges, n->hash, n);
            literals_add(parent, UINT32_MAX);
        }
        reclaim(s, shard, &n->retired);
        n = parent;
    }
}

/* Where a filter hangs, or would hang. */
struct place {
    struct trie_node *node;              /* the last one on the way that exists */
    _Atomic(struct subs_filter *) *slot; /* NULL when a node is missing */
};

static struct place place_of(const struct subs *s, struct bytes filter)
{
    struct topic_levels levels = topic_levels(filter);
    struct place p = { s->root, NULL };
    struct bytes level;
    while (topic_level_next(&levels, &level)) {
        if (is_tail(level)) return (struct place){ p.node, &p.node->tail };
        struct trie_node *child = child_of(s, p.node, level);
        if (child == NULL) return p;
        p.node = child;
    }
    p.slot = &p.node->here;
    return p;
}

struct subs_filter *trie_find(const struct subs *s, struct bytes filter)
{
    struct place p = place_of(s, filter);
    return p.slot == NULL ? NULL : atomic_load_explicit(p.slot, memory_order_acquire);
}

enum err trie_add(struct subs *s, unsigned shard, struct subs_filter *f)
{
    struct topic_levels levels = topic_levels(filter_text(f));
    struct trie_node *n = s->root;
    struct bytes level;
    _Atomic(struct subs_filter *) *slot = NULL;
    while (slot == NULL && topic_level_next(&levels, &level)) {
        if (is_tail(level)) {
            slot = &n->tail;
            continue;
        }
        struct trie_node *child = child_of(s, n, level);
        if (child == NULL) child = child_new(s, shard, n, level);
        if (child == NULL) {
            prune(s, shard, n);
            return ERR_NOMEM;
        }
        n = child;
    }
    if (slot == NULL) slot = &n->here;
    atomic_store_explicit(slot, f, memory_order_release);
    uint32_t before = atomic_load_explicit(&s->wildcards, memory_order_relaxed);
    atomic_store_explicit(&s->wildcards, before + 1, memory_order_release);
    return ERR_OK;
}

void trie_remove(struct subs *s, unsigned shard, struct subs_filter *f)
{
    struct place p = place_of(s, filter_text(f));
    CHECK(p.slot != NULL && atomic_load_explicit(p.slot, memory_order_relaxed) == f);
    atomic_store_explicit(p.slot, NULL, memory_order_release);
    uint32_t before = atomic_load_explicit(&s->wildcards, memory_order_relaxed);
    atomic_store_explicit(&s->wildcards, before - 1, memory_order_release);
    prune(s, shard, p.node);
}

/* The levels of a topic, split and hashed as far as some filter goes. */
struct split {
    struct topic_levels rest;
    unsigned count;
    struct split_level {
        struct bytes text;
        uint64_t hash;
    } levels[TOPIC_LEVELS_MAX];
};

/* Is there a level i? All before it have been asked for. */
static bool split_has(struct split *t, const struct subs *s, unsigned i)
{
    if (i < t->count) return true;
    if (i == TOPIC_LEVELS_MAX || !topic_level_next(&t->rest, &t->levels[i].text)) return false;
    t->levels[i].hash = bytes_hash(t->levels[i].text, s->seed);
    t->count++;
    return true;
}

/* Nodes to visit, with the level of the topic that goes on below them. Each visit takes one and adds at most
 * two that are a level deeper, so there are never more than levels + 1. */
struct visits {
    struct visit {
        const struct trie_node *node;
        unsigned level;
    } at[TOPIC_LEVELS_MAX + 2];
    unsigned count;
};

static void visit_later(struct visits *v, const struct trie_node *n, unsigned level)
{
    if (n == NULL) return;
    CHECK(v->count < TOPIC_LEVELS_MAX + 2);
    v->at[v->count++] = (struct visit){ n, level };
}

static enum err found_in(struct subs_found *found, const _Atomic(struct subs_filter *) *slot)
{
    struct subs_filter *f = atomic_load_explicit(slot, memory_order_acquire);
    return f == NULL ? ERR_OK : found_add(found, f);
}

enum err trie_match(const struct subs *s, struct bytes topic, struct subs_found *found)
{
    struct split t;
    t.rest = topic_levels(topic);
    t.count = 0;
    struct visits v;
    v.count = 0;
    visit_later(&v, s->root, 0);
    /* Wildcards of the first level do not match what begins with '$' [MQTT-4.7.2-1]. */
    bool reserved = topic.len > 0 && topic.at[0] == '$';

    enum err rc = ERR_OK;
    while (rc == ERR_OK && v.count > 0) {
        struct visit at = v.at[--v.count];
        bool wild = at.level > 0 || !reserved;
        if (wild) rc = found_in(found, &at.node->tail); /* also when nothing follows: "a/#" matches "a" */
        if (split_has(&t, s, at.level)) {
            const struct split_level *level = &t.levels[at.level];
            visit_later(&v, literal_child(s, at.node, level->text, level->hash), at.level + 1);
            if (wild)
                visit_later(&v, atomic_load_explicit(&at.node->plus, memory_order_acquire), at.level + 1);
        } else if (rc == ERR_OK) {
            rc = found_in(found, &at.node->here);
        }
    }
    return rc;
}

enum err trie_init(struct subs *s)
{
    s->root = node_new(NULL, (struct bytes){ 0 }, map_hash_u64(s->seed));
    return s->root == NULL ? ERR_NOMEM : ERR_OK;
}

/* n and the chain of its '+' children: the nodes that the table does not list. */
static void free_chain(struct trie_node *n)
{
    while (n != NULL) {
        struct trie_node *plus = atomic_load_explicit(&n->plus, memory_order_relaxed);
        filter_free(atomic_load_explicit(&n->here, memory_order_relaxed));
        filter_free(atomic_load_explicit(&n->tail, memory_order_relaxed));
        free(n);
        n = plus;
    }
}

void trie_fini(struct subs *s)
{
    size_t stripe = 0, slot = 0;
    for (void *n = table_each(&s->edges, &stripe, &slot); n != NULL;
         n = table_each(&s->edges, &stripe, &slot))
        free_chain(n);
    free_chain(s->root);
    table_fini(&s->edges);
}
