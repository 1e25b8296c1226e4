/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/addresses.h"
#include "base/bucket.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/gauge.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_STRIPES = 64 };

struct key {
    uint8_t kind;
    uint8_t bytes[16];
    uint16_t listener;
};

struct stripe {
    struct lock lock; /* guards all of it, and its entries but for their buckets */
    struct map map;
    struct list idle; /* without connections, the one that waits longest first */
};

struct address {
    struct key key;
    uint64_t hash;
    struct stripe *stripe;
    uint32_t connections;
    struct list idle;
    struct bucket connects, bytes;
};

struct addresses {
    uint64_t seed;
    uint32_t entries_max;
    struct gauge count;
    struct stripe stripes[ADDRESS_STRIPES + 1]; /* the last one has no map: it is the shared entry's */
    struct address shared;
};

enum err addresses_new(struct addresses **out, uint32_t entries_max, uint64_t seed)
{
    struct addresses *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL) return ERR_NOMEM;
    t->seed = seed;
    t->entries_max = entries_max;
    for (size_t i = 0; i <= ADDRESS_STRIPES; i++) {
        lock_init(&t->stripes[i].lock, LOCK_RANK_ADDRESSES);
        map_init(&t->stripes[i].map);
        list_init(&t->stripes[i].idle);
    }
    t->shared.stripe = &t->stripes[ADDRESS_STRIPES];
    list_init(&t->shared.idle);
    return ERR_OK;
}

static bool key_is(const void *item, const void *key)
{
    return memcmp(&((const struct address *)item)->key, key, sizeof(struct key)) == 0;
}

static void entry_free(struct addresses *t, struct address *a)
{
    list_remove(&a->idle);
    map_take(&a->stripe->map, a->hash, key_is, &a->key);
    gauge_give(&t->count);
    free(a);
}

void addresses_free(struct addresses **owner)
{
    struct addresses *t = *owner;
    *owner = NULL;
    if (t == NULL) return;
    for (size_t i = 0; i <= ADDRESS_STRIPES; i++) {
        struct stripe *s = &t->stripes[i];
        size_t at = 0;
        for (struct address *a = map_next(&s->map, &at); a != NULL; a = map_next(&s->map, &at)) free(a);
        map_fini(&s->map);
        lock_fini(&s->lock);
    }
    free(t);
}

static struct key key_of(const struct net_address *a, uint16_t listener)
{
    struct key k;
    memset(&k, 0, sizeof k); /* its padding is compared, too */
    k.kind = a->kind;
    k.listener = listener;
    if (a->kind == ADDRESS_V4) memcpy(k.bytes, a->bytes, 4);
    if (a->kind == ADDRESS_V6) memcpy(k.bytes, a->bytes, 8);
    return k;
}

static bool is_at_rest(const struct address *a, uint64_t now_ms)
{
    return bucket_at_rest(&a->connects, now_ms) && bucket_at_rest(&a->bytes, now_ms);
}

/* Some of those that have nothing to remember any more go whenever another one comes: there are never more of
 * them than have come. */
static void tidy_locked(struct addresses *t, struct stripe *s, uint64_t now_ms)
{
    enum { LOOKS = 2 };
    for (int i = 0; i < LOOKS && !list_empty(&s->idle); i++) {
        struct address *a = CONTAINER(s->idle.next, struct address, idle);
        if (is_at_rest(a, now_ms)) {
            entry_free(t, a);
        } else {
            list_remove(&a->idle);
            list_add(&s->idle, &a->idle);
        }
    }
}

/* Room for one more; in need, of one that has no connection and would only be remembered a little longer. */
static bool room_locked(struct addresses *t, struct stripe *s)
{
    if (gauge_take(&t->count, t->entries_max)) return true;
    if (list_empty(&s->idle)) return false;
    entry_free(t, CONTAINER(s->idle.next, struct address, idle));
    return gauge_take(&t->count, t->entries_max);
}

/* NULL: no room. */
static struct address *entry_new_locked(struct addresses *t, struct stripe *s, const struct key *k,
                                        uint64_t hash)
{
    if (!room_locked(t, s)) return NULL;
    struct address *a = calloc(1, sizeof *a);
    if (a != NULL) {
        memcpy(&a->key, k, sizeof *k);
        a->hash = hash;
        a->stripe = s;
        list_init(&a->idle);
        if (map_put(&s->map, hash, a) == ERR_OK) return a;
    }
    free(a);
    gauge_give(&t->count);
    return NULL;
}

static enum err enter_locked(struct address *a, const struct address_limits *limits, uint64_t now_ms)
{
    if (a->connections >= limits->connections) return ERR_FULL;
    bool limited = limits->connect_rate != ADDRESS_NO_LIMIT;
    if (limited && !bucket_take(&a->connects, limits->connect_rate, now_ms)) return ERR_AGAIN;
    a->connections++;
    list_remove(&a->idle);
    return ERR_OK;
}

static enum err enter_shared(struct addresses *t, const struct address_limits *limits, uint64_t now_ms,
                             struct address **out)
{
    lock_take(&t->shared.stripe->lock);
    enum err rc = enter_locked(&t->shared, limits, now_ms);
    lock_release(&t->shared.stripe->lock);
    *out = rc == ERR_OK ? &t->shared : NULL;
    return rc;
}

enum err address_enter(struct addresses *t, const struct address_from *from, uint64_t now_ms,
                       struct address **out)
{
    struct key k = key_of(from->address, from->listener);
    uint64_t hash = bytes_hash(bytes_of(&k, sizeof k), t->seed);
    struct stripe *s = &t->stripes[(hash >> 32) % ADDRESS_STRIPES];
    enum err rc = ERR_OK;
    lock_take(&s->lock);
    tidy_locked(t, s, now_ms);
    struct address *a = map_get(&s->map, hash, key_is, &k);
    if (a == NULL) a = entry_new_locked(t, s, &k, hash);
    if (a != NULL) rc = enter_locked(a, &from->limits, now_ms);
    if (rc != ERR_OK && a->connections == 0 && list_empty(&a->idle)) list_add(&s->idle, &a->idle);
    lock_release(&s->lock);
    if (a == NULL) return enter_shared(t, &from->limits, now_ms, out);
    *out = rc == ERR_OK ? a : NULL;
    return rc;
}

void address_leave(struct addresses *t, struct address **owner, uint64_t now_ms)
{
    struct address *a = *owner;
    *owner = NULL;
    if (a == NULL) return;
    struct stripe *s = a->stripe;
    lock_take(&s->lock);
    CHECK(a->connections > 0);
    bool is_last = --a->connections == 0 && a != &t->shared;
    if (is_last && is_at_rest(a, now_ms))
        entry_free(t, a);
    else if (is_last)
        list_add(&s->idle, &a->idle);
    lock_release(&s->lock);
}

uint64_t address_spend(struct address *a, uint32_t rate, uint32_t n, uint64_t now_ms)
{
    return n == 0 ? bucket_wait_ms(&a->bytes, rate, now_ms) : bucket_spend(&a->bytes, rate, n, now_ms);
}

void address_forgive(struct address *a)
{
    bucket_refill(&a->bytes);
}

uint32_t addresses_count(const struct addresses *t)
{
    return gauge_count(&t->count);
}
