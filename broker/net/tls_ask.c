/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_int.h"
#include <openssl/crypto.h>

/*
 * Pre-shared keys that somebody else knows: a plugin, on another thread, which takes its time. OpenSSL asks
 * for a key in a callback and wants it at once, so who it will ask for is found out before:
 *
 *   TLS 1.3  the ClientHello names it: tls_ask_hello makes the handshake wait, as OpenSSL lets it there
 *   TLS 1.2  the ClientKeyExchange names it, in the clear [RFC 4279]: OpenSSL reads its records by
 *            tls_ask_read, which keeps that one back
 *
 * Then the transport says TRANSPORT_ASKS. With the answer the next read goes on, and the callback finds it.
 * One identity is asked for in a handshake: another one has no key.
 */

enum {
    HEAD_BYTES = 5, /* of a record */
    BODY_BYTES =
        2048, /* of one that is kept whole: a ClientKeyExchange with RSA, key and identity has less */
    RECORD_ALERT = 21,
    RECORD_HANDSHAKE = 22,
    CLIENT_KEY_EXCHANGE = 16,
};

struct tls_ask {
    struct transport_ask said;
    bool is_asked;       /* said.identity is whose key it is */
    bool is_passing;     /* what comes is none of ours: it is sealed */
    size_t left;         /* of a record too large to be kept */
    size_t bytes, given; /* of `record` */
    uint8_t record[HEAD_BYTES + BODY_BYTES];
};

bool tls_ask_new(struct tls *tls, struct tls_conn *c)
{
    if (tls->psk_hint == NULL) return true;
    c->ask = calloc(1, sizeof *c->ask);
    if (c->ask == NULL) return false;
    c->ask->said.hint = tls->psk_hint;
    return true;
}

void tls_ask_free(struct tls_conn *c)
{
    if (c->ask == NULL) return;
    tls_ask_forget(c);
    free(c->ask);
    c->ask = NULL;
}

void tls_ask_forget(struct tls_conn *c)
{
    if (c->ask != NULL) OPENSSL_cleanse(c->ask->said.key, sizeof c->ask->said.key);
}

bool tls_ask_waits(const struct tls_conn *c)
{
    return c->ask != NULL && c->ask->is_asked && c->ask->said.answer == TRANSPORT_ASK_OPEN;
}

struct transport_ask *tls_ask(const struct transport *t)
{
    const struct tls_conn *c = t->state;
    return tls_ask_waits(c) ? &c->ask->said : NULL;
}

/* False: it is no text that a key may be known by. */
static bool take_identity(struct tls_ask *a, struct bytes name)
{
    if (name.len == 0 || name.len >= sizeof a->said.identity || memchr(name.at, '\0', name.len) != NULL)
        return false;
    memcpy(a->said.identity, name.at, name.len);
    a->said.identity[name.len] = '\0';
    a->is_asked = true;
    return true;
}

unsigned tls_ask_find(struct tls_conn *c, const char **identity, unsigned char *key, unsigned size)
{
    const struct tls_ask *a = c->ask;
    if (a == NULL) return tls_psk_find(c->tls->psk, identity, key, size);
    if (!a->is_asked || strcmp(a->said.identity, *identity) != 0) return 0;
    if (a->said.answer == TRANSPORT_ASK_OWN && c->tls->psk != NULL)
        return tls_psk_find(c->tls->psk, identity, key, size);
    if (a->said.answer != TRANSPORT_ASK_KEY || a->said.key_bytes > size) return 0;
    memcpy(key, a->said.key, a->said.key_bytes);
    *identity = a->said.identity;
    return a->said.key_bytes;
}

/* --- TLS 1.3: the extension pre_shared_key [RFC 8446, section 4.2.11] */

static size_t number(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* The first that is a name; a ticket is longer. */
static bool find_identity(struct tls_ask *a, const uint8_t *at, size_t n)
{
    if (n < 2 || number(at) > n - 2) return false;
    n = number(at);
    at += 2;
    while (n >= 2 && number(at) <= n - 2) {
        size_t bytes = number(at);
        if (take_identity(a, bytes_of(at + 2, bytes))) return true;
        if (n - 2 - bytes < 4) return false; /* the age of a ticket */
        at += 2 + bytes + 4;
        n -= 2 + bytes + 4;
    }
    return false;
}

int tls_ask_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_conn *c = SSL_get_app_data(ssl);
    const unsigned char *at;
    size_t n;
    (void)alert, (void)arg;
    if (!c->ask->is_asked && SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &at, &n) == 1)
        (void)find_identity(c->ask, at, n);
    return tls_ask_waits(c) ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

/* --- TLS 1.2: a ClientKeyExchange begins with the identity when the cipher has a pre-shared key */

static bool goes_by_key(const SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(ssl);
    int kx = cipher == NULL ? NID_undef : SSL_CIPHER_get_kx_nid(cipher);
    return kx == NID_kx_psk || kx == NID_kx_ecdhe_psk || kx == NID_kx_dhe_psk || kx == NID_kx_rsa_psk;
}

/* One that comes in pieces, or is too large, names nobody: no client sends such. */
static void look_into(struct tls_conn *c)
{
    enum { TYPE_AND_LENGTH = 4 };
    struct tls_ask *a = c->ask;
    const uint8_t *body = a->record + HEAD_BYTES;
    size_t n = a->bytes - HEAD_BYTES;
    if (a->is_asked || n < TYPE_AND_LENGTH + 2 || body[0] != CLIENT_KEY_EXCHANGE || !goes_by_key(c->ssl))
        return;
    size_t bytes = number(body + TYPE_AND_LENGTH);
    if (bytes <= n - TYPE_AND_LENGTH - 2) take_identity(a, bytes_of(body + TYPE_AND_LENGTH + 2, bytes));
}

/* Until so many bytes of the record are there. */
static enum err fill(struct tls_conn *c, size_t bytes)
{
    struct tls_ask *a = c->ask;
    while (a->bytes < bytes) {
        size_t got;
        enum err rc = c->below.ops->read(&c->below, a->record + a->bytes, bytes - a->bytes, &got);
        if (rc != ERR_OK) return rc;
        a->bytes += got;
    }
    return ERR_OK;
}

/* The next record that is to be looked into whole; of another one its head. */
static enum err next_record(struct tls_conn *c)
{
    struct tls_ask *a = c->ask;
    enum err rc = fill(c, HEAD_BYTES);
    if (rc != ERR_OK) return rc;
    size_t body = number(a->record + 3);
    uint8_t type = a->record[0];
    if (type == RECORD_HANDSHAKE && body <= BODY_BYTES) {
        rc = fill(c, HEAD_BYTES + body);
        if (rc == ERR_OK) look_into(c);
        return rc;
    }
    a->is_passing = type != RECORD_HANDSHAKE && type != RECORD_ALERT;
    a->left = body;
    return ERR_OK;
}

/* What is kept. */
static enum err give(struct tls_ask *a, uint8_t *at, size_t size, size_t *got)
{
    size_t n = a->bytes - a->given < size ? a->bytes - a->given : size;
    memcpy(at, a->record + a->given, n);
    a->given += n;
    if (a->given == a->bytes) a->given = a->bytes = 0;
    *got = n;
    return ERR_OK;
}

enum err tls_ask_read(struct tls_conn *c, uint8_t *at, size_t size, size_t *got)
{
    struct tls_ask *a = c->ask;
    *got = 0;
    if (tls_ask_waits(c)) return ERR_AGAIN;
    if (a->given > 0) return give(a, at, size, got);
    if (a->bytes == 0 && a->is_passing) return c->below.ops->read(&c->below, at, size, got);
    if (a->bytes == 0 && a->left > 0) {
        enum err rc = c->below.ops->read(&c->below, at, size < a->left ? size : a->left, got);
        if (rc == ERR_OK) a->left -= *got;
        return rc;
    }
    enum err rc = next_record(c);
    if (rc == ERR_OK && tls_ask_waits(c)) rc = ERR_AGAIN;
    return rc == ERR_OK ? give(a, at, size, got) : rc;
}
