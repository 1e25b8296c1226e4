/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/on_disk.h"
#include "base/check.h"
#include "kit/test.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct on_disk {
    struct store_disk *s;
    struct fake_log *log;
    struct journal_sink sink;
    char dir[64]; /* empty: the test's */
};

void make_dir(char dir[64])
{
    snprintf(dir, 64, "/tmp/journal_contract.XXXXXX");
    CHECK_TRUE(mkdtemp(dir) != NULL);
}

void remove_dir(const char *dir)
{
    char path[320];
    DIR *files = opendir(dir);
    CHECK_TRUE(files != NULL);
    for (const struct dirent *e = readdir(files); e != NULL; e = readdir(files)) {
        if (e->d_name[0] == '.' || unlinkat(dirfd(files), e->d_name, 0) == 0) continue;
        CHECK_TRUE(snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < (int)sizeof path);
        remove_dir(path); /* what was set aside */
    }
    closedir(files);
    CHECK_INT(0, rmdir(dir));
}

/* --- the sink, with a look at the order before anybody sees anything */

static void pass_post(void *ctx, unsigned shard, struct mail *mail)
{
    const struct on_disk *d = ctx;
    d->sink.post(d->sink.ctx, shard, mail);
}

static void pass_complete(void *ctx, unsigned shard, struct mail *mail)
{
    const struct on_disk *d = ctx;
    d->sink.complete(d->sink.ctx, shard, mail);
}

static void check_and_flush(void *ctx)
{
    const struct on_disk *d = ctx;
    if (d->log != NULL) CHECK(fake_log_is_settled(d->log));
    d->sink.flush(d->sink.ctx);
}

static enum err no_session(void *ctx, const struct restore_session *s)
{
    (void)ctx;
    (void)s;
    return ERR_UNKNOWN; /* the directory is new */
}

void *on_disk_start(const struct journal_sink *sink, const struct on_disk_conf *conf)
{
    char text[STORE_DISK_TEXT_BYTES];
    struct restore_sink restore = conf->restore;
    struct on_disk *d = calloc(1, sizeof *d);
    CHECK_TRUE(d != NULL);
    d->log = conf->log;
    d->sink = *sink;
    if (conf->dir == NULL) make_dir(d->dir);
    if (restore.session == NULL) restore.session = no_session;
    struct order order = { NULL, NULL };
    if (d->log != NULL) order = fake_order(d->log);
    struct store_disk_conf store = {
        .sink = { pass_post, pass_complete, check_and_flush, d },
        .order = d->log != NULL ? &order : NULL,
        .dir = conf->dir != NULL ? conf->dir : d->dir,
        .limits = conf->limits,
        .clock = conf->clock,
    };
    if (store_disk_open(&d->s, &store, &restore, text) != ERR_OK) print_error("%s\n", text);
    CHECK_TRUE(d->s != NULL);
    CHECK_INT(ERR_OK, store_disk_run(d->s));
    return d;
}

void on_disk_stop(void *impl)
{
    struct on_disk *d = impl;
    store_disk_stop(&d->s);
    CHECK_TRUE(d->s == NULL);
    if (d->dir[0] != '\0') remove_dir(d->dir);
    free(d);
}

struct journal on_disk_journal(void *impl)
{
    return store_disk_journal(((struct on_disk *)impl)->s);
}

struct store on_disk_store(void *impl)
{
    return store_disk_store(((struct on_disk *)impl)->s);
}

struct fake_log *on_disk_log(void *impl)
{
    return ((struct on_disk *)impl)->log;
}
