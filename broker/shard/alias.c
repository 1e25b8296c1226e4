/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/alias.h"
#include "base/limits.h"
#include <stdlib.h>

/* --- the client's */

struct alias_in {
    uint32_t room; /* of topics, the first of which is alias 1 */
    size_t bytes;  /* of all topics */
    struct bytes topics[];
};

static bool in_make_room(struct alias_in **a, uint16_t alias)
{
    uint32_t had = *a == NULL ? 0 : (*a)->room;
    if (alias <= had) return true;
    struct alias_in *grown = realloc(*a, sizeof *grown + alias * sizeof grown->topics[0]);
    if (grown == NULL) return false;
    if (had == 0) grown->bytes = 0;
    memset(grown->topics + had, 0, (alias - had) * sizeof grown->topics[0]);
    grown->room = alias;
    *a = grown;
    return true;
}

static void text_free(struct bytes *text)
{
    free((void *)(uintptr_t)text->at);
    *text = (struct bytes){ 0 };
}

/* Not empty, and not shared with anybody. */
static bool text_copy(struct bytes *out, struct bytes text)
{
    uint8_t *copy = malloc(text.len);
    if (copy == NULL) return false;
    memcpy(copy, text.at, text.len);
    *out = bytes_of(copy, text.len);
    return true;
}

enum err alias_in_set(struct alias_in **a, uint16_t alias, struct bytes topic)
{
    struct bytes copy, had = alias_in_get(*a, alias);
    size_t others = *a == NULL ? 0 : (*a)->bytes - had.len;
    if (bytes_equal(had, topic)) return ERR_OK;
    if (topic.len > ALIAS_IN_BYTES_MAX - others) return ERR_FULL;
    if (!in_make_room(a, alias) || !text_copy(&copy, topic)) return ERR_NOMEM;
    text_free(&(*a)->topics[alias - 1]);
    (*a)->topics[alias - 1] = copy;
    (*a)->bytes = others + topic.len;
    return ERR_OK;
}

struct bytes alias_in_get(const struct alias_in *a, uint16_t alias)
{
    if (a == NULL || alias > a->room) return (struct bytes){ 0 };
    return a->topics[alias - 1];
}

void alias_in_free(struct alias_in **owner)
{
    struct alias_in *a = *owner;
    *owner = NULL;
    for (uint32_t i = 0; a != NULL && i < a->room; i++) text_free(&a->topics[i]);
    free(a);
}

/* --- ours */

enum { SEEN = 64, PROPERTY_BYTES = 3 };

/* Both are known by the topic's hash; what has an alias is compared, too. Times are numbers of picks. */
struct given {
    uint64_t hash, used;
    struct bytes topic; /* empty: not given */
};
struct seen {
    uint64_t hash, at;
};

struct alias_out {
    uint64_t now;
    uint16_t max;
    struct seen seen[SEEN]; /* topics without an alias, each in the place of its hash */
    struct given given[];
};

struct alias_out *alias_out_new(uint16_t max)
{
    if (max > ALIAS_OUT_MAX) max = ALIAS_OUT_MAX;
    struct alias_out *a = calloc(1, sizeof *a + max * sizeof a->given[0]);
    if (a != NULL) a->max = max;
    return a;
}

void alias_out_free(struct alias_out **owner)
{
    struct alias_out *a = *owner;
    *owner = NULL;
    for (uint16_t i = 0; a != NULL && i < a->max; i++) text_free(&a->given[i].topic);
    free(a);
}

static struct given *find(struct alias_out *a, struct bytes topic, uint64_t hash)
{
    for (uint16_t i = 0; i < a->max; i++)
        if (a->given[i].hash == hash && bytes_equal(a->given[i].topic, topic)) return &a->given[i];
    return NULL;
}

static struct given *oldest(struct alias_out *a)
{
    struct given *old = &a->given[0];
    for (uint16_t i = 1; i < a->max; i++)
        if (a->given[i].used < old->used) old = &a->given[i];
    return old;
}

/* When this topic was sent last, as far as anybody remembers; 0: never. Now it is sent again. */
static uint64_t see(struct alias_out *a, uint64_t hash)
{
    struct seen *s = &a->seen[hash % SEEN];
    uint64_t before = s->hash == hash ? s->at : 0;
    *s = (struct seen){ hash, a->now };
    return before;
}

struct alias_pick alias_out_pick(struct alias_out *a, struct bytes topic, uint64_t hash)
{
    struct alias_pick none = { 0 };
    if (topic.len <= PROPERTY_BYTES || topic.len > ALIAS_TOPIC_BYTES_MAX) return none;
    a->now++;
    struct given *g = find(a, topic, hash);
    if (g != NULL) {
        g->used = a->now;
        return (struct alias_pick){ (uint16_t)(g - a->given + 1), true };
    }
    uint64_t before = see(a, hash);
    g = oldest(a);
    if (before == 0 || before < g->used) return none;
    struct bytes copy;
    if (!text_copy(&copy, topic)) return none;
    text_free(&g->topic);
    *g = (struct given){ hash, a->now, copy };
    return (struct alias_pick){ (uint16_t)(g - a->given + 1), false };
}

void alias_out_drop(struct alias_out *a, uint16_t alias)
{
    struct given *g = &a->given[alias - 1];
    text_free(&g->topic);
    g->used = 0;
}
