/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's thread: entries that are no longer in the core's window, from the journal's files. */
#include "node/node_int.h"
#include <stdlib.h>
#include <string.h>

/* --- the loop's side */

void reader_job_free(struct read_job *job)
{
    free(job->entries);
    free(job->payloads);
    free(job);
}

void reader_forget(struct node *n)
{
    for (unsigned i = 0; i < AHEADS_MAX; i++) {
        if (n->ahead[i] != NULL) reader_job_free(n->ahead[i]);
        n->ahead[i] = NULL;
    }
    n->cuts_made++;
}

/* Was it read of the log as it is? One that was under way when the log was cut was not. */
static bool is_of_this_log(const struct node *n, const struct read_job *job)
{
    return job->cuts_seen == n->cuts_made;
}

static struct read_job *take_ahead(struct node *n, uint64_t after)
{
    for (unsigned i = 0; i < AHEADS_MAX; i++) {
        struct read_job *job = n->ahead[i];
        if (job == NULL || job->entries[job->taken].prev != after) continue;
        n->ahead[i] = NULL;
        return job;
    }
    return NULL;
}

/* In the place of the one that was put there first. */
static void keep_ahead(struct node *n, struct read_job *job)
{
    struct read_job **to = &n->ahead[n->ahead_oldest++ % AHEADS_MAX];

    if (*to != NULL) reader_job_free(*to);
    *to = job;
}

static void answer(struct node *n, struct read_job *job)
{
    struct zab_event event = { .kind = ZAB_READ_DONE };
    const struct zab_entry *first = job->entries + job->taken;
    uint32_t left = job->count - job->taken, count = 0;
    size_t bytes = 0;

    while (count < left && count < ZAB_READ_ENTRIES_MAX) {
        bytes += first[count].payload.len;
        if (count > 0 && bytes > job->bytes_max) break;
        count++;
    }
    event.read.at = job->at;
    event.read.count = count;
    event.read.entries = first;
    job->taken += count;
    node_step(n,
              &event); /* which may ask for the next: it finds this one in a moment, at the end of its turn */
    if (job->taken < job->count && is_of_this_log(n, job))
        keep_ahead(n, job);
    else
        reader_job_free(job);
}

static void hand_over(struct node *n, struct read_job *job)
{
    job->durable = n->durable_lsn;
    job->appended = n->lsn;
    job->count = 0;
    job->used = 0;
    if (!index_find(&n->index, job->after, &job->lsn)) {
        answer(n, job);
        return;
    }
    job->cuts = n->index.cuts;
    job->cuts_seen = n->cuts_made;
    job->mail.kind = MAIL_READ;
    mailbox_send(&n->reader_box, &job->mail);
}

/* Answering steps the core, whose effects are being carried out now: so it waits for the end of the turn. */
void reader_ask(struct node *n, const struct zab_effect *fx)
{
    struct read_job *job = calloc(1, sizeof *job);

    if (job == NULL) node_fail(n, "out of memory for a reader of the log");
    n->reads++;
    job->at = fx->at;
    job->after = fx->zxid;
    job->bytes_max = fx->bytes;
    job->next = n->parked;
    n->parked = job;
}

/* Nothing was there, but more was under way to the disk: it is asked again when that is durable. */
static bool is_early(const struct read_job *job)
{
    return job->count == 0 && !job->has_gap && job->rc == ERR_OK && job->durable < job->appended;
}

void reader_done(struct node *n, struct read_job *job)
{
    if (job->rc != ERR_OK) node_line(n, "the log cannot be read: %s", err_text(job->rc));
    if (is_early(job)) {
        job->next = n->parked;
        n->parked = job;
        return;
    }
    if (job->count > 0 && is_of_this_log(n, job))
        index_remember(&n->index, job->entries[job->count - 1].last, job->last_lsn);
    answer(n, job);
}

/* One that is new may find what it asks for. */
static void serve(struct node *n, struct read_job *job)
{
    struct read_job *ahead = take_ahead(n, job->after);

    if (ahead == NULL) {
        hand_over(n, job);
        return;
    }
    ahead->at = job->at;
    ahead->bytes_max = job->bytes_max;
    reader_job_free(job);
    answer(n, ahead);
}

bool reader_go_on(struct node *n)
{
    struct read_job *job = n->parked, *left = NULL;
    bool is_served = false;

    n->parked = NULL;
    while (job != NULL) {
        struct read_job *next = job->next;
        bool waits = job->appended > 0 && n->durable_lsn <= job->durable;
        if (waits) {
            job->next = left;
            left = job;
        } else {
            is_served = true;
            serve(n, job);
        }
        job = next;
    }
    while (left != NULL) { /* others may have come meanwhile */
        struct read_job *next = left->next;
        left->next = n->parked;
        n->parked = left;
        left = next;
    }
    return is_served;
}

/* --- the thread's */

static bool keep(struct read_job *job, const struct zab_entry *e)
{
    size_t len = e->payload.len;

    if (job->entries == NULL) job->entries = malloc(AHEAD_ENTRIES * sizeof *job->entries);
    if (job->entries == NULL) return false;
    if (len > job->room - job->used) {
        size_t room = job->room == 0 ? (size_t)64 * 1024 : job->room;
        while (len > room - job->used) room *= 2;
        uint8_t *grown = realloc(job->payloads, room);
        if (grown == NULL) return false;
        job->payloads = grown;
        job->room = room;
    }
    if (len > 0) memcpy(job->payloads + job->used, e->payload.at, len);
    job->entries[job->count] = *e;
    job->used += len;
    job->count++;
    return true;
}

static bool is_enough(const struct read_job *job, const struct zab_entry *next)
{
    if (job->count == AHEAD_ENTRIES) return true;
    return job->count > 0 && job->used + next->payload.len > AHEAD_BYTES;
}

/* ERR_CLOSED ends the reading well. */
static enum err each(void *arg, const struct wal_record *record)
{
    struct read_job *job = arg;
    struct wire_scratch scratch;
    struct zab_record r;

    if (record->type != ZAB_RECORD_ENTRY) return ERR_OK;
    if (wire_record_decode(record->payload, &r, &scratch) != WIRE_OK) return ERR_SYNTAX;
    uint64_t from = job->count > 0 ? job->entries[job->count - 1].last : job->after;
    if (r.entry.last <= job->after || !index_is_alive(&job->cuts, record->first, r.entry.last)) return ERR_OK;
    job->has_gap = r.entry.prev != from;
    if (job->has_gap || is_enough(job, &r.entry)) return ERR_CLOSED;
    if (!keep(job, &r.entry)) return ERR_NOMEM;
    job->last_lsn = record->first;
    return ERR_OK;
}

/* They moved as the buffer grew. */
static void set_payloads(struct read_job *job)
{
    size_t at = 0;

    for (uint32_t i = 0; i < job->count; i++) {
        job->entries[i].payload.at = job->payloads + at;
        at += job->entries[i].payload.len;
    }
}

static void read_entries(struct node *n, struct read_job *job)
{
    job->has_gap = false;
    job->rc = wal_read(n->wal_reader, 0, job->lsn - 1, each, job);
    if (job->rc == ERR_CLOSED || job->rc == ERR_NOTFOUND) job->rc = ERR_OK;
    set_payloads(job);
}

static void run(void *arg)
{
    struct node *n = arg;

    for (;;) {
        struct mail *m = mailbox_wait(&n->reader_box);
        while (m != NULL) {
            struct mail *next = m->next;
            if (m->kind == MAIL_STOP) return;
            struct read_job *job = CONTAINER(m, struct read_job, mail);
            read_entries(n, job);
            mailbox_send(&n->box, &job->mail);
            m = next;
        }
    }
}

enum err reader_start(struct node *n)
{
    return thread_start(&n->reader, "zab reader", run, n);
}
