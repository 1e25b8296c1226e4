/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "sim/zab_world.h"
#include <stdlib.h>

enum { NOTICE_US_MAX = 1500000, KEEPALIVE_US = 3000000, NOTE_LATE_US_MAX = 1000000 };

/* --- messages */

static int32_t msg_new(struct net *net)
{
    int32_t at = net->free_msg;
    if (at != NO_MSG) {
        net->free_msg = net->msgs[at]->next;
        return at;
    }
    net->msgs = array_grow(net->msgs, net->msgs_count, &net->msgs_cap, sizeof *net->msgs);
    struct msg *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    net->msgs[net->msgs_count] = m;
    return (int32_t)net->msgs_count++;
}

static void msg_free(struct net *net, int32_t at)
{
    net->msgs[at]->next = net->free_msg;
    net->free_msg = at;
}

/* All that the frame points to, too. */
static void msg_copy(struct msg *m, const struct zab_frame *f)
{
    m->frame = *f;
    m->bytes.len = 0;
    switch (f->type) {
    case ZAB_PROPOSAL:
        blob_put(&m->bytes, f->proposal.entry.payload.at, (uint32_t)f->proposal.entry.payload.len);
        m->frame.proposal.entry.payload = bytes_of(m->bytes.at, m->bytes.len);
        break;
    case ZAB_ACKEPOCH:
        blob_put(&m->bytes, f->ack_epoch.ends, f->ack_epoch.ends_count * (uint32_t)sizeof *f->ack_epoch.ends);
        m->frame.ack_epoch.ends = (const struct zab_end *)(const void *)m->bytes.at;
        break;
    case ZAB_SNAP_BEGIN:
        m->scratch.members = *f->snap.members;
        m->frame.snap.members = &m->scratch.members;
        break;
    case ZAB_SNAP_CHUNK:
    case ZAB_SNAP_END:
        blob_put(&m->bytes, f->chunk.data.at, (uint32_t)f->chunk.data.len);
        m->frame.chunk.data = bytes_of(m->bytes.at, m->bytes.len);
        break;
    default: break;
    }
}

/* The same, by way of its bytes. */
static void msg_code(struct world *w, struct msg *m, const struct zab_frame *f)
{
    static struct wire_out out;
    m->bytes.len = 0;
    if (wire_frame_encode(&out, f) != ERR_OK) {
        world_violate(w, "wire", "a frame of type %u cannot be encoded", f->type);
        return;
    }
    blob_put(&m->bytes, out.at, out.len);
    blob_put(&m->bytes, out.payload.at, (uint32_t)out.payload.len);
    enum wire_rc rc = wire_frame_decode(bytes_of(m->bytes.at, m->bytes.len), &m->frame, &m->scratch);
    if (rc != WIRE_OK) world_violate(w, "wire", "a frame of type %u: %s", f->type, wire_rc_text(rc));
}

static void note_code(struct world *w, struct zab_note *note)
{
    uint8_t bytes[WIRE_NOTE_BYTES];
    if (wire_note_encode(bytes, note) != ERR_OK ||
        wire_note_decode(bytes_of(bytes, sizeof bytes), note) != WIRE_OK)
        world_violate(w, "wire", "a note of state %u for %u", note->state, note->leader);
}

/* --- sessions */

static void lane_drop(struct net *net, struct lane *lane)
{
    while (lane->head != NO_MSG) {
        int32_t next = net->msgs[lane->head]->next;
        msg_free(net, lane->head);
        lane->head = next;
    }
    lane->tail = NO_MSG;
}

static int conn_side(const struct conn *c, const struct node *n)
{
    return c->node[1] == n->index ? 1 : 0;
}

static void lane_arm(struct world *w, uint32_t at, int lane)
{
    struct conn *c = &w->net.conns[at];
    struct lane *l = &c->lanes[lane];
    const struct node *to = &w->nodes[c->node[1 - lane]];
    bool is_held = to->paused > 0 || c->session[1 - lane] == 0 || w->net.cuts[c->node[lane]][to->index] > 0;
    if (l->is_armed || l->head == NO_MSG || is_held) return;
    uint64_t due = w->net.msgs[l->head]->due_us;
    if (due < l->clog_until_us) due = l->clog_until_us;
    l->is_armed = true;
    world_at(
        w, due,
        (struct happening){
            .kind = ON_DELIVER, .arg = c->gen, .x = (uint16_t)(at * 2 + (uint32_t)lane), .node = to->index });
}

static void lane_put(struct world *w, uint32_t at, int lane, int32_t msg)
{
    struct net *net = &w->net;
    struct lane *l = &net->conns[at].lanes[lane];
    uint64_t due = w->now_us + dice_latency(&w->net_dice, w->k.net_us);
    if (due < l->last_due_us) due = l->last_due_us;
    l->last_due_us = due;
    net->msgs[msg]->due_us = due;
    net->msgs[msg]->next = NO_MSG;
    if (l->tail == NO_MSG) {
        l->head = msg;
    } else {
        net->msgs[l->tail]->next = msg;
    }
    l->tail = msg;
    lane_arm(w, at, lane);
}

static void dial_soon(struct world *w, uint32_t a, uint32_t b, uint64_t after_us)
{
    uint32_t high = a > b ? a : b, low = a > b ? b : a;
    if (w->net.is_dialing[high][low]) return;
    w->net.is_dialing[high][low] = true;
    world_at(w, w->now_us + after_us,
             (struct happening){ .kind = ON_DIAL, .node = (uint8_t)high, .x = (uint16_t)low });
}

static void notice_late(struct world *w, uint32_t at, int side, uint64_t late_us)
{
    const struct conn *c = &w->net.conns[at];
    world_at(w, w->now_us + late_us,
             (struct happening){ .kind = ON_CONN_GONE,
                                 .arg = c->gen,
                                 .node = c->node[side],
                                 .x = (uint16_t)(at * 2 + (uint32_t)side) });
}

/* One side is through with it. What is under way to that side is lost. */
static void conn_leave(struct world *w, uint32_t at, int side)
{
    struct conn *c = &w->net.conns[at];
    uint32_t n = c->node[side], peer = c->node[1 - side];
    c->is_open[side] = false;
    if (w->net.current[n][peer] == (int32_t)at) w->net.current[n][peer] = NO_CONN;
    lane_drop(&w->net, &c->lanes[1 - side]);
    if (!c->is_open[1 - side]) {
        lane_drop(&w->net, &c->lanes[side]);
        c->is_used = false;
        c->gen++;
    } else {
        notice_late(w, at, 1 - side, KEEPALIVE_US); /* whatever is lost, the system finds out */
    }
    if (w->nodes[n].is_up) dial_soon(w, n, peer, dice_latency(&w->net_dice, w->k.net_us * 3));
}

/* The last in the stream. */
static void conn_fin(struct world *w, uint32_t at, int side)
{
    int32_t msg = msg_new(&w->net);
    w->net.msgs[msg]->frame = (struct zab_frame){ .type = 0 };
    lane_put(w, at, side, msg);
}

/* As conn_leave, and the core is told. */
static void conn_lost(struct world *w, uint32_t at, int side)
{
    struct conn *c = &w->net.conns[at];
    struct node *n = &w->nodes[c->node[side]];
    struct zab_event event = { .kind = ZAB_LINK };
    event.link.peer = w->nodes[c->node[1 - side]].id;
    event.link.session = c->session[side];
    world_trace(w, n, "session %llu with %u is lost", (unsigned long long)event.link.session,
                event.link.peer);
    conn_leave(w, at, side);
    node_step(w, n, &event);
}

static int32_t conn_of(const struct world *w, const struct node *n, uint16_t peer, uint64_t session)
{
    if (peer < 1 || peer > w->k.nodes) return NO_CONN;
    int32_t at = w->net.current[n->index][peer - 1];
    if (at == NO_CONN) return NO_CONN;
    const struct conn *c = &w->net.conns[at];
    return c->session[conn_side(c, n)] == session ? at : NO_CONN;
}

bool net_has_session(const struct world *w, const struct node *n, uint16_t peer, uint64_t session)
{
    return conn_of(w, n, peer, session) != NO_CONN;
}

void net_send(struct world *w, struct node *n, uint16_t peer, uint64_t session, const struct zab_frame *frame)
{
    int32_t at = conn_of(w, n, peer, session);
    if (at == NO_CONN) return;
    struct conn *c = &w->net.conns[at];
    int side = conn_side(c, n);
    w->counts.frames++;
    if (!c->is_open[1 - side]) return;
    int32_t msg = msg_new(&w->net);
    if (w->k.codec != 0) {
        msg_code(w, w->net.msgs[msg], frame);
        if (w->is_failed) return;
    } else {
        msg_copy(w->net.msgs[msg], frame);
    }
    lane_put(w, (uint32_t)at, side, msg);
}

void net_close(struct world *w, struct node *n, uint16_t peer, uint64_t session)
{
    int32_t at = conn_of(w, n, peer, session);
    if (at == NO_CONN) return;
    int side = conn_side(&w->net.conns[at], n);
    if (w->net.conns[at].is_open[1 - side]) conn_fin(w, (uint32_t)at, side);
    conn_leave(w, (uint32_t)at, side);
}

void net_node_down(struct world *w, struct node *n, bool is_silent)
{
    for (uint32_t i = 0; i < w->net.conns_count; i++) {
        struct conn *c = &w->net.conns[i];
        int side = conn_side(c, n);
        if (!c->is_used || c->node[side] != n->index) continue;
        bool other = c->is_open[1 - side];
        if (!c->is_open[side]) continue;
        if (is_silent && other) {
            lane_drop(&w->net, &c->lanes[side]);
            notice_late(w, i, 1 - side, dice_between(&w->net_dice, 1000, NOTICE_US_MAX));
        } else if (other) {
            conn_fin(w, i, side);
        }
        conn_leave(w, i, side);
    }
}

void net_node_up(struct world *w, struct node *n)
{
    for (uint32_t i = 0; i < w->k.nodes; i++)
        if (i != n->index) dial_soon(w, n->index, i, dice_latency(&w->net_dice, w->k.net_us * 3));
}

void net_wake(struct world *w, struct node *n)
{
    for (uint32_t i = 0; i < w->net.conns_count; i++) {
        struct conn *c = &w->net.conns[i];
        if (c->is_used && c->node[0] == n->index) lane_arm(w, i, 1);
        if (c->is_used && c->node[1] == n->index) lane_arm(w, i, 0);
    }
}

void net_reset_pair(struct world *w, struct node *a, struct node *b, uint64_t late_us)
{
    int32_t at = w->net.current[a->index][b->index];
    if (at == NO_CONN || !a->is_up || a->paused > 0) return;
    struct conn *c = &w->net.conns[at];
    int side = conn_side(c, a);
    lane_drop(&w->net, &c->lanes[side]);
    if (c->is_open[1 - side]) notice_late(w, (uint32_t)at, 1 - side, late_us);
    conn_lost(w, (uint32_t)at, side);
}

void net_clog(struct world *w, struct node *from, struct node *to, uint64_t until_us)
{
    int32_t at = w->net.current[from->index][to->index];
    if (at == NO_CONN) return;
    struct conn *c = &w->net.conns[at];
    c->lanes[conn_side(c, from)].clog_until_us = until_us;
}

void net_cut(struct world *w, uint32_t from, uint32_t to, int by)
{
    uint32_t *cuts = &w->net.cuts[from][to];
    if (by < 0 && *cuts == 0) return;
    *cuts = by < 0 ? *cuts - 1 : *cuts + 1;
    if (*cuts > 0) return;
    net_wake(w, &w->nodes[to]);
}

/* --- what happens */

static int32_t conn_new(struct world *w)
{
    struct net *net = &w->net;
    for (uint32_t i = 0; i < net->conns_count; i++)
        if (!net->conns[i].is_used) return (int32_t)i;
    if (net->conns_count == CONNS_MAX) return NO_CONN;
    net->conns[net->conns_count].gen = 1;
    return (int32_t)net->conns_count++;
}

static void on_dial(struct world *w, const struct happening *h)
{
    struct net *net = &w->net;
    struct node *high = &w->nodes[h->node], *low = &w->nodes[h->x];
    net->is_dialing[h->node][h->x] = false;
    if (!high->is_up || net->current[h->node][h->x] != NO_CONN) return;
    bool can =
        low->is_up && high->paused == 0 && net->cuts[h->node][h->x] == 0 && net->cuts[h->x][h->node] == 0;
    int32_t at = can ? conn_new(w) : NO_CONN;
    if (at == NO_CONN) {
        dial_soon(w, h->node, h->x, dice_between(&w->net_dice, 5000, 60000));
        return;
    }
    struct conn *c = &net->conns[at];
    uint64_t up_low = w->now_us + dice_latency(&w->net_dice, w->k.net_us);
    uint64_t up_high = up_low + dice_latency(&w->net_dice, w->k.net_us);
    *c = (struct conn){
        .gen = c->gen, .no = ++net->conns_made, .is_used = true, .node = { (uint8_t)h->x, h->node }
    };
    c->is_open[0] = c->is_open[1] = true;
    for (int i = 0; i < 2; i++) c->lanes[i] = (struct lane){ .head = NO_MSG, .tail = NO_MSG };
    c->lanes[0].last_due_us = up_high;
    c->lanes[1].last_due_us = up_low;
    net->current[h->node][h->x] = at;
    struct happening up = {
        .kind = ON_CONN_UP, .arg = c->gen, .node = (uint8_t)h->x, .x = (uint16_t)(at * 2)
    };
    world_at(w, up_low, up);
    up.node = h->node;
    up.x++;
    world_at(w, up_high, up);
}

static void on_conn_up(struct world *w, const struct happening *h)
{
    uint32_t at = h->x / 2, side = h->x & 1;
    struct conn *c = &w->net.conns[at];
    if (c->gen != h->arg || !c->is_open[side]) return;
    struct node *n = &w->nodes[c->node[side]];
    const struct node *peer = &w->nodes[c->node[1 - side]];
    if (n->is_up && n->paused > 0) {
        world_at(w, n->resume_at_us, *h);
        return;
    }
    if (!n->is_up) {
        conn_leave(w, at, (int)side);
        return;
    }
    int32_t old = w->net.current[n->index][peer->index];
    if (old != NO_CONN && old != (int32_t)at) {
        struct conn *other = &w->net.conns[old];
        int old_side = conn_side(other, n);
        bool is_late = other->no > c->no; /* this process stood still while it was dialled twice */
        if (is_late && c->is_open[1 - side]) conn_fin(w, at, (int)side);
        if (is_late) {
            conn_leave(w, at, (int)side);
            return;
        }
        if (other->is_open[1 - old_side]) conn_fin(w, (uint32_t)old, old_side);
        conn_lost(w, (uint32_t)old, old_side);
    }
    if (!n->is_up) return;
    w->net.current[n->index][peer->index] = (int32_t)at;
    c->session[side] = ++n->sessions;
    struct zab_event event = { .kind = ZAB_LINK };
    event.link.peer = peer->id;
    event.link.session = c->session[side];
    event.link.is_up = true;
    world_trace(w, n, "session %llu with %u is up (%u)", (unsigned long long)c->session[side], peer->id, at);
    node_step(w, n, &event);
    if (c->gen == h->arg) lane_arm(w, at, 1 - (int)side);
}

static void on_deliver(struct world *w, const struct happening *h)
{
    uint32_t at = h->x / 2, lane = h->x & 1;
    struct conn *c = &w->net.conns[at];
    struct lane *l = &c->lanes[lane];
    if (c->gen != h->arg) return;
    l->is_armed = false;
    struct node *to = &w->nodes[c->node[1 - lane]];
    const struct node *from = &w->nodes[c->node[lane]];
    bool is_held = to->paused > 0 || w->net.cuts[from->index][to->index] > 0 || l->head == NO_MSG;
    if (is_held || w->now_us < l->clog_until_us || w->now_us < w->net.msgs[l->head]->due_us) {
        lane_arm(w, at, (int)lane);
        return;
    }
    int32_t msg = l->head;
    struct msg *m = w->net.msgs[msg];
    l->head = m->next;
    if (l->head == NO_MSG) l->tail = NO_MSG;
    lane_arm(w, at, (int)lane);
    if (!c->is_open[1 - lane]) {
        msg_free(&w->net, msg);
        return;
    }
    if (m->frame.type == 0) {
        conn_lost(w, at, 1 - (int)lane);
    } else {
        struct zab_event event = { .kind = ZAB_FRAME };
        event.frame.peer = from->id;
        event.frame.session = c->session[1 - lane];
        event.frame.frame = &m->frame;
        world_hash(w, m->frame.type ^ m->frame.zxid);
        node_step(w, to, &event);
    }
    msg_free(&w->net, msg);
}

static void on_conn_gone(struct world *w, const struct happening *h)
{
    uint32_t at = h->x / 2, side = h->x & 1;
    const struct conn *c = &w->net.conns[at];
    if (c->gen != h->arg || !c->is_open[side]) return;
    if (w->nodes[c->node[side]].paused > 0) {
        notice_late(w, at, (int)side, 10000);
        return;
    }
    conn_lost(w, at, (int)side);
}

/* --- notes */

void net_tell(struct world *w, struct node *n, uint16_t peer, const struct zab_note *note)
{
    struct node *to = world_node(w, peer);
    w->counts.notes++;
    if (to == NULL || !to->is_up || w->net.cuts[n->index][to->index] > 0) return;
    if (dice_chance(&w->net_dice, w->k.note_lost)) return;
    uint32_t copies = dice_chance(&w->net_dice, w->k.note_doubled) ? 2 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        uint64_t late = dice_latency(&w->net_dice, w->k.net_us);
        if (dice_chance(&w->net_dice, w->k.note_late)) late += dice_below(&w->net_dice, NOTE_LATE_US_MAX);
        int32_t msg = msg_new(&w->net);
        w->net.msgs[msg]->note = *note;
        if (w->k.codec != 0) note_code(w, &w->net.msgs[msg]->note);
        world_at(w, w->now_us + late,
                 (struct happening){
                     .kind = ON_NOTE, .node = to->index, .life = 0, .x = n->id, .arg = (uint64_t)msg });
    }
}

static void on_note(struct world *w, const struct happening *h)
{
    struct node *n = &w->nodes[h->node];
    struct msg *m = w->net.msgs[h->arg];
    if (n->is_up && n->paused > 0) {
        world_at(w, n->resume_at_us, *h);
        return;
    }
    if (n->is_up) {
        struct zab_event event = { .kind = ZAB_NOTE };
        event.note.from = h->x;
        event.note.note = &m->note;
        node_step(w, n, &event);
    }
    msg_free(&w->net, (int32_t)h->arg);
}

void net_happens(struct world *w, const struct happening *h)
{
    switch (h->kind) {
    case ON_DELIVER: on_deliver(w, h); break;
    case ON_NOTE: on_note(w, h); break;
    case ON_CONN_UP: on_conn_up(w, h); break;
    case ON_CONN_GONE: on_conn_gone(w, h); break;
    case ON_DIAL: on_dial(w, h); break;
    default: CHECK(false);
    }
}

void net_reset(struct net *net)
{
    net->free_msg = NO_MSG;
    for (uint32_t i = net->msgs_count; i > 0; i--) msg_free(net, (int32_t)i - 1);
    for (uint32_t i = 0; i < net->conns_count; i++) net->conns[i] = (struct conn){ 0 };
    net->conns_count = 0;
    net->conns_made = 0;
    memset(net->is_dialing, 0, sizeof net->is_dialing);
    memset(net->cuts, 0, sizeof net->cuts);
    for (int a = 0; a < NET_NODES_MAX; a++)
        for (int b = 0; b < NET_NODES_MAX; b++) net->current[a][b] = NO_CONN;
}

void net_fini(struct net *net)
{
    for (uint32_t i = 0; i < net->msgs_count; i++) {
        blob_fini(&net->msgs[i]->bytes);
        free(net->msgs[i]);
    }
    free(net->msgs);
    *net = (struct net){ 0 };
}
