/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/devices.h"
#include "auth/options.h"
#include "base/check.h"
#include "base/map.h"
#include "base/rng.h"
#include <stdlib.h>

struct device_group {
    struct list members; /* who stay, the oldest first */
    struct list going;
    uint32_t count; /* of those that count */
    uint64_t hash;
    size_t name_bytes;
    char name[]; /* account, NUL, class */
};

struct devices {
    struct map groups;
    struct map newest; /* the newest device of each group and client id */
    uint64_t seed;
};

enum err devices_new(struct devices **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return ERR_NOMEM;
    map_init(&(*out)->groups);
    map_init(&(*out)->newest);
    (*out)->seed = rng_u64();
    return ERR_OK;
}

void devices_free(struct devices **owner)
{
    struct devices *d = *owner;
    *owner = NULL;
    if (d == NULL) return;
    map_fini(&d->groups);
    map_fini(&d->newest);
    free(d);
}

static bool is_group(const void *item, const void *key)
{
    const struct device_group *a = item, *b = key;
    return a->name_bytes == b->name_bytes && memcmp(a->name, b->name, a->name_bytes) == 0;
}

/* A new one, which is not in the map yet. */
static struct device_group *group_new(const struct devices *d, const struct device_place *p)
{
    size_t class_bytes = strlen(p->class), bytes = p->account.len + 1 + class_bytes;
    struct device_group *g = calloc(1, sizeof *g + bytes);
    if (g == NULL) return NULL;
    list_init(&g->members);
    list_init(&g->going);
    g->name_bytes = bytes;
    if (p->account.len > 0) memcpy(g->name, p->account.at, p->account.len);
    memcpy(g->name + p->account.len + 1, p->class, class_bytes);
    g->hash = bytes_hash(bytes_of(g->name, bytes), d->seed);
    return g;
}

static enum err group_get(struct devices *d, const struct device_place *p, struct device_group **out)
{
    struct device_group *made = group_new(d, p);
    *out = NULL;
    if (made == NULL) return ERR_NOMEM;
    *out = map_get(&d->groups, made->hash, is_group, made);
    if (*out != NULL) {
        free(made);
        return ERR_OK;
    }
    enum err rc = map_put(&d->groups, made->hash, made);
    if (rc == ERR_OK)
        *out = made;
    else
        free(made);
    return rc;
}

static void group_drop(struct devices *d, struct device_group *g)
{
    if (!list_empty(&g->members) || !list_empty(&g->going)) return;
    map_take(&d->groups, g->hash, is_group, g);
    free(g);
}

/* --- the same client id */

static bool counts(const struct device *dev)
{
    return dev->newer == NULL && !dev->is_going;
}

static bool is_same(const void *item, const void *key)
{
    const struct device *a = item, *b = key;
    return a->group == b->group && strcmp(a->client_id, b->client_id) == 0;
}

static bool is_itself(const void *item, const void *key)
{
    return item == key;
}

/* It is in the map already. */
static void take_over(struct devices *d, struct device *old, struct device *dev)
{
    if (old == NULL) return;
    if (counts(old)) old->group->count--;
    map_take(&d->newest, old->hash, is_itself, old);
    old->newer = dev;
    dev->older = old;
}

/* Leaves its place to the one that it took over from. */
static void unlink_same(struct devices *d, struct device *dev)
{
    struct device *older = dev->older, *newer = dev->newer;
    if (newer != NULL) newer->older = older;
    if (older != NULL) older->newer = newer;
    if (newer != NULL) return;
    map_take(&d->newest, dev->hash, is_itself, dev);
    if (older == NULL) return;
    CHECK(map_put(&d->newest, older->hash, older) == ERR_OK); /* in the room that has just become free */
    if (counts(older)) older->group->count++;
}

/* --- in and out */

/* Until there is room for one. */
static void make_room(struct device_group *g, uint32_t most, void (*go)(struct device *dev))
{
    for (struct list *l = g->members.next, *next; l != &g->members && g->count >= most; l = next) {
        struct device *other = CONTAINER(l, struct device, link);
        next = l->next;
        if (!counts(other)) continue;
        g->count--;
        other->is_going = true;
        list_remove(&other->link);
        list_add(&g->going, &other->link);
        go(other);
    }
}

static enum err enter(struct devices *d, struct device *dev, const struct device_place *p,
                      void (*go)(struct device *dev))
{
    struct device_group *g = dev->group;
    struct device *old = map_get(&d->newest, dev->hash, is_same, dev);
    uint32_t others = g->count - (old != NULL && counts(old) ? 1 : 0);
    if (p->connections > 0 && others >= p->connections && p->policy == LIMIT_REFUSE_NEWER) return ERR_FULL;
    enum err rc = map_put(&d->newest, dev->hash, dev);
    if (rc != ERR_OK) return rc;
    take_over(d, old, dev);
    if (p->connections > 0) make_room(g, p->connections, go);
    list_add(&g->members, &dev->link);
    g->count++;
    return ERR_OK;
}

enum err devices_enter(struct devices *d, struct device *dev, const struct device_place *p,
                       void (*go)(struct device *dev))
{
    struct device_group *g;
    enum err rc = group_get(d, p, &g);
    if (rc != ERR_OK) return rc;
    *dev = (struct device){ .group = g, .client_id = p->client_id };
    dev->hash = g->hash ^ bytes_hash(bytes_of_text(p->client_id), d->seed);
    rc = enter(d, dev, p, go);
    if (rc == ERR_OK) return rc;
    *dev = (struct device){ .group = NULL };
    group_drop(d, g);
    return rc;
}

void devices_leave(struct devices *d, struct device *dev)
{
    struct device_group *g = dev->group;
    if (g == NULL) return;
    if (counts(dev)) g->count--;
    unlink_same(d, dev);
    list_remove(&dev->link);
    *dev = (struct device){ .group = NULL };
    group_drop(d, g);
}

/* --- classes */

bool device_class_read(struct device_class *c, const char *text)
{
    char number[16], policy[16];
    const char *rest = text;
    *c = (struct device_class){ .pattern = "" };
    if (!options_word(&rest, c->limit.class, sizeof c->limit.class) ||
        !options_word(&rest, number, sizeof number) || !options_word(&rest, policy, sizeof policy) ||
        !options_word(&rest, c->pattern, sizeof c->pattern) || rest[strspn(rest, " \t")] != '\0')
        return false;
    char *end;
    unsigned long n = strtoul(number, &end, 10);
    bool is_refusing = strcmp(policy, "refuse-newer") == 0;
    if (number[0] < '0' || number[0] > '9' || *end != '\0' || n > 1000000) return false;
    c->limit.connections = (uint32_t)n;
    c->limit.policy = is_refusing ? LIMIT_REFUSE_NEWER : LIMIT_KICK_OLDER;
    return is_refusing || strcmp(policy, "kick-older") == 0;
}

/* After a '*' that did not reach far enough one more byte is left to the last one: linear but for that. */
bool device_pattern_fits(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}
