/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/b64.h"
#include "auth/json.h"
#include "auth/jwt_int.h"
#include <math.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <stdlib.h>

/* A token is HEADER.PAYLOAD.SIGNATURE, each in base64url; what is signed are the texts of the first two. */

enum { SIGNATURE_BYTES_MAX = 2048, HEADER_BYTES_MAX = 2048, ES256_HALF = 32, DER_BYTES_MAX = 80 };

struct parts {
    struct bytes header, payload, signature, is_signed;
};

static bool split(struct bytes token, struct parts *p)
{
    const uint8_t *first = token.len == 0 ? NULL : memchr(token.at, '.', token.len);
    if (first == NULL) return false;
    p->header = bytes_of(token.at, (size_t)(first - token.at));
    size_t left = token.len - p->header.len - 1;
    const uint8_t *second = left == 0 ? NULL : memchr(first + 1, '.', left);
    if (second == NULL) return false;
    p->payload = bytes_of(first + 1, (size_t)(second - first - 1));
    p->signature = bytes_of(second + 1, left - p->payload.len - 1);
    p->is_signed = bytes_of(token.at, (size_t)(second - token.at));
    return p->signature.len == 0 || memchr(p->signature.at, '.', p->signature.len) == NULL;
}

bool jwt_is_token(struct bytes text)
{
    struct parts p;
    return text.len > 3 && memcmp(text.at, "eyJ", 3) == 0 && split(text, &p); /* {" in base64 */
}

/* --- the signature */

static bool hmac_fits(const struct jwt_key *k, struct bytes data, struct bytes signature)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    if (HMAC(EVP_sha256(), k->secret, (int)k->secret_bytes, data.at, data.len, out, &bytes) == NULL)
        return false;
    return bytes == signature.len && CRYPTO_memcmp(out, signature.at, bytes) == 0;
}

/* RFC 7518 section 3.4: both numbers as they are; OpenSSL wants them in DER. 0: it is none. */
static size_t der_of(struct bytes signature, uint8_t out[DER_BYTES_MAX])
{
    if (signature.len != 2 * ES256_HALF) return 0;
    ECDSA_SIG *s = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.at, ES256_HALF, NULL),
           *t = BN_bin2bn(signature.at + ES256_HALF, ES256_HALF, NULL);
    int bytes = 0;
    if (s != NULL && r != NULL && t != NULL && ECDSA_SIG_set0(s, r, t) == 1) {
        r = t = NULL; /* s has them */
        bytes = i2d_ECDSA_SIG(s, &out);
    }
    BN_free(r);
    BN_free(t);
    ECDSA_SIG_free(s);
    return bytes > 0 ? (size_t)bytes : 0;
}

static bool pkey_fits(const struct jwt_key *k, struct bytes data, struct bytes signature)
{
    uint8_t der[DER_BYTES_MAX];
    if (k->algorithm == JWT_ES256) {
        size_t n = der_of(signature, der);
        if (n == 0) return false;
        signature = bytes_of(der, n);
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = k->algorithm == JWT_EDDSA ? NULL : EVP_sha256();
    bool fits = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, k->pkey) == 1 &&
                EVP_DigestVerify(ctx, signature.at, signature.len, data.at, data.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!fits) ERR_clear_error();
    return fits;
}

/* Whoever names a key means that one, if we have it. */
static bool is_named(const struct jwt_keys *k, const char *kid)
{
    for (size_t i = 0; kid != NULL && i < k->count; i++)
        if (k->at[i].kid != NULL && strcmp(k->at[i].kid, kid) == 0) return true;
    return false;
}

static bool any_fits(const struct jwt_keys *k, enum jwt_algorithm algorithm, const char *kid,
                     const struct parts *p, struct bytes signature)
{
    bool has_name = is_named(k, kid);
    for (size_t i = 0; i < k->count; i++) {
        const struct jwt_key *key = &k->at[i];
        if (key->algorithm != algorithm) continue;
        if (has_name ? key->kid == NULL || strcmp(key->kid, kid) != 0 : kid != NULL && key->kid != NULL)
            continue;
        bool fits = algorithm == JWT_HS256 ? hmac_fits(key, p->is_signed, signature)
                                           : pkey_fits(key, p->is_signed, signature);
        if (fits) return true;
    }
    return false;
}

static const char *verify_header(const struct jwt_keys *k, unsigned algorithms, const struct parts *p,
                                 const cJSON *header)
{
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t bytes;
    const char *alg = json_text(header, "alg");
    const cJSON *kid = cJSON_GetObjectItemCaseSensitive(header, "kid");
    if (alg == NULL) return "the token names no algorithm";
    if (cJSON_GetObjectItemCaseSensitive(header, "crit") != NULL || /* RFC 7515 section 4.1.11 */
        cJSON_GetObjectItemCaseSensitive(header, "b64") != NULL)
        return "the token asks for extensions";
    if (kid != NULL && !cJSON_IsString(kid)) return "the token's kid is no text";
    enum jwt_algorithm algorithm = jwt_algorithm_of(bytes_of_text(alg));
    if (((unsigned)algorithm & algorithms) == 0) return "the token's algorithm is not allowed";
    if (!b64_decode(p->signature, B64_URL, signature, sizeof signature, &bytes) || bytes == 0)
        return "the token's signature cannot be read";
    return any_fits(k, algorithm, cJSON_GetStringValue(kid), p, bytes_of(signature, bytes))
               ? NULL
               : "the token's signature is by none of the keys";
}

const char *jwt_open(const struct jwt_keys *k, unsigned algorithms, struct bytes token, struct bytes *payload)
{
    struct parts p;
    uint8_t header[HEADER_BYTES_MAX];
    size_t bytes;
    *payload = (struct bytes){ 0 };
    if (token.len > JWT_BYTES_MAX) return "the token is too long";
    if (!split(token, &p) || !b64_decode(p.header, B64_URL, header, sizeof header, &bytes))
        return "the token cannot be read";
    cJSON *object = json_object(bytes_of(header, bytes));
    if (object == NULL) return "the token's header cannot be read";
    const char *why = verify_header(k, algorithms, &p, object);
    cJSON_Delete(object);
    if (why != NULL) return why;
    uint8_t *out = malloc(p.payload.len + 1);
    if (out == NULL) return "out of memory";
    if (!b64_decode(p.payload, B64_URL, out, p.payload.len, &bytes)) {
        free(out);
        return "the token's claims cannot be read";
    }
    *payload = bytes_of(out, bytes);
    return NULL;
}

/* --- the claims */

void jwt_claims_fini(struct jwt_claims *c)
{
    free(c->username);
    free(c->client_id);
    free(c->device);
    grants_free(&c->grants);
    *c = (struct jwt_claims){ 0 };
}

/* A time in seconds since 1970 (RFC 7519 section 2). False: there is something else. 0: there is none. */
static bool time_of(const cJSON *o, const char *name, uint64_t *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    *out = 0;
    if (v == NULL) return true;
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 1 && v->valuedouble < 1e15)) return false;
    *out = (uint64_t)floor(v->valuedouble);
    return true;
}

static const char *check_times(const cJSON *o, const struct jwt_rules *r, uint64_t now_s, uint64_t *expires_s)
{
    uint64_t nbf, iat, leeway = r->leeway_s;
    if (!time_of(o, "exp", expires_s) || !time_of(o, "nbf", &nbf) || !time_of(o, "iat", &iat))
        return "a time in the token is none";
    if (*expires_s == 0 && r->needs_exp) return "the token never expires";
    if (*expires_s != 0 && now_s >= *expires_s + leeway) return "the token has expired";
    if (nbf > now_s + leeway) return "the token is not valid yet";
    return iat > now_s + leeway ? "the token is from the future" : NULL;
}

static bool is_audience(const cJSON *aud, const char *want)
{
    if (cJSON_IsString(aud)) return strcmp(aud->valuestring, want) == 0;
    if (!cJSON_IsArray(aud)) return false;
    for (const cJSON *a = aud->child; a != NULL; a = a->next)
        if (cJSON_IsString(a) && strcmp(a->valuestring, want) == 0) return true;
    return false;
}

static const char *check_parties(const cJSON *o, const struct jwt_rules *r)
{
    const char *issuer = json_text(o, "iss");
    if (r->issuer[0] != '\0' && (issuer == NULL || strcmp(issuer, r->issuer) != 0))
        return "the token is by another issuer";
    if (r->audience[0] != '\0' && !is_audience(cJSON_GetObjectItemCaseSensitive(o, "aud"), r->audience))
        return "the token is for others";
    return NULL;
}

/* A claim that is there must be a name. */
static const char *take_name(const cJSON *o, const char *name, char **out)
{
    const cJSON *v = name[0] == '\0' ? NULL : cJSON_GetObjectItemCaseSensitive(o, name);
    if (v == NULL) return NULL;
    if (!cJSON_IsString(v) || !json_is_name(v->valuestring)) return "a name in the token is none";
    *out = strdup(v->valuestring);
    return *out == NULL ? "out of memory" : NULL;
}

static const char *take(const cJSON *o, const struct jwt_rules *r, struct jwt_claims *c)
{
    const char *why = take_name(o, r->username, &c->username);
    if (why == NULL && c->username == NULL) why = "the token names no user";
    if (why == NULL) why = take_name(o, r->client_id, &c->client_id);
    if (why == NULL) why = take_name(o, r->device, &c->device);
    const cJSON *acl = r->acl[0] == '\0' ? NULL : cJSON_GetObjectItemCaseSensitive(o, r->acl);
    if (why != NULL || acl == NULL) return why;
    return json_rules(acl, &c->grants) == ERR_OK ? NULL : "the rules in the token cannot be read";
}

const char *jwt_verify(const struct jwt_keys *k, const struct jwt_rules *rules, struct bytes token,
                       uint64_t now_s, struct jwt_claims *claims)
{
    struct bytes payload;
    *claims = (struct jwt_claims){ 0 };
    const char *why = jwt_open(k, rules->algorithms, token, &payload);
    if (why != NULL) return why;
    cJSON *o = json_object(payload);
    free((void *)(uintptr_t)payload.at);
    if (o == NULL) return "the token's claims cannot be read";
    why = check_times(o, rules, now_s, &claims->expires_s);
    if (why == NULL) why = check_parties(o, rules);
    if (why == NULL) why = take(o, rules, claims);
    cJSON_Delete(o);
    if (why != NULL) jwt_claims_fini(claims);
    return why;
}
