/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire - the client's end of what lies below MQTT: nothing, TLS, WebSocket, or both. No I/O: bytes of the
 * network in and out on one side, MQTT's on the other. On purpose it shares nothing with the broker's
 * WebSocket.
 *
 * Thread:  one owner; no locks.
 * Memory:  owns its buffers, until wire_fini.
 * Limits:  none: a test gives it what it likes.
 * Errors:  `trouble` says what the other side did wrong; then nothing more is read. No memory aborts.
 * Tests:   tests/contract/transport_contract.c, tests/conformance/selftest
 */
#ifndef KIT_WIRE_H
#define KIT_WIRE_H

#include "kit/mtc_fields.h"
#include <openssl/types.h>

struct wire_conf {
    bool is_tls, is_websocket;
    const char *ca_file; /* of TLS; NULL: whoever answers is believed */
    unsigned fragments;  /* not 0: a seed by which messages are cut into fragments, with PINGs between them */
    struct out preface;  /* goes before everything; borrowed */
    const char *protocol;  /* of WebSocket; NULL: mqtt */
    const char *more_head; /* lines of the handshake, each with its CR LF */
};

enum wire_ws_state { WIRE_WS_NONE, WIRE_WS_SHAKING, WIRE_WS_OPEN, WIRE_WS_CLOSED };

struct wire {
    struct out to_net; /* to be sent; the owner takes it from the front */
    struct out plain;  /* what has come */
    const char *trouble;
    bool has_end; /* the other side has ended in good order */
    /* WebSocket */
    enum wire_ws_state ws;
    struct out ws_in, ws_waiting;
    unsigned ws_status; /* of HTTP, or of the Close that came; 0: none */
    unsigned pongs, frames;
    size_t frame_bytes_max; /* the largest that came */
    char ws_key[25];
    unsigned random;
    bool has_fragments;
    const char *protocol;
    /* TLS */
    SSL_CTX *tls_context;
    SSL *tls;
    struct out tls_waiting;
};

/* False: the files of the configuration cannot be used. */
bool wire_init(struct wire *w, const struct wire_conf *conf);
void wire_fini(struct wire *w);

/* The handshakes are done. What is given to wire_send before waits for them. */
bool wire_is_open(const struct wire *w);
void wire_send(struct wire *w, const void *at, size_t len);
/* Bytes that came from the network. */
void wire_take(struct wire *w, const void *at, size_t len);
/* Says that no more comes. */
void wire_finish(struct wire *w);

/* Forgets the first n bytes. */
void wire_drop(struct out *b, size_t n);

/* A frame as it is, right or wrong, masked by a key of four bytes or, when NULL, not. */
void wire_frame(struct out *to, unsigned first_byte, const void *at, size_t len, const uint8_t *key);
/* Below WebSocket. */
void wire_send_below(struct wire *w, const void *at, size_t len);

/* Of the two layers: wire_ws.c, wire_tls.c. */
void wire_ws_start(struct wire *w, const struct wire_conf *conf);
void wire_ws_send(struct wire *w, const void *at, size_t len);
void wire_ws_take(struct wire *w, const void *at, size_t len);
void wire_ws_finish(struct wire *w);
bool wire_tls_start(struct wire *w, const struct wire_conf *conf);
void wire_tls_send(struct wire *w, const void *at, size_t len);
void wire_tls_take(struct wire *w, const void *at, size_t len);
void wire_tls_finish(struct wire *w);
void wire_tls_fini(struct wire *w);
/* What TLS has read, for the one above it. */
void wire_take_above_tls(struct wire *w, const void *at, size_t len);

#endif
