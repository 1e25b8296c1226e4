/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/failpoint.h"
#include "base/list.h"
#include "store/record.h"
#include "store_sqlite/disk_int.h"
#include <stdlib.h>

/*
 * The journal's thread.
 *
 *   mail -> run_command: limits, number, stamp -> order (propose) -> disk_applied: position, tables, seats
 *        -> all of the batch -> order (settle: one sync) -> the sink's flush: now others see it
 *
 * With a log of our own a command comes back within propose; in a cluster it does later, as mail, among the
 * records of others. Nothing here but is_alone knows which of the two it is.
 */

/* Nobody waits for these: they are durable with the next that somebody waits for. */
static bool is_lazy(enum command_kind kind)
{
    return kind == COMMAND_ACK || kind == COMMAND_OFFLINE || kind == COMMAND_KEEPALIVE;
}

static void show(struct store_disk *s, struct command *c)
{
    struct journal_sink *sink = &s->conf.sink;
    for (uint32_t i = 0; i < c->seats_count; i++) sink->post(sink->ctx, c->seats[i].shard, &c->seats[i].mail);
    sink->complete(sink->ctx, c->from_shard, &c->completion);
}

/* --- what was proposed and has not come back */

static void pending_put(struct store_disk *s, struct command *c)
{
    c->mail.next = NULL;
    *s->pending_end = &c->mail;
    s->pending_end = &c->mail.next;
}

/* The oldest, if it is this one. */
static struct command *pending_take(struct store_disk *s, const struct command_origin *o)
{
    struct command *c = s->pending == NULL ? NULL : CONTAINER(s->pending, struct command, mail);
    if (c == NULL || c->origin.node != o->node || c->origin.boot_no != o->boot_no || c->origin.n != o->n)
        return NULL;
    s->pending = c->mail.next;
    if (s->pending == NULL) s->pending_end = &s->pending;
    return c;
}

/* What needs no record waits in the line for its turn, and has no n. */
static bool has_record(const struct command *c)
{
    return c->origin.n > 0;
}

static void show_those_without_record(struct store_disk *s)
{
    const struct command_origin none = { 0 };
    for (struct command *c = pending_take(s, &none); c != NULL; c = pending_take(s, &none)) {
        c->position = s->position;
        show(s, c);
    }
}

/* --- records back from the order */

static void apply(struct store_disk *s, struct command *c, bool is_ours)
{
    c->position = s->position;
    if (c->stamp_ms > s->stamp_ms) s->stamp_ms = c->stamp_ms;
    c->result = tables_apply(s->tables, c);
    disk_note_unfolded(s, c);
    if (is_ours)
        show(s, c);
    else
        command_unref(&c);
}

/* ERR_RANGE: in a log that nobody else writes a record is missing, or there twice. */
enum err disk_applied(void *store, uint64_t position, struct bytes record)
{
    struct store_disk *s = store;
    struct command_origin o = record_origin(record);
    struct command *c = pending_take(s, &o);
    bool is_ours = c != NULL;
    enum err rc = is_ours ? ERR_OK : record_decode(record, &c);
    s->position = position;
    s->unpurged_bytes += record.len;
    s->is_awaited |= rc == ERR_OK && !is_lazy(c->kind);
    if (rc == ERR_OK && origins_accept(&s->origins, &o)) {
        apply(s, c, is_ours);
        show_those_without_record(s);
        return ERR_OK;
    }
    if (rc == ERR_OK) rc = s->order.ops->is_alone ? ERR_RANGE : ERR_OK;
    command_unref(&c);
    s->undecoded = rc;
    if (rc != ERR_OK && s->runs)
        disk_fail(s, "journal", "a record that came back cannot be read, or is out of its order");
    return rc;
}

/* --- to the order */

static uint8_t *scratch_for(struct store_disk *s, size_t bytes)
{
    if (bytes <= s->scratch_room) return s->scratch;
    uint8_t *grown = realloc(s->scratch, bytes);
    if (grown == NULL) disk_fail(s, "journal", "out of memory");
    s->scratch = grown;
    s->scratch_room = bytes;
    return grown;
}

static void propose(struct store_disk *s, const struct command *c)
{
    size_t bytes = record_size(c);
    uint8_t *at = scratch_for(s, bytes);
    record_encode(c, at);
    s->unlooked_bytes += bytes;
    enum err rc;
    while ((rc = s->order.ops->propose(s->order.impl, bytes_of(at, bytes))) == ERR_FULL)
        disk_wait_for_room(s);
    if (rc != ERR_OK) disk_fail(s, "journal", s->order.ops->error(s->order.impl));
}

void disk_settle(struct store_disk *s)
{
    enum err rc;
    while ((rc = s->order.ops->settle(s->order.impl)) == ERR_FULL) disk_wait_for_room(s);
    if (rc != ERR_OK) disk_fail(s, "journal", s->order.ops->error(s->order.impl));
    s->is_awaited = false;
}

void disk_unknown(void *store)
{
    struct store_disk *s = store;
    for (struct mail *m = s->pending; m != NULL; m = m->next) {
        const struct command *c = CONTAINER(m, struct command, mail);
        if (has_record(c)) propose(s, c);
    }
}

void disk_wake(void *store, struct mail *m)
{
    struct store_disk *s = store;
    m->kind = MAIL_ORDER;
    mailbox_send(&s->mailbox, m);
}

/* --- commands */

static void look_at_space(struct store_disk *s)
{
    bool is_late = s->mono_ms - s->space_looked_ms >= SPACE_LOOK_MS;
    if (!is_late && s->unlooked_bytes < s->space.watermark_bytes / 8) return;
    s->space_looked_ms = s->mono_ms;
    s->unlooked_bytes = 0;
    bool low = space_is_low(&s->space, s->unfolded_bytes + s->folding_bytes, s->is_low);
    if (low == s->is_low) return;
    s->is_low = low;
    log_event(s->conf.log, low ? EVENT_DISK_LOW : EVENT_DISK_WELL,
              LOG_NUM("free_bytes", space_free_bytes(&s->space)),
              LOG_NUM("watermark_bytes", s->space.watermark_bytes), LOG_STR("dir", s->conf.dir));
}

/* Everything but a publish goes on when the disk is nearly full: it is what makes room, or small. */
static bool is_refused(struct store_disk *s, struct command *c)
{
    if (c->kind != COMMAND_ENQUEUE || c->is_kept) return tables_admit(s->tables, c) != COMMAND_DURABLE;
    look_at_space(s);
    return s->is_low || tables_admit(s->tables, c) != COMMAND_DURABLE;
}

/* Changes nothing: its place among the others is all there is to it. */
static bool is_idle(const struct store_disk *s, const struct command *c)
{
    if (c->kind == COMMAND_RETAINED) return c->targets[0].is_skipped;
    return c->kind == COMMAND_FENCE && s->order.ops->is_alone;
}

/* What is there already may be acknowledged again, however full the disk is. */
static enum command_result admit(struct store_disk *s, struct command *c)
{
    if (tables_has_mid(s->tables, c)) return c->in_id == 0 ? COMMAND_DUPLICATE : COMMAND_DURABLE;
    return is_refused(s, c) ? COMMAND_REFUSED : COMMAND_DURABLE;
}

static void run_command(struct store_disk *s, struct command *c)
{
    c->stamp_ms = s->wall_ms > s->stamp_ms ? s->wall_ms : s->stamp_ms;
    c->result = admit(s, c);
    if (c->result != COMMAND_DURABLE || is_idle(s, c)) {
        pending_put(s, c);
        show_those_without_record(s);
        return;
    }
    c->origin = (struct command_origin){ 0, (uint32_t)s->meta.boot_no, ++s->submitted };
    s->is_awaited |= !is_lazy(c->kind);
    pending_put(s, c);
    propose(s, c);
}

static void run_mail(struct store_disk *s, struct mail *m)
{
    switch (m->kind) {
    case MAIL_COMMAND: run_command(s, CONTAINER(m, struct command, mail)); break;
    case MAIL_PAGE: disk_page(s, CONTAINER(m, struct store_page, request)); break;
    case MAIL_PAGE_READ: disk_page_read(s, CONTAINER(m, struct store_page, request)); break;
    case MAIL_IDS: disk_ids(s, CONTAINER(m, struct store_ids, request)); break;
    case MAIL_IDS_READ: disk_ids_read(s, CONTAINER(m, struct store_ids, request)); break;
    case MAIL_FOLDED: disk_folded(s, CONTAINER(m, struct fold, mail)); break;
    case MAIL_ORDER: s->order.ops->run(s->order.impl, m); break;
    case MAIL_HURRY: s->is_hurrying = false; break;
    case MAIL_STOP: s->stopping = true; break;
    default: check_failed("unknown mail to the journal", __FILE__, __LINE__);
    }
}

/* After a record that was larger than most. */
static void shrink_scratch(struct store_disk *s)
{
    if (s->scratch_room <= SCRATCH_KEPT_BYTES) return;
    free(s->scratch);
    s->scratch = NULL;
    s->scratch_room = 0;
}

/* Nobody sees anything of a batch before it is durable: show() only puts it where the flush hands it over. */
static void end_batch(struct store_disk *s)
{
    failpoint(FAIL_journal_applied);
    if (s->is_awaited) disk_settle(s);
    failpoint(FAIL_journal_settled);
    s->conf.sink.flush(s->conf.sink.ctx);
    failpoint(FAIL_journal_shown);
    shrink_scratch(s);
    if (s->conf.metrics == NULL) return;
    if (s->has_log)
        metrics_set(s->conf.metrics, METRIC_journal_syncs_total, (int64_t)order_wal_stat(&s->order).syncs);
    metrics_set(s->conf.metrics, METRIC_unfolded_bytes, (int64_t)(s->unfolded_bytes + s->folding_bytes));
    metrics_set(s->conf.metrics, METRIC_disk_low, s->is_low);
}

/* Once for all of a batch: milliseconds are enough for stamps and for looking at the disk. */
static void begin_batch(struct store_disk *s)
{
    s->mono_ms = clock_mono_ms(s->conf.clock);
    s->wall_ms = clock_wall_ms(s->conf.clock);
}

static void run_batch(struct store_disk *s, struct mail *m)
{
    begin_batch(s);
    while (m != NULL) {
        struct mail *next = m->next;
        run_mail(s, m);
        m = next;
    }
    end_batch(s);
}

/* --- while the fold is behind */

static void hurry(struct store_disk *s)
{
    if (s->is_hurrying || !s->is_folding) return;
    s->is_hurrying = true;
    s->hurry.kind = MAIL_HURRY;
    mailbox_send(&s->fold_box, &s->hurry);
}

/* One bit for each session, the same for some. */
static uint64_t bit_of(uint64_t session_no)
{
    return UINT64_C(1) << (session_no * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

/* Sessions of which something waits that no acknowledgement of theirs may pass: a CLAIM, for it could be of
 * its connection; a will, for the word that the connection is gone could say that it left none; a MOVE, for
 * the acknowledgement could be of its entry. */
static uint64_t holds(struct mail *m)
{
    if (m->kind != MAIL_COMMAND) return 0;
    const struct command *c = CONTAINER(m, struct command, mail);
    bool is_one = c->kind == COMMAND_CLAIM || c->kind == COMMAND_FIRE_WILL || c->kind == COMMAND_MOVE;
    return is_one ? bit_of(c->session_no) : 0;
}

/* What waits and what goes on: publishers wait for the fold, and so does a RELEASE, behind its ENQUEUE.
 * Acknowledgements and pages never do, nor who is to be refused. */
static bool may_pass(struct store_disk *s, struct mail *m, uint64_t held)
{
    if (m->kind == MAIL_STOP) hurry(s);
    if (m->kind != MAIL_COMMAND) return m->kind != MAIL_STOP;
    const struct command *c = CONTAINER(m, struct command, mail);
    look_at_space(s);
    if (c->kind == COMMAND_ENQUEUE) return s->is_low && !c->is_kept;
    bool acknowledges = is_lazy(c->kind) || c->kind == COMMAND_RECEIVED;
    return acknowledges && (held & bit_of(c->session_no)) == 0;
}

static struct mail *wait_for_fold(struct store_disk *s, struct mail *m)
{
    struct mail *waiting = NULL, **end = &waiting;
    uint64_t held = 0;
    while (m != NULL || s->is_folding) {
        if (m == NULL) m = mailbox_wait(&s->mailbox);
        begin_batch(s);
        while (m != NULL) {
            struct mail *next = m->next;
            if (may_pass(s, m, held)) {
                run_mail(s, m);
            } else {
                held |= holds(m);
                m->next = NULL;
                *end = m;
                end = &m->next;
            }
            m = next;
        }
        end_batch(s);
    }
    return waiting;
}

/* Stopped, and nothing is left with the other two threads. */
static bool is_done(const struct store_disk *s)
{
    bool folded = s->unfolded_count == 0 || s->has_given_up;
    return s->stopping && s->pending == NULL && folded && !s->is_folding && !s->is_hurrying &&
           s->reading_count == 0;
}

void disk_journal_thread(void *arg)
{
    struct store_disk *s = arg;
    while (!is_done(s)) {
        int wait_ms = s->unfolded_count > 0 && !s->is_folding ? FOLD_AFTER_MS : -1;
        struct mail *m = mailbox_wait_for(&s->mailbox, wait_ms);
        if (s->unfolded_bytes + s->folding_bytes > s->space.unfolded_bytes_max) m = wait_for_fold(s, m);
        run_batch(s, m);
        if (!s->has_given_up) disk_fold_if_due(s, s->stopping);
        if (s->stopping) hurry(s);
    }
}
