/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants, by name; each is looked at when something happens that could break it. */
#include "sim/zab_world.h"

static unsigned long long llx(uint64_t zxid)
{
    return (unsigned long long)zxid;
}

/* --- what is stored */

static void check_entry(struct world *w, struct node *n, const struct zab_entry *e)
{
    uint64_t last = view_last(&n->disk.mem);
    bool follows = zab_epoch_of(e->first) == zab_epoch_of(last) && last != 0
                       ? e->first == last + 1
                       : zab_epoch_of(e->first) > zab_epoch_of(last) && zab_counter_of(e->first) == 0;
    if (e->prev != last || !follows || e->last < e->first)
        world_violate(w, "log-contiguity", "node %u stores %llx..%llx, made after %llx, behind %llx", n->id,
                      llx(e->first), llx(e->last), llx(e->prev), llx(last));
    if (w->k.counter_max != 0 && zab_counter_of(e->last) > w->k.counter_max)
        world_violate(w, "counter-bound", "node %u stores %llx, beyond the counter's end", n->id,
                      llx(e->last));
    if (!w->is_failed) oracle_store_entry(w, n, e);
}

/* No committed entry of this log is behind zxid. */
static void check_truncation(struct world *w, struct node *n, uint64_t zxid, const char *what)
{
    const struct oracle *o = &w->oracle;
    const struct view *v = &n->disk.mem;
    uint32_t i = view_find(v, zxid + 1);
    if (i < v->count && oracle_position(o, v->at[i].last) != UINT32_MAX)
        world_violate(w, "truncation-keeps-committed", "node %u %s %llx, and loses %llx", n->id, what,
                      llx(zxid), llx(v->at[i].last));
}

static void check_install(struct world *w, struct node *n, uint64_t zxid)
{
    const struct oracle *o = &w->oracle;
    const struct view *v = &n->disk.mem;
    if (oracle_position(o, zxid) == UINT32_MAX)
        world_violate(w, "prefix-consistency", "node %u installs %llx, which is not committed", n->id,
                      llx(zxid));
    if (zxid < n->st.delivered)
        world_violate(w, "truncation-keeps-committed", "node %u installs %llx, and has delivered %llx", n->id,
                      llx(zxid), llx(n->st.delivered));
    uint32_t i = view_find(v, zxid + 1);
    if (i < v->count && oracle_position(o, v->at[i].last) != UINT32_MAX)
        world_violate(w, "truncation-keeps-committed", "node %u installs %llx, and loses %llx", n->id,
                      llx(zxid), llx(v->at[i].last));
}

static void check_store(struct world *w, struct node *n, const struct zab_record *r)
{
    const struct view *v = &n->disk.mem;
    switch (r->kind) {
    case ZAB_RECORD_ENTRY: check_entry(w, n, &r->entry); break;
    case ZAB_RECORD_TRUNC: check_truncation(w, n, r->zxid, "truncates to"); break;
    case ZAB_RECORD_INSTALL: check_install(w, n, r->zxid); break;
    case ZAB_RECORD_ACCEPTED:
        if (r->epoch <= v->accepted)
            world_violate(w, "epochs-grow", "node %u accepts epoch %u of %u after %u of %u", n->id, r->epoch,
                          r->leader, v->accepted, v->leader);
        break;
    case ZAB_RECORD_CURRENT:
        if (r->epoch < v->current || (r->epoch > v->accepted && !n->is_forgetful))
            world_violate(w, "epochs-grow", "node %u takes epoch %u after %u, having accepted %u", n->id,
                          r->epoch, v->current, v->accepted);
        break;
    default: break;
    }
}

/* --- what is promised: the disk's own view has it already */

/* Who has to learn anew promises nothing: it counts nowhere. */
static void promise(struct world *w, const struct node *n, bool is_kept, const char *what)
{
    const struct view *d = &n->disk.dur;
    if (!is_kept && !n->st.must_relearn)
        world_violate(w, "fsync-before-send",
                      "node %u %s; its disk has the log to %llx, epochs %u and %u, accepted of %u", n->id,
                      what, llx(view_last(d)), d->current, d->accepted, d->leader);
}

static void check_ack_epoch(struct world *w, const struct node *n, const struct zab_effect *e)
{
    const struct zab_frame *f = &e->frame;
    const struct view *d = &n->disk.dur;
    promise(w, n, f->ack_epoch.last == view_last(d), "sends ACKEPOCH of another log");
    promise(w, n, f->ack_epoch.current == d->current, "sends ACKEPOCH of another current epoch");
    promise(w, n, d->accepted >= f->epoch || d->current >= f->epoch,
            "sends ACKEPOCH for an epoch that it has not accepted");
    if (f->ack_epoch.counts && (d->accepted != f->epoch || d->leader != e->peer))
        world_violate(w, d->accepted == f->epoch ? "leadership" : "fsync-before-send",
                      "node %u promises epoch %u to %u, and its disk has %u of %u", n->id, f->epoch, e->peer,
                      d->accepted, d->leader);
}

/* An epoch's learner has its leader's history: equal positions are equal histories, by log-matching. */
static void check_ack_newleader(struct world *w, const struct node *n, const struct zab_frame *f)
{
    const struct view *d = &n->disk.dur;
    promise(w, n, view_holds(d, f->zxid) && f->zxid <= view_last(d), "sends ACK_NEWLEADER for more");
    promise(w, n, d->current == f->epoch, "sends ACK_NEWLEADER for another epoch");
    for (uint32_t i = 1; i < d->count; i++)
        if (d->at[i].prev != d->at[i - 1].last)
            world_violate(w, "process-consistency", "node %u acknowledges epoch %u with %llx behind %llx",
                          n->id, f->epoch, llx(d->at[i].last), llx(d->at[i - 1].last));
    if (zab_epoch_of(view_last(d)) == f->epoch && view_holds(d, zab_zxid(f->epoch, 0))) return;
    world_violate(w, "process-consistency", "node %u acknowledges epoch %u, and its log ends at %llx", n->id,
                  f->epoch, llx(view_last(d)));
}

/* A leader's word. */
static void check_told(struct world *w, struct node *n, uint64_t commit, uint32_t epoch)
{
    if (n->is_leading_epoch == epoch) {
        oracle_commit(w, n, commit);
    } else if (commit > oracle_last(&w->oracle)) {
        world_violate(w, "acked-durable-on-quorum", "node %u calls %llx committed before it is established",
                      n->id, llx(commit));
    }
}

static void check_leads(struct world *w, const struct node *n, const struct zab_frame *f)
{
    const struct view *d = &n->disk.dur;
    promise(w, n, d->accepted >= f->epoch, "leads an epoch that it has not accepted");
    if (f->epoch < ORACLE_EPOCHS_MAX && f->type != ZAB_LEADERINFO && w->oracle.leaders[f->epoch] != n->id)
        world_violate(w, "leadership", "node %u leads epoch %u of %u", n->id, f->epoch,
                      w->oracle.leaders[f->epoch]);
}

static void count_sync(struct world *w, struct node *n, const struct zab_effect *e)
{
    uint8_t *how = &n->sync_how[e->peer % (SIM_NODES_MAX + 1)];
    switch (e->frame.type) {
    case ZAB_LEADERINFO: *how = 0; break;
    case ZAB_SYNC_TRUNC: *how |= 1; break;
    case ZAB_PROPOSAL:
        if (zab_epoch_of(e->frame.proposal.entry.last) < e->frame.epoch) *how |= 2;
        break;
    case ZAB_NEWLEADER:
        w->counts.trunc += *how == 1;
        w->counts.diff += *how == 2;
        w->counts.trunc_diff += *how == 3;
        w->counts.snap += (*how & 4) != 0;
        break;
    default: break;
    }
}

static void check_send(struct world *w, struct node *n, const struct zab_effect *e)
{
    const struct zab_frame *f = &e->frame;
    const struct view *d = &n->disk.dur;
    count_sync(w, n, e);
    switch (f->type) {
    case ZAB_FOLLOWERINFO:
        promise(w, n, f->epoch <= d->accepted || f->epoch <= d->current, "says that it has accepted more");
        break;
    case ZAB_LEADERINFO:
        promise(w, n, d->accepted == f->epoch && d->leader == n->id,
                "proposes an epoch that it has not accepted");
        break;
    case ZAB_ACKEPOCH: check_ack_epoch(w, n, e); break;
    case ZAB_ACK:
        promise(w, n, view_holds(d, f->zxid) && f->zxid <= view_last(d), "acknowledges more");
        break;
    case ZAB_ACK_NEWLEADER: check_ack_newleader(w, n, f); break;
    case ZAB_SYNC_TRUNC:
    case ZAB_NEWLEADER: check_leads(w, n, f); break;
    case ZAB_PROPOSAL:
        check_leads(w, n, f);
        check_told(w, n, f->proposal.commit, f->epoch);
        break;
    case ZAB_UPTODATE:
    case ZAB_COMMIT: check_told(w, n, f->zxid, f->epoch); break;
    case ZAB_PING: check_told(w, n, f->ping.commit, f->epoch); break;
    default: break;
    }
}

/* A vote for oneself says what one has. */
static void check_note(struct world *w, const struct node *n, const struct zab_note *note)
{
    const struct view *d = &n->disk.dur;
    if (note->state != ZAB_NOTE_LOOKING || note->leader != n->id) return;
    promise(w, n, note->zxid == view_last(d) && note->epoch == d->current, "votes for another log");
}

/* --- what is delivered, and known to be */

static void check_deliver(struct world *w, struct node *n, const struct zab_entry *e)
{
    const struct oracle *o = &w->oracle;
    if (!view_holds(&n->disk.dur, e->last))
        world_violate(w, "fsync-before-send", "node %u delivers %llx before it is durable there", n->id,
                      llx(e->last));
    if (!w->is_failed) oracle_commit(w, n, e->last);
    if (w->is_failed) return;
    uint32_t at = oracle_position(o, e->last);
    if (at == UINT32_MAX) return;
    const struct fact *f = &o->facts[at - 1];
    if (f->first != e->first || f->hash != entry_hash(e))
        world_violate(w, "agreement", "node %u delivers another %llx", n->id, llx(e->last));
    else if (f->prev != n->delivered_zxid)
        world_violate(w, "total-order", "node %u delivers %llx right after %llx", n->id, llx(e->last),
                      llx(n->delivered_zxid));
}

static void check_role(struct world *w, struct node *n, const struct zab_effect *e)
{
    if (e->role != ZAB_LEADING || !e->is_established) return;
    /* A change of the members had been appended, and was not committed when its leader went. */
    if (n->disk.mem.config > w->oracle.config) w->counts.reconfigurations_during_elections++;
    if (e->epoch >= ORACLE_EPOCHS_MAX || w->oracle.leaders[e->epoch] != n->id)
        world_violate(w, "leadership", "node %u is established in epoch %u of %u", n->id, e->epoch,
                      w->oracle.leaders[e->epoch % ORACLE_EPOCHS_MAX]);
    else if (!oracle_is_complete(w, n, e->epoch))
        world_violate(w, "leader-completeness", "node %u is established without %llx", n->id,
                      llx(oracle_last(&w->oracle)));
    else
        oracle_commit(w, n, zab_zxid(e->epoch, 0)); /* and with it the whole of its history */
}

/* While it leads, what lower epochs have committed is there. */
static void check_accepted(struct world *w, struct node *n, const struct zab_effect *e)
{
    uint64_t last = oracle_last(&w->oracle);
    if (e->why != ZAB_OK) return;
    if (n->is_leading_epoch == 0 || !oracle_is_complete(w, n, n->is_leading_epoch))
        world_violate(w, "primary-integrity", "node %u accepts %llx without %llx", n->id, llx(e->entry.last),
                      llx(last));
}

static void check_lease_of(struct world *w, const struct node *n, uint64_t until_ms, uint64_t settled)
{
    if (!n->is_up || until_ms <= node_now_ms(w, n) || n->machine.zxid >= settled) return;
    world_violate(w, "lease-promise",
                  "node %u has a lease for another %llu ms and has applied to %llx; settled is %llx", n->id,
                  llx(until_ms - node_now_ms(w, n)), llx(n->machine.zxid), llx(settled));
}

static void check_settled(struct world *w, uint64_t settled)
{
    if (settled <= w->oracle.settled) return;
    w->oracle.settled = settled;
    for (uint32_t i = 0; i < w->k.nodes; i++)
        check_lease_of(w, &w->nodes[i], w->nodes[i].lease_until_ms, settled);
}

void check_effect(struct world *w, struct node *n, const struct zab_effect *e)
{
    switch (e->kind) {
    case ZAB_STORE: check_store(w, n, &e->record); break;
    case ZAB_SEND: check_send(w, n, e); break;
    case ZAB_TELL: check_note(w, n, &e->note); break;
    case ZAB_SNAP_SEND: n->sync_how[e->peer % (SIM_NODES_MAX + 1)] |= 4; break;
    case ZAB_DELIVER: check_deliver(w, n, &e->entry); break;
    case ZAB_ROLE: check_role(w, n, e); break;
    case ZAB_ACCEPTED: check_accepted(w, n, e); break;
    case ZAB_LEASE: check_lease_of(w, n, e->zxid, w->oracle.settled); break;
    case ZAB_SETTLED: check_settled(w, e->zxid); break;
    default: break;
    }
}

/* --- after a step */

void check_step(struct world *w, struct node *n, const struct zab_state *before)
{
    const struct zab_state *now = &n->st;
    const struct view *v = &n->disk.mem;
    if (w->is_failed) return;
    /* What ends its own part in it a leader commits and tells nobody. */
    if (before->role == ZAB_LEADING && before->is_established && now->committed > oracle_last(&w->oracle))
        oracle_commit(w, n, now->committed);
    if (now->committed < before->committed || now->delivered < before->delivered ||
        now->settled < before->settled)
        world_violate(w, "committed-monotone", "node %u had %llx committed, %llx delivered; now %llx, %llx",
                      n->id, llx(before->committed), llx(before->delivered), llx(now->committed),
                      llx(now->delivered));
    else if (now->delivered > now->committed)
        world_violate(w, "acked-durable-on-quorum", "node %u has delivered %llx, and committed %llx", n->id,
                      llx(now->delivered), llx(now->committed));
    else if (now->accepted < before->accepted || now->current < before->current ||
             now->current > now->accepted)
        world_violate(w, "epochs-grow", "node %u: accepted %u, current %u, after %u and %u", n->id,
                      now->accepted, now->current, before->accepted, before->current);
    else if (now->last != view_last(v))
        world_violate(w, "log-contiguity", "node %u believes that its log ends at %llx, and it does at %llx",
                      n->id, llx(now->last), llx(view_last(v)));
    else if (n->disk.synced == n->disk.count && now->stored > view_last(&n->disk.dur))
        promise(w, n, false, "believes more to be stored");
}

void check_machine(struct world *w, struct node *n)
{
    const struct machine *m = &n->machine;
    const struct oracle *o = &w->oracle;
    if (w->is_failed || m->pos == 0) return;
    if (m->pos > o->count || o->facts[m->pos - 1].chain != m->chain || o->facts[m->pos - 1].last != m->zxid)
        world_violate(w, "state-hash", "node %u has applied %u entries to %llx, and is not what they make",
                      n->id, m->pos, llx(m->zxid));
}
