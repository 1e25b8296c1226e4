/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ws_http - the opening handshake of WebSocket (RFC 6455 section 4.2), as the server of it.
 *
 * Thread:  any; no state. ws_rules are counted and never change.
 * Memory:  borrows the request.
 * Limits:  rules->bytes_max of request line and headers, WS_HEADERS_MAX headers, WS_REQUEST_LINE_BYTES_MAX.
 * Errors:  what is wrong with a request is answered, with a status and a text.
 * Tests:   tests/unit/test_ws_http.c, tests/fuzz/fuzz_ws_http.c
 */
#ifndef NET_WS_HTTP_H
#define NET_WS_HTTP_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    WS_HEADERS_MAX = 100,
    WS_REQUEST_LINE_BYTES_MAX = 4096,
    WS_ANSWER_BYTES_MAX = 512,
    WS_BYTES_MAX_DEFAULT = 8192
};

struct ws_rules;

struct ws_rules_conf {
    uint32_t bytes_max;  /* 0: WS_BYTES_MAX_DEFAULT */
    const char *origins; /* of pages that may connect, each on a line; NULL or empty: all may */
};

/* Copies the configuration. ERR_SYNTAX: *wrong is no origin. */
enum err ws_rules_new(struct ws_rules **out, const struct ws_rules_conf *conf, struct bytes *wrong);
struct ws_rules *ws_rules_ref(struct ws_rules *r);
void ws_rules_unref(struct ws_rules **owner);
uint32_t ws_rules_bytes_max(const struct ws_rules *r);

struct ws_answer {
    const char *why; /* it is refused; NULL: it is accepted */
    size_t bytes;    /* of text */
    char text[WS_ANSWER_BYTES_MAX];
};

/* Looks at the bytes that have come, of which `seen` were there the last time. Gives how many of them are the
 * request, 0 when more must come; then the answer is whole. */
size_t ws_http_answer(const struct ws_rules *rules, struct bytes in, size_t seen, struct ws_answer *out);

#endif
