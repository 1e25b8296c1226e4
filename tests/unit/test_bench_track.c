/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_track.h"
#include "kit/test.h"

/* What went wrong on the way, planted by a test and found by the tracker. */
struct fate {
    uint64_t lost, repeats, late;
};

static void see_all(struct track *t, const uint64_t *seqs, size_t count)
{
    uint64_t skipped;
    for (size_t i = 0; i < count; i++) track_see(t, seqs[i], &skipped);
}

#define SEE(t, ...)                                                                                          \
    do {                                                                                                     \
        const uint64_t seqs_[] = { __VA_ARGS__ };                                                            \
        see_all(t, seqs_, sizeof seqs_ / sizeof seqs_[0]);                                                   \
    } while (0)

static void check_fate(struct track *t, uint64_t sent, struct fate want)
{
    CHECK_INT(want.lost, track_lost(t, sent));
    CHECK_INT(want.repeats, t->repeats);
    CHECK_INT(want.late, t->late);
    track_fini(t);
}

TEST(messages_in_order_are_all_there)
{
    struct track t = { 0 };
    SEE(&t, 0, 1, 2, 3, 4);
    check_fate(&t, 5, (struct fate){ 0 });
}

TEST(a_lost_message_is_counted_once)
{
    struct track t = { 0 };
    SEE(&t, 0, 1, 3, 4);
    check_fate(&t, 5, (struct fate){ .lost = 1 });
}

TEST(a_lost_tail_and_a_lost_head_are_counted)
{
    struct track t = { 0 };
    SEE(&t, 2, 3);
    check_fate(&t, 6, (struct fate){ .lost = 4 });
}

TEST(nothing_seen_is_all_lost)
{
    struct track t = { 0 };
    check_fate(&t, 9, (struct fate){ .lost = 9 });
}

TEST(a_message_seen_twice_is_a_repeat_wherever_it_comes)
{
    struct track t = { 0 };
    SEE(&t, 0, 0, 1, 2, 3, 1, 3, 3);
    check_fate(&t, 4, (struct fate){ .repeats = 4 });
}

TEST(a_late_message_is_out_of_order_and_not_lost)
{
    struct track t = { 0 };
    SEE(&t, 0, 2, 1, 3);
    check_fate(&t, 4, (struct fate){ .late = 1 });
}

TEST(a_late_message_that_comes_again_is_late_once_and_repeated_once)
{
    struct track t = { 0 };
    SEE(&t, 0, 2, 1, 1, 3);
    check_fate(&t, 4, (struct fate){ .late = 1, .repeats = 1 });
}

TEST(a_gap_may_be_filled_from_its_middle_and_from_both_ends)
{
    struct track t = { 0 };
    SEE(&t, 0, 10, 5, 1, 9, 3); /* missing at the end: 2 4 6 7 8 */
    check_fate(&t, 11, (struct fate){ .lost = 5, .late = 4 });
}

TEST(a_gap_that_is_filled_takes_no_memory)
{
    struct track t = { 0 };
    SEE(&t, 4, 0, 3, 1, 2);
    CHECK_INT(0, t.gap_count);
    check_fate(&t, 5, (struct fate){ .late = 4 });
}

TEST(a_jump_says_how_many_were_skipped)
{
    struct track t = { 0 };
    uint64_t skipped = 99;
    CHECK_INT(TRACK_NEXT, track_see(&t, 0, &skipped));
    CHECK_INT(0, skipped);
    CHECK_INT(TRACK_AHEAD, track_see(&t, 8, &skipped));
    CHECK_INT(7, skipped);
    CHECK_INT(TRACK_LATE, track_see(&t, 3, &skipped));
    CHECK_INT(0, skipped);
    CHECK_INT(TRACK_REPEAT, track_see(&t, 3, &skipped));
    track_fini(&t);
}

/* Against an account kept in the plainest way, over many sequences made up at random. */
TEST(any_sequence_is_accounted_for_as_by_a_simple_list)
{
    enum { NUMBERS = 64, STEPS = 200, ROUNDS = 300 };
    uint64_t random = 42;
    for (int round = 0; round < ROUNDS; round++) {
        struct track t = { 0 };
        struct fate want = { 0 };
        bool seen[NUMBERS] = { false };
        int highest = -1;
        for (int step = 0; step < STEPS; step++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            int seq = (int)((random >> 33) % (unsigned)NUMBERS);
            if (highest >= 0 && random >> 62 != 0 && highest + 1 < NUMBERS) seq = highest + 1;
            if (seen[seq]) want.repeats++;
            if (!seen[seq] && seq < highest) want.late++;
            seen[seq] = true;
            if (seq > highest) highest = seq;
            SEE(&t, (uint64_t)seq);
        }
        for (int i = 0; i < NUMBERS; i++) want.lost += seen[i] ? 0 : 1;
        check_fate(&t, NUMBERS, want);
    }
}
