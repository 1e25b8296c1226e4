/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/grants.h"
#include "kit/test.h"
#include <string.h>

static const struct rule_who anna = { .username = { (const uint8_t *)"anna", 4 },
                                      .client_id = { (const uint8_t *)"phone-1", 7 } };
static const struct rule_who nobody = { .client_id = { (const uint8_t *)"phone-1", 7 } };

static void add(struct grants *r, enum rule_action action, bool denies, int32_t priority, const char *filter)
{
    struct rule_conf conf = { action, denies, priority, bytes_of_text(filter) };
    CHECK_INT(ERR_OK, grants_add(r, &conf));
}

static enum rule_answer ask(const struct grants *r, const struct rule_who *who, enum rule_question q,
                            const char *topic)
{
    return grants_ask(r, who, q, bytes_of_text(topic)).answer;
}

static struct grants *made(void)
{
    struct grants *r;
    CHECK_INT(ERR_OK, grants_new(&r));
    return r;
}

TEST(a_rule_speaks_of_its_action_and_of_what_its_filter_matches)
{
    struct grants *r = made();
    add(r, RULE_PUBLISH, false, 0, "a/+");
    grants_sort(r);
    CHECK_INT(RULE_ALLOWED, ask(r, &anna, RULE_MAY_PUBLISH, "a/b"));
    CHECK_INT(RULE_SILENT, ask(r, &anna, RULE_MAY_PUBLISH, "a/b/c"));
    CHECK_INT(RULE_SILENT, ask(r, &anna, RULE_MAY_RECEIVE, "a/b"));
    CHECK_INT(RULE_SILENT, ask(r, &anna, RULE_MAY_SUBSCRIBE, "a/+"));
    CHECK_INT(RULE_SILENT, ask(NULL, &anna, RULE_MAY_PUBLISH, "a/b"));
    grants_free(&r);
}

TEST(the_highest_priority_counts_and_of_one_priority_a_denial)
{
    struct grants *r = made();
    add(r, RULE_BOTH, false, 0, "#");
    add(r, RULE_BOTH, true, 0, "a/secret");
    add(r, RULE_BOTH, false, 5, "a/secret/open");
    add(r, RULE_BOTH, true, 0, "a/secret/#");
    grants_sort(r);
    CHECK_INT(RULE_DENIED, ask(r, &anna, RULE_MAY_PUBLISH, "a/secret"));
    CHECK_INT(RULE_DENIED, ask(r, &anna, RULE_MAY_RECEIVE, "a/secret/x"));
    CHECK_INT(RULE_ALLOWED, ask(r, &anna, RULE_MAY_RECEIVE, "a/secret/open"));
    CHECK_INT(RULE_ALLOWED, ask(r, &anna, RULE_MAY_RECEIVE, "b"));
    grants_free(&r);
}

TEST(two_lists_are_joined_by_the_same_order)
{
    struct rule_verdict low = { RULE_ALLOWED, 1 }, high = { RULE_DENIED, 2 }, no = { RULE_DENIED, 1 },
                        silent = { 0 };
    CHECK_INT(RULE_DENIED, grants_join(low, high).answer);
    CHECK_INT(RULE_DENIED, grants_join(high, low).answer);
    CHECK_INT(RULE_DENIED, grants_join(low, no).answer);
    CHECK_INT(RULE_ALLOWED, grants_join(low, silent).answer);
    CHECK_INT(RULE_DENIED, grants_join(silent, no).answer);
    CHECK_INT(RULE_ALLOWED, grants_join((struct rule_verdict){ RULE_ALLOWED, 2 }, no).answer);
    CHECK_INT(RULE_SILENT, grants_join(silent, silent).answer);
}

TEST(the_signs_stand_for_the_user_name_and_the_client_id)
{
    struct grants *r = made();
    add(r, RULE_BOTH, false, 0, "u/%u/c/%c/#");
    grants_sort(r);
    CHECK_INT(RULE_ALLOWED, ask(r, &anna, RULE_MAY_PUBLISH, "u/anna/c/phone-1/x"));
    CHECK_INT(RULE_SILENT, ask(r, &anna, RULE_MAY_PUBLISH, "u/bob/c/phone-1/x"));
    CHECK_INT(RULE_SILENT, ask(r, &nobody, RULE_MAY_PUBLISH, "u//c/phone-1/x"));
    CHECK_INT(RULE_ALLOWED, ask(r, &anna, RULE_MAY_SUBSCRIBE, "u/anna/c/phone-1/+/y"));
    CHECK_INT(RULE_SILENT, ask(r, &anna, RULE_MAY_SUBSCRIBE, "u/+/c/phone-1/#"));
    grants_free(&r);
}

TEST(a_name_with_a_wildcard_or_a_slash_is_allowed_nothing_by_it_and_denied_what_it_may_mean)
{
    static const char *const names[] = { "+", "#", "a/b", "x+", "" };
    struct grants *allow = made(), *deny = made();
    add(allow, RULE_BOTH, false, 0, "u/%u");
    add(deny, RULE_BOTH, true, 0, "u/%u");
    grants_sort(allow);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct rule_who who = { .username = bytes_of_text(names[i]), .client_id = bytes_of_text("c") };
        CHECK_INT(RULE_SILENT, ask(allow, &who, RULE_MAY_PUBLISH, "u/anna"));
        CHECK_INT(RULE_SILENT, ask(allow, &who, RULE_MAY_PUBLISH, "u/a/b"));
        CHECK_INT(RULE_DENIED, ask(deny, &who, RULE_MAY_PUBLISH, "u/anna"));
    }
    grants_free(&allow);
    grants_free(&deny);
}

TEST(a_name_longer_than_the_usual_room_fits)
{
    char name[2000], topic[2002] = "u/";
    struct grants *r = made();
    memset(name, 'x', sizeof name);
    memset(topic + 2, 'x', sizeof name);
    struct rule_who who = { .username = bytes_of(name, sizeof name), .client_id = bytes_of_text("c") };
    add(r, RULE_PUBLISH, false, 0, "u/%u");
    CHECK_INT(RULE_ALLOWED, grants_ask(r, &who, RULE_MAY_PUBLISH, bytes_of(topic, sizeof topic)).answer);
    CHECK_INT(RULE_SILENT, grants_ask(r, &who, RULE_MAY_PUBLISH, bytes_of(topic, sizeof topic - 1)).answer);
    grants_free(&r);
}

TEST(a_filter_is_covered_when_all_its_topics_are)
{
    static const struct {
        const char *filter, *asked;
        bool covers;
    } cases[] = {
        { "#", "a", true },        { "#", "#", true },         { "#", "+/b", true },
        { "#", "$SYS/#", false },  { "+/a", "$SYS/a", false }, { "$SYS/#", "$SYS/a/+", true },
        { "a/#", "a", true },      { "a/#", "a/#", true },     { "a/#", "a/+/b", true },
        { "a/#", "b/#", false },   { "a/#", "+/b", false },    { "a/+", "a/+", true },
        { "a/+", "a/b", true },    { "a/+", "a/#", false },    { "a/+", "a", false },
        { "a/+", "a/b/c", false }, { "a/b", "a/b", true },     { "a/b", "a/+", false },
        { "a/b", "a", false },     { "a", "a/b", false },      { "+/+/#", "a/b", true },
        { "+/+/#", "a/#", false }, { "a/b/#", "a/#", false },  { "a//b", "a//b", true },
        { "a/+/b", "a//b", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_INT(cases[i].covers,
                  grants_covers(bytes_of_text(cases[i].filter), bytes_of_text(cases[i].asked)));
}

TEST(a_shared_subscription_is_judged_by_its_filter)
{
    struct grants *r = made();
    add(r, RULE_SUBSCRIBE, false, 0, "jobs/#");
    CHECK_INT(RULE_ALLOWED, ask(r, &anna, RULE_MAY_SUBSCRIBE, "$share/g/jobs/+"));
    CHECK_INT(RULE_SILENT, ask(r, &anna, RULE_MAY_SUBSCRIBE, "$share/g/other"));
    grants_free(&r);
}

TEST(what_is_no_filter_is_refused)
{
    static const char *const wrong[] = { "", "a/#/b", "a+", "#a" };
    struct grants *r = made();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct rule_conf conf = { .action = RULE_BOTH, .filter = bytes_of_text(wrong[i]) };
        CHECK_INT(ERR_SYNTAX, grants_add(r, &conf));
    }
    CHECK_INT(0, grants_count(r));
    grants_free(&r);
}

/* Who calls himself "$SYS" or "$CONTROL" must not have what no wildcard gives him [MQTT-4.7.2-1]. */
TEST(a_name_that_begins_with_a_dollar_sign_begins_no_filter)
{
    struct grants *r;
    struct rule_conf own = { RULE_BOTH, false, 0, bytes_of_text("%c/#") },
                     below = { RULE_BOTH, false, 0, bytes_of_text("home/%c/#") },
                     shut = { RULE_PUBLISH, true, 1, bytes_of_text("%u/shut") };
    struct rule_who sys = { bytes_of_text("anna"), bytes_of_text("$CONTROL") },
                    named = { bytes_of_text("$SYS"), bytes_of_text("c") };
    CHECK_INT(ERR_OK, grants_new(&r));
    CHECK_INT(ERR_OK, grants_add(r, &own));
    CHECK_INT(ERR_OK, grants_add(r, &below));
    CHECK_INT(ERR_OK, grants_add(r, &shut));
    grants_sort(r);
    struct bytes control = bytes_of_text("$CONTROL/x/v1"), home = bytes_of_text("home/$CONTROL/x");
    CHECK_INT(RULE_SILENT, grants_ask(r, &sys, RULE_MAY_PUBLISH, control).answer);
    CHECK_INT(RULE_SILENT, grants_ask(r, &sys, RULE_MAY_RECEIVE, control).answer);
    CHECK_INT(RULE_SILENT, grants_ask(r, &sys, RULE_MAY_SUBSCRIBE, bytes_of_text("$CONTROL/#")).answer);
    CHECK_INT(RULE_ALLOWED, grants_ask(r, &sys, RULE_MAY_PUBLISH, home).answer);
    CHECK_INT(RULE_DENIED, grants_ask(r, &named, RULE_MAY_PUBLISH, bytes_of_text("c/x")).answer);
    grants_free(&r);
}
