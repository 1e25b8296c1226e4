/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keepalive - the learner of one shard: what a connection goes through comes in, the interval that it is to
 * have comes out. The face of this module; the broker and tests/sim/nat call nothing else of it to learn.
 *
 *   keepalive_connected -> keepalive_heard ... -> keepalive_ended -> keepalive_connected ...
 *         | interval          | another one          (a takeover: ended, with KA_END_TAKEN_OVER, then
 * connected) v                   v may be had: keepalive_renew
 *
 * Every connection is connected and ended once, with the same struct ka_who. What is cheap to leave out is
 * left out before: a packet after a short gap is no news (keepalive_gap_min_s), and with KA_OFF there is
 * nothing to call. With KA_CAP a client has no entry before its connection has been lost in a way that is
 * evidence.
 *
 * A failure counts at once for what is granted next, and for good when it is clear that it was no outage's.
 *
 * Thread:  owned by one shard; no locks.
 * Memory:  its own, all of it bounded by conf.
 * Limits:  entries_max, prefixes_max; see table.h, prior.h.
 * Errors:  ERR_NOMEM from keepalive_new. Without memory later, a client has what it asked for.
 * Tests:   tests/unit/test_keepalive.c, tests/sim/nat
 */
#ifndef KEEPALIVE_KEEPALIVE_H
#define KEEPALIVE_KEEPALIVE_H

#include "keepalive/prior.h"
#include "keepalive/table.h"

struct keepalive;

struct keepalive_conf {
    struct ka_conf learn;
    uint32_t entries_max, prefixes_max;
};

/* A connection's, and the same all its life. client: a hash of its id, by a seed that stays if it is stored.
 */
struct ka_who {
    uint64_t client;
    struct ka_net net;
    uint16_t asked_s; /* its own keepalive */
    uint8_t mode;     /* enum ka_mode, of its listener */
};

/* now_s: seconds that do not jump, as far as they can be had; a jump costs a piece of evidence, no more. */
enum err keepalive_new(struct keepalive **out, const struct keepalive_conf *conf, int64_t now_s);
void keepalive_free(struct keepalive **owner);

/* Another configuration, from now on; an entry is made to fit it when its client connects. entries_max and
 * prefixes_max stay. */
void keepalive_reload(struct keepalive *ka, const struct ka_conf *learn);

/* CONNECT has been accepted. Gives the interval that is in force from now on; asked_s when nothing is known.
 */
uint16_t keepalive_connected(struct keepalive *ka, const struct ka_who *who, int64_t now_s);

/* Gaps below this are no evidence of anything. */
uint16_t keepalive_gap_min_s(const struct keepalive *ka);

/* A sign of life after gap_s of silence in both directions. Gives the interval that would be granted now. */
uint16_t keepalive_heard(struct keepalive *ka, const struct ka_who *who, enum ka_sign sign, uint32_t gap_s,
                         int64_t now_s);

/* The interval that is granted now is in force from now on: the client has been told, or the kernel probes.
 */
uint16_t keepalive_renew(struct keepalive *ka, const struct ka_who *who);

void keepalive_ended(struct keepalive *ka, const struct ka_who *who, const struct ka_end *end, int64_t now_s);

/* Its connection has ended with KA_END_SILENT, and now it is known that its way was there: the silence was
 * the client's own, as if it had been KA_END_OURS. Once the client is back it is too late. */
void keepalive_excused(struct keepalive *ka, const struct ka_who *who);

/* What was stored of a client that is here now. Nothing is dirty by it. False: no memory, or it is known
 * already. */
bool keepalive_restore(struct keepalive *ka, uint64_t client, uint64_t net, const struct ka_state *state);

/* The longest dirty entry, to be stored; it is clean now. NULL: none. */
const struct ka_entry *keepalive_next_dirty(struct keepalive *ka);

/* For who asks: the client's entries (then ->next), and what each has settled at. */
const struct ka_entry *keepalive_first(struct keepalive *ka, uint64_t client);
uint16_t keepalive_settled(const struct keepalive *ka, const struct ka_entry *e);

enum { KEEPALIVE_CLASSES = KA_CLASSES, KEEPALIVE_CLASS_S = 30 };

struct keepalive_counts {
    uint64_t successes, weak, strong, neutral; /* events that came, by what they were taken for */
    uint64_t outages, in_outage;               /* and failures that were an outage's */
    uint64_t raised, lowered;                  /* changes of an interval */
    uint32_t entries;
    /* Entries by what they have settled at: class i ends with (i + 1) * KEEPALIVE_CLASS_S; the last has all
     * above. */
    uint32_t settled[KEEPALIVE_CLASSES];
};
/* What came so far: events, outages, changes. */
const struct keepalive_counts *keepalive_counts(const struct keepalive *ka);
/* And what there is now: kept as entries change, so that it costs the same for a million. */
void keepalive_count(const struct keepalive *ka, struct keepalive_counts *out);

#endif
