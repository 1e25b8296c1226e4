/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mids - publishers' own ids of their messages, for as long as a repeat of one is to be recognised.
 *
 * An id belongs to a client id and has a time until which it is known. What is decided depends on nothing but
 * what was put, in its order: neither on a clock nor on configuration nor on when mids_forget is called.
 *
 * Thread:  one: the journal's.
 * Memory:  its own: some 130 bytes and the id for each, the client id once.
 * Limits:  MIDS_OF_CLIENT_MAX ids of one client, MIDS_BYTES_MAX for all: the oldest go first, and a repeat of
 *          one that went is a new message.
 * Errors:  ERR_NOMEM from mids_new and mids_put, and nothing changes.
 * Tests:   tests/unit/test_mids.c
 */
#ifndef STORE_MIDS_H
#define STORE_MIDS_H

#include "base/bytes.h"
#include "base/err.h"

struct mids;

enum err mids_new(struct mids **out);
void mids_free(struct mids **owner);

/* Is this id of this client known at this time? */
bool mids_has(const struct mids *m, struct bytes client_id, struct bytes mid, uint64_t now_ms);

/* Knows it until then, exclusively, as the newest; what was known of it before is void. */
enum err mids_put(struct mids *m, struct bytes client_id, struct bytes mid, uint64_t until_ms);

/* Frees those, from the oldest on, whose time is over. */
void mids_forget(struct mids *m, uint64_t now_ms);

#endif
