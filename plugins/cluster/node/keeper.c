/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's thread: snapshots made durable, segments made ahead and removed. And what the loop asks of it.
 */
#include "base/rng.h"
#include "node/node_int.h"
#include <stdio.h>

enum { HOUR_MS = 60 * 60 * 1000 };

/* Half to all of what is configured, at random, so that not all nodes write at once. */
void keeper_choose_next(struct node *n)
{
    uint64_t half = n->conf.snap_count / 2, half_bytes = (uint64_t)n->conf.snap_kib * 1024 / 2;

    n->snap_at_entries = half + rng_u64() % (half + 1);
    n->snap_at_bytes = half_bytes + rng_u64() % (half_bytes + 1);
    n->since_entries = n->since_bytes = 0;
}

/* --- a snapshot of our own */

void keeper_save(struct node *n)
{
    struct zab_state state;

    if (n->save.is_busy || n->install.is_busy) return;
    n->save.frozen = n->machine.freeze(n->machine.arg);
    if (n->save.frozen == NULL) return;
    zab_state(n->zab, &state);
    n->save.is_busy = true;
    n->save.head =
        (struct snap_head){ .zxid = n->applied, .epoch = state.current, .members = n->applied_members };
    n->save.mail.kind = MAIL_SAVE;
    keeper_choose_next(n);
    mailbox_send(&n->keeper_box, &n->save.mail);
}

void keeper_save_if_due(struct node *n)
{
    bool is_newer = n->applied > (n->snaps.count > 0 ? n->snaps.at[0] : 0);
    bool is_due = n->since_entries >= n->snap_at_entries || n->since_bytes >= n->snap_at_bytes;

    if (is_due && is_newer) keeper_save(n);
}

void keeper_saved(struct node *n)
{
    struct save_job *job = &n->save;
    struct zab_event event = { .kind = ZAB_CHECKPOINT, .zxid = job->head.zxid };

    job->is_busy = false;
    snap_list(n->dir_fd, &n->snaps);
    if (job->rc == ERR_OK) {
        n->checkpoints++;
        node_step(n, &event);
    } else {
        node_line(n, "no snapshot was written, the next is tried later: %s", job->writer.text);
    }
}

/* --- a leader's snapshot */

void keeper_install(struct node *n, const struct zab_effect *fx)
{
    struct install_job *job = &n->install;
    struct zab_state state;

    if (job->is_busy) { /* of another leader, on a disk that is slow: this one comes again */
        snap_drop(&n->incoming);
        n->refused_install = fx->at;
        return;
    }
    zab_state(n->zab, &state);
    job->is_busy = true;
    job->writer = n->incoming;
    job->at = fx->at;
    job->head = (struct snap_head){ .zxid = fx->zxid, .epoch = state.accepted, .members = *fx->members };
    n->incoming.fd = -1;
    job->mail.kind = MAIL_INSTALL;
    mailbox_send(&n->keeper_box, &job->mail);
}

void keeper_refuse_install(struct node *n)
{
    struct zab_event event = { .kind = ZAB_SNAP_SAVED };

    if (n->refused_install.no == 0) return;
    event.snap.at = n->refused_install;
    n->refused_install.no = 0;
    node_step(n, &event);
}

static enum err put_in_force(struct node *n, char text[SNAP_TEXT_BYTES])
{
    struct snap_reader from;
    enum err rc = snap_open(&from, n->dir_fd, n->install.head.zxid, text);

    if (rc != ERR_OK) return rc;
    rc = n->machine.load(n->machine.arg, &from);
    if (rc != ERR_OK) node_fail(n, "a snapshot that came from the leader cannot be loaded");
    snap_close(&from);
    n->applied = n->told_applied = n->install.head.zxid;
    n->applied_members = n->install.head.members;
    keeper_choose_next(n);
    return ERR_OK;
}

void keeper_installed(struct node *n)
{
    struct install_job *job = &n->install;
    struct zab_event event = { .kind = ZAB_SNAP_SAVED };

    job->is_busy = false;
    event.snap.at = job->at;
    if (job->head.zxid <= n->applied && job->rc == ERR_OK) { /* the core went on meanwhile */
        job->rc = ERR_RANGE;
        snprintf(job->writer.text, sizeof job->writer.text, "this node has come as far meanwhile");
    }
    if (job->rc == ERR_OK) job->rc = put_in_force(n, job->writer.text);
    snap_list(n->dir_fd, &n->snaps);
    if (job->rc == ERR_OK) {
        event.snap.zxid = job->head.zxid;
        n->installs++;
    } else {
        node_line(n, "the leader's snapshot was not taken: %s", job->writer.text);
    }
    node_step(n, &event);
}

/* --- what nobody needs any more */

/* The oldest snapshot that stays. */
static uint64_t oldest_kept(const struct node *n)
{
    uint32_t kept = n->snaps.count < n->conf.retain ? n->snaps.count : n->conf.retain;
    return kept > 0 ? n->snaps.at[kept - 1] : 0;
}

/* The record of a checkpoint is durable: records before it are needed only for the entries after the oldest
 * snapshot. */
void keeper_purge_if_due(struct node *n)
{
    bool is_late =
        n->conf.purge_hours == 0 || n->now_ms - n->purged_ms >= (uint64_t)n->conf.purge_hours * HOUR_MS;

    if (n->checkpoint_lsn == 0 || n->checkpoint_lsn > n->durable_lsn || n->purge.is_busy || !is_late) return;
    uint64_t keep = oldest_kept(n), prev = 0, floor = index_floor(&n->index, keep, &prev);
    n->purge.keep = keep;
    n->purge.prev = prev;
    n->purge.below = floor != 0 && floor < n->checkpoint_lsn ? floor : n->checkpoint_lsn;
    n->checkpoint_lsn = 0;
    n->purged_ms = n->now_ms;
    n->purge.is_busy = true;
    n->purge.mail.kind = MAIL_PURGE;
    mailbox_send(&n->keeper_box, &n->purge.mail);
}

void keeper_purged(struct node *n)
{
    struct zab_event event = { .kind = ZAB_PURGED, .zxid = n->purge.prev };

    n->purge.is_busy = false;
    snap_list(n->dir_fd, &n->snaps);
    if (n->purge.prev <= n->index.begin) return;
    index_purged(&n->index, n->purge.prev);
    node_step(n, &event);
}

/* --- the thread's */

static void purge(struct node *n, struct purge_job *job)
{
    struct snap_list all;

    if (wal_purge(n->wal, 0, job->below) != ERR_OK) node_fail(n, wal_upkeep_error(n->wal));
    if (snap_list(n->dir_fd, &all) != ERR_OK) return;
    for (uint32_t i = 0; i < all.count; i++)
        if (all.at[i] < job->keep) snap_remove(n->dir_fd, all.at[i]);
}

static void save(struct node *n, struct save_job *job)
{
    snap_begin(&job->writer, n->dir_fd, SNAP_SAVE_NAME);
    n->machine.save(job->frozen, &job->writer);
    n->machine.release(job->frozen);
    job->rc = snap_end(&job->writer, &job->head);
}

static void run_job(struct node *n, struct mail *m)
{
    if (m->kind == MAIL_SAVE) save(n, CONTAINER(m, struct save_job, mail));
    if (m->kind == MAIL_PURGE) purge(n, CONTAINER(m, struct purge_job, mail));
    if (m->kind == MAIL_INSTALL) {
        struct install_job *job = CONTAINER(m, struct install_job, mail);
        job->rc = snap_end(&job->writer, &job->head);
    }
    mailbox_send(&n->box, m);
}

static void run(void *arg)
{
    struct node *n = arg;

    for (;;) {
        struct mail *m = mailbox_wait_for(&n->keeper_box, PREPARE_EACH_MS);
        while (m != NULL) {
            struct mail *next = m->next;
            if (m->kind == MAIL_STOP) return;
            run_job(n, m);
            m = next;
        }
        enum err rc = wal_prepare(n->wal);
        if (rc == ERR_SYS) node_fail(n, wal_upkeep_error(n->wal));
    }
}

enum err keeper_start(struct node *n)
{
    return thread_start(&n->keeper, "zab keeper", run, n);
}
