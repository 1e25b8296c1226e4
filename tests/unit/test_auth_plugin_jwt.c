/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/jwt.h"
#include "kit/test.h"
#include "unit/auth_plugin_tokens.h"
#include <stdlib.h>

/* RFC 7515 appendix A.1 to A.3 */
#define PAYLOAD                                                                                              \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define A1 "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." PAYLOAD ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define A1_KEY                                                                                               \
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"                                 \
    "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"
#define A2                                                                                                   \
    "eyJhbGciOiJSUzI1NiJ9." PAYLOAD                                                                          \
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9u" \
    "JdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_"   \
    "eSN9383LcOLn6_dO--xi12jzDwusC-"                                                                         \
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5A"                              \
    "XLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define A2_KEY                                                                                               \
    "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS" \
    "2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"                \
    "bSf63kpaSHSXndS5"                                                                                       \
    "z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"  \
    "DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}"
#define A3                                                                                                   \
    "eyJhbGciOiJFUzI1NiJ9." PAYLOAD                                                                          \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define A3_KEY                                                                                               \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","               \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
/* RFC 8037 appendix A */
#define EDDSA                                                                                                \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."                                              \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
#define EDDSA_KEY                                                                                            \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"

enum { NOW = 1800000000 };

static struct jwt_keys *keys_of(const char *jwk)
{
    char set[2048];
    struct jwt_keys *k;
    struct jwt_note note;
    snprintf(set, sizeof set, "{\"keys\":[%s]}", jwk);
    CHECK_INT(ERR_OK, jwt_keys_new(&k));
    CHECK_INT(ERR_OK, jwt_keys_add_jwks(k, bytes_of_text(set), &note));
    return k;
}

static bool opens(const char *jwk, unsigned algorithms, const char *token)
{
    struct jwt_keys *k = keys_of(jwk);
    struct bytes payload;
    const char *why = jwt_open(k, algorithms, bytes_of_text(token), &payload);
    CHECK_TRUE((why == NULL) == (payload.at != NULL));
    free((void *)(uintptr_t)payload.at);
    jwt_keys_free(&k);
    return why == NULL;
}

TEST(the_signatures_of_rfc_7515_and_rfc_8037_are_right)
{
    CHECK_TRUE(opens(A1_KEY, JWT_ALL, A1));
    CHECK_TRUE(opens(A2_KEY, JWT_ALL, A2));
    CHECK_TRUE(opens(A3_KEY, JWT_ALL, A3));
    CHECK_TRUE(opens(EDDSA_KEY, JWT_ALL, EDDSA));
    CHECK_TRUE(opens(A2_KEY "," A1_KEY "," EDDSA_KEY "," A3_KEY, JWT_ALL, A3));
}

TEST(what_was_signed_is_what_is_given)
{
    struct jwt_keys *k = keys_of(EDDSA_KEY);
    struct bytes payload;
    CHECK_TRUE(jwt_open(k, JWT_ALL, bytes_of_text(EDDSA), &payload) == NULL);
    CHECK_TRUE(bytes_equal(payload, bytes_of_text("Example of Ed25519 signing")));
    free((void *)(uintptr_t)payload.at);
    jwt_keys_free(&k);
}

/* One digit less, or another one in the place of each, is no longer right. */
static void check_damage(const char *jwk, const char *token)
{
    char copy[2048];
    size_t n = strlen(token);
    for (size_t i = 0; i < n; i++) {
        memcpy(copy, token, n + 1);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        CHECK_TRUE(!opens(jwk, JWT_ALL, copy));
        memmove(copy + i, token + i + 1, n - i);
        CHECK_TRUE(!opens(jwk, JWT_ALL, copy));
    }
}

TEST(a_token_with_any_digit_changed_or_missing_is_refused)
{
    check_damage(A1_KEY, A1);
    check_damage(A3_KEY, A3);
    check_damage(EDDSA_KEY, EDDSA);
}

TEST(an_algorithm_that_is_not_allowed_is_refused_though_the_signature_is_right)
{
    CHECK_TRUE(!opens(A1_KEY, JWT_ALL & ~(unsigned)JWT_HS256, A1));
    CHECK_TRUE(!opens(A3_KEY, JWT_ALL & ~(unsigned)JWT_ES256, A3));
    CHECK_TRUE(opens(A3_KEY, JWT_ES256, A3));
}

TEST(another_key_of_the_same_kind_verifies_nothing)
{
    CHECK_TRUE(
        !opens("{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", JWT_ALL, A1));
    CHECK_TRUE(!opens(A1_KEY, JWT_ALL, A3));
    CHECK_TRUE(!opens(A3_KEY, JWT_ALL, EDDSA));
}

/* --- tokens of our own */

static const struct jwt_rules usual = { .algorithms = JWT_ALL,
                                        .issuer = "",
                                        .audience = "",
                                        .username = "sub",
                                        .acl = "acl",
                                        .client_id = "",
                                        .device = "",
                                        .leeway_s = 30,
                                        .needs_exp = true };

static const char *verify_with(const struct jwt_rules *rules, const char *header, const char *claims,
                               struct jwt_claims *out)
{
    struct jwt_keys *k;
    struct jwt_note note;
    char token[TOKEN_ROOM];
    CHECK_INT(ERR_OK, jwt_keys_new(&k));
    CHECK_INT(ERR_OK, jwt_keys_add_secret(k, bytes_of_text(TOKEN_SECRET), &note));
    token_hs256(header, claims, token);
    const char *why = jwt_verify(k, rules, bytes_of_text(token), NOW, out);
    jwt_keys_free(&k);
    return why;
}

static const char *verify(const struct jwt_rules *rules, const char *claims)
{
    struct jwt_claims out;
    const char *why = verify_with(rules, "{\"alg\":\"HS256\"}", claims, &out);
    CHECK_TRUE((why == NULL) == (out.username != NULL));
    jwt_claims_fini(&out);
    return why;
}

static bool is(const char *why, const char *part)
{
    return why != NULL && strstr(why, part) != NULL;
}

TEST(claims_become_a_name_an_end_and_rules)
{
    struct jwt_rules rules = usual;
    struct jwt_claims c;
    rules.client_id = "cid";
    rules.device = "class";
    CHECK_TRUE(verify_with(&rules, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
                           "{\"sub\":\"anna\",\"exp\":1800000100,\"cid\":\"phone-1\",\"class\":\"phone\","
                           "\"acl\":{\"publish\":[\"up/%u/#\"],\"subscribe\":\"down/%c\"}}",
                           &c) == NULL);
    CHECK_TRUE(strcmp(c.username, "anna") == 0 && strcmp(c.client_id, "phone-1") == 0);
    CHECK_TRUE(strcmp(c.device, "phone") == 0);
    CHECK_INT(1800000100, c.expires_s);
    struct rule_who who = { bytes_of_text("anna"), bytes_of_text("phone-1") };
    CHECK_INT(RULE_ALLOWED, grants_ask(c.grants, &who, RULE_MAY_PUBLISH, bytes_of_text("up/anna/x")).answer);
    CHECK_INT(RULE_ALLOWED,
              grants_ask(c.grants, &who, RULE_MAY_RECEIVE, bytes_of_text("down/phone-1")).answer);
    CHECK_INT(RULE_SILENT, grants_ask(c.grants, &who, RULE_MAY_RECEIVE, bytes_of_text("up/anna/x")).answer);
    jwt_claims_fini(&c);
}

TEST(a_token_holds_from_its_beginning_to_its_end_give_or_take_the_leeway)
{
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000001}") == NULL);
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"exp\":1799999971}") == NULL);
    CHECK_TRUE(is(verify(&usual, "{\"sub\":\"a\",\"exp\":1799999970}"), "expired"));
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000099.5,\"nbf\":1800000030}") == NULL);
    CHECK_TRUE(is(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000099,\"nbf\":1800000031}"), "not valid yet"));
    CHECK_TRUE(is(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000099,\"iat\":1800000031}"), "future"));
    CHECK_TRUE(is(verify(&usual, "{\"sub\":\"a\"}"), "never expires"));
    CHECK_TRUE(is(verify(&usual, "{\"sub\":\"a\",\"exp\":\"1800000001\"}"), "a time"));
    CHECK_TRUE(is(verify(&usual, "{\"sub\":\"a\",\"exp\":-1}"), "a time"));
    CHECK_TRUE(is(verify(&usual, "{\"sub\":\"a\",\"exp\":1e300}"), "a time"));
    struct jwt_rules forever = usual;
    forever.needs_exp = false;
    CHECK_TRUE(verify(&forever, "{\"sub\":\"a\"}") == NULL);
}

TEST(issuer_and_audience_must_be_those_that_are_wanted)
{
    struct jwt_rules rules = usual;
    rules.issuer = "https://login.example";
    CHECK_TRUE(verify(&rules, "{\"sub\":\"a\",\"exp\":1800000099,\"iss\":\"https://login.example\"}") ==
               NULL);
    CHECK_TRUE(is(verify(&rules, "{\"sub\":\"a\",\"exp\":1800000099,\"iss\":\"x\"}"), "issuer"));
    CHECK_TRUE(is(verify(&rules, "{\"sub\":\"a\",\"exp\":1800000099}"), "issuer"));
    rules = usual;
    rules.audience = "mqtt";
    CHECK_TRUE(verify(&rules, "{\"sub\":\"a\",\"exp\":1800000099,\"aud\":\"mqtt\"}") == NULL);
    CHECK_TRUE(verify(&rules, "{\"sub\":\"a\",\"exp\":1800000099,\"aud\":[\"x\",\"mqtt\"]}") == NULL);
    CHECK_TRUE(is(verify(&rules, "{\"sub\":\"a\",\"exp\":1800000099,\"aud\":[\"x\"]}"), "others"));
    CHECK_TRUE(is(verify(&rules, "{\"sub\":\"a\",\"exp\":1800000099}"), "others"));
}

TEST(a_token_without_a_name_or_with_one_that_is_none_is_refused)
{
    static const char *const wrong[] = { "{\"exp\":1800000099}",
                                         "{\"exp\":1800000099,\"sub\":\"\"}",
                                         "{\"exp\":1800000099,\"sub\":7}",
                                         "{\"exp\":1800000099,\"sub\":\"a\\nb\"}",
                                         "{\"exp\":1800000099,\"sub\":\"admin\\u0000x\"}",
                                         "{\"exp\":1800000099,\"sub\":\"\xc3\"}" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) CHECK_TRUE(verify(&usual, wrong[i]) != NULL);
}

TEST(claims_that_can_be_read_in_two_ways_are_refused)
{
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"sub\":\"b\",\"exp\":1800000099}") != NULL);
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000099}{}") != NULL);
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000099,\"acl\":{\"publsh\":[]}}") != NULL);
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000099,\"acl\":{\"publish\":[\"a#\"]}}") != NULL);
    CHECK_TRUE(verify(&usual, "{\"sub\":\"a\",\"exp\":1800000099,\"acl\":[]}") != NULL);
    CHECK_TRUE(verify(&usual, "[]") != NULL);
    CHECK_TRUE(verify(&usual, "") != NULL);
}

TEST(a_header_that_asks_for_what_we_do_not_know_is_refused)
{
    static const char *const wrong[] = { "{\"alg\":\"none\"}",
                                         "{\"alg\":\"HS512\"}",
                                         "{\"alg\":\"hs256\"}",
                                         "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
                                         "{\"alg\":\"HS256\",\"kid\":7}",
                                         "{\"alg\":[\"HS256\"]}",
                                         "{}" };
    struct jwt_claims c;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_TRUE(verify_with(&usual, wrong[i], "{\"sub\":\"a\",\"exp\":1800000099}", &c) != NULL);
    CHECK_TRUE(verify_with(&usual, "{\"alg\":\"HS256\"}", "{\"sub\":\"a\",\"exp\":1800000099}", &c) == NULL);
    jwt_claims_fini(&c);
}

TEST(a_public_key_is_no_secret)
{
    struct jwt_keys *k = keys_of(A2_KEY);
    struct jwt_claims c;
    char token[TOKEN_ROOM];
    token_hs256("{\"alg\":\"HS256\"}", "{\"sub\":\"a\",\"exp\":1800000099}", token);
    CHECK_TRUE(is(jwt_verify(k, &usual, bytes_of_text(token), NOW, &c), "none of the keys"));
    jwt_keys_free(&k);
}

TEST(who_names_a_key_that_we_have_means_that_one)
{
    char other[512], named[512], set[1100], token[TOKEN_ROOM];
    struct jwt_claims c;
    const char *claims = "{\"sub\":\"a\",\"exp\":1800000099}";
    snprintf(other, sizeof other, "{\"kty\":\"oct\",\"kid\":\"old\",\"k\":\"%s\"}", TOKEN_OTHER_SECRET_URL);
    snprintf(named, sizeof named, "{\"kty\":\"oct\",\"kid\":\"new\",\"k\":\"%s\"}", TOKEN_SECRET_URL);
    snprintf(set, sizeof set, "%s,%s", other, named);
    struct jwt_keys *k = keys_of(set);
    token_hs256("{\"alg\":\"HS256\",\"kid\":\"new\"}", claims, token);
    CHECK_TRUE(jwt_verify(k, &usual, bytes_of_text(token), NOW, &c) == NULL);
    jwt_claims_fini(&c);
    token_hs256("{\"alg\":\"HS256\",\"kid\":\"old\"}", claims, token);
    CHECK_TRUE(jwt_verify(k, &usual, bytes_of_text(token), NOW, &c) != NULL);
    token_hs256("{\"alg\":\"HS256\",\"kid\":\"unknown\"}", claims, token);
    CHECK_TRUE(jwt_verify(k, &usual, bytes_of_text(token), NOW, &c) != NULL);
    token_hs256("{\"alg\":\"HS256\"}", claims, token);
    CHECK_TRUE(jwt_verify(k, &usual, bytes_of_text(token), NOW, &c) == NULL);
    jwt_claims_fini(&c);
    jwt_keys_free(&k);
}

/* --- keys */

static enum err add_jwks(const char *json, size_t *count)
{
    struct jwt_keys *k;
    struct jwt_note note = { "" };
    CHECK_INT(ERR_OK, jwt_keys_new(&k));
    enum err rc = jwt_keys_add_jwks(k, bytes_of_text(json), &note);
    CHECK_TRUE(rc == ERR_OK || note.text[0] != '\0');
    *count = jwt_keys_count(k);
    jwt_keys_free(&k);
    return rc;
}

TEST(keys_of_other_kinds_and_uses_are_passed_over_and_broken_ones_refused)
{
    size_t n;
    CHECK_INT(ERR_OK,
              add_jwks("{\"keys\":[{\"kty\":\"future\"},{\"kty\":\"EC\",\"crv\":\"P-384\"},"
                       "{\"kty\":\"RSA\",\"use\":\"enc\"},{\"kty\":\"RSA\",\"alg\":\"PS512\"}," EDDSA_KEY
                       "]}",
                       &n));
    CHECK_INT(1, n);
    CHECK_INT(ERR_SYNTAX,
              add_jwks("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}", &n));
    CHECK_INT(ERR_SYNTAX, add_jwks("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", &n));
    CHECK_INT(ERR_SYNTAX, add_jwks("{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}]}", &n));
    CHECK_INT(ERR_SYNTAX, add_jwks("{\"keys\":[{}]}", &n));
    CHECK_INT(ERR_SYNTAX, add_jwks("{}", &n));
    CHECK_INT(ERR_SYNTAX, add_jwks("no json", &n));
}

TEST(a_point_that_is_not_on_the_curve_is_no_key)
{
    size_t n;
    CHECK_INT(ERR_SYNTAX, add_jwks("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                                   "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                   "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4\"}]}",
                                   &n));
}

TEST(pem_gives_public_keys_and_no_private_ones)
{
    static const char ed[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                             "-----END PUBLIC KEY-----\n";
    struct jwt_keys *k;
    struct jwt_note note;
    struct bytes payload;
    CHECK_INT(ERR_OK, jwt_keys_new(&k));
    CHECK_INT(ERR_OK, jwt_keys_add_pem(k, bytes_of_text(ed), &note));
    CHECK_TRUE(jwt_open(k, JWT_ALL, bytes_of_text(EDDSA), &payload) == NULL);
    free((void *)(uintptr_t)payload.at);
    CHECK_INT(ERR_SYNTAX, jwt_keys_add_pem(k, bytes_of_text("nothing"), &note));
    CHECK_INT(ERR_SYNTAX, jwt_keys_add_pem(k,
                                           bytes_of_text("-----BEGIN PRIVATE KEY-----\nAAAA\n"
                                                         "-----END PRIVATE KEY-----\n"),
                                           &note));
    CHECK_TRUE(is(note.text, "something else"));
    CHECK_INT(1, jwt_keys_count(k));
    jwt_keys_free(&k);
}

TEST(a_token_is_known_by_its_form)
{
    CHECK_TRUE(jwt_is_token(bytes_of_text(A1)));
    CHECK_TRUE(!jwt_is_token(bytes_of_text("eyJ.a")));
    CHECK_TRUE(!jwt_is_token(bytes_of_text("pass.word.three")));
    CHECK_TRUE(!jwt_is_token(bytes_of_text("eyJ.a.b.c")));
    CHECK_TRUE(!jwt_is_token(bytes_of_text("")));
}

TEST(a_token_that_is_too_long_is_not_looked_at)
{
    static char token[JWT_BYTES_MAX + 2];
    struct jwt_keys *k = keys_of(A1_KEY);
    struct bytes payload;
    memset(token, 'A', sizeof token - 1);
    CHECK_TRUE(is(jwt_open(k, JWT_ALL, bytes_of_text(token), &payload), "too long"));
    jwt_keys_free(&k);
}
