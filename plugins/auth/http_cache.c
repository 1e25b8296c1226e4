/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/http_cache.h"
#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

struct entry {
    struct list link; /* the longest unused first */
    struct http_key key;
    uint64_t until_ms;
    struct http_said said;
};

struct http_cache {
    struct map entries;
    struct list used;
    size_t entries_max;
    uint8_t seed[HTTP_KEY_BYTES];
};

enum err http_cache_new(struct http_cache **out, size_t entries_max)
{
    struct http_cache *c = calloc(1, sizeof *c);
    *out = c;
    if (c == NULL) return ERR_NOMEM;
    map_init(&c->entries);
    list_init(&c->used);
    c->entries_max = entries_max;
    rng_fill(c->seed, sizeof c->seed);
    return ERR_OK;
}

static uint64_t hash_of(const struct http_key *k)
{
    uint64_t hash;
    memcpy(&hash, k->at, sizeof hash);
    return hash;
}

static bool has_key(const void *item, const void *key)
{
    return memcmp(((const struct entry *)item)->key.at, key, HTTP_KEY_BYTES) == 0;
}

static void drop(struct http_cache *c, struct entry *e)
{
    map_take(&c->entries, hash_of(&e->key), has_key, e->key.at);
    list_remove(&e->link);
    free(e->said.body);
    free(e);
}

void http_cache_clear(struct http_cache *c)
{
    while (!list_empty(&c->used)) drop(c, CONTAINER(c->used.next, struct entry, link));
}

void http_cache_free(struct http_cache **owner)
{
    struct http_cache *c = *owner;
    *owner = NULL;
    if (c == NULL) return;
    http_cache_clear(c);
    map_fini(&c->entries);
    explicit_bzero(c->seed, sizeof c->seed);
    free(c);
}

/* Each text with its length, so that no two lists are alike. */
struct http_key http_cache_key(const struct http_cache *c, const char *const *texts, size_t count)
{
    struct http_key k;
    unsigned bytes = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    CHECK(md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
    EVP_DigestUpdate(md, c->seed, sizeof c->seed);
    for (size_t i = 0; i < count; i++) {
        uint64_t n = texts[i] == NULL ? UINT64_MAX : strlen(texts[i]);
        EVP_DigestUpdate(md, &n, sizeof n);
        if (texts[i] != NULL) EVP_DigestUpdate(md, texts[i], (size_t)n);
    }
    CHECK(EVP_DigestFinal_ex(md, k.at, &bytes) == 1 && bytes == sizeof k.at);
    EVP_MD_CTX_free(md);
    return k;
}

const struct http_said *http_cache_get(struct http_cache *c, const struct http_key *k, uint64_t now_ms)
{
    struct entry *e = map_get(&c->entries, hash_of(k), has_key, k->at);
    if (e == NULL) return NULL;
    if (now_ms >= e->until_ms) {
        drop(c, e);
        return NULL;
    }
    list_remove(&e->link);
    list_add(&c->used, &e->link);
    return &e->said;
}

void http_cache_put(struct http_cache *c, const struct http_key *k, const struct http_said *said,
                    uint64_t until_ms)
{
    struct entry *e = map_get(&c->entries, hash_of(k), has_key, k->at);
    if (e != NULL) drop(c, e);
    if (c->entries_max == 0) return;
    if (c->entries.count >= c->entries_max) drop(c, CONTAINER(c->used.next, struct entry, link));
    e = calloc(1, sizeof *e);
    if (e == NULL) return;
    *e = (struct entry){ .key = *k,
                         .until_ms = until_ms,
                         .said = { .allows = said->allows, .since_ms = said->since_ms } };
    if (said->body != NULL) e->said.body = strdup(said->body);
    bool is_whole = said->body == NULL || e->said.body != NULL;
    if (is_whole && map_put(&c->entries, hash_of(k), e) == ERR_OK) {
        list_add(&c->used, &e->link);
        return;
    }
    free(e->said.body);
    free(e);
}
