/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_int - the inside of tls: files, names, pre-shared keys, and what a listener keeps.
 *
 * Thread:  while a struct tls is made, one; then read only.
 * Memory:  struct tls has it all.
 * Limits:  tls.h.
 * Errors:  tls_say writes text once: the first problem is the one that is told.
 * Tests:   tests/unit/test_tls*.c
 */
#ifndef NET_TLS_INT_H
#define NET_TLS_INT_H

#include "base/ref.h"
#include "net/tls.h"
#include <openssl/ssl.h>

enum { TLS_DIGEST_BYTES = 32, TLS_TICKET_KEY_BYTES = 80 /* OpenSSL's */ };

struct tls_ask;
struct tls_psk;
struct tls_names;

struct tls {
    struct ref ref;
    SSL_CTX *ctx;
    BIO_METHOD *socket;
    struct tls_names *names; /* of sni_dir; NULL: none */
    struct tls_psk *psk;     /* NULL: none */
    char *psk_hint;          /* NULL: no keys but those of psk_file */
    bool is_websocket;
    uint8_t trust[TLS_DIGEST_BYTES]; /* of all that says who may come in, and by which ciphers */
};

/* What hangs on a transport. */
struct tls_conn {
    SSL *ssl;
    struct tls *tls;
    struct transport below; /* the socket */
    struct tls_ask *ask;    /* NULL: its keys are all in psk_file, or there are none */
    enum err broke;         /* what the socket said last */
    enum err later;         /* what the next read says: bytes came before it */
    uint32_t owed;       /* bytes of a record that did not go whole: the next write begins with just them */
    bool is_shaken;      /* the handshake is done */
    bool is_heard;       /* a byte has come */
    bool has_failed;     /* what comes is thrown away */
    bool has_ended;      /* nothing more is written */
    bool owes_end;       /* but that, which found no room */
    bool psk_is_strange; /* no key has the identity that it named */
};

/* What goes wrong while a struct tls is made. */
struct tls_text {
    char *at; /* TLS_TEXT_BYTES */
};

/* Writes what is wrong, if nothing is written yet. Gives rc. */
__attribute__((format(printf, 3, 4))) enum err tls_say(struct tls_text *text, enum err rc, const char *format,
                                                       ...);
/* The same for a file: "OPTION PATH: what OpenSSL says". Empties OpenSSL's queue of errors. */
enum err tls_say_file(struct tls_text *text, const char *option, const char *path);

/* tls_file.c: a whole file, as a BIO that the caller frees. option names it in text. */
enum err tls_load(BIO **out, const char *option, const char *path, struct tls_text *text);

/* A certificate, what is between it and its root, and its key. */
struct tls_pair {
    X509 *own;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
};

struct tls_pair_files {
    const char *cert_option, *cert_path, *key_option, *key_path;
};

enum err tls_pair_read(struct tls_pair *out, const struct tls_pair_files *files, struct tls_text *text);
void tls_pair_fini(struct tls_pair *p);

/* tls_trust.c: who is trusted; `trust` becomes the digest of it. */
enum err tls_trust(struct tls *tls, const struct tls_conf *conf, struct tls_text *text);
/* Mixes bytes into a digest: the same ones in the same order give the same. */
void tls_trust_mix(uint8_t digest[TLS_DIGEST_BYTES], const void *at, size_t n);

/* tls_names.c: certificates by the name that a client asks for. */
enum err tls_names_new(struct tls_names **out, SSL_CTX *ctx, const char *dir, struct tls_text *text);
void tls_names_free(struct tls_names **owner);
/* The name's own, or one for all names of its domain; NULL: none. */
const struct tls_pair *tls_names_find(const struct tls_names *n, const char *name);

/* tls_psk.c: keys by identity. */
enum err tls_psk_new(struct tls_psk **out, BIO *from, const char *path, struct tls_text *text);
void tls_psk_free(struct tls_psk **owner);
/* Copies the key and gives its length; 0: there is none of so many bytes. *identity becomes p's own text. */
unsigned tls_psk_find(const struct tls_psk *p, const char **identity, unsigned char *key, unsigned size);

/* tls_ask.c: keys that somebody else knows, and tells later. */
bool tls_ask_new(struct tls *tls, struct tls_conn *c); /* false: no memory */
void tls_ask_free(struct tls_conn *c);
/* From the socket, record by record, as long as they are in the clear: one that names a key is held back
 * until the key is known. */
enum err tls_ask_read(struct tls_conn *c, uint8_t *at, size_t size, size_t *got);
bool tls_ask_waits(const struct tls_conn *c);
/* The handshake is done: the key is needed no more. */
void tls_ask_forget(struct tls_conn *c);
/* As tls_psk_find, but what was answered first. */
unsigned tls_ask_find(struct tls_conn *c, const char **identity, unsigned char *key, unsigned size);
/* A callback of OpenSSL, when a ClientHello has come. */
int tls_ask_hello(SSL *ssl, int *alert, void *arg);
struct transport_ask *tls_ask(const struct transport *t);

/* tls_shake.c: what is decided while hands are shaken: the protocol above, the certificate by the name that
 * is asked for, the pre-shared key, whether a ticket is good. */
void tls_shake_setup(struct tls *tls);
/* The identity of the key without which this handshake could not have ended; NULL: there is none, or a
 * session was resumed that says itself whose it is. */
const char *tls_shake_identity(const SSL *ssl);

/* tls.c: what lies below OpenSSL. */
enum err tls_socket_new(struct tls *tls);

/* tls_who.c: the transport's `identity` and `certificate`. */
void *tls_certificate(const struct transport *t);
enum err tls_identity(const struct transport *t, enum transport_identity which, char *out, size_t size);

static inline bool tls_is_set(const char *s)
{
    return s != NULL && s[0] != '\0';
}

#endif
