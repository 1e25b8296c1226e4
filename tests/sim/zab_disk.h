/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zab_disk - the disk of a simulated node: one log of records, as bytes with chained checksums, of which only
 * a part is synced; and what these records mean, once for all that was appended and once for what is durable.
 *
 * Thread:  one at a time.
 * Memory:  grows, and is used again by the next run; disk_fini frees it.
 * Limits:  none of its own.
 * Errors:  without memory it aborts: this is a test.
 * Tests:   tests/sim: it is one itself
 */
#ifndef SIM_ZAB_DISK_H
#define SIM_ZAB_DISK_H

#include "sim/zab_dice.h"
#include "zab/zab.h"

struct blob {
    uint8_t *at;
    uint32_t len, cap;
};

void blob_put(struct blob *b, const void *from, uint32_t len);
void blob_fini(struct blob *b);

/* for (i = 0; i < count; ...) arrays that grow: makes room for one more. */
void *array_grow(void *at, uint32_t count, uint32_t *cap, uint32_t size);

uint64_t entry_hash(const struct zab_entry *e);

/* One entry, as the checkers know it. */
struct seen {
    uint64_t first, last, prev, hash;
    uint32_t rec; /* its record */
    uint8_t kind;
};

/* What the records mean, in their order: the logical log, and the epochs. */
struct view {
    uint64_t begin;               /* entries (begin, last] are here */
    uint64_t base_config, config; /* versions of the members: at begin, and the newest */
    uint32_t accepted, current;
    uint16_t leader;
    bool must_relearn;
    uint32_t count, cap;
    struct seen *at;
};

struct rec {
    uint64_t zxid, config;
    struct seen entry;
    uint64_t no; /* of the STORE */
    uint32_t at_epoch;
    uint32_t offset, len, crc, segment;
    uint32_t epoch, accepted;
    uint16_t leader;
    uint8_t kind;
    bool must_relearn;
};

struct disk {
    struct blob log;
    struct rec *recs;
    uint32_t count, cap;
    uint32_t synced, syncing; /* records that are durable; and those that the sync under way will make so */
    uint32_t crc, base_crc;   /* of the last record; of the one before the first */
    uint32_t segment, segment_records, in_segment;
    bool is_syncing;
    struct view mem, dur;
};

/* How likely it is what becomes of a record that was not synced, of 1000; the rest is there. */
struct crash_fate {
    uint32_t lost, torn, garbled;
};

void disk_reset(struct disk *d, uint32_t segment_records);
void disk_fini(struct disk *d);

void disk_append(struct disk *d, const struct zab_record *r, struct zab_at at);

/* The sync under way has ended. */
void disk_synced(struct disk *d);

/* What was not synced is lost, torn or garbled; then the log is read again from its bytes. True: it ended in
 * a record that was damaged. */
bool disk_crash(struct disk *d, struct dice *dice, const struct crash_fate *fate);

/* The durable records from this one on are lost. */
void disk_damage(struct disk *d, uint32_t from);

/* Record i, decoded from its bytes; lends them, and its members until the next call. */
bool disk_record(const struct disk *d, uint32_t i, struct zab_record *out);

/* Entries after `after`, of the logical log: at most so many, and bytes, but one. 0: it does not have them.
 */
uint32_t disk_entries(const struct disk *d, uint64_t after, uint32_t bytes,
                      struct zab_entry out[ZAB_READ_ENTRIES_MAX]);

/* Whole segments go that lie before record `before` and have no entry after keep. True: some went. */
bool disk_purge(struct disk *d, uint64_t keep, uint32_t before);

static inline uint64_t view_last(const struct view *v)
{
    return v->count > 0 ? v->at[v->count - 1].last : v->begin;
}

/* The index of the first entry whose last is at zxid or after it. */
uint32_t view_find(const struct view *v, uint64_t zxid);

/* An entry ends there, or the log begins there or later. */
bool view_holds(const struct view *v, uint64_t zxid);

#endif
