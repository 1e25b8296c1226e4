/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_flow.h"
#include "kit/test.h"

static bool acked(struct flow *f, uint16_t packet_id)
{
    uint64_t since_ns;
    return flow_ack(f, packet_id, &since_ns);
}

TEST(a_window_is_full_until_its_oldest_message_is_finished)
{
    struct flow f;
    flow_init(&f, 2);
    CHECK_INT(0, flow_send(&f, 1, 0, 0));
    CHECK_INT(1, flow_send(&f, 1, 0, 0));
    CHECK_TRUE(!flow_may_send(&f));
    flow_deliver(&f, 1);
    CHECK_TRUE(!flow_may_send(&f));
    flow_deliver(&f, 0);
    CHECK_TRUE(flow_may_send(&f));
    CHECK_INT(0, flow_outstanding(&f));
    flow_fini(&f);
}

TEST(qos_1_waits_for_the_puback_and_for_every_delivery)
{
    struct flow f;
    flow_init(&f, 1);
    uint64_t seq = flow_send(&f, 2, 1, 0);
    CHECK_TRUE(acked(&f, flow_packet_id(seq)));
    flow_deliver(&f, seq);
    CHECK_INT(1, flow_outstanding(&f));
    flow_deliver(&f, seq);
    CHECK_INT(0, flow_outstanding(&f));
    seq = flow_send(&f, 1, 1, 0);
    flow_deliver(&f, seq);
    CHECK_INT(1, flow_outstanding(&f));
    CHECK_TRUE(acked(&f, flow_packet_id(seq)));
    CHECK_INT(0, flow_outstanding(&f));
    flow_fini(&f);
}

TEST(a_puback_nobody_waits_for_is_refused)
{
    struct flow f;
    flow_init(&f, 4);
    CHECK_TRUE(!acked(&f, 1));
    uint64_t seq = flow_send(&f, 1, 1, 0);
    CHECK_TRUE(!acked(&f, 0));
    CHECK_TRUE(!acked(&f, (uint16_t)(flow_packet_id(seq) + 1)));
    CHECK_TRUE(acked(&f, flow_packet_id(seq)));
    CHECK_TRUE(!acked(&f, flow_packet_id(seq)));
    flow_fini(&f);
}

TEST(one_delivery_too_many_changes_nothing)
{
    struct flow f;
    flow_init(&f, 4);
    uint64_t seq = flow_send(&f, 1, 1, 0);
    flow_deliver(&f, seq);
    flow_deliver(&f, seq);
    CHECK_INT(1, flow_outstanding(&f));
    CHECK_TRUE(acked(&f, flow_packet_id(seq)));
    flow_deliver(&f, seq);
    flow_deliver(&f, seq + 100);
    CHECK_INT(0, flow_outstanding(&f));
    flow_fini(&f);
}

TEST(the_peers_receive_maximum_holds_back_what_is_not_acknowledged)
{
    struct flow f;
    flow_init(&f, 10);
    f.unacked_max = 2;
    uint64_t first = flow_send(&f, 1, 1, 0);
    flow_send(&f, 1, 1, 0);
    CHECK_TRUE(!flow_may_send(&f));
    CHECK_TRUE(acked(&f, flow_packet_id(first)));
    CHECK_TRUE(flow_may_send(&f));
    flow_fini(&f);
}

TEST(a_puback_says_when_its_message_was_to_be_sent)
{
    struct flow f;
    uint64_t since_ns = 1;
    flow_init(&f, 2);
    uint64_t first = flow_send(&f, 0, 1, 100), second = flow_send(&f, 0, 1, 200);
    CHECK_TRUE(flow_ack(&f, flow_packet_id(second), &since_ns));
    CHECK_INT(200, since_ns);
    CHECK_TRUE(flow_ack(&f, flow_packet_id(first), &since_ns));
    CHECK_INT(100, since_ns);
    CHECK_INT(2, flow_send(&f, 0, 1, 300)); /* where the first was */
    CHECK_TRUE(flow_ack(&f, flow_packet_id(2), &since_ns));
    CHECK_INT(300, since_ns);
    CHECK_TRUE(!flow_ack(&f, flow_packet_id(2), &since_ns));
    CHECK_INT(0, since_ns);
    flow_fini(&f);
}

TEST(packet_ids_go_round_without_zero_and_without_mixing_messages_up)
{
    struct flow f;
    flow_init(&f, FLOW_WINDOW_MAX);
    uint64_t oldest = 0;
    for (int i = 0; i < 200000; i++) {
        if (!flow_may_send(&f)) {
            CHECK_TRUE(acked(&f, flow_packet_id(oldest)));
            oldest++;
        }
        uint64_t seq = flow_send(&f, 0, 1, 0);
        CHECK_TRUE(flow_packet_id(seq) != 0);
    }
    CHECK_INT(FLOW_WINDOW_MAX, flow_outstanding(&f));
    CHECK_INT(oldest, f.oldest);
    flow_fini(&f);
}

TEST(a_message_that_waits_for_nothing_is_finished_at_once)
{
    struct flow f;
    flow_init(&f, 1);
    flow_send(&f, 0, 0, 0);
    CHECK_INT(0, flow_outstanding(&f));
    CHECK_TRUE(flow_may_send(&f));
    flow_fini(&f);
}

TEST(qos_2_waits_for_pubrec_then_for_pubcomp)
{
    struct flow f;
    flow_init(&f, 4);
    f.unacked_max = 1;
    uint16_t id = flow_packet_id(flow_send(&f, 1, 2, 0));
    CHECK_TRUE(!acked(&f, id));
    CHECK_TRUE(flow_receive(&f, id));
    CHECK_TRUE(!flow_receive(&f, id));
    flow_deliver(&f, 0);
    CHECK_INT(1, flow_outstanding(&f));
    CHECK_TRUE(!flow_may_send(&f)); /* Receive Maximum counts until PUBCOMP */
    CHECK_TRUE(acked(&f, id));
    CHECK_INT(0, flow_outstanding(&f));
    CHECK_TRUE(flow_may_send(&f));
    CHECK_TRUE(!acked(&f, id));
    flow_fini(&f);
}

TEST(a_pubrec_that_nobody_waits_for_is_refused)
{
    struct flow f;
    flow_init(&f, 4);
    CHECK_TRUE(!flow_receive(&f, 1));
    uint16_t id = flow_packet_id(flow_send(&f, 0, 1, 0));
    CHECK_TRUE(!flow_receive(&f, id));
    CHECK_TRUE(!flow_receive(&f, 0));
    CHECK_TRUE(acked(&f, id));
    flow_fini(&f);
}
