/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/secret.h"
#include "access/access.h"
#include "accounts/b64.h"
#include "base/check.h"
#include "base/rng.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

static const char scram_name[] = "SCRAM-SHA-256";

/* --- RFC 5802 section 3 */

void scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], struct bytes data, uint8_t out[SCRAM_KEY_BYTES])
{
    unsigned bytes = 0;
    const uint8_t *at = data.len == 0 ? (const uint8_t *)"" : data.at;
    CHECK(HMAC(EVP_sha256(), key, SCRAM_KEY_BYTES, at, data.len, out, &bytes) != NULL);
    CHECK(bytes == SCRAM_KEY_BYTES);
}

void scram_hash(const uint8_t data[SCRAM_KEY_BYTES], uint8_t out[SCRAM_KEY_BYTES])
{
    unsigned bytes = 0;
    CHECK(EVP_Digest(data, SCRAM_KEY_BYTES, out, &bytes, EVP_sha256(), NULL) == 1);
}

void scram_derive(struct scram_keys *k, struct bytes password)
{
    uint8_t salted[SCRAM_KEY_BYTES], client[SCRAM_KEY_BYTES];
    const char *at = password.len == 0 ? "" : (const char *)password.at;
    CHECK(PKCS5_PBKDF2_HMAC(at, (int)password.len, k->salt, k->salt_bytes, (int)k->iterations, EVP_sha256(),
                            SCRAM_KEY_BYTES, salted) == 1);
    scram_hmac(salted, bytes_of_text("Client Key"), client);
    scram_hash(client, k->stored);
    scram_hmac(salted, bytes_of_text("Server Key"), k->server);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client, sizeof client);
}

/* --- the text */

static struct bytes field_next(struct bytes *rest, char end)
{
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->at, end, rest->len);
    size_t n = at == NULL ? rest->len : (size_t)(at - rest->at), skip = at == NULL ? n : n + 1;
    struct bytes field = bytes_of(rest->at, n);
    *rest = bytes_of(rest->at + skip, rest->len - skip);
    return field;
}

static bool number(struct bytes text, uint32_t *out)
{
    uint32_t v = 0;
    if (text.len == 0 || text.len > 7) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') return false;
        v = v * 10 + (uint32_t)(text.at[i] - '0');
    }
    *out = v;
    return v > 0 && v <= SECRET_ITERATIONS_MAX;
}

static bool key(struct bytes text, uint8_t out[SCRAM_KEY_BYTES])
{
    size_t n;
    return b64_decode(text, B64_STANDARD, out, SCRAM_KEY_BYTES, &n) && n == SCRAM_KEY_BYTES;
}

static bool is_scram(struct bytes text)
{
    size_t n = sizeof scram_name - 1;
    return text.len > n && memcmp(text.at, scram_name, n) == 0 && text.at[n] == '$';
}

bool secret_keys(struct bytes text, struct scram_keys *out)
{
    size_t n;
    *out = (struct scram_keys){ 0 };
    if (!is_scram(text)) return false;
    struct bytes rest = text;
    field_next(&rest, '$');
    struct bytes way = field_next(&rest, '$'), stored = field_next(&rest, ':');
    if (!number(field_next(&way, ':'), &out->iterations)) return false;
    if (!b64_decode(way, B64_STANDARD, out->salt, sizeof out->salt, &n) || n == 0) return false;
    out->salt_bytes = (uint8_t)n;
    return key(stored, out->stored) && key(rest, out->server);
}

void scram_print(const struct scram_keys *k, char text[SECRET_TEXT_BYTES])
{
    char salt[B64_TEXT_BYTES(SCRAM_SALT_BYTES_MAX)], stored[B64_TEXT_BYTES(SCRAM_KEY_BYTES)],
        server[B64_TEXT_BYTES(SCRAM_KEY_BYTES)];
    b64_encode(bytes_of(k->salt, k->salt_bytes), salt);
    b64_encode(bytes_of(k->stored, sizeof k->stored), stored);
    b64_encode(bytes_of(k->server, sizeof k->server), server);
    snprintf(text, SECRET_TEXT_BYTES, "%s$%u:%s$%s:%s", scram_name, (unsigned)k->iterations, salt, stored,
             server);
}

void secret_make(struct bytes password, uint32_t iterations, char text[SECRET_TEXT_BYTES])
{
    struct scram_keys k = { .iterations = iterations, .salt_bytes = SCRAM_SALT_BYTES_USUAL };
    rng_fill(k.salt, k.salt_bytes);
    scram_derive(&k, password);
    scram_print(&k, text);
    explicit_bzero(&k, sizeof k);
}

const char *secret_wrong(struct bytes text)
{
    struct scram_keys k;
    if (!is_scram(text)) return access_hash_wrong(text);
    return secret_keys(text, &k)
               ? NULL
               : "these keys cannot be read; allowed: SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY";
}

bool secret_check(struct bytes text, struct bytes password)
{
    struct scram_keys kept, now;
    if (!is_scram(text)) return access_hash_check(text, password);
    if (!secret_keys(text, &kept)) return false;
    now = kept;
    scram_derive(&now, password);
    bool is_equal = CRYPTO_memcmp(now.stored, kept.stored, SCRAM_KEY_BYTES) == 0;
    explicit_bzero(&now, sizeof now);
    return is_equal && password.len > 0;
}
