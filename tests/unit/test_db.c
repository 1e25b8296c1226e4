/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/db_kit.h"
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static int bodies(struct rig *r)
{
    return count(r, "SELECT count(*) FROM body");
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
    CHECK_INT(78, row->msg->from_client);
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
    tidy(r);
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
    commit(r, 15);
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
    commit(r, PAGE_ENTRIES_MAX + 3);
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
    commit(r, 2);
    assert_string_equal(page(r, 1, 0, 10), "");
    assert_string_equal(page(r, 2, 0, 10), "1:one ");
    CHECK_INT(1, count(r, "SELECT count(*) FROM queue"));
    CHECK_INT(0, bodies(r));
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

TEST(what_one_transaction_brings_and_finishes_is_finished)
{
    struct rig *r = rig_open();
    struct command *dropping = message(7, "m7", (uint64_t[]){ 3, 0 });
    dropping->targets[0].drop_upto = 4;
    CHECK_INT(ERR_OK, db_begin(r->writer));
    for (uint64_t at = 1; at <= 4; at++) fold(r, message(at, "m", (uint64_t[]){ 1, 2, 3, 0 }), NULL);
    fold(r, message(5, "m5", (uint64_t[]){ 1, 0 }), NULL);
    fold(r, make_ack(1, 5, (uint64_t[]){ 2, 0 }), NULL);
    fold(r, message(6, "m6", (uint64_t[]){ 2, 0 }), NULL);
    fold(r, make_plain(COMMAND_END_SESSION, 2, bytes_of(NULL, 0)), NULL);
    fold(r, dropping, NULL);
    fold(r, message(8, "m8", (uint64_t[]){ 1, 3, 0 }), NULL);
    commit(r, 8);
    assert_string_equal(page(r, 1, 0, 10), "2:m 8:m8 ");
    assert_string_equal(page(r, 2, 0, 10), "");
    assert_string_equal(page(r, 3, 0, 10), "7:m7 8:m8 ");
    rig_free(r);
}

TEST(rows_of_many_sessions_in_one_transaction_are_all_there)
{
    enum { MESSAGES = 40000, SESSIONS = 7 };
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    for (uint64_t at = 1; at <= MESSAGES; at++)
        fold(r, message(at, "m", (uint64_t[]){ 1 + at % SESSIONS, 0 }), NULL);
    commit(r, MESSAGES);
    CHECK_INT(MESSAGES, count(r, "SELECT count(DISTINCT seq) FROM queue WHERE session_no = 1 + seq % 7"));
    assert_string_equal(page(r, 1, 0, 3), "7:m 14:m 21:m ");
    rig_free(r);
}

/* --- bodies */

TEST(a_small_message_for_one_queue_lies_in_its_row_with_all_its_parts)
{
    struct rig *r = rig_open();
    fold_alone(r, message(5, "hello", (uint64_t[]){ 1, 0 }), 5);
    CHECK_INT(0, bodies(r));
    assert_string_equal(page(r, 1, 0, 10), "5:hello ");
    const struct msg *m = r->page.rows[0].msg;
    CHECK_INT(1, r->page.rows[0].qos);
    CHECK_INT(1, m->qos);
    CHECK_INT(5, m->expires_ms);
    CHECK_INT(77, m->from_session);
    CHECK_INT(78, m->from_client);
    CHECK_TRUE(bytes_equal(msg_topic(m), bytes_of_text("t")));
    CHECK_TRUE(bytes_equal(msg_block(m), bytes_of_text("\x01\x01")));
    rig_free(r);
}

TEST(a_large_message_for_one_queue_has_a_body)
{
    struct rig *r = rig_open();
    char payload[2000];
    memset(payload, 'x', sizeof payload);
    payload[sizeof payload - 1] = '\0';
    fold_alone(r, message(5, payload, (uint64_t[]){ 1, 0 }), 5);
    CHECK_INT(1, bodies(r));
    page(r, 1, 0, 10);
    CHECK_INT(sizeof payload - 1, r->page.rows[0].msg->payload_bytes);
    fold_alone(r, make_ack(1, 5, (uint64_t[]){ 0 }), 6);
    tidy(r);
    CHECK_INT(0, bodies(r));
    rig_free(r);
}

TEST(one_that_is_retained_and_queued_has_one_body_for_both)
{
    struct rig *r = rig_open();
    struct a_message m = { .topic = "a", .payload = "one", .retain = true };
    fold_alone(r, make_enqueue(1, &m, (uint64_t[]){ 1, 0 }), 1);
    CHECK_INT(1, bodies(r));
    fold_alone(r, retain(2, "a", ""), 2);
    tidy(r);
    assert_string_equal(page(r, 1, 0, 10), "1:one "); /* the queue has it still */
    rig_free(r);
}

TEST(a_body_goes_when_nothing_names_it)
{
    struct rig *r = rig_open();
    five_messages(r);
    fold_alone(r, make_ack(1, 15, (uint64_t[]){ 0 }), 16);
    tidy(r);
    CHECK_INT(5, bodies(r));
    fold_alone(r, make_ack(2, 14, (uint64_t[]){ 12, 0 }), 17);
    tidy(r);
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
    tidy(r);
    CHECK_INT(1, bodies(r));
    assert_string_equal(at_boot(r), "retained a=one 1;");
    fold_alone(r, retain(3, "a", ""), 3);
    tidy(r);
    CHECK_INT(0, bodies(r));
    rig_free(r);
}

/* --- opening */

TEST(what_was_committed_is_there_after_reopening)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, message(UINT64_C(1) << 60, "far", (uint64_t[]){ 1, 0 }), UINT64_C(1) << 60);
    rig_reopen(r);
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
    rig_reopen(r);
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
        rig_reopen(r);
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
    commit(r, 17);
    assert_string_equal(page(r, 1, 0, 10), "16:m6 ");
    CHECK_INT(17, r->page.snapshot);
    rig_free(r);
}

TEST(an_empty_file_is_brought_to_the_newest_schema)
{
    struct rig *r = rig_new();
    FILE *f = fopen(r->path, "wb");
    CHECK_TRUE(f != NULL && fclose(f) == 0);
    rig_open_both(r);
    CHECK_TRUE(count(r, "PRAGMA user_version") >= 1);
    assert_string_equal(at_boot(r), "");
    CHECK_INT(0, db_applied(r->writer));
    rig_free(r);
}

TEST(a_newer_schema_is_refused_and_nothing_changed)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    rig_close_both(r);
    execute(r, "PRAGMA user_version = 999");
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
    rig_close_both(r); /* all of it is in the one file now */
    FILE *f = fopen(r->path, "r+b");
    CHECK_TRUE(f != NULL && fseek(f, 4096, SEEK_SET) == 0);
    for (int i = 0; i < 8 * 4096; i++) CHECK_TRUE(fputc(0x5a, f) != EOF);
    CHECK_INT(0, fclose(f));

    enum err rc = db_open_writer(&r->writer, r->path);
    if (rc == ERR_OK) rc = db_begin(r->writer);
    struct command *c = message(16, "m6", (uint64_t[]){ 1, 0 });
    if (rc == ERR_OK) rc = db_fold(r->writer, c, NULL);
    if (rc == ERR_OK) rc = db_commit_progress(r->writer, &(struct db_progress){ .applied = 16 });
    command_unref(&c);
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
