/* SPDX-License-Identifier: Apache-2.0 */
#include "hook/client.h"
#include "base/lock.h"
#include "base/ref.h"
#include "base/word.h"
#include <stdlib.h>

struct hook_client {
    struct ref ref;
    struct gauge subs;
    struct shared_word has_ended;
    struct lock lock; /* guards the names */
    unsigned names_count;
    char *names[HOOK_USERNAMES_MAX]; /* all it has ever had, each once */
    const char *name;                /* one of them; NULL: none */
    struct shared_word gone_for;     /* 1 << number of a plugin */
    struct hook_client_conf facts;
    char texts[];
};

/* Id and address, each with its end. */
static void put_texts(struct hook_client *c, const struct hook_client_conf *conf)
{
    size_t address_bytes = strlen(conf->address) + 1;
    if (conf->id.len > 0) memcpy(c->texts, conf->id.at, conf->id.len);
    memcpy(c->texts + conf->id.len + 1, conf->address, address_bytes);
    c->facts = *conf;
    c->facts.id = bytes_of(c->texts, conf->id.len);
    c->facts.address = c->texts + conf->id.len + 1;
    c->facts.username = (struct bytes){ 0 };
}

enum err hook_client_new(struct hook_client **out, const struct hook_client_conf *conf)
{
    struct hook_client *c = calloc(1, sizeof *c + conf->id.len + 1 + strlen(conf->address) + 1);
    char *name = conf->username.at != NULL ? bytes_to_text(conf->username) : NULL;
    *out = NULL;
    if (c == NULL || (name == NULL && conf->username.at != NULL)) {
        free(c);
        free(name);
        if (conf->certificate != NULL) conf->certificate_free(conf->certificate);
        return ERR_NOMEM;
    }
    ref_init(&c->ref, 1);
    lock_init(&c->lock, LOCK_RANK_HOOK_CLIENT);
    if (name != NULL) c->names[c->names_count++] = name;
    c->name = name;
    put_texts(c, conf);
    *out = c;
    return ERR_OK;
}

struct hook_client *hook_client_ref(struct hook_client *c)
{
    ref_add(&c->ref, 1);
    return c;
}

void hook_client_unref(struct hook_client **owner)
{
    struct hook_client *c = *owner;
    *owner = NULL;
    if (c == NULL || !ref_drop(&c->ref)) return;
    for (unsigned i = 0; i < c->names_count; i++) free(c->names[i]);
    if (c->facts.certificate != NULL) c->facts.certificate_free(c->facts.certificate);
    lock_fini(&c->lock);
    free(c);
}

const char *hook_client_id(const struct hook_client *c)
{
    return (const char *)c->facts.id.at;
}

const char *hook_client_address(const struct hook_client *c)
{
    return c->facts.address;
}

const char *hook_client_username(struct hook_client *c)
{
    lock_take(&c->lock);
    const char *name = c->name;
    lock_release(&c->lock);
    return name;
}

/* Of its names: who authenticates again and again has one. */
static bool has_name_locked(const struct hook_client *c, const char *name, const char **out)
{
    for (unsigned i = 0; i < c->names_count; i++) {
        if (strcmp(c->names[i], name) != 0) continue;
        *out = c->names[i];
        return true;
    }
    return false;
}

static enum err set_locked(struct hook_client *c, const char *username)
{
    if (username == NULL) c->name = NULL;
    if (username == NULL || has_name_locked(c, username, &c->name)) return ERR_OK;
    if (c->names_count == HOOK_USERNAMES_MAX) return ERR_FULL;
    char *name = bytes_to_text(bytes_of_text(username));
    if (name == NULL) return ERR_NOMEM;
    c->name = c->names[c->names_count++] = name;
    return ERR_OK;
}

enum err hook_client_set_username(struct hook_client *c, const char *username)
{
    lock_take(&c->lock);
    enum err rc = set_locked(c, username);
    lock_release(&c->lock);
    return rc;
}

const struct hook_client_conf *hook_client_facts(const struct hook_client *c)
{
    return &c->facts;
}

void hook_client_end(struct hook_client *c)
{
    shared_word_set(&c->has_ended, 1);
}

bool hook_client_is_here(const struct hook_client *c)
{
    return shared_word_get(&c->has_ended) == 0;
}

void hook_client_gone_for(struct hook_client *c, unsigned plugin)
{
    shared_word_set(&c->gone_for, shared_word_get(&c->gone_for) | (uint32_t)1 << plugin);
}

bool hook_client_is_gone_for(const struct hook_client *c, unsigned plugin)
{
    return (shared_word_get(&c->gone_for) & (uint32_t)1 << plugin) != 0;
}

struct gauge *hook_client_subs(struct hook_client *c)
{
    return &c->subs;
}
