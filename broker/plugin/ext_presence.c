/* SPDX-License-Identifier: Apache-2.0 */
/*
 * longlink_plugin.h: who has come in, and who is there.
 *
 *   longlink_presence -> the broker -> answered, on an event loop -> e->first -> the plugin's thread
 *
 * The broker answers each question, and may do so when the plugin is no more: then it is freed there.
 */
#include "plugin/ext_int.h"
#include <stdlib.h>
#include <string.h>

/* --- who has come in */

static int tell_connected(int event, void *event_data, void *userdata)
{
    const struct plugin_step *s = plugin_step_now();
    const struct plugin_ext *e = userdata;
    (void)event, (void)event_data;
    const struct hook_connected *in = CONTAINER(s->ask, struct hook_connected, ask);
    const struct longlink_connected connected = {
        .size = sizeof connected,
        .client = (struct mosquitto *)(void *)s->client,
        .session_present = in->session_present,
    };
    e->connected(e->connected_userdata, &connected);
    return MOSQ_ERR_SUCCESS;
}

int longlink_on_connected(mosquitto_plugin_id_t *id, longlink_connected_fn *fn, void *userdata)
{
    struct plugin *p = plugin_ext_own(id);
    if (p == NULL) return MOSQ_ERR_INVAL;
    struct plugin_ext *e = plugin_ext_of(p);
    struct plugin_callback_conf conf = { .event = PLUGIN_EVT_CONNECT, .run = tell_connected, .userdata = e };
    bool is_registered = e->connected != NULL; /* by us: the plugin may have callbacks of its own */
    int rc = MOSQ_ERR_SUCCESS;
    if (fn != NULL && !is_registered) rc = plugin_callback_add(p, &conf);
    if (fn == NULL && is_registered) rc = plugin_callback_remove(p, &conf);
    if (rc != MOSQ_ERR_SUCCESS) return rc;
    e->connected = fn;
    e->connected_userdata = userdata;
    return MOSQ_ERR_SUCCESS;
}

/* --- who is there */

struct query {
    struct hook_presence presence;
    struct plugin *plugin; /* only with the gate open */
    struct query *next;
    longlink_presence_fn *fn;
    void *userdata;
    char client_id[];
};

/* True: it is left for the plugin's thread. */
static bool put(struct query *q)
{
    struct plugin *p = q->plugin;
    struct plugin_ext *e = plugin_ext_of(p);
    lock_take(&e->lock);
    bool is_put = !e->is_over, wakes = is_put && !e->is_woken;
    if (is_put) {
        *e->last = q;
        e->last = &q->next;
        e->is_woken = true;
    }
    lock_release(&e->lock);
    if (wakes) mailbox_send(&p->mailbox, &e->wake);
    return is_put;
}

/* On an event loop. */
static void done(struct hook_presence *presence)
{
    struct query *q = CONTAINER(presence, struct query, presence);
    struct plugin_gate gate;
    bool is_put = false;
    if (plugins_enter(&gate)) {
        is_put = put(q);
        plugins_leave();
    }
    if (!is_put) free(q);
}

static int ask(struct plugin *p, const struct hook_broker *broker, struct query *q)
{
    struct plugin_ext *e = plugin_ext_of(p);
    lock_take(&e->lock);
    bool has_room = e->queries_count < LONGLINK_QUERIES_MAX && !e->is_over;
    if (has_room) e->queries_count++;
    lock_release(&e->lock);
    if (!has_room) return MOSQ_ERR_OVERSIZE_PACKET;
    if (broker->presence(broker->ctx, &q->presence) == ERR_OK) return MOSQ_ERR_SUCCESS;
    lock_take(&e->lock);
    e->queries_count--;
    lock_release(&e->lock);
    return MOSQ_ERR_NOMEM;
}

int longlink_presence(mosquitto_plugin_id_t *id, const char *client_id, longlink_presence_fn *fn,
                      void *userdata)
{
    struct plugin_gate gate;
    struct plugin *p = client_id == NULL || fn == NULL ? NULL : plugin_ext_enter(id, &gate);
    if (p == NULL) return MOSQ_ERR_INVAL;
    size_t bytes = strlen(client_id);
    struct query *q = calloc(1, sizeof *q + bytes + 1);
    int rc = MOSQ_ERR_NOMEM;
    if (q != NULL) {
        memcpy(q->client_id, client_id, bytes);
        q->presence.client_id = bytes_of((uint8_t *)q->client_id, bytes);
        q->presence.done = done;
        q->plugin = p;
        q->fn = fn;
        q->userdata = userdata;
        rc = ask(p, gate.broker, q);
    }
    if (rc != MOSQ_ERR_SUCCESS) free(q);
    plugins_leave();
    return rc;
}

static struct query *take_all(struct plugin_ext *e, bool is_over)
{
    lock_take(&e->lock);
    struct query *q = e->first;
    e->first = NULL;
    e->last = &e->first;
    e->is_woken = false;
    e->is_over = is_over;
    for (const struct query *each = q; each != NULL; each = each->next) e->queries_count--;
    lock_release(&e->lock);
    return q;
}

void plugin_ext_tell_queries(struct plugin *p)
{
    struct query *q = take_all(plugin_ext_of(p), false);
    while (q != NULL) {
        struct query *next = q->next;
        const struct longlink_presence presence = {
            .size = sizeof presence,
            .client_id = q->client_id,
            .is_connected = q->presence.is_connected,
            .has_session = q->presence.has_session,
            .queued = q->presence.queued,
            .keepalive_s = q->presence.keepalive_s,
            .keepalive_found_s = q->presence.found_s,
        };
        q->fn(q->userdata, &presence);
        free(q);
        q = next;
    }
}

void plugin_ext_queries_end(struct plugin *p)
{
    struct query *q = take_all(plugin_ext_of(p), true);
    while (q != NULL) {
        struct query *next = q->next;
        free(q);
        q = next;
    }
}
