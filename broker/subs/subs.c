/* SPDX-License-Identifier: Apache-2.0 */
#include "subs/subs.h"
#include "base/check.h"
#include "base/limits.h"
#include "subs/subs_int.h"
#include <stdlib.h>

enum { FOUND_ROOM_MIN = 16 };

void reclaim(struct subs *s, unsigned shard, struct epoch_node *n)
{
    epoch_retire(s->epoch, shard, n);
}

enum err subs_new(struct subs **out, const struct subs_conf *conf)
{
    CHECK(conf->shards > 0 && conf->shards <= SHARDS_MAX);
    *out = NULL;
    struct subs *s = calloc(1, sizeof *s);
    if (s == NULL) return ERR_NOMEM;
    s->epoch = conf->epoch;
    s->seed = conf->seed;
    s->shards = conf->shards;
    if (trie_init(s) != ERR_OK) {
        free(s);
        return ERR_NOMEM;
    }
    lock_init(&s->lock, LOCK_RANK_SUBS);
    *out = s;
    return ERR_OK;
}

void subs_free(struct subs **owner)
{
    struct subs *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    size_t stripe = 0, slot = 0;
    for (void *f = table_each(&s->exact, &stripe, &slot); f != NULL;
         f = table_each(&s->exact, &stripe, &slot))
        filter_free(f);
    table_fini(&s->exact);
    trie_fini(s);
    lock_fini(&s->lock);
    free(s);
}

static size_t filter_size(unsigned shards, size_t text_bytes)
{
    return sizeof(struct subs_filter) + shards * sizeof(struct subs_array) + text_bytes;
}

static struct subs_filter *filter_new(const struct subs *s, struct bytes text)
{
    CHECK(text.len > 0 && text.len <= TOPIC_BYTES_MAX);
    struct subs_filter *f = malloc(filter_size(s->shards, text.len));
    if (f == NULL) return NULL;
    f->text_bytes = (uint16_t)text.len;
    f->shards = (uint16_t)s->shards;
    f->shards_used = 0;
    f->wildcard = !topic_filter_is_exact(text);
    for (unsigned i = 0; i < s->shards; i++) array_init(&f->arrays[i]);
    memcpy(&f->arrays[s->shards], text.at, text.len);
    return f;
}

/* Nobody else knows f. NULL is fine. */
void filter_free(struct subs_filter *f)
{
    if (f == NULL) return;
    for (unsigned i = 0; i < f->shards; i++) array_fini(&f->arrays[i]);
    free(f);
}

struct bytes filter_text(const struct subs_filter *f)
{
    return bytes_of(&f->arrays[f->shards], f->text_bytes);
}

struct bytes subs_text(const struct subs_filter *f)
{
    return filter_text(f);
}

struct bytes subs_filter_text(const struct sub *sub)
{
    return filter_text(sub->filter);
}

uint64_t subs_hash(const struct subs *s, struct bytes topic)
{
    return bytes_hash(topic, s->seed);
}

const struct subs_array *subs_array_of(const struct subs_filter *f, unsigned shard)
{
    return &f->arrays[shard];
}

/* The filter of this text among those that carry its hash. */
static inline struct subs_filter *exact_among(struct table_probe p, struct bytes text)
{
    for (struct subs_filter *f = table_probe_next(&p); f != NULL; f = table_probe_next(&p))
        if (bytes_equal(filter_text(f), text)) return f;
    return NULL;
}

static struct subs_filter *exact_find(const struct subs *s, struct bytes text)
{
    return exact_among(table_probe(&s->exact, subs_hash(s, text)), text);
}

static struct subs_filter *filter_find(const struct subs *s, struct bytes text)
{
    return topic_filter_is_exact(text) ? exact_find(s, text) : trie_find(s, text);
}

static enum err filter_link(struct subs *s, unsigned shard, struct subs_filter *f)
{
    if (f->wildcard) return trie_add(s, shard, f);
    return table_put(s, shard, &s->exact, subs_hash(s, filter_text(f)), f);
}

/* The first subscriber of this shard. A new filter gets it before readers can find the filter. */
static enum err add_first_locked(struct subs *s, unsigned shard, struct bytes text, struct sub *sub)
{
    struct subs_filter *known = filter_find(s, text);
    struct subs_filter *f = known != NULL ? known : filter_new(s, text);
    if (f == NULL) return ERR_NOMEM;

    enum err rc = array_add(s, shard, &f->arrays[shard], sub);
    if (rc == ERR_OK && known == NULL) rc = filter_link(s, shard, f);
    if (rc != ERR_OK) {
        if (known == NULL) filter_free(f);
        return rc;
    }
    f->shards_used++;
    sub->filter = f;
    return ERR_OK;
}

enum err subs_add(struct subs *s, unsigned shard, struct bytes filter, struct sub *sub)
{
    CHECK(shard < s->shards);
    /* A filter that has a subscriber of this shard cannot vanish meanwhile. */
    struct subs_filter *f = filter_find(s, filter);
    if (f != NULL && !array_empty(&f->arrays[shard])) {
        enum err rc = array_add(s, shard, &f->arrays[shard], sub);
        if (rc == ERR_OK) sub->filter = f;
        return rc;
    }
    lock_take(&s->lock);
    enum err rc = add_first_locked(s, shard, filter, sub);
    lock_release(&s->lock);
    return rc;
}

enum err subs_change(struct subs *s, unsigned shard, struct sub *sub, struct sub_options options)
{
    return array_change(s, shard, sub, options);
}

static void filter_unlink_locked(struct subs *s, unsigned shard, struct subs_filter *f)
{
    if (f->wildcard)
        trie_remove(s, shard, f);
    else
        table_take(s, shard, &s->exact, subs_hash(s, filter_text(f)), f);
    reclaim(s, shard, &f->retired);
}

void subs_remove(struct subs *s, unsigned shard, struct sub *sub)
{
    struct subs_filter *f = sub->filter;
    array_remove(s, shard, sub);
    sub->filter = NULL;
    if (!array_empty(&f->arrays[shard])) return;
    lock_take(&s->lock);
    if (--f->shards_used == 0) filter_unlink_locked(s, shard, f);
    lock_release(&s->lock);
}

enum err found_add(struct subs_found *found, struct subs_filter *f)
{
    if (found->count == found->room) {
        size_t room = found->room == 0 ? FOUND_ROOM_MIN : found->room * 2;
        struct subs_filter **larger = realloc(found->filters, room * sizeof *larger);
        if (larger == NULL) return ERR_NOMEM;
        found->filters = larger;
        found->room = room;
    }
    found->filters[found->count++] = f;
    return ERR_OK;
}

/* Wildcards first: their memory and that of the exact filter's slot come at the same time. */
enum err subs_find(struct subs *s, struct bytes topic, struct subs_found *found)
{
    found->count = 0;
    struct table_probe p = table_probe(&s->exact, subs_hash(s, topic));
    enum err rc = ERR_OK;
    if (atomic_load_explicit(&s->wildcards, memory_order_acquire) > 0) {
        table_probe_soon(&p);
        rc = trie_match(s, topic, found);
    }
    struct subs_filter *exact = exact_among(p, topic);
    return rc == ERR_OK && exact != NULL ? found_add(found, exact) : rc;
}

void subs_found_fini(struct subs_found *found)
{
    free(found->filters);
    *found = (struct subs_found){ 0 };
}
