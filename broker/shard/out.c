/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/out.h"
#include "base/check.h"
#include "base/limits.h"
#include <stdlib.h>

/*
 * Small chunks are for acknowledgements: a thousand clients that get one each in the same turn, a CONNACK or
 * a PINGRESP, need as many chunks at once, and the memory of the largest such turn stays. What is more goes
 * into a large one behind it.
 */
enum {
    LARGE_ROOM = OUT_CHUNK_BYTES - (int)sizeof(struct out_part),
    SMALL_ROOM = OUT_SMALL_BYTES - (int)sizeof(struct out_part),
    SMALL_MAX = SMALL_ROOM / 4 * 3 /* of what begins one */
};

static void shelf_fini(struct out_shelf *shelf)
{
    while (shelf->free != NULL) {
        struct out_part *p = shelf->free;
        shelf->free = p->next;
        free(p);
    }
    shelf->count = 0;
}

void out_pool_fini(struct out_pool *pool)
{
    shelf_fini(&pool->small);
    shelf_fini(&pool->large);
}

/* Where chunks of that room are; NULL: they are not kept. */
static struct out_shelf *shelf_of(struct out_pool *pool, size_t room)
{
    return room == SMALL_ROOM ? &pool->small : room == LARGE_ROOM ? &pool->large : NULL;
}

static struct out_part *chunk_new(struct out_pool *pool, size_t room)
{
    struct out_shelf *shelf = shelf_of(pool, room);
    struct out_part *p = shelf == NULL ? NULL : shelf->free;
    if (p != NULL) {
        shelf->free = p->next;
        shelf->count--;
    } else {
        p = malloc(sizeof *p + room);
        if (p == NULL) return NULL;
        p->room = (uint32_t)room;
    }
    p->next = NULL;
    p->msg = NULL;
    p->at = p->data;
    p->bytes = 0;
    return p;
}

static void part_free(struct out_part *p, struct out_pool *pool)
{
    msg_unref(&p->msg);
    struct out_shelf *shelf = shelf_of(pool, p->room);
    if (shelf == NULL || shelf->count >= OUT_CHUNKS_KEPT) {
        free(p);
        return;
    }
    p->next = shelf->free;
    shelf->free = p;
    shelf->count++;
}

static void append(struct out *o, struct out_part *p)
{
    if (o->last == NULL)
        o->first = p;
    else
        o->last->next = p;
    o->last = p;
}

/* The head of a message that is shared begins one, too: behind it no chunk goes on. */
static size_t room_for(const struct out *o, size_t n)
{
    bool begins = o->last == NULL || o->last->msg != NULL;
    if (begins && n <= SMALL_MAX) return SMALL_ROOM;
    return n <= LARGE_ROOM ? LARGE_ROOM : n;
}

uint8_t *out_reserve_more(struct out *o, struct out_pool *pool, size_t n)
{
    struct out_part *p = chunk_new(pool, room_for(o, n));
    if (p == NULL) return NULL;
    append(o, p);
    return out_chunk_end(p);
}

enum err out_share(struct out *o, struct msg *m, struct bytes part)
{
    struct out_part *p = malloc(sizeof *p);
    if (p == NULL) return ERR_NOMEM;
    *p = (struct out_part){ .msg = msg_ref(m), .at = part.at, .bytes = (uint32_t)part.len };
    append(o, p);
    o->bytes += part.len;
    return ERR_OK;
}

static void drop_first(struct out *o, struct out_pool *pool)
{
    struct out_part *p = o->first;
    o->first = p->next;
    if (o->first == NULL) o->last = NULL;
    part_free(p, pool);
}

static void advance(struct out *o, struct out_pool *pool, size_t n)
{
    o->bytes -= n;
    while (o->first != NULL && n >= o->first->bytes) {
        n -= o->first->bytes;
        drop_first(o, pool);
    }
    if (n > 0) {
        CHECK(o->first != NULL);
        o->first->at += n;
        o->first->bytes -= (uint32_t)n;
    }
}

static int gather(const struct out *o, struct iovec *parts, size_t *total)
{
    int count = 0;
    *total = 0;
    for (struct out_part *p = o->first; p != NULL && count < TRANSPORT_PARTS_MAX; p = p->next) {
        if (p->bytes == 0) continue;
        /* The interface of the system wants a plain pointer; it does not write. */
        parts[count++] = (struct iovec){ (void *)(uintptr_t)p->at, p->bytes };
        *total += p->bytes;
    }
    return count;
}

enum err out_flush(struct out *o, struct out_pool *pool, struct transport *t, size_t *wrote)
{
    struct iovec parts[TRANSPORT_PARTS_MAX];
    *wrote = 0;
    while (o->bytes > 0) {
        size_t total, n;
        int count = gather(o, parts, &total);
        enum err rc = t->ops->write(t, parts, count, &n);
        if (rc != ERR_OK) return rc;
        *wrote += n;
        advance(o, pool, n);
        if (n < total) return ERR_AGAIN;
    }
    while (o->first != NULL) drop_first(o, pool); /* reserved and never filled */
    return ERR_OK;
}

void out_clear(struct out *o, struct out_pool *pool)
{
    while (o->first != NULL) drop_first(o, pool);
    o->bytes = 0;
}
