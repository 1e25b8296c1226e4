/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooked - a connection whose listener has plugins: the client that they know, and its packets that wait for
 * what they say.
 *
 * Thread:  the shard's.
 * Memory:  the connection's, as long as it lives; the client lives on until every plugin knows that it is
 * gone. Limits:  base/limits.h. Errors:  ERR_NOMEM. Tests:   tests/e2e/test_plugin.py
 */
#ifndef SHARD_HOOKED_H
#define SHARD_HOOKED_H

#include "codec/codec.h"
#include "hook/hook.h"
#include "shard/conn.h"
#include "shard/shard_int.h"

struct hooked {
    struct hook_client *client;
};

/* Its door's plugins now; NULL: none, or nobody has asked them about this connection. */
static inline struct hooks *conn_hooks(const struct shard *sh, const struct conn *c)
{
    return c->hooked == NULL ? NULL : sh->view->doors[c->listener->door].hooks;
}

#endif
