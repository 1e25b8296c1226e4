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
#include "store/tables.h"
#include "store_sqlite/db.h"
#include "store_sqlite/store_disk.h"
#include "wal/wal.h"

enum {
    /* A fold begins when so much waits for it, or when the first of it has waited this long. */
    FOLD_BYTES = 8 * 1024 * 1024,
    FOLD_COMMANDS = 50000,
    FOLD_AFTER_MS = 1000,
    /* The journal waits for the fold from here on. */
    UNFOLDED_BYTES_MAX = 32 * 1024 * 1024,
};

enum disk_mail { MAIL_COMMAND = JOURNAL_MAIL_COMMAND, MAIL_PAGE, MAIL_FOLDED, MAIL_PAGE_READ, MAIL_STOP };
enum record_type { RECORD_COMMAND = 1, RECORD_PART = 2 };

/* Commands in order of position, and for each target of each whether it still waits. */
struct fold {
    struct mail mail;
    struct command **commands;
    size_t count;
    bool *live; /* for all targets of all commands, one after another */
    uint64_t upto;
};

struct store_disk {
    struct store_disk_conf conf;
    struct wal *wal;
    struct tables *tables;
    struct db *writer, *reader;
    uint64_t boot_no;
    bool runs;

    /* the journal's thread */
    struct mailbox mailbox;
    struct thread journal;
    struct mail stop;
    uint64_t position, submitted;
    struct command **unfolded; /* applied, not given to a fold yet */
    size_t unfolded_count, unfolded_room, unfolded_bytes, folding_bytes;
    uint64_t unfolded_since_ms;
    bool is_folding, stopping;
    uint32_t reading_count;        /* pages that the reader has */
    bool has_unsynced, is_awaited; /* in the log's batch: anything, and something that somebody waits for */
    uint8_t *scratch;
    size_t scratch_room;

    /* the fold's and the reader's threads */
    struct mailbox fold_box, reader_box;
    struct thread fold, read;
    struct mail fold_stop, reader_stop;
};

/* The process ends: what is on the disk is recovered by the next start. */
_Noreturn void disk_fail(struct store_disk *s, const char *doing, const char *why);

/* For the operator: what the tables' last failure was, and what to do. NULL db: they could not be opened. */
void disk_explain(const struct store_disk *s, const struct db *db, enum err rc,
                  char text[STORE_DISK_TEXT_BYTES]);

/* disk_log.c */
void disk_append(struct store_disk *s, const struct command *c);
void disk_sync(struct store_disk *s);

/* disk_fold.c */
void disk_fold_thread(void *arg);
void disk_note_unfolded(struct store_disk *s, struct command *c);
void disk_fold_if_due(struct store_disk *s, bool now);
void disk_folded(struct store_disk *s, struct fold *f);
enum err disk_recover(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES]);

/* disk_read.c */
void disk_reader_thread(void *arg);
void disk_page(struct store_disk *s, struct store_page *p);
void disk_page_read(struct store_disk *s, struct store_page *p);

#endif
