/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restless - a plugin that starts a thread and never ends it: it publishes, kicks, writes into the log and
 * registers, all the time, before, while and after the plugin cleans up.
 */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <pthread.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

static mosquitto_plugin_id_t *id;

static int on_tick(int event, void *data, void *user)
{
    (void)event, (void)data, (void)user;
    return MOSQ_ERR_SUCCESS;
}

static void *work(void *unused)
{
    for (;;) {
        mosquitto_broker_publish_copy(NULL, "restless", 1, "x", 0, false, NULL);
        mosquitto_kick_client_by_clientid("nobody", false);
        mosquitto_callback_register(id, MOSQ_EVT_TICK, on_tick, NULL, NULL);
        mosquitto_log_printf(MOSQ_LOG_DEBUG, "restless");
        mosquitto_free(mosquitto_strdup("restless"));
    }
    return unused;
}

EXPORT int mosquitto_plugin_version(int count, const int *versions)
{
    for (int i = 0; i < count; i++)
        if (versions[i] == MOSQ_PLUGIN_VERSION) return versions[i];
    return -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *given, void **userdata, struct mosquitto_opt *opts,
                                 int count)
{
    pthread_t thread;
    (void)opts, (void)count;
    id = given;
    *userdata = NULL;
    if (pthread_create(&thread, NULL, work, NULL) != 0) return MOSQ_ERR_NOMEM;
    pthread_detach(thread);
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts, int count)
{
    (void)userdata, (void)opts, (void)count;
    return MOSQ_ERR_SUCCESS;
}
