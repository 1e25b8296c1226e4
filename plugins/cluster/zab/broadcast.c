/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals become entries, entries that a quorum has become committed, committed ones are delivered. */
#include "zab/calls_int.h"

void broadcast_answer(struct zab *z, uint64_t token, enum zab_why why)
{
    struct zab_effect *e = zab_emit(z, ZAB_ACCEPTED);
    struct zab_entry newest = { .last = z->h.last };

    e->token = token;
    e->why = (uint8_t)why;
    if (why != ZAB_OK) return;
    newest.first = z->h.slots[(z->h.tail - 1) & z->h.slots_mask].first;
    e->entry = newest;
}

bool broadcast_append(struct zab *z, uint8_t kind, uint64_t commands, struct bytes payload)
{
    struct zab_entry e = { .first = z->h.last + 1,
                           .last = z->h.last + commands,
                           .prev = z->h.last,
                           .kind = kind,
                           .payload = payload };

    if (!history_append(z, &e)) return false;
    members_note(z, &e);
    return true;
}

bool broadcast_is_open(const struct zab *z)
{
    return z->role == ZAB_LEADING && z->is_established && !z->steps_down;
}

static enum zab_why may_propose(struct zab *z, const struct zab_event *event)
{
    uint64_t left = z->conf.counter_max - zab_counter_of(z->h.last);

    if (!broadcast_is_open(z)) return ZAB_NOT_LEADER;
    if (event->propose.payload.len > ZAB_PAYLOAD_BYTES_MAX ||
        event->propose.payload.len > z->conf.window_bytes / 4 || event->propose.commands == 0)
        return ZAB_TOO_LARGE;
    if (event->propose.commands > left && !PLANTED(z, counter_wraps)) {
        z->steps_down = true; /* an election makes a new epoch, and that a new counter */
        return ZAB_COUNTER_ENDS;
    }
    return ZAB_OK;
}

void broadcast_propose(struct zab *z, const struct zab_event *event)
{
    enum zab_why why = may_propose(z, event);

    if (why == ZAB_OK && !broadcast_append(z, ZAB_DATA, event->propose.commands, event->propose.payload))
        why = ZAB_FULL;
    broadcast_answer(z, event->propose.token, why);
    broadcast_commit(z); /* alone, with a disk that needs no time */
}

/* How far the logs of a quorum reach, of those whose current epoch is this one. */
void broadcast_commit(struct zab *z)
{
    uint64_t durable[PEERS_MAX] = { 0 };

    if (z->phase != PHASE_BROADCAST) return;
    durable[SELF] = z->stored_no >= z->wait_no ? z->h.stored : 0;
    if (PLANTED(z, leader_counts_unstored)) durable[SELF] = z->h.last;
    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->id != 0 && p->phase == LEARNER_SYNCING && p->newleader_acked) durable[i] = p->acked;
    }
    for (uint64_t before = 0; before < z->commit;) { /* again: a change of the members may be behind us now */
        before = z->commit;
        broadcast_committed(z, quorum_least(z, durable));
    }
}

void broadcast_committed(struct zab *z, uint64_t zxid)
{
    if (zxid <= z->commit) return;
    z->commit = zxid;
    /* A change of the members that ends our own part in it. */
    if (z->role == ZAB_LEADING && z->members.version <= zxid && !is_voter(z, z->conf.id))
        z->steps_down = true;
    zab_fit_role(z);
}

static void deliver(struct zab *z, const struct zab_entry *e)
{
    z->delivered = e->last;
    zab_emit(z, ZAB_DELIVER)->entry = *e;
}

static uint64_t deliverable(const struct zab *z)
{
    uint64_t end = z->commit;

    if (PLANTED(z, deliver_uncommitted)) return z->h.stored;
    return end < z->h.stored ? end : z->h.stored;
}

void broadcast_pump(struct zab *z)
{
    struct zab_entry e;

    if (!z->is_established || z->is_reading) return;
    while (z->delivered < deliverable(z)) {
        if (z->out->count >= ROOM_FOR_CURSORS) {
            z->out->more = true;
            return;
        }
        if (!history_entry_after(z, z->delivered, &e)) {
            struct zab_effect *r;
            z->is_reading = true;
            z->read_at = zab_ask(z);
            r = zab_emit(z, ZAB_READ);
            r->at = z->read_at;
            r->zxid = z->delivered;
            r->bytes = READ_BYTES;
            return;
        }
        if (e.last > deliverable(z)) return;
        deliver(z, &e);
    }
}

void broadcast_read_done(struct zab *z, const struct zab_event *event)
{
    z->is_reading = false;
    if (event->read.count == 0) {
        zab_halt(z, "the log lacks what is committed and not yet applied; restore this node from a snapshot");
        return;
    }
    for (uint32_t i = 0; i < event->read.count && i < ZAB_READ_ENTRIES_MAX; i++) {
        const struct zab_entry *e = &event->read.entries[i];
        if (e->prev != z->delivered || e->last > deliverable(z)) return;
        deliver(z, e);
    }
}
