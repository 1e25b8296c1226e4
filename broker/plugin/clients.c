/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients that a plugin has been shown, so that a pointer which it has kept for too long is known for
 * what it is before it is followed.
 */
#include "plugin/plugin_int.h"
#include <stdlib.h>

static uint64_t hash_of(const void *client)
{
    return map_hash_u64((uint64_t)(uintptr_t)client);
}

static bool is_of(const void *item, const void *key)
{
    return ((const struct plugin_known *)item)->client == key;
}

struct plugin_known *plugin_known_locked(struct plugin *p, const struct hook_client *client)
{
    return map_get(&p->known, hash_of(client), is_of, client);
}

static void known_free(struct plugin_known *k)
{
    if (k == NULL) return;
    hook_client_unref(&k->client);
    free(k);
}

static enum err add_locked(struct plugin *p, struct hook_client *client)
{
    struct plugin_known *k = calloc(1, sizeof *k);
    if (k == NULL) return ERR_NOMEM;
    k->client = hook_client_ref(client);
    list_init(&k->parked);
    enum err rc = map_put(&p->known, hash_of(client), k);
    if (rc != ERR_OK) known_free(k);
    return rc;
}

enum err plugin_client_show(struct plugin *p, struct hook_client *client)
{
    enum err rc = ERR_OK;
    lock_take(&p->lock);
    bool is_new = plugin_known_locked(p, client) == NULL;
    if (is_new && !hook_client_is_gone_for(client, p->place)) rc = add_locked(p, client);
    lock_release(&p->lock);
    return rc;
}

/* Who is gone is said to be so before the plugin hears of it: so either this sees it, or that finds the
 * entry. */
enum err plugin_client_show_locked(struct plugin *p, struct hook_client *client)
{
    if (plugin_known_locked(p, client) != NULL) return ERR_OK;
    return hook_client_is_here(client) ? add_locked(p, client) : ERR_CLOSED;
}

void plugin_client_gone(struct plugin *p, struct hook_client *client)
{
    lock_take(&p->lock);
    struct plugin_known *k = plugin_known_locked(p, client);
    if (k != NULL) k->is_gone = true; /* so it stays as it is for what follows */
    hook_client_gone_for(client, p->place);
    lock_release(&p->lock);
    if (k == NULL) return;
    plugin_ext_gone(p, k);
    lock_take(&p->lock);
    map_take(&p->known, hash_of(client), is_of, client);
    while (!list_empty(&k->parked)) list_remove(k->parked.next); /* they stay parked */
    lock_release(&p->lock);
    known_free(k);
}

void plugin_clients_fini(struct plugin *p)
{
    size_t at = 0;
    for (struct plugin_known *k; (k = map_next(&p->known, &at)) != NULL;) known_free(k);
    map_fini(&p->known);
}

static struct hook_client *hold_known(struct plugin *p, const void *client)
{
    lock_take(&p->lock);
    const struct plugin_known *k = plugin_known_locked(p, client);
    struct hook_client *found = k == NULL ? NULL : hook_client_ref(k->client);
    lock_release(&p->lock);
    return found;
}

struct hook_client *plugin_client_hold(const struct mosquitto *client)
{
    const void *pointer = client;
    const struct plugin_step *s = plugin_step_now();
    struct plugin *p = plugin_now();
    struct hook_client *found = NULL;
    struct plugin_gate gate;
    if (pointer == NULL) return NULL;
    if (s != NULL && s->client == pointer) return hook_client_ref(s->client);
    if (p != NULL) found = hold_known(p, pointer);
    if (p != NULL) return found != NULL ? found : plugin_ext_hold(pointer);
    found = plugin_ext_hold(pointer);
    if (found != NULL || !plugins_enter(&gate)) return found;
    for (size_t i = 0; i < gate.plugins->count && found == NULL; i++)
        found = hold_known(&gate.plugins->at[i], pointer);
    plugins_leave();
    return found;
}
