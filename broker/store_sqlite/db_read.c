/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/db_int.h"

/* Pages for sessions that come back, and all but the queues at boot. */

static enum err read_rows(struct db *db, struct store_page *p)
{
    sqlite3_stmt *s = db_statement(db, SQL_page);
    if (s == NULL) return db_fail(db, "page");
    db_bind_u64(s, 1, p->session_no);
    db_bind_u64(s, 2, p->after);
    sqlite3_bind_int(s, 3, (int)(p->limit < PAGE_ENTRIES_MAX ? p->limit : PAGE_ENTRIES_MAX));

    int step = SQLITE_ROW;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && p->count < PAGE_ENTRIES_MAX && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct store_row *row = &p->rows[p->count];
        int flags = sqlite3_column_int(s, 1);
        *row = (struct store_row){ .seq = (uint64_t)sqlite3_column_int64(s, 0),
                                   .qos = (uint8_t)(flags & 3),
                                   .retain = (flags & 4) != 0 };
        rc = db_read_message(s, 2, &row->msg);
        if (rc == ERR_OK) p->count++;
    }
    if (rc == ERR_OK && step != SQLITE_ROW && step != SQLITE_DONE) rc = db_fail(db, "page");
    sqlite3_reset(s);
    return rc;
}

enum err db_page(struct db *db, struct store_page *p)
{
    p->count = 0;
    enum err rc = db_run(db, db_statement(db, SQL_begin_read));
    if (rc != ERR_OK) return rc;
    p->snapshot = db_applied(db);
    rc = read_rows(db, p);
    enum err end = db_run(db, db_statement(db, SQL_commit));
    return rc == ERR_OK ? end : rc;
}

static struct bytes column_bytes(sqlite3_stmt *s, int at)
{
    const void *data = sqlite3_column_blob(s, at);
    return bytes_of(data, (size_t)sqlite3_column_bytes(s, at));
}

static void see_session(sqlite3_stmt *s, const struct db_visitor *v)
{
    struct command claim = { .kind = COMMAND_CLAIM };
    claim.session_no = (uint64_t)sqlite3_column_int64(s, 0);
    claim.data = column_bytes(s, 1);
    claim.claim_no = (uint64_t)sqlite3_column_int64(s, 2);
    claim.expiry_s = (uint32_t)sqlite3_column_int64(s, 3);
    v->session(v->ctx, &claim);
}

static void see_subscription(sqlite3_stmt *s, const struct db_visitor *v)
{
    v->subscription(v->ctx, (uint64_t)sqlite3_column_int64(s, 0), column_bytes(s, 1),
                    (uint8_t)sqlite3_column_int(s, 2));
}

static void see_retained(sqlite3_stmt *s, const struct db_visitor *v)
{
    struct msg *m;
    if (db_read_message(s, 2, &m) != ERR_OK) return;
    v->retained(v->ctx, m, (uint64_t)sqlite3_column_int64(s, 0));
    msg_unref(&m);
}

static enum err see_all(struct db *db, enum statement which,
                        void (*see)(sqlite3_stmt *, const struct db_visitor *), const struct db_visitor *v)
{
    sqlite3_stmt *s = db_statement(db, which);
    int step = SQLITE_ERROR;
    while (s != NULL && (step = sqlite3_step(s)) == SQLITE_ROW) see(s, v);
    enum err rc = step == SQLITE_DONE ? ERR_OK : db_fail(db, "boot");
    if (s != NULL) sqlite3_reset(s);
    return rc;
}

enum err db_visit(struct db *db, const struct db_visitor *v)
{
    enum err rc = see_all(db, SQL_sessions, see_session, v);
    if (rc == ERR_OK) rc = see_all(db, SQL_subs, see_subscription, v);
    if (rc == ERR_OK) rc = see_all(db, SQL_retained_all, see_retained, v);
    return rc;
}
