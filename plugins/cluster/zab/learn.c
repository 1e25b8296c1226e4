/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FOLLOWING and OBSERVING: a learner of one leader. Whatever is wrong ends the role: what is durable stays,
 * the session ends, and an election begins.
 *
 *   CONNECT    a session with the leader: FOLLOWERINFO
 *   ASKED      LEADERINFO(e): not below what was accepted
 *   ACCEPTING  ACCEPTED becomes durable, then ACKEPOCH
 *   PROMISED   the history comes: a snapshot, SYNC_TRUNC, PROPOSALs; at NEWLEADER
 *   ADOPTING   CURRENT becomes durable behind all of it, then ACK_NEWLEADER
 *   ADOPTED    UPTODATE
 *   ACTIVE     PROPOSAL, COMMIT; ACK for what is durable
 */
#include "base/check.h"
#include "zab/calls_int.h"

void learn_begin(struct zab *z, uint16_t leader)
{
    z->role = is_voter(z, z->conf.id) ? ZAB_FOLLOWING : ZAB_OBSERVING;
    z->phase = PHASE_CONNECT;
    z->leader = leader;
    z->epoch = 0;
    z->acked = 0;
    z->since_ms = z->heard_ms = z->store_progress_ms = z->now_ms;
    zab_tell_role(z);
    if (z->role == ZAB_FOLLOWING) elect_tell_all(z);
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++)
        if (z->peers[i].is_up && z->peers[i].has_info) zab_close(z, &z->peers[i]); /* it came to us */
    learn_link(z);
}

/* The leader's session may be up now. */
void learn_link(struct zab *z)
{
    struct peer *p = peer_find(z, z->leader);
    struct zab_frame f = { .type = ZAB_FOLLOWERINFO, .epoch = z->accepted };

    if (p == NULL || !p->is_up || z->phase != PHASE_CONNECT) return;
    f.info.must_relearn = z->must_relearn;
    f.info.window_entries = z->conf.window_entries;
    f.info.window_bytes = z->conf.window_bytes;
    zab_send(z, p, &f);
    z->phase = PHASE_ASKED;
    z->heard_ms = z->now_ms;
}

static void to_leader(struct zab *z, struct zab_frame *f)
{
    f->epoch = z->epoch;
    zab_send(z, peer_find(z, z->leader), f);
}

static void send_ack_epoch(struct zab *z, bool counts)
{
    struct zab_frame f = { .type = ZAB_ACKEPOCH };

    f.ack_epoch.current = z->current;
    f.ack_epoch.counts = counts;
    f.ack_epoch.last = PLANTED(z, vote_from_applied) ? z->delivered : z->h.stored;
    f.ack_epoch.begin = history_known(&z->h);
    f.ack_epoch.ends = z->h.ends;
    f.ack_epoch.ends_count = z->h.ends_count;
    to_leader(z, &f);
    z->acked = z->h.stored;
    z->phase = PHASE_PROMISED;
}

static void store_current(struct zab *z)
{
    struct zab_record r = { .kind = ZAB_RECORD_CURRENT, .epoch = z->epoch };

    z->current = z->epoch;
    history_store(z, &r);
    z->wait_no = z->current_no = z->store_no;
}

static void on_leader_info(struct zab *z, uint32_t epoch)
{
    struct zab_record r = { .kind = ZAB_RECORD_ACCEPTED, .epoch = epoch, .leader = z->leader };
    bool is_ours = z->accepted_leader == z->leader || PLANTED(z, promise_twice);

    if (z->phase != PHASE_ASKED || epoch < z->accepted || epoch > ZAB_EPOCH_MAX) {
        zab_look(z);
        return;
    }
    z->epoch = epoch;
    if (epoch == z->accepted) {
        send_ack_epoch(z, is_ours);
        return;
    }
    z->accepted = epoch;
    z->accepted_leader = z->leader;
    history_store(z, &r);
    z->wait_no = z->store_no;
    z->phase = PHASE_ACCEPTING;
    if (PLANTED(z, epoch_before_history)) {
        r.kind = ZAB_RECORD_CURRENT;
        history_store(z, &r);
    }
    if (PLANTED(z, promise_not_stored)) send_ack_epoch(z, true);
}

static void on_trunc(struct zab *z, uint64_t to)
{
    struct zab_record r = { .kind = ZAB_RECORD_TRUNC, .zxid = to };

    if (z->phase != PHASE_PROMISED || z->is_snapping || z->is_installing || to >= z->h.last ||
        to < z->h.begin) {
        zab_look(z);
        return;
    }
    if (PLANTED(z, trunc_too_much)) {
        struct zab_entry e;
        if (history_entry_after(z, to - 1, &e) && e.prev >= z->h.begin && e.prev < to) to = r.zxid = e.prev;
    }
    if (to < z->delivered && !PLANTED(z, deliver_uncommitted) && !PLANTED(z, trunc_too_much)) {
        zab_halt(z,
                 "the leader's history lacks what was committed and delivered here; compare the nodes' logs");
        return;
    }
    if (!PLANTED(z, trunc_not_stored)) history_store(z, &r);
    history_truncate(z, to);
    z->acked = to;
    z->ack_no = z->store_no;
}

static void note_commit(struct zab *z, uint64_t zxid)
{
    if (z->phase == PHASE_ACTIVE) broadcast_committed(z, zxid);
}

static void on_proposal(struct zab *z, const struct zab_frame *f)
{
    const struct zab_entry *e = &f->proposal.entry;
    bool fits = history_follows(z->h.last, e) && zab_epoch_of(e->first) <= z->epoch;

    if (z->phase < PHASE_PROMISED || z->is_snapping || z->is_installing) {
        zab_look(z);
        return;
    }
    if (e->last <= z->h.last && z->phase >= PHASE_ADOPTING) return; /* again: it is there */
    if (PLANTED(z, no_contiguity_check)) fits = true;
    if (!fits || !history_append(z, e)) {
        zab_look(z);
        return;
    }
    members_note(z, e);
    if (PLANTED(z, ack_before_stored)) {
        struct zab_frame ack = { .type = ZAB_ACK, .zxid = z->h.last };
        to_leader(z, &ack);
    }
    note_commit(z, f->proposal.commit);
}

static void ack_newleader(struct zab *z)
{
    struct zab_frame f = { .type = ZAB_ACK_NEWLEADER, .zxid = z->h.stored };

    if (PLANTED(z, newleader_ack_unstored)) f.zxid = z->h.last;
    z->phase = PHASE_ADOPTED;
    z->acked = f.zxid;
    to_leader(z, &f);
}

static void on_newleader(struct zab *z, uint64_t zxid)
{
    bool is_whole = zxid == zab_zxid(z->epoch, 0) && z->h.last >= zxid;

    if (PLANTED(z, newleader_before_sync) || PLANTED(z, trunc_too_much)) is_whole = true;
    if (z->phase != PHASE_PROMISED || z->is_snapping || z->is_installing || !is_whole) {
        zab_look(z);
        return;
    }
    z->phase = PHASE_ADOPTING;
    store_current(z);
    if (PLANTED(z, newleader_ack_unstored)) ack_newleader(z);
}

static void on_uptodate(struct zab *z, uint64_t zxid)
{
    if (z->phase != PHASE_ADOPTED) {
        zab_look(z);
        return;
    }
    z->phase = PHASE_ACTIVE;
    z->is_established = true;
    zab_tell_role(z);
    broadcast_committed(z, zxid);
}

/* --- a snapshot */

static void on_snap_begin(struct zab *z, const struct zab_frame *f)
{
    if (z->phase != PHASE_PROMISED || z->is_snapping || z->is_installing || f->snap.zxid < z->delivered ||
        !zab_members_are_valid(f->snap.members)) {
        zab_look(z);
        return;
    }
    z->is_snapping = true;
    z->snap_zxid = f->snap.zxid;
    z->snap_members = *f->snap.members;
    z->snap_bytes = 0;
    zab_emit(z, ZAB_SNAP_OPEN)->zxid = z->snap_zxid;
}

static void on_snap_chunk(struct zab *z, const struct zab_frame *f)
{
    if (!z->is_snapping || f->chunk.offset != z->snap_bytes) {
        zab_look(z);
        return;
    }
    z->snap_bytes += f->chunk.data.len;
    zab_emit(z, ZAB_SNAP_WRITE)->data = f->chunk.data;
}

static void on_snap_end(struct zab *z, const struct zab_frame *f)
{
    if (!z->is_snapping || f->chunk.offset != z->snap_bytes) {
        zab_look(z);
        return;
    }
    z->is_snapping = false;
    z->is_installing = true;
    z->install_at = zab_ask(z);
    struct zab_effect *e = zab_emit(z, ZAB_SNAP_INSTALL);
    e->at = z->install_at;
    e->zxid = z->snap_zxid;
    e->members = &z->snap_members;
}

/* In force already; the log says so next, and only then is it acknowledged. A role that has ended meanwhile
 * waits for this, too: state and log stay together. */
void learn_snap_saved(struct zab *z, struct zab_at at, uint64_t zxid)
{
    struct zab_record r = { .kind = ZAB_RECORD_INSTALL, .zxid = zxid, .members = &z->snap_members };

    if (!z->is_installing || at.no != z->install_at.no || at.epoch != z->install_at.epoch) return;
    z->is_installing = false;
    if (zxid == z->snap_zxid) {
        if (zxid > z->delivered) z->delivered = z->applied = zxid;
        if (zxid > z->commit) z->commit = zxid;
        history_reset(z, zxid);
        history_store(z, &r);
        members_adopt(z, &z->snap_members);
        z->acked = 0;
        z->ack_no = z->store_no;
    } else if (z->role != ZAB_LOOKING) {
        zab_look(z);
    }
    if (z->role == ZAB_LOOKING) zab_drained(z);
}

/* --- */

void learn_frame(struct zab *z, const struct zab_frame *f)
{
    z->heard_ms = z->now_ms;
    if (f->type == ZAB_LEADERINFO) {
        on_leader_info(z, f->epoch);
        return;
    }
    if (z->phase < PHASE_ACCEPTING || f->epoch != z->epoch) return;
    switch (f->type) {
    case ZAB_SYNC_TRUNC: on_trunc(z, f->zxid); break;
    case ZAB_SNAP_BEGIN: on_snap_begin(z, f); break;
    case ZAB_SNAP_CHUNK: on_snap_chunk(z, f); break;
    case ZAB_SNAP_END: on_snap_end(z, f); break;
    case ZAB_PROPOSAL: on_proposal(z, f); break;
    case ZAB_NEWLEADER: on_newleader(z, f->zxid); break;
    case ZAB_UPTODATE: on_uptodate(z, f->zxid); break;
    case ZAB_COMMIT: note_commit(z, f->zxid); break;
    case ZAB_PING: lease_pinged(z, f); break;
    default: break;
    }
}

void learn_stored(struct zab *z)
{
    struct zab_frame f = { .type = ZAB_ACK };

    if (z->phase == PHASE_ACCEPTING && z->stored_no >= z->wait_no) {
        send_ack_epoch(z, true);
    } else if (z->phase == PHASE_ADOPTING && z->stored_no >= z->wait_no) {
        ack_newleader(z);
    } else if (z->phase >= PHASE_PROMISED && z->h.stored > z->acked && z->stored_no >= z->ack_no) {
        z->acked = f.zxid = z->h.stored;
        to_leader(z, &f);
    }
}

void learn_tick(struct zab *z)
{
    uint64_t sync_ms = zab_ticks_ms(z, z->conf.sync_ticks), init_ms = zab_ticks_ms(z, z->conf.init_ticks);
    uint64_t patience_ms = z->phase <= PHASE_ASKED    ? 2 * sync_ms
                           : z->phase == PHASE_ACTIVE ? sync_ms
                                                      : init_ms;

    if (z->now_ms - z->heard_ms > patience_ms) zab_look(z);
}
