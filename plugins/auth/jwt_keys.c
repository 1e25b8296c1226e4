/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/b64.h"
#include "auth/json.h"
#include "auth/jwt_int.h"
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 1024, P256_BYTES = 32, ED25519_BYTES = 32 };

static const struct {
    const char *name;
    enum jwt_algorithm is;
} algorithms[] = {
    { "HS256", JWT_HS256 }, { "RS256", JWT_RS256 }, { "ES256", JWT_ES256 }, { "EdDSA", JWT_EDDSA }
};

enum jwt_algorithm jwt_algorithm_of(struct bytes name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (bytes_equal(name, bytes_of_text(algorithms[i].name))) return algorithms[i].is;
    return 0;
}

static enum err say(struct jwt_note *note, enum err rc, const char *text)
{
    snprintf(note->text, sizeof note->text, "%s", text);
    ERR_clear_error();
    return rc;
}

enum err jwt_keys_new(struct jwt_keys **out)
{
    *out = calloc(1, sizeof **out);
    return *out == NULL ? ERR_NOMEM : ERR_OK;
}

static void key_fini(struct jwt_key *k)
{
    if (k->secret != NULL) explicit_bzero(k->secret, k->secret_bytes);
    free(k->secret);
    free(k->kid);
    EVP_PKEY_free(k->pkey);
}

void jwt_keys_free(struct jwt_keys **owner)
{
    struct jwt_keys *k = *owner;
    *owner = NULL;
    if (k == NULL) return;
    for (size_t i = 0; i < k->count; i++) key_fini(&k->at[i]);
    free(k);
}

size_t jwt_keys_count(const struct jwt_keys *k)
{
    return k == NULL ? 0 : k->count;
}

/* Takes the key, also when it is refused. */
static enum err add(struct jwt_keys *k, struct jwt_key *key, const char *kid, struct jwt_note *note)
{
    enum err rc = k->count < JWT_KEYS_MAX ? ERR_OK : say(note, ERR_FULL, "too many keys; allowed: 64");
    if (rc == ERR_OK && kid != NULL) {
        key->kid = strdup(kid);
        if (key->kid == NULL) rc = say(note, ERR_NOMEM, "out of memory");
    }
    if (rc == ERR_OK)
        k->at[k->count++] = *key;
    else
        key_fini(key);
    return rc;
}

enum err jwt_keys_add_secret(struct jwt_keys *k, struct bytes secret, struct jwt_note *note)
{
    struct jwt_key key = { .algorithm = JWT_HS256, .secret_bytes = secret.len };
    if (secret.len < JWT_SECRET_BYTES_MIN || secret.len > JWT_SECRET_BYTES_MAX)
        return say(note, ERR_SYNTAX, "a secret of HS256 has 32 to 1024 bytes");
    key.secret = malloc(secret.len);
    if (key.secret == NULL) return say(note, ERR_NOMEM, "out of memory");
    memcpy(key.secret, secret.at, secret.len);
    return add(k, &key, NULL, note);
}

/* --- public keys */

/* Takes the reference. */
static enum err add_pkey(struct jwt_keys *k, EVP_PKEY *pkey, const char *kid, struct jwt_note *note)
{
    struct jwt_key key = { .pkey = pkey };
    char curve[32] = "";
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        key.algorithm = JWT_RS256;
        if (EVP_PKEY_get_bits(pkey) < JWT_RSA_BITS_MIN) key.algorithm = 0;
    } else if (EVP_PKEY_is_a(pkey, "EC")) {
        EVP_PKEY_get_group_name(pkey, curve, sizeof curve, NULL);
        if (strcmp(curve, "prime256v1") == 0) key.algorithm = JWT_ES256;
    } else if (EVP_PKEY_is_a(pkey, "ED25519")) {
        key.algorithm = JWT_EDDSA;
    }
    if (key.algorithm != 0) return add(k, &key, kid, note);
    key_fini(&key);
    return say(note, ERR_SYNTAX,
               "a key of this kind verifies nothing here; allowed: RSA of 2048 bits or more, P-256, Ed25519");
}

static EVP_PKEY *key_of_certificate(const uint8_t *der, long bytes)
{
    X509 *x = d2i_X509(NULL, &der, bytes);
    EVP_PKEY *pkey = x == NULL ? NULL : X509_get_pubkey(x);
    X509_free(x);
    return pkey;
}

static enum err add_block(struct jwt_keys *k, const char *name, struct bytes der, struct jwt_note *note)
{
    const uint8_t *at = der.at;
    EVP_PKEY *pkey = NULL;
    if (strcmp(name, "PUBLIC KEY") == 0)
        pkey = d2i_PUBKEY(NULL, &at, (long)der.len);
    else if (strcmp(name, "CERTIFICATE") == 0)
        pkey = key_of_certificate(at, (long)der.len);
    else
        return say(note, ERR_SYNTAX, "something else than keys is in it; allowed: PUBLIC KEY, CERTIFICATE");
    if (pkey == NULL) return say(note, ERR_SYNTAX, "a key cannot be read; allowed: PEM of OpenSSL");
    return add_pkey(k, pkey, NULL, note);
}

enum err jwt_keys_add_pem(struct jwt_keys *k, struct bytes text, struct jwt_note *note)
{
    size_t before = k->count;
    enum err rc = ERR_OK;
    BIO *bio = text.len > INT_MAX
                   ? NULL
                   : BIO_new_mem_buf(text.len == 0 ? (const void *)"" : text.at, (int)text.len);
    if (bio == NULL) return say(note, ERR_NOMEM, "out of memory");
    char *name, *header;
    unsigned char *der;
    long bytes;
    while (rc == ERR_OK && PEM_read_bio(bio, &name, &header, &der, &bytes) == 1) {
        rc = add_block(k, name, bytes_of(der, (size_t)bytes), note);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)bytes);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (rc == ERR_OK && k->count == before)
        return say(note, ERR_SYNTAX, "there is no key in it; allowed: PEM");
    return rc;
}

/* --- JWKS */

static bool field(const cJSON *jwk, const char *name, uint8_t *out, size_t room, size_t *bytes)
{
    const char *text = json_text(jwk, name);
    return text != NULL && b64_decode(bytes_of_text(text), B64_URL, out, room, bytes) && *bytes > 0;
}

static EVP_PKEY *from_params(const char *kind, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *rsa_of(const cJSON *jwk)
{
    uint8_t n[NUMBER_BYTES_MAX], e[NUMBER_BYTES_MAX];
    size_t n_bytes, e_bytes;
    if (!field(jwk, "n", n, sizeof n, &n_bytes) || !field(jwk, "e", e, sizeof e, &e_bytes)) return NULL;
    BIGNUM *bn_n = BN_bin2bn(n, (int)n_bytes, NULL), *bn_e = BN_bin2bn(e, (int)e_bytes, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (bn_n != NULL && bn_e != NULL && build != NULL &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1)
        pkey = from_params("RSA", build);
    OSSL_PARAM_BLD_free(build);
    BN_free(bn_n);
    BN_free(bn_e);
    return pkey;
}

/* OpenSSL checks that the point is on the curve. */
static EVP_PKEY *p256_of(const cJSON *jwk)
{
    uint8_t point[1 + 2 * P256_BYTES] = { POINT_CONVERSION_UNCOMPRESSED };
    size_t x, y;
    const char *curve = json_text(jwk, "crv");
    if (curve == NULL || strcmp(curve, "P-256") != 0) return NULL;
    if (!field(jwk, "x", point + 1, P256_BYTES, &x) || x != P256_BYTES) return NULL;
    if (!field(jwk, "y", point + 1 + P256_BYTES, P256_BYTES, &y) || y != P256_BYTES) return NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (build != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        pkey = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return pkey;
}

static EVP_PKEY *ed25519_of(const cJSON *jwk)
{
    uint8_t x[ED25519_BYTES];
    size_t bytes;
    const char *curve = json_text(jwk, "crv");
    if (curve == NULL || strcmp(curve, "Ed25519") != 0) return NULL;
    if (!field(jwk, "x", x, sizeof x, &bytes) || bytes != sizeof x) return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof x);
}

static enum err add_oct(struct jwt_keys *k, const cJSON *jwk, const char *kid, struct jwt_note *note)
{
    uint8_t secret[JWT_SECRET_BYTES_MAX];
    size_t bytes, before = k->count;
    if (!field(jwk, "k", secret, sizeof secret, &bytes))
        return say(note, ERR_SYNTAX, "a key of kind oct cannot be read; allowed: k, in base64url");
    enum err rc = jwt_keys_add_secret(k, bytes_of(secret, bytes), note);
    explicit_bzero(secret, sizeof secret);
    if (rc != ERR_OK || kid == NULL) return rc;
    k->at[before].kid = strdup(kid);
    return k->at[before].kid != NULL ? ERR_OK : say(note, ERR_NOMEM, "out of memory");
}

/* It is to verify by an algorithm of ours, as far as it says so. */
static bool is_ours(const cJSON *jwk)
{
    const char *use = json_text(jwk, "use"), *alg = json_text(jwk, "alg");
    if (use != NULL && strcmp(use, "sig") != 0) return false;
    return alg == NULL || jwt_algorithm_of(bytes_of_text(alg)) != 0;
}

static enum err add_jwk(struct jwt_keys *k, const cJSON *jwk, struct jwt_note *note)
{
    const char *kind = json_text(jwk, "kty"), *kid = json_text(jwk, "kid");
    if (kind == NULL) return say(note, ERR_SYNTAX, "a key has no kty");
    bool is_rsa = strcmp(kind, "RSA") == 0, is_ec = strcmp(kind, "EC") == 0,
         is_okp = strcmp(kind, "OKP") == 0;
    if (!is_ours(jwk)) return ERR_OK;
    if (strcmp(kind, "oct") == 0) return add_oct(k, jwk, kid, note);
    if (!is_rsa && !is_ec && !is_okp) return ERR_OK;
    const char *curve = json_text(jwk, "crv");
    bool is_other = curve != NULL &&
                    ((is_ec && strcmp(curve, "P-256") != 0) || (is_okp && strcmp(curve, "Ed25519") != 0));
    if (is_other) return ERR_OK;
    EVP_PKEY *pkey = is_rsa ? rsa_of(jwk) : is_ec ? p256_of(jwk) : ed25519_of(jwk);
    if (pkey != NULL) return add_pkey(k, pkey, kid, note);
    snprintf(note->text, sizeof note->text, "the key '%.100s' of kind %.20s cannot be read", kid ? kid : "",
             kind);
    ERR_clear_error();
    return ERR_SYNTAX;
}

enum err jwt_keys_add_jwks(struct jwt_keys *k, struct bytes json, struct jwt_note *note)
{
    cJSON *set = json_object(json);
    const cJSON *keys = cJSON_GetObjectItemCaseSensitive(set, "keys");
    enum err rc = ERR_OK;
    if (!cJSON_IsArray(keys)) rc = say(note, ERR_SYNTAX, "it is no JWKS; allowed: {\"keys\": [...]}");
    for (const cJSON *jwk = rc == ERR_OK ? keys->child : NULL; jwk != NULL && rc == ERR_OK; jwk = jwk->next)
        rc = add_jwk(k, jwk, note);
    cJSON_Delete(set);
    return rc;
}
