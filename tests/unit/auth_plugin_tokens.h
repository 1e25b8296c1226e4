/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth_plugin_tokens - makes tokens for tests, signed by a secret that all know.
 *
 * Thread:  any.
 * Memory:  the caller's.
 * Limits:  TOKEN_ROOM.
 * Errors:  none.
 * Tests:   it is for tests.
 */
#ifndef UNIT_AUTH_PLUGIN_TOKENS_H
#define UNIT_AUTH_PLUGIN_TOKENS_H

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

enum { TOKEN_ROOM = 4096 };

#define TOKEN_SECRET           "0123456789abcdef0123456789abcdef"
#define TOKEN_SECRET_URL       "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
#define TOKEN_OTHER_SECRET_URL "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA"

static inline size_t token_encode(const void *data, size_t n, char *out)
{
    size_t len = (size_t)EVP_EncodeBlock((unsigned char *)out, data, (int)n);
    while (len > 0 && out[len - 1] == '=') len--;
    out[len] = '\0';
    for (size_t i = 0; i < len; i++) out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    return len;
}

static inline void token_hs256(const char *header, const char *claims, char token[TOKEN_ROOM])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_bytes = 0;
    size_t n = token_encode(header, strlen(header), token);
    token[n++] = '.';
    n += token_encode(claims, strlen(claims), token + n);
    HMAC(EVP_sha256(), TOKEN_SECRET, (int)strlen(TOKEN_SECRET), (unsigned char *)token, n, mac, &mac_bytes);
    token[n++] = '.';
    token_encode(mac, mac_bytes, token + n);
}

#endif
