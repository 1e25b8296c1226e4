/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packets - the packets of a script's steps, from six bytes of choices each.
 *
 * Thread:  one.
 * Memory:  the caller's buffer.
 * Limits:  PACKET_ROOM bytes a packet.
 * Errors:  none: every choice is a packet, though not always one that MQTT permits.
 * Tests:   tests/fuzz/fuzz_connection.c uses it.
 */
#ifndef FUZZ_PACKETS_H
#define FUZZ_PACKETS_H

#include "codec/codec.h"
#include "fuzz/client.h"

enum { PACKET_ROOM = 16 * 1024 };

/* Writes the packet of this kind that the six choices mean; c is who sends it. */
void packet_connect(struct wr *w, const uint8_t *choice);
void packet_publish(struct wr *w, struct client *c, const uint8_t *choice);
void packet_subscribe(struct wr *w, struct client *c, const uint8_t *choice);
void packet_unsubscribe(struct wr *w, struct client *c, const uint8_t *choice);
void packet_ack(struct wr *w, const struct client *c, const uint8_t *choice);
void packet_end(struct wr *w, const struct client *c, enum packet_type type, const uint8_t *choice);

/* Numbers payloads from 1 on again. */
void packets_begin(void);

#endif
