/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/prior.h"
#include "kit/test.h"

static struct ka_prior *open_prior(uint32_t prefixes_max)
{
    struct ka_prior *p;
    CHECK_INT(ERR_OK, ka_prior_new(&p, &ka_conf_default, prefixes_max));
    return p;
}

static struct ka_net net_of(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    uint8_t address[4] = { a, b, c, d };
    return ka_net_of(bytes_of(address, 4), 0, bytes_of(NULL, 0));
}

static void note(struct ka_prior *p, const struct ka_net *net, enum ka_kind kind, uint16_t gap_s,
                 unsigned times)
{
    struct ka_event e = { (uint8_t)kind, gap_s, gap_s };
    for (unsigned i = 0; i < times; i++) ka_prior_note(p, net, i, &e, 1000);
}

TEST(a_network_is_a_block_of_256_addresses_or_what_its_client_calls_it)
{
    static const uint8_t mapped[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3 };
    struct ka_net a = net_of(10, 1, 2, 3), b = net_of(10, 1, 2, 200), c = net_of(10, 1, 3, 3);
    struct ka_net m = ka_net_of(bytes_of(mapped, 16), 0, bytes_of(NULL, 0));
    struct ka_net named = ka_net_of(bytes_of(mapped, 16), 0, bytes_of_text("wifi home"));
    CHECK_TRUE(a.key == b.key);
    CHECK_TRUE(a.prefix[0] != b.prefix[0]);
    CHECK_TRUE(a.key != c.key);
    CHECK_TRUE(a.prefix[2] == c.prefix[2]);
    CHECK_TRUE(a.key == m.key);
    CHECK_TRUE(a.key != named.key);
    CHECK_TRUE(a.prefix[1] == named.prefix[1]);
}

TEST(without_an_address_there_is_no_prefix)
{
    struct ka_net net = ka_net_of(bytes_of(NULL, 0), 0, bytes_of(NULL, 0));
    CHECK_INT(0, net.key);
    CHECK_INT(0, net.prefix[0]);
}

TEST(it_takes_73_successes_or_more_when_some_failed)
{
    struct ka_prior *p = open_prior(100);
    struct ka_net net = net_of(10, 0, 0, 1);
    note(p, &net, KA_SUCCESS, 300, 72);
    CHECK_INT(0, ka_prior_get(p, &net, 1000));
    note(p, &net, KA_SUCCESS, 300, 1);
    CHECK_INT(280, ka_prior_get(p, &net, 1000)); /* a margin below */
    note(p, &net, KA_FAIL_STRONG, 300, 1);
    CHECK_INT(270, ka_prior_get(p, &net, 1000)); /* of shorter gaps it says nothing */
    note(p, &net, KA_SUCCESS, 310, 108 - 73);
    CHECK_INT(270, ka_prior_get(p, &net, 1000));
    note(p, &net, KA_SUCCESS, 310, 1);
    CHECK_INT(280, ka_prior_get(p, &net, 1000));
    ka_prior_free(&p);
}

struct noted {
    enum ka_kind kind;
    uint16_t gap_s;
    unsigned times;
};

static uint16_t learned_from(const struct noted *all, size_t count)
{
    struct ka_prior *p = open_prior(100);
    struct ka_net net = net_of(10, 0, 0, 1);
    for (size_t i = 0; i < count; i++) note(p, &net, all[i].kind, all[i].gap_s, all[i].times);
    uint16_t learned = ka_prior_get(p, &net, 1000);
    ka_prior_free(&p);
    return learned;
}

TEST(longer_gaps_that_held_speak_for_shorter_ones)
{
    static const struct noted all[] = { { KA_SUCCESS, 400, 60 },
                                        { KA_SUCCESS, 300, 60 },
                                        { KA_FAIL_STRONG, 420, 60 } };
    CHECK_INT(280, learned_from(all, 3));
}

TEST(the_noise_of_those_who_stand_lower_does_not_drown_the_few_who_try)
{
    static const struct noted all[] = { { KA_SUCCESS, 240, 9700 },
                                        { KA_FAIL_STRONG, 240, 300 },
                                        { KA_SUCCESS, 300, 100 } };
    CHECK_INT(280, learned_from(all, 3));
}

TEST(a_wider_prefix_answers_for_one_that_knows_nothing)
{
    struct ka_prior *p = open_prior(100);
    struct ka_net near = net_of(10, 0, 0, 1), same24 = net_of(10, 0, 0, 9), same16 = net_of(10, 0, 7, 9);
    struct ka_net far = net_of(77, 0, 7, 9);
    note(p, &near, KA_SUCCESS, 300, 100);
    CHECK_INT(280, ka_prior_get(p, &same24, 1000));
    CHECK_INT(280, ka_prior_get(p, &same16, 1000));
    CHECK_INT(280, ka_prior_get(p, &far, 1000)); /* all together */
    CHECK_INT(300, ka_prior_limit(p, &same24, 1000));
    CHECK_INT(0, ka_prior_limit(p, &far, 1000)); /* no limit from somewhere else */
    ka_prior_free(&p);
}

TEST(one_client_is_no_limit_for_the_others)
{
    struct ka_prior *p = open_prior(100);
    struct ka_net net = net_of(10, 0, 0, 1);
    struct ka_event e = { KA_SUCCESS, 300, 300 };
    for (unsigned i = 0; i < 1000; i++) ka_prior_note(p, &net, i % 5, &e, 1000);
    CHECK_INT(0, ka_prior_limit(p, &net, 1000));
    CHECK_INT(280, ka_prior_get(p, &net, 1000));
    ka_prior_free(&p);
}

TEST(half_is_forgotten_in_a_week_whatever_the_clock_does)
{
    struct ka_prior *p = open_prior(100);
    struct ka_net net = net_of(10, 0, 0, 1);
    note(p, &net, KA_SUCCESS, 300, 150);
    CHECK_INT(280, ka_prior_get(p, &net, 1000 + 7 * 86400));
    CHECK_INT(280, ka_prior_get(p, &net, 5)); /* back: not younger, not older */
    CHECK_INT(0, ka_prior_get(p, &net, INT64_C(1) << 40));
    ka_prior_free(&p);
}

TEST(prefixes_are_bounded_and_the_longest_silent_goes)
{
    struct ka_prior *p = open_prior(6);
    struct ka_net first = net_of(10, 0, 0, 1);
    note(p, &first, KA_SUCCESS, 300, 200);
    CHECK_INT(300, ka_prior_limit(p, &first, 1000));
    for (uint8_t i = 1; i < 200; i++) {
        struct ka_net other = net_of(i, i, i, i);
        if (i != 10) note(p, &other, KA_SUCCESS, 100, 1);
    }
    CHECK_INT(0, ka_prior_limit(p, &first, 1000));
    ka_prior_free(&p);
}
