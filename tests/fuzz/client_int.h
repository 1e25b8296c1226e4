/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_int - what client.c and client_got.c share.
 *
 * Thread:  one.
 * Memory:  see client.h.
 * Limits:  see client.h.
 * Errors:  see client.h.
 * Tests:   none of its own.
 */
#ifndef FUZZ_CLIENT_INT_H
#define FUZZ_CLIENT_INT_H

#include "base/limits.h"
#include "fuzz/client.h"
#include "fuzz/shard_rig.h"
#include "fuzz/world.h"

void client_asks(struct client *c, const struct asked *a);
/* The oldest of this type and id; NULL: none. */
struct asked *client_asked(struct client *c, enum packet_type type, uint16_t id);
void client_answered(struct client *c, struct asked *a);
struct flight *client_flight(struct client *c, uint16_t id);
/* Has it done nothing so far that would be a reason to end it? */
bool client_is_judged(const struct client *c);
void client_landed(struct client *c, struct flight *f);

#endif
