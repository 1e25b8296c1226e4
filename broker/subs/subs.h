/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subs - who subscribed to what: from a topic to the subscribers of every shard.
 *
 * One entry for each (session, filter). A filter has, for each shard, one chunked array of entries; that
 * shard alone writes it and every shard may read it without a lock. Filters without a wildcard are found by
 * one hash look-up, the others through a trie of levels. Only the first and the last subscriber of a filter
 * on a shard change the look-up structure, one writer at a time.
 *
 * Thread:  subs_add, subs_change, subs_remove: by the shard that owns the subscriber, on line in the epoch.
 *          subs_find and what it found: any shard that is on line, until it is quiet next.
 * Memory:  chunks and filters are the index's, reclaimed by epoch; struct sub is the subscriber's.
 * Limits:  TOPIC_LEVELS_MAX levels.
 * Errors:  ERR_NOMEM from subs_new, subs_add, subs_change, and subs_find; nothing changes.
 * Tests:   tests/unit/test_subs.c, tests/unit/test_subs_threads.c (TSan)
 */
#ifndef SUBS_SUBS_H
#define SUBS_SUBS_H

#include "base/bytes.h"
#include "base/epoch.h"
#include "base/err.h"
#include <stdatomic.h>

struct subs;
struct subs_chunk;
struct subs_filter;

struct subs_conf {
    unsigned shards;
    uint64_t seed;       /* for hashing filters and topics */
    struct epoch *epoch; /* slot i is shard i */
};

/* Options of one subscription (MQTT 5.0 section 3.8.3.1). */
struct sub_options {
    uint8_t qos;
    bool no_local : 1, retain_as_published : 1;
    bool is_group : 1; /* the subscriber is a group of shared subscriptions; the owner's */
};

/* A subscription, embedded in the subscriber's memory. Owner's thread only. */
struct sub {
    void *session;
    uint64_t durable_no; /* session_no of a persistent session; 0: clean. Stays while it is subscribed */
    uint32_t id;         /* its subscription identifier, the owner's; 0: none */
    struct sub_options options;
    uint16_t index; /* private to subs from here on */
    struct subs_filter *filter;
    struct subs_chunk *chunk;
};

/* What readers see of a subscription: immutable while they can see it, but for being blanked when it is
 * gone: no sub and no durable_no. */
struct subs_entry {
    _Atomic(struct sub *) sub; /* to follow it is for its own shard only */
    _Atomic(uint64_t) durable_no;
    struct sub_options options;
};

struct subs_chunk {
    union {
        struct epoch_node retired; /* when the owner needs no more of it */
        struct {                   /* the owner's */
            struct subs_chunk *prev;
            uint16_t room, live;
        };
    };
    _Atomic(struct subs_chunk *) next;
    _Atomic(uint32_t) count; /* entries that are complete */
    struct subs_entry entries[];
};

/* One shard's subscribers of one filter. */
struct subs_array {
    _Atomic(struct subs_chunk *) first;
    /* Subscribers that get a QoS 1 message directly (clean, or subscribed with QoS 0), and through the
     * journal. Raised before an entry can be seen and lowered after it is gone. */
    _Atomic(uint32_t) direct, durable;
};

enum err subs_new(struct subs **out, const struct subs_conf *conf);
void subs_free(struct subs **owner);

/* Subscribes sub (session, durable_no and options are set) to filter, which is valid and copied.
 * The session must not hold that filter yet. */
enum err subs_add(struct subs *s, unsigned shard, struct bytes filter, struct sub *sub);

/* Replaces the options of a subscription: readers see the old ones or the new ones. */
enum err subs_change(struct subs *s, unsigned shard, struct sub *sub, struct sub_options options);

/* Never fails: the entry is blanked, which readers skip. A chunk that is half blank is replaced if there is
 * memory. */
void subs_remove(struct subs *s, unsigned shard, struct sub *sub);

/* The filter of a subscription; the text of a filter. */
struct bytes subs_filter_text(const struct sub *sub);
struct bytes subs_text(const struct subs_filter *f);

/* The filters that match a topic, as found at one moment. Reused from one look-up to the next. */
struct subs_found {
    struct subs_filter **filters;
    size_t count, room;
};

/* Fills *found. An exact filter and any number of wildcard filters. */
enum err subs_find(struct subs *s, struct bytes topic, struct subs_found *found);
void subs_found_fini(struct subs_found *found);

/* The array of one shard. */
const struct subs_array *subs_array_of(const struct subs_filter *f, unsigned shard);

/* Walks an array: for (c = subs_first(a, &n); c != NULL; c = subs_next(c, &n)), entries [0, n) of each. An
 * entry whose sub is NULL has been blanked. Who walks its own shard's array frees no struct sub meanwhile: a
 * chunk that was replaced under it goes on naming those who left after that. */
static inline const struct subs_chunk *subs_chunk_seen(struct subs_chunk *c, uint32_t *count)
{
    *count = c == NULL ? 0 : atomic_load_explicit(&c->count, memory_order_acquire);
    return c;
}
static inline const struct subs_chunk *subs_first(const struct subs_array *a, uint32_t *count)
{
    return subs_chunk_seen(atomic_load_explicit(&a->first, memory_order_acquire), count);
}
static inline const struct subs_chunk *subs_next(const struct subs_chunk *c, uint32_t *count)
{
    return subs_chunk_seen(atomic_load_explicit(&c->next, memory_order_acquire), count);
}

/* Whose entry it is; NULL when it has been blanked. */
static inline struct sub *subs_entry_sub(const struct subs_entry *e)
{
    return atomic_load_explicit(&e->sub, memory_order_relaxed);
}
static inline uint64_t subs_entry_durable_no(const struct subs_entry *e)
{
    return atomic_load_explicit(&e->durable_no, memory_order_relaxed);
}
static inline uint32_t subs_direct(const struct subs_array *a)
{
    return atomic_load_explicit(&a->direct, memory_order_acquire);
}
static inline uint32_t subs_durable(const struct subs_array *a)
{
    return atomic_load_explicit(&a->durable, memory_order_acquire);
}

/* The hash used for exact filters: the same for a topic name. */
uint64_t subs_hash(const struct subs *s, struct bytes topic);

#endif
