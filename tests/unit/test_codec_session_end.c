/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

TEST(disconnects_and_auths_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "DISCONNECT", 4, "e0 []", MQTT_RC_OK },
        { "DISCONNECT with a body", 4, "e0 [00]", MQTT_RC_MALFORMED },
        { "AUTH", 4, "f0 []", MQTT_RC_MALFORMED },
        { "DISCONNECT", 5, "e0 []", MQTT_RC_OK },
        { "with a code alone", 5, "e0 [04]", MQTT_RC_OK },
        { "with no properties", 5, "e0 [8e []]", MQTT_RC_OK },
        { "with properties", 5, "e0 [9d [11 00000001 1c<other> 1f<go> 26<k><v>]]", MQTT_RC_OK },
        { "too long", 5, "e0 [00 [] 00]", MQTT_RC_MALFORMED },
        { "a property of another packet", 5, "e0 [00 [21 0001]]", MQTT_RC_MALFORMED },
        { "a code of another packet", 5, "e0 [01]", MQTT_RC_PROTOCOL },
        { "AUTH, success", 5, "f0 []", MQTT_RC_OK },
        { "AUTH", 5, "f0 [18 [15<m> 16<d> 1f<r> 26<k><v>]]", MQTT_RC_OK },
        { "AUTH without a method", 5, "f0 [18 [16<d>]]", MQTT_RC_PROTOCOL },
        { "AUTH, a code alone", 5, "f0 [18]", MQTT_RC_MALFORMED },
        { "AUTH, a code of another packet", 5, "f0 [80 [15<m>]]", MQTT_RC_PROTOCOL },
    };
    CHECK_PACKETS(rows);
}

TEST(a_disconnect_cut_at_any_byte_is_malformed_but_for_its_short_forms)
{
    check_cuts("e0 [9d [11 00000001 1c<other>]]", MQTT_V5, MAY_END(0, 1));
    check_cuts("f0 [18 [15<m> 16<d>]]", MQTT_V5, MAY_END(0));
}

TEST(a_disconnect_is_written_in_its_shortest_form)
{
    static const struct {
        uint8_t version, code;
        const char *reason, *hex;
        enum packet_type type;
    } rows[] = {
        { 4, 0x8e, NULL, "e0 []", PACKET_DISCONNECT },
        { 5, 0, NULL, "e0 []", PACKET_DISCONNECT },
        { 5, 0x8e, NULL, "e0 [8e]", PACKET_DISCONNECT },
        { 5, 0, "r", "e0 [00 [1f<r>]]", PACKET_DISCONNECT },
        { 5, 0x82, "r", "e0 [82 [1f<r>]]", PACKET_DISCONNECT },
        { 5, 0, NULL, "f0 []", PACKET_AUTH },
        { 5, 0x18, NULL, "f0 [18 []]", PACKET_AUTH },
        { 5, 0x18, "r", "f0 [18 [1f<r>]]", PACKET_AUTH },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t b[32];
        struct wr w = { b, sizeof b, false };
        struct session_end e = { .code = rows[i].code };
        struct hex want = hex_of(rows[i].hex);
        if (rows[i].reason != NULL) PROPS_SET(&e.props, reason_string, bytes_of_text(rows[i].reason));
        session_end_encode(&w, rows[i].version, rows[i].type, &e);
        CHECK_INT(want.len, sizeof b - w.left);
        assert_memory_equal(want.at, b, want.len);
    }
}

TEST(a_disconnect_gives_its_fields)
{
    struct any_packet p;

    CHECK_INT(MQTT_RC_OK, decode_hex("e0 [04 [11 0000000a]]", MQTT_V5, &p));
    CHECK_INT(MQTT_RC_DISCONNECT_WITH_WILL, p.session_end.code);
    CHECK_INT(10, p.session_end.props.session_expiry);
    CHECK_INT(MQTT_RC_OK, decode_hex("e0 []", MQTT_V5, &p));
    CHECK_INT(MQTT_RC_OK, p.session_end.code);
}
