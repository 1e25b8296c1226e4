/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alias - topic aliases of one connection (MQTT 5.0 section 3.3.2.3.4), those that the client gives and those
 * that we give.
 *
 * Ours are chosen by use: a topic that is sent a second time gets one. When all are given, the one that was
 * used longest ago is given anew, but only to a topic whose last use was after that: a client that gets more
 * topics in turn than there are aliases would else pay for aliases that it never sees again.
 *
 * Thread:  the connection's shard.
 * Memory:  copies of topics. Made when first needed, freed with the connection, which is how long a client
 *          remembers them [MQTT-3.3.2-7].
 * Limits:  ALIAS_IN_BYTES_MAX; ALIAS_OUT_MAX aliases of ours for topics up to ALIAS_TOPIC_BYTES_MAX.
 * Errors:  ERR_FULL, ERR_NOMEM from alias_in_set, and nothing changes. Without memory ours are not given.
 * Tests:   tests/unit/test_alias.c, tests/conformance/3.3-publish
 */
#ifndef SHARD_ALIAS_H
#define SHARD_ALIAS_H

#include "base/bytes.h"
#include "base/err.h"

struct alias_in;
struct alias_out;

/* From now on alias, which is not 0, stands for topic. Makes *a when it is NULL. */
enum err alias_in_set(struct alias_in **a, uint16_t alias, struct bytes topic);
/* Empty: it stands for nothing. Lent until the next alias_in_set. */
struct bytes alias_in_get(const struct alias_in *a, uint16_t alias);
void alias_in_free(struct alias_in **owner);

/* max: the client's Topic Alias Maximum, not 0. NULL without memory. */
struct alias_out *alias_out_new(uint16_t max);
void alias_out_free(struct alias_out **owner);

struct alias_pick {
    uint16_t alias; /* 0: none, the topic is sent as it is */
    bool is_known;  /* the client has been told: the topic is left out */
};
/* How to send this topic now. */
struct alias_pick alias_out_pick(struct alias_out *a, struct bytes topic, uint64_t hash);
/* It was not sent after all: the client has not been told. */
void alias_out_drop(struct alias_out *a, uint16_t alias);

#endif
