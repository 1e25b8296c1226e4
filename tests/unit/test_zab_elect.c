/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_rig.h"

static void an_election_with(uint32_t nodes)
{
    struct rig *r = rig_new(nodes, NULL);

    CHECK_INT(nodes, rig_leader(r));
    for (uint16_t id = 1; id <= nodes; id++) {
        struct zab_state s = rig_state(r, id);
        CHECK_INT(nodes, s.leader);
        CHECK_INT(id == nodes ? ZAB_LEADING : ZAB_FOLLOWING, s.role);
        CHECK_INT(1, s.current);
        CHECK_INT(1, s.accepted);
        CHECK_TRUE(s.is_voter);
    }
    CHECK_TRUE(rig_now_ms(r) < 1400);
    rig_free(&r);
}

TEST(a_node_that_is_alone_leads)
{
    an_election_with(1);
}

TEST(three_nodes_with_equal_logs_follow_the_one_with_the_largest_id)
{
    an_election_with(3);
}

TEST(five_nodes_with_equal_logs_follow_the_one_with_the_largest_id)
{
    an_election_with(5);
}

TEST(a_node_that_is_alone_takes_proposals_and_has_a_lease)
{
    struct rig *r = rig_new(1, NULL);

    rig_leader(r);
    CHECK_INT(ZAB_OK, rig_propose(r, 1, "a"));
    rig_run_ms(r, 1500);
    struct zab_state s = rig_state(r, 1);
    CHECK_INT(s.last, s.delivered);
    CHECK_INT(s.last, s.settled);
    CHECK_TRUE(s.lease_until_ms > rig_now_ms(r));
    rig_free(&r);
}
