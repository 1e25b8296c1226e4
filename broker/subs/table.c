/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "subs/subs_int.h"
#include <stdlib.h>

/*
 * A reader takes the item of a slot first and its hash afterwards; a writer stores them the other way round.
 * A slot whose item was removed may be used again: a reader that sees the new hash with the old item, or the
 * other way round, compares the key in vain and goes on, as if it had come a moment earlier.
 */
enum { SLOTS_MIN_BITS = 2, SLOTS_MIN = 1 << SLOTS_MIN_BITS };

char table_gone;

static uintptr_t word_of(const struct table_stripe *s)
{
    return atomic_load_explicit(&s->part, memory_order_relaxed);
}

/* Of 2^bits slots. 0: no memory. */
static uintptr_t part_new(unsigned bits)
{
    size_t slots = (size_t)1 << bits;
    static_assert(SLOTS_MIN * sizeof(struct table_slot) % TABLE_LINE_BYTES == 0, "aligned_alloc wants lines");
    struct table_part *p = aligned_alloc(TABLE_LINE_BYTES, sizeof *p + slots * sizeof p->slots[0]);
    if (p == NULL) return 0;
    for (size_t i = 0; i < slots; i++) {
        atomic_init(&p->slots[i].hash, 0);
        atomic_init(&p->slots[i].item, NULL);
    }
    return (uintptr_t)p | bits;
}

/* True when it took a slot that had never been used. */
static bool part_put(uintptr_t part, uint64_t hash, void *item)
{
    struct table_part *p = table_part_at(part);
    for (size_t i = hash;; i++) {
        struct table_slot *slot = &p->slots[i & table_mask(part)];
        void *before = atomic_load_explicit(&slot->item, memory_order_relaxed);
        if (before != NULL && before != &table_gone) continue;
        atomic_store_explicit(&slot->hash, hash, memory_order_relaxed);
        atomic_store_explicit(&slot->item, item, memory_order_release);
        return before == NULL;
    }
}

/* The next item at or after *slot; *slot moves on. NULL at the end. */
static void *part_next(uintptr_t part, size_t *slot, uint64_t *hash)
{
    const struct table_part *p = table_part_at(part);
    while (p != NULL && *slot <= table_mask(part)) {
        const struct table_slot *at = &p->slots[(*slot)++];
        void *item = atomic_load_explicit(&at->item, memory_order_relaxed);
        *hash = atomic_load_explicit(&at->hash, memory_order_relaxed);
        if (item != NULL && item != &table_gone) return item;
    }
    return NULL;
}

/* A fresh copy without removed slots, at most half full: larger, equal or smaller than before. */
static enum err rebuild(struct subs *s, unsigned shard, struct table_stripe *stripe)
{
    unsigned bits = SLOTS_MIN_BITS;
    size_t at = 0;
    while ((size_t)1 << bits < ((size_t)stripe->live + 1) * 2) bits++;
    uintptr_t old = word_of(stripe), fresh = part_new(bits);
    if (fresh == 0) return ERR_NOMEM;

    uint64_t hash;
    for (void *item = part_next(old, &at, &hash); item != NULL; item = part_next(old, &at, &hash))
        part_put(fresh, hash, item);
    stripe->used = stripe->live;
    atomic_store_explicit(&stripe->part, fresh, memory_order_release);
    if (old != 0) reclaim(s, shard, &table_part_at(old)->retired);
    return ERR_OK;
}

enum err table_put(struct subs *s, unsigned shard, struct table *t, uint64_t hash, void *item)
{
    struct table_stripe *stripe = &t->stripes[hash >> 56];
    uintptr_t part = word_of(stripe);
    if (part == 0 || ((size_t)stripe->used + 1) * 4 > (table_mask(part) + 1) * 3) {
        enum err rc = rebuild(s, shard, stripe);
        if (rc != ERR_OK) return rc;
    }
    stripe->used += part_put(word_of(stripe), hash, item);
    stripe->live++;
    return ERR_OK;
}

void table_take(struct subs *s, unsigned shard, struct table *t, uint64_t hash, const void *item)
{
    struct table_stripe *stripe = &t->stripes[hash >> 56];
    uintptr_t part = word_of(stripe);
    struct table_part *p = table_part_at(part);
    CHECK(p != NULL);

    size_t i = hash & table_mask(part);
    while (atomic_load_explicit(&p->slots[i].item, memory_order_relaxed) != item) {
        CHECK(atomic_load_explicit(&p->slots[i].item, memory_order_relaxed) != NULL);
        i = (i + 1) & table_mask(part);
    }
    atomic_store_explicit(&p->slots[i].item, &table_gone, memory_order_release);
    if (--stripe->live > 0) return;

    stripe->used = 0;
    atomic_store_explicit(&stripe->part, 0, memory_order_release);
    reclaim(s, shard, &p->retired);
}

void *table_each(const struct table *t, size_t *stripe, size_t *slot)
{
    uint64_t hash;
    for (; *stripe < TABLE_STRIPES; (*stripe)++, *slot = 0) {
        void *item = part_next(word_of(&t->stripes[*stripe]), slot, &hash);
        if (item != NULL) return item;
    }
    return NULL;
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < TABLE_STRIPES; i++) free(table_part_at(word_of(&t->stripes[i])));
}
