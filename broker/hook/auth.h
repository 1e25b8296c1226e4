/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth - how an authentication method is offered to the broker (MQTT 5.0 section 4.12).
 *
 * A CONNECT names a method, and an AUTH of a connected client may begin once more. Each time is an exchange:
 * the broker asks in steps, and the method answers each step once, within ask() or later from any thread.
 *
 *   ask(AUTH_CONNECT or AUTH_AGAIN) -> auth_answer -> AUTH_CONTINUE: AUTH, its answer -> ask(AUTH_MORE)
 *                                                  -> AUTH_SUCCESS:  CONNACK, or AUTH       -> end()
 *                                                  -> AUTH_FAILURE:  CONNACK, or DISCONNECT -> end()
 *   connection gone -> end(), when the last step has been answered
 *
 * The broker has none of its own. Who the client is, is the method's to find out: with one, allow_anonymous
 * and the password file do not matter. An ACL file knows the client by the user name in its CONNECT, so a
 * method that lets it in says that this name is its own.
 *
 * Thread:  ask and end on the loop of the connection; they may not block. auth_answer on any.
 * Memory:  a step is the broker's, and the method may read it until it answers. auth_answer copies.
 * Limits:  one step of a connection at a time. Every step is answered before the loops end.
 * Errors:  a step that cannot be answered for want of memory is a failure with 0x97.
 * Tests:   tests/unit/test_auth.c
 */
#ifndef HOOK_AUTH_H
#define HOOK_AUTH_H

#include "base/bytes.h"
#include "base/mailbox.h"

enum auth_stage { AUTH_CONNECT, AUTH_AGAIN, AUTH_MORE };
enum auth_verdict { AUTH_CONTINUE, AUTH_SUCCESS, AUTH_FAILURE };

struct auth_reply {
    enum auth_verdict verdict;
    uint8_t code;      /* of a failure: an MQTT reason code; one that does not fit is sent as 0x87 */
    struct bytes data; /* Authentication Data for the client; not of a failure */
};

struct auth_step {
    enum auth_stage stage;
    struct bytes client_id;
    struct bytes username; /* of the CONNECT; its at is NULL when there was none */
    struct bytes data;     /* the client's Authentication Data */
    void *exchange;        /* the method's own, from the first step to end(); NULL at first */

    /* The broker's. */
    struct mail mail;
    struct mailbox *to;
    struct auth_reply reply;
};

struct auth_method {
    const char *name; /* in UTF-8, as clients say it */
    void (*ask)(void *ctx, struct auth_step *step);
    void (*end)(void *ctx, void *exchange);
    void *ctx;
};

struct auth_methods {
    const struct auth_method *at;
    size_t count;
};

/* NULL: nobody offers it. */
const struct auth_method *auth_find(const struct auth_methods *methods, struct bytes name);

/* For a method. The step is not its own any more. */
void auth_answer(struct auth_step *step, const struct auth_reply *reply);

/* For the broker: frees what auth_answer has copied. */
void auth_reply_clear(struct auth_reply *reply);

#endif
