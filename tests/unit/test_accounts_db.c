/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/accounts_db.h"
#include "accounts/schema.h"
#include "accounts/secret.h"
#include "kit/test.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char folder[64], path[96];
};

static struct place place_new(void)
{
    struct place p = { "/tmp/longlink-accounts-XXXXXX", "" };
    CHECK_TRUE(mkdtemp(p.folder) != NULL);
    snprintf(p.path, sizeof p.path, "%s/accounts.db", p.folder);
    return p;
}

static void place_end(struct place *p)
{
    unlink(p->path);
    CHECK_INT(0, rmdir(p->folder));
}

static struct accounts_db *opened(const struct place *p, enum accounts_db_mode mode)
{
    struct accounts_db *db;
    CHECK_INT(ERR_OK, accounts_db_open(&db, p->path, mode));
    return db;
}

static struct accounts *loaded(struct accounts_db *db)
{
    struct accounts *a;
    CHECK_INT(ERR_OK, accounts_db_load(db, &a));
    return a;
}

static void execute(const struct place *p, const char *sql)
{
    sqlite3 *s;
    CHECK_INT(SQLITE_OK, sqlite3_open(p->path, &s));
    CHECK_INT(SQLITE_OK, sqlite3_exec(s, sql, NULL, NULL, NULL));
    sqlite3_close(s);
}

static struct bytes t(const char *text)
{
    return bytes_of_text(text);
}

TEST(what_was_put_is_loaded)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    char secret[SECRET_TEXT_BYTES];
    secret_make(t("sesame"), 4096, secret);
    CHECK_INT(ERR_OK, accounts_db_put(db, t("anna"), t(secret)));
    CHECK_INT(ERR_OK, accounts_db_put(db, t("bob"), (struct bytes){ 0 }));
    CHECK_INT(ERR_OK, accounts_db_join(db, t("staff"), t("anna")));
    CHECK_INT(ERR_OK, accounts_db_join(db, t("staff"), t("anna")));
    struct accounts_db_rule rule = { .team = t("staff"), .conf = { RULE_PUBLISH, false, 0, t("staff/%u") } };
    CHECK_INT(ERR_OK, accounts_db_add_rule(db, &rule));
    execute(&p, "INSERT INTO connection_limit SELECT account_id, 'phone', 2, 'refuse-newer' FROM account");
    accounts_db_close(&db);

    db = opened(&p, ACCOUNTS_DB_OPEN);
    struct accounts *a = loaded(db);
    const struct account *c = accounts_find(a, t("anna"));
    CHECK_TRUE(secret_check(account_secret(c), t("sesame")));
    CHECK_INT(2, account_limit(c, "phone")->connections);
    CHECK_INT(LIMIT_REFUSE_NEWER, account_limit(c, "phone")->policy);
    CHECK_TRUE(account_secret(accounts_find(a, t("bob"))).at == NULL);
    struct rule_who anna = { t("anna"), t("c") }, bob = { t("bob"), t("c") };
    CHECK_INT(RULE_ALLOWED, accounts_ask(a, &anna, RULE_MAY_PUBLISH, t("staff/anna")));
    CHECK_INT(RULE_SILENT, accounts_ask(a, &anna, RULE_MAY_RECEIVE, t("staff/anna")));
    CHECK_INT(RULE_SILENT, accounts_ask(a, &bob, RULE_MAY_PUBLISH, t("staff/bob")));
    accounts_unref(&a);
    accounts_db_close(&db);
    place_end(&p);
}

TEST(a_new_password_keeps_teams_and_a_removed_account_takes_its_rules_along)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    struct accounts_db_rule rule = { .account = t("anna"), .conf = { RULE_BOTH, true, 3, t("x") } };
    struct rule_who anna = { t("anna"), t("c") };
    CHECK_INT(ERR_OK, accounts_db_put(db, t("anna"), (struct bytes){ 0 }));
    CHECK_INT(ERR_OK, accounts_db_add_rule(db, &rule));
    CHECK_INT(ERR_OK, accounts_db_put(db, t("anna"), (struct bytes){ 0 }));
    struct accounts *a = loaded(db);
    CHECK_INT(RULE_DENIED, accounts_ask(a, &anna, RULE_MAY_RECEIVE, t("x")));
    accounts_unref(&a);
    CHECK_INT(ERR_OK, accounts_db_remove(db, t("anna")));
    CHECK_INT(ERR_OK, accounts_db_put(db, t("anna"), (struct bytes){ 0 }));
    a = loaded(db);
    CHECK_INT(RULE_SILENT, accounts_ask(a, &anna, RULE_MAY_RECEIVE, t("x")));
    accounts_unref(&a);
    accounts_db_close(&db);
    place_end(&p);
}

TEST(changes_of_what_is_not_there_say_so)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    struct accounts_db_rule rule = { .account = t("anna"), .conf = { RULE_BOTH, true, 3, t("x") } };
    struct accounts_db_rule wrong = { .conf = { RULE_BOTH, true, 3, t("a#") } };
    CHECK_INT(ERR_NOTFOUND, accounts_db_remove(db, t("anna")));
    CHECK_INT(ERR_NOTFOUND, accounts_db_enable(db, t("anna"), false));
    CHECK_INT(ERR_NOTFOUND, accounts_db_join(db, t("staff"), t("anna")));
    CHECK_INT(ERR_NOTFOUND, accounts_db_leave(db, t("staff"), t("anna")));
    CHECK_INT(ERR_NOTFOUND, accounts_db_add_rule(db, &rule));
    CHECK_INT(ERR_SYNTAX, accounts_db_add_rule(db, &wrong));
    CHECK_TRUE(accounts_db_error(db)[0] != '\0');
    accounts_db_close(&db);
    place_end(&p);
}

TEST(another_connections_change_is_noticed_once)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    CHECK_TRUE(accounts_db_changed(db));
    CHECK_TRUE(!accounts_db_changed(db));
    execute(&p, "INSERT INTO account (name, enabled) VALUES ('zoe', 0)");
    CHECK_TRUE(accounts_db_changed(db));
    CHECK_TRUE(!accounts_db_changed(db));
    struct accounts *a = loaded(db);
    CHECK_TRUE(!account_is_enabled(accounts_find(a, t("zoe"))));
    accounts_unref(&a);
    accounts_db_close(&db);
    place_end(&p);
}

TEST(a_file_that_is_missing_no_database_or_newer_is_refused_with_a_reason)
{
    struct place p = place_new();
    struct accounts_db *db;
    CHECK_INT(ERR_SYS, accounts_db_open(&db, p.path, ACCOUNTS_DB_OPEN));
    CHECK_TRUE(strstr(accounts_db_error(db), "unable to open") != NULL);
    accounts_db_close(&db);

    execute(&p, "PRAGMA user_version = 99");
    CHECK_INT(ERR_UNKNOWN, accounts_db_open(&db, p.path, ACCOUNTS_DB_OPEN));
    CHECK_TRUE(strstr(accounts_db_error(db), "version 99") != NULL);
    accounts_db_close(&db);

    FILE *f = fopen(p.path, "w");
    for (int i = 0; i < 1000; i++) fputs("no database", f);
    fclose(f);
    CHECK_INT(ERR_SYNTAX, accounts_db_open(&db, p.path, ACCOUNTS_DB_OPEN));
    accounts_db_close(&db);
    place_end(&p);
}

TEST(a_row_that_cannot_be_is_named_without_its_secret)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    struct accounts *a;
    execute(&p, "INSERT INTO account (name, secret) VALUES ('anna', 'cleartext')");
    CHECK_INT(ERR_SYNTAX, accounts_db_load(db, &a));
    CHECK_TRUE(a == NULL && strstr(accounts_db_error(db), "'anna'") != NULL);
    CHECK_TRUE(strstr(accounts_db_error(db), "cleartext") == NULL);
    execute(&p, "UPDATE account SET secret = NULL;"
                "INSERT INTO rule (verdict, action, filter) VALUES ('allow', 'both', 'a#')");
    CHECK_INT(ERR_SYNTAX, accounts_db_load(db, &a));
    CHECK_TRUE(strstr(accounts_db_error(db), "'a#'") != NULL);
    accounts_db_close(&db);
    place_end(&p);
}

/* As SQLite's shell does it: foreign keys are off there. */
TEST(an_account_that_another_program_has_deleted_is_gone_with_what_was_its_own)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    struct accounts_db_rule rule = { .account = t("anna"), .conf = { RULE_BOTH, false, 0, t("x") } },
                            team = { .team = t("staff"), .conf = { RULE_BOTH, false, 0, t("y") } };
    struct rule_who bob = { t("bob"), t("c") };
    CHECK_INT(ERR_OK, accounts_db_add(db, t("anna")));
    CHECK_INT(ERR_OK, accounts_db_join(db, t("staff"), t("anna")));
    CHECK_INT(ERR_OK, accounts_db_add_rule(db, &rule));
    CHECK_INT(ERR_OK, accounts_db_add_rule(db, &team));
    execute(&p, "PRAGMA foreign_keys = OFF; DELETE FROM account; INSERT INTO account (name) VALUES ('bob')");
    execute(&p, "PRAGMA foreign_keys = OFF; INSERT INTO member VALUES (77, 78);"
                "INSERT INTO rule (account_id, verdict, action, filter) VALUES (78, 'allow', 'both', '#');"
                "INSERT INTO rule (team_id, verdict, action, filter) VALUES (77, 'allow', 'both', '#');"
                "INSERT INTO connection_limit VALUES (78, '', 1, 'kick-older')");
    struct accounts *a = loaded(db);
    CHECK_TRUE(accounts_find(a, t("anna")) == NULL);
    CHECK_INT(RULE_SILENT, accounts_ask(a, &bob, RULE_MAY_PUBLISH, t("x")));
    CHECK_INT(RULE_SILENT, accounts_ask(a, &bob, RULE_MAY_PUBLISH, t("y")));
    accounts_unref(&a);
    accounts_db_close(&db);
    place_end(&p);
}

TEST(an_older_schema_is_brought_up_to_date_and_keeps_what_is_in_it)
{
    struct place p = place_new();
    execute(&p, schema_auth[0]);
    execute(&p, "PRAGMA user_version = 1; PRAGMA foreign_keys = OFF;"
                "INSERT INTO account (account_id, name) VALUES (1, 'anna');"
                "INSERT INTO rule (account_id, verdict, action, filter) VALUES (1, 'allow', 'both', 'x');"
                "INSERT INTO rule (account_id, verdict, action, filter) VALUES (2, 'allow', 'both', 'y');"
                "INSERT INTO rule (verdict, action, filter) VALUES ('allow', 'both', 'z')");
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_OPEN);
    CHECK_INT(ERR_OK, accounts_db_add(db, t("bob")));
    struct accounts *a = loaded(db);
    struct rule_who anna = { t("anna"), t("c") }, bob = { t("bob"), t("c") };
    CHECK_INT(RULE_ALLOWED, accounts_ask(a, &anna, RULE_MAY_PUBLISH, t("x")));
    CHECK_INT(RULE_SILENT, accounts_ask(a, &bob, RULE_MAY_PUBLISH, t("y")));
    CHECK_INT(RULE_ALLOWED, accounts_ask(a, &bob, RULE_MAY_PUBLISH, t("z")));
    accounts_unref(&a);
    accounts_db_close(&db);
    place_end(&p);
}

TEST(a_version_below_zero_is_none)
{
    struct place p = place_new();
    struct accounts_db *db;
    execute(&p, "PRAGMA user_version = -1");
    CHECK_INT(ERR_UNKNOWN, accounts_db_open(&db, p.path, ACCOUNTS_DB_OPEN));
    accounts_db_close(&db);
    place_end(&p);
}

TEST(a_change_that_could_not_be_read_is_still_one)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    struct accounts *a;
    sqlite3 *other;
    accounts_db_hurry(db);
    CHECK_TRUE(accounts_db_changed(db));
    CHECK_INT(SQLITE_OK, sqlite3_open(p.path, &other));
    CHECK_INT(SQLITE_OK, sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL));
    CHECK_INT(ERR_SYS, accounts_db_load(db, &a));
    CHECK_INT(SQLITE_OK, sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL));
    sqlite3_close(other);
    CHECK_TRUE(accounts_db_changed(db));
    a = loaded(db);
    accounts_unref(&a);
    CHECK_TRUE(!accounts_db_changed(db));
    accounts_db_close(&db);
    place_end(&p);
}

TEST(a_file_in_the_place_of_another_one_is_noticed_and_a_missing_one_is_not)
{
    struct place p = place_new();
    char aside[128];
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    CHECK_TRUE(!accounts_db_is_replaced(db));
    snprintf(aside, sizeof aside, "%s-aside", p.path);
    CHECK_INT(0, rename(p.path, aside));
    CHECK_TRUE(!accounts_db_is_replaced(db));
    struct accounts_db *next = opened(&p, ACCOUNTS_DB_CREATE);
    CHECK_TRUE(accounts_db_is_replaced(db) && !accounts_db_is_replaced(next));
    accounts_db_close(&db);
    accounts_db_close(&next);
    unlink(aside);
    place_end(&p);
}

TEST(who_joins_and_is_not_there_leaves_no_team_behind)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    struct accounts_db_rule rule = { .team = t("ghosts"), .conf = { RULE_BOTH, false, 0, t("x") } };
    CHECK_INT(ERR_NOTFOUND, accounts_db_join(db, t("ghosts"), t("bob")));
    CHECK_TRUE(strstr(accounts_db_error(db), "'bob'") != NULL);
    CHECK_INT(ERR_NOTFOUND, accounts_db_add_rule(db, &rule));
    CHECK_TRUE(strstr(accounts_db_error(db), "'ghosts'") != NULL);
    accounts_db_close(&db);
    place_end(&p);
}

TEST(the_seed_of_unknown_names_is_the_databases)
{
    struct place p = place_new(), other = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    struct accounts *a = loaded(db), *b;
    accounts_db_close(&db);
    db = opened(&p, ACCOUNTS_DB_OPEN);
    b = loaded(db);
    CHECK_TRUE(memcmp(accounts_seed(a), accounts_seed(b), ACCOUNTS_SEED_BYTES) == 0);
    accounts_unref(&b);
    accounts_db_close(&db);
    db = opened(&other, ACCOUNTS_DB_CREATE);
    b = loaded(db);
    CHECK_TRUE(memcmp(accounts_seed(a), accounts_seed(b), ACCOUNTS_SEED_BYTES) != 0);
    accounts_unref(&a);
    accounts_unref(&b);
    accounts_db_close(&db);
    place_end(&p);
    place_end(&other);
}

TEST(a_database_of_something_else_stays_as_it_is)
{
    struct place p = place_new();
    struct accounts_db *db;
    execute(&p, "CREATE TABLE bookmark (url TEXT)");
    for (int i = 0; i < 2; i++) {
        CHECK_INT(ERR_SYNTAX, accounts_db_open(&db, p.path, i == 0 ? ACCOUNTS_DB_OPEN : ACCOUNTS_DB_CREATE));
        CHECK_TRUE(strstr(accounts_db_error(db), "something else") != NULL);
        accounts_db_close(&db);
    }
    execute(&p, "CREATE TABLE account (mine TEXT)");
    place_end(&p);
}

TEST(a_name_is_text_without_control_characters)
{
    struct place p = place_new();
    struct accounts_db *db = opened(&p, ACCOUNTS_DB_CREATE);
    static const char *const wrong[] = { "", "a\nb", "\x7f", "\xff", "\xc0\xaf" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_INT(ERR_SYNTAX, accounts_db_add(db, t(wrong[i])));
        CHECK_INT(ERR_SYNTAX, accounts_db_put(db, t(wrong[i]), (struct bytes){ 0 }));
    }
    CHECK_TRUE(strstr(accounts_db_error(db), "UTF-8") != NULL);
    CHECK_INT(ERR_OK, accounts_db_add(db, t("J\xc3\xbcrgen Meier")));
    accounts_db_close(&db);
    place_end(&p);
}
