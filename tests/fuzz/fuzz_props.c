/* SPDX-License-Identifier: Apache-2.0 */
/* A property block with its length: the first byte says of which packet. */
#include "base/check.h"
#include "fuzz/any_packet.h"
#include "fuzz/fuzz.h"
#include <stdlib.h>

/* Walking what was never checked must end, and stay inside. */
static void walk_unchecked(struct bytes raw)
{
    struct bytes users = raw, ids = raw, key, value;
    uint32_t id;

    while (props_next_user(&users, &key, &value)) {}
    while (props_next_subscription_id(&ids, &id)) {}
}

static void check_counts(const struct props *p)
{
    struct bytes users = p->block, ids = p->block, key, value;
    uint32_t user_count = 0, id_count = 0, id;

    while (props_next_user(&users, &key, &value)) user_count++;
    while (props_next_subscription_id(&ids, &id)) {
        if (id_count == 0) CHECK(id == p->subscription_id);
        id_count++;
    }
    CHECK(user_count == p->user_count);
    CHECK(id_count == p->subscription_id_count);
}

static void check_again(struct props *p, uint32_t packet_bit)
{
    size_t room = p->block.len + 4;
    uint8_t *users = any_users_collect(p), *b = malloc(room);
    struct wr w = { b, room, false };
    struct props again = { 0 };

    CHECK(b != NULL);
    props_encode(&w, p);
    uint32_t bytes = props_encoded_bytes(p);
    CHECK(!w.bad && room - w.left == varint_size(bytes) + bytes);
    struct rd r = { b, room - w.left, false };
    CHECK(props_decode(&r, packet_bit, &again) == MQTT_RC_OK && rd_done(&r));
    CHECK(any_props_equal(p, &again));
    free(users);
    free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    uint32_t packet_bit = 1u << data[0] % 17;
    struct rd r = { data + 1, size - 1, false };
    struct props p = { 0 };

    walk_unchecked(bytes_of(data + 1, size - 1));
    if (props_decode(&r, packet_bit, &p) != MQTT_RC_OK) return 0;
    CHECK(!r.bad);
    check_counts(&p);
    check_again(&p, packet_bit);
    return 0;
}
