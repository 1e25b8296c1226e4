/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transcript - a plugin for mosquitto's interface that writes down everything it sees: what the broker calls
 * it with, in which order, and what the broker's functions answer.
 *
 * Options:
 *   out FILE    where to; several plugins may share it
 *   name WORD   a letter in front of each line
 *   acl N       what ACL checks give where their topic says nothing; 0 otherwise
 *   auth N      what logins give where the user name says nothing; 0 otherwise
 *   events ...  letters: l login, a ACL, x extended, c control, m message, p PSK, t tick, d disconnect, r
 * reload; all of them otherwise
 *
 * What is to be answered stands in the question: "@NAMEw=12" in a topic makes the check of WRITE by the
 * plugin NAME answer 12, likewise r, s, u, and m for its MESSAGE; "rc=11" is a user name. A payload "set ..."
 * asks for a change of the message. Commands come to $CONTROL/NAME/v1. See
 * tests/e2e/test_plugin_transcript.py.
 */
#include <ctype.h>
#include <inttypes.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int mosquitto_plugin_version(int count, const int *versions);

struct plugin {
    mosquitto_plugin_id_t *id;
    FILE *out;
    char name[16], control[32];
    int acl, auth;
    const char *events;
    bool has_ticked;
};

/* --- writing */

static void line(struct plugin *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct plugin *p, const char *format, ...)
{
    char text[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(p->out, "%s %s\n", p->name, text);
    fflush(p->out);
}

static const char *word(const char *s)
{
    return s != NULL ? s : "NULL";
}

static const char *code_name(int rc)
{
    static const char *const names[] = { "SUCCESS",       "NOMEM",     "PROTOCOL",   "INVAL",  "NO_CONN",
                                         "CONN_REFUSED",  "NOT_FOUND", "CONN_LOST",  "TLS",    "PAYLOAD_SIZE",
                                         "NOT_SUPPORTED", "AUTH",      "ACL_DENIED", "UNKNOWN" };
    static const struct {
        int rc;
        const char *name;
    } others[] = { { MOSQ_ERR_AUTH_CONTINUE, "AUTH_CONTINUE" },
                   { MOSQ_ERR_PLUGIN_DEFER, "PLUGIN_DEFER" },
                   { MOSQ_ERR_MALFORMED_UTF8, "MALFORMED_UTF8" },
                   { MOSQ_ERR_ALREADY_EXISTS, "ALREADY_EXISTS" },
                   { MOSQ_ERR_OVERSIZE_PACKET, "OVERSIZE_PACKET" },
                   { MOSQ_ERR_DUPLICATE_PROPERTY, "DUPLICATE_PROPERTY" },
                   { MOSQ_ERR_MALFORMED_PACKET, "MALFORMED_PACKET" },
                   { MOSQ_ERR_TOPIC_ALIAS_INVALID, "TOPIC_ALIAS_INVALID" } };
    if (rc >= 0 && (size_t)rc < sizeof names / sizeof names[0]) return names[rc];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i].rc == rc) return others[i].name;
    return "?";
}

/* Text, or how long it is. */
static const char *shown(char *to, size_t room, const void *data, size_t size)
{
    const unsigned char *at = data;
    if (data == NULL) {
        snprintf(to, room, "NULL:%zu", size);
        return to;
    }
    size_t n = 0;
    for (size_t i = 0; i < size && n + 5 < room && i < 80; i++)
        n += (size_t)snprintf(to + n, room - n, isprint(at[i]) ? "%c" : "\\x%02x", at[i]);
    snprintf(to + n, room - n, "%s", "");
    return to;
}

static int show_value(char *to, size_t room, const mosquitto_property *p, int id)
{
    int type = 0;
    int identifier = id;
    mosquitto_string_to_property_info(mosquitto_property_identifier_to_string(id), &identifier, &type);
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    char *name = NULL, *value = NULL;
    void *data = NULL;
    char bytes[400];
    int n = 0;
    switch (type) {
    case MQTT_PROP_TYPE_BYTE:
        mosquitto_property_read_byte(p, id, &u8, false);
        return snprintf(to, room, "=%u", u8);
    case MQTT_PROP_TYPE_INT16:
        mosquitto_property_read_int16(p, id, &u16, false);
        return snprintf(to, room, "=%u", u16);
    case MQTT_PROP_TYPE_INT32:
        mosquitto_property_read_int32(p, id, &u32, false);
        return snprintf(to, room, "=%u", u32);
    case MQTT_PROP_TYPE_VARINT:
        mosquitto_property_read_varint(p, id, &u32, false);
        return snprintf(to, room, "=%u", u32);
    case MQTT_PROP_TYPE_BINARY:
        mosquitto_property_read_binary(p, id, &data, &u16, false);
        n = snprintf(to, room, "=%s", shown(bytes, sizeof bytes, data, u16));
        free(data);
        return n;
    case MQTT_PROP_TYPE_STRING:
        mosquitto_property_read_string(p, id, &value, false);
        n = snprintf(to, room, "=%s", word(value));
        free(value);
        return n;
    default:
        mosquitto_property_read_string_pair(p, id, &name, &value, false);
        n = snprintf(to, room, "=%s:%s", word(name), word(value));
        free(name);
        free(value);
        return n;
    }
}

static const char *props(char *to, size_t room, const mosquitto_property *p)
{
    size_t n = (size_t)snprintf(to, room, "%s", p == NULL ? "none" : "");
    for (; p != NULL && n + 200 < room; p = mosquitto_property_next(p)) {
        int id = mosquitto_property_identifier(p);
        n += (size_t)snprintf(to + n, room - n, "%s%s", n > 0 ? "," : "",
                              mosquitto_property_identifier_to_string(id));
        n += (size_t)show_value(to + n, room - n, p, id);
    }
    return to;
}

static const char *who(char *to, size_t room, const struct mosquitto *c)
{
    if (c == NULL) return "client=NULL";
    snprintf(to, room, "client=%s user=%s", word(mosquitto_client_id(c)), word(mosquitto_client_username(c)));
    return to;
}

static void show_client(struct plugin *p, const char *about, const struct mosquitto *c)
{
    void *certificate = mosquitto_client_certificate(c);
    line(p,
         "%s: id=%s user=%s address=%s clean=%d keepalive=%d protocol=%d version=%d subs=%d certificate=%d",
         about, word(mosquitto_client_id(c)), word(mosquitto_client_username(c)),
         word(mosquitto_client_address(c)), mosquitto_client_clean_session(c), mosquitto_client_keepalive(c),
         mosquitto_client_protocol(c), mosquitto_client_protocol_version(c), mosquitto_client_sub_count(c),
         certificate != NULL);
}

/* --- what to answer */

/* "@NAMEw=12" in a topic. */
static int asked_for(const struct plugin *p, const char *topic, char what, int otherwise)
{
    char key[32];
    snprintf(key, sizeof key, "@%s%c=", p->name, what);
    const char *at = topic != NULL ? strstr(topic, key) : NULL;
    return at != NULL ? (int)strtol(at + strlen(key), NULL, 10) : otherwise;
}

/* The driver's own: not worth a line. */
static bool is_mark(const void *payload, size_t size)
{
    return payload != NULL && size > 5 && memcmp(payload, "mark ", 5) == 0;
}

static int on_acl(int event, void *data, void *user)
{
    struct mosquitto_evt_acl_check *e = data;
    struct plugin *p = user;
    static const struct {
        int access;
        const char *name;
    } names[] = { { MOSQ_ACL_READ, "read" },
                  { MOSQ_ACL_WRITE, "write" },
                  { MOSQ_ACL_SUBSCRIBE, "subscribe" },
                  { MOSQ_ACL_UNSUBSCRIBE, "unsubscribe" } };
    const char *name = "?";
    if (is_mark(e->payload, e->payloadlen)) return MOSQ_ERR_SUCCESS;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].access == e->access) name = names[i].name;
    int rc = asked_for(p, e->topic, name[0], p->acl);
    char client[300], payload[400], properties[1000];
    line(p, "%d acl %s %s topic=%s payload=%s len=%u qos=%d retain=%d props=%s -> %s", event, name,
         who(client, sizeof client, e->client), word(e->topic),
         shown(payload, sizeof payload, e->payload, e->payloadlen), e->payloadlen, e->qos, e->retain,
         props(properties, sizeof properties, e->properties), code_name(rc));
    return rc;
}

static int on_login(int event, void *data, void *user)
{
    struct mosquitto_evt_basic_auth *e = data;
    struct plugin *p = user;
    char key[32], client[300];
    snprintf(key, sizeof key, "rc%s=", p->name);
    int rc = p->auth;
    const char *at = e->username != NULL ? strstr(e->username, key) : NULL;
    if (at != NULL) rc = (int)strtol(at + strlen(key), NULL, 10);
    if (e->password != NULL && strcmp(e->password, "wrong") == 0) rc = MOSQ_ERR_AUTH;
    line(p, "%d login %s name=%s password=%s -> %s", event, who(client, sizeof client, e->client),
         word(e->username), word(e->password), code_name(rc));
    if (e->username != NULL && strncmp(e->username, "show", 4) == 0) show_client(p, "login", e->client);
    if (e->username != NULL && strncmp(e->username, "rename", 6) == 0 && strcmp(p->name, "a") == 0)
        line(p, "set_username renamed: %s", code_name(mosquitto_set_username(e->client, "renamed")));
    return rc;
}

static int on_extended(int event, void *data, void *user)
{
    struct mosquitto_evt_extended_auth *e = data;
    struct plugin *p = user;
    char in[400], client[300], text[64] = "";
    if (e->data_in != NULL)
        snprintf(text, sizeof text, "%.*s", (int)e->data_in_len, (const char *)e->data_in);
    int rc = p->auth;
    if (strcmp(text, "more") == 0) rc = MOSQ_ERR_AUTH_CONTINUE;
    if (strncmp(text, "rc=", 3) == 0) rc = (int)strtol(text + 3, NULL, 10);
    line(p, "%d extended %s %s method=%s in=%s len=%u out=%s outlen=%u -> %s", event,
         event == MOSQ_EVT_EXT_AUTH_START ? "start" : "continue", who(client, sizeof client, e->client),
         word(e->auth_method), shown(in, sizeof in, e->data_in, e->data_in_len), e->data_in_len,
         e->data_out == NULL ? "NULL" : "set", e->data_out_len, code_name(rc));
    if (strcmp(text, "silent") == 0 || rc == MOSQ_ERR_PLUGIN_DEFER) return rc;
    if (strcmp(text, "name") == 0) mosquitto_set_username(e->client, "named");
    e->data_out = strdup(rc == MOSQ_ERR_AUTH_CONTINUE ? "challenge" : "final");
    e->data_out_len = (uint16_t)strlen(e->data_out);
    return rc;
}

/* --- changing a message */

static void set_text(char **to, const char *text)
{
    *to = mosquitto_strdup(text);
}

static void change(struct mosquitto_evt_message *e, const char *what)
{
    char *text = NULL;
    if (strncmp(what, "topic ", 6) == 0) set_text(&e->topic, what + 6);
    if (strncmp(what, "payload ", 8) == 0) {
        set_text(&text, what + 8);
        e->payload = text;
        e->payloadlen = (uint32_t)strlen(text);
    }
    if (strcmp(what, "empty") == 0) {
        e->payload = NULL;
        e->payloadlen = 0;
    }
    if (strcmp(what, "props") == 0) {
        mosquitto_property_add_string_pair(&e->properties, MQTT_PROP_USER_PROPERTY, "by", "plugin");
    }
    if (strcmp(what, "noprops") == 0) mosquitto_property_free_all(&e->properties);
    if (strcmp(what, "qos") == 0) e->qos = 0;
    if (strcmp(what, "retain") == 0) e->retain = true;
    if (strncmp(what, "reason ", 7) == 0) {
        e->reason_code = (uint8_t)strtol(what + 7, NULL, 10);
        set_text(&e->reason_string, "because");
    }
}

static int on_message(int event, void *data, void *user)
{
    struct mosquitto_evt_message *e = data;
    struct plugin *p = user;
    char client[300], payload[400], properties[1000], text[200];
    int rc = asked_for(p, e->topic, 'm', MOSQ_ERR_SUCCESS);
    line(p, "%d message %s topic=%s payload=%s len=%u qos=%d retain=%d props=%s reason=%d %s -> %s", event,
         who(client, sizeof client, e->client), word(e->topic),
         shown(payload, sizeof payload, e->payload, e->payloadlen), e->payloadlen, e->qos, e->retain,
         props(properties, sizeof properties, e->properties), e->reason_code, word(e->reason_string),
         code_name(rc));
    snprintf(text, sizeof text, "%.*s", (int)e->payloadlen,
             e->payload != NULL ? (const char *)e->payload : "");
    if (strncmp(text, "set ", 4) == 0 && text[4] == p->name[0]) change(e, text + 6);
    return rc;
}

static int on_message_2(int event, void *data, void *user)
{
    struct mosquitto_evt_message *e = data;
    line(user, "%d message, second callback: topic=%s", event, word(e->topic));
    return MOSQ_ERR_SUCCESS;
}

/* --- rarer events */

static int on_gone(int event, void *data, void *user)
{
    struct mosquitto_evt_disconnect *e = data;
    char client[300];
    line(user, "%d disconnect %s reason=%d", event, who(client, sizeof client, e->client), e->reason);
    return MOSQ_ERR_SUCCESS;
}

static int on_psk(int event, void *data, void *user)
{
    struct mosquitto_evt_psk_key *e = data;
    int rc = strcmp(word(e->identity), "unknown") == 0 ? MOSQ_ERR_AUTH : MOSQ_ERR_SUCCESS;
    if (strncmp(word(e->identity), "defer", 5) == 0) rc = MOSQ_ERR_PLUGIN_DEFER;
    char client[300];
    line(user, "%d psk %s hint=%s identity=%s room=%d -> %s", event, who(client, sizeof client, e->client),
         word(e->hint), word(e->identity), e->max_key_len, code_name(rc));
    snprintf(e->key, (size_t)e->max_key_len, "deadbeef");
    return rc;
}

static int on_tick(int event, void *data, void *user)
{
    struct mosquitto_evt_tick *e = data;
    struct plugin *p = user;
    if (p->has_ticked) return MOSQ_ERR_SUCCESS;
    p->has_ticked = true;
    line(p, "%d tick now_s=%d now_ns=%d next_s=%d next_ns=%d", event, e->now_s != 0, e->now_ns != 0,
         e->next_s != 0, e->next_ns != 0);
    return MOSQ_ERR_SUCCESS;
}

static int on_reload(int event, void *data, void *user)
{
    struct mosquitto_evt_reload *e = data;
    line(user, "%d reload with %d options", event, e->option_count);
    for (int i = 0; i < e->option_count; i++)
        if (strcmp(e->options[i].key, "out") != 0)
            line(user, "option %s=%s", word(e->options[i].key), word(e->options[i].value));
    return MOSQ_ERR_SUCCESS;
}

static int on_other(int event, void *data, void *user)
{
    (void)data;
    line(user, "%d another event", event);
    return MOSQ_ERR_SUCCESS;
}

/* --- commands */

#define SAY(call) line(p, "%s: %s", #call, code_name(call))

static void try_registering(struct plugin *p)
{
    int other = 0;
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_TICK, NULL, NULL, p));
    SAY(mosquitto_callback_register(p->id, 0, on_other, NULL, p));
    SAY(mosquitto_callback_register(p->id, -1, on_other, NULL, p));
    SAY(mosquitto_callback_register(p->id, 999, on_other, NULL, p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_MESSAGE, on_message, NULL, p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_MESSAGE, on_message, NULL, NULL));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_MESSAGE, on_message, &other, p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_CONTROL, on_other, NULL, p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_CONTROL, on_other, "$CONTROL", p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_CONTROL, on_other, "$CONTROL/", p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_CONTROL, on_other, "else/where", p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_CONTROL, on_other, "$CONTROL/+", p));
    SAY(mosquitto_callback_register(p->id, MOSQ_EVT_CONTROL, on_other, p->control, p));
    SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_TICK, NULL, NULL));
    SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_TICK, on_other, NULL));
    SAY(mosquitto_callback_unregister(p->id, 0, on_other, NULL));
    SAY(mosquitto_callback_unregister(p->id, 999, on_other, NULL));
    SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_CONTROL, on_other, NULL));
    SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_CONTROL, on_other, "$CONTROL/nothing"));
    SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_CONTROL, on_other, "$CONTROL"));
    SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_CONTROL, on_other, "$CONTROL/+"));
}

static void try_publishing(struct plugin *p)
{
    static char text[] = "x";
    SAY(mosquitto_broker_publish(NULL, NULL, 0, NULL, 0, false, NULL));
    SAY(mosquitto_broker_publish(NULL, "t", -1, NULL, 0, false, NULL));
    SAY(mosquitto_broker_publish(NULL, "t", 1, NULL, 0, false, NULL));
    SAY(mosquitto_broker_publish(NULL, "t", 0, NULL, -1, false, NULL));
    SAY(mosquitto_broker_publish(NULL, "t", 0, NULL, 3, false, NULL));
    SAY(mosquitto_broker_publish_copy(NULL, NULL, 1, text, 0, false, NULL));
    SAY(mosquitto_broker_publish_copy(NULL, "t", -1, text, 0, false, NULL));
    SAY(mosquitto_broker_publish_copy(NULL, "t", 1, NULL, 0, false, NULL));
    SAY(mosquitto_broker_publish_copy(NULL, "t", 1, text, 3, false, NULL));
    SAY(mosquitto_broker_publish_copy("nobody", "t", 1, text, 1, false, NULL));
    SAY(mosquitto_broker_publish_copy(NULL, "t/+", 1, text, 0, false, NULL));
    SAY(mosquitto_broker_publish_copy(NULL, "", 1, text, 0, false, NULL));
    SAY(mosquitto_broker_publish_copy("", "t", 1, text, 0, false, NULL));
}

static void try_clients(struct plugin *p, struct mosquitto *c)
{
    line(p, "of NULL: id=%s user=%s address=%s clean=%d keepalive=%d", word(mosquitto_client_id(NULL)),
         word(mosquitto_client_username(NULL)), word(mosquitto_client_address(NULL)),
         mosquitto_client_clean_session(NULL), mosquitto_client_keepalive(NULL));
    line(p, "of NULL: protocol=%d version=%d subs=%d certificate=%d", mosquitto_client_protocol(NULL),
         mosquitto_client_protocol_version(NULL), mosquitto_client_sub_count(NULL),
         mosquitto_client_certificate(NULL) != NULL);
    SAY(mosquitto_set_username(NULL, "x"));
    SAY(mosquitto_set_username(c, ""));
    SAY(mosquitto_kick_client_by_clientid("nobody", false));
    SAY(mosquitto_kick_client_by_clientid("", false));
    SAY(mosquitto_kick_client_by_username("nobody", false));
}

static void try_memory(struct plugin *p)
{
    char *a = mosquitto_calloc(3, 4), *b = mosquitto_malloc(5), *c = mosquitto_strdup("copy");
    bool is_zero = a != NULL && a[0] == 0 && a[11] == 0;
    b = mosquitto_realloc(b, 500);
    if (b != NULL) b[499] = 1;
    line(p, "memory: %d %d %s", is_zero, b != NULL, word(c));
    mosquitto_free(a);
    mosquitto_free(b);
    mosquitto_free(c);
    mosquitto_free(NULL);
}

static void try_helpers(struct plugin *p)
{
    bool matches = false;
    SAY(mosquitto_topic_matches_sub("a/+", "a/b", &matches));
    line(p, "matches=%d", matches);
    SAY(mosquitto_sub_topic_check("a/#/b"));
    SAY(mosquitto_pub_topic_check("a/+"));
    SAY(mosquitto_validate_utf8("\xff", 1));
    line(p, "%s, %s", mosquitto_strerror(MOSQ_ERR_ACL_DENIED),
         mosquitto_reason_string(MQTT_RC_NOT_AUTHORIZED));
    mosquitto_property *list = NULL, *copy = NULL;
    SAY(mosquitto_property_add_byte(&list, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1));
    SAY(mosquitto_property_add_int16(&list, MQTT_PROP_TOPIC_ALIAS, 7));
    SAY(mosquitto_property_check_all(CMD_PUBLISH, list));
    SAY(mosquitto_property_check_all(CMD_CONNECT, list));
    SAY(mosquitto_property_copy_all(&copy, list));
    char text[400];
    line(p, "copy: %s", props(text, sizeof text, copy));
    mosquitto_property_free_all(&list);
    mosquitto_property_free_all(&copy);
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "transcript %d says %s", 42, "notice");
    mosquitto_log_printf(MOSQ_LOG_ERR, "transcript says error");
}

/* "publish ID TOPIC QOS RETAIN WAY PAYLOAD"; ID "-": NULL. WAY: give, copy, props, bad. */
static void do_publish(struct plugin *p, const char *words)
{
    char id[64], topic[64], way[16], payload[64] = "";
    int qos = 0, retain = 0;
    if (sscanf(words, "%63s %63s %d %d %15s %63s", id, topic, &qos, &retain, way, payload) < 5) return;
    mosquitto_property *list = NULL;
    if (strcmp(way, "props") == 0)
        mosquitto_property_add_string_pair(&list, MQTT_PROP_USER_PROPERTY, "from", "plugin");
    if (strcmp(way, "bad") == 0)
        mosquitto_property_add_string(&list, MQTT_PROP_REASON_STRING, "not of PUBLISH");
    if (strcmp(way, "alias") == 0) mosquitto_property_add_int16(&list, MQTT_PROP_TOPIC_ALIAS, 3);
    const char *to = strcmp(id, "-") == 0 ? NULL : id;
    int size = (int)strlen(payload), rc;
    if (strcmp(way, "give") == 0) {
        char *given = size > 0 ? strdup(payload) : NULL;
        rc = mosquitto_broker_publish(to, topic, size, given, qos, retain != 0, list);
        if (rc != MOSQ_ERR_SUCCESS) free(given);
    } else {
        rc = mosquitto_broker_publish_copy(to, topic, size, payload, qos, retain != 0, list);
    }
    line(p, "publish %s: %s", way, code_name(rc));
    if (rc != MOSQ_ERR_SUCCESS) mosquitto_property_free_all(&list);
}

/* "kick id|user NAME|- WILL" */
static void do_kick(struct plugin *p, const char *words)
{
    char by[8], name[64];
    int will = 0;
    if (sscanf(words, "%7s %63s %d", by, name, &will) != 3) return;
    const char *of = strcmp(name, "-") == 0 ? NULL : name;
    int rc = strcmp(by, "id") == 0 ? mosquitto_kick_client_by_clientid(of, will != 0)
                                   : mosquitto_kick_client_by_username(of, will != 0);
    line(p, "kick: %s", code_name(rc));
}

static void do_registration(struct plugin *p, const char *what)
{
    if (strcmp(what, "message twice") == 0)
        SAY(mosquitto_callback_register(p->id, MOSQ_EVT_MESSAGE, on_message_2, NULL, p));
    if (strcmp(what, "message once") == 0)
        SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_MESSAGE, on_message_2, NULL));
    if (strcmp(what, "message off") == 0)
        SAY(mosquitto_callback_unregister(p->id, MOSQ_EVT_MESSAGE, on_message, NULL));
    if (strcmp(what, "message on") == 0)
        SAY(mosquitto_callback_register(p->id, MOSQ_EVT_MESSAGE, on_message, NULL, p));
    if (strcmp(what, "tick") == 0) p->has_ticked = false;
}

static void obey(struct plugin *p, struct mosquitto *client, const char *text)
{
    if (strcmp(text, "client") == 0) show_client(p, "client", client);
    if (strcmp(text, "registering") == 0) try_registering(p);
    if (strcmp(text, "publishing") == 0) try_publishing(p);
    if (strcmp(text, "clients") == 0) try_clients(p, client);
    if (strcmp(text, "memory") == 0) try_memory(p);
    if (strcmp(text, "helpers") == 0) try_helpers(p);
    if (strncmp(text, "publish ", 8) == 0) do_publish(p, text + 8);
    if (strncmp(text, "kick ", 5) == 0) do_kick(p, text + 5);
    if (strncmp(text, "register ", 9) == 0) do_registration(p, text + 9);
    if (strncmp(text, "name ", 5) == 0)
        line(p, "set_username: %s",
             code_name(mosquitto_set_username(client, text[5] == '-' ? NULL : text + 5)));
}

static int on_control(int event, void *data, void *user)
{
    struct mosquitto_evt_control *e = data;
    struct plugin *p = user;
    char client[300], properties[1000], text[300];
    snprintf(text, sizeof text, "%.*s", (int)e->payloadlen,
             e->payload != NULL ? (const char *)e->payload : "");
    if (strncmp(text, "mark ", 5) == 0) {
        line(p, "%s", text);
        return MOSQ_ERR_SUCCESS;
    }
    int rc = strncmp(text, "rc=", 3) == 0 ? (int)strtol(text + 3, NULL, 10) : MOSQ_ERR_SUCCESS;
    line(p, "%d control %s topic=%s payload=%s len=%u qos=%d retain=%d props=%s reason=%d %s -> %s", event,
         who(client, sizeof client, e->client), word(e->topic), text, e->payloadlen, e->qos, e->retain,
         props(properties, sizeof properties, e->properties), e->reason_code, word(e->reason_string),
         code_name(rc));
    obey(p, e->client, text);
    if (strncmp(text, "reason ", 7) == 0) {
        e->reason_code = (uint8_t)strtol(text + 7, NULL, 10);
        set_text(&e->reason_string, "because");
    }
    return rc;
}

/* --- the three functions of a plugin */

int mosquitto_plugin_version(int count, const int *versions)
{
    for (int i = 0; i < count; i++)
        if (versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
    return -1;
}

static void read_options(struct plugin *p, const struct mosquitto_opt *options, int count)
{
    snprintf(p->name, sizeof p->name, "x");
    p->events = "laxcmptdr";
    for (int i = 0; i < count; i++) {
        if (strcmp(options[i].key, "out") == 0) p->out = fopen(options[i].value, "a");
        if (strcmp(options[i].key, "name") == 0) snprintf(p->name, sizeof p->name, "%s", options[i].value);
        if (strcmp(options[i].key, "acl") == 0) p->acl = (int)strtol(options[i].value, NULL, 10);
        if (strcmp(options[i].key, "auth") == 0) p->auth = (int)strtol(options[i].value, NULL, 10);
        if (strcmp(options[i].key, "events") == 0) p->events = options[i].value;
    }
    snprintf(p->control, sizeof p->control, "$CONTROL/%s/v1", p->name);
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **user, struct mosquitto_opt *options,
                                 int count)
{
    static const struct {
        char letter;
        int event;
        MOSQ_FUNC_generic_callback call;
    } events[] = { { 'r', MOSQ_EVT_RELOAD, on_reload },
                   { 'a', MOSQ_EVT_ACL_CHECK, on_acl },
                   { 'l', MOSQ_EVT_BASIC_AUTH, on_login },
                   { 'x', MOSQ_EVT_EXT_AUTH_START, on_extended },
                   { 'x', MOSQ_EVT_EXT_AUTH_CONTINUE, on_extended },
                   { 'c', MOSQ_EVT_CONTROL, on_control },
                   { 'm', MOSQ_EVT_MESSAGE, on_message },
                   { 'p', MOSQ_EVT_PSK_KEY, on_psk },
                   { 't', MOSQ_EVT_TICK, on_tick },
                   { 'd', MOSQ_EVT_DISCONNECT, on_gone } };
    struct plugin *p = calloc(1, sizeof *p);
    if (p == NULL) return MOSQ_ERR_NOMEM;
    p->id = id;
    read_options(p, options, count);
    if (p->out == NULL) {
        free(p);
        return MOSQ_ERR_INVAL;
    }
    *user = p;
    line(p, "init with %d options", count);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        if (strchr(p->events, events[i].letter) == NULL) continue;
        int rc = mosquitto_callback_register(id, events[i].event, events[i].call,
                                             events[i].event == MOSQ_EVT_CONTROL ? p->control : NULL, p);
        line(p, "register %d: %s", events[i].event, code_name(rc));
    }
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_cleanup(void *user, struct mosquitto_opt *options, int count)
{
    struct plugin *p = user;
    (void)options;
    line(p, "cleanup with %d options", count);
    fclose(p->out);
    free(p);
    return MOSQ_ERR_SUCCESS;
}
