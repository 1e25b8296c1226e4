/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keepalive_row - what a COMMAND_KEEPALIVE says of one client on one network: the learner's state as numbers.
 *
 * Thread:  any; no state.
 * Memory:  the caller's.
 * Limits:  KEEPALIVE_ROW_BYTES a row.
 * Errors:  a cursor that is bad.
 * Tests:   tests/unit/test_db_boot.c
 */
#ifndef STORE_KEEPALIVE_ROW_H
#define STORE_KEEPALIVE_ROW_H

#include "codec/rd.h"
#include "codec/wr.h"

/* In the order of the table's columns. The store does not look into them, but for the first. */
enum keepalive_number {
    KEEPALIVE_K, /* 0: nothing is known of it any more */
    KEEPALIVE_PROVEN,
    KEEPALIVE_CEIL,
    KEEPALIVE_PHASE,
    KEEPALIVE_TRIAL,
    KEEPALIVE_GOOD,
    KEEPALIVE_BAD,
    KEEPALIVE_WAIT,
    KEEPALIVE_RESTED,
    KEEPALIVE_NUMBERS
};

enum { KEEPALIVE_ROW_BYTES = 2 * 8 + 4 * KEEPALIVE_NUMBERS };

struct keepalive_row {
    uint64_t client, net; /* hashes */
    uint32_t at[KEEPALIVE_NUMBERS];
};

static inline void keepalive_row_write(struct wr *w, const struct keepalive_row *row)
{
    const uint64_t keys[] = { row->client, row->net };
    for (int i = 0; i < 2; i++) {
        wr_u32(w, (uint32_t)(keys[i] >> 32));
        wr_u32(w, (uint32_t)keys[i]);
    }
    for (int i = 0; i < KEEPALIVE_NUMBERS; i++) wr_u32(w, row->at[i]);
}

/* From a cursor that is not at its end. */
static inline void keepalive_row_read(struct rd *r, struct keepalive_row *row)
{
    uint64_t keys[2];
    for (int i = 0; i < 2; i++) {
        uint64_t high = rd_u32(r);
        keys[i] = high << 32 | rd_u32(r);
    }
    row->client = keys[0];
    row->net = keys[1];
    for (int i = 0; i < KEEPALIVE_NUMBERS; i++) row->at[i] = rd_u32(r);
}

#endif
