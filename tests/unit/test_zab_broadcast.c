/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_rig.h"
#include <stdlib.h>
#include <string.h>

#define CHECK_TEXT(want, got) assert_string_equal(got, want)

/* Nodes 1 and 2; 2 will lead, and each needs the other. */
static struct rig *pair(const struct zab_conf *conf)
{
    struct rig *r = rig_new(2, conf);

    CHECK_INT(2, rig_leader(r));
    for (uint8_t type = ZAB_FOLLOWERINFO; type <= ZAB_PONG; type++) (void)rig_frames(r, 2, type);
    return r;
}

static enum zab_why propose_bytes(struct rig *r, uint16_t id, size_t len, uint32_t commands)
{
    struct zab_event e = { .kind = ZAB_PROPOSE };
    uint8_t *bytes = calloc(1, len + 1);

    e.propose.commands = commands;
    e.propose.payload = bytes_of(bytes, len);
    rig_event(r, id, &e);
    free(bytes);
    return (enum zab_why)rig_last(r, id, ZAB_ACCEPTED)->why;
}

/* --- nothing is promised that is not durable */

TEST(a_learner_acknowledges_what_is_durable_and_nothing_else)
{
    struct rig *r = pair(NULL);

    rig_hold_disk(r, 1, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_run_ms(r, 200);
    CHECK_INT(0, rig_frames(r, 2, ZAB_ACK));
    CHECK_TRUE(rig_state(r, 1).stored < rig_state(r, 1).last);
    CHECK_TEXT("", rig_delivered(r, 2));
    rig_hold_disk(r, 1, false);
    rig_settle(r);
    CHECK_INT(1, rig_frames(r, 2, ZAB_ACK));
    CHECK_TEXT("a", rig_delivered(r, 2));
    CHECK_TEXT("a", rig_delivered(r, 1));
    rig_free(&r);
}

TEST(one_acknowledgement_is_for_all_that_one_sync_made_durable)
{
    struct rig *r = pair(NULL);

    rig_hold_disk(r, 1, true);
    for (int i = 0; i < 10; i++) CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_settle(r);
    rig_hold_disk(r, 1, false);
    rig_settle(r);
    CHECK_INT(1, rig_frames(r, 2, ZAB_ACK));
    CHECK_INT(rig_state(r, 2).last, rig_state(r, 2).delivered);
    rig_free(&r);
}

TEST(a_leader_counts_itself_only_for_what_is_durable)
{
    struct rig *r = pair(NULL);

    rig_hold_disk(r, 2, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_run_ms(r, 200);
    CHECK_INT(1, rig_frames(r, 2, ZAB_ACK));
    CHECK_TEXT("", rig_delivered(r, 2));
    CHECK_TEXT("", rig_delivered(r, 1));
    rig_hold_disk(r, 2, false);
    rig_settle(r);
    CHECK_TEXT("a", rig_delivered(r, 2));
    rig_free(&r);
}

TEST(what_is_committed_is_delivered_when_it_is_durable_here)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_hold_disk(r, 1, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_run_ms(r, 100);
    CHECK_TEXT("a", rig_delivered(r, 3));
    CHECK_TEXT("", rig_delivered(r, 1));
    CHECK_INT(rig_state(r, 3).committed, rig_state(r, 1).committed);
    rig_hold_disk(r, 1, false);
    rig_settle(r);
    CHECK_TEXT("a", rig_delivered(r, 1));
    rig_free(&r);
}

/* ACCEPTED, EPOCH_START, CURRENT: each lets one promise through. */
TEST(a_learner_makes_each_promise_of_discovery_when_it_is_durable)
{
    static const uint32_t promises[][2] = { { 0, 0 }, { 1, 0 }, { 1, 0 }, { 1, 1 } };

    for (uint32_t stores = 0; stores < 4; stores++) {
        struct rig *r = rig_new(2, NULL);
        rig_hold_disk_after(r, 1, stores);
        rig_run_ms(r, 400);
        CHECK_TRUE(rig_frames(r, 1, ZAB_LEADERINFO) == 1);
        CHECK_INT(promises[stores][0], rig_frames(r, 2, ZAB_ACKEPOCH));
        CHECK_INT(promises[stores][1], rig_frames(r, 2, ZAB_ACK_NEWLEADER));
        CHECK_INT(stores == 3, rig_state(r, 2).is_established);
        rig_free(&r);
    }
}

/* ACCEPTED, CURRENT, EPOCH_START */
TEST(a_leader_makes_each_promise_of_discovery_when_it_is_durable)
{
    for (uint32_t stores = 0; stores < 4; stores++) {
        struct rig *r = rig_new(2, NULL);
        rig_hold_disk_after(r, 2, stores);
        rig_run_ms(r, 400);
        CHECK_INT(stores >= 1, rig_frames(r, 1, ZAB_LEADERINFO));
        CHECK_INT(stores == 3, rig_frames(r, 1, ZAB_UPTODATE));
        CHECK_INT(stores == 3, rig_state(r, 2).is_established);
        rig_free(&r);
    }
}

TEST(a_leader_whose_first_promise_is_not_durable_in_time_begins_anew)
{
    struct rig *r = rig_new(2, NULL);

    rig_hold_disk(r, 2, true);
    rig_run_ms(r, 2000);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 2).role);
    rig_hold_disk(r, 2, false);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(2, rig_state(r, 2).current);
    rig_free(&r);
}

TEST(a_leader_whose_followers_promise_nothing_in_time_begins_anew)
{
    struct zab_conf conf = { .init_ticks = 10 };
    struct rig *r = rig_new(2, &conf);

    rig_hold_disk(r, 1, true);
    rig_run_ms(r, 3000);
    CHECK_TRUE(rig_effects(r, 2, ZAB_ROLE) > 2);
    CHECK_TRUE(!rig_state(r, 2).is_established);
    rig_hold_disk(r, 1, false);
    CHECK_INT(2, rig_leader(r));
    rig_free(&r);
}

TEST(a_follower_whose_disk_does_not_answer_loses_its_session)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    uint64_t session = rig_session(r, 1, 3);
    rig_hold_disk(r, 1, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_run_ms(r, 1000);
    CHECK_TRUE(session != rig_session(r, 1, 3));
    CHECK_INT(ZAB_LOOKING, rig_state(r, 1).role);
    CHECK_INT(ZAB_LEADING, rig_state(r, 3).role);
    rig_hold_disk(r, 1, false);
    CHECK_INT(3, rig_leader(r));
    CHECK_TEXT("a", rig_delivered(r, 1));
    rig_free(&r);
}

/* --- what is refused */

TEST(only_an_established_leader_takes_proposals)
{
    struct rig *r = rig_new(2, NULL);

    CHECK_INT(ZAB_NOT_LEADER, rig_propose(r, 2, "a"));
    rig_hold_disk_after(r, 1, 1);
    rig_run_ms(r, 300);
    CHECK_INT(ZAB_LEADING, rig_state(r, 2).role);
    CHECK_INT(ZAB_NOT_LEADER, rig_propose(r, 2, "a"));
    rig_hold_disk(r, 1, false);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(ZAB_NOT_LEADER, rig_propose(r, 1, "a"));
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_free(&r);
}

TEST(what_is_accepted_has_its_positions)
{
    struct rig *r = pair(NULL);

    CHECK_INT(ZAB_OK, propose_bytes(r, 2, 10, 5));
    CHECK_INT(zab_zxid(1, 1), rig_last(r, 2, ZAB_ACCEPTED)->entry.first);
    CHECK_INT(zab_zxid(1, 5), rig_last(r, 2, ZAB_ACCEPTED)->entry.last);
    CHECK_INT(ZAB_OK, propose_bytes(r, 2, 0, 1));
    CHECK_INT(zab_zxid(1, 6), rig_last(r, 2, ZAB_ACCEPTED)->entry.first);
    CHECK_INT(zab_zxid(1, 6), rig_last(r, 2, ZAB_ACCEPTED)->entry.last);
    rig_settle(r);
    CHECK_INT(zab_zxid(1, 6), rig_state(r, 1).delivered);
    rig_free(&r);
}

TEST(a_proposal_that_is_too_large_or_has_no_command_is_refused)
{
    struct zab_conf conf = { .window_bytes = 64 * 1024 };
    struct rig *r = pair(&conf);

    CHECK_INT(ZAB_TOO_LARGE, propose_bytes(r, 2, 16 * 1024 + 1, 1));
    CHECK_INT(ZAB_OK, propose_bytes(r, 2, 16 * 1024, 1));
    CHECK_INT(ZAB_TOO_LARGE, propose_bytes(r, 2, 1, 0));
    rig_free(&r);
    r = pair(NULL);
    CHECK_INT(ZAB_TOO_LARGE, propose_bytes(r, 2, ZAB_PAYLOAD_BYTES_MAX + 1, 1));
    CHECK_INT(ZAB_OK, propose_bytes(r, 2, ZAB_PAYLOAD_BYTES_MAX, 1));
    rig_settle(r);
    CHECK_INT(zab_zxid(1, 1), rig_state(r, 1).delivered);
    rig_free(&r);
}

TEST(a_window_of_entries_that_are_not_committed_is_full)
{
    struct zab_conf conf = { .window_entries = 8 };
    struct rig *r = pair(&conf);

    rig_hold_disk(r, 1, true);
    uint32_t count = 0;
    while (rig_propose(r, 2, "a") == ZAB_OK) {
        rig_settle(r);
        CHECK_TRUE(++count <= 8);
    }
    CHECK_INT(8, count);
    CHECK_INT(ZAB_FULL, rig_last(r, 2, ZAB_ACCEPTED)->why);
    rig_hold_disk(r, 1, false);
    rig_settle(r);
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_settle(r);
    CHECK_INT(rig_state(r, 2).last, rig_state(r, 1).delivered);
    rig_free(&r);
}

TEST(a_window_of_bytes_that_are_not_committed_is_full_wherever_it_begins)
{
    struct zab_conf conf = { .window_bytes = 64 * 1024 };
    struct rig *r = pair(&conf);

    for (size_t len = 3000; len <= 16 * 1024; len += 777) {
        uint32_t count = 0;
        rig_hold_disk(r, 1, true);
        while (propose_bytes(r, 2, len, 1) == ZAB_OK) {
            rig_settle(r);
            CHECK_TRUE(++count * len <= 64 * 1024);
        }
        CHECK_TRUE((count + 2) * len > 64 * 1024);
        rig_hold_disk(r, 1, false);
        rig_settle(r);
        CHECK_INT(rig_state(r, 2).last, rig_state(r, 1).delivered);
    }
    rig_free(&r);
}

/* --- the end of a counter, and of epochs */

TEST(a_counter_that_is_used_up_ends_its_epoch_and_another_begins)
{
    struct zab_conf conf = { .counter_max = 3 };
    struct rig *r = pair(&conf);

    CHECK_INT(ZAB_COUNTER_ENDS, propose_bytes(r, 2, 1, 4));
    CHECK_INT(ZAB_LOOKING, rig_state(r, 2).role);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(2, rig_state(r, 2).current);
    CHECK_INT(ZAB_OK, propose_bytes(r, 2, 1, 3));
    CHECK_INT(ZAB_COUNTER_ENDS, rig_propose(r, 2, "b"));
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "c"));
    rig_settle(r);
    CHECK_INT(zab_zxid(3, 1), rig_state(r, 2).delivered);
    CHECK_INT(zab_zxid(3, 1), rig_state(r, 1).last);
    rig_free(&r);
}

TEST(a_change_of_the_members_at_the_end_of_a_counter_begins_another_epoch_too)
{
    struct zab_conf conf = { .counter_max = 1 };
    struct rig *r = pair(&conf);

    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_settle(r);
    CHECK_INT(ZAB_COUNTER_ENDS, rig_reconfig(r, 2, ZAB_ADD, 3, ZAB_OBSERVER));
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(2, rig_state(r, 2).current);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 2, ZAB_ADD, 3, ZAB_OBSERVER));
    rig_free(&r);
}

TEST(when_all_epochs_are_used_up_a_node_halts)
{
    struct zab_conf conf = { .id = 1, .members = { .count = 1, .at = { { .id = 1, .role = ZAB_VOTER } } } };
    struct zab_record accepted = { .kind = ZAB_RECORD_ACCEPTED, .epoch = ZAB_EPOCH_MAX, .leader = 1 };
    struct zab_event tick = { .kind = ZAB_TICK };
    struct zab_effects *out = calloc(1, sizeof *out);
    struct zab *z;
    const char *halted = NULL;

    CHECK_INT(ERR_OK, zab_new(&z, &conf));
    CHECK_INT(ERR_OK, zab_restore(z, &accepted));
    CHECK_INT(ERR_OK, zab_start(z, 0, out));
    for (tick.now_ms = 10; tick.now_ms < 1000 && halted == NULL; tick.now_ms += 10) {
        zab_step(z, &tick, out);
        for (uint32_t i = 0; i < out->count; i++)
            if (out->at[i].kind == ZAB_HALT) halted = out->at[i].text;
    }
    CHECK_TRUE(halted != NULL && strstr(halted, "epochs") != NULL);
    zab_step(z, &tick, out);
    CHECK_INT(0, out->count);
    zab_free(&z);
    free(out);
}

/* --- many entries, one step */

TEST(what_does_not_fit_into_one_step_comes_with_the_next)
{
    struct rig *r = pair(NULL);

    rig_hold_disk(r, 1, true);
    for (int i = 0; i < 400; i++) CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_settle(r);
    CHECK_INT(0, rig_state(r, 2).delivered - zab_zxid(1, 0));
    rig_hold_disk(r, 1, false);
    rig_settle(r);
    CHECK_INT(zab_zxid(1, 400), rig_state(r, 2).delivered);
    rig_run_ms(r, 60);
    CHECK_INT(zab_zxid(1, 400), rig_state(r, 1).delivered);
    rig_free(&r);
}

TEST(a_log_that_is_far_longer_than_the_window_is_delivered_from_disk)
{
    struct zab_conf conf = { .window_entries = 2 };
    struct rig *r = pair(&conf);

    for (int i = 0; i < 300; i++) {
        CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
        rig_settle(r);
    }
    rig_crash(r, 1);
    rig_crash(r, 2);
    rig_restart(r, 1);
    rig_restart(r, 2);
    (void)rig_leader(r);
    rig_run_ms(r, 100);
    CHECK_INT(zab_zxid(2, 0), rig_state(r, 1).delivered);
    CHECK_INT(zab_zxid(2, 0), rig_state(r, 2).delivered);
    CHECK_INT(300 * 2 - 1, strlen(rig_delivered(r, 1)));
    rig_free(&r);
}
