/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parked - packets of a client that wait for what plugins say, in the order in which they came.
 *
 *   packet -> asked about -> answered at once, and nothing waits -> goes on
 *                         -> else it is parked; when it is the first and its answer is there -> goes on
 *
 * What must not overtake waits behind, asked about or not: PUBLISH, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH,
 * the end by a packet that is wrong, and the end of the network. Acknowledgements and PINGREQ do not wait.
 * What is parked when its connection ends is dropped: it was not acknowledged. Who comes for its session
 * waits until it is done (shard/heir.h).
 *
 * Thread:  the shard's. A question is with the plugins until it is answered.
 * Memory:  a copy of the packet, freed when plugins and shard have done with it.
 * Limits:  HOOKED_PACKETS_MAX and HOOKED_BYTES_MAX: then the connection is not read (PAUSE_HOOKS).
 *          memory_limit: above it a PUBLISH is parked without its payload, and refused in its turn.
 * Errors:  MQTT_RC_QUOTA_EXCEEDED without memory.
 * Tests:   tests/unit/test_shard_parked.c
 */
#ifndef SHARD_PARKED_H
#define SHARD_PARKED_H

#include "shard/hooked.h"

/* --- PUBLISH */

/* Its topic is resolved, and it is right. due_ms, and a mount point, are found again when it goes on. */
enum mqtt_rc parked_publish(struct shard *sh, struct conn *c, struct publish *p);

/* How many with QoS 1 or 2 wait here: they count for Receive Maximum. */
static inline uint32_t parked_publishes(const struct conn *c)
{
    return c->hooked == NULL ? 0 : c->hooked->parked.publishes;
}

/* --- other packets */

/* Takes a packet that has to wait, or that plugins are asked about. False: it is nothing of that kind. */
bool parked_takes(struct shard *sh, struct conn *c, const struct frame *f, enum mqtt_rc *rc);

/* While a SUBSCRIBE or UNSUBSCRIBE goes on: what its filter of this number is refused with; 0: it is not. */
uint8_t parked_refusal(const struct conn *c, uint16_t index);

/* --- the end */

static inline bool parked_any(const struct conn *c)
{
    return c->hooked != NULL && c->hooked->parked.first != NULL;
}

/* Its peer has done what ends the connection; or it sends nothing more (why is MQTT_RC_OK). False: nothing is
 * parked, and that is done now. */
bool parked_ends(struct shard *sh, struct conn *c, enum mqtt_rc why);

void parked_drop(struct shard *sh, struct hooked *h);

/* --- going on */

/* What can go on now does. */
void parked_run(struct shard *sh, struct conn *c);

/* What has become of a PUBLISH since it came. */
struct publish_past {
    const struct hook_publish *said; /* by plugins; NULL: nobody was asked */
    uint64_t came_ms;                /* by the wall clock */
    uint64_t epoch;                  /* of verdicts, by then */
};

/* on_publish.c */
enum mqtt_rc publish_go_on(struct shard *sh, struct conn *c, struct publish *p,
                           const struct publish_past *past); /* p becomes what goes to others */
enum mqtt_rc publish_comes(struct shard *sh, struct conn *c, struct publish *p); /* nobody is asked */
/* What goes to nobody, whatever plugins say, is not asked about; *topic is the whole one. */
bool publish_is_for_nobody(struct shard *sh, struct conn *c, const struct publish *p, struct bytes *topic);
bool publish_is_over_limit(struct shard *sh, const struct publish *p);
enum mqtt_rc publish_over_limit(struct shard *sh, struct conn *c, const struct publish *p); /* refuses it */
bool publish_is_too_many(const struct conn *c);

/* conn_in.c: its turn comes again, though it has nothing to read. */
void conn_queue(struct shard *sh, struct conn *c);

#endif
