/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

TEST(acknowledgements_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "PUBACK", 4, "40 [0001]", MQTT_RC_OK },
        { "PUBREL", 4, "62 [ffff]", MQTT_RC_OK },
        { "id 0", 4, "40 [0000]", MQTT_RC_PROTOCOL },
        { "too long", 4, "40 [0001 00]", MQTT_RC_MALFORMED },
        { "nothing", 4, "40 []", MQTT_RC_MALFORMED },
        { "length 2", 5, "40 [0001]", MQTT_RC_OK },
        { "length 3", 5, "40 [0001 10]", MQTT_RC_OK },
        { "no properties", 5, "50 [0001 80 []]", MQTT_RC_OK },
        { "properties", 5, "50 [0001 00 [1f<why> 26<k><v>]]", MQTT_RC_OK },
        { "a property of another packet", 5, "40 [0001 00 [21 0001]]", MQTT_RC_MALFORMED },
        { "too long", 5, "40 [0001 00 [] 00]", MQTT_RC_MALFORMED },
        { "id 0", 5, "70 [0000]", MQTT_RC_PROTOCOL },
        { "PUBREL, not found", 5, "62 [0001 92]", MQTT_RC_OK },
        { "PUBCOMP, not found", 5, "70 [0001 92]", MQTT_RC_OK },
        { "a code of PUBREL", 5, "40 [0001 92]", MQTT_RC_PROTOCOL },
        { "a code of PUBACK", 5, "62 [0001 10]", MQTT_RC_PROTOCOL },
        { "no code at all", 5, "40 [0001 03]", MQTT_RC_PROTOCOL },
    };
    CHECK_PACKETS(rows);
}

TEST(an_acknowledgement_cut_at_any_byte_is_malformed_but_for_its_short_forms)
{
    check_cuts("40 [0001]", MQTT_V311, NO_END);
    check_cuts("40 [0001 10 [1f<why> 26<k><v>]]", MQTT_V5, MAY_END(2, 3));
}

TEST(an_acknowledgement_gives_its_fields)
{
    struct any_packet p;

    CHECK_INT(MQTT_RC_OK, decode_hex("40 [0102 97 [1f<full>]]", MQTT_V5, &p));
    CHECK_INT(0x0102, p.ack.id);
    CHECK_INT(MQTT_RC_QUOTA_EXCEEDED, p.ack.code);
    CHECK_TRUE(bytes_equal(bytes_of_text("full"), p.ack.props.reason_string));
}

TEST(an_acknowledgement_is_written_in_its_shortest_form)
{
    static const struct {
        uint8_t version, code;
        const char *reason, *hex;
        enum packet_type type;
    } rows[] = {
        { 4, 0x97, NULL, "40 [0007]", PACKET_PUBACK },
        { 4, 0, NULL, "62 [0007]", PACKET_PUBREL },
        { 5, 0, NULL, "40 [0007]", PACKET_PUBACK },
        { 5, 0x97, NULL, "50 [0007 97]", PACKET_PUBREC },
        { 5, 0, "r", "70 [0007 00 [1f<r>]]", PACKET_PUBCOMP },
        { 5, 0x92, "r", "62 [0007 92 [1f<r>]]", PACKET_PUBREL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t b[32];
        struct wr w = { b, sizeof b, false };
        struct ack a = { .id = 7, .code = rows[i].code };
        struct hex want = hex_of(rows[i].hex);
        if (rows[i].reason != NULL) PROPS_SET(&a.props, reason_string, bytes_of_text(rows[i].reason));
        ack_encode(&w, rows[i].version, rows[i].type, &a);
        CHECK_INT(want.len, sizeof b - w.left);
        assert_memory_equal(want.at, b, want.len);
    }
}

TEST(one_that_says_no_more_than_its_id_is_the_same_in_every_version)
{
    static const enum packet_type types[] = { PACKET_PUBACK, PACKET_PUBREC, PACKET_PUBREL, PACKET_PUBCOMP };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (uint8_t version = MQTT_V31; version <= MQTT_V5; version++) {
            uint8_t bare[ACK_BARE_BYTES], room[16];
            struct wr w = { .at = room, .left = sizeof room };
            ack_encode(&w, version, types[i], &(struct ack){ .id = 0x1234 });
            ack_bare_write(bare, types[i], 0x1234);
            CHECK_INT(sizeof bare, sizeof room - w.left);
            CHECK_TRUE(memcmp(bare, room, sizeof bare) == 0);
        }
    }
}
