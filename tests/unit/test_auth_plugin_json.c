/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/json.h"
#include "kit/test.h"

static bool is_object(const char *text)
{
    cJSON *v = json_object(bytes_of_text(text));
    cJSON_Delete(v);
    return v != NULL;
}

static enum err rules_of(const char *text, struct grants **out)
{
    cJSON *v = json_object(bytes_of_text(text));
    CHECK_TRUE(v != NULL);
    enum err rc = json_rules(v, out);
    cJSON_Delete(v);
    return rc;
}

TEST(an_object_and_nothing_behind_it_is_read)
{
    CHECK_TRUE(is_object("{}"));
    CHECK_TRUE(is_object("{\"a\":{\"b\":[1,{\"c\":null}]}} \n"));
    CHECK_TRUE(!is_object("{} x"));
    CHECK_TRUE(!is_object("{}{}"));
    CHECK_TRUE(!is_object("[]"));
    CHECK_TRUE(!is_object("\"a\""));
    CHECK_TRUE(!is_object("{\"a\":"));
    CHECK_TRUE(!is_object(""));
}

TEST(an_object_that_says_a_name_twice_anywhere_is_refused)
{
    CHECK_TRUE(!is_object("{\"a\":1,\"a\":2}"));
    CHECK_TRUE(!is_object("{\"a\":1,\"\\u0061\":2}"));
    CHECK_TRUE(!is_object("{\"x\":[{\"a\":1,\"b\":0,\"a\":2}]}"));
    CHECK_TRUE(is_object("{\"x\":[{\"a\":1},{\"a\":2}],\"a\":3,\"A\":4}"));
}

TEST(a_nul_in_a_text_and_too_deep_nesting_are_refused)
{
    CHECK_TRUE(!is_object("{\"a\":\"x\\u0000y\"}"));
    CHECK_TRUE(json_object(bytes_of("{\"a\":\"\0\"}", 9)) == NULL);
    CHECK_TRUE(is_object("{\"a\":[[[[[[1]]]]]]}"));
    CHECK_TRUE(!is_object("{\"a\":[[[[[[[[1]]]]]]]]}"));
}

TEST(rules_come_of_lists_and_of_single_texts)
{
    struct grants *r;
    struct rule_who who = { bytes_of_text("u"), bytes_of_text("c") };
    CHECK_INT(ERR_OK,
              rules_of("{\"both\":\"#\",\"deny_publish\":[\"x\",\"y\"],\"deny_subscribe\":\"z\"}", &r));
    CHECK_INT(4, grants_count(r));
    CHECK_INT(RULE_DENIED, grants_ask(r, &who, RULE_MAY_PUBLISH, bytes_of_text("y")).answer);
    CHECK_INT(RULE_ALLOWED, grants_ask(r, &who, RULE_MAY_RECEIVE, bytes_of_text("y")).answer);
    CHECK_INT(RULE_DENIED, grants_ask(r, &who, RULE_MAY_SUBSCRIBE, bytes_of_text("z")).answer);
    grants_free(&r);
}

TEST(rules_of_which_a_part_is_not_understood_are_none)
{
    static const char *const wrong[] = { "{\"Publish\":[]}", "{\"both\":7}", "{\"both\":[7]}",
                                         "{\"both\":[\"a#\"]}", "{\"both\":\"\"}" };
    struct grants *r;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_INT(ERR_SYNTAX, rules_of(wrong[i], &r));
        CHECK_TRUE(r == NULL);
    }
}

TEST(a_name_is_utf_8_without_control_characters)
{
    CHECK_TRUE(json_is_name("anna+tag@example.org") && json_is_name("\xc3\xa9"));
    CHECK_TRUE(!json_is_name("") && !json_is_name("a\tb") && !json_is_name("\xff") && !json_is_name("\x7f"));
}
