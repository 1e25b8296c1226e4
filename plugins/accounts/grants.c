/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/grants.h"
#include "topic/topic.h"
#include <stdlib.h>

struct rule {
    int32_t priority;
    uint8_t action; /* bits of enum rule_action */
    bool denies, has_user, has_client;
    uint32_t filter_bytes;
    char filter[];
};

struct grants {
    struct rule **at;
    size_t count, room;
};

/* --- building */

enum err grants_new(struct grants **out)
{
    *out = calloc(1, sizeof **out);
    return *out == NULL ? ERR_NOMEM : ERR_OK;
}

void grants_free(struct grants **owner)
{
    struct grants *r = *owner;
    *owner = NULL;
    if (r == NULL) return;
    for (size_t i = 0; i < r->count; i++) free(r->at[i]);
    free(r->at);
    free(r);
}

size_t grants_count(const struct grants *r)
{
    return r == NULL ? 0 : r->count;
}

static bool has_sign(struct bytes b, char sign)
{
    for (size_t i = 0; i + 1 < b.len; i++)
        if (b.at[i] == '%' && b.at[i + 1] == (uint8_t)sign) return true;
    return false;
}

static bool make_room(struct grants *r)
{
    if (r->count < r->room) return true;
    size_t room = r->room == 0 ? 4 : r->room * 2;
    struct rule **grown = realloc(r->at, room * sizeof *grown);
    if (grown == NULL) return false;
    r->at = grown;
    r->room = room;
    return true;
}

enum err grants_add(struct grants *r, const struct rule_conf *conf)
{
    if (!topic_filter_valid(conf->filter)) return ERR_SYNTAX;
    if (r->count >= RULES_MAX) return ERR_FULL;
    struct rule *rule = make_room(r) ? malloc(sizeof *rule + conf->filter.len) : NULL;
    if (rule == NULL) return ERR_NOMEM;
    *rule = (struct rule){
        .priority = conf->priority,
        .action = (uint8_t)conf->action,
        .denies = conf->denies,
        .has_user = has_sign(conf->filter, 'u'),
        .has_client = has_sign(conf->filter, 'c'),
        .filter_bytes = (uint32_t)conf->filter.len,
    };
    memcpy(rule->filter, conf->filter.at, conf->filter.len);
    r->at[r->count++] = rule;
    return ERR_OK;
}

/* The highest priority first, and of one priority denials: so the first that speaks is the answer. */
static int compare(const void *a, const void *b)
{
    const struct rule *x = *(struct rule *const *)a, *y = *(struct rule *const *)b;
    if (x->priority != y->priority) return x->priority > y->priority ? -1 : 1;
    return (int)y->denies - (int)x->denies;
}

void grants_sort(struct grants *r)
{
    if (r->count > 1) qsort(r->at, r->count, sizeof(struct rule *), compare);
}

/* --- questions */

static bool is_wild(struct bytes level, char sign)
{
    return level.len == 1 && level.at[0] == (uint8_t)sign;
}

bool grants_covers(struct bytes filter, struct bytes asked)
{
    struct topic_levels f = topic_levels(filter), a = topic_levels(asked);
    struct bytes level, other;
    bool is_first = true;
    while (topic_level_next(&f, &level)) {
        bool has_other = topic_level_next(&a, &other);
        bool is_hash = is_wild(level, '#'), is_plus = is_wild(level, '+');
        bool is_own = is_first && has_other && other.len > 0 && other.at[0] == '$'; /* [MQTT-4.7.2-1] */
        if (is_hash) return !is_own;
        if (!has_other || is_wild(other, '#') || (is_plus && is_own)) return false;
        if (!is_plus && !bytes_equal(level, other)) return false;
        is_first = false;
    }
    return !topic_level_next(&a, &other);
}

/* Is the name, which stands at the begin of the filter, one that no wildcard at this place means? */
static bool is_own(const struct rule *r, const struct rule_who *who)
{
    struct bytes name = { 0 };
    if (r->filter_bytes < 2 || r->filter[0] != '%') return false;
    if (r->filter[1] == 'c') name = who->client_id;
    if (r->filter[1] == 'u') name = who->username;
    return name.len > 0 && name.at[0] == '$';
}

static bool is_dangerous(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] == '+' || name.at[i] == '#' || name.at[i] == '/') return true;
    return name.len == 0;
}

static size_t expanded_bytes(const struct rule *r, const struct rule_who *who)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->filter_bytes; i++) {
        char sign = r->filter[i] == '%' && i + 1 < r->filter_bytes ? r->filter[i + 1] : '\0';
        bool is_sign = sign == 'c' || sign == 'u';
        n += !is_sign ? 1 : sign == 'c' ? who->client_id.len : who->username.len;
        if (is_sign) i++;
    }
    return n;
}

static void expand(const struct rule *r, const struct rule_who *who, uint8_t *at)
{
    for (uint32_t i = 0; i < r->filter_bytes; i++) {
        char sign = r->filter[i] == '%' && i + 1 < r->filter_bytes ? r->filter[i + 1] : '\0';
        if (sign == 'c' || sign == 'u') {
            struct bytes name = sign == 'c' ? who->client_id : who->username;
            memcpy(at, name.at, name.len);
            at += name.len;
            i++;
            continue;
        }
        *at++ = (uint8_t)r->filter[i];
    }
}

static bool fits(struct bytes filter, bool is_filter, struct bytes topic)
{
    return is_filter ? grants_covers(filter, topic) : topic_matches(filter, topic);
}

/* Does it speak of this topic? Where nobody can tell, a denial does. */
static bool speaks(const struct rule *r, const struct rule_who *who, bool is_filter, struct bytes topic)
{
    enum { ROOM = 512 };
    uint8_t room[ROOM], *at = room;
    if (!r->has_user && !r->has_client) return fits(bytes_of(r->filter, r->filter_bytes), is_filter, topic);
    if (r->has_user && who->username.at == NULL) return false;
    bool is_bad_user = r->has_user && is_dangerous(who->username),
         is_bad_client = r->has_client && is_dangerous(who->client_id);
    if (is_bad_user || is_bad_client || is_own(r, who)) return r->denies;
    size_t n = expanded_bytes(r, who);
    if (n > TOPIC_BYTES_MAX) return false;
    if (n > ROOM) at = malloc(n);
    if (at == NULL) return r->denies;
    expand(r, who, at);
    bool is_fit = fits(bytes_of(at, n), is_filter, topic);
    if (at != room) free(at);
    return is_fit;
}

struct rule_verdict grants_ask(const struct grants *r, const struct rule_who *who,
                               enum rule_question question, struct bytes topic)
{
    bool is_filter = question == RULE_MAY_SUBSCRIBE;
    uint8_t action = question == RULE_MAY_PUBLISH ? RULE_PUBLISH : RULE_SUBSCRIBE;
    struct bytes group, rest;
    if (r == NULL) return (struct rule_verdict){ 0 };
    if (is_filter && topic_share_split(topic, &group, &rest)) topic = rest;
    for (size_t i = 0; i < r->count; i++) {
        const struct rule *rule = r->at[i];
        if ((rule->action & action) == 0 || !speaks(rule, who, is_filter, topic)) continue;
        return (struct rule_verdict){ rule->denies ? RULE_DENIED : RULE_ALLOWED, rule->priority };
    }
    return (struct rule_verdict){ 0 };
}

struct rule_verdict grants_join(struct rule_verdict a, struct rule_verdict b)
{
    if (a.answer == RULE_SILENT || b.answer == RULE_SILENT) return a.answer == RULE_SILENT ? b : a;
    if (a.priority != b.priority) return a.priority > b.priority ? a : b;
    return a.answer == RULE_DENIED ? a : b;
}
