/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/codec_int.h"

static const char *const texts[256] = {
#define REASON(name, value, text, advice) [value] = (text),
#include "codec/reasons.def"
#undef REASON
};

static const char *const advices[256] = {
#define REASON(name, value, text, advice) [value] = (advice),
#include "codec/reasons.def"
#undef REASON
};

#define REASON(name, value, text, advice)                                                                    \
    _Static_assert(sizeof(advice) <= ADVICE_BYTES_MAX + 1, #name ": its advice is too long");
#include "codec/reasons.def"
#undef REASON

const char *mqtt_rc_text(uint8_t code)
{
    return texts[code] != NULL ? texts[code] : "unknown reason";
}

const char *mqtt_rc_advice(uint8_t code)
{
    return advices[code] != NULL ? advices[code] : "";
}

/* Which codes a packet may carry: tables 3-1 (CONNACK) to 3-11 (AUTH) of the standard. 0x00 is in
 * all of them. */
static const uint8_t connack_codes[] = { 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a,
                                         0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f };
static const uint8_t received_codes[] = { 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99 };
static const uint8_t release_codes[] = { 0x92 };
static const uint8_t suback_codes[] = { 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2 };
static const uint8_t unsuback_codes[] = { 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91 };
static const uint8_t disconnect_codes[] = { 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e,
                                            0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
                                            0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2 };
static const uint8_t auth_codes[] = { 0x18, 0x19 };

static const struct bytes codes_of[16] = {
    [PACKET_CONNACK] = { connack_codes, sizeof connack_codes },
    [PACKET_PUBACK] = { received_codes, sizeof received_codes },
    [PACKET_PUBREC] = { received_codes, sizeof received_codes },
    [PACKET_PUBREL] = { release_codes, sizeof release_codes },
    [PACKET_PUBCOMP] = { release_codes, sizeof release_codes },
    [PACKET_SUBACK] = { suback_codes, sizeof suback_codes },
    [PACKET_UNSUBACK] = { unsuback_codes, sizeof unsuback_codes },
    [PACKET_DISCONNECT] = { disconnect_codes, sizeof disconnect_codes },
    [PACKET_AUTH] = { auth_codes, sizeof auth_codes },
};

bool reason_fits(enum packet_type type, uint8_t code)
{
    struct bytes codes = codes_of[type];
    return code == MQTT_RC_OK || (codes.len > 0 && memchr(codes.at, code, codes.len) != NULL);
}

uint8_t connack_code_v3(enum mqtt_rc rc)
{
    switch (rc) {
    case MQTT_RC_OK: return 0;
    case MQTT_RC_UNSUPPORTED_VERSION: return 1;
    case MQTT_RC_CLIENT_ID_INVALID: return 2;
    case MQTT_RC_BAD_USERNAME_PASSWORD:
    case MQTT_RC_BAD_AUTH_METHOD: return 4;
    case MQTT_RC_NOT_AUTHORIZED:
    case MQTT_RC_BANNED:
    case MQTT_RC_TOPIC_INVALID: return 5;
    default: return 3; /* server unavailable: the only one left that does not blame the client */
    }
}
