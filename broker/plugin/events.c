/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a step is for the ABI: its event_data, and what a callback's result means.
 *
 * Everything that a callback may write to is a copy of the step's, which lives as long as the callback may
 * run. As in mosquitto, a callback that puts another pointer into an event does not free the one before: that
 * is done here. What a result means was found with mosquitto 2.0.11 (tests/e2e/test_plugin_transcript.py);
 * docs/ops/plugins.md says where this differs.
 */
#include "codec/rd.h"
#include "codec/reason.h"
#include "plugin/abi5_int.h"
#include "topic/topic.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    QUOTA_EXCEEDED = -6, /* MOSQ_ERR_QUOTA_EXCEEDED of mosquitto 2.1 */
    PAYLOAD_BYTES_MAX = 268435455
};

/* The ABI has pointers to char where nobody means to write. */
static void *writable(const void *p)
{
    return (void *)(uintptr_t)p;
}

/* --- event_data */

static bool make_acl(struct plugin_step *s)
{
    s->before.topic = bytes_to_text(s->topic);
    s->event_data.acl_check = (struct mosquitto_evt_acl_check){
        .client = writable(s->client),
        .topic = s->before.topic,
        .payload = s->payload.len > 0 ? s->payload.at : NULL,
        .payloadlen = (uint32_t)s->payload.len,
        .access = s->access,
        .qos = s->qos,
        .retain = s->retain,
    };
    return s->before.topic != NULL;
}

/* NULL for one without a letter, as mosquitto has it. */
static char *said(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : writable(text);
}

static bool make_login(struct plugin_step *s)
{
    s->event_data.basic_auth = (struct mosquitto_evt_basic_auth){
        .client = writable(s->client),
        .username = said(s->username),
        .password = said(s->password),
    };
    return true;
}

static bool make_extended(struct plugin_step *s)
{
    s->event_data.extended_auth = (struct mosquitto_evt_extended_auth){
        .client = writable(s->client),
        .data_in = s->data.at,
        .data_in_len = (uint16_t)s->data.len,
        .auth_method = s->method,
    };
    return true;
}

static bool make_control(struct plugin_step *s)
{
    if (plugin_properties_read(&s->before.list, s->block) == ERR_NOMEM) return false;
    s->before.topic = bytes_to_text(s->topic);
    s->event_data.control = (struct mosquitto_evt_control){
        .client = writable(s->client),
        .topic = s->before.topic,
        .payload = s->payload.len > 0 ? s->payload.at : NULL,
        .payloadlen = (uint32_t)s->payload.len,
        .properties = s->before.list,
        .qos = s->qos,
        .retain = s->retain,
    };
    return s->before.topic != NULL;
}

static bool make_message(struct plugin_step *s)
{
    struct mosquitto_evt_message *e = &s->event_data.message;
    mosquitto_property *list = NULL;
    if (plugin_properties_read(&list, s->block) == ERR_NOMEM) return false;
    *e = (struct mosquitto_evt_message){
        .client = writable(s->client),
        .topic = bytes_to_text(s->topic),
        .payload = s->payload.len > 0 ? bytes_to_text(s->payload) : NULL,
        .payloadlen = (uint32_t)s->payload.len,
        .properties = list,
        .qos = s->qos,
        .retain = s->retain,
    };
    s->before =
        (struct plugin_before){ .topic = e->topic, .payload = e->payload, .payload_len = e->payloadlen };
    s->result.retain = s->retain;
    return e->topic != NULL && (e->payload != NULL || s->payload.len == 0);
}

static bool make_psk(struct plugin_step *s)
{
    s->event_data.psk_key = (struct mosquitto_evt_psk_key){
        .client = writable(s->client),
        .hint = s->hint,
        .identity = s->identity,
        .key = s->result.key,
        .max_key_len = sizeof s->result.key,
    };
    return true;
}

static bool make_tick(struct plugin_step *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    s->event_data.tick = (struct mosquitto_evt_tick){ .now_s = now.tv_sec, .now_ns = now.tv_nsec };
    return true;
}

bool plugin_event_make(struct plugin_step *s)
{
    switch (s->event) {
    case MOSQ_EVT_ACL_CHECK: return make_acl(s);
    case MOSQ_EVT_BASIC_AUTH: return make_login(s);
    case MOSQ_EVT_EXT_AUTH_START:
    case MOSQ_EVT_EXT_AUTH_CONTINUE: return make_extended(s);
    case MOSQ_EVT_CONTROL: return make_control(s);
    case MOSQ_EVT_MESSAGE: return make_message(s);
    case MOSQ_EVT_PSK_KEY: return make_psk(s);
    case MOSQ_EVT_TICK: return make_tick(s);
    case MOSQ_EVT_RELOAD:
        s->event_data.reload = (struct mosquitto_evt_reload){
            .options = s->plugin->opts == NULL ? NULL : s->plugin->opts->at,
            .option_count = s->plugin->opts == NULL ? 0 : s->plugin->opts->count,
        };
        return true;
    case MOSQ_EVT_DISCONNECT:
    case PLUGIN_EVT_CLIENT_OFFLINE:
        s->event_data.disconnect =
            (struct mosquitto_evt_disconnect){ .client = writable(s->client), .reason = s->reason };
        return true;
    case PLUGIN_EVT_CONNECT:
        s->event_data.connect = (struct plugin_evt_connect){ .client = writable(s->client) };
        return true;
    default: return false;
    }
}

/* --- results */

static bool decide(struct plugin_step *s, enum hook_verdict verdict, uint8_t code)
{
    s->result.verdict = (uint8_t)verdict;
    s->result.code = code;
    return verdict != HOOK_DEFER;
}

/* What no table of mosquitto's has for this event. */
static bool deny_odd(struct plugin_step *s, int rc)
{
    plugin_complain(s->plugin, PLUGIN_WRONG_RESULT + (unsigned)s->event,
                    "a callback gave a result that means nothing for its event, which denies", rc);
    return decide(s, HOOK_DENY, 0);
}

static bool take_acl(struct plugin_step *s, int rc)
{
    switch (rc) {
    case MOSQ_ERR_SUCCESS: return decide(s, HOOK_ALLOW, 0);
    case MOSQ_ERR_PLUGIN_DEFER: return decide(s, HOOK_DEFER, 0);
    case MOSQ_ERR_ACL_DENIED:
    case MOSQ_ERR_UNKNOWN: /* "an application specific error" */ return decide(s, HOOK_DENY, 0);
    default: return deny_odd(s, rc);
    }
}

static bool take_login(struct plugin_step *s, int rc)
{
    switch (rc) {
    case MOSQ_ERR_SUCCESS: return decide(s, HOOK_ALLOW, 0);
    case MOSQ_ERR_PLUGIN_DEFER: return decide(s, HOOK_DEFER, 0);
    case MOSQ_ERR_AUTH:
    case MOSQ_ERR_ACL_DENIED:
    case MOSQ_ERR_UNKNOWN: return decide(s, HOOK_DENY, 0);
    default: return deny_odd(s, rc);
    }
}

static bool take_psk(struct plugin_step *s, int rc)
{
    if (rc == MOSQ_ERR_SUCCESS) {
        s->result.key[sizeof s->result.key - 1] = '\0';
        return decide(s, HOOK_ALLOW, 0);
    }
    memset(s->result.key, 0, sizeof s->result.key);
    return take_login(s, rc);
}

static bool take_extended(struct plugin_step *s, int rc)
{
    struct mosquitto_evt_extended_auth *e = &s->event_data.extended_auth;
    bool has_answer = (rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_AUTH_CONTINUE) && e->data_out != NULL;
    if (has_answer)
        s->result.answer = bytes_of(e->data_out, e->data_out_len);
    else
        free(e->data_out);
    e->data_out = NULL;
    e->data_out_len = 0;
    switch (rc) {
    case MOSQ_ERR_AUTH_CONTINUE: return decide(s, HOOK_MORE, 0);
    case MOSQ_ERR_NOT_SUPPORTED: return decide(s, HOOK_DENY, MQTT_RC_BAD_AUTH_METHOD);
    default: return take_login(s, rc);
    }
}

/* A reason code that an event asks for, if it is one of failure. */
static uint8_t failure(uint8_t code)
{
    return code >= 0x80 ? code : 0;
}

/* The text that goes with it. */
static bool deny_with(struct plugin_step *s, uint8_t code, char **reason)
{
    free(s->result.reason);
    s->result.reason = *reason;
    *reason = NULL;
    return decide(s, HOOK_DENY, code);
}

static bool take_control(struct plugin_step *s, int rc)
{
    struct mosquitto_evt_control *e = &s->event_data.control;
    uint8_t code = failure(e->reason_code);
    if (code != 0) return deny_with(s, code, &e->reason_string);
    return decide(s, rc == MOSQ_ERR_SUCCESS ? HOOK_ALLOW : HOOK_END, 0);
}

/* --- a message that callbacks change */

/* The payload that a callback has left; what it has replaced is freed. False: its length cannot be. */
static bool take_payload(struct plugin_step *s)
{
    struct mosquitto_evt_message *e = &s->event_data.message;
    bool is_other = e->payload != s->before.payload;
    if (is_other) free(s->before.payload);
    if (!is_other && e->payloadlen > s->before.payload_len) e->payloadlen = s->before.payload_len;
    if (e->payload == NULL) e->payloadlen = 0;
    bool is_good = e->payloadlen <= PAYLOAD_BYTES_MAX;
    if (!is_good)
        plugin_complain(s->plugin, PLUGIN_WRONG_LENGTH,
                        "MESSAGE: a payload of an impossible length, which denies", e->payloadlen);
    if (!is_good) e->payloadlen = 0;
    s->before.payload = e->payload;
    s->before.payload_len = e->payloadlen;
    return is_good;
}

static bool take_topic(struct plugin_step *s)
{
    char *topic = s->event_data.message.topic;
    if (topic != s->before.topic) free(s->before.topic);
    s->before.topic = topic;
    struct bytes name = topic == NULL ? (struct bytes){ 0 } : bytes_of_text(topic);
    if (topic_name_valid(name) && (utf8_scan(name) & UTF8_ILL_FORMED) == 0) return true;
    plugin_complain(s->plugin, PLUGIN_WRONG_TOPIC, "MESSAGE: a topic became one that is none, which denies",
                    (int64_t)name.len);
    return false;
}

/* False: for want of memory. */
static bool keep_change(struct plugin_step *s, size_t which, struct bytes before, struct bytes now)
{
    struct plugin_result *r = &s->result;
    if (r->has[which]) free(writable(r->changed[which].at));
    r->changed[which] = (struct bytes){ 0 };
    r->has[which] = !bytes_equal(before, now);
    if (!r->has[which] || now.len == 0) return true;
    void *copy = malloc(now.len);
    if (copy == NULL) r->has[which] = false;
    if (copy == NULL) return false;
    memcpy(copy, now.at, now.len);
    r->changed[which] = bytes_of(copy, now.len);
    return true;
}

static bool keep_properties(struct plugin_step *s)
{
    const mosquitto_property *list = s->event_data.message.properties;
    struct bytes now = { 0 };
    unsigned left_out = 0;
    if (plugin_properties_same(list, s->block)) return keep_change(s, 2, s->block, s->block);
    enum err rc = plugin_properties_change(&now, list, s->block, &left_out);
    if (left_out > 0)
        plugin_complain(s->plugin, PLUGIN_WRONG_PROPERTY,
                        "MESSAGE: properties that a PUBLISH may not have were left out", left_out);
    bool is_kept = rc == ERR_OK && keep_change(s, 2, s->block, now);
    free(writable(now.at));
    return is_kept;
}

/* What it is now: another plugin, or the broker, goes on with that. */
static bool keep_message(struct plugin_step *s)
{
    const struct mosquitto_evt_message *e = &s->event_data.message;
    s->result.retain = e->retain;
    return keep_change(s, 0, s->topic, bytes_of_text(e->topic)) &&
           keep_change(s, 1, s->payload, bytes_of(e->payload, e->payloadlen)) && keep_properties(s);
}

static bool take_message(struct plugin_step *s, int rc)
{
    struct mosquitto_evt_message *e = &s->event_data.message;
    bool has_length = take_payload(s);
    bool has_topic = take_topic(s);
    switch (rc) {
    case MOSQ_ERR_SUCCESS: break;
    case MOSQ_ERR_ACL_DENIED: return deny_with(s, failure(e->reason_code), &e->reason_string);
    case QUOTA_EXCEEDED: return deny_with(s, MQTT_RC_QUOTA_EXCEEDED, &e->reason_string);
    default: return decide(s, HOOK_END, 0);
    }
    if (!has_length) return decide(s, HOOK_DENY, MQTT_RC_IMPLEMENTATION);
    if (!has_topic) return decide(s, HOOK_DENY, MQTT_RC_TOPIC_INVALID);
    if (!keep_message(s)) return decide(s, HOOK_DENY, MQTT_RC_QUOTA_EXCEEDED);
    return decide(s, HOOK_DEFER, 0); /* so far: the next one may change it again */
}

bool plugin_event_take(struct plugin_step *s, int rc)
{
    switch (s->event) {
    case MOSQ_EVT_ACL_CHECK: return take_acl(s, rc);
    case MOSQ_EVT_BASIC_AUTH: return take_login(s, rc);
    case MOSQ_EVT_EXT_AUTH_START:
    case MOSQ_EVT_EXT_AUTH_CONTINUE: return take_extended(s, rc);
    case MOSQ_EVT_CONTROL: return take_control(s, rc);
    case MOSQ_EVT_MESSAGE: return take_message(s, rc);
    case MOSQ_EVT_PSK_KEY: return take_psk(s, rc);
    default: return false; /* the others ask nothing */
    }
}

/* --- the end */

static void end_message(struct plugin_step *s)
{
    struct mosquitto_evt_message *e = &s->event_data.message;
    free(s->before.topic);
    free(s->before.payload);
    mosquitto_property_free_all(&e->properties);
    free(e->reason_string);
}

void plugin_event_end(struct plugin_step *s)
{
    if (s->event == MOSQ_EVT_MESSAGE) {
        end_message(s);
        return;
    }
    if (s->event == MOSQ_EVT_CONTROL) free(s->event_data.control.reason_string);
    if (s->event == MOSQ_EVT_EXT_AUTH_START || s->event == MOSQ_EVT_EXT_AUTH_CONTINUE)
        free(s->event_data.extended_auth.data_out);
    free(s->before.topic);
    mosquitto_property_free_all(&s->before.list);
}
