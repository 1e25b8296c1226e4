/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hanging - a plugin that does not come back.
 *
 * Options:
 *   event NUMBER   the callback of this event hangs for ever
 *   init 1         mosquitto_plugin_init says 1
 *   cleanup 1      mosquitto_plugin_cleanup hangs
 */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

static bool cleanup_hangs;

static void hang(void)
{
    for (;;) pause();
}

static int call(int event, void *data, void *userdata)
{
    (void)event;
    (void)data;
    (void)userdata;
    hang();
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_version(int count, const int *versions)
{
    return count > 0 ? versions[0] : -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *opts,
                                 int count)
{
    int rc = MOSQ_ERR_SUCCESS;
    *userdata = NULL;
    for (int i = 0; i < count; i++) {
        long number = strtol(opts[i].value, NULL, 10);
        if (strcmp(opts[i].key, "event") == 0) mosquitto_callback_register(id, (int)number, call, NULL, NULL);
        if (strcmp(opts[i].key, "init") == 0) rc = (int)number;
        if (strcmp(opts[i].key, "cleanup") == 0) cleanup_hangs = number != 0;
    }
    return rc;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts, int count)
{
    (void)userdata;
    (void)opts;
    (void)count;
    if (cleanup_hangs) hang();
    return MOSQ_ERR_SUCCESS;
}
