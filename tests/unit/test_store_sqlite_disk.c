/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/db_int.h"
#include "unit/db_kit.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the tables do with the disk: no room, syncs, and space that comes back. */

/* --- syncs: this program's own calls come before the C library's */

static int wal_syncs;

static void note_sync(int fd)
{
    char link[32], path[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    if (n >= 4 && memcmp(path + n - 4, "-wal", 4) == 0) wal_syncs++;
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
    note_sync(fd);
    return (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
    note_sync(fd);
    return (int)syscall(SYS_fsync, fd);
}

static void commit_lazily(struct rig *r, uint64_t position)
{
    CHECK_INT(ERR_OK,
              db_commit_progress(r->writer, &(struct db_progress){ .applied = position, .is_lazy = true }));
}

TEST(a_commit_is_synced_and_a_lazy_one_with_the_next)
{
    struct rig *r = rig_open();
    fold_alone(r, claim(1, "phone"), 1);
    wal_syncs = 0;
    for (uint64_t at = 2; at <= 4; at++) {
        CHECK_INT(ERR_OK, db_begin(r->writer));
        fold(r, message(at, "m", (uint64_t[]){ 1, 0 }), NULL);
        commit_lazily(r, at);
    }
    CHECK_INT(0, wal_syncs);
    assert_string_equal(page(r, 1, 0, 10), "2:m 3:m 4:m "); /* it is seen all the same */
    fold_alone(r, message(5, "m", (uint64_t[]){ 1, 0 }), 5);
    CHECK_INT(1, wal_syncs);
    CHECK_INT(ERR_OK, db_heartbeat(r->writer, 7));
    CHECK_INT(2, wal_syncs);
    rig_free(r);
}

TEST(a_commit_without_a_change_syncs_what_lazy_ones_left)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, db_begin(r->writer));
    fold(r, claim(1, "phone"), NULL);
    commit_lazily(r, 1);
    wal_syncs = 0;
    CHECK_INT(ERR_OK, db_begin(r->writer));
    commit(r, 1);
    CHECK_INT(1, wal_syncs);
    rig_free(r);
}

/* --- no room */

static void set_pages_max(struct rig *r, int pages)
{
    char sql[48];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", pages);
    CHECK_INT(ERR_OK, db_execute(r->writer, sql));
}

/* Gives the first error. */
static enum err fold_many(struct rig *r, uint64_t first, uint64_t count, const uint64_t *sessions)
{
    char payload[600];
    memset(payload, 'x', sizeof payload);
    payload[sizeof payload - 1] = '\0';
    enum err rc = db_begin(r->writer);
    for (uint64_t at = first; at < first + count && rc == ERR_OK; at++) {
        struct command *c = message(at, payload, sessions);
        rc = db_fold(r->writer, c, NULL);
        command_unref(&c);
    }
    if (rc == ERR_OK)
        rc = db_commit_progress(r->writer, &(struct db_progress){ .applied = first + count - 1 });
    return rc;
}

static void no_room_then_room(const uint64_t *sessions)
{
    struct rig *r = rig_open();
    fold_alone(r, message(1, "before", (uint64_t[]){ 1, 0 }), 1);
    set_pages_max(r, count(r, "PRAGMA page_count") + 20);
    CHECK_INT(ERR_FULL, fold_many(r, 2, 400, sessions));
    CHECK_TRUE(strstr(db_error(r->writer), "full") != NULL);
    db_rollback(r->writer);
    assert_string_equal(page(r, 1, 0, 10), "1:before ");
    CHECK_INT(1, db_applied(r->writer));

    set_pages_max(r, 1000000);
    CHECK_INT(ERR_OK, fold_many(r, 2, 400, sessions));
    CHECK_INT(401, db_applied(r->writer));
    CHECK_INT(401, count(r, "SELECT count(*) FROM queue WHERE session_no = 1"));
    rig_free(r);
}

TEST(a_transaction_without_room_leaves_nothing_and_can_be_tried_again)
{
    no_room_then_room((uint64_t[]){ 1, 0 }); /* found out when the rows are written */
}

TEST(so_it_is_when_bodies_find_no_room)
{
    no_room_then_room((uint64_t[]){ 1, 2, 0 });
}

TEST(without_room_what_frees_it_still_works)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, fold_many(r, 1, 400, (uint64_t[]){ 1, 0 }));
    int pages = count(r, "PRAGMA page_count");
    set_pages_max(r, pages);
    CHECK_INT(ERR_FULL, fold_many(r, 401, 400, (uint64_t[]){ 1, 0 }));
    db_rollback(r->writer);
    fold_alone(r, make_ack(1, 400, (uint64_t[]){ 0 }), 401);
    CHECK_INT(ERR_OK, fold_many(r, 402, 300, (uint64_t[]){ 1, 0 }));
    CHECK_TRUE(count(r, "PRAGMA page_count") <= pages);
    rig_free(r);
}

/* --- space that comes back */

static long long file_size(const struct rig *r, const char *end)
{
    char path[DB_PATH_BYTES + 8];
    struct stat st;
    snprintf(path, sizeof path, "%s%s", r->path, end);
    CHECK_INT(0, stat(path, &st));
    return st.st_size;
}

TEST(a_file_can_give_pages_back_from_its_first_day)
{
    struct rig *r = rig_open();
    CHECK_INT(2, count(r, "PRAGMA auto_vacuum")); /* incremental */
    rig_free(r);
}

/* 30 MB in a queue, then none. */
static struct rig *filled_and_finished(const uint64_t *sessions)
{
    enum { MESSAGES = 40000 };
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, fold_many(r, 1, MESSAGES, sessions));
    for (int i = 0; sessions[i] != 0; i++)
        fold_alone(r, make_ack(sessions[i], MESSAGES, (uint64_t[]){ 0 }), MESSAGES);
    return r;
}

static void shrinks(const uint64_t *sessions)
{
    struct rig *r = filled_and_finished(sessions);
    int before = count(r, "PRAGMA page_count"), pages = before;
    CHECK_TRUE(before > 6000);
    for (bool more = true; more;) {
        CHECK_INT(ERR_OK, db_tidy(r->writer, &more));
        int now = count(r, "PRAGMA page_count");
        CHECK_TRUE(pages - now <= 1100); /* a piece at a time; pages that index free pages go as well */
        pages = now;
    }
    CHECK_TRUE(pages < before / 2);
    bool more;
    CHECK_INT(ERR_OK, db_settle(r->writer, &more));
    CHECK_TRUE(!more);
    CHECK_INT(0, file_size(r, "-wal"));
    CHECK_TRUE(file_size(r, "") == (long long)pages * 4096);
    rig_free(r);
}

TEST(after_a_backlog_the_file_shrinks_piece_by_piece)
{
    shrinks((uint64_t[]){ 1, 0 });
}

TEST(so_it_does_when_bodies_were_shared)
{
    shrinks((uint64_t[]){ 1, 2, 0 });
}

/* As when the disk is full: the transaction that swept them is rolled back. */
TEST(garbage_whose_sweep_was_rolled_back_is_swept_again)
{
    struct rig *r = filled_and_finished((uint64_t[]){ 1, 2, 0 });
    int garbage = count(r, "SELECT count(*) FROM body");
    CHECK_TRUE(garbage > 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(ERR_OK, db_begin(r->writer));
        CHECK_INT(ERR_OK, db_sweep_step(r->writer));
        db_rollback(r->writer);
    }
    CHECK_INT(garbage, count(r, "SELECT count(*) FROM body"));
    tidy(r);
    CHECK_INT(0, count(r, "SELECT count(*) FROM body"));
    rig_free(r);
}

TEST(garbage_of_an_earlier_process_is_swept)
{
    struct rig *r = filled_and_finished((uint64_t[]){ 1, 2, 0 });
    rig_reopen(r);
    CHECK_TRUE(count(r, "SELECT count(*) FROM body") > 0);
    tidy(r);
    CHECK_INT(0, count(r, "SELECT count(*) FROM body"));
    rig_free(r);
}

TEST(a_little_free_space_is_kept_and_a_tidy_file_is_left_alone)
{
    struct rig *r = rig_open();
    bool more = true;
    CHECK_INT(ERR_OK, fold_many(r, 1, 1000, (uint64_t[]){ 1, 0 }));
    fold_alone(r, make_ack(1, 1000, (uint64_t[]){ 0 }), 1000);
    tidy(r);
    CHECK_TRUE(count(r, "PRAGMA freelist_count") > 100);
    long long bytes = file_size(r, "-wal");
    CHECK_INT(ERR_OK, db_tidy(r->writer, &more));
    CHECK_INT(false, more);
    CHECK_INT(bytes, file_size(r, "-wal"));
    rig_free(r);
}

TEST(a_reader_in_the_middle_of_something_delays_the_settling_only)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, fold_many(r, 1, 4000, (uint64_t[]){ 1, 0 }));
    sqlite3_stmt *reading = NULL;
    CHECK_INT(SQLITE_OK, sqlite3_prepare_v2(r->reader->handle, "SELECT seq FROM queue", -1, &reading, NULL));
    CHECK_INT(SQLITE_ROW, sqlite3_step(reading));
    CHECK_INT(ERR_OK, fold_many(r, 4001, 10, (uint64_t[]){ 1, 0 }));
    bool more;
    CHECK_INT(ERR_OK, db_settle(r->writer, &more));
    CHECK_TRUE(more);
    CHECK_TRUE(file_size(r, "-wal") > 0);
    sqlite3_finalize(reading);
    CHECK_INT(ERR_OK, db_settle(r->writer, &more));
    CHECK_TRUE(!more);
    CHECK_INT(0, file_size(r, "-wal"));
    CHECK_INT(4010, count(r, "SELECT count(*) FROM queue"));
    rig_free(r);
}

TEST(a_wal_file_that_has_grown_large_is_written_back)
{
    struct rig *r = rig_open();
    CHECK_INT(ERR_OK, fold_many(r, 1, 110000, (uint64_t[]){ 1, 0 }));
    CHECK_TRUE(file_size(r, "-wal") > DB_WAL_FRAMES_MAX * 4096LL);
    CHECK_TRUE(file_size(r, "") < 1024 * 1024);
    long long bytes = file_size(r, "-wal");
    fold_alone(r, message(110001, "m", (uint64_t[]){ 1, 0 }), 110001);
    CHECK_TRUE(file_size(r, "") > 50 * 1024 * 1024);
    CHECK_TRUE(file_size(r, "-wal") <= bytes); /* and begun again */
    rig_free(r);
}
