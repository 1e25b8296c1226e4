/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/fresh.h"
#include "base/check.h"
#include "base/list.h"
#include "store_sqlite/backup_int.h"
#include "store_sqlite/space.h"
#include "store_sqlite/store_disk.h"
#include "wal/wal.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 *   DIR/lock            held from the first look to the end
 *   DIR/longlink.db     no database, but a text that says what was begun here
 *   DIR/longlink.new/   the store that is being made
 *
 * At the end its files move up, the tables last: they replace the text, which makes the store. All in between
 * is refused by a broker.
 */
#define MAKING      "longlink.new"
#define PLACEHOLDER "An import was begun here and did not end. Empty this directory and import again.\n"

static_assert((int)FRESH_TEXT_BYTES == (int)BACKUP_TEXT_BYTES, "one text for both");

enum { BYTES_MAX = 8 * 1024 * 1024, BATCH = 64 };

struct fresh {
    struct fresh_conf conf;
    struct folder out, making;
    char making_path[PATH_MAX];
    struct wal *lock;
    struct store_disk *store;
    struct journal journal;
    struct mailbox box;    /* completions */
    struct outbox to_give; /* of this thread */
    struct outbox to_box;  /* of the journal's */
    uint32_t given, under_way;
    size_t bytes; /* of messages under way */
    enum err rc;  /* the first that went wrong */
};

/* --- the sink: on the journal's thread */

static void no_seat(void *ctx, unsigned shard, struct mail *mail)
{
    (void)ctx;
    (void)shard;
    (void)mail;
    check_failed("a command of a fresh store has seats", __FILE__, __LINE__);
}

static void complete(void *ctx, unsigned shard, struct mail *mail)
{
    struct fresh *f = ctx;
    (void)shard;
    outbox_put(&f->to_box, mail);
}

static void flush(void *ctx)
{
    struct fresh *f = ctx;
    if (!outbox_empty(&f->to_box)) mailbox_hand_over(&f->box, &f->to_box);
}

/* --- commands */

static size_t bytes_of_command(const struct command *c)
{
    return c->data.len + (c->msg != NULL ? msg_bytes(c->msg) : 0);
}

static enum err error_of(enum command_result result)
{
    switch (result) {
    case COMMAND_DURABLE: return ERR_OK;
    case COMMAND_REFUSED: return ERR_FULL;
    case COMMAND_STALE:
    case COMMAND_DUPLICATE: break;
    }
    return ERR_RANGE;
}

static void take_mail(struct fresh *f, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next;
        struct command *c = CONTAINER(m, struct command, completion);
        if (f->rc == ERR_OK) f->rc = error_of(c->result);
        if (f->rc == ERR_OK) f->conf.done(f->conf.ctx, c);
        f->under_way--;
        f->bytes -= bytes_of_command(c);
        command_unref(&c);
        m = next;
    }
}

static void give(struct fresh *f)
{
    f->given = 0;
    journal_submit(&f->journal, &f->to_give);
}

static bool is_full(const struct fresh *f)
{
    return f->under_way >= FRESH_COMMANDS_MAX || f->bytes >= BYTES_MAX;
}

enum err fresh_put(struct fresh *f, struct command *c)
{
    if (c == NULL && f->rc == ERR_OK) f->rc = ERR_NOMEM;
    if (f->rc != ERR_OK) {
        command_unref(&c);
        return f->rc;
    }
    CHECK(c->seats_count == 0);
    f->under_way++;
    f->bytes += bytes_of_command(c);
    command_put(&f->to_give, c);
    if (++f->given >= BATCH || is_full(f)) give(f);
    while (is_full(f)) take_mail(f, mailbox_wait(&f->box));
    return f->rc;
}

enum err fresh_wait(struct fresh *f)
{
    give(f);
    while (f->under_way > 0) take_mail(f, mailbox_wait(&f->box));
    return f->rc;
}

uint64_t fresh_boot_no(const struct fresh *f)
{
    return store_disk_boot_no(f->store);
}

uint64_t fresh_client_key(const struct fresh *f)
{
    return store_disk_client_key(f->store);
}

/* --- begin */

static enum err take_lock(struct fresh *f, char *text)
{
    struct wal_conf conf = { .dir = f->conf.dir };
    struct wal_report report;
    long pid;
    if (wal_is_in_use(f->conf.dir, &pid)) {
        snprintf(text, FRESH_TEXT_BYTES,
                 "%.400s is in use by process %ld: stop that broker, or name another directory", f->conf.dir,
                 pid);
        return ERR_AGAIN;
    }
    enum err rc = folder_check_empty(&f->out, text);
    if (rc != ERR_OK) return rc;
    rc = wal_open(&f->lock, &conf, &report);
    if (rc != ERR_OK) {
        snprintf(text, FRESH_TEXT_BYTES, "%s", report.text);
        return rc;
    }
    return folder_check_empty(&f->out, text); /* who had it before may have left something */
}

static enum err open_store(struct fresh *f, char *text)
{
    const struct restore_sink nothing = { 0 };
    struct store_disk_conf conf = {
        .sink = { no_seat, complete, flush, f },
        .dir = f->making_path,
        .sync = true,
        .log = f->conf.log,
        .clock = f->conf.clock,
    };
    enum err rc = store_disk_open(&f->store, &conf, &nothing, text);
    if (rc == ERR_OK) rc = store_disk_run(f->store);
    if (rc == ERR_OK) f->journal = store_disk_journal(f->store);
    return rc;
}

/* From here on nothing that is in the directory is anybody else's. */
static enum err fill(struct fresh *f, char *text)
{
    int n = snprintf(f->making_path, sizeof f->making_path, "%s/" MAKING, f->conf.dir);
    if (n >= (int)sizeof f->making_path) return ERR_RANGE;
    enum err rc = folder_write(&f->out, BACKUP_DB_NAME, PLACEHOLDER, text);
    if (rc == ERR_OK) rc = folder_make(&f->making, f->making_path, text);
    if (rc == ERR_OK) rc = folder_sync(&f->out, text);
    if (rc == ERR_OK) rc = open_store(f, text);
    return rc;
}

/* The lock's file goes while it is held, as its owner may be another than the broker's. */
static void release(struct fresh *f)
{
    if (f->lock != NULL) unlinkat(f->out.fd, BACKUP_LOCK_NAME, 0);
    wal_close(&f->lock);
}

static void close_all(struct fresh *f)
{
    release(f);
    folder_close(&f->making);
    folder_close(&f->out);
    mailbox_close(&f->box);
    free(f);
}

/* What it was told to do it does, and says so to nobody. */
static void stop_store(struct fresh *f)
{
    if (f->store == NULL) return;
    fresh_wait(f);
    store_disk_stop(&f->store);
}

/* Nothing was begun: what is in the directory stays. */
static void leave(struct fresh *f)
{
    bool is_ours = f->out.is_made;
    const char *dir = f->conf.dir;
    close_all(f);
    if (is_ours) rmdir(dir);
}

enum err fresh_begin(struct fresh **out, const struct fresh_conf *conf, char text[FRESH_TEXT_BYTES])
{
    struct fresh *f = calloc(1, sizeof *f);
    *out = NULL;
    snprintf(text, FRESH_TEXT_BYTES, "%s", err_text(ERR_NOMEM));
    if (f == NULL) return ERR_NOMEM;
    f->conf = *conf;
    f->out.fd = f->making.fd = f->box.event_fd = -1;
    enum err rc = mailbox_open(&f->box);
    if (rc == ERR_OK) rc = folder_make(&f->out, conf->dir, text);
    if (rc == ERR_OK) rc = take_lock(f, text);
    if (rc != ERR_OK) {
        leave(f);
        return rc;
    }
    rc = fill(f, text);
    if (rc == ERR_OK)
        *out = f;
    else
        fresh_abort(&f);
    return rc;
}

/* --- end */

void fresh_abort(struct fresh **owner)
{
    struct fresh *f = *owner;
    *owner = NULL;
    if (f == NULL) return;
    stop_store(f);
    folder_undo(&f->making);
    folder_undo(&f->out);
    close_all(f);
}

struct move {
    struct fresh *f;
    char *text;
};

/* Run by root, it gives the files to the owner of the directory, as a backup that is restored. */
static enum err move_up(const struct move *m, const char *name)
{
    struct stat s;
    const struct folder *from = &m->f->making, *to = &m->f->out;
    bool is_given = geteuid() != 0 || (fstat(to->fd, &s) == 0 && fchownat(from->fd, name, s.st_uid, s.st_gid,
                                                                          AT_SYMLINK_NOFOLLOW) == 0);
    if (!is_given) return folder_fail(from, "give away", name, m->text);
    return renameat(from->fd, name, to->fd, name) == 0 ? ERR_OK : folder_fail(to, "create", name, m->text);
}

static enum err move_or_leave(void *arg, const char *name)
{
    bool stays = strcmp(name, BACKUP_DB_NAME) == 0 || strcmp(name, BACKUP_LOCK_NAME) == 0 ||
                 strcmp(name, SPACE_BALLAST_NAME) == 0;
    return stays ? ERR_OK : move_up(arg, name);
}

static enum err finish(struct fresh *f, char *text)
{
    struct move m = { f, text };
    enum err rc = folder_each(&f->making, move_or_leave, &m, text);
    if (rc == ERR_OK) rc = folder_sync(&f->out, text); /* the log's names before the tables' */
    if (rc == ERR_OK) rc = move_up(&m, BACKUP_DB_NAME);
    if (rc == ERR_OK) folder_undo(&f->making); /* what a broker makes again */
    if (rc == ERR_OK) rc = folder_sync(&f->out, text);
    return rc;
}

enum err fresh_commit(struct fresh **owner, char text[FRESH_TEXT_BYTES])
{
    struct fresh *f = *owner;
    enum err rc = fresh_wait(f);
    if (rc == ERR_FULL)
        snprintf(text, FRESH_TEXT_BYTES,
                 "there is too little room on the disk of %.400s; make room, or name "
                 "another directory",
                 f->conf.dir);
    else if (rc != ERR_OK)
        snprintf(text, FRESH_TEXT_BYTES, "%s", err_text(rc));
    stop_store(f);
    if (rc == ERR_OK) rc = finish(f, text);
    if (rc != ERR_OK) {
        fresh_abort(owner);
        return rc;
    }
    *owner = NULL;
    close_all(f);
    return ERR_OK;
}
