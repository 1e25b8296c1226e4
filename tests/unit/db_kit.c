/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/db_kit.h"
#include "codec/wr.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void rig_open_both(struct rig *r)
{
    CHECK_INT(ERR_OK, db_open_writer(&r->writer, r->path));
    CHECK_INT(ERR_OK, db_open_reader(&r->reader, r->path));
}

void rig_close_both(struct rig *r)
{
    db_close(&r->reader);
    db_close(&r->writer);
}

struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);
    CHECK_TRUE(r != NULL);
    snprintf(r->dir, sizeof r->dir, "/tmp/test_db.XXXXXX");
    CHECK_TRUE(mkdtemp(r->dir) != NULL);
    snprintf(r->path, sizeof r->path, "%s/longlink.db", r->dir);
    return r;
}

struct rig *rig_open(void)
{
    struct rig *r = rig_new();
    rig_open_both(r);
    return r;
}

static void drop_page(struct rig *r)
{
    for (uint32_t i = 0; i < r->page.count; i++) msg_unref(&r->page.rows[i].msg);
    r->page.count = 0;
}

void rig_free(struct rig *r)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char path[DB_PATH_BYTES + 8];
    drop_page(r);
    rig_close_both(r);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", r->path, ends[i]);
        unlink(path);
    }
    CHECK_INT(0, rmdir(r->dir));
    free(r);
}

void rig_reopen(struct rig *r)
{
    rig_close_both(r);
    rig_open_both(r);
}

/* --- folding */

void fold(struct rig *r, struct command *c, const bool *is_live)
{
    CHECK_INT(ERR_OK, db_fold(r->writer, c, is_live));
    command_unref(&c);
}

void commit(struct rig *r, uint64_t position)
{
    CHECK_INT(ERR_OK, db_commit_progress(r->writer, &(struct db_progress){ .applied = position }));
}

void fold_alone(struct rig *r, struct command *c, uint64_t position)
{
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, c, NULL);
    commit(r, position);
}

void tidy(struct rig *r)
{
    for (bool more = true; more;) CHECK_INT(ERR_OK, db_tidy(r->writer, &more));
}

struct command *claim(uint64_t session_no, const char *client)
{
    struct command *c = make_plain(COMMAND_CLAIM, session_no, bytes_of_text(client));
    c->claim_no = session_no + 1000;
    c->expiry_s = NEVER_S;
    return c;
}

struct command *filters(enum command_kind kind, uint64_t session_no, const char *filter, int options)
{
    uint8_t packet[128];
    struct wr w = { .at = packet, .left = sizeof packet };
    wr_str(&w, bytes_of_text(filter));
    if (options >= 0) wr_u8(&w, (uint8_t)options);
    return make_plain(kind, session_no, bytes_of(packet, sizeof packet - w.left));
}

struct command *message(uint64_t position, const char *payload, const uint64_t *sessions)
{
    struct a_message m = { .topic = "t", .payload = payload, .expires_ms = 5 };
    return make_enqueue(position, &m, sessions);
}

struct command *retain(uint64_t position, const char *topic, const char *payload)
{
    struct a_message m = { .topic = topic, .payload = payload, .retain = true };
    return make_enqueue(position, &m, (uint64_t[]){ 0 });
}

/* --- looking */

static void say(struct rig *r, const char *format, ...)
{
    size_t at = strlen(r->seen);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(r->seen + at, sizeof r->seen - at, format, args);
    va_end(args);
    CHECK_TRUE(n >= 0 && (size_t)n < sizeof r->seen - at);
}

static enum err see_session(void *ctx, const struct restore_session *s)
{
    struct rig *r = ctx;
    say(r, "session %d %.*s claim %d expiry %u", (int)s->session_no, (int)s->client_id.len,
        (const char *)s->client_id.at, (int)s->claim_no, (unsigned)s->expiry_s);
    if (s->offline_ms != 0) say(r, " offline %d", (int)s->offline_ms);
    if (s->sent != 0) say(r, " sent %d", (int)s->sent);
    if (s->will != NULL) {
        CHECK_TRUE(bytes_equal(msg_block(s->will), bytes_of_text("\x01\x01")));
        say(r, " will %.*s=%.*s qos %d retain %d from %d %d delay %u expiry %u", (int)s->will->topic_bytes,
            (const char *)msg_topic(s->will).at, (int)s->will->payload_bytes,
            (const char *)msg_payload(s->will).at, s->will->qos, s->will->retain, (int)s->will->from_session,
            (int)s->will->from_client, (unsigned)s->when.delay_s, (unsigned)s->when.expiry_s);
    }
    say(r, ";");
    return ERR_OK;
}

static enum err see_group(void *ctx, uint64_t group_no, struct bytes text)
{
    say(ctx, "group %d %.*s;", (int)group_no, (int)text.len, (const char *)text.at);
    return ERR_OK;
}

static enum err see_subscription(void *ctx, const struct restore_subscription *s)
{
    say(ctx, "sub %d %.*s %d", (int)s->session_no, (int)s->filter.len, (const char *)s->filter.at,
        s->options);
    if (s->id != 0) say(ctx, " id %u", (unsigned)s->id);
    say(ctx, ";");
    return ERR_OK;
}

static enum err see_inbound(void *ctx, uint64_t session_no, uint16_t id)
{
    say(ctx, "inbound %d:%d;", (int)session_no, id);
    return ERR_OK;
}

static enum err see_delayed(void *ctx, uint64_t seq, uint64_t due_ms)
{
    say(ctx, "delayed %d at %d;", (int)seq, (int)due_ms);
    return ERR_OK;
}

static enum err see_keepalive(void *ctx, const struct keepalive_row *row)
{
    say(ctx, "way %llx %llx", (unsigned long long)row->client, (unsigned long long)row->net);
    for (int i = 0; i < KEEPALIVE_NUMBERS; i++) say(ctx, " %u", (unsigned)row->at[i]);
    say(ctx, ";");
    return ERR_OK;
}

static enum err see_retained(void *ctx, struct msg *m, uint64_t version)
{
    say(ctx, "retained %.*s=%.*s %d;", (int)m->topic_bytes, (const char *)msg_topic(m).at,
        (int)m->payload_bytes, (const char *)msg_payload(m).at, (int)version);
    return ERR_OK;
}

static enum err see_entry(void *ctx, uint64_t session_no, struct backlog_entry e)
{
    say(ctx, "entry %d:%d %u;", (int)session_no, (int)e.seq, (unsigned)e.bytes);
    return ERR_OK;
}

static enum err see_mid(void *ctx, const struct db_mid *mid)
{
    say(ctx, "mid %.*s %.*s %d;", (int)mid->client_id.len, (const char *)mid->client_id.at, (int)mid->mid.len,
        (const char *)mid->mid.at, (int)mid->until_ms);
    return ERR_OK;
}

static enum err see_origin(void *ctx, const struct command_origin *o)
{
    say(ctx, "origin %d %d %d;", o->node, (int)o->boot_no, (int)o->n);
    return ERR_OK;
}

static struct restore_sink see_all(struct rig *r)
{
    return (struct restore_sink){
        .session = see_session,
        .group = see_group,
        .subscription = see_subscription,
        .retained = see_retained,
        .inbound = see_inbound,
        .delayed = see_delayed,
        .keepalive = see_keepalive,
        .ctx = r,
    };
}

const char *at_boot(struct rig *r)
{
    struct db_restore to = { .sink = see_all(r) };
    r->seen[0] = '\0';
    CHECK_INT(ERR_OK, db_restore(r->writer, &to));
    return r->seen;
}

const char *all_at_boot(struct rig *r)
{
    struct db_restore to = { see_all(r), see_entry, see_mid, see_origin };
    r->seen[0] = '\0';
    CHECK_INT(ERR_OK, db_restore(r->writer, &to));
    return r->seen;
}

const char *page(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit)
{
    drop_page(r);
    r->page.session_no = session_no;
    r->page.after = after;
    r->page.limit = limit;
    CHECK_INT(ERR_OK, db_page(r->reader, &r->page));
    r->seen[0] = '\0';
    for (uint32_t i = 0; i < r->page.count; i++) {
        const struct store_row *row = &r->page.rows[i];
        say(r, "%d:%.*s ", (int)row->seq, (int)row->msg->payload_bytes,
            (const char *)msg_payload(row->msg).at);
        if (row->released) say(r, "released ");
    }
    return r->seen;
}

int count(const struct rig *r, const char *sql)
{
    sqlite3 *handle;
    sqlite3_stmt *s;
    CHECK_INT(SQLITE_OK, sqlite3_open_v2(r->path, &handle, SQLITE_OPEN_READONLY, NULL));
    CHECK_INT(SQLITE_OK, sqlite3_prepare_v2(handle, sql, -1, &s, NULL));
    CHECK_INT(SQLITE_ROW, sqlite3_step(s));
    int n = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(handle);
    return n;
}

void execute(const struct rig *r, const char *sql)
{
    sqlite3 *handle;
    CHECK_INT(SQLITE_OK, sqlite3_open(r->path, &handle));
    CHECK_INT(SQLITE_OK, sqlite3_exec(handle, sql, NULL, NULL, NULL));
    sqlite3_close(handle);
}
