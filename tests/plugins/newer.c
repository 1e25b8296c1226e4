/* SPDX-License-Identifier: Apache-2.0 */
/*
 * newer - a plugin as for mosquitto 2.1: what its newer events give, into the file of plugin_opt_out.
 */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

enum { CONNECT = 11, CLIENT_OFFLINE = 28, LAST = 31 };

/* All three events begin so, and only the first has no reason. */
struct event {
    void *future;
    struct mosquitto *client;
    int reason;
};

static mosquitto_plugin_id_t *id;
static FILE *out;

static int on_event(int event, void *data, void *user)
{
    const struct event *e = data;
    fprintf(out, "%s %d %s", (const char *)user, event, mosquitto_client_id(e->client));
    if (event != CONNECT) fprintf(out, " %d", e->reason);
    fprintf(out, "\n");
    fflush(out);
    return MOSQ_ERR_SUCCESS;
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
    id = given;
    *userdata = NULL;
    for (int i = 0; i < count; i++)
        if (strcmp(opts[i].key, "out") == 0) out = fopen(opts[i].value, "a");
    if (out == NULL) return MOSQ_ERR_INVAL;
    for (int event = MOSQ_EVT_DISCONNECT; event <= LAST; event++)
        fprintf(out, "register %d: %d\n", event,
                mosquitto_callback_register(id, event, on_event, NULL, "event"));
    fflush(out);
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts, int count)
{
    (void)userdata, (void)opts, (void)count;
    for (int event = MOSQ_EVT_DISCONNECT; event <= LAST; event++)
        fprintf(out, "unregister %d: %d\n", event, mosquitto_callback_unregister(id, event, on_event, NULL));
    fclose(out);
    return MOSQ_ERR_SUCCESS;
}
