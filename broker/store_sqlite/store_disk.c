/* SPDX-License-Identifier: Apache-2.0 */
#include "store_sqlite/store_disk.h"
#include "base/check.h"
#include "base/list.h"
#include "store/record.h"
#include "store_sqlite/disk_int.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void disk_fail(struct store_disk *s, const char *doing, const char *why)
{
    log_event(s->conf.log, EVENT_JOURNAL_FAILED, LOG_STR("doing", doing), LOG_STR("error", why),
              LOG_STR("dir", s->conf.dir));
    fprintf(stderr,
            "longlinkd: %s in %s: %s; stopping, so that nothing is acknowledged that is not durable\n", doing,
            s->conf.dir, why);
    _exit(EXIT_FAILURE);
}

/* --- the journal's thread */

static void run_command(struct store_disk *s, struct command *c)
{
    c->result = tables_admit(s->tables, c);
    if (c->result != COMMAND_DURABLE) return;
    c->stamp_ms = clock_wall_ms(s->conf.clock);
    c->origin = (struct command_origin){ .boot_no = (uint32_t)s->boot_no, .n = ++s->submitted };
    size_t pieces = (record_size(c) + WAL_PAYLOAD_BYTES_MAX - 1) / WAL_PAYLOAD_BYTES_MAX;
    bool is_dropped = c->kind == COMMAND_RETAINED && c->targets[0].is_skipped;
    bool changes = c->kind != COMMAND_FENCE && !is_dropped;
    c->position = s->position + (changes ? pieces : 0);
    c->result = tables_apply(s->tables, c, true);
    if (!changes || c->result != COMMAND_DURABLE) {
        c->position = s->position; /* takes no place */
        return;
    }
    s->position = c->position;
    disk_append(s, c);
    disk_note_unfolded(s, c);
}

static void show(struct store_disk *s, struct command *c)
{
    struct journal_sink *sink = &s->conf.sink;
    for (uint32_t i = 0; i < c->seats_count; i++) sink->post(sink->ctx, c->seats[i].shard, &c->seats[i].mail);
    sink->complete(sink->ctx, c->from_shard, &c->completion);
}

static void run_mail(struct store_disk *s, struct mail *m)
{
    switch (m->kind) {
    case MAIL_COMMAND: {
        struct command *c = CONTAINER(m, struct command, mail);
        run_command(s, c);
        show(s, c);
        break;
    }
    case MAIL_PAGE: disk_page(s, CONTAINER(m, struct store_page, request)); break;
    case MAIL_PAGE_READ: disk_page_read(s, CONTAINER(m, struct store_page, request)); break;
    case MAIL_FOLDED: disk_folded(s, CONTAINER(m, struct fold, mail)); break;
    case MAIL_STOP: s->stopping = true; break;
    default: check_failed("unknown mail to the journal", __FILE__, __LINE__);
    }
}

/* Nobody sees anything of a batch before it is durable: show() only puts it where the flush hands it over. */
static void run_batch(struct store_disk *s, struct mail *m)
{
    while (m != NULL) {
        struct mail *next = m->next;
        run_mail(s, m);
        m = next;
    }
    if (s->is_awaited) disk_sync(s);
    s->conf.sink.flush(s->conf.sink.ctx);
}

/* The fold is behind: only its answer is waited for, and the others wait with us. */
static struct mail *wait_for_fold(struct store_disk *s, struct mail *pending)
{
    struct mail **end = &pending;
    while (*end != NULL) end = &(*end)->next;
    while (s->is_folding) {
        struct mail *next;
        for (struct mail *m = mailbox_wait(&s->mailbox); m != NULL; m = next) {
            next = m->next;
            m->next = NULL;
            if (m->kind == MAIL_FOLDED) {
                disk_folded(s, CONTAINER(m, struct fold, mail));
                continue;
            }
            *end = m;
            end = &m->next;
        }
    }
    return pending;
}

/* Stopped, and nothing is left with the other two threads. */
static bool is_done(const struct store_disk *s)
{
    return s->stopping && s->unfolded_count == 0 && !s->is_folding && s->reading_count == 0;
}

static void run(void *arg)
{
    struct store_disk *s = arg;
    while (!is_done(s)) {
        int wait_ms = s->unfolded_count > 0 && !s->is_folding ? FOLD_AFTER_MS : -1;
        struct mail *m = mailbox_wait_for(&s->mailbox, wait_ms);
        if (s->unfolded_bytes + s->folding_bytes > UNFOLDED_BYTES_MAX) m = wait_for_fold(s, m);
        run_batch(s, m);
        disk_fold_if_due(s, s->stopping);
    }
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

static const struct journal_ops disk_journal_ops = { .name = "disk", .submit = submit };
static const struct store_ops disk_store_ops = { .name = "disk", .page = ask_page };

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
    return s->boot_no;
}

/* --- boot */

static enum err open_wal(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    struct wal_report report = { 0 };
    struct wal_conf conf = { .dir = s->conf.dir, .durability = s->conf.sync ? WAL_DISK : WAL_OS };
    enum err rc = wal_open(&s->wal, &conf, &report);
    const char *advice = report.verdict == WAL_FAILED
                             ? "; persistence_location must be a directory that the broker's user may write"
                             : "";
    if (report.text[0] != '\0') snprintf(text, STORE_DISK_TEXT_BYTES, "%s%s", report.text, advice);
    if (rc == ERR_OK && report.verdict == WAL_TORN)
        log_event(s->conf.log, EVENT_JOURNAL_TORN, LOG_NUM("bytes", report.torn_bytes),
                  LOG_STR("what", report.text));
    return rc;
}

void disk_explain(const struct store_disk *s, const struct db *db, enum err rc,
                  char text[STORE_DISK_TEXT_BYTES])
{
    const char *advice = "check the file, its directory and the disk";
    if (rc == ERR_SYNTAX)
        advice = "restore a backup, or move the directory's files away to begin with nothing";
    if (rc == ERR_UNKNOWN) advice = "start the newer longlinkd that wrote it, or restore a backup";
    snprintf(text, STORE_DISK_TEXT_BYTES, "%.300s/longlink.db: %.400s; %s", s->conf.dir, db_error(db),
             advice);
}

static enum err open_db(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/longlink.db", s->conf.dir) >= (int)sizeof path) return ERR_RANGE;
    enum err rc = db_open_writer(&s->writer, path);
    if (rc == ERR_OK) rc = db_open_reader(&s->reader, path);
    if (rc != ERR_OK) {
        disk_explain(s, NULL, rc, text);
        return rc;
    }
    rc = db_boot(s->writer, &s->boot_no);
    if (rc != ERR_OK) disk_explain(s, s->writer, rc, text);
    return rc;
}

struct boot {
    struct store_disk *s;
    const struct restore_sink *restore;
    enum err rc;
};

static void boot_session(void *ctx, const struct command *claim)
{
    struct boot *b = ctx;
    struct restore_session r = {
        .session_no = claim->session_no,
        .claim_no = claim->claim_no,
        .expiry_s = claim->expiry_s,
        .client_id = claim->data,
    };
    struct tables_session t = { r.session_no, r.claim_no, b->s->position, false };
    if (b->rc == ERR_OK) b->rc = tables_restore(b->s->tables, &t);
    if (b->rc == ERR_OK) b->rc = b->restore->session(b->restore->ctx, &r);
}

static void boot_subscription(void *ctx, uint64_t session_no, struct bytes filter, uint8_t options)
{
    struct boot *b = ctx;
    if (b->rc == ERR_OK) b->rc = b->restore->subscription(b->restore->ctx, session_no, filter, options);
}

static void boot_retained(void *ctx, struct msg *m, uint64_t version)
{
    struct boot *b = ctx;
    if (b->rc == ERR_OK) b->rc = b->restore->retained(b->restore->ctx, m, version);
}

static enum err boot(struct store_disk *s, const struct restore_sink *restore,
                     char text[STORE_DISK_TEXT_BYTES])
{
    struct boot b = { s, restore, ERR_OK };
    struct db_visitor v = { boot_session, boot_subscription, boot_retained, &b };
    enum err rc = db_visit(s->writer, &v);
    if (rc != ERR_OK) {
        disk_explain(s, s->writer, rc, text);
        return rc;
    }
    if (b.rc != ERR_OK)
        snprintf(text, STORE_DISK_TEXT_BYTES, "restoring from %s: %s", s->conf.dir, err_text(b.rc));
    return b.rc;
}

static void destroy(struct store_disk *s)
{
    tables_free(&s->tables);
    wal_close(&s->wal);
    db_close(&s->reader);
    db_close(&s->writer);
    mailbox_close(&s->mailbox);
    mailbox_close(&s->fold_box);
    mailbox_close(&s->reader_box);
    free(s->unfolded);
    free(s->scratch);
    free(s);
}

enum err store_disk_open(struct store_disk **out, const struct store_disk_conf *conf,
                         const struct restore_sink *restore, char text[STORE_DISK_TEXT_BYTES])
{
    struct tables_conf tables = { conf->limits };
    struct store_disk *s = calloc(1, sizeof *s);
    *out = NULL;
    text[0] = '\0';
    if (s == NULL) return ERR_NOMEM;
    s->conf = *conf;
    s->mailbox.event_fd = s->fold_box.event_fd = s->reader_box.event_fd = -1;
    enum err rc = tables_new(&s->tables, &tables);
    if (rc == ERR_OK) rc = mailbox_open(&s->mailbox);
    if (rc == ERR_OK) rc = mailbox_open(&s->fold_box);
    if (rc == ERR_OK) rc = mailbox_open(&s->reader_box);
    if (rc == ERR_OK) rc = open_wal(s, text);
    if (rc == ERR_OK) rc = open_db(s, text);
    if (rc == ERR_OK) rc = disk_recover(s, text);
    if (rc == ERR_OK) rc = boot(s, restore, text);
    if (rc == ERR_OK)
        *out = s;
    else
        destroy(s);
    return rc;
}

enum err store_disk_run(struct store_disk *s)
{
    enum err rc = thread_start(&s->fold, "fold", disk_fold_thread, s);
    CHECK(rc == ERR_OK); /* start-up: with half of the threads there is no store */
    rc = thread_start(&s->read, "reader", disk_reader_thread, s);
    CHECK(rc == ERR_OK);
    rc = thread_start(&s->journal, "journal", run, s);
    CHECK(rc == ERR_OK);
    s->runs = true;
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
    destroy(s);
}
