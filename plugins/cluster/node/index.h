/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index - where in the journal the entries are that the logical log has: those that no TRUNC has cut off and
 * no INSTALL has replaced.
 *
 * The journal is one row of records, by lsn; the logical log is what they mean, by zxid. A mark says that the
 * entry after `prev` is the record `lsn`; there is one each INDEX_STRIDE_BYTES, and one at each place where
 * the row jumps. A cut says that entries after `zxid` in records before `lsn` are not part of the log. Of the
 * cuts only those are kept that some record may still need: later ones with a lesser zxid say more.
 *
 *   records   e5 e6 e7 e8 TRUNC(6) e7' e8' TRUNC(7) e8"        cuts: (lsn of the first, 6) (second, 7)
 *
 * Thread:  one at a time; the cuts may be copied for another.
 * Memory:  owns the marks: 256 KiB at most.
 * Limits:  INDEX_MARKS_MAX marks: every second goes when there are more; INDEX_CUTS_MAX cuts: then the log
 *          is taken to begin later.
 * Errors:  ERR_NOMEM.
 * Tests:   tests/unit/test_cluster_index.c
 */
#ifndef NODE_INDEX_H
#define NODE_INDEX_H

#include "base/err.h"
#include "zab/types.h"

enum { INDEX_MARKS_MAX = 16384, INDEX_CUTS_MAX = 64, INDEX_RECENT = 16, INDEX_STRIDE_BYTES = 256 * 1024 };

struct index_mark {
    uint64_t prev, lsn;
};

struct index_cut {
    uint64_t lsn, zxid;
};

struct index_cuts {
    uint32_t count;
    struct index_cut at[INDEX_CUTS_MAX]; /* both ascending */
};

struct index {
    uint64_t begin, last; /* entries (begin, last] are in the log */
    struct index_mark *marks;
    uint32_t count, room, recent_next;
    uint64_t stride, since; /* bytes of entries */
    bool jumps;             /* the next entry gets a mark */
    struct index_cuts cuts;
    struct index_mark recent[INDEX_RECENT]; /* where readers ended; lsn 0: none */
};

void index_init(struct index *ix);
void index_fini(struct index *ix);

/* A record was appended. */
enum err index_note(struct index *ix, const struct zab_record *r, uint64_t lsn);

/* A record that is not behind the entry after `after`, and not far before. False: the log does not have it.
 */
bool index_find(const struct index *ix, uint64_t after, uint64_t *lsn);

/* A reader has taken everything up to this entry, which is the record lsn. */
void index_remember(struct index *ix, uint64_t zxid, uint64_t lsn);

/* Is the entry that ends at zxid, in the record lsn, still part of the log? */
bool index_is_alive(const struct index_cuts *cuts, uint64_t lsn, uint64_t zxid);

/* What must stay so that entries after zxid stay: records from lsn on. Gives 0 when there is no entry. prev
 * is where the log then begins. */
uint64_t index_floor(const struct index *ix, uint64_t zxid, uint64_t *prev);

/* Entries up to zxid have gone, it being what index_floor gave. */
void index_purged(struct index *ix, uint64_t zxid);

#endif
