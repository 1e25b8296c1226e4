/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook_will - whether a will may go out, when plugins of its client's listener decide on that.
 *
 * They are asked when it is to go out, as by mosquitto, and not when it comes. Until they have answered it
 * stays the session's, and the journal's where it is durable; should the session end or go on meanwhile, the
 * question takes it along (will_detach), and it goes out as a message that is nobody's any more.
 *
 * Thread:  the shard's.
 * Memory:  the question's, with a copy of what it is about.
 * Limits:  one for each session.
 * Errors:  without memory it is denied.
 * Tests:   tests/unit/test_shard_will.c
 */
#ifndef SHARD_HOOK_WILL_H
#define SHARD_HOOK_WILL_H

#include "shard/shard_int.h"

/* The plugins that have a say in it; NULL: none. */
struct hooks *will_hooks(const struct shard *sh, const struct session_will *w);

/* Publishes it, or asks first. c: the connection that ends with this; NULL: that was earlier. */
void will_fire(struct shard *sh, struct session *s, const struct conn *c);

static inline bool will_is_asked(const struct session *s)
{
    return s->will != NULL && s->will->asked != NULL;
}

/* The session is about to forget its will. If plugins are asked about it, they have it now. */
void will_detach(struct session *s);

#endif
