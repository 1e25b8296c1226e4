/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <openssl/err.h>
#include <openssl/pem.h>

/* What a listener has, made of its options. */

bool tls_is_wanted(const struct tls_conf *conf)
{
    return tls_is_set(conf->certfile) || tls_is_set(conf->keyfile) || tls_is_set(conf->psk_hint) ||
           tls_is_set(conf->cafile) || tls_is_set(conf->capath) || tls_is_set(conf->crlfile) ||
           tls_is_set(conf->sni_dir) || conf->require_certificate;
}

/* A listener that was meant to speak TLS must not come up in the clear. */
static enum err check(const struct tls_conf *conf, struct tls_text *text)
{
    bool has_cert = tls_is_set(conf->certfile), has_key = tls_is_set(conf->keyfile);
    if (has_cert != has_key)
        return tls_say(text, ERR_SYNTAX, "%s needs %s too: a certificate and its key belong together",
                       has_cert ? "certfile" : "keyfile", has_cert ? "keyfile" : "certfile");
    if (tls_is_set(conf->psk_hint) && !tls_is_set(conf->psk_file) && !conf->asks_for_keys)
        return tls_say(text, ERR_SYNTAX,
                       "psk_hint needs psk_file too, with the keys, or a plugin that knows them");
    if (!has_cert && !tls_is_set(conf->psk_hint))
        return tls_say(
            text, ERR_SYNTAX,
            "options of TLS are set, and it would not be used: set certfile and keyfile, or psk_hint");
    if (!has_cert && conf->require_certificate)
        return tls_say(text, ERR_SYNTAX, "require_certificate true needs certfile and keyfile");
    return ERR_OK;
}

/* What needs no file. */
static void set_up(SSL_CTX *ctx)
{
    static const unsigned char listener[] = "longlink";
    enum { SESSION_S = 24 * 60 * 60 };
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* Without AUTO_RETRY a read returns after what is no data, so that a flood of it cannot hold the shard.
     */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body with one call */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, listener, sizeof listener - 1);
    SSL_CTX_set_timeout(ctx, SESSION_S);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_dh_auto(ctx, 0);
}

/* cafile may have what lies between the certificate and its root: looked for once, not in each handshake. */
static void complete_chain(SSL_CTX *ctx, const struct tls_conf *conf)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(ctx, &chain);
    if (sk_X509_num(chain) <= 0 && (tls_is_set(conf->cafile) || tls_is_set(conf->capath)))
        SSL_CTX_build_cert_chain(ctx, SSL_BUILD_CHAIN_FLAG_NO_ROOT | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
                                          SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    ERR_clear_error();
}

static enum err use_pair(SSL_CTX *ctx, const struct tls_conf *conf, struct tls_text *text)
{
    struct tls_pair p;
    struct tls_pair_files files = { "certfile", conf->certfile, "keyfile", conf->keyfile };
    if (!tls_is_set(conf->certfile)) return ERR_OK;
    enum err rc = tls_pair_read(&p, &files, text);
    if (rc != ERR_OK) return rc;
    if (SSL_CTX_use_cert_and_key(ctx, p.own, p.key, p.chain, 1) != 1)
        rc = tls_say_file(text, "certfile", conf->certfile);
    tls_pair_fini(&p);
    return rc;
}

/* For the key exchange DHE of TLS 1.2; without it clients use the one on curves. */
static enum err use_dh(SSL_CTX *ctx, const struct tls_conf *conf, struct tls_text *text)
{
    BIO *from;
    if (!tls_is_set(conf->dhparamfile)) return ERR_OK;
    enum err rc = tls_load(&from, "dhparamfile", conf->dhparamfile, text);
    if (rc != ERR_OK) return rc;
    EVP_PKEY *dh = PEM_read_bio_Parameters(from, NULL);
    BIO_free(from);
    if (dh == NULL || SSL_CTX_set0_tmp_dh_pkey(ctx, dh) != 1) { /* which takes it */
        EVP_PKEY_free(dh);
        return tls_say_file(text, "dhparamfile", conf->dhparamfile);
    }
    return ERR_OK;
}

static enum err use_ciphers(SSL_CTX *ctx, const struct tls_conf *conf, struct tls_text *text)
{
    int version = conf->version_min == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(ctx, version) != 1)
        return tls_say(text, ERR_SYS, "tls_version: OpenSSL's own configuration does not allow it");
    if (tls_is_set(conf->ciphers) && SSL_CTX_set_cipher_list(ctx, conf->ciphers) != 1)
        return tls_say(text, ERR_SYNTAX,
                       "ciphers '%s': none of them is known; allowed: what 'openssl ciphers' says",
                       conf->ciphers);
    /* A pre-shared key goes with SHA-256: with SHA-384 before it OpenSSL would pass every key over. */
    if (tls_is_set(conf->psk_hint) &&
        SSL_CTX_set_ciphersuites(
            ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384") != 1)
        return tls_say(text, ERR_SYS, "psk_hint: OpenSSL does not have the ciphers of TLS 1.3");
    if (tls_is_set(conf->ciphers_tls1_3) && SSL_CTX_set_ciphersuites(ctx, conf->ciphers_tls1_3) != 1)
        return tls_say(text, ERR_SYNTAX,
                       "ciphers_tls1.3 '%s': is not known; allowed: what 'openssl ciphers -s -tls1_3' says",
                       conf->ciphers_tls1_3);
    return ERR_OK;
}

static enum err use_psk_file(struct tls *tls, const struct tls_conf *conf, struct tls_text *text)
{
    BIO *from;
    char *bytes;
    if (!tls_is_set(conf->psk_file)) return ERR_OK;
    enum err rc = tls_load(&from, "psk_file", conf->psk_file, text);
    if (rc != ERR_OK) return rc;
    long n = BIO_get_mem_data(from, &bytes);
    tls_trust_mix(tls->trust, bytes, (size_t)n);
    rc = tls_psk_new(&tls->psk, from, conf->psk_file, text);
    BIO_free(from);
    return rc;
}

static enum err use_psk(struct tls *tls, const struct tls_conf *conf, struct tls_text *text)
{
    if (!tls_is_set(conf->psk_hint)) return ERR_OK;
    tls_trust_mix(tls->trust, &conf->asks_for_keys, sizeof conf->asks_for_keys);
    if (SSL_CTX_use_psk_identity_hint(tls->ctx, conf->psk_hint) != 1)
        return tls_say(text, ERR_RANGE, "psk_hint: is too long; allowed: up to %d bytes",
                       PSK_MAX_IDENTITY_LEN);
    if (conf->asks_for_keys) tls->psk_hint = strdup(conf->psk_hint);
    if (conf->asks_for_keys && tls->psk_hint == NULL) return tls_say(text, ERR_NOMEM, "out of memory");
    return use_psk_file(tls, conf, text);
}

/* Tickets that were given before stay good, if who may come in is the same. */
static void inherit(struct tls *tls, const struct tls *before)
{
    unsigned char keys[TLS_TICKET_KEY_BYTES];
    if (before == NULL || memcmp(tls->trust, before->trust, sizeof tls->trust) != 0) return;
    if (SSL_CTX_get_tlsext_ticket_keys(before->ctx, keys, sizeof keys) == 1)
        SSL_CTX_set_tlsext_ticket_keys(tls->ctx, keys, sizeof keys);
    OPENSSL_cleanse(keys, sizeof keys);
}

/* OpenSSL takes a session up with the cipher that it has, whether it is allowed now or not. */
static void mix_ciphers(struct tls *tls, const struct tls_conf *conf)
{
    const char *const said[] = { conf->ciphers, conf->ciphers_tls1_3 };
    for (size_t i = 0; i < 2; i++)
        tls_trust_mix(tls->trust, said[i] == NULL ? "" : said[i], said[i] == NULL ? 0 : strlen(said[i]));
}

static enum err fill(struct tls *tls, const struct tls_conf *conf, struct tls_text *text)
{
    enum err rc = check(conf, text);
    if (rc != ERR_OK) return rc;
    tls->is_websocket = conf->is_websocket;
    tls->ctx = SSL_CTX_new(TLS_server_method());
    if (tls->ctx == NULL)
        return tls_say(text, ERR_NOMEM, "OpenSSL cannot be used: %s",
                       ERR_reason_error_string(ERR_peek_error()));
    set_up(tls->ctx);
    mix_ciphers(tls, conf);
    rc = use_ciphers(tls->ctx, conf, text);
    if (rc == ERR_OK) rc = use_pair(tls->ctx, conf, text);
    if (rc == ERR_OK) rc = tls_trust(tls, conf, text);
    if (rc == ERR_OK) rc = use_dh(tls->ctx, conf, text);
    if (rc == ERR_OK) rc = use_psk(tls, conf, text);
    if (rc == ERR_OK && tls_is_set(conf->sni_dir))
        rc = tls_names_new(&tls->names, tls->ctx, conf->sni_dir, text);
    return rc;
}

enum err tls_new(struct tls **out, const struct tls_conf *conf, const struct tls *before, char *text)
{
    struct tls_text say = { text };
    struct tls *tls = calloc(1, sizeof *tls);
    *out = NULL;
    text[0] = '\0';
    if (tls == NULL) return tls_say(&say, ERR_NOMEM, "out of memory");
    ref_init(&tls->ref, 1);
    enum err rc = fill(tls, conf, &say);
    if (rc == ERR_OK) rc = tls_socket_new(tls);
    if (rc == ERR_OK) {
        complete_chain(tls->ctx, conf);
        tls_shake_setup(tls);
        inherit(tls, before);
    }
    ERR_clear_error();
    if (rc != ERR_OK) tls_unref(&tls);
    *out = tls;
    return rc;
}

struct tls *tls_ref(struct tls *tls)
{
    ref_add(&tls->ref, 1);
    return tls;
}

void tls_unref(struct tls **owner)
{
    struct tls *tls = *owner;
    *owner = NULL;
    if (tls == NULL || !ref_drop(&tls->ref)) return;
    SSL_CTX_free(tls->ctx);
    BIO_meth_free(tls->socket);
    tls_names_free(&tls->names);
    tls_psk_free(&tls->psk);
    free(tls->psk_hint);
    free(tls);
}
