/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "zab/zab.h"
#include <stdlib.h>
#include <string.h>

static struct zab_members members_of(uint32_t count, uint64_t version)
{
    struct zab_members m = { .version = version, .count = count };

    for (uint32_t i = 0; i < count; i++)
        m.at[i] = (struct zab_member){ .id = (uint16_t)(i + 1), .role = ZAB_VOTER, .address = "n" };
    return m;
}

static struct zab_conf conf_of(uint32_t count)
{
    return (struct zab_conf){ .id = 1, .members = members_of(count, 0) };
}

static struct zab *born(uint64_t applied)
{
    struct zab_conf conf = conf_of(3);
    struct zab *z;

    conf.applied = applied;
    CHECK_INT(ERR_OK, zab_new(&z, &conf));
    return z;
}

static struct zab_state state_of(const struct zab *z)
{
    struct zab_state s;

    zab_state(z, &s);
    return s;
}

static enum err start(struct zab *z)
{
    struct zab_effects *out = calloc(1, sizeof *out);
    enum err rc = zab_start(z, 1000, out);

    free(out);
    return rc;
}

static enum err entry(struct zab *z, uint64_t prev, uint64_t first, uint64_t last)
{
    struct zab_record r = { .kind = ZAB_RECORD_ENTRY };
    bool is_start = zab_counter_of(first) == 0;

    r.entry =
        (struct zab_entry){ first, last, prev, is_start ? ZAB_EPOCH_START : ZAB_DATA, bytes_of("x", 1) };
    return zab_restore(z, &r);
}

/* Counters from to to, one entry each, and the beginning of the epoch when from is 0. */
static uint64_t entries(struct zab *z, uint64_t prev, uint32_t epoch, uint64_t from, uint64_t to)
{
    for (uint64_t counter = from; counter <= to; counter++) {
        uint64_t zxid = zab_zxid(epoch, counter);
        CHECK_INT(ERR_OK, entry(z, prev, zxid, zxid));
        prev = zxid;
    }
    return prev;
}

static enum err simple(struct zab *z, uint8_t kind, uint64_t zxid)
{
    struct zab_record r = { .kind = kind, .zxid = zxid };

    return zab_restore(z, &r);
}

static enum err install(struct zab *z, uint64_t zxid, const struct zab_members *m)
{
    struct zab_record r = { .kind = ZAB_RECORD_INSTALL, .zxid = zxid, .members = m };

    return zab_restore(z, &r);
}

static enum err checkpoint(struct zab *z, uint64_t zxid, const struct zab_members *m)
{
    struct zab_record r = {
        .kind = ZAB_RECORD_CHECKPOINT, .zxid = zxid, .members = m, .epoch = 1, .accepted = 2, .leader = 3
    };

    return zab_restore(z, &r);
}

static enum err config(struct zab *z, uint64_t prev, uint64_t zxid, const struct zab_members *m)
{
    uint8_t bytes[ZAB_MEMBERS_BYTES_MAX];
    struct zab_record r = { .kind = ZAB_RECORD_ENTRY };

    r.entry = (struct zab_entry){ zxid, zxid, prev, ZAB_CONFIG,
                                  bytes_of(bytes, zab_members_encode(m, bytes, sizeof bytes)) };
    return zab_restore(z, &r);
}

/* --- a conf that makes no sense */

static enum err born_with(const struct zab_conf *conf)
{
    struct zab *z = NULL;
    enum err rc = zab_new(&z, conf);

    CHECK_INT(rc == ERR_OK, z != NULL);
    zab_free(&z);
    CHECK_TRUE(z == NULL);
    return rc;
}

TEST(a_conf_that_makes_no_sense_is_out_of_range)
{
    struct zab_conf good = conf_of(3), bad;

    CHECK_INT(ERR_OK, born_with(&good));
    bad = good, bad.id = 0;
    CHECK_INT(ERR_RANGE, born_with(&bad));
    bad = good, bad.members.count = 0;
    CHECK_INT(ERR_RANGE, born_with(&bad));
    bad = good, bad.counter_max = zab_counter_max + 1;
    CHECK_INT(ERR_RANGE, born_with(&bad));
    bad = good, bad.window_entries = 3;
    CHECK_INT(ERR_RANGE, born_with(&bad));
    bad = good, bad.window_entries = 1;
    CHECK_INT(ERR_RANGE, born_with(&bad));
    bad = good, bad.window_bytes = 2 * ZAB_MEMBERS_BYTES_MAX - 1;
    CHECK_INT(ERR_RANGE, born_with(&bad));
    bad = good, bad.drift_per_mille = 1, bad.lease_ms = 1, bad.finalize_ms = 1;
    CHECK_INT(ERR_OK, born_with(&bad));
    bad = good, bad.window_bytes = 2 * ZAB_MEMBERS_BYTES_MAX, bad.window_entries = 2;
    CHECK_INT(ERR_OK, born_with(&bad));
}

static int allocations_left = -1; /* -1: all of them */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    return __real_calloc(count, size);
}

TEST(without_memory_there_is_no_core)
{
    struct zab_conf conf = conf_of(3);
    int count = -1;
    enum err rc;

    do {
        allocations_left = ++count;
        rc = born_with(&conf);
        allocations_left = -1;
        CHECK_TRUE(rc == ERR_OK || rc == ERR_NOMEM);
    } while (rc == ERR_NOMEM);
    CHECK_INT(3, count);
}

/* --- what a log says */

TEST(a_log_is_restored_as_it_was_written)
{
    struct zab *z = born(0);
    struct zab_record accepted = { .kind = ZAB_RECORD_ACCEPTED, .epoch = 4, .leader = 2 };
    struct zab_record current = { .kind = ZAB_RECORD_CURRENT, .epoch = 3 };

    CHECK_INT(ERR_OK, zab_restore(z, &accepted));
    entries(z, 0, 3, 0, 4);
    CHECK_INT(ERR_OK, zab_restore(z, &current));
    CHECK_INT(ERR_OK, entry(z, zab_zxid(3, 4), zab_zxid(3, 5), zab_zxid(3, 9)));
    CHECK_INT(ERR_OK, start(z));
    struct zab_state s = state_of(z);
    CHECK_INT(4, s.accepted);
    CHECK_INT(3, s.current);
    CHECK_INT(0, s.begin);
    CHECK_INT(zab_zxid(3, 9), s.last);
    CHECK_INT(zab_zxid(3, 9), s.stored);
    CHECK_INT(0, s.delivered);
    CHECK_TRUE(!s.must_relearn);
    zab_free(&z);
}

TEST(an_epoch_that_was_accepted_is_not_taken_back_by_an_older_record)
{
    struct zab *z = born(0);
    struct zab_record r = { .kind = ZAB_RECORD_ACCEPTED, .epoch = 4, .leader = 2 };

    CHECK_INT(ERR_OK, zab_restore(z, &r));
    r.epoch = 3;
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    r = (struct zab_record){ .kind = ZAB_RECORD_CURRENT, .epoch = 3 };
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    r.epoch = 2;
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    CHECK_INT(4, state_of(z).accepted);
    CHECK_INT(3, state_of(z).current);
    zab_free(&z);
}

TEST(truncated_entries_are_not_part_of_the_history)
{
    struct zab *z = born(0);

    entries(z, 0, 1, 0, 5);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, zab_zxid(1, 3)));
    CHECK_INT(zab_zxid(1, 3), state_of(z).last);
    entries(z, zab_zxid(1, 3), 2, 0, 1);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, 0));
    CHECK_INT(0, state_of(z).last);
    entries(z, 0, 3, 0, 1);
    CHECK_INT(ERR_OK, start(z));
    CHECK_INT(zab_zxid(3, 1), state_of(z).last);
    zab_free(&z);
}

TEST(an_installed_snapshot_takes_the_place_of_all_entries)
{
    struct zab *z = born(zab_zxid(4, 7));
    struct zab_members m = members_of(5, 9);

    entries(z, 0, 1, 0, 5);
    CHECK_INT(ERR_OK, install(z, zab_zxid(4, 7), &m));
    entries(z, zab_zxid(4, 7), 4, 8, 9);
    CHECK_INT(ERR_OK, start(z));
    CHECK_INT(zab_zxid(4, 7), state_of(z).begin);
    CHECK_INT(zab_zxid(4, 7), state_of(z).delivered);
    CHECK_INT(zab_zxid(4, 9), state_of(z).last);
    CHECK_INT(5, zab_members(z)->count);
    zab_free(&z);
}

TEST(a_checkpoint_has_what_was_purged_before_it)
{
    struct zab *z = born(zab_zxid(1, 5));
    struct zab_members m = members_of(4, zab_zxid(1, 2));

    CHECK_INT(ERR_OK, checkpoint(z, zab_zxid(1, 5), &m));
    entries(z, zab_zxid(1, 5), 1, 6, 7);
    CHECK_INT(ERR_OK, start(z));
    struct zab_state s = state_of(z);
    CHECK_INT(1, s.current);
    CHECK_INT(2, s.accepted);
    CHECK_INT(zab_zxid(1, 5), s.begin);
    CHECK_INT(zab_zxid(1, 7), s.last);
    CHECK_INT(4, zab_members(z)->count);
    CHECK_INT(zab_zxid(1, 2), s.members_version);
    zab_free(&z);
}

TEST(a_checkpoint_behind_the_entries_that_it_kept_changes_nothing_of_them)
{
    struct zab *z = born(zab_zxid(1, 5));
    struct zab_members m = members_of(4, zab_zxid(1, 2));

    entries(z, zab_zxid(1, 5), 1, 6, 7);
    CHECK_INT(ERR_OK, checkpoint(z, zab_zxid(1, 5), &m));
    CHECK_INT(ERR_OK, start(z));
    CHECK_INT(zab_zxid(1, 5), state_of(z).begin);
    CHECK_INT(zab_zxid(1, 7), state_of(z).last);
    CHECK_INT(4, zab_members(z)->count);
    zab_free(&z);
}

/* Segments are purged whole: what stands before the checkpoint is the rest of one, and may begin anywhere. */
TEST(a_log_may_begin_anywhere_before_its_checkpoint)
{
    struct zab_members m = members_of(3, 0);
    uint64_t old = zab_zxid(1, 5), new = zab_zxid(2, 1);

    for (uint32_t gone = 0; gone <= 7; gone++) {
        struct zab *z = born(new);
        if (gone < 1) entries(z, 0, 1, 0, 4);
        if (gone < 2) CHECK_INT(ERR_OK, checkpoint(z, zab_zxid(1, 2), &m));
        if (gone < 3) entries(z, zab_zxid(1, 4), 1, 5, 5);
        if (gone < 4) entries(z, old, 1, 6, 7);
        if (gone < 5) CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, old));
        if (gone < 6) entries(z, old, 2, 0, 0);
        if (gone < 7) entries(z, zab_zxid(2, 0), 2, 1, 1);
        CHECK_INT(ERR_OK, checkpoint(z, new, &m));
        entries(z, new, 2, 2, 2);
        CHECK_INT(ERR_OK, start(z));
        CHECK_INT(zab_zxid(2, 2), state_of(z).last);
        CHECK_TRUE(state_of(z).begin <= new);
        zab_free(&z);
    }
}

TEST(the_rest_of_a_segment_may_be_of_entries_that_were_truncated)
{
    struct zab_members m = members_of(3, 0);
    struct zab *z = born(zab_zxid(2, 0));

    entries(z, zab_zxid(1, 6), 1, 7, 8);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, zab_zxid(1, 5)));
    entries(z, zab_zxid(1, 5), 2, 0, 0);
    CHECK_INT(ERR_OK, checkpoint(z, zab_zxid(2, 0), &m));
    CHECK_INT(ERR_OK, start(z));
    CHECK_INT(zab_zxid(2, 0), state_of(z).last);
    zab_free(&z);
}

TEST(members_come_from_the_newest_entry_that_was_not_truncated)
{
    struct zab *z = born(0);
    struct zab_members four = members_of(4, 0), five = members_of(5, 0);

    entries(z, 0, 1, 0, 1);
    CHECK_INT(ERR_OK, config(z, zab_zxid(1, 1), zab_zxid(1, 2), &four));
    CHECK_INT(4, zab_members(z)->count);
    CHECK_INT(zab_zxid(1, 2), state_of(z).members_version);
    CHECK_INT(ERR_OK, config(z, zab_zxid(1, 2), zab_zxid(1, 3), &five));
    CHECK_INT(5, zab_members(z)->count);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, zab_zxid(1, 2)));
    CHECK_INT(4, zab_members(z)->count);
    zab_free(&z);
}

TEST(members_of_a_checkpoint_stand_behind_a_change_that_is_truncated_later)
{
    struct zab *z = born(zab_zxid(1, 1));
    struct zab_members five = members_of(5, 0), four = members_of(4, zab_zxid(1, 1));

    CHECK_INT(ERR_OK, config(z, zab_zxid(1, 1), zab_zxid(1, 2), &five));
    CHECK_INT(ERR_OK, checkpoint(z, zab_zxid(1, 1), &four));
    CHECK_INT(5, zab_members(z)->count);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, zab_zxid(1, 1)));
    CHECK_INT(4, zab_members(z)->count);
    zab_free(&z);
}

TEST(a_change_of_the_members_that_cannot_be_read_is_left_out)
{
    struct zab *z = born(0);
    struct zab_record r = { .kind = ZAB_RECORD_ENTRY };

    entries(z, 0, 1, 0, 1);
    r.entry =
        (struct zab_entry){ zab_zxid(1, 2), zab_zxid(1, 2), zab_zxid(1, 1), ZAB_CONFIG, bytes_of("what", 4) };
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    CHECK_INT(3, zab_members(z)->count);
    zab_free(&z);
}

TEST(a_log_of_more_epochs_than_there_are_places_is_restored_and_truncated)
{
    struct zab *z = born(0);
    uint64_t prev = 0;

    for (uint32_t epoch = 1; epoch <= ZAB_ENDS_MAX + 20; epoch++) prev = entries(z, prev, epoch, 0, 1);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, zab_zxid(40, 1)));
    CHECK_INT(zab_zxid(40, 1), state_of(z).last);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, zab_zxid(3, 0)));
    CHECK_INT(zab_zxid(3, 0), state_of(z).last);
    entries(z, zab_zxid(3, 0), 90, 0, 3);
    CHECK_INT(ERR_OK, start(z));
    zab_free(&z);
}

TEST(a_purge_forgets_the_ends_of_epochs_that_are_gone)
{
    struct zab *z = born(zab_zxid(9, 1));
    struct zab_effects *out = calloc(1, sizeof *out);
    struct zab_event purged = { .kind = ZAB_PURGED };
    uint64_t prev = 0;

    for (uint32_t epoch = 1; epoch <= 9; epoch++) prev = entries(z, prev, epoch, 0, 1);
    CHECK_INT(ERR_OK, zab_start(z, 1000, out));
    for (uint32_t epoch = 3; epoch <= 9; epoch += 3) {
        purged.zxid = zab_zxid(epoch, 1);
        zab_step(z, &purged, out);
        CHECK_INT(zab_zxid(epoch, 1), state_of(z).begin);
        CHECK_INT(zab_zxid(9, 1), state_of(z).last);
    }
    zab_free(&z);
    free(out);
}

TEST(a_truncation_to_nothing_of_a_log_that_was_purged_is_one_to_nothing)
{
    struct zab *z = born(0);

    entries(z, zab_zxid(1, 5), 1, 6, 7);
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, 0));
    CHECK_INT(0, state_of(z).last);
    CHECK_INT(0, state_of(z).begin);
    entries(z, 0, 2, 0, 1);
    CHECK_INT(ERR_OK, start(z));
    zab_free(&z);
}

TEST(an_epoch_of_which_only_entries_tell_was_accepted)
{
    struct zab_members m = members_of(3, 0);
    struct zab *z = born(0);

    entries(z, 0, 4, 0, 1);
    CHECK_INT(ERR_OK, start(z));
    CHECK_INT(4, state_of(z).accepted);
    zab_free(&z);
    z = born(zab_zxid(1, 1));
    struct zab_record r = { .kind = ZAB_RECORD_CURRENT, .epoch = 6 };
    CHECK_INT(ERR_OK, install(z, zab_zxid(1, 1), &m));
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    CHECK_INT(ERR_OK, start(z));
    CHECK_INT(6, state_of(z).accepted);
    zab_free(&z);
}

TEST(a_log_that_was_damaged_must_relearn_until_it_has_followed_a_leader)
{
    struct zab *z = born(0);
    struct zab_record r = { .kind = ZAB_RECORD_CURRENT, .epoch = 2 };

    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_RELEARN, 0));
    CHECK_TRUE(state_of(z).must_relearn);
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    CHECK_TRUE(!state_of(z).must_relearn);
    struct zab_members m = members_of(3, 0);
    r = (struct zab_record){ .kind = ZAB_RECORD_CHECKPOINT, .members = &m, .must_relearn = true };
    CHECK_INT(ERR_OK, zab_restore(z, &r));
    CHECK_TRUE(state_of(z).must_relearn);
    zab_free(&z);
}

TEST(damage_is_written_down_once)
{
    struct zab_conf conf = conf_of(3);
    struct zab_effects *out = calloc(1, sizeof *out);
    struct zab *z;

    conf.is_damaged = true;
    for (int has_record = 0; has_record < 2; has_record++) {
        uint32_t count = 0;
        CHECK_INT(ERR_OK, zab_new(&z, &conf));
        if (has_record == 1) CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_RELEARN, 0));
        CHECK_INT(ERR_OK, zab_start(z, 1000, out));
        for (uint32_t i = 0; i < out->count; i++)
            count += out->at[i].kind == ZAB_STORE && out->at[i].record.kind == ZAB_RECORD_RELEARN;
        CHECK_INT(1 - has_record, count);
        CHECK_TRUE(state_of(z).must_relearn);
        zab_free(&z);
    }
    free(out);
}

/* --- what no core has written */

TEST(entries_that_do_not_follow_are_wrong)
{
    struct zab *z = born(0);
    uint64_t last = entries(z, 0, 1, 0, 3);

    CHECK_INT(ERR_SYNTAX, entry(z, last - 1, last + 1, last + 1));
    CHECK_INT(ERR_SYNTAX, entry(z, last + 1, last + 2, last + 2));
    CHECK_INT(ERR_SYNTAX, entry(z, last, last, last));
    CHECK_INT(ERR_SYNTAX, entry(z, last, last + 2, last + 2));
    CHECK_INT(ERR_SYNTAX, entry(z, last, last + 1, zab_zxid(2, 5)));
    CHECK_INT(ERR_SYNTAX, entry(z, last, zab_zxid(2, 1), zab_zxid(2, 1)));
    CHECK_INT(ERR_SYNTAX, entry(z, last, zab_zxid(2, 0), zab_zxid(2, 1)));
    CHECK_INT(ERR_SYNTAX, entry(z, last, zab_zxid(0, 0), zab_zxid(0, 0)));
    struct zab_record r = { .kind = ZAB_RECORD_ENTRY };
    r.entry = (struct zab_entry){ zab_zxid(2, 0), zab_zxid(2, 0), last, ZAB_DATA, bytes_of("x", 1) };
    CHECK_INT(ERR_SYNTAX, zab_restore(z, &r));
    CHECK_INT(last, state_of(z).last);
    zab_free(&z);
    z = born(0);
    CHECK_INT(ERR_SYNTAX, entry(z, 0, 1, 1));
    zab_free(&z);
}

TEST(an_entry_that_no_window_holds_is_wrong)
{
    struct zab_conf conf = conf_of(3);
    struct zab_record r = { .kind = ZAB_RECORD_ENTRY };
    uint8_t *large = calloc(1, 20 * 1024);
    struct zab *z;

    conf.window_bytes = 10 * 1024;
    CHECK_INT(ERR_OK, zab_new(&z, &conf));
    uint64_t last = entries(z, 0, 1, 0, 3);
    r.entry = (struct zab_entry){ last + 1, last + 1, last, ZAB_DATA, bytes_of(large, 20 * 1024) };
    CHECK_INT(ERR_SYNTAX, zab_restore(z, &r));
    zab_free(&z);
    free(large);
}

TEST(truncations_of_what_is_not_there_are_wrong)
{
    struct zab *z = born(0);
    struct zab_members m = members_of(3, 0);

    entries(z, 0, 1, 0, 3);
    CHECK_INT(ERR_SYNTAX, simple(z, ZAB_RECORD_TRUNC, zab_zxid(1, 4)));
    CHECK_INT(ERR_OK, simple(z, ZAB_RECORD_TRUNC, zab_zxid(1, 3)));
    CHECK_INT(ERR_OK, install(z, zab_zxid(3, 3), &m));
    CHECK_INT(zab_zxid(3, 3), state_of(z).last);
    zab_free(&z);
}

TEST(members_that_there_cannot_be_are_wrong)
{
    struct zab *z = born(0);
    struct zab_members m = members_of(0, 0);

    CHECK_INT(ERR_SYNTAX, install(z, zab_zxid(1, 1), &m));
    CHECK_INT(ERR_SYNTAX, install(z, zab_zxid(1, 1), NULL));
    CHECK_INT(ERR_SYNTAX, checkpoint(z, 0, &m));
    CHECK_INT(ERR_SYNTAX, checkpoint(z, 0, NULL));
    CHECK_INT(ERR_SYNTAX, simple(z, 99, 0));
    zab_free(&z);
}

TEST(a_log_and_a_state_machine_that_do_not_meet_are_not_started)
{
    struct zab *z = born(zab_zxid(1, 4));

    entries(z, 0, 1, 0, 3);
    CHECK_INT(ERR_SYNTAX, start(z));
    zab_free(&z);
    z = born(zab_zxid(1, 4));
    entries(z, zab_zxid(1, 5), 1, 6, 7);
    CHECK_INT(ERR_SYNTAX, start(z));
    zab_free(&z);
}
