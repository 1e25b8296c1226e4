/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions - the sessions of a shard: the registry, and what ends one.
 *
 * Thread:  the shard's.
 * Memory:  the shard's.
 * Limits:  none of its own.
 * Errors:  NULL or ERR_NOMEM without memory.
 * Tests:   tests/conformance/4.1-session
 */
#ifndef SHARD_SESSIONS_H
#define SHARD_SESSIONS_H

#include "session/session.h"
#include "store/restore.h"

struct conn;
struct shard;

struct session *sessions_find(struct shard *sh, struct bytes client_id);
struct session *sessions_find_no(struct shard *sh, uint64_t session_no);
struct session *sessions_create(struct shard *sh, struct bytes client_id, bool persistent);
enum err sessions_restore(struct shard *sh, const struct restore_session *r);
void sessions_destroy(struct shard *sh, struct session *s); /* gives its subscriptions and queue up */
/* Its connection is gone: c. */
void sessions_offline(struct shard *sh, struct session *s, const struct conn *c);
void sessions_timer(struct wheel_timer *t, void *shard);
void sessions_will(struct shard *sh, struct session *s); /* publishes and forgets it */
void sessions_late_will(struct shard *sh,
                        struct session *s); /* the same after its delay, if it may be still */
void sessions_deny_will(struct shard *sh, struct session *s); /* forgets it, and says so */

/* What a will that has left its session says of it. */
struct will_from {
    struct bytes client_id;
    uint64_t session_no, client;   /* the latter: client_hash, of a retained one */
    const struct session *durable; /* whose the journal has it as; NULL: nobody's */
};
void sessions_put_will(struct shard *sh, const struct session_will *w, const struct will_from *from);
struct msg *sessions_will_msg(const struct shard *sh, const struct session *s); /* for the journal; or NULL */

#endif
