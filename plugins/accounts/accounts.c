/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/accounts.h"
#include "base/map.h"
#include "base/ref.h"
#include "base/rng.h"
#include <stdlib.h>

struct team {
    int64_t id;
    struct grants *rules;
};

struct account {
    int64_t id;
    bool is_enabled;
    struct grants *rules; /* NULL: none of its own */
    const struct team **teams;
    size_t team_count;
    struct account_limit *limits;
    size_t limit_count;
    uint32_t name_bytes, secret_bytes;
    bool has_secret;
    char text[]; /* name, secret */
};

struct accounts {
    struct ref ref;
    uint64_t seed;
    struct map by_name, by_id, teams;
    struct grants *everybody;
    size_t rules;
    const struct account *usual; /* NULL: nobody has a secret */
    uint8_t unknown[ACCOUNTS_SEED_BYTES];
};

static struct bytes name_of(const struct account *c)
{
    return bytes_of(c->text, c->name_bytes);
}

static bool has_name(const void *item, const void *key)
{
    return bytes_equal(name_of(item), *(const struct bytes *)key);
}

static bool has_id(const void *item, const void *key)
{
    return ((const struct account *)item)->id == *(const int64_t *)key;
}

static bool is_team(const void *item, const void *key)
{
    return ((const struct team *)item)->id == *(const int64_t *)key;
}

static struct account *find_id(const struct accounts *a, int64_t id)
{
    return map_get(&a->by_id, map_hash_u64((uint64_t)id), has_id, &id);
}

static struct team *find_team(const struct accounts *a, int64_t id)
{
    return map_get(&a->teams, map_hash_u64((uint64_t)id), is_team, &id);
}

/* --- making one */

enum err accounts_new(struct accounts **out)
{
    struct accounts *a = calloc(1, sizeof *a);
    *out = a;
    if (a == NULL) return ERR_NOMEM;
    ref_init(&a->ref, 1);
    a->seed = rng_u64();
    rng_fill(a->unknown, sizeof a->unknown);
    map_init(&a->by_name);
    map_init(&a->by_id);
    map_init(&a->teams);
    enum err rc = grants_new(&a->everybody);
    if (rc != ERR_OK) accounts_unref(out);
    return rc;
}

static void account_free(struct account *c)
{
    grants_free(&c->rules);
    free((void *)c->teams);
    free(c->limits);
    explicit_bzero(c->text, (size_t)c->name_bytes + c->secret_bytes);
    free(c);
}

enum err accounts_add(struct accounts *a, const struct account_conf *conf)
{
    if (a->by_name.count >= ACCOUNTS_MAX) return ERR_FULL;
    struct account *c = calloc(1, sizeof *c + conf->name.len + conf->secret.len);
    if (c == NULL) return ERR_NOMEM;
    c->id = conf->id;
    c->is_enabled = conf->is_enabled;
    c->name_bytes = (uint32_t)conf->name.len;
    c->secret_bytes = (uint32_t)conf->secret.len;
    c->has_secret = conf->secret.at != NULL;
    memcpy(c->text, conf->name.at, conf->name.len);
    if (c->has_secret) memcpy(c->text + conf->name.len, conf->secret.at, conf->secret.len);
    enum err rc = map_put(&a->by_name, bytes_hash(conf->name, a->seed), c);
    if (rc != ERR_OK) {
        account_free(c);
        return rc;
    }
    return map_put(&a->by_id, map_hash_u64((uint64_t)conf->id), c);
}

enum err accounts_add_team(struct accounts *a, int64_t id)
{
    if (a->teams.count >= ACCOUNTS_MAX) return ERR_FULL;
    struct team *t = calloc(1, sizeof *t);
    if (t == NULL) return ERR_NOMEM;
    t->id = id;
    enum err rc = grants_new(&t->rules);
    if (rc == ERR_OK) rc = map_put(&a->teams, map_hash_u64((uint64_t)id), t);
    if (rc == ERR_OK) return rc;
    grants_free(&t->rules);
    free(t);
    return rc;
}

/* Room for one more of `count`, which doubles at powers of two. */
static void *grow(void *at, size_t count, size_t each)
{
    bool is_full = (count & (count - 1)) == 0;
    return is_full ? realloc(at, (count == 0 ? 1 : count * 2) * each) : at;
}

enum err accounts_add_member(struct accounts *a, int64_t team_id, int64_t account_id)
{
    struct account *c = find_id(a, account_id);
    const struct team *t = find_team(a, team_id);
    if (c == NULL || t == NULL) return ERR_NOTFOUND;
    const struct team **grown = grow((void *)c->teams, c->team_count, sizeof(struct team *));
    if (grown == NULL) return ERR_NOMEM;
    c->teams = grown;
    c->teams[c->team_count++] = t;
    return ERR_OK;
}

enum err accounts_add_rule(struct accounts *a, struct rule_owner owner, const struct rule_conf *rule)
{
    if (a->rules >= ACCOUNTS_MAX) return ERR_FULL;
    struct account *c = owner.account_id == 0 ? NULL : find_id(a, owner.account_id);
    struct team *t = owner.team_id == 0 ? NULL : find_team(a, owner.team_id);
    if ((owner.account_id != 0 && c == NULL) || (owner.team_id != 0 && t == NULL)) return ERR_NOTFOUND;
    enum err rc = c != NULL && c->rules == NULL ? grants_new(&c->rules) : ERR_OK;
    if (rc == ERR_OK) rc = grants_add(c != NULL ? c->rules : t != NULL ? t->rules : a->everybody, rule);
    if (rc == ERR_OK) a->rules++;
    return rc;
}

enum err accounts_add_limit(struct accounts *a, int64_t account_id, const struct account_limit *limit)
{
    struct account *c = find_id(a, account_id);
    if (c == NULL) return ERR_NOTFOUND;
    struct account_limit *grown = grow(c->limits, c->limit_count, sizeof *grown);
    if (grown == NULL) return ERR_NOMEM;
    c->limits = grown;
    c->limits[c->limit_count++] = *limit;
    return ERR_OK;
}

void accounts_set_seed(struct accounts *a, const uint8_t seed[ACCOUNTS_SEED_BYTES])
{
    memcpy(a->unknown, seed, ACCOUNTS_SEED_BYTES);
}

/* What of a secret says how long it takes: kind and iterations, as in "$7$101$" or "SCRAM-SHA-256$20000:". */
static struct bytes way_of(const struct account *c)
{
    struct bytes text = account_secret(c);
    uint8_t end = text.len > 0 && text.at[0] == '$' ? '$' : ':';
    size_t n = 0;
    for (unsigned signs = end == '$' ? 3 : 1; n < text.len && signs > 0; n++)
        if (text.at[n] == end) signs--;
    return bytes_of(text.at, n);
}

/* The way that more than half of them have, if there is one: the vote needs no table. */
static void find_usual(struct accounts *a)
{
    size_t at = 0, votes = 0;
    for (struct account *c = map_next(&a->by_name, &at); c != NULL; c = map_next(&a->by_name, &at)) {
        if (!c->has_secret) continue;
        if (votes == 0) a->usual = c;
        votes = bytes_equal(way_of(c), way_of(a->usual)) ? votes + 1 : votes - 1;
    }
}

void accounts_finish(struct accounts *a)
{
    size_t at = 0;
    find_usual(a);
    for (struct account *c = map_next(&a->by_name, &at); c != NULL; c = map_next(&a->by_name, &at))
        if (c->rules != NULL) grants_sort(c->rules);
    at = 0;
    for (struct team *t = map_next(&a->teams, &at); t != NULL; t = map_next(&a->teams, &at))
        grants_sort(t->rules);
    grants_sort(a->everybody);
}

/* --- asking */

struct accounts *accounts_ref(struct accounts *a)
{
    if (a != NULL) ref_add(&a->ref, 1);
    return a;
}

void accounts_unref(struct accounts **owner)
{
    struct accounts *a = *owner;
    size_t at = 0;
    *owner = NULL;
    if (a == NULL || !ref_drop(&a->ref)) return;
    for (struct account *c = map_next(&a->by_name, &at); c != NULL; c = map_next(&a->by_name, &at))
        account_free(c);
    at = 0;
    for (struct team *t = map_next(&a->teams, &at); t != NULL; t = map_next(&a->teams, &at)) {
        grants_free(&t->rules);
        free(t);
    }
    map_fini(&a->by_name);
    map_fini(&a->by_id);
    map_fini(&a->teams);
    grants_free(&a->everybody);
    free(a);
}

size_t accounts_count(const struct accounts *a)
{
    return a->by_name.count;
}

const uint8_t *accounts_seed(const struct accounts *a)
{
    return a->unknown;
}

struct bytes accounts_usual_secret(const struct accounts *a)
{
    return a->usual == NULL ? (struct bytes){ 0 } : account_secret(a->usual);
}

const struct account *accounts_find(const struct accounts *a, struct bytes name)
{
    if (a == NULL || name.at == NULL) return NULL;
    return map_get(&a->by_name, bytes_hash(name, a->seed), has_name, &name);
}

bool account_is_enabled(const struct account *c)
{
    return c->is_enabled;
}

struct bytes account_secret(const struct account *c)
{
    return c->has_secret ? bytes_of(c->text + c->name_bytes, c->secret_bytes) : (struct bytes){ 0 };
}

const struct account_limit *account_limit(const struct account *c, const char *class)
{
    for (size_t i = 0; i < c->limit_count; i++)
        if (strcmp(c->limits[i].class, class) == 0) return &c->limits[i];
    return NULL;
}

enum rule_answer accounts_ask(const struct accounts *a, const struct rule_who *who,
                              enum rule_question question, struct bytes topic)
{
    if (a == NULL) return RULE_SILENT;
    const struct account *c = accounts_find(a, who->username);
    struct rule_verdict v = grants_ask(a->everybody, who, question, topic);
    if (c == NULL) return v.answer;
    v = grants_join(v, grants_ask(c->rules, who, question, topic));
    for (size_t i = 0; i < c->team_count; i++)
        v = grants_join(v, grants_ask(c->teams[i]->rules, who, question, topic));
    return v.answer;
}
