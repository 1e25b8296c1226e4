/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal_int - the format, and what the files of this module share. Private.
 *
 * A segment is a header of 4 KiB, records one after the other, zeros. Numbers are little-endian.
 *
 *   header   0 u64 magic          8 u32 version       12 u32 node id       16 u64 cluster id
 *           24 u64 number        32 u64 first         40 u64 salt          48 u32 chain
 *           52 u32 synced        56 zeros           4092 u32 crc of all before it
 *   record   0 u32 len            4 u32 crc            8 u32 chain         12 u32 synced
 *           16 u64 first         24 u64 last          32 u64 prev          40 u32 head crc
 *           44 u16 group         46 u8 type           47 u8 version        48 payload, then one end byte
 *
 * chain is the crc of the record before, also across segments; so nothing can be missing in the middle.
 * synced: all bytes of this segment below it were durable when this was written; so what is bad below the
 * synced of any later record was damaged, not torn. Every crc of a record starts from that of the header's
 * first 52 bytes, into which a secret salt has gone: no payload can pose as a record. head crc covers the
 * other numbers of the head but crc; crc covers all but itself. Version and end byte have several bits set:
 * no flipped bit makes zeros of them. first of a header is the position its first batch began with.
 *
 * Thread:  see wal.h.
 * Memory:  struct wal owns all of it.
 * Limits:  see wal.h.
 * Errors:  see wal.h.
 * Tests:   tests/unit/test_wal*.c
 */
#ifndef WAL_WAL_INT_H
#define WAL_WAL_INT_H

#include "base/list.h"
#include "base/lock.h"
#include "wal/wal.h"

#define WAL_MAGIC       0x314c41576b6e6c4cu /* "LlnkWAL1" */
#define WAL_COPY_NAME   "copy.tmp"
#define WAL_LOCK_NAME   "lock"
#define WAL_NAME_FORMAT "%016llx.wal"

enum {
    WAL_VERSION = 1,
    WAL_RECORD_VERSION = 0xa1,
    WAL_END_BYTE = 0xa5,
    WAL_NAME_BYTES = 24,
    WAL_RECORD_BYTES_MIN = WAL_HEAD_BYTES + 1,
};

struct wal_header {
    uint64_t number, first, salt;
    uint32_t chain, synced;
    uint32_t seed; /* of the crcs of its records */
};

/* What is in the last record of a group. */
struct wal_group {
    uint64_t last;
    bool known;
};

/* A segment with records, on the disk. */
struct wal_segment {
    struct list link;
    uint64_t number;
    uint32_t end, file_bytes;         /* where its records end */
    uint64_t highest[WAL_GROUPS_MAX]; /* positions; 0: it has none of this group */
};

/* One that is read: all of its bytes. */
struct wal_image {
    uint8_t *at;
    uint32_t size;
    struct wal_header header;
};

struct wal {
    const struct wal_io *io;
    char *dir;
    int dir_fd, lock_fd;
    uint32_t segment_bytes, node_id;
    uint64_t cluster_id;
    uint16_t groups;
    enum wal_durability durability;

    uint8_t *batch; /* records as they will be written; their crcs come with wal_sync */
    uint32_t batch_len, batch_max, batch_records;
    struct wal_group appended[WAL_GROUPS_MAX], written[WAL_GROUPS_MAX];
    uint64_t batch_highest[WAL_GROUPS_MAX];

    struct wal_segment *active; /* written to; the last of the list; NULL: none */
    int fd;
    uint32_t end, synced, seed, chain;

    bool failed;
    char error[WAL_TEXT_BYTES], upkeep_error[WAL_TEXT_BYTES];

    struct lock next_lock; /* the next segment; held while it is made */
    int next_fd;           /* -1: not made */
    uint64_t next_number;

    struct lock list_lock; /* the list, the counters, the floors */
    struct list segments;
    struct wal_stat stat;
    uint64_t floors[WAL_GROUPS_MAX];
};

/* format.c */
void wal_header_put(uint8_t at[WAL_HEADER_BYTES], const struct wal *w,
                    struct wal_header *h); /* sets h->seed */
bool wal_header_sound(const uint8_t *at);
/* NULL: it is of this log and number. Otherwise what it is not. */
const char *wal_header_get(const uint8_t *at, const struct wal *w, uint64_t number, struct wal_header *out);
void wal_record_put(uint8_t *at, const struct wal_record *r);
/* Completes a record that will be at an offset behind chain; its crc is the next chain. */
uint32_t wal_record_seal(uint8_t *at, uint32_t seed, uint32_t chain, uint32_t synced);
uint32_t wal_record_bytes(const uint8_t *at);
/* Is there a record, whole and unharmed? Does not look at its chain. */
bool wal_record_sound(const struct wal_image *image, uint32_t offset);
bool wal_head_sound(const struct wal_image *image, uint32_t offset);
/* The same of `left` bytes that begin with a record. */
bool wal_record_is_whole(const uint8_t *at, uint32_t left, uint32_t seed);
uint32_t wal_record_synced(const uint8_t *at);
uint32_t wal_record_chain(const uint8_t *at);
uint32_t wal_record_crc(const uint8_t *at);
void wal_record_get(const uint8_t *at, struct wal_record *out);

/* segment.c */
void wal_segment_name(char name[WAL_NAME_BYTES], uint64_t number);
/* Says in text that `what` failed with errno on a file, and which error that is. */
enum err wal_fail(const struct wal *w, char text[WAL_TEXT_BYTES], const char *what, const char *name);
/* How much was written: less than n, and errno, when it failed. */
uint32_t wal_write_all(const struct wal *w, int fd, const uint8_t *from, uint32_t n, uint32_t at);
struct wal_segment *wal_segment_add(struct wal *w, uint64_t number, uint32_t end, uint32_t file_bytes);

void wal_segment_drop_locked(struct wal *w, struct wal_segment *s);

/* numbers.c */
/* Of the segments in the log's directory, ascending; the caller frees `at`. -1 and errno when it fails. */
struct wal_numbers {
    uint64_t *at;
    size_t count, room;
    bool has_copy, no_memory;
};
int wal_numbers_list(const struct wal *w, struct wal_numbers *out);

/* read.c */
int wal_read_all(const struct wal *w, int fd, uint8_t *to, uint32_t n, uint32_t at);
/* Reads a segment, or its beginning; the image is at least a header long. errno when it fails: EFBIG, it is
 * longer than any can be. */
int wal_image_load(const struct wal *w, uint64_t number, uint32_t bytes_max, struct wal_image *out);
void wal_image_fini(struct wal_image *image);
/* The length of what is not zero. */
uint32_t wal_image_used(const struct wal_image *image);

/* recover.c */
enum err wal_recover(struct wal *w, struct wal_report *report);

#endif
