/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access.h"
#include "accounts/b64.h"
#include "accounts/secret.h"
#include "kit/test.h"
#include <string.h>

/* RFC 7677 section 3: user "user", password "pencil". */
#define PENCIL "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"

static bool check(const char *text, const char *password)
{
    return secret_check(bytes_of_text(text), bytes_of_text(password));
}

TEST(both_alphabets_decode_their_own_digits_and_no_others)
{
    uint8_t out[8];
    size_t n;
    CHECK_TRUE(b64_decode(bytes_of_text("+/8="), B64_STANDARD, out, sizeof out, &n) && n == 2);
    CHECK_TRUE(b64_decode(bytes_of_text("-_8"), B64_URL, out, sizeof out, &n) && n == 2);
    CHECK_TRUE(!b64_decode(bytes_of_text("-_8="), B64_STANDARD, out, sizeof out, &n));
    CHECK_TRUE(!b64_decode(bytes_of_text("+/8"), B64_URL, out, sizeof out, &n));
    CHECK_TRUE(!b64_decode(bytes_of_text("-_8="), B64_URL, out, sizeof out, &n));
    CHECK_TRUE(!b64_decode(bytes_of_text("AAAAA"), B64_URL, out, sizeof out, &n));
    CHECK_TRUE(!b64_decode(bytes_of_text("AAA"), B64_STANDARD, out, sizeof out, &n));
    CHECK_TRUE(!b64_decode(bytes_of_text("A==="), B64_STANDARD, out, sizeof out, &n));
    CHECK_TRUE(b64_decode(bytes_of_text(""), B64_URL, out, sizeof out, &n) && n == 0);
}

TEST(bits_that_no_byte_uses_are_zero)
{
    uint8_t out[8];
    size_t n;
    CHECK_TRUE(b64_decode(bytes_of_text("AQ"), B64_URL, out, sizeof out, &n) && n == 1);
    CHECK_TRUE(!b64_decode(bytes_of_text("AR"), B64_URL, out, sizeof out, &n));
}

TEST(more_than_the_room_is_refused)
{
    uint8_t out[3];
    size_t n;
    CHECK_TRUE(b64_decode(bytes_of_text("AAAA"), B64_URL, out, 3, &n) && n == 3);
    CHECK_TRUE(!b64_decode(bytes_of_text("AAAAAA"), B64_URL, out, 3, &n));
}

TEST(what_was_encoded_decodes_to_the_same)
{
    uint8_t data[64], out[64];
    char text[B64_TEXT_BYTES(64)];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 37);
    for (size_t n = 0, got; n <= sizeof data; n++) {
        b64_encode(bytes_of(data, n), text);
        CHECK_INT(B64_TEXT_BYTES(n) - 1, strlen(text));
        CHECK_TRUE(b64_decode(bytes_of_text(text), B64_STANDARD, out, sizeof out, &got));
        CHECK_TRUE(got == n && memcmp(data, out, n) == 0);
    }
}

TEST(the_keys_of_rfc_7677_are_derived)
{
    struct scram_keys k = { .iterations = 4096 };
    char text[SECRET_TEXT_BYTES];
    size_t n;
    CHECK_TRUE(
        b64_decode(bytes_of_text("W22ZaJ0SNY7soEsUEjb6gQ=="), B64_STANDARD, k.salt, sizeof k.salt, &n));
    k.salt_bytes = (uint8_t)n;
    scram_derive(&k, bytes_of_text("pencil"));
    scram_print(&k, text);
    /* The client's proof of the RFC, for its messages, must come of this key; see test_auth_plugin_scram.c.
     */
    CHECK_TRUE(strncmp(text, PENCIL, strlen(PENCIL)) == 0);
    CHECK_TRUE(check(text, "pencil"));
    CHECK_TRUE(!check(text, "pencils"));
    CHECK_TRUE(secret_wrong(bytes_of_text(text)) == NULL);
}

TEST(a_made_secret_lets_its_password_in_and_no_other)
{
    char text[SECRET_TEXT_BYTES], other[SECRET_TEXT_BYTES];
    struct scram_keys k;
    secret_make(bytes_of_text("sesame"), 4096, text);
    secret_make(bytes_of_text("sesame"), 4096, other);
    CHECK_TRUE(strcmp(text, other) != 0);
    CHECK_TRUE(check(text, "sesame") && !check(text, "Sesame") && !check(text, ""));
    CHECK_TRUE(secret_keys(bytes_of_text(text), &k) && k.iterations == 4096);
}

TEST(a_hash_of_a_password_file_is_a_secret_without_keys)
{
    char text[ACCESS_HASH_BYTES];
    struct scram_keys k;
    access_make_hash(bytes_of_text("sesame"), 101, text);
    CHECK_TRUE(secret_wrong(bytes_of_text(text)) == NULL);
    CHECK_TRUE(check(text, "sesame") && !check(text, "other") && !check(text, ""));
    CHECK_TRUE(!secret_keys(bytes_of_text(text), &k));
    access_make_hash(bytes_of_text("sesame"), 0, text);
    CHECK_TRUE(check(text, "sesame") && !check(text, "other"));
}

TEST(what_cannot_be_checked_against_is_wrong_and_lets_nobody_in)
{
    static const char *const wrong[] = { "",
                                         "clear",
                                         "$8$x",
                                         "SCRAM-SHA-256$",
                                         PENCIL,
                                         PENCIL "AAAA:AAAA",
                                         "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
                                         "SCRAM-SHA-256$99999999:AAAA$AAAA:AAAA" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_TRUE(secret_wrong(bytes_of_text(wrong[i])) != NULL);
        CHECK_TRUE(!check(wrong[i], "clear") && !check(wrong[i], ""));
    }
}
