/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin may know of a client, and change: mosquitto_client_*, mosquitto_set_username. A pointer that
 * is nobody's, or NULL, is answered as mosquitto answers NULL.
 *
 * Texts stay as long as the client is known to the plugin.
 */
#include "plugin/abi5_int.h"
#include <openssl/x509.h>

/* Nobody's id is known from DISCONNECT when the client never was in: somebody else may have that id. */
static bool is_nobody(const struct hook_client *c)
{
    const struct plugin_step *s = plugin_step_now();
    return s != NULL && s->event == MOSQ_EVT_DISCONNECT && s->client == c && s->ask != NULL &&
           !CONTAINER(s->ask, struct hook_gone, ask)->was_in;
}

const char *mosquitto_client_address(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return NULL;
    const char *address = hook_client_address(c);
    hook_client_unref(&c);
    return address;
}

bool mosquitto_client_clean_session(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return true;
    bool is_clean = hook_client_facts(c)->clean_start;
    hook_client_unref(&c);
    return is_clean;
}

const char *mosquitto_client_id(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return NULL;
    const char *id = is_nobody(c) ? NULL : hook_client_id(c);
    hook_client_unref(&c);
    return id;
}

int mosquitto_client_keepalive(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return -1;
    int seconds = hook_client_facts(c)->keepalive_s;
    hook_client_unref(&c);
    return seconds;
}

void *mosquitto_client_certificate(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return NULL;
    X509 *certificate = hook_client_facts(c)->certificate;
    if (certificate != NULL && X509_up_ref(certificate) != 1) certificate = NULL;
    hook_client_unref(&c);
    return certificate;
}

int mosquitto_client_protocol(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return mp_mqtt;
    int protocol = hook_client_facts(c)->is_websocket ? mp_websockets : mp_mqtt;
    hook_client_unref(&c);
    return protocol;
}

int mosquitto_client_protocol_version(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return 0;
    int version = hook_client_facts(c)->version;
    hook_client_unref(&c);
    return version;
}

int mosquitto_client_sub_count(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return 0;
    uint32_t count = gauge_count(hook_client_subs(c));
    hook_client_unref(&c);
    return count > INT32_MAX ? INT32_MAX : (int)count;
}

const char *mosquitto_client_username(const struct mosquitto *client)
{
    struct hook_client *c = plugin_client_hold(client);
    if (c == NULL) return NULL;
    const char *name = hook_client_username(c);
    hook_client_unref(&c);
    return name != NULL && name[0] == '\0' ? NULL : name;
}

int mosquitto_set_username(struct mosquitto *client, const char *username)
{
    struct hook_client *c = plugin_client_hold(client);
    bool is_good = c != NULL && (username == NULL || username[0] != '\0');
    enum err rc = is_good ? hook_client_set_username(c, username) : ERR_RANGE;
    if (c != NULL) hook_client_unref(&c);
    if (!is_good) return MOSQ_ERR_INVAL;
    return rc == ERR_OK ? MOSQ_ERR_SUCCESS : MOSQ_ERR_NOMEM;
}
