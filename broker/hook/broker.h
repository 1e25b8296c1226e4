/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker - what a plugin may ask of the broker. The shards fill it in (shards_hook_broker), main hands it to
 * whoever loads plugins.
 *
 * Thread:  any; nothing here waits.
 * Memory:  copies what it is given.
 * Limits:  PLUGIN_PUBLISHES_MAX messages and PLUGIN_PUBLISH_BYTES_MAX bytes under way at once.
 * Errors:  ERR_FULL above them, ERR_NOMEM, ERR_CLOSED when the broker stops. ERR_SYNTAX: a topic or
 *          properties that no PUBLISH may have; ERR_RANGE: too large for one. ERR_NOTFOUND: no such shard.
 * Tests:   tests/unit/test_shard_plugin_publish.c
 */
#ifndef HOOK_BROKER_H
#define HOOK_BROKER_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/mailbox.h"
#include <stdbool.h>
#include <stdint.h>

/* A message of a plugin: like a PUBLISH of nobody; no plugin is asked about it. */
struct hook_message {
    struct bytes
        client_id; /* for this client alone, whatever it subscribes to; at NULL: whoever subscribes */
    struct bytes topic, payload, block;
    uint8_t qos;
    bool retain;
};

/* Who is to go. The first that is set counts; when none is: everybody. */
struct hook_kick {
    uint64_t conn_id; /* this very connection, of `shard`; 0: not by it */
    uint16_t shard;
    struct bytes client_id, username; /* at NULL: not by it. A username of length 0: who has none */
    bool with_will;
    uint8_t code; /* of DISCONNECT, to version 5; 0: 0x98 */
};

/* Who is there by this name, and what waits. */
enum { HOOK_QUEUED_MAX = 10000 };
struct hook_presence {
    struct bytes client_id;                /* lent until done */
    void (*done)(struct hook_presence *q); /* once, on a shard's thread; may not block */
    bool is_connected, has_session;
    uint64_t queued;               /* HOOK_QUEUED_MAX: so many or more */
    uint16_t keepalive_s, found_s; /* of its connection; what the learner has found; 0: none, nothing */
};

/* Those of a set of shards are shards_hook_broker's (shard/shard.h). */
struct hook_broker {
    void *ctx;
    enum err (*publish)(void *ctx, const struct hook_message *m);
    enum err (*kick)(void *ctx, const struct hook_kick *k);
    /* What plugins have said may hold no more (one has reloaded): verdicts that are remembered are not used
     * again. A kick says so, too. */
    void (*forget)(void *ctx);
    enum err (*presence)(void *ctx, struct hook_presence *q); /* takes it until done; not when it fails */
};

#endif
