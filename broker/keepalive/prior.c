/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/prior.h"
#include "base/list.h"
#include "base/map.h"
#include <assert.h>
#include <stdlib.h>

enum {
    BUCKETS = 64,
    BUCKET_S = 10,      /* or more, if max_s is far above Mars' */
    FADE_S = 21 * 3600, /* an eighth of a week */
    FADES_A_WEEK = 8,
    FADES_MAX = 20 * FADES_A_WEEK, /* nothing is left after 20 weeks */
    CLIENTS_FOR_LIMIT = 20,        /* so many others that one of them, a twentieth, tries what is above */
};
static const float fade = 0.9170040432f; /* two to the power of minus one eighth */

/* Wilson's upper bound at 95 % is at most 5 %: z squared, and that share. */
static const double z2 = 3.8416, share_max = 0.05;

struct node {
    uint64_t prefix;
    struct list of_used;
    int64_t faded_s; /* what it has is of then */
    uint64_t seen;   /* clients, by six bits of their hashes: this week's half, and the one before */
    uint64_t seen_before;
    unsigned fades;
    float good[BUCKETS], bad[BUCKETS];
};

struct ka_prior {
    uint16_t min_s, max_s, margin_s, bucket_s;
    uint32_t nodes_max;
    struct map map;
    struct list used; /* longest unused first */
    struct node all;
};

/* Networks are told apart by hashes that nobody need guess: no client chooses its address. */
enum { PREFIX_SEED = 0x6b61 };

static uint64_t hash_of(uint8_t tag, struct bytes b)
{
    uint64_t h = map_hash_u64(bytes_hash(b, PREFIX_SEED) + tag);
    return h == 0 ? 1 : h; /* 0 is none */
}

struct ka_net ka_net_of(struct bytes address, uint32_t asn, struct bytes name)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    struct ka_net net = { 0 };

    if (address.len == 16 && memcmp(address.at, mapped, sizeof mapped) == 0)
        address = bytes_of(address.at + 12, 4);
    if (address.len == 4 || address.len == 16) {
        bool is_v4 = address.len == 4;
        net.prefix[0] = hash_of(0, bytes_of(address.at, is_v4 ? 4 : 8)); /* a /32, a /64 */
        net.prefix[1] = hash_of(1, bytes_of(address.at, is_v4 ? 3 : 6)); /* a /24, a /48 */
        net.prefix[2] = hash_of(2, bytes_of(address.at, is_v4 ? 2 : 4)); /* a /16, a /32 */
    }
    if (asn != 0) net.prefix[2] = hash_of(3, bytes_of(&asn, sizeof asn));
    net.key = name.len > 0 ? hash_of(4, name) : net.prefix[1];
    return net;
}

enum err ka_prior_new(struct ka_prior **out, const struct ka_conf *conf, uint32_t prefixes_max)
{
    struct ka_prior *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL) return ERR_NOMEM;
    *p = (struct ka_prior){ conf->min_s, conf->max_s, conf->margin_s, BUCKET_S, prefixes_max, .all = { 0 } };
    while (p->bucket_s * (BUCKETS - 1) < p->max_s) p->bucket_s++;
    map_init(&p->map);
    list_init(&p->used);
    return ERR_OK;
}

void ka_prior_free(struct ka_prior **owner)
{
    struct ka_prior *p = *owner;
    *owner = NULL;
    if (p == NULL) return;
    while (!list_empty(&p->used)) {
        struct node *n = CONTAINER(p->used.next, struct node, of_used);
        list_remove(&n->of_used);
        free(n);
    }
    map_fini(&p->map);
    free(p);
}

static bool is_node(const void *item, const void *key)
{
    return ((const struct node *)item)->prefix == *(const uint64_t *)key;
}

static struct node *find(struct ka_prior *p, uint64_t prefix)
{
    return map_get(&p->map, prefix, is_node, &prefix);
}

static struct node *fresh(struct ka_prior *p)
{
    if (p->map.count < p->nodes_max) return calloc(1, sizeof(struct node));
    if (list_empty(&p->used)) return NULL;
    struct node *n = CONTAINER(p->used.next, struct node, of_used);
    list_remove(&n->of_used);
    map_take(&p->map, n->prefix, is_node, &n->prefix);
    *n = (struct node){ 0 };
    return n;
}

static struct node *get(struct ka_prior *p, uint64_t prefix, int64_t now_s)
{
    struct node *n = find(p, prefix);
    if (n != NULL) {
        list_remove(&n->of_used);
        list_add(&p->used, &n->of_used);
        return n;
    }
    n = fresh(p);
    if (n == NULL) return NULL;
    n->prefix = prefix;
    n->faded_s = now_s;
    list_init(&n->of_used);
    if (map_put(&p->map, prefix, n) != ERR_OK) {
        free(n);
        return NULL;
    }
    list_add(&p->used, &n->of_used);
    return n;
}

static void fade_once(struct node *n)
{
    for (unsigned b = 0; b < BUCKETS; b++) {
        n->good[b] *= fade;
        n->bad[b] *= fade;
    }
    if (++n->fades % FADES_A_WEEK != 0) return;
    n->seen_before = n->seen;
    n->seen = 0;
}

/* A clock that goes back makes it younger by nothing; one that goes far ahead only as old as it can be. */
static void fade_to(struct node *n, int64_t now_s)
{
    if (now_s < n->faded_s) n->faded_s = now_s;
    for (unsigned i = 0; i < FADES_MAX && now_s - n->faded_s >= FADE_S; i++) {
        n->faded_s += FADE_S;
        fade_once(n);
    }
    if (now_s - n->faded_s >= FADE_S) n->faded_s = now_s;
}

static void note(struct ka_prior *p, struct node *n, const struct ka_event *e, uint64_t client)
{
    unsigned b = e->gap_s / p->bucket_s;
    if (b >= BUCKETS) b = BUCKETS - 1;
    n->seen |= UINT64_C(1) << (map_hash_u64(client) >> 58);
    if (e->kind == KA_SUCCESS)
        n->good[b] += 1;
    else
        n->bad[b] += e->kind == KA_FAIL_STRONG ? 1.0f : 0.5f;
}

void ka_prior_note(struct ka_prior *p, const struct ka_net *net, uint64_t client, const struct ka_event *e,
                   int64_t now_s)
{
    if (e->kind == KA_NEUTRAL) return;
    for (unsigned i = 0; i < KA_NET_LEVELS; i++) {
        struct node *n = net->prefix[i] != 0 ? get(p, net->prefix[i], now_s) : NULL;
        if (n == NULL) continue;
        fade_to(n, now_s);
        note(p, n, e, client);
    }
    fade_to(&p->all, now_s);
    note(p, &p->all, e, client);
}

/* Is the share of failures surely small? The bound u solves n (u - share)^2 = z^2 u (1 - u), and grows with
 * neither side of it; so that it is at most share_max can be asked without solving for it. */
static bool is_small(double good, double bad)
{
    double n = good + bad, below = share_max - (n > 0 ? bad / n : 1);
    return below >= 0 && n * below * below >= z2 * share_max * (1 - share_max);
}

/* The longest gap that this prefix says is safe: hardly any failure just up to it, beside all the successes
 * from it on. Failures of shorter gaps are not counted: most clients may stand there, with the noise that all
 * gaps have, and the few that try longer ones would never be heard. */
static uint16_t safe_s(const struct ka_prior *p, struct node *n, int64_t now_s)
{
    double good = 0;
    fade_to(n, now_s);
    for (unsigned b = BUCKETS; b-- > 1;) {
        uint32_t gap_s = (uint32_t)b * p->bucket_s;
        good += (double)n->good[b];
        if (gap_s < p->min_s) return 0;
        if (is_small(good, (double)n->bad[b] + (double)n->bad[b - 1]))
            return gap_s >= p->max_s ? p->max_s : (uint16_t)gap_s;
    }
    return 0;
}

static uint16_t begin_at(const struct ka_prior *p, uint16_t safe)
{
    if (safe == 0) return 0;
    return safe > p->min_s + p->margin_s ? (uint16_t)(safe - p->margin_s) : p->min_s;
}

uint16_t ka_prior_get(struct ka_prior *p, const struct ka_net *net, int64_t now_s)
{
    for (unsigned i = 0; i < KA_NET_LEVELS; i++) {
        struct node *n = net->prefix[i] != 0 ? find(p, net->prefix[i]) : NULL;
        uint16_t found_s = n != NULL ? safe_s(p, n, now_s) : 0;
        if (found_s > 0) return begin_at(p, found_s);
    }
    return begin_at(p, safe_s(p, &p->all, now_s));
}

/* Of 64 bits as many clients as set them on average: n clients set 64 (1 - (63/64)^n). */
static bool has_clients(const struct node *n)
{
    enum { BITS_OF_20 = 17 };
    static_assert(CLIENTS_FOR_LIMIT == 20, "the figure above is of so many");
    return __builtin_popcountll(n->seen | n->seen_before) >= BITS_OF_20;
}

uint16_t ka_prior_limit(struct ka_prior *p, const struct ka_net *net, int64_t now_s)
{
    for (unsigned i = 0; i < KA_NET_LEVELS; i++) {
        struct node *n = net->prefix[i] != 0 ? find(p, net->prefix[i]) : NULL;
        uint16_t found_s = n != NULL && has_clients(n) ? safe_s(p, n, now_s) : 0;
        if (found_s > 0) return found_s;
    }
    return 0;
}
