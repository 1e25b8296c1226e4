/* SPDX-License-Identifier: Apache-2.0 */
/* Publishers' ids of messages across starts of the store on disk, and how they go. Time is the test's. */
#include "base/list.h"
#include "store_sqlite/db.h"
#include "store_sqlite/store_disk.h"
#include "unit/store_kit.h"
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW_S = 600, WINDOW_MS = WINDOW_S * 1000, PATH_BYTES = 64, HOUR_MS = 3600 * 1000 };

static atomic_uint_fast64_t now_ms;

static uint64_t read_ms(void *ctx)
{
    (void)ctx;
    return atomic_load_explicit(&now_ms, memory_order_relaxed);
}

static const struct clock by_hand = { read_ms, read_ms, NULL };

struct rig {
    char dir[32];
    uint64_t start_ms;
    struct mailbox completions;
    struct store_disk *s;
};

static void deliver(void *ctx, unsigned shard, struct mail *m)
{
    struct rig *r = ctx;
    (void)shard;
    mailbox_send(&r->completions, m);
}

static void flush(void *ctx)
{
    (void)ctx;
}

static void start(struct rig *r)
{
    char text[STORE_DISK_TEXT_BYTES];
    struct restore_sink restore = { 0 }; /* there are no sessions */
    struct store_disk_conf conf = { .sink = { deliver, deliver, flush, r },
                                    .dir = r->dir,
                                    .clock = &by_hand };
    CHECK_INT(ERR_OK, store_disk_open(&r->s, &conf, &restore, text));
    CHECK_INT(ERR_OK, store_disk_run(r->s));
}

/* Ends it in good order: all is folded. */
static void start_again(struct rig *r)
{
    store_disk_stop(&r->s);
    start(r);
}

/* A new database was alive when it was made, by the system's clock, and time does not go back: it goes on
 * from an hour later, however long the making takes. */
static void set_time(const struct rig *r, uint64_t ms)
{
    atomic_store_explicit(&now_ms, r->start_ms + ms, memory_order_relaxed);
}

static void open_rig(struct rig *r)
{
    *r = (struct rig){ .start_ms = clock_wall_ms(&clock_system) + HOUR_MS };
    snprintf(r->dir, sizeof r->dir, "/tmp/test_disk_mids.XXXXXX");
    CHECK_TRUE(mkdtemp(r->dir) != NULL);
    CHECK_INT(ERR_OK, mailbox_open(&r->completions));
    set_time(r, 0);
    start(r);
}

static void close_rig(struct rig *r)
{
    store_disk_stop(&r->s);
    mailbox_close(&r->completions);
    DIR *files = opendir(r->dir);
    CHECK_TRUE(files != NULL);
    for (const struct dirent *e = readdir(files); e != NULL; e = readdir(files))
        if (e->d_name[0] != '.') unlinkat(dirfd(files), e->d_name, 0);
    closedir(files);
    CHECK_INT(0, rmdir(r->dir));
}

static enum command_result publish(struct rig *r, const char *id)
{
    struct command_mid mid = { bytes_of_text("client"), bytes_of_text(id), WINDOW_S };
    struct a_message a = { .topic = "t", .payload = "x" };
    struct outbox o = { 0 };
    struct journal j = store_disk_journal(r->s);
    command_put(&o, make_with_mid(0, &a, &mid));
    journal_submit(&j, &o);
    struct command *c = CONTAINER(mailbox_wait(&r->completions), struct command, completion);
    enum command_result result = c->result;
    command_unref(&c);
    return result;
}

static enum err count_mid(void *ctx, const struct db_mid *mid)
{
    unsigned *count = ctx;
    CHECK_TRUE(bytes_equal(mid->client_id, bytes_of_text("client")));
    ++*count;
    return ERR_OK;
}

static unsigned mids_in_tables(const struct rig *r)
{
    struct db *db;
    char path[PATH_BYTES];
    unsigned count = 0;
    struct db_restore to = { .sink.ctx = &count, .mid = count_mid };
    snprintf(path, sizeof path, "%s/longlink.db", r->dir);
    CHECK_INT(ERR_OK, db_open_reader(&db, path));
    CHECK_INT(ERR_OK, db_restore(db, &to));
    db_close(&db);
    return count;
}

TEST(an_id_is_known_across_starts_until_its_window_is_over)
{
    struct rig r;
    open_rig(&r);
    CHECK_INT(COMMAND_DURABLE, publish(&r, "x"));
    start_again(&r);
    set_time(&r, WINDOW_MS - 1);
    CHECK_INT(COMMAND_DUPLICATE, publish(&r, "x"));
    start_again(&r);
    CHECK_INT(COMMAND_DUPLICATE, publish(&r, "x"));
    set_time(&r, WINDOW_MS);
    CHECK_INT(COMMAND_DURABLE, publish(&r, "x"));
    start_again(&r);
    CHECK_INT(COMMAND_DUPLICATE, publish(&r, "x"));
    close_rig(&r);
}

TEST(a_clock_that_goes_back_makes_nothing_new_of_a_repeat)
{
    struct rig r;
    open_rig(&r);
    set_time(&r, 5000);
    CHECK_INT(COMMAND_DURABLE, publish(&r, "x"));
    set_time(&r, 0);
    CHECK_INT(COMMAND_DUPLICATE, publish(&r, "x"));
    start_again(&r);
    CHECK_INT(COMMAND_DUPLICATE, publish(&r, "x"));
    close_rig(&r);
}

TEST(what_is_over_leaves_the_tables_with_the_next_fold)
{
    struct rig r;
    open_rig(&r);
    publish(&r, "x");
    publish(&r, "y");
    start_again(&r);
    CHECK_INT(2, mids_in_tables(&r));
    set_time(&r, WINDOW_MS);
    publish(&r, "z");
    start_again(&r);
    CHECK_INT(1, mids_in_tables(&r));
    close_rig(&r);
}
