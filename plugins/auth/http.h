/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - asks a service by HTTP who a client is: a POST of JSON with username, password, client_id, address.
 * 200 or 204 lets it in; the body may be an object with username, device, acl and expires_in. Another 4xx
 * than 408 and 429 refuses it. Everything else, and no answer in time, is a failure.
 *
 * Thread:  http_put from any; `done` on the thread of this, once for each question that was taken.
 * Memory:  a question is the caller's until it is put, and again from `done` on. Bodies with passwords are
 *          wiped.
 * Limits:  conf->connections questions at a time and conf->waiting more; HTTP_BODY_BYTES_MAX of an answer.
 * Errors:  ERR_FULL from http_put: nothing was taken. ERR_SYS, ERR_NOMEM from http_start.
 * Tests:   tests/unit/test_auth_plugin_http.c, tests/e2e/test_auth_http.py
 */
#ifndef AUTH_HTTP_H
#define AUTH_HTTP_H

#include "accounts/grants.h"
#include "base/err.h"

enum { HTTP_BODY_BYTES_MAX = 64 * 1024, HTTP_CACHED_MAX = 100 * 1000 };

struct http;

/* Texts are empty where there are none. */
struct http_conf {
    const char *url, *ca_file, *cert_file, *key_file;
    const char *header; /* one more line of the request; a secret */
    uint32_t timeout_ms, connections, waiting;
    uint32_t cache_s, cache_denied_s, cache_entries;
    uint32_t failures, open_s;
};

enum http_is { HTTP_ALLOWS, HTTP_DENIES, HTTP_FAILED };

struct http_answer {
    enum http_is is;
    const char *why;
    char *username, *device; /* NULL: not said */
    struct grants *grants;
    uint64_t expires_in_s; /* 0: never */
};
void http_answer_fini(struct http_answer *a);

struct http_ask {
    struct http_ask *next;
    const char *username, *password, *client_id, *address;   /* NULL: none */
    void (*done)(struct http_ask *q, struct http_answer *a); /* may take parts of the answer */
};

enum err http_start(struct http **out, const struct http_conf *conf);
enum err http_put(struct http *h, struct http_ask *q);

/* From the next question on; what is remembered is forgotten. */
enum err http_change(struct http *h, const struct http_conf *conf);

/* What is under way and what waits fails, and from now on all that is put is refused. */
void http_stop(struct http *h);

/* After http_stop, when nobody puts any more. NULL is fine. */
void http_free(struct http **owner);

/* The body of an answer that allows. False: it is not what it may be. */
bool http_read_body(const char *body, struct http_answer *a);

#endif
