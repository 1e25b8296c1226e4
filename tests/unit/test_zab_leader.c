/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_solo.h"
#include <string.h>

/* Node 3 of three leads; 1 helps, 2 is whoever the test needs. */
static struct solo *leader(void)
{
    struct solo *s = solo_new(3, 3, NULL);

    solo_lead(s, 1);
    return s;
}

static struct solo *leader_with_window(uint32_t entries)
{
    struct zab_conf conf = { .window_entries = entries };
    struct solo *s = solo_new(3, 3, &conf);

    solo_lead(s, 1);
    return s;
}

/* --- discovery */

TEST(a_leader_waits_for_a_quorum_and_takes_an_epoch_above_all_that_were_accepted)
{
    struct solo *s = solo_new(3, 5, NULL);
    struct zab_frame info = { .type = ZAB_FOLLOWERINFO, .epoch = 7 };
    struct zab_note vote = { .leader = 3, .round = 2000 };

    solo_note(s, 1, vote);
    solo_note(s, 2, vote);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_comes(s, 1);
    CHECK_TRUE(solo_effect(s, ZAB_STORE) == NULL);
    solo_up(s, 2);
    solo_frame(s, 2, info);
    CHECK_INT(ZAB_RECORD_ACCEPTED, solo_effect(s, ZAB_STORE)->record.kind);
    CHECK_INT(8, solo_effect(s, ZAB_STORE)->record.epoch);
    CHECK_INT(3, solo_effect(s, ZAB_STORE)->record.leader);
    CHECK_TRUE(solo_sent(s, 1, ZAB_LEADERINFO) == NULL);
    solo_comes(s, 4); /* meanwhile */
    CHECK_TRUE(solo_sent(s, 4, ZAB_LEADERINFO) == NULL);
    solo_stored(s);
    CHECK_INT(8, solo_sent(s, 1, ZAB_LEADERINFO)->epoch);
    CHECK_INT(8, solo_sent(s, 2, ZAB_LEADERINFO)->epoch);
    CHECK_INT(8, solo_sent(s, 4, ZAB_LEADERINFO)->epoch);
    solo_comes(s, 5); /* afterwards */
    CHECK_INT(8, solo_sent(s, 5, ZAB_LEADERINFO)->epoch);
    solo_free(&s);
}

static struct solo *leader_that_gathers(void)
{
    struct solo *s = solo_new(3, 3, NULL);

    solo_up(s, 1);
    solo_elect(s);
    solo_info(s, 1);
    solo_stored(s);
    s->epoch = solo_state(s).accepted;
    solo_forget(s);
    return s;
}

TEST(a_leader_begins_its_epoch_with_an_entry_when_a_quorum_has_promised)
{
    struct solo *s = leader_that_gathers();

    solo_ack_epoch(s, 1, 0, 0);
    CHECK_INT(2, solo_count(s, ZAB_STORE));
    CHECK_INT(ZAB_RECORD_ENTRY, solo_effect(s, ZAB_STORE)->record.kind);
    CHECK_INT(ZAB_EPOCH_START, solo_effect(s, ZAB_STORE)->record.entry.kind);
    CHECK_INT(1, solo_sent_count(s, 1, ZAB_PROPOSAL));
    CHECK_INT(1, solo_sent_count(s, 1, ZAB_NEWLEADER));
    solo_zxid(s, 1, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
    CHECK_TRUE(!solo_state(s).is_established);
    solo_stored(s);
    CHECK_TRUE(solo_state(s).is_established);
    CHECK_INT(zab_zxid(1, 0), solo_sent(s, 1, ZAB_UPTODATE)->zxid);
    solo_free(&s);
}

TEST(a_promise_that_does_not_count_is_not_counted)
{
    struct solo *s = leader_that_gathers();
    struct zab_frame f = { .type = ZAB_ACKEPOCH };

    solo_comes(s, 2);
    solo_frame(s, 1, f);
    CHECK_TRUE(solo_effect(s, ZAB_STORE) == NULL);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_INT(2, solo_count(s, ZAB_STORE));
    CHECK_INT(1, solo_sent_count(s, 1, ZAB_NEWLEADER)); /* it gets the history all the same */
    solo_free(&s);
}

TEST(a_leader_steps_down_for_a_history_that_is_more_recent_than_its_own)
{
    static const struct {
        uint32_t current;
        uint64_t last;
    } more[] = { { 1, 0 }, { 0, 1 } };

    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        struct solo *s = leader_that_gathers();
        solo_ack_epoch(s, 1, more[i].current, more[i].last);
        CHECK_INT(ZAB_LOOKING, solo_state(s).role);
        CHECK_TRUE(solo_closed(s, 1));
        solo_free(&s);
    }
}

TEST(a_leader_steps_down_for_an_epoch_that_is_above_its_own)
{
    struct zab_frame info = { .type = ZAB_FOLLOWERINFO, .epoch = 5 };
    struct solo *s = leader();

    solo_up(s, 2);
    solo_frame(s, 2, info);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);

    s = solo_new(3, 3, NULL); /* while its own is being stored */
    solo_up(s, 1);
    solo_elect(s);
    solo_info(s, 1);
    solo_up(s, 2);
    solo_frame(s, 2, info);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_stored(s);
    solo_elect(s);
    solo_up(s, 1);
    solo_info(s, 1);
    CHECK_INT(6, solo_state(s).accepted);
    solo_free(&s);
}

TEST(who_says_that_it_has_promised_an_absurd_epoch_is_not_let_in)
{
    struct zab_frame info = { .type = ZAB_FOLLOWERINFO, .epoch = ZAB_EPOCH_MAX };
    struct solo *s = leader();
    uint32_t epoch = solo_state(s).accepted;

    solo_up(s, 2);
    solo_frame(s, 2, info);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    CHECK_INT(epoch, solo_state(s).accepted);
    CHECK_TRUE(solo_closed(s, 2));
    CHECK_TRUE(strstr(solo_effect(s, ZAB_CLOSE)->text, "epoch") != NULL);
    solo_down(s, 2);
    solo_up(s, 2);
    info.epoch = epoch + ZAB_EPOCH_LEAP_MAX + 1;
    solo_frame(s, 2, info);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    CHECK_TRUE(solo_closed(s, 2));
    solo_up(s, 2);
    info.epoch = epoch + ZAB_EPOCH_LEAP_MAX; /* as far as that it is believed */
    solo_frame(s, 2, info);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    CHECK_TRUE(!solo_closed(s, 2) || solo_effect(s, ZAB_CLOSE)->text == NULL);
    solo_free(&s);
}

TEST(an_absurd_epoch_of_an_early_follower_is_forgotten)
{
    struct zab_frame info = { .type = ZAB_FOLLOWERINFO, .epoch = ZAB_EPOCH_MAX };
    struct solo *s = solo_new(3, 3, NULL);

    solo_up(s, 2);
    solo_frame(s, 2, info);
    CHECK_TRUE(solo_closed(s, 2));
    solo_up(s, 1);
    solo_elect(s);
    CHECK_TRUE(solo_effect(s, ZAB_STORE) == NULL); /* 2 does not count */
    solo_info(s, 1);
    CHECK_INT(1, solo_state(s).accepted);
    solo_free(&s);
}

TEST(a_supporter_that_becomes_absurd_is_one_no_more)
{
    struct zab_frame info = { .type = ZAB_FOLLOWERINFO, .epoch = ZAB_EPOCH_MAX };
    struct solo *s = leader();

    solo_frame(s, 1, info);
    CHECK_TRUE(solo_closed(s, 1));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role); /* without it there is no quorum */
    solo_free(&s);

    s = solo_new(1, 3, NULL);
    solo_follow(s, 3, 1);
    solo_frame(s, 3, info);
    CHECK_TRUE(solo_closed(s, 3));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_leader_without_a_quorum_gives_up)
{
    struct solo *s = solo_new(3, 3, NULL);

    solo_elect(s);
    solo_tick(s, 1000);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_tick(s, 1);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(followers_that_were_early_are_not_forgotten)
{
    struct solo *s = solo_new(3, 3, NULL);

    solo_comes(s, 1);
    solo_comes(s, 2);
    solo_down(s, 2);
    solo_forget(s);
    solo_elect(s);
    CHECK_INT(ZAB_RECORD_ACCEPTED, solo_effect(s, ZAB_STORE)->record.kind);
    solo_stored(s);
    CHECK_TRUE(solo_sent(s, 1, ZAB_LEADERINFO) != NULL);
    CHECK_TRUE(solo_sent(s, 2, ZAB_LEADERINFO) == NULL);
    solo_free(&s);
}

TEST(the_second_followerinfo_of_a_session_is_dropped)
{
    struct solo *s = leader();

    solo_info(s, 1);
    CHECK_INT(0, s->count);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

/* --- what learners get */

TEST(a_learner_gets_the_history_from_the_common_point_on)
{
    static const struct {
        uint64_t last;
        uint32_t truncs, proposals;
    } cases[] = {
        { 0, 0, 4 }, /* nothing in common: all of it */
        { ((uint64_t)1 << 40), 0, 3 },
        { ((uint64_t)1 << 40) + 3, 0, 0 },
        { ((uint64_t)1 << 40) + 4, 1, 0 }, /* one too many */
        { ((uint64_t)2 << 40), 1, 4 },     /* of an epoch that we do not know */
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct solo *s = leader();
        solo_commit(s, 3);
        solo_comes(s, 2);
        solo_forget(s);
        solo_ack_epoch(s, 2, 1, cases[i].last);
        CHECK_INT(cases[i].truncs, solo_sent_count(s, 2, ZAB_SYNC_TRUNC));
        CHECK_INT(cases[i].proposals, solo_sent_count(s, 2, ZAB_PROPOSAL));
        CHECK_INT(1, solo_sent_count(s, 2, ZAB_NEWLEADER));
        CHECK_INT(0, solo_sent_count(s, 2, ZAB_UPTODATE));
        solo_zxid(s, 2, ZAB_ACK_NEWLEADER, solo_state(s).last);
        CHECK_INT(solo_state(s).committed, solo_sent(s, 2, ZAB_UPTODATE)->zxid);
        solo_free(&s);
    }
}

TEST(a_learner_whose_log_begins_later_than_ours_ends_gets_a_snapshot)
{
    struct zab_frame f = { .type = ZAB_ACKEPOCH };
    struct zab_end end = { 9, 4 };
    struct solo *s = leader();

    f.ack_epoch.last = zab_zxid(9, 4);
    f.ack_epoch.begin = zab_zxid(9, 0);
    f.ack_epoch.ends = &end;
    f.ack_epoch.ends_count = 1;
    solo_comes(s, 2);
    solo_frame(s, 2, f);
    CHECK_TRUE(solo_effect(s, ZAB_SNAP_SEND) != NULL);
    CHECK_TRUE(solo_sent(s, 2, ZAB_PROPOSAL) == NULL);
    solo_free(&s);
}

TEST(more_ends_than_there_can_be_are_dropped)
{
    struct zab_frame f = { .type = ZAB_ACKEPOCH };
    static const struct zab_end ends[ZAB_ENDS_MAX + 1];
    struct solo *s = leader();

    f.ack_epoch.ends = ends;
    f.ack_epoch.ends_count = ZAB_ENDS_MAX + 1;
    solo_comes(s, 2);
    solo_forget(s);
    solo_frame(s, 2, f);
    CHECK_INT(0, s->count);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_TRUE(solo_sent(s, 2, ZAB_NEWLEADER) != NULL);
    solo_ack_epoch(s, 2, 0, 0); /* again */
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_NEWLEADER));
    solo_free(&s);
}

static struct zab_frame info_with_window(uint32_t entries, uint32_t bytes)
{
    struct zab_frame f = { .type = ZAB_FOLLOWERINFO };

    f.info.window_entries = entries;
    f.info.window_bytes = bytes;
    return f;
}

TEST(what_is_under_way_to_a_learner_is_bounded_by_its_window)
{
    struct solo *s = leader();

    solo_commit(s, 50);
    solo_up(s, 2);
    solo_frame(s, 2, info_with_window(16, 1024));
    solo_forget(s);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_INT(8, solo_sent_count(s, 2, ZAB_PROPOSAL));
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_NEWLEADER));
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 7)); /* all of it */
    CHECK_INT(16, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 9)); /* a part: what is known to have arrived is the part before */
    CHECK_INT(16, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 15));
    CHECK_INT(24, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_free(&s);
}

TEST(an_acknowledgement_of_a_part_makes_room_for_a_part)
{
    struct solo *s = leader();

    solo_up(s, 2);
    solo_frame(s, 2, info_with_window(16, 1024));
    solo_ack_epoch(s, 2, 0, 0);
    solo_commit(s, 4);
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 1)); /* from now on there is an older part and a newer */
    solo_commit(s, 8);
    solo_forget(s);
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 4));
    CHECK_TRUE(solo_sent_count(s, 2, ZAB_PROPOSAL) > 0);
    uint64_t sent = solo_sent(s, 2, ZAB_PROPOSAL)->zxid;
    CHECK_TRUE(sent <= zab_zxid(1, 12));
    for (int i = 0; i < 10; i++) {
        const struct zab_frame *f = solo_sent(s, 2, ZAB_PROPOSAL);
        solo_zxid(s, 2, ZAB_ACK, f->zxid);
    }
    CHECK_INT(zab_zxid(1, 12), solo_sent(s, 2, ZAB_PROPOSAL)->zxid);
    solo_free(&s);
}

TEST(an_entry_larger_than_a_learners_window_goes_alone)
{
    struct solo *s = leader();

    solo_commit(s, 5);
    solo_up(s, 2);
    solo_frame(s, 2, info_with_window(16, 0));
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_PROPOSAL)); /* EPOCH_START has bytes: one at a time */
    for (uint64_t i = 0; i < 5; i++) solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, i));
    CHECK_INT(6, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_free(&s);
}

TEST(an_acknowledgement_of_what_was_not_sent_costs_the_session)
{
    static const struct {
        uint8_t type;
        uint64_t counter;
        bool is_synced;
    } wrong[] = { { ZAB_ACK, 1, true },
                  { ZAB_ACK_NEWLEADER, 1, true },
                  { ZAB_ACK, 0, false },
                  { ZAB_ACK_NEWLEADER, 0, false } };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct solo *s = leader();
        solo_comes(s, 2);
        if (wrong[i].is_synced) solo_ack_epoch(s, 2, 0, 0);
        solo_zxid(s, 2, wrong[i].type, zab_zxid(1, wrong[i].counter));
        CHECK_TRUE(solo_closed(s, 2));
        CHECK_INT(ZAB_LEADING, solo_state(s).role);
        solo_forget(s);
        solo_comes(s, 2);
        CHECK_TRUE(solo_sent(s, 2, ZAB_LEADERINFO) != NULL);
        solo_free(&s);
    }
}

TEST(newleader_is_not_acknowledged_before_it_was_sent)
{
    struct solo *s = leader();

    solo_commit(s, 1);
    solo_up(s, 2);
    struct zab_event purged = { .kind = ZAB_PURGED, .zxid = zab_zxid(1, 1) };
    solo_step(s, &purged);
    solo_info(s, 2);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_TRUE(solo_effect(s, ZAB_SNAP_SEND) != NULL);
    solo_zxid(s, 2, ZAB_ACK_NEWLEADER, 0);
    CHECK_TRUE(solo_closed(s, 2));
    solo_free(&s);
}

TEST(frames_that_a_learner_does_not_send_or_of_another_epoch_are_dropped)
{
    struct solo *s = leader();
    struct zab_state before = solo_state(s), after;

    solo_zxid(s, 1, ZAB_LEADERINFO, 0);
    solo_zxid(s, 1, ZAB_COMMIT, zab_zxid(1, 5));
    solo_zxid(s, 1, 99, 0);
    solo_frame(s, 1, (struct zab_frame){ .type = ZAB_ACK, .epoch = 2, .zxid = zab_zxid(1, 5) });
    solo_up(s, 2);
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 5)); /* without FOLLOWERINFO */
    after = solo_state(s);
    CHECK_INT(0, s->count);
    CHECK_TRUE(memcmp(&before, &after, sizeof before) == 0);
    solo_free(&s);
}

/* --- from disk, and snapshots */

static struct solo *leader_that_reads(void)
{
    struct solo *s = leader_with_window(4);

    solo_commit(s, 20);
    solo_comes(s, 2);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_TRUE(solo_effect(s, ZAB_READ) != NULL);
    CHECK_INT(0, solo_effect(s, ZAB_READ)->zxid);
    return s;
}

static struct zab_event read_done(const struct solo *s, uint32_t count, const struct zab_entry *entries)
{
    struct zab_event e = { .kind = ZAB_READ_DONE };

    e.read.at = solo_effect(s, ZAB_READ)->at;
    e.read.count = count;
    e.read.entries = entries;
    return e;
}

static void make_entries(struct zab_entry *at, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, first++)
        at[i] = (struct zab_entry){ first, first, zab_counter_of(first) == 0 ? 0 : first - 1, ZAB_DATA,
                                    bytes_of("x", 1) };
}

TEST(what_was_read_goes_to_who_needs_it_and_the_window_follows)
{
    struct solo *s = leader_that_reads();
    struct zab_entry entries[21];

    make_entries(entries, zab_zxid(1, 0), 21);
    struct zab_event e = read_done(s, 21, entries);
    solo_forget(s);
    solo_step(s, &e);
    CHECK_INT(21, solo_sent_count(s, 2, ZAB_PROPOSAL));
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_NEWLEADER));
    solo_forget(s);
    solo_step(s, &e); /* again: nobody waits for it */
    CHECK_INT(0, s->count);
    solo_free(&s);
}

TEST(what_was_read_and_does_not_follow_is_left_out_and_read_again)
{
    struct solo *s = leader_that_reads();
    struct zab_entry entries[4];

    make_entries(entries, zab_zxid(1, 0), 4);
    entries[2].prev++;
    struct zab_event e = read_done(s, 4, entries);
    solo_forget(s);
    solo_step(s, &e);
    CHECK_INT(2, solo_sent_count(s, 2, ZAB_PROPOSAL));
    CHECK_TRUE(solo_effect(s, ZAB_READ) == NULL); /* first what is under way */
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 1));
    CHECK_INT(zab_zxid(1, 1), solo_effect(s, ZAB_READ)->zxid);
    make_entries(entries, zab_zxid(1, 2), 4);
    entries[1].last = zab_zxid(1, 99);
    e = read_done(s, 4, entries);
    solo_forget(s);
    solo_step(s, &e);
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_free(&s);
}

TEST(what_was_read_is_bounded_by_the_learners_window)
{
    struct solo *s = leader_with_window(4);
    struct zab_entry entries[20];

    solo_commit(s, 20);
    solo_up(s, 2);
    solo_frame(s, 2, info_with_window(8, 1024));
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_INT(512, solo_effect(s, ZAB_READ)->bytes);
    make_entries(entries, zab_zxid(1, 0), 20);
    struct zab_event e = read_done(s, 20, entries);
    solo_forget(s);
    solo_step(s, &e);
    CHECK_INT(4, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_free(&s);
}

TEST(a_log_that_has_not_what_it_should_costs_that_learner_its_session)
{
    struct solo *s = leader_that_reads();
    struct zab_event e = read_done(s, 0, NULL);

    solo_step(s, &e);
    CHECK_TRUE(solo_closed(s, 2));
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

TEST(completions_for_a_learner_that_is_gone_are_dropped)
{
    struct solo *s = leader_that_reads();
    struct zab_entry entries[4];

    make_entries(entries, zab_zxid(1, 0), 4);
    struct zab_event e = read_done(s, 4, entries);
    solo_down(s, 2);
    solo_forget(s);
    solo_step(s, &e);
    CHECK_INT(0, s->count);
    solo_comes(s, 2);
    solo_ack_epoch(s, 2, 0, 0);
    solo_forget(s);
    e.read.at.no--;
    solo_step(s, &e);
    CHECK_INT(0, s->count);
    solo_down(s, 1);
    solo_down(s, 2);
    solo_tick(s, 600);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_forget(s);
    solo_step(s, &e);
    struct zab_event sent = { .kind = ZAB_SNAP_SENT };
    sent.snap.zxid = 5;
    solo_step(s, &sent);
    CHECK_INT(0, s->count);
    solo_free(&s);
}

static struct solo *leader_that_sends_a_snapshot(void)
{
    struct solo *s = leader();

    solo_commit(s, 5);
    struct zab_event purged = { .kind = ZAB_PURGED, .zxid = zab_zxid(1, 3) };
    solo_step(s, &purged);
    solo_comes(s, 2);
    solo_forget(s);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_INT(zab_zxid(1, 3), solo_effect(s, ZAB_SNAP_SEND)->zxid);
    CHECK_INT(2, solo_effect(s, ZAB_SNAP_SEND)->peer);
    CHECK_INT(s->session[2], solo_effect(s, ZAB_SNAP_SEND)->session);
    CHECK_INT(1, solo_effect(s, ZAB_SNAP_SEND)->epoch);
    return s;
}

TEST(behind_a_snapshot_comes_what_it_does_not_have)
{
    struct solo *s = leader_that_sends_a_snapshot();
    struct zab_event sent = { .kind = ZAB_SNAP_SENT };

    sent.snap.at = solo_effect(s, ZAB_SNAP_SEND)->at;
    sent.snap.zxid = zab_zxid(1, 4);
    solo_step(s, &sent);
    CHECK_TRUE(solo_sent(s, 2, ZAB_PROPOSAL) == NULL);
    solo_step(s, &sent); /* again */
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 4));
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_PROPOSAL));
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_NEWLEADER));
    solo_free(&s);
}

TEST(behind_a_snapshot_of_all_comes_newleader)
{
    struct solo *s = leader_that_sends_a_snapshot();
    struct zab_event sent = { .kind = ZAB_SNAP_SENT };

    sent.snap.at = solo_effect(s, ZAB_SNAP_SEND)->at;
    sent.snap.zxid = zab_zxid(1, 5);
    solo_step(s, &sent);
    CHECK_INT(0, solo_sent_count(s, 2, ZAB_NEWLEADER));
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 5));
    CHECK_INT(0, solo_sent_count(s, 2, ZAB_PROPOSAL));
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_NEWLEADER));
    solo_free(&s);
}

TEST(without_a_snapshot_that_is_new_enough_the_learner_loses_its_session)
{
    struct solo *s = leader_that_sends_a_snapshot();
    struct zab_event sent = { .kind = ZAB_SNAP_SENT };

    sent.snap.at = solo_effect(s, ZAB_SNAP_SEND)->at;
    solo_step(s, &sent);
    CHECK_TRUE(solo_closed(s, 2));
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_learner_that_must_relearn_waits_for_an_established_leader_and_counts_nowhere)
{
    struct solo *s = leader_that_gathers();
    struct zab_frame info = info_with_window(64, 1024);

    info.info.must_relearn = true;
    solo_up(s, 2);
    solo_frame(s, 2, info);
    CHECK_TRUE(solo_sent(s, 2, ZAB_LEADERINFO) != NULL);
    solo_ack_epoch(s, 2, 0, zab_zxid(7, 7)); /* whatever it says that it has */
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    CHECK_INT(0, solo_count(s, ZAB_STORE));
    solo_ack_epoch(s, 1, 0, 0);
    CHECK_INT(0, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
    CHECK_TRUE(solo_state(s).is_established);
    CHECK_INT(1, solo_count(s, ZAB_SNAP_SEND)); /* its log may lack more than entries */
    CHECK_INT(0, solo_sent_count(s, 2, ZAB_PROPOSAL));
    solo_free(&s);
}
