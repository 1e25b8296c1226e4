/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of a PUBLISH: as they stand in a packet, and as a plugin has them, by libmosquitto's functions.
 * A list that comes from a plugin is read with the same suspicion as a packet.
 */
#include "codec/rd.h"
#include "codec/wr.h"
#include "plugin/abi5_int.h"
#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>

struct texts {
    char *name, *value;
};

static int add_string(mosquitto_property **list, int id, struct bytes b)
{
    char *text = bytes_to_text(b);
    int rc = text == NULL ? MOSQ_ERR_NOMEM : mosquitto_property_add_string(list, id, text);
    free(text);
    return rc;
}

static int add_pair(mosquitto_property **list, int id, struct bytes name, struct bytes value)
{
    struct texts t = { bytes_to_text(name), bytes_to_text(value) };
    int rc = MOSQ_ERR_NOMEM;
    if (t.name != NULL && t.value != NULL) rc = mosquitto_property_add_string_pair(list, id, t.name, t.value);
    free(t.name);
    free(t.value);
    return rc;
}

/* Reads the next one, and adds it if it is for plugins. */
static int read_one(mosquitto_property **list, struct rd *r)
{
    int id = rd_u8(r);
    struct bytes b;
    switch (id) {
    case MQTT_PROP_PAYLOAD_FORMAT_INDICATOR: return mosquitto_property_add_byte(list, id, rd_u8(r));
    case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL: rd_u32(r); return MOSQ_ERR_SUCCESS;
    case MQTT_PROP_TOPIC_ALIAS: rd_u16(r); return MOSQ_ERR_SUCCESS;
    case MQTT_PROP_SUBSCRIPTION_IDENTIFIER: rd_varint(r); return MOSQ_ERR_SUCCESS;
    case MQTT_PROP_CONTENT_TYPE:
    case MQTT_PROP_RESPONSE_TOPIC: return add_string(list, id, rd_str(r));
    case MQTT_PROP_CORRELATION_DATA:
        b = rd_str(r);
        return mosquitto_property_add_binary(list, id, b.at, (uint16_t)b.len);
    case MQTT_PROP_USER_PROPERTY: b = rd_str(r); return add_pair(list, id, b, rd_str(r));
    default: return MOSQ_ERR_PROTOCOL;
    }
}

enum err plugin_properties_read(mosquitto_property **out, struct bytes block)
{
    struct rd r = { block.at, block.len, false };
    int rc = MOSQ_ERR_SUCCESS;
    *out = NULL;
    while (r.left > 0 && rc == MOSQ_ERR_SUCCESS) rc = read_one(out, &r);
    if (rc == MOSQ_ERR_SUCCESS && rd_done(&r)) return ERR_OK;
    mosquitto_property_free_all(out);
    return rc == MOSQ_ERR_NOMEM ? ERR_NOMEM : ERR_SYNTAX;
}

/* --- the way back */

/* What is being gathered. `once`: 1 << identifier of those that are there. */
struct block {
    uint8_t *at;
    size_t len, room;
    uint64_t once;
    unsigned left_out;
    bool lacks_memory;
};

/* Room for a property with so many bytes behind its identifier. */
static struct wr begin(struct block *b, int id, size_t bytes)
{
    size_t need = b->len + 1 + bytes;
    if (need > b->room) {
        uint8_t *more = realloc(b->at, need * 2);
        if (more == NULL) b->lacks_memory = true;
        if (more == NULL) return (struct wr){ .bad = true };
        b->at = more;
        b->room = need * 2;
    }
    struct wr w = { b->at + b->len, b->room - b->len, false };
    wr_u8(&w, (uint8_t)id);
    b->len = need;
    return w;
}

static struct bytes of_text(const char *text)
{
    return text == NULL ? (struct bytes){ 0 } : bytes_of_text(text);
}

static bool is_text(struct bytes b)
{
    return b.len <= UINT16_MAX && (utf8_scan(b) & UTF8_ILL_FORMED) == 0;
}

static void write_string(struct block *b, const mosquitto_property *p, int id)
{
    char *value = NULL;
    mosquitto_property_read_string(p, id, &value, false);
    struct bytes text = of_text(value);
    if (value == NULL || !is_text(text)) {
        b->left_out++;
    } else {
        struct wr w = begin(b, id, 2 + text.len);
        wr_str(&w, text);
    }
    free(value);
}

static void write_pair(struct block *b, const mosquitto_property *p, int id)
{
    struct texts t = { NULL, NULL };
    mosquitto_property_read_string_pair(p, id, &t.name, &t.value, false);
    struct bytes name = of_text(t.name), value = of_text(t.value);
    if (t.name == NULL || t.value == NULL || !is_text(name) || !is_text(value)) {
        b->left_out++;
    } else {
        struct wr w = begin(b, id, 4 + name.len + value.len);
        wr_str(&w, name);
        wr_str(&w, value);
    }
    free(t.name);
    free(t.value);
}

static void write_binary(struct block *b, const mosquitto_property *p, int id)
{
    void *value = NULL;
    uint16_t size = 0;
    mosquitto_property_read_binary(p, id, &value, &size, false);
    struct wr w = begin(b, id, 2 + (size_t)size);
    wr_str(&w, bytes_of(value, value == NULL ? 0 : size));
    free(value);
}

static void write_u8(struct block *b, const mosquitto_property *p, int id)
{
    uint8_t value = 0;
    mosquitto_property_read_byte(p, id, &value, false);
    if (value > 1) {
        b->left_out++;
        return;
    }
    struct wr w = begin(b, id, 1);
    wr_u8(&w, value);
}

static void write_u32(struct block *b, const mosquitto_property *p, int id)
{
    uint32_t value = 0;
    mosquitto_property_read_int32(p, id, &value, false);
    struct wr w = begin(b, id, 4);
    wr_u32(&w, value);
}

static void write_one(struct block *b, const mosquitto_property *p)
{
    int id = mosquitto_property_identifier(p);
    bool is_user = id == MQTT_PROP_USER_PROPERTY;
    bool is_second = !is_user && id > 0 && id < 64 && (b->once >> id & 1) != 0;
    if (is_second) {
        b->left_out++;
        return;
    }
    if (id > 0 && id < 64) b->once |= (uint64_t)1 << id;
    switch (id) {
    case MQTT_PROP_PAYLOAD_FORMAT_INDICATOR: write_u8(b, p, id); break;
    case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL: write_u32(b, p, id); break;
    case MQTT_PROP_CONTENT_TYPE:
    case MQTT_PROP_RESPONSE_TOPIC: write_string(b, p, id); break;
    case MQTT_PROP_CORRELATION_DATA: write_binary(b, p, id); break;
    case MQTT_PROP_USER_PROPERTY: write_pair(b, p, id); break;
    case MQTT_PROP_TOPIC_ALIAS:
    case MQTT_PROP_SUBSCRIPTION_IDENTIFIER: break; /* are made for each receiver */
    default: b->left_out++;
    }
}

static enum err finish(struct block *b, struct bytes *out)
{
    *out = bytes_of(b->at, b->len);
    if (!b->lacks_memory) return ERR_OK;
    free(b->at);
    *out = (struct bytes){ 0 };
    return ERR_NOMEM;
}

enum err plugin_properties_write(struct bytes *out, const mosquitto_property *list, unsigned *left_out)
{
    struct block b = { 0 };
    for (const mosquitto_property *p = list; p != NULL; p = mosquitto_property_next(p)) write_one(&b, p);
    *left_out = b.left_out;
    return finish(&b, out);
}

/* The message expiry in a block of a PUBLISH that was decoded. */
static bool find_expiry(struct bytes block, uint32_t *seconds)
{
    struct rd r = { block.at, block.len, false };
    bool found = false;
    while (r.left > 0 && !found) {
        switch (rd_u8(&r)) {
        case MQTT_PROP_PAYLOAD_FORMAT_INDICATOR: rd_u8(&r); break;
        case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL:
            *seconds = rd_u32(&r);
            found = !r.bad;
            break;
        case MQTT_PROP_TOPIC_ALIAS: rd_u16(&r); break;
        case MQTT_PROP_SUBSCRIPTION_IDENTIFIER: rd_varint(&r); break;
        case MQTT_PROP_USER_PROPERTY:
            rd_str(&r);
            rd_str(&r);
            break;
        default: rd_str(&r);
        }
    }
    return found;
}

enum err plugin_properties_change(struct bytes *out, const mosquitto_property *list, struct bytes block,
                                  unsigned *left_out)
{
    struct block b = { 0 };
    uint32_t seconds = 0;
    for (const mosquitto_property *p = list; p != NULL; p = mosquitto_property_next(p)) write_one(&b, p);
    *left_out = b.left_out;
    if ((b.once >> MQTT_PROP_MESSAGE_EXPIRY_INTERVAL & 1) == 0 && find_expiry(block, &seconds)) {
        struct wr w = begin(&b, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, 4);
        wr_u32(&w, seconds);
    }
    return finish(&b, out);
}

bool plugin_properties_same(const mosquitto_property *list, struct bytes block)
{
    if (list == NULL && block.len == 0) return true;
    mosquitto_property *before = NULL;
    struct bytes a = { 0 }, b = { 0 };
    unsigned left_out = 0;
    enum err rc = plugin_properties_read(&before, block);
    if (rc == ERR_OK) rc = plugin_properties_write(&a, before, &left_out);
    if (rc == ERR_OK) rc = plugin_properties_write(&b, list, &left_out);
    bool is_same = rc == ERR_OK && left_out == 0 && bytes_equal(a, b);
    mosquitto_property_free_all(&before);
    free((void *)(uintptr_t)a.at);
    free((void *)(uintptr_t)b.at);
    return is_same;
}
