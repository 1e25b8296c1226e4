/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wal - the journal's files: records gathered into a batch, made durable together, read back after a crash.
 *
 *   wal_open -> wal_replay -> { wal_append ... wal_sync } ... -> wal_close
 *
 * The log is a row of segments, 0000000000000001.wal and on; wal_int.h draws the format. It opens as one of
 *
 * - clean: the last batch is complete;
 * - torn: the last batch was never made durable, and what it lacks are zeros, as a crash leaves them. It is
 *   dropped from its first bad record on; it was not acknowledged;
 * - damaged: anything else, as a bad record below one that was written when it was durable, a segment that
 *   is missing, bytes that no crash leaves. Refused, with file and offset; nothing is changed.
 *
 * A segment that was in use is not written again. Its records are copied into a file that is synced and takes
 * its name: after a failed fsync the page cache may show what the disk does not have.
 *
 * Thread:  the journal's, but for wal_prepare, wal_purge and wal_upkeep_error, which belong to one other
 *          thread that stops before wal_close, and for wal_stat, which anyone may call.
 * Memory:  one batch; and one segment while it is opened or replayed. Payloads are copied, or lent to each.
 * Limits:  WAL_PAYLOAD_BYTES_MAX a record, WAL_BATCH_BYTES_MAX a batch, WAL_GROUPS_MAX groups. When the power
 *          is lost a sector of the device keeps its old bytes or has the new ones.
 * Errors:  ERR_FULL: no room; nothing of the batch was written, it may be tried again.
 *          ERR_SYS: the log must not be used any more; wal_error says why. Stop the process.
 * Tests:   tests/unit/test_wal*.c, tests/fuzz/fuzz_wal.c
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include "base/bytes.h"
#include "base/err.h"
#include "wal/wal_io.h"

struct wal;

enum {
    WAL_HEADER_BYTES = 4096, /* before the first record of a segment */
    WAL_HEAD_BYTES = 48,     /* before the payload of a record; one byte follows it */
    WAL_RECORD_BYTES_MAX = 1024 * 1024,
    WAL_PAYLOAD_BYTES_MAX = WAL_RECORD_BYTES_MAX - WAL_HEAD_BYTES - 1,
    WAL_BATCH_BYTES_MAX = 4 * 1024 * 1024,
    WAL_SEGMENT_BYTES_MAX = 1024 * 1024 * 1024,
    WAL_SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,
    WAL_GROUPS_MAX = 64,
    WAL_TEXT_BYTES = 512,
};

enum wal_durability {
    WAL_DISK, /* wal_sync ends with one fdatasync: survives a loss of power */
    WAL_OS,   /* wal_sync ends with the write: survives the end of the process */
};

struct wal_conf {
    const char *dir;         /* exists, is writable, and is on one disk */
    const struct wal_io *io; /* NULL: the system's */
    uint32_t segment_bytes;  /* 0: the default */
    uint32_t node_id;        /* a log of another node or cluster is refused */
    uint64_t cluster_id;
    uint16_t groups; /* 0: one */
    enum wal_durability durability;
};

/* Types above 0 are the caller's, and so is the meaning of positions: the log knows their order as a chain.
 */
struct wal_record {
    uint16_t group;
    uint8_t type;
    uint64_t first, last; /* positions it spans, first <= last */
    uint64_t prev;        /* last of the record before it in its group */
    struct bytes payload;
};

enum wal_verdict { WAL_CLEAN, WAL_TORN, WAL_DAMAGED, WAL_FOREIGN, WAL_LOCKED, WAL_FAILED };

struct wal_report {
    enum wal_verdict verdict;
    uint64_t records, segments;
    uint64_t torn_bytes;       /* dropped, when torn */
    char text[WAL_TEXT_BYTES]; /* for the operator: what, where, what to do; empty when clean */
};

struct wal_stat {
    uint64_t appends, batches, bytes; /* written: records, wal_syncs that wrote, bytes of records */
    uint64_t syncs;                   /* calls of fdatasync on the journal's thread */
    uint64_t waits;                   /* segments that were not ready when they were needed */
    uint64_t segments, disk_bytes;    /* on the disk now, without the prepared one */
};

/* Locks dir, reads the whole log and judges it. Fails with the report filled: ERR_SYNTAX damaged; ERR_RANGE
 * of another node, cluster or version, or conf is wrong; ERR_AGAIN used by another process; ERR_FULL,
 * ERR_SYS, ERR_NOMEM. Whatever it reports as a record is durable. */
enum err wal_open(struct wal **out, const struct wal_conf *conf, struct wal_report *report);

/* Ends with a sync when there was none (WAL_OS): its result. A batch that waits is forgotten. */
enum err wal_close(struct wal **owner);

/* Calls each for all records of a group that end after `after`, in order, until it fails, and returns its
 * error. Before the other thread begins. ERR_NOTFOUND, with wal_error: records between `after` and the
 * beginning of the log are missing. */
enum err wal_replay(struct wal *w, uint16_t group, uint64_t after,
                    enum err (*each)(void *arg, const struct wal_record *record), void *arg);

/* The position that the next record of a group must have as prev: the last one's, appended or read. 0: none
 * yet, and the first may have any. */
uint64_t wal_last(const struct wal *w, uint16_t group);

/* Puts a copy of r into the batch. ERR_AGAIN: the batch is full, sync first. ERR_RANGE: r is too long, or
 * does not follow the last record of its group. */
enum err wal_append(struct wal *w, const struct wal_record *r);

/* Writes the batch: one write, one fdatasync (WAL_DISK). ERR_OK: it is as durable as was asked for. */
enum err wal_sync(struct wal *w);

/* Forgets the batch, after ERR_FULL. */
void wal_discard(struct wal *w);

/* Makes the next segment, when there is none, so that wal_sync need not: it costs the writing of a whole
 * segment. ERR_FULL: no room; nothing is left behind. */
enum err wal_prepare(struct wal *w);

/* Nobody needs the records of this group below this position any more: removes the segments at the front that
 * no group needs. */
enum err wal_purge(struct wal *w, uint16_t group, uint64_t below);

struct wal_stat wal_stat(struct wal *w);

/* Copies the segments in the directory `from` into the empty directory `to`, and syncs them but not the
 * directory. Another process may write the log meanwhile. What was durable in `from` when the call began is
 * in the copy, but for segments that were purged before they were read; the copy may end in a torn batch,
 * which wal_open drops. io NULL: the system's. Fails with text. */
enum err wal_copy(const char *from, const char *to, const struct wal_io *io, char text[WAL_TEXT_BYTES]);

/* Has a process the log in dir open? Its id is then in pid, when it is known. */
bool wal_is_in_use(const char *dir, long *pid);

/* What failed last in a call of the journal's thread, and of the other; empty when nothing did. */
const char *wal_error(const struct wal *w);
const char *wal_upkeep_error(const struct wal *w);

#endif
