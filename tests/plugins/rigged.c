/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rigged - a plugin whose callbacks are a unit test's.
 *
 * Options:
 *   rig ADDRESS   of a struct rigged, which is the test's
 *   name WORD     what the test knows it by
 *   event NUMBER  to register for, several times; CONTROL is of $CONTROL/NAME/v1
 *   init NUMBER   what mosquitto_plugin_init gives; 0 otherwise
 */
#include "plugins/rigged.h"
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

struct plugin {
    struct rigged *rig;
    const char *name;
};

static int call(int event, void *data, void *userdata)
{
    struct plugin *p = userdata;
    return p->rig->call(p->rig, p->name, event, data);
}

static void listen(struct plugin *p, mosquitto_plugin_id_t *id, int event)
{
    char topic[64];
    snprintf(topic, sizeof topic, "$CONTROL/%s/v1", p->name);
    mosquitto_callback_register(id, event, call, event == MOSQ_EVT_CONTROL ? topic : NULL, p);
}

EXPORT int mosquitto_plugin_version(int count, const int *versions)
{
    for (int i = 0; i < count; i++)
        if (versions[i] == MOSQ_PLUGIN_VERSION) return versions[i];
    return -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *opts,
                                 int count)
{
    struct plugin *p = calloc(1, sizeof *p);
    int rc = 0;
    if (p == NULL) return MOSQ_ERR_NOMEM;
    for (int i = 0; i < count; i++) {
        const char *key = opts[i].key, *value = opts[i].value;
        if (strcmp(key, "rig") == 0) p->rig = (struct rigged *)(uintptr_t)strtoull(value, NULL, 16);
        if (strcmp(key, "name") == 0) p->name = value;
        if (strcmp(key, "event") == 0) listen(p, id, (int)strtol(value, NULL, 10));
        if (strcmp(key, "init") == 0) rc = (int)strtol(value, NULL, 10);
    }
    if (rc != 0) {
        free(p);
        return rc;
    }
    *userdata = p;
    p->rig->call(p->rig, p->name, RIGGED_INIT, id);
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts, int count)
{
    struct plugin *p = userdata;
    (void)opts;
    (void)count;
    p->rig->call(p->rig, p->name, RIGGED_CLEANUP, NULL);
    free(p);
    return MOSQ_ERR_SUCCESS;
}
