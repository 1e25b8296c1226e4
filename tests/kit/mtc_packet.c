/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/mtc_packet.h"

#include <string.h>

#define IN(type) (1U << MTC_##type)
#define IN_ACKS  (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK))
#define IN_ENDS  (IN(CONNACK) | IN(DISCONNECT))

/* MQTT 5.0, table 2-4. */
static const struct mtc_prop props[] = {
    { "payload_format", 0x01, FORM_BYTE, IN(PUBLISH) },
    { "message_expiry", 0x02, FORM_U32, IN(PUBLISH) },
    { "content_type", 0x03, FORM_TEXT, IN(PUBLISH) },
    { "response_topic", 0x08, FORM_TEXT, IN(PUBLISH) },
    { "correlation", 0x09, FORM_TEXT, IN(PUBLISH) },
    { "subscription_id", 0x0b, FORM_VARINT, IN(PUBLISH) },
    { "session_expiry", 0x11, FORM_U32, IN(CONNACK) },
    { "assigned_id", 0x12, FORM_TEXT, IN(CONNACK) },
    { "server_keepalive", 0x13, FORM_U16, IN(CONNACK) },
    { "auth_method", 0x15, FORM_TEXT, IN(CONNACK) | IN(AUTH) },
    { "auth_data", 0x16, FORM_TEXT, IN(CONNACK) | IN(AUTH) },
    { "request_problem", 0x17, FORM_BYTE, 0 },
    { "delay", 0x18, FORM_U32, 0 },
    { "request_response", 0x19, FORM_BYTE, 0 },
    { "response_info", 0x1a, FORM_TEXT, IN(CONNACK) },
    { "server_reference", 0x1c, FORM_TEXT, IN_ENDS },
    { "reason", 0x1f, FORM_TEXT, IN_ENDS | IN_ACKS | IN(AUTH) },
    { "receive_maximum", 0x21, FORM_U16, IN(CONNACK) },
    { "topic_alias_maximum", 0x22, FORM_U16, IN(CONNACK) },
    { "topic_alias", 0x23, FORM_U16, IN(PUBLISH) },
    { "maximum_qos", 0x24, FORM_BYTE, IN(CONNACK) },
    { "retain_available", 0x25, FORM_BYTE, IN(CONNACK) },
    { "user", 0x26, FORM_PAIR, IN_ENDS | IN_ACKS | IN(PUBLISH) | IN(AUTH) },
    { "maximum_packet_size", 0x27, FORM_U32, IN(CONNACK) },
    { "wildcard_available", 0x28, FORM_BYTE, IN(CONNACK) },
    { "subscription_id_available", 0x29, FORM_BYTE, IN(CONNACK) },
    { "shared_available", 0x2a, FORM_BYTE, IN(CONNACK) },
};

static const char *const types[] = {
    [MTC_CONNECT] = "connect",   [MTC_CONNACK] = "connack",     [MTC_PUBLISH] = "publish",
    [MTC_PUBACK] = "puback",     [MTC_PUBREC] = "pubrec",       [MTC_PUBREL] = "pubrel",
    [MTC_PUBCOMP] = "pubcomp",   [MTC_SUBSCRIBE] = "subscribe", [MTC_SUBACK] = "suback",
    [MTC_UNSUBACK] = "unsuback", [MTC_PINGREQ] = "pingreq",     [MTC_UNSUBSCRIBE] = "unsubscribe",
    [MTC_PINGRESP] = "pingresp", [MTC_AUTH] = "auth",           [MTC_DISCONNECT] = "disconnect",
};

/* What a server may say in them. MQTT 5.0, table 2-6; 3.1.1, table 3.1 and section 3.9.3; 3.1, which knows no
 * refusal of a subscription. */
static const struct {
    unsigned types, versions; /* a bit each */
    size_t count;
    const char *codes;
} codes[] = {
    { IN(CONNACK), 1 << 3 | 1 << 4, 6, "\x00\x01\x02\x03\x04\x05" },
    { IN(CONNACK), 1 << 5, 22,
      "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95\x97\x99\x9a\x9b\x9c\x9d\x9f" },
    { IN(PUBACK) | IN(PUBREC), 1 << 5, 9, "\x00\x10\x80\x83\x87\x90\x91\x97\x99" },
    { IN(PUBREL) | IN(PUBCOMP), 1 << 5, 2, "\x00\x92" },
    { IN(SUBACK), 1 << 3, 3, "\x00\x01\x02" },
    { IN(SUBACK), 1 << 4, 4, "\x00\x01\x02\x80" },
    { IN(SUBACK), 1 << 5, 12, "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2" },
    { IN(UNSUBACK), 1 << 5, 7, "\x00\x11\x80\x83\x87\x8f\x91" },
    { IN(DISCONNECT), 1 << 5, 28,
      "\x00\x80\x81\x82\x83\x87\x89\x8b\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e"
      "\x9f\xa0\xa1\xa2" },
    { IN(AUTH), 1 << 5, 2, "\x00\x18" },
};

enum { TYPES_COUNT = sizeof types / sizeof types[0], PROPS_COUNT = sizeof props / sizeof props[0] };
enum { CODES_COUNT = sizeof codes / sizeof codes[0] };

const char *mtc_type_name(unsigned type)
{
    return type < TYPES_COUNT ? types[type] : NULL;
}

unsigned mtc_type_of(const char *name)
{
    for (unsigned i = 1; i < TYPES_COUNT; i++)
        if (strcmp(types[i], name) == 0) return i;
    return 0;
}

const struct mtc_prop *mtc_prop_by_name(const char *name)
{
    for (size_t i = 0; i < PROPS_COUNT; i++)
        if (strcmp(props[i].name, name) == 0) return &props[i];
    return NULL;
}

const struct mtc_prop *mtc_prop_by_id(unsigned id)
{
    for (size_t i = 0; i < PROPS_COUNT; i++)
        if (props[i].id == id) return &props[i];
    return NULL;
}

bool mtc_has_code(unsigned type, unsigned version, unsigned long code)
{
    for (size_t i = 0; i < CODES_COUNT; i++)
        if ((codes[i].types & 1U << type) != 0 && (codes[i].versions & 1U << version) != 0)
            return memchr(codes[i].codes, (int)code, codes[i].count) != NULL;
    return false;
}

bool mtc_is_v5_only(unsigned type, const char *name)
{
    if (strncmp(name, "will.", 5) == 0) name += 5;
    if (mtc_prop_by_name(name) != NULL) return true;
    if (type == MTC_SUBSCRIBE)
        return strcmp(name, "nl") == 0 || strcmp(name, "rap") == 0 || strcmp(name, "rh") == 0;
    return strcmp(name, "code") == 0 && type != MTC_CONNACK && type != MTC_SUBACK;
}

long mtc_packet_len(const uint8_t *at, size_t len)
{
    size_t left = 0;

    for (size_t i = 1; i < len; i++) {
        if (i == 5) return -1;
        left |= (size_t)(at[i] & 0x7f) << (7 * (i - 1));
        if ((at[i] & 0x80) == 0) return len - i - 1 >= left ? (long)(i + 1 + left) : 0;
    }
    return 0;
}
