/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/db.h"
#include "store_sqlite/fresh.h"
#include "unit/store_kit.h"
#include "wal/wal.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 128, MANY = 3 * FRESH_COMMANDS_MAX };

struct rig {
    char top[48], dir[PATH_BYTES];
    char text[FRESH_TEXT_BYTES];
    uint64_t done, position;
};

static void join(char to[PATH_BYTES], const char *dir, const char *name)
{
    CHECK_TRUE(snprintf(to, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES);
}

static bool exists(const char *dir, const char *name)
{
    char path[PATH_BYTES];
    join(path, dir, name);
    return access(path, F_OK) == 0;
}

static void rig_init(struct rig *r)
{
    *r = (struct rig){ .top = "/tmp/test_fresh.XXXXXX" };
    CHECK_TRUE(mkdtemp(r->top) != NULL);
    join(r->dir, r->top, "store");
}

static void rig_fini(const struct rig *r)
{
    static const char *const names[] = { "store/0000000000000001.wal",
                                         "store/longlink.db",
                                         "store/longlink.db-shm",
                                         "store/longlink.db-wal",
                                         "store/lock",
                                         "store/mine",
                                         "store" };
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        join(path, r->top, names[i]);
        remove(path);
    }
    CHECK_INT(0, rmdir(r->top)); /* nothing else was made */
}

/* In the order they were put: positions go up. */
static void done(void *ctx, const struct command *c)
{
    struct rig *r = ctx;
    CHECK_TRUE(c->position > r->position);
    r->position = c->position;
    r->done++;
}

static enum err begin(struct rig *r, struct fresh **f)
{
    struct fresh_conf conf = { .dir = r->dir, .clock = &clock_system, .done = done, .ctx = r };
    return fresh_begin(f, &conf, r->text);
}

static void put_session(struct fresh *f, uint64_t session_no)
{
    struct command *c = make_plain(COMMAND_CLAIM, session_no, bytes_of_text("client"));
    c->claim_no = 1;
    c->expiry_s = UINT32_MAX;
    CHECK_INT(ERR_OK, fresh_put(f, c));
}

static uint32_t rows_in(const char *dir, uint64_t session_no)
{
    char path[PATH_BYTES];
    struct db *db;
    static struct store_page page;
    join(path, dir, "longlink.db");
    CHECK_INT(ERR_OK, db_open_reader(&db, path));
    page = (struct store_page){ .session_no = session_no, .limit = PAGE_ENTRIES_MAX };
    CHECK_INT(ERR_OK, db_page(db, &page));
    for (uint32_t i = 0; i < page.count; i++) msg_unref(&page.rows[i].msg);
    db_close(&db);
    return page.count;
}

TEST(what_was_put_is_a_store_after_commit)
{
    struct rig r;
    struct fresh *f;
    struct a_message a = { .topic = "t", .payload = "p" };
    rig_init(&r);
    CHECK_INT(ERR_OK, begin(&r, &f));
    CHECK_INT(1, fresh_boot_no(f));
    put_session(f, 256);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(ERR_OK, fresh_put(f, make_enqueue(0, &a, (uint64_t[]){ 256, 0 })));
    CHECK_INT(ERR_OK, fresh_wait(f));
    CHECK_INT(MANY + 1, r.done);
    CHECK_INT(ERR_OK, fresh_commit(&f, r.text));
    CHECK_TRUE(f == NULL);
    CHECK_INT(PAGE_ENTRIES_MAX, rows_in(r.dir, 256));
    CHECK_TRUE(!exists(r.dir, "lock") && !exists(r.dir, "longlink.new") && !exists(r.dir, "ballast"));
    rig_fini(&r);
}

TEST(what_was_given_up_leaves_nothing)
{
    struct rig r;
    struct fresh *f;
    for (int is_there = 0; is_there < 2; is_there++) {
        rig_init(&r);
        if (is_there) CHECK_INT(0, mkdir(r.dir, 0700));
        CHECK_INT(ERR_OK, begin(&r, &f));
        put_session(f, 256);
        CHECK_TRUE(exists(r.dir, "longlink.db")); /* no broker starts on it meanwhile */
        fresh_abort(&f);
        CHECK_TRUE(f == NULL);
        CHECK_INT(is_there, exists(r.top, "store"));
        CHECK_INT(is_there ? 0 : -1, rmdir(r.dir)); /* and empty, as it was */
        rig_fini(&r);
    }
}

TEST(a_command_that_has_no_effect_fails_the_whole)
{
    struct rig r;
    struct fresh *f;
    rig_init(&r);
    CHECK_INT(ERR_OK, begin(&r, &f));
    CHECK_INT(ERR_OK, fresh_put(f, make_plain(COMMAND_END_SESSION, 512, bytes_of(NULL, 0))));
    CHECK_INT(ERR_RANGE, fresh_wait(f));
    CHECK_INT(ERR_RANGE, fresh_put(f, make_plain(COMMAND_CLAIM, 256, bytes_of_text("late"))));
    CHECK_INT(0, r.done);
    CHECK_INT(ERR_RANGE, fresh_commit(&f, r.text));
    CHECK_TRUE(f == NULL && !exists(r.top, "store"));
    rig_fini(&r);
}

TEST(out_of_memory_fails_the_whole)
{
    struct rig r;
    struct fresh *f;
    rig_init(&r);
    CHECK_INT(ERR_OK, begin(&r, &f));
    CHECK_INT(ERR_NOMEM, fresh_put(f, NULL));
    CHECK_INT(ERR_NOMEM, fresh_commit(&f, r.text));
    CHECK_TRUE(!exists(r.top, "store"));
    rig_fini(&r);
}

TEST(a_directory_with_something_in_it_is_refused_and_kept)
{
    struct rig r;
    struct fresh *f;
    char path[PATH_BYTES];
    rig_init(&r);
    CHECK_INT(0, mkdir(r.dir, 0700));
    join(path, r.dir, "mine");
    FILE *file = fopen(path, "w");
    CHECK_TRUE(file != NULL);
    fclose(file);
    CHECK_INT(ERR_FULL, begin(&r, &f));
    CHECK_TRUE(f == NULL && exists(r.dir, "mine") && !exists(r.dir, "longlink.db"));
    CHECK_TRUE(strstr(r.text, "is not empty") != NULL);
    rig_fini(&r);
}

TEST(a_directory_in_use_is_refused_and_kept)
{
    struct rig r;
    struct fresh *f;
    struct wal *w;
    struct wal_report report;
    rig_init(&r);
    CHECK_INT(0, mkdir(r.dir, 0700));
    struct wal_conf conf = { .dir = r.dir };
    CHECK_INT(ERR_OK, wal_open(&w, &conf, &report));
    CHECK_INT(ERR_AGAIN, begin(&r, &f));
    CHECK_TRUE(f == NULL && exists(r.dir, "lock"));
    CHECK_INT(ERR_OK, wal_close(&w));
    rig_fini(&r);
}
