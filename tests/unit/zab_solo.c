/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/zab_solo.h"
#include "base/check.h"
#include <stdlib.h>
#include <string.h>

static void take_effects(struct solo *s)
{
    for (uint32_t i = 0; i < s->out.count; i++) {
        CHECK(s->count < SOLO_EFFECTS_MAX);
        s->effects[s->count++] = s->out.at[i];
        if (s->out.at[i].kind == ZAB_STORE) s->stored = s->out.at[i].at;
    }
}

struct solo *solo_new(uint16_t id, uint32_t nodes, const struct zab_conf *conf)
{
    struct solo *s = calloc(1, sizeof *s);

    CHECK(s != NULL);
    if (conf != NULL) s->conf = *conf;
    s->conf.id = id;
    s->conf.group = 3;
    s->now_ms = 1000;
    s->round = 1000;
    if (s->conf.members.count == 0) {
        s->conf.members.count = nodes;
        for (uint32_t i = 0; i < nodes; i++)
            s->conf.members.at[i] = (struct zab_member){ .id = (uint16_t)(i + 1), .role = ZAB_VOTER };
    }
    CHECK(zab_new(&s->z, &s->conf) == ERR_OK);
    CHECK(zab_start(s->z, s->now_ms, &s->out) == ERR_OK);
    take_effects(s);
    return s;
}

void solo_free(struct solo **owner)
{
    struct solo *s = *owner;

    *owner = NULL;
    zab_free(&s->z);
    free(s);
}

void solo_step(struct solo *s, const struct zab_event *event)
{
    static const struct zab_event more = { .kind = ZAB_MORE };

    zab_step(s->z, event, &s->out);
    take_effects(s);
    while (s->out.more) {
        zab_step(s->z, &more, &s->out);
        take_effects(s);
    }
}

void solo_tick(struct solo *s, uint64_t ms)
{
    struct zab_event e = { .kind = ZAB_TICK, .now_ms = s->now_ms += ms };

    solo_step(s, &e);
}

static void link(struct solo *s, uint16_t peer, bool is_up)
{
    struct zab_event e = { .kind = ZAB_LINK };

    if (is_up) s->session[peer] = ++s->sessions;
    e.link.peer = peer;
    e.link.session = s->session[peer];
    e.link.is_up = is_up;
    solo_step(s, &e);
}

void solo_up(struct solo *s, uint16_t peer)
{
    link(s, peer, true);
}

void solo_down(struct solo *s, uint16_t peer)
{
    link(s, peer, false);
}

void solo_note(struct solo *s, uint16_t from, struct zab_note note)
{
    struct zab_event e = { .kind = ZAB_NOTE };

    if (note.group == 0) note.group = s->conf.group;
    e.note.from = from;
    e.note.note = &note;
    solo_step(s, &e);
}

void solo_frame(struct solo *s, uint16_t peer, struct zab_frame f)
{
    struct zab_event e = { .kind = ZAB_FRAME };

    if (f.group == 0) f.group = s->conf.group;
    if (f.epoch == 0 && f.type != ZAB_FOLLOWERINFO) f.epoch = s->epoch;
    e.frame.peer = peer;
    e.frame.session = s->session[peer];
    e.frame.frame = &f;
    solo_step(s, &e);
}

void solo_zxid(struct solo *s, uint16_t peer, uint8_t type, uint64_t zxid)
{
    solo_frame(s, peer, (struct zab_frame){ .type = type, .zxid = zxid });
}

void solo_stored(struct solo *s)
{
    struct zab_event e = { .kind = ZAB_STORED, .at = s->stored };

    solo_step(s, &e);
}

enum zab_why solo_propose(struct solo *s, const char *text)
{
    struct zab_event e = { .kind = ZAB_PROPOSE };

    e.propose.commands = 1;
    e.propose.payload = bytes_of_text(text);
    solo_step(s, &e);
    return (enum zab_why)solo_effect(s, ZAB_ACCEPTED)->why;
}

void solo_forget(struct solo *s)
{
    s->count = 0;
}

const struct zab_effect *solo_effect(const struct solo *s, uint8_t kind)
{
    for (uint32_t i = s->count; i > 0; i--)
        if (s->effects[i - 1].kind == kind) return &s->effects[i - 1];
    return NULL;
}

uint32_t solo_count(const struct solo *s, uint8_t kind)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->count; i++) count += s->effects[i].kind == kind;
    return count;
}

static bool is_frame(const struct zab_effect *e, uint16_t peer, uint8_t type)
{
    return e->kind == ZAB_SEND && e->peer == peer && e->frame.type == type;
}

const struct zab_frame *solo_sent(const struct solo *s, uint16_t peer, uint8_t type)
{
    for (uint32_t i = s->count; i > 0; i--)
        if (is_frame(&s->effects[i - 1], peer, type)) return &s->effects[i - 1].frame;
    return NULL;
}

uint32_t solo_sent_count(const struct solo *s, uint16_t peer, uint8_t type)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->count; i++) count += is_frame(&s->effects[i], peer, type);
    return count;
}

bool solo_closed(const struct solo *s, uint16_t peer)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct zab_effect *e = &s->effects[i];
        if (e->kind == ZAB_CLOSE && e->peer == peer && e->session == s->session[peer]) return true;
    }
    return false;
}

struct zab_state solo_state(const struct solo *s)
{
    struct zab_state state;

    zab_state(s->z, &state);
    return state;
}

/* --- a learner */

void solo_ask(struct solo *s, uint16_t leader)
{
    struct zab_state state = solo_state(s);

    s->leader = leader;
    solo_up(s, leader);
    solo_note(s, leader,
              (struct zab_note){ .state = ZAB_NOTE_LOOKING,
                                 .leader = leader,
                                 .epoch = state.current + 1,
                                 .zxid = state.last,
                                 .round = ++s->round });
    CHECK(solo_state(s).leader == leader);
    CHECK(solo_sent(s, leader, ZAB_FOLLOWERINFO) != NULL);
}

void solo_promise(struct solo *s, uint32_t epoch)
{
    s->epoch = epoch;
    solo_zxid(s, s->leader, ZAB_LEADERINFO, 0);
    solo_stored(s);
    CHECK(solo_sent(s, s->leader, ZAB_ACKEPOCH) != NULL);
}

struct zab_entry solo_entry(const struct solo *s, uint8_t kind, uint64_t zxid, const char *text)
{
    return (struct zab_entry){
        .first = zxid, .last = zxid, .prev = solo_state(s).last, .kind = kind, .payload = bytes_of_text(text)
    };
}

void solo_proposal(struct solo *s, struct zab_entry e, uint64_t commit)
{
    struct zab_frame f = { .type = ZAB_PROPOSAL, .zxid = e.last };

    f.proposal.entry = e;
    f.proposal.commit = commit;
    solo_frame(s, s->leader, f);
}

void solo_adopt(struct solo *s)
{
    uint64_t start = zab_zxid(s->epoch, 0);

    if (solo_state(s).last < start) solo_proposal(s, solo_entry(s, ZAB_EPOCH_START, start, "id"), 0);
    solo_zxid(s, s->leader, ZAB_NEWLEADER, start);
    solo_stored(s);
    CHECK(solo_sent(s, s->leader, ZAB_ACK_NEWLEADER) != NULL);
}

void solo_activate(struct solo *s)
{
    solo_zxid(s, s->leader, ZAB_UPTODATE, zab_zxid(s->epoch, 0));
    CHECK(solo_state(s).is_established);
}

void solo_follow(struct solo *s, uint16_t leader, uint32_t epoch)
{
    solo_ask(s, leader);
    solo_promise(s, epoch);
    solo_adopt(s);
    solo_activate(s);
    solo_forget(s);
}

/* --- a leader */

void solo_elect(struct solo *s)
{
    struct zab_note vote = { .state = ZAB_NOTE_LOOKING,
                             .leader = s->conf.id,
                             .epoch = solo_state(s).current,
                             .zxid = solo_state(s).stored,
                             .round = ++s->round };

    solo_note(s, s->conf.id == 1 ? 2 : 1, vote);
    for (int i = 0; i < 100 && solo_state(s).role != ZAB_LEADING; i++) solo_tick(s, 10);
    CHECK(solo_state(s).role == ZAB_LEADING);
}

void solo_info(struct solo *s, uint16_t learner)
{
    struct zab_frame f = { .type = ZAB_FOLLOWERINFO };

    f.info.window_entries = 1024;
    f.info.window_bytes = 1024 * 1024;
    solo_frame(s, learner, f);
}

void solo_ack_epoch(struct solo *s, uint16_t learner, uint32_t current, uint64_t last)
{
    struct zab_end end = { zab_epoch_of(last), zab_counter_of(last) };
    struct zab_frame f = { .type = ZAB_ACKEPOCH };

    f.ack_epoch.current = current;
    f.ack_epoch.counts = true;
    f.ack_epoch.last = last;
    f.ack_epoch.ends = &end;
    f.ack_epoch.ends_count = last > 0;
    solo_frame(s, learner, f);
}

void solo_lead(struct solo *s, uint16_t learner)
{
    if (s->session[learner] == 0) solo_up(s, learner);
    solo_elect(s);
    solo_info(s, learner);
    solo_stored(s);
    s->epoch = solo_state(s).accepted;
    solo_ack_epoch(s, learner, 0, 0);
    solo_stored(s);
    solo_zxid(s, learner, ZAB_ACK_NEWLEADER, solo_state(s).last);
    CHECK(solo_state(s).is_established);
    solo_forget(s);
}

void solo_comes(struct solo *s, uint16_t learner)
{
    solo_up(s, learner);
    solo_info(s, learner);
}

void solo_commit(struct solo *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        CHECK(solo_propose(s, "x") == ZAB_OK);
        solo_stored(s);
        solo_zxid(s, 1, ZAB_ACK, solo_state(s).last);
        CHECK(solo_state(s).committed == solo_state(s).last);
    }
}
