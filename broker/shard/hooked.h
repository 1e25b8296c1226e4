/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooked - a connection whose listener has plugins: the client that they know, from CONNECT to its end.
 *
 *   CONNECT -> hooked_begin   the client is made; nobody has been asked yet
 *   end     -> hooked_gone    plugins hear of it, behind all that was asked about it
 *   freed   -> hooked_free
 *
 * Thread:  the shard's.
 * Memory:  the connection's, as long as it lives; the client lives on until every plugin knows that it is
 *          gone.
 * Limits:  base/limits.h.
 * Errors:  ERR_NOMEM.
 * Tests:   tests/unit/test_hook.c
 */
#ifndef SHARD_HOOKED_H
#define SHARD_HOOKED_H

#include "codec/codec.h"
#include "hook/hook.h"
#include "shard/conn.h"
#include "shard/shard_int.h"

struct hooked {
    struct hook_client *client;
    struct hook_gone *gone; /* NULL: it has been said */
    bool was_in;            /* CONNACK has said so */
    struct conn_reads reads;
};

/* Its door's plugins now; NULL: none, or nobody has asked them about this connection. */
static inline struct hooks *conn_hooks(const struct shard *sh, const struct conn *c)
{
    return c->hooked == NULL ? NULL : sh->view->doors[c->listener->door].hooks;
}

/* Makes c->hooked for a CONNECT that is right, if the listener has plugins. False: no memory. */
bool hooked_begin(const struct shard *sh, struct conn *c, const struct connect *p);

/* Why it is about to end; the first one counts. Without any, the network has gone. */
void hooked_reason(struct conn *c, uint8_t reason);

/* It has ended. */
void hooked_gone(struct conn *c);
void hooked_free(struct conn *c);

/* Shows plugins how many subscriptions its session has now. */
void hooked_count_subs(const struct conn *c);

/* What is in its output, and what will be if plugins allow it. */
static inline size_t conn_output_bytes(const struct conn *c)
{
    return c->out.bytes + (c->hooked == NULL ? 0 : c->hooked->reads.bytes);
}

#endif
