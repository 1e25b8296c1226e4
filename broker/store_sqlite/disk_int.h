/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk_int - the three threads of store_disk and what passes between them.
 *
 * Thread:  each struct says whose it is.
 * Memory:  a fold's commands are the journal's, lent to the fold until it answers.
 * Limits:  below.
 * Errors:  see store_disk.h.
 * Tests:   see store_disk.h.
 */
#ifndef STORE_SQLITE_DISK_INT_H
#define STORE_SQLITE_DISK_INT_H

#include "base/mailbox.h"
#include "base/thread.h"
#include "store/order.h"
#include "store/tables.h"
#include "store_sqlite/db.h"
#include "store_sqlite/order_wal.h"
#include "store_sqlite/origins.h"
#include "store_sqlite/space.h"
#include "store_sqlite/store_disk.h"

enum {
    /* A fold begins when a third of what may wait does, or so many commands, or when the first of them has
     * waited this long. */
    FOLD_PART = 3,
    MEMORY_PART = 8, /* of memory_limit: what may wait for folds at most; */
    CACHE_PART = 16, /* what SQLite keeps of the tables, unless that is more than it does anyway */
    CACHE_BYTES_USUAL = 32 * 1024 * 1024,
    UNFOLDED_BYTES_MIN = 1024 * 1024,
    SCRATCH_KEPT_BYTES = 1024 * 1024,
    FOLD_COMMANDS = 50000,
    FOLD_AFTER_MS = 1000,
    FOLD_LAST_MS = 1000, /* a fold goes on for so long when the process ends */
    FOLD_SLICE_MS = 20,  /* the longest transaction; the last of a fold is the one that syncs */
    /* An idle broker writes down that it lives: session expiry counts from there after a crash. */
    HEARTBEAT_MS = 30 * 1000,
    SETTLE_AFTER_MS = 1000, /* without a fold: SQLite's log and free memory go back to the system */
    SPACE_LOOK_MS = 200,
    FULL_RETRY_MS = 100,
};

enum disk_mail {
    MAIL_COMMAND = JOURNAL_MAIL_COMMAND,
    MAIL_PAGE,
    MAIL_FOLDED,
    MAIL_PAGE_READ,
    MAIL_IDS,
    MAIL_IDS_READ,
    MAIL_ORDER,
    MAIL_HURRY, /* to the fold and back: the broker ends; what finds no room is in the log */
    MAIL_STOP
};

/* Commands in order of position, stale ones too, and for each target of each whether it still waits. */
struct fold {
    struct mail mail;
    struct command **commands;
    size_t count;
    bool *live; /* db_marks() for each command, one after another */
    bool *acts; /* for each command: does it change the tables? */
    uint64_t upto, heartbeat_ms;
    struct origins origins; /* before the first of them */
    bool repeats_ids;       /* a packet id came twice: each is written, be it released by now */
    bool gave_up;           /* there was no room, and no time */
};

struct store_disk {
    struct store_disk_conf conf;
    struct order order;
    struct order_sink order_sink;
    bool has_log; /* the order is order_wal */
    int dir_fd;
    struct space space;
    struct tables *tables;
    struct db *writer, *reader;
    struct db_meta meta;
    bool runs;

    /* the journal's thread */
    struct mailbox mailbox;
    struct thread journal;
    struct mail stop, hurry;
    uint64_t position, stamp_ms, submitted;
    struct origins origins, origins_given; /* as applied; as at the end of the last fold */
    struct mail *pending,
        **pending_end;         /* commands that were proposed and have not come back, oldest first */
    struct command **unfolded; /* applied or stale, not given to a fold yet */
    size_t unfolded_count, unfolded_room, unfolded_bytes, folding_bytes;
    uint64_t mono_ms, wall_ms; /* when this batch began */
    uint64_t unfolded_since_ms, space_looked_ms;
    uint64_t folds_gathered;
    uint64_t unpurged_bytes; /* in the log since it was purged */
    uint64_t unlooked_bytes; /* proposed since we looked at the space */
    bool is_folding, stopping, is_low;
    bool is_hurrying, has_given_up; /* the mail is with the fold; what is unfolded stays in the log */
    enum err undecoded;             /* of the record at position, at boot */
    bool is_awaited;                /* something is not settled that somebody waits for */
    uint32_t reading_count;         /* pages that the reader has */
    uint8_t *scratch;
    size_t scratch_room;

    /* the fold's and the reader's threads */
    struct mailbox fold_box, reader_box;
    struct thread fold, read;
    struct mail fold_stop, reader_stop;
    bool is_hurried, tidies_again; /* the fold's: told to be quick; tidying found no room the last time */
};

/* The process ends: what is on the disk is recovered by the next start. */
_Noreturn void disk_fail(struct store_disk *s, const char *doing, const char *why);

/* The same, with what the tables say; damage is marked for the next start. */
_Noreturn void disk_db_fail(struct store_disk *s, const char *doing, const struct db *db, enum err rc);

/* A write found no room: the ballast goes, or we wait a little. Until the caller has tried again. */
void disk_wait_for_room(struct store_disk *s);

/* disk_journal.c */
void disk_journal_thread(void *arg);
void disk_settle(struct store_disk *s);
enum err disk_applied(void *store, uint64_t position, struct bytes record);
void disk_unknown(void *store);
void disk_wake(void *store, struct mail *m);

/* disk_fold.c */
void disk_fold_thread(void *arg);
void disk_note_unfolded(struct store_disk *s, struct command *c);
void disk_fold_if_due(struct store_disk *s, bool now);
void disk_folded(struct store_disk *s, struct fold *f);
enum err disk_fold_boot(struct store_disk *s); /* what is unfolded, at once, on the calling thread */

/* disk_read.c */
void disk_reader_thread(void *arg);
void disk_page(struct store_disk *s, struct store_page *p);
void disk_page_read(struct store_disk *s, struct store_page *p);
void disk_ids(struct store_disk *s, struct store_ids *p);
void disk_ids_read(struct store_disk *s, struct store_ids *p);

#endif
