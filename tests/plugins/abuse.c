/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abuse - a plugin that does what it must not, in the ways that a broker can survive. What it does is asked
 * for by the topic of a message that a client publishes; it answers into the file of plugin_opt_out.
 */
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

static mosquitto_plugin_id_t *id;
static FILE *out;
static struct mosquitto *kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *what, int rc)
{
    pthread_mutex_lock(&lock);
    fprintf(out, "%s: %d\n", what, rc);
    fflush(out);
    pthread_mutex_unlock(&lock);
}

static int on_nothing(int event, void *data, void *user)
{
    (void)event, (void)data, (void)user;
    return MOSQ_ERR_SUCCESS;
}

static void say_about(const char *of, const struct mosquitto *c)
{
    char text[200];
    snprintf(text, sizeof text, "%s id=%s user=%s address=%s version=%d subs=%d", of,
             mosquitto_client_id(c) != NULL ? "there" : "NULL",
             mosquitto_client_username(c) != NULL ? "there" : "NULL",
             mosquitto_client_address(c) != NULL ? "there" : "NULL", mosquitto_client_protocol_version(c),
             mosquitto_client_sub_count(c));
    say(text, mosquitto_client_certificate(c) != NULL);
}

static int on_message(int event, void *data, void *user);

/* On a thread of its own. */
static void *elsewhere(void *unused)
{
    (void)unused;
    say("foreign register", mosquitto_callback_register(id, MOSQ_EVT_TICK, on_nothing, NULL, NULL));
    say("foreign unregister", mosquitto_callback_unregister(id, MOSQ_EVT_MESSAGE, on_message, NULL));
    say("foreign publish", mosquitto_broker_publish_copy(NULL, "from/elsewhere", 1, "x", 1, false, NULL));
    say("foreign kick", mosquitto_kick_client_by_username("nobody", false));
    say("foreign set_username", mosquitto_set_username((struct mosquitto *)&lock, "x"));
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "foreign log");
    free(mosquitto_strdup("foreign memory"));
    say_about("foreign", (struct mosquitto *)&lock);
    return NULL;
}

static void many_from_elsewhere(void)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, elsewhere, NULL);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void register_too_much(void)
{
    char topic[40];
    int rc = MOSQ_ERR_SUCCESS, count = 0;
    while (rc == MOSQ_ERR_SUCCESS && count < 100000) {
        snprintf(topic, sizeof topic, "$CONTROL/many/v%d", count++);
        rc = mosquitto_callback_register(id, MOSQ_EVT_CONTROL, on_nothing, topic, NULL);
    }
    say("registered until", rc);
    for (int i = 0; i < count; i++) {
        snprintf(topic, sizeof topic, "$CONTROL/many/v%d", i);
        mosquitto_callback_unregister(id, MOSQ_EVT_CONTROL, on_nothing, topic);
    }
}

static void set_names(struct mosquitto *c)
{
    char name[20];
    int rc = MOSQ_ERR_SUCCESS;
    for (int i = 0; i < 1000 && rc == MOSQ_ERR_SUCCESS; i++) {
        snprintf(name, sizeof name, "name%d", i);
        rc = mosquitto_set_username(c, name);
    }
    say("names until", rc);
}

static void unregister_itself(void)
{
    say("unregister", mosquitto_callback_unregister(id, MOSQ_EVT_MESSAGE, on_message, NULL));
    say("unregister again", mosquitto_callback_unregister(id, MOSQ_EVT_MESSAGE, on_message, NULL));
    say("register", mosquitto_callback_register(id, MOSQ_EVT_MESSAGE, on_message, NULL, NULL));
}

static void change(struct mosquitto_evt_message *e, const char *how)
{
    if (strcmp(how, "wildcard") == 0) e->topic = strdup("a/+/b");
    if (strcmp(how, "empty") == 0) e->topic = strdup("");
    if (strcmp(how, "null") == 0) e->topic = NULL;
    if (strcmp(how, "utf8") == 0) e->topic = strdup("\xc0\x80");
    if (strcmp(how, "longer") == 0) e->payloadlen += 1000;
    if (strcmp(how, "negative") == 0) {
        e->payload = strdup("x");
        e->payloadlen = (uint32_t)-1;
    }
    if (strcmp(how, "nothing") == 0) e->payload = NULL; /* but a length */
    if (strcmp(how, "property") == 0) {
        mosquitto_property_add_string(&e->properties, 0x1f, "not of PUBLISH");
        mosquitto_property_add_int16(&e->properties, 0x23, 9);
        mosquitto_property_add_string(&e->properties, 0x03, "type");
        mosquitto_property_add_string(&e->properties, 0x03, "again");
    }
    if (strcmp(how, "client") == 0) e->client = NULL;
}

static int on_message(int event, void *data, void *user)
{
    struct mosquitto_evt_message *e = data;
    char topic[100];
    (void)event, (void)user;
    snprintf(topic, sizeof topic, "%s", e->topic);
    if (strcmp(topic, "do/keep") == 0) kept = e->client;
    if (strcmp(topic, "do/use") == 0) say_about("kept", kept);
    if (strcmp(topic, "do/rename") == 0) say("kept set_username", mosquitto_set_username(kept, "x"));
    if (strcmp(topic, "do/threads") == 0) many_from_elsewhere();
    if (strcmp(topic, "do/register") == 0) register_too_much();
    if (strcmp(topic, "do/names") == 0) set_names(e->client);
    if (strcmp(topic, "do/unregister") == 0) unregister_itself();
    if (strcmp(topic, "do/kick") == 0)
        say("kick", mosquitto_kick_client_by_clientid(mosquitto_client_id(e->client), true));
    if (strcmp(topic, "do/event") == 0) {
        say("event 14", mosquitto_callback_register(id, 14, on_nothing, NULL, NULL));
        say("event 4711", mosquitto_callback_register(id, 4711, on_nothing, NULL, NULL));
        say("no id", mosquitto_callback_register(NULL, MOSQ_EVT_TICK, on_nothing, NULL, NULL));
        say("no plugin's id",
            mosquitto_callback_register((void *)&lock, MOSQ_EVT_TICK, on_nothing, NULL, NULL));
    }
    if (strncmp(topic, "change/", 7) == 0) change(e, topic + 7);
    return strncmp(topic, "result/", 7) == 0 ? (int)strtol(topic + 7, NULL, 10) : MOSQ_ERR_SUCCESS;
}

static int on_acl(int event, void *data, void *user)
{
    struct mosquitto_evt_acl_check *e = data;
    (void)event, (void)user;
    int rc = strncmp(e->topic, "acl/", 4) == 0 ? (int)strtol(e->topic + 4, NULL, 10) : MOSQ_ERR_SUCCESS;
    /* Pointers that are the broker's, and are not looked at again. */
    e->topic = "x";
    e->payload = NULL;
    e->client = NULL;
    return rc;
}

int mosquitto_plugin_version(int count, const int *versions)
{
    (void)count, (void)versions;
    return MOSQ_PLUGIN_VERSION;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **user,
                                 struct mosquitto_opt *options, int count)
{
    (void)user;
    id = identifier;
    for (int i = 0; i < count; i++)
        if (strcmp(options[i].key, "out") == 0) out = fopen(options[i].value, "a");
    if (out == NULL) return MOSQ_ERR_INVAL;
    mosquitto_callback_register(id, MOSQ_EVT_ACL_CHECK, on_acl, NULL, NULL);
    return mosquitto_callback_register(id, MOSQ_EVT_MESSAGE, on_message, NULL, NULL);
}

EXPORT int mosquitto_plugin_cleanup(void *user, struct mosquitto_opt *options, int count)
{
    (void)user, (void)options, (void)count;
    mosquitto_callback_unregister(id, MOSQ_EVT_MESSAGE, on_message, NULL);
    say("cleanup, unregister again", mosquitto_callback_unregister(id, MOSQ_EVT_MESSAGE, on_message, NULL));
    fclose(out);
    return MOSQ_ERR_SUCCESS;
}
