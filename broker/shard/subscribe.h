/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscribe - the subscriptions of a session: in the index, in its own map, and their identifiers.
 *
 * Thread:  the session's shard.
 * Memory:  a subscription goes with its session. sub_ids_find fills sh->sub_ids until it is asked again.
 * Limits:  SUBSCRIPTIONS_MAX of one session.
 * Errors:  ERR_FULL, ERR_NOMEM, and nothing has changed.
 * Tests:   tests/conformance/3.8-subscribe, tests/unit/test_job.c, tests/e2e/test_subscription_ids.py
 */
#ifndef SHARD_SUBSCRIBE_H
#define SHARD_SUBSCRIBE_H

#include "shard/shard_int.h"

/* What a client wants of a subscription. */
struct subscribe_wish {
    struct sub_options options;
    uint32_t id; /* subscription identifier; 0: none */
};

/* The session must not hold that filter yet. */
enum err subscribe_add(struct shard *sh, struct session *s, struct bytes filter,
                       const struct subscribe_wish *wish);
/* NULL: it has not subscribed to that. */
struct sub *subscription_find(const struct shard *sh, const struct session *s, struct bytes filter);

/* The identifiers of the session's subscriptions that match, into sh->sub_ids. False: no memory. */
bool sub_ids_find(struct shard *sh, const struct session *s, const struct msg *m, uint32_t *count);

#endif
