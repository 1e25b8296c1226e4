/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/b64.h"
#include "auth/scram.h"
#include "kit/test.h"
#include <string.h>

/* RFC 7677 section 3 */
#define FIRST     "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define NONCE     "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define CHALLENGE "r=rOprNGfwEbeRWgbNEkqO" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define UNPROVEN  "c=biws,r=rOprNGfwEbeRWgbNEkqO" NONCE
#define FINAL     UNPROVEN ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SIGNATURE "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct scram_keys pencil(void)
{
    struct scram_keys k = { .iterations = 4096 };
    size_t n;
    CHECK_TRUE(
        b64_decode(bytes_of_text("W22ZaJ0SNY7soEsUEjb6gQ=="), B64_STANDARD, k.salt, sizeof k.salt, &n));
    k.salt_bytes = (uint8_t)n;
    scram_derive(&k, bytes_of_text("pencil"));
    return k;
}

static const char *first(struct scram *s, const char *message)
{
    return scram_first(s, bytes_of_text(message));
}

/* The exchange of the RFC up to the last message, which is another one. */
static const char *last(const char *message, bool is_known, char answer[SCRAM_MESSAGE_BYTES])
{
    struct scram s;
    struct scram_keys keys = pencil();
    CHECK_TRUE(first(&s, FIRST) == NULL);
    CHECK_TRUE(scram_challenge(&s, &keys, is_known, NONCE) == NULL);
    const char *why = scram_final(&s, bytes_of_text(message), answer);
    scram_wipe(&s);
    return why;
}

TEST(the_exchange_of_rfc_7677_succeeds)
{
    struct scram s;
    struct scram_keys keys = pencil();
    char answer[SCRAM_MESSAGE_BYTES];
    CHECK_TRUE(first(&s, FIRST) == NULL);
    CHECK_TRUE(strcmp(s.username, "user") == 0);
    CHECK_TRUE(scram_challenge(&s, &keys, true, NONCE) == NULL);
    CHECK_TRUE(strcmp(s.answer, CHALLENGE) == 0);
    CHECK_TRUE(scram_final(&s, bytes_of_text(FINAL), answer) == NULL);
    CHECK_TRUE(strcmp(answer, SIGNATURE) == 0);
}

TEST(a_proof_with_any_byte_changed_or_missing_is_refused)
{
    char copy[] = FINAL, answer[SCRAM_MESSAGE_BYTES];
    for (size_t i = 0; i < sizeof copy - 1; i++) {
        char was = copy[i];
        copy[i] = was == 'A' ? 'B' : 'A';
        CHECK_TRUE(last(copy, true, answer) != NULL);
        copy[i] = '\0';
        CHECK_TRUE(last(copy, true, answer) != NULL);
        copy[i] = was;
    }
    CHECK_TRUE(last(copy, true, answer) == NULL);
}

TEST(who_is_not_known_fails_with_the_right_proof_too)
{
    char answer[SCRAM_MESSAGE_BYTES];
    CHECK_TRUE(last(FINAL, false, answer) != NULL);
}

TEST(a_final_message_that_comes_first_or_says_more_is_refused)
{
    struct scram s;
    char answer[SCRAM_MESSAGE_BYTES];
    CHECK_TRUE(first(&s, FIRST) == NULL);
    CHECK_TRUE(scram_final(&s, bytes_of_text(FINAL), answer) != NULL);
    CHECK_TRUE(last(UNPROVEN, true, answer) != NULL);
    CHECK_TRUE(last(FINAL ",x=y", true, answer) != NULL);
    CHECK_TRUE(last("", true, answer) != NULL);
}

TEST(first_messages_that_cannot_be_are_refused)
{
    static const char *const wrong[] = { "",
                                         "n",
                                         "n,,",
                                         "n,,n=user",
                                         "n,,r=abc,n=user",
                                         "n,,n=user,r=",
                                         "n,,n=,r=abc",
                                         "n,,n=a=2Db,r=abc",
                                         "n,,n=a=2,r=abc",
                                         "n,a=other,n=user,r=abc",
                                         "p=tls-unique,,n=user,r=abc",
                                         "n,,m=x,n=user,r=abc",
                                         "n,,n=us\ner,r=abc" };
    struct scram s;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) CHECK_TRUE(first(&s, wrong[i]) != NULL);
}

TEST(a_name_may_have_commas_and_equals_signs)
{
    struct scram s;
    CHECK_TRUE(first(&s, "y,,n=a=2Cb=3Dc,r=abc") == NULL);
    CHECK_TRUE(strcmp(s.username, "a,b=c") == 0);
}

TEST(messages_have_a_longest_length)
{
    static char message[SCRAM_MESSAGE_BYTES + 8] = "n,,n=user,r=";
    struct scram s;
    struct scram_keys keys = pencil();
    memset(message + 12, 'x', SCRAM_MESSAGE_BYTES - 12);
    CHECK_TRUE(first(&s, message) != NULL);
    message[SCRAM_MESSAGE_BYTES - 1] = '\0';
    CHECK_TRUE(first(&s, message) == NULL);
    CHECK_TRUE(scram_challenge(&s, &keys, true, NONCE) != NULL);
    memset(message, 'n', sizeof message - 1);
    CHECK_TRUE(scram_final(&s, bytes_of_text(message), message) != NULL);
}

TEST(unknown_names_are_answered_alike_each_time_and_differently_from_each_other)
{
    uint8_t seed[SCRAM_KEY_BYTES] = { 1 }, other[SCRAM_KEY_BYTES] = { 2 };
    struct scram_keys a, b;
    scram_pretend(&a, seed, 7000, bytes_of_text("anna"));
    scram_pretend(&b, seed, 7000, bytes_of_text("anna"));
    CHECK_TRUE(memcmp(&a, &b, sizeof a) == 0);
    CHECK_INT(7000, a.iterations);
    scram_pretend(&b, seed, 7000, bytes_of_text("bob"));
    CHECK_TRUE(memcmp(a.salt, b.salt, a.salt_bytes) != 0);
    scram_pretend(&b, other, 7000, bytes_of_text("anna"));
    CHECK_TRUE(memcmp(a.salt, b.salt, a.salt_bytes) != 0);
}
