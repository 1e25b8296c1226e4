/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/devices.h"
#include "auth/options.h"
#include "base/map.h"
#include "base/rng.h"
#include <stdlib.h>

struct device_group {
    struct list members; /* the oldest first */
    uint32_t count;      /* of those who are not going */
    uint64_t hash;
    size_t name_bytes;
    char name[]; /* account, NUL, class */
};

struct devices {
    struct map groups;
    uint64_t seed;
};

enum err devices_new(struct devices **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return ERR_NOMEM;
    map_init(&(*out)->groups);
    (*out)->seed = rng_u64();
    return ERR_OK;
}

void devices_free(struct devices **owner)
{
    struct devices *d = *owner;
    *owner = NULL;
    if (d == NULL) return;
    map_fini(&d->groups);
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
    if (!list_empty(&g->members)) return;
    map_take(&d->groups, g->hash, is_group, g);
    free(g);
}

static void mark(struct device *dev)
{
    if (!dev->is_going) dev->group->count--;
    dev->is_going = true;
}

static void take_over(struct device_group *g, const char *client_id)
{
    for (struct list *l = g->members.next; l != &g->members; l = l->next) {
        struct device *other = CONTAINER(l, struct device, link);
        if (strcmp(other->client_id, client_id) == 0) mark(other);
    }
}

/* Until there is room for one. */
static void make_room(struct device_group *g, uint32_t most, void (*go)(struct device *dev))
{
    for (struct list *l = g->members.next; l != &g->members && g->count >= most; l = l->next) {
        struct device *other = CONTAINER(l, struct device, link);
        if (other->is_going) continue;
        mark(other);
        go(other);
    }
}

enum err devices_enter(struct devices *d, struct device *dev, const struct device_place *p,
                       void (*go)(struct device *dev))
{
    struct device_group *g;
    enum err rc = group_get(d, p, &g);
    if (rc != ERR_OK) return rc;
    take_over(g, p->client_id);
    if (p->connections > 0 && g->count >= p->connections && p->policy == LIMIT_REFUSE_NEWER) {
        group_drop(d, g);
        return ERR_FULL;
    }
    if (p->connections > 0) make_room(g, p->connections, go);
    *dev = (struct device){ .group = g, .client_id = p->client_id };
    list_add(&g->members, &dev->link);
    g->count++;
    return ERR_OK;
}

void devices_leave(struct devices *d, struct device *dev)
{
    struct device_group *g = dev->group;
    if (g == NULL) return;
    mark(dev);
    list_remove(&dev->link);
    dev->group = NULL;
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
