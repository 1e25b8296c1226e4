/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "codec/rd.h"
#include "store_sqlite/db_int.h"

/* What each command changes in the tables. No clock, no choice: the same commands make the same rows. */

static enum err by_session(struct db *db, enum statement which, uint64_t session_no)
{
    sqlite3_stmt *s = db_statement(db, which);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, session_no);
    return db_run(db, s);
}

/* Topic, properties, payload, flags: the columns that every table of messages has. */
static void bind_message(sqlite3_stmt *s, int at, const struct msg *m)
{
    db_bind_bytes(s, at, msg_topic(m));
    db_bind_bytes(s, at + 1, msg_block(m));
    db_bind_bytes(s, at + 2, msg_payload(m));
    db_bind_u64(s, at + 3, db_flags(m->qos, m->retain));
}

static enum err put_will(struct db *db, const struct command *c)
{
    sqlite3_stmt *s = db_statement(db, SQL_will);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->session_no);
    bind_message(s, 2, c->msg);
    db_bind_u64(s, 6, c->msg->from_session);
    db_bind_u64(s, 7, c->msg->from_client);
    db_bind_u64(s, 8, c->will.delay_s);
    db_bind_u64(s, 9, c->will.expiry_s);
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

static enum err fold_expiry(struct db *db, const struct command *c)
{
    sqlite3_stmt *s = db_statement(db, SQL_expiry);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->session_no);
    db_bind_u64(s, 2, c->expiry_s);
    return db_run(db, s);
}

static enum err fold_end(struct db *db, const struct command *c)
{
    enum err rc = by_session(db, SQL_end_session, c->session_no);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_subs, c->session_no);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_will, c->session_no);
    if (rc == ERR_OK) rc = by_session(db, SQL_end_queue, c->session_no);
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
    sqlite3_stmt *s = db_statement(db, SQL_acknowledge);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, session_no);
    db_bind_u64(s, 2, above);
    db_bind_u64(s, 3, below);
    return db_run(db, s);
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
    const struct msg *m = c->msg;
    sqlite3_stmt *s = db_statement(db, SQL_body);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, c->position);
    bind_message(s, 2, m);
    db_bind_u64(s, 6, m->expires_ms);
    db_bind_u64(s, 7, m->from_session);
    db_bind_u64(s, 8, m->from_client);
    return db_run(db, s);
}

static enum err put_row(struct db *db, const struct command_target *t, uint64_t seq)
{
    sqlite3_stmt *s = db_statement(db, SQL_enqueue);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_u64(s, 1, t->session_no);
    db_bind_u64(s, 2, seq);
    db_bind_u64(s, 3, db_flags(t->qos, t->retain));
    return db_run(db, s);
}

static enum err put_retained(struct db *db, const struct command *c)
{
    bool forget = c->msg->payload_bytes == 0;
    sqlite3_stmt *s = db_statement(db, forget ? SQL_forget : SQL_retain);
    if (s == NULL) return db_fail(db, "fold");
    db_bind_bytes(s, 1, msg_topic(c->msg));
    if (!forget) db_bind_u64(s, 2, c->position);
    return db_run(db, s);
}

/* A message that everybody has acknowledged before the fold never becomes a row. */
static enum err fold_enqueue(struct db *db, const struct command *c, const bool *is_live)
{
    bool retains = c->kind != COMMAND_RETAINED && c->msg->retain;
    bool has_body = retains && c->msg->payload_bytes > 0;
    enum err rc = has_body ? put_body(db, c) : ERR_OK;
    for (uint32_t i = 0; i < c->targets_count && rc == ERR_OK; i++) {
        const struct command_target *t = &c->targets[i];
        if (t->is_skipped) continue;
        if (t->drop_upto > 0) rc = finish(db, t->session_no, 0, t->drop_upto + 1);
        if (rc != ERR_OK || (is_live != NULL && !is_live[i])) continue;
        if (!has_body) rc = put_body(db, c);
        has_body = true;
        if (rc == ERR_OK) rc = put_row(db, t, c->position);
    }
    if (rc == ERR_OK && retains) rc = put_retained(db, c);
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
    case COMMAND_ENQUEUE:
    case COMMAND_RETAINED: return fold_enqueue(db, c, is_live);
    case COMMAND_FIRE_WILL: return fold_fire_will(db, c, is_live);
    case COMMAND_CLAIM: return fold_claim(db, c);
    case COMMAND_EXPIRY: return fold_expiry(db, c);
    case COMMAND_END_SESSION: return fold_end(db, c);
    case COMMAND_SUBSCRIBE: return fold_subscribe(db, c);
    case COMMAND_UNSUBSCRIBE: return fold_unsubscribe(db, c);
    case COMMAND_ACK: return fold_ack(db, c);
    case COMMAND_OFFLINE: return fold_offline(db, c);
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
    db_bind_u64(s, 3, mid->stamp_ms);
    return db_run(db, s);
}

enum err db_mids_forget(struct db *db, uint64_t before_ms)
{
    sqlite3_stmt *s = db_statement(db, SQL_mids_forget);
    if (s == NULL) return db_fail(db, "mid");
    db_bind_u64(s, 1, before_ms);
    return db_run(db, s);
}
