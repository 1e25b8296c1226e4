/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "topic/topic.h"
#include <stdlib.h>

static struct bytes text(const char *s)
{
    return bytes_of_text(s);
}

TEST(a_name_is_not_empty_and_has_no_wildcard_and_no_nul)
{
    CHECK_TRUE(topic_name_valid(text("a")));
    CHECK_TRUE(topic_name_valid(text("/")));
    CHECK_TRUE(topic_name_valid(text("a//b/")));
    CHECK_TRUE(topic_name_valid(text("$SYS/x")));
    CHECK_TRUE(topic_name_valid(text("$share/g/x")));
    CHECK_TRUE(!topic_name_valid(text("")));
    CHECK_TRUE(!topic_name_valid((struct bytes){ 0 }));
    CHECK_TRUE(!topic_name_valid(text("a/+")));
    CHECK_TRUE(!topic_name_valid(text("a#")));
    CHECK_TRUE(!topic_name_valid(bytes_of("a\0b", 3)));
}

TEST(a_wildcard_or_a_nul_is_seen_wherever_it_is)
{
    static const char odd[] = { '+', '#', '\0' }, plain[] = { '*', '!', '"', '$', '%', '\'', 0x01, 0x7f };
    char name[40];
    for (size_t bytes = 1; bytes <= sizeof name; bytes++) {
        for (size_t at = 0; at < bytes; at++) {
            memset(name, 'x', sizeof name);
            for (size_t i = 0; i < sizeof plain; i++) {
                name[at] = plain[i];
                CHECK_TRUE(topic_name_valid(bytes_of(name, bytes)));
            }
            for (size_t i = 0; i < sizeof odd; i++) {
                name[at] = odd[i];
                CHECK_TRUE(!topic_name_valid(bytes_of(name, bytes)));
            }
        }
    }
}

TEST(names_and_filters_have_limits)
{
    size_t size = TOPIC_BYTES_MAX + 1;
    char *s = malloc(size);

    assert_non_null(s);
    memset(s, 'a', size);
    CHECK_TRUE(topic_name_valid(bytes_of(s, size - 1)));
    CHECK_TRUE(!topic_name_valid(bytes_of(s, size)));
    CHECK_TRUE(topic_filter_valid(bytes_of(s, size - 1)));
    CHECK_TRUE(!topic_filter_valid(bytes_of(s, size)));
    memset(s, '/', size);
    CHECK_TRUE(topic_name_valid(bytes_of(s, TOPIC_LEVELS_MAX - 1)));
    CHECK_TRUE(!topic_name_valid(bytes_of(s, TOPIC_LEVELS_MAX)));
    CHECK_TRUE(topic_filter_valid(bytes_of(s, TOPIC_LEVELS_MAX - 1)));
    CHECK_INT(TOPIC_FILTER_ABOVE_LIMITS, topic_filter_check(bytes_of(s, TOPIC_LEVELS_MAX)));
    s[1] = '#';
    CHECK_INT(TOPIC_FILTER_WRONG, topic_filter_check(bytes_of(s, size)));
    free(s);
}

TEST(a_wildcard_is_a_whole_level_and_the_hash_is_the_last)
{
    static const char *const good[] = { "#",          "+",          "a/#",        "+/+",   "a/+/b",  "/+",
                                        "+/",         "/#",         "a",          "+/#",   "$SYS/#", "/",
                                        "$share/g/#", "$share/g/a", "$share/g//", "$share" };
    static const char *const bad[] = {
        "",          "a#",        "#a",         "#/a",         "a/#/b",       "a+",
        "+a",        "a/+b/c",    "##",         "++",          "$share/",     "$share/g",
        "$share/g/", "$share//a", "$share/+/a", "$share/g#/a", "$share/g/a#", "$share/g/#/a"
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) CHECK_TRUE(topic_filter_valid(text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (topic_filter_valid(text(bad[i]))) print_error("%s\n", bad[i]);
        CHECK_TRUE(!topic_filter_valid(text(bad[i])));
    }
    CHECK_TRUE(!topic_filter_valid(bytes_of("a\0b", 3)));
    CHECK_TRUE(!topic_filter_valid(bytes_of("$share/g\0/a", 11)));
}

TEST(a_filter_without_wildcard_is_exact)
{
    CHECK_TRUE(topic_filter_is_exact(text("a/b")));
    CHECK_TRUE(!topic_filter_is_exact(text("a/+")));
    CHECK_TRUE(!topic_filter_is_exact(text("#")));
}

TEST(filters_match_as_section_4_7_says)
{
    static const struct {
        const char *filter, *name;
        bool match;
    } rows[] = {
        { "a", "a", true },
        { "a", "b", false },
        { "a", "a/", false },
        { "a/", "a", false },
        { "a/b", "a/b", true },
        { "a/b", "a/b/c", false },
        { "sport/tennis/player1/#", "sport/tennis/player1", true },
        { "sport/tennis/player1/#", "sport/tennis/player1/ranking", true },
        { "sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true },
        { "sport/#", "sport", true },
        { "sport/#", "sports", false },
        { "#", "a/b/c", true },
        { "#", "/", true },
        { "sport/tennis/+", "sport/tennis/player1", true },
        { "sport/tennis/+", "sport/tennis/player1/ranking", false },
        { "sport/+", "sport", false },
        { "sport/+", "sport/", true },
        { "+", "/finance", false },
        { "+/+", "/finance", true },
        { "/+", "/finance", true },
        { "+/b/#", "a/b", true },
        { "+/b/#", "a/c", false },
        { "#", "$SYS", false },
        { "#", "$SYS/a", false },
        { "+/a", "$SYS/a", false },
        { "$SYS/#", "$SYS/a", true },
        { "$SYS/#", "$SYS", true },
        { "$SYS/a/+", "$SYS/a/b", true },
        { "a/#", "a/$x", true },
        { "a//b", "a//b", true },
        { "a/+/b", "a//b", true },
        { "ACCOUNTS", "Accounts", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].match != topic_matches(text(rows[i].filter), text(rows[i].name))) {
            print_error("%s and %s\n", rows[i].filter, rows[i].name);
        }
        CHECK_INT(rows[i].match, topic_matches(text(rows[i].filter), text(rows[i].name)));
    }
}

TEST(what_is_empty_matches_nothing_but_itself)
{
    CHECK_TRUE(topic_matches((struct bytes){ 0 }, (struct bytes){ 0 }));
    CHECK_TRUE(!topic_matches((struct bytes){ 0 }, text("$a")));
    CHECK_TRUE(!topic_matches((struct bytes){ 0 }, text("a")));
}

TEST(a_shared_filter_is_split)
{
    struct bytes group, rest;

    CHECK_TRUE(topic_share_split(text("$share/g/a/b"), &group, &rest));
    CHECK_TRUE(bytes_equal(text("g"), group) && bytes_equal(text("a/b"), rest));
    CHECK_TRUE(topic_share_split(text("$share/g//"), &group, &rest));
    CHECK_TRUE(bytes_equal(text("g"), group) && bytes_equal(text("/"), rest));
    CHECK_TRUE(topic_share_split(text("$share/g"), &group, &rest));
    CHECK_TRUE(bytes_equal(text("g"), group) && rest.len == 0);
    CHECK_TRUE(topic_share_split(text("$share/"), &group, &rest));
    CHECK_TRUE(group.len == 0 && rest.len == 0);
    CHECK_TRUE(!topic_share_split(text("$share"), &group, &rest));
    CHECK_TRUE(!topic_share_split(text("$Share/g/a"), &group, &rest));
    CHECK_TRUE(!topic_share_split(text("a/b/c/d"), &group, &rest));
}

static void check_delay(const char *name, uint32_t want_seconds, const char *want_rest)
{
    uint32_t seconds;
    struct bytes rest;
    CHECK_TRUE(topic_delay_split(text(name), &seconds, &rest));
    CHECK_INT(want_seconds, seconds);
    CHECK_TRUE(bytes_equal(text(want_rest), rest));
}

TEST(a_delay_is_split_from_its_topic)
{
    check_delay("$delayed/1/t", 1, "t");
    check_delay("$delayed/15/a/b//c", 15, "a/b//c");
    check_delay("$delayed/4294967//", 4294967, "/");
    check_delay("$delayed/0000007/7", 7, "7");
    check_delay("$delayed/5/$SYS/x", 5, "$SYS/x");
    check_delay("$delayed/5/$delayed", 5, "$delayed");
}

TEST(a_name_without_a_delay_is_all_of_the_rest)
{
    static const char *const names[] = { "t",          "$delayed",       "$Delayed/1/t", "$delayed1/2/t",
                                         "/$delayed/", "a/$delayed/1/t", "$delaye",      "$SYS/x" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_delay(names[i], 0, names[i]);
}

TEST(a_delay_that_is_not_right_is_refused)
{
    static const char *const names[] = {
        "$delayed/",       "$delayed//t",        "$delayed/abc/t",          "$delayed/0/t",
        "$delayed/0000/t", "$delayed/4294968/t", "$delayed/00000001/t",     "$delayed/99999999999999999999/t",
        "$delayed/-1/t",   "$delayed/+1/t",      "$delayed/1.5/t",          "$delayed/ 1/t",
        "$delayed/1",      "$delayed/1/",        "$delayed/1/a/+",          "$delayed/1/#",
        "$delayed/1s/t",   "$delayed/0x1/t",     "$delayed/1/$delayed/1/t",
    };
    uint32_t seconds;
    struct bytes rest;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_TRUE(!topic_delay_split(text(names[i]), &seconds, &rest));
}

TEST(levels_are_walked_and_empty_ones_count)
{
    static const struct {
        const char *name;
        int levels;
    } rows[] = { { "", 1 }, { "a", 1 }, { "/", 2 }, { "a//b", 3 }, { "a/b/", 3 } };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct topic_levels l = topic_levels(text(rows[i].name));
        struct bytes level;
        int n = 0;
        while (topic_level_next(&l, &level)) n++;
        CHECK_INT(rows[i].levels, n);
        CHECK_TRUE(!topic_level_next(&l, &level));
    }
}
