/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard - the limits of a listener for each of its connections: how many an address has, how fast they come,
 * and how fast bytes and messages come in.
 *
 *   too many, or too fast     closed when it comes; with a PROXY header, when that has told its address
 *   bytes or messages         not read (PAUSE_RATE) until what came is paid for; its keepalive waits, too
 *
 * What a connection of a listener without limits costs is a pointer that is NULL.
 *
 * Thread:  the shard's; what is counted for a listener or an address is shared by all (base/bucket.h,
 *          shard/addresses.h).
 * Memory:  about 64 bytes a connection that has limits.
 * Limits:  the options of the listener, as the view of now has them.
 * Errors:  guard_attach: ERR_FULL and ERR_AGAIN say which limit; ERR_NOMEM.
 * Tests:   tests/e2e/test_guard.py
 */
#ifndef SHARD_GUARD_H
#define SHARD_GUARD_H

#include "base/err.h"
#include "log/log.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct net_address;
struct shard;
struct shards_listener;
struct wheel_timer;

/* May one more connection come, as far as the rate of its listener goes? */
bool guard_accepts(struct shard *sh, const struct shards_listener *l);

/* A new connection, before it joins. */
enum err guard_attach(struct shard *sh, struct conn *c);

/* After a read: it has perhaps just been told whose connection this is. */
enum err guard_learn(struct shard *sh, struct conn *c);

/* Counts and logs that a connection is closed before it could say anything: because of a limit, or because of
 * whom it comes from. */
void guard_log_refused(struct shard *sh, const struct shards_listener *l, const struct net_address *from,
                       enum event why);

/* Says why it is closed: what one of the two has given. */
void guard_refused(struct shard *sh, const struct conn *c, enum err rc);

/* A reload: what was too much for the rates before is forgotten, by who waits and by who comes. */
void guard_forgive(struct shard *sh, struct conn *c);

/* The limits may have changed: who is there stays. */
void guard_recheck(struct shard *sh, struct conn *c);

/* It has come to this shard, or leaves it, or ends. */
void guard_joined(struct shard *sh, struct conn *c);
void guard_left(struct shard *sh, struct conn *c);
void guard_free(struct shard *sh, struct conn *c);

/* How much of `room` may be read at once: no more than comes in a quarter of a second. */
size_t guard_room(const struct shard *sh, const struct conn *c, size_t room);

/* So many bytes have come; the pause is for guard_hold, after they have been used. */
void guard_bytes(struct shard *sh, struct conn *c, size_t n);
void guard_hold(struct shard *sh, struct conn *c);

/* A PUBLISH has come, and has been used. */
void guard_message(struct shard *sh, struct conn *c);

/* A pause is over. */
void guard_timer(struct wheel_timer *t, void *shard);

#endif
