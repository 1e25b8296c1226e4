/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

static enum mqtt_rc split(const char *hex, uint32_t size_max, struct frame *out)
{
    struct hex h = hex_of(hex);
    return frame_split(exact_copy(hex_bytes(&h)), size_max, out);
}

TEST(a_packet_is_cut_off_and_what_follows_stays)
{
    struct frame f;
    CHECK_INT(MQTT_RC_OK, split("32 [<a> 0001 70] c000", 100, &f));
    CHECK_INT(PACKET_PUBLISH, f.type);
    CHECK_INT(2, f.flags);
    CHECK_INT(8, f.total);
    CHECK_INT(6, f.body.len);
}

TEST(a_cut_packet_asks_for_more_and_says_how_much_as_soon_as_it_is_known)
{
    static const char packet[] = "30 8101"; /* 129 bytes of body, 132 in all */
    struct hex h = hex_of(packet);
    struct frame f;
    uint8_t whole[132] = { 0 };

    memcpy(whole, h.at, h.len);
    for (size_t n = 0; n < sizeof whole; n++) {
        CHECK_INT(MQTT_RC_OK, frame_split(exact_copy(bytes_of(whole, n)), UINT32_MAX, &f));
        CHECK_INT(0, f.total);
        CHECK_INT(n < 3 ? 0 : 132, f.want);
        CHECK_INT(0, f.body.len);
    }
    CHECK_INT(MQTT_RC_OK, frame_split(exact_copy(bytes_of(whole, sizeof whole)), UINT32_MAX, &f));
    CHECK_INT(132, f.total);
}

TEST(a_packet_larger_than_allowed_is_refused_before_it_has_come)
{
    struct frame f;
    CHECK_INT(MQTT_RC_PACKET_TOO_LARGE, split("30 ffffff7f", 1000, &f));
    CHECK_INT(MQTT_RC_PACKET_TOO_LARGE, split("30 08", 9, &f));
    CHECK_INT(MQTT_RC_OK, split("30 08", 10, &f));
    CHECK_INT(10, f.want);
    CHECK_INT(MQTT_RC_OK, split("30 ffffff7f", UINT32_MAX, &f));
    CHECK_INT(268435460, f.want);
}

TEST(a_length_of_more_than_four_bytes_or_not_shortest_is_malformed)
{
    struct frame f;
    CHECK_INT(MQTT_RC_MALFORMED, split("30 80808080", 100, &f));
    CHECK_INT(MQTT_RC_MALFORMED, split("30 8000", 100, &f));
    CHECK_INT(MQTT_RC_OK, split("30 808080", 100, &f));
    CHECK_INT(0, f.total);
}

TEST(reserved_flags_are_checked_with_the_first_byte)
{
    struct frame f;

    for (unsigned first = 0; first < 256; first++) {
        unsigned type = first >> 4, flags = first & 15;
        unsigned want =
            type == PACKET_PUBREL || type == PACKET_SUBSCRIBE || type == PACKET_UNSUBSCRIBE ? 2 : 0;
        bool good = type != 0 && (type == PACKET_PUBLISH || flags == want);
        uint8_t byte = (uint8_t)first;
        CHECK_INT(good ? MQTT_RC_OK : MQTT_RC_MALFORMED,
                  frame_split(exact_copy(bytes_of(&byte, 1)), 100, &f));
    }
}

TEST(a_3_1_client_may_set_dup_in_what_it_sends_again)
{
    struct frame f;

    for (unsigned first = 0; first < 256; first++) {
        uint8_t byte = (uint8_t)first;
        struct bytes in = exact_copy(bytes_of(&byte, 1));
        bool is_again = first == 0x6a || first == 0x8a || first == 0xaa;
        enum mqtt_rc later = frame_split(in, 100, &f);
        CHECK_INT(is_again ? MQTT_RC_OK : later, frame_split_v31(in, 100, &f));
        if (is_again) CHECK_INT(MQTT_RC_MALFORMED, later);
    }
}

TEST(a_ping_has_no_body)
{
    struct frame f;
    CHECK_INT(MQTT_RC_OK, split("c000", 100, &f));
    CHECK_INT(2, f.total);
    CHECK_INT(MQTT_RC_OK, split("d000", 100, &f));
    CHECK_INT(2, f.total);
    CHECK_INT(MQTT_RC_MALFORMED, split("c001", 100, &f));
    CHECK_INT(MQTT_RC_MALFORMED, split("d001", 100, &f));
}

TEST(a_ping_is_written)
{
    uint8_t b[4];
    struct wr w = { b, sizeof b, false };
    ping_encode(&w, PACKET_PINGREQ);
    ping_encode(&w, PACKET_PINGRESP);
    CHECK_TRUE(!w.bad);
    assert_memory_equal(b, "\xc0\x00\xd0\x00", 4);
}

TEST(a_packet_that_does_not_fit_is_not_begun)
{
    struct connect c = { .version = MQTT_V5, .client_id = bytes_of_text("a client") };
    uint8_t b[64];

    for (size_t n = 0; n < sizeof b; n++) {
        struct wr w = { b, n, false };
        connect_encode(&w, &c);
        CHECK_INT(n < 23, w.bad);
        CHECK_INT(n < 23 ? n : n - 23, w.left);
    }
}

TEST(a_body_longer_than_the_standard_can_say_is_not_begun)
{
    /* The length alone is looked at; nothing is read at `at`. */
    static uint8_t b[64];
    struct publish p = { .topic = bytes_of_text("t"), .payload = { b, 268435453 } };
    struct wr w = { b, SIZE_MAX / 2, false };
    publish_encode(&w, MQTT_V311, &p);
    CHECK_TRUE(w.bad);
    CHECK_INT(SIZE_MAX / 2, w.left);
}
