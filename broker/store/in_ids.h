/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_ids - packet ids of QoS 2 messages that a client has sent and not released.
 *
 * Thread:  the owner's.
 * Memory:  its own, 16 bytes an id, and as many for each 256 of them; in_ids_fini frees it.
 * Limits:  65,535, one for each packet id. However many there are, none costs more than moving 4 KiB.
 * Errors:  ERR_NOMEM from in_ids_add: nothing changes.
 * Tests:   tests/unit/test_in_ids.c
 */
#ifndef STORE_IN_IDS_H
#define STORE_IN_IDS_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct in_id {
    uint64_t position; /* of the command that brought it */
    uint16_t id;
    bool is_stored; /* it is in the tables on disk, or on its way there */
};

/* Those of the same high byte, ascending. */
struct in_ids_page {
    struct in_id *at;
    uint16_t count, room;
    uint8_t high;
};

/* All zero is an empty one. Pages are ascending by high; none is empty. */
struct in_ids {
    struct in_ids_page *pages;
    uint32_t count, room; /* pages */
};

void in_ids_fini(struct in_ids *s);

/* NULL: it is free. Good until the next change. */
struct in_id *in_ids_find(const struct in_ids *s, uint16_t id);

/* It is not there yet. */
enum err in_ids_add(struct in_ids *s, uint16_t id, uint64_t position);

/* Frees it, if it is there. Was it stored? */
bool in_ids_take(struct in_ids *s, uint16_t id);

#endif
