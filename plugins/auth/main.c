/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/plugin_int.h"
#include "base/clock.h"
#include <stdlib.h>

/* longlink_auth.so: what the host loads. Rules are asked on the event loops, at once; the rest is the
 * plugin's thread's, which hands on what takes long. */

#define SEEN __attribute__((visibility("default")))

SEEN int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    for (int i = 0; i < supported_version_count; i++)
        if (supported_versions[i] == 5) return 5;
    return -1;
}

/* --- rules */

static enum rule_answer ask_rules(struct plugin *p, const struct mosquitto_evt_acl_check *e,
                                  enum rule_question question)
{
    const struct person *q = longlink_client_data(p->id, e->client);
    const char *username = mosquitto_client_username(e->client), *id = mosquitto_client_id(e->client);
    struct rule_who who = { .client_id = bytes_of_text(id == NULL ? "" : id) };
    if (username != NULL) who.username = bytes_of_text(username);
    const struct grants *grants = q != NULL && q->is_in ? q->grants : NULL;
    struct world_slot *slot = plugin_look(p);
    enum rule_answer is = login_may(slot->world, grants, &who, question, bytes_of_text(e->topic));
    plugin_look_end(slot);
    return is;
}

static int acl_check(int event, void *event_data, void *userdata)
{
    struct plugin *p = userdata;
    const struct mosquitto_evt_acl_check *e = event_data;
    static const char *const actions[] = { "publish", "receive", "subscribe" };
    (void)event;
    if (e->access == MOSQ_ACL_UNSUBSCRIBE) return MOSQ_ERR_SUCCESS;
    enum rule_question question = e->access == MOSQ_ACL_WRITE       ? RULE_MAY_PUBLISH
                                  : e->access == MOSQ_ACL_SUBSCRIBE ? RULE_MAY_SUBSCRIBE
                                                                    : RULE_MAY_RECEIVE;
    enum rule_answer is = ask_rules(p, e, question);
    if (is == RULE_ALLOWED) return MOSQ_ERR_SUCCESS;
    if (is == RULE_SILENT) return MOSQ_ERR_PLUGIN_DEFER;
    struct say_who who = { mosquitto_client_username(e->client), mosquitto_client_id(e->client),
                           mosquitto_client_address(e->client) };
    plugin_say_denied(p, &who, actions[question], e->topic);
    return MOSQ_ERR_ACL_DENIED;
}

/* --- time, and reload */

static int tick(int event, void *event_data, void *userdata)
{
    struct plugin *p = userdata;
    const struct mosquitto_evt_tick *e = event_data;
    (void)event;
    people_tick(p->people, clock_mono_ms(&clock_system));
    plugin_look_at_db(p, e->now_s);
    return MOSQ_ERR_SUCCESS;
}

static int reload(int event, void *event_data, void *userdata)
{
    struct plugin *p = userdata;
    const struct mosquitto_evt_reload *e = event_data;
    (void)event;
    if (!plugin_load(p, e->options, e->option_count)) return MOSQ_ERR_SUCCESS; /* the log has said why */
    plugin_review(p);
    return MOSQ_ERR_SUCCESS;
}

/* --- life */

static void end_client(void *client, enum people_end why)
{
    longlink_client_end(client, (uint8_t)why, true);
}

static void forget_client(void *client)
{
    longlink_client_unref(client);
}

static const struct people_ops ops = { end_client, forget_client };

static const struct {
    int event;
    MOSQ_FUNC_generic_callback run;
} callbacks[] = {
    { MOSQ_EVT_BASIC_AUTH, plugin_basic_auth },
    { MOSQ_EVT_EXT_AUTH_START, plugin_auth_start },
    { MOSQ_EVT_EXT_AUTH_CONTINUE, plugin_auth_continue },
    { MOSQ_EVT_ACL_CHECK, acl_check },
    { MOSQ_EVT_TICK, tick },
    { MOSQ_EVT_RELOAD, reload },
};

enum { CALLBACKS = sizeof callbacks / sizeof callbacks[0] };

static void stop(struct plugin *p)
{
    http_stop(p->http); /* what fails by that goes to the pool once more */
    pool_stop(&p->pool);
    http_free(&p->http);
    plugin_unload(p);
    for (unsigned i = 0; i < WORLD_SLOTS; i++) pthread_mutex_destroy(&p->slots[i].lock);
    people_unref(&p->people);
    free(p);
}

static bool start(struct plugin *p, const struct mosquitto_opt *options, int count)
{
    for (unsigned i = 0; i < WORLD_SLOTS; i++) pthread_mutex_init(&p->slots[i].lock, NULL);
    p->logins =
        longlink_metric_new(p->id, "logins_total", LONGLINK_COUNTER, "clients", "Clients that were let in.");
    p->refused = longlink_metric_new(p->id, "logins_refused_total", LONGLINK_COUNTER, "clients",
                                     "Clients that were refused.");
    if (!plugin_load(p, options, count)) return false;
    const struct options *o = p->here.settings->options;
    return people_new(&p->people, &ops, clock_mono_ms(&clock_system)) == ERR_OK &&
           pool_start(&p->pool, o->threads, o->waiting) == ERR_OK;
}

SEEN int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *options,
                               int count)
{
    struct plugin *p = aligned_alloc(_Alignof(struct plugin), sizeof *p);
    if (p == NULL) return MOSQ_ERR_NOMEM;
    *p = (struct plugin){ .id = id };
    int rc = start(p, options, count) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_INVAL;
    if (rc == MOSQ_ERR_SUCCESS) rc = longlink_plugin_concurrent(id, MOSQ_EVT_ACL_CHECK);
    for (int i = 0; i < CALLBACKS && rc == MOSQ_ERR_SUCCESS; i++)
        rc = mosquitto_callback_register(id, callbacks[i].event, callbacks[i].run, NULL, p);
    if (rc != MOSQ_ERR_SUCCESS) {
        stop(p);
        return rc;
    }
    *userdata = p;
    return rc;
}

SEEN int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int count)
{
    (void)options;
    (void)count;
    struct plugin *p = userdata;
    for (int i = 0; i < CALLBACKS; i++)
        mosquitto_callback_unregister(p->id, callbacks[i].event, callbacks[i].run, NULL);
    stop(p);
    return MOSQ_ERR_SUCCESS;
}
