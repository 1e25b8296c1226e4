/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity - whom a certificate names.
 *
 * Thread:  any.
 * Memory:  borrows the certificate; gives a text that free() frees.
 * Limits:  a name as json_is_name has it.
 * Errors:  NULL: it names nobody so, or something that is no name.
 * Tests:   tests/unit/test_auth_plugin_identity.c
 */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include <openssl/x509.h>

/* In the order of the option certificate_name. */
enum identity_kind { IDENTITY_CN, IDENTITY_DNS, IDENTITY_EMAIL, IDENTITY_URI };

char *identity_of(X509 *certificate, enum identity_kind kind);

#endif
