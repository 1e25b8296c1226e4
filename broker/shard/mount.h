/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount - the option mount_point: a listener whose clients live below a prefix, and see nothing else.
 *
 * What comes from such a client gets the prefix before anything else looks at it: PUBLISH behind its alias,
 * wills, and filters (in "$share/NAME/FILTER" the inner one). So index, queues, the journal and retained
 * messages know whole topics only. On its way to the client a topic loses it again.
 *
 * Thread:  the connection's shard.
 * Memory:  mount_topic lends a room of its thread; mount_filters makes a packet, to be freed.
 * Limits:  a topic's: what is longer with its prefix is one that is too long.
 * Errors:  MQTT_RC_FILTER_INVALID, MQTT_RC_QUOTA_EXCEEDED from mount_filters: too long, no memory.
 * Tests:   tests/e2e/test_mount_point.py
 */
#ifndef SHARD_MOUNT_H
#define SHARD_MOUNT_H

#include "codec/codec.h"
#include "shard/conn.h"

struct shard;

/* The prefix of the connection's listener; empty: none. */
struct bytes mount_point(const struct shard *sh, const struct conn *c);

/* The topic with the prefix; the topic itself when there is none. Lent until the next call. */
struct bytes mount_topic(const struct shard *sh, const struct conn *c, struct bytes topic);

/* A SUBSCRIBE or UNSUBSCRIBE with its filters mounted, if there is a prefix; else, and if it is not well
 * formed, as it was. *made: to be freed, or NULL. */
enum mqtt_rc mount_filters(struct shard *sh, const struct conn *c, struct frame *f, uint8_t **made);

/* Takes the prefix off. False: it is not below the prefix. */
bool mount_strip(const struct shard *sh, const struct conn *c, struct bytes *topic);

#endif
