/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retained - the last retained message of each topic that this shard owns.
 *
 * Thread:  owned by one shard; no locks. Other shards ask by mailbox.
 * Memory:  holds one reference to each message; lends, never gives away.
 * Limits:  conf->topics_max topics. One more is ERR_FULL, and nothing changes. A question looks at no more
 *          topics than it says, so a filter that matches few of many cannot hold the shard.
 * Errors:  ERR_NOMEM and ERR_FULL, from retained_set and retained_new only.
 * Tests:   tests/unit/test_retained.c, tests/conformance/3.3-publish/
 */
#ifndef RETAINED_RETAINED_H
#define RETAINED_RETAINED_H

#include "base/bytes.h"
#include "base/err.h"

struct msg;
struct retained; /* defined in retained.c */
struct retained_conf {
    uint32_t topics_max;
    uint64_t seed;
};

enum err retained_new(struct retained **out, const struct retained_conf *conf);
void retained_free(struct retained **owner);

/* Keeps m as the message of its topic, with the position that put it there; an empty payload forgets the
 * topic. Shares m: takes its own reference when it keeps it, never the caller's. */
enum err retained_set(struct retained *r, struct msg *m, uint64_t version);

/* One retained message, lent for the call. */
struct retained_value {
    struct msg *msg;
    uint64_t version;
};

/* A part of an answer: topics behind `after` in the one fixed order of topics, or from the first on when that
 * is empty. The topic itself may be gone meanwhile. */
struct retained_query {
    struct bytes filter, after;
    uint32_t visits_max; /* topics to look at, whether they match or not; at least 1 */
};

/* Calls each(value, arg) for the topics that the filter matches, until it returns false or enough have been
 * looked at. NULL: there are no more. Else the message at which it stopped, lent: the next part is what is
 * after its topic. each must not change r. */
struct msg *retained_match(const struct retained *r, const struct retained_query *q,
                           bool (*each)(const struct retained_value *v, void *arg), void *arg);

uint32_t retained_count(const struct retained *r);
uint64_t retained_bytes(const struct retained *r); /* of payload */

#endif
