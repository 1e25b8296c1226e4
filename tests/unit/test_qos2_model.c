/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/test.h"
#include "session/session.h"
#include <stdlib.h>
#include <string.h>

/*
 * All that can happen to a few QoS 2 messages between a persistent session, its journal and a client, when
 * the connection is cut and the process is killed at any moment, so many times. Every state is looked at
 * once: whatever goes on in it, no message is delivered twice, and where nothing goes on any more, each was
 * delivered and nobody remembers anything.
 */

enum { MESSAGES = 3, WIRE_MAX = 16, COMMANDS_MAX = 16, STATES_MAX = 1 << 21 };
enum { CLIENT_STEP, SERVER_STEP, TURN, APPLY, COMPLETE, CUT, KILL, ACTIONS };

struct packet {
    uint8_t kind; /* enum packet_kind */
    uint8_t message;
};
enum packet_kind { PUBLISH = 1, PUBREC, PUBREL, PUBCOMP };

struct wire {
    uint8_t count;
    struct packet at[WIRE_MAX];
};

struct note {
    uint8_t is_ack;
    uint8_t finishes[MESSAGES]; /* an ACK: these are finished; RECEIVED: these are received */
    uint8_t number;             /* of a RECEIVED */
};

/* Plain data: what is compared between states beside the session. */
struct outside {
    struct wire to_client, to_server;
    struct note notes[COMMANDS_MAX]; /* [0, applied) are durable and wait for their completion */
    uint8_t applied, count;
    uint8_t is_stored[MESSAGES], is_released[MESSAGES]; /* rows */
    uint8_t is_held[MESSAGES], delivered[MESSAGES];     /* by the client; the id is held */
    uint8_t was_sent[MESSAGES];
    uint8_t faults_left;
};

struct world {
    struct outside o;
    struct session *s;
};

static uint64_t seq_of[MESSAGES];
static struct msg *msgs[MESSAGES];
static int conn;
static uint64_t *seen;
static uint32_t states;
static bool kills;

static uint8_t message_of(uint64_t seq)
{
    uint8_t i = 0;
    while (seq_of[i] != seq) i++;
    return i;
}

/* Messages may have the same id: then the client cannot tell them apart. */
static bool same_id(int a, int b)
{
    return seq_of[a] % ID_EXACT_COUNT == seq_of[b] % ID_EXACT_COUNT;
}

static struct session *new_session(void)
{
    struct session *s;
    struct session_conf conf = { .client_id = bytes_of_text("c"), .session_no = 1, .persistent = true };
    CHECK_INT(ERR_OK, session_new(&s, &conf));
    return s;
}

static void *copy_of(const void *from, size_t bytes)
{
    void *to = malloc(bytes);
    CHECK_TRUE(to != NULL);
    return memcpy(to, from, bytes);
}

static struct session *clone(const struct session *from)
{
    struct session *s = copy_of(from, sizeof *s + sizeof(struct session_kept) + from->client_id_bytes);
    if (from->block != NULL) s->block = copy_of(from->block, from->block_room * sizeof *s->block);
    if (from->block != NULL) s->blocks = &s->block; /* so few entries are in one */
    if (from->exact != NULL) s->exact = copy_of(from->exact, sizeof *s->exact);
    for (uint32_t i = s->head; i != s->tail; i++) msg_ref(s->block[i & (s->block_room - 1)].msg);
    return s;
}

static void drop_session(struct session **s)
{
    if ((*s)->conn != NULL) session_detach(*s);
    session_free(s);
}

/* --- what the shard does */

static void put(struct wire *w, enum packet_kind kind, uint8_t message)
{
    CHECK_TRUE(w->count < WIRE_MAX);
    w->at[w->count++] = (struct packet){ (uint8_t)kind, message };
}

static struct packet take(struct wire *w)
{
    struct packet p = w->at[0];
    memmove(w->at, w->at + 1, --w->count * sizeof w->at[0]);
    w->at[w->count] = (struct packet){ 0, 0 };
    return p;
}

static void read_store(struct world *w)
{
    static struct store_page page;
    while (session_wants_page(w->s)) {
        session_reading(w->s);
        page.count = 0;
        for (uint8_t i = 0; i < MESSAGES; i++)
            if (w->o.is_stored[i] && seq_of[i] > session_kept(w->s)->fed)
                page.rows[page.count++] = (struct store_row){
                    .seq = seq_of[i], .msg = msgs[i], .qos = 2, .released = w->o.is_released[i]
                };
        session_page(w->s, &page);
    }
}

/* Which message a PUBREL is for: with one id for several, the one that is released. */
static uint8_t released_message(const struct world *w, uint16_t id)
{
    for (uint32_t i = w->s->head; i != w->s->tail; i++) {
        const struct session_entry *e = &w->s->block[i & (w->s->block_room - 1)];
        if (e->state == ENTRY_RELEASED && ID_EXACT_FIRST + e->seq % ID_EXACT_COUNT == id)
            return message_of(e->seq);
    }
    CHECK_TRUE(false);
    return 0;
}

static void send_all(struct world *w)
{
    struct session_send n;
    while (session_next(w->s, &n)) {
        if (n.is_release) {
            uint8_t i = released_message(w, n.id);
            CHECK_TRUE(w->o.is_released[i]); /* durable */
            put(&w->o.to_client, PUBREL, i);
            continue;
        }
        uint8_t i = 0;
        while (n.msg != msgs[i]) i++;
        CHECK_INT(ID_EXACT_FIRST + seq_of[i] % ID_EXACT_COUNT, n.id);
        CHECK_TRUE(!w->o.is_released[i]);
        CHECK_TRUE(n.dup || !w->o.was_sent[i]); /* [MQTT-3.3.1-1] */
        w->o.was_sent[i] = true;
        put(&w->o.to_client, PUBLISH, i);
    }
}

static struct note *new_note(struct world *w)
{
    CHECK_TRUE(w->o.count < COMMANDS_MAX);
    return &w->o.notes[w->o.count++];
}

static void note_ack(struct world *w)
{
    uint64_t cursor, open[MESSAGES];
    if (!w->s->acks_dirty) return;
    struct note *n = new_note(w);
    uint32_t count = session_ack_state(w->s, &cursor, open, MESSAGES);
    n->is_ack = true;
    for (uint8_t i = 0; i < MESSAGES; i++) {
        n->finishes[i] = seq_of[i] <= cursor;
        for (uint32_t k = 0; k < count; k++)
            if (open[k] == seq_of[i]) n->finishes[i] = false;
    }
}

static void note_received(struct world *w)
{
    uint64_t seqs[QOS2_OUT_MAX];
    uint32_t count = session_unrecorded(w->s);
    if (count == 0 && !session_wants_settled(w->s)) return;
    struct note *n = new_note(w);
    n->number = (uint8_t)session_settle_begin(w->s);
    if (count > 0) session_record(w->s, seqs);
    for (uint32_t i = 0; i < count; i++) n->finishes[message_of(seqs[i])] = true;
}

static void end_turn(struct world *w)
{
    note_ack(w);
    note_received(w);
}

/* --- steps */

/* It delivers when the PUBLISH comes, and remembers the id until PUBREL (section 4.3.3, method A). */
static void client_step(struct world *w)
{
    struct outside *o = &w->o;
    struct packet p = take(&o->to_client);
    for (uint8_t i = 0; i < MESSAGES; i++) {
        if (p.kind != PUBREL || !same_id(i, p.message)) continue;
        o->is_held[i] = false;
    }
    if (p.kind == PUBLISH) {
        bool held = false;
        for (uint8_t i = 0; i < MESSAGES; i++) held |= o->is_held[i] && same_id(i, p.message);
        if (!held) {
            o->is_held[p.message] = true;
            o->delivered[p.message]++;
        }
        CHECK_TRUE(!held || o->is_held[p.message]); /* else another one was taken for it */
    }
    CHECK_TRUE(o->delivered[p.message] == 1);
    put(&o->to_server, p.kind == PUBLISH ? PUBREC : PUBCOMP, p.message);
}

static void server_step(struct world *w)
{
    struct packet p = take(&w->o.to_server);
    uint16_t id = (uint16_t)(ID_EXACT_FIRST + seq_of[p.message] % ID_EXACT_COUNT);
    enum qos2_reply reply = p.kind == PUBREC ? session_pubrec(w->s, id, false) : session_pubcomp(w->s, id);
    CHECK_INT(QOS2_TAKEN, reply);
}

static void apply(struct world *w)
{
    const struct note *n = &w->o.notes[w->o.applied++];
    for (uint8_t i = 0; i < MESSAGES; i++) {
        if (!n->finishes[i]) continue;
        if (n->is_ack) w->o.is_stored[i] = w->o.is_released[i] = false;
        if (!n->is_ack && w->o.is_stored[i]) w->o.is_released[i] = true;
    }
}

static void complete(struct world *w)
{
    struct outside *o = &w->o;
    struct note n = o->notes[0];
    memmove(o->notes, o->notes + 1, --o->count * sizeof n);
    memset(&o->notes[o->count], 0, sizeof n);
    o->applied--;
    if (n.is_ack) return; /* lazy: perhaps not durable yet */
    session_settled(w->s, n.number);
    for (uint8_t i = 0; i < MESSAGES; i++)
        if (n.finishes[i]) session_recorded(w->s, seq_of[i]);
}

static void lose_wires(struct world *w)
{
    memset(&w->o.to_client, 0, sizeof w->o.to_client);
    memset(&w->o.to_server, 0, sizeof w->o.to_server);
    w->o.faults_left--;
}

static void cut(struct world *w)
{
    lose_wires(w);
    session_detach(w->s);
    session_attach(w->s, &conn, MESSAGES);
}

static void kill_process(struct world *w)
{
    lose_wires(w);
    memset(w->o.notes, 0, sizeof w->o.notes);
    w->o.applied = w->o.count = 0;
    drop_session(&w->s);
    w->s = new_session();
    session_kept_own(w->s)->resent_upto = seq_of[MESSAGES - 1];
    session_attach(w->s, &conn, MESSAGES);
}

static bool is_possible(const struct world *w, int action)
{
    switch (action) {
    case CLIENT_STEP: return w->o.to_client.count > 0;
    case SERVER_STEP: return w->o.to_server.count > 0;
    case TURN: return w->s->acks_dirty || session_unrecorded(w->s) > 0 || session_wants_settled(w->s);
    case APPLY: return w->o.applied < w->o.count;
    case COMPLETE: return w->o.applied > 0;
    case CUT: return w->o.faults_left > 0;
    default: return w->o.faults_left > 0 && kills;
    }
}

static void take_step(struct world *w, int action)
{
    static void (*const steps[ACTIONS])(struct world *) = { client_step, server_step, end_turn,    apply,
                                                            complete,    cut,         kill_process };
    steps[action](w);
    read_store(w);
    send_all(w);
}

/* --- all states */

static uint64_t mix(uint64_t hash, const void *at, size_t bytes)
{
    const uint8_t *b = at;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ b[i]) * 1099511628211u;
    return hash;
}

static uint64_t fingerprint(const struct world *w)
{
    const struct session *s = w->s;
    const struct session_kept *kept = session_kept(s);
    uint64_t numbers[] = { s->sent - s->head, s->tail - s->head, s->unacked,
                           s->feed,           s->acks_dirty,     kept->fed,
                           kept->finished,    kept->resent_upto, s->last_place };
    uint64_t hash = mix(14695981039346656037u, &w->o, sizeof w->o);
    hash = mix(hash, numbers, sizeof numbers);
    for (uint32_t i = s->head; i != s->tail; i++) {
        const struct session_entry *e = &s->block[i & (s->block_room - 1)];
        uint64_t of_entry[] = { e->seq, e->state, e->place };
        hash = mix(hash, of_entry, sizeof of_entry);
    }
    if (s->exact == NULL) return hash;
    const struct qos2_settling *t = &s->exact->settling;
    uint64_t settling[] = { t->fresh, t->early, t->late, t->early_upto, t->made, t->is_wanted };
    hash = mix(hash, settling, sizeof settling);
    uint16_t counts[] = { s->exact->released, s->exact->recorded, s->exact->received, s->exact->count };
    hash = mix(hash, counts, sizeof counts);
    return mix(hash, s->exact->at, s->exact->count * sizeof s->exact->at[0]);
}

/* False: it has been looked at. */
static bool is_new(const struct world *w)
{
    uint64_t hash = fingerprint(w) | 1;
    uint32_t at = (uint32_t)(hash >> 32) % STATES_MAX;
    while (seen[at] != 0 && seen[at] != hash) at = (at + 1) % STATES_MAX;
    if (seen[at] == hash) return false;
    seen[at] = hash;
    CHECK_TRUE(++states < STATES_MAX / 2);
    return true;
}

static void check_end(const struct world *w)
{
    for (int i = 0; i < MESSAGES; i++) {
        CHECK_INT(1, w->o.delivered[i]);
        CHECK_TRUE(!w->o.is_held[i] && !w->o.is_stored[i]);
    }
    CHECK_TRUE(w->s->head == w->s->tail && w->s->unacked == 0);
}

static void explore(const struct world *w)
{
    bool goes_on = false;
    if (!is_new(w)) return;
    for (int action = 0; action < ACTIONS; action++) {
        if (!is_possible(w, action)) continue;
        goes_on |= action < CUT;
        struct world next = { w->o, clone(w->s) };
        take_step(&next, action);
        explore(&next);
        drop_session(&next.s);
    }
    if (!goes_on) check_end(w);
}

static void explore_all(const uint64_t *seqs, uint8_t faults, bool with_kills)
{
    struct world w = { .o.faults_left = faults, .s = new_session() };
    struct msg_parts parts = { .topic = bytes_of_text("t"), .qos = 2 };
    kills = with_kills;
    states = 0;
    seen = calloc(STATES_MAX, sizeof *seen);
    CHECK_TRUE(seen != NULL);
    for (int i = 0; i < MESSAGES; i++) {
        CHECK_INT(ERR_OK, msg_new(&msgs[i], &parts));
        seq_of[i] = seqs[i];
        w.o.is_stored[i] = true;
    }
    session_attach(w.s, &conn, MESSAGES);
    read_store(&w);
    send_all(&w);
    explore(&w);
    drop_session(&w.s);
    for (int i = 0; i < MESSAGES; i++) msg_unref(&msgs[i]);
    free(seen);
    CHECK_TRUE(states > 400);
}

TEST(messages_are_delivered_once_each_wherever_connections_are_cut)
{
    explore_all((const uint64_t[]){ 1, 2, 3 }, 4, false);
}

TEST(messages_are_delivered_once_each_wherever_the_process_is_killed)
{
    explore_all((const uint64_t[]){ 1, 2, 3 }, 3, true);
}

TEST(messages_of_one_id_are_not_taken_for_each_other_wherever_the_process_is_killed)
{
    explore_all((const uint64_t[]){ 1, 1 + ID_EXACT_COUNT, 1 + 2 * ID_EXACT_COUNT }, 4, true);
}

TEST(one_that_has_another_ones_id_may_stand_behind_others)
{
    explore_all((const uint64_t[]){ 1, 2, 1 + ID_EXACT_COUNT }, 3, true);
}
