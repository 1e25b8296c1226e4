/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

#define V3_FULL "10 [<MQTT> 04 ee 003c <client> <will/topic> <gone> <name> <word>]"
#define V5_FULL                                                                                              \
    "10 [<MQTT> 05 f6 0010 [11 0000000a 15<m> 16<d> 17 00 19 01 21 0014 22 0005 26<k><v> 27 00001000] <id>"  \
    " [01 01 02 00000009 03<t> 08<r> 09<c> 18 00000007 26<k><v>] <w> <p> <u> <s>]"

TEST(a_v3_connect_gives_all_its_fields)
{
    struct any_packet p;
    const struct connect *c = &p.connect;

    CHECK_INT(MQTT_RC_OK, decode_hex(V3_FULL, MQTT_V311, &p));
    CHECK_INT(MQTT_V311, c->version);
    CHECK_TRUE(c->clean_start && c->has_will && c->has_username && c->has_password && c->will.retain);
    CHECK_INT(1, c->will.qos);
    CHECK_INT(60, c->keepalive_s);
    CHECK_TRUE(bytes_equal(bytes_of_text("client"), c->client_id));
    CHECK_TRUE(bytes_equal(bytes_of_text("will/topic"), c->will.topic));
    CHECK_TRUE(bytes_equal(bytes_of_text("gone"), c->will.payload));
    CHECK_TRUE(bytes_equal(bytes_of_text("name"), c->username));
    CHECK_TRUE(bytes_equal(bytes_of_text("word"), c->password));
    any_round_trip(&p, 100);
}

TEST(a_v5_connect_gives_all_its_properties)
{
    struct any_packet p;
    const struct connect *c = &p.connect;

    CHECK_INT(MQTT_RC_OK, decode_hex(V5_FULL, MQTT_V5, &p));
    CHECK_INT(10, c->props.session_expiry);
    CHECK_INT(20, c->props.receive_max);
    CHECK_INT(5, c->props.topic_alias_max);
    CHECK_INT(4096, c->props.max_packet_size);
    CHECK_INT(0, c->props.request_problem_info);
    CHECK_INT(1, c->props.request_response_info);
    CHECK_INT(1, c->props.user_count);
    CHECK_INT(7, c->will.props.will_delay);
    CHECK_INT(9, c->will.props.message_expiry);
    CHECK_INT(1, c->will.props.payload_format);
    CHECK_INT(1, c->will.props.user_count);
    CHECK_INT(2, c->will.qos);
    any_round_trip(&p, 150);
}

TEST(a_connect_cut_at_any_byte_is_malformed)
{
    check_cuts(V3_FULL, MQTT_V311, NO_END);
    check_cuts(V5_FULL, MQTT_V5, NO_END);
}

TEST(connects_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "the least", 4, "10 [<MQTT> 04 02 0000 <>]", MQTT_RC_OK },
        { "the least", 5, "10 [<MQTT> 05 02 0000 [] <>]", MQTT_RC_OK },
        { "reserved flag", 4, "10 [<MQTT> 04 03 0000 <>]", MQTT_RC_MALFORMED },
        { "reserved flag", 5, "10 [<MQTT> 05 03 0000 [] <>]", MQTT_RC_MALFORMED },
        { "will QoS without a will", 4, "10 [<MQTT> 04 0a 0000 <>]", MQTT_RC_MALFORMED },
        { "will retain without a will", 5, "10 [<MQTT> 05 22 0000 [] <>]", MQTT_RC_MALFORMED },
        { "will QoS 3", 5, "10 [<MQTT> 05 1e 0000 [] <> [] <w> <p>]", MQTT_RC_MALFORMED },
        { "will QoS 2", 5, "10 [<MQTT> 05 16 0000 [] <> [] <w> <p>]", MQTT_RC_OK },
        { "will topic is empty", 4, "10 [<MQTT> 04 06 0000 <a> <> <p>]", MQTT_RC_MALFORMED },
        { "will topic with a wildcard", 5, "10 [<MQTT> 05 06 0000 [] <a> [] <a/+> <p>]", MQTT_RC_MALFORMED },
        { "will property of a CONNECT", 5, "10 [<MQTT> 05 06 0000 [] <a> [210001] <a> <>]",
          MQTT_RC_MALFORMED },
        { "CONNECT property of a will", 5, "10 [<MQTT> 05 02 0000 [1800000001] <a>]", MQTT_RC_MALFORMED },
        { "will payload is empty", 5, "10 [<MQTT> 05 06 0000 [] <a> [] <a> <>]", MQTT_RC_OK },
        { "password without a name", 4, "10 [<MQTT> 04 42 0000 <a> <p>]", MQTT_RC_MALFORMED },
        { "password without a name", 5, "10 [<MQTT> 05 42 0000 [] <a> <p>]", MQTT_RC_OK },
        { "name without a password", 4, "10 [<MQTT> 04 82 0000 <a> <n>]", MQTT_RC_OK },
        { "auth data without a method", 5, "10 [<MQTT> 05 02 0000 [16<d>] <a>]", MQTT_RC_PROTOCOL },
        { "auth method without data", 5, "10 [<MQTT> 05 02 0000 [15<m>] <a>]", MQTT_RC_OK },
        { "Receive Maximum 0", 5, "10 [<MQTT> 05 02 0000 [210000] <a>]", MQTT_RC_PROTOCOL },
        { "a byte too many", 4, "10 [<MQTT> 04 02 0000 <> 00]", MQTT_RC_MALFORMED },
        { "a byte too many", 5, "10 [<MQTT> 05 02 0000 [] <> 00]", MQTT_RC_MALFORMED },
        { "client id is not UTF-8", 4, "10 [<MQTT> 04 02 0000 0001 ff]", MQTT_RC_MALFORMED },
        { "client id with NUL", 5, "10 [<MQTT> 05 02 0000 [] 0001 00]", MQTT_RC_MALFORMED },
        { "user name is not UTF-8", 5, "10 [<MQTT> 05 82 0000 [] <a> 0003 eda080]", MQTT_RC_MALFORMED },
        { "will topic is not UTF-8", 5, "10 [<MQTT> 05 06 0000 [] <a> [] 0002 c080 <p>]", MQTT_RC_MALFORMED },
        { "a will of bytes", 5, "10 [<MQTT> 05 06 0000 [] <a> [] <w> 0002 ff00]", MQTT_RC_OK },
        { "a password of bytes", 5, "10 [<MQTT> 05 42 0000 [] <a> 0002 ff00]", MQTT_RC_OK },
        { "nothing", 4, "10 []", MQTT_RC_MALFORMED },
        { "level 6", 5, "10 [<MQTT> 06 02 0000 [] <>]", MQTT_RC_UNSUPPORTED_VERSION },
        { "a bridge of level 4", 4, "10 [<MQTT> 84 02 0000 <>]", MQTT_RC_UNSUPPORTED_VERSION },
        { "3.1", 3, "10 [<MQIsdp> 03 02 0000 <a>]", MQTT_RC_OK },
        { "3.1, all", 3, "10 [<MQIsdp> 03 f6 0000 <a> <w> <p> <u> <s>]", MQTT_RC_OK },
        { "3.1, unused flag", 3, "10 [<MQIsdp> 03 03 0000 <a>]", MQTT_RC_OK },
        { "3.1, name and password are announced alone", 3, "10 [<MQIsdp> 03 c2 0000 <a>]", MQTT_RC_OK },
        { "3.1, a password is announced alone", 3, "10 [<MQIsdp> 03 c2 0000 <a> <u>]", MQTT_RC_OK },
        { "3.1, a name is cut", 3, "10 [<MQIsdp> 03 82 0000 <a> 0002 61]", MQTT_RC_MALFORMED },
        { "3.1, the id is cut", 3, "10 [<MQIsdp> 03 c2 0000 0002 61]", MQTT_RC_MALFORMED },
        { "3.1, password without a name", 3, "10 [<MQIsdp> 03 42 0000 <a> <p>]", MQTT_RC_MALFORMED },
        { "3.1 under the later name", 3, "10 [<MQTT> 03 02 0000 <a>]", MQTT_RC_UNSUPPORTED_VERSION },
        { "3.1.1 under the earlier name", 4, "10 [<MQIsdp> 04 02 0000 <a>]", MQTT_RC_UNSUPPORTED_VERSION },
        { "another protocol", 4, "10 [<HTTP> 04 02 0000 <a>]", MQTT_RC_UNSUPPORTED_VERSION },
        { "another case", 4, "10 [<mqtt> 04 02 0000 <a>]", MQTT_RC_UNSUPPORTED_VERSION },
    };
    CHECK_PACKETS(rows);
}

TEST(an_unsupported_version_is_reported_with_its_level)
{
    struct any_packet p;
    CHECK_INT(MQTT_RC_UNSUPPORTED_VERSION, decode_hex("10 [<MQIsdp> 02 02 0000 <a>]", 3, &p));
    CHECK_INT(2, p.connect.version);
    CHECK_INT(MQTT_RC_UNSUPPORTED_VERSION, decode_hex("10 [<MQTT> 09]", 3, &p));
    CHECK_INT(9, p.connect.version);
}

TEST(what_a_3_1_connect_announces_and_leaves_out_is_not_there)
{
    struct any_packet p;
    CHECK_INT(MQTT_RC_OK, decode_hex("10 [<MQIsdp> 03 c2 0000 <a> <u>]", 3, &p));
    CHECK_TRUE(p.connect.has_username);
    CHECK_TRUE(!p.connect.has_password);
}

TEST(a_3_1_connack_does_not_tell_of_a_session)
{
    struct connack c = { .session_present = true };
    uint8_t b[8];
    struct wr w = { b, sizeof b, false };
    connack_encode(&w, MQTT_V31, &c);
    CHECK_INT(4, w.at - b);
    assert_memory_equal(b, "\x20\x02\x00\x00", 4);
}

TEST(a_connack_gives_all_its_properties)
{
    struct any_packet p;
    const struct props *props = &p.connack.props;

    CHECK_INT(MQTT_RC_OK,
              decode_hex("20 [01 00 [11 0000000a 12<id> 13 001e 15<m> 16<d> 1a<i> 1c<s> 1f<r> 21 0002 22 0003"
                         " 24 01 25 01 26<k><v> 27 00000100 28 01 29 00 2a 01]]",
                         MQTT_V5, &p));
    CHECK_TRUE(p.connack.session_present);
    CHECK_INT(30, props->server_keepalive);
    CHECK_INT(1, props->max_qos);
    CHECK_INT(0, props->subscription_ids_available);
    CHECK_INT(1, props->shared_available);
    CHECK_TRUE(bytes_equal(bytes_of_text("id"), props->assigned_client_id));
    any_round_trip(&p, 100);
}

TEST(connacks_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "accepted", 4, "20 [00 00]", MQTT_RC_OK },
        { "session present", 4, "20 [01 00]", MQTT_RC_OK },
        { "refused", 4, "20 [00 05]", MQTT_RC_OK },
        { "a code of 5.0", 4, "20 [00 87]", MQTT_RC_PROTOCOL },
        { "refused with a session", 4, "20 [01 05]", MQTT_RC_PROTOCOL },
        { "a reserved flag", 4, "20 [02 00]", MQTT_RC_MALFORMED },
        { "too long", 4, "20 [00 00 00]", MQTT_RC_MALFORMED },
        { "accepted", 5, "20 [00 00 []]", MQTT_RC_OK },
        { "refused", 5, "20 [00 87 [1f<no>]]", MQTT_RC_OK },
        { "a code of 3.1.1", 5, "20 [00 05 []]", MQTT_RC_PROTOCOL },
        { "refused with a session", 5, "20 [01 87 []]", MQTT_RC_PROTOCOL },
        { "no property length", 5, "20 [00 00]", MQTT_RC_MALFORMED },
        { "too long", 5, "20 [00 00 [] 00]", MQTT_RC_MALFORMED },
    };
    CHECK_PACKETS(rows);
    check_cuts("20 [00 00]", MQTT_V311, NO_END);
    check_cuts("20 [00 00 [21 0002 1f<r>]]", MQTT_V5, NO_END);
}
