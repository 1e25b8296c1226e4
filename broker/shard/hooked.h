/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooked - a connection whose listener has plugins: the client that they know, from CONNECT to its end.
 *
 *   CONNECT -> hooked_begin   the client is made; nobody has been asked yet
 *   CONNACK -> hooked_in      it has come in
 *   end     -> hooked_gone    plugins hear of it, behind all that was asked about it
 *   freed   -> hooked_free
 *
 * Thread:  the shard's.
 * Memory:  the connection's, as long as it lives; the client lives on until every plugin knows that it is
 *          gone.
 * Limits:  base/limits.h.
 * Errors:  ERR_NOMEM.
 * Tests:   tests/unit/test_shard_login.c, tests/unit/test_shard_parked.c, tests/e2e/test_plugin.py
 */
#ifndef SHARD_HOOKED_H
#define SHARD_HOOKED_H

#include "codec/codec.h"
#include "hook/hook.h"
#include "shard/conn.h"
#include "shard/shard_int.h"

struct parked;
struct hooked_login;

struct hooked {
    struct hook_client *client;
    struct hook_connected *connected; /* NULL: it has been said */
    struct hook_gone *gone;           /* the same */
    struct hooked_login *login;       /* while plugins are asked */
    char *name_before;                /* its user name, until a plugin has given it another one */
    const char *why;                  /* hooked_say; NULL: nothing */
    bool was_in;                      /* CONNACK has said so */
    bool is_allowed;                  /* by a plugin: no password file is asked */
    struct {                          /* shard/parked.h */
        struct parked *first, *last;
        const struct hook_filters *said; /* of the packet that goes on at this moment */
        size_t bytes;
        uint32_t count, publishes; /* the latter: with QoS 1 or 2 */
        bool is_last;              /* behind what is parked nothing more comes */
    } parked;
    struct conn_reads reads;
    struct list heirs; /* who waits for its session */
};

/* Its door's plugins now; NULL: none, or nobody has asked them about this connection. */
static inline struct hooks *conn_hooks(const struct shard *sh, const struct conn *c)
{
    return c->hooked == NULL ? NULL : sh->view->doors[c->listener->door].hooks;
}

/* Makes c->hooked for a CONNECT that is right, if the listener has plugins. False: no memory. */
bool hooked_begin(const struct shard *sh, struct conn *c, const struct connect *p);

/* A CONNECT that may come in as far as client id and transport go: plugins are asked for its user name and
 * password. p is what body says. They want to be asked: hooks_want. */
enum mqtt_rc hooked_login(struct shard *sh, struct conn *c, const struct connect *p, struct bytes body);

/* Plugins may have given it another user name: it is what the connection has. False: no memory. */
bool hooked_take_name(struct conn *c);

/* CONNACK says success. */
void hooked_in(struct conn *c);

/* What plugins are to hear when they hear no more of a client: to be asked (hooks_ask) then. NULL: no memory.
 */
struct hook_gone *hooked_gone_new(struct hooks *hooks, struct hook_client *client);

/* Why it is about to end; the first one counts. Without any, the network has gone. */
void hooked_reason(struct conn *c, uint8_t reason);

/* Until the next call: what a plugin has to say to a refusal, in place of our own text. A text that no client
 * may be sent, and one of more than HOOKED_WHY_BYTES_MAX, count as NULL, which is ours. */
enum { HOOKED_WHY_BYTES_MAX = 1024 };
void hooked_say(struct conn *c, const char *why);

/* Its session stays when it has gone. */
void hooked_session_stays(struct conn *c);

/* It has ended. */
void hooked_gone(struct shard *sh, struct conn *c);
void hooked_free(struct conn *c);

/* Shows plugins how many subscriptions its session has now. */
void hooked_count_subs(const struct conn *c);

/* What is in its output, and what will be if plugins allow it. */
static inline size_t conn_output_bytes(const struct conn *c)
{
    return c->out.bytes + (c->hooked == NULL ? 0 : c->hooked->reads.bytes);
}

#endif
