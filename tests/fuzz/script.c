/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/script.h"
#include "base/check.h"
#include "fuzz/asks.h"
#include "fuzz/client.h"
#include "fuzz/packets.h"
#include "fuzz/shard_rig.h"
#include <stdbool.h>
#include <string.h>

enum { NO_LINK = -1, REPEATS_MAX = 40, EDITS_MAX = 4 };

/* One byte of a packet that is to be changed. */
struct edit {
    uint16_t at;
    uint8_t how, value;
};

/* One of the script's clients: the connection that it has now, and what is to happen to its next packet. */
struct player {
    int link;
    struct edit edits[EDITS_MAX];
    unsigned edits_count;
    uint16_t split; /* 0: whole */
    size_t rest_bytes;
    uint8_t rest[PACKET_ROOM]; /* the second part */
    size_t last_bytes;         /* its last PUBLISH */
    uint8_t last[PACKET_ROOM];
};

static struct player players[SCRIPT_CLIENTS];
static unsigned repeats;

/* A byte keeps its meaning when there come to be more kinds: they take the place of what stands twice. */
enum step_kind script_kind(uint8_t first)
{
    static const uint8_t kinds[] = {
        STEP_CONNECT,    STEP_PUBLISH,   STEP_SUBSCRIBE, STEP_ACK,     STEP_PUBLISH,   STEP_UNSUBSCRIBE,
        STEP_DISCONNECT, STEP_PING,      STEP_AUTH,      STEP_LEAVE,   STEP_CLOCK,     STEP_TURN,
        STEP_JOURNAL,    STEP_ROOM,      STEP_MUTATE,    STEP_RAW,     STEP_SPLIT,     STEP_REPEAT,
        STEP_ACKS_ALL,   STEP_RESEND,    STEP_CONNECT,   STEP_PUBLISH, STEP_SUBSCRIBE, STEP_ACK,
        STEP_PUBLISH,    STEP_ASKS,      STEP_ASKS,      STEP_JOURNAL, STEP_ACK,       STEP_LEAVE,
        STEP_ACKS_ALL,   STEP_SUBSCRIBE,
    };
    return kinds[first % (sizeof kinds)];
}

/* --- packets on their way out */

static void edit(uint8_t *packet, size_t *size, const struct edit *e)
{
    enum { XOR, SET, ADD, INSERT, REMOVE, CUT, HOWS };
    if (*size == 0) return;
    size_t at = e->at % *size;
    switch (e->how % HOWS) {
    case XOR: packet[at] ^= e->value; break;
    case SET: packet[at] = e->value; break;
    case ADD: packet[at] = (uint8_t)(packet[at] + (int8_t)e->value); break;
    case INSERT:
        if (*size == PACKET_ROOM) break;
        memmove(packet + at + 1, packet + at, *size - at);
        packet[at] = e->value;
        ++*size;
        break;
    case REMOVE:
        memmove(packet + at, packet + at + 1, *size - at - 1);
        --*size;
        break;
    default: *size = at; break;
    }
}

static void send_rest(struct player *p)
{
    if (p->rest_bytes == 0) return;
    if (p->link != NO_LINK) client_send((unsigned)p->link, bytes_of(p->rest, p->rest_bytes));
    p->rest_bytes = 0;
}

static void send_packet(struct player *p, uint8_t *packet, const struct wr *w)
{
    size_t size = (size_t)(w->at - packet);
    CHECK(!w->bad);
    for (unsigned i = 0; i < p->edits_count; i++) edit(packet, &size, &p->edits[i]);
    p->edits_count = 0;
    send_rest(p);
    size_t now = p->split > 0 && p->split < size ? p->split : size;
    p->split = 0;
    size_t waits = rig_unread((unsigned)p->link) + client_of((unsigned)p->link)->sent_bytes;
    if (waits + size > LINK_IN_BYTES / 2) return; /* the other half is for acknowledgements */
    if (!client_send((unsigned)p->link, bytes_of(packet, now))) return;
    p->rest_bytes = size - now;
    memcpy(p->rest, packet + now, p->rest_bytes);
}

/* --- steps */

static void connect_again(struct player *p, uint8_t how)
{
    enum { SAME_CONNECTION = 0x80 };
    bool is_there = p->link != NO_LINK && rig_is_open((unsigned)p->link);
    if (is_there && (how & SAME_CONNECTION) != 0) return;
    if (p->link != NO_LINK && client_of((unsigned)p->link)->is_used) client_leave((unsigned)p->link, false);
    p->link = rig_open(how & 1);
    p->rest_bytes = 0;
    if (p->link != NO_LINK) client_begin((unsigned)p->link);
}

static void step_packet(struct player *p, enum step_kind kind, const uint8_t *choice)
{
    static uint8_t packet[PACKET_ROOM];
    struct wr w = { .at = packet, .left = sizeof packet };
    if (p->link == NO_LINK || !rig_is_open((unsigned)p->link)) return;
    struct client *c = client_of((unsigned)p->link);
    if (c->version == 0) c->version = MQTT_V5; /* no CONNECT yet */
    switch (kind) {
    case STEP_CONNECT: packet_connect(&w, choice); break;
    case STEP_PUBLISH: packet_publish(&w, c, choice); break;
    case STEP_SUBSCRIBE: packet_subscribe(&w, c, choice); break;
    case STEP_UNSUBSCRIBE: packet_unsubscribe(&w, c, choice); break;
    case STEP_ACK: packet_ack(&w, c, choice); break;
    case STEP_DISCONNECT: packet_end(&w, c, PACKET_DISCONNECT, choice); break;
    case STEP_AUTH: packet_end(&w, c, PACKET_AUTH, choice); break;
    case STEP_RESEND:
        wr_bytes(&w, bytes_of(p->last, p->last_bytes));
        if (p->last_bytes > 0 && (p->last[0] & 6) != 0) packet[0] |= 8; /* DUP, unless QoS 0 */
        break;
    case STEP_PING: ping_encode(&w, PACKET_PINGREQ); break;
    default: wr_bytes(&w, bytes_of(choice + 1, choice[0] % 6)); break; /* STEP_RAW */
    }
    if (kind == STEP_PUBLISH) {
        p->last_bytes = (size_t)(w.at - packet);
        memcpy(p->last, packet, p->last_bytes);
    }
    send_packet(p, packet, &w);
}

static void step_ack(struct player *p, const uint8_t *choice)
{
    enum { AS_IT_SHOULD = 0x40 };
    if (p->link == NO_LINK || !client_of((unsigned)p->link)->is_used) return;
    if ((choice[1] & AS_IT_SHOULD) == 0)
        client_acknowledge((unsigned)p->link, choice[0]);
    else
        step_packet(p, STEP_ACK, choice);
}

static void step_clock(const uint8_t *choice)
{
    static const uint32_t ms[] = { 1,     16,    100,   999,   1000,  1500,   2000,    5000,
                                   10000, 16000, 31000, 61000, 90000, 600000, 1000000, 3600000 };
    rig_advance(ms[choice[0] & 15]);
    clients_clock();
}

static void step_edit(struct player *p, const uint8_t *choice)
{
    if (p->edits_count == EDITS_MAX) return;
    p->edits[p->edits_count++] =
        (struct edit){ (uint16_t)(choice[0] | (choice[1] & 3) << 8), choice[2], choice[3] };
}

static void step_journal(const uint8_t *choice)
{
    if (choice[0] == 0) {
        rig_journal_hold(true);
        return;
    }
    rig_journal_release(choice[0]);
    if (choice[0] == 0xff) rig_journal_hold(false);
}

static void step(struct player *p, enum step_kind kind, const uint8_t *choice)
{
    int link = p->link;
    switch (kind) {
    case STEP_CONNECT:
        connect_again(p, choice[0] >> 3 | (choice[1] & 0x80));
        step_packet(p, kind, choice);
        break;
    case STEP_ACK: step_ack(p, choice); break;
    case STEP_LEAVE:
        if (link != NO_LINK && rig_is_open((unsigned)link)) client_leave((unsigned)link, choice[0] & 1);
        break;
    case STEP_CLOCK: step_clock(choice); break;
    case STEP_TURN:
        for (unsigned i = choice[0] & 7; i > 0; i--) rig_turn(i + choice[1]);
        break;
    case STEP_JOURNAL: step_journal(choice); break;
    case STEP_ROOM:
        if (link != NO_LINK)
            rig_room((unsigned)link, choice[0] == 0xff ? LINK_ALL_ROOM : choice[0] * (choice[1] + 1));
        break;
    case STEP_MUTATE: step_edit(p, choice); break;
    case STEP_SPLIT: p->split = choice[0]; break;
    case STEP_ASKS: asks_step(choice); break;
    case STEP_REPEAT: repeats = choice[0] % REPEATS_MAX; break;
    case STEP_ACKS_ALL:
        if (link != NO_LINK && client_of((unsigned)link)->is_used) client_acks_all((unsigned)link);
        break;
    default: step_packet(p, kind, choice); break;
    }
}

/* What is turned after a step: mostly all, for what comes later needs an answer first. */
static void turns_after(uint8_t how)
{
    enum { ALL, NONE, FIRST, SECOND };
    switch (how & 3) {
    case NONE: return;
    case FIRST: rig_turn(0); return;
    case SECOND: rig_turn(1); return;
    default: rig_turn_all();
    }
}

static void run_step(const uint8_t *at)
{
    struct player *p = &players[(at[1] & 7) % SCRIPT_CLIENTS];
    enum step_kind kind = script_kind(at[0]);
    unsigned times = 1 + repeats;
    repeats = 0;
    if (kind != STEP_SPLIT && kind != STEP_MUTATE && kind != STEP_REPEAT && p->split == 0) send_rest(p);
    for (unsigned i = 0; i < times; i++) step(p, kind, at + 2);
    turns_after(at[1] >> 4);
}

/* --- the whole */

static void choose_options(struct config *c, void *ctx)
{
    const uint8_t *choice = ctx;
    static const uint32_t inflight[] = { 20, 1, 2, 0 }, queued[] = { 0, 0, 0, 1, 2, 5, 10, 30 };
    c->default_listener.security.allow_anonymous = (choice[1] & 0x3f) != 0x3f;
    c->max_inflight_messages = inflight[choice[0] >> 1 & 3];
    c->max_queued_messages = queued[choice[0] >> 3 & 7];
    c->max_queued_policy = (choice[0] >> 6) % 3;
    c->retain_available = (choice[1] & 0xc0) != 0xc0;
    c->max_delayed_messages = 4; /* there is a block for all that are permitted */
    if ((choice[4] & 3) == 1) c->receive_maximum = 1 + (choice[4] >> 2);
    c->sys_interval = choice[4] == 0x5a && choice[5] == 0xa5 ? 10 : 0; /* seldom: it is slow */
    if ((choice[2] & 0x0f) == 0x0f) c->max_packet_size = 64;
    if ((choice[2] & 0xf0) == 0xf0) c->max_keepalive = 20;
    if ((choice[3] & 0x0f) == 0x0f) c->message_size_limit = 100;
    if ((choice[3] & 0xf0) == 0xf0) c->duplicate_window = 0;
    c->acl_cache_seconds = asks_cache_s(choice[7]);
}

/* At rest, with all that the script held back let go, everybody must have got what was due. */
static void rest(void)
{
    for (unsigned i = 0; i < SCRIPT_CLIENTS; i++) send_rest(&players[i]);
    for (unsigned i = 0; i < RIG_LINKS; i++) {
        if (!client_of(i)->is_used) continue;
        rig_room(i, LINK_ALL_ROOM);
        client_acks_all(i);
    }
    rig_settle();
    asks_rest();
    clients_check_rest();
}

void script_run(const uint8_t *data, size_t size)
{
    uint8_t options[STEP_BYTES] = { 0 };
    size_t used = size < STEP_BYTES ? size : STEP_BYTES;
    if (used > 0) memcpy(options, data, used);
    struct rig_conf conf = {
        .shards = 1 + (options[0] & 1),
        .ears = { client_got, client_ended, client_closed },
        .options = choose_options,
        .ctx = options,
        .hooks = asks_begin(options[7]),
    };
    packets_begin();
    clients_begin();
    rig_begin(&conf);
    repeats = 0;
    for (unsigned i = 0; i < SCRIPT_CLIENTS; i++) {
        players[i].link = NO_LINK;
        players[i].edits_count = 0;
        players[i].split = 0;
        players[i].rest_bytes = players[i].last_bytes = 0;
    }
    unsigned steps = 0;
    for (size_t at = STEP_BYTES; at + STEP_BYTES <= size && steps < SCRIPT_STEPS_MAX;
         at += STEP_BYTES, steps++)
        run_step(data + at);
    rest();
    for (unsigned i = 0; i < RIG_LINKS; i++) client_of(i)->has_gone = true;
    asks_end();
    rig_end();
}
