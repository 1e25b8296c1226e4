/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/list.h"
#include "store/record.h"
#include "store_sqlite/disk_int.h"
#include <stdlib.h>
#include <string.h>

/*
 * The fold. The journal gathers what it applied; when enough has come it decides, target by target, what
 * still waits, and gives all of it to the fold's thread, which writes it in one transaction and answers. Then
 * the rows leave RAM and the log's segments below them go. What was acknowledged meanwhile never becomes a
 * row.
 */

/* --- the journal's side */

void disk_note_unfolded(struct store_disk *s, struct command *c)
{
    if (s->unfolded_count == s->unfolded_room) {
        size_t room = s->unfolded_room == 0 ? 1024 : s->unfolded_room * 2;
        struct command **grown = realloc(s->unfolded, room * sizeof(struct command *));
        if (grown == NULL) disk_fail(s, "fold", "out of memory");
        s->unfolded = grown;
        s->unfolded_room = room;
    }
    if (s->unfolded_count == 0) s->unfolded_since_ms = clock_mono_ms(s->conf.clock);
    ref_add(&c->ref, 1);
    s->unfolded[s->unfolded_count++] = c;
    s->unfolded_bytes += sizeof *c + (c->msg != NULL ? msg_bytes(c->msg) : 0);
}

static void mark_live(const struct store_disk *s, struct fold *f)
{
    bool *live = f->live;
    for (size_t i = 0; i < f->count; i++) {
        const struct command *c = f->commands[i];
        for (uint32_t t = 0; t < c->targets_count; t++)
            *live++ =
                !c->targets[t].is_skipped && tables_has(s->tables, c->targets[t].session_no, c->position);
    }
}

static size_t targets_of(const struct fold *f)
{
    size_t targets = 0;
    for (size_t i = 0; i < f->count; i++) targets += f->commands[i]->targets_count;
    return targets;
}

static void start_fold(struct store_disk *s)
{
    struct fold *f = calloc(1, sizeof *f);
    disk_sync(s); /* the tables never know more than the log */
    if (f == NULL) disk_fail(s, "fold", "out of memory");
    f->commands = s->unfolded;
    f->count = s->unfolded_count;
    f->upto = s->position;
    f->live = calloc(targets_of(f) + 1, sizeof *f->live);
    if (f->live == NULL) disk_fail(s, "fold", "out of memory");
    mark_live(s, f);
    s->unfolded = NULL;
    s->unfolded_count = s->unfolded_room = 0;
    s->folding_bytes = s->unfolded_bytes;
    s->unfolded_bytes = 0;
    s->is_folding = true;
    f->mail.kind = MAIL_FOLDED;
    mailbox_send(&s->fold_box, &f->mail);
}

void disk_fold_if_due(struct store_disk *s, bool now)
{
    if (s->is_folding || s->unfolded_count == 0) return;
    bool due = now || s->unfolded_bytes >= FOLD_BYTES || s->unfolded_count >= FOLD_COMMANDS ||
               clock_mono_ms(s->conf.clock) - s->unfolded_since_ms >= FOLD_AFTER_MS;
    if (due) start_fold(s);
}

void disk_folded(struct store_disk *s, struct fold *f)
{
    const bool *live = f->live;
    for (size_t i = 0; i < f->count; i++) {
        struct command *c = f->commands[i];
        for (uint32_t t = 0; t < c->targets_count; t++)
            if (*live++) tables_fold(s->tables, c->targets[t].session_no, c->position);
        command_unref(&c);
    }
    free(f->commands);
    free(f->live);
    free(f);
    s->is_folding = false;
    s->folding_bytes = 0;
}

/* --- the fold's thread */

static enum err write_fold(struct store_disk *s, const struct fold *f)
{
    const bool *live = f->live;
    enum err rc = db_begin(s->writer);
    for (size_t i = 0; i < f->count && rc == ERR_OK; i++) {
        rc = db_fold(s->writer, f->commands[i], live);
        live += f->commands[i]->targets_count;
    }
    return rc == ERR_OK ? db_commit(s->writer, f->upto) : rc;
}

/* Only now, when the commit is synced. A segment made ahead spares the journal the wait; without room for one
 * the journal finds out itself. */
static void tidy_log(struct store_disk *s, uint64_t folded)
{
    if (wal_purge(s->wal, 0, folded + 1) != ERR_OK) disk_fail(s, "purge", wal_upkeep_error(s->wal));
    enum err rc = wal_prepare(s->wal);
    if (rc != ERR_OK && rc != ERR_FULL) disk_fail(s, "prepare", wal_upkeep_error(s->wal));
}

void disk_fold_thread(void *arg)
{
    struct store_disk *s = arg;
    for (;;) {
        struct mail *next;
        for (struct mail *m = mailbox_wait(&s->fold_box); m != NULL; m = next) {
            next = m->next;
            if (m->kind == MAIL_STOP) return;
            struct fold *f = CONTAINER(m, struct fold, mail);
            if (write_fold(s, f) != ERR_OK) disk_fail(s, "fold", db_error(s->writer));
            tidy_log(s, f->upto);
            mailbox_send(&s->mailbox, m);
        }
    }
}

/* --- boot: the tail of the log goes into the tables like any other fold */

struct recovery {
    struct store_disk *s;
    struct bytes parts; /* of a command in several pieces */
    uint64_t last;
    enum err undecoded; /* the record at last is none, or of a later version */
};

static enum err gather(struct recovery *r, struct bytes piece)
{
    size_t bytes = r->parts.len + piece.len;
    uint8_t *grown = realloc((void *)(uintptr_t)r->parts.at, bytes + 1);
    if (grown == NULL) return ERR_NOMEM;
    if (piece.len > 0) memcpy(grown + r->parts.len, piece.at, piece.len);
    r->parts = bytes_of(grown, bytes);
    return ERR_OK;
}

static enum err recover_record(void *arg, const struct wal_record *record)
{
    struct recovery *r = arg;
    struct command *c;
    enum err rc = gather(r, record->payload);
    r->last = record->last;
    if (rc != ERR_OK || record->type == RECORD_PART) return rc;

    rc = record_decode(r->parts, &c);
    r->parts.len = 0;
    r->undecoded = rc;
    if (rc != ERR_OK) return rc;
    c->position = record->last;
    rc = db_fold(r->s->writer, c, NULL);
    command_unref(&c);
    return rc;
}

static void explain_recovery(const struct recovery *r, enum err rc, char text[STORE_DISK_TEXT_BYTES])
{
    const struct store_disk *s = r->s;
    if (r->undecoded != ERR_OK)
        snprintf(text, STORE_DISK_TEXT_BYTES, "%.300s: the journal's record %llu is %s", s->conf.dir,
                 (unsigned long long)r->last,
                 rc == ERR_UNKNOWN ? "of a newer version; start the newer longlinkd that wrote it"
                                   : "not well formed; restore a backup");
    else if (wal_error(s->wal)[0] != '\0')
        snprintf(text, STORE_DISK_TEXT_BYTES, "%.300s: %.500s; restore a backup", s->conf.dir,
                 wal_error(s->wal));
    else
        disk_explain(s, s->writer, rc, text);
}

enum err disk_recover(struct store_disk *s, char text[STORE_DISK_TEXT_BYTES])
{
    uint64_t applied = db_applied(s->writer);
    struct recovery r = { .s = s, .last = applied };
    enum err rc = db_begin(s->writer);
    if (rc == ERR_OK) rc = wal_replay(s->wal, 0, applied, recover_record, &r);
    if (rc == ERR_OK) rc = db_commit(s->writer, r.last);
    if (rc == ERR_OK) rc = wal_purge(s->wal, 0, r.last + 1);
    free((void *)(uintptr_t)r.parts.at);
    s->position = r.last;
    if (rc != ERR_OK) explain_recovery(&r, rc, text);
    return rc;
}
