/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LEADING: what each learner gets. A cursor goes from the common point of the two histories on, through the
 * log on disk and then the window, and never ends: the newest proposals pass through it as the oldest do.
 *
 *   c = common point;  c not in our log any more: a snapshot first;  learner has more than c: SYNC_TRUNC(c)
 *   PROPOSAL ...  up to and with EPOCH_START: NEWLEADER behind it  ... PROPOSAL ... for ever
 *
 * What is sent and not acknowledged is bounded by what the learner said that it can take.
 */
#include "base/check.h"
#include "zab/calls_int.h"

/* The end of what both histories have; *is_exact false: not known, but not after the result, which is the
 * least bound that we know: what has been applied must reach it before anybody gets a snapshot. */
static uint64_t common_point(const struct zab *z, const struct peer *p, bool *is_exact)
{
    const struct history *h = &z->h;
    uint64_t known = history_known(h);
    uint32_t i = h->ends_count, k = p->ends_count;

    *is_exact = true;
    while (i > 0 && k > 0) {
        const struct zab_end *ours = &h->ends[i - 1], *its = &p->ends[k - 1];
        if (ours->epoch == its->epoch)
            return zab_zxid(ours->epoch, ours->counter < its->counter ? ours->counter : its->counter);
        if (ours->epoch > its->epoch)
            i--;
        else
            k--;
    }
    *is_exact = p->last == 0 || (known == 0 && p->begin == 0);
    if (*is_exact) return 0;
    if (known < p->begin) known = p->begin;
    return known < p->last ? known : p->last;
}

static void send_snapshot(struct zab *z, struct peer *p, uint64_t at_least)
{
    struct zab_effect *e;

    p->is_snapping = true;
    p->snap_zxid = 0;
    p->asked = zab_ask(z);
    e = zab_emit(z, ZAB_SNAP_SEND);
    e->at = p->asked;
    e->peer = p->id;
    e->session = p->session;
    e->epoch = z->epoch;
    e->zxid = at_least;
}

void sync_begin(struct zab *z, struct peer *p)
{
    bool is_exact;
    uint64_t common = common_point(z, p, &is_exact);

    if (p->must_relearn && !z->is_established) return; /* lead_check_established comes back to it */
    p->phase = LEARNER_SYNCING;
    p->sent = common;
    p->acked = 0;
    p->flight = (struct flight){ .mark = common };
    p->progress_ms = z->now_ms;
    /* A damaged log may have lost more than entries: the members, for one, when it is an older CHECKPOINT
     * that told of them. A snapshot brings all of it. */
    if (p->must_relearn || !is_exact || common < z->h.begin) {
        send_snapshot(z, p, common < z->h.begin ? z->h.begin : common);
        return;
    }
    if (PLANTED(z, newleader_before_sync)) {
        p->newleader_sent = true;
        zab_send_zxid(z, p, ZAB_NEWLEADER, zab_zxid(z->epoch, 0));
    }
    if (p->last <= common) return;
    if (PLANTED(z, trunc_too_little) && zab_counter_of(common + 1) != 0 && common + 1 < p->last) common++;
    zab_send_zxid(z, p, ZAB_SYNC_TRUNC, common);
}

static uint32_t flight_entries(const struct peer *p)
{
    return p->flight.old_entries + p->flight.new_entries;
}

static uint64_t flight_bytes(const struct peer *p)
{
    return (uint64_t)p->flight.old_bytes + p->flight.new_bytes;
}

static void flight_add(struct peer *p, const struct zab_entry *e)
{
    p->flight.new_entries++;
    p->flight.new_bytes += (uint32_t)e->payload.len;
}

static bool flight_has_room(const struct peer *p, const struct zab_entry *e)
{
    if (flight_entries(p) == 0) return true;
    return flight_entries(p) < p->window_entries / 2 &&
           flight_bytes(p) + e->payload.len <= p->window_bytes / 2;
}

static uint32_t read_bytes(const struct peer *p)
{
    return p->window_bytes / 2 < READ_BYTES ? p->window_bytes / 2 : READ_BYTES;
}

/* Is there room for all that a READ may bring? Otherwise it waits until nothing is on its way: one entry fits
 * then, whatever its size. */
static bool flight_may_read(const struct peer *p)
{
    if (flight_entries(p) == 0) return true;
    return flight_entries(p) + ZAB_READ_ENTRIES_MAX <= p->window_entries / 2 &&
           flight_bytes(p) + read_bytes(p) <= p->window_bytes / 2;
}

void sync_ack(struct zab *z, struct peer *p, uint64_t zxid)
{
    struct flight *f = &p->flight;

    if (zxid > p->acked) {
        p->acked = zxid;
        p->progress_ms = z->now_ms;
    }
    if (p->is_snapping && p->snap_zxid != 0 && zxid >= p->snap_zxid) p->is_snapping = false;
    if (zxid >= p->sent) {
        *f = (struct flight){ .mark = p->sent };
    } else if (zxid >= f->mark) {
        f->old_entries = f->new_entries;
        f->old_bytes = f->new_bytes;
        f->new_entries = f->new_bytes = 0;
        f->mark = p->sent;
    }
}

/* Once the learner has got EPOCH_START, by an entry or by a snapshot, or has had it. */
static void mark_newleader(struct zab *z, struct peer *p)
{
    if (p->newleader_sent || p->sent < zab_zxid(z->epoch, 0)) return;
    p->newleader_sent = true;
    zab_send_zxid(z, p, ZAB_NEWLEADER, zab_zxid(z->epoch, 0));
}

static void send_entry(struct zab *z, struct peer *p, const struct zab_entry *e)
{
    struct zab_frame f = { .type = ZAB_PROPOSAL, .epoch = z->epoch, .zxid = e->last };
    bool skip = PLANTED(z, no_contiguity_check) && p->newleader_sent && !p->newleader_acked;

    f.proposal.entry = *e;
    f.proposal.commit = z->commit;
    if (p->acked >= p->sent && flight_entries(p) == 0) p->progress_ms = z->now_ms;
    p->sent = e->last;
    flight_add(p, e);
    if (!skip) zab_send(z, p, &f);
    if (p->commit_told < z->commit) p->commit_told = z->commit;
    mark_newleader(z, p);
}

static void read_from_disk(struct zab *z, struct peer *p)
{
    struct zab_effect *e;

    p->is_reading = true;
    p->asked = zab_ask(z);
    e = zab_emit(z, ZAB_READ);
    e->at = p->asked;
    e->zxid = p->sent;
    e->bytes = read_bytes(p);
}

/* As far as the learner can take it and this step has room. */
static void pump(struct zab *z, struct peer *p)
{
    while (!p->is_reading && !p->is_snapping && p->sent < z->h.last) {
        struct zab_entry e;
        bool in_window = history_entry_after(z, p->sent, &e);
        if (z->out->count >= ROOM_FOR_CURSORS) {
            z->out->more = true;
            return;
        }
        if (!in_window) {
            if (!flight_may_read(p)) return; /* its next acknowledgement */
            read_from_disk(z, p);
            return;
        }
        if (!flight_has_room(p, &e)) return;
        send_entry(z, p, &e);
    }
    if (!p->is_snapping && !p->is_reading) mark_newleader(z, p);
}

void sync_pump(struct zab *z)
{
    if (z->phase < PHASE_SYNC) return;
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        if (p->phase != LEARNER_SYNCING) continue;
        pump(z, p);
        if (!p->uptodate_sent || p->commit_told >= z->commit) continue;
        p->commit_told = z->commit;
        zab_send_zxid(z, p, ZAB_COMMIT, z->commit);
    }
}

static struct peer *who_asked(struct zab *z, struct zab_at at)
{
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        if (p->phase == LEARNER_SYNCING && p->asked.no == at.no && p->asked.epoch == at.epoch) return p;
    }
    return NULL;
}

void sync_read_done(struct zab *z, const struct zab_event *event)
{
    struct peer *p = z->role == ZAB_LEADING ? who_asked(z, event->read.at) : NULL;

    if (p == NULL || !p->is_reading) return;
    p->is_reading = false;
    p->progress_ms = z->now_ms;
    if (event->read.count == 0) {
        lead_give_up(z, p); /* purged since: when it comes again it gets a snapshot */
        return;
    }
    for (uint32_t i = 0; i < event->read.count && i < ZAB_READ_ENTRIES_MAX; i++) {
        const struct zab_entry *e = &event->read.entries[i];
        if (e->prev != p->sent || e->last > z->h.last || !flight_has_room(p, e)) return;
        send_entry(z, p, e);
    }
}

void sync_snap_sent(struct zab *z, struct zab_at at, uint64_t zxid)
{
    struct peer *p = z->role == ZAB_LEADING ? who_asked(z, at) : NULL;

    if (p == NULL || !p->is_snapping || p->snap_zxid != 0) return;
    p->progress_ms = z->now_ms;
    if (zxid == 0) {
        lead_give_up(z, p);
        return;
    }
    p->snap_zxid = p->sent = zxid;
    p->flight = (struct flight){ .mark = zxid };
}
