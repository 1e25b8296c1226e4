/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/json.h"
#include "codec/rd.h"

/* cJSON gives texts that end with a NUL, so one within would hide what follows. */
static bool has_nul(struct bytes text)
{
    static const char escaped[] = "\\u0000";
    if (text.len == 0) return false;
    return memchr(text.at, '\0', text.len) != NULL ||
           memmem(text.at, text.len, escaped, sizeof escaped - 1) != NULL;
}

static bool is_twice(const cJSON *object, const cJSON *item)
{
    for (const cJSON *other = object->child; other != item; other = other->next)
        if (strcmp(other->string, item->string) == 0) return true;
    return false;
}

enum { MEMBERS_MAX = 256 }; /* of one object: each is compared with each */

/* Who reads another one of two equal names than we do would be told something else by the same signature. */
static bool has_twice(const cJSON *v, int depth)
{
    int members = 0;
    if (depth > JSON_DEPTH_MAX) return true;
    for (const cJSON *item = v->child; item != NULL; item = item->next) {
        if (cJSON_IsObject(v) && (++members > MEMBERS_MAX || is_twice(v, item))) return true;
        if (has_twice(item, depth + 1)) return true;
    }
    return false;
}

static bool is_blank(const char *text, const char *end)
{
    while (text < end && (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')) text++;
    return text == end;
}

cJSON *json_object(struct bytes text)
{
    const char *at = (const char *)text.at, *end = NULL;
    if (text.len == 0 || has_nul(text)) return NULL;
    cJSON *v = cJSON_ParseWithLengthOpts(at, text.len, &end, 0);
    bool is_good = v != NULL && cJSON_IsObject(v) && is_blank(end, at + text.len) && !has_twice(v, 1);
    if (is_good) return v;
    cJSON_Delete(v);
    return NULL;
}

const char *json_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* --- names */

bool json_is_name(const char *text)
{
    struct bytes name = bytes_of_text(text);
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] < 0x20 || name.at[i] == 0x7f) return false;
    return name.len > 0 && name.len <= UINT16_MAX && (utf8_scan(name) & UTF8_ILL_FORMED) == 0;
}

/* --- rules */

static const struct {
    const char *name;
    enum rule_action action;
    bool denies;
} lists[] = {
    { "publish", RULE_PUBLISH, false },
    { "subscribe", RULE_SUBSCRIBE, false },
    { "both", RULE_BOTH, false },
    { "deny_publish", RULE_PUBLISH, true },
    { "deny_subscribe", RULE_SUBSCRIBE, true },
    { "deny_both", RULE_BOTH, true },
};

static enum err add(struct grants *r, size_t list, const cJSON *filter)
{
    if (!cJSON_IsString(filter)) return ERR_SYNTAX;
    if (grants_count(r) >= JSON_GRANTS_MAX) return ERR_FULL;
    struct rule_conf conf = { .action = lists[list].action,
                              .denies = lists[list].denies,
                              .filter = bytes_of_text(filter->valuestring) };
    return grants_add(r, &conf);
}

static enum err add_list(struct grants *r, const cJSON *item)
{
    size_t list = 0, count = sizeof lists / sizeof lists[0];
    enum err rc = ERR_OK;
    while (list < count && strcmp(lists[list].name, item->string) != 0) list++;
    if (list == count) return ERR_SYNTAX;
    if (!cJSON_IsArray(item)) return add(r, list, item);
    for (const cJSON *f = item->child; f != NULL && rc == ERR_OK; f = f->next) rc = add(r, list, f);
    return rc;
}

enum err json_rules(const cJSON *object, struct grants **out)
{
    *out = NULL;
    if (!cJSON_IsObject(object)) return ERR_SYNTAX;
    enum err rc = grants_new(out);
    for (const cJSON *item = object->child; item != NULL && rc == ERR_OK; item = item->next)
        rc = add_list(*out, item);
    if (rc == ERR_OK)
        grants_sort(*out);
    else
        grants_free(out);
    return rc;
}
