/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LEADING: discovery, and what makes a leader one.
 *
 *   DISCOVER    a quorum's FOLLOWERINFO: the new epoch is above all that they have accepted
 *   PROMISING   our own ACCEPTED becomes durable, then LEADERINFO to all
 *   GATHER      a quorum's ACKEPOCH, nobody's history more recent than ours: then CURRENT and EPOCH_START
 *   SYNC        sync.c brings everyone up to EPOCH_START; a quorum's ACK_NEWLEADER, ours among them
 *   BROADCAST   the whole history is committed; broadcast.c takes proposals
 */
#include "base/check.h"
#include "zab/calls_int.h"

/* Those of our learners, and ourselves, that count in a quorum and have come so far. */
static uint32_t supporters(const struct zab *z, bool (*has)(const struct peer *p))
{
    uint32_t set = 0;

    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->id != 0 && p->phase != LEARNER_NONE && !p->must_relearn && has(p)) set |= (uint32_t)1 << i;
    }
    return set;
}

static bool is_known(const struct peer *p)
{
    return p->phase >= LEARNER_KNOWN;
}

static bool has_promised(const struct peer *p)
{
    return p->phase >= LEARNER_PROMISED && p->counts;
}

static bool has_epoch(const struct peer *p)
{
    return p->newleader_acked;
}

static void ask(struct zab *z, struct peer *p)
{
    p->phase = LEARNER_ASKED;
    zab_send_zxid(z, p, ZAB_LEADERINFO, 0);
}

/* A quorum is here: the new epoch is promised by ourselves first. */
static void choose_epoch(struct zab *z)
{
    uint32_t epoch = z->accepted;

    if (!is_quorum(z, supporters(z, is_known) | 1 << SELF)) return;
    if (z->epoch_seen > epoch) epoch = z->epoch_seen;
    if (epoch >= ZAB_EPOCH_MAX) {
        zab_halt(z, "all epochs are used up; the cluster must be set up anew from a snapshot");
        return;
    }
    z->epoch = z->accepted = epoch + (PLANTED(z, epoch_reused) && epoch > 0 ? 0 : 1);
    z->accepted_leader = z->conf.id;
    struct zab_record r = { .kind = ZAB_RECORD_ACCEPTED, .epoch = z->epoch, .leader = z->conf.id };
    history_store(z, &r);
    z->wait_no = z->store_no;
    z->phase = PHASE_PROMISING;
    z->progress_ms = z->now_ms;
}

static void on_info(struct zab *z, struct peer *p, uint32_t accepted)
{
    if (p->phase != LEARNER_NONE) return;
    p->phase = LEARNER_KNOWN;
    p->counts = p->is_reading = p->is_snapping = false;
    p->newleader_sent = p->newleader_acked = p->uptodate_sent = false;
    p->has_ponged = false;
    p->acked = p->commit_told = 0;
    p->progress_ms = p->heard_ms = z->now_ms;
    if (z->phase == PHASE_DISCOVER) {
        choose_epoch(z);
    } else if (accepted > z->epoch) {
        zab_look(z); /* it may not follow us; the next epoch is above what it has promised */
    } else if (z->phase > PHASE_PROMISING) {
        ask(z, p);
    }
}

void lead_begin(struct zab *z)
{
    z->role = ZAB_LEADING;
    z->phase = PHASE_DISCOVER;
    z->leader = z->conf.id;
    z->epoch = 0;
    z->since_ms = z->progress_ms = z->store_progress_ms = z->now_ms;
    z->ping_at_ms = z->now_ms;
    zab_tell_role(z);
    elect_tell_all(z);
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        z->peers[i].phase = LEARNER_NONE;
        z->peers[i].heard_ms = z->now_ms;
    }
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        if (p->is_up && p->has_info) on_info(z, p, p->accepted); /* it came before we knew */
    }
    if (z->phase == PHASE_DISCOVER) choose_epoch(z); /* alone, we are a quorum */
}

/* Epoch first, then position, as in votes. */
static bool is_more_recent(const struct zab *z, const struct peer *p)
{
    if (p->current != z->current) return p->current > z->current;
    return p->last > z->h.last;
}

static void gather(struct zab *z)
{
    struct zab_record r = { .kind = ZAB_RECORD_CURRENT, .epoch = z->epoch };
    uint8_t id[2] = { (uint8_t)(z->conf.id >> 8), (uint8_t)z->conf.id };

    if (!is_quorum(z, supporters(z, has_promised) | 1 << SELF)) return;
    z->current = z->epoch;
    z->phase = PHASE_SYNC;
    z->progress_ms = z->now_ms;
    history_store(z, &r);
    struct zab_entry start = { .first = zab_zxid(z->epoch, 0),
                               .last = zab_zxid(z->epoch, 0),
                               .prev = z->h.last,
                               .kind = ZAB_EPOCH_START,
                               .payload = bytes_of(id, sizeof id) };
    bool has_room = history_append(z, &start);
    CHECK(has_room); /* since the election began all of the window is durable */
    z->wait_no = z->store_no;
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++)
        if (z->peers[i].phase == LEARNER_PROMISED) sync_begin(z, &z->peers[i]);
}

/* Whoever promised this epoch to another leader cannot promise it to us: another epoch, at once, rather than
 * when patience ends. */
static bool is_in_vain(const struct zab *z)
{
    uint32_t set = 1 << SELF;

    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->id != 0 && p->phase != LEARNER_NONE && (p->phase != LEARNER_PROMISED || p->counts))
            set |= (uint32_t)1 << i;
    }
    return !is_quorum(z, set);
}

static void on_ack_epoch(struct zab *z, struct peer *p, const struct zab_frame *f)
{
    if (p->phase != LEARNER_ASKED || f->ack_epoch.ends_count > ZAB_ENDS_MAX) return;
    p->phase = LEARNER_PROMISED;
    p->counts = f->ack_epoch.counts;
    p->current = f->ack_epoch.current;
    p->last = f->ack_epoch.last;
    p->begin = f->ack_epoch.begin;
    p->ends_count = f->ack_epoch.ends_count;
    for (uint32_t i = 0; i < p->ends_count; i++) p->ends[i] = f->ack_epoch.ends[i];
    p->progress_ms = z->progress_ms = z->now_ms;
    if (z->phase == PHASE_GATHER && ((is_newest_voter(z, p->id) && !p->must_relearn && is_more_recent(z, p) &&
                                      !PLANTED(z, no_recency_check)) ||
                                     (!p->counts && is_in_vain(z)))) {
        zab_look(z);
        return;
    }
    if (z->phase == PHASE_GATHER)
        gather(z);
    else
        sync_begin(z, p);
}

void lead_check_established(struct zab *z)
{
    uint32_t set = supporters(z, has_epoch);

    if (z->phase == PHASE_SYNC) {
        if (z->stored_no >= z->wait_no || PLANTED(z, leader_counts_unstored)) set |= 1 << SELF;
        if (!is_quorum(z, set)) return;
        z->phase = PHASE_BROADCAST;
        z->is_established = true;
        z->established_ms = 0;
        zab_tell_role(z);
        broadcast_committed(z, zab_zxid(z->epoch, 0));
        /* Those whose logs were damaged have waited for this. */
        for (uint32_t i = SELF + 1; i < PEERS_MAX; i++)
            if (z->peers[i].phase == LEARNER_PROMISED) sync_begin(z, &z->peers[i]);
    }
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        if (p->phase != LEARNER_SYNCING || !p->newleader_acked || p->uptodate_sent) continue;
        p->uptodate_sent = true;
        p->commit_told = z->commit;
        zab_send_zxid(z, p, ZAB_UPTODATE, z->commit);
    }
}

static void on_ack(struct zab *z, struct peer *p, const struct zab_frame *f)
{
    bool has_epoch_now = f->type == ZAB_ACK_NEWLEADER;

    if (p->phase != LEARNER_SYNCING || f->zxid > p->sent || (has_epoch_now && !p->newleader_sent)) {
        lead_give_up(z, p);
        return;
    }
    z->progress_ms = z->now_ms;
    sync_ack(z, p, f->zxid);
    if (has_epoch_now) {
        p->newleader_acked = true;
        p->must_relearn = false; /* only an established leader gets here with one that must */
        lead_check_established(z);
    }
    broadcast_commit(z);
}

void lead_frame(struct zab *z, struct peer *p, const struct zab_frame *f)
{
    if (f->type == ZAB_FOLLOWERINFO) {
        on_info(z, p, f->epoch);
        return;
    }
    if (p->phase == LEARNER_NONE || f->epoch != z->epoch) return;
    switch (f->type) {
    case ZAB_ACKEPOCH: on_ack_epoch(z, p, f); break;
    case ZAB_ACK:
    case ZAB_ACK_NEWLEADER: on_ack(z, p, f); break;
    case ZAB_PONG: lease_pong(z, p, f); break;
    default: break;
    }
}

void lead_stored(struct zab *z)
{
    if (z->phase == PHASE_PROMISING && z->stored_no >= z->wait_no) {
        z->phase = PHASE_GATHER;
        for (uint32_t i = SELF + 1; i < PEERS_MAX; i++)
            if (z->peers[i].phase == LEARNER_KNOWN) ask(z, &z->peers[i]);
        gather(z); /* alone, we are a quorum */
    } else if (z->phase >= PHASE_SYNC) {
        lead_check_established(z);
        broadcast_commit(z);
    }
}

/* Is there still a quorum that we hear? */
static bool has_quorum_heard(const struct zab *z, uint64_t within_ms)
{
    uint32_t set = 1 << SELF;

    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->id != 0 && p->phase != LEARNER_NONE && z->now_ms - p->heard_ms <= within_ms)
            set |= (uint32_t)1 << i;
    }
    return is_quorum(z, set);
}

void lead_drop(struct zab *z, struct peer *p)
{
    if (p->phase == LEARNER_NONE) return;
    p->phase = LEARNER_NONE;
    p->newleader_acked = p->is_reading = p->is_snapping = p->has_ponged = false;
    if (z->phase > PHASE_DISCOVER && !has_quorum_heard(z, zab_ticks_ms(z, z->conf.init_ticks))) zab_look(z);
}

void lead_give_up(struct zab *z, struct peer *p)
{
    zab_close(z, p);
    lead_drop(z, p);
}

/* Silence, or nothing acknowledged of what is under way for long. */
static bool is_stuck(const struct zab *z, const struct peer *p)
{
    uint64_t sync_ms = zab_ticks_ms(z, z->conf.sync_ticks), init_ms = zab_ticks_ms(z, z->conf.init_ticks);
    bool is_behind = p->phase == LEARNER_SYNCING && !p->is_snapping && !p->is_reading && p->acked < p->sent;

    if (z->now_ms - p->heard_ms > sync_ms) return true;
    return is_behind && z->now_ms - p->progress_ms > (p->uptodate_sent ? sync_ms : init_ms);
}

void lead_tick(struct zab *z)
{
    uint64_t sync_ms = zab_ticks_ms(z, z->conf.sync_ticks), init_ms = zab_ticks_ms(z, z->conf.init_ticks);
    uint64_t patience_ms = z->phase == PHASE_DISCOVER ? 2 * sync_ms : init_ms;
    bool disk_is_stuck = z->stored_no < z->store_no && z->now_ms - z->store_progress_ms > sync_ms;

    for (uint32_t i = SELF + 1; i < PEERS_MAX && z->role == ZAB_LEADING; i++) {
        struct peer *p = &z->peers[i];
        if (p->is_snapping && is_voter(z, p->id)) z->progress_ms = z->now_ms; /* it may be large */
        if (p->phase == LEARNER_NONE || !is_stuck(z, p)) continue;
        lead_give_up(z, p);
    }
    if (z->role != ZAB_LEADING) return;
    if ((z->is_established && !has_quorum_heard(z, sync_ms)) || disk_is_stuck ||
        (!z->is_established && z->now_ms - z->progress_ms > patience_ms)) {
        zab_look(z);
        return;
    }
    if (z->now_ms < z->ping_at_ms) return;
    z->ping_at_ms = z->now_ms + z->conf.tick_ms / 2;
    /* By a clock that was read after it: older leases are waited for, however late this tick is. */
    if (z->is_established && z->established_ms == 0) z->established_ms = z->now_ms;
    lease_renew(z);
    lease_ping_all(z);
}
