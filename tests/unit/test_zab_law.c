/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules that were thought out to break the core: late ticks, lists of members that differ, old epochs. */
#include "kit/test.h"
#include "unit/zab_rig.h"
#include "unit/zab_solo.h"

static void tick(struct rig *r, uint16_t id, uint64_t now_ms)
{
    struct zab_event e = { .kind = ZAB_TICK, .now_ms = now_ms };

    rig_event(r, id, &e);
    rig_settle(r);
}

/* Nobody loses patience. */
static const struct zab_conf patient = { .sync_ticks = 1000, .init_ticks = 1000 };

TEST(a_leader_whose_tick_is_late_still_waits_for_the_leases_of_the_one_before)
{
    struct rig *r = rig_new(3, &patient);

    rig_hold_disk(r, 3, true);
    rig_run_ms(r, 400);
    CHECK_INT(ZAB_LEADING, rig_state(r, 3).role);
    rig_hold_disk(r, 3, false);
    rig_settle(r); /* five seconds go by here, and nobody tells it */
    CHECK_TRUE(rig_state(r, 3).is_established);
    tick(r, 3, rig_now_ms(r) + 5000);
    tick(r, 3, rig_now_ms(r) + 5900);
    CHECK_INT(0, rig_state(r, 3).settled);
    tick(r, 3, rig_now_ms(r) + 6200);
    CHECK_INT(zab_zxid(1, 0), rig_state(r, 3).settled);
    rig_free(&r);
}

TEST(an_observer_that_becomes_a_voter_is_a_follower_and_others_join_by_its_word)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_join(r, 4);
    rig_run_ms(r, 1500);
    CHECK_INT(ZAB_OBSERVING, rig_state(r, 4).role);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_ADD, 4, ZAB_VOTER));
    rig_run_ms(r, 100);
    CHECK_INT(ZAB_FOLLOWING, rig_state(r, 4).role);
    rig_crash(r, 1);
    rig_run_ms(r, 100);
    rig_restart(r, 1);
    rig_run_ms(r, 1000);
    CHECK_INT(ZAB_FOLLOWING, rig_state(r, 1).role);
    CHECK_TRUE(rig_state(r, 1).is_established);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_SET_ROLE, 4, ZAB_OBSERVER));
    rig_run_ms(r, 100);
    CHECK_INT(ZAB_OBSERVING, rig_state(r, 4).role);
    rig_free(&r);
}

static void promise_to_another(struct solo *s, uint16_t learner)
{
    struct zab_frame f = { .type = ZAB_ACKEPOCH };

    solo_frame(s, learner, f);
}

TEST(a_leader_whose_epoch_a_quorum_has_promised_to_another_begins_the_next_one_at_once)
{
    struct solo *s = solo_new(3, 3, NULL);

    solo_up(s, 1);
    solo_elect(s);
    solo_info(s, 1);
    solo_stored(s);
    s->epoch = solo_state(s).accepted;
    promise_to_another(s, 1);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    CHECK_TRUE(solo_closed(s, 1));
    solo_up(s, 1);
    solo_elect(s);
    solo_info(s, 1);
    CHECK_INT(2, solo_state(s).accepted);
    solo_free(&s);
}

TEST(a_leader_goes_on_when_only_one_of_many_has_promised_its_epoch_to_another)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_up(s, 2);
    solo_up(s, 3);
    solo_elect(s);
    solo_info(s, 2);
    solo_stored(s);
    solo_info(s, 3);
    s->epoch = solo_state(s).accepted;
    promise_to_another(s, 3);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_TRUE(solo_sent(s, 2, ZAB_PROPOSAL) != NULL);
    CHECK_TRUE(solo_sent(s, 3, ZAB_PROPOSAL) != NULL); /* it may follow, though it does not count yet */
    solo_free(&s);
}

TEST(a_leader_that_needs_a_learner_waits_as_long_as_its_snapshot_takes)
{
    struct rig *r = rig_new(3, NULL);

    rig_crash(r, 1);
    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_run_ms(r, 100);
    rig_snapshot(r, 3);
    rig_crash(r, 2);
    rig_run_ms(r, 1000);
    rig_hold_disk_after(r, 1, 1); /* its promise; not the snapshot */
    rig_restart(r, 1);
    rig_run_ms(r, 20 * 1000);
    CHECK_INT(ZAB_LEADING, rig_state(r, 3).role);
    CHECK_INT(2, rig_state(r, 3).accepted);
    rig_hold_disk(r, 1, false);
    rig_run_ms(r, 100);
    CHECK_TRUE(rig_state(r, 3).is_established);
    assert_string_equal(rig_delivered(r, 1), "a");
    rig_free(&r);
}

TEST(a_blank_node_is_sent_the_whole_log_though_it_has_more_epochs_than_are_remembered)
{
    struct rig *r = rig_new(3, NULL);

    rig_crash(r, 1);
    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    for (uint32_t i = 0; i < ZAB_ENDS_MAX + 2; i++) {
        rig_crash(r, 2);
        rig_restart(r, 2);
        CHECK_INT(3, rig_leader(r));
    }
    rig_crash(r, 2);
    rig_crash(r, 3);
    rig_restart(r, 3);
    rig_restart(r, 1);
    CHECK_INT(3, rig_leader(r));
    assert_string_equal(rig_delivered(r, 1), "a");
    CHECK_TRUE(zab_epoch_of(rig_state(r, 1).last) > ZAB_ENDS_MAX);
    rig_free(&r);
}

TEST(after_a_power_cut_a_quorum_of_the_newest_members_is_enough)
{
    struct rig *r = rig_new(4, NULL);

    CHECK_INT(4, rig_leader(r));
    rig_crash(r, 4);
    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_REMOVE, 4, 0));
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_run_ms(r, 100);
    assert_string_equal(rig_delivered(r, 1), "a");
    for (uint16_t id = 1; id <= 3; id++) rig_crash(r, id);
    rig_restart(r, 1);
    rig_restart(r, 2);
    CHECK_INT(2, rig_leader(r));
    assert_string_equal(rig_delivered(r, 1), "a");
    rig_free(&r);
}

static struct zab_note looking(uint16_t leader, uint64_t zxid, uint64_t round)
{
    return (struct zab_note){ .state = ZAB_NOTE_LOOKING, .leader = leader, .zxid = zxid, .round = round };
}

TEST(who_tells_a_worse_vote_is_told_the_better_one_at_once)
{
    struct solo *s = solo_new(3, 3, NULL);

    solo_up(s, 1);
    solo_note(s, 1, looking(1, 0, 5));
    solo_tick(s, 110);
    solo_forget(s);
    solo_note(s, 1, looking(1, 0, 5));
    CHECK_INT(1, solo_count(s, ZAB_TELL));
    CHECK_INT(1, solo_effect(s, ZAB_TELL)->peer);
    CHECK_INT(3, solo_effect(s, ZAB_TELL)->note.leader);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_late_note_of_a_learner_from_before_it_came_does_not_end_its_session)
{
    struct solo *s = solo_new(3, 3, NULL);

    solo_lead(s, 1);
    solo_note(s, 2, looking(2, 0, 1 << 20));
    solo_up(s, 2);
    solo_info(s, 2);
    CHECK_TRUE(solo_sent(s, 2, ZAB_LEADERINFO) != NULL);
    solo_note(s, 2, looking(2, 0, 1 << 20));
    CHECK_TRUE(!solo_closed(s, 2));
    solo_note(s, 2, looking(2, 0, (1 << 20) + 1));
    CHECK_TRUE(solo_closed(s, 2));
    solo_free(&s);
}

TEST(an_epoch_that_only_the_entries_tell_of_is_promised_in_writing)
{
    struct zab_conf conf = { .id = 1, .applied = zab_zxid(2, 5), .is_damaged = true };
    struct zab_record r = { .kind = ZAB_RECORD_ENTRY };
    static struct zab_effects out;
    struct zab_state state;
    struct zab *z;
    uint32_t promises = 0;

    conf.members.count = 1;
    conf.members.at[0] = (struct zab_member){ .id = 1, .role = ZAB_VOTER };
    r.entry = (struct zab_entry){
        .first = zab_zxid(2, 5), .last = zab_zxid(2, 5), .prev = zab_zxid(2, 4), .kind = ZAB_DATA
    };
    CHECK_INT(ERR_OK, zab_new(&z, &conf));
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    CHECK_INT(ERR_OK, zab_start(z, 1000, &out));
    for (uint32_t i = 0; i < out.count; i++)
        promises += out.at[i].kind == ZAB_STORE && out.at[i].record.kind == ZAB_RECORD_ACCEPTED &&
                    out.at[i].record.epoch == 2;
    CHECK_INT(1, promises);
    zab_state(z, &state);
    CHECK_INT(2, state.accepted);
    zab_free(&z);
}

TEST(a_log_may_begin_with_the_truncation_of_what_was_purged)
{
    struct zab_conf conf = { .id = 1, .applied = zab_zxid(2, 5), .members.count = 1 };
    struct zab_record cut = { .kind = ZAB_RECORD_TRUNC, .zxid = zab_zxid(2, 5) };
    struct zab_record start = { .kind = ZAB_RECORD_ENTRY };
    static struct zab_effects out;
    struct zab_state state;
    struct zab *z;

    conf.members.at[0] = (struct zab_member){ .id = 1, .role = ZAB_VOTER };
    start.entry = (struct zab_entry){
        .first = zab_zxid(4, 0), .last = zab_zxid(4, 0), .prev = zab_zxid(2, 5), .kind = ZAB_EPOCH_START
    };
    CHECK_INT(ERR_OK, zab_new(&z, &conf));
    CHECK_INT(ERR_OK, zab_restore(z, &cut));
    CHECK_INT(ERR_OK, zab_restore(z, &start));
    cut.zxid = zab_zxid(4, 1);
    CHECK_INT(ERR_SYNTAX, zab_restore(z, &cut));
    CHECK_INT(ERR_OK, zab_start(z, 1000, &out));
    zab_state(z, &state);
    CHECK_INT(zab_zxid(2, 5), state.begin);
    CHECK_INT(zab_zxid(4, 0), state.last);
    zab_free(&z);
}

TEST(a_log_that_lost_its_checkpoint_has_the_members_of_the_snapshot)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_join(r, 4);
    rig_run_ms(r, 1500);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_ADD, 4, ZAB_VOTER));
    rig_run_ms(r, 100);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a")); /* in the log before the CHECKPOINT, and not in the snapshot */
    rig_snapshot(r, 3);
    rig_run_ms(r, 100);
    rig_crash(r, 3);
    CHECK_INT(4, rig_leader(r));
    rig_restart_damaged(r, 3, 1);
    CHECK_INT(4, rig_leader(r));
    CHECK_TRUE(!rig_state(r, 3).must_relearn);
    CHECK_INT(4, zab_members(rig_zab(r, 3))->count);
    CHECK_INT(rig_state(r, 4).members_version, rig_state(r, 3).members_version);
    rig_free(&r);
}

TEST(who_comes_to_a_cluster_with_an_empty_log_counts_nowhere_before_it_has_followed)
{
    struct zab_conf conf = { .id = 2, .members.count = 1 };
    static struct zab_effects out;
    struct zab_state state;
    struct zab *z;

    conf.members.at[0] = (struct zab_member){ .id = 1, .role = ZAB_VOTER };
    CHECK_INT(ERR_OK, zab_new(&z, &conf));
    CHECK_INT(ERR_OK, zab_start(z, 1000, &out));
    zab_state(z, &state);
    CHECK_TRUE(state.must_relearn);
    CHECK_INT(ZAB_STORE, out.at[0].kind);
    CHECK_INT(ZAB_RECORD_RELEARN, out.at[0].record.kind);
    zab_free(&z);
}

/* Voter 3 alone, by half of a history that goes on with others: it must not lead with that half. */
TEST(who_was_wiped_does_not_lead_with_half_of_a_history_in_which_it_had_been_the_voter)
{
    static uint8_t payload[ZAB_MEMBERS_BYTES_MAX];
    struct zab_conf conf = { .members.count = 1 };
    struct zab_members alone = { .version = zab_zxid(1, 1), .count = 1 };
    struct zab_entry config = { .kind = ZAB_CONFIG, .prev = zab_zxid(1, 0) };

    conf.members.at[0] = (struct zab_member){ .id = 5, .role = ZAB_VOTER };
    alone.at[0] = (struct zab_member){ .id = 3, .role = ZAB_VOTER };
    config.first = config.last = alone.version;
    config.payload = bytes_of(payload, zab_members_encode(&alone, payload, sizeof payload));
    struct solo *s = solo_new(3, 1, &conf);
    solo_stored(s);
    solo_up(s, 5);
    solo_note(s, 5, (struct zab_note){ .state = ZAB_NOTE_LEADING, .leader = 5, .epoch = 4, .round = 1 });
    s->leader = 5;
    solo_promise(s, 4);
    solo_proposal(s, solo_entry(s, ZAB_EPOCH_START, zab_zxid(1, 0), "12"), 0);
    solo_proposal(s, config, 0);
    solo_stored(s);
    CHECK_TRUE(solo_state(s).is_voter);
    solo_down(s, 5);
    for (uint32_t i = 0; i < 500; i++) solo_tick(s, 10);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    CHECK_INT(4, solo_state(s).accepted); /* it began no epoch of its own */
    CHECK_INT(zab_zxid(1, 1), solo_state(s).last);
    solo_free(&s);
}
