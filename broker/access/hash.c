/* SPDX-License-Identifier: Apache-2.0 */
#include "access/access_int.h"
#include "base/check.h"
#include "base/rng.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

/* What mosquitto_passwd does with a password. */

static int digit_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* How many of the last characters are padding; 3: that cannot be. */
static size_t padding_of(struct bytes text)
{
    size_t n = 0;
    while (n < 3 && n < text.len && text.at[text.len - 1 - n] == '=') n++;
    return n;
}

bool base64_decode(struct bytes text, uint8_t *out, size_t room, size_t *bytes)
{
    size_t padding = padding_of(text), digits = text.len - padding;
    *bytes = text.len / 4 * 3 - padding;
    if (text.len == 0 || text.len % 4 != 0 || padding > 2 || *bytes > room) return false;
    uint32_t bits = 0;
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = i < digits ? digit_of(text.at[i]) : 0;
        if (digit < 0) return false;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 3) continue;
        for (int shift = 16; shift >= 0 && done < *bytes; shift -= 8) out[done++] = (uint8_t)(bits >> shift);
        bits = 0;
    }
    return true;
}

static void sha512(const struct hash_way *way, struct bytes password, uint8_t digest[DIGEST_BYTES])
{
    unsigned bytes = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx != NULL);
    CHECK(EVP_DigestInit_ex(ctx, EVP_sha512(), NULL) == 1);
    CHECK(EVP_DigestUpdate(ctx, password.at, password.len) == 1);
    CHECK(EVP_DigestUpdate(ctx, way->salt, way->salt_bytes) == 1);
    CHECK(EVP_DigestFinal_ex(ctx, digest, &bytes) == 1);
    EVP_MD_CTX_free(ctx);
    CHECK(bytes == DIGEST_BYTES);
}

/* A failure of the library is of memory, in a thread where a wrong answer would let somebody in or out. */
void hash_password(const struct hash_way *way, struct bytes password, uint8_t digest[DIGEST_BYTES])
{
    if (way->iterations == 0) {
        sha512(way, password, digest);
        return;
    }
    const char *at = password.len == 0 ? "" : (const char *)password.at;
    CHECK(PKCS5_PBKDF2_HMAC(at, (int)password.len, way->salt, way->salt_bytes, (int)way->iterations,
                            EVP_sha512(), DIGEST_BYTES, digest) == 1);
}

bool hash_equal(const uint8_t *a, const uint8_t *b)
{
    return CRYPTO_memcmp(a, b, DIGEST_BYTES) == 0;
}

void access_make_hash(struct bytes password, uint32_t iterations, char text[ACCESS_HASH_BYTES])
{
    enum { SALT_BYTES = 12, SALT_TEXT_BYTES = 16 + 1, DIGEST_TEXT_BYTES = 88 + 1 };
    struct hash_way way = { .iterations = iterations, .salt_bytes = SALT_BYTES };
    uint8_t digest[DIGEST_BYTES];
    char salt[SALT_TEXT_BYTES], hash[DIGEST_TEXT_BYTES], kind[16] = "6";
    rng_fill(way.salt, SALT_BYTES);
    hash_password(&way, password, digest);
    EVP_EncodeBlock((uint8_t *)salt, way.salt, SALT_BYTES);
    EVP_EncodeBlock((uint8_t *)hash, digest, DIGEST_BYTES);
    if (iterations > 0) snprintf(kind, sizeof kind, "7$%u", (unsigned)iterations);
    snprintf(text, ACCESS_HASH_BYTES, "$%s$%s$%s", kind, salt, hash);
}
