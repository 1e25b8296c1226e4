/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_hist.h"
#include "kit/test.h"

static struct hist h, other; /* too large for the stack's taste */

static void clear(void)
{
    h = (struct hist){ 0 };
    other = (struct hist){ 0 };
}

TEST(an_empty_histogram_answers_zero)
{
    clear();
    CHECK_INT(0, hist_quantile(&h, 0.5));
    CHECK_INT(0, h.max);
    CHECK_TRUE(hist_mean(&h) == 0.0);
}

TEST(small_values_are_kept_exactly)
{
    clear();
    for (uint64_t v = 1; v <= 200; v++) hist_add(&h, v);
    CHECK_INT(100, hist_quantile(&h, 0.5));
    CHECK_INT(180, hist_quantile(&h, 0.9));
    CHECK_INT(198, hist_quantile(&h, 0.99));
    CHECK_INT(200, hist_quantile(&h, 0.999));
    CHECK_INT(200, hist_quantile(&h, 1.0));
    CHECK_INT(1, hist_quantile(&h, 0.0));
    CHECK_TRUE(hist_mean(&h) == 100.5);
}

TEST(a_quantile_is_never_low_and_at_most_a_128th_high)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t around[] = { UINT64_C(1) << bit, (UINT64_C(1) << bit) + 1, (UINT64_C(1) << bit) / 3 * 5,
                              (UINT64_C(2) << bit) - 1 };
        for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
            clear();
            hist_add(&h, around[i]);
            hist_add(&h, UINT64_MAX); /* so that max does not hide the bucket's end */
            uint64_t got = hist_quantile(&h, 0.5);
            CHECK_TRUE(got >= around[i]);
            CHECK_TRUE(got - around[i] <= around[i] / 128);
        }
    }
}

TEST(the_greatest_and_the_least_value_are_exact)
{
    clear();
    hist_add(&h, 123456789);
    hist_add(&h, 987654321);
    CHECK_INT(987654321, hist_quantile(&h, 1.0));
    CHECK_INT(987654321, h.max);
    CHECK_INT(123456789, h.min);
}

TEST(one_slow_message_in_a_thousand_shows_above_p999_only)
{
    clear();
    for (int i = 0; i < 1999; i++) hist_add(&h, 50);
    hist_add(&h, 200);
    CHECK_INT(50, hist_quantile(&h, 0.999));
    CHECK_INT(200, hist_quantile(&h, 1.0));
    hist_add(&h, 200);
    hist_add(&h, 200);
    CHECK_INT(200, hist_quantile(&h, 0.999));
}

TEST(merging_is_the_same_as_adding_all_to_one)
{
    static struct hist whole;
    clear();
    whole = (struct hist){ 0 };
    for (uint64_t v = 1; v < 5000000; v += 997) {
        hist_add(v % 2 == 0 ? &h : &other, v);
        hist_add(&whole, v);
    }
    hist_merge(&h, &other);
    CHECK_INT(whole.count, h.count);
    CHECK_INT(whole.min, h.min);
    CHECK_INT(whole.max, h.max);
    CHECK_INT(0, memcmp(whole.buckets, h.buckets, sizeof h.buckets));
}

TEST(merging_an_empty_one_changes_nothing)
{
    clear();
    hist_add(&h, 7);
    hist_merge(&h, &other);
    CHECK_INT(7, h.min);
    hist_merge(&other, &h);
    CHECK_INT(7, other.min);
    CHECK_INT(1, other.count);
}
