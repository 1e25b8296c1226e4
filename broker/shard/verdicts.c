/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/verdicts.h"
#include "shard/hooked.h"
#include "shard/shard_int.h"
#include <stdlib.h>

struct verdicts {
    struct map at;
};

struct verdict {
    uint64_t until_ms, epoch;
    uint8_t right, said;
    uint16_t topic_bytes;
    char topic[];
};

struct key {
    struct bytes topic;
    enum access_right right;
};

static bool is_it(const void *item, const void *key)
{
    const struct verdict *v = item;
    const struct key *k = key;
    return v->right == k->right && bytes_equal(bytes_of(v->topic, v->topic_bytes), k->topic);
}

static uint64_t hash_of(const struct shard *sh, const struct key *k)
{
    return subs_hash(sh->all->subs, k->topic) + k->right;
}

static struct verdict *find(const struct shard *sh, const struct conn *c, const struct key *k)
{
    const struct verdicts *all = c->hooked->reads.verdicts;
    return all == NULL ? NULL : map_get(&all->at, hash_of(sh, k), is_it, k);
}

uint64_t verdicts_epoch(const struct shard *sh)
{
    return tally_get(&sh->all->plugins.forgotten);
}

enum hook_verdict verdicts_find(const struct shard *sh, const struct conn *c, struct bytes topic,
                                enum access_right right)
{
    if (sh->config->acl_cache_seconds == 0) return HOOK_DEFER;
    const struct verdict *v = find(sh, c, &(struct key){ topic, right });
    bool holds = v != NULL && v->until_ms > sh->now_ms && v->epoch == verdicts_epoch(sh);
    return holds ? (enum hook_verdict)v->said : HOOK_DEFER;
}

static void clear(struct verdicts *all)
{
    size_t at = 0;
    for (struct verdict *v = map_next(&all->at, &at); v != NULL; v = map_next(&all->at, &at)) free(v);
    map_fini(&all->at);
}

void verdicts_free(struct verdicts **owner)
{
    struct verdicts *all = *owner;
    *owner = NULL;
    if (all == NULL) return;
    clear(all);
    free(all);
}

/* With room for one more. */
static struct verdicts *verdicts_of(struct conn *c)
{
    struct conn_reads *r = &c->hooked->reads;
    if (r->verdicts == NULL) {
        r->verdicts = malloc(sizeof *r->verdicts);
        if (r->verdicts != NULL) map_init(&r->verdicts->at);
    } else if (r->verdicts->at.count >= VERDICTS_OF_CLIENT_MAX) {
        clear(r->verdicts);
        map_init(&r->verdicts->at);
    }
    return r->verdicts;
}

static struct verdict *add(const struct shard *sh, struct conn *c, const struct key *k)
{
    struct verdicts *all = verdicts_of(c);
    struct verdict *v = all == NULL ? NULL : malloc(sizeof *v + k->topic.len);
    if (v == NULL) return NULL;
    v->right = (uint8_t)k->right;
    v->topic_bytes = (uint16_t)k->topic.len;
    memcpy(v->topic, k->topic.at, k->topic.len);
    if (map_put(&all->at, hash_of(sh, k), v) == ERR_OK) return v;
    free(v);
    return NULL;
}

void verdicts_note(struct shard *sh, struct conn *c, const struct verdict_of *of)
{
    uint64_t keep_ms = (uint64_t)sh->config->acl_cache_seconds * 1000;
    if (keep_ms == 0 || (of->said != HOOK_ALLOW && of->said != HOOK_DENY)) return;
    struct key k = { of->topic, of->right };
    struct verdict *v = find(sh, c, &k);
    if (v == NULL) v = add(sh, c, &k);
    if (v == NULL) return;
    v->said = (uint8_t)of->said;
    v->epoch = of->epoch;
    v->until_ms = sh->now_ms + keep_ms;
}
