/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is a member, and what is a quorum. A change is one member at a time and in force when it is appended:
 * until it is committed, an established leader needs a quorum of the newest members and one of those before.
 */
#include <string.h>

#include "base/check.h"
#include "zab/calls_int.h"

static uint8_t *put(uint8_t *at, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = bytes; i > 0; i--) *at++ = (uint8_t)(value >> (8 * (i - 1)));
    return at;
}

static uint64_t take(const uint8_t **at, uint32_t bytes)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < bytes; i++) value = value << 8 | *(*at)++;
    return value;
}

/* version 8, count 1, then each: id 2, role 1, length 1, address */
uint32_t zab_members_encode(const struct zab_members *m, uint8_t *at, uint32_t size)
{
    uint8_t *from = at;
    size_t need = 9;

    for (uint32_t i = 0; i < m->count; i++) need += 4 + strlen(m->at[i].address);
    if (need > size) return 0;
    at = put(at, m->version, 8);
    at = put(at, m->count, 1);
    for (uint32_t i = 0; i < m->count; i++) {
        size_t len = strlen(m->at[i].address);
        at = put(at, m->at[i].id, 2);
        at = put(at, m->at[i].role, 1);
        at = put(at, len, 1);
        memcpy(at, m->at[i].address, len);
        at += len;
    }
    return (uint32_t)(at - from);
}

bool zab_members_are_valid(const struct zab_members *m)
{
    uint32_t voters = 0;

    if (m->count == 0 || m->count > ZAB_NODES_MAX) return false;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct zab_member *one = &m->at[i];
        if (one->id == 0 || (i > 0 && one->id <= m->at[i - 1].id)) return false;
        if (one->role != ZAB_VOTER && one->role != ZAB_OBSERVER) return false;
        if (memchr(one->address, 0, sizeof one->address) == NULL) return false;
        voters += one->role == ZAB_VOTER;
    }
    return voters > 0;
}

bool zab_members_decode(struct bytes from, struct zab_members *out)
{
    const uint8_t *at = from.at;
    size_t left = from.len;

    *out = (struct zab_members){ 0 };
    if (left < 9) return false;
    out->version = take(&at, 8);
    out->count = (uint32_t)take(&at, 1);
    left -= 9;
    if (out->count > ZAB_NODES_MAX) return false;
    for (uint32_t i = 0; i < out->count; i++) {
        struct zab_member *one = &out->at[i];
        if (left < 4) return false;
        one->id = (uint16_t)take(&at, 2);
        one->role = (uint8_t)take(&at, 1);
        size_t len = (size_t)take(&at, 1);
        left -= 4;
        if (len > left || memchr(at, 0, len) != NULL) return false;
        memcpy(one->address, at, len);
        at += len;
        left -= len;
    }
    return left == 0 && zab_members_are_valid(out);
}

const struct zab_member *member_find(const struct zab_members *m, uint16_t id)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->at[i].id == id) return &m->at[i];
    return NULL;
}

static bool has_voter(const struct zab_members *m, uint16_t id)
{
    const struct zab_member *one = member_find(m, id);

    return one != NULL && one->role == ZAB_VOTER;
}

bool members_are_pending(const struct zab *z)
{
    return z->before.count > 0 && z->members.version > z->commit;
}

bool is_member(const struct zab *z, uint16_t id)
{
    return member_find(&z->members, id) != NULL ||
           (members_are_pending(z) && member_find(&z->before, id) != NULL);
}

bool is_voter(const struct zab *z, uint16_t id)
{
    return has_voter(&z->members, id) || (members_are_pending(z) && has_voter(&z->before, id));
}

bool is_newest_voter(const struct zab *z, uint16_t id)
{
    return has_voter(&z->members, id);
}

bool may_vote(const struct zab *z)
{
    return is_voter(z, z->conf.id) && !z->must_relearn;
}

struct peer *peer_find(struct zab *z, uint16_t id)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if (z->peers[i].id == id) return id == 0 ? NULL : &z->peers[i];
    return NULL;
}

/* A place is free again when its node is no member, has no session, and no lease that we know of. */
static bool is_free(const struct zab *z, const struct peer *p)
{
    return p->id == 0 || (!p->is_up && !is_member(z, p->id) && p->lease_until_ms <= z->now_ms);
}

struct peer *peer_make(struct zab *z, uint16_t id)
{
    struct peer *p = peer_find(z, id);

    for (uint32_t i = SELF + 1; p == NULL && i < PEERS_MAX; i++) {
        if (!is_free(z, &z->peers[i])) continue;
        p = &z->peers[i];
        *p = (struct peer){ .id = id };
    }
    return p;
}

static bool has_quorum(const struct zab *z, const struct zab_members *m, uint32_t set)
{
    uint32_t voters = 0, yes = 0;

    for (uint32_t i = 0; i < m->count; i++) voters += m->at[i].role == ZAB_VOTER;
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if ((set >> i & 1) != 0 && has_voter(m, z->peers[i].id)) yes++;
    if (PLANTED(z, commit_without_quorum)) return yes * 2 >= voters;
    return yes * 2 > voters;
}

/* Before a leader is established nobody knows what is committed: after a restart every change would seem to
 * wait for a quorum of members that are gone. The newest members of the own log are enough then: they differ
 * by one voter from those before, so each quorum of theirs has somebody of each quorum of the others, and a
 * leader begins no change before (e, 0) is committed by the members that it found. Who lacks a committed
 * change meets, in any quorum of its own list, a history that is more recent than its own. */
bool is_quorum(const struct zab *z, uint32_t set)
{
    if (!has_quorum(z, &z->members, set)) return false;
    return !z->is_established || !members_are_pending(z) || PLANTED(z, old_quorum_ignored) ||
           has_quorum(z, &z->before, set);
}

/* The greatest of value[] such that those with as much or more are a quorum; 0: none is. */
uint64_t quorum_least(const struct zab *z, const uint64_t value[PEERS_MAX])
{
    uint64_t best = 0;

    for (uint32_t i = 0; i < PEERS_MAX; i++) {
        uint32_t set = 0;
        if (z->peers[i].id == 0 || value[i] <= best) continue;
        for (uint32_t k = 0; k < PEERS_MAX; k++)
            if (z->peers[k].id != 0 && value[k] >= value[i]) set |= (uint32_t)1 << k;
        if (is_quorum(z, set)) best = value[i];
    }
    return best;
}

/* Makes places for all, and tells the driver whom to dial. */
static void members_tell(struct zab *z)
{
    for (uint32_t i = 0; i < z->members.count; i++) (void)peer_make(z, z->members.at[i].id);
    if (!z->is_started) return;
    zab_emit(z, ZAB_MEMBERS)->members = &z->members;
    zab_fit_role(z);
}

/* A snapshot's: there are none before. */
void members_adopt(struct zab *z, const struct zab_members *m)
{
    z->members = *m;
    z->before = (struct zab_members){ 0 };
    members_tell(z);
}

/* An entry of kind CONFIG is part of the history now. One that cannot be read is left out by everyone. */
void members_note(struct zab *z, const struct zab_entry *e)
{
    struct zab_members m;

    if (e->kind != ZAB_CONFIG || e->last <= z->members.version || !zab_members_decode(e->payload, &m)) return;
    m.version = e->last;
    z->before = z->members;
    z->members = m;
    members_tell(z);
}

void members_truncate(struct zab *z, uint64_t to)
{
    if (z->members.version <= to || z->before.count == 0) return;
    z->members = z->before;
    z->before = (struct zab_members){ 0 };
    members_tell(z);
}

static uint32_t place_of(const struct zab_members *m, uint16_t id)
{
    uint32_t i = 0;

    while (i < m->count && m->at[i].id < id) i++;
    return i;
}

/* m with the change made; false: it cannot be. */
static bool change(struct zab_members *m, uint8_t what, const struct zab_member *one)
{
    uint32_t i = place_of(m, one->id);
    bool is_there = i < m->count && m->at[i].id == one->id;

    if (is_there == (what == ZAB_ADD)) return false;
    if (what == ZAB_ADD) {
        if (m->count == ZAB_NODES_MAX) return false;
        memmove(&m->at[i + 1], &m->at[i], (m->count - i) * sizeof m->at[0]);
        m->at[i] = *one;
        m->count++;
    } else if (what == ZAB_REMOVE) {
        m->count--;
        memmove(&m->at[i], &m->at[i + 1], (m->count - i) * sizeof m->at[0]);
    } else if (what == ZAB_SET_ROLE && m->at[i].role != one->role) {
        m->at[i].role = one->role;
    } else {
        return false;
    }
    return zab_members_are_valid(m);
}

/* Who shall vote must have what is committed: else the new quorum would be one node slower at once. */
static bool has_caught_up(struct zab *z, uint16_t id)
{
    const struct peer *p = peer_find(z, id);

    return id == z->conf.id || (p != NULL && p->uptodate_sent && p->acked >= z->commit);
}

/* Would the members that are here now be a quorum of the new ones? Else the change could never be committed.
 */
static bool can_commit(const struct zab *z, const struct zab_members *m)
{
    uint64_t patience_ms = zab_ticks_ms(z, z->conf.sync_ticks);
    uint32_t set = 1 << SELF;

    for (uint32_t i = SELF + 1; i < PEERS_MAX; i++) {
        const struct peer *p = &z->peers[i];
        if (p->id == 0 || p->phase != LEARNER_SYNCING || !p->uptodate_sent) continue;
        if (z->now_ms - p->heard_ms <= patience_ms) set |= (uint32_t)1 << i;
    }
    return has_quorum(z, m, set);
}

void members_change(struct zab *z, const struct zab_event *event)
{
    struct zab_members m = z->members;
    const struct zab_member *one = &event->reconfig.member;
    uint8_t what = event->reconfig.change, payload[ZAB_MEMBERS_BYTES_MAX];
    enum zab_why why = ZAB_OK;

    if (!broadcast_is_open(z))
        why = ZAB_NOT_LEADER;
    else if (members_are_pending(z) && !PLANTED(z, old_quorum_ignored))
        why = ZAB_PENDING;
    else if (!change(&m, what, one))
        why = ZAB_NO_SUCH_CHANGE;
    else if (what != ZAB_REMOVE && one->role == ZAB_VOTER && !has_caught_up(z, one->id))
        why = ZAB_NOT_SYNCED;
    else if (!can_commit(z, &m) && !PLANTED(z, old_quorum_ignored))
        why = ZAB_NOT_SYNCED;
    if (why != ZAB_OK) {
        broadcast_answer(z, event->reconfig.token, why);
        return;
    }
    m.version = z->h.last + 1;
    uint32_t len = zab_members_encode(&m, payload, sizeof payload);
    if (zab_counter_of(z->h.last) >= z->conf.counter_max) {
        z->steps_down = true; /* an election makes a new epoch, and that a new counter */
        why = ZAB_COUNTER_ENDS;
    } else if (!broadcast_append(z, ZAB_CONFIG, 1, bytes_of(payload, len))) {
        why = ZAB_FULL;
    }
    broadcast_answer(z, event->reconfig.token, why);
}
