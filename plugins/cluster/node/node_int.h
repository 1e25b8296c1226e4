/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_int - what the files of this module share.
 *
 *   node.c     open, close, the loop            effects.c  what the core asks for
 *   restore.c  what is on the disk at a start   journal.c  batches of records
 *   reader.c   entries for learners             keeper.c   snapshots, purges
 *   sender.c   snapshots on their way to learners
 *
 * Thread:  the loop's, but for the mailboxes, and for jobs, which are of the thread that they were sent to.
 * Memory:  struct node owns all of it.
 * Limits:  see node.h
 * Errors:  see node.h
 * Tests:   see node.h
 */
#ifndef NODE_NODE_INT_H
#define NODE_NODE_INT_H

#include "base/list.h"
#include "base/lock.h"
#include "base/mailbox.h"
#include "base/thread.h"
#include "node/index.h"
#include "node/node.h"
#include "peer/peer.h"
#include "wal/wal.h"
#include "wal/wal_reader.h"
#include "wire/wire.h"

enum {
    FULL_RETRY_MS = 100,
    PREPARE_EACH_MS = 200,
    SENDERS_MAX = ZAB_NODES_MAX,
    SENDER_QUEUED_BYTES = 1024 * 1024, /* of a snapshot waiting in one session */
    EVENTS_A_TURN = 64,
    AHEAD_ENTRIES = 4096, /* read at once */
    AHEAD_BYTES = 1024 * 1024,
    AHEADS_MAX = ZAB_NODES_MAX, /* of learners that read on */
    ANSWERS_A_TURN = 64,
};

enum node_mail { MAIL_BATCH, MAIL_READ, MAIL_SAVE, MAIL_INSTALL, MAIL_PURGE, MAIL_STOP };

/* Records that become durable together: of each a u32 length, a byte of kind, and the payload. */
struct batch {
    struct mail mail;
    uint8_t *at;
    size_t len, room;
    uint64_t first_lsn, last_lsn; /* 0: it is empty */
    struct zab_at last;
};

/* Entries after `after`, and some more: who reads on has them already. */
struct read_job {
    struct mail mail;
    struct read_job *next; /* of those that wait for the end of the turn, or until more is durable */
    struct zab_at at;
    uint64_t after, lsn, durable, appended;
    uint32_t bytes_max; /* of one answer */
    uint32_t count, taken;
    struct index_cuts cuts;
    uint64_t cuts_seen; /* of the node's cuts_made: with more of them it may have what was cut off */
    struct zab_entry *entries;
    uint8_t *payloads;
    size_t used, room;
    uint64_t last_lsn;
    bool has_gap;
    enum err rc;
};

struct save_job {
    struct mail mail;
    bool is_busy;
    void *frozen;
    struct snap_writer writer;
    struct snap_head head;
    enum err rc;
};

struct install_job {
    struct mail mail;
    bool is_busy;
    struct snap_writer writer;
    struct snap_head head;
    struct zab_at at;
    enum err rc;
};

struct purge_job {
    struct mail mail;
    bool is_busy;
    uint64_t below, prev; /* lsn; and the zxid where the log then begins */
    uint64_t keep;        /* snapshots from here on */
};

/* A snapshot on its way to a learner. peer 0: none. */
struct sender {
    uint16_t peer;
    uint64_t session;
    uint32_t epoch;
    struct zab_at at;
    uint64_t at_least; /* it waits for a snapshot that reaches this; then 0 */
    struct snap_reader from;
    uint64_t offset;
};

struct node {
    struct conf conf;
    struct node_machine machine;
    struct node_sink sink;
    struct zab *zab;
    struct zab_effects fx;
    struct peers *peers;
    struct mailbox box; /* to the loop */
    int epoll_fd, dir_fd;
    uint64_t now_ms;
    bool is_stopping, has_threads, is_damaged, was_full;
    bool is_reading; /* somebody's READ can be answered without waiting */

    struct wal *wal;
    struct index index;
    uint64_t lsn, durable_lsn;
    struct batch batches[2], *filling, *written; /* written: with the journal, NULL: it is idle */
    struct wire_out out;

    struct mailbox journal_box, reader_box, keeper_box;
    struct thread journal, reader, keeper;
    struct wal_reader *wal_reader; /* the reader's thread */
    struct read_job *parked;
    struct read_job *ahead[AHEADS_MAX];
    unsigned ahead_oldest;
    uint64_t cuts_made;
    struct lock lock; /* is_full */
    bool is_full;

    struct snap_list snaps;
    struct snap_writer incoming;
    struct save_job save;
    struct install_job install;
    struct purge_job purge;
    struct zab_at refused_install; /* no 0: none */
    struct mail stop_journal, stop_reader, stop_keeper;
    struct sender senders[SENDERS_MAX];
    uint8_t chunk[ZAB_SNAP_CHUNK_BYTES_MAX];

    uint64_t applied, told_applied;
    struct zab_members applied_members;
    uint64_t since_entries, since_bytes; /* the last snapshot */
    uint64_t snap_at_entries, snap_at_bytes;
    uint64_t checkpoint_lsn; /* waits to be durable, then the log is purged; 0: none */
    uint64_t purged_ms;
    uint64_t truncs, installs, snaps_sent, reads, checkpoints;
};

void node_step(struct node *n, const struct zab_event *event);
void node_perform(struct node *n);
__attribute__((format(printf, 2, 3))) void node_line(struct node *n, const char *format, ...);
_Noreturn void node_fail(struct node *n, const char *text);

/* restore.c: the log is open, the state machine loaded, the core restored */
enum err node_restore(struct node *n, char text[NODE_TEXT_BYTES]);

/* journal.c */
enum err journal_start(struct node *n);
void journal_put(struct node *n, const struct zab_at *at, const struct zab_record *r);
void journal_hand_over(struct node *n);
void journal_stored(struct node *n, struct batch *b);

/* reader.c */
enum err reader_start(struct node *n);
void reader_ask(struct node *n, const struct zab_effect *fx);
void reader_done(struct node *n, struct read_job *job);
bool reader_go_on(struct node *n);  /* false: whoever waits does so for the disk */
void reader_forget(struct node *n); /* what was read ahead, or will have been: the log was cut */
void reader_job_free(struct read_job *job);

/* keeper.c */
enum err keeper_start(struct node *n);
void keeper_save_if_due(struct node *n);
void keeper_save(struct node *n);
void keeper_saved(struct node *n);
void keeper_install(struct node *n, const struct zab_effect *fx);
void keeper_installed(struct node *n);
void keeper_refuse_install(struct node *n); /* says so, when there is one to refuse */
void keeper_purge_if_due(struct node *n);
void keeper_purged(struct node *n);
void keeper_choose_next(struct node *n); /* when the next snapshot is due */

/* sender.c */
void sender_begin(struct node *n, const struct zab_effect *fx);
void sender_end_session(struct node *n, uint16_t peer, uint64_t session);
void sender_go_on(struct node *n);
void sender_fini(struct node *n);

#endif
