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

TEST(without_a_quorum_nobody_leads)
{
    struct rig *r = rig_new(3, NULL);

    rig_crash(r, 1);
    rig_crash(r, 3);
    rig_run_ms(r, 10 * 1000);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 2).role);
    CHECK_INT(ZAB_NOT_LEADER, rig_propose(r, 2, "a"));
    rig_restart(r, 1);
    CHECK_INT(2, rig_leader(r));
    rig_free(&r);
}

TEST(the_most_recent_log_wins_over_the_largest_id)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_crash(r, 2);
    rig_run_ms(r, 100);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_settle(r);
    rig_crash(r, 3);
    rig_restart(r, 2);
    CHECK_INT(1, rig_leader(r));
    CHECK_TRUE(strcmp(rig_delivered(r, 2), "a") == 0);
    rig_free(&r);
}

TEST(the_more_recent_epoch_wins_over_the_longer_log)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    for (int i = 0; i < 5; i++) CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_settle(r);
    rig_crash(r, 3);
    CHECK_INT(2, rig_leader(r));
    rig_crash(r, 2);
    rig_restart(r, 3);
    CHECK_INT(1, rig_leader(r));
    CHECK_INT(3, rig_state(r, 1).current);
    rig_free(&r);
}

TEST(a_node_that_comes_late_finds_the_leader_that_is_there)
{
    struct rig *r = rig_new(5, NULL);

    rig_crash(r, 5);
    CHECK_INT(4, rig_leader(r));
    rig_restart(r, 5);
    CHECK_INT(4, rig_leader(r));
    CHECK_INT(1, rig_state(r, 5).current);
    rig_free(&r);
}

TEST(a_leader_that_is_cut_off_steps_down_and_follows_the_next_one)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_cut(r, 3, true);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(ZAB_LOOKING, rig_state(r, 3).role);
    CHECK_INT(ZAB_NOT_LEADER, rig_propose(r, 3, "a"));
    rig_cut(r, 3, false);
    CHECK_INT(2, rig_leader(r));
    rig_free(&r);
}

TEST(a_leader_that_nobody_answers_steps_down_though_its_sessions_last)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_mute(r, 3, true);
    rig_run_ms(r, 400);
    CHECK_INT(ZAB_LEADING, rig_state(r, 3).role);
    rig_run_ms(r, 400);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 3).role);
    CHECK_INT(2, rig_leader(r));
    rig_mute(r, 3, false);
    CHECK_INT(2, rig_leader(r));
    rig_free(&r);
}

TEST(a_leader_whose_disk_does_not_answer_steps_down)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_hold_disk(r, 3, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_run_ms(r, 700);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 3).role);
    CHECK_INT(2, rig_leader(r));
    rig_hold_disk(r, 3, false);
    CHECK_INT(2, rig_leader(r));
    CHECK_TRUE(strcmp(rig_delivered(r, 3), "a") == 0);
    rig_free(&r);
}

TEST(who_waits_for_its_disk_does_not_vote)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_hold_disk(r, 2, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_settle(r);
    rig_crash(r, 3);
    rig_run_ms(r, 3000);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 1).role);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 2).role);
    rig_hold_disk(r, 2, false);
    CHECK_INT(2, rig_leader(r));
    CHECK_TRUE(strcmp(rig_delivered(r, 2), "a") == 0);
    rig_free(&r);
}

TEST(a_cluster_that_stands_still_and_comes_back_elects_again)
{
    struct rig *r = rig_new(5, NULL);

    for (uint32_t round = 1; round <= 20; round++) {
        uint16_t leader = rig_leader(r);
        CHECK_TRUE(leader != 0);
        CHECK_INT(round, rig_state(r, leader).current);
        for (uint16_t id = 1; id <= 5; id++) rig_crash(r, id);
        for (uint16_t id = 1; id <= 5; id++) rig_restart(r, id);
    }
    rig_free(&r);
}

TEST(observers_follow_and_never_lead)
{
    struct zab_conf conf = { .members = { .count = 4,
                                          .at = { { .id = 1, .role = ZAB_VOTER },
                                                  { .id = 2, .role = ZAB_VOTER },
                                                  { .id = 3, .role = ZAB_OBSERVER },
                                                  { .id = 4, .role = ZAB_OBSERVER } } } };
    struct rig *r = rig_new(4, &conf);

    CHECK_INT(2, rig_leader(r));
    CHECK_INT(ZAB_OBSERVING, rig_state(r, 4).role);
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_settle(r);
    rig_run_ms(r, 60);
    CHECK_TRUE(strcmp(rig_delivered(r, 4), "a") == 0);
    rig_crash(r, 1);
    rig_run_ms(r, 5000);
    for (uint16_t id = 2; id <= 4; id++) CHECK_INT(ZAB_LOOKING, rig_state(r, id).role);
    rig_restart(r, 1);
    CHECK_INT(2, rig_leader(r));
    rig_free(&r);
}
