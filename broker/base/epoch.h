/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoch - reclaims memory that readers may still look at without a lock (quiescent-state based: a reader
 * says when it holds no reference, which costs it one store a loop turn).
 *
 * A writer unlinks an object so that no new reader finds it, then retires it; it is freed once every
 * participant that was on line then has been quiet since.
 *
 * Thread:  each participant slot belongs to one thread at a time, which alone calls with that slot.
 * Memory:  takes what is retired.
 * Limits:  the number of participants is fixed at birth.
 * Errors:  ERR_NOMEM from epoch_new only. Retired objects carry their own link.
 * Tests:   tests/unit/test_epoch.c (also under TSan)
 */
#ifndef BASE_EPOCH_H
#define BASE_EPOCH_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct epoch;

/* First member of whatever is retired. */
struct epoch_node {
    struct epoch_node *next;
    uint64_t retired_at;
};

/* What becomes of each object in the end; NULL: free(). */
typedef void epoch_destroy(struct epoch_node *n);

enum err epoch_new(struct epoch **out, unsigned participants, epoch_destroy *destroy);

/* Frees all that was retired. No participant may be on line. */
void epoch_free(struct epoch **owner);

/* On line: may hold references from now on. Off line: holds none and will take none. */
void epoch_online(struct epoch *e, unsigned slot);
void epoch_offline(struct epoch *e, unsigned slot);

/* Destroys n, which may have anything in its place until now, once no reader can hold it. The caller has
 * unlinked it, and uses its own slot. */
void epoch_retire(struct epoch *e, unsigned slot, struct epoch_node *n);

/* Holds no reference at this moment: the place where retired objects of this slot are destroyed. */
void epoch_quiet(struct epoch *e, unsigned slot);

/* Objects of this slot that wait. */
size_t epoch_waiting(const struct epoch *e, unsigned slot);

#endif
