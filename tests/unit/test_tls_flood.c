/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "unit/tls_kit.h"
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Peers that have much to say below MQTT: one read of them must not take all of it, for others wait. */

struct flood {
    struct kit_dir dir;
    struct kit_ca ca;
    struct tls *tls;
    struct kit_client c;
};

static void begin(struct flood *f)
{
    char text[TLS_TEXT_BYTES];
    kit_dir_init(&f->dir);
    kit_ca_init(&f->ca, "root");
    kit_issue_cn(&f->ca, &f->dir, "server", "localhost");
    struct tls_conf conf = { .certfile = kit_file(&f->dir, "server.crt"),
                             .keyfile = kit_file(&f->dir, "server.key") };
    CHECK_INT(ERR_OK, tls_new(&f->tls, &conf, NULL, text));
    kit_client_init(&f->c, f->tls, NULL);
}

static void end(struct flood *f)
{
    kit_client_fini(&f->c);
    tls_unref(&f->tls);
    kit_ca_fini(&f->ca);
    kit_dir_fini(&f->dir);
}

static int unread(const struct flood *f)
{
    int n = 0;
    CHECK_INT(0, ioctl(f->c.here.fd, FIONREAD, &n));
    return n;
}

/* Key updates into the socket, in one block: it would not hold so many small ones. */
static void update_keys(struct flood *f, int kind)
{
    enum { UPDATES = 4000 };
    char *block;
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set0_wbio(f->c.ssl, out);
    for (int i = 0; i < UPDATES; i++) {
        CHECK_INT(1, SSL_key_update(f->c.ssl, kind));
        CHECK_INT(1, SSL_do_handshake(f->c.ssl));
    }
    long n = BIO_get_mem_data(out, &block);
    CHECK_INT(n, send(f->c.fd, block, (size_t)n, 0));
}

static void check_key_updates(int kind)
{
    enum { READ_MOST = 20000 };
    struct flood f;
    char byte;
    size_t got;
    begin(&f);
    CHECK_INT(ERR_AGAIN, kit_shake(&f.c));
    update_keys(&f, kind);
    int before = unread(&f);
    CHECK_TRUE(before > 4 * READ_MOST);
    for (int reads = 0; before > 0 && reads < 10000; reads++) {
        CHECK_INT(ERR_AGAIN, kit_read(&f.c, &byte, 1, &got));
        CHECK_TRUE(before - unread(&f) <= READ_MOST);
        before = unread(&f);
        while (recv(f.c.fd, &byte, 1, MSG_DONTWAIT) == 1) continue; /* its answers */
    }
    CHECK_INT(0, before);
    end(&f);
}

TEST(a_flood_of_key_updates_is_read_a_little_at_a_time)
{
    check_key_updates(SSL_KEY_UPDATE_NOT_REQUESTED);
}

TEST(a_flood_of_key_updates_that_want_answers_is_read_a_little_at_a_time)
{
    check_key_updates(SSL_KEY_UPDATE_REQUESTED);
}

TEST(who_wants_answers_and_takes_none_is_not_read_on)
{
    struct flood f;
    char byte;
    size_t got;
    int small = 1;
    begin(&f);
    CHECK_INT(0, setsockopt(f.c.here.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    CHECK_INT(ERR_AGAIN, kit_shake(&f.c));
    update_keys(&f, SSL_KEY_UPDATE_REQUESTED);
    for (int i = 0; i < 1000 && (f.c.here.needs & TRANSPORT_WANTS_WRITE) == 0; i++)
        CHECK_INT(ERR_AGAIN, kit_read(&f.c, &byte, 1, &got));
    CHECK_TRUE((f.c.here.needs & TRANSPORT_WANTS_WRITE) != 0);
    CHECK_TRUE(unread(&f) > 0);
    end(&f);
}

/* --- renegotiation, of which OpenSSL's client starts no second one: records of our own */

struct sealer {
    uint8_t key[16], salt[4];
    uint64_t count;
};

/* The client's key of TLS 1.2 with AES-128-GCM [RFC 5246 section 6.3]. */
static void sealer_init(struct sealer *s, const SSL *ssl)
{
    uint8_t seed[13 + 64] = "key expansion", secret[48], block[40];
    size_t n = sizeof block;
    SSL_get_server_random(ssl, seed + 13, 32);
    SSL_get_client_random(ssl, seed + 45, 32);
    CHECK_INT(48, SSL_SESSION_get_master_key(SSL_get_session(ssl), secret, sizeof secret));
    EVP_PKEY_CTX *prf = EVP_PKEY_CTX_new_id(EVP_PKEY_TLS1_PRF, NULL);
    CHECK_INT(1, EVP_PKEY_derive_init(prf));
    CHECK_INT(1, EVP_PKEY_CTX_set_tls1_prf_md(prf, EVP_sha256()));
    CHECK_INT(1, EVP_PKEY_CTX_set1_tls1_prf_secret(prf, secret, sizeof secret));
    CHECK_INT(1, EVP_PKEY_CTX_add1_tls1_prf_seed(prf, seed, sizeof seed));
    CHECK_INT(1, EVP_PKEY_derive(prf, block, &n));
    EVP_PKEY_CTX_free(prf);
    memcpy(s->key, block, sizeof s->key);
    memcpy(s->salt, block + 32, sizeof s->salt);
    s->count = 1; /* after Finished */
}

static void put64(uint8_t *at, uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8) at[i] = (uint8_t)n;
}

/* A record of a handshake message. Gives its size. */
static size_t seal(struct sealer *s, const uint8_t *message, uint8_t n, uint8_t *out)
{
    uint8_t iv[12], about[13] = { [8] = 22, 3, 3, 0, n };
    int got;
    memcpy(out, (uint8_t[]){ 22, 3, 3, 0, (uint8_t)(8 + n + 16) }, 5);
    put64(out + 5, s->count);
    put64(about, s->count++);
    memcpy(iv, s->salt, 4);
    memcpy(iv + 4, out + 5, 8);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    CHECK_INT(1, EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, s->key, iv));
    CHECK_INT(1, EVP_EncryptUpdate(c, NULL, &got, about, sizeof about));
    CHECK_INT(1, EVP_EncryptUpdate(c, out + 13, &got, message, n));
    CHECK_INT(1, EVP_EncryptFinal_ex(c, out + 13 + n, &got));
    CHECK_INT(1, EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, out + 13 + n));
    EVP_CIPHER_CTX_free(c);
    return 13u + n + 16u;
}

TEST(a_flood_of_renegotiations_is_read_a_little_at_a_time)
{
    enum { HELLOS = 2000, READ_MOST = 20000 };
    /* A ClientHello of TLS 1.2 with one cipher and no extensions. */
    static const uint8_t hello[4 + 2 + 32 + 1 + 4 + 2] = {
        1, 0, 0, 41, 3, 3, [38] = 0, 0, 2, 0xc0, 0x2b, 1, 0
    };
    static uint8_t block[HELLOS * (sizeof hello + 29)];
    struct flood f;
    struct sealer s;
    char byte;
    size_t got, n = 0;
    begin(&f);
    CHECK_INT(1, SSL_set_max_proto_version(f.c.ssl, TLS1_2_VERSION));
    CHECK_INT(1, SSL_set_cipher_list(f.c.ssl, "ECDHE-ECDSA-AES128-GCM-SHA256"));
    CHECK_INT(ERR_AGAIN, kit_shake(&f.c));
    sealer_init(&s, f.c.ssl);
    for (int i = 0; i < HELLOS; i++) n += seal(&s, hello, sizeof hello, block + n);
    CHECK_INT(n, send(f.c.fd, block, n, 0));
    int before = unread(&f);
    CHECK_TRUE(before > 4 * READ_MOST);
    for (int reads = 0; before > 0 && reads < 1000; reads++) {
        CHECK_INT(ERR_AGAIN, kit_read(&f.c, &byte, 1, &got)); /* each is refused by a warning */
        CHECK_TRUE(before - unread(&f) <= READ_MOST);
        before = unread(&f);
        while (recv(f.c.fd, &byte, 1, MSG_DONTWAIT) == 1) continue; /* its answers */
    }
    CHECK_INT(0, before);
    end(&f);
}
