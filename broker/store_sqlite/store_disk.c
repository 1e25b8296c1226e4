/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/store_disk.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "base/list.h"
#include "store_sqlite/aside.h"
#include "store_sqlite/disk_int.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void disk_fail(struct store_disk *s, const char *doing, const char *why)
{
    log_event(s->conf.log, EVENT_JOURNAL_FAILED, LOG_STR("doing", doing), LOG_STR("error", why),
              LOG_STR("dir", s->conf.dir));
    while (!log_finish(s->conf.log)) pause(); /* whoever was first ends the process */
    fprintf(stderr,
            "longlinkd: %s in %s: %s; stopping, so that nothing is acknowledged that is not durable\n", doing,
            s->conf.dir, why);
    _exit(EXIT_FAILURE);
}

void disk_db_fail(struct store_disk *s, const char *doing, const struct db *db, enum err rc)
{
    if (rc == ERR_SYNTAX) aside_mark(s->dir_fd, db_error(db));
    disk_fail(s, doing, db_error(db));
}

void disk_wait_for_room(struct store_disk *s)
{
    const struct timespec pause = { .tv_nsec = FULL_RETRY_MS * 1000000L };
    log_event(s->conf.log, EVENT_DISK_FULL, LOG_NUM("free_bytes", space_free_bytes(&s->space)),
              LOG_STR("dir", s->conf.dir));
    if (!space_release(&s->space)) nanosleep(&pause, NULL);
}

/* --- what shards call */

static void submit(void *impl, struct outbox *commands)
{
    struct store_disk *s = impl;
    mailbox_hand_over(&s->mailbox, commands);
}

static void ask_page(void *impl, struct store_page *p)
{
    struct store_disk *s = impl;
    p->request.kind = MAIL_PAGE;
    mailbox_send(&s->mailbox, &p->request);
}

static void ask_ids(void *impl, struct store_ids *p)
{
    struct store_disk *s = impl;
    p->request.kind = MAIL_IDS;
    mailbox_send(&s->mailbox, &p->request);
}

static const struct journal_ops disk_journal_ops = { .name = "disk", .submit = submit };
static const struct store_ops disk_store_ops = { .name = "disk", .page = ask_page, .ids = ask_ids };

struct journal store_disk_journal(struct store_disk *s)
{
    return (struct journal){ &disk_journal_ops, s };
}
struct store store_disk_store(struct store_disk *s)
{
    return (struct store){ &disk_store_ops, s };
}
uint64_t store_disk_boot_no(const struct store_disk *s)
{
    return s->meta.boot_no;
}

uint64_t store_disk_client_key(const struct store_disk *s)
{
    return s->meta.client_key;
}

/* --- boot */

/* A small process waits for its folds more often. */
static void fit_memory(struct store_disk *s)
{
    uint64_t most = s->conf.memory_limit / MEMORY_PART;
    if (s->conf.memory_limit == 0) return;
    if (most < UNFOLDED_BYTES_MIN) most = UNFOLDED_BYTES_MIN;
    if (most < s->space.unfolded_bytes_max) s->space.unfolded_bytes_max = most;
}

static enum err open_dir(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    s->dir_fd = open(s->conf.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0) {
        snprintf(text, STORE_DISK_TEXT_BYTES,
                 "%.300s: %s; persistence_location must be a directory that the broker's user may write",
                 s->conf.dir, strerror(errno));
        return ERR_SYS;
    }
    s->space = space_of(s->dir_fd);
    fit_memory(s);
    return ERR_OK;
}

static enum err open_log(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    struct wal_report report = { 0 };
    struct wal_conf conf = {
        .dir = s->conf.dir,
        .durability = s->conf.sync ? WAL_DISK : WAL_OS,
        .segment_bytes = s->space.segment_bytes,
    };
    enum err rc = order_wal_open(&s->order, &conf, &report);
    const char *advice = report.verdict == WAL_FAILED
                             ? "; persistence_location must be a directory that the broker's user may write"
                             : "";
    if (report.text[0] != '\0') snprintf(text, STORE_DISK_TEXT_BYTES, "%s%s", report.text, advice);
    if (rc == ERR_OK && report.verdict == WAL_TORN)
        log_event(s->conf.log, EVENT_JOURNAL_TORN, LOG_NUM("bytes", report.torn_bytes),
                  LOG_STR("what", report.text));
    s->has_log = rc == ERR_OK;
    return rc;
}

static enum err open_order(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    if (s->conf.order == NULL) return open_log(s, text);
    s->order = *s->conf.order;
    return ERR_OK;
}

/* For the operator: what the tables' last failure was, and what to do. NULL db: they could not be opened. */
static void explain(const struct store_disk *s, const struct db *db, enum err rc,
                    char text[STORE_DISK_TEXT_BYTES])
{
    const char *advice = "check the file, its directory and the disk";
    if (rc == ERR_SYNTAX) advice = "restore a backup, or begin with nothing: persistence_damaged set-aside";
    if (rc == ERR_FULL) advice = "make room on the disk";
    if (rc == ERR_UNKNOWN) advice = "start the newer longlinkd that wrote it, or restore a backup";
    snprintf(text, STORE_DISK_TEXT_BYTES, "%.300s/longlink.db: %.400s; %s", s->conf.dir, db_error(db),
             advice);
}

static enum err fit_caches(struct store_disk *s)
{
    uint64_t most = s->conf.memory_limit / CACHE_PART;
    if (s->conf.memory_limit == 0 || most >= CACHE_BYTES_USUAL) return ERR_OK;
    if (most < UNFOLDED_BYTES_MIN) most = UNFOLDED_BYTES_MIN;
    enum err rc = db_fit_cache(s->writer, most);
    return rc == ERR_OK ? db_fit_cache(s->reader, most / 4) : rc;
}

static enum err open_db(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/longlink.db", s->conf.dir) >= (int)sizeof path) return ERR_RANGE;
    enum err rc = db_open_writer(&s->writer, path);
    if (rc == ERR_OK) rc = db_open_reader(&s->reader, path);
    if (rc != ERR_OK) {
        explain(s, NULL, rc, text);
        return rc;
    }
    db_fit(s->writer, s->space.checkpoint_bytes);
    rc = db_boot(s->writer, &s->meta.boot_no);
    failpoint(FAIL_boot_counted);
    if (rc == ERR_OK) rc = db_meta(s->writer, &s->meta);
    if (rc == ERR_OK) rc = fit_caches(s);
    if (rc != ERR_OK) explain(s, s->writer, rc, text);
    return rc;
}

struct boot {
    struct store_disk *s;
    const struct restore_sink *restore;
    uint64_t alive_ms; /* when the last process was last known to be */
    size_t restored;
};

/* First the tables in RAM, so that the tail of the log finds what it is about. */
static enum err boot_table(void *ctx, const struct restore_session *r)
{
    struct boot *b = ctx;
    struct tables_session t = { r->session_no, r->claim_no, b->s->position, r->will != NULL };
    return tables_restore(b->s->tables, &t);
}

static enum err boot_group_table(void *ctx, uint64_t group_no, struct bytes text)
{
    struct boot *b = ctx;
    struct tables_session t = { .session_no = group_no, .folded = b->s->position };
    (void)text;
    return tables_restore(b->s->tables, &t);
}

static enum err boot_in_id(void *ctx, uint64_t session_no, uint16_t id)
{
    struct boot *b = ctx;
    return tables_restore_in_id(b->s->tables, session_no, id);
}

static enum err boot_entry(void *ctx, uint64_t session_no, struct backlog_entry e)
{
    struct boot *b = ctx;
    return tables_restore_entry(b->s->tables, session_no, e);
}

static enum err boot_mid(void *ctx, const struct db_mid *mid)
{
    struct boot *b = ctx;
    return tables_restore_mid(b->s->tables, mid->client_id, mid->mid, mid->until_ms);
}

static enum err boot_origin(void *ctx, const struct command_origin *o)
{
    const struct boot *b = ctx;
    return origins_restore(&b->s->origins, o);
}

/* Then the shards. Who was connected at the end may have been sent anything. */
static enum err boot_session(void *ctx, const struct restore_session *found)
{
    struct boot *b = ctx;
    struct restore_session r = *found;
    b->restored++;
    if (r.offline_ms == 0) {
        r.offline_ms = b->alive_ms;
        r.sent = b->s->position;
    }
    return b->restore->session(b->restore->ctx, &r);
}

/* At boot: a record of the log's tail, which goes into the tables, in RAM and on the disk. */
static enum err boot_applied(void *store, uint64_t position, struct bytes record)
{
    struct store_disk *s = store;
    enum err rc = disk_applied(s, position, record);
    if (rc == ERR_OK && s->unfolded_bytes > s->space.unfolded_bytes_max) rc = disk_fold_boot(s);
    return rc;
}

static void explain_recovery(const struct store_disk *s, enum err rc, char text[STORE_DISK_TEXT_BYTES])
{
    const char *why = s->order.ops->error(s->order.impl);
    if (s->undecoded != ERR_OK)
        snprintf(text, STORE_DISK_TEXT_BYTES, "%.300s: the journal's record %llu is %s", s->conf.dir,
                 (unsigned long long)s->position,
                 rc == ERR_UNKNOWN ? "of a newer version; start the newer longlinkd that wrote it"
                 : rc == ERR_RANGE ? "out of its order; restore a backup"
                                   : "not well formed; restore a backup");
    else if (why[0] != '\0')
        snprintf(text, STORE_DISK_TEXT_BYTES, "%.300s: %.500s; restore a backup", s->conf.dir, why);
    else
        explain(s, s->writer, rc, text);
}

static enum err recover(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    struct order_sink sink = { boot_applied, disk_unknown, disk_wake, s };
    enum err rc = s->order.ops->replay(s->order.impl, s->position, &sink);
    failpoint(FAIL_boot_replayed);
    if (rc == ERR_OK) rc = disk_fold_boot(s);
    failpoint(FAIL_boot_folded);
    if (rc != ERR_OK) explain_recovery(s, rc, text);
    return rc;
}

static enum err visit(struct store_disk *s, const struct db_restore *to, char text[STORE_DISK_TEXT_BYTES])
{
    enum err rc = db_restore(s->writer, to);
    if (rc != ERR_OK && db_error(s->writer)[0] != '\0')
        explain(s, s->writer, rc, text);
    else if (rc != ERR_OK)
        snprintf(text, STORE_DISK_TEXT_BYTES, "restoring from %s: %s", s->conf.dir, err_text(rc));
    return rc;
}

static enum err boot(struct store_disk *s, const struct restore_sink *restore,
                     char text[STORE_DISK_TEXT_BYTES])
{
    struct boot b = { .s = s, .restore = restore };
    struct restore_sink tables = {
        .session = boot_table, .group = boot_group_table, .inbound = boot_in_id, .ctx = &b
    };
    struct tables_session delayed = { .session_no = DELAYED_QUEUE, .folded = db_applied(s->writer) };
    struct db_restore to_tables = { .sink = tables, .mid = boot_mid, .origin = boot_origin };
    struct db_restore sessions = { .sink = { .session = boot_session, .ctx = &b } };
    struct db_restore the_rest = { .sink = *restore };
    the_rest.sink.session = NULL;
    if (backlog_is_limited(&s->conf.limits)) to_tables.entry = boot_entry;
    s->position = db_applied(s->writer);
    s->stamp_ms = s->meta.heartbeat_ms; /* time does not go back, whatever the clock says */
    enum err rc = tables_restore(s->tables, &delayed);
    if (rc == ERR_OK) rc = visit(s, &to_tables, text);
    s->origins_given = s->origins;
    if (rc == ERR_OK) rc = recover(s, text);
    b.alive_ms = s->stamp_ms;
    if (rc == ERR_OK) rc = visit(s, &sessions, text);
    if (rc == ERR_OK) rc = visit(s, &the_rest, text);
    if (rc != ERR_SYNTAX || b.restored == 0) return rc;
    aside_mark(s->dir_fd, text); /* the shards have half of it already: the next start sees to it */
    return ERR_SYS;
}

/* But for an order that came from outside. */
static void destroy(struct store_disk *s)
{
    tables_free(&s->tables);
    if (s->has_log) s->order.ops->close(s->order.impl);
    db_close(&s->reader);
    db_close(&s->writer);
    mailbox_close(&s->mailbox);
    mailbox_close(&s->fold_box);
    mailbox_close(&s->reader_box);
    for (size_t i = 0; i < s->unfolded_count; i++)
        command_unref(&s->unfolded[i]); /* it gave up: the log has them */
    free(s->unfolded);
    free(s->scratch);
    if (s->dir_fd >= 0) close(s->dir_fd);
    free(s);
}

static enum err check_mark(const struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    char why[ASIDE_TEXT_BYTES];
    if (!aside_is_marked(s->dir_fd, why)) return ERR_OK;
    snprintf(text, STORE_DISK_TEXT_BYTES,
             "%.300s was found damaged while the broker ran: %.300s; restore a backup, or, if you know "
             "better, remove the file damaged",
             s->conf.dir, why);
    return ERR_SYNTAX;
}

static enum err store_new(struct store_disk **out, const struct store_disk_conf *conf)
{
    struct tables_conf tables = { conf->limits };
    struct store_disk *s = calloc(1, sizeof *s);
    *out = s;
    if (s == NULL) return ERR_NOMEM;
    s->conf = *conf;
    s->dir_fd = -1;
    s->pending_end = &s->pending;
    s->order_sink = (struct order_sink){ disk_applied, disk_unknown, disk_wake, s };
    s->mailbox.event_fd = s->fold_box.event_fd = s->reader_box.event_fd = -1;
    enum err rc = tables_new(&s->tables, &tables);
    if (rc == ERR_OK) rc = mailbox_open(&s->mailbox);
    if (rc == ERR_OK) rc = mailbox_open(&s->fold_box);
    if (rc == ERR_OK) rc = mailbox_open(&s->reader_box);
    return rc;
}

/* What is damaged is kept, and the broker begins with nothing: only when told to. */
static enum err set_aside(const struct store_disk_conf *conf, char text[STORE_DISK_TEXT_BYTES])
{
    char name[ASIDE_NAME_BYTES];
    int dir_fd = open(conf->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err rc = dir_fd < 0 ? ERR_SYS : aside_move(dir_fd, clock_wall_ms(conf->clock), name);
    if (rc == ERR_OK)
        log_event(conf->log, EVENT_STORE_SET_ASIDE, LOG_STR("dir", conf->dir), LOG_STR("folder", name),
                  LOG_STR("why", text));
    else
        snprintf(text, STORE_DISK_TEXT_BYTES, "%.300s is damaged, and cannot be set aside: %s", conf->dir,
                 strerror(errno));
    if (dir_fd >= 0) close(dir_fd);
    return rc;
}

static enum err try_open(struct store_disk **out, const struct store_disk_conf *conf,
                         const struct restore_sink *restore, char text[STORE_DISK_TEXT_BYTES])
{
    struct store_disk *s;
    enum err rc = store_new(&s, conf);
    text[0] = '\0';
    if (rc == ERR_OK) rc = open_dir(s, text);
    if (rc == ERR_OK) rc = open_order(s, text);
    if (rc == ERR_OK) rc = check_mark(s, text);
    if (rc == ERR_OK) rc = open_db(s, text);
    if (rc == ERR_OK) rc = boot(s, restore, text);
    failpoint(FAIL_boot_done);
    if (rc != ERR_OK && s != NULL) destroy(s);
    *out = rc == ERR_OK ? s : NULL;
    return rc;
}

/* A start writes, too: what a reserve is for. */
static bool release_ballast(const char *dir)
{
    struct space space = { .dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
    bool released = space.dir_fd >= 0 && space_release(&space);
    if (space.dir_fd >= 0) close(space.dir_fd);
    return released;
}

static enum err open_or_mend(struct store_disk **out, const struct store_disk_conf *conf,
                             const struct restore_sink *restore, char text[STORE_DISK_TEXT_BYTES])
{
    enum err rc = try_open(out, conf, restore, text);
    if (rc == ERR_FULL && release_ballast(conf->dir)) rc = try_open(out, conf, restore, text);
    if (rc != ERR_SYNTAX || !conf->sets_damaged_aside) return rc;
    rc = set_aside(conf, text);
    return rc == ERR_OK ? try_open(out, conf, restore, text) : rc;
}

enum err store_disk_open(struct store_disk **out, const struct store_disk_conf *conf,
                         const struct restore_sink *restore, char text[STORE_DISK_TEXT_BYTES])
{
    enum err rc = open_or_mend(out, conf, restore, text);
    if (rc != ERR_OK && conf->order != NULL) conf->order->ops->close(conf->order->impl);
    return rc;
}

enum err store_disk_run(struct store_disk *s)
{
    s->runs = true;
    s->order.ops->start(s->order.impl, &s->order_sink);
    enum err rc = thread_start(&s->fold, "fold", disk_fold_thread, s);
    CHECK(rc == ERR_OK); /* start-up: with half of the threads there is no store */
    rc = thread_start(&s->read, "reader", disk_reader_thread, s);
    CHECK(rc == ERR_OK);
    rc = thread_start(&s->journal, "journal", disk_journal_thread, s);
    CHECK(rc == ERR_OK);
    return rc;
}

static void stop_thread(struct mailbox *box, struct mail *stop, struct thread *t)
{
    stop->kind = MAIL_STOP;
    mailbox_send(box, stop);
    thread_join(t);
}

void store_disk_stop(struct store_disk **owner)
{
    struct store_disk *s = *owner;
    *owner = NULL;
    if (s == NULL) return;
    if (s->runs) {
        stop_thread(&s->mailbox, &s->stop, &s->journal);
        stop_thread(&s->fold_box, &s->fold_stop, &s->fold);
        stop_thread(&s->reader_box, &s->reader_stop, &s->read);
    }
    if (!s->has_log) s->order.ops->close(s->order.impl); /* it may send mail until then */
    destroy(s);
}
