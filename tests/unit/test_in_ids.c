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
    CHECK_INT(2, s.count);
    in_ids_fini(&s);
}

TEST(taking_says_whether_it_was_stored)
{
    struct in_ids s = { 0 };
    CHECK_INT(ERR_OK, in_ids_add(&s, 1, 0));
    in_ids_find(&s, 1)->is_stored = true;
    CHECK_TRUE(in_ids_take(&s, 1));
    CHECK_TRUE(!in_ids_take(&s, 1)); /* not there any more */
    CHECK_TRUE(s.at == NULL);
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
    CHECK_INT(IDS, s.count);
    for (uint32_t i = 1; i < s.count; i++) CHECK_TRUE(s.at[i - 1].id < s.at[i].id);
    for (uint32_t i = 0; i < IDS; i++) in_ids_take(&s, nth(i));
    CHECK_INT(0, s.count);
    CHECK_TRUE(s.at == NULL);
}
