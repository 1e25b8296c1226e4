/* SPDX-License-Identifier: Apache-2.0 */
/*
 * longlink_plugin.h: clients beyond a callback, what a plugin keeps for one, and its end.
 */
#include "plugin/ext_int.h"
#include <stdlib.h>

/* --- references */

struct held {
    struct hook_client *client; /* a reference */
    uint64_t count;
};

static struct lock lock = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = LOCK_RANK_PLUGIN_EXT };
static struct map all_held; /* guarded by the lock */

static uint64_t hash_of(const void *client)
{
    return map_hash_u64((uint64_t)(uintptr_t)client);
}

static bool is_of(const void *item, const void *key)
{
    return ((const struct held *)item)->client == key;
}

struct hook_client *plugin_ext_hold(const void *client)
{
    lock_take(&lock);
    const struct held *h = map_get(&all_held, hash_of(client), is_of, client);
    struct hook_client *found = h == NULL ? NULL : hook_client_ref(h->client);
    lock_release(&lock);
    return found;
}

static bool add_locked(struct hook_client *c)
{
    struct held *h = calloc(1, sizeof *h);
    if (h == NULL) return false;
    h->client = c;
    h->count = 1;
    if (map_put(&all_held, hash_of(c), h) == ERR_OK) return true;
    free(h);
    return false;
}

struct mosquitto *longlink_client_ref(struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return NULL;
    lock_take(&lock);
    struct held *h = map_get(&all_held, hash_of(c), is_of, c);
    if (h != NULL) h->count++;
    bool is_taken = h == NULL && add_locked(c); /* with the reference that we have */
    lock_release(&lock);
    bool is_held = h != NULL || is_taken;
    if (!is_taken) hook_client_unref(&c);
    return is_held ? client : NULL;
}

void longlink_client_unref(struct mosquitto *client)
{
    lock_take(&lock);
    struct held *h = map_get(&all_held, hash_of(client), is_of, client);
    bool is_last = h != NULL && --h->count == 0;
    if (is_last) map_take(&all_held, hash_of(client), is_of, client);
    lock_release(&lock);
    if (!is_last) return;
    hook_client_unref(&h->client);
    free(h);
}

/* --- what is known of it */

bool longlink_client_is_here(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return false;
    bool is_here = hook_client_is_here(c);
    hook_client_unref(&c);
    return is_here;
}

int longlink_client_port(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return 0;
    int port = hook_client_facts(c)->port;
    hook_client_unref(&c);
    return port;
}

/* --- a plugin's own pointer */

struct data {
    void *data;
    void (*done)(void *data);
    struct data *next;
};

static void end(struct data *d)
{
    if (d != NULL && d->done != NULL) d->done(d->data);
    free(d);
}

/* *before becomes what was there. */
static int set(struct plugin *p, struct hook_client *c, struct data *now, struct data **before)
{
    lock_take(&p->lock);
    enum err rc = plugin_client_show_locked(p, c);
    struct plugin_known *k = rc == ERR_OK ? plugin_known_locked(p, c) : NULL;
    if (k != NULL && k->is_gone) k = NULL;
    if (k != NULL) {
        *before = k->ext;
        k->ext = now;
    }
    lock_release(&p->lock);
    return k != NULL ? MOSQ_ERR_SUCCESS : rc == ERR_NOMEM ? MOSQ_ERR_NOMEM : MOSQ_ERR_NO_CONN;
}

int longlink_client_data_set(mosquitto_plugin_id_t *id, struct mosquitto *client, void *data,
                             void (*done)(void *data))
{
    struct plugin_gate gate;
    struct hook_client *c = plugin_client_hold(client);
    struct plugin *p = c == NULL ? NULL : plugin_ext_enter(id, &gate);
    struct data *now = data == NULL ? NULL : calloc(1, sizeof *now), *before = NULL;
    int rc = p == NULL ? MOSQ_ERR_INVAL : MOSQ_ERR_SUCCESS;
    if (rc == MOSQ_ERR_SUCCESS && now == NULL && data != NULL) rc = MOSQ_ERR_NOMEM;
    if (now != NULL) *now = (struct data){ .data = data, .done = done };
    if (rc == MOSQ_ERR_SUCCESS) rc = set(p, c, now, &before);
    if (rc != MOSQ_ERR_SUCCESS) free(now);
    if (p != NULL) plugins_leave();
    if (c != NULL) hook_client_unref(&c);
    end(before);
    return rc;
}

void *longlink_client_data(mosquitto_plugin_id_t *id, const struct mosquitto *client)
{
    struct plugin_gate gate;
    const void *pointer = client;
    struct plugin *p = plugin_ext_enter(id, &gate);
    if (p == NULL) return NULL;
    lock_take(&p->lock);
    const struct plugin_known *k = plugin_known_locked(p, pointer);
    const struct data *d = k == NULL ? NULL : k->ext;
    void *data = d == NULL ? NULL : d->data;
    lock_release(&p->lock);
    plugins_leave();
    return data;
}

void plugin_ext_gone(struct plugin *p, struct plugin_known *k)
{
    lock_take(&p->lock);
    struct data *d = k->ext;
    k->ext = NULL;
    lock_release(&p->lock);
    end(d);
}

void plugin_ext_data_end(struct plugin *p)
{
    struct data *left = NULL;
    size_t at = 0;
    lock_take(&p->lock);
    for (struct plugin_known *k; (k = map_next(&p->known, &at)) != NULL;) {
        struct data *d = k->ext;
        k->ext = NULL;
        k->is_gone = true;
        if (d == NULL) continue;
        d->next = left;
        left = d;
    }
    lock_release(&p->lock);
    while (left != NULL) {
        struct data *d = left;
        left = d->next;
        end(d);
    }
}

/* --- its end */

static bool is_code(uint8_t code)
{
    enum { CODE_MIN = 0x80, CODE_MAX = 0xA2 };
    return code == 0 || (code >= CODE_MIN && code <= CODE_MAX);
}

static int kick(const struct hook_kick *k)
{
    struct plugin_gate gate;
    if (!plugins_enter(&gate)) return MOSQ_ERR_NO_CONN;
    enum err rc = gate.broker->kick(gate.broker->ctx, k);
    plugins_leave();
    return rc == ERR_OK ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
}

int longlink_client_end(struct mosquitto *client, uint8_t reason_code, bool with_will)
{
    struct hook_client *c = is_code(reason_code) ? plugin_client_hold(client) : NULL;
    if (c == NULL) return MOSQ_ERR_INVAL;
    const struct hook_client_conf *facts = hook_client_facts(c);
    int rc = kick(&(struct hook_kick){
        .conn_id = facts->conn_id, .shard = facts->shard, .with_will = with_will, .code = reason_code });
    hook_client_unref(&c);
    return rc;
}

int longlink_client_end_id(const char *client_id, uint8_t reason_code, bool with_will)
{
    if (client_id == NULL || !is_code(reason_code)) return MOSQ_ERR_INVAL;
    return kick(&(struct hook_kick){
        .client_id = bytes_of_text(client_id), .with_will = with_will, .code = reason_code });
}
