/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_rig.h"
#include "unit/zab_solo.h"
#include <string.h>

enum { LEASE_MS = 1000, WAIT_MS = 1000 + 50 + 3 };

/* Node 3 leads 1 and, if asked, 2. */
static struct solo *leader(void)
{
    struct solo *s = solo_new(3, 3, NULL);
    struct zab_event applied = { .kind = ZAB_APPLIED, .zxid = zab_zxid(1, 0) };

    solo_lead(s, 1);
    solo_step(s, &applied);
    return s;
}

static void synced(struct solo *s, uint16_t id)
{
    solo_up(s, id);
    solo_info(s, id);
    solo_ack_epoch(s, id, 0, 0);
    solo_zxid(s, id, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
}

static void pong(struct solo *s, uint16_t id, uint64_t leader_ms, uint64_t stamp_ms, uint64_t applied)
{
    struct zab_frame f = { .type = ZAB_PONG };

    f.pong.leader_ms = leader_ms;
    f.pong.stamp_ms = stamp_ms;
    f.pong.applied = applied;
    solo_frame(s, id, f);
}

static const struct zab_frame *pinged(struct solo *s, uint16_t id)
{
    solo_forget(s);
    solo_tick(s, 50);
    CHECK_INT(1, solo_sent_count(s, id, ZAB_PING));
    return solo_sent(s, id, ZAB_PING);
}

/* Both answer each ping, for so long. */
static void run(struct solo *s, uint64_t ms, uint64_t applied)
{
    for (uint64_t end = s->now_ms + ms; s->now_ms < end;) {
        solo_tick(s, 50);
        pong(s, 1, s->now_ms, 7, applied);
        solo_forget(s);
    }
}

TEST(pings_go_out_twice_a_tick_and_tell_what_is_committed)
{
    struct solo *s = leader();
    const struct zab_frame *f = pinged(s, 1);

    CHECK_INT(s->now_ms, f->ping.leader_ms);
    CHECK_INT(zab_zxid(1, 0), f->ping.commit);
    CHECK_INT(0, f->ping.stamp_ms);
    CHECK_INT(0, f->ping.lease_ms);
    solo_forget(s);
    solo_tick(s, 49);
    CHECK_TRUE(solo_sent(s, 1, ZAB_PING) == NULL);
    solo_tick(s, 1);
    CHECK_TRUE(solo_sent(s, 1, ZAB_PING) != NULL);
    solo_free(&s);
}

TEST(a_leader_has_a_lease_from_when_the_pings_left_that_a_quorum_answered)
{
    struct solo *s = leader();
    uint64_t left = s->now_ms + 50;

    pinged(s, 1);
    solo_tick(s, 30);
    CHECK_INT(0, solo_state(s).lease_until_ms);
    pong(s, 1, left, 7, zab_zxid(1, 0));
    CHECK_INT(left + LEASE_MS, solo_state(s).lease_until_ms);
    CHECK_INT(left + LEASE_MS, solo_effect(s, ZAB_LEASE)->zxid);
    pong(s, 1, left - 20, 7, zab_zxid(1, 0)); /* it does not become shorter */
    CHECK_INT(left + LEASE_MS, solo_state(s).lease_until_ms);
    pong(s, 1, left + 1000, 7, zab_zxid(1, 0)); /* of pings that never left */
    CHECK_INT(left + LEASE_MS, solo_state(s).lease_until_ms);
    solo_free(&s);
}

TEST(a_node_that_has_not_applied_the_beginning_of_the_epoch_has_no_lease)
{
    struct solo *s = solo_new(3, 3, NULL);
    struct zab_event applied = { .kind = ZAB_APPLIED, .zxid = zab_zxid(1, 0) };

    solo_lead(s, 1);
    pinged(s, 1);
    pong(s, 1, s->now_ms, 7, 0);
    CHECK_INT(0, solo_state(s).lease_until_ms);
    solo_step(s, &applied);
    pong(s, 1, s->now_ms, 7, 0);
    CHECK_INT(s->now_ms + LEASE_MS, solo_state(s).lease_until_ms);
    CHECK_INT(0, pinged(s, 1)->ping.lease_ms); /* and neither has the learner */
    pong(s, 1, s->now_ms, 7, zab_zxid(1, 0));
    CHECK_TRUE(pinged(s, 1)->ping.lease_ms > 0);
    solo_free(&s);
}

TEST(a_lease_is_no_longer_than_the_leaders_own_and_runs_from_the_stamp)
{
    struct solo *s = leader();

    pinged(s, 1);
    uint64_t left = s->now_ms;
    solo_tick(s, 40);
    pong(s, 1, left, 7777, zab_zxid(1, 0));
    const struct zab_frame *f = pinged(s, 1);
    CHECK_INT(7777, f->ping.stamp_ms);
    CHECK_INT(left + LEASE_MS - s->now_ms, f->ping.lease_ms);
    CHECK_TRUE(f->ping.lease_ms < LEASE_MS);
    solo_free(&s);
}

TEST(only_members_that_are_up_to_date_have_leases)
{
    struct solo *s = leader();

    run(s, 200, zab_zxid(1, 0));
    solo_up(s, 2);
    solo_info(s, 2);
    solo_ack_epoch(s, 2, 0, 0);
    pong(s, 2, s->now_ms, 9, zab_zxid(1, 0));
    CHECK_INT(0, pinged(s, 2)->ping.lease_ms);
    solo_zxid(s, 2, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
    CHECK_TRUE(pinged(s, 2)->ping.lease_ms > 0);
    solo_up(s, 9); /* in no list */
    solo_info(s, 9);
    solo_ack_epoch(s, 9, 0, 0);
    solo_zxid(s, 9, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
    pong(s, 9, s->now_ms, 9, zab_zxid(1, 0));
    CHECK_INT(0, pinged(s, 9)->ping.lease_ms);
    solo_free(&s);
}

TEST(a_lease_is_not_renewed_for_who_does_not_apply_what_was_committed_when_it_began)
{
    struct solo *s = leader();

    run(s, 200, zab_zxid(1, 0));
    CHECK_INT(ZAB_OK, solo_propose(s, "a"));
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 1));
    pong(s, 1, s->now_ms, 9, zab_zxid(1, 0));
    CHECK_TRUE(pinged(s, 1)->ping.lease_ms > 0); /* once more */
    pong(s, 1, s->now_ms, 9, zab_zxid(1, 0));
    CHECK_INT(0, pinged(s, 1)->ping.lease_ms);
    pong(s, 1, s->now_ms, 9, zab_zxid(1, 1));
    CHECK_TRUE(pinged(s, 1)->ping.lease_ms > 0);
    solo_free(&s);
}

TEST(nothing_is_settled_before_the_leases_of_the_last_leader_have_ended)
{
    struct solo *s = leader();
    uint64_t from = s->now_ms;

    while (s->now_ms - from < WAIT_MS - 50) {
        run(s, 50, zab_zxid(1, 0));
        CHECK_INT(0, solo_state(s).settled);
    }
    run(s, 200, zab_zxid(1, 0));
    CHECK_INT(zab_zxid(1, 0), solo_state(s).settled);
    CHECK_INT(zab_zxid(1, 0), pinged(s, 1)->ping.settled);
    solo_free(&s);
}

TEST(settled_waits_for_every_node_that_may_have_a_lease_and_for_nobody_else)
{
    struct solo *s = leader();
    struct zab_event applied = { .kind = ZAB_APPLIED, .zxid = zab_zxid(1, 1) };

    synced(s, 2);
    run(s, 1200, zab_zxid(1, 0)); /* 2 never answered, and has no lease */
    CHECK_INT(zab_zxid(1, 0), solo_state(s).settled);
    synced(s, 2);
    pong(s, 2, s->now_ms, 9, zab_zxid(1, 0));
    uint64_t ends = pinged(s, 2)->ping.lease_ms;
    CHECK_TRUE(ends > 500);
    ends += s->now_ms;
    solo_propose(s, "a");
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 1));
    solo_step(s, &applied);
    solo_down(s, 2); /* its lease lasts */
    while (s->now_ms < ends) {
        run(s, 50, zab_zxid(1, 1));
        CHECK_INT(zab_zxid(1, 0), solo_state(s).settled);
    }
    run(s, 200, zab_zxid(1, 1));
    CHECK_INT(zab_zxid(1, 1), solo_state(s).settled);
    solo_free(&s);
}

TEST(what_is_settled_waits_for_the_leaders_own_state_machine)
{
    struct solo *s = leader();
    struct zab_event applied = { .kind = ZAB_APPLIED, .zxid = zab_zxid(1, 9) };

    run(s, 1500, zab_zxid(1, 0));
    solo_propose(s, "a");
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 1));
    solo_step(s, &applied); /* it was never delivered */
    run(s, 200, zab_zxid(1, 1));
    CHECK_INT(zab_zxid(1, 0), solo_state(s).settled);
    applied.zxid = zab_zxid(1, 1);
    solo_step(s, &applied);
    CHECK_INT(zab_zxid(1, 1), solo_effect(s, ZAB_SETTLED)->zxid);
    solo_forget(s);
    solo_step(s, &applied);
    CHECK_INT(0, solo_count(s, ZAB_SETTLED));
    solo_free(&s);
}

/* --- a learner */

static void ping(struct solo *s, uint64_t stamp_ms, uint32_t lease_ms, uint64_t settled)
{
    struct zab_frame f = { .type = ZAB_PING };

    f.ping.leader_ms = 5;
    f.ping.stamp_ms = stamp_ms;
    f.ping.lease_ms = lease_ms;
    f.ping.commit = zab_zxid(1, 0);
    f.ping.settled = settled;
    solo_frame(s, 3, f);
}

TEST(a_learner_answers_pings_with_its_clock_and_what_it_has_applied)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_ask(s, 3);
    solo_promise(s, 1);
    ping(s, 0, 0, 0);
    CHECK_INT(5, solo_sent(s, 3, ZAB_PONG)->pong.leader_ms);
    CHECK_INT(s->now_ms, solo_sent(s, 3, ZAB_PONG)->pong.stamp_ms);
    CHECK_INT(0, solo_sent(s, 3, ZAB_PONG)->pong.applied);
    ping(s, s->now_ms, 1000, 7); /* it is not up to date */
    CHECK_INT(0, solo_state(s).lease_until_ms);
    CHECK_INT(0, solo_state(s).settled);
    solo_free(&s);
}

TEST(a_learners_lease_runs_from_its_stamp_and_never_becomes_shorter)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_follow(s, 3, 1);
    ping(s, s->now_ms - 100, 400, 0);
    CHECK_INT(s->now_ms + 300, solo_effect(s, ZAB_LEASE)->zxid);
    CHECK_INT(s->now_ms + 300, solo_state(s).lease_until_ms);
    solo_forget(s);
    ping(s, s->now_ms - 200, 400, 0);
    ping(s, s->now_ms + 1, 400, 0); /* of a clock that is not ours */
    ping(s, s->now_ms, 1001, 0);    /* more than there is */
    ping(s, s->now_ms, 0, 0);
    ping(s, 0, 1000, 0);
    CHECK_TRUE(solo_effect(s, ZAB_LEASE) == NULL);
    CHECK_INT(s->now_ms + 300, solo_state(s).lease_until_ms);
    solo_free(&s);
}

TEST(what_is_settled_reaches_the_learners_and_never_goes_back)
{
    struct solo *s = solo_new(1, 3, NULL);

    solo_follow(s, 3, 1);
    ping(s, 0, 0, 5);
    CHECK_INT(5, solo_effect(s, ZAB_SETTLED)->zxid);
    ping(s, 0, 0, 4);
    ping(s, 0, 0, 5);
    CHECK_INT(1, solo_count(s, ZAB_SETTLED));
    CHECK_INT(5, solo_state(s).settled);
    solo_free(&s);
}

/* --- all of them */

TEST(all_nodes_have_leases_and_settle_what_all_have_applied)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_run_ms(r, 2000);
    for (uint16_t id = 1; id <= 3; id++) {
        CHECK_TRUE(rig_state(r, id).lease_until_ms > rig_now_ms(r));
        CHECK_INT(zab_zxid(1, 1), rig_state(r, id).settled);
    }
    rig_free(&r);
}

TEST(a_state_machine_that_stands_still_loses_its_lease_and_then_holds_nobody_up)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_run_ms(r, 2000);
    rig_hold_apply(r, 1, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_run_ms(r, 500);
    CHECK_INT(zab_zxid(1, 0), rig_state(r, 3).settled);
    rig_run_ms(r, 1500);
    CHECK_TRUE(rig_state(r, 1).lease_until_ms < rig_now_ms(r));
    CHECK_INT(zab_zxid(1, 1), rig_state(r, 3).settled);
    CHECK_TRUE(rig_state(r, 2).lease_until_ms > rig_now_ms(r));
    rig_hold_apply(r, 1, false);
    rig_run_ms(r, 300);
    CHECK_TRUE(rig_state(r, 1).lease_until_ms > rig_now_ms(r));
    rig_free(&r);
}

TEST(a_leader_that_is_cut_off_has_no_lease_when_the_next_one_settles)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_run_ms(r, 2000);
    rig_cut(r, 3, true);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    for (int i = 0; i < 300 && rig_state(r, 2).settled < zab_zxid(2, 1); i++) rig_run_ms(r, 10);
    CHECK_INT(zab_zxid(2, 1), rig_state(r, 2).settled);
    CHECK_TRUE(rig_state(r, 3).lease_until_ms < rig_now_ms(r));
    rig_free(&r);
}
