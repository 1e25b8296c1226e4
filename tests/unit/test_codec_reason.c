/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

TEST(each_code_has_the_standards_words)
{
    assert_string_equal("success", mqtt_rc_text(MQTT_RC_OK));
    assert_string_equal("session taken over", mqtt_rc_text(0x8e));
    assert_string_equal("unknown reason", mqtt_rc_text(0x03));
    assert_string_equal("unknown reason", mqtt_rc_text(0xff));
}

TEST(what_a_client_is_told_beside_a_code_is_there_for_refusals_only)
{
    for (unsigned code = 0; code < 256; code++) {
        size_t bytes = strlen(mqtt_rc_advice((uint8_t)code));
        CHECK_TRUE(bytes <= ADVICE_BYTES_MAX);
        if (code < 0x80) CHECK_INT(0, bytes);
    }
    CHECK_TRUE(mqtt_rc_advice(MQTT_RC_QUOTA_EXCEEDED)[0] != '\0');
}

TEST(each_packet_type_has_a_name)
{
    assert_string_equal("CONNECT", packet_name(PACKET_CONNECT));
    assert_string_equal("AUTH", packet_name(PACKET_AUTH));
    assert_string_equal("RESERVED", packet_name(PACKET_RESERVED));
    assert_string_equal("RESERVED", packet_name((enum packet_type)16));
}

TEST(a_v5_reason_becomes_the_nearest_return_code_of_3_1_1)
{
    CHECK_INT(0, connack_code_v3(MQTT_RC_OK));
    CHECK_INT(1, connack_code_v3(MQTT_RC_UNSUPPORTED_VERSION));
    CHECK_INT(2, connack_code_v3(MQTT_RC_CLIENT_ID_INVALID));
    CHECK_INT(3, connack_code_v3(MQTT_RC_SERVER_BUSY));
    CHECK_INT(3, connack_code_v3(MQTT_RC_QUOTA_EXCEEDED));
    CHECK_INT(4, connack_code_v3(MQTT_RC_BAD_USERNAME_PASSWORD));
    CHECK_INT(4, connack_code_v3(MQTT_RC_BAD_AUTH_METHOD));
    CHECK_INT(5, connack_code_v3(MQTT_RC_NOT_AUTHORIZED));
    CHECK_INT(5, connack_code_v3(MQTT_RC_BANNED));
    CHECK_INT(5, connack_code_v3(MQTT_RC_TOPIC_INVALID));
}
