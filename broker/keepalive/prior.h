/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prior - what clients of the same network have gone through, for one of whom nothing is known yet.
 *
 * For each prefix: how many gaps of each length were survived, and how many were not, half of it forgotten in
 * a week. A success after a gap shows that the network waits longer, a failure that it does not, or noise. So
 * the share that fails at a gap g is F(just up to g) / (F(just up to g) + S(from g on)); the prior is the
 * longest g of which that share is surely small; a new client begins a margin below it. Asked from the
 * narrowest prefix to the widest: the first with enough to say answers.
 *
 * Thread:  owned by one shard; no locks. Each shard learns for itself.
 * Memory:  one fixed block for each prefix.
 * Limits:  conf's max_s; prefixes_max prefixes: whoever was not heard of longest goes.
 * Errors:  ERR_NOMEM from ka_prior_new. Without memory a prefix is not counted.
 * Tests:   tests/unit/test_prior.c, tests/sim/nat
 */
#ifndef KEEPALIVE_PRIOR_H
#define KEEPALIVE_PRIOR_H

#include "base/bytes.h"
#include "base/err.h"
#include "keepalive/learn.h"

enum { KA_NET_LEVELS = 3 };

/* Where a client comes from. */
struct ka_net {
    uint64_t key; /* one network: its evidence is a client's own */
    uint64_t
        prefix[KA_NET_LEVELS]; /* from narrow to wide; 0: none. All of them together come after the last */
};

/* address: 4 or 16 bytes (16 with an IPv4 address mapped into them are that address), else no prefix. asn: of
 * the autonomous system; 0: not known. name: what the client says of its network, or nothing: then the
 * network is the /24 or /48. */
struct ka_net ka_net_of(struct bytes address, uint32_t asn, struct bytes name);

struct ka_prior;

enum err ka_prior_new(struct ka_prior **out, const struct ka_conf *conf, uint32_t prefixes_max);
void ka_prior_free(struct ka_prior **owner);

/* A success or failure of that client. */
void ka_prior_note(struct ka_prior *p, const struct ka_net *net, uint64_t client, const struct ka_event *e,
                   int64_t now_s);

/* Where a new client begins. 0: nobody knows enough. */
uint16_t ka_prior_get(struct ka_prior *p, const struct ka_net *net, int64_t now_s);

/* What most of a network's clients need not go beyond, because enough others try. 0: not enough are there.
 * Never of all networks together. */
uint16_t ka_prior_limit(struct ka_prior *p, const struct ka_net *net, int64_t now_s);

#endif
