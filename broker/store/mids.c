/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mids.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include <stdlib.h>

/* One client's: exists while it has an id. */
struct owner {
    struct list mids; /* oldest first */
    uint32_t count;
    uint32_t id_bytes;
    uint8_t id[];
};

struct mid {
    struct list all, of_owner;
    struct owner *owner;
    uint64_t until_ms;
    uint32_t bytes;
    uint8_t id[];
};

struct mids {
    struct map owners, mids;
    struct list all; /* oldest first */
    size_t bytes;
    uint64_t seed; /* peers choose the ids */
};

/* Where an id is: its owner's hash is part of its own. */
struct place {
    struct bytes client_id, mid;
    uint64_t owner_hash, hash;
};

static struct place place_of(const struct mids *m, struct bytes client_id, struct bytes mid)
{
    uint64_t owner_hash = bytes_hash(client_id, m->seed);
    return (struct place){ client_id, mid, owner_hash, bytes_hash(mid, owner_hash) };
}

static struct bytes owner_id(const struct owner *o)
{
    return bytes_of(o->id, o->id_bytes);
}

static struct bytes mid_id(const struct mid *d)
{
    return bytes_of(d->id, d->bytes);
}

static bool is_owner(const void *item, const void *key)
{
    const struct place *p = key;
    return bytes_equal(owner_id(item), p->client_id);
}

static bool is_mid(const void *item, const void *key)
{
    const struct mid *d = item;
    const struct place *p = key;
    return bytes_equal(mid_id(d), p->mid) && is_owner(d->owner, key);
}

/* What one counts as: the same on every machine, so that all let the same ones go. */
static size_t cost(size_t id_bytes)
{
    return MID_COST_BYTES + id_bytes;
}

/* --- out */

static void owner_drop_if_empty(struct mids *m, struct owner *o, const struct place *p)
{
    if (o->count > 0) return;
    map_take(&m->owners, p->owner_hash, is_owner, p);
    m->bytes -= cost(o->id_bytes);
    free(o);
}

static void drop(struct mids *m, struct mid *d)
{
    struct owner *o = d->owner;
    struct place p = place_of(m, owner_id(o), mid_id(d));
    map_take(&m->mids, p.hash, is_mid, &p);
    list_remove(&d->all);
    list_remove(&d->of_owner);
    m->bytes -= cost(d->bytes);
    o->count--;
    owner_drop_if_empty(m, o, &p);
    free(d);
}

void mids_forget(struct mids *m, uint64_t now_ms)
{
    while (!list_empty(&m->all)) {
        struct mid *oldest = CONTAINER(m->all.next, struct mid, all);
        if (oldest->until_ms > now_ms) return;
        drop(m, oldest);
    }
}

/* --- in */

static struct owner *owner_get(struct mids *m, const struct place *p)
{
    struct owner *o = map_get(&m->owners, p->owner_hash, is_owner, p);
    if (o != NULL) return o;
    o = malloc(sizeof *o + p->client_id.len);
    if (o == NULL) return NULL;
    list_init(&o->mids);
    o->count = 0;
    o->id_bytes = (uint32_t)p->client_id.len;
    if (p->client_id.len > 0) memcpy(o->id, p->client_id.at, p->client_id.len);
    if (map_put(&m->owners, p->owner_hash, o) != ERR_OK) {
        free(o);
        return NULL;
    }
    m->bytes += cost(o->id_bytes);
    return o;
}

static struct mid *mid_new(struct owner *o, const struct place *p, uint64_t until_ms)
{
    struct mid *d = malloc(sizeof *d + p->mid.len);
    if (d == NULL) return NULL;
    d->owner = o;
    d->until_ms = until_ms;
    d->bytes = (uint32_t)p->mid.len;
    if (p->mid.len > 0) memcpy(d->id, p->mid.at, p->mid.len);
    return d;
}

/* There is always one more than what has just come, so that never goes itself. */
static void keep_limits(struct mids *m, struct owner *o)
{
    if (o->count > MIDS_OF_CLIENT_MAX) drop(m, CONTAINER(o->mids.next, struct mid, of_owner));
    while (m->bytes > MIDS_BYTES_MAX) drop(m, CONTAINER(m->all.next, struct mid, all));
}

static enum err add(struct mids *m, const struct place *p, uint64_t until_ms)
{
    struct owner *o = owner_get(m, p);
    if (o == NULL) return ERR_NOMEM;
    struct mid *d = mid_new(o, p, until_ms);
    if (d == NULL || map_put(&m->mids, p->hash, d) != ERR_OK) {
        free(d);
        owner_drop_if_empty(m, o, p);
        return ERR_NOMEM;
    }
    list_add(&m->all, &d->all);
    list_add(&o->mids, &d->of_owner);
    m->bytes += cost(d->bytes);
    o->count++;
    keep_limits(m, o);
    return ERR_OK;
}

enum err mids_put(struct mids *m, struct bytes client_id, struct bytes mid, uint64_t until_ms)
{
    struct place p = place_of(m, client_id, mid);
    struct mid *d = map_get(&m->mids, p.hash, is_mid, &p);
    if (d == NULL) return add(m, &p, until_ms);
    d->until_ms = until_ms;
    list_remove(&d->all);
    list_remove(&d->of_owner);
    list_add(&m->all, &d->all);
    list_add(&d->owner->mids, &d->of_owner);
    return ERR_OK;
}

bool mids_has(const struct mids *m, struct bytes client_id, struct bytes mid, uint64_t now_ms)
{
    struct place p = place_of(m, client_id, mid);
    const struct mid *d = map_get(&m->mids, p.hash, is_mid, &p);
    return d != NULL && d->until_ms > now_ms;
}

enum err mids_new(struct mids **out)
{
    struct mids *m = calloc(1, sizeof *m);
    *out = m;
    if (m == NULL) return ERR_NOMEM;
    map_init(&m->owners);
    map_init(&m->mids);
    list_init(&m->all);
    m->seed = rng_u64();
    return ERR_OK;
}

void mids_free(struct mids **owner)
{
    struct mids *m = *owner;
    *owner = NULL;
    if (m == NULL) return;
    mids_forget(m, UINT64_MAX);
    map_fini(&m->owners);
    map_fini(&m->mids);
    free(m);
}
