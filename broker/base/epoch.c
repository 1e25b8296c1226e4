/* SPDX-License-Identifier: Apache-2.0 */
#include "base/epoch.h"
#include "base/check.h"
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

/*
 * The global number grows with each batch of retirements. A participant publishes the number it saw when it
 * went on line or was quiet; OFF while it sleeps. An object retired at number n is out of reach once every
 * published number is above n: its readers must have been quiet since.
 */
enum { OFF = 0 };

struct slot {
    alignas(64) atomic_uint_fast64_t seen; /* written by its own thread, read by all */
    struct epoch_node *oldest, **newest;   /* its own thread's */
    size_t waiting;
};

struct epoch {
    alignas(64) atomic_uint_fast64_t now;
    epoch_destroy *destroy;
    unsigned count;
    struct slot slots[];
};

static void just_free(struct epoch_node *n)
{
    free(n);
}

enum err epoch_new(struct epoch **out, unsigned participants, epoch_destroy *destroy)
{
    size_t bytes = sizeof(struct epoch) + participants * sizeof(struct slot);
    struct epoch *e = aligned_alloc(64, (bytes + 63) / 64 * 64);
    *out = e;
    if (e == NULL) return ERR_NOMEM;
    atomic_init(&e->now, 1);
    e->destroy = destroy != NULL ? destroy : just_free;
    e->count = participants;
    for (unsigned i = 0; i < participants; i++) {
        atomic_init(&e->slots[i].seen, OFF);
        e->slots[i].oldest = NULL;
        e->slots[i].newest = &e->slots[i].oldest;
        e->slots[i].waiting = 0;
    }
    return ERR_OK;
}

static void destroy_until(const struct epoch *e, struct slot *s, uint64_t below)
{
    while (s->oldest != NULL && s->oldest->retired_at < below) {
        struct epoch_node *n = s->oldest;
        s->oldest = n->next;
        if (s->oldest == NULL) s->newest = &s->oldest;
        s->waiting--;
        e->destroy(n);
    }
}

void epoch_free(struct epoch **owner)
{
    struct epoch *e = *owner;
    *owner = NULL;
    if (e == NULL) return;
    for (unsigned i = 0; i < e->count; i++) {
        CHECK(atomic_load_explicit(&e->slots[i].seen, memory_order_acquire) == OFF);
        destroy_until(e, &e->slots[i], UINT64_MAX);
    }
    free(e);
}

void epoch_online(struct epoch *e, unsigned slot)
{
    struct slot *s = &e->slots[slot];
    uint64_t now = atomic_load_explicit(&e->now, memory_order_acquire);
    /* A writer that missed this store has already raised the number, by the single order of the four
     * sequentially consistent accesses: reading it again shows that, and acquires what was unlinked. */
    for (;;) {
        atomic_store_explicit(&s->seen, now, memory_order_seq_cst);
        uint64_t again = atomic_load_explicit(&e->now, memory_order_seq_cst);
        if (again == now) return;
        now = again;
    }
}

void epoch_offline(struct epoch *e, unsigned slot)
{
    atomic_store_explicit(&e->slots[slot].seen, OFF, memory_order_release);
}

void epoch_retire(struct epoch *e, unsigned slot, struct epoch_node *n)
{
    struct slot *s = &e->slots[slot];
    n->next = NULL;
    n->retired_at = atomic_fetch_add_explicit(&e->now, 1, memory_order_seq_cst);
    *s->newest = n;
    s->newest = &n->next;
    s->waiting++;
}

/* The lowest number that a reader on line has published. */
static uint64_t oldest_reader(const struct epoch *e)
{
    uint64_t lowest = UINT64_MAX;
    for (unsigned i = 0; i < e->count; i++) {
        uint64_t seen = atomic_load_explicit(&e->slots[i].seen, memory_order_seq_cst);
        if (seen != OFF && seen < lowest) lowest = seen;
    }
    return lowest;
}

void epoch_quiet(struct epoch *e, unsigned slot)
{
    struct slot *s = &e->slots[slot];
    epoch_online(e, slot);
    if (s->oldest != NULL) destroy_until(e, s, oldest_reader(e));
}

size_t epoch_waiting(const struct epoch *e, unsigned slot)
{
    return e->slots[slot].waiting;
}
