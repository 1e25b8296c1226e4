/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "subs/subs_int.h"
#include <stdlib.h>

/*
 * One shard's subscribers of one filter: a list of chunks. Most filters have one subscriber, so the first
 * chunk has room for one; it grows by copying, and only full chunks of the largest size are followed by more.
 *
 *   array.first --> chunk --next--> chunk --next--> NULL        the owner's way back: prev
 *                     `------------prev------------>            the prev of the first is the last
 *
 * Entries keep their order whatever happens, so a reader on its way meets each subscriber that stays exactly
 * once: an entry is blanked in place; a chunk that is half empty gives way to a denser copy, together with
 * its neighbour if that is sparse too; and one store switches readers from the old chunks to the new one.
 * Who stands on an old chunk goes on by its next, which does not change any more.
 */
enum { CHUNK_ROOM_MAX = 64, CHUNK_MERGE_MAX = CHUNK_ROOM_MAX / 2, CHUNK_GROW_MAX = CHUNK_ROOM_MAX / 4 * 3 };

static uint32_t room_for(uint32_t entries)
{
    uint32_t room = 1;
    while (room < entries) room *= 4;
    return room;
}

static_assert(CHUNK_ROOM_MAX == 1 * 4 * 4 * 4, "room_for ends at the largest chunk");

static struct subs_chunk *first_of(const struct subs_array *a)
{
    return atomic_load_explicit(&a->first, memory_order_relaxed);
}

static struct subs_chunk *next_of(const struct subs_chunk *c)
{
    return atomic_load_explicit(&c->next, memory_order_relaxed);
}

static uint32_t count_of(const struct subs_chunk *c)
{
    return atomic_load_explicit(&c->count, memory_order_relaxed);
}

static struct subs_chunk *chunk_new(uint32_t room)
{
    struct subs_chunk *c = malloc(sizeof *c + room * sizeof c->entries[0]);
    if (c == NULL) return NULL;
    atomic_init(&c->next, NULL);
    atomic_init(&c->count, 0);
    c->prev = c;
    c->room = (uint16_t)room;
    c->live = 0;
    return c;
}

/* Readers see the entry with the count, and not before. */
static void chunk_put(struct subs_chunk *c, struct sub *sub, struct sub_options options)
{
    uint32_t at = count_of(c);
    DCHECK(at < c->room);
    atomic_init(&c->entries[at].sub, sub);
    atomic_init(&c->entries[at].durable_no, sub->durable_no);
    c->entries[at].options = options;
    sub->chunk = c;
    sub->index = (uint16_t)at;
    c->live++;
    atomic_store_explicit(&c->count, at + 1, memory_order_release);
}

/* Appends the entries of from that are not blank to c, which no reader knows yet. */
static void chunk_move(struct subs_chunk *c, const struct subs_chunk *from)
{
    for (uint32_t i = 0; i < count_of(from); i++) {
        struct sub *sub = subs_entry_sub(&from->entries[i]);
        if (sub != NULL) chunk_put(c, sub, from->entries[i].options);
    }
}

/* Puts c (NULL: nothing) in the place of the chunks from old to old_end, which are retired. */
struct run {
    struct subs_chunk *old, *old_end;
};

static void splice(struct subs *s, unsigned shard, struct subs_array *a, struct run run, struct subs_chunk *c)
{
    struct subs_chunk *first = first_of(a), *last = first->prev;
    struct subs_chunk *before = run.old == first ? NULL : run.old->prev;
    struct subs_chunk *next = next_of(run.old_end);

    if (c != NULL) {
        atomic_store_explicit(&c->next, next, memory_order_relaxed);
        c->prev = before;
    }
    struct subs_chunk *head = c != NULL ? c : next;
    atomic_store_explicit(before == NULL ? &a->first : &before->next, head, memory_order_release);
    if (next != NULL) next->prev = c != NULL ? c : before;
    if (next == NULL) last = c != NULL ? c : before;
    first = first_of(a);
    if (first != NULL) first->prev = last;

    for (struct subs_chunk *old = run.old; old != next;) {
        struct subs_chunk *after = next_of(old);
        reclaim(s, shard, &old->retired);
        old = after;
    }
}

static void link_last(struct subs_array *a, struct subs_chunk *c)
{
    struct subs_chunk *first = first_of(a);
    if (first == NULL) {
        atomic_store_explicit(&a->first, c, memory_order_release);
        return;
    }
    c->prev = first->prev;
    atomic_store_explicit(&c->prev->next, c, memory_order_release);
    first->prev = c;
}

static enum err append(struct subs *s, unsigned shard, struct subs_array *a, struct sub *sub)
{
    struct subs_chunk *last = array_empty(a) ? NULL : first_of(a)->prev;
    if (last != NULL && count_of(last) < last->room) {
        chunk_put(last, sub, sub->options);
        return ERR_OK;
    }
    /* A large one that is full of blanks is copied too, but not for a few: that would be again and again. */
    bool grows = last != NULL && last->live <= CHUNK_GROW_MAX;
    uint32_t room = last == NULL ? 1 : grows ? room_for(last->live + 1u) : CHUNK_ROOM_MAX;
    struct subs_chunk *c = chunk_new(room);
    if (c == NULL) return ERR_NOMEM;

    if (grows) chunk_move(c, last);
    chunk_put(c, sub, sub->options);
    if (grows)
        splice(s, shard, a, (struct run){ last, last }, c);
    else
        link_last(a, c);
    return ERR_OK;
}

/* The counter that a subscription belongs to. */
static _Atomic(uint32_t) *counter_of(struct subs_array *a, const struct sub *sub, struct sub_options options)
{
    return sub->durable_no != 0 && options.qos >= 1 ? &a->durable : &a->direct;
}

/* Only the owner writes a counter: load and store are enough. */
static void raise(_Atomic(uint32_t) *counter)
{
    uint32_t n = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, n + 1, memory_order_release);
}

static void lower(_Atomic(uint32_t) *counter)
{
    uint32_t n = atomic_load_explicit(counter, memory_order_relaxed);
    DCHECK(n > 0);
    atomic_store_explicit(counter, n - 1, memory_order_release);
}

void array_init(struct subs_array *a)
{
    atomic_init(&a->first, NULL);
    atomic_init(&a->direct, 0);
    atomic_init(&a->durable, 0);
}

void array_fini(struct subs_array *a)
{
    for (struct subs_chunk *c = first_of(a); c != NULL;) {
        struct subs_chunk *next = next_of(c);
        free(c);
        c = next;
    }
}

enum err array_add(struct subs *s, unsigned shard, struct subs_array *a, struct sub *sub)
{
    raise(counter_of(a, sub, sub->options));
    enum err rc = append(s, shard, a, sub);
    if (rc != ERR_OK) lower(counter_of(a, sub, sub->options));
    return rc;
}

enum err array_change(struct subs *s, unsigned shard, struct sub *sub, struct sub_options options)
{
    struct subs_array *a = &sub->filter->arrays[shard];
    struct subs_chunk *old = sub->chunk, *c = chunk_new(room_for(old->live));
    if (c == NULL) return ERR_NOMEM;

    raise(counter_of(a, sub, options));
    chunk_move(c, old);
    c->entries[sub->index].options = options;
    splice(s, shard, a, (struct run){ old, old }, c);
    lower(counter_of(a, sub, sub->options));
    sub->options = options;
    return ERR_OK;
}

/* A sparse chunk, with its neighbours as far as they are sparse as well. */
static struct run run_around(const struct subs_array *a, struct subs_chunk *c, uint32_t *live)
{
    struct run run = { c, c };
    struct subs_chunk *next = next_of(c), *prev = c == first_of(a) ? NULL : c->prev;
    *live = c->live;
    if (next != NULL && *live + next->live <= CHUNK_MERGE_MAX) {
        run.old_end = next;
        *live += next->live;
    }
    if (prev != NULL && *live + prev->live <= CHUNK_MERGE_MAX) {
        run.old = prev;
        *live += prev->live;
    }
    return run;
}

/* After a removal: c goes when it is empty, gives way when it is sparse, else stays; also without memory. */
static void tidy(struct subs *s, unsigned shard, struct subs_array *a, struct subs_chunk *c)
{
    if (c->live == 0) {
        splice(s, shard, a, (struct run){ c, c }, NULL);
        return;
    }
    if (c->live > count_of(c) / 2) return;

    uint32_t live;
    struct run run = run_around(a, c, &live);
    struct subs_chunk *end = next_of(run.old_end);
    /* Only the last one is appended to. */
    struct subs_chunk *denser = chunk_new(end == NULL ? room_for(live) : live);
    if (denser == NULL) return;
    for (const struct subs_chunk *old = run.old; old != end; old = next_of(old)) chunk_move(denser, old);
    splice(s, shard, a, run, denser);
}

void array_remove(struct subs *s, unsigned shard, struct sub *sub)
{
    struct subs_array *a = &sub->filter->arrays[shard];
    struct subs_chunk *c = sub->chunk;
    CHECK(subs_entry_sub(&c->entries[sub->index]) == sub);

    atomic_store_explicit(&c->entries[sub->index].sub, NULL, memory_order_relaxed);
    atomic_store_explicit(&c->entries[sub->index].durable_no, 0, memory_order_relaxed);
    c->live--;
    tidy(s, shard, a, c);
    lower(counter_of(a, sub, sub->options));
    sub->chunk = NULL;
}
