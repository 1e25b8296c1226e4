/* SPDX-License-Identifier: Apache-2.0 */
/* What the core asks for, in its order. */
#include "node/node_int.h"
#include <string.h>

static void store(struct node *n, const struct zab_effect *fx)
{
    const struct zab_record *r = &fx->record;

    journal_put(n, &fx->at, r);
    if (r->kind == ZAB_RECORD_TRUNC) n->truncs++;
    if (r->kind == ZAB_RECORD_TRUNC || r->kind == ZAB_RECORD_INSTALL) reader_forget(n);
    if (r->kind == ZAB_RECORD_CHECKPOINT) n->checkpoint_lsn = n->lsn;
}

static void open_incoming(struct node *n)
{
    bool is_taken = n->install.is_busy && strcmp(n->install.writer.name, SNAP_INSTALL_NAME) == 0;

    snap_drop(&n->incoming);
    /* One that is on its way to the disk keeps its file, however many come and go meanwhile. */
    snap_begin(&n->incoming, n->dir_fd, is_taken ? SNAP_INSTALL_NAME "2" : SNAP_INSTALL_NAME);
}

static void deliver(struct node *n, const struct zab_entry *e)
{
    if (e->kind == ZAB_CONFIG) zab_members_decode(e->payload, &n->applied_members);
    n->machine.apply(n->machine.arg, e);
    n->applied = e->last;
    n->since_entries++;
    n->since_bytes += e->payload.len;
}

static void end_session(struct node *n, const struct zab_effect *fx)
{
    if (fx->text != NULL) node_line(n, "server.%u: %s", fx->peer, fx->text);
    sender_end_session(n, fx->peer, fx->session);
    peer_close_session(n->peers, fx->peer, fx->session);
}

static void accepted(struct node *n, const struct zab_effect *fx)
{
    n->sink.accepted(n->sink.arg, fx->token, (enum zab_why)fx->why, fx->entry.first, fx->entry.last);
}

static void perform_snapshot(struct node *n, const struct zab_effect *fx)
{
    switch (fx->kind) {
    case ZAB_SNAP_SEND: sender_begin(n, fx); break;
    case ZAB_SNAP_OPEN: open_incoming(n); break;
    case ZAB_SNAP_WRITE: snap_write(&n->incoming, fx->data); break;
    case ZAB_SNAP_INSTALL: keeper_install(n, fx); break;
    case ZAB_SNAP_DROP: snap_drop(&n->incoming); break;
    default: break;
    }
}

static void perform(struct node *n, const struct zab_effect *fx)
{
    switch (fx->kind) {
    case ZAB_STORE: store(n, fx); break;
    case ZAB_SEND: peer_send(n->peers, fx->peer, fx->session, &fx->frame); break;
    case ZAB_TELL: peer_tell(n->peers, fx->peer, &fx->note); break;
    case ZAB_CLOSE: end_session(n, fx); break;
    case ZAB_READ: reader_ask(n, fx); break;
    case ZAB_DELIVER: deliver(n, &fx->entry); break;
    case ZAB_ACCEPTED: accepted(n, fx); break;
    case ZAB_ROLE: n->sink.role(n->sink.arg, fx); break;
    case ZAB_MEMBERS: peer_members(n->peers, fx->members); break;
    case ZAB_HALT: node_fail(n, fx->text); break;
    default: perform_snapshot(n, fx); break; /* LEASE and SETTLED: zab_state has them */
    }
}

void node_perform(struct node *n)
{
    static const struct zab_event more = { .kind = ZAB_MORE };

    for (;;) {
        for (uint32_t i = 0; i < n->fx.count; i++) perform(n, &n->fx.at[i]);
        if (!n->fx.more) break;
        zab_step(n->zab, &more, &n->fx);
    }
}

void node_step(struct node *n, const struct zab_event *event)
{
    zab_step(n->zab, event, &n->fx);
    node_perform(n);
}
