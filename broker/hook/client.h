/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - one connected client as plugins see it: the same object from its CONNECT to its end.
 *
 * Made before anybody is asked whether it may come in, and kept until the last plugin has heard that it is
 * gone.
 *
 * Thread:  any. Only the user name changes; every name it ever had stays until the object goes, so that a
 *          pointer that a plugin was given stays good.
 * Memory:  counted. Copies its texts.
 * Limits:  HOOK_USERNAMES_MAX different names: then ERR_FULL.
 * Errors:  ERR_NOMEM, ERR_FULL.
 * Tests:   tests/unit/test_hook.c
 */
#ifndef HOOK_CLIENT_H
#define HOOK_CLIENT_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/gauge.h"
#include <stdbool.h>
#include <stdint.h>

struct hook_client;

enum { HOOK_USERNAMES_MAX = 8 };

struct hook_client_conf {
    struct bytes id, username; /* username.at NULL: none */
    const char *address;       /* without port, as mosquitto prints it; "" of a Unix socket */
    uint64_t conn_id;          /* the shard's */
    uint16_t shard, port;      /* the latter: of the listener */
    uint16_t keepalive_s;
    uint8_t version; /* 3, 4, 5 */
    bool clean_start, is_websocket;
    void *certificate; /* a reference, taken also on failure; NULL: none. X509 of OpenSSL */
    void (*certificate_free)(void *certificate);
};

enum err hook_client_new(struct hook_client **out, const struct hook_client_conf *conf);
struct hook_client *hook_client_ref(struct hook_client *c);
void hook_client_unref(struct hook_client **owner);

const char *hook_client_id(const struct hook_client *c);
const char *hook_client_address(const struct hook_client *c);
/* NULL: none. */
const char *hook_client_username(struct hook_client *c);
enum err hook_client_set_username(struct hook_client *c, const char *username);
const struct hook_client_conf *hook_client_facts(const struct hook_client *c);

/* Its connection has ended: told by its shard, asked by anybody. */
void hook_client_end(struct hook_client *c);
bool hook_client_is_here(const struct hook_client *c);

/* This plugin, of the first 32, has heard of its end. By whoever has its HOOK_GONE; asked by anybody. */
void hook_client_gone_for(struct hook_client *c, unsigned plugin);
bool hook_client_is_gone_for(const struct hook_client *c, unsigned plugin);

/* Its subscriptions: counted by its shard, read by anybody. */
struct gauge *hook_client_subs(struct hook_client *c);

#endif
