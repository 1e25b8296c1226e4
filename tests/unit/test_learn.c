/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/learn.h"
#include "kit/test.h"

static const struct ka_terms free_terms = { 600, KA_LEARN, 0 };

/* Plays a network that forgets after wall_s: one gap of the interval that is granted. */
static void gap(struct ka_state *s, const struct ka_terms *t, uint16_t wall_s)
{
    uint16_t k_s = ka_grant(s, &ka_conf_default, t);
    struct ka_event e = { k_s < wall_s ? KA_SUCCESS : KA_FAIL_STRONG, k_s, k_s };
    ka_learn(s, &ka_conf_default, t, &e);
}

static struct ka_state play(const struct ka_terms *t, uint16_t wall_s, unsigned gaps)
{
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 0);
    for (unsigned i = 0; i < gaps; i++) gap(&s, t, wall_s);
    return s;
}

static bool send(struct ka_state *s, enum ka_kind kind, uint16_t gap_s, uint16_t in_force_s)
{
    struct ka_event e = { (uint8_t)kind, gap_s, in_force_s };
    return ka_learn(s, &ka_conf_default, &free_terms, &e);
}

TEST(it_settles_twenty_to_forty_seconds_below_any_time_out)
{
    for (uint16_t wall_s = 100; wall_s < 560; wall_s++) {
        struct ka_state s = play(&free_terms, wall_s, 150);
        uint16_t settled_s = ka_settled(&s, &ka_conf_default, &free_terms);
        CHECK_INT(KA_REST, s.phase);
        CHECK_TRUE(settled_s >= wall_s - 40);
        CHECK_TRUE(settled_s < wall_s - 19);
    }
}

TEST(without_a_time_out_it_goes_to_the_longest)
{
    struct ka_state s = play(&free_terms, UINT16_MAX, 100);
    CHECK_INT(580, ka_grant(&s, &ka_conf_default, &free_terms));
    CHECK_INT(0, s.ceil_s);
}

TEST(it_never_leaves_its_bounds)
{
    for (uint16_t wall_s = 1; wall_s < 100; wall_s++) {
        struct ka_state s;
        ka_state_init(&s, &ka_conf_default, 0);
        for (unsigned i = 0; i < 300; i++) {
            gap(&s, &free_terms, wall_s);
            CHECK_TRUE(s.k_s >= ka_conf_default.min_s);
            CHECK_TRUE(s.k_s <= ka_conf_default.max_s);
        }
    }
}

TEST(one_failure_changes_nothing_and_two_without_a_success_do)
{
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 0);
    CHECK_TRUE(!send(&s, KA_FAIL_STRONG, 240, 240));
    CHECK_INT(240, s.k_s);
    CHECK_TRUE(send(&s, KA_FAIL_STRONG, 240, 240));
    CHECK_INT(80, s.k_s);
    CHECK_INT(240, s.ceil_s);
}

TEST(a_weak_failure_is_half_a_strong_one)
{
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 0);
    CHECK_TRUE(!send(&s, KA_FAIL_WEAK, 240, 240));
    CHECK_TRUE(!send(&s, KA_FAIL_WEAK, 240, 240));
    CHECK_TRUE(send(&s, KA_FAIL_WEAK, 240, 240));
}

TEST(each_success_takes_one_more_failure_up_to_five_in_a_row)
{
    static const unsigned enough[] = { 2, 3, 4, 5, 5 };
    for (unsigned held = 0; held < 5; held++) {
        struct ka_state s;
        ka_state_init(&s, &ka_conf_default, 0);
        for (unsigned i = 0; i < held; i++) send(&s, KA_SUCCESS, 240, 240);
        for (unsigned i = 1; i < enough[held]; i++) CHECK_TRUE(!send(&s, KA_FAIL_STRONG, 240, 240));
        CHECK_INT(240, s.k_s);
        CHECK_TRUE(send(&s, KA_FAIL_STRONG, 240, 240));
        CHECK_INT(80, s.k_s);
    }
}

TEST(what_has_held_takes_five_failures_in_a_row)
{
    struct ka_state s = play(&free_terms, 300, 150);
    CHECK_INT(260, s.k_s);
    for (unsigned i = 0; i < 4; i++) CHECK_TRUE(!send(&s, KA_FAIL_STRONG, 260, 260));
    send(&s, KA_SUCCESS, 260, 260); /* and a success between them begins the count again */
    for (unsigned i = 0; i < 4; i++) CHECK_TRUE(!send(&s, KA_FAIL_STRONG, 260, 260));
    CHECK_TRUE(send(&s, KA_FAIL_STRONG, 260, 260));
    CHECK_INT(260 / 3, s.k_s);
}

TEST(what_has_just_failed_is_not_tried_again_a_second_below)
{
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 64); /* 64, 84, 105: where a drop from 580 by way of 193 comes by */
    for (unsigned i = 0; i < 200; i++) {
        uint16_t ceil_s = s.ceil_s, k_s = s.k_s;
        gap(&s, &free_terms, 90);
        if (s.phase == KA_FINE && (s.k_s != k_s || s.ceil_s != ceil_s)) CHECK_TRUE(s.k_s + 2 < s.ceil_s);
    }
    CHECK_INT(KA_REST, s.phase);
    CHECK_INT(64, s.k_s);
}

TEST(only_the_interval_that_was_in_force_is_judged)
{
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 0);
    struct ka_state before = s;
    for (unsigned i = 0; i < 20; i++) {
        CHECK_TRUE(!send(&s, KA_SUCCESS, 180, 180)); /* an older grant */
        CHECK_TRUE(!send(&s, KA_FAIL_STRONG, 300, 300));
        CHECK_TRUE(!send(&s, KA_SUCCESS, 220, 240)); /* and a shorter gap shows nothing of the whole */
        CHECK_TRUE(!send(&s, KA_NEUTRAL, 240, 240));
    }
    CHECK_INT(before.k_s, s.k_s);
    CHECK_INT(0, s.good);
    CHECK_INT(0, s.bad);
}

TEST(a_limit_is_tested_again_after_a_day_and_then_ever_more_rarely)
{
    struct ka_state s = play(&free_terms, 300, 150);
    uint32_t rested_s = 0, tests = 0, waited_s[4] = { 0 };
    for (unsigned i = 0; i < 20000 && tests < 4; i++) {
        rested_s += s.k_s;
        uint8_t before = s.phase;
        gap(&s, &free_terms, 300);
        if (before == KA_TEST && s.phase == KA_REST) {
            waited_s[tests++] = rested_s;
            rested_s = 0;
        }
    }
    CHECK_INT(4, tests);
    CHECK_TRUE(waited_s[1] > 3 * 86400 - 600 && waited_s[1] < 3 * 86400 + 1200);
    CHECK_TRUE(waited_s[2] > 9 * 86400 - 600 && waited_s[2] < 9 * 86400 + 1200);
    CHECK_TRUE(waited_s[3] > 27 * 86400 - 600 && waited_s[3] < 27 * 86400 + 1200);
    CHECK_INT(260, ka_settled(&s, &ka_conf_default, &free_terms));
}

TEST(a_limit_that_is_gone_is_forgotten)
{
    struct ka_state s = play(&free_terms, 300, 150);
    for (unsigned i = 0; i < 1000; i++) gap(&s, &free_terms, UINT16_MAX);
    CHECK_INT(580, s.k_s);
    CHECK_INT(0, s.ceil_s);
}

TEST(a_time_out_that_becomes_shorter_is_found)
{
    struct ka_state s = play(&free_terms, UINT16_MAX, 100);
    for (unsigned i = 0; i < 200; i++) gap(&s, &free_terms, 300);
    uint16_t settled_s = ka_settled(&s, &ka_conf_default, &free_terms);
    CHECK_TRUE(settled_s >= 260 && settled_s < 281);
}

TEST(most_clients_do_not_go_beyond_what_others_try_for_them)
{
    struct ka_terms bounded = { 600, KA_LEARN, 280 };
    struct ka_state s = play(&bounded, UINT16_MAX, 300);
    CHECK_INT(280, s.k_s);
    bounded.limit_s = 400; /* the others have found more */
    for (unsigned i = 0; i < 300; i++) gap(&s, &bounded, UINT16_MAX);
    CHECK_INT(400, s.k_s);
    s = play(&free_terms, 300, 150);
    bounded.limit_s = 260;
    for (unsigned i = 0; i < 2000; i++) gap(&s, &bounded, 300);
    CHECK_INT(KA_REST, s.phase); /* no test of its own limit */
}

TEST(with_cap_a_client_has_its_own_interval_until_that_has_failed)
{
    struct ka_terms cap = { 1000, KA_CAP, 0 };
    struct ka_state s = play(&cap, UINT16_MAX, 100);
    CHECK_INT(1000, ka_grant(&s, &ka_conf_default, &cap));
    for (unsigned i = 0; i < 200; i++) gap(&s, &cap, 300);
    CHECK_TRUE(ka_settled(&s, &ka_conf_default, &cap) >= 260);
    CHECK_TRUE(ka_settled(&s, &ka_conf_default, &cap) <= 280);
    cap.asked_s = 30; /* never above what it asks for */
    CHECK_INT(30, ka_grant(&s, &ka_conf_default, &cap));
}

TEST(with_cap_an_interval_of_its_own_above_the_most_is_had_again_when_it_holds)
{
    struct ka_terms cap = { 1200, KA_CAP, 0 };
    struct ka_state s = play(&cap, 300, 150);
    CHECK_INT(KA_REST, s.phase);
    for (unsigned i = 0; i < 2000; i++) gap(&s, &cap, UINT16_MAX);
    CHECK_INT(1200, ka_grant(&s, &ka_conf_default, &cap));
    CHECK_INT(0, s.ceil_s);
    for (unsigned i = 0; i < 2000; i++) gap(&s, &cap, 700); /* and what is above does not */
    CHECK_TRUE(ka_settled(&s, &ka_conf_default, &cap) <= 580);
    CHECK_TRUE(ka_settled(&s, &ka_conf_default, &cap) >= 540);
}

TEST(a_client_that_is_only_probed_has_never_more_than_its_own)
{
    struct ka_terms probe = { 120, KA_PROBE, 0 };
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 0);
    CHECK_INT(120, ka_grant(&s, &ka_conf_default, &probe));
    for (unsigned i = 0; i < 50; i++) gap(&s, &probe, 90);
    CHECK_INT(60, ka_settled(&s, &ka_conf_default, &probe));
}

TEST(who_wants_no_keepalive_gets_none_and_off_learns_nothing)
{
    struct ka_terms none = { 0, KA_LEARN, 0 }, off = { 90, KA_OFF, 0 };
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 0);
    struct ka_event e = { KA_FAIL_STRONG, 90, 90 };
    CHECK_INT(0, ka_grant(&s, &ka_conf_default, &none));
    for (unsigned i = 0; i < 9; i++) CHECK_TRUE(!ka_learn(&s, &ka_conf_default, &off, &e));
    CHECK_INT(90, ka_grant(&s, &ka_conf_default, &off));
}

TEST(a_prior_is_where_a_new_client_begins)
{
    struct ka_state s;
    ka_state_init(&s, &ka_conf_default, 420);
    CHECK_INT(420, s.k_s);
    ka_state_init(&s, &ka_conf_default, 9000);
    CHECK_INT(580, s.k_s);
}

TEST(any_stored_bytes_become_a_state_that_works)
{
    uint64_t x = 1;
    for (unsigned round = 0; round < 20000; round++) {
        struct ka_state s;
        unsigned char *at = (unsigned char *)&s;
        for (size_t i = 0; i < sizeof s; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            at[i] = (unsigned char)(x >> 56);
        }
        ka_state_mend(&s, &ka_conf_default);
        for (unsigned i = 0; i < 40; i++) gap(&s, &free_terms, (uint16_t)(60 + round % 600));
        uint16_t k_s = ka_grant(&s, &ka_conf_default, &free_terms);
        CHECK_TRUE(k_s >= ka_conf_default.min_s && k_s <= ka_conf_default.max_s);
        CHECK_TRUE(s.wait_s >= ka_conf_default.wait_s && s.wait_s <= ka_conf_default.wait_max_s);
        CHECK_TRUE(s.rested_s <= s.wait_s);
    }
}
