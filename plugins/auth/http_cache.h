/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_cache - what the HTTP back end has said, for a while. A question is kept as a keyed hash of it, so no
 * password is.
 *
 * Thread:  the owner's.
 * Memory:  owns copies.
 * Limits:  so many entries: the one that was not used for longest goes.
 * Errors:  none: what finds no memory is not kept.
 * Tests:   tests/unit/test_auth_plugin_http.c
 */
#ifndef AUTH_HTTP_CACHE_H
#define AUTH_HTTP_CACHE_H

#include "base/bytes.h"
#include "base/err.h"

enum { HTTP_KEY_BYTES = 32 };

struct http_key {
    uint8_t at[HTTP_KEY_BYTES];
};

struct http_said {
    bool allows;
    char *body;        /* NULL: none */
    uint64_t since_ms; /* it was said */
};

struct http_cache;

enum err http_cache_new(struct http_cache **out, size_t entries_max);
void http_cache_free(struct http_cache **owner);

/* Of texts that may be NULL. */
struct http_key http_cache_key(const struct http_cache *c, const char *const *texts, size_t count);

/* NULL: nothing, or no longer. What is found is lent until the next call. */
const struct http_said *http_cache_get(struct http_cache *c, const struct http_key *k, uint64_t now_ms);
void http_cache_put(struct http_cache *c, const struct http_key *k, const struct http_said *said,
                    uint64_t until_ms);

/* Forgets all. */
void http_cache_clear(struct http_cache *c);

#endif
