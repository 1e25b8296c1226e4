/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/options.h"
#include "kit/test.h"
#include <string.h>

static char note[OPTIONS_NOTE_BYTES];

static enum err one(struct options **out, const char *key, const char *value)
{
    struct option_given given = { key, value };
    return options_new(out, &given, 1, note);
}

TEST(without_options_all_have_their_defaults)
{
    struct options *o;
    CHECK_INT(ERR_OK, options_new(&o, NULL, 0, note));
    CHECK_TRUE(strcmp(o->jwt_claim_username, "sub") == 0 && o->accounts_db[0] == '\0');
    CHECK_INT(30, o->jwt_leeway_seconds);
    CHECK_INT(DEFERS, o->acl_default);
    CHECK_INT(UNKNOWN_DENIES, o->unknown);
    CHECK_INT(1, o->jwt_needs_exp);
    CHECK_INT(0, o->device_class.count);
    options_free(&o);
}

TEST(what_is_given_holds_and_the_last_of_two)
{
    struct option_given given[] = { { "acl_default", "allow" }, { "threads", "8" },
                                    { "threads", "3" },         { "device_class", "a" },
                                    { "device_class", "b" },    { "jwt_issuer", "x y" } };
    struct options *o;
    CHECK_INT(ERR_OK, options_new(&o, given, sizeof given / sizeof given[0], note));
    CHECK_INT(ALLOWS, o->acl_default);
    CHECK_INT(3, o->threads);
    CHECK_INT(2, o->device_class.count);
    CHECK_TRUE(strcmp(o->device_class.at[1], "b") == 0 && strcmp(o->jwt_issuer, "x y") == 0);
    options_free(&o);
}

TEST(a_wrong_value_is_named_with_what_is_allowed)
{
    static const char *const wrong[][3] = { { "threads", "0", "1 8" },
                                            { "threads", "9", "1 8" },
                                            { "threads", "-1", "1 8" },
                                            { "threads", "2x", "1 8" },
                                            { "threads", "", "1 8" },
                                            { "acl_default", "maybe", "defer deny" },
                                            { "sources", "file ldap", "sqlite" },
                                            { "nothing", "x", "no such option" },
                                            { "jwt_algorithms", "none", "HS256" } };
    struct options *o;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_INT(ERR_SYNTAX, one(&o, wrong[i][0], wrong[i][1]));
        CHECK_TRUE(o == NULL && strstr(note, wrong[i][0]) != NULL && strstr(note, wrong[i][2]) != NULL);
    }
}

TEST(a_list_has_an_end)
{
    struct option_given given[OPTIONS_LIST_MAX + 1];
    struct options *o;
    for (size_t i = 0; i <= OPTIONS_LIST_MAX; i++) given[i] = (struct option_given){ "device_class", "x" };
    CHECK_INT(ERR_OK, options_new(&o, given, OPTIONS_LIST_MAX, note));
    options_free(&o);
    CHECK_INT(ERR_SYNTAX, options_new(&o, given, OPTIONS_LIST_MAX + 1, note));
}
