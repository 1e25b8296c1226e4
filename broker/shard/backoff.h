/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backoff - what an MQTT 5 client is told of when to connect again: four user properties, for all clients the
 * same (docs/ops/trouble.md).
 *
 *   ll-backoff-base    seconds before the first try
 *   ll-backoff-max     seconds between two tries, at most
 *   ll-backoff-factor  each wait is so many times the one before
 *   ll-backoff-jitter  of each wait so much is added or taken away at random, as a part of it
 *
 * Thread:  the shard's.
 * Memory:  the shard's: they are encoded once for each view.
 * Limits:  BACKOFF_BYTES_MAX.
 * Errors:  none: a client that has no room for them, or wants no user properties, gets none.
 * Tests:   tests/e2e/test_admission.py
 */
#ifndef SHARD_BACKOFF_H
#define SHARD_BACKOFF_H

#include "codec/props.h"
#include "codec/reason.h"
#include <stdint.h>

struct conn;
struct shard;

enum { BACKOFF_BYTES_MAX = 160 };

struct backoff {
    uint8_t at[BACKOFF_BYTES_MAX];
    uint16_t bytes;
};

/* The shard has a view, the first or another one. */
void backoff_learn(struct shard *sh);

/* Adds them to the properties of a packet that says `why` to a client, if it is to have them there: in a
 * CONNACK that lets it in, too, for who loses a broker all of a sudden is told nothing. */
void backoff_tell(const struct shard *sh, const struct conn *c, enum mqtt_rc why, struct props *props);

#endif
