/* SPDX-License-Identifier: Apache-2.0 */
/*
 * will - what is published when a client goes without saying so, as its session keeps it.
 *
 * Thread:  the session's shard.
 * Memory:  one block, the session's: topic, payload and properties are copied.
 * Limits:  those of a CONNECT packet.
 * Errors:  ERR_NOMEM from session_set_will: there is none then.
 * Tests:   tests/unit/test_session.c
 */
#ifndef SESSION_WILL_H
#define SESSION_WILL_H

#include "base/bytes.h"
#include "base/err.h"
#include <stdbool.h>

struct session;

struct session_will {
    struct bytes topic, payload, block; /* inside this struct's memory */
    struct bytes username; /* the same, whose right it needs when it is published; at NULL: none */
    uint64_t door_no;      /* the shard's: where that is asked; 0: it is not */
    void *asked;           /* the shard's: plugins have been, and have not answered; NULL: they have not */
    uint8_t qos;
    bool retain;
    uint32_t delay_s;
    bool has_expiry;
    uint32_t expiry_s;
    uint8_t data[];
};

struct session_will_parts {
    struct bytes topic, payload, block, username;
    uint64_t door_no;
    uint8_t qos;
    bool retain, has_expiry;
    uint32_t delay_s, expiry_s;
};
enum err session_set_will(struct session *s, const struct session_will_parts *parts);
void session_drop_will(struct session *s);

#endif
