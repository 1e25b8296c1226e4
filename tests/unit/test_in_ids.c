/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "store/in_ids.h"

TEST(an_id_is_known_until_it_is_taken)
{
    struct in_ids s = { 0 };
    CHECK_TRUE(in_ids_find(&s, 7) == NULL);
    CHECK_INT(ERR_OK, in_ids_add(&s, 7, 100));
    CHECK_INT(ERR_OK, in_ids_add(&s, 3, 101));
    CHECK_INT(ERR_OK, in_ids_add(&s, 65535, 102));
    CHECK_INT(100, in_ids_find(&s, 7)->position);
    CHECK_INT(101, in_ids_find(&s, 3)->position);
    CHECK_INT(102, in_ids_find(&s, 65535)->position);
    CHECK_TRUE(!in_ids_take(&s, 7));
    CHECK_TRUE(in_ids_find(&s, 7) == NULL);
    CHECK_TRUE(in_ids_find(&s, 3) != NULL && in_ids_find(&s, 65535) != NULL);
    in_ids_fini(&s);
}

TEST(taking_says_whether_it_was_stored)
{
    struct in_ids s = { 0 };
    CHECK_INT(ERR_OK, in_ids_add(&s, 1, 0));
    in_ids_find(&s, 1)->is_stored = true;
    CHECK_TRUE(in_ids_take(&s, 1));
    CHECK_TRUE(!in_ids_take(&s, 1)); /* not there any more */
    CHECK_TRUE(s.pages == NULL);     /* nothing is left of an empty one */
}

/* All of them, in no order. */
static uint16_t nth(uint32_t i)
{
    return (uint16_t)(i * 40503);
}

TEST(every_id_of_mqtt_fits_in_any_order)
{
    enum { IDS = 65535 };
    struct in_ids s = { 0 };
    for (uint32_t i = 0; i < IDS; i++) CHECK_INT(ERR_OK, in_ids_add(&s, nth(i), i));
    for (uint32_t i = 0; i < IDS; i++) CHECK_INT(i, in_ids_find(&s, nth(i))->position);
    for (uint32_t i = 0; i < IDS; i++) {
        CHECK_INT(nth(i), in_ids_find(&s, nth(i))->id);
        in_ids_take(&s, nth(i));
        CHECK_TRUE(in_ids_find(&s, nth(i)) == NULL);
    }
    CHECK_TRUE(s.pages == NULL);
}

TEST(ids_come_and_go_and_only_those_that_are_there_are_known)
{
    static uint64_t there[65536]; /* position; 0: free */
    struct in_ids s = { 0 };
    uint32_t random = 1;
    for (uint64_t at = 1; at < 200000; at++) {
        random = random * 1664525 + 1013904223;
        uint16_t id = (uint16_t)(random >> 16 & 0x7ff); /* of eight pages */
        struct in_id *found = in_ids_find(&s, id);
        CHECK_TRUE((found != NULL) == (there[id] != 0));
        if (found != NULL) CHECK_INT(there[id], found->position);
        if (found != NULL)
            in_ids_take(&s, id);
        else
            CHECK_INT(ERR_OK, in_ids_add(&s, id, at));
        there[id] = found != NULL ? 0 : at;
    }
    in_ids_fini(&s);
}
