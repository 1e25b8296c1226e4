/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/db_int.h"
#include <stdlib.h>
#include <string.h>

/*
 * Rows on their way into the queues. Messages come for one session after the other; the table is in order of
 * sessions. Written one by one each row would look for its page, and find it pushed out of the processor's
 * caches by the others; gathered and sorted, those of a session follow each other into the same page.
 */

/* The bit of a session in the filter. */
static uint64_t *bit_of(struct db_rows *r, uint64_t session_no, uint64_t *mask)
{
    uint64_t hash = session_no * UINT64_C(0x9e3779b97f4a7c15) >> 52;
    *mask = UINT64_C(1) << (hash % 64);
    return &r->filter[hash / 64];
}

enum err db_rows_add(struct db *db, const struct db_row *row)
{
    struct db_rows *r = &db->rows;
    uint64_t mask;
    if (r->at == NULL) r->at = malloc(DB_ROWS_MAX * sizeof *r->at);
    if (r->at == NULL) return ERR_NOMEM;
    enum err rc = r->count == DB_ROWS_MAX ? db_rows_flush(db) : ERR_OK;
    if (rc != ERR_OK) return rc;
    r->at[r->count++] = *row;
    if (row->msg != NULL) msg_ref(row->msg);
    *bit_of(r, row->session_no, &mask) |= mask;
    return ERR_OK;
}

enum err db_rows_settle(struct db *db, uint64_t session_no, uint64_t upto)
{
    struct db_rows *r = &db->rows;
    uint64_t mask;
    if (r->count == 0 || upto < r->at[0].seq) return ERR_OK; /* they came in order of seq */
    return (*bit_of(r, session_no, &mask) & mask) != 0 ? db_rows_flush(db) : ERR_OK;
}

void db_rows_drop(struct db *db)
{
    struct db_rows *r = &db->rows;
    for (uint32_t i = 0; i < r->count; i++) msg_unref(&r->at[i].msg);
    r->count = 0;
    memset(r->filter, 0, sizeof r->filter);
}

static int by_key(const void *left, const void *right)
{
    const struct db_row *a = left, *b = right;
    if (a->session_no != b->session_no) return a->session_no < b->session_no ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static enum err write_row(struct db *db, const struct db_row *row)
{
    const struct msg *m = row->msg;
    sqlite3_stmt *s = db_statement(db, m != NULL ? SQL_enqueue : SQL_enqueue_bare);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, row->session_no);
    db_bind_u64(s, 2, row->seq);
    db_bind_u64(s, 3, row->flags);
    if (m != NULL) db_bind_message(s, 4, m);
    return db_run(db, s);
}

enum err db_rows_flush(struct db *db)
{
    struct db_rows *r = &db->rows;
    enum err rc = ERR_OK;
    if (r->count == 0) return ERR_OK;
    qsort(r->at, r->count, sizeof *r->at, by_key);
    for (uint32_t i = 0; i < r->count && rc == ERR_OK; i++) rc = write_row(db, &r->at[i]);
    db_rows_drop(db);
    return rc;
}
