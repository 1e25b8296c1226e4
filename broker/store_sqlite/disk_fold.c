/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/failpoint.h"
#include "base/list.h"
#include "store_sqlite/disk_int.h"
#include <malloc.h>
#include <stdlib.h>

/*
 * The fold. The journal gathers what it applied; when enough has come it decides, target by target, what
 * still waits, and gives all of it to the fold's thread, which writes it in one transaction and answers. Then
 * the rows leave RAM and the log's segments below them go. What was acknowledged meanwhile never becomes a
 * row.
 */

/* --- the journal's side */

static size_t bytes_of_command(const struct command *c)
{
    return sizeof *c + c->targets_count * (sizeof *c->targets + sizeof(struct store_row)) +
           c->seats_count * sizeof *c->seats + c->ack.open_count * sizeof *c->ack.open + c->data.len +
           (c->msg != NULL ? msg_bytes(c->msg) : 0) +
           (c->mid != NULL ? sizeof *c->mid + c->mid->client_id.len + c->mid->mid.len : 0);
}

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
    s->unfolded_bytes += bytes_of_command(c);
}

static size_t marks_of(const struct fold *f)
{
    size_t marks = 0;
    for (size_t i = 0; i < f->count; i++) marks += db_marks(f->commands[i]);
    return marks;
}

/* Should the process die between two transactions of the fold, the second must be a repeat again for the next
 * one: then what was released in between has to have been there. */
static bool has_repeats(const struct fold *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->commands[i]->result == COMMAND_DUPLICATE && f->commands[i]->in_id != 0) return true;
    return false;
}

/* Is what it finishes, or marks, in the tables, or about to be? All that brings something in says yes. */
static bool finishes(struct store_disk *s, const struct fold *f, const struct command *c)
{
    switch (c->kind) {
    case COMMAND_ACK: return tables_ack_matters(s->tables, c, s->folds_gathered);
    case COMMAND_RECEIVED: return tables_received_matters(s->tables, c);
    case COMMAND_RELEASE: return c->was_stored || f->repeats_ids;
    case COMMAND_MOVE: return tables_move_matters(s->tables, c);
    default: return true;
    }
}

/* From the newest to the oldest. Rows are told after all acknowledgements: theirs are in earlier folds. */
static void mark_acknowledgements(struct store_disk *s, struct fold *f)
{
    for (size_t i = f->count; i-- > 0;) {
        const struct command *c = f->commands[i];
        f->acts[i] = c->result == COMMAND_DURABLE;
        if (f->acts[i]) f->acts[i] = finishes(s, f, c);
    }
}

/* What has been acknowledged by now never becomes a row. */
static bool mark_targets(struct store_disk *s, const struct command *c, bool *live)
{
    bool acts = c->kind == COMMAND_FIRE_WILL || c->retains ||
                (c->kind == COMMAND_ENQUEUE && (c->msg->retain || c->mid != NULL));
    for (uint32_t t = 0; t < c->targets_count; t++) {
        const struct command_target *to = &c->targets[t];
        live[t] = !to->is_skipped && tables_has(s->tables, to->session_no, c->position);
        if (live[t]) tables_leave(s->tables, to->session_no, c->position);
        acts |= live[t] || (to->drop_upto > 0 && !to->is_skipped);
    }
    return acts && c->result == COMMAND_DURABLE;
}

/* Is its packet id to be known? Whether its message was new or a duplicate. */
static bool mark_in_id(struct store_disk *s, const struct fold *f, const struct command *c, bool *live)
{
    if (db_marks(c) == c->targets_count) return false;
    bool is_known = tables_in_id_leaves(s->tables, c);
    bool was_known = c->result == COMMAND_DURABLE || c->result == COMMAND_DUPLICATE;
    live[c->targets_count] = is_known || (f->repeats_ids && was_known);
    return live[c->targets_count];
}

/* Is there anything to write? */
static bool mark(struct store_disk *s, struct fold *f)
{
    bool *live = f->live, any = false;
    f->repeats_ids = has_repeats(f);
    mark_acknowledgements(s, f);
    for (size_t i = 0; i < f->count; i++) {
        const struct command *c = f->commands[i];
        if (command_has_targets(c->kind)) {
            bool takes = c->kind == COMMAND_MOVE && f->acts[i];
            bool brings = mark_targets(s, c, live);
            f->acts[i] = mark_in_id(s, f, c, live) || brings || takes;
        }
        live += db_marks(c);
        any |= f->acts[i];
    }
    return any;
}

/* All that is unfolded, as the tables know it now. */
static struct fold *gather(struct store_disk *s)
{
    struct fold *f = calloc(1, sizeof *f);
    if (f == NULL) disk_fail(s, "fold", "out of memory");
    f->commands = s->unfolded;
    f->count = s->unfolded_count;
    f->upto = s->position;
    f->heartbeat_ms = s->stamp_ms;
    f->origins = s->origins_given;
    s->origins_given = s->origins;
    s->folds_gathered++;
    f->live = calloc(marks_of(f) + 1, sizeof *f->live);
    f->acts = calloc(f->count + 1, sizeof *f->acts);
    if (f->live == NULL || f->acts == NULL) disk_fail(s, "fold", "out of memory");
    s->unfolded = NULL;
    s->unfolded_count = s->unfolded_room = 0;
    s->folding_bytes = s->unfolded_bytes;
    s->unfolded_bytes = 0;
    s->is_folding = true;
    f->mail.kind = MAIL_FOLDED;
    return f;
}

static bool is_due(const struct store_disk *s)
{
    return s->unfolded_bytes >= s->space.unfolded_bytes_max / FOLD_PART ||
           s->unfolded_count >= FOLD_COMMANDS ||
           clock_mono_ms(s->conf.clock) - s->unfolded_since_ms >= FOLD_AFTER_MS;
}

/* Where everybody is on line nothing is left to write, and the log alone has it; until a segment of it has
 * come together, which the next start would have to read. */
void disk_fold_if_due(struct store_disk *s, bool now)
{
    if (s->is_folding || s->unfolded_count == 0 || !(now || is_due(s))) return;
    struct fold *f = gather(s);
    if (!mark(s, f) && !now && s->unpurged_bytes < s->space.segment_bytes) {
        disk_folded(s, f);
        return;
    }
    s->unpurged_bytes = 0;
    disk_settle(s); /* the tables never know more than the log */
    mailbox_send(&s->fold_box, &f->mail);
}

void disk_folded(struct store_disk *s, struct fold *f)
{
    const bool *live = f->live;
    for (size_t i = 0; i < f->count; i++) {
        struct command *c = f->commands[i];
        for (uint32_t t = 0; t < c->targets_count; t++)
            if (live[t] && !f->gave_up) tables_fold(s->tables, c->targets[t].session_no, c->position);
        live += db_marks(c);
        command_unref(&c);
    }
    s->has_given_up |= f->gave_up;
    free(f->commands);
    free(f->live);
    free(f->acts);
    free(f);
    s->is_folding = false;
    s->folding_bytes = 0;
}

/* --- the fold's thread */

/* How far a fold has been written. */
struct writing {
    size_t at;
    const bool *live;
    struct origins origins;
};

static enum err commit(struct store_disk *s, const struct fold *f, const struct writing *w)
{
    bool last = w->at == f->count;
    struct db_progress p = {
        .applied = last ? f->upto : f->commands[w->at - 1]->position,
        .heartbeat_ms = f->heartbeat_ms,
        .origins = w->origins.at,
        .origins_count = w->origins.count,
        .is_lazy = !last,
    };
    failpoint(FAIL_fold_written);
    /* By the last stamp of this slice, not by a later one: after a crash the log goes on from here. */
    enum err rc = w->at == 0 ? ERR_OK : db_mids_forget(s->writer, f->commands[w->at - 1]->stamp_ms);
    if (rc == ERR_OK) rc = db_commit_progress(s->writer, &p);
    if (rc == ERR_OK) failpoint(FAIL_fold_committed);
    return rc;
}

/* One transaction. When it fails, w is as it was. */
static enum err write_slice(struct store_disk *s, const struct fold *f, struct writing *w)
{
    enum { COMMANDS_A_LOOK = 64 };
    struct writing now = *w;
    uint64_t began_ms = clock_mono_ms(s->conf.clock);
    enum err rc = db_begin(s->writer);
    failpoint(FAIL_fold_begun);
    while (rc == ERR_OK && now.at < f->count) {
        const struct command *c = f->commands[now.at++];
        CHECK(origins_accept(&now.origins, &c->origin));
        if (f->acts[now.at - 1]) rc = db_fold(s->writer, c, now.live);
        now.live += db_marks(c);
        if (now.at == f->count / 2) failpoint(FAIL_fold_half);
        if (now.at % COMMANDS_A_LOOK == 0 && clock_mono_ms(s->conf.clock) - began_ms >= FOLD_SLICE_MS) break;
    }
    if (rc == ERR_OK) rc = commit(s, f, &now);
    if (rc == ERR_OK)
        *w = now;
    else
        db_rollback(s->writer);
    return rc;
}

/* What SQLite's log holds may fit into the tables; if not, the ballast goes. */
static void make_room(struct store_disk *s)
{
    bool more;
    enum err rc = db_settle(s->writer, &more);
    if (rc != ERR_OK && rc != ERR_FULL) disk_db_fail(s, "checkpoint", s->writer, rc);
    disk_wait_for_room(s);
}

/* The process ends, and has a few seconds for all. What is not folded is in the log. */
static bool is_late(const struct store_disk *s, uint64_t *hurried_ms)
{
    uint64_t now_ms = clock_mono_ms(s->conf.clock);
    if (*hurried_ms == 0) *hurried_ms = now_ms;
    return now_ms - *hurried_ms >= FOLD_LAST_MS;
}

/* Without room it waits: what it has to write is in the log. ERR_FULL: at boot, or it was told to hurry, and
 * there is no room or no time. */
static enum err write_fold(struct store_disk *s, const struct fold *f)
{
    struct writing w = { .live = f->live, .origins = f->origins };
    uint64_t hurried_ms = 0;
    enum err rc = ERR_OK;
    do {
        rc = write_slice(s, f, &w);
        bool hurries = s->runs && (s->is_hurried || !mailbox_empty(&s->fold_box));
        if (rc == ERR_FULL && (hurries || !s->runs)) return rc;
        if (rc == ERR_OK && w.at < f->count && hurries && is_late(s, &hurried_ms)) return ERR_FULL;
        if (rc == ERR_FULL) make_room(s);
    } while (rc == ERR_FULL || (rc == ERR_OK && w.at < f->count));
    return rc;
}

/* The log's segments go only now, when the commit is synced. */
static enum err fold_and_purge(struct store_disk *s, const struct fold *f)
{
    enum err rc = write_fold(s, f);
    if (rc == ERR_OK) rc = s->order.ops->purge(s->order.impl, f->upto);
    if (rc == ERR_OK) failpoint(FAIL_fold_purged);
    return rc;
}

static void run_fold(struct store_disk *s, struct fold *f)
{
    enum err rc = fold_and_purge(s, f);
    f->gave_up = rc == ERR_FULL;
    if (f->gave_up) return;
    const char *purge = s->order.ops->upkeep_error(s->order.impl);
    if (rc != ERR_OK && purge[0] != '\0') disk_fail(s, "purge", purge);
    if (rc != ERR_OK) disk_db_fail(s, "fold", s->writer, rc);
}

/* What is left to do between folds, the first of these that applies. */
enum upkeep { UPKEEP_TIDY, UPKEEP_SETTLE, UPKEEP_BEAT };

static int upkeep_wait_ms(enum upkeep u)
{
    static const int wait_ms[] = {
        [UPKEEP_TIDY] = 0, [UPKEEP_SETTLE] = SETTLE_AFTER_MS, [UPKEEP_BEAT] = HEARTBEAT_MS
    };
    return wait_ms[u];
}

/* Gives what comes next. Without room for tidying it is tried again when SQLite's log has shrunk. */
static enum upkeep keep_up(struct store_disk *s, enum upkeep u)
{
    bool more = false;
    enum err rc = ERR_OK;
    switch (u) {
    case UPKEEP_TIDY: rc = db_tidy(s->writer, &more); break;
    case UPKEEP_SETTLE:
        rc = db_settle(s->writer, &more);
        malloc_trim(0); /* a backlog that has passed through leaves its memory behind */
        break;
    case UPKEEP_BEAT: rc = db_heartbeat(s->writer, clock_wall_ms(s->conf.clock)); break;
    }
    if (rc != ERR_OK && rc != ERR_FULL) disk_db_fail(s, "upkeep", s->writer, rc);
    space_tend(&s->space);
    if (u == UPKEEP_TIDY) s->tidies_again = rc == ERR_FULL;
    if (more && rc == ERR_OK) return u;
    if (u == UPKEEP_SETTLE && s->tidies_again) return UPKEEP_TIDY;
    return u == UPKEEP_TIDY ? UPKEEP_SETTLE : UPKEEP_BEAT;
}

void disk_fold_thread(void *arg)
{
    struct store_disk *s = arg;
    enum upkeep u = UPKEEP_TIDY;
    for (;;) {
        struct mail *next, *m = mailbox_wait_for(&s->fold_box, upkeep_wait_ms(u));
        u = m == NULL ? keep_up(s, u) : UPKEEP_TIDY;
        for (; m != NULL; m = next) {
            next = m->next;
            if (m->kind == MAIL_STOP) return;
            s->is_hurried = next != NULL; /* one fold at a time: this can only be MAIL_HURRY */
            if (m->kind == MAIL_FOLDED) run_fold(s, CONTAINER(m, struct fold, mail));
            mailbox_send(&s->mailbox, m);
        }
    }
}

enum err disk_fold_boot(struct store_disk *s)
{
    if (s->position == db_applied(s->writer)) return ERR_OK;
    struct fold *f = gather(s);
    mark(s, f);
    enum err rc = fold_and_purge(s, f);
    disk_folded(s, f);
    return rc;
}
