/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "node/index.h"
#include <stdlib.h>
#include <string.h>

enum { LARGE = INDEX_STRIDE_BYTES };

struct row {
    struct index ix;
    uint64_t lsn;
};

static void row_init(struct row *r)
{
    index_init(&r->ix);
    r->lsn = 0;
}

static uint64_t entry(struct row *r, uint64_t zxid, size_t bytes)
{
    struct zab_record record = { .kind = ZAB_RECORD_ENTRY };

    record.entry.first = record.entry.last = zxid;
    record.entry.prev = r->lsn == 0 ? zxid - 1 : r->ix.last;
    record.entry.payload.len = bytes;
    CHECK_INT(ERR_OK, index_note(&r->ix, &record, ++r->lsn));
    return r->lsn;
}

static void other(struct row *r, enum zab_record_kind kind, uint64_t zxid)
{
    const struct zab_record record = { .kind = (uint8_t)kind, .zxid = zxid };
    CHECK_INT(ERR_OK, index_note(&r->ix, &record, ++r->lsn));
}

TEST(an_entry_is_found_at_a_record_that_is_not_behind_it)
{
    struct row r;
    uint64_t lsn;

    row_init(&r);
    for (uint64_t z = 1; z <= 100; z++) entry(&r, z, LARGE / 10);
    for (uint64_t z = 0; z < 100; z++) {
        CHECK_TRUE(index_find(&r.ix, z, &lsn));
        CHECK_TRUE(lsn <= z + 1 && lsn + 12 > z + 1);
    }
    CHECK_TRUE(!index_find(&r.ix, 100, &lsn));
    index_fini(&r.ix);
}

TEST(a_log_that_begins_late_does_not_have_what_was_before)
{
    struct row r;
    uint64_t lsn;

    row_init(&r);
    entry(&r, 51, 10);
    CHECK_INT(50, r.ix.begin);
    CHECK_TRUE(!index_find(&r.ix, 49, &lsn));
    CHECK_TRUE(index_find(&r.ix, 50, &lsn));
    index_fini(&r.ix);
}

TEST(what_a_trunc_cut_off_is_dead_and_what_came_instead_is_found_behind_it)
{
    struct row r;
    uint64_t lsn;

    row_init(&r);
    for (uint64_t z = 1; z <= 8; z++) entry(&r, z, 10);
    other(&r, ZAB_RECORD_TRUNC, 6);
    uint64_t again = entry(&r, 7, 10);
    CHECK_TRUE(index_is_alive(&r.ix.cuts, 6, 6));
    CHECK_TRUE(!index_is_alive(&r.ix.cuts, 7, 7));
    CHECK_TRUE(!index_is_alive(&r.ix.cuts, 8, 8));
    CHECK_TRUE(index_is_alive(&r.ix.cuts, again, 7));
    CHECK_TRUE(index_find(&r.ix, 6, &lsn));
    CHECK_INT(again, lsn);
    CHECK_TRUE(index_find(&r.ix, 5, &lsn));
    CHECK_TRUE(lsn <= 6);
    index_fini(&r.ix);
}

TEST(of_several_truncs_the_deepest_that_came_later_counts)
{
    struct row r;

    row_init(&r);
    for (uint64_t z = 1; z <= 10; z++) entry(&r, z, 10);
    other(&r, ZAB_RECORD_TRUNC, 8);
    uint64_t nine = entry(&r, 9, 10);
    other(&r, ZAB_RECORD_TRUNC, 4);
    uint64_t five = entry(&r, 5, 10), six = entry(&r, 6, 10);
    other(&r, ZAB_RECORD_TRUNC, 5);
    CHECK_INT(2, r.ix.cuts.count);
    CHECK_TRUE(!index_is_alive(&r.ix.cuts, 5, 5)); /* the first five */
    CHECK_TRUE(!index_is_alive(&r.ix.cuts, nine, 9));
    CHECK_TRUE(index_is_alive(&r.ix.cuts, five, 5));
    CHECK_TRUE(!index_is_alive(&r.ix.cuts, six, 6));
    CHECK_INT(5, r.ix.last);
    index_fini(&r.ix);
}

/* Against a list of all entries, by random records. */
TEST(the_index_says_what_a_list_of_everything_says)
{
    enum { RECORDS = 400, ZXIDS = 1000 };
    for (unsigned seed = 1; seed <= 50; seed++) {
        uint64_t home[ZXIDS] = { 0 }, dead[RECORDS + 1] = { 0 }, of[RECORDS + 1] = { 0 };
        struct row r;
        uint64_t last = 0;

        srand(seed);
        row_init(&r);
        for (unsigned i = 0; i < RECORDS; i++) {
            bool cuts = last > 0 && rand() % 12 == 0;
            uint64_t to = cuts ? last - (uint64_t)rand() % (last < 9 ? last : 9) : 0;
            if (!cuts) {
                last++;
                home[last] = entry(&r, last, LARGE / 3);
                of[r.lsn] = last;
                continue;
            }
            other(&r, ZAB_RECORD_TRUNC, to);
            for (; last > to; last--) dead[home[last]] = 1;
        }
        for (uint64_t lsn = 1; lsn <= RECORDS; lsn++)
            if (of[lsn] != 0) CHECK_INT(!dead[lsn], index_is_alive(&r.ix.cuts, lsn, of[lsn]));
        for (uint64_t z = 0; z < last; z++) {
            uint64_t lsn;
            CHECK_TRUE(index_find(&r.ix, z, &lsn));
            CHECK_TRUE(lsn <= home[z + 1]);
        }
        index_fini(&r.ix);
    }
}

TEST(a_snapshot_of_a_leader_takes_the_place_of_all)
{
    struct row r;
    uint64_t lsn;

    row_init(&r);
    for (uint64_t z = 1; z <= 8; z++) entry(&r, z, 10);
    other(&r, ZAB_RECORD_INSTALL, 100);
    CHECK_TRUE(!index_find(&r.ix, 5, &lsn));
    CHECK_TRUE(!index_find(&r.ix, 100, &lsn));
    uint64_t next = entry(&r, 101, 10);
    CHECK_TRUE(index_find(&r.ix, 100, &lsn));
    CHECK_INT(next, lsn);
    index_fini(&r.ix);
}

TEST(the_floor_keeps_every_entry_after_a_snapshot)
{
    struct row r;
    uint64_t lsn, prev = 0;

    row_init(&r);
    for (uint64_t z = 1; z <= 100; z++) entry(&r, z, LARGE / 10);
    uint64_t floor = index_floor(&r.ix, 57, &prev);
    CHECK_TRUE(floor <= 58 && floor > 40);
    CHECK_TRUE(prev <= 57);
    index_purged(&r.ix, prev);
    CHECK_TRUE(!index_find(&r.ix, prev - 1, &lsn));
    for (uint64_t z = 57; z < 100; z++) CHECK_TRUE(index_find(&r.ix, z, &lsn) && lsn <= z + 1);
    index_fini(&r.ix);
}

TEST(a_reader_goes_on_where_it_ended_until_the_log_is_cut)
{
    struct row r;
    uint64_t lsn;

    row_init(&r);
    for (uint64_t z = 1; z <= 20; z++) entry(&r, z, 10);
    index_remember(&r.ix, 12, 12);
    CHECK_TRUE(index_find(&r.ix, 12, &lsn));
    CHECK_INT(13, lsn);
    other(&r, ZAB_RECORD_TRUNC, 12);
    uint64_t next = entry(&r, 13, 10);
    CHECK_TRUE(index_find(&r.ix, 12, &lsn));
    CHECK_INT(next, lsn);
    index_fini(&r.ix);
}

TEST(more_marks_than_there_is_room_for_are_thinned_out)
{
    struct row r;
    uint64_t lsn;

    row_init(&r);
    for (uint64_t z = 1; z <= 3 * INDEX_MARKS_MAX; z++) entry(&r, z, LARGE);
    CHECK_TRUE(r.ix.count <= INDEX_MARKS_MAX);
    for (uint64_t z = 0; z < 3 * INDEX_MARKS_MAX; z += 777) {
        CHECK_TRUE(index_find(&r.ix, z, &lsn));
        CHECK_TRUE(lsn <= z + 1 && lsn + 16 > z + 1);
    }
    index_fini(&r.ix);
}

TEST(more_cuts_than_there_is_room_for_make_the_log_begin_later)
{
    struct row r;
    uint64_t lsn, last = 0;

    row_init(&r);
    for (unsigned i = 0; i < INDEX_CUTS_MAX + 5; i++) {
        for (int k = 0; k < 3; k++) entry(&r, ++last, 10);
        other(&r, ZAB_RECORD_TRUNC, --last);
    }
    entry(&r, last + 1, 10);
    CHECK_INT(INDEX_CUTS_MAX, r.ix.cuts.count);
    CHECK_TRUE(r.ix.begin > 0);
    CHECK_TRUE(!index_find(&r.ix, 0, &lsn));
    CHECK_TRUE(index_find(&r.ix, last, &lsn));
    index_fini(&r.ix);
}

TEST(a_checkpoint_behind_all_entries_is_where_the_log_begins)
{
    struct row r;

    row_init(&r);
    other(&r, ZAB_RECORD_CHECKPOINT, 70);
    CHECK_INT(70, r.ix.begin);
    CHECK_INT(70, r.ix.last);
    index_fini(&r.ix);
}
