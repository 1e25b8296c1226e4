/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_solo.h"
#include <string.h>

/* Node 1 of three; 3 leads. */
enum { LEADER = 3, EPOCH = 5 };

enum stage { ASKED, ACCEPTING, PROMISED, ADOPTING, ADOPTED, ACTIVE, STAGES };

static struct solo *learner_at(enum stage stage)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_ask(s, LEADER);
    s->epoch = EPOCH;
    if (stage == ACCEPTING) solo_zxid(s, LEADER, ZAB_LEADERINFO, 0);
    if (stage >= PROMISED) solo_promise(s, EPOCH);
    if (stage == ADOPTING) {
        solo_proposal(s, solo_entry(s, ZAB_EPOCH_START, zab_zxid(EPOCH, 0), "id"), 0);
        solo_zxid(s, LEADER, ZAB_NEWLEADER, zab_zxid(EPOCH, 0));
    }
    if (stage >= ADOPTED) solo_adopt(s);
    if (stage >= ACTIVE) solo_activate(s);
    solo_forget(s);
    return s;
}

/* It lost the session, looks again, and wrote nothing more; and follows again. */
static void lost_its_session(struct solo *s, struct zab_state before)
{
    struct zab_state after = solo_state(s);

    CHECK_TRUE(solo_closed(s, LEADER));
    CHECK_INT(ZAB_LOOKING, after.role);
    CHECK_TRUE(solo_effect(s, ZAB_HALT) == NULL);
    CHECK_INT(before.last, after.last);
    CHECK_INT(before.delivered, after.delivered);
    CHECK_INT(before.accepted, after.accepted);
    CHECK_INT(before.current, after.current);
    solo_stored(s);
    solo_follow(s, LEADER, EPOCH + 1);
    solo_free(&s);
}

static void costs_the_session(enum stage stage, struct zab_frame f)
{
    struct solo *s = learner_at(stage);
    struct zab_state before = solo_state(s);

    solo_frame(s, LEADER, f);
    lost_its_session(s, before);
}

static void costs_nothing(enum stage stage, struct zab_frame f)
{
    struct solo *s = learner_at(stage);
    struct zab_state before = solo_state(s), after;

    solo_frame(s, LEADER, f);
    after = solo_state(s);
    CHECK_INT(0, s->count);
    CHECK_TRUE(memcmp(&before, &after, sizeof before) == 0);
    solo_free(&s);
}

static struct zab_frame proposal_of(struct zab_entry e)
{
    struct zab_frame f = { .type = ZAB_PROPOSAL, .zxid = e.last };

    f.proposal.entry = e;
    return f;
}

static struct zab_entry data(uint64_t prev, uint64_t first, uint64_t last)
{
    return (struct zab_entry){ first, last, prev, ZAB_DATA, bytes_of("x", 1) };
}

static struct zab_entry start_of(uint32_t epoch, uint64_t prev)
{
    uint64_t zxid = zab_zxid(epoch, 0);

    return (struct zab_entry){ zxid, zxid, prev, ZAB_EPOCH_START, bytes_of("id", 2) };
}

static struct zab_frame zxid_frame(uint8_t type, uint64_t zxid)
{
    return (struct zab_frame){ .type = type, .zxid = zxid };
}

TEST(a_learner_makes_its_promises_one_by_one)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_ask(s, LEADER);
    CHECK_INT(1, solo_sent_count(s, LEADER, ZAB_FOLLOWERINFO));
    solo_forget(s);
    s->epoch = EPOCH;
    solo_zxid(s, LEADER, ZAB_LEADERINFO, 0);
    CHECK_TRUE(solo_sent(s, LEADER, ZAB_ACKEPOCH) == NULL);
    CHECK_INT(ZAB_RECORD_ACCEPTED, solo_effect(s, ZAB_STORE)->record.kind);
    CHECK_INT(EPOCH, solo_effect(s, ZAB_STORE)->record.epoch);
    solo_stored(s);
    CHECK_TRUE(solo_sent(s, LEADER, ZAB_ACKEPOCH)->ack_epoch.counts);
    solo_proposal(s, start_of(EPOCH, 0), 0);
    solo_forget(s);
    solo_zxid(s, LEADER, ZAB_NEWLEADER, zab_zxid(EPOCH, 0));
    CHECK_TRUE(solo_sent(s, LEADER, ZAB_ACK_NEWLEADER) == NULL);
    CHECK_INT(ZAB_RECORD_CURRENT, solo_effect(s, ZAB_STORE)->record.kind);
    solo_stored(s);
    CHECK_INT(zab_zxid(EPOCH, 0), solo_sent(s, LEADER, ZAB_ACK_NEWLEADER)->zxid);
    CHECK_TRUE(solo_effect(s, ZAB_DELIVER) == NULL);
    solo_zxid(s, LEADER, ZAB_UPTODATE, zab_zxid(EPOCH, 0));
    CHECK_INT(zab_zxid(EPOCH, 0), solo_effect(s, ZAB_DELIVER)->entry.last);
    solo_free(&s);
}

TEST(an_entry_that_does_not_follow_the_last_one_costs_the_session)
{
    uint64_t start = zab_zxid(EPOCH, 0);

    for (enum stage stage = PROMISED; stage <= ACTIVE; stage++) {
        uint64_t last = stage == PROMISED ? 0 : start;
        costs_the_session(stage, proposal_of(data(start + 1, start + 2, start + 2)));
        costs_the_session(stage, proposal_of(data(last, start + 2, start + 2)));
        costs_the_session(stage, proposal_of(data(last, start + 2, start + 1)));
        costs_the_session(stage, proposal_of(data(last, start + 1, zab_zxid(EPOCH + 1, 1))));
        costs_the_session(stage, proposal_of(data(last, zab_zxid(EPOCH + 1, 0), zab_zxid(EPOCH + 1, 0))));
        costs_the_session(stage, proposal_of(start_of(EPOCH + 1, last)));
        struct zab_entry e = start_of(EPOCH, last);
        e.last++;
        costs_the_session(stage, proposal_of(e));
    }
    costs_the_session(PROMISED, proposal_of(data(0, 1, 1)));
    costs_the_session(PROMISED, proposal_of(data(0, start, start)));
    costs_the_session(PROMISED, proposal_of(data(0, start + 1, start + 1)));
    costs_the_session(ACCEPTING, proposal_of(start_of(EPOCH, 0)));
}

TEST(an_entry_that_is_there_already_is_not_taken_twice)
{
    costs_nothing(ADOPTED, proposal_of(start_of(EPOCH, 0)));
}

TEST(more_than_the_window_holds_costs_the_session)
{
    struct zab_conf conf = { .window_entries = 4 };
    struct solo *s = solo_new(1, 3, &conf);

    solo_follow(s, LEADER, EPOCH);
    for (int i = 0; i < 4; i++) solo_proposal(s, solo_entry(s, ZAB_DATA, solo_state(s).last + 1, "x"), 0);
    CHECK_INT(ZAB_FOLLOWING, solo_state(s).role);
    solo_proposal(s, solo_entry(s, ZAB_DATA, solo_state(s).last + 1, "x"), 0);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_leader_of_an_older_epoch_costs_the_session)
{
    struct solo *s = learner_at(ACTIVE);

    solo_down(s, LEADER);
    solo_ask(s, LEADER);
    struct zab_state before = solo_state(s);
    solo_forget(s);
    s->epoch = EPOCH - 1;
    solo_zxid(s, LEADER, ZAB_LEADERINFO, 0);
    s->epoch = EPOCH;
    lost_its_session(s, before);
}

TEST(an_epoch_that_there_cannot_be_costs_the_session)
{
    costs_the_session(ASKED, (struct zab_frame){ .type = ZAB_LEADERINFO, .epoch = ZAB_EPOCH_MAX + 1 });
}

TEST(leaderinfo_twice_costs_the_session)
{
    for (enum stage stage = ACCEPTING; stage < STAGES; stage++)
        costs_the_session(stage, zxid_frame(ZAB_LEADERINFO, 0));
}

TEST(an_epoch_is_promised_again_to_the_same_leader_and_not_to_another)
{
    for (uint16_t leader = 2; leader <= 3; leader++) {
        struct solo *s = learner_at(PROMISED);
        solo_down(s, LEADER);
        solo_forget(s);
        solo_ask(s, leader);
        s->epoch = EPOCH;
        solo_zxid(s, leader, ZAB_LEADERINFO, 0);
        CHECK_TRUE(solo_sent(s, leader, ZAB_ACKEPOCH) != NULL);
        CHECK_INT(leader == LEADER, solo_sent(s, leader, ZAB_ACKEPOCH)->ack_epoch.counts);
        CHECK_TRUE(solo_effect(s, ZAB_STORE) == NULL);
        solo_free(&s);
    }
}

TEST(newleader_before_the_history_is_whole_costs_the_session)
{
    uint64_t start = zab_zxid(EPOCH, 0);

    costs_the_session(ACCEPTING, zxid_frame(ZAB_NEWLEADER, start));
    costs_the_session(PROMISED, zxid_frame(ZAB_NEWLEADER, start));
    costs_the_session(PROMISED, zxid_frame(ZAB_NEWLEADER, 0));
    for (enum stage stage = ADOPTING; stage < STAGES; stage++)
        costs_the_session(stage, zxid_frame(ZAB_NEWLEADER, start));
    struct solo *s = learner_at(PROMISED);
    solo_proposal(s, start_of(EPOCH, 0), 0);
    struct zab_state before = solo_state(s);
    solo_zxid(s, LEADER, ZAB_NEWLEADER, start + 1);
    lost_its_session(s, before);
}

TEST(uptodate_at_any_other_time_costs_the_session)
{
    for (enum stage stage = ACCEPTING; stage < STAGES; stage++)
        if (stage != ADOPTED) costs_the_session(stage, zxid_frame(ZAB_UPTODATE, zab_zxid(EPOCH, 0)));
}

TEST(a_truncation_that_makes_no_sense_costs_the_session)
{
    uint64_t start = zab_zxid(EPOCH, 0);

    costs_the_session(ACCEPTING, zxid_frame(ZAB_SYNC_TRUNC, 0));
    costs_the_session(PROMISED, zxid_frame(ZAB_SYNC_TRUNC, 0));
    costs_the_session(PROMISED, zxid_frame(ZAB_SYNC_TRUNC, start));
    for (enum stage stage = ADOPTING; stage < STAGES; stage++)
        costs_the_session(stage, zxid_frame(ZAB_SYNC_TRUNC, 0));
}

/* A log that begins after 4/2, with 4/3 in it. */
static struct solo *learner_with_purged_log(void)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_follow(s, LEADER, EPOCH - 1);
    for (int i = 1; i <= 3; i++) {
        uint64_t zxid = zab_zxid(EPOCH - 1, (uint64_t)i);
        solo_proposal(s, solo_entry(s, ZAB_DATA, zxid, "x"), i < 3 ? zxid : 0);
        solo_stored(s);
    }
    CHECK_INT(zab_zxid(EPOCH - 1, 2), solo_state(s).delivered);
    struct zab_event e = { .kind = ZAB_PURGED, .zxid = zab_zxid(EPOCH - 1, 2) };
    solo_step(s, &e);
    CHECK_INT(zab_zxid(EPOCH - 1, 2), solo_state(s).begin);
    solo_down(s, LEADER);
    solo_ask(s, LEADER);
    solo_promise(s, EPOCH);
    solo_forget(s);
    return s;
}

TEST(a_truncation_below_the_beginning_of_the_log_costs_the_session)
{
    struct solo *s = learner_with_purged_log();
    struct zab_state before = solo_state(s);

    solo_zxid(s, LEADER, ZAB_SYNC_TRUNC, zab_zxid(EPOCH - 1, 1));
    lost_its_session(s, before);
    s = learner_with_purged_log();
    solo_zxid(s, LEADER, ZAB_SYNC_TRUNC, zab_zxid(EPOCH - 1, 2));
    CHECK_INT(zab_zxid(EPOCH - 1, 2), solo_state(s).last);
    solo_free(&s);
}

TEST(a_truncation_of_what_was_delivered_halts_the_node)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_follow(s, LEADER, EPOCH - 1);
    solo_down(s, LEADER);
    solo_ask(s, LEADER);
    solo_promise(s, EPOCH);
    solo_zxid(s, LEADER, ZAB_SYNC_TRUNC, 0);
    CHECK_TRUE(strstr(solo_effect(s, ZAB_HALT)->text, "delivered here") != NULL);
    solo_free(&s);
}

TEST(a_truncation_is_durable_before_anything_behind_it_is_acknowledged)
{
    struct solo *s = learner_with_purged_log();

    solo_zxid(s, LEADER, ZAB_SYNC_TRUNC, zab_zxid(EPOCH - 1, 2));
    CHECK_INT(ZAB_RECORD_TRUNC, solo_effect(s, ZAB_STORE)->record.kind);
    struct zab_at trunc = s->stored;
    solo_proposal(s, solo_entry(s, ZAB_EPOCH_START, zab_zxid(EPOCH, 0), "id"), 0);
    CHECK_TRUE(solo_sent(s, LEADER, ZAB_ACK) == NULL);
    struct zab_event stored = { .kind = ZAB_STORED, .at = trunc };
    solo_step(s, &stored);
    CHECK_TRUE(solo_sent(s, LEADER, ZAB_ACK) == NULL); /* there is nothing new */
    solo_stored(s);
    CHECK_INT(zab_zxid(EPOCH, 0), solo_sent(s, LEADER, ZAB_ACK)->zxid);
    solo_free(&s);
}

TEST(frames_of_another_session_or_group_or_epoch_or_peer_are_dropped)
{
    struct solo *s = learner_at(ACTIVE);
    struct zab_entry e = data(zab_zxid(EPOCH, 0), zab_zxid(EPOCH, 1), zab_zxid(EPOCH, 1));
    struct zab_frame f = proposal_of(e);
    struct zab_event old = { .kind = ZAB_FRAME };

    f.epoch = EPOCH;
    f.group = s->conf.group;
    old.frame.peer = LEADER;
    old.frame.session = s->session[LEADER] - 1;
    old.frame.frame = &f;
    solo_step(s, &old);
    old.frame.peer = 60;
    old.frame.session = s->session[LEADER];
    solo_step(s, &old);
    f.group++;
    solo_frame(s, LEADER, f);
    f.group--;
    f.epoch++;
    solo_frame(s, LEADER, f);
    f.epoch = EPOCH - 1;
    solo_frame(s, LEADER, f);
    f.epoch = EPOCH;
    solo_up(s, 2);
    solo_frame(s, 2, f);
    CHECK_INT(0, s->count);
    CHECK_INT(zab_zxid(EPOCH, 0), solo_state(s).last);
    solo_frame(s, LEADER, f);
    CHECK_INT(zab_zxid(EPOCH, 1), solo_state(s).last);
    solo_free(&s);
}

TEST(frames_that_a_leader_does_not_send_are_dropped)
{
    for (enum stage stage = ASKED; stage < STAGES; stage++) {
        costs_nothing(stage, zxid_frame(ZAB_ACK, 0));
        costs_nothing(stage, zxid_frame(ZAB_ACK_NEWLEADER, 0));
        costs_nothing(stage, zxid_frame(99, 0));
    }
    for (enum stage stage = ASKED; stage < ACTIVE; stage++)
        costs_nothing(stage, zxid_frame(ZAB_COMMIT, zab_zxid(EPOCH, 7)));
}

/* --- snapshots */

static struct zab_members three(void)
{
    return (struct zab_members){ .version = 0,
                                 .count = 3,
                                 .at = { { .id = 1, .role = ZAB_VOTER },
                                         { .id = 2, .role = ZAB_VOTER },
                                         { .id = 3, .role = ZAB_VOTER } } };
}

static struct zab_frame snap_begin(uint64_t zxid, const struct zab_members *m)
{
    struct zab_frame f = { .type = ZAB_SNAP_BEGIN };

    f.snap.zxid = zxid;
    f.snap.members = m;
    return f;
}

static struct zab_frame chunk(uint8_t type, uint64_t offset, const char *text)
{
    struct zab_frame f = { .type = type };

    f.chunk.offset = offset;
    f.chunk.data = bytes_of_text(text);
    return f;
}

static struct solo *learner_in_snapshot(uint64_t zxid)
{
    struct solo *s = learner_at(PROMISED);
    struct zab_members m = three();

    solo_frame(s, LEADER, snap_begin(zxid, &m));
    CHECK_INT(zxid, solo_effect(s, ZAB_SNAP_OPEN)->zxid);
    solo_frame(s, LEADER, chunk(ZAB_SNAP_CHUNK, 0, "abc"));
    CHECK_INT(3, solo_effect(s, ZAB_SNAP_WRITE)->data.len);
    return s;
}

TEST(a_snapshot_is_acknowledged_when_its_record_is_durable)
{
    uint64_t zxid = zab_zxid(4, 9);
    struct solo *s = learner_in_snapshot(zxid);

    solo_frame(s, LEADER, chunk(ZAB_SNAP_CHUNK, 3, "de"));
    solo_frame(s, LEADER, chunk(ZAB_SNAP_END, 5, ""));
    const struct zab_effect *install = solo_effect(s, ZAB_SNAP_INSTALL);
    CHECK_INT(zxid, install->zxid);
    CHECK_INT(3, install->members->count);
    struct zab_event saved = { .kind = ZAB_SNAP_SAVED };
    saved.snap.at = install->at;
    saved.snap.zxid = zxid;
    solo_forget(s);
    solo_step(s, &saved);
    CHECK_INT(ZAB_RECORD_INSTALL, solo_effect(s, ZAB_STORE)->record.kind);
    CHECK_TRUE(solo_sent(s, LEADER, ZAB_ACK) == NULL);
    CHECK_INT(zxid, solo_state(s).delivered);
    CHECK_INT(zxid, solo_state(s).begin);
    solo_stored(s);
    CHECK_INT(zxid, solo_sent(s, LEADER, ZAB_ACK)->zxid);
    solo_step(s, &saved); /* again: it is of no use */
    CHECK_INT(1, solo_count(s, ZAB_STORE));
    solo_adopt(s);
    solo_activate(s);
    CHECK_INT(zab_zxid(EPOCH, 0), solo_state(s).delivered);
    solo_free(&s);
}

TEST(a_snapshot_that_could_not_be_saved_costs_the_session)
{
    struct solo *s = learner_in_snapshot(zab_zxid(4, 9));
    struct zab_state before = solo_state(s);

    solo_frame(s, LEADER, chunk(ZAB_SNAP_END, 3, ""));
    struct zab_event saved = { .kind = ZAB_SNAP_SAVED };
    saved.snap.at = solo_effect(s, ZAB_SNAP_INSTALL)->at;
    solo_step(s, &saved);
    lost_its_session(s, before);
}

TEST(a_snapshot_with_a_hole_costs_the_session)
{
    static const struct {
        uint8_t type;
        uint64_t offset;
    } wrong[] = { { ZAB_SNAP_CHUNK, 0 }, { ZAB_SNAP_CHUNK, 4 }, { ZAB_SNAP_END, 2 }, { ZAB_SNAP_END, 4 } };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct solo *s = learner_in_snapshot(zab_zxid(4, 9));
        struct zab_state before = solo_state(s);
        solo_frame(s, LEADER, chunk(wrong[i].type, wrong[i].offset, ""));
        CHECK_INT(1, solo_count(s, ZAB_SNAP_DROP));
        lost_its_session(s, before);
    }
}

TEST(a_snapshot_that_nobody_asked_for_costs_the_session)
{
    struct zab_members m = three(), none = { .count = 0 };

    costs_the_session(PROMISED, chunk(ZAB_SNAP_CHUNK, 0, "abc"));
    costs_the_session(PROMISED, chunk(ZAB_SNAP_END, 0, ""));
    costs_the_session(PROMISED, snap_begin(zab_zxid(4, 9), &none));
    costs_the_session(ACCEPTING, snap_begin(zab_zxid(4, 9), &m));
    for (enum stage stage = ADOPTING; stage < STAGES; stage++)
        costs_the_session(stage, snap_begin(zab_zxid(EPOCH, 9), &m));
}

TEST(a_snapshot_of_less_than_was_delivered_costs_the_session)
{
    struct solo *s = learner_with_purged_log();
    struct zab_state before = solo_state(s);
    struct zab_members m = three();

    solo_frame(s, LEADER, snap_begin(zab_zxid(EPOCH - 1, 1), &m));
    lost_its_session(s, before);
}

TEST(other_frames_of_the_history_amid_a_snapshot_cost_the_session)
{
    struct zab_members m = three();
    struct zab_frame wrong[] = { proposal_of(start_of(EPOCH, 0)),
                                 zxid_frame(ZAB_NEWLEADER, zab_zxid(EPOCH, 0)),
                                 snap_begin(zab_zxid(4, 9), &m), zxid_frame(ZAB_SYNC_TRUNC, 0),
                                 zxid_frame(ZAB_UPTODATE, 0) };

    for (size_t i = 0; i < 2 * sizeof wrong / sizeof *wrong; i++) {
        struct solo *s = learner_in_snapshot(zab_zxid(4, 9));
        struct zab_state before = solo_state(s);
        bool is_installing = i % 2 == 1;
        if (is_installing) solo_frame(s, LEADER, chunk(ZAB_SNAP_END, 3, ""));
        solo_frame(s, LEADER, wrong[i / 2]);
        CHECK_INT(ZAB_LOOKING, solo_state(s).role);
        CHECK_INT(!is_installing, solo_count(s, ZAB_SNAP_DROP));
        if (is_installing) {
            struct zab_event saved = { .kind = ZAB_SNAP_SAVED };
            saved.snap.at = solo_effect(s, ZAB_SNAP_INSTALL)->at;
            solo_step(s, &saved);
        }
        lost_its_session(s, before);
    }
}

TEST(a_truncation_amid_a_snapshot_costs_the_session)
{
    struct solo *s = learner_with_purged_log();
    struct zab_members m = three();

    solo_frame(s, LEADER, snap_begin(zab_zxid(EPOCH - 1, 3), &m));
    struct zab_state before = solo_state(s);
    solo_zxid(s, LEADER, ZAB_SYNC_TRUNC, zab_zxid(EPOCH - 1, 2));
    lost_its_session(s, before);
}

/* Its state is in force by then: the log has to say so, whoever leads now. */
TEST(a_snapshot_that_is_saved_after_the_session_ended_goes_into_the_log_and_only_then_is_voted)
{
    uint64_t zxid = zab_zxid(4, 9);
    struct solo *s = learner_in_snapshot(zxid);

    solo_frame(s, LEADER, chunk(ZAB_SNAP_END, 3, ""));
    struct zab_event saved = { .kind = ZAB_SNAP_SAVED };
    saved.snap.at = solo_effect(s, ZAB_SNAP_INSTALL)->at;
    saved.snap.zxid = zxid;
    solo_forget(s);
    solo_down(s, LEADER);
    solo_tick(s, 1000);
    CHECK_INT(0, solo_count(s, ZAB_TELL));
    solo_step(s, &saved);
    CHECK_INT(ZAB_RECORD_INSTALL, solo_effect(s, ZAB_STORE)->record.kind);
    CHECK_INT(0, solo_count(s, ZAB_TELL));
    solo_stored(s);
    CHECK_TRUE(solo_count(s, ZAB_TELL) > 0);
    CHECK_INT(zxid, solo_effect(s, ZAB_TELL)->note.zxid);
    solo_free(&s);
}

/* --- silence */

TEST(a_learner_gives_up_a_leader_that_is_silent)
{
    static const uint32_t patience_ms[STAGES] = { 1000, 5000, 5000, 5000, 5000, 500 };

    for (enum stage stage = ASKED; stage < STAGES; stage++) {
        struct solo *s = learner_at(stage);
        solo_tick(s, patience_ms[stage]);
        CHECK_INT(ZAB_FOLLOWING, solo_state(s).role);
        solo_tick(s, 1);
        CHECK_INT(ZAB_LOOKING, solo_state(s).role);
        CHECK_TRUE(solo_closed(s, LEADER));
        solo_free(&s);
    }
}

TEST(a_learner_that_reaches_no_session_with_its_leader_gives_up)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_note(s, 3, (struct zab_note){ .leader = 3, .round = 9 });
    CHECK_INT(3, solo_state(s).leader);
    CHECK_TRUE(solo_sent(s, 3, ZAB_FOLLOWERINFO) == NULL);
    solo_tick(s, 1001);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(the_end_of_the_leaders_session_ends_the_role_and_that_of_another_does_not)
{
    for (enum stage stage = ASKED; stage < STAGES; stage++) {
        struct solo *s = learner_at(stage);
        solo_up(s, 2);
        solo_down(s, 2);
        CHECK_INT(ZAB_FOLLOWING, solo_state(s).role);
        s->session[LEADER]--;
        solo_down(s, LEADER); /* of an older one */
        CHECK_INT(ZAB_FOLLOWING, solo_state(s).role);
        s->session[LEADER]++;
        if (stage % 2 == 0)
            solo_down(s, LEADER);
        else
            solo_up(s, LEADER); /* another in its place */
        CHECK_INT(ZAB_LOOKING, solo_state(s).role);
        solo_free(&s);
    }
}

TEST(completions_of_stores_that_nobody_asked_for_or_that_are_old_are_dropped)
{
    struct solo *s = learner_at(ACTIVE);
    struct zab_event e = { .kind = ZAB_STORED, .at = s->stored };

    solo_step(s, &e);
    e.at.no = 1000;
    solo_step(s, &e);
    CHECK_INT(0, s->count);
    solo_proposal(s, solo_entry(s, ZAB_DATA, zab_zxid(EPOCH, 1), "x"), 0);
    solo_step(s, &e);
    CHECK_TRUE(solo_sent(s, LEADER, ZAB_ACK) == NULL);
    solo_stored(s);
    CHECK_INT(zab_zxid(EPOCH, 1), solo_sent(s, LEADER, ZAB_ACK)->zxid);
    solo_free(&s);
}

TEST(when_both_think_that_the_other_leads_both_look_again)
{
    struct solo *s = learner_at(ASKED);

    solo_info(s, LEADER);
    CHECK_TRUE(solo_closed(s, LEADER));
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
    s = solo_new(1, 3, NULL); /* his was early */
    solo_up(s, 3);
    solo_info(s, 3);
    solo_note(s, 3, (struct zab_note){ .leader = 3, .round = 9 });
    CHECK_TRUE(solo_closed(s, 3));
    CHECK_INT(3, solo_state(s).leader);
    CHECK_TRUE(solo_sent(s, 3, ZAB_FOLLOWERINFO) == NULL);
    solo_up(s, 3);
    CHECK_TRUE(solo_sent(s, 3, ZAB_FOLLOWERINFO) != NULL);
    solo_free(&s);
}

TEST(who_comes_to_a_learner_loses_his_session)
{
    struct solo *s = learner_at(ACTIVE);

    solo_up(s, 2);
    solo_info(s, 2);
    CHECK_TRUE(solo_closed(s, 2));
    CHECK_INT(ZAB_FOLLOWING, solo_state(s).role);
    solo_free(&s);
}

/* --- what comes back from its own log */

/* 5/1 to 5/10 are durable, a window of 4 has the newest, and all of it is committed now. */
static struct solo *learner_that_reads(void)
{
    struct zab_conf conf = { .window_entries = 4 };
    struct solo *s = solo_new(1, 3, &conf);

    solo_follow(s, LEADER, EPOCH);
    for (uint64_t i = 1; i <= 10; i++) {
        solo_proposal(s, solo_entry(s, ZAB_DATA, zab_zxid(EPOCH, i), "x"), 0);
        solo_stored(s);
    }
    solo_zxid(s, LEADER, ZAB_COMMIT, zab_zxid(EPOCH, 10));
    CHECK_INT(zab_zxid(EPOCH, 0), solo_effect(s, ZAB_READ)->zxid);
    CHECK_TRUE(solo_effect(s, ZAB_DELIVER) == NULL);
    return s;
}

static struct zab_event what_was_read(const struct solo *s, struct zab_entry *at, uint32_t count)
{
    struct zab_event e = { .kind = ZAB_READ_DONE };
    uint64_t prev = solo_effect(s, ZAB_READ)->zxid;

    for (uint32_t i = 0; i < count; i++, prev++) at[i] = data(prev, prev + 1, prev + 1);
    e.read.at = solo_effect(s, ZAB_READ)->at;
    e.read.count = count;
    e.read.entries = at;
    return e;
}

TEST(what_left_the_window_before_it_was_committed_is_read_and_delivered)
{
    struct solo *s = learner_that_reads();
    struct zab_entry entries[10];
    struct zab_event e = what_was_read(s, entries, 6);

    solo_step(s, &e);
    CHECK_INT(zab_zxid(EPOCH, 10), solo_state(s).delivered);
    CHECK_INT(10, solo_count(s, ZAB_DELIVER));
    solo_step(s, &e); /* again: nobody waits for it */
    CHECK_INT(10, solo_count(s, ZAB_DELIVER));
    solo_free(&s);
}

TEST(what_was_read_and_does_not_follow_is_not_delivered_and_read_again)
{
    struct solo *s = learner_that_reads();
    struct zab_entry entries[10];
    struct zab_event e = what_was_read(s, entries, 4);

    entries[2].prev++;
    solo_step(s, &e);
    CHECK_INT(zab_zxid(EPOCH, 2), solo_state(s).delivered);
    CHECK_INT(zab_zxid(EPOCH, 2), solo_effect(s, ZAB_READ)->zxid);
    e = what_was_read(s, entries, 4);
    entries[1].last = zab_zxid(EPOCH, 11);
    solo_step(s, &e);
    CHECK_INT(zab_zxid(EPOCH, 3), solo_state(s).delivered);
    solo_free(&s);
}

TEST(a_log_that_has_not_what_is_committed_halts_the_node)
{
    struct solo *s = learner_that_reads();
    struct zab_event e = what_was_read(s, NULL, 0);

    solo_step(s, &e);
    CHECK_TRUE(strstr(solo_effect(s, ZAB_HALT)->text, "restore this node") != NULL);
    solo_forget(s);
    solo_tick(s, 10);
    CHECK_INT(0, s->count);
    solo_free(&s);
}

TEST(a_read_that_is_done_after_the_role_ended_is_dropped)
{
    struct solo *s = learner_that_reads();
    struct zab_entry entries[10];
    struct zab_event e = what_was_read(s, entries, 6);

    solo_down(s, LEADER);
    solo_step(s, &e);
    CHECK_INT(zab_zxid(EPOCH, 0), solo_state(s).delivered);
    solo_follow(s, LEADER, EPOCH + 1);
    solo_forget(s);
    e.read.at.no--;
    solo_step(s, &e);
    CHECK_INT(0, s->count);
    solo_free(&s);
}

TEST(an_entry_is_delivered_whole_or_not_yet)
{
    struct solo *s = learner_at(ACTIVE);
    struct zab_entry e = data(zab_zxid(EPOCH, 0), zab_zxid(EPOCH, 1), zab_zxid(EPOCH, 5));

    solo_proposal(s, e, 0);
    solo_stored(s);
    solo_zxid(s, LEADER, ZAB_COMMIT, zab_zxid(EPOCH, 3));
    CHECK_INT(zab_zxid(EPOCH, 0), solo_state(s).delivered);
    solo_zxid(s, LEADER, ZAB_COMMIT, zab_zxid(EPOCH, 5));
    CHECK_INT(zab_zxid(EPOCH, 5), solo_state(s).delivered);
    solo_free(&s);
}

TEST(an_entry_that_comes_again_before_newleader_costs_the_session)
{
    struct solo *s = learner_at(PROMISED);

    solo_proposal(s, start_of(EPOCH, 0), 0);
    struct zab_state before = solo_state(s);
    solo_proposal(s, start_of(EPOCH, 0), 0);
    lost_its_session(s, before);
}

TEST(a_snapshot_that_is_saved_for_an_older_role_is_dropped)
{
    uint64_t zxid = zab_zxid(4, 9);
    struct solo *s = learner_in_snapshot(zxid);
    struct zab_event saved = { .kind = ZAB_SNAP_SAVED };

    solo_frame(s, LEADER, chunk(ZAB_SNAP_END, 3, ""));
    saved.snap.zxid = zxid;
    saved.snap.at = solo_effect(s, ZAB_SNAP_INSTALL)->at;
    saved.snap.at.no--;
    solo_forget(s);
    solo_step(s, &saved);
    saved.snap.at.no++;
    saved.snap.at.epoch--;
    solo_step(s, &saved);
    CHECK_INT(0, s->count);
    saved.snap.at.epoch++;
    solo_step(s, &saved);
    CHECK_INT(1, solo_count(s, ZAB_STORE));
    solo_free(&s);
}

TEST(a_snapshot_of_what_was_delivered_already_is_taken_once_more)
{
    struct solo *s = learner_with_purged_log();
    uint64_t zxid = zab_zxid(EPOCH - 1, 2);
    struct zab_members m = three();

    solo_frame(s, LEADER, snap_begin(zxid, &m));
    solo_frame(s, LEADER, chunk(ZAB_SNAP_END, 0, ""));
    struct zab_event saved = { .kind = ZAB_SNAP_SAVED };
    saved.snap.at = solo_effect(s, ZAB_SNAP_INSTALL)->at;
    saved.snap.zxid = zxid;
    solo_step(s, &saved);
    CHECK_INT(zxid, solo_state(s).delivered);
    CHECK_INT(zxid, solo_state(s).last);
    solo_free(&s);
}

TEST(a_leader_that_we_have_never_heard_of_is_waited_for)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_note(s, 2, (struct zab_note){ .leader = 9, .epoch = 4, .round = 9 });
    CHECK_INT(9, solo_state(s).leader);
    solo_up(s, 2);
    solo_up(s, 9);
    CHECK_TRUE(solo_sent(s, 9, ZAB_FOLLOWERINFO) != NULL);
    solo_free(&s);
}
