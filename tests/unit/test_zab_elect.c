/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_rig.h"
#include "unit/zab_solo.h"
#include <string.h>

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

/* --- notes, one by one: node 2 of three */

static struct zab_note looking(uint16_t leader, uint32_t epoch, uint64_t zxid, uint64_t round)
{
    return (struct zab_note){ ZAB_NOTE_LOOKING, leader, 0, epoch, zxid, round };
}

static struct zab_note decided(uint8_t state, uint16_t leader, uint32_t epoch)
{
    return (struct zab_note){ state, leader, 0, epoch, 0, 50 };
}

static uint32_t told(const struct solo *s, uint16_t peer)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->count; i++)
        count += s->effects[i].kind == ZAB_TELL && s->effects[i].peer == peer;
    return count;
}

TEST(votes_that_were_lost_are_repeated_ever_more_seldom_but_often_enough)
{
    struct zab_conf conf = { .note_max_ms = 700 };
    struct solo *s = solo_new(2, 3, &conf);
    uint64_t last_ms = s->now_ms, longest_ms = 0, first_ms = 0;

    CHECK_INT(1, told(s, 1));
    CHECK_INT(1, told(s, 3));
    for (int i = 0; i < 2000; i++) {
        solo_forget(s);
        solo_tick(s, 10);
        CHECK_INT(told(s, 1), told(s, 3));
        if (told(s, 1) == 0) continue;
        uint64_t gap_ms = s->now_ms - last_ms;
        if (first_ms == 0) first_ms = gap_ms;
        if (gap_ms > longest_ms) longest_ms = gap_ms;
        last_ms = s->now_ms;
    }
    CHECK_TRUE(first_ms >= 150 && first_ms <= 200);
    CHECK_TRUE(longest_ms > 500 && longest_ms <= 700);
    solo_free(&s);
}

TEST(a_better_vote_is_taken_over_and_told_and_a_worse_one_is_answered)
{
    struct zab_conf conf = { .members = { .count = 0 } };
    struct solo *s = solo_new(2, 5, &conf);

    solo_up(s, 4);
    solo_forget(s);
    solo_note(s, 1, looking(1, 0, 0, 1));
    CHECK_INT(1, s->count);
    CHECK_INT(1, solo_effect(s, ZAB_TELL)->peer);
    CHECK_INT(2, solo_effect(s, ZAB_TELL)->note.leader);
    solo_note(s, 3, looking(3, 0, 0, 1));
    CHECK_INT(3, solo_effect(s, ZAB_TELL)->note.leader);
    solo_note(s, 3, looking(1, 0, 5, 1));
    CHECK_INT(1, solo_effect(s, ZAB_TELL)->note.leader);
    CHECK_INT(5, solo_effect(s, ZAB_TELL)->note.zxid);
    solo_note(s, 3, looking(1, 1, 0, 1));
    CHECK_INT(1, solo_effect(s, ZAB_TELL)->note.epoch);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_quorum_waits_a_while_for_a_better_vote_unless_all_agree)
{
    struct solo *s = solo_new(2, 3, NULL);

    solo_up(s, 3);
    solo_note(s, 1, looking(2, 0, 0, 1));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_tick(s, 199);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_tick(s, 1);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);

    s = solo_new(2, 3, NULL);
    solo_up(s, 3);
    solo_note(s, 1, looking(2, 0, 0, 1));
    solo_tick(s, 100);
    solo_note(s, 3, looking(3, 0, 0, 1)); /* better */
    CHECK_INT(3, solo_state(s).leader);
    solo_free(&s);

    s = solo_new(2, 3, NULL);
    solo_up(s, 3);
    solo_note(s, 1, looking(2, 0, 0, 1));
    solo_note(s, 1, looking(1, 0, 0, 1)); /* it has changed its mind */
    solo_tick(s, 300);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_note(s, 3, looking(2, 0, 0, 1));
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_newer_round_begins_the_count_anew_and_an_older_one_does_not_count)
{
    struct solo *s = solo_new(2, 5, NULL);

    solo_note(s, 1, looking(2, 0, 0, 1));
    solo_note(s, 3, looking(1, 0, 0, 9));
    CHECK_INT(9, solo_effect(s, ZAB_TELL)->note.round);
    CHECK_INT(2, solo_effect(s, ZAB_TELL)->note.leader);
    solo_forget(s);
    solo_note(s, 1, looking(2, 0, 0, 8));
    CHECK_INT(1, told(s, 1)); /* it is told of ours */
    solo_note(s, 1, looking(2, 0, 0, 8));
    CHECK_INT(1, told(s, 1)); /* at most once a tick */
    solo_tick(s, 100);
    solo_note(s, 1, looking(2, 0, 0, 8));
    CHECK_INT(2, told(s, 1));
    solo_note(s, 4, looking(2, 0, 0, 9));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_note(s, 1, looking(2, 0, 0, 9));
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

TEST(notes_of_other_groups_and_our_own_are_dropped)
{
    struct solo *s = solo_new(2, 3, NULL);
    struct zab_note note = looking(2, 0, 0, 1);

    solo_forget(s);
    note.group = (uint16_t)(s->conf.group + 1);
    solo_note(s, 1, note);
    note.group = 0;
    solo_note(s, 2, note);
    CHECK_INT(0, s->count);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_note(s, 1, note);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

TEST(who_comes_late_joins_a_leader_whom_a_quorum_follows_and_who_says_so_himself)
{
    struct solo *s = solo_new(2, 5, NULL);

    solo_note(s, 1, decided(ZAB_NOTE_FOLLOWING, 5, 7));
    solo_note(s, 3, decided(ZAB_NOTE_FOLLOWING, 5, 7));
    solo_note(s, 4, decided(ZAB_NOTE_FOLLOWING, 5, 7));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role); /* the leader may be dead */
    solo_note(s, 5, decided(ZAB_NOTE_FOLLOWING, 4, 7));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_note(s, 5, decided(ZAB_NOTE_LEADING, 5, 8));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role); /* they follow an older epoch of his */
    solo_note(s, 5, decided(ZAB_NOTE_LEADING, 5, 7));
    CHECK_INT(ZAB_FOLLOWING, solo_state(s).role);
    CHECK_INT(5, solo_state(s).leader);
    solo_free(&s);
}

TEST(the_own_vote_counts_for_a_leader_of_the_same_round)
{
    for (uint64_t round = 49; round <= 50; round++) {
        struct solo *s = solo_new(2, 5, NULL);
        solo_note(s, 3, looking(1, 0, 5, round));
        solo_note(s, 1, decided(ZAB_NOTE_LEADING, 1, 0));
        CHECK_INT(ZAB_LOOKING, solo_state(s).role);
        solo_note(s, 4, decided(ZAB_NOTE_FOLLOWING, 1, 0));
        CHECK_INT(round == 50 ? 1 : 0, solo_state(s).leader);
        solo_free(&s);
    }
}

TEST(who_is_told_that_he_leads_and_does_not_looks_on)
{
    struct solo *s = solo_new(2, 3, NULL);

    solo_note(s, 1, decided(ZAB_NOTE_FOLLOWING, 2, 1));
    solo_note(s, 3, decided(ZAB_NOTE_FOLLOWING, 2, 1));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(who_has_looked_for_long_follows_whoever_says_that_he_leads)
{
    struct solo *s = solo_new(2, 3, NULL);

    solo_note(s, 9, decided(ZAB_NOTE_LEADING, 9, 1));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_tick(s, 1001);
    solo_note(s, 1, decided(ZAB_NOTE_FOLLOWING, 9, 1));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_note(s, 9, decided(ZAB_NOTE_LEADING, 9, 1));
    CHECK_INT(9, solo_state(s).leader);
    solo_free(&s);
}

TEST(who_does_not_look_answers_those_who_do_and_nobody_else)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_follow(s, 3, 4);
    solo_note(s, 2, decided(ZAB_NOTE_FOLLOWING, 3, 4));
    CHECK_INT(0, s->count);
    solo_note(s, 2, looking(2, 0, 0, 1));
    CHECK_INT(ZAB_NOTE_FOLLOWING, solo_effect(s, ZAB_TELL)->note.state);
    CHECK_INT(3, solo_effect(s, ZAB_TELL)->note.leader);
    CHECK_INT(4, solo_effect(s, ZAB_TELL)->note.epoch);
    solo_free(&s);
}

TEST(a_node_that_must_relearn_votes_for_nobody_and_asks_all)
{
    struct zab_conf conf = { .is_damaged = true };
    struct solo *s = solo_new(2, 3, &conf);

    CHECK_INT(0, told(s, 1)); /* first it writes it down */
    solo_stored(s);
    CHECK_INT(1, told(s, 1));
    CHECK_INT(0, solo_effect(s, ZAB_TELL)->note.leader);
    solo_note(s, 1, looking(3, 1, 0, 1));
    solo_note(s, 3, looking(3, 1, 0, 1));
    solo_tick(s, 500);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    CHECK_INT(0, solo_effect(s, ZAB_TELL)->note.leader);
    solo_note(s, 1, decided(ZAB_NOTE_FOLLOWING, 3, 1));
    solo_note(s, 3, decided(ZAB_NOTE_LEADING, 3, 1));
    CHECK_INT(3, solo_state(s).leader);
    solo_free(&s);
}

TEST(a_note_of_a_leader_that_we_have_not_heard_himself_is_not_enough)
{
    struct solo *s = solo_new(2, 3, NULL);

    solo_note(s, 1, decided(ZAB_NOTE_FOLLOWING, 9, 1)); /* a node that we do not know */
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_note(s, 3, decided(ZAB_NOTE_LEADING, 1, 1)); /* he says that he leads, for another */
    solo_note(s, 1, decided(ZAB_NOTE_FOLLOWING, 3, 1));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(who_has_looked_for_long_does_not_follow_an_older_epoch)
{
    struct solo *s = solo_new(2, 3, NULL);

    solo_follow(s, 3, 4);
    solo_down(s, 3);
    solo_tick(s, 1001);
    solo_note(s, 1, decided(ZAB_NOTE_LEADING, 1, 3));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_note(s, 1, decided(ZAB_NOTE_LEADING, 1, 4));
    CHECK_INT(1, solo_state(s).leader);
    solo_free(&s);
}
