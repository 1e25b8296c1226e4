/* SPDX-License-Identifier: Apache-2.0 */
#include "store/keepalive_row.h"
#include "store_sqlite/db_int.h"

/* What a start reads: all but the queues, and of these what limits must know. */

static struct bytes column_bytes(sqlite3_stmt *s, int at)
{
    const void *data = sqlite3_column_blob(s, at);
    return bytes_of(data, (size_t)sqlite3_column_bytes(s, at));
}

static uint64_t column_u64(sqlite3_stmt *s, int at)
{
    return (uint64_t)sqlite3_column_int64(s, at);
}

static enum err show_session(sqlite3_stmt *s, const struct db_restore *to)
{
    struct restore_session r = {
        .session_no = column_u64(s, 0),
        .client_id = column_bytes(s, 1),
        .claim_no = column_u64(s, 2),
        .expiry_s = (uint32_t)column_u64(s, 3),
        .offline_ms = column_u64(s, 4),
        .sent = column_u64(s, 5),
    };
    if (sqlite3_column_type(s, 6) != SQLITE_NULL) {
        enum err rc = db_read_message(s, 6, &r.will);
        if (rc != ERR_OK) return rc;
        r.when = (struct command_will){ (uint32_t)column_u64(s, 13), (uint32_t)column_u64(s, 14) };
    }
    enum err rc = to->sink.session(to->sink.ctx, &r);
    msg_unref(&r.will);
    return rc;
}

static enum err show_group(sqlite3_stmt *s, const struct db_restore *to)
{
    return to->sink.group(to->sink.ctx, column_u64(s, 0), column_bytes(s, 1));
}

static enum err show_subscription(sqlite3_stmt *s, const struct db_restore *to)
{
    struct restore_subscription r = {
        .session_no = column_u64(s, 0),
        .filter = column_bytes(s, 1),
        .options = (uint8_t)column_u64(s, 2),
        .id = (uint32_t)column_u64(s, 3),
    };
    return to->sink.subscription(to->sink.ctx, &r);
}

static enum err show_inbound(sqlite3_stmt *s, const struct db_restore *to)
{
    return to->sink.inbound(to->sink.ctx, column_u64(s, 0), (uint16_t)column_u64(s, 1));
}

static enum err show_delayed(sqlite3_stmt *s, const struct db_restore *to)
{
    return to->sink.delayed(to->sink.ctx, column_u64(s, 0), column_u64(s, 1));
}

static enum err show_keepalive(sqlite3_stmt *s, const struct db_restore *to)
{
    struct keepalive_row row = { .client = column_u64(s, 0), .net = column_u64(s, 1) };
    for (int i = 0; i < KEEPALIVE_NUMBERS; i++) row.at[i] = (uint32_t)column_u64(s, 2 + i);
    return to->sink.keepalive(to->sink.ctx, &row);
}

static enum err show_retained(sqlite3_stmt *s, const struct db_restore *to)
{
    struct msg *m;
    enum err rc = db_read_message(s, 2, &m);
    if (rc == ERR_OK) rc = to->sink.retained(to->sink.ctx, m, column_u64(s, 0));
    msg_unref(&m);
    return rc;
}

static enum err show_entry(sqlite3_stmt *s, const struct db_restore *to)
{
    struct backlog_entry e = { column_u64(s, 1), (uint32_t)column_u64(s, 2) };
    return to->entry(to->sink.ctx, column_u64(s, 0), e);
}

static enum err show_mid(sqlite3_stmt *s, const struct db_restore *to)
{
    struct db_mid mid = { column_bytes(s, 0), column_bytes(s, 1), column_u64(s, 2) };
    return to->mid(to->sink.ctx, &mid);
}

static enum err show_origin(sqlite3_stmt *s, const struct db_restore *to)
{
    struct command_origin o = { (uint16_t)column_u64(s, 0), (uint32_t)column_u64(s, 1), column_u64(s, 2) };
    return to->origin(to->sink.ctx, &o);
}

static enum err show_all(struct db *db, enum statement which, const struct db_restore *to,
                         enum err (*show)(sqlite3_stmt *, const struct db_restore *))
{
    sqlite3_stmt *s = db_statement(db, which);
    if (s == NULL) return db_fail(db, "boot");
    int step;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && (step = sqlite3_step(s)) != SQLITE_DONE)
        rc = step == SQLITE_ROW ? show(s, to) : db_fail(db, "boot");
    sqlite3_reset(s);
    return rc;
}

enum err db_restore(struct db *db, const struct db_restore *to)
{
    const struct restore_sink *sink = &to->sink;
    const struct {
        bool is_wanted;
        enum statement which;
        enum err (*show)(sqlite3_stmt *, const struct db_restore *);
    } all[] = {
        { sink->session != NULL, SQL_sessions, show_session },
        { sink->group != NULL, SQL_groups, show_group },
        { sink->subscription != NULL, SQL_subs, show_subscription },
        { sink->retained != NULL, SQL_retained_all, show_retained },
        { sink->inbound != NULL, SQL_inbounds, show_inbound },
        { sink->delayed != NULL, SQL_delays, show_delayed },
        { sink->keepalive != NULL, SQL_keepalives, show_keepalive },
        { to->entry != NULL, SQL_entries, show_entry },
        { to->mid != NULL, SQL_mids, show_mid },
        { to->origin != NULL, SQL_origins, show_origin },
    };
    enum err rc = ERR_OK;
    db->error[0] = '\0';
    for (size_t i = 0; i < sizeof all / sizeof all[0] && rc == ERR_OK; i++)
        if (all[i].is_wanted) rc = show_all(db, all[i].which, to, all[i].show);
    return rc;
}
