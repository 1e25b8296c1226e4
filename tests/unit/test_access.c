/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access.h"
#include "kit/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Made by mosquitto_passwd 2.0.11; the password is "secret". */
#define HASH_7                                                                                               \
    "$7$101$j1OwV7g7xQkcT8lm$G7/VaZoVUDuMJzds7ToDRj046dwQDldim4yST9J6a/"                                     \
    "mQK4yALERKdIlfEYruqodSBLd0d6+YeUII/7P5J5iqJA=="
#define HASH_6                                                                                               \
    "$6$nNdgIY+kCw54WvvN$z4QzFwoShFSxHle7NqiylQtGlamL+R1cBFi+cot6FrCGrOkSy7Z4+"                              \
    "iXxRXgyjxr4PMpeXKsUtF8i7VwH4X3/"                                                                        \
    "DQ=="

struct heard {
    unsigned count;
    char last[ACCESS_TEXT_BYTES];
};

static void hear(void *ctx, const char *text)
{
    struct heard *h = ctx;
    h->count++;
    snprintf(h->last, sizeof h->last, "%s", text);
}

static struct heard heard;
static struct access_notes notes;

static enum err parse(struct access **out, const char *passwords, const char *rules)
{
    struct access_source p = { 0 }, r = { 0 };
    if (passwords != NULL) p = (struct access_source){ "pw", bytes_of_text(passwords) };
    if (rules != NULL) r = (struct access_source){ "acl", bytes_of_text(rules) };
    heard = (struct heard){ 0 };
    notes = (struct access_notes){ .warn = hear, .ctx = &heard };
    return access_parse(out, &p, &r, &notes);
}

static struct access *accounts(const char *text)
{
    struct access *a;
    CHECK_INT(ERR_OK, parse(&a, text, NULL));
    return a;
}

static struct access *rules(const char *text)
{
    struct access *a;
    CHECK_INT(ERR_OK, parse(&a, NULL, text));
    return a;
}

static bool verify(const struct access *a, const char *user, const char *password)
{
    return access_verify(a, bytes_of_text(user), bytes_of_text(password));
}

/* NULL: no user name. */
static bool may(const struct access *a, const char *user, const char *id, const char *topic,
                enum access_right right)
{
    struct access_who who = { .client_id = bytes_of_text(id) };
    if (user != NULL) who.username = bytes_of_text(user);
    return access_may(a, &who, bytes_of_text(topic), right);
}

TEST(both_kinds_of_hash_let_the_right_password_in_and_no_other)
{
    struct access *a = accounts("anna:" HASH_7 "\nbob:" HASH_6 "\n");
    CHECK_TRUE(verify(a, "anna", "secret"));
    CHECK_TRUE(verify(a, "bob", "secret"));
    CHECK_TRUE(!verify(a, "anna", "secret "));
    CHECK_TRUE(!verify(a, "bob", "Secret"));
    CHECK_TRUE(!verify(a, "anna", ""));
    CHECK_TRUE(!verify(a, "carl", "secret"));
    CHECK_TRUE(!verify(a, "", "secret"));
    CHECK_INT(0, heard.count);
    access_unref(&a);
}

TEST(a_password_with_a_zero_byte_is_not_cut_there)
{
    struct access *a = accounts("anna:" HASH_7 "\n");
    CHECK_TRUE(!access_verify(a, bytes_of_text("anna"), bytes_of("secret\0x", 8)));
    access_unref(&a);
}

TEST(comments_blanks_and_line_ends_of_dos_do_no_harm)
{
    struct access *a = accounts("# users\n\n  anna : " HASH_7 " \r\n#bob:" HASH_6 "\nbob:" HASH_6);
    CHECK_TRUE(verify(a, "anna", "secret"));
    CHECK_TRUE(verify(a, "bob", "secret"));
    CHECK_INT(0, heard.count);
    access_unref(&a);
}

TEST(a_user_that_stands_twice_has_the_first_password)
{
    struct access *a = accounts("anna:" HASH_6 "\nanna:plain\n");
    CHECK_TRUE(verify(a, "anna", "secret"));
    CHECK_INT(1, heard.count);
    CHECK_TRUE(strstr(heard.last, "pw:2: ") == heard.last);
    CHECK_TRUE(strstr(heard.last, "anna") != NULL);
    access_unref(&a);
}

TEST(a_line_that_nobody_can_log_in_by_is_left_out_and_told)
{
    static const char *const wrong[] = {
        "x:plain",
        "x:",
        "x",
        ":" HASH_6,
        "x:$5$c2FsdA==$"
        "QUJD",
        "x:$argon2id$v=19$m=47104,t=1,p=1$c2FsdA$aGFzaA",
        "x:$6$nNdgIY+kCw54WvvN$QUJD",
        "x:$6$!!!!$z4QzFwoShFSxHle7NqiylQtGlamL+R1cBFi+cot6FrCGrOkSy7Z4+iXxRXgyjxr4PMpeXKsUtF8i7VwH4X3/DQ==",
        "x:$7$0$j1OwV7g7xQkcT8lm$G7/VaZoVUDuMJzds7ToDRj046dwQDldim4yST9J6a/"
        "mQK4yALERKdIlfEYruqodSBLd0d6+YeUII/"
        "7P5J5iqJA==",
        "x:$7$2000001$j1OwV7g7xQkcT8lm$G7/VaZoVUDuMJzds7ToDRj046dwQDldim4yST9J6a/"
        "mQK4yALERKdIlfEYruqodSBLd0d6+YeUII/7P5J5iqJA==",
        "x:" HASH_6 "$more",
    };
    char text[1024];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(text, sizeof text, "anna:" HASH_6 "\n%s\n", wrong[i]);
        struct access *a = accounts(text);
        CHECK_INT(1, heard.count);
        CHECK_TRUE(strstr(heard.last, "pw:2: ") == heard.last);
        CHECK_TRUE(strstr(heard.last, "allowed: ") != NULL);
        CHECK_TRUE(verify(a, "anna", "secret"));
        CHECK_TRUE(!access_knows(a, bytes_of_text("x")));
        access_unref(&a);
    }
}

TEST(passwords_in_clear_text_are_told_how_to_become_hashes)
{
    struct access *a = accounts("anna:secret\n");
    CHECK_TRUE(strstr(heard.last, "mosquitto_passwd -U") != NULL);
    CHECK_TRUE(strstr(heard.last, "secret") == NULL);
    CHECK_TRUE(!verify(a, "anna", "secret"));
    access_unref(&a);
}

TEST(warnings_of_a_long_file_come_to_an_end)
{
    enum { LINES = 1000 };
    char *text = malloc(LINES * 8);
    size_t n = 0;
    CHECK_TRUE(text != NULL);
    for (int i = 0; i < LINES; i++) n += (size_t)snprintf(text + n, 8, "u%03d:x\n", i);
    struct access *a = accounts(text);
    CHECK_INT(ACCESS_WARNINGS_MAX + 1, heard.count);
    CHECK_TRUE(strstr(heard.last, "900 warnings more") != NULL);
    access_unref(&a);
    free(text);
}

TEST(without_files_everything_is_allowed_and_nobody_known)
{
    struct access *a;
    CHECK_INT(ERR_OK, parse(&a, NULL, NULL));
    CHECK_TRUE(!access_has_accounts(a) && !access_has_rules(a));
    CHECK_TRUE(may(a, NULL, "c", "t", ACCESS_WRITE));
    CHECK_TRUE(access_ref(a) == a);
    struct access *b = a;
    access_unref(&b);
    CHECK_TRUE(!access_has_rules(a)); /* the other reference holds it */
    access_unref(&a);
    CHECK_TRUE(!access_has_accounts(NULL) && !access_has_rules(NULL));
    access_unref(&a);
}

TEST(an_empty_acl_file_allows_nothing)
{
    struct access *a = rules("# nothing\n");
    CHECK_TRUE(!may(a, NULL, "c", "t", ACCESS_READ));
    CHECK_TRUE(!may(a, "anna", "c", "t", ACCESS_WRITE));
    access_unref(&a);
}

TEST(rules_before_the_first_user_are_for_clients_without_a_name_alone)
{
    struct access *a = rules("topic read news/#\nuser anna\ntopic write news/anna\n");
    CHECK_TRUE(may(a, NULL, "c", "news/1", ACCESS_READ));
    CHECK_TRUE(!may(a, NULL, "c", "news/1", ACCESS_WRITE));
    CHECK_TRUE(!may(a, "anna", "c", "news/1", ACCESS_READ));
    CHECK_TRUE(may(a, "anna", "c", "news/anna", ACCESS_WRITE));
    CHECK_TRUE(!may(a, "bob", "c", "news/1", ACCESS_READ));
    access_unref(&a);
}

TEST(each_right_is_what_its_word_says)
{
    struct access *a = rules("topic read r\ntopic write w\ntopic readwrite rw\ntopic both\ntopic deny no\n"
                             "topic read r/+\ntopic write w/+\ntopic read a b\n");
    CHECK_TRUE(may(a, NULL, "c", "r", ACCESS_READ) && !may(a, NULL, "c", "r", ACCESS_WRITE));
    CHECK_TRUE(!may(a, NULL, "c", "w", ACCESS_READ) && may(a, NULL, "c", "w", ACCESS_WRITE));
    CHECK_TRUE(may(a, NULL, "c", "rw", ACCESS_READ) && may(a, NULL, "c", "rw", ACCESS_WRITE));
    CHECK_TRUE(may(a, NULL, "c", "both", ACCESS_READ) && may(a, NULL, "c", "both", ACCESS_WRITE));
    CHECK_TRUE(!may(a, NULL, "c", "no", ACCESS_READ) && !may(a, NULL, "c", "no", ACCESS_WRITE));
    CHECK_TRUE(may(a, NULL, "c", "r/1", ACCESS_READ) && !may(a, NULL, "c", "r/1", ACCESS_WRITE));
    CHECK_TRUE(!may(a, NULL, "c", "w/1", ACCESS_READ) && may(a, NULL, "c", "w/1", ACCESS_WRITE));
    CHECK_TRUE(may(a, NULL, "c", "a b", ACCESS_READ)); /* a filter may have blanks after a right */
    access_unref(&a);
}

TEST(a_denial_goes_before_what_is_allowed_wherever_it_stands)
{
    struct access *a =
        rules("user anna\ntopic a/#\ntopic deny a/secret/#\ntopic a/secret/1\ntopic deny a/b\n");
    CHECK_TRUE(may(a, "anna", "c", "a/x", ACCESS_READ));
    CHECK_TRUE(!may(a, "anna", "c", "a/secret/1", ACCESS_READ));
    CHECK_TRUE(!may(a, "anna", "c", "a/secret", ACCESS_WRITE));
    CHECK_TRUE(!may(a, "anna", "c", "a/b", ACCESS_WRITE));
    access_unref(&a);
}

TEST(a_user_has_the_rules_of_all_his_sections)
{
    struct access *a = rules("user anna\ntopic a\nuser bob\ntopic b\nuser anna\ntopic c\n");
    CHECK_TRUE(may(a, "anna", "x", "a", ACCESS_READ) && may(a, "anna", "x", "c", ACCESS_READ));
    CHECK_TRUE(!may(a, "anna", "x", "b", ACCESS_READ));
    CHECK_TRUE(may(a, "bob", "x", "b", ACCESS_READ) && !may(a, "bob", "x", "a", ACCESS_READ));
    access_unref(&a);
}

TEST(patterns_are_for_all_and_have_the_client_in_them)
{
    struct access *a = rules("user anna\npattern dev/%c/#\npattern write usr/%u/in\npattern %u/%c/%c\n");
    CHECK_TRUE(may(a, NULL, "d1", "dev/d1/x/y", ACCESS_WRITE));
    CHECK_TRUE(may(a, "bob", "d1", "dev/d1", ACCESS_READ));
    CHECK_TRUE(!may(a, "bob", "d1", "dev/d2/x", ACCESS_READ));
    CHECK_TRUE(may(a, "bob", "d1", "usr/bob/in", ACCESS_WRITE));
    CHECK_TRUE(!may(a, "bob", "d1", "usr/bob/in", ACCESS_READ));
    CHECK_TRUE(!may(a, NULL, "d1", "usr//in", ACCESS_WRITE)); /* no user name, so no such pattern */
    CHECK_TRUE(may(a, "u", "c", "u/c/c", ACCESS_READ));
    CHECK_TRUE(!may(a, "u", "c", "u/c/d", ACCESS_READ));
    CHECK_TRUE(may(a, "u", "c", "dev/c", ACCESS_READ));
    access_unref(&a);
}

TEST(a_denying_pattern_goes_before_allowing_ones_but_after_the_users_own_rules)
{
    struct access *a = rules("pattern p/%u/#\npattern deny p/%u/no/#\nuser anna\ntopic p/anna/no/yes\n");
    CHECK_TRUE(may(a, "bob", "c", "p/bob/x", ACCESS_READ));
    CHECK_TRUE(!may(a, "bob", "c", "p/bob/no/yes", ACCESS_READ));
    CHECK_TRUE(may(a, "anna", "c", "p/anna/no/yes", ACCESS_READ));
    CHECK_TRUE(!may(a, "anna", "c", "p/anna/no/more", ACCESS_READ));
    access_unref(&a);
}

TEST(who_has_a_wildcard_in_a_name_gets_nothing_by_patterns)
{
    struct access *a = rules("pattern dev/%c/#\npattern usr/%u\nuser an+na\ntopic mine\n");
    CHECK_TRUE(!may(a, NULL, "+", "dev/d1/x", ACCESS_READ));
    CHECK_TRUE(!may(a, NULL, "#", "dev/d1/x", ACCESS_READ));
    CHECK_TRUE(!may(a, "#", "d1", "dev/d1/x", ACCESS_READ)); /* by none, whatever stands in it */
    CHECK_TRUE(!may(a, "an+na", "d1", "usr/an+na", ACCESS_READ));
    CHECK_TRUE(may(a, "an+na", "d1", "mine", ACCESS_READ));
    access_unref(&a);
}

TEST(a_pattern_longer_than_the_stack_has_room_for_is_matched_too)
{
    char id[1001], topic[1200];
    memset(id, 'i', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    struct access *a = rules("pattern dev/%c/+/%c\npattern deny dev/%c/no/#\n");
    snprintf(topic, sizeof topic, "dev/%s/x", id);
    CHECK_TRUE(!may(a, NULL, id, topic, ACCESS_READ));
    snprintf(topic, sizeof topic, "dev/%s/no/1", id);
    CHECK_TRUE(!may(a, NULL, id, topic, ACCESS_READ));
    access_unref(&a);
    a = rules("pattern dev/%c/+\n");
    snprintf(topic, sizeof topic, "dev/%s/x", id);
    CHECK_TRUE(may(a, NULL, id, topic, ACCESS_READ));
    snprintf(topic, sizeof topic, "dev/%s/", id);
    CHECK_TRUE(may(a, NULL, id, topic, ACCESS_READ));
    access_unref(&a);
}

TEST(topics_with_a_dollar_need_a_rule_with_one)
{
    struct access *a = rules("topic #\nuser anna\ntopic $SYS/#\npattern deny $SYS/%u/#\n");
    CHECK_TRUE(may(a, NULL, "c", "any/thing", ACCESS_READ));
    CHECK_TRUE(!may(a, NULL, "c", "$SYS/broker/uptime", ACCESS_READ));
    CHECK_TRUE(may(a, "anna", "c", "$SYS/broker/uptime", ACCESS_READ));
    CHECK_TRUE(!may(a, "anna", "c", "any/thing", ACCESS_READ));
    access_unref(&a);
}

TEST(a_pattern_without_a_sign_is_for_all_and_told)
{
    struct access *a = rules("pattern read all/here\npattern deny all/+/no\n");
    CHECK_INT(2, heard.count);
    CHECK_TRUE(strstr(heard.last, "acl:2: ") == heard.last);
    CHECK_TRUE(may(a, "anna", "c", "all/here", ACCESS_READ));
    CHECK_TRUE(!may(a, "anna", "c", "all/here", ACCESS_WRITE));
    access_unref(&a);
}

TEST(a_wrong_line_of_an_acl_file_refuses_the_file_with_its_place)
{
    static const char *const wrong[] = {
        "foo bar",     "topic",   "topic maybe a/b", "topic a b c", "topic read a#", "topic read +a",
        "topic a/#/b", "pattern", "pattern x%u+",    "user",        "user   ",       "topics a",
    };
    char text[256];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct access *a;
        snprintf(text, sizeof text, "topic a\n\n%s\ntopic b\n", wrong[i]);
        CHECK_INT(ERR_SYNTAX, parse(&a, NULL, text));
        CHECK_TRUE(a == NULL);
        CHECK_TRUE(strstr(notes.error, "acl:3: ") == notes.error);
        CHECK_TRUE(strstr(notes.error, "allowed: ") != NULL);
    }
}

TEST(a_line_beyond_all_measure_is_refused)
{
    size_t n = ACCESS_LINE_BYTES_MAX + 1;
    char *text = malloc(n + 1);
    struct access *a;
    CHECK_TRUE(text != NULL);
    memset(text, 'x', n);
    text[n] = '\0';
    CHECK_INT(ERR_FULL, parse(&a, NULL, text));
    CHECK_INT(ERR_FULL, parse(&a, text, NULL));
    CHECK_TRUE(strstr(notes.error, "pw:1: ") == notes.error);
    free(text);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    CHECK_TRUE(f != NULL);
    fputs(text, f);
    fclose(f);
    CHECK_INT(0, chmod(path, mode));
}

TEST(files_are_read_and_one_that_all_can_read_is_told)
{
    char dir[] = "/tmp/longlink-access.XXXXXX", pw[64], acl[64];
    struct access *a;
    CHECK_TRUE(mkdtemp(dir) != NULL);
    snprintf(pw, sizeof pw, "%s/pw", dir);
    snprintf(acl, sizeof acl, "%s/acl", dir);
    write_file(pw, "anna:" HASH_6 "\n", 0600);
    write_file(acl, "user anna\ntopic a\n", 0644);
    struct access_conf conf = { pw, acl };
    heard = (struct heard){ 0 };
    notes = (struct access_notes){ .warn = hear, .ctx = &heard };
    CHECK_INT(ERR_OK, access_new(&a, &conf, &notes));
    CHECK_INT(0, heard.count);
    CHECK_TRUE(verify(a, "anna", "secret") && may(a, "anna", "c", "a", ACCESS_READ));
    access_unref(&a);

    CHECK_INT(0, chmod(pw, 0644));
    CHECK_INT(ERR_OK, access_new(&a, &conf, &notes));
    CHECK_INT(1, heard.count);
    CHECK_TRUE(strstr(heard.last, pw) == heard.last);
    access_unref(&a);

    conf.acl_file = dir;
    CHECK_INT(ERR_SYS, access_new(&a, &conf, &notes));
    CHECK_TRUE(strstr(notes.error, dir) == notes.error && a == NULL);
    conf.acl_file = "/nowhere/at/all";
    CHECK_INT(ERR_SYS, access_new(&a, &conf, &notes));
    CHECK_TRUE(strstr(notes.error, "/nowhere/at/all: cannot be read: No such file") == notes.error);
    unlink(pw);
    unlink(acl);
    rmdir(dir);
}
