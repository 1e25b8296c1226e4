/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/secret.h"
#include "auth/login.h"
#include "kit/test.h"
#include "unit/auth_plugin_tokens.h"
#include <stdlib.h>
#include <unistd.h>

enum { NOW = 1800000000 };

/* A file that lives as long as a test reads it. */
static char *file_of(const char *text)
{
    char *path = strdup("/tmp/longlink-auth-XXXXXX");
    int fd = mkstemp(path);
    CHECK_TRUE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void file_end(char *path)
{
    unlink(path);
    free(path);
}

static struct world *world_of(const struct option_given *given, size_t count, struct accounts *accounts)
{
    struct options *o;
    struct settings *s;
    struct world *w;
    struct world_note note = { .warn = NULL };
    char why[OPTIONS_NOTE_BYTES];
    CHECK_INT(ERR_OK, options_new(&o, given, count, why));
    CHECK_INT(ERR_OK, settings_new(&s, o, &note));
    CHECK_INT(ERR_OK, world_new(&w, s, accounts));
    settings_unref(&s);
    accounts_unref(&accounts);
    return w;
}

/* anna has a password, bob only an account, carl is disabled. */
static struct accounts *accounts(void)
{
    struct accounts *a;
    char secret[SECRET_TEXT_BYTES];
    secret_make(bytes_of_text("sesame"), 4096, secret);
    struct account_conf anna = { 1, bytes_of_text("anna"), bytes_of_text(secret), true };
    struct account_conf bob = { 2, bytes_of_text("bob"), { 0 }, true };
    struct account_conf carl = { 3, bytes_of_text("carl"), bytes_of_text(secret), false };
    CHECK_INT(ERR_OK, accounts_new(&a));
    CHECK_INT(ERR_OK, accounts_add(a, &anna));
    CHECK_INT(ERR_OK, accounts_add(a, &bob));
    CHECK_INT(ERR_OK, accounts_add(a, &carl));
    accounts_finish(a);
    return a;
}

static const struct option_given with_db[] = { { "accounts_db", "/nowhere" } };

static enum login_is ask(const struct world *w, const char *username, const char *password)
{
    struct login_ask q = { .username = username, .password = password, .client_id = "c1", .now_s = NOW };
    struct login_answer a = { .is = LOGIN_DENY };
    login_check(w, &q, 0, &a);
    enum login_is is = a.is;
    CHECK_TRUE(is != LOGIN_DENY || a.why != NULL);
    login_answer_fini(&a);
    return is;
}

TEST(an_account_of_the_database_comes_in_by_its_password)
{
    struct world *w = world_of(with_db, 1, accounts());
    CHECK_INT(LOGIN_ALLOW, ask(w, "anna", "sesame"));
    CHECK_INT(LOGIN_DENY, ask(w, "anna", "other"));
    CHECK_INT(LOGIN_DENY, ask(w, "anna", NULL));
    CHECK_INT(LOGIN_DENY, ask(w, "bob", "sesame"));
    CHECK_INT(LOGIN_DENY, ask(w, "carl", "sesame"));
    CHECK_INT(LOGIN_DENY, ask(w, "nobody", "sesame"));
    CHECK_INT(LOGIN_DEFER, ask(w, NULL, NULL));
    world_unref(&w);
}

TEST(who_is_unknown_or_anonymous_is_dealt_with_as_the_options_say)
{
    static const struct option_given given[] = { { "accounts_db", "/nowhere" },
                                                 { "unknown", "defer" },
                                                 { "anonymous", "allow" } };
    static const struct option_given closed[] = { { "anonymous", "deny" } };
    struct world *w = world_of(given, 3, accounts());
    CHECK_INT(LOGIN_DEFER, ask(w, "nobody", "x"));
    CHECK_INT(LOGIN_DENY, ask(w, "anna", "x"));
    CHECK_INT(LOGIN_ALLOW, ask(w, NULL, NULL));
    world_unref(&w);
    w = world_of(closed, 1, NULL);
    CHECK_INT(LOGIN_DENY, ask(w, NULL, NULL));
    world_unref(&w);
}

TEST(a_disabled_account_without_a_password_is_left_to_nobody_else)
{
    static const struct option_given given[] = { { "accounts_db", "/nowhere" }, { "unknown", "defer" } };
    struct accounts *a;
    struct account_conf carl = { 3, bytes_of_text("carl"), { 0 }, false };
    CHECK_INT(ERR_OK, accounts_new(&a));
    CHECK_INT(ERR_OK, accounts_add(a, &carl));
    accounts_finish(a);
    struct world *w = world_of(given, 2, a);
    CHECK_INT(LOGIN_DENY, ask(w, "carl", "x"));
    CHECK_INT(LOGIN_DEFER, ask(w, "dora", "x"));
    world_unref(&w);
}

/* Between the check and the entry a second may begin. */
TEST(what_ends_by_the_time_of_the_entry_lets_nobody_in)
{
    struct login_answer a = { .is = LOGIN_ALLOW };
    uint64_t left_s;
    CHECK_TRUE(login_lives(&a, NOW, &left_s) && left_s == 0);
    a.expires_s = NOW + 1;
    CHECK_TRUE(login_lives(&a, NOW, &left_s) && left_s == 1);
    CHECK_TRUE(!login_lives(&a, NOW + 1, &left_s));
    CHECK_TRUE(!login_lives(&a, NOW + 2, &left_s));
}

TEST(scram_is_for_those_who_are_let_in_by_the_database)
{
    static const struct option_given rules_only[] = { { "accounts_db", "/nowhere" }, { "sources", "jwt" } };
    static const struct option_given off[] = { { "accounts_db", "/nowhere" }, { "scram", "false" } };
    struct world *w = world_of(with_db, 1, accounts());
    CHECK_TRUE(login_has_scram(w));
    world_unref(&w);
    w = world_of(rules_only, 2, accounts());
    CHECK_TRUE(!login_has_scram(w));
    world_unref(&w);
    w = world_of(off, 2, accounts());
    CHECK_TRUE(!login_has_scram(w));
    world_unref(&w);
    w = world_of(NULL, 0, NULL);
    CHECK_TRUE(!login_has_scram(w));
    world_unref(&w);
}

TEST(the_first_source_that_knows_a_name_decides)
{
    char hash[ACCESS_HASH_BYTES], text[256];
    access_make_hash(bytes_of_text("filed"), 101, hash);
    snprintf(text, sizeof text, "anna:%s\n", hash);
    char *path = file_of(text);
    struct option_given file_first[] = { { "accounts_db", "/nowhere" }, { "password_file", path } };
    struct option_given db_first[] = { { "accounts_db", "/nowhere" },
                                       { "password_file", path },
                                       { "sources", "sqlite file" } };
    struct world *w = world_of(file_first, 2, accounts());
    CHECK_INT(LOGIN_ALLOW, ask(w, "anna", "filed"));
    CHECK_INT(LOGIN_DENY, ask(w, "anna", "sesame"));
    world_unref(&w);
    w = world_of(db_first, 3, accounts());
    CHECK_INT(LOGIN_ALLOW, ask(w, "anna", "sesame"));
    CHECK_INT(LOGIN_DENY, ask(w, "anna", "filed"));
    world_unref(&w);
    file_end(path);
}

TEST(a_token_brings_its_name_its_end_its_rules_and_its_device)
{
    char token[TOKEN_ROOM], *path = file_of(TOKEN_SECRET "\n");
    struct option_given given[] = { { "jwt_secret_file", path },
                                    { "jwt_claim_device", "dev" },
                                    { "jwt_claim_client_id", "cid" } };
    struct world *w = world_of(given, 3, accounts());
    token_hs256(
        "{\"alg\":\"HS256\"}",
        "{\"sub\":\"dora\",\"exp\":1800000100,\"dev\":\"phone\",\"cid\":\"c1\",\"acl\":{\"both\":\"x/%u\"}}",
        token);
    struct login_ask q = { .username = "whoever", .password = token, .client_id = "c1", .now_s = NOW };
    struct login_answer a = { .is = LOGIN_DENY };
    login_check(w, &q, 0, &a);
    CHECK_INT(LOGIN_ALLOW, a.is);
    CHECK_TRUE(strcmp(a.username, "dora") == 0 && strcmp(a.device, "phone") == 0 && a.grants != NULL);
    CHECK_INT(1800000130, a.expires_s);
    login_answer_fini(&a);
    q.client_id = "c2";
    login_check(w, &q, 0, &a);
    CHECK_TRUE(a.is == LOGIN_DENY && strstr(a.why, "client id") != NULL);
    login_answer_fini(&a);
    world_unref(&w);
    file_end(path);
}

TEST(who_has_an_account_may_come_with_a_token_unless_it_is_disabled)
{
    char token[TOKEN_ROOM], *path = file_of(TOKEN_SECRET);
    struct option_given given[] = { { "accounts_db", "/nowhere" }, { "jwt_secret_file", path } };
    struct option_given without[] = { { "accounts_db", "/nowhere" },
                                      { "jwt_secret_file", path },
                                      { "sources", "sqlite" } };
    struct world *w = world_of(given, 2, accounts());
    token_hs256("{\"alg\":\"HS256\"}", "{\"sub\":\"anna\",\"exp\":1800000100}", token);
    CHECK_INT(LOGIN_ALLOW, ask(w, "anna", token));
    world_unref(&w);
    w = world_of(without, 3, accounts());
    CHECK_INT(LOGIN_DENY, ask(w, "anna", token));
    world_unref(&w);
    w = world_of(given, 2, accounts());
    token_hs256("{\"alg\":\"HS256\"}", "{\"sub\":\"carl\",\"exp\":1800000100}", token);
    CHECK_INT(LOGIN_DENY, ask(w, "carl", token));
    token[strlen(token) - 1] ^= 1;
    CHECK_INT(LOGIN_DENY, ask(w, "anna", token));
    world_unref(&w);
    file_end(path);
}

TEST(a_certificate_vouches_for_the_name_in_it)
{
    struct world *w = world_of(with_db, 1, accounts());
    struct login_ask q = { .username = "other", .client_id = "c1", .identity = "bob", .now_s = NOW };
    struct login_answer a = { .is = LOGIN_DENY };
    login_check(w, &q, 0, &a);
    CHECK_TRUE(a.is == LOGIN_ALLOW && strcmp(a.username, "bob") == 0);
    login_answer_fini(&a);
    q.identity = "carl";
    login_check(w, &q, 0, &a);
    CHECK_INT(LOGIN_DENY, a.is);
    login_answer_fini(&a);
    world_unref(&w);
}

TEST(who_was_let_in_stays_as_long_as_his_source_knows_him)
{
    struct world *w = world_of(with_db, 1, accounts());
    CHECK_TRUE(login_still(w, SOURCE_SQLITE, "anna") && !login_still(w, SOURCE_SQLITE, "dora"));
    CHECK_TRUE(!login_still(w, SOURCE_JWT, "carl") && login_still(w, SOURCE_JWT, "dora"));
    CHECK_TRUE(!login_still(w, SOURCE_FILE, "anna") && login_still(w, SOURCES, NULL));
    world_unref(&w);
}

static enum rule_answer may(const struct world *w, const struct grants *grants, enum rule_question q,
                            const char *topic)
{
    struct rule_who who = { bytes_of_text("anna"), bytes_of_text("c1") };
    return login_may(w, grants, &who, q, bytes_of_text(topic));
}

TEST(the_databases_denials_go_before_a_tokens_rules_which_go_before_the_rest)
{
    char *path = file_of("user anna\ntopic readwrite filed/#\n");
    struct option_given given[] = { { "acl_file", path } };
    struct accounts *a = accounts();
    struct rule_conf open = { RULE_BOTH, false, 0, bytes_of_text("db/#") };
    struct rule_conf shut = { RULE_BOTH, true, 0, bytes_of_text("token/secret") };
    struct rule_conf token = { RULE_BOTH, false, 0, bytes_of_text("token/#") };
    struct grants *grants;
    CHECK_INT(ERR_OK, accounts_add_rule(a, (struct rule_owner){ .account_id = 1 }, &open));
    CHECK_INT(ERR_OK, accounts_add_rule(a, (struct rule_owner){ 0 }, &shut));
    accounts_finish(a);
    CHECK_INT(ERR_OK, grants_new(&grants));
    CHECK_INT(ERR_OK, grants_add(grants, &token));
    struct world *w = world_of(given, 1, a);
    CHECK_INT(RULE_ALLOWED, may(w, grants, RULE_MAY_PUBLISH, "token/a"));
    CHECK_INT(RULE_DENIED, may(w, grants, RULE_MAY_PUBLISH, "token/secret"));
    CHECK_INT(RULE_DENIED, may(w, grants, RULE_MAY_PUBLISH, "db/a"));
    CHECK_INT(RULE_ALLOWED, may(w, NULL, RULE_MAY_PUBLISH, "db/a"));
    CHECK_INT(RULE_ALLOWED, may(w, NULL, RULE_MAY_RECEIVE, "filed/a"));
    CHECK_INT(RULE_DENIED, may(w, NULL, RULE_MAY_RECEIVE, "other"));
    CHECK_INT(RULE_ALLOWED, may(w, NULL, RULE_MAY_SUBSCRIBE, "other/#"));
    grants_free(&grants);
    world_unref(&w);
    file_end(path);
}

TEST(what_no_rule_speaks_of_is_as_the_option_says)
{
    static const struct option_given allow[] = { { "acl_default", "allow" } },
                                     deny[] = { { "acl_default", "deny" } };
    struct world *w = world_of(NULL, 0, NULL);
    CHECK_INT(RULE_SILENT, may(w, NULL, RULE_MAY_PUBLISH, "a"));
    world_unref(&w);
    w = world_of(allow, 1, NULL);
    CHECK_INT(RULE_ALLOWED, may(w, NULL, RULE_MAY_PUBLISH, "a"));
    world_unref(&w);
    w = world_of(deny, 1, NULL);
    CHECK_INT(RULE_DENIED, may(w, NULL, RULE_MAY_SUBSCRIBE, "a"));
    world_unref(&w);
}

TEST(limits_are_the_accounts_own_then_the_classs_then_the_usual)
{
    static const struct option_given given[] = { { "device_class", "phone 2 refuse-newer phone-*" },
                                                 { "device_class", "desk 3 kick-older desk-*" },
                                                 { "connections", "9" } };
    struct accounts *a = accounts();
    struct account_limit own = { "phone", 5, LIMIT_KICK_OLDER };
    CHECK_INT(ERR_OK, accounts_add_limit(a, 1, &own));
    struct world *w = world_of(given, 3, a);
    CHECK_TRUE(strcmp(world_class(w, "phone-1"), "phone") == 0 && strcmp(world_class(w, "x"), "") == 0);
    CHECK_INT(5, world_limit(w, bytes_of_text("anna"), "phone").connections);
    CHECK_INT(2, world_limit(w, bytes_of_text("bob"), "phone").connections);
    CHECK_INT(LIMIT_REFUSE_NEWER, world_limit(w, bytes_of_text("zoe"), "phone").policy);
    CHECK_INT(3, world_limit(w, bytes_of_text("anna"), "desk").connections);
    CHECK_INT(9, world_limit(w, bytes_of_text("anna"), "").connections);
    world_unref(&w);
}

TEST(files_that_cannot_be_are_named)
{
    static const char *const keys[] = { "password_file", "acl_file", "jwt_key_file", "jwt_jwks_file",
                                        "jwt_secret_file" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct option_given given = { keys[i], "/nowhere/at/all" };
        struct world_note note = { .warn = NULL };
        char why[OPTIONS_NOTE_BYTES];
        struct options *o;
        struct settings *s;
        CHECK_INT(ERR_OK, options_new(&o, &given, 1, why));
        CHECK_INT(ERR_SYS, settings_new(&s, o, &note));
        CHECK_TRUE(s == NULL && strstr(note.text, "/nowhere/at/all") != NULL);
    }
}

/* In JSON such bytes become what each reader makes of them, so two passwords may become one. */
TEST(a_password_that_is_no_text_is_no_question_for_the_http_back_end)
{
    static const struct option_given given[] = { { "http_url", "http://127.0.0.1:1/" } };
    struct world *w = world_of(given, 1, NULL);
    CHECK_INT(LOGIN_HTTP, ask(w, "anna", "p\xc3\xa4ss"));
    CHECK_INT(LOGIN_DENY, ask(w, "anna", "p\xff"));
    world_unref(&w);
}
