/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow - a plugin that takes its time, and otherwise says yes, or leaves it to others.
 *
 * Options:
 *   login MS, acl MS, message MS, control MS   registers for the event; its callback sleeps so long
 *   every N        it sleeps in one callback of N; 1 otherwise
 *   gate FILE      logins wait until this file is there
 *   answer NUMBER  what logins and ACL checks give; 0 otherwise
 *   change yes     MESSAGE puts another payload with the same bytes into the message, and a user property
 *   concurrent yes its logins and ACL checks may run on any thread, where the broker has such a thing
 *   others yes     registers for all other events, too
 */
#define LONGLINK_PLUGIN_OPTIONAL
#include <longlink_plugin.h>
#include <mosquitto.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

static const struct named {
    const char *name;
    int event;
} events[] = { { "login", MOSQ_EVT_BASIC_AUTH },
               { "acl", MOSQ_EVT_ACL_CHECK },
               { "message", MOSQ_EVT_MESSAGE },
               { "control", MOSQ_EVT_CONTROL } };
enum { EVENTS = sizeof events / sizeof events[0], GATE_MS = 5 };

static long sleep_ms[EVENTS]; /* -1: not registered */
static long every, answer;
static const char *gate;
static bool changes, is_concurrent, has_others;
static atomic_ulong calls;

static void wait_ms(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void take_time(int event)
{
    unsigned long call = atomic_fetch_add(&calls, 1);
    for (int i = 0; i < EVENTS; i++)
        if (events[i].event == event && sleep_ms[i] > 0 && call % (unsigned long)every == 0)
            wait_ms(sleep_ms[i]);
    while (event == MOSQ_EVT_BASIC_AUTH && gate != NULL && access(gate, F_OK) != 0) wait_ms(GATE_MS);
}

static int change(struct mosquitto_evt_message *m)
{
    if (!changes) return MOSQ_ERR_SUCCESS;
    mosquitto_property_add_string_pair(&m->properties, MQTT_PROP_USER_PROPERTY, "slow", "yes");
    void *copy = m->payloadlen == 0 ? NULL : mosquitto_malloc(m->payloadlen);
    if (copy == NULL) return MOSQ_ERR_SUCCESS;
    memcpy(copy, m->payload, m->payloadlen);
    m->payload = copy;
    return MOSQ_ERR_SUCCESS;
}

static int on_event(int event, void *data, void *userdata)
{
    (void)userdata;
    take_time(event);
    if (event == MOSQ_EVT_MESSAGE) return change(data);
    return event == MOSQ_EVT_BASIC_AUTH || event == MOSQ_EVT_ACL_CHECK ? (int)answer : MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_version(int count, const int *versions)
{
    (void)count;
    (void)versions;
    return MOSQ_PLUGIN_VERSION;
}

static void read_options(const struct mosquitto_opt *opts, int count)
{
    every = 1;
    for (int i = 0; i < EVENTS; i++) sleep_ms[i] = -1;
    for (int i = 0; i < count; i++) {
        const char *key = opts[i].key, *value = opts[i].value;
        for (int j = 0; j < EVENTS; j++)
            if (strcmp(events[j].name, key) == 0) sleep_ms[j] = strtol(value, NULL, 10);
        if (strcmp(key, "every") == 0) every = strtol(value, NULL, 10);
        if (strcmp(key, "gate") == 0) gate = value;
        if (strcmp(key, "answer") == 0) answer = strtol(value, NULL, 10);
        if (strcmp(key, "change") == 0) changes = true;
        if (strcmp(key, "concurrent") == 0) is_concurrent = true;
        if (strcmp(key, "others") == 0) has_others = true;
    }
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **userdata, struct mosquitto_opt *opts,
                                 int count)
{
    static const int others[] = { MOSQ_EVT_RELOAD, MOSQ_EVT_TICK, MOSQ_EVT_DISCONNECT };
    *userdata = NULL;
    read_options(opts, count);
    if (every < 1) return MOSQ_ERR_INVAL;
    for (int i = 0; i < EVENTS; i++) {
        int event = events[i].event;
        if (sleep_ms[i] < 0) continue;
        if (is_concurrent && longlink_plugin_api != NULL) longlink_plugin_concurrent(id, event);
        mosquitto_callback_register(id, event, on_event,
                                    event == MOSQ_EVT_CONTROL ? "$CONTROL/slow/v1" : NULL, NULL);
    }
    for (size_t i = 0; has_others && i < sizeof others / sizeof others[0]; i++)
        mosquitto_callback_register(id, others[i], on_event, NULL, NULL);
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts, int count)
{
    (void)userdata;
    (void)opts;
    (void)count;
    return MOSQ_ERR_SUCCESS;
}
