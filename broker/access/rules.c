/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access_int.h"
#include "topic/topic.h"
#include <stdlib.h>

/*
 * The ACL file. A user has the topics without wildcards that were named for him in a table, and his filters
 * in two lists, so a question looks at no other user's rules:
 *
 *   his topics, his filters -> denied, or allowed, or nothing said -> the same with the patterns -> denied
 */

static struct bytes role_name(const struct role *r)
{
    return bytes_of(r->name, r->name_bytes);
}

static bool is_role(const void *item, const void *key)
{
    return bytes_equal(role_name(item), *(const struct bytes *)key);
}

static struct role *role_find(const struct access *a, struct bytes name)
{
    return map_get(&a->roles, bytes_hash(name, a->seed), is_role, &name);
}

static bool is_topic(const void *item, const void *key)
{
    const struct exact *e = item;
    return bytes_equal(bytes_of(e->topic, e->topic_bytes), *(const struct bytes *)key);
}

static struct exact *exact_find(const struct access *a, const struct rules *r, struct bytes topic)
{
    if (r->exact.count == 0) return NULL;
    return map_get(&r->exact, bytes_hash(topic, a->seed), is_topic, &topic);
}

/* --- building */

static void rules_start(struct rules *r)
{
    *r = (struct rules){ 0 };
    map_init(&r->exact);
}

static void list_free(struct rule_list *l)
{
    for (size_t i = 0; i < l->count; i++) free(l->at[i]);
    free(l->at);
}

static void rules_fini(struct rules *r)
{
    size_t at = 0;
    for (struct exact *e = map_next(&r->exact, &at); e != NULL; e = map_next(&r->exact, &at)) free(e);
    map_fini(&r->exact);
    list_free(&r->denials);
    list_free(&r->grants);
}

void rules_init(struct access *a)
{
    rules_start(&a->nobody);
    rules_start(&a->patterns);
    map_init(&a->roles);
}

void rules_free(struct access *a)
{
    size_t at = 0;
    for (struct role *r = map_next(&a->roles, &at); r != NULL; r = map_next(&a->roles, &at)) {
        rules_fini(&r->rules);
        free(r);
    }
    map_fini(&a->roles);
    rules_fini(&a->nobody);
    rules_fini(&a->patterns);
}

static enum err role_add(struct access *a, struct bytes name, struct role **out)
{
    struct role *r = malloc(sizeof *r + name.len);
    *out = r;
    if (r == NULL) return ERR_NOMEM;
    rules_start(&r->rules);
    r->name_bytes = (uint32_t)name.len;
    memcpy(r->name, name.at, name.len);
    enum err rc = map_put(&a->roles, bytes_hash(name, a->seed), r);
    if (rc != ERR_OK) free(r);
    return rc;
}

/* 0 stands for a denial. */
static enum err add_exact(struct access *a, struct rules *r, struct bytes topic, uint8_t rights)
{
    struct exact *e = exact_find(a, r, topic);
    if (e == NULL) {
        e = calloc(1, sizeof *e + topic.len);
        if (e == NULL) return ERR_NOMEM;
        e->topic_bytes = (uint32_t)topic.len;
        memcpy(e->topic, topic.at, topic.len);
        enum err rc = map_put(&r->exact, bytes_hash(topic, a->seed), e);
        if (rc != ERR_OK) {
            free(e);
            return rc;
        }
    }
    if (rights == 0) e->is_denied = true;
    e->rights |= rights;
    return ERR_OK;
}

static bool has_sign(struct bytes b, char sign)
{
    for (size_t i = 0; i + 1 < b.len; i++)
        if (b.at[i] == '%' && b.at[i + 1] == (uint8_t)sign) return true;
    return false;
}

static bool list_room(struct rule_list *l)
{
    if (l->count < l->room) return true;
    size_t room = l->room == 0 ? 4 : l->room * 2;
    struct rule **grown = realloc(l->at, room * sizeof *grown);
    if (grown == NULL) return false;
    l->at = grown;
    l->room = room;
    return true;
}

static enum err add_listed(struct rules *r, struct bytes filter, uint8_t rights, bool is_pattern)
{
    struct rule_list *l = rights == 0 ? &r->denials : &r->grants;
    struct rule *rule = list_room(l) ? malloc(sizeof *rule + filter.len) : NULL;
    if (rule == NULL) return ERR_NOMEM;
    *rule = (struct rule){
        .rights = rights,
        .has_user = is_pattern && has_sign(filter, 'u'),
        .is_fixed = !is_pattern || !(has_sign(filter, 'u') || has_sign(filter, 'c')),
        .filter_bytes = (uint32_t)filter.len,
    };
    memcpy(rule->filter, filter.at, filter.len);
    l->at[l->count++] = rule;
    return ERR_OK;
}

/* --- the file */

struct section {
    struct place place;
    struct rules *of; /* those of the user it is about */
};

static int shown(struct bytes b)
{
    return b.len > 100 ? 100 : (int)b.len;
}

static const char *text_of(struct bytes b)
{
    return b.len == 0 ? "" : (const char *)b.at;
}

/* "[read|write|readwrite|deny] FILTER": as in mosquitto, a single word is a filter. */
static enum err parse_rights(struct place *p, struct bytes rest, struct bytes *filter, uint8_t *rights)
{
    static const struct {
        const char *word;
        uint8_t rights;
    } words[] = { { "read", ACCESS_READ },
                  { "write", ACCESS_WRITE },
                  { "readwrite", ACCESS_READ | ACCESS_WRITE },
                  { "deny", 0 } };
    struct bytes word = access_word(&rest);
    *rights = ACCESS_READ | ACCESS_WRITE;
    *filter = word;
    if (rest.len == 0) return ERR_OK;
    *filter = rest;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!bytes_equal(word, bytes_of_text(words[i].word))) continue;
        *rights = words[i].rights;
        return ERR_OK;
    }
    return access_error(p, ERR_SYNTAX, "'%.*s' is no right; allowed: read, write, readwrite, deny",
                        shown(word), text_of(word));
}

static enum err parse_rule(struct access *a, struct section *s, struct bytes rest, bool is_pattern)
{
    struct bytes filter;
    uint8_t rights;
    enum err rc = parse_rights(&s->place, rest, &filter, &rights);
    if (rc != ERR_OK) return rc;
    if (!topic_filter_valid(filter))
        return access_error(
            &s->place, ERR_SYNTAX,
            "'%.*s' is no topic filter; allowed: levels, '+' alone in one, '#' alone as the last",
            shown(filter), text_of(filter));
    if (a->rules_count++ >= ACCESS_ENTRIES_MAX)
        return access_error(&s->place, ERR_FULL, "too many rules; allowed: at most %d", ACCESS_ENTRIES_MAX);
    struct rules *to = is_pattern ? &a->patterns : s->of;
    bool is_fixed = !is_pattern || !(has_sign(filter, 'u') || has_sign(filter, 'c'));
    if (is_pattern && is_fixed)
        access_warn(&s->place, "pattern '%.*s' has neither %%c nor %%u, and is for all clients",
                    shown(filter), text_of(filter));
    if (is_fixed && topic_filter_is_exact(filter)) return add_exact(a, to, filter, rights);
    return add_listed(to, filter, rights, is_pattern);
}

static enum err parse_user(struct access *a, struct section *s, struct bytes name)
{
    if (name.len == 0 || name.len > UINT16_MAX)
        return access_error(&s->place, ERR_SYNTAX,
                            "a user without a name, or with one too long; allowed: 1 to 65535 bytes");
    struct role *r = role_find(a, name);
    if (r == NULL && a->rules_count++ >= ACCESS_ENTRIES_MAX)
        return access_error(&s->place, ERR_FULL, "too many users; allowed: at most %d", ACCESS_ENTRIES_MAX);
    enum err rc = r == NULL ? role_add(a, name, &r) : ERR_OK;
    if (rc == ERR_OK) s->of = &r->rules;
    return rc;
}

static enum err parse_line(struct access *a, struct section *s, struct bytes line)
{
    if (line.len == 0 || line.at[0] == '#') return ERR_OK;
    struct bytes rest = line;
    struct bytes word = access_word(&rest);
    if (bytes_equal(word, bytes_of_text("topic"))) return parse_rule(a, s, rest, false);
    if (bytes_equal(word, bytes_of_text("pattern"))) return parse_rule(a, s, rest, true);
    if (bytes_equal(word, bytes_of_text("user"))) return parse_user(a, s, rest);
    return access_error(&s->place, ERR_SYNTAX,
                        "'%.*s' begins no line; allowed: topic, pattern, user, and # for a comment",
                        shown(word), text_of(word));
}

enum err rules_parse(struct access *a, const struct access_source *src, struct access_notes *notes)
{
    struct section s = { .place = { .file = src->name, .notes = notes }, .of = &a->nobody };
    struct bytes rest = src->bytes, line;
    enum err rc;
    a->has_rules = true;
    while ((rc = access_line(&s.place, &rest, &line)) == ERR_OK) {
        rc = parse_line(a, &s, line);
        if (rc != ERR_OK) return rc;
    }
    access_end(&s.place);
    return rc == ERR_NOTFOUND ? ERR_OK : rc;
}

/* --- questions */

enum answer { SILENT, DENIED, ALLOWED };

static size_t expanded_bytes(const struct rule *r, const struct access_who *who, size_t *plus)
{
    size_t n = 0;
    *plus = 0;
    for (uint32_t i = 0; i < r->filter_bytes; i++) {
        char sign = r->filter[i] == '%' && i + 1 < r->filter_bytes ? r->filter[i + 1] : '\0';
        if (sign == 'c' || sign == 'u') {
            n += sign == 'c' ? who->client_id.len : who->username.len;
            i++;
            continue;
        }
        if (r->filter[i] == '+') ++*plus;
        n++;
    }
    return n;
}

static void append(uint8_t **at, struct bytes b)
{
    if (b.len > 0) memcpy(*at, b.at, b.len);
    *at += b.len;
}

static void expand(const struct rule *r, const struct access_who *who, uint8_t *at)
{
    for (uint32_t i = 0; i < r->filter_bytes; i++) {
        char sign = r->filter[i] == '%' && i + 1 < r->filter_bytes ? r->filter[i + 1] : '\0';
        if (sign == 'c' || sign == 'u') {
            append(&at, sign == 'c' ? who->client_id : who->username);
            i++;
            continue;
        }
        *at++ = (uint8_t)r->filter[i];
    }
}

/* Matches; or *failed, without memory. */
static bool matches(const struct rule *r, const struct access_who *who, struct bytes topic, bool *failed)
{
    enum { ROOM = 512 };
    uint8_t room[ROOM], *at = room;
    size_t plus;
    if (r->is_fixed) return topic_matches(bytes_of(r->filter, r->filter_bytes), topic);
    if (r->has_user && who->username.at == NULL) return false;
    size_t n = expanded_bytes(r, who, &plus);
    /* "+" may stand for nothing, and "a/#" is for "a": a filter that matches is not longer than this. */
    if (n == 0 || n > topic.len + plus + 2 || n > TOPIC_BYTES_MAX) return false;
    if (n > ROOM) at = malloc(n);
    *failed = at == NULL;
    if (at == NULL) return false;
    expand(r, who, at);
    bool is_match = topic_matches(bytes_of(at, n), topic);
    if (at != room) free(at);
    return is_match;
}

static enum answer ask(const struct access *a, const struct rules *r, const struct access_who *who,
                       struct bytes topic, enum access_right right)
{
    bool failed = false;
    const struct exact *e = exact_find(a, r, topic);
    if (e != NULL && e->is_denied) return DENIED;
    for (size_t i = 0; i < r->denials.count && !failed; i++)
        if (matches(r->denials.at[i], who, topic, &failed)) return DENIED;
    if (failed) return DENIED;
    if (e != NULL && (e->rights & right) != 0) return ALLOWED;
    for (size_t i = 0; i < r->grants.count; i++)
        if ((r->grants.at[i]->rights & right) != 0 && matches(r->grants.at[i], who, topic, &failed))
            return ALLOWED;
    return SILENT;
}

/* A name that would be a wildcard in a pattern. */
static bool is_dangerous(struct bytes name)
{
    if (name.len == 0) return false;
    return memchr(name.at, '+', name.len) != NULL || memchr(name.at, '#', name.len) != NULL;
}

static bool has_any(const struct rules *r)
{
    return r->exact.count > 0 || r->denials.count > 0 || r->grants.count > 0;
}

bool access_has_rules(const struct access *a)
{
    return a != NULL && a->has_rules;
}

bool access_may(const struct access *a, const struct access_who *who, struct bytes topic,
                enum access_right right)
{
    if (!access_has_rules(a)) return true;
    const struct rules *own = &a->nobody;
    if (who->username.at != NULL) {
        const struct role *role = role_find(a, who->username);
        own = role == NULL ? NULL : &role->rules;
    }
    enum answer is = own == NULL ? SILENT : ask(a, own, who, topic, right);
    if (is != SILENT || !has_any(&a->patterns)) return is == ALLOWED;
    if (is_dangerous(who->username) || is_dangerous(who->client_id)) return false;
    return ask(a, &a->patterns, who, topic, right) == ALLOWED;
}
