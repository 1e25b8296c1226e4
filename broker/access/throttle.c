/* SPDX-License-Identifier: Apache-2.0 */
#include "access/throttle.h"
#include "base/lock.h"
#include <stdlib.h>

/* Two tables of sets: a key stands in one of the WAYS slots of its set, or is forgotten. */
enum { WAYS = 8, SETS = THROTTLE_SLOTS / WAYS, FAILURES_MAX = 16 };

struct slot {
    uint64_t key; /* 0: free */
    uint64_t at_ms;
    uint32_t failures;
};

struct table {
    struct slot slots[SETS][WAYS];
};

struct throttle {
    struct lock lock; /* guards both */
    struct table addresses, accounts;
};

enum err throttle_new(struct throttle **out)
{
    struct throttle *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL) return ERR_NOMEM;
    lock_init(&t->lock, LOCK_RANK_LOGIN);
    return ERR_OK;
}

void throttle_free(struct throttle **owner)
{
    struct throttle *t = *owner;
    *owner = NULL;
    if (t == NULL) return;
    lock_fini(&t->lock);
    free(t);
}

/* What is left of its failures. */
static uint32_t weight(const struct slot *s, uint64_t now_ms)
{
    if (s->key == 0) return 0;
    uint64_t halves = now_ms > s->at_ms ? (now_ms - s->at_ms) / THROTTLE_HALF_MS : 0;
    return halves > 31 ? 0 : s->failures >> halves;
}

static struct slot *find(struct table *t, uint64_t key)
{
    struct slot *set = t->slots[key % SETS];
    for (int i = 0; i < WAYS; i++)
        if (set[i].key == key) return &set[i];
    return NULL;
}

/* Its own, or that of the set's least. */
static struct slot *take(struct table *t, uint64_t key, uint64_t now_ms)
{
    struct slot *set = t->slots[key % SETS], *least = find(t, key);
    if (least != NULL) return least;
    least = &set[0];
    for (int i = 1; i < WAYS; i++)
        if (weight(&set[i], now_ms) < weight(least, now_ms)) least = &set[i];
    *least = (struct slot){ .key = key, .at_ms = now_ms };
    return least;
}

static uint32_t delay_of(struct table *t, uint64_t key, uint64_t now_ms, uint32_t most_ms)
{
    const struct slot *s = key == 0 ? NULL : find(t, key);
    uint32_t failures = s == NULL ? 0 : weight(s, now_ms);
    if (failures < THROTTLE_FREE) return 0;
    uint32_t ms = (uint32_t)THROTTLE_FIRST_MS << (failures - THROTTLE_FREE);
    return ms < most_ms ? ms : most_ms;
}

uint32_t throttle_delay_ms(struct throttle *t, const struct throttle_keys *k, uint64_t now_ms)
{
    lock_take(&t->lock);
    uint32_t a = delay_of(&t->addresses, k->address, now_ms, THROTTLE_ADDRESS_MOST_MS);
    uint32_t b = delay_of(&t->accounts, k->account, now_ms, THROTTLE_ACCOUNT_MOST_MS);
    lock_release(&t->lock);
    return a > b ? a : b;
}

static void count(struct table *t, uint64_t key, uint64_t now_ms)
{
    if (key == 0) return;
    struct slot *s = take(t, key, now_ms);
    uint32_t failures = weight(s, now_ms);
    s->failures = failures < FAILURES_MAX ? failures + 1 : FAILURES_MAX;
    s->at_ms = now_ms;
}

void throttle_failed(struct throttle *t, const struct throttle_keys *k, uint64_t now_ms)
{
    lock_take(&t->lock);
    count(&t->addresses, k->address, now_ms);
    count(&t->accounts, k->account, now_ms);
    lock_release(&t->lock);
}

void throttle_passed(struct throttle *t, const struct throttle_keys *k)
{
    lock_take(&t->lock);
    struct slot *s = k->account == 0 ? NULL : find(&t->accounts, k->account);
    if (s != NULL) *s = (struct slot){ 0 };
    lock_release(&t->lock);
}
