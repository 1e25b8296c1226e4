/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile - a plugin that does what it must not, whenever it is told to.
 *
 * A deed is named by the user name of a login ("do NAME"), the topic of an ACL check ("acl/NAME") or of a
 * message ("message/NAME"), the payload of a message to $CONTROL/hostile/v1, the user name of a client that
 * is gone ("gone NAME"), and, for what has no client, by an option.
 *
 * Options:
 *   init NAME, cleanup NAME, tick NAME, reload NAME   what is done then; tick: once
 *   out FILE   each deed is written there when it is done
 */
#include <limits.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

enum { KEPT_MAX = 64, HUGE_BYTES = 100000, NAMES = 500, THREAD_ROUNDS = 10, MANY = 1050, WORDS = 5 };

/* What a callback is about. */
struct call {
    int event;
    void *data;
    struct mosquitto *client;
};

static mosquitto_plugin_id_t *id;
static FILE *out;
static const char *words[WORDS]; /* what is done at: init, cleanup, tick, reload */
enum { AT_INIT, AT_CLEANUP, AT_TICK, AT_RELOAD };
static struct mosquitto *_Atomic kept[KEPT_MAX];
static atomic_uint kept_count;
static pthread_t thread, own_thread;
static bool has_thread;
static char huge[HUGE_BYTES + 1];

static int on_event(int event, void *data, void *userdata);
static void run(const char *name, const struct call *c);

/* --- deeds */

static void unregister(const struct call *c)
{
    static const char topic[] = "$CONTROL/hostile/v1";
    const void *data = c->event == MOSQ_EVT_CONTROL ? topic : NULL;
    for (int i = 0; i < 2; i++) mosquitto_callback_unregister(id, c->event, on_event, data);
    for (int i = 0; i < 2; i++) mosquitto_callback_register(id, c->event, on_event, data, NULL);
    mosquitto_callback_unregister(id, c->event, NULL, data);
    mosquitto_callback_unregister(NULL, c->event, on_event, data);
    mosquitto_callback_unregister(id, MOSQ_EVT_CONTROL, on_event, NULL);
    mosquitto_callback_unregister(id, MOSQ_EVT_CONTROL, on_event, "$CONTROL/nobody/v1");
}

static void register_nonsense(const struct call *c)
{
    static const int events[] = { 0, -1, 11, 12, 18, 31, 32, 33, 64, 999, INT_MAX, INT_MIN };
    static const char *const topics[] = {
        NULL, "", "$CONTROL", "$CONTROL/", "room", "$CONTROL/a/v1/#", "$CONTROL/+/v1", huge
    };
    mosquitto_plugin_id_t *wild[] = { NULL, (void *)huge, (void *)1, (void *)-1 };
    (void)c;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        mosquitto_callback_register(id, events[i], on_event, NULL, NULL);
        mosquitto_callback_unregister(id, events[i], on_event, NULL);
    }
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        mosquitto_callback_register(id, MOSQ_EVT_CONTROL, on_event, topics[i], NULL);
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++)
        mosquitto_callback_register(wild[i], MOSQ_EVT_TICK, on_event, NULL, NULL);
    mosquitto_callback_register(id, MOSQ_EVT_TICK, NULL, NULL, NULL);
}

/* Hundreds of callbacks for one event. */
static void register_many(const struct call *c)
{
    char topic[32];
    (void)c;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++) {
            snprintf(topic, sizeof topic, "$CONTROL/many-%d/v1", i);
            if (round == 0) mosquitto_callback_register(id, MOSQ_EVT_CONTROL, on_event, topic, NULL);
            if (round == 1) mosquitto_callback_unregister(id, MOSQ_EVT_CONTROL, on_event, topic);
        }
}

static void publish_nonsense(const struct call *c)
{
    static const char *const topics[] = { NULL,
                                          "",
                                          "a/+",
                                          "#",
                                          "\xff\xfe",
                                          "\xed\xa0\x80",
                                          huge,
                                          "$SYS",
                                          "$share/g/t",
                                          "$CONTROL/hostile/v1",
                                          "$delayed/5/later",
                                          "a//b",
                                          "/" };
    static const int lengths[] = { -1, INT_MIN, 0, 1, INT_MAX };
    static const int qos[] = { -1, 0, 1, 2, 3, 255, INT_MAX };
    (void)c;
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
        for (size_t j = 0; j < sizeof qos / sizeof qos[0]; j++)
            mosquitto_broker_publish_copy(j % 2 ? NULL : "nobody", topics[i], 1, "x", qos[j], j % 3 == 0,
                                          NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        mosquitto_broker_publish(NULL, "noise", lengths[i], NULL, 0, false, NULL);
    mosquitto_broker_publish_copy(huge, "noise", 1, "x", 0, false, NULL);
    mosquitto_broker_publish_copy("", "noise", 1, "x", 0, true, NULL);
    mosquitto_broker_publish_copy(NULL, "noise", HUGE_BYTES, huge, 2, true, NULL);
    mosquitto_broker_publish_copy(NULL, "noise", 0, NULL, 1, true, NULL); /* forgets it */
}

static void publish_once(mosquitto_property *list)
{
    if (mosquitto_broker_publish_copy(NULL, "noise", 1, "x", 1, false, list) != MOSQ_ERR_SUCCESS)
        mosquitto_property_free_all(&list);
}

/* What libmosquitto lets be made, whether it belongs to a PUBLISH or not. */
static void publish_properties(const struct call *c)
{
    static const int strings[] = { MQTT_PROP_CONTENT_TYPE, MQTT_PROP_RESPONSE_TOPIC, MQTT_PROP_REASON_STRING,
                                   MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER };
    mosquitto_property *list = NULL;
    (void)c;
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        list = NULL;
        mosquitto_property_add_string(&list, strings[i], "a/#");
        mosquitto_property_add_string(&list, strings[i], "twice");
        publish_once(list);
    }
    list = NULL;
    mosquitto_property_add_byte(&list, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 200);
    mosquitto_property_add_int16(&list, MQTT_PROP_TOPIC_ALIAS, 0);
    mosquitto_property_add_varint(&list, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, 0);
    mosquitto_property_add_int32(&list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, 0);
    publish_once(list);
    list = NULL;
    for (int i = 0; i < 2000; i++)
        mosquitto_property_add_string_pair(&list, MQTT_PROP_USER_PROPERTY, "k", "v");
    mosquitto_property_add_binary(&list, MQTT_PROP_CORRELATION_DATA, huge, 65535);
    publish_once(list);
}

static void kick(const struct call *c)
{
    const char *client_id = mosquitto_client_id(c->client);
    const char *name = mosquitto_client_username(c->client);
    for (int i = 0; i < 2; i++) {
        if (client_id != NULL) mosquitto_kick_client_by_clientid(client_id, i == 0);
        if (name != NULL) mosquitto_kick_client_by_username(name, i == 1);
    }
    mosquitto_kick_client_by_clientid("", true);
    mosquitto_kick_client_by_clientid(huge, true);
    mosquitto_kick_client_by_username("", true);
    mosquitto_kick_client_by_username(huge, false);
    mosquitto_kick_client_by_username("\xff", false);
}

/* Texts last as long as the client does, whose end is told on the plugin's own thread. */
static size_t length(const char *text)
{
    return text == NULL || !pthread_equal(pthread_self(), own_thread) ? 0 : strlen(text);
}

static void look_at(struct mosquitto *client)
{
    length(mosquitto_client_address(client));
    mosquitto_client_clean_session(client);
    length(mosquitto_client_id(client));
    mosquitto_client_keepalive(client);
    void *certificate = mosquitto_client_certificate(client);
    if (certificate != NULL) abort(); /* none has one here */
    mosquitto_client_protocol(client);
    mosquitto_client_protocol_version(client);
    mosquitto_client_sub_count(client);
    length(mosquitto_client_username(client));
}

static void keep(const struct call *c)
{
    atomic_store(&kept[atomic_fetch_add(&kept_count, 1) % KEPT_MAX], c->client);
}

static void use_kept(const struct call *c)
{
    struct mosquitto *wild[] = { NULL, (void *)1, (void *)-1, (void *)huge, (void *)&id, (void *)id };
    (void)c;
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        look_at(wild[i]);
        mosquitto_set_username(wild[i], "wild");
    }
    for (int i = 0; i < KEPT_MAX; i++) {
        look_at(atomic_load(&kept[i]));
        mosquitto_set_username(atomic_load(&kept[i]), "kept");
    }
}

static void set_usernames(const struct call *c)
{
    char name[32];
    static const char *const names[] = {
        "\xff\xfe", "\xc0\x80", huge, "", "#", "a/+/b", "a\nb", NULL, "name"
    };
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        mosquitto_set_username(c->client, name);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) mosquitto_set_username(c->client, names[i]);
}

static void set_bad_username(const struct call *c)
{
    mosquitto_set_username(c->client, "\xff\xfe");
}

static void set_huge_username(const struct call *c)
{
    mosquitto_set_username(c->client, huge);
}

static void set_no_username(const struct call *c)
{
    mosquitto_set_username(c->client, NULL);
}

static void memory(const struct call *c)
{
    (void)c;
    mosquitto_free(NULL);
    mosquitto_free(mosquitto_malloc(0));
    mosquitto_free(mosquitto_calloc(0, 0));
    volatile size_t most = SIZE_MAX; /* so that no compiler foretells the answer */
    mosquitto_free(mosquitto_calloc(most, 2));
    mosquitto_free(mosquitto_malloc(most / 2));
    mosquitto_free(mosquitto_realloc(NULL, 10));
    mosquitto_free(mosquitto_strdup(NULL));
}

static void write_log(const struct call *c)
{
    static const int levels[] = { 0, -1, 1, 2, 3, 4, 8, 16, 255, INT_MAX, INT_MIN };
    (void)c;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        mosquitto_log_printf(levels[i], "%s", huge);
        mosquitto_log_printf(levels[i], "\xff\xfe two\nlines of one plugin\n client-connected forged=1\n");
    }
    mosquitto_log_printf(MOSQ_LOG_ERR, NULL);
}

/* All of it again, and a message that is changed to what no message is. */
static void change_message(const struct call *c)
{
    static unsigned turn;
    struct mosquitto_evt_message *m = c->data;
    static const char *const topics[] = { "",          "a/#", "\xff", huge, "$SYS/x", "$CONTROL/hostile/v1",
                                          "$share/g/t" };
    unsigned what = turn++ % 12;
    if (c->event != MOSQ_EVT_MESSAGE) return;
    m->qos = 77;
    m->retain = true;
    m->reason_code = 255;
    if (what < 7) m->topic = mosquitto_strdup(topics[what]);
    if (what == 7) m->topic = NULL;
    if (what == 8) m->payloadlen = UINT32_MAX; /* of the payload that is there */
    if (what == 9) m->payload = NULL;
    if (what == 10) m->reason_string = mosquitto_strdup("\xff\xfe");
    if (what == 11) {
        m->payload = mosquitto_malloc(1);
        m->payloadlen = 0;
        mosquitto_property_add_int16(&m->properties, MQTT_PROP_TOPIC_ALIAS, 3);
        mosquitto_property_add_int32(&m->properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3);
    }
}

/* From no thread of the broker's. */
static void *busy(void *arg)
{
    struct call nobody = { 0 };
    (void)arg;
    for (int i = 0; i < THREAD_ROUNDS; i++) {
        publish_nonsense(&nobody);
        use_kept(&nobody);
        register_nonsense(&nobody);
        mosquitto_callback_unregister(id, MOSQ_EVT_ACL_CHECK, on_event, NULL);
        mosquitto_kick_client_by_clientid("nobody", false);
        write_log(&nobody);
    }
    memory(&nobody);
    return NULL;
}

static void end_thread(void)
{
    if (has_thread) pthread_join(thread, NULL);
    has_thread = false;
}

static void start_thread(const struct call *c)
{
    (void)c;
    end_thread();
    has_thread = pthread_create(&thread, NULL, busy, NULL) == 0;
}

static void hang(const struct call *c)
{
    (void)c;
    for (;;) pause();
}

static void everything(const struct call *c);

static const struct deed {
    const char *name;
    void (*run)(const struct call *c);
} deeds[] = {
    { "unregister", unregister },
    { "register nonsense", register_nonsense },
    { "publish nonsense", publish_nonsense },
    { "publish properties", publish_properties },
    { "kick", kick },
    { "keep", keep },
    { "use kept", use_kept },
    { "set usernames", set_usernames },
    { "set bad username", set_bad_username },
    { "set huge username", set_huge_username },
    { "set no username", set_no_username },
    { "memory", memory },
    { "write log", write_log },
    { "change message", change_message },
    { "start thread", start_thread },
    { "everything", everything },
    { "register many", register_many },
    { "hang", hang },
};
enum { DEEDS = sizeof deeds / sizeof deeds[0], NOT_OF_EVERYTHING = 3 };

static void everything(const struct call *c)
{
    for (int i = 0; i < DEEDS - NOT_OF_EVERYTHING; i++) deeds[i].run(c);
}

static void run(const char *name, const struct call *c)
{
    for (int i = 0; name != NULL && i < DEEDS; i++)
        if (strcmp(deeds[i].name, name) == 0) {
            deeds[i].run(c);
            fprintf(out, "%d %s\n", c->event, name);
            fflush(out);
        }
}

/* --- when */

/* What stands behind the word, and what is to be answered: "NAME" or "code NUMBER". */
static int answer(const char *said, const char *before, const struct call *c, int otherwise)
{
    static const char code[] = "code ";
    size_t n = strlen(before);
    if (said == NULL || strncmp(said, before, n) != 0) return otherwise;
    if (strncmp(said + n, code, sizeof code - 1) == 0)
        return (int)strtol(said + n + sizeof code - 1, NULL, 10);
    run(said + n, c);
    return MOSQ_ERR_SUCCESS;
}

static int on_control(const struct call *c, const struct mosquitto_evt_control *e)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)e->payloadlen,
             e->payload == NULL ? "" : (const char *)e->payload);
    return answer(name, "", c, MOSQ_ERR_SUCCESS);
}

static int on_event(int event, void *data, void *userdata)
{
    union {
        struct mosquitto_evt_acl_check *acl;
        struct mosquitto_evt_basic_auth *login;
        struct mosquitto_evt_message *message;
        struct mosquitto_evt_control *control;
        struct mosquitto_evt_disconnect *gone;
    } e = { data };
    struct call c = { event, data, NULL };
    (void)userdata;
    switch (event) {
    case MOSQ_EVT_BASIC_AUTH:
        c.client = e.login->client;
        return answer(e.login->username, "do ", &c, MOSQ_ERR_SUCCESS);
    case MOSQ_EVT_ACL_CHECK:
        c.client = e.acl->client;
        return answer(e.acl->topic, "acl/", &c, MOSQ_ERR_SUCCESS);
    case MOSQ_EVT_MESSAGE:
        c.client = e.message->client;
        return answer(e.message->topic, "message/", &c, MOSQ_ERR_SUCCESS);
    case MOSQ_EVT_CONTROL: c.client = e.control->client; return on_control(&c, e.control);
    case MOSQ_EVT_DISCONNECT:
        c.client = e.gone->client;
        return answer(mosquitto_client_username(c.client), "gone ", &c, 99);
    case MOSQ_EVT_TICK:
        run(words[AT_TICK], &c);
        words[AT_TICK] = NULL;
        return -5;
    case MOSQ_EVT_RELOAD: run(words[AT_RELOAD], &c); return INT_MIN;
    default: return INT_MAX;
    }
}

EXPORT int mosquitto_plugin_version(int count, const int *versions)
{
    (void)count;
    (void)versions;
    return MOSQ_PLUGIN_VERSION;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                                 struct mosquitto_opt *opts, int count)
{
    static const char *const names[] = { "init", "cleanup", "tick", "reload" };
    struct call none = { 0 };
    id = identifier;
    own_thread = pthread_self();
    *userdata = (void *)huge;
    memset(huge, 'x', HUGE_BYTES);
    for (int i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++)
            if (strcmp(opts[i].key, names[j]) == 0) words[j] = opts[i].value;
        if (strcmp(opts[i].key, "out") == 0) out = fopen(opts[i].value, "a");
    }
    if (out == NULL) return MOSQ_ERR_INVAL;
    for (int event = 1; event <= MOSQ_EVT_DISCONNECT; event++)
        if (event != MOSQ_EVT_PSK_KEY)
            mosquitto_callback_register(id, event, on_event,
                                        event == MOSQ_EVT_CONTROL ? "$CONTROL/hostile/v1" : NULL, NULL);
    run(words[AT_INIT], &none);
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *opts, int count)
{
    struct call none = { 0 };
    (void)userdata;
    (void)opts;
    (void)count;
    run(words[AT_CLEANUP], &none);
    end_thread();
    fclose(out);
    return INT_MAX;
}
