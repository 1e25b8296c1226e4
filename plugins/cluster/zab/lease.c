/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pings, leases and what is settled.
 *
 *   leader  --PING(leader_ms, stamp, lease)-->  learner: a lease until stamp + lease, on its own clock
 *   leader  <-PONG(leader_ms, stamp', applied)-          stamp': its clock now; the next lease runs from it
 *
 * A learner's lease runs from before its PONG left, the leader remembers it from when its next PING leaves,
 * by a clock that was read after the PONG came: however long a frame travels, or a process sleeps, the
 * leader's memory outlives the lease; only clocks that run apart (drift) are added. The leader's own lease
 * runs from when those PINGs left that a quorum has answered, and it grants nobody a longer one: so whoever
 * has a lease, a quorum followed his leader less than lease_ms ago. A new leader has a quorum, too, and
 * settles nothing for one lease and the drift: then all older leases have ended.
 *
 * settled: every node that may have a lease has applied so far. Who lags behind it is not renewed.
 */
#include "zab/calls_int.h"

static uint64_t with_drift(const struct zab *z, uint64_t ms)
{
    return ms + ms * z->conf.drift_per_mille / 1000 + 3; /* and two clocks that were rounded */
}

/* A quorum followed us at that time, on our clock; 0: never. */
static uint64_t followed_ms(const struct zab *z)
{
    uint64_t at[PEERS_MAX] = { 0 };

    at[SELF] = z->now_ms;
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++)
        if (z->peers[i].has_ponged && z->peers[i].uptodate_sent) at[i] = z->peers[i].ponged_ms;
    return quorum_least(z, at);
}

static void lease_set(struct zab *z, uint64_t until_ms)
{
    if (until_ms <= z->lease_until_ms) return;
    z->lease_until_ms = until_ms;
    zab_emit(z, ZAB_LEASE)->zxid = until_ms;
}

/* Whatever an older leader has settled was committed before this epoch began: who has not applied that much
 * gets no lease, we no more than others. */
static bool may_have_lease(const struct zab *z, uint64_t applied)
{
    return applied >= zab_zxid(z->epoch, 0) && applied >= z->settled;
}

static uint32_t grant(struct zab *z, struct peer *p)
{
    uint64_t from = z->now_ms, ms = z->conf.lease_ms;

    if (!p->has_ponged || !p->uptodate_sent || !is_member(z, p->id)) return 0;
    if (!may_have_lease(z, p->applied) || p->applied < p->lease_commit || z->lease_until_ms <= from) return 0;
    if (z->lease_until_ms - from < ms) ms = z->lease_until_ms - from;
    if (from + with_drift(z, ms) > p->lease_until_ms) {
        p->lease_until_ms = from + with_drift(z, ms);
        p->lease_commit = z->commit;
    }
    return (uint32_t)ms;
}

void lease_ping_all(struct zab *z)
{
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        struct zab_frame f = { .type = ZAB_PING, .epoch = z->epoch };
        if (p->phase < LEARNER_ASKED) continue;
        f.ping.leader_ms = z->now_ms;
        f.ping.stamp_ms = p->has_ponged ? p->stamp_ms : 0;
        f.ping.lease_ms = z->is_established ? grant(z, p) : 0;
        f.ping.commit = z->commit;
        f.ping.settled = z->settled;
        zab_send(z, p, &f);
    }
}

void lease_renew(struct zab *z)
{
    uint64_t followed = z->is_established ? followed_ms(z) : 0;

    if (followed > 0 && may_have_lease(z, z->applied)) lease_set(z, followed + z->conf.lease_ms);
    lease_settle(z);
}

void lease_pong(struct zab *z, struct peer *p, const struct zab_frame *f)
{
    if (f->pong.leader_ms > z->now_ms) return;
    p->has_ponged = true;
    p->ponged_ms = f->pong.leader_ms;
    p->stamp_ms = f->pong.stamp_ms;
    p->applied = f->pong.applied;
    lease_renew(z);
}

void lease_pinged(struct zab *z, const struct zab_frame *f)
{
    struct zab_frame pong = { .type = ZAB_PONG, .epoch = z->epoch };
    uint64_t from = PLANTED(z, lease_from_receipt) ? z->now_ms : f->ping.stamp_ms;

    pong.pong.leader_ms = f->ping.leader_ms;
    pong.pong.stamp_ms = z->now_ms;
    pong.pong.applied = z->applied;
    zab_send(z, peer_find(z, z->leader), &pong);
    if (z->phase != PHASE_ACTIVE) return;
    broadcast_committed(z, f->ping.commit);
    if (f->ping.lease_ms > 0 && f->ping.stamp_ms > 0 && f->ping.stamp_ms <= z->now_ms &&
        f->ping.lease_ms <= z->conf.lease_ms)
        lease_set(z, from + f->ping.lease_ms);
    if (f->ping.settled <= z->settled) return;
    z->settled = f->ping.settled;
    zab_emit(z, ZAB_SETTLED)->zxid = z->settled;
}

void lease_settle(struct zab *z)
{
    uint64_t least = z->applied;

    if (z->role != ZAB_LEADING || !z->is_established || z->established_ms == 0) return;
    if (z->now_ms <= z->established_ms + with_drift(z, z->conf.lease_ms) && !PLANTED(z, lease_without_wait))
        return;
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->id != 0 && p->lease_until_ms > z->now_ms && p->applied < least) least = p->applied;
    }
    if (least <= z->settled) return;
    z->settled = least;
    zab_emit(z, ZAB_SETTLED)->zxid = least;
}
