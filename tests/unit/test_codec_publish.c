/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/codec_kit.h"

TEST(a_v3_publish_gives_all_its_fields)
{
    struct any_packet p;

    CHECK_INT(MQTT_RC_OK, decode_hex("3b [<a/b> 1234 70 61 79]", MQTT_V311, &p));
    CHECK_TRUE(bytes_equal(bytes_of_text("a/b"), p.publish.topic));
    CHECK_TRUE(bytes_equal(bytes_of_text("pay"), p.publish.payload));
    CHECK_INT(0x1234, p.publish.id);
    CHECK_INT(1, p.publish.qos);
    CHECK_TRUE(p.publish.dup && p.publish.retain);
    CHECK_INT(0, p.publish.props.has);
    any_round_trip(&p, 20);
}

TEST(a_v3_publish_leaves_no_property_of_the_packet_before_it)
{
    struct hex h = hex_of("<a>");
    struct frame f = { .type = PACKET_PUBLISH, .body = hex_bytes(&h) };
    struct publish p;

    memset(&p, 0xff, sizeof p);
    CHECK_INT(MQTT_RC_OK, publish_decode(&f, MQTT_V311, &p));
    CHECK_INT(0, p.props.has);
    CHECK_INT(0, p.props.block.len);
    CHECK_INT(0, p.props.user_count);
    CHECK_INT(0, p.props.subscription_id_count);
    CHECK_INT(0, p.id);
}

TEST(publishes_are_judged_as_the_standard_says)
{
    static const struct packet_row rows[] = {
        { "no payload", 4, "30 [<a>]", MQTT_RC_OK },
        { "no payload", 5, "30 [<a> []]", MQTT_RC_OK },
        { "QoS 2", 4, "34 [<a> 0001]", MQTT_RC_OK },
        { "QoS 3", 4, "36 [<a> 0001]", MQTT_RC_MALFORMED },
        { "QoS 3", 5, "36 [<a> 0001 []]", MQTT_RC_MALFORMED },
        { "QoS 0 with DUP", 4, "38 [<a>]", MQTT_RC_MALFORMED },
        { "QoS 0 with DUP", 5, "38 [<a> []]", MQTT_RC_MALFORMED },
        { "packet id 0", 4, "32 [<a> 0000]", MQTT_RC_PROTOCOL },
        { "packet id 0", 5, "34 [<a> 0000 []]", MQTT_RC_PROTOCOL },
        { "an empty topic", 4, "30 [<> 70]", MQTT_RC_PROTOCOL },
        { "an empty topic", 5, "30 [<> [] 70]", MQTT_RC_PROTOCOL },
        { "an empty topic with an alias", 5, "30 [<> [23 0001] 70]", MQTT_RC_OK },
        { "alias 0", 5, "30 [<a> [23 0000] 70]", MQTT_RC_TOPIC_ALIAS_INVALID },
        { "a wildcard", 4, "30 [<a/#>]", MQTT_RC_MALFORMED },
        { "a wildcard", 5, "30 [<+/a> []]", MQTT_RC_MALFORMED },
        { "a topic that is not UTF-8", 4, "30 [0002 c328]", MQTT_RC_MALFORMED },
        { "a topic with NUL", 5, "30 [0003 610062 []]", MQTT_RC_MALFORMED },
        { "a property of another packet", 5, "30 [<a> [21 0001]]", MQTT_RC_MALFORMED },
        { "a wildcard in the response topic", 5, "30 [<a> [08<b/+>]]", MQTT_RC_PROTOCOL },
        { "all properties", 5,
          "3d [<a> 0007 [01 01 02 0000000a 03<t> 08<r> 09<c> 0b07 23 0001 26<k><v> 26<k><w>] 70]",
          MQTT_RC_OK },
        { "two subscription identifiers", 5, "30 [<a> [0b07 0b08]]", MQTT_RC_OK },
        { "nothing", 4, "30 []", MQTT_RC_MALFORMED },
    };
    CHECK_PACKETS(rows);
}

TEST(a_publish_cut_before_its_payload_is_malformed)
{
    check_cuts("32 [<a/b> 0001 70 61]", MQTT_V311, MAY_END(7, 8));
    check_cuts("30 [<a/b> 70 61]", MQTT_V311, MAY_END(5, 6));
    check_cuts("32 [<a/b> 0001 [02 0000000a 26<k><v>] 70 61]", MQTT_V5, MAY_END(20, 21));
}

/* Encodes p both ways, whole, and as head and tail; both must be the same packet. */
static void check_head(uint8_t version, const struct publish *p)
{
    uint8_t whole[256], parts[256], block[64];
    struct wr a = { whole, sizeof whole, false }, b = { parts, sizeof parts, false };
    struct wr w = { block, sizeof block, false };
    struct props forwarded = p->props;

    forwarded.has &= ~(1u << PROP_BIT_message_expiry);
    props_encode(&w, &forwarded);
    struct publish_head h = { .topic = p->topic,
                              .block_bytes = version == MQTT_V5 ? props_encoded_bytes(&forwarded) : 0,
                              .payload_bytes = (uint32_t)p->payload.len,
                              .id = p->id,
                              .qos = p->qos,
                              .dup = p->dup,
                              .retain = p->retain,
                              .has_expiry = PROPS_HAS(&p->props, message_expiry),
                              .expiry_s = p->props.message_expiry };
    publish_head_encode(&b, version, &h);
    wr_bytes(&b, bytes_of(block + 1, h.block_bytes));
    wr_bytes(&b, p->payload);
    publish_encode(&a, version, p);
    CHECK_TRUE(!a.bad && !b.bad);
    CHECK_INT(sizeof whole - a.left, publish_head_size(version, &h));
    CHECK_INT(a.left, b.left);

    struct any_packet x, y;
    struct frame f;
    CHECK_INT(MQTT_RC_OK, frame_split(bytes_of(whole, sizeof whole - a.left), 1000, &f));
    CHECK_INT(MQTT_RC_OK, any_decode(&x, &f, version));
    CHECK_INT(MQTT_RC_OK, frame_split(bytes_of(parts, sizeof parts - b.left), 1000, &f));
    CHECK_INT(MQTT_RC_OK, any_decode(&y, &f, version));
    CHECK_TRUE(any_equal(&x, &y));
}

TEST(a_head_and_its_tail_are_the_same_packet_as_the_whole)
{
    for (unsigned i = 0; i < 64; i++) {
        struct publish p = { .topic = bytes_of_text("some/topic"),
                             .payload = bytes_of_text((i & 1) != 0 ? "payload" : ""),
                             .qos = (uint8_t)((i >> 1) % 3),
                             .retain = (i & 8) != 0 };
        p.id = p.qos > 0 ? 77 : 0;
        p.dup = p.qos > 0 && (i & 16) != 0;
        if ((i & 32) != 0) PROPS_SET(&p.props, message_expiry, 1);
        if ((i & 4) != 0) PROPS_SET(&p.props, payload_format, 1);
        if ((i & 4) != 0) PROPS_SET(&p.props, response_topic, bytes_of_text("reply"));
        check_head(MQTT_V5, &p);
        check_head(MQTT_V311, &p);
    }
}

TEST(a_head_has_the_receivers_own_properties)
{
    static const uint32_t ids[] = { 1, 127, 128, 268435455 };
    struct publish_head h = {
        .qos = 1,
        .id = 1,
        .has_expiry = true,
        .expiry_s = 9,
        .topic_alias = 300,
        .ids_count = 4,
        .ids = ids,
    };
    uint8_t b[64];
    struct wr w = { b, sizeof b, false };
    struct any_packet p;
    struct frame f;

    publish_head_encode(&w, MQTT_V5, &h);
    CHECK_TRUE(!w.bad);
    CHECK_INT(w.at - b, publish_head_size(MQTT_V5, &h));
    CHECK_INT(MQTT_RC_OK, frame_split(bytes_of(b, (size_t)(w.at - b)), 100, &f));
    CHECK_INT(MQTT_RC_OK, any_decode(&p, &f, MQTT_V5));
    const struct props *props = &p.publish.props;
    struct bytes at = props->block;
    uint32_t id;
    for (size_t i = 0; i < 4; i++) {
        CHECK_TRUE(props_next_subscription_id(&at, &id));
        CHECK_INT(ids[i], id);
    }
    CHECK_TRUE(!props_next_subscription_id(&at, &id));
    CHECK_INT(9, props->message_expiry);
    CHECK_INT(300, props->topic_alias);
    CHECK_INT(0, p.publish.topic.len);
}

TEST(a_v3_head_has_none_of_them)
{
    static const uint32_t id = 1;
    struct publish_head plain = { .topic = bytes_of_text("t") }, h = plain;
    uint8_t a[16], b[16];
    struct wr x = { a, sizeof a, false }, y = { b, sizeof b, false };

    h.has_expiry = true;
    h.topic_alias = 1;
    h.ids_count = 1;
    h.ids = &id;
    publish_head_encode(&x, MQTT_V311, &plain);
    publish_head_encode(&y, MQTT_V311, &h);
    CHECK_INT(x.left, y.left);
    assert_memory_equal(a, b, sizeof a - x.left);
}

TEST(a_head_of_qos_0_never_says_dup)
{
    uint8_t b[16];
    struct wr w = { b, sizeof b, false };
    struct publish_head h = { .topic = bytes_of_text("t"), .dup = true };
    publish_head_encode(&w, MQTT_V311, &h);
    CHECK_INT(0x30, b[0]);
}

TEST(a_head_that_does_not_fit_is_not_begun)
{
    struct publish_head h = { .topic = bytes_of_text("t"), .qos = 1, .id = 1, .payload_bytes = 1000 };
    uint8_t b[16] = { 0 };

    for (size_t n = 0; n < 9; n++) {
        struct wr w = { b, n, false };
        publish_head_encode(&w, MQTT_V5, &h);
        CHECK_TRUE(w.bad);
        CHECK_INT(n, w.left);
        CHECK_INT(0, b[0]);
    }
    struct wr w = { b, 9, false };
    publish_head_encode(&w, MQTT_V5, &h);
    CHECK_TRUE(!w.bad);
    CHECK_INT(1009, publish_head_size(MQTT_V5, &h));
}

TEST(the_longest_head_fits_in_its_maximum)
{
    static uint8_t topic[65535], b[PUBLISH_HEAD_MAX];
    struct publish_head h = { .topic = { topic, sizeof topic },
                              .qos = 1,
                              .id = 1,
                              .has_expiry = true,
                              .topic_alias = 1,
                              .block_bytes = 3000000,
                              .payload_bytes = 200000000 };
    struct wr w = { b, sizeof b, false };
    memset(topic, 'a', sizeof topic);
    publish_head_encode(&w, MQTT_V5, &h);
    CHECK_TRUE(!w.bad);
    CHECK_INT(0, w.left);
}
