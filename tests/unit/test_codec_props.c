/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

/* What stands for each type of property: a value within range, and what is one byte short of it. */
static const char *sample_of(const char *type)
{
    if (strcmp(type, "u8") == 0) return "01";
    if (strcmp(type, "u16") == 0) return "0001";
    if (strcmp(type, "u32") == 0) return "00000001";
    if (strcmp(type, "varint") == 0) return "8101";
    if (strcmp(type, "pairs") == 0) return "<key><value>";
    return "<text>";
}

struct row {
    const char *name, *type;
    uint8_t id;
    enum prop_bit bit;
    uint32_t packets, low, high;
};

#define IN(packet) (1u << PACKET_##packet)
#define IN_WILL    PROPS_IN_WILL
static const struct row rows[] = {
#define PROP(name, id, type, packets, low, high, doc)                                                        \
    { #name, #type, (id), PROP_BIT_##name, (packets), (low), (high) },
#include "codec/props.def"
#undef PROP
};
enum { ROWS = sizeof rows / sizeof *rows };

/* A block of one property with the sample value; repeated `times`. */
static struct bytes block_of(const struct row *row, unsigned times)
{
    struct hex value = hex_of(sample_of(row->type));
    uint8_t b[256];
    struct wr w = { b, sizeof b, false };

    wr_varint(&w, (uint32_t)(times * (1 + value.len)));
    for (unsigned i = 0; i < times; i++) {
        wr_u8(&w, row->id);
        wr_bytes(&w, hex_bytes(&value));
    }
    return exact_copy(bytes_of(b, sizeof b - w.left));
}

static enum mqtt_rc decode(struct bytes b, uint32_t packet_bit, struct props *out)
{
    struct rd r = { b.at, b.len, false };
    *out = (struct props){ 0 };
    enum mqtt_rc rc = props_decode(&r, packet_bit, out);
    return rc == MQTT_RC_OK && !rd_done(&r) ? MQTT_RC_UNSPECIFIED : rc;
}

static enum mqtt_rc decode_text(const char *text, uint32_t packet_bit, struct props *out)
{
    struct hex h = hex_of(text);
    return decode(exact_copy(hex_bytes(&h)), packet_bit, out);
}

TEST(the_table_is_in_ascending_order_of_identifier)
{
    CHECK_INT(27, ROWS);
    for (size_t i = 1; i < ROWS; i++) CHECK_TRUE(rows[i - 1].id < rows[i].id);
}

TEST(each_property_is_taken_in_its_packets_and_malformed_in_all_others)
{
    struct props p;

    for (size_t i = 0; i < ROWS; i++) {
        for (unsigned bit = 1; bit <= 16; bit++) {
            bool belongs = (rows[i].packets & 1u << bit) != 0;
            enum mqtt_rc rc = decode(block_of(&rows[i], 1), 1u << bit, &p);
            if (belongs != (rc == MQTT_RC_OK)) print_error("%s in %u:\n", rows[i].name, bit);
            CHECK_INT(belongs ? MQTT_RC_OK : MQTT_RC_MALFORMED, rc);
            if (belongs) CHECK_INT(1u << rows[i].bit, p.has);
        }
    }
}

TEST(a_property_twice_is_a_protocol_error_but_for_those_that_may_repeat)
{
    struct props p;

    for (size_t i = 0; i < ROWS; i++) {
        for (unsigned bit = 1; bit <= 16; bit++) {
            bool repeats = rows[i].bit == PROP_BIT_user ||
                           (rows[i].bit == PROP_BIT_subscription_id && bit == PACKET_PUBLISH);
            if ((rows[i].packets & 1u << bit) == 0) continue;
            CHECK_INT(repeats ? MQTT_RC_OK : MQTT_RC_PROTOCOL, decode(block_of(&rows[i], 2), 1u << bit, &p));
        }
    }
}

TEST(a_block_cut_anywhere_is_malformed)
{
    struct props p;

    for (size_t i = 0; i < ROWS; i++) {
        struct bytes whole = block_of(&rows[i], 1);
        uint8_t copy[64];
        memcpy(copy, whole.at, whole.len);
        size_t len = whole.len;
        for (size_t n = 0; n < len; n++) {
            uint32_t packet_bit = rows[i].packets & -rows[i].packets;
            CHECK_INT(MQTT_RC_MALFORMED, decode(exact_copy(bytes_of(copy, n)), packet_bit, &p));
            /* Cut inside, with a length that agrees. */
            uint8_t first = copy[0];
            copy[0] = (uint8_t)(n > 0 ? n - 1 : 0);
            if (n > 1) CHECK_INT(MQTT_RC_MALFORMED, decode(exact_copy(bytes_of(copy, n)), packet_bit, &p));
            copy[0] = first;
        }
    }
}

TEST(an_unknown_identifier_is_malformed)
{
    struct props p;
    bool known[256] = { false };

    for (size_t i = 0; i < ROWS; i++) known[rows[i].id] = true;
    for (unsigned id = 0; id < 256; id++) {
        uint8_t b[] = { 6, (uint8_t)id, 0, 0, 0, 1, 0 };
        if (!known[id]) CHECK_INT(MQTT_RC_MALFORMED, decode(exact_copy(bytes_of(b, 7)), IN(CONNECT), &p));
    }
}

TEST(a_value_that_the_standard_forbids_is_a_protocol_error)
{
    struct props p;

    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[0102]", IN(PUBLISH), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[1702]", IN(CONNECT), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[19ff]", IN(CONNECT), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[210000]", IN(CONNECT), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[2700000000]", IN(CONNECT), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[0b00]", IN(SUBSCRIBE), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[2402]", IN(CONNACK), &p));
    CHECK_INT(MQTT_RC_TOPIC_ALIAS_INVALID, decode_text("[230000]", IN(PUBLISH), &p));
    CHECK_INT(MQTT_RC_OK, decode_text("[0bffffff7f]", IN(SUBSCRIBE), &p));
    CHECK_INT(268435455, p.subscription_id);
    CHECK_INT(MQTT_RC_MALFORMED, decode_text("[0b8000]", IN(SUBSCRIBE), &p));
    CHECK_INT(MQTT_RC_MALFORMED, decode_text("[0bffffffff01]", IN(SUBSCRIBE), &p));
}

TEST(a_response_topic_is_a_topic_name)
{
    struct props p;

    CHECK_INT(MQTT_RC_OK, decode_text("[08<a/b>]", IN(PUBLISH), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[08<a/+>]", IN(PUBLISH), &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[08<#>]", PROPS_IN_WILL, &p));
    CHECK_INT(MQTT_RC_PROTOCOL, decode_text("[08<>]", PROPS_IN_WILL, &p));
    CHECK_INT(MQTT_RC_MALFORMED, decode_text("[080001ff]", IN(PUBLISH), &p));
}

TEST(text_is_utf8_and_binary_data_is_anything)
{
    struct props p;

    CHECK_INT(MQTT_RC_MALFORMED, decode_text("[030001ff]", IN(PUBLISH), &p));
    CHECK_INT(MQTT_RC_OK, decode_text("[090002ff00]", IN(PUBLISH), &p));
    CHECK_INT(2, p.correlation_data.len);
    CHECK_INT(MQTT_RC_MALFORMED, decode_text("[26<k>0001ff]", IN(PUBLISH), &p));
    CHECK_INT(MQTT_RC_MALFORMED, decode_text("[260001ff<v>]", IN(PUBLISH), &p));
}

TEST(decoding_leaves_the_fields_of_absent_properties_alone)
{
    struct hex h = hex_of("[02 0000000a]");
    struct rd r = { h.at, h.len, false };
    struct props p = { .has = 0xffff, .topic_alias = 7, .user_count = 3, .subscription_id_count = 4 };

    CHECK_INT(MQTT_RC_OK, props_decode(&r, IN(PUBLISH), &p));
    CHECK_INT(1u << PROP_BIT_message_expiry, p.has);
    CHECK_INT(10, p.message_expiry);
    CHECK_INT(7, p.topic_alias);
    CHECK_INT(0, p.user_count);
    CHECK_INT(0, p.subscription_id_count);
}

TEST(user_properties_are_walked_in_their_order)
{
    struct props p;
    struct bytes key, value;

    CHECK_INT(MQTT_RC_OK,
              decode_text("[26<a><1> 0101 26<b><> 0b8101 09<d> 0b05 26<a><2> 23ffff]", IN(PUBLISH), &p));
    CHECK_INT(3, p.user_count);
    struct bytes at = p.block;
    CHECK_TRUE(props_next_user(&at, &key, &value));
    CHECK_TRUE(bytes_equal(bytes_of_text("a"), key) && bytes_equal(bytes_of_text("1"), value));
    CHECK_TRUE(props_next_user(&at, &key, &value));
    CHECK_TRUE(bytes_equal(bytes_of_text("b"), key) && value.len == 0);
    CHECK_TRUE(props_next_user(&at, &key, &value));
    CHECK_TRUE(bytes_equal(bytes_of_text("a"), key) && bytes_equal(bytes_of_text("2"), value));
    CHECK_TRUE(!props_next_user(&at, &key, &value));
    CHECK_TRUE(!props_next_user(&at, &key, &value));
}

TEST(subscription_identifiers_are_counted_and_walked_and_the_first_is_in_the_field)
{
    struct props p;
    uint32_t id = 0;

    CHECK_INT(MQTT_RC_OK, decode_text("[0b8101 26<a><1> 0b05]", IN(PUBLISH), &p));
    CHECK_INT(2, p.subscription_id_count);
    CHECK_INT(129, p.subscription_id);
    struct bytes at = p.block;
    CHECK_TRUE(props_next_subscription_id(&at, &id));
    CHECK_INT(129, id);
    CHECK_TRUE(props_next_subscription_id(&at, &id));
    CHECK_INT(5, id);
    CHECK_TRUE(!props_next_subscription_id(&at, &id));
}

TEST(walking_a_block_that_was_never_decoded_ends_without_reading_past_it)
{
    static const char *const blocks[] = { "7f",        "26",   "260005",   "26<k>",
                                          "26<k>0003", "0b80", "02000000", "0301" };
    struct bytes key, value;

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        struct hex h = hex_of(blocks[i]);
        struct bytes at = exact_copy(hex_bytes(&h));
        CHECK_TRUE(!props_next_user(&at, &key, &value));
    }
}

TEST(every_property_survives_encoding)
{
    uint8_t b[512], user[64];
    struct wr w = { user, sizeof user, false };
    struct props all = { 0 }, got;

    props_user_encode(&w, bytes_of_text("k"), bytes_of_text("v"));
    for (uint32_t packet = 1; packet <= 16; packet++) {
        all = (struct props){ .user = bytes_of(user, sizeof user - w.left) };
        if (packet == PACKET_PUBLISH) {
            PROPS_SET(&all, payload_format, 1);
            PROPS_SET(&all, subscription_id, 300);
            PROPS_SET(&all, topic_alias, 65535);
            PROPS_SET(&all, message_expiry, 0xfffffffe);
            PROPS_SET(&all, correlation_data, bytes_of_text("data"));
        } else if (packet != PACKET_RESERVED && (1u << packet & (IN(CONNECT) | IN(CONNACK))) != 0) {
            PROPS_SET(&all, receive_max, 2);
            PROPS_SET(&all, auth_method, bytes_of_text("SCRAM"));
        } else if (packet == PACKET_PINGREQ || packet == PACKET_PINGRESP) {
            continue; /* no properties at all */
        }
        struct wr out = { b, sizeof b, false };
        props_encode(&out, &all);
        uint32_t bytes = props_encoded_bytes(&all);
        CHECK_INT(varint_size(bytes) + bytes, sizeof b - out.left);
        CHECK_INT(MQTT_RC_OK, decode(exact_copy(bytes_of(b, sizeof b - out.left)), 1u << packet, &got));
        CHECK_INT(all.has | 1u << PROP_BIT_user, got.has);
        CHECK_INT(1, got.user_count);
        if (PROPS_HAS(&all, message_expiry)) CHECK_INT(0xfffffffe, got.message_expiry);
        if (PROPS_HAS(&all, receive_max)) CHECK_INT(2, got.receive_max);
        if (PROPS_HAS(&all, auth_method)) CHECK_TRUE(bytes_equal(all.auth_method, got.auth_method));
    }
}

TEST(properties_are_written_in_ascending_order_then_those_of_the_user)
{
    uint8_t b[64];
    struct wr w = { b, sizeof b, false };
    struct hex want = hex_of("[02 00000005 23 0007 27 00000009 26<k><v>]");
    struct hex user = hex_of("26<k><v>");
    struct props p = { .user = hex_bytes(&user) };

    PROPS_SET(&p, max_packet_size, 9);
    PROPS_SET(&p, topic_alias, 7);
    PROPS_SET(&p, message_expiry, 5);
    props_encode(&w, &p);
    CHECK_INT(want.len, sizeof b - w.left);
    assert_memory_equal(want.at, b, want.len);
}

TEST(forwarding_drops_what_is_of_one_hop_or_one_receiver_and_keeps_all_else_in_order)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        { "", "" },
        { "23 0001", "" },
        { "02 00000001 26<a><b> 0b07 0101 23 0009 03<text> 26<c><d> 0b8101",
          "26<a><b> 0101 03<text> 26<c><d>" },
        { "26<a><b> 08<reply>", "26<a><b> 08<reply>" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hex from = hex_of(cases[i].from), to = hex_of(cases[i].to);
        uint8_t b[64];
        struct wr w = { b, sizeof b, false };
        publish_forward_props(&w, exact_copy(hex_bytes(&from)));
        CHECK_INT(to.len, sizeof b - w.left);
        assert_memory_equal(to.at, b, to.len);
    }
}
