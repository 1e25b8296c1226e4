/* SPDX-License-Identifier: Apache-2.0 */
#include "retained/retained.h"
#include "base/check.h"
#include "base/map.h"
#include "msg/msg.h"
#include "topic/topic.h"
#include <stdlib.h>

/*
 * A map finds a topic by its name; a treap keeps all topics in order, linked from each to the next. The order
 * is that of the bytes with '/' before every other, so a topic is followed by all topics below it and a
 * subtree is one run. A wildcard filter leaps through that order: where a topic differs from it, the levels
 * say which topic could match next, and one seek goes there.
 *
 *     filter a/+/c      order   a/1/b  a/1/c  a/1/d  a/1/d/e  a/2  a/2/c  b
 *                               `seek a/1/c^   `--seek past a/1---^`next^  end
 *
 * A page that continues after a topic needs that topic's name only, which may be gone meanwhile.
 */
struct node {
    struct msg *msg; /* its topic is the key */
    uint64_t version;
    struct node *left, *right, *next;
};

struct retained {
    struct map by_topic;
    struct node *root, *first;
    uint64_t seed, bytes;
    uint32_t topics_max;
};

enum err retained_new(struct retained **out, const struct retained_conf *conf)
{
    struct retained *r = calloc(1, sizeof *r);
    *out = r;
    if (r == NULL) return ERR_NOMEM;
    map_init(&r->by_topic);
    r->seed = conf->seed;
    r->topics_max = conf->topics_max;
    return ERR_OK;
}

void retained_free(struct retained **owner)
{
    struct retained *r = *owner;
    *owner = NULL;
    if (r == NULL) return;
    for (struct node *n = r->first; n != NULL;) {
        struct node *next = n->next;
        msg_unref(&n->msg);
        free(n);
        n = next;
    }
    map_fini(&r->by_topic);
    free(r);
}

/* '/' is the lowest byte. */
static int byte_rank(uint8_t c)
{
    return c == '/' ? -1 : c;
}

/* Less than, equal to or greater than zero, as a is before, at or after b. */
static int order(struct bytes a, struct bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len, i = 0;
    while (i < n && a.at[i] == b.at[i]) i++;
    if (i < n) return byte_rank(a.at[i]) - byte_rank(b.at[i]);
    return (a.len > b.len) - (a.len < b.len);
}

/* A place in the order: head and tail are one text. */
struct place {
    struct bytes head, tail;
};

static int order_place(struct bytes topic, struct place p)
{
    if (topic.len < p.head.len) return order(topic, p.head);
    int head = order(bytes_of(topic.at, p.head.len), p.head);
    return head != 0 ? head : order(bytes_of(topic.at + p.head.len, topic.len - p.head.len), p.tail);
}

/* The first topic at or after a place. */
static struct node *seek(const struct retained *r, struct place p)
{
    struct node *found = NULL;
    for (struct node *n = r->root; n != NULL;) {
        bool before = order_place(msg_topic(n->msg), p) < 0;
        if (!before) found = n;
        n = before ? n->right : n->left;
    }
    return found;
}

/* A node's rank in the treap: a parent's is above its children's. Random, so the depth is logarithmic
 * whatever the topics are; made of the address, which stays, so it needs no memory. */
static uint64_t node_rank(const struct retained *r, const struct node *n)
{
    return bytes_hash(bytes_of(&n, sizeof n), r->seed);
}

/* Cuts the tree at from in two: what is before topic, and what is after. */
static void cut(struct node *from, struct bytes topic, struct node **before, struct node **after)
{
    while (from != NULL) {
        if (order(msg_topic(from->msg), topic) < 0) {
            *before = from;
            before = &from->right;
            from = from->right;
        } else {
            *after = from;
            after = &from->left;
            from = from->left;
        }
    }
    *before = *after = NULL;
}

/* Makes one tree of two, all of left being before all of right. */
static void join(const struct retained *r, struct node **to, struct node *left, struct node *right)
{
    while (left != NULL && right != NULL) {
        if (node_rank(r, left) > node_rank(r, right)) {
            *to = left;
            to = &left->right;
            left = left->right;
        } else {
            *to = right;
            to = &right->left;
            right = right->left;
        }
    }
    *to = left != NULL ? left : right;
}

/* The link that leads from the topic before to the topic at or after: r->first, or a next. */
static struct node **link_before(struct retained *r, struct bytes topic)
{
    struct node **link = &r->first;
    for (struct node *n = r->root; n != NULL;) {
        bool before = order(msg_topic(n->msg), topic) < 0;
        if (before) link = &n->next;
        n = before ? n->right : n->left;
    }
    return link;
}

static void tree_put(struct retained *r, struct node *n)
{
    struct bytes topic = msg_topic(n->msg);
    struct node **link = link_before(r, topic);
    n->next = *link;
    *link = n;

    struct node **at = &r->root;
    uint64_t own = node_rank(r, n);
    while (*at != NULL && node_rank(r, *at) > own)
        at = order(msg_topic((*at)->msg), topic) < 0 ? &(*at)->right : &(*at)->left;
    cut(*at, topic, &n->left, &n->right);
    *at = n;
}

static void tree_take(struct retained *r, struct node *n)
{
    struct bytes topic = msg_topic(n->msg);
    struct node **link = link_before(r, topic);
    DCHECK(*link == n);
    *link = n->next;

    struct node **at = &r->root;
    while (*at != n) at = order(msg_topic((*at)->msg), topic) < 0 ? &(*at)->right : &(*at)->left;
    join(r, at, n->left, n->right);
}

static bool topic_is(const void *item, const void *key)
{
    const struct node *n = item;
    const struct bytes *topic = key;
    return bytes_equal(msg_topic(n->msg), *topic);
}

static struct node *node_of(const struct retained *r, struct bytes topic)
{
    return map_get(&r->by_topic, bytes_hash(topic, r->seed), topic_is, &topic);
}

static enum err node_add(struct retained *r, struct msg *m, uint64_t version)
{
    if (r->by_topic.count >= r->topics_max) return ERR_FULL;
    struct node *n = malloc(sizeof *n);
    if (n == NULL) return ERR_NOMEM;
    enum err rc = map_put(&r->by_topic, bytes_hash(msg_topic(m), r->seed), n);
    if (rc != ERR_OK) {
        free(n);
        return rc;
    }
    *n = (struct node){ .msg = msg_ref(m), .version = version };
    r->bytes += m->payload_bytes;
    tree_put(r, n);
    return ERR_OK;
}

static void node_remove(struct retained *r, struct node *n)
{
    struct bytes topic = msg_topic(n->msg);
    CHECK(map_take(&r->by_topic, bytes_hash(topic, r->seed), topic_is, &topic) == n);
    tree_take(r, n);
    r->bytes -= n->msg->payload_bytes;
    msg_unref(&n->msg);
    free(n);
}

enum err retained_set(struct retained *r, struct msg *m, uint64_t version)
{
    struct node *n = node_of(r, msg_topic(m));
    bool forget = m->payload_bytes == 0; /* [MQTT-3.3.1-6], [MQTT-3.3.1-7] */
    if (n == NULL) return forget ? ERR_OK : node_add(r, m, version);
    if (forget) {
        node_remove(r, n);
        return ERR_OK;
    }
    struct msg *before = n->msg;
    r->bytes += m->payload_bytes - (uint64_t)before->payload_bytes;
    n->msg = msg_ref(m);
    n->version = version;
    msg_unref(&before);
    return ERR_OK;
}

/* What a filter says about a topic: it matches; or the next that can match is the next one, or the first at
 * or after a place, or there is none. */
struct verdict {
    enum { MATCHES, GO_NEXT, GO_TO, GO_END } kind;
    struct place to; /* borrows from topic and filter */
};

/* How far the levels of a topic and a filter agree. */
struct agreed {
    size_t bytes;    /* of the topic: where its level begins that is compared */
    bool plus;       /* some level so far was '+', */
    size_t plus_end; /* and the last of these ends here in the topic */
};

/* No more matches below the last '+': on to the next sibling there. A NUL byte, which no topic has, comes
 * after '/' and before all that can follow instead. */
static struct verdict go_past(struct bytes topic, const struct agreed *so_far)
{
    if (!so_far->plus) return (struct verdict){ .kind = GO_END };
    return (struct verdict){ GO_TO, { bytes_of(topic.at, so_far->plus_end), bytes_of("", 1) } };
}

/* The two differ at levels want and have. */
static struct verdict go_to_literal(struct bytes topic, const struct agreed *so_far, struct bytes want,
                                    struct bytes have)
{
    if (order(have, want) > 0) return go_past(topic, so_far);
    return (struct verdict){ GO_TO, { bytes_of(topic.at, so_far->bytes), want } };
}

static bool level_is(struct bytes level, char c)
{
    return level.len == 1 && level.at[0] == (uint8_t)c;
}

static struct verdict judge(struct bytes filter, struct bytes topic)
{
    struct topic_levels wants = topic_levels(filter), haves = topic_levels(topic);
    struct agreed so_far = { 0 };
    struct bytes want, have;

    /* Wildcards of the first level leave out what begins with '$' [MQTT-4.7.2-1]: on to '$' + 1. */
    if (topic.at[0] == '$' && (filter.at[0] == '+' || filter.at[0] == '#'))
        return (struct verdict){ GO_TO, { bytes_of(topic.at, 0), bytes_of("%", 1) } };
    while (topic_level_next(&wants, &want)) {
        if (level_is(want, '#')) return (struct verdict){ .kind = MATCHES };
        if (!topic_level_next(&haves, &have)) return (struct verdict){ .kind = GO_NEXT };
        if (level_is(want, '+')) {
            so_far.plus = true;
            so_far.plus_end = so_far.bytes + have.len;
        } else if (!bytes_equal(want, have)) {
            return go_to_literal(topic, &so_far, want, have);
        }
        so_far.bytes += have.len + 1;
    }
    if (topic_level_next(&haves, &have)) return go_past(topic, &so_far);
    return (struct verdict){ .kind = MATCHES };
}

/* The first topic behind `after`: nothing fits between a topic and the same with '/' behind it. */
static struct node *first_behind(const struct retained *r, struct bytes after)
{
    return after.len == 0 ? r->first : seek(r, (struct place){ after, bytes_of("/", 1) });
}

static void match_exact(const struct retained *r, const struct retained_query *q,
                        bool (*each)(const struct retained_value *v, void *arg), void *arg)
{
    struct node *n = node_of(r, q->filter);
    bool behind = q->after.len == 0 || order(q->filter, q->after) > 0;
    if (n != NULL && behind) each(&(struct retained_value){ n->msg, n->version }, arg);
}

struct msg *retained_match(const struct retained *r, const struct retained_query *q,
                           bool (*each)(const struct retained_value *v, void *arg), void *arg)
{
    CHECK(q->visits_max > 0); /* else it would stand still */
    if (topic_filter_is_exact(q->filter)) {
        match_exact(r, q, each, arg);
        return NULL;
    }
    uint32_t visits = 0;
    struct node *n = first_behind(r, q->after);
    while (n != NULL) {
        struct verdict v = judge(q->filter, msg_topic(n->msg));
        if (v.kind == GO_END) return NULL;
        bool goes_on = v.kind != MATCHES || each(&(struct retained_value){ n->msg, n->version }, arg);
        /* Where to leap to is not remembered: the next topic says it again. */
        if (!goes_on || ++visits == q->visits_max) return n->msg;
        n = v.kind == GO_TO ? seek(r, v.to) : n->next;
    }
    return NULL;
}

uint32_t retained_count(const struct retained *r)
{
    return (uint32_t)r->by_topic.count;
}

uint64_t retained_bytes(const struct retained *r)
{
    return r->bytes;
}
