/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls - TLS 1.2 and 1.3, by OpenSSL, on a socket.
 *
 * A struct tls is what a listener has: certificates, keys, who is trusted. It reads its files when it is
 * made, each by its path, so that the next one sees what has been put in their place, links followed.
 *
 * Sessions are resumed by tickets, sealed with keys of the struct tls. The next one inherits them only when
 * everything that says who may come in, and by which ciphers, is the same: who was let in by a certificate
 * that is revoked now, or by a key that is no longer there, has to show again what it has.
 *
 * Thread:  tls_new on one thread; tls_open and the transports on any, one transport on one at a time.
 * Memory:  counted: connections share it. A session's buffers exist only while there is something in them.
 * Limits:  TLS_*_MAX.
 * Errors:  tls_new says in text which option is wrong with which file, and what to do; a peer's fault is
 *          ERR_SYNTAX, and the transport's `why`.
 * Tests:   tests/unit/test_tls*.c, tests/contract/transport_contract.c, tests/e2e/test_tls*.py
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/err.h"
#include "net/transport.h"

enum {
    TLS_FILE_BYTES_MAX = 16 * 1024 * 1024, /* of one file; lists of revoked certificates grow */
    TLS_NAMES_MAX = 4096,                  /* certificates in sni_dir */
    TLS_PSK_KEY_BYTES_MAX = 256,
    TLS_PSK_IDENTITY_BYTES_MAX = 128,
};

enum tls_version { TLS_1_2, TLS_1_3 };

/* The options of a listener; NULL or empty: not set. Paths are used until tls_new returns. */
struct tls_conf {
    const char *cafile, *capath, *crlfile;
    const char *certfile, *keyfile, *dhparamfile, *sni_dir;
    const char *ciphers, *ciphers_tls1_3;
    const char *psk_file, *psk_hint;
    enum tls_version version_min;
    bool require_certificate;
    bool asks_for_keys; /* with psk_hint: psk_file, which there need not be, is not all */
    bool is_websocket;  /* HTTP comes above */
};

struct tls;

/* Does the listener speak TLS, or was it meant to? */
bool tls_is_wanted(const struct tls_conf *conf);

/* before: what the listener had until now, or NULL. text: TLS_TEXT_BYTES. */
enum { TLS_TEXT_BYTES = 1024 };
enum err tls_new(struct tls **out, const struct tls_conf *conf, const struct tls *before, char *text);
struct tls *tls_ref(struct tls *tls);
void tls_unref(struct tls **owner);

/* Puts TLS on a transport that is a bare socket. When it fails the transport is as it was. */
enum err tls_open(struct tls *tls, struct transport *t);

#endif
