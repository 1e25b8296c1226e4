/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/wr.h"
#include "store_sqlite/db.h"
#include "unit/store_kit.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 96, SEEN_BYTES = 4096, NEVER_S = 3600 };

/* A database in a directory of its own, and two connections to it. */
struct rig {
    char dir[64], path[PATH_BYTES];
    struct db *writer, *reader;
    struct store_page page;
    char seen[SEEN_BYTES]; /* what boot would see */
};

static void open_both(struct rig *r)
{
    CHECK_INT(ERR_OK, db_open_writer(&r->writer, r->path));
    CHECK_INT(ERR_OK, db_open_reader(&r->reader, r->path));
}

static void close_both(struct rig *r)
{
    db_close(&r->reader);
    db_close(&r->writer);
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);
    CHECK_TRUE(r != NULL);
    snprintf(r->dir, sizeof r->dir, "/tmp/test_db.XXXXXX");
    CHECK_TRUE(mkdtemp(r->dir) != NULL);
    snprintf(r->path, sizeof r->path, "%s/longlink.db", r->dir);
    return r;
}

static struct rig *rig_open(void)
{
    struct rig *r = rig_new();
    open_both(r);
    return r;
}

static void drop_page(struct rig *r)
{
    for (uint32_t i = 0; i < r->page.count; i++) msg_unref(&r->page.rows[i].msg);
    r->page.count = 0;
}

static void rig_free(struct rig *r)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char path[PATH_BYTES + 8];
    drop_page(r);
    close_both(r);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(path, sizeof path, "%s%s", r->path, ends[i]);
        unlink(path);
    }
    CHECK_INT(0, rmdir(r->dir));
    free(r);
}

static void reopen(struct rig *r)
{
    close_both(r);
    open_both(r);
}

/* --- folding */

static void fold(struct rig *r, struct command *c, const bool *is_live)
{
    CHECK_INT(ERR_OK, db_fold(r->writer, c, is_live));
    command_unref(&c);
}

/* One command in a transaction of its own. */
static void fold_alone(struct rig *r, struct command *c, uint64_t position)
{
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, c, NULL);
    CHECK_INT(ERR_OK, db_commit(r->writer, position));
}

static struct command *claim(uint64_t session_no, const char *client)
{
    struct command *c = make_plain(COMMAND_CLAIM, session_no, bytes_of_text(client));
    c->claim_no = session_no + 1000;
    c->expiry_s = NEVER_S;
    return c;
}

static struct command *filters(enum command_kind kind, uint64_t session_no, const char *filter, int options)
{
    uint8_t packet[128];
    struct wr w = { .at = packet, .left = sizeof packet };
    wr_str(&w, bytes_of_text(filter));
    if (options >= 0) wr_u8(&w, (uint8_t)options);
    return make_plain(kind, session_no, bytes_of(packet, sizeof packet - w.left));
}

static struct command *message(uint64_t position, const char *payload, const uint64_t *sessions)
{
    struct a_message m = { .topic = "t", .payload = payload, .expires_ms = 5 };
    return make_enqueue(position, &m, sessions);
}

static struct command *retain(uint64_t position, const char *topic, const char *payload)
{
    struct a_message m = { .topic = topic, .payload = payload, .retain = true };
    return make_enqueue(position, &m, (uint64_t[]){ 0 });
}

/* --- looking */

static void see_session(void *ctx, const struct command *c)
{
    struct rig *r = ctx;
    size_t at = strlen(r->seen);
    snprintf(r->seen + at, sizeof r->seen - at, "session %d %.*s claim %d expiry %u;", (int)c->session_no,
             (int)c->data.len, (const char *)c->data.at, (int)c->claim_no, (unsigned)c->expiry_s);
}

static void see_subscription(void *ctx, uint64_t session_no, struct bytes filter, uint8_t options)
{
    struct rig *r = ctx;
    size_t at = strlen(r->seen);
    snprintf(r->seen + at, sizeof r->seen - at, "sub %d %.*s %d;", (int)session_no, (int)filter.len,
             (const char *)filter.at, options);
}

static void see_retained(void *ctx, struct msg *m, uint64_t version)
{
    struct rig *r = ctx;
    size_t at = strlen(r->seen);
    snprintf(r->seen + at, sizeof r->seen - at, "retained %.*s=%.*s %d;", (int)m->topic_bytes,
             (const char *)msg_topic(m).at, (int)m->payload_bytes, (const char *)msg_payload(m).at,
             (int)version);
}

static const char *at_boot(struct rig *r)
{
    struct db_visitor v = { see_session, see_subscription, see_retained, r };
    r->seen[0] = '\0';
    CHECK_INT(ERR_OK, db_visit(r->writer, &v));
    return r->seen;
}

static const char *page(struct rig *r, uint64_t session_no, uint64_t after, uint32_t limit)
{
    drop_page(r);
    r->page.session_no = session_no;
    r->page.after = after;
    r->page.limit = limit;
    CHECK_INT(ERR_OK, db_page(r->reader, &r->page));
    r->seen[0] = '\0';
    for (uint32_t i = 0; i < r->page.count; i++) {
        const struct store_row *row = &r->page.rows[i];
        size_t at = strlen(r->seen);
        snprintf(r->seen + at, sizeof r->seen - at, "%d:%.*s ", (int)row->seq, (int)row->msg->payload_bytes,
                 (const char *)msg_payload(row->msg).at);
    }
    return r->seen;
}

static int count(struct rig *r, const char *sql)
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

static int bodies(struct rig *r)
{
    return count(r, "SELECT count(*) FROM body");
}

/* Commits that change nothing, for the sweep to come round. */
static void sweep_round(struct rig *r)
{
    for (int i = 0; i < 3; i++) {
        CHECK_INT(ERR_OK, db_begin(r->writer));
        CHECK_INT(ERR_OK, db_commit(r->writer, db_applied(r->writer)));
    }
}

/* --- what each kind leaves */

TEST(a_claim_makes_a_session_and_the_next_one_changes_it)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    assert_string_equal(at_boot(r), "session 1 phone claim 1001 expiry 3600;");

    struct command *again = claim(1, "phone");
    again->claim_no = 7;
    again->expiry_s = UINT32_MAX;
    fold_alone(r, again, 2);
    assert_string_equal(at_boot(r), "session 1 phone claim 7 expiry 4294967295;");
    rig_free(r);
}

TEST(an_expiry_changes_only_the_expiry)
{
    struct rig *r = rig_open();
    struct command *c = make_plain(COMMAND_EXPIRY, 1, bytes_of(NULL, 0));
    c->expiry_s = 9;
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, c, 2);
    assert_string_equal(at_boot(r), "session 1 phone claim 1001 expiry 9;");
    rig_free(r);
}

TEST(subscriptions_come_change_and_go)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "a/#", 1), 2);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "b", 1), 3);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "b", 0x0c), 4);
    fold_alone(r, filters(COMMAND_UNSUBSCRIBE, 1, "a/#", -1), 5);
    fold_alone(r, filters(COMMAND_UNSUBSCRIBE, 1, "never", -1), 6);
    assert_string_equal(at_boot(r), "session 1 phone claim 1001 expiry 3600;sub 1 b 12;");
    rig_free(r);
}

TEST(a_filter_that_was_refused_leaves_nothing_and_changes_nothing)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "a", 1), 2);
    struct command *c = filters(COMMAND_SUBSCRIBE, 1, "a", 0);
    command_mark_refused(c, bytes_of("\x97", 1));
    fold_alone(r, c, 3);
    c = filters(COMMAND_SUBSCRIBE, 1, "b", 1);
    command_mark_refused(c, bytes_of("\x80", 1));
    fold_alone(r, c, 4);
    c = filters(COMMAND_SUBSCRIBE, 1, "c", 1);
    command_mark_refused(c, bytes_of("\1", 1));
    fold_alone(r, c, 5);
    assert_string_equal(at_boot(r), "session 1 phone claim 1001 expiry 3600;sub 1 a 1;sub 1 c 1;");
    rig_free(r);
}

TEST(a_message_keeps_all_its_parts)
{
    struct rig *r = rig_open();
    fold_alone(r, message(5, "hello", (uint64_t[]){ 1, 2, 0 }), 5);
    page(r, 2, 0, 10);
    CHECK_INT(1, r->page.count);
    const struct store_row *row = &r->page.rows[0];
    CHECK_INT(5, row->seq);
    CHECK_INT(1, row->qos);
    CHECK_INT(true, row->retain); /* as the second target has it */
    CHECK_INT(1, row->msg->qos);
    CHECK_INT(false, row->msg->retain);
    CHECK_INT(5, row->msg->expires_ms);
    CHECK_INT(77, row->msg->from_session);
    CHECK_TRUE(bytes_equal(msg_topic(row->msg), bytes_of_text("t")));
    CHECK_TRUE(bytes_equal(msg_block(row->msg), bytes_of_text("\x01\x01")));
    CHECK_TRUE(bytes_equal(msg_payload(row->msg), bytes_of_text("hello")));
    CHECK_INT(5, r->page.snapshot);
    CHECK_INT(1, bodies(r));
    rig_free(r);
}

TEST(a_retained_copy_is_queued_and_retains_nothing)
{
    struct rig *r = rig_open();
    struct a_message m = { .topic = "t", .payload = "copy", .retain = true };
    fold_alone(r, make_retained(4, &m, 1), 4);
    assert_string_equal(page(r, 1, 0, 10), "4:copy ");
    CHECK_INT(true, r->page.rows[0].retain);
    assert_string_equal(at_boot(r), "");
    rig_free(r);
}

TEST(the_last_retained_message_of_a_topic_stays)
{
    struct rig *r = rig_open();
    fold_alone(r, retain(1, "a", "one"), 1);
    fold_alone(r, retain(2, "b", "two"), 2);
    fold_alone(r, retain(3, "a", "three"), 3);
    fold_alone(r, retain(4, "b", ""), 4);
    fold_alone(r, retain(5, "c", ""), 5);
    assert_string_equal(at_boot(r), "retained a=three 3;");
    rig_free(r);
}

TEST(the_end_of_a_session_takes_all_that_is_its_own)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, claim(2, "watch"), 2);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "a", 1), 3);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 2, "a", 1), 4);
    fold_alone(r, message(5, "both", (uint64_t[]){ 1, 2, 0 }), 5);
    fold_alone(r, message(6, "first", (uint64_t[]){ 1, 0 }), 6);
    fold_alone(r, make_plain(COMMAND_END_SESSION, 1, bytes_of(NULL, 0)), 7);
    assert_string_equal(at_boot(r), "session 2 watch claim 1002 expiry 3600;sub 2 a 1;");
    assert_string_equal(page(r, 1, 0, 10), "");
    assert_string_equal(page(r, 2, 0, 10), "5:both ");
    sweep_round(r);
    CHECK_INT(1, bodies(r));

    /* And the client may come back under a new number. */
    fold_alone(r, claim(3, "phone"), 8);
    assert_string_equal(page(r, 3, 0, 10), "");
    rig_free(r);
}

TEST(a_fence_leaves_nothing)
{
    struct rig *r = rig_open();
    fold_alone(r, make_plain(COMMAND_FENCE, 1, bytes_of(NULL, 0)), 3);
    assert_string_equal(at_boot(r), "");
    CHECK_INT(3, db_applied(r->writer));
    rig_free(r);
}

/* --- queues */

static void five_messages(struct rig *r)
{
    CHECK_INT(ERR_OK, db_begin(r->writer));
    for (uint64_t at = 11; at <= 15; at++) {
        char payload[4];
        snprintf(payload, sizeof payload, "m%d", (int)(at - 10));
        fold(r, message(at, payload, (uint64_t[]){ 1, 2, 0 }), NULL);
    }
    CHECK_INT(ERR_OK, db_commit(r->writer, 15));
}

TEST(pages_are_in_order_and_as_long_as_asked)
{
    struct rig *r = rig_open();
    five_messages(r);
    assert_string_equal(page(r, 1, 0, 2), "11:m1 12:m2 ");
    assert_string_equal(page(r, 1, 12, 2), "13:m3 14:m4 ");
    assert_string_equal(page(r, 1, 14, 2), "15:m5 ");
    assert_string_equal(page(r, 1, 15, 2), "");
    assert_string_equal(page(r, 9, 0, 2), "");
    CHECK_INT(15, r->page.snapshot);
    rig_free(r);
}

TEST(a_page_has_its_limit)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    for (uint64_t at = 1; at <= PAGE_ENTRIES_MAX + 3; at++)
        fold(r, message(at, "m", (uint64_t[]){ 1, 0 }), NULL);
    CHECK_INT(ERR_OK, db_commit(r->writer, PAGE_ENTRIES_MAX + 3));
    page(r, 1, 0, UINT32_MAX);
    CHECK_INT(PAGE_ENTRIES_MAX, r->page.count);
    page(r, 1, PAGE_ENTRIES_MAX, PAGE_ENTRIES_MAX);
    CHECK_INT(3, r->page.count);
    rig_free(r);
}

TEST(acknowledgements_take_ranges_and_leave_the_open_ones)
{
    struct rig *r = rig_open();
    five_messages(r);
    fold_alone(r, make_ack(1, 14, (uint64_t[]){ 11, 13, 0 }), 16);
    assert_string_equal(page(r, 1, 0, 10), "11:m1 13:m3 15:m5 ");
    assert_string_equal(page(r, 2, 0, 10), "11:m1 12:m2 13:m3 14:m4 15:m5 ");
    fold_alone(r, make_ack(1, 14, (uint64_t[]){ 14, 0 }), 17);
    assert_string_equal(page(r, 1, 0, 10), "15:m5 ");
    fold_alone(r, make_ack(1, 15, (uint64_t[]){ 0 }), 18);
    assert_string_equal(page(r, 1, 0, 10), "");
    rig_free(r);
}

TEST(an_open_entry_at_the_cursor_stays)
{
    struct rig *r = rig_open();
    five_messages(r);
    fold_alone(r, make_ack(1, 13, (uint64_t[]){ 12, 13, 0 }), 16);
    assert_string_equal(page(r, 1, 0, 10), "12:m2 13:m3 14:m4 15:m5 ");
    rig_free(r);
}

TEST(what_was_finished_before_the_fold_never_becomes_a_row)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, message(1, "one", (uint64_t[]){ 1, 2, 0 }), (bool[]){ false, true });
    fold(r, message(2, "none", (uint64_t[]){ 1, 2, 0 }), (bool[]){ false, false });
    CHECK_INT(ERR_OK, db_commit(r->writer, 2));
    assert_string_equal(page(r, 1, 0, 10), "");
    assert_string_equal(page(r, 2, 0, 10), "1:one ");
    CHECK_INT(1, bodies(r));
    rig_free(r);
}

TEST(a_target_that_lost_its_session_gets_no_row)
{
    struct rig *r = rig_open();
    struct command *c = message(1, "one", (uint64_t[]){ 1, 2, 0 });
    c->targets[0].is_skipped = true;
    fold_alone(r, c, 1);
    CHECK_INT(1, count(r, "SELECT count(*) FROM queue"));
    rig_free(r);
}

/* --- bodies */

TEST(a_body_goes_when_nothing_names_it)
{
    struct rig *r = rig_open();
    five_messages(r);
    fold_alone(r, make_ack(1, 15, (uint64_t[]){ 0 }), 16);
    sweep_round(r);
    CHECK_INT(5, bodies(r));
    fold_alone(r, make_ack(2, 14, (uint64_t[]){ 12, 0 }), 17);
    sweep_round(r);
    CHECK_INT(2, bodies(r));
    assert_string_equal(page(r, 2, 0, 10), "12:m2 15:m5 ");
    rig_free(r);
}

TEST(the_body_of_a_retained_message_stays_until_the_next_value)
{
    struct rig *r = rig_open();
    struct a_message m = { .topic = "a", .payload = "one", .retain = true };
    fold_alone(r, make_enqueue(1, &m, (uint64_t[]){ 1, 0 }), 1);
    fold_alone(r, make_ack(1, 1, (uint64_t[]){ 0 }), 2);
    sweep_round(r);
    CHECK_INT(1, bodies(r));
    assert_string_equal(at_boot(r), "retained a=one 1;");
    fold_alone(r, retain(3, "a", ""), 3);
    sweep_round(r);
    CHECK_INT(0, bodies(r));
    rig_free(r);
}

/* --- opening */

TEST(what_was_committed_is_there_after_reopening)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, message(UINT64_C(1) << 60, "far", (uint64_t[]){ 1, 0 }), UINT64_C(1) << 60);
    reopen(r);
    assert_string_equal(at_boot(r), "session 1 phone claim 1001 expiry 3600;");
    page(r, 1, 0, 10);
    CHECK_INT(1, r->page.count);
    CHECK_TRUE(r->page.rows[0].seq == UINT64_C(1) << 60);
    CHECK_TRUE(db_applied(r->writer) == UINT64_C(1) << 60);
    rig_free(r);
}

TEST(what_was_not_committed_is_not)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, claim(2, "watch"), NULL);
    reopen(r);
    assert_string_equal(at_boot(r), "session 1 phone claim 1001 expiry 3600;");
    CHECK_INT(1, db_applied(r->writer));
    rig_free(r);
}

TEST(each_start_has_its_number)
{
    struct rig *r = rig_open();
    for (uint64_t want = 1; want <= 3; want++) {
        uint64_t boot_no;
        CHECK_INT(ERR_OK, db_boot(r->writer, &boot_no));
        CHECK_INT(want, boot_no);
        reopen(r);
    }
    rig_free(r);
}

TEST(a_page_sees_all_of_a_commit_or_nothing)
{
    struct rig *r = rig_open();
    five_messages(r);
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, message(16, "m6", (uint64_t[]){ 1, 0 }), NULL);
    fold(r, make_ack(1, 15, (uint64_t[]){ 0 }), NULL);
    assert_string_equal(page(r, 1, 0, 10), "11:m1 12:m2 13:m3 14:m4 15:m5 ");
    CHECK_INT(15, r->page.snapshot);
    CHECK_INT(ERR_OK, db_commit(r->writer, 17));
    assert_string_equal(page(r, 1, 0, 10), "16:m6 ");
    CHECK_INT(17, r->page.snapshot);
    rig_free(r);
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *handle;
    CHECK_INT(SQLITE_OK, sqlite3_open(path, &handle));
    CHECK_INT(SQLITE_OK, sqlite3_exec(handle, sql, NULL, NULL, NULL));
    sqlite3_close(handle);
}

TEST(an_empty_file_is_brought_to_the_newest_schema)
{
    struct rig *r = rig_new();
    FILE *f = fopen(r->path, "wb");
    CHECK_TRUE(f != NULL && fclose(f) == 0);
    open_both(r);
    CHECK_TRUE(count(r, "PRAGMA user_version") >= 1);
    assert_string_equal(at_boot(r), "");
    CHECK_INT(0, db_applied(r->writer));
    rig_free(r);
}

TEST(a_newer_schema_is_refused_and_nothing_changed)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    close_both(r);
    execute(r->path, "PRAGMA user_version = 999");
    CHECK_INT(ERR_UNKNOWN, db_open_writer(&r->writer, r->path));
    CHECK_TRUE(r->writer == NULL);
    CHECK_TRUE(strstr(db_error(NULL), "999") != NULL);
    CHECK_INT(999, count(r, "PRAGMA user_version"));
    CHECK_INT(1, count(r, "SELECT count(*) FROM session"));
    rig_free(r);
}

TEST(a_file_of_garbage_is_no_database_and_stays_as_it_is)
{
    struct rig *r = rig_new();
    FILE *f = fopen(r->path, "wb");
    CHECK_TRUE(f != NULL);
    for (int i = 0; i < 2000; i++) CHECK_TRUE(fputs("not a database; ", f) >= 0);
    CHECK_INT(0, fclose(f));
    CHECK_INT(ERR_SYNTAX, db_open_writer(&r->writer, r->path));
    CHECK_TRUE(r->writer == NULL);
    CHECK_TRUE(strstr(db_error(NULL), "not a database") != NULL);
    f = fopen(r->path, "rb");
    CHECK_TRUE(f != NULL && fseek(f, 0, SEEK_END) == 0);
    CHECK_INT(32000, ftell(f));
    fclose(f);
    rig_free(r);
}

TEST(a_damaged_page_is_an_error_with_a_text)
{
    struct rig *r = rig_open();
    five_messages(r);
    close_both(r); /* all of it is in the one file now */
    FILE *f = fopen(r->path, "r+b");
    CHECK_TRUE(f != NULL && fseek(f, 4096, SEEK_SET) == 0);
    for (int i = 0; i < 8 * 4096; i++) CHECK_TRUE(fputc(0x5a, f) != EOF);
    CHECK_INT(0, fclose(f));

    struct db_visitor v = { see_session, see_subscription, see_retained, r };
    enum err rc = db_open_writer(&r->writer, r->path);
    if (rc == ERR_OK) rc = db_visit(r->writer, &v);
    CHECK_INT(ERR_SYNTAX, rc);
    CHECK_TRUE(strstr(db_error(r->writer), "malformed") != NULL);
    rig_free(r);
}

TEST(a_directory_that_is_not_there_is_an_error_with_a_text)
{
    struct db *db;
    CHECK_INT(ERR_SYS, db_open_writer(&db, "/nonexistent/longlink.db"));
    CHECK_TRUE(db == NULL);
    CHECK_TRUE(db_error(NULL)[0] != '\0');
}
