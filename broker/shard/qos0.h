/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qos0 - the option queue_qos0_messages: QoS 0 for a persistent session whose client is away waits with the
 * rest of its queue.
 *
 * The shard of the session puts it there, by an ENQUEUE of its own: nobody waits for it. So that the order of
 * QoS 0 stays what it was, what comes while some of the queue is still to be sent goes the same way.
 *
 * Thread:  the session's shard.
 * Memory:  shares the message; of a retained one a copy, as what waits in a queue is retained by nobody.
 * Limits:  JOURNAL_BYTES_MAX on their way through the journal of each shard; above it, above memory_limit and
 *          without memory they are dropped and counted, as QoS 0 may be. The queue's own limits count them.
 * Errors:  none.
 * Tests:   tests/e2e/test_message_options.py
 */
#ifndef SHARD_QOS0_H
#define SHARD_QOS0_H

#include "shard/shard_int.h"

/* Is this one to wait? Else it is sent, or nobody gets it. */
bool qos0_waits(const struct shard *sh, const struct session *s, const struct msg *m);

void qos0_keep(struct shard *sh, struct session *s, struct msg *m, bool retain);

/* Of such an ENQUEUE. */
bool qos0_is_kept(const struct command *cmd);
void qos0_kept(struct shard *sh, const struct command *cmd);

#endif
