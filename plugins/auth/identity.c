/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/identity.h"
#include "auth/json.h"
#include <openssl/x509v3.h>
#include <stdlib.h>

/* A NUL within would hide what follows, from us or from who signed it. */
static char *text_of(const ASN1_STRING *s)
{
    unsigned char *utf8 = NULL;
    int bytes = s == NULL ? -1 : ASN1_STRING_to_UTF8(&utf8, s);
    char *name = NULL;
    if (bytes > 0 && memchr(utf8, '\0', (size_t)bytes) == NULL && json_is_name((const char *)utf8))
        name = strdup((const char *)utf8);
    OPENSSL_free(utf8);
    return name;
}

/* The last one is the most specific (RFC 6125 section 6.4.4). */
static char *common_name(X509 *x)
{
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = -1;
    for (int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); i >= 0;
         i = X509_NAME_get_index_by_NID(subject, NID_commonName, i))
        at = i;
    return at < 0 ? NULL : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static char *alternative(X509 *x, int type)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    char *found = NULL;
    bool is_there = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !is_there; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        is_there = name->type == type;
        if (is_there) found = text_of(name->d.ia5);
    }
    GENERAL_NAMES_free(names);
    return found;
}

char *identity_of(X509 *certificate, enum identity_kind kind)
{
    static const int types[] = { -1, GEN_DNS, GEN_EMAIL, GEN_URI };
    return kind == IDENTITY_CN ? common_name(certificate) : alternative(certificate, types[kind]);
}
