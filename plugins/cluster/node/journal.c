/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's thread: a batch comes, is made durable, and goes back. While one is with it the loop fills
 * the other; so what comes during a sync shares the next. */
#include "node/node_int.h"
#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES_AT_FIRST = 1024 * 1024, RECORD_HEAD_BYTES = 5 };

/* --- the loop's side */

static uint8_t *room_for(struct node *n, struct batch *b, size_t bytes)
{
    if (bytes > b->room - b->len) {
        size_t room = b->room == 0 ? (size_t)BATCH_BYTES_AT_FIRST : b->room;
        while (bytes > room - b->len) room *= 2;
        uint8_t *grown = realloc(b->at, room);
        if (grown == NULL) node_fail(n, "out of memory for records that wait for the disk");
        b->at = grown;
        b->room = room;
    }
    uint8_t *at = b->at + b->len;
    b->len += bytes;
    return at;
}

void journal_put(struct node *n, const struct zab_at *at, const struct zab_record *r)
{
    struct batch *b = n->filling;

    if (wire_record_encode(&n->out, r) != ERR_OK) node_fail(n, "a record of the core's cannot be encoded");
    uint32_t len = wire_out_bytes(&n->out);
    uint8_t *to = room_for(n, b, len + RECORD_HEAD_BYTES);
    memcpy(to, &len, sizeof len);
    to[4] = r->kind;
    if (wire_out_copy(&n->out, to + RECORD_HEAD_BYTES, len) != len)
        node_fail(n, "a record has another length than it says");
    n->lsn++;
    if (b->first_lsn == 0) b->first_lsn = n->lsn;
    b->last_lsn = n->lsn;
    b->last = *at;
    if (index_note(&n->index, r, n->lsn) != ERR_OK) node_fail(n, "out of memory for the log's index");
}

void journal_hand_over(struct node *n)
{
    struct batch *b = n->filling;

    if (n->written != NULL || b->first_lsn == 0) return;
    n->written = b;
    n->filling = b == &n->batches[0] ? &n->batches[1] : &n->batches[0];
    b->mail.kind = MAIL_BATCH;
    mailbox_send(&n->journal_box, &b->mail);
}

/* One that was large, after a disk that was full, gives its memory back. */
static void empty(struct batch *b)
{
    b->len = 0;
    b->first_lsn = b->last_lsn = 0;
    if (b->room <= 8 * (size_t)BATCH_BYTES_AT_FIRST) return;
    free(b->at);
    b->at = NULL;
    b->room = 0;
}

void journal_stored(struct node *n, struct batch *b)
{
    struct zab_event event = { .kind = ZAB_STORED, .at = b->last };

    n->durable_lsn = b->last_lsn;
    n->written = NULL;
    empty(b);
    node_step(n, &event);
    journal_hand_over(n);
}

/* --- the thread's */

static void set_full(struct node *n, bool is_full)
{
    lock_take(&n->lock);
    n->is_full = is_full;
    lock_release(&n->lock);
}

/* Until there is room. False: stopped meanwhile; nothing of the batch is said to be durable. */
static bool sync_batch(struct node *n)
{
    enum err rc = wal_sync(n->wal);
    bool waited = false;

    while (rc == ERR_FULL || rc == ERR_NOMEM) {
        if (!waited) set_full(n, true);
        waited = true;
        if (mailbox_wait_for(&n->journal_box, FULL_RETRY_MS) != NULL) return false; /* only a stop can come */
        rc = wal_sync(n->wal);
    }
    if (rc != ERR_OK) node_fail(n, wal_error(n->wal));
    if (waited) set_full(n, false);
    return true;
}

static bool append(struct node *n, const struct wal_record *r)
{
    enum err rc = wal_append(n->wal, r);

    if (rc == ERR_AGAIN) {
        if (!sync_batch(n)) return false;
        rc = wal_append(n->wal, r);
    }
    if (rc != ERR_OK) node_fail(n, "a record does not follow the last one of the log");
    return true;
}

static bool write_batch(struct node *n, const struct batch *b)
{
    uint64_t lsn = b->first_lsn;

    for (size_t at = 0; at < b->len; lsn++) {
        uint32_t len;
        memcpy(&len, b->at + at, sizeof len);
        const struct wal_record r = { .type = b->at[at + 4],
                                      .first = lsn,
                                      .last = lsn,
                                      .prev = lsn - 1,
                                      .payload = bytes_of(b->at + at + RECORD_HEAD_BYTES, len) };
        if (!append(n, &r)) return false;
        at += RECORD_HEAD_BYTES + len;
    }
    return sync_batch(n);
}

static void run(void *arg)
{
    struct node *n = arg;

    for (;;) {
        struct mail *m = mailbox_wait(&n->journal_box);
        while (m != NULL) {
            struct mail *next = m->next;
            if (m->kind == MAIL_STOP) return;
            struct batch *b = CONTAINER(m, struct batch, mail);
            if (!write_batch(n, b)) return;
            mailbox_send(&n->box, &b->mail);
            m = next;
        }
    }
}

enum err journal_start(struct node *n)
{
    return thread_start(&n->journal, "zab journal", run, n);
}
