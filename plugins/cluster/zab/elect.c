/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOOKING: fast leader election. Everyone tells everyone the best vote that he knows, by (current epoch, end
 * of the durable log, id); when a quorum says the same, and for a while nobody knows better, it is over.
 * Nothing is promised here: two leaders may come of it, and discovery lets one of them through. So whoever is
 * asked supports the best vote that he hears, though he may be no voter in his own list: lists differ while
 * members change, and each node counts by its own.
 */
#include "zab/calls_int.h"

/* SplitMix64 (Steele, Lea, Flood: OOPSLA 2014), for jitter only. */
static uint64_t random_below(struct zab *z, uint64_t n)
{
    uint64_t x = z->random += 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (x ^ x >> 31) % n;
}

static bool is_better(const struct vote *a, const struct vote *b)
{
    if (a->leader == 0 || b->leader == 0) return a->leader > b->leader;
    if (a->epoch != b->epoch) return a->epoch > b->epoch;
    return a->zxid != b->zxid ? a->zxid > b->zxid : a->leader > b->leader;
}

static bool is_same(const struct vote *a, const struct vote *b)
{
    return a->leader == b->leader && a->epoch == b->epoch && a->zxid == b->zxid;
}

static struct vote own_vote(const struct zab *z)
{
    uint64_t end = PLANTED(z, vote_from_applied) ? z->delivered : z->h.stored;

    if (!may_vote(z)) return (struct vote){ 0 };
    return (struct vote){ z->conf.id, z->current, end };
}

static void tell(struct zab *z, uint16_t to)
{
    static const uint8_t states[] = { ZAB_NOTE_LOOKING, ZAB_NOTE_FOLLOWING, ZAB_NOTE_LEADING,
                                      ZAB_NOTE_OBSERVING };
    struct zab_effect *e = zab_emit(z, ZAB_TELL);

    e->peer = to;
    e->note = (struct zab_note){ .state = states[z->role],
                                 .leader = z->vote.leader,
                                 .group = z->conf.group,
                                 .epoch = z->vote.epoch,
                                 .zxid = z->vote.zxid,
                                 .round = z->round };
    if (z->role == ZAB_LOOKING) {
        if (z->must_relearn) e->note.leader = 0;
        return;
    }
    e->note.leader = z->leader;
    if (z->is_established) e->note.epoch = z->epoch;
}

/* At most once a tick: two that take each other for something else would answer for ever. */
static void answer(struct zab *z, struct peer *p)
{
    if (p->told_ms != 0 && z->now_ms < p->told_ms + z->conf.tick_ms) return;
    p->told_ms = z->now_ms;
    tell(z, p->id);
}

void elect_tell_all(struct zab *z)
{
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++)
        if (z->peers[i].id != 0 && (z->peers[i].is_up || is_voter(z, z->peers[i].id)))
            tell(z, z->peers[i].id);
}

static void forget_votes(struct zab *z)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++) z->peers[i].has_vote = false;
    z->is_finalizing = false;
}

static void repeat_later(struct zab *z, uint64_t wait_ms)
{
    z->note_wait_ms = wait_ms > z->conf.note_max_ms ? z->conf.note_max_ms : wait_ms;
    z->note_at_ms = z->now_ms + z->note_wait_ms - random_below(z, z->note_wait_ms / 4 + 1);
}

void elect_begin(struct zab *z)
{
    z->phase = PHASE_VOTE;
    z->round++;
    z->vote = own_vote(z);
    forget_votes(z);
    for (uint32_t i = 0; i < PEERS_MAX; i++) z->peers[i].has_out = false;
    elect_tell_all(z);
    repeat_later(z, z->conf.finalize_ms);
}

static void decide(struct zab *z)
{
    if (z->vote.leader == z->conf.id)
        lead_begin(z);
    else
        learn_begin(z, z->vote.leader);
}

/* Does every voter that we have a session with agree? Then there is nobody to wait for. */
static bool is_unanimous(const struct zab *z)
{
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->id == 0 || !p->is_up || !is_voter(z, p->id)) continue;
        if (!p->has_vote || !is_same(&p->vote, &z->vote)) return false;
    }
    return true;
}

static void check_votes(struct zab *z)
{
    uint32_t set = may_vote(z) ? 1 << SELF : 0;

    if (z->vote.leader == 0) return;
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++)
        if (z->peers[i].has_vote && is_same(&z->peers[i].vote, &z->vote)) set |= (uint32_t)1 << i;
    if (!is_quorum(z, set)) {
        z->is_finalizing = false;
        return;
    }
    if (is_unanimous(z)) {
        decide(z);
        return;
    }
    if (!z->is_finalizing) z->finalize_at_ms = z->now_ms + z->conf.finalize_ms;
    z->is_finalizing = true;
}

/* The best of all votes of this round that we have, ours among them. */
static void adopt(struct zab *z, const struct vote *v)
{
    if (v->leader == z->conf.id || !is_better(v, &z->vote)) return;
    z->vote = *v;
    z->is_finalizing = false;
    elect_tell_all(z);
    repeat_later(z, z->conf.finalize_ms);
}

static void on_looking(struct zab *z, struct peer *p, const struct zab_note *n)
{
    struct vote v = { n->leader, n->epoch, n->zxid };

    if (n->round < z->round) {
        answer(z, p);
        return;
    }
    if (n->round > z->round) {
        struct vote own = own_vote(z);
        z->round = n->round;
        forget_votes(z);
        z->vote = v.leader != z->conf.id && is_better(&v, &own) ? v : own;
        elect_tell_all(z);
        repeat_later(z, z->conf.finalize_ms);
    }
    p->vote = v;
    p->has_vote = v.leader != 0;
    adopt(z, &v);
    if (is_better(&z->vote, &v)) answer(z, p); /* it has none, or began after we told it ours */
    check_votes(z);
}

static void follow(struct zab *z, uint32_t epoch, const struct zab_note *n)
{
    z->round = n->round;
    z->vote = (struct vote){ n->leader, epoch, n->zxid };
    learn_begin(z, n->leader);
}

/* An election that is over for a quorum, its leader among them, who says himself that he leads. */
static void join_others(struct zab *z, const struct zab_note *n)
{
    struct peer *leader = peer_find(z, n->leader);
    uint32_t set = 0;

    if (leader == NULL || n->leader == z->conf.id || !leader->has_out) return;
    if (leader->out_state != ZAB_NOTE_LEADING || leader->out_leader != n->leader) return;
    if (z->vote.leader == n->leader && n->round == z->round && may_vote(z)) set |= 1 << SELF;
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->has_out && p->out_leader == n->leader && p->out_epoch == leader->out_epoch)
            set |= (uint32_t)1 << i;
    }
    if (is_quorum(z, set)) follow(z, leader->out_epoch, n);
}

static void on_decided(struct zab *z, struct peer *p, const struct zab_note *n)
{
    p->has_out = true;
    p->out_state = n->state;
    p->out_leader = n->leader;
    p->out_epoch = n->epoch;
    join_others(z, n);
    if (z->role != ZAB_LOOKING || n->round != z->round || !may_vote(z)) return;
    /* It decided in our round, and until its leader is established it says by which vote. The note with that
     * vote itself may never come: a newer one takes the place of one that waits. */
    p->vote = (struct vote){ n->leader, n->epoch, n->zxid };
    p->has_vote = true;
    adopt(z, &p->vote);
    check_votes(z);
}

/* Our list of members may be too old for an election: who has looked for long follows whoever says that he
 * leads. The epochs decide whether he may. */
static bool is_told_to_follow(const struct zab *z, const struct peer *p, const struct zab_note *n)
{
    uint64_t patience_ms = 2 * zab_ticks_ms(z, z->conf.sync_ticks);

    return n->state == ZAB_NOTE_LEADING && n->leader == p->id && n->epoch >= z->current &&
           z->now_ms - z->since_ms > patience_ms;
}

void elect_note(struct zab *z, uint16_t from, const struct zab_note *n)
{
    struct peer *p = peer_make(z, from);

    if (p == NULL || p == &z->peers[SELF] || n->group != z->conf.group) return;
    if (z->role != ZAB_LOOKING) {
        if (n->state != ZAB_NOTE_LOOKING) return;
        answer(z, p);
        /* A supporter that looks again, and did not when it came to us, is gone. */
        if (z->role != ZAB_LEADING || p->phase == LEARNER_NONE) {
            p->looked = n->round;
        } else if (n->round > z->round && n->round > p->looked) {
            lead_give_up(z, p);
        }
        return;
    }
    if (z->phase == PHASE_DRAIN) return;
    if (is_told_to_follow(z, p, n)) {
        follow(z, n->epoch, n);
        return;
    }
    if (n->state != ZAB_NOTE_LOOKING)
        on_decided(z, p, n);
    else if (z->must_relearn)
        answer(z, p);
    else
        on_looking(z, p, n);
}

void elect_tick(struct zab *z)
{
    if (z->phase == PHASE_DRAIN) return;
    if (z->is_finalizing && z->now_ms >= z->finalize_at_ms) {
        decide(z);
        return;
    }
    if (z->now_ms < z->note_at_ms) return;
    elect_tell_all(z);
    repeat_later(z, 2 * z->note_wait_ms);
    check_votes(z); /* who is the only voter hears from nobody */
}
