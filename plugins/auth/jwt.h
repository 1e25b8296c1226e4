/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwt - tokens (RFC 7519) that are signed (RFC 7515) by HS256, RS256, ES256 or EdDSA with Ed25519.
 *
 * A key decides by what it is how a token is verified: the algorithm that a token names must be the one of a
 * key of ours, so nobody makes a shared secret of a public key, and "none" is nobody's.
 *
 * Thread:  keys are made on one; then any, for nothing in them changes. Verifying takes 5 to 100 us of a CPU.
 * Memory:  keys and claims are heap objects. Borrows tokens. Secrets are wiped when they are freed.
 * Limits:  JWT_BYTES_MAX, JWT_KEYS_MAX; RSA of at least 2048 bits, secrets of at least 32 bytes.
 * Errors:  of keys: ERR_SYNTAX with a note, ERR_FULL, ERR_NOMEM. Of a token: a text, fit for a log.
 * Tests:   tests/unit/test_auth_plugin_jwt.c (the vectors of RFC 7515 and RFC 8037)
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "accounts/grants.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    JWT_BYTES_MAX = 16384,
    JWT_KEYS_MAX = 64,
    JWT_RSA_BITS_MIN = 2048,
    JWT_SECRET_BYTES_MIN = 32, /* RFC 7518 section 3.2 */
    JWT_SECRET_BYTES_MAX = 1024,
    JWT_GRANTS_MAX = 1000, /* filters in the ACL of a token */
    JWT_NOTE_BYTES = 256,
};

enum jwt_algorithm { JWT_HS256 = 1, JWT_RS256 = 2, JWT_ES256 = 4, JWT_EDDSA = 8, JWT_ALL = 15 };

/* 0: none of ours. */
enum jwt_algorithm jwt_algorithm_of(struct bytes name);

/* --- keys */

struct jwt_keys;

struct jwt_note {
    char text[JWT_NOTE_BYTES];
};

enum err jwt_keys_new(struct jwt_keys **out);
void jwt_keys_free(struct jwt_keys **owner);
size_t jwt_keys_count(const struct jwt_keys *k);

/* Public keys and certificates, one after the other. */
enum err jwt_keys_add_pem(struct jwt_keys *k, struct bytes text, struct jwt_note *note);
/* RFC 7517. Keys of kinds that are not ours are passed over. */
enum err jwt_keys_add_jwks(struct jwt_keys *k, struct bytes json, struct jwt_note *note);
enum err jwt_keys_add_secret(struct jwt_keys *k, struct bytes secret, struct jwt_note *note);

/* --- tokens */

struct jwt_rules {
    unsigned algorithms;            /* bits of enum jwt_algorithm */
    const char *issuer, *audience;  /* empty: any */
    const char *username, *acl;     /* names of claims */
    const char *client_id, *device; /* the same; empty: none is looked for */
    uint32_t leeway_s;
    bool needs_exp;
};

struct jwt_claims {
    char *username;
    char *client_id;       /* NULL: the token says none */
    char *device;          /* the same */
    struct grants *grants; /* NULL: it says nothing of topics */
    uint64_t expires_s;    /* since 1970; 0: never */
};
void jwt_claims_fini(struct jwt_claims *c);

/* Does it look like one? Then nothing else is meant. */
bool jwt_is_token(struct bytes text);

/* NULL, and claims are set; or why not, and they are empty. */
const char *jwt_verify(const struct jwt_keys *k, const struct jwt_rules *rules, struct bytes token,
                       uint64_t now_s, struct jwt_claims *claims);

/* The first step alone: the signature. *payload is malloc'ed. For the vectors. */
const char *jwt_open(const struct jwt_keys *k, unsigned algorithms, struct bytes token,
                     struct bytes *payload);

#endif
