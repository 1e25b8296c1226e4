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

/* --- when it ends */

TEST(a_learner_that_is_silent_or_acknowledges_nothing_loses_its_session)
{
    for (int is_silent = 0; is_silent < 2; is_silent++) {
        struct solo *s = leader();
        solo_comes(s, 2);
        solo_ack_epoch(s, 2, 0, 0);
        solo_zxid(s, 2, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
        solo_propose(s, "x");
        solo_stored(s);
        for (int i = 0; i < 6; i++) {
            solo_tick(s, 100);
            if (is_silent == 0) solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 0));
            solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 1));
        }
        CHECK_TRUE(solo_closed(s, 2));
        CHECK_TRUE(!solo_closed(s, 1));
        solo_free(&s);
    }
}

TEST(a_learner_has_more_time_to_catch_up)
{
    struct solo *s = leader();

    solo_comes(s, 2);
    solo_ack_epoch(s, 2, 0, 0);
    for (int i = 0; i < 52; i++) {
        CHECK_TRUE(i < 50 || i == 51 || !solo_closed(s, 2));
        solo_tick(s, 100);
        solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 0));
        if (!solo_closed(s, 2)) solo_frame(s, 2, (struct zab_frame){ .type = ZAB_PONG });
    }
    CHECK_TRUE(solo_closed(s, 2));
    solo_free(&s);
}

TEST(a_leader_that_has_lost_its_quorum_steps_down)
{
    struct solo *s = leader();

    solo_tick(s, 500);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_tick(s, 1);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
    s = leader();
    solo_down(s, 1);
    solo_tick(s, 501);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_supporter_that_looks_again_is_gone)
{
    struct solo *s = leader();
    struct zab_note note = { .state = ZAB_NOTE_LOOKING, .leader = 1, .round = s->round };

    solo_comes(s, 2);
    solo_note(s, 1, note);
    CHECK_TRUE(!solo_closed(s, 1)); /* an old one */
    solo_tick(s, 100);
    note.round++;
    solo_note(s, 1, note);
    CHECK_TRUE(solo_closed(s, 1));
    CHECK_INT(ZAB_NOTE_LEADING, solo_effect(s, ZAB_TELL)->note.state);
    solo_free(&s);
}

TEST(links_that_end_twice_or_are_of_nobody_change_nothing)
{
    struct solo *s = leader();

    solo_down(s, 2);
    solo_up(s, 3); /* ourselves */
    CHECK_TRUE(solo_closed(s, 3));
    solo_down(s, 3);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

TEST(more_peers_than_there_are_places_are_refused)
{
    struct solo *s = leader();

    for (uint16_t id = 4; id < 4 + 2 * ZAB_NODES_MAX - 3; id++) {
        solo_up(s, id);
        CHECK_INT(id == 4 + 2 * ZAB_NODES_MAX - 3, solo_closed(s, id));
    }
    solo_up(s, 50);
    CHECK_TRUE(solo_closed(s, 50));
    solo_note(s, 51, (struct zab_note){ .state = ZAB_NOTE_LOOKING, .leader = 51, .round = 1 });
    solo_down(s, 10);
    solo_up(s, 52); /* in its place */
    CHECK_TRUE(!solo_closed(s, 52));
    solo_free(&s);
}

TEST(a_checkpoint_of_what_is_not_delivered_or_no_longer_there_is_not_written_down)
{
    struct solo *s = leader();
    struct zab_event e = { .kind = ZAB_CHECKPOINT };

    solo_commit(s, 3);
    solo_forget(s);
    e.zxid = zab_zxid(1, 4);
    solo_step(s, &e);
    CHECK_TRUE(solo_effect(s, ZAB_STORE) == NULL);
    e.zxid = zab_zxid(1, 2);
    solo_step(s, &e);
    CHECK_INT(ZAB_RECORD_CHECKPOINT, solo_effect(s, ZAB_STORE)->record.kind);
    CHECK_INT(3, solo_effect(s, ZAB_STORE)->record.members->count);
    CHECK_INT(1, solo_effect(s, ZAB_STORE)->record.epoch);
    solo_stored(s);
    struct zab_event purged = { .kind = ZAB_PURGED, .zxid = zab_zxid(1, 2) };
    solo_step(s, &purged);
    solo_forget(s);
    e.zxid = zab_zxid(1, 1);
    solo_step(s, &e);
    CHECK_TRUE(solo_effect(s, ZAB_STORE) == NULL);
    purged.zxid = zab_zxid(1, 1);
    solo_step(s, &purged);
    CHECK_INT(zab_zxid(1, 2), solo_state(s).begin);
    purged.zxid = zab_zxid(1, 9);
    solo_step(s, &purged);
    CHECK_INT(zab_zxid(1, 2), solo_state(s).begin);
    solo_free(&s);
}

TEST(an_event_that_there_is_not_changes_nothing)
{
    struct solo *s = leader();
    struct zab_event e = { .kind = 99 };

    solo_step(s, &e);
    CHECK_INT(0, s->count);
    solo_free(&s);
}

TEST(time_that_goes_back_is_not_believed)
{
    struct solo *s = leader();

    s->now_ms -= 900;
    solo_tick(s, 0);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_free(&s);
}

TEST(a_leader_whose_own_disk_is_slow_is_established_by_the_others)
{
    struct solo *s = solo_new(5, 5, NULL);
    struct zab_note vote = { .leader = 5, .round = 2000 };

    for (uint16_t id = 1; id <= 3; id++) solo_up(s, id);
    for (uint16_t id = 1; id <= 3; id++) solo_note(s, id, vote);
    for (uint16_t id = 1; id <= 3; id++) solo_info(s, id);
    solo_stored(s);
    s->epoch = 1;
    for (uint16_t id = 1; id <= 3; id++) solo_ack_epoch(s, id, 0, 0);
    for (uint16_t id = 1; id <= 3; id++) solo_zxid(s, id, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
    CHECK_TRUE(solo_state(s).is_established);
    CHECK_INT(0, solo_state(s).stored);
    CHECK_INT(ZAB_OK, solo_propose(s, "a"));
    for (uint16_t id = 1; id <= 2; id++) solo_zxid(s, id, ZAB_ACK, zab_zxid(1, 1));
    CHECK_INT(zab_zxid(1, 0), solo_state(s).committed);
    solo_zxid(s, 3, ZAB_ACK, zab_zxid(1, 1));
    CHECK_INT(zab_zxid(1, 1), solo_state(s).committed);
    CHECK_INT(0, solo_state(s).delivered);
    solo_stored(s);
    CHECK_INT(zab_zxid(1, 1), solo_state(s).delivered);
    solo_free(&s);
}

TEST(a_leader_that_steps_down_takes_nothing_more_though_it_still_delivers)
{
    struct zab_conf conf = { .counter_max = 200 };
    struct solo *s = solo_new(3, 3, &conf);
    struct zab_event propose = { .kind = ZAB_PROPOSE };

    solo_lead(s, 1);
    for (int i = 0; i < 200; i++) CHECK_INT(ZAB_OK, solo_propose(s, "x"));
    solo_stored(s);
    struct zab_event ack = { .kind = ZAB_FRAME };
    struct zab_frame f = { .type = ZAB_ACK, .group = s->conf.group, .epoch = 1, .zxid = zab_zxid(1, 200) };
    ack.frame.peer = 1;
    ack.frame.session = s->session[1];
    ack.frame.frame = &f;
    propose.propose.commands = 1;
    zab_step(s->z, &ack, &s->out);
    CHECK_TRUE(s->out.more);
    zab_step(s->z, &propose, &s->out);
    CHECK_INT(ZAB_COUNTER_ENDS, s->out.at[0].why);
    while (s->out.more) zab_step(s->z, &(struct zab_event){ .kind = ZAB_MORE }, &s->out);
    CHECK_INT(ZAB_LOOKING, solo_state(s).role);
    CHECK_INT(zab_zxid(1, 200), solo_state(s).delivered);
    solo_free(&s);
}

TEST(a_learner_that_can_take_much_gets_it_in_several_steps)
{
    struct solo *s = leader();

    solo_commit(s, 300);
    solo_comes(s, 2);
    solo_forget(s);
    solo_ack_epoch(s, 2, 0, 0);
    CHECK_INT(301, solo_sent_count(s, 2, ZAB_PROPOSAL));
    CHECK_INT(1, solo_sent_count(s, 2, ZAB_NEWLEADER));
    solo_free(&s);
}

TEST(a_place_of_a_node_with_a_lease_is_kept)
{
    struct solo *s = leader();
    struct zab_event applied = { .kind = ZAB_APPLIED, .zxid = zab_zxid(1, 0) };
    struct zab_frame pong = { .type = ZAB_PONG };
    struct zab_event change = { .kind = ZAB_RECONFIG };

    solo_step(s, &applied);
    change.reconfig.change = ZAB_ADD;
    change.reconfig.member = (struct zab_member){ .id = 4, .role = ZAB_OBSERVER };
    solo_step(s, &change);
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 1));
    applied.zxid = zab_zxid(1, 1);
    solo_step(s, &applied);
    solo_comes(s, 4);
    solo_ack_epoch(s, 4, 0, 0);
    solo_zxid(s, 4, ZAB_ACK_NEWLEADER, zab_zxid(1, 1));
    solo_tick(s, 50);
    pong.pong.leader_ms = s->now_ms;
    pong.pong.stamp_ms = 9;
    pong.pong.applied = zab_zxid(1, 1);
    solo_frame(s, 1, pong);
    solo_frame(s, 4, pong);
    solo_forget(s);
    solo_tick(s, 50);
    CHECK_TRUE(solo_sent(s, 4, ZAB_PING)->ping.lease_ms > 0);
    change.reconfig.change = ZAB_REMOVE;
    solo_step(s, &change);
    CHECK_INT(ZAB_OK, solo_effect(s, ZAB_ACCEPTED)->why);
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 2));
    solo_down(s, 4);
    uint32_t refused = 0;
    for (uint16_t id = 10; id < 10 + 2 * ZAB_NODES_MAX; id++) {
        solo_up(s, id);
        refused += solo_closed(s, id);
    }
    CHECK_INT(4, refused); /* 1, 2, 3, and 4 with its lease */
    solo_free(&s);
}

TEST(a_change_that_is_not_committed_counts_the_node_that_it_removes)
{
    struct zab_conf conf = { .members = { .count = 4 } };
    struct zab_event change = { .kind = ZAB_RECONFIG };

    for (uint16_t i = 0; i < 4; i++)
        conf.members.at[i] =
            (struct zab_member){ .id = (uint16_t)(i + 1), .role = i < 3 ? ZAB_VOTER : ZAB_OBSERVER };
    struct solo *s = solo_new(3, 4, &conf);
    solo_lead(s, 1);
    change.reconfig.change = ZAB_REMOVE;
    change.reconfig.member.id = 4;
    solo_step(s, &change);
    CHECK_INT(ZAB_OK, solo_effect(s, ZAB_ACCEPTED)->why);
    for (uint16_t id = 10; id < 10 + 2 * ZAB_NODES_MAX; id++)
        solo_up(s, id); /* its place is not given away */
    solo_up(s, 4);
    CHECK_TRUE(!solo_closed(s, 4));
    solo_free(&s);
}

TEST(what_is_before_a_change_is_committed_without_it)
{
    struct zab_event change = { .kind = ZAB_RECONFIG };
    struct solo *s = leader();

    CHECK_INT(ZAB_OK, solo_propose(s, "a"));
    change.reconfig.change = ZAB_ADD;
    change.reconfig.member = (struct zab_member){ .id = 4, .role = ZAB_OBSERVER };
    solo_step(s, &change);
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 1));
    CHECK_INT(zab_zxid(1, 1), solo_state(s).committed);
    change.reconfig.member.id = 5;
    solo_step(s, &change);
    CHECK_INT(ZAB_PENDING, solo_effect(s, ZAB_ACCEPTED)->why);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 2));
    solo_step(s, &change);
    CHECK_INT(ZAB_OK, solo_effect(s, ZAB_ACCEPTED)->why);
    solo_free(&s);
}

TEST(a_learner_that_goes_before_there_is_a_quorum_ends_nothing)
{
    struct zab_note vote = { .leader = 5, .round = 2000 };
    struct solo *s = solo_new(5, 5, NULL);

    solo_note(s, 1, vote);
    solo_note(s, 2, vote);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_comes(s, 1);
    solo_down(s, 1);
    CHECK_INT(ZAB_LEADING, solo_state(s).role);
    solo_comes(s, 2);
    CHECK_TRUE(solo_effect(s, ZAB_STORE) == NULL); /* two of five */
    solo_comes(s, 1);
    CHECK_INT(ZAB_RECORD_ACCEPTED, solo_effect(s, ZAB_STORE)->record.kind);
    solo_free(&s);
}
