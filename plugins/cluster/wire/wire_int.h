/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire_int - the inside of wire: what frames and records have in common.
 *
 * Thread:  any; no state.
 * Memory:  none.
 * Limits:  wire.h.
 * Errors:  the cursors' are sticky, and asked once, at the end.
 * Tests:   tests/unit/test_cluster_wire.c
 */
#ifndef WIRE_WIRE_INT_H
#define WIRE_WIRE_INT_H

#include "codec/rd.h"
#include "codec/wr.h"
#include "wire/wire.h"
#include <assert.h>

static_assert(WIRE_HEAD_BYTES + 21 + WIRE_ENDS_BYTES_MAX <= WIRE_SMALL_BYTES_MAX, "ACKEPOCH must fit");
static_assert(2 + 19 + WIRE_MEMBERS_BYTES_MAX <= WIRE_SMALL_BYTES_MAX, "CHECKPOINT must fit");
static_assert(8 + ZAB_SNAP_CHUNK_BYTES_MAX < ZAB_PAYLOAD_BYTES_MAX, "PROPOSAL is the longest frame");

static inline uint64_t wire_rd_u64(struct rd *r)
{
    uint64_t high = rd_u32(r);
    return high << 32 | rd_u32(r);
}

static inline void wire_wr_u64(struct wr *w, uint64_t v)
{
    wr_u32(w, (uint32_t)(v >> 32));
    wr_u32(w, (uint32_t)v);
}

/* A bool is 0 or 1; anything else is WIRE_VALUE, and poisons the cursor. */
bool wire_rd_bool(struct rd *r, enum wire_rc *rc);

/* All that is left is the payload. */
void wire_rd_entry(struct rd *r, struct zab_entry *out);
void wire_wr_entry(struct wr *w, const struct zab_entry *e);
/* Does it agree with itself, and with types.h? */
enum wire_rc wire_entry_judge(const struct zab_entry *e);

/* u16 length, and what zab_members_encode writes. */
void wire_rd_members(struct rd *r, struct zab_members *out, enum wire_rc *rc);
void wire_wr_members(struct wr *w, const struct zab_members *m);

/* The verdict on a cursor that should be at its end, when nothing was wrong before. */
static inline enum wire_rc wire_rd_end(const struct rd *r, enum wire_rc before)
{
    if (before != WIRE_OK) return before;
    if (r->bad) return WIRE_CUT;
    return r->left == 0 ? WIRE_OK : WIRE_TRAILS;
}

#endif
