/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/zab_rig.h"
#include "unit/zab_solo.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_TEXT(want, got) assert_string_equal(got, want)

/* --- their bytes */

static struct zab_members some_members(void)
{
    return (struct zab_members){ .version = zab_zxid(3, 77),
                                 .count = 3,
                                 .at = { { .id = 1, .role = ZAB_VOTER, .address = "a:1:2" },
                                         { .id = 7, .role = ZAB_OBSERVER, .address = "" },
                                         { .id = 65535, .role = ZAB_VOTER, .address = "host" } } };
}

/* In a block of the heap that ends where they do. */
static bool decode_exact(const uint8_t *bytes, size_t len, struct zab_members *out)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);

    memcpy(exact, bytes, len);
    bool ok = zab_members_decode(bytes_of(exact, len), out);
    free(exact);
    return ok;
}

TEST(members_come_back_from_their_bytes)
{
    struct zab_members m = some_members(), back;
    uint8_t bytes[ZAB_MEMBERS_BYTES_MAX];
    uint32_t len = zab_members_encode(&m, bytes, sizeof bytes);

    CHECK_INT(9 + 3 * 4 + 5 + 4, len);
    CHECK_TRUE(decode_exact(bytes, len, &back));
    CHECK_TRUE(memcmp(&m, &back, sizeof m) == 0);
}

TEST(as_many_members_as_there_may_be_with_the_longest_addresses_come_back)
{
    struct zab_members m = { .count = ZAB_NODES_MAX }, back;
    uint8_t bytes[ZAB_MEMBERS_BYTES_MAX];

    for (uint32_t i = 0; i < ZAB_NODES_MAX; i++) {
        m.at[i].id = (uint16_t)(i + 1);
        m.at[i].role = i % 2 == 0 ? ZAB_VOTER : ZAB_OBSERVER;
        memset(m.at[i].address, 'a', ZAB_ADDRESS_BYTES - 1);
    }
    CHECK_TRUE(zab_members_are_valid(&m));
    uint32_t len = zab_members_encode(&m, bytes, sizeof bytes);
    CHECK_TRUE(decode_exact(bytes, len, &back));
    CHECK_TRUE(memcmp(&m, &back, sizeof m) == 0);
}

TEST(members_that_have_no_room_are_not_written)
{
    struct zab_members m = some_members();
    uint8_t bytes[64];
    uint32_t len = zab_members_encode(&m, bytes, sizeof bytes);

    for (uint32_t size = 0; size < len; size++) CHECK_INT(0, zab_members_encode(&m, bytes, size));
    CHECK_INT(len, zab_members_encode(&m, bytes, len));
}

TEST(members_that_are_cut_or_too_long_are_not_read)
{
    struct zab_members m = some_members(), back;
    uint8_t bytes[64] = { 0 };
    uint32_t len = zab_members_encode(&m, bytes, sizeof bytes);

    for (uint32_t cut = 0; cut < len; cut++) CHECK_TRUE(!decode_exact(bytes, cut, &back));
    CHECK_TRUE(!decode_exact(bytes, len + 1, &back));
}

TEST(bytes_of_members_that_there_cannot_be_are_not_read)
{
    static const struct {
        uint32_t at;
        uint8_t value;
    } wrong[] = {
        { 8, 0 }, /* nobody, and bytes behind */
        { 8, 2 }, /* bytes behind */
        { 8, ZAB_NODES_MAX + 1 },
        { 10, 0 }, /* id 0 */
        { 10, 8 }, /* above the next one */
        { 11, 0 }, /* no role */
        { 11, 3 },
        { 13, 0 }, /* a NUL in an address */
    };
    struct zab_members m = some_members(), back;
    uint8_t bytes[64];
    uint32_t len = zab_members_encode(&m, bytes, sizeof bytes);

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t good = bytes[wrong[i].at];
        bytes[wrong[i].at] = wrong[i].value;
        CHECK_TRUE(!decode_exact(bytes, len, &back));
        bytes[wrong[i].at] = good;
    }
    CHECK_TRUE(decode_exact(bytes, len, &back));
}

TEST(members_are_valid_with_a_voter_ascending_ids_and_addresses_that_end)
{
    struct zab_members good = some_members(), bad;

    CHECK_TRUE(zab_members_are_valid(&good));
    bad = good, bad.count = 0;
    CHECK_TRUE(!zab_members_are_valid(&bad));
    bad = good, bad.count = ZAB_NODES_MAX + 1;
    CHECK_TRUE(!zab_members_are_valid(&bad));
    bad = good, bad.at[0].id = 0;
    CHECK_TRUE(!zab_members_are_valid(&bad));
    bad = good, bad.at[1].id = 1;
    CHECK_TRUE(!zab_members_are_valid(&bad));
    bad = good, bad.at[0].role = 0;
    CHECK_TRUE(!zab_members_are_valid(&bad));
    bad = good, bad.at[0].role = bad.at[2].role = ZAB_OBSERVER;
    CHECK_TRUE(!zab_members_are_valid(&bad));
    bad = good, memset(bad.at[0].address, 'a', ZAB_ADDRESS_BYTES);
    CHECK_TRUE(!zab_members_are_valid(&bad));
}

/* --- changes */

static void add_node(struct rig *r, uint16_t leader, uint16_t id)
{
    rig_join(r, id);
    CHECK_INT(leader, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_reconfig(r, leader, ZAB_ADD, id, ZAB_OBSERVER));
    rig_settle(r);
}

TEST(a_node_that_is_in_no_list_follows_as_an_observer)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_join(r, 4);
    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OBSERVING, rig_state(r, 4).role);
    rig_run_ms(r, 100);
    CHECK_TEXT("a", rig_delivered(r, 4));
    CHECK_TRUE(!rig_state(r, 4).is_voter);
    CHECK_INT(0, rig_state(r, 4).lease_until_ms);
    rig_free(&r);
}

TEST(a_node_is_added_as_an_observer_and_becomes_a_voter)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    add_node(r, 3, 4);
    for (uint16_t id = 1; id <= 4; id++) CHECK_INT(4, zab_members(rig_zab(r, id))->count);
    CHECK_TRUE(!rig_state(r, 4).is_voter);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_SET_ROLE, 4, ZAB_VOTER));
    rig_settle(r);
    for (uint16_t id = 1; id <= 4; id++) CHECK_INT(rig_state(r, 3).last, rig_state(r, id).members_version);
    CHECK_TRUE(rig_state(r, 4).is_voter);
    rig_crash(r, 1);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_settle(r);
    CHECK_TEXT("a", rig_delivered(r, 3)); /* three of four */
    rig_crash(r, 2);
    rig_run_ms(r, 3000);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 3).role); /* two of four */
    rig_restart(r, 2);
    CHECK_INT(4, rig_leader(r));
    rig_free(&r);
}

TEST(who_comes_late_counts_a_voter_that_was_an_observer)
{
    struct rig *r = rig_new(2, NULL);

    CHECK_INT(2, rig_leader(r));
    add_node(r, 2, 3);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 2, ZAB_SET_ROLE, 3, ZAB_VOTER));
    rig_settle(r);
    CHECK_INT(ZAB_FOLLOWING, rig_state(r, 3).role);
    rig_run_ms(r, 100);
    rig_snapshot(r, 1); /* so that it knows that the change is committed */
    rig_crash(r, 1);
    rig_run_ms(r, 1000);
    CHECK_INT(ZAB_LEADING, rig_state(r, 2).role);
    rig_restart(r, 1);
    uint64_t from = rig_now_ms(r);
    CHECK_INT(2, rig_leader(r));
    CHECK_TRUE(rig_now_ms(r) - from < 900);
    rig_free(&r);
}

TEST(a_node_that_is_to_vote_must_have_caught_up)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_NOT_SYNCED, rig_reconfig(r, 3, ZAB_ADD, 4, ZAB_VOTER));
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_ADD, 4, ZAB_OBSERVER));
    rig_settle(r);
    CHECK_INT(ZAB_NOT_SYNCED, rig_reconfig(r, 3, ZAB_SET_ROLE, 4, ZAB_VOTER));
    rig_join(r, 4);
    CHECK_INT(3, rig_leader(r));
    rig_hold_disk(r, 4, true);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_settle(r);
    CHECK_INT(ZAB_NOT_SYNCED, rig_reconfig(r, 3, ZAB_SET_ROLE, 4, ZAB_VOTER));
    rig_hold_disk(r, 4, false);
    rig_settle(r);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_SET_ROLE, 4, ZAB_VOTER));
    rig_free(&r);
}

TEST(a_change_that_the_members_that_are_here_could_not_commit_is_refused)
{
    struct rig *r = rig_new(5, NULL);

    CHECK_INT(5, rig_leader(r));
    rig_crash(r, 1);
    rig_crash(r, 2);
    rig_run_ms(r, 100);
    CHECK_INT(ZAB_NOT_SYNCED, rig_reconfig(r, 5, ZAB_REMOVE, 3, 0)); /* two of four are here */
    CHECK_INT(ZAB_OK, rig_reconfig(r, 5, ZAB_REMOVE, 1, 0));
    rig_settle(r);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 5, ZAB_REMOVE, 2, 0));
    rig_settle(r);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 5, ZAB_REMOVE, 3, 0));
    rig_settle(r);
    CHECK_INT(2, zab_members(rig_zab(r, 5))->count);
    rig_free(&r);
}

TEST(changes_come_one_at_a_time)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_hold_disk(r, 1, true);
    rig_hold_disk(r, 2, true);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_ADD, 4, ZAB_OBSERVER));
    CHECK_INT(ZAB_PENDING, rig_reconfig(r, 3, ZAB_ADD, 5, ZAB_OBSERVER));
    rig_hold_disk(r, 1, false);
    rig_settle(r);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_ADD, 5, ZAB_OBSERVER));
    rig_free(&r);
}

TEST(a_change_that_changes_nothing_or_leaves_no_voter_is_refused)
{
    struct rig *r = rig_new(1, NULL);

    CHECK_INT(ZAB_NOT_LEADER, rig_reconfig(r, 1, ZAB_ADD, 2, ZAB_OBSERVER));
    CHECK_INT(1, rig_leader(r));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_ADD, 1, ZAB_VOTER));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_REMOVE, 2, 0));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_SET_ROLE, 2, ZAB_VOTER));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_SET_ROLE, 1, ZAB_VOTER));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_SET_ROLE, 1, ZAB_OBSERVER));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_REMOVE, 1, 0));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, 9, 1, ZAB_VOTER));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_ADD, 2, 9));
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_ADD, 0, ZAB_OBSERVER));
    for (uint16_t id = 2; id <= ZAB_NODES_MAX; id++) {
        CHECK_INT(ZAB_OK, rig_reconfig(r, 1, ZAB_ADD, id, ZAB_OBSERVER));
        rig_settle(r);
    }
    CHECK_INT(ZAB_NO_SUCH_CHANGE, rig_reconfig(r, 1, ZAB_ADD, 99, ZAB_OBSERVER));
    rig_free(&r);
}

TEST(a_change_that_has_no_room_is_refused)
{
    struct zab_conf conf = { .window_entries = 4 };
    struct rig *r = rig_new(2, &conf);

    CHECK_INT(2, rig_leader(r));
    rig_hold_disk(r, 1, true);
    while (rig_propose(r, 2, "a") == ZAB_OK) rig_settle(r);
    CHECK_INT(ZAB_FULL, rig_reconfig(r, 2, ZAB_ADD, 3, ZAB_OBSERVER));
    CHECK_INT(2, zab_members(rig_zab(r, 2))->count);
    rig_free(&r);
}

TEST(a_removed_node_is_not_needed_any_more)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_REMOVE, 1, 0));
    rig_settle(r);
    rig_crash(r, 1);
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_settle(r);
    CHECK_TEXT("a", rig_delivered(r, 3));
    rig_crash(r, 2);
    rig_run_ms(r, 3000);
    CHECK_INT(ZAB_LOOKING, rig_state(r, 3).role);
    rig_free(&r);
}

TEST(a_leader_that_is_removed_steps_down_when_that_is_committed)
{
    for (int is_demoted = 0; is_demoted < 2; is_demoted++) {
        struct rig *r = rig_new(3, NULL);
        CHECK_INT(3, rig_leader(r));
        CHECK_INT(ZAB_OK, is_demoted ? rig_reconfig(r, 3, ZAB_SET_ROLE, 3, ZAB_OBSERVER)
                                     : rig_reconfig(r, 3, ZAB_REMOVE, 3, 0));
        rig_settle(r);
        CHECK_INT(ZAB_LOOKING, rig_state(r, 3).role);
        uint64_t version = rig_state(r, 3).members_version;
        CHECK_TRUE(rig_state(r, 3).delivered >= version);
        CHECK_INT(2, rig_leader(r));
        CHECK_INT(version, rig_state(r, 1).members_version);
        CHECK_INT(ZAB_OBSERVING, rig_state(r, 3).role);
        CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
        rig_settle(r);
        CHECK_TEXT("a", rig_delivered(r, 1));
        rig_free(&r);
    }
}

TEST(a_change_that_is_truncated_brings_the_old_members_back)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    rig_mute(r, 3, true);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_ADD, 4, ZAB_OBSERVER));
    rig_settle(r);
    CHECK_INT(4, zab_members(rig_zab(r, 3))->count);
    rig_crash(r, 3);
    rig_mute(r, 3, false);
    CHECK_INT(2, rig_leader(r));
    rig_restart(r, 3);
    CHECK_INT(4, zab_members(rig_zab(r, 3))->count);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(3, zab_members(rig_zab(r, 3))->count);
    CHECK_INT(0, rig_state(r, 3).members_version);
    rig_free(&r);
}

TEST(a_change_needs_a_quorum_of_the_old_members_too)
{
    struct rig *r = rig_new(4, NULL);

    CHECK_INT(4, rig_leader(r));
    rig_hold_disk(r, 1, true);
    rig_hold_disk(r, 2, true);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 4, ZAB_REMOVE, 1, 0));
    CHECK_INT(ZAB_OK, rig_propose(r, 4, "a"));
    rig_settle(r);
    CHECK_TEXT("", rig_delivered(r, 4)); /* two of three, but two of four */
    rig_hold_disk(r, 1, false);
    rig_settle(r);
    CHECK_TEXT("a", rig_delivered(r, 4)); /* three of four */
    rig_free(&r);
}

/* 4 of the old members have the change, and 2 of the new ones what is behind it. */
TEST(what_is_behind_a_change_is_committed_with_it_when_the_new_members_have_it)
{
    struct zab_conf conf = { .members = { .count = 4 } };

    for (uint16_t i = 0; i < 4; i++)
        conf.members.at[i] = (struct zab_member){ .id = (uint16_t)(i + 1), .role = ZAB_VOTER };
    struct solo *s = solo_new(4, 4, &conf);
    struct zab_note vote = { .leader = 4, .round = 2000 };
    struct zab_event change = { .kind = ZAB_RECONFIG };

    for (uint16_t id = 1; id <= 2; id++) solo_up(s, id);
    for (uint16_t id = 1; id <= 2; id++) solo_note(s, id, vote);
    for (uint16_t id = 1; id <= 2; id++) solo_info(s, id);
    solo_stored(s);
    s->epoch = 1;
    for (uint16_t id = 1; id <= 2; id++) solo_ack_epoch(s, id, 0, 0);
    solo_stored(s);
    for (uint16_t id = 1; id <= 2; id++) solo_zxid(s, id, ZAB_ACK_NEWLEADER, zab_zxid(1, 0));
    CHECK_TRUE(solo_state(s).is_established);
    change.reconfig.change = ZAB_REMOVE;
    change.reconfig.member.id = 3;
    solo_step(s, &change);
    CHECK_INT(ZAB_OK, solo_effect(s, ZAB_ACCEPTED)->why);
    CHECK_INT(ZAB_OK, solo_propose(s, "a"));
    solo_stored(s);
    solo_zxid(s, 1, ZAB_ACK, zab_zxid(1, 2));
    CHECK_INT(zab_zxid(1, 0), solo_state(s).committed);
    solo_zxid(s, 2, ZAB_ACK, zab_zxid(1, 1));
    CHECK_INT(zab_zxid(1, 2), solo_state(s).committed);
    solo_free(&s);
}

TEST(members_survive_a_snapshot_and_a_purge)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    add_node(r, 3, 4);
    for (uint16_t id = 1; id <= 4; id++) rig_snapshot(r, id);
    for (uint16_t id = 1; id <= 4; id++) rig_crash(r, id);
    for (uint16_t id = 1; id <= 4; id++) rig_restart(r, id);
    CHECK_INT(3, rig_leader(r));
    for (uint16_t id = 1; id <= 4; id++) CHECK_INT(4, zab_members(rig_zab(r, id))->count);
    rig_join(r, 5); /* it gets them with a snapshot */
    CHECK_INT(3, rig_leader(r));
    CHECK_INT(4, zab_members(rig_zab(r, 5))->count);
    rig_free(&r);
}

TEST(a_checkpoint_before_a_change_that_is_not_committed_has_the_old_members)
{
    struct rig *r = rig_new(3, NULL);

    CHECK_INT(3, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_propose(r, 3, "a"));
    rig_settle(r);
    rig_mute(r, 3, true);
    CHECK_INT(ZAB_OK, rig_reconfig(r, 3, ZAB_ADD, 4, ZAB_OBSERVER));
    rig_snapshot(r, 3);
    rig_crash(r, 3);
    rig_mute(r, 3, false);
    CHECK_INT(2, rig_leader(r));
    rig_restart(r, 3);
    CHECK_INT(4, zab_members(rig_zab(r, 3))->count);
    CHECK_INT(2, rig_leader(r));
    CHECK_INT(3, zab_members(rig_zab(r, 3))->count);
    CHECK_TEXT("a", rig_delivered(r, 3));
    rig_free(&r);
}

TEST(two_voters_become_one_and_it_goes_on_alone)
{
    struct rig *r = rig_new(2, NULL);

    CHECK_INT(2, rig_leader(r));
    CHECK_INT(ZAB_OK, rig_reconfig(r, 2, ZAB_REMOVE, 1, 0));
    rig_settle(r);
    rig_crash(r, 1);
    CHECK_INT(ZAB_OK, rig_propose(r, 2, "a"));
    rig_settle(r);
    CHECK_TEXT("a", rig_delivered(r, 2));
    rig_crash(r, 2);
    rig_restart(r, 2);
    rig_restart(r, 1);
    CHECK_INT(2, rig_leader(r));
    CHECK_TEXT("a", rig_delivered(r, 1));
    rig_free(&r);
}
