/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots on their way to learners, as fast as their sessions take them. */
#include "node/node_int.h"

static void answer(struct node *n, struct sender *s, uint64_t zxid)
{
    struct zab_event event = { .kind = ZAB_SNAP_SENT };

    event.snap.at = s->at;
    event.snap.zxid = zxid;
    snap_close(&s->from);
    s->peer = 0;
    node_step(n, &event);
}

static bool send(struct node *n, struct sender *s, struct zab_frame *f)
{
    f->epoch = s->epoch;
    return peer_send(n->peers, s->peer, s->session, f);
}

/* The newest snapshot, when it reaches so far. */
static bool open_newest(struct node *n, struct sender *s)
{
    char text[SNAP_TEXT_BYTES];

    if (n->snaps.count == 0 || n->snaps.at[0] < s->at_least) return false;
    if (n->snaps.at[0] > n->applied) return false; /* the core has not taken it yet */
    if (snap_open(&s->from, n->dir_fd, n->snaps.at[0], text) == ERR_OK) return true;
    node_line(n, "%s", text);
    return false;
}

static void start(struct node *n, struct sender *s)
{
    struct zab_frame f = { .type = ZAB_SNAP_BEGIN, .zxid = s->from.head.zxid };

    f.snap.zxid = s->from.head.zxid;
    f.snap.members = &s->from.head.members;
    s->offset = 0;
    if (!send(n, s, &f)) sender_end_session(n, s->peer, s->session);
}

void sender_begin(struct node *n, const struct zab_effect *fx)
{
    struct sender *s = NULL;

    for (unsigned i = 0; i < SENDERS_MAX; i++)
        if (n->senders[i].peer == 0) s = &n->senders[i];
    if (s == NULL) {
        peer_close_session(n->peers, fx->peer, fx->session); /* it comes again */
        return;
    }
    *s = (struct sender){ .peer = fx->peer,
                          .session = fx->session,
                          .epoch = fx->epoch,
                          .at = fx->at,
                          .at_least = fx->zxid,
                          .from = { .fd = -1 } };
    n->snaps_sent++;
    if (open_newest(n, s))
        start(n, s);
    else
        keeper_save(n); /* one comes, or one is being made already */
}

/* Whatever was being written is written, or failed. */
static void try_again(struct node *n, struct sender *s)
{
    if (open_newest(n, s))
        start(n, s);
    else
        answer(n, s, 0);
}

void sender_end_session(struct node *n, uint16_t peer, uint64_t session)
{
    for (unsigned i = 0; i < SENDERS_MAX; i++) {
        struct sender *s = &n->senders[i];
        if (s->peer != peer || s->session != session) continue;
        snap_close(&s->from);
        s->peer = 0;
    }
}

/* False: it is over. */
static bool send_chunk(struct node *n, struct sender *s)
{
    struct zab_frame f = { .type = ZAB_SNAP_CHUNK, .zxid = s->from.head.zxid };
    size_t got = snap_read(&s->from, n->chunk, sizeof n->chunk);

    f.chunk.offset = s->offset;
    f.chunk.data = bytes_of(n->chunk, got);
    if (got == 0 && s->from.left > 0) { /* it was read whole a moment ago */
        answer(n, s, 0);
        return false;
    }
    if (got == 0) f.type = ZAB_SNAP_END;
    s->offset += got;
    if (!send(n, s, &f)) {
        sender_end_session(n, s->peer, s->session);
        return false;
    }
    if (got == 0) answer(n, s, s->from.head.zxid);
    return got > 0;
}

void sender_go_on(struct node *n)
{
    for (unsigned i = 0; i < SENDERS_MAX; i++) {
        struct sender *s = &n->senders[i];
        bool goes_on = s->peer != 0 && s->from.fd >= 0;
        if (s->peer != 0 && s->from.fd < 0 && !n->save.is_busy) try_again(n, s);
        while (goes_on && peer_queued(n->peers, s->peer, s->session) < SENDER_QUEUED_BYTES)
            goes_on = send_chunk(n, s);
    }
}

void sender_fini(struct node *n)
{
    for (unsigned i = 0; i < SENDERS_MAX; i++)
        if (n->senders[i].peer != 0) snap_close(&n->senders[i].from);
}
