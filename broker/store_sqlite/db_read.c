/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/db_int.h"

/* Pages for sessions that come back, and for whoever asks what waits for one. */

static enum err read_rows(struct db *db, struct store_page *p)
{
    sqlite3_stmt *s = db_statement(db, SQL_page);
    if (s == NULL) return db_fail(db, "page");
    db_bind_u64(s, 1, p->session_no);
    db_bind_u64(s, 2, p->after);
    sqlite3_bind_int(s, 3, (int)(p->limit < PAGE_ENTRIES_MAX ? p->limit : PAGE_ENTRIES_MAX));

    int step = SQLITE_ROW;
    size_t bytes = 0;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && p->count < PAGE_ENTRIES_MAX && bytes < PAGE_BYTES_MAX &&
           (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_row *row = &p->rows[p->count];
        int flags = sqlite3_column_int(s, 1);
        *row = (struct store_row){ .seq = (uint64_t)sqlite3_column_int64(s, 0),
                                   .qos = (uint8_t)(flags & 3),
                                   .retain = (flags & 4) != 0,
                                   .released = (flags & 8) != 0,
                                   .packet_id = (uint16_t)(flags >> 16) };
        rc = db_read_message(s, 2, &row->msg);
        if (rc == ERR_OK) bytes += msg_bytes(p->rows[p->count++].msg);
    }
    if (rc == ERR_OK && step != SQLITE_ROW && step != SQLITE_DONE) rc = db_fail(db, "page");
    sqlite3_reset(s);
    return rc;
}

static enum err read_ids(struct db *db, struct store_ids *p)
{
    sqlite3_stmt *s = db_statement(db, SQL_ids);
    if (s == NULL) return db_fail(db, "ids");
    db_bind_u64(s, 1, p->session_no);
    db_bind_u64(s, 2, p->after);
    sqlite3_bind_int(s, 3, (int)(p->limit < IDS_ENTRIES_MAX ? p->limit : IDS_ENTRIES_MAX));

    int step = SQLITE_ROW;
    while (p->count < IDS_ENTRIES_MAX && (step = sqlite3_step(s)) == SQLITE_ROW) {
        int flags = sqlite3_column_int(s, 1);
        p->rows[p->count++] = (struct store_id){
            .seq = (uint64_t)sqlite3_column_int64(s, 0),
            .expires_ms = (uint64_t)sqlite3_column_int64(s, 3),
            .payload_bytes = (uint32_t)sqlite3_column_int64(s, 2),
            .qos = (uint8_t)(flags & 3),
            .retain = (flags & 4) != 0,
        };
    }
    enum err rc = step == SQLITE_ROW || step == SQLITE_DONE ? ERR_OK : db_fail(db, "ids");
    sqlite3_reset(s);
    return rc;
}

static enum err begin_read(struct db *db, uint64_t *snapshot)
{
    enum err rc = db_run(db, db_statement(db, SQL_begin_read));
    if (rc == ERR_OK) *snapshot = db_applied(db);
    return rc;
}

static enum err end_read(struct db *db, enum err rc)
{
    enum err end = db_run(db, db_statement(db, SQL_commit));
    return rc == ERR_OK ? end : rc;
}

enum err db_page(struct db *db, struct store_page *p)
{
    p->count = 0;
    enum err rc = begin_read(db, &p->snapshot);
    return rc == ERR_OK ? end_read(db, read_rows(db, p)) : rc;
}

enum err db_ids(struct db *db, struct store_ids *p)
{
    p->count = 0;
    enum err rc = begin_read(db, &p->snapshot);
    return rc == ERR_OK ? end_read(db, read_ids(db, p)) : rc;
}
