/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_rig.h"
#include <stdio.h>
#include <string.h>

#define CHECK_TEXT(want, got) assert_string_equal(got, want)

/* A window of few entries: what is older comes from disk. */
static struct rig *rig_with_window(uint32_t nodes, uint32_t entries)
{
    struct zab_conf conf = { .window_entries = entries };

    return rig_new(nodes, &conf);
}

static void propose_many(struct rig *r, uint16_t leader, char first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char text[2] = { (char)(first + (char)i), 0 };
        CHECK_INT(ZAB_OK, rig_propose(r, leader, text));
        rig_settle(r);
    }
    rig_run_ms(r, 60);
}

static void forget_frames(struct rig *r, uint16_t to)
{
    for (uint8_t type = ZAB_FOLLOWERINFO; type <= ZAB_PONG; type++) (void)rig_frames(r, to, type);
    for (uint8_t kind = ZAB_STORE; kind <= ZAB_HALT; kind++)
        for (uint16_t id = 1; id <= 3; id++) (void)rig_effects(r, id, kind);
}

TEST(proposals_reach_all_nodes_in_order)
{
    struct rig *r = rig_new(5, NULL);
    uint16_t leader = rig_leader(r);

    propose_many(r, leader, 'a', 20);
    for (uint16_t id = 1; id <= 5; id++)
        CHECK_TEXT("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t", rig_delivered(r, id));
    rig_free(&r);
}

TEST(many_proposals_at_once_reach_all_nodes_through_small_windows)
{
    struct rig *r = rig_with_window(3, 64);
    uint16_t leader = rig_leader(r);
    char text[8], want[4096];
    size_t len = 0;

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++) {
            (void)snprintf(text, sizeof text, "%d", i);
            CHECK_INT(ZAB_OK, rig_propose(r, leader, text));
            len += (size_t)snprintf(want + len, sizeof want - len, len > 0 ? ",%d" : "%d", i);
        }
        rig_settle(r);
    }
    rig_run_ms(r, 60);
    for (uint16_t id = 1; id <= 3; id++) CHECK_TEXT(want, rig_delivered(r, id));
    rig_free(&r);
}

TEST(a_learner_that_is_a_little_behind_gets_what_it_lacks_from_the_window)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    propose_many(r, 3, 'a', 2);
    rig_crash(r, 1);
    propose_many(r, 3, 'c', 3);
    forget_frames(r, 1);
    rig_restart(r, 1);
    CHECK_INT(3, rig_leader(r));
    rig_run_ms(r, 60);
    CHECK_TEXT("a,b,c,d,e", rig_delivered(r, 1));
    CHECK_INT(3, rig_frames(r, 1, ZAB_PROPOSAL));
    CHECK_INT(1, rig_frames(r, 1, ZAB_NEWLEADER));
    CHECK_INT(0, rig_frames(r, 1, ZAB_SNAP_BEGIN));
    CHECK_INT(0, rig_frames(r, 1, ZAB_SYNC_TRUNC));
    CHECK_INT(0, rig_effects(r, 3, ZAB_READ));
    rig_free(&r);
}

TEST(a_learner_that_is_further_behind_gets_what_it_lacks_from_disk)
{
    struct rig *r = rig_with_window(3, 8);

    CHECK_INT(3, rig_leader(r));
    rig_crash(r, 1);
    propose_many(r, 3, 'a', 26);
    forget_frames(r, 1);
    rig_restart(r, 1);
    CHECK_INT(3, rig_leader(r));
    rig_run_ms(r, 60);
    CHECK_TEXT(rig_delivered(r, 3), rig_delivered(r, 1));
    CHECK_INT(26, rig_frames(r, 1, ZAB_PROPOSAL));
    CHECK_INT(0, rig_frames(r, 1, ZAB_SNAP_BEGIN));
    CHECK_TRUE(rig_effects(r, 3, ZAB_READ) > 0);
    rig_free(&r);
}

TEST(a_learner_that_is_behind_a_purged_log_gets_a_snapshot_and_the_rest)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    propose_many(r, 3, 'a', 2);
    rig_crash(r, 1);
    propose_many(r, 3, 'c', 20);
    rig_snapshot(r, 3);
    propose_many(r, 3, 'x', 2);
    forget_frames(r, 1);
    rig_restart(r, 1);
    CHECK_INT(3, rig_leader(r));
    propose_many(r, 3, 'z', 1);
    CHECK_TEXT("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,x,y,z", rig_delivered(r, 1));
    CHECK_INT(1, rig_frames(r, 1, ZAB_SNAP_BEGIN));
    CHECK_INT(1, rig_frames(r, 1, ZAB_SNAP_END));
    CHECK_INT(1, rig_records(r, 1, ZAB_RECORD_INSTALL));
    CHECK_TRUE(rig_frames(r, 1, ZAB_PROPOSAL) <= 3);
    rig_crash(r, 1);
    rig_restart(r, 1);
    CHECK_INT(3, rig_leader(r));
    CHECK_TEXT("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,x,y,z", rig_delivered(r, 1));
    rig_free(&r);
}

/* a, b are everybody's; c, d only node 3's, who led and died before anybody had them. */
static struct rig *rig_with_dead_entries(uint32_t window)
{
    struct rig *r = rig_with_window(3, window);

    CHECK_INT(3, rig_leader(r));
    propose_many(r, 3, 'a', 2);
    rig_mute(r, 3, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "c"));
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "d"));
    rig_settle(r);
    CHECK_TEXT("a,b", rig_delivered(r, 3));
    rig_crash(r, 3);
    rig_mute(r, 3, false);
    CHECK_INT(2, rig_leader(r));
    return r;
}

TEST(entries_of_a_dead_leader_are_truncated)
{
    struct rig *r = rig_with_dead_entries(64);

    forget_frames(r, 3);
    rig_restart(r, 3);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(1, rig_frames(r, 3, ZAB_SYNC_TRUNC));
    CHECK_INT(1, rig_frames(r, 3, ZAB_PROPOSAL)); /* the beginning of epoch 2 */
    CHECK_INT(1, rig_records(r, 3, ZAB_RECORD_TRUNC));
    CHECK_INT(zab_zxid(2, 0), rig_state(r, 3).last);
    CHECK_TEXT("a,b", rig_delivered(r, 3));
    rig_free(&r);
}

TEST(entries_of_a_dead_leader_are_truncated_and_those_of_the_next_one_follow)
{
    struct rig *r = rig_with_dead_entries(64);

    propose_many(r, 2, 'e', 3);
    rig_restart(r, 3);
    CHECK_INT(2, rig_leader(r));
    rig_run_ms(r, 60);
    CHECK_TEXT("a,b,e,f,g", rig_delivered(r, 3));
    rig_crash(r, 3);
    rig_restart(r, 3);
    CHECK_INT(2, rig_leader(r));
    CHECK_TEXT("a,b,e,f,g", rig_delivered(r, 3));
    rig_free(&r);
}

TEST(entries_of_a_dead_leader_are_truncated_from_a_history_that_is_on_disk)
{
    struct rig *r = rig_with_dead_entries(4);

    propose_many(r, 2, 'e', 20);
    rig_restart(r, 3);
    CHECK_INT(2, rig_leader(r));
    rig_run_ms(r, 60);
    CHECK_TEXT(rig_delivered(r, 2), rig_delivered(r, 3));
    rig_free(&r);
}

TEST(entries_of_a_dead_leader_give_way_to_a_snapshot)
{
    struct rig *r = rig_with_dead_entries(64);

    propose_many(r, 2, 'e', 3);
    rig_snapshot(r, 2);
    rig_restart(r, 3);
    CHECK_INT(2, rig_leader(r));
    rig_run_ms(r, 60);
    CHECK_TEXT("a,b,e,f,g", rig_delivered(r, 3));
    CHECK_INT(1, rig_records(r, 3, ZAB_RECORD_INSTALL));
    rig_crash(r, 3);
    rig_restart(r, 3);
    CHECK_INT(2, rig_leader(r));
    CHECK_TEXT("a,b,e,f,g", rig_delivered(r, 3));
    rig_free(&r);
}

/* Node 3 comes back, and dies when its disk has done so much; false: it did not need as much. */
static bool dies_after(struct rig *r, uint32_t steps)
{
    rig_restart(r, 3);
    rig_hold_disk_after(r, 3, steps);
    rig_run_ms(r, 800);
    bool was_used_up = rig_state(r, 3).leader != 2 || !rig_state(r, 3).is_established;
    rig_crash(r, 3);
    rig_hold_disk(r, 3, false);
    return was_used_up;
}

TEST(a_truncation_is_survived_at_each_of_its_steps)
{
    uint32_t steps = 0, count = 0;

    for (bool was_used_up = true; was_used_up; steps++) {
        struct rig *r = rig_with_dead_entries(64);
        propose_many(r, 2, 'e', 3);
        was_used_up = dies_after(r, steps);
        count += rig_records(r, 3, ZAB_RECORD_TRUNC);
        rig_restart(r, 3);
        CHECK_INT(2, rig_leader(r));
        CHECK_INT(1, rig_records(r, 3, ZAB_RECORD_TRUNC));
        CHECK_TEXT("a,b,e,f,g", rig_delivered(r, 3));
        CHECK_INT(rig_state(r, 2).last, rig_state(r, 3).last);
        rig_free(&r);
    }
    CHECK_TRUE(steps > 5 && count > 3);
}

TEST(a_snapshot_is_survived_at_each_of_its_steps)
{
    uint32_t steps = 0, count = 0;

    for (bool was_used_up = true; was_used_up; steps++) {
        struct rig *r = rig_with_dead_entries(64);
        propose_many(r, 2, 'e', 3);
        rig_snapshot(r, 2);
        propose_many(r, 2, 'h', 2);
        was_used_up = dies_after(r, steps);
        count += rig_records(r, 3, ZAB_RECORD_INSTALL);
        rig_restart(r, 3);
        CHECK_INT(2, rig_leader(r));
        CHECK_INT(1, rig_records(r, 3, ZAB_RECORD_INSTALL));
        CHECK_TEXT("a,b,e,f,g,h,i", rig_delivered(r, 3));
        rig_free(&r);
    }
    CHECK_TRUE(steps > 5 && count > 3);
}

/* What stands in a log at any moment is enough to come back from. */
TEST(a_node_that_comes_back_with_any_part_of_its_log_is_brought_up_to_date)
{
    for (uint32_t records = 0;; records++) {
        struct rig *r = rig_with_dead_entries(64);
        propose_many(r, 2, 'e', 3);
        rig_restart(r, 3);
        CHECK_INT(2, rig_leader(r));
        bool was_last = records >= rig_records(r, 3, 0);
        rig_crash(r, 3);
        rig_restart_damaged(r, 3, records);
        CHECK_TRUE(rig_state(r, 3).must_relearn);
        CHECK_INT(2, rig_leader(r));
        CHECK_TRUE(!rig_state(r, 3).must_relearn);
        rig_run_ms(r, 60);
        CHECK_TEXT("a,b,e,f,g", rig_delivered(r, 3));
        rig_free(&r);
        if (was_last) break;
    }
}

TEST(a_snapshot_that_breaks_off_begins_anew)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_crash(r, 1);
    propose_many(r, 3, 'a', 26);
    rig_snapshot(r, 3);
    rig_restart(r, 1);
    rig_hold_disk(r, 3, true); /* reads, too */
    for (int i = 0; i < 30; i++) rig_run_ms(r, 10);
    CHECK_INT(0, rig_effects(r, 1, ZAB_SNAP_OPEN));
    rig_cut(r, 1, true);
    rig_hold_disk(r, 3, false);
    rig_settle(r);
    rig_cut(r, 1, false);
    CHECK_INT(3, rig_leader(r));
    CHECK_TEXT(rig_delivered(r, 3), rig_delivered(r, 1));
    rig_free(&r);
}

TEST(a_log_that_was_purged_while_it_was_read_ends_in_a_snapshot)
{
    struct rig *r = rig_with_window(3, 8);

    CHECK_INT(3, rig_leader(r));
    rig_crash(r, 1);
    propose_many(r, 3, 'a', 26);
    rig_restart(r, 1);
    for (int i = 0; i < 200 && rig_effects(r, 3, ZAB_READ) == 0; i++) {
        rig_hold_disk(r, 3, rig_frames(r, 1, ZAB_LEADERINFO) > 0);
        rig_run_ms(r, 10);
    }
    rig_hold_disk(r, 3, false);
    rig_snapshot(r, 3);
    CHECK_INT(3, rig_leader(r));
    CHECK_TEXT(rig_delivered(r, 3), rig_delivered(r, 1));
    rig_free(&r);
}

TEST(all_that_was_delivered_is_there_after_the_leader_dies)
{
    struct rig *r = rig_new(3, NULL);
    char want[64] = "";

    for (char c = 'a'; c <= 'h'; c++) {
        uint16_t leader = rig_leader(r);
        char text[2] = { c, 0 };
        CHECK_INT(ZAB_OK, rig_propose(r, leader, text));
        rig_settle(r);
        (void)snprintf(want + strlen(want), sizeof want - strlen(want), "%s%c", c > 'a' ? "," : "", c);
        CHECK_TEXT(want, rig_delivered(r, leader));
        rig_crash(r, leader);
        (void)rig_leader(r);
        rig_restart(r, leader);
    }
    (void)rig_leader(r);
    for (uint16_t id = 1; id <= 3; id++) CHECK_TEXT(want, rig_delivered(r, id));
    rig_free(&r);
}

TEST(a_node_that_was_crashed_comes_back_from_its_snapshot_and_purged_log)
{
    struct rig *r = rig_new(3, NULL);

    for (int round = 0; round < 4; round++) {
        uint16_t leader = rig_leader(r);
        propose_many(r, leader, (char)('a' + 3 * round), 3);
        for (uint16_t id = 1; id <= 3; id++) rig_snapshot(r, id);
        for (uint16_t id = 1; id <= 3; id++) CHECK_TRUE(rig_records(r, id, 0) <= 2);
        for (uint16_t id = 1; id <= 3; id++) rig_crash(r, id);
        for (uint16_t id = 1; id <= 3; id++) rig_restart(r, id);
        CHECK_TRUE(rig_state(r, 1).begin > 0);
    }
    (void)rig_leader(r);
    for (uint16_t id = 1; id <= 3; id++) CHECK_TEXT("a,b,c,d,e,f,g,h,i,j,k,l", rig_delivered(r, id));
    CHECK_INT(5, rig_state(r, 1).accepted);
    rig_free(&r);
}

TEST(a_learner_with_a_slow_state_machine_reads_back_what_left_its_window)
{
    struct rig *r = rig_with_window(3, 4);

    CHECK_INT(3, rig_leader(r));
    propose_many(r, 3, 'a', 12);
    rig_crash(r, 1);
    rig_restart(r, 1); /* its state machine begins anew, its log does not */
    CHECK_INT(3, rig_leader(r));
    CHECK_TEXT("a,b,c,d,e,f,g,h,i,j,k,l", rig_delivered(r, 1));
    CHECK_TRUE(rig_effects(r, 1, ZAB_READ) > 0);
    rig_free(&r);
}

TEST(a_damaged_node_is_counted_only_after_it_has_followed_an_established_leader)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    propose_many(r, 3, 'a', 3);
    for (uint16_t id = 1; id <= 3; id++) rig_crash(r, id);
    rig_restart_damaged(r, 1, 1);
    rig_restart(r, 2);
    rig_run_ms(r, 5000);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 1).role);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 2).role);
    rig_crash(r, 1);
    rig_restart(r, 1);
    rig_run_ms(r, 5000);
    CHECK_TRUE(rig_state(r, 1).must_relearn); /* its log says so */
    CHECK_INT(ZAB_LOOKING, rig_state(r, 2).role);
    rig_restart(r, 3);
    CHECK_INT(3, rig_leader(r));
    CHECK_TRUE(!rig_state(r, 1).must_relearn);
    CHECK_TEXT("a,b,c", rig_delivered(r, 1));
    rig_crash(r, 3);
    CHECK_INT(2, rig_leader(r));
    rig_free(&r);
}
