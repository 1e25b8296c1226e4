/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdicts - what plugins have said a client may read or write, remembered for acl_cache_seconds.
 *
 * By topic and right alone: a plugin that looks at payloads wants the option at 0, which is its default. A
 * reload, a plugin's own, and any kick by a plugin make all of a shard be forgotten.
 *
 * Thread:  the shard's.
 * Memory:  the connection's (struct conn_reads); none with the option at 0.
 * Limits:  VERDICTS_OF_CLIENT_MAX of a connection: one more, and its others are forgotten.
 * Errors:  none: without memory nothing is remembered.
 * Tests:   tests/unit/test_shard_reads.c
 */
#ifndef SHARD_VERDICTS_H
#define SHARD_VERDICTS_H

#include "access/access.h"
#include "base/bytes.h"
#include "hook/hook.h"

struct conn;
struct shard;
struct verdicts;

/* HOOK_ALLOW, HOOK_DENY; HOOK_DEFER: not known. c->hooked is there. */
enum hook_verdict verdicts_find(const struct shard *sh, const struct conn *c, struct bytes topic,
                                enum access_right right);

/* What is said from now on holds until the next one is minted. */
uint64_t verdicts_epoch(const struct shard *sh);

struct verdict_of {
    struct bytes topic;
    enum access_right right;
    enum hook_verdict said; /* one that is neither HOOK_ALLOW nor HOOK_DENY is not noted */
    uint64_t epoch;         /* when it was asked about */
};
void verdicts_note(struct shard *sh, struct conn *c, const struct verdict_of *v);

void verdicts_free(struct verdicts **owner);

#endif
