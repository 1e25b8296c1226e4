/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jwt_int - what the files of jwt share: a key, and JSON that cannot deceive.
 *
 * Thread:  see jwt.h.
 * Memory:  see jwt.h.
 * Limits:  see jwt.h.
 * Errors:  see jwt.h.
 * Tests:   see jwt.h.
 */
#ifndef AUTH_JWT_INT_H
#define AUTH_JWT_INT_H

#include "auth/jwt.h"
#include <cjson/cJSON.h>
#include <openssl/evp.h>

struct jwt_key {
    enum jwt_algorithm algorithm;
    char *kid;       /* NULL: it has none, and is tried for every token */
    EVP_PKEY *pkey;  /* NULL: HS256 */
    uint8_t *secret; /* of HS256 */
    size_t secret_bytes;
};

struct jwt_keys {
    struct jwt_key at[JWT_KEYS_MAX];
    size_t count;
};

#endif
