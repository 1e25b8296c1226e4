/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/identity.h"
#include "kit/test.h"
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static X509 *certificate(const char *cn, int cn_bytes, const char *alternatives)
{
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    CHECK_INT(1, X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                            (const unsigned char *)"first", -1, -1, 0));
    if (cn != NULL)
        CHECK_INT(1, X509_NAME_add_entry_by_NID(subject, NID_commonName, V_ASN1_UTF8STRING,
                                                (const unsigned char *)cn, cn_bytes, -1, 0));
    if (alternatives == NULL) return x;
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternatives);
    CHECK_TRUE(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
    return x;
}

static bool names(X509 *x, enum identity_kind kind, const char *want)
{
    char *name = identity_of(x, kind);
    bool is_so = want == NULL ? name == NULL : name != NULL && strcmp(name, want) == 0;
    free(name);
    return is_so;
}

TEST(the_last_common_name_and_the_first_alternative_of_a_kind_count)
{
    X509 *x = certificate("anna", -1, "DNS:a.example,email:a@example.org,DNS:b.example,URI:urn:device:7");
    CHECK_TRUE(names(x, IDENTITY_CN, "anna"));
    CHECK_TRUE(names(x, IDENTITY_DNS, "a.example"));
    CHECK_TRUE(names(x, IDENTITY_EMAIL, "a@example.org"));
    CHECK_TRUE(names(x, IDENTITY_URI, "urn:device:7"));
    X509_free(x);
}

TEST(what_a_certificate_does_not_say_names_nobody)
{
    X509 *x = certificate(NULL, 0, "email:a@example.org");
    CHECK_TRUE(names(x, IDENTITY_CN, "first"));
    CHECK_TRUE(names(x, IDENTITY_DNS, NULL));
    X509_free(x);
    x = X509_new();
    CHECK_TRUE(names(x, IDENTITY_CN, NULL) && names(x, IDENTITY_URI, NULL));
    X509_free(x);
}

TEST(a_name_with_a_nul_or_a_control_character_is_none)
{
    X509 *x = certificate("admin\0.evil", 11, NULL);
    CHECK_TRUE(names(x, IDENTITY_CN, NULL));
    X509_free(x);
    x = certificate("ad\nmin", 6, NULL);
    CHECK_TRUE(names(x, IDENTITY_CN, NULL));
    X509_free(x);
}
