/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin asks of the broker: messages to publish, clients to disconnect. Both are done by the shards
 * soon after; on any thread.
 */
#include "codec/rd.h"
#include "plugin/abi5_int.h"
#include "topic/topic.h"
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>

static int result(enum err rc)
{
    if (rc == ERR_OK) return MOSQ_ERR_SUCCESS;
    return rc == ERR_CLOSED ? MOSQ_ERR_NO_CONN : MOSQ_ERR_NOMEM;
}

static struct bytes text(const char *t)
{
    return t == NULL ? (struct bytes){ 0 } : bytes_of_text(t);
}

static bool is_topic(const char *topic)
{
    return topic != NULL && topic_name_valid(text(topic)) && (utf8_scan(text(topic)) & UTF8_ILL_FORMED) == 0;
}

static int send(const struct hook_message *m)
{
    struct plugin_gate gate;
    if (!plugins_enter(&gate)) return MOSQ_ERR_NO_CONN;
    enum err rc = gate.broker->publish(gate.broker->ctx, m);
    plugins_leave();
    return result(rc);
}

int mosquitto_broker_publish_copy(const char *clientid, const char *topic, int payloadlen,
                                  const void *payload, int qos, bool retain, mosquitto_property *properties)
{
    bool is_whole = payloadlen == 0 || (payloadlen > 0 && payload != NULL);
    if (!is_topic(topic) || !is_whole || qos < 0 || qos > 2) return MOSQ_ERR_INVAL;
    if (mosquitto_property_check_all(CMD_PUBLISH, properties) != MOSQ_ERR_SUCCESS) return MOSQ_ERR_INVAL;
    struct bytes block = { 0 };
    unsigned left_out = 0;
    if (plugin_properties_write(&block, properties, &left_out) != ERR_OK) return MOSQ_ERR_NOMEM;
    struct hook_message m = {
        .client_id = text(clientid),
        .topic = text(topic),
        .payload = bytes_of(payload, (size_t)payloadlen),
        .block = block,
        .qos = (uint8_t)qos,
        .retain = retain && clientid == NULL,
    };
    int rc = left_out > 0 ? MOSQ_ERR_INVAL : send(&m);
    free((void *)(uintptr_t)block.at);
    if (rc == MOSQ_ERR_SUCCESS) mosquitto_property_free_all(&properties);
    return rc;
}

int mosquitto_broker_publish(const char *clientid, const char *topic, int payloadlen, void *payload, int qos,
                             bool retain, mosquitto_property *properties)
{
    int rc = mosquitto_broker_publish_copy(clientid, topic, payloadlen, payload, qos, retain, properties);
    if (rc == MOSQ_ERR_SUCCESS) free(payload);
    return rc;
}

static int kick(const struct hook_kick *k)
{
    struct plugin_gate gate;
    if (!plugins_enter(&gate)) return MOSQ_ERR_NO_CONN;
    enum err rc = gate.broker->kick(gate.broker->ctx, k);
    plugins_leave();
    return rc == ERR_NOTFOUND ? MOSQ_ERR_NOT_FOUND : result(rc);
}

int mosquitto_kick_client_by_clientid(const char *clientid, bool with_will)
{
    struct hook_kick k = { .client_id = text(clientid), .with_will = with_will };
    if (clientid != NULL && clientid[0] == '\0') return MOSQ_ERR_NOT_FOUND; /* nobody's */
    return kick(&k);                                                        /* NULL: everybody */
}

int mosquitto_kick_client_by_username(const char *username, bool with_will)
{
    struct hook_kick k = { .username = bytes_of_text(username == NULL ? "" : username),
                           .with_will = with_will };
    return kick(&k);
}
