/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/packets.h"
#include <string.h>

/* Few names and few numbers, so that what one client does concerns the others; some that are wrong. */

static const char *const client_ids[] = {
    "a", "b", "c", "", "d", "a", "b", "a client with a rather long name"
};
static const char *const topics[] = { "t",
                                      "t/u",
                                      "t/u/v",
                                      "u",
                                      "/",
                                      "$x/t",
                                      "w",
                                      "t//v",
                                      "#",
                                      "$SYS/load",
                                      "w/x",
                                      "",
                                      "t\xc3\xa9",
                                      "w/x/y",
                                      "$delayed/1/t",
                                      "$delayed/60/w" };
static const char *const filters[] = {
    "t",   "t/#",    "t/+",        "#",         "+/u",        "t/u",        "$x/#",         "u",
    "w/#", "+",      "w",          "t/u/v",     "$share/g/t", "$share/g/#", "$share/h/t/+", "t/#/u",
    "",    "$SYS/#", "$share/g/w", "$share//t", "/+",         "w/x/y",      "+/+",          "$share/g"
};
static const uint32_t seconds[] = { 0,  1,   2, 5, 30,   60, 600, 3600, UINT32_MAX, UINT32_MAX - 1,
                                    10, 100, 7, 3, 1000, 0 };
static const uint16_t receive_maxes[] = { 0, 1, 2, 3, 10, 65535, 20, 4 };
static const uint32_t packet_maxes[] = { 0, 20, 30, 64, 128, 1200, 1u << 28, 5 };
static const uint16_t alias_maxes[] = { 0, 1, 2, 10 };
static const uint16_t keepalives[] = { 0, 0, 60, 10, 1, 65535, 5, 2 };
static const uint16_t payload_sizes[] = { 6, 4, 0, 30, 130, 1100, 2100, 5000 };
static const uint32_t sub_ids[] = { 0, 0, 1, 2, 127, 128, 268435455, 3 };

#define PICK(table, choice) (table)[(choice) % (sizeof(table) / sizeof(table)[0])]

static uint32_t payload_no;

void packets_begin(void)
{
    payload_no = 0;
}

/* Each has its number, so that it is known again. */
static struct bytes next_payload(uint8_t *at, uint16_t size)
{
    payload_no++;
    memset(at, 'p', size);
    for (uint16_t i = 0; i < size && i < sizeof payload_no; i++) at[i] = (uint8_t)(payload_no >> 8 * i);
    return bytes_of(at, size);
}

static struct bytes user_property(uint8_t *at, size_t room, uint8_t choice)
{
    static const char *const values[] = { "1", "2", "3", "" };
    struct wr w = { .at = at, .left = room };
    const char *key = (choice & 1) != 0 ? "mid" : "k";
    props_user_encode(&w, bytes_of_text(key), bytes_of_text(PICK(values, choice >> 1)));
    return bytes_of(at, (size_t)(w.at - at));
}

/* --- CONNECT */

static void choose_will(struct connect *p, const uint8_t *choice, uint8_t *payload)
{
    uint8_t how = choice[2];
    p->has_will = true;
    p->will.topic = bytes_of_text(PICK(topics, how >> 4));
    p->will.qos = how & 3;
    p->will.retain = (how & 4) != 0;
    p->will.payload = next_payload(payload, (how & 8) != 0 ? 0 : 6);
    if (p->version != MQTT_V5) return;
    if ((choice[5] & 0x0f) != 0) PROPS_SET(&p->will.props, will_delay, PICK(seconds, choice[5] & 0x0f));
    if ((choice[5] & 0x10) != 0) PROPS_SET(&p->will.props, message_expiry, PICK(seconds, choice[5] >> 5));
}

static void choose_limits(struct connect *p, const uint8_t *choice)
{
    uint8_t expiry = choice[3] & 0x0f, window = choice[3] >> 4 & 7;
    if (p->version != MQTT_V5) return;
    if (expiry != 0) PROPS_SET(&p->props, session_expiry, PICK(seconds, expiry));
    if (window != 0) PROPS_SET(&p->props, receive_max, receive_maxes[window]);
    if ((choice[4] & 7) != 0) PROPS_SET(&p->props, max_packet_size, packet_maxes[choice[4] & 7]);
    if ((choice[4] >> 6) != 0) PROPS_SET(&p->props, topic_alias_max, alias_maxes[choice[4] >> 6]);
    if ((choice[3] & 0x80) != 0) PROPS_SET(&p->props, request_problem_info, choice[0] >> 7);
    if ((choice[1] & 0x40) != 0) PROPS_SET(&p->props, request_response_info, choice[0] >> 7);
    if ((choice[1] & 0x80) != 0 && choice[5] == 0xff) {
        PROPS_SET(&p->props, auth_method, bytes_of_text("m"));
        PROPS_SET(&p->props, auth_data, bytes_of_text("data"));
    }
}

/* choice: client id | version 3, clean, will, user, spare, spare | will | expiry, window | packet max,
 * keepalive, alias max | will's delay and expiry */
void packet_connect(struct wr *w, const uint8_t *choice)
{
    static const uint8_t versions[] = { MQTT_V5,  MQTT_V311, MQTT_V5,   MQTT_V5,
                                        MQTT_V31, MQTT_V5,   MQTT_V311, MQTT_V5 };
    uint8_t payload[8];
    struct connect p = {
        .version = versions[choice[1] & 7],
        .clean_start = (choice[1] & 8) != 0,
        .client_id = bytes_of_text(PICK(client_ids, choice[0] & 7)),
        .keepalive_s = PICK(keepalives, choice[4] >> 3 & 7),
    };
    if ((choice[1] & 0x10) != 0) choose_will(&p, choice, payload);
    if ((choice[1] & 0x20) != 0) {
        p.has_username = true;
        p.username = bytes_of_text("user");
    }
    choose_limits(&p, choice);
    connect_encode(w, &p);
}

/* --- PUBLISH */

static void choose_props(struct publish *p, const uint8_t *choice, uint8_t *user, size_t room)
{
    uint8_t which = choice[3];
    if ((which & 1) != 0) PROPS_SET(&p->props, message_expiry, PICK(seconds, choice[4] & 0x0f));
    if ((which & 2) != 0) PROPS_SET(&p->props, user, user_property(user, room, choice[4] >> 4));
    if ((which & 4) != 0) PROPS_SET(&p->props, response_topic, bytes_of_text(PICK(topics, choice[5])));
    if ((which & 8) != 0) PROPS_SET(&p->props, correlation_data, bytes_of_text("x"));
    if ((which & 16) != 0) PROPS_SET(&p->props, content_type, bytes_of_text("y"));
    if ((which & 32) != 0) PROPS_SET(&p->props, payload_format, choice[5] & 1);
    if ((which & 64) != 0) PROPS_SET(&p->props, subscription_id, 1);
    uint16_t alias = choice[0] >> 4;
    if (alias != 0) PROPS_SET(&p->props, topic_alias, alias > 4 ? (uint16_t)(alias * 5000) : alias);
}

/* choice: topic, alias | QoS, retain, dup, size | id | which properties | their values */
void packet_publish(struct wr *w, struct client *c, const uint8_t *choice)
{
    uint8_t payload[5000], user[64];
    uint8_t id = choice[2];
    struct publish p = {
        .topic = bytes_of_text(PICK(topics, choice[0] & 15)),
        .qos = choice[1] & 3,
        .retain = (choice[1] & 4) != 0,
        .dup = (choice[1] & 8) != 0,
    };
    p.payload = next_payload(payload, PICK(payload_sizes, choice[1] >> 4 & 7));
    if ((choice[1] & 0x80) != 0) p.topic = bytes_of_text("");
    if (p.qos > 0) p.id = id == 0 ? ++c->last_id : id;
    choose_props(&p, choice, user, sizeof user);
    publish_encode(w, c->version, &p);
}

/* --- SUBSCRIBE, UNSUBSCRIBE: by hand, as the encoder's have no properties */

static void fixed_header(struct wr *w, enum packet_type type, struct bytes body)
{
    wr_u8(w, (uint8_t)(type << 4 | 2));
    uint32_t n = (uint32_t)body.len;
    do {
        wr_u8(w, (uint8_t)(n & 0x7f) | (n > 0x7f ? 0x80 : 0));
        n >>= 7;
    } while (n > 0);
    wr_bytes(w, body);
}

static void filter_props(struct wr *w, const struct client *c, uint32_t id)
{
    struct props props = { 0 };
    if (c->version != MQTT_V5) return;
    if (id != 0) PROPS_SET(&props, subscription_id, id);
    props_encode(w, &props);
}

static uint16_t next_id(struct client *c, uint8_t chosen)
{
    return chosen == 0 ? ++c->last_id : chosen;
}

/* choice: filter | options | second filter, 0: none | its options | subscription id | packet id */
void packet_subscribe(struct wr *w, struct client *c, const uint8_t *choice)
{
    uint8_t body[512];
    struct wr b = { .at = body, .left = sizeof body };
    uint8_t mask = c->version == MQTT_V5 ? 0xff : 3;
    wr_u16(&b, next_id(c, choice[5]));
    filter_props(&b, c, sub_ids[choice[4] & 7]);
    wr_str(&b, bytes_of_text(PICK(filters, choice[0])));
    wr_u8(&b, choice[1] & mask);
    if (choice[2] != 0) {
        wr_str(&b, bytes_of_text(PICK(filters, choice[2])));
        wr_u8(&b, choice[3] & mask);
    }
    fixed_header(w, PACKET_SUBSCRIBE, bytes_of(body, (size_t)(b.at - body)));
}

void packet_unsubscribe(struct wr *w, struct client *c, const uint8_t *choice)
{
    uint8_t body[512];
    struct wr b = { .at = body, .left = sizeof body };
    wr_u16(&b, next_id(c, choice[5]));
    filter_props(&b, c, 0);
    wr_str(&b, bytes_of_text(PICK(filters, choice[0])));
    if (choice[2] != 0) wr_str(&b, bytes_of_text(PICK(filters, choice[2])));
    fixed_header(w, PACKET_UNSUBSCRIBE, bytes_of(body, (size_t)(b.at - body)));
}

/* --- acknowledgements of whatever kind, DISCONNECT, AUTH */

/* choice: which of those on their way | type | code | a packet id, 0: theirs */
void packet_ack(struct wr *w, const struct client *c, const uint8_t *choice)
{
    static const uint8_t codes[] = { 0, 0, 0, 0x10, 0x80, 0x87, 0x92, 0x97 };
    static const enum packet_type types[] = { PACKET_PUBACK, PACKET_PUBREC, PACKET_PUBREL, PACKET_PUBCOMP };
    enum packet_type type = types[choice[1] & 3];
    struct ack a = { .id = choice[3], .code = codes[choice[2] & 7] };
    if (choice[3] == 0 && c->flights_count > 0) a.id = c->flights[choice[0] % c->flights_count].id;
    if (choice[3] == 0 && type == PACKET_PUBREL) a.id = c->last_id;
    ack_encode(w, c->version, type, &a);
}

/* choice: code | has an expiry, has a method | expiry */
void packet_end(struct wr *w, const struct client *c, enum packet_type type, const uint8_t *choice)
{
    static const uint8_t codes[] = { 0, 0, 4, 0x18, 0x19, 0x80, 0x81, 0x8e };
    struct session_end e = { .code = codes[choice[0] & 7] };
    if (type == PACKET_DISCONNECT && (choice[1] & 1) != 0)
        PROPS_SET(&e.props, session_expiry, PICK(seconds, choice[2]));
    if (type == PACKET_AUTH && (choice[1] & 2) != 0) PROPS_SET(&e.props, auth_method, bytes_of_text("m"));
    session_end_encode(w, c->version, type, &e);
}
