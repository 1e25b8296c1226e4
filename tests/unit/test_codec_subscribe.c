/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

TEST(subscribes_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "one filter", 4, "82 [0001 <a> 00]", MQTT_RC_OK },
        { "three filters", 4, "82 [0001 <a> 00 <#> 01 <+/b> 02]", MQTT_RC_OK },
        { "no filter", 4, "82 [0001]", MQTT_RC_PROTOCOL },
        { "no filter", 5, "82 [0001 []]", MQTT_RC_PROTOCOL },
        { "id 0", 4, "82 [0000 <a> 00]", MQTT_RC_PROTOCOL },
        { "id 0", 5, "82 [0000 [] <a> 00]", MQTT_RC_PROTOCOL },
        { "QoS 3", 4, "82 [0001 <a> 03]", MQTT_RC_MALFORMED },
        { "QoS 3", 5, "82 [0001 [] <a> 03]", MQTT_RC_PROTOCOL },
        { "an option of 5.0", 4, "82 [0001 <a> 04]", MQTT_RC_MALFORMED },
        { "all options", 5, "82 [0001 [] <a> 2e]", MQTT_RC_OK },
        { "retain handling 3", 5, "82 [0001 [] <a> 30]", MQTT_RC_PROTOCOL },
        { "reserved option", 5, "82 [0001 [] <a> 40]", MQTT_RC_MALFORMED },
        { "reserved option", 5, "82 [0001 [] <a> 80]", MQTT_RC_MALFORMED },
        { "no local, shared", 5, "82 [0001 [] <$share/g/a> 05]", MQTT_RC_PROTOCOL },
        { "no local, nearly shared", 5, "82 [0001 [] <$shara/g/a> 05]", MQTT_RC_OK },
        { "no local", 5, "82 [0001 [] <$shar> 05]", MQTT_RC_OK },
        { "an empty filter", 4, "82 [0001 <> 00]", MQTT_RC_MALFORMED },
        { "an empty filter", 5, "82 [0001 [] <a> 00 <> 00]", MQTT_RC_MALFORMED },
        { "a filter that is not UTF-8", 4, "82 [0001 0001 ff 00]", MQTT_RC_MALFORMED },
        { "a filter with misplaced wildcards is the caller's", 4, "82 [0001 <a#> 00]", MQTT_RC_OK },
        { "an identifier", 5, "82 [0001 [0b07] <a> 00]", MQTT_RC_OK },
        { "identifier 0", 5, "82 [0001 [0b00] <a> 00]", MQTT_RC_PROTOCOL },
        { "two identifiers", 5, "82 [0001 [0b01 0b02] <a> 00]", MQTT_RC_PROTOCOL },
        { "a property of another packet", 5, "82 [0001 [1f<r>] <a> 00]", MQTT_RC_MALFORMED },
        { "nothing", 4, "82 []", MQTT_RC_MALFORMED },
    };
    CHECK_PACKETS(rows);
}

TEST(a_subscribe_cut_inside_a_field_is_malformed)
{
    check_cuts("82 [0001 <a/b> 01 <c> 02]", MQTT_V311, MAY_END(8));
    check_cuts("82 [0001 [0b8101 26<k><v>] <a/b> 01 <c> 02]", MQTT_V5, MAY_END(19));
}

TEST(a_subscribe_is_walked_filter_by_filter)
{
    struct any_packet p;
    struct subscribe_filter f;

    CHECK_INT(MQTT_RC_OK, decode_hex("82 [0001 [0b07] <a> 00 <b/#> 1e]", MQTT_V5, &p));
    CHECK_INT(2, p.subscribe.count);
    CHECK_INT(7, p.subscribe.props.subscription_id);
    CHECK_TRUE(subscribe_next(&p.subscribe, MQTT_V5, &f));
    CHECK_TRUE(bytes_equal(bytes_of_text("a"), f.filter));
    CHECK_TRUE(f.qos == 0 && !f.no_local && !f.retain_as_published && f.retain_handling == 0);
    CHECK_TRUE(subscribe_next(&p.subscribe, MQTT_V5, &f));
    CHECK_TRUE(bytes_equal(bytes_of_text("b/#"), f.filter));
    CHECK_TRUE(f.qos == 2 && f.no_local && f.retain_as_published && f.retain_handling == 1);
    CHECK_TRUE(!subscribe_next(&p.subscribe, MQTT_V5, &f));
}

TEST(unsubscribes_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "one filter", 4, "a2 [0001 <a>]", MQTT_RC_OK },
        { "two filters", 5, "a2 [0001 [26<k><v>] <a> <b/#>]", MQTT_RC_OK },
        { "no filter", 4, "a2 [0001]", MQTT_RC_PROTOCOL },
        { "no filter", 5, "a2 [0001 []]", MQTT_RC_PROTOCOL },
        { "id 0", 4, "a2 [0000 <a>]", MQTT_RC_PROTOCOL },
        { "an empty filter", 4, "a2 [0001 <>]", MQTT_RC_MALFORMED },
        { "a filter that is not UTF-8", 5, "a2 [0001 [] 0001 ff]", MQTT_RC_MALFORMED },
        { "a subscription identifier", 5, "a2 [0001 [0b01] <a>]", MQTT_RC_MALFORMED },
        { "nothing", 4, "a2 []", MQTT_RC_MALFORMED },
    };
    CHECK_PACKETS(rows);
    check_cuts("a2 [0001 <a/b> <c>]", MQTT_V311, MAY_END(7));
    check_cuts("a2 [0001 [26<k><v>] <a/b> <c>]", MQTT_V5, MAY_END(15));
}

TEST(more_filters_than_a_count_can_say_are_our_own_limit)
{
    size_t many = 65536, size = 2 + many * 4;
    uint8_t *body = calloc(1, size);
    struct subscribe s;

    assert_non_null(body);
    body[1] = 1;
    for (size_t i = 0; i < many; i++) memcpy(body + 2 + 4 * i, "\0\1a", 3);
    CHECK_INT(MQTT_RC_IMPLEMENTATION, subscribe_decode(bytes_of(body, size), MQTT_V311, &s));
    CHECK_INT(0, s.count);
    CHECK_INT(MQTT_RC_OK, subscribe_decode(bytes_of(body, size - 4), MQTT_V311, &s));
    CHECK_INT(65535, s.count);
    free(body);
}

TEST(subacks_and_unsubacks_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "SUBACK", 4, "90 [0001 00 01 02 80]", MQTT_RC_OK },
        { "SUBACK without codes", 4, "90 [0001]", MQTT_RC_MALFORMED },
        { "SUBACK with a code of 5.0", 4, "90 [0001 87]", MQTT_RC_PROTOCOL },
        { "SUBACK", 5, "90 [0001 [1f<r>] 00 01 02 87]", MQTT_RC_OK },
        { "SUBACK without codes", 5, "90 [0001 []]", MQTT_RC_MALFORMED },
        { "SUBACK with a code of UNSUBACK", 5, "90 [0001 [] 11]", MQTT_RC_PROTOCOL },
        { "SUBACK, a property of another packet", 5, "90 [0001 [0b01] 00]", MQTT_RC_MALFORMED },
        { "id 0", 4, "90 [0000 00]", MQTT_RC_PROTOCOL },
        { "UNSUBACK", 4, "b0 [0001]", MQTT_RC_OK },
        { "UNSUBACK with codes", 4, "b0 [0001 00]", MQTT_RC_MALFORMED },
        { "UNSUBACK", 5, "b0 [0001 [] 00 11 80]", MQTT_RC_OK },
        { "UNSUBACK without codes", 5, "b0 [0001 []]", MQTT_RC_MALFORMED },
        { "UNSUBACK with a QoS", 5, "b0 [0001 [] 01]", MQTT_RC_PROTOCOL },
        { "nothing", 4, "90 []", MQTT_RC_MALFORMED },
    };
    CHECK_PACKETS(rows);
    check_cuts("90 [0001 00 01]", MQTT_V311, MAY_END(3));
    check_cuts("b0 [0001]", MQTT_V311, NO_END);
    check_cuts("b0 [0001 [1f<r>] 00 11]", MQTT_V5, MAY_END(8));
}
