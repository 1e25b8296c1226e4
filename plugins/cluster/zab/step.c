/* SPDX-License-Identifier: Apache-2.0 */
/* An event to its function, and what all roles share. */
#include "base/check.h"
#include "zab/calls_int.h"

struct zab_effect *zab_emit(struct zab *z, enum zab_effect_kind kind)
{
    CHECK(z->out->count < ZAB_EFFECTS_MAX);
    struct zab_effect *e = &z->out->at[z->out->count++];

    *e = (struct zab_effect){ .kind = (uint8_t)kind };
    return e;
}

void zab_halt(struct zab *z, const char *text)
{
    if (z->is_halted) return;
    z->is_halted = true;
    zab_emit(z, ZAB_HALT)->text = text;
}

struct zab_at zab_ask(struct zab *z)
{
    return (struct zab_at){ z->accepted, ++z->ask_no };
}

void zab_send(struct zab *z, struct peer *p, const struct zab_frame *f)
{
    struct zab_effect *e = zab_emit(z, ZAB_SEND);

    e->peer = p->id;
    e->session = p->session;
    e->frame = *f;
    e->frame.group = z->conf.group;
}

void zab_send_zxid(struct zab *z, struct peer *p, enum zab_frame_type type, uint64_t zxid)
{
    struct zab_frame f = { .type = (uint8_t)type, .epoch = z->epoch, .zxid = zxid };

    zab_send(z, p, &f);
}

static void close_for(struct zab *z, struct peer *p, const char *text)
{
    if (!p->is_up) return;
    struct zab_effect *e = zab_emit(z, ZAB_CLOSE);

    e->peer = p->id;
    e->session = p->session;
    e->text = text;
    p->is_up = false;
    p->has_info = false;
}

void zab_close(struct zab *z, struct peer *p)
{
    close_for(z, p, NULL);
}

void zab_tell_role(struct zab *z)
{
    struct zab_effect *e = zab_emit(z, ZAB_ROLE);

    e->role = z->role;
    e->is_established = z->is_established;
    e->leader = z->leader;
    e->epoch = z->epoch;
}

void zab_fit_role(struct zab *z)
{
    uint8_t role = is_voter(z, z->conf.id) ? ZAB_FOLLOWING : ZAB_OBSERVING;

    if (z->role == ZAB_LOOKING || z->role == ZAB_LEADING || z->role == role) return;
    z->role = role;
    zab_tell_role(z);
}

/* Ends the sessions that a role has used: what is still in their streams is of the past. */
static void leave(struct zab *z)
{
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        struct peer *p = &z->peers[i];
        if (p->id == 0) continue;
        if (z->role == ZAB_LEADING && p->phase != LEARNER_NONE) zab_close(z, p);
        if (z->role != ZAB_LEADING && p->id == z->leader) zab_close(z, p);
        p->phase = LEARNER_NONE;
        p->is_reading = p->is_snapping = false;
        p->has_ponged = false;
    }
    if (z->is_snapping) zab_emit(z, ZAB_SNAP_DROP);
    z->is_snapping = z->is_reading = false;
}

void zab_look(struct zab *z)
{
    leave(z);
    z->role = ZAB_LOOKING;
    z->phase = PHASE_DRAIN;
    z->leader = 0;
    z->epoch = 0;
    z->is_established = z->steps_down = false;
    z->since_ms = z->now_ms;
    zab_tell_role(z);
    if (PLANTED(z, keep_unstored_on_exit)) {
        z->h.stored = z->h.last;
        elect_begin(z);
    } else {
        zab_drained(z);
    }
}

/* What a role began to write is waited for: votes and promises are of what is durable. */
void zab_drained(struct zab *z)
{
    if (z->phase == PHASE_DRAIN && z->stored_no == z->store_no && !z->is_installing) elect_begin(z);
}

static void on_link(struct zab *z, const struct zab_event *event)
{
    struct peer *p = peer_make(z, event->link.peer);
    bool is_up = event->link.is_up;

    if (p == NULL || p == &z->peers[SELF] || (!is_up && (!p->is_up || event->link.session != p->session))) {
        if (is_up) {
            struct zab_effect *e = zab_emit(z, ZAB_CLOSE);
            e->peer = event->link.peer;
            e->session = event->link.session;
        }
        return;
    }
    bool was_up = p->is_up;

    p->is_up = is_up;
    p->has_info = false;
    p->session = event->link.session;
    if (z->role == ZAB_LEADING)
        lead_drop(z, p);
    else if (z->role != ZAB_LOOKING && p->id == z->leader) {
        if (was_up && z->phase != PHASE_CONNECT)
            zab_look(z);
        else
            learn_link(z);
    }
}

/* A peer that is wrong: whatever there is between us ends. */
static void refuse(struct zab *z, struct peer *p, const char *text)
{
    close_for(z, p, text);
    if (z->role == ZAB_LEADING)
        lead_drop(z, p);
    else if (z->role != ZAB_LOOKING && p->id == z->leader)
        zab_look(z);
}

/* Epochs are finite: whoever has come to promise one far above all that we know, by a fault, would use them
 * up for all. It takes 65,536 elections of which nobody here has heard to be refused wrongly; and to be
 * refused is to be away, which the others are made for. */
static bool is_absurd(const struct zab *z, uint32_t accepted)
{
    uint32_t known = z->epoch_seen > z->accepted ? z->epoch_seen : z->accepted;

    return accepted > known && accepted - known > ZAB_EPOCH_LEAP_MAX;
}

/* FOLLOWERINFO may be early: its sender has decided, and we have not. False: we have ended its session. */
static bool on_info(struct zab *z, struct peer *p, const struct zab_frame *f)
{
    if (is_absurd(z, f->epoch)) {
        refuse(z, p, "it says that it has promised an epoch far above all that are known here: not let in");
        return false;
    }
    p->has_info = true;
    p->must_relearn = f->info.must_relearn;
    p->accepted = f->epoch;
    p->window_entries = f->info.window_entries;
    p->window_bytes = f->info.window_bytes;
    if (f->epoch > z->epoch_seen) z->epoch_seen = f->epoch;
    if (z->role == ZAB_LOOKING || z->role == ZAB_LEADING) return true;
    zab_close(z, p);
    if (p->id == z->leader) zab_look(z); /* each thought that the other leads */
    return false;
}

static void on_frame(struct zab *z, const struct zab_event *event)
{
    struct peer *p = peer_find(z, event->frame.peer);
    const struct zab_frame *f = event->frame.frame;

    if (p == NULL || !p->is_up || p->session != event->frame.session || f->group != z->conf.group) return;
    p->heard_ms = z->now_ms;
    if (f->type == ZAB_FOLLOWERINFO && !on_info(z, p, f)) return;
    if (z->role == ZAB_LEADING)
        lead_frame(z, p, f);
    else if (z->role != ZAB_LOOKING && p->id == z->leader)
        learn_frame(z, f);
}

static void on_stored(struct zab *z, struct zab_at at)
{
    if (at.no > z->store_no || at.no <= z->stored_no) return;
    z->stored_no = at.no;
    z->store_progress_ms = z->now_ms;
    history_stored(z);
    if (z->current_no != 0 && z->stored_no >= z->current_no) z->must_relearn = false;
    if (z->role == ZAB_LEADING)
        lead_stored(z);
    else if (z->role != ZAB_LOOKING)
        learn_stored(z);
    else
        zab_drained(z);
}

static void on_checkpoint(struct zab *z, uint64_t zxid)
{
    struct zab_record r = { .kind = ZAB_RECORD_CHECKPOINT,
                            .must_relearn = z->must_relearn,
                            .epoch = z->current,
                            .accepted = z->accepted,
                            .leader = z->accepted_leader,
                            .zxid = zxid };

    if (zxid > z->delivered || zxid < z->h.begin) return;
    r.members = z->members.version > zxid && z->before.count > 0 ? &z->before : &z->members;
    history_store(z, &r);
}

static void on_tick(struct zab *z, uint64_t now_ms)
{
    if (now_ms > z->now_ms) z->now_ms = now_ms;
    if (z->role == ZAB_LOOKING)
        elect_tick(z);
    else if (z->role == ZAB_LEADING)
        lead_tick(z);
    else
        learn_tick(z);
}

static void dispatch(struct zab *z, const struct zab_event *event)
{
    switch (event->kind) {
    case ZAB_TICK: on_tick(z, event->now_ms); break;
    case ZAB_LINK: on_link(z, event); break;
    case ZAB_NOTE: elect_note(z, event->note.from, event->note.note); break;
    case ZAB_FRAME: on_frame(z, event); break;
    case ZAB_STORED: on_stored(z, event->at); break;
    case ZAB_READ_DONE:
        if (z->is_reading && event->read.at.no == z->read_at.no)
            broadcast_read_done(z, event);
        else
            sync_read_done(z, event);
        break;
    case ZAB_SNAP_SENT: sync_snap_sent(z, event->snap.at, event->snap.zxid); break;
    case ZAB_SNAP_SAVED: learn_snap_saved(z, event->snap.at, event->snap.zxid); break;
    case ZAB_APPLIED:
        if (event->zxid > z->applied && event->zxid <= z->delivered) z->applied = event->zxid;
        lease_settle(z);
        break;
    case ZAB_CHECKPOINT: on_checkpoint(z, event->zxid); break;
    case ZAB_PURGED: history_purge(z, event->zxid); break;
    case ZAB_PROPOSE: broadcast_propose(z, event); break;
    case ZAB_RECONFIG: members_change(z, event); break;
    default: break;
    }
}

void zab_step(struct zab *z, const struct zab_event *event, struct zab_effects *out)
{
    z->out = out;
    out->count = 0;
    out->more = false;
    if (z->is_halted) return;
    dispatch(z, event);
    if (z->role == ZAB_LEADING) sync_pump(z);
    broadcast_pump(z);
    if (z->steps_down && !out->more) zab_look(z);
}

void zab_state(const struct zab *z, struct zab_state *out)
{
    *out = (struct zab_state){
        .role = z->role,
        .is_established = z->is_established,
        .must_relearn = z->must_relearn,
        .is_voter = is_voter(z, z->conf.id),
        .leader = z->leader,
        .accepted = z->accepted,
        .current = z->current,
        .begin = z->h.begin,
        .last = z->h.last,
        .stored = z->h.stored,
        .committed = z->commit,
        .delivered = z->delivered,
        .applied = z->applied,
        .settled = z->settled,
        .lease_until_ms = z->lease_until_ms,
        .members_version = z->members.version,
    };
}

const struct zab_members *zab_members(const struct zab *z)
{
    return &z->members;
}
