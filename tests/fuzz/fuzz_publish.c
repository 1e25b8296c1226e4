/* SPDX-License-Identifier: Apache-2.0 */
/* PUBLISH: the first byte is its flags, what follows is the body. Beside the round trip: what the broker
 * makes of a message, a head for each receiver before the forwarded tail, is the same message. */
#include "base/check.h"
#include "fuzz/any_packet.h"
#include "fuzz/fuzz.h"
#include <stdlib.h>

static void check_same(const struct publish *in, const struct publish *out)
{
    const uint32_t per_hop = 1u << PROP_BIT_topic_alias | 1u << PROP_BIT_subscription_id;
    struct props want = in->props;

    want.has &= ~per_hop;
    CHECK(bytes_equal(in->topic, out->topic));
    CHECK(bytes_equal(in->payload, out->payload));
    CHECK(in->qos == out->qos && in->id == out->id && in->dup == out->dup && in->retain == out->retain);
    CHECK(any_props_equal(&want, &out->props));
}

static void forward(const struct publish *in, uint8_t version, size_t size)
{
    size_t room = size + 32;
    uint8_t *block = malloc(room), *packet = malloc(room);
    struct wr b = { block, room, false }, w = { packet, room, false };
    struct any_packet out;
    struct frame f;

    CHECK(block != NULL && packet != NULL);
    publish_forward_props(&b, in->props.block);
    CHECK(!b.bad);
    struct publish_head h = { .topic = in->topic,
                              .block_bytes = (uint32_t)(room - b.left),
                              .payload_bytes = (uint32_t)in->payload.len,
                              .id = in->id,
                              .qos = in->qos,
                              .dup = in->dup,
                              .retain = in->retain,
                              .has_expiry = PROPS_HAS(&in->props, message_expiry) };
    if (h.has_expiry) h.expiry_s = in->props.message_expiry;
    publish_head_encode(&w, version, &h);
    wr_bytes(&w, bytes_of(block, h.block_bytes));
    wr_bytes(&w, in->payload);
    CHECK(!w.bad && publish_head_size(version, &h) == room - w.left);
    CHECK(frame_split(bytes_of(packet, room - w.left), UINT32_MAX, &f) == MQTT_RC_OK);
    CHECK(f.total == room - w.left);
    CHECK(any_decode(&out, &f, version) == MQTT_RC_OK);
    check_same(in, &out.publish);
    free(block);
    free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t versions[] = { MQTT_V311, MQTT_V5 };
    struct publish p;

    if (size == 0) return 0;
    struct frame f = { .type = PACKET_PUBLISH, .flags = data[0] & 15, .body = { data + 1, size - 1 } };
    any_try(&f);
    for (size_t i = 0; i < sizeof versions; i++) {
        if (publish_decode(&f, versions[i], &p) != MQTT_RC_OK) continue;
        if (p.topic.len > 0) forward(&p, versions[i], size); /* else the alias table has the topic */
    }
    return 0;
}
