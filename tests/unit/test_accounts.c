/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/accounts.h"
#include "kit/test.h"
#include <stdio.h>

static struct accounts *made(void)
{
    struct accounts *a;
    struct account_conf anna = { 1, bytes_of_text("anna"), bytes_of_text("s"), true };
    struct account_conf bob = { 2, bytes_of_text("bob"), { 0 }, false };
    CHECK_INT(ERR_OK, accounts_new(&a));
    CHECK_INT(ERR_OK, accounts_add(a, &anna));
    CHECK_INT(ERR_OK, accounts_add(a, &bob));
    return a;
}

static void rule(struct accounts *a, struct rule_owner owner, int32_t priority, bool denies,
                 const char *filter)
{
    struct rule_conf conf = { RULE_BOTH, denies, priority, bytes_of_text(filter) };
    CHECK_INT(ERR_OK, accounts_add_rule(a, owner, &conf));
}

static enum rule_answer ask(const struct accounts *a, const char *user, const char *topic)
{
    struct rule_who who = { user == NULL ? (struct bytes){ 0 } : bytes_of_text(user), bytes_of_text("c") };
    return accounts_ask(a, &who, RULE_MAY_PUBLISH, bytes_of_text(topic));
}

TEST(an_account_is_found_by_its_name)
{
    struct accounts *a = made();
    accounts_finish(a);
    const struct account *c = accounts_find(a, bytes_of_text("anna"));
    CHECK_TRUE(c != NULL && account_is_enabled(c));
    CHECK_TRUE(bytes_equal(account_secret(c), bytes_of_text("s")));
    c = accounts_find(a, bytes_of_text("bob"));
    CHECK_TRUE(c != NULL && !account_is_enabled(c) && account_secret(c).at == NULL);
    CHECK_TRUE(accounts_find(a, bytes_of_text("carl")) == NULL);
    CHECK_INT(2, accounts_count(a));
    accounts_unref(&a);
}

TEST(rules_of_an_account_of_its_teams_and_of_everybody_are_one_list)
{
    struct accounts *a = made();
    CHECK_INT(ERR_OK, accounts_add_team(a, 7));
    CHECK_INT(ERR_OK, accounts_add_team(a, 8));
    CHECK_INT(ERR_OK, accounts_add_member(a, 7, 1));
    CHECK_INT(ERR_OK, accounts_add_member(a, 8, 1));
    rule(a, (struct rule_owner){ 0 }, 0, false, "news/#");
    rule(a, (struct rule_owner){ 0 }, 0, true, "team/secret");
    rule(a, (struct rule_owner){ .team_id = 7 }, 0, false, "team/#");
    rule(a, (struct rule_owner){ .team_id = 8 }, 1, true, "news/closed");
    rule(a, (struct rule_owner){ .account_id = 1 }, 2, false, "own/#");
    accounts_finish(a);
    CHECK_INT(RULE_ALLOWED, ask(a, "anna", "news/a"));
    CHECK_INT(RULE_DENIED, ask(a, "anna", "news/closed"));
    CHECK_INT(RULE_ALLOWED, ask(a, "anna", "team/a"));
    CHECK_INT(RULE_DENIED, ask(a, "anna", "team/secret"));
    CHECK_INT(RULE_ALLOWED, ask(a, "anna", "own/a"));
    CHECK_INT(RULE_ALLOWED, ask(a, "bob", "news/closed"));
    CHECK_INT(RULE_SILENT, ask(a, "bob", "team/a"));
    CHECK_INT(RULE_SILENT, ask(a, "bob", "own/a"));
    CHECK_INT(RULE_ALLOWED, ask(a, NULL, "news/a"));
    CHECK_INT(RULE_SILENT, ask(NULL, "anna", "news/a"));
    accounts_unref(&a);
}

TEST(an_account_may_have_limits_of_its_own)
{
    struct accounts *a = made();
    struct account_limit phones = { "phone", 3, LIMIT_REFUSE_NEWER }, others = { "", 1, LIMIT_KICK_OLDER };
    CHECK_INT(ERR_OK, accounts_add_limit(a, 1, &phones));
    CHECK_INT(ERR_OK, accounts_add_limit(a, 1, &others));
    accounts_finish(a);
    const struct account *c = accounts_find(a, bytes_of_text("anna"));
    CHECK_INT(3, account_limit(c, "phone")->connections);
    CHECK_INT(LIMIT_KICK_OLDER, account_limit(c, "")->policy);
    CHECK_TRUE(account_limit(c, "tablet") == NULL);
    accounts_unref(&a);
}

TEST(what_belongs_to_nobody_is_refused)
{
    struct accounts *a = made();
    struct rule_conf conf = { RULE_BOTH, false, 0, bytes_of_text("a") };
    struct account_limit limit = { "", 1, LIMIT_KICK_OLDER };
    CHECK_INT(ERR_NOTFOUND, accounts_add_member(a, 7, 1));
    CHECK_INT(ERR_NOTFOUND, accounts_add_rule(a, (struct rule_owner){ .account_id = 9 }, &conf));
    CHECK_INT(ERR_NOTFOUND, accounts_add_rule(a, (struct rule_owner){ .team_id = 9 }, &conf));
    CHECK_INT(ERR_NOTFOUND, accounts_add_limit(a, 9, &limit));
    accounts_unref(&a);
}

TEST(many_accounts_members_and_rules_are_all_there)
{
    struct accounts *a;
    CHECK_INT(ERR_OK, accounts_new(&a));
    CHECK_INT(ERR_OK, accounts_add_team(a, 1));
    for (int i = 1; i <= 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "user%d", i);
        struct account_conf conf = { i, bytes_of_text(name), { 0 }, true };
        CHECK_INT(ERR_OK, accounts_add(a, &conf));
        CHECK_INT(ERR_OK, accounts_add_member(a, 1, i));
        rule(a, (struct rule_owner){ .account_id = i }, 0, false, name);
    }
    rule(a, (struct rule_owner){ .team_id = 1 }, 0, false, "t/%u");
    accounts_finish(a);
    CHECK_INT(RULE_ALLOWED, ask(a, "user1000", "user1000"));
    CHECK_INT(RULE_ALLOWED, ask(a, "user500", "t/user500"));
    CHECK_INT(RULE_SILENT, ask(a, "user500", "user501"));
    accounts_unref(&a);
}

/* It is what an unknown name's password is compared with: so it takes as long. */
TEST(the_usual_secret_is_of_the_kind_that_most_have)
{
    static const char *const secrets[] = { "SCRAM-SHA-256$4096:YQ==$a", "SCRAM-SHA-256$20000:YQ==$a",
                                           "SCRAM-SHA-256$20000:Yg==$b", "$7$101$YQ==$a",
                                           "SCRAM-SHA-256$20000:Yw==$c" };
    struct accounts *a;
    CHECK_INT(ERR_OK, accounts_new(&a));
    CHECK_TRUE(accounts_usual_secret(a).at == NULL);
    for (int64_t i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", (int)i);
        struct account_conf conf = { i + 1, bytes_of_text(name), bytes_of_text(secrets[i]), true };
        CHECK_INT(ERR_OK, accounts_add(a, &conf));
    }
    accounts_finish(a);
    struct bytes usual = accounts_usual_secret(a);
    CHECK_TRUE(usual.len > 19 && memcmp(usual.at, "SCRAM-SHA-256$20000", 19) == 0);
    accounts_unref(&a);
}
