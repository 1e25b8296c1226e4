/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subs_int - the parts of subs: arrays of subscribers, lock-free tables, the trie of wildcard filters.
 *
 *   topic --hash--> exact: table of filters ------------------------> filter --> array of shard 0: chunks
 *     |                                                                      --> array of shard 1: chunks
 *     +--levels---> trie: root --edges: (parent, level) --> node --> filter
 *                           `--plus--> node                  `--tail ('#')--> filter
 *
 * The literal edges of all nodes are in one table, so a node needs no table of its own.
 *
 * Thread:  what readers follow is atomic: stored with release once it is complete, loaded with acquire. What
 *          a function here changes needs subs.lock, except arrays, which their own shard changes.
 * Memory:  whatever a reader may have seen is retired, never freed.
 * Limits:  as subs.h.
 * Errors:  ERR_NOMEM, and nothing changes.
 * Tests:   tests/unit/test_subs.c, tests/unit/test_subs_threads.c
 */
#ifndef SUBS_SUBS_INT_H
#define SUBS_SUBS_INT_H

#include "base/limits.h"
#include "base/lock.h"
#include "subs/subs.h"
#include "topic/topic.h"

/* Open addressing with linear probing, written by one thread at a time and read by all. Many small tables
 * instead of one, so that growing one copies little. A look-up in a large index is a wait for memory, so it
 * touches one line of its table: slots lie four to a line, and how many there are stands in the word that
 * says where. */
enum { TABLE_STRIPES = 256, TABLE_LINE_BYTES = 64 };

struct table_slot {
    _Atomic(uint64_t) hash;
    _Atomic(void *) item; /* NULL: never used, ends a run. table_gone: removed */
};

struct table_part {
    _Alignas(TABLE_LINE_BYTES) struct epoch_node retired;
    _Alignas(TABLE_LINE_BYTES) struct table_slot slots[];
};

struct table_stripe {
    _Atomic(uintptr_t) part; /* its address and, in the bits that are 0 there, log2 of its slots; 0: empty */
    uint32_t live, used;     /* the writer's: items, and slots that are not NULL */
};

struct table {
    struct table_stripe stripes[TABLE_STRIPES];
};

extern char table_gone;

static inline struct table_part *table_part_at(uintptr_t word)
{
    return (struct table_part *)(word & ~(uintptr_t)(TABLE_LINE_BYTES - 1));
}
static inline size_t table_mask(uintptr_t word)
{
    return ((size_t)1 << (word & (TABLE_LINE_BYTES - 1))) - 1;
}

/* The items that carry this hash, one after the other: the caller compares the key. */
struct table_probe {
    const struct table_part *part;
    uint64_t hash;
    size_t at, mask;
};

static inline struct table_probe table_probe(const struct table *t, uint64_t hash)
{
    const struct table_stripe *s = &t->stripes[hash >> 56];
    uintptr_t word = atomic_load_explicit(&s->part, memory_order_acquire);
    return (struct table_probe){ table_part_at(word), hash, hash, table_mask(word) };
}

/* Asks for the memory of the first slot. */
static inline void table_probe_soon(const struct table_probe *p)
{
    if (p->part != NULL) __builtin_prefetch(&p->part->slots[p->at & p->mask]);
}

static inline void *table_probe_next(struct table_probe *p)
{
    while (p->part != NULL) {
        const struct table_slot *slot = &p->part->slots[p->at++ & p->mask];
        void *item = atomic_load_explicit(&slot->item, memory_order_acquire);
        if (item == NULL) return NULL;
        if (item != &table_gone && atomic_load_explicit(&slot->hash, memory_order_relaxed) == p->hash)
            return item;
    }
    return NULL;
}

/* Every item, in no order, for destroying all. NULL at the end. */
void *table_each(const struct table *t, size_t *stripe, size_t *slot);

/* One filter that has subscribers. The text follows the arrays. */
struct subs_filter {
    struct epoch_node retired;
    uint16_t text_bytes;
    uint16_t shards;
    uint16_t shards_used; /* shards with a subscriber; guarded by subs.lock */
    bool wildcard;
    struct subs_array arrays[]; /* one for each shard */
};

/* There may be millions of filters with one subscriber. */
static_assert(sizeof(struct sub) <= 40, "a subscriber");
static_assert(sizeof(struct subs_chunk) + sizeof(struct subs_entry) <= 56, "the chunk of one subscriber");
static_assert(TOPIC_BYTES_MAX <= UINT16_MAX, "a filter's length must fit");

/* One level of wildcard filters; '#' is no level of its own. */
struct trie_node {
    struct epoch_node retired;
    struct trie_node *parent;
    uint64_t hash; /* of the levels down to here */
    _Atomic(struct trie_node *) plus;
    _Atomic(struct subs_filter *) here; /* the filter that ends here */
    _Atomic(struct subs_filter *) tail; /* the filter that goes on with '#' and ends */
    _Atomic(uint32_t) literals;         /* children that are not '+' */
    uint32_t level_bytes;
    uint8_t level[];
};

struct subs {
    struct epoch *epoch;
    uint64_t seed;
    unsigned shards;
    _Atomic(uint32_t) wildcards; /* filters in the trie */
    struct trie_node *root;
    struct table exact; /* of struct subs_filter, by text */
    struct table edges; /* of struct trie_node, by parent and level */
    struct lock lock; /* guards writing to exact, edges, trie nodes, and shards_used; far from what is read */
};

/* Destroys n, which begins with its epoch_node, after the last reader. */
void reclaim(struct subs *s, unsigned shard, struct epoch_node *n);

/* --- table.c */
enum err table_put(struct subs *s, unsigned shard, struct table *t, uint64_t hash, void *item);
void table_take(struct subs *s, unsigned shard, struct table *t, uint64_t hash, const void *item);
void table_fini(struct table *t);

/* --- array.c; only by the shard that owns the array */
static inline bool array_empty(const struct subs_array *a)
{
    return atomic_load_explicit(&a->first, memory_order_relaxed) == NULL;
}
void array_init(struct subs_array *a);
void array_fini(struct subs_array *a);
enum err array_add(struct subs *s, unsigned shard, struct subs_array *a, struct sub *sub);
enum err array_change(struct subs *s, unsigned shard, struct sub *sub, struct sub_options options);
void array_remove(struct subs *s, unsigned shard, struct sub *sub);

/* --- trie.c */
enum err trie_init(struct subs *s);
void trie_fini(struct subs *s);
struct subs_filter *trie_find(const struct subs *s, struct bytes filter);
enum err trie_add(struct subs *s, unsigned shard, struct subs_filter *f);
void trie_remove(struct subs *s, unsigned shard, struct subs_filter *f);
enum err trie_match(const struct subs *s, struct bytes topic, struct subs_found *found);

/* --- subs.c */
struct bytes filter_text(const struct subs_filter *f);
void filter_free(struct subs_filter *f);
enum err found_add(struct subs_found *found, struct subs_filter *f);

#endif
