/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/wr.h"
#include "contract/trial.h"
#include <stdio.h>

/* Random commands: mostly such as shards submit; of sessions that may be gone, or another node's by now. */

static struct msg *message(struct trial *t, const char *topic, bool retain)
{
    static unsigned made;
    char payload[16];
    struct msg *m;
    snprintf(payload, sizeof payload, "%u", made++);
    struct msg_parts parts = {
        .topic = bytes_of_text(topic), .payload = bytes_of_text(payload), .qos = 1, .retain = retain
    };
    if (retain && draw(t, 4) == 0) parts.payload.len = 0;
    CHECK_INT(ERR_OK, msg_new(&m, &parts));
    return m;
}

/* Any of them; at times one that is not there. */
static uint64_t any_session(struct trial *t)
{
    return 1 + draw(t, MODEL_SESSIONS - 1);
}

static uint64_t any_group(struct trial *t)
{
    return MODEL_GROUP_FIRST + draw(t, MODEL_GROUPS);
}

/* Of the connection that holds the session, as far as we know: another node may have taken it. */
static struct command *of_client(struct trial *t, struct command *c, uint64_t session_no)
{
    c->session_no = session_no;
    c->claim_no = t->claims[session_no];
    return c;
}

/* --- messages */

static void give_message(struct trial *t, struct command *c)
{
    char topic[] = "r0";
    topic[1] = (char)('0' + draw(t, MODEL_NAMES));
    bool retain = draw(t, 4) == 0;
    msg_unref(&c->msg);
    c->msg = message(t, retain ? topic : "t", retain);
}

/* A message for one to three sessions in a row, or a group at the end. */
static struct command *publish(struct trial *t, unsigned from)
{
    uint64_t to[SHARDS + 1] = { 0 }, first = any_session(t), count = 1 + draw(t, SHARDS);
    for (uint64_t i = 0; i < count && first + i < MODEL_SESSIONS; i++) to[i] = first + i;
    if (draw(t, 3) == 0) to[draw(t, 2)] = any_group(t);
    struct command *c = enqueue(to, from);
    give_message(t, c);
    return c;
}

/* With QoS 2: its packet id comes again and again, released or not. */
static struct command *publish_with_id(struct trial *t, unsigned from)
{
    struct command *c = of_client(t, publish(t, from), any_session(t));
    c->in_id = (uint16_t)(1 + draw(t, MODEL_IDS - 1));
    return c;
}

static struct command *publish_later(struct trial *t, unsigned from)
{
    struct command *c = enqueue((const uint64_t[]){ DELAYED_QUEUE, 0 }, from);
    give_message(t, c);
    c->due_ms = 1 + draw(t, 1000);
    if (draw(t, 4) == 0) {
        of_client(t, c, any_session(t));
        c->in_id = (uint16_t)(1 + draw(t, MODEL_IDS - 1));
    }
    return c;
}

static struct command *retained(struct trial *t, uint64_t session_no, unsigned from)
{
    const uint64_t to[] = { session_no, 0 };
    struct command *c = of_client(t, enqueue(to, from), session_no);
    c->kind = COMMAND_RETAINED;
    c->version = 1;
    c->targets[0].retain = true;
    return c;
}

static struct command *will(struct trial *t, uint64_t session_no, unsigned from)
{
    struct command *c = of_client(t, publish(t, from), session_no);
    c->kind = COMMAND_FIRE_WILL;
    return c;
}

/* --- of clients */

struct command *claim_by(struct trial *t, uint64_t session_no, unsigned from)
{
    struct command *c = fenced(COMMAND_CLAIM, session_no, ++t->claim_no);
    c->from_shard = (uint16_t)from;
    c->expiry_s = (uint32_t)draw(t, 1000);
    t->claims[session_no] = t->claim_no;
    if (draw(t, 2) == 0) c->msg = message(t, "will", false);
    return c;
}

static struct command *filter(struct trial *t, enum command_kind kind, unsigned from)
{
    uint8_t data[2 * 5];
    struct wr w = { .at = data, .left = sizeof data };
    unsigned first = (unsigned)draw(t, MODEL_NAMES - 1);
    for (unsigned i = 0; i < 2; i++) {
        char name[] = "f0";
        name[1] = (char)('0' + first + i);
        wr_str(&w, bytes_of_text(name));
        if (kind == COMMAND_SUBSCRIBE) wr_u8(&w, (uint8_t)(1 + 4 * draw(t, 4)));
    }
    struct command_size size = { .data = bytes_of(data, sizeof data - w.left) };
    struct command *c = new_command(kind, &size, from);
    if (kind == COMMAND_SUBSCRIBE && draw(t, 2) == 0) c->sub_id = 1 + (uint32_t)draw(t, 268435455);
    return c;
}

/* Positions that a shard has seen completed, ascending. */
static size_t positions_seen(const struct trial *t, unsigned shard, uint64_t seen[LOG_MAX])
{
    const struct rig *r = t->rig;
    size_t count = 0;
    for (size_t i = 0; i < r->events[shard]; i++) {
        const struct arrival *a = &r->log[shard][i];
        if (a->kind == KIND_DONE && (count == 0 || a->position > seen[count - 1]))
            seen[count++] = a->position;
    }
    return count;
}

/* Up to one of the positions that this shard has seen completed. Where nobody else acknowledges, but one or
 * two of those that have never been finished. */
static struct command *ack(struct trial *t, uint64_t session_no)
{
    unsigned from =
        (unsigned)(session_no % SHARDS); /* a session's acknowledgements are its own shard's, in order */
    uint64_t seen[LOG_MAX] = { 0 };
    size_t count = positions_seen(t, from, seen);
    size_t at = count > 0 ? (size_t)draw(t, count) : 0, most = (size_t)draw(t, 3), open = 0;
    if (!backlog_is_limited(&t->limits)) most = 0;
    while (open < most && open < at && seen[at - open - 1] > t->acked[session_no]) open++;
    struct command_size size = { .open = (uint32_t)open };
    struct command *c = of_client(t, new_command(COMMAND_ACK, &size, from), session_no);
    c->ack.cursor = seen[at];
    for (size_t i = 0; i < open; i++) c->ack.open[i] = seen[at - open + i];
    if (seen[at] > t->acked[session_no]) t->acked[session_no] = seen[at];
    return c;
}

/* Of whatever has been completed: it is in the queue of the session, or not, or not any more. */
static struct command *received(struct trial *t, unsigned from)
{
    uint64_t seen[LOG_MAX] = { 0 };
    size_t count = positions_seen(t, (unsigned)draw(t, SHARDS), seen), most = 1 + (size_t)draw(t, 8);
    struct command_size size = { .open = (uint32_t)(most < count ? most : count) };
    struct command *c = new_command(COMMAND_RECEIVED, &size, from);
    for (uint32_t i = 0; i < size.open; i++) c->ack.open[i] = seen[count - size.open + i];
    return c;
}

static struct command *plain(struct trial *t, enum command_kind kind, unsigned from)
{
    const uint64_t *at = &t->rig->log[from][t->rig->events[from] > 0 ? t->rig->events[from] - 1 : 0].position;
    struct command *c = new_command(kind, &(struct command_size){ 0 }, from);
    c->expiry_s = (uint32_t)draw(t, 1000);
    c->sent = *at;
    c->keeps_will = draw(t, 2) == 0;
    if (kind == COMMAND_RELEASE) c->in_id = (uint16_t)(1 + draw(t, MODEL_IDS - 1));
    return c;
}

/* --- of a queue's reader */

static unsigned reader_of(unsigned which)
{
    return which % SHARDS;
}

struct command *group_by(unsigned which)
{
    uint64_t number = model_number(MODEL_SESSIONS + which);
    struct command_size size = { .data = bytes_of(&number, sizeof number) };
    struct command *c = new_command(COMMAND_GROUP, &size, reader_of(which));
    c->session_no = number;
    return c;
}

static void forget(struct owned *o, uint32_t i)
{
    CHECK_TRUE(o->gone_count < GONE_MAX);
    o->gone[o->gone_count++] = o->known[i].seq;
    msg_unref(&o->known[i].msg);
    for (o->known_count--; i < o->known_count; i++) o->known[i] = o->known[i + 1];
}

/* One entry, to nobody or to one or two sessions. */
static struct command *move(struct trial *t, unsigned which)
{
    struct owned *o = &t->owned[which];
    uint64_t to[3] = { 0 }, count = draw(t, 3);
    for (uint64_t i = 0; i < count; i++) to[i] = i == 0 ? any_session(t) : to[0] % (MODEL_SESSIONS - 1) + 1;
    struct command *c = enqueue(to, reader_of(which));
    uint32_t i = (uint32_t)draw(t, o->known_count);
    c->kind = COMMAND_MOVE;
    c->session_no = model_number(MODEL_SESSIONS + which);
    c->version = o->known[i].seq;
    msg_unref(&c->msg);
    c->msg = msg_ref(o->known[i].msg);
    c->retains = c->session_no == DELAYED_QUEUE && c->msg->retain;
    forget(o, i);
    return c;
}

/* All that it knows up to one of them, but some. */
static struct command *ack_of_group(struct trial *t, unsigned which)
{
    struct owned *o = &t->owned[which];
    uint64_t open[PAGE_LIMIT_MAX];
    struct command_size size = { 0 };
    uint32_t upto = (uint32_t)draw(t, o->known_count);
    uint64_t cursor = o->known[upto].seq;
    for (uint32_t i = 0; i < o->known_count && o->known[i].seq <= cursor;) {
        if (draw(t, 2) == 0)
            open[size.open++] = o->known[i++].seq;
        else
            forget(o, i);
    }
    struct command *c = new_command(COMMAND_ACK, &size, reader_of(which));
    c->session_no = model_number(MODEL_SESSIONS + which);
    c->ack.cursor = cursor;
    for (uint32_t i = 0; i < size.open; i++) c->ack.open[i] = open[i];
    return c;
}

/* What pages say of the queue is of the next one only when the end has come. */
static void end_group(struct trial *t, unsigned which)
{
    struct owned *o = &t->owned[which];
    struct command *c = new_command(COMMAND_END_SESSION, &(struct command_size){ 0 }, reader_of(which));
    c->session_no = model_number(MODEL_SESSIONS + which);
    put(t, c);
    wait_until_all_is_done(t);
    o->life++;
    while (o->known_count > 0) forget(o, 0);
    o->gone_count = 0;
}

/* False: it has nothing to do. */
static bool put_of_reader(struct trial *t)
{
    unsigned which = (unsigned)draw(t, OWNED);
    bool is_group = which < MODEL_GROUPS, ends = is_group && !backlog_is_limited(&t->limits);
    uint64_t roll = draw(t, 100);
    if (is_group && roll < 10) {
        put(t, group_by(which));
        return true;
    }
    if (ends && roll < 12) {
        end_group(t, which);
        return true;
    }
    if (t->owned[which].known_count == 0) return false;
    put(t, is_group && roll < 30 ? ack_of_group(t, which) : move(t, which));
    return true;
}

/* --- any of them */

static struct command *any_message(struct trial *t, unsigned from)
{
    uint64_t roll = draw(t, 10);
    if (roll < 3) return publish_with_id(t, from);
    return roll < 5 ? publish_later(t, from) : publish(t, from);
}

static struct command *any_command(struct trial *t, unsigned from)
{
    uint64_t roll = draw(t, 100), no = any_session(t);
    bool is_limited = backlog_is_limited(&t->limits);
    if (roll < 10) return claim_by(t, no, from);
    if (roll < 46) return any_message(t, from);
    if (roll < 58) return ack(t, no);
    if (roll < 63) return of_client(t, received(t, from), no);
    if (roll < 69) return of_client(t, plain(t, COMMAND_RELEASE, from), no);
    if (roll < 75) return of_client(t, filter(t, COMMAND_SUBSCRIBE, from), no);
    if (roll < 79) return of_client(t, filter(t, COMMAND_UNSUBSCRIBE, from), no);
    if (roll < 82 && !is_limited) return retained(t, no, from);
    if (roll < 86) return will(t, no, from);
    if (roll < 91) return of_client(t, plain(t, COMMAND_OFFLINE, from), no);
    if (roll < 94) return of_client(t, plain(t, COMMAND_EXPIRY, from), no);
    if (roll < 97 || is_limited) return plain(t, COMMAND_FENCE, from);
    return of_client(t, plain(t, COMMAND_END_SESSION, from), no);
}

void put(struct trial *t, struct command *c)
{
    unsigned from = c->from_shard;
    struct sent *s = &t->sent[from][t->sent_count[from]];
    CHECK_TRUE(t->sent_count[from] < LOG_MAX);
    *s = (struct sent){ c->kind, c->session_no, c->claim_no, c->seats_count };
    c->ticket = t->sent_count[from]++;
    command_put(&t->boxes[from], c);
}

void put_any(struct trial *t)
{
    if (draw(t, 5) == 0 && put_of_reader(t)) return;
    put(t, any_command(t, (unsigned)draw(t, SHARDS)));
}

void hand_over(struct trial *t, unsigned shard)
{
    journal_submit(&t->rig->journal, &t->boxes[shard]);
}
