/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_disk - the journal on this machine's disk, and the queues in SQLite behind it.
 *
 * Three threads. The journal gives commands to the order (a log of its own, or a cluster's), applies in RAM
 * what comes back, syncs once for all that came meanwhile, and only then lets anybody see what happened. The
 * fold writes what is still unacknowledged into the tables, in the background; the log's segments below its
 * synced commits go. The reader reads pages.
 *
 * Thread:  start and stop from main; see journal.h and store.h for the rest.
 * Memory:  the unfolded tail: rows and messages, at most UNFOLDED_BYTES_MAX of messages before the journal
 *          waits for the fold.
 * Limits:  conf->limits for each session.
 * Errors:  store_disk_open: the error, and a text for the operator. A write or sync that fails later ends the
 *          process: nothing that is not durable may be acknowledged, and a restart recovers. Without room
 *          publishes are refused before that, and everything waits rather than fails.
 * Tests:   tests/contract/journal_*.c, tests/unit/test_store_disk.c, tests/unit/test_fold_slices.c,
 *          tests/e2e/test_kill9.py
 */
#ifndef STORE_SQLITE_STORE_DISK_H
#define STORE_SQLITE_STORE_DISK_H

#include "base/clock.h"
#include "log/log.h"
#include "metrics/metrics.h"
#include "store/backlog.h"
#include "store/journal.h"
#include "store/order.h"
#include "store/restore.h"
#include "store/store.h"

enum { STORE_DISK_TEXT_BYTES = 1024 };

struct store_disk;

struct store_disk_conf {
    struct journal_sink sink;
    const struct order *order; /* taken, and closed at the end; NULL: a log of its own in dir */
    const char *dir;
    bool sets_damaged_aside; /* and begins with nothing */
    bool sync;               /* false: survives the end of the process, not a loss of power */
    struct backlog_limits limits;
    uint64_t memory_limit; /* of the process; 0: none */
    struct log *log;
    struct metrics_shard *metrics; /* the journal's block; NULL: not counted */
    const struct clock *clock;
};

/* Opens, recovers, and shows what was there to `restore`; then store_disk_run lets the threads begin. */
enum err store_disk_open(struct store_disk **out, const struct store_disk_conf *conf,
                         const struct restore_sink *restore, char text[STORE_DISK_TEXT_BYTES]);
enum err store_disk_run(struct store_disk *s);

/* Which start of this store it is: 1 for the first. */
uint64_t store_disk_boot_no(const struct store_disk *s);

/* What client ids are hashed with, for what outlives a process. */
uint64_t store_disk_client_key(const struct store_disk *s);

/* Applies and folds what was submitted, then stops. No shard may submit any more. */
void store_disk_stop(struct store_disk **owner);

struct journal store_disk_journal(struct store_disk *s);
struct store store_disk_store(struct store_disk *s);

#endif
