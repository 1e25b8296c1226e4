/* SPDX-License-Identifier: Apache-2.0 */
#include "access/throttle.h"
#include "kit/test.h"

static struct throttle *make(void)
{
    struct throttle *t;
    CHECK_INT(ERR_OK, throttle_new(&t));
    return t;
}

static void wrong(struct throttle *t, const struct throttle_keys *k, int times, uint64_t now_ms)
{
    for (int i = 0; i < times; i++) throttle_failed(t, k, now_ms);
}

TEST(the_first_failures_cost_nothing_and_each_more_doubles_the_delay)
{
    struct throttle *t = make();
    struct throttle_keys k = { 1, 2 };
    uint32_t want = 0;
    for (int i = 0; i < 20; i++) {
        CHECK_INT(want, throttle_delay_ms(t, &k, 1000));
        throttle_failed(t, &k, 1000);
        if (i + 1 == THROTTLE_FREE) want = THROTTLE_FIRST_MS;
        if (i + 1 > THROTTLE_FREE)
            want = want * 2 < THROTTLE_ACCOUNT_MOST_MS ? want * 2 : THROTTLE_ACCOUNT_MOST_MS;
    }
    CHECK_INT(THROTTLE_ACCOUNT_MOST_MS, throttle_delay_ms(t, &k, 1000));
    throttle_free(&t);
}

TEST(an_address_waits_whatever_the_account_and_an_account_whatever_the_address)
{
    struct throttle *t = make();
    struct throttle_keys bad = { 1, 2 }, same_address = { 1, 3 }, same_account = { 9, 2 }, other = { 9, 3 };
    wrong(t, &bad, THROTTLE_FREE, 0);
    CHECK_INT(THROTTLE_FIRST_MS, throttle_delay_ms(t, &same_address, 0));
    CHECK_INT(THROTTLE_FIRST_MS, throttle_delay_ms(t, &same_account, 0));
    CHECK_INT(0, throttle_delay_ms(t, &other, 0));
    throttle_free(&t);
}

TEST(a_right_password_clears_the_account_and_not_the_address)
{
    struct throttle *t = make();
    struct throttle_keys k = { 1, 2 }, account_alone = { 0, 2 };
    wrong(t, &k, THROTTLE_FREE, 0);
    CHECK_INT(THROTTLE_FIRST_MS, throttle_delay_ms(t, &account_alone, 0));
    throttle_passed(t, &k);
    CHECK_INT(0, throttle_delay_ms(t, &account_alone, 0));
    CHECK_INT(THROTTLE_FIRST_MS, throttle_delay_ms(t, &k, 0));
    throttle_free(&t);
}

TEST(failures_are_forgotten_by_half_with_time)
{
    struct throttle *t = make();
    struct throttle_keys k = { 0, 2 };
    wrong(t, &k, 2 * THROTTLE_FREE, 0);
    CHECK_INT(THROTTLE_FIRST_MS << THROTTLE_FREE, throttle_delay_ms(t, &k, THROTTLE_HALF_MS - 1));
    CHECK_INT(THROTTLE_FIRST_MS, throttle_delay_ms(t, &k, THROTTLE_HALF_MS));
    CHECK_INT(0, throttle_delay_ms(t, &k, 2 * THROTTLE_HALF_MS));
    CHECK_INT(0, throttle_delay_ms(t, &k, UINT64_MAX));
    throttle_free(&t);
}

TEST(an_address_waits_less_at_most_than_an_account)
{
    struct throttle *t = make();
    struct throttle_keys k = { 1, 2 }, address = { 1, 0 };
    wrong(t, &k, 50, 0);
    CHECK_INT(THROTTLE_ADDRESS_MOST_MS, throttle_delay_ms(t, &address, 0));
    CHECK_INT(THROTTLE_ACCOUNT_MOST_MS, throttle_delay_ms(t, &k, 0));
    throttle_free(&t);
}

TEST(what_is_not_known_counts_for_nothing)
{
    struct throttle *t = make();
    struct throttle_keys none = { 0, 0 };
    wrong(t, &none, 3 * THROTTLE_FREE, 0);
    CHECK_INT(0, throttle_delay_ms(t, &none, 0));
    throttle_passed(t, &none);
    throttle_free(&t);
}

TEST(a_flood_of_others_does_not_make_who_failed_most_forgotten)
{
    struct throttle *t = make();
    struct throttle_keys bad = { 12345, 54321 };
    wrong(t, &bad, 3 * THROTTLE_FREE, 0);
    for (uint64_t i = 1; i <= 20 * THROTTLE_SLOTS; i++) {
        struct throttle_keys k = { i * 0x9e3779b97f4a7c15u, i * 0xadf85458a2bb4a9bu };
        throttle_failed(t, &k, 0);
    }
    CHECK_INT(THROTTLE_ACCOUNT_MOST_MS, throttle_delay_ms(t, &bad, 0));
    throttle_free(&t);
}
