/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/schema.h"
#include "unit/db_kit.h"
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* What a start finds: what a session is beside its queue, what a process must know of the last one, and files
 * of older versions. */

static struct command *offline(uint64_t session_no, uint64_t stamp_ms, uint64_t sent, bool keeps_will)
{
    struct command *c = make_plain(COMMAND_OFFLINE, session_no, bytes_of(NULL, 0));
    c->stamp_ms = stamp_ms;
    c->sent = sent;
    c->keeps_will = keeps_will;
    return c;
}

static struct command *claim_with_will(uint64_t session_no, const char *client, const char *payload)
{
    struct a_message m = { .topic = "gone", .payload = payload, .retain = true };
    struct command *c = claim(session_no, client);
    c->msg = make_msg(&m);
    c->will = (struct command_will){ .delay_s = 30, .expiry_s = UINT32_MAX };
    return c;
}

static struct command *fire_will(uint64_t position, uint64_t session_no, const char *payload,
                                 const uint64_t *sessions)
{
    struct a_message m = { .topic = "gone", .payload = payload, .retain = true };
    struct command *c = make_enqueue(position, &m, sessions);
    c->kind = COMMAND_FIRE_WILL;
    c->session_no = session_no;
    return c;
}

#define PHONE  "session 1 phone claim 1001 expiry 3600"
#define WATCH  "session 2 watch claim 1002 expiry 3600"
#define A_WILL " will gone=bye qos 1 retain 1 from 77 78 delay 30 expiry 4294967295"

/* --- off line */

TEST(a_session_that_went_off_line_says_when_and_what_it_may_have_seen)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, claim(2, "watch"), 2);
    fold_alone(r, offline(1, 5000, 17, false), 3);
    assert_string_equal(at_boot(r), PHONE " offline 5000 sent 17;" WATCH ";");
    rig_free(r);
}

TEST(a_session_that_is_claimed_again_is_on_line_and_may_have_seen_what_it_had)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    fold_alone(r, offline(1, 5000, 17, false), 2);
    fold_alone(r, claim(1, "phone"), 3);
    assert_string_equal(at_boot(r), PHONE " sent 17;");
    fold_alone(r, offline(1, 6000, 3, false), 4); /* the second connection was sent less */
    assert_string_equal(at_boot(r), PHONE " offline 6000 sent 17;");
    rig_free(r);
}

/* --- wills */

TEST(a_will_is_kept_with_all_its_parts)
{
    struct rig *r = rig_open();
    fold_alone(r, claim_with_will(1, "phone", "bye"), 1);
    fold_alone(r, claim(2, "watch"), 2);
    rig_reopen(r);
    assert_string_equal(at_boot(r), PHONE A_WILL ";" WATCH ";");
    rig_free(r);
}

TEST(each_claim_brings_its_own_will_or_none)
{
    struct rig *r = rig_open();
    fold_alone(r, claim_with_will(1, "phone", "old"), 1);
    fold_alone(r, claim_with_will(1, "phone", "bye"), 2);
    assert_string_equal(at_boot(r), PHONE A_WILL ";");
    fold_alone(r, claim(1, "phone"), 3);
    assert_string_equal(at_boot(r), PHONE ";");
    rig_free(r);
}

TEST(a_will_goes_or_stays_when_its_session_goes_off_line)
{
    struct rig *r = rig_open();
    fold_alone(r, claim_with_will(1, "phone", "bye"), 1);
    fold_alone(r, offline(1, 5000, 0, true), 2);
    assert_string_equal(at_boot(r), PHONE " offline 5000" A_WILL ";");
    fold_alone(r, claim_with_will(1, "phone", "bye"), 3);
    fold_alone(r, offline(1, 6000, 0, false), 4);
    assert_string_equal(at_boot(r), PHONE " offline 6000;");
    rig_free(r);
}

TEST(a_will_that_fires_is_queued_and_retained_and_gone)
{
    struct rig *r = rig_open();
    fold_alone(r, claim_with_will(1, "phone", "bye"), 1);
    fold_alone(r, claim_with_will(2, "watch", "bye"), 2);
    fold_alone(r, fire_will(3, 1, "bye", (uint64_t[]){ 2, 0 }), 3);
    assert_string_equal(page(r, 2, 0, 10), "3:bye ");
    assert_string_equal(at_boot(r), PHONE ";" WATCH A_WILL ";retained gone=bye 3;");

    fold_alone(r, fire_will(4, 2, "", (uint64_t[]){ 0 }), 4); /* an empty one forgets, like any other */
    assert_string_equal(at_boot(r), PHONE ";" WATCH ";");
    rig_free(r);
}

TEST(the_end_of_a_session_takes_its_will)
{
    struct rig *r = rig_open();
    fold_alone(r, claim_with_will(1, "phone", "bye"), 1);
    fold_alone(r, make_plain(COMMAND_END_SESSION, 1, bytes_of(NULL, 0)), 2);
    fold_alone(r, claim(1, "phone"), 3);
    assert_string_equal(at_boot(r), PHONE ";");
    rig_free(r);
}

/* --- entries, for limits */

TEST(entries_are_shown_by_queue_in_order_with_the_bytes_of_their_payload)
{
    struct rig *r = rig_open();
    fold_alone(r, message(3, "three", (uint64_t[]){ 2, 1, 0 }), 3);
    fold_alone(r, message(4, "", (uint64_t[]){ 2, 0 }), 4);
    fold_alone(r, message(5, "fifth", (uint64_t[]){ 1, 0 }), 5);
    assert_string_equal(all_at_boot(r), "entry 1:3 5;entry 1:5 5;entry 2:3 5;entry 2:4 0;");
    rig_free(r);
}

TEST(what_a_full_queue_drops_goes_before_the_new_entry_comes)
{
    struct rig *r = rig_open();
    for (uint64_t at = 1; at <= 3; at++) fold_alone(r, message(at, "old", (uint64_t[]){ 1, 2, 0 }), at);
    struct command *c = message(4, "new", (uint64_t[]){ 1, 2, 0 });
    c->targets[0].drop_upto = 2;
    fold_alone(r, c, 4);
    assert_string_equal(page(r, 1, 0, 10), "3:old 4:new ");
    assert_string_equal(page(r, 2, 0, 10), "1:old 2:old 3:old 4:new ");

    c = make_retained(5, &(struct a_message){ .topic = "t", .payload = "copy" }, 1);
    c->targets[0].drop_upto = 3;
    fold_alone(r, c, 5);
    assert_string_equal(page(r, 1, 0, 10), "4:new 5:copy ");

    c = fire_will(6, 9, "will", (uint64_t[]){ 1, 0 });
    c->targets[0].drop_upto = 5;
    fold_alone(r, c, 6);
    assert_string_equal(page(r, 1, 0, 10), "6:will ");
    rig_free(r);
}

TEST(what_was_dropped_goes_though_what_came_for_it_is_finished_already)
{
    struct rig *r = rig_open();
    fold_alone(r, message(1, "old", (uint64_t[]){ 1, 0 }), 1);
    struct command *c = message(2, "new", (uint64_t[]){ 1, 0 });
    c->targets[0].drop_upto = 1;
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, c, (bool[]){ false });
    commit(r, 2);
    assert_string_equal(page(r, 1, 0, 10), "");
    rig_free(r);
}

/* --- the process before */

static struct db_meta meta(struct rig *r)
{
    struct db_meta m;
    CHECK_INT(ERR_OK, db_meta(r->writer, &m));
    return m;
}

TEST(a_heartbeat_comes_with_a_commit_or_alone_and_stays)
{
    struct rig *r = rig_open();
    CHECK_TRUE(meta(r).heartbeat_ms > 0); /* there was nothing before the file */
    CHECK_INT(ERR_OK, db_begin(r->writer));
    CHECK_INT(ERR_OK,
              db_commit_progress(r->writer, &(struct db_progress){ .applied = 1, .heartbeat_ms = 70 }));
    CHECK_INT(70, meta(r).heartbeat_ms);
    CHECK_INT(ERR_OK, db_begin(r->writer));
    commit(r, 2);
    CHECK_INT(70, meta(r).heartbeat_ms);
    CHECK_INT(ERR_OK, db_heartbeat(r->writer, 90));
    rig_reopen(r);
    CHECK_INT(90, meta(r).heartbeat_ms);
    CHECK_INT(2, db_applied(r->writer));
    rig_free(r);
}

TEST(the_key_of_a_file_is_its_own_and_stays)
{
    struct rig *r = rig_open(), *other = rig_open();
    uint64_t key = meta(r).client_key;
    CHECK_TRUE(key != meta(other).client_key);
    rig_reopen(r);
    CHECK_TRUE(key == meta(r).client_key);
    rig_free(r);
    rig_free(other);
}

TEST(the_last_submission_of_each_node_is_kept)
{
    struct rig *r = rig_open();
    struct command_origin first[] = { { 1, 1, 10 }, { 2, 7, 1 } }, next[] = { { 1, 2, 3 } };
    CHECK_INT(ERR_OK, db_begin(r->writer));
    CHECK_INT(ERR_OK,
              db_commit_progress(
                  r->writer, &(struct db_progress){ .applied = 1, .origins = first, .origins_count = 2 }));
    CHECK_INT(ERR_OK, db_begin(r->writer));
    CHECK_INT(ERR_OK, db_commit_progress(r->writer, &(struct db_progress){
                                                        .applied = 2, .origins = next, .origins_count = 1 }));
    rig_reopen(r);
    assert_string_equal(all_at_boot(r), "origin 1 2 3;origin 2 7 1;");
    rig_free(r);
}

static void put_mid(struct rig *r, const char *client, const char *mid, uint64_t until_ms)
{
    struct db_mid m = { bytes_of_text(client), bytes_of_text(mid), until_ms };
    CHECK_INT(ERR_OK, db_mid_put(r->writer, &m));
}

TEST(ids_of_messages_are_per_client_and_forgotten_when_their_time_is_over)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    put_mid(r, "b", "x", 30);
    put_mid(r, "a", "x", 10);
    put_mid(r, "a", "y", 20);
    put_mid(r, "a", "x", 25);
    commit(r, 1);
    rig_reopen(r);
    assert_string_equal(all_at_boot(r), "mid a y 20;mid a x 25;mid b x 30;");

    CHECK_INT(ERR_OK, db_begin(r->writer));
    CHECK_INT(ERR_OK, db_mids_forget(r->writer, 20));
    commit(r, 2);
    assert_string_equal(all_at_boot(r), "mid a x 25;mid b x 30;");
    rig_free(r);
}

TEST(a_message_with_an_id_is_folded_with_it)
{
    struct rig *r = rig_open();
    struct a_message m = { .topic = "t", .payload = "x" };
    struct command_mid mid = { bytes_of_text("a"), bytes_of_text("x"), 7 };
    struct command *c = make_with_mid(5, &m, &mid);
    c->stamp_ms = 30;
    fold_alone(r, c, 5);
    assert_string_equal(all_at_boot(r), "mid a x 7030;");
    CHECK_INT(0, count(r, "SELECT count(*) FROM body"));
    rig_free(r);
}

/* --- the callee says no */

static enum err refuse_session(void *ctx, const struct restore_session *s)
{
    (void)s;
    ++*(int *)ctx;
    return ERR_NOMEM;
}

TEST(the_callees_error_ends_it_and_is_not_the_databases)
{
    struct rig *r = rig_open();
    int calls = 0;
    struct db_restore to = { .sink = { .session = refuse_session, .ctx = &calls } };
    fold_alone(r, claim_with_will(1, "phone", "bye"), 1);
    fold_alone(r, claim(2, "watch"), 2);
    fold_alone(r, filters(COMMAND_SUBSCRIBE, 1, "a", 1), 3);
    CHECK_INT(ERR_NOMEM, db_restore(r->writer, &to));
    CHECK_INT(1, calls);
    assert_string_equal(db_error(r->writer), "");
    assert_string_equal(at_boot(r), PHONE A_WILL ";" WATCH ";sub 1 a 1;"); /* and again */
    rig_free(r);
}

/* --- rollback */

TEST(what_was_rolled_back_is_gone_and_the_next_transaction_works)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, claim(2, "watch"), NULL);
    fold(r, message(3, "m", (uint64_t[]){ 1, 0 }), NULL);
    db_rollback(r->writer);
    assert_string_equal(at_boot(r), PHONE ";");
    assert_string_equal(page(r, 1, 0, 10), "");
    db_rollback(r->writer); /* with nothing to roll back */
    fold_alone(r, claim(2, "watch"), 2);
    assert_string_equal(at_boot(r), PHONE ";" WATCH ";");
    assert_string_equal(page(r, 1, 0, 10), "");
    rig_free(r);
}

/* --- what was learned of ways */

/* Two rows, of two clients, with these grants. */
static struct command *ways(uint32_t first, uint32_t second, uint64_t stamp_ms)
{
    uint8_t at[256];
    struct wr w = { .at = at, .left = sizeof at };
    struct keepalive_row rows[] = {
        { UINT64_C(0xfedcba9876543210), 5, { first, 1, 2, 3, 4, 5, 6, 7, UINT32_MAX } },
        { 1, 0, { second } },
    };
    for (size_t i = 0; i < 2; i++) keepalive_row_write(&w, &rows[i]);
    CHECK_TRUE(!w.bad);
    struct command *c = make_plain(COMMAND_KEEPALIVE, 0, bytes_of(at, (size_t)(w.at - at)));
    c->stamp_ms = stamp_ms;
    return c;
}

#define FAR_AWAY "way fedcba9876543210 5 260 1 2 3 4 5 6 7 4294967295;"

TEST(what_was_learned_of_ways_is_the_last_that_was_said_of_each)
{
    struct rig *r = rig_open();
    fold_alone(r, ways(240, 300, 10), 1);
    fold_alone(r, ways(260, 320, 11), 2);
    rig_reopen(r);
    CHECK_INT(2, count(r, "SELECT count(*) FROM keepalive WHERE noted_ms = 11"));
    const char *said = at_boot(r);
    CHECK_TRUE(strstr(said, FAR_AWAY) != NULL && strstr(said, "way 1 0 320 0 0 0 0 0 0 0 0;") != NULL);
    rig_free(r);
}

TEST(a_way_that_is_forgotten_is_no_row_any_more)
{
    struct rig *r = rig_open();
    fold_alone(r, ways(240, 300, 10), 1);
    fold_alone(r, ways(260, 0, 11), 2);
    assert_string_equal(at_boot(r), FAR_AWAY);
    fold_alone(r, ways(0, 0, 12), 3);
    assert_string_equal(at_boot(r), "");
    rig_free(r);
}

TEST(ways_that_nobody_has_gone_for_long_are_forgotten)
{
    const uint64_t half_a_year_ms = UINT64_C(180) * 24 * 3600 * 1000;
    struct rig *r = rig_open();
    fold_alone(r, ways(240, 300, 10), 1);
    fold_alone(r, ways(260, 0, half_a_year_ms), 2);
    fold_alone(r, ways(0, 320, half_a_year_ms + 10), 3);
    assert_string_equal(at_boot(r), "way 1 0 320 0 0 0 0 0 0 0 0;");
    fold_alone(r, ways(260, 0, 2 * half_a_year_ms), 4);
    assert_string_equal(at_boot(r), FAR_AWAY);
    rig_free(r);
}

TEST(of_more_ways_than_a_start_reads_the_oldest_are_forgotten)
{
    struct rig *r = rig_open();
    execute(r, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000100) "
               "INSERT INTO keepalive SELECT i, 9, 240, 0, 0, 0, 0, 0, 0, 0, 0, i FROM n");
    fold_alone(r, ways(240, 300, 1000101), 1);
    CHECK_TRUE(count(r, "SELECT count(*) FROM keepalive") <= 1000002);
    CHECK_INT(1, count(r, "SELECT count(*) FROM keepalive WHERE client = 1000100"));
    CHECK_INT(0, count(r, "SELECT count(*) FROM keepalive WHERE noted_ms < 100"));
    rig_free(r);
}

/* --- files of older versions */

/* A file as the program of that version left it. */
static struct rig *of_version(int version, const char *content)
{
    struct rig *r = rig_new();
    char set[48];
    execute(r, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL");
    for (int i = 0; i < version; i++) execute(r, schema_broker[i]);
    snprintf(set, sizeof set, "PRAGMA user_version = %d", version);
    execute(r, set);
    execute(r, content);
    return r;
}

static int newest_version(void)
{
    int newest = 0;
    while (schema_broker[newest] != NULL) newest++;
    return newest;
}

static const char content_1[] =
    "UPDATE meta SET value = 9 WHERE name = 'applied'; UPDATE meta SET value = 4 WHERE name = 'boot_no';"
    "INSERT INTO session VALUES (1, x'70686f6e65', 1001, 3600), (2, x'7761746368', 1002, 3600);"
    "INSERT INTO subscription VALUES (2, x'612f23', 9);"
    "INSERT INTO body VALUES (6, x'74', x'0101', x'7369786d', 1, 0, 77), (7, x'72', x'0101', x'', 1, 0, 77),"
    "  (8, x'72', x'0101', x'7265', 5, 0, 77);"
    "INSERT INTO queue VALUES (1, 6, 1), (2, 6, 5), (2, 8, 1);"
    "INSERT INTO retained VALUES (x'72', 8);";

TEST(a_file_of_version_1_is_upgraded_with_all_that_is_in_it)
{
    struct rig *r = of_version(1, content_1);
    rig_open_both(r);
    CHECK_INT(newest_version(), count(r, "PRAGMA user_version"));
    CHECK_INT(9, db_applied(r->writer));
    CHECK_INT(4, meta(r).boot_no);
    CHECK_TRUE(meta(r).heartbeat_ms > 0 && meta(r).client_key != 0);
    assert_string_equal(page(r, 1, 0, 10), "6:sixm ");
    CHECK_INT(0, r->page.rows[0].msg->from_client);
    CHECK_INT(77, r->page.rows[0].msg->from_session);
    assert_string_equal(page(r, 2, 0, 10), "6:sixm 8:re ");
    CHECK_INT(true, r->page.rows[0].retain);
    rig_free(r);
}

TEST(a_file_of_version_1_keeps_sessions_subscriptions_and_what_is_retained)
{
    struct rig *r = of_version(1, content_1);
    execute(r, "DELETE FROM queue");
    rig_open_both(r);
    assert_string_equal(all_at_boot(r), PHONE ";" WATCH ";sub 2 a/# 9;retained r=re 8;");
    fold_alone(r, claim_with_will(1, "phone", "bye"), 10);
    fold_alone(r, offline(1, 5000, 9, true), 11);
    assert_string_equal(at_boot(r),
                        PHONE " offline 5000 sent 9" A_WILL ";" WATCH ";sub 2 a/# 9;retained r=re 8;");
    rig_free(r);
}

static const char content_2[] =
    "UPDATE meta SET value = 9 WHERE name = 'applied'; UPDATE meta SET value = 7 WHERE name = 'client_key';"
    "INSERT INTO session VALUES (1, x'70686f6e65', 1001, 3600, 5000, 6), (2, x'7761746368', 1002, 3600, 0, "
    "0);"
    "INSERT INTO will VALUES (1, x'676f6e65', x'0101', x'627965', 5, 77, 78, 30, 4294967295);"
    "INSERT INTO body VALUES (6, x'74', x'0101', x'736978', 1, 0, 77, 78), (7, x'74', x'0101', x'37', 1, 0, "
    "0, 0);"
    "INSERT INTO queue VALUES (1, 6, 1), (2, 6, 5), (2, 7, 1);"
    "INSERT INTO origin VALUES (1, 3, 40);"
    "INSERT INTO mid VALUES (x'61', x'62', 5);";

TEST(a_file_of_version_2_is_upgraded_with_all_that_is_in_it)
{
    struct rig *r = of_version(2, content_2);
    rig_open_both(r);
    CHECK_INT(newest_version(), count(r, "PRAGMA user_version"));
    CHECK_INT(9, db_applied(r->writer));
    CHECK_INT(7, meta(r).client_key);
    assert_string_equal(all_at_boot(r), PHONE " offline 5000 sent 6" A_WILL ";" WATCH ";"
                                              "entry 1:6 3;entry 2:6 3;entry 2:7 1;mid a b 5;origin 1 3 40;");
    rig_free(r);
}

TEST(rows_of_version_2_are_read_beside_new_ones_and_their_bodies_swept)
{
    struct rig *r = of_version(2, content_2);
    rig_open_both(r);
    fold_alone(r, message(10, "new", (uint64_t[]){ 2, 0 }), 10);
    assert_string_equal(page(r, 2, 0, 10), "6:six 7:7 10:new ");
    CHECK_INT(78, r->page.rows[0].msg->from_client);
    fold_alone(r, make_ack(2, 7, (uint64_t[]){ 0 }), 11);
    tidy(r);
    assert_string_equal(page(r, 2, 0, 10), "10:new ");
    assert_string_equal(page(r, 1, 0, 10), "6:six ");
    CHECK_INT(1, count(r, "SELECT count(*) FROM body"));
    rig_free(r);
}

static const char content_4[] = "UPDATE meta SET value = 9 WHERE name = 'applied';"
                                "INSERT INTO session VALUES (1, x'70686f6e65', 1001, 3600, 5000, 6);"
                                "INSERT INTO subscription VALUES (1, x'612f23', 9);"
                                "INSERT INTO body VALUES (6, x'74', x'0101', x'736978', 1, 0, 77, 78);"
                                "INSERT INTO queue (session_no, seq, flags) VALUES (1, 6, 5);"
                                "INSERT INTO queue VALUES (1, 7, 1, x'74', x'0101', x'3737', 1, 0, 77, 78);"
                                "INSERT INTO mid VALUES (x'61', x'62', 5);";

TEST(a_file_of_version_4_is_upgraded_and_takes_what_is_new)
{
    struct rig *r = of_version(4, content_4);
    rig_open_both(r);
    CHECK_INT(newest_version(), count(r, "PRAGMA user_version"));
    assert_string_equal(all_at_boot(r), PHONE " offline 5000 sent 6;sub 1 a/# 9;"
                                              "entry 1:6 3;entry 1:7 2;mid a b 5;");
    struct command *received = make_ack(1, 0, (uint64_t[]){ 7, 0 });
    received->kind = COMMAND_RECEIVED;
    fold_alone(r, received, 10);
    assert_string_equal(page(r, 1, 0, 10), "6:six 7:77 released ");
    CHECK_INT(true, r->page.rows[0].retain);
    struct command *later = message(11, "later", (uint64_t[]){ DELAYED_QUEUE, 0 }),
                   *with_id = filters(COMMAND_SUBSCRIBE, 1, "a/#", 1);
    later->due_ms = 500;
    with_id->sub_id = 3;
    fold_alone(r, later, 11);
    fold_alone(r, with_id, 12);
    fold_alone(r, make_plain(COMMAND_GROUP, 300, bytes_of_text("$share/g/a")), 13);
    assert_string_equal(at_boot(r), PHONE " offline 5000 sent 6;group 300 $share/g/a;sub 1 a/# 1 id 3;"
                                          "delayed 11 at 500;");
    rig_free(r);
}

static const char content_5[] = "UPDATE meta SET value = 9 WHERE name = 'applied';"
                                "INSERT INTO session VALUES (1, x'70686f6e65', 1001, 3600, 5000, 6);"
                                "INSERT INTO subscription VALUES (1, x'612f23', 9, 3);"
                                "INSERT INTO inbound VALUES (1, 77);"
                                "INSERT INTO share_group VALUES (300, x'2473686172652f672f61');"
                                "INSERT INTO delayed VALUES (11, 500);";

TEST(a_file_of_version_5_is_upgraded_and_takes_what_was_learned_of_ways)
{
    struct rig *r = of_version(5, content_5);
    rig_open_both(r);
    CHECK_INT(newest_version(), count(r, "PRAGMA user_version"));
    assert_string_equal(at_boot(r), PHONE " offline 5000 sent 6;group 300 $share/g/a;sub 1 a/# 9 id 3;"
                                          "inbound 1:77;delayed 11 at 500;");
    fold_alone(r, ways(260, 0, 10), 12);
    CHECK_TRUE(strstr(at_boot(r), FAR_AWAY) != NULL);
    rig_free(r);
}
