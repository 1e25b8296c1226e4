/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "codec/rd.h"
#include "store/keepalive_row.h"
#include "store_sqlite/db_int.h"

/* What each command changes in the tables. No clock, no choice: the same commands make the same rows. */

static enum err by_session(struct db *db, enum statement which, uint64_t session_no)
{
    sqlite3_stmt *s = db_statement(db, which);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, session_no);
    return db_run(db, s);
}

static enum err put_will(struct db *db, const struct command *c)
{
    sqlite3_stmt *s = db_statement(db, SQL_will);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->session_no);
    db_bind_message(s, 2, c->msg);
    db_bind_u64(s, 9, c->will.delay_s);
    db_bind_u64(s, 10, c->will.expiry_s);
    return db_run(db, s);
}

static enum err fold_claim(struct db *db, const struct command *c)
{
    sqlite3_stmt *s = db_statement(db, SQL_claim);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->session_no);
    db_bind_bytes(s, 2, c->data);
    db_bind_u64(s, 3, c->claim_no);
    db_bind_u64(s, 4, c->expiry_s);
    enum err rc = db_run(db, s);
    if (rc != ERR_OK) return rc;
    return c->msg != NULL ? put_will(db, c) : by_session(db, SQL_end_will, c->session_no);
}

static enum err fold_offline(struct db *db, const struct command *c)
{
    sqlite3_stmt *s = db_statement(db, SQL_offline);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->session_no);
    db_bind_u64(s, 2, c->stamp_ms);
    db_bind_u64(s, 3, c->sent);
    enum err rc = db_run(db, s);
    return rc == ERR_OK && !c->keeps_will ? by_session(db, SQL_end_will, c->session_no) : rc;
}

static enum err by_session_and(struct db *db, enum statement which, uint64_t session_no, uint64_t other)
{
    sqlite3_stmt *s = db_statement(db, which);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, session_no);
    db_bind_u64(s, 2, other);
    return db_run(db, s);
}

/* So many rows are gone that may have been the last to name a body. */
static void count_finished(struct db *db)
{
    db->sweep.finished += (uint64_t)sqlite3_changes64(db->handle);
}

static enum err fold_end(struct db *db, const struct command *c)
{
    enum err rc = by_session(db, SQL_end_session, c->session_no);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_subs, c->session_no);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_will, c->session_no);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_inbound, c->session_no);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_group, c->session_no);
    if (rc == ERR_OK) rc = db_rows_settle(db, c->session_no, UINT64_MAX);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_queue, c->session_no);
    if (rc == ERR_OK) count_finished(db);
    return rc;
}

static enum err fold_subscribe(struct db *db, const struct command *c)
{
    struct rd r = { c->data.at, c->data.len, false };
    enum err rc = ERR_OK;
    while (r.left > 0 && rc == ERR_OK) {
        struct bytes filter = rd_str(&r);
        uint8_t options = rd_u8(&r);
        if (!r.bad && (options & COMMAND_FILTER_REFUSED) != 0) continue;
        sqlite3_stmt *s = db_statement(db, SQL_subscribe);
        if (s == NULL || NEVER(r.bad)) return db_fail(db, "fold");
        db_bind_u64(s, 1, c->session_no);
        db_bind_bytes(s, 2, filter);
        db_bind_u64(s, 3, options);
        db_bind_u64(s, 4, c->sub_id);
        rc = db_run(db, s);
    }
    return rc;
}

static enum err fold_unsubscribe(struct db *db, const struct command *c)
{
    struct rd r = { c->data.at, c->data.len, false };
    enum err rc = ERR_OK;
    while (r.left > 0 && rc == ERR_OK) {
        struct bytes filter = rd_str(&r);
        sqlite3_stmt *s = db_statement(db, SQL_unsubscribe);
        if (s == NULL || NEVER(r.bad)) return db_fail(db, "fold");
        db_bind_u64(s, 1, c->session_no);
        db_bind_bytes(s, 2, filter);
        rc = db_run(db, s);
    }
    return rc;
}

/* Deletes the rows with above < seq < below. */
static enum err finish(struct db *db, uint64_t session_no, uint64_t above, uint64_t below)
{
    enum err rc = db_rows_settle(db, session_no, below - 1);
    if (rc != ERR_OK) return rc;
    sqlite3_stmt *s = db_statement(db, SQL_acknowledge);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, session_no);
    db_bind_u64(s, 2, above);
    db_bind_u64(s, 3, below);
    rc = db_run(db, s);
    if (rc == ERR_OK) count_finished(db);
    return rc;
}

/* Deletes the ranges between the open entries. */
static enum err fold_ack(struct db *db, const struct command *c)
{
    uint64_t above = 0;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; i <= c->ack.open_count && rc == ERR_OK; i++) {
        uint64_t below = i < c->ack.open_count ? c->ack.open[i] : c->ack.cursor + 1;
        rc = finish(db, c->session_no, above, below);
        above = below;
    }
    return rc;
}

static enum err put_body(struct db *db, const struct command *c)
{
    sqlite3_stmt *s = db_statement(db, SQL_body);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->position);
    db_bind_message(s, 2, c->msg);
    return db_run(db, s);
}

static enum err put_retained(struct db *db, const struct command *c)
{
    bool forget = c->msg->payload_bytes == 0;
    sqlite3_stmt *s = db_statement(db, forget ? SQL_forget : SQL_retain);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_bytes(s, 1, msg_topic(c->msg));
    if (!forget) db_bind_u64(s, 2, c->position);
    db->sweep.finished++; /* the body of the value before */
    return db_run(db, s);
}

static enum err put_mid(struct db *db, const struct command *c)
{
    struct db_mid mid = { c->mid->client_id, c->mid->mid, command_mid_until_ms(c) };
    return db_mid_put(db, &mid);
}

static bool is_retained_by(const struct command *c)
{
    if (c->kind == COMMAND_MOVE) return c->retains;
    return c->msg->retain && c->due_ms == 0 && c->kind != COMMAND_RETAINED;
}

static bool gets_row(const struct command *c, uint32_t i, const bool *is_live)
{
    return !c->targets[i].is_skipped && (is_live == NULL || is_live[i]);
}

/* What full queues drop for it. Gives how many queues it goes into. */
static enum err make_room(struct db *db, const struct command *c, const bool *is_live, uint32_t *rows)
{
    enum err rc = ERR_OK;
    *rows = 0;
    for (uint32_t i = 0; i < c->targets_count && rc == ERR_OK; i++) {
        const struct command_target *t = &c->targets[i];
        if (gets_row(c, i, is_live)) ++*rows;
        if (!t->is_skipped && t->drop_upto > 0) rc = finish(db, t->session_no, 0, t->drop_upto + 1);
    }
    return rc;
}

/* A message that everybody has acknowledged before the fold never becomes a row. A small one for one queue is
 * its row; else there is a body that rows, and what is retained, share. */
static enum err fold_enqueue(struct db *db, const struct command *c, const bool *is_live)
{
    struct msg *m = c->msg;
    uint32_t rows;
    bool retains = is_retained_by(c);
    bool is_kept = retains && m->payload_bytes > 0;
    enum err rc = make_room(db, c, is_live, &rows);
    size_t bytes = (size_t)m->topic_bytes + m->block_bytes + m->payload_bytes;
    bool is_whole = rows == 1 && !is_kept && bytes <= DB_WHOLE_BYTES_MAX;
    if (rc == ERR_OK && (is_kept || (rows > 0 && !is_whole))) rc = put_body(db, c);
    for (uint32_t i = 0; i < c->targets_count && rc == ERR_OK; i++) {
        const struct command_target *t = &c->targets[i];
        if (!gets_row(c, i, is_live)) continue;
        rc = db_rows_add(db, &(struct db_row){ .session_no = t->session_no,
                                               .seq = c->position,
                                               .msg = is_whole ? m : NULL,
                                               .flags = db_flags(t->qos, t->retain) });
    }
    if (rc == ERR_OK && retains) rc = put_retained(db, c);
    if (rc == ERR_OK && c->mid != NULL) rc = put_mid(db, c);
    return rc;
}

static enum err put_in_id(struct db *db, const struct command *c, const bool *is_live)
{
    if (c->in_id == 0 || (is_live != NULL && !is_live[c->targets_count])) return ERR_OK;
    return by_session_and(db, SQL_inbound_put, c->session_no, c->in_id);
}

static enum err fold_publish(struct db *db, const struct command *c, const bool *is_live)
{
    enum err rc = put_in_id(db, c, is_live);
    if (rc != ERR_OK || c->result == COMMAND_DUPLICATE) return rc;
    rc = fold_enqueue(db, c, is_live);
    if (rc == ERR_OK && c->due_ms != 0 && gets_row(c, 0, is_live))
        rc = by_session_and(db, SQL_delay, c->position, c->due_ms);
    return rc;
}

static enum err fold_received(struct db *db, const struct command *c)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; i < c->ack.open_count && rc == ERR_OK; i++) {
        rc = db_rows_settle(db, c->session_no, c->ack.open[i]);
        if (rc == ERR_OK) rc = by_session_and(db, SQL_release, c->session_no, c->ack.open[i]);
    }
    return rc;
}

static enum err fold_sent_as(struct db *db, const struct command *c)
{
    enum err rc = db_rows_settle(db, c->session_no, c->version);
    if (rc != ERR_OK) return rc;
    sqlite3_stmt *s = db_statement(db, SQL_sent_as);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->session_no);
    db_bind_u64(s, 2, c->version);
    db_bind_u64(s, 3, c->in_id);
    return db_run(db, s);
}

static enum err fold_group(struct db *db, const struct command *c)
{
    sqlite3_stmt *s = db_statement(db, SQL_group_put);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->session_no);
    db_bind_bytes(s, 2, c->data);
    return db_run(db, s);
}

/* A row that says that nothing is known any more takes what is there out. */
static enum err put_keepalive(struct db *db, const struct keepalive_row *row, uint64_t noted_ms)
{
    bool forgets = row->at[KEEPALIVE_K] == 0;
    sqlite3_stmt *s = db_statement(db, forgets ? SQL_keepalive_end : SQL_keepalive_put);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, row->client);
    db_bind_u64(s, 2, row->net);
    for (int i = 0; i < KEEPALIVE_NUMBERS && !forgets; i++) db_bind_u64(s, 3 + i, row->at[i]);
    if (!forgets) db_bind_u64(s, 3 + KEEPALIVE_NUMBERS, noted_ms);
    return db_run(db, s);
}

/* Whoever was not heard of for so long begins anew; and who has more behind him than a start reads. */
static enum err forget_keepalives(struct db *db, uint64_t now_ms)
{
    const uint64_t kept_ms = UINT64_C(90) * 24 * 3600 * 1000;
    sqlite3_stmt *s = db_statement(db, SQL_keepalives_forget);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, now_ms > kept_ms ? now_ms - kept_ms : 0);
    return db_run(db, s);
}

static enum err fold_keepalive(struct db *db, const struct command *c)
{
    struct rd r = { c->data.at, c->data.len, false };
    enum err rc = ERR_OK;
    while (r.left > 0 && rc == ERR_OK) {
        struct keepalive_row row;
        keepalive_row_read(&r, &row);
        rc = NEVER(r.bad) ? db_fail(db, "fold") : put_keepalive(db, &row, c->stamp_ms);
    }
    return rc == ERR_OK ? forget_keepalives(db, c->stamp_ms) : rc;
}

static enum err fold_move(struct db *db, const struct command *c, const bool *is_live)
{
    enum err rc = fold_enqueue(db, c, is_live);
    if (rc == ERR_OK) rc = finish(db, c->session_no, c->version - 1, c->version + 1);
    if (rc == ERR_OK && c->session_no == DELAYED_QUEUE) rc = by_session(db, SQL_end_delay, c->version);
    return rc;
}

static enum err fold_fire_will(struct db *db, const struct command *c, const bool *is_live)
{
    enum err rc = fold_enqueue(db, c, is_live);
    return rc == ERR_OK ? by_session(db, SQL_end_will, c->session_no) : rc;
}

enum err db_fold(struct db *db, const struct command *c, const bool *is_live)
{
    switch (c->kind) {
    case COMMAND_ENQUEUE: return fold_publish(db, c, is_live);
    case COMMAND_RETAINED: return fold_enqueue(db, c, is_live);
    case COMMAND_FIRE_WILL: return fold_fire_will(db, c, is_live);
    case COMMAND_CLAIM: return fold_claim(db, c);
    case COMMAND_EXPIRY: return by_session_and(db, SQL_expiry, c->session_no, c->expiry_s);
    case COMMAND_RECEIVED: return fold_received(db, c);
    case COMMAND_SENT_AS: return fold_sent_as(db, c);
    case COMMAND_RELEASE: return by_session_and(db, SQL_inbound_take, c->session_no, c->in_id);
    case COMMAND_GROUP: return fold_group(db, c);
    case COMMAND_MOVE: return fold_move(db, c, is_live);
    case COMMAND_END_SESSION: return fold_end(db, c);
    case COMMAND_SUBSCRIBE: return fold_subscribe(db, c);
    case COMMAND_UNSUBSCRIBE: return fold_unsubscribe(db, c);
    case COMMAND_ACK: return fold_ack(db, c);
    case COMMAND_OFFLINE: return fold_offline(db, c);
    case COMMAND_KEEPALIVE: return fold_keepalive(db, c);
    case COMMAND_FENCE: return ERR_OK;
    }
    check_failed("a command kind without a fold", __FILE__, __LINE__);
}

enum err db_mid_put(struct db *db, const struct db_mid *mid)
{
    sqlite3_stmt *s = db_statement(db, SQL_mid_put);
    if (s == NULL) return db_fail(db, "mid");
    db_bind_bytes(s, 1, mid->client_id);
    db_bind_bytes(s, 2, mid->mid);
    db_bind_u64(s, 3, mid->until_ms);
    return db_run(db, s);
}

enum err db_mids_forget(struct db *db, uint64_t now_ms)
{
    sqlite3_stmt *s = db_statement(db, SQL_mids_forget);
    if (s == NULL) return db_fail(db, "mid");
    db_bind_u64(s, 1, now_ms);
    return db_run(db, s);
}
