/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/table.h"
#include "base/check.h"
#include "base/map.h"
#include <assert.h>
#include <stdlib.h>

static_assert(sizeof(struct ka_entry) <= KA_ENTRY_BYTES, "what table.h promises");

enum { BLOCK_ENTRIES = 64 };

struct block {
    struct block *next;
    struct ka_entry entries[BLOCK_ENTRIES];
};

struct ka_table {
    uint32_t entries_max, count;
    struct map map;         /* client -> its entry used last; the others follow by next */
    struct list used;       /* longest unused first */
    struct list dirty;      /* longest dirty first */
    struct ka_entry *spare; /* by next */
    struct block *blocks;
    uint32_t of_class[KA_CLASSES];
};

enum err ka_table_new(struct ka_table **out, uint32_t entries_max)
{
    struct ka_table *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL) return ERR_NOMEM;
    t->entries_max = entries_max;
    map_init(&t->map);
    list_init(&t->used);
    list_init(&t->dirty);
    return ERR_OK;
}

void ka_table_free(struct ka_table **owner)
{
    struct ka_table *t = *owner;
    *owner = NULL;
    if (t == NULL) return;
    while (t->blocks != NULL) {
        struct block *b = t->blocks;
        t->blocks = b->next;
        free(b);
    }
    map_fini(&t->map);
    free(t);
}

static bool is_client(const void *item, const void *key)
{
    return ((const struct ka_entry *)item)->client == *(const uint64_t *)key;
}

struct ka_entry *ka_table_first(struct ka_table *t, uint64_t client)
{
    return map_get(&t->map, map_hash_u64(client), is_client, &client);
}

struct ka_entry *ka_table_find(struct ka_table *t, uint64_t client, uint64_t net)
{
    struct ka_entry *e = ka_table_first(t, client);
    while (e != NULL && e->net != net) e = e->next;
    return e;
}

/* Puts the client's chain into the map, whoever is its first now. */
static enum err put_first(struct ka_table *t, struct ka_entry *first)
{
    uint64_t hash = map_hash_u64(first->client);
    map_take(&t->map, hash, is_client, &first->client);
    return map_put(&t->map, hash, first);
}

static void unchain(struct ka_table *t, struct ka_entry *e)
{
    struct ka_entry *first = ka_table_first(t, e->client);
    if (first != e) {
        struct ka_entry *before = first;
        while (before->next != e) before = before->next;
        before->next = e->next;
        return;
    }
    map_take(&t->map, map_hash_u64(e->client), is_client, &e->client);
    /* Cannot fail: the slot has just become free. */
    if (e->next != NULL) (void)map_put(&t->map, map_hash_u64(e->client), e->next);
}

static void let_go(struct ka_table *t, struct ka_entry *e)
{
    unchain(t, e);
    list_remove(&e->of_used);
    list_remove(&e->of_dirty);
    t->of_class[e->class]--;
    *e = (struct ka_entry){ .next = t->spare };
    t->spare = e;
    t->count--;
}

static void grow(struct ka_table *t)
{
    struct block *b = calloc(1, sizeof *b);
    if (b == NULL) return;
    b->next = t->blocks;
    t->blocks = b;
    for (unsigned i = 0; i < BLOCK_ENTRIES; i++) {
        b->entries[i].next = t->spare;
        t->spare = &b->entries[i];
    }
}

/* The client's network that was used longest ago goes when there are too many: the last of its chain. */
static void keep_few(struct ka_table *t, uint64_t client)
{
    unsigned count = 0;
    struct ka_entry *last = NULL;
    for (struct ka_entry *e = ka_table_first(t, client); e != NULL; e = e->next) {
        last = e;
        count++;
    }
    if (count >= KA_NETS_OF_CLIENT_MAX) let_go(t, last);
}

static struct ka_entry *make(struct ka_table *t, uint64_t client, uint64_t net)
{
    if (t->entries_max == 0) return NULL;
    keep_few(t, client);
    if (t->count >= t->entries_max) let_go(t, CONTAINER(t->used.next, struct ka_entry, of_used));
    if (t->spare == NULL) grow(t);

    struct ka_entry *e = t->spare, *others = ka_table_first(t, client);
    if (e == NULL) return NULL;
    struct ka_entry *spare = e->next;
    *e = (struct ka_entry){ .client = client, .net = net, .next = others };
    if (put_first(t, e) != ERR_OK) { /* then the client had no entry: nothing else is lost */
        e->next = spare;
        return NULL;
    }
    t->spare = spare;
    list_init(&e->of_dirty);
    list_add(&t->used, &e->of_used);
    t->of_class[e->class]++;
    t->count++;
    return e;
}

static void use(struct ka_table *t, struct ka_entry *e)
{
    struct ka_entry *first = ka_table_first(t, e->client);
    list_remove(&e->of_used);
    list_add(&t->used, &e->of_used);
    if (first == e) return;
    unchain(t, e);
    e->next = first;
    (void)put_first(t, e); /* takes the slot that first had */
}

struct ka_entry *ka_table_get(struct ka_table *t, uint64_t client, uint64_t net, bool *is_new)
{
    struct ka_entry *e = ka_table_find(t, client, net);
    *is_new = e == NULL;
    if (e == NULL) return make(t, client, net);
    use(t, e);
    return e;
}

void ka_table_dirty(struct ka_table *t, struct ka_entry *e)
{
    if (e->is_dirty) return;
    e->is_dirty = true;
    list_add(&t->dirty, &e->of_dirty);
}

struct ka_entry *ka_table_next_dirty(struct ka_table *t)
{
    if (list_empty(&t->dirty)) return NULL;
    struct ka_entry *e = CONTAINER(t->dirty.next, struct ka_entry, of_dirty);
    list_remove(&e->of_dirty);
    e->is_dirty = false;
    return e;
}

uint32_t ka_table_count(const struct ka_table *t)
{
    return t->count;
}

void ka_table_put_into_class(struct ka_table *t, struct ka_entry *e, unsigned which)
{
    DCHECK(which < KA_CLASSES);
    t->of_class[e->class]--;
    e->class = (uint8_t)which;
    t->of_class[which]++;
}

uint32_t ka_table_count_of_class(const struct ka_table *t, unsigned which)
{
    return t->of_class[which];
}
