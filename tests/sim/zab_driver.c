/* SPDX-License-Identifier: Apache-2.0 */
/* Carries out what the core asks for; answers come later, as things that happen. */
#include "base/check.h"
#include "sim/zab_world.h"

static const char *const frame_names[] = { "FIN",        "FOLLOWERINFO", "LEADERINFO", "ACKEPOCH",
                                           "SYNC_TRUNC", "SNAP_BEGIN",   "SNAP_CHUNK", "SNAP_END",
                                           "PROPOSAL",   "NEWLEADER",    "ACK",        "ACK_NEWLEADER",
                                           "UPTODATE",   "COMMIT",       "PING",       "PONG" };
static const char *const record_names[] = { "",      "ENTRY",   "ACCEPTED",   "CURRENT",
                                            "TRUNC", "INSTALL", "CHECKPOINT", "RELEARN" };
static const char *const role_names[] = { "LOOKING", "FOLLOWING", "LEADING", "OBSERVING" };

/* However slow: what has begun before the healing ends soon after it. */
enum { DISK_US_MAX = 1000000 };

static unsigned long long llx(uint64_t zxid)
{
    return (unsigned long long)zxid;
}

static uint32_t request_new(struct node *n, const struct zab_effect *e)
{
    uint32_t i = 0;
    while (i < REQUESTS_MAX && n->requests[i].is_used) i++;
    CHECK(i < REQUESTS_MAX);
    n->requests[i] = (struct request){ .at = e->at,
                                       .zxid = e->zxid,
                                       .session = e->session,
                                       .bytes = e->bytes,
                                       .epoch = e->epoch,
                                       .peer = e->peer,
                                       .is_used = true };
    return i;
}

static uint64_t disk_us(struct world *w, const struct node *n, uint64_t mean)
{
    uint64_t us = dice_latency(&w->disk_dice, mean) * (w->now_us < n->slow_until_us ? 100 : 1);
    return us < DISK_US_MAX ? us : DISK_US_MAX;
}

static void do_store(struct world *w, struct node *n, const struct zab_effect *e)
{
    const struct zab_record *r = &e->record;
    world_trace(w, n, "stores %s epoch %u leader %u zxid %llx entry %llx..%llx after %llx",
                record_names[r->kind], r->epoch, r->leader, llx(r->zxid),
                llx(r->kind == ZAB_RECORD_ENTRY ? r->entry.first : 0),
                llx(r->kind == ZAB_RECORD_ENTRY ? r->entry.last : 0),
                llx(r->kind == ZAB_RECORD_ENTRY ? r->entry.prev : 0));
    disk_append(&n->disk, r, e->at);
}

static void do_send(struct world *w, struct node *n, const struct zab_effect *e)
{
    const struct zab_frame *f = &e->frame;
    if (f->type == ZAB_PROPOSAL) {
        world_trace(w, n, "-> %u PROPOSAL epoch %u %llx..%llx after %llx commit %llx", e->peer, f->epoch,
                    llx(f->proposal.entry.first), llx(f->proposal.entry.last), llx(f->proposal.entry.prev),
                    llx(f->proposal.commit));
    } else if (f->type == ZAB_ACKEPOCH) {
        world_trace(w, n, "-> %u ACKEPOCH epoch %u counts %d current %u log %llx..%llx", e->peer, f->epoch,
                    f->ack_epoch.counts, f->ack_epoch.current, llx(f->ack_epoch.begin),
                    llx(f->ack_epoch.last));
    } else {
        world_trace(w, n, "-> %u %s epoch %u zxid %llx", e->peer, frame_names[f->type], f->epoch,
                    llx(f->zxid));
    }
    net_send(w, n, e->peer, e->session, f);
}

static void do_tell(struct world *w, struct node *n, const struct zab_effect *e)
{
    static const char *const states[] = { "LOOKING", "FOLLOWING", "LEADING", "OBSERVING" };
    world_trace(w, n, "~> %u %s for %u epoch %u zxid %llx round %llu", e->peer, states[e->note.state],
                e->note.leader, e->note.epoch, llx(e->note.zxid), llx(e->note.round));
    net_tell(w, n, e->peer, &e->note);
}

static void do_close(struct world *w, struct node *n, const struct zab_effect *e)
{
    world_trace(w, n, "closes session %llu with %u", llx(e->session), e->peer);
    net_close(w, n, e->peer, e->session);
}

static void do_read(struct world *w, struct node *n, const struct zab_effect *e)
{
    world_at(
        w, w->now_us + disk_us(w, n, w->k.read_us),
        (struct happening){ .kind = ON_READ, .node = n->index, .life = n->life, .arg = request_new(n, e) });
}

static void do_snap_send(struct world *w, struct node *n, const struct zab_effect *e)
{
    world_trace(w, n, "-> %u a snapshot at %llx or later", e->peer, llx(e->zxid));
    world_at(w, w->now_us + disk_us(w, n, w->k.read_us),
             (struct happening){
                 .kind = ON_SNAP_SEND, .node = n->index, .life = n->life, .arg = request_new(n, e) });
}

static void do_snap_open(struct world *w, struct node *n, const struct zab_effect *e)
{
    (void)e;
    world_trace(w, n, "a snapshot begins, or is dropped");
    n->incoming.len = 0;
}

static void do_snap_write(struct world *w, struct node *n, const struct zab_effect *e)
{
    (void)w;
    blob_put(&n->incoming, e->data.at, (uint32_t)e->data.len);
}

static void do_snap_install(struct world *w, struct node *n, const struct zab_effect *e)
{
    struct snap *s = snap_slot(n);
    CHECK(s != NULL);
    s->bytes.len = 0;
    blob_put(&s->bytes, n->incoming.at, n->incoming.len);
    s->zxid = e->zxid;
    s->is_durable = false;
    n->incoming.len = 0;
    world_trace(w, n, "installs a snapshot at %llx", llx(e->zxid));
    uint64_t arg = request_new(n, e) + (uint64_t)(s - n->snaps) * REQUESTS_MAX;
    world_at(w, w->now_us + disk_us(w, n, w->k.read_us) * 2,
             (struct happening){ .kind = ON_INSTALLED, .node = n->index, .life = n->life, .arg = arg });
}

static void do_deliver(struct world *w, struct node *n, const struct zab_effect *e)
{
    CHECK(n->queue_count < DELIVERED_MAX);
    struct delivered *d = &n->queue[n->queue_count++];
    *d = (struct delivered){ .zxid = e->entry.last, .hash = entry_hash(&e->entry) };
    if (e->entry.kind == ZAB_CONFIG) {
        d->members_at = n->configs.len;
        d->members_len = (uint32_t)e->entry.payload.len;
        blob_put(&n->configs, e->entry.payload.at, d->members_len);
    }
    world_trace(w, n, "delivers %llx..%llx kind %u", llx(e->entry.first), llx(e->entry.last), e->entry.kind);
    n->delivered_zxid = e->entry.last;
    if (n->is_applying) return;
    n->is_applying = 1;
    world_at(w, w->now_us + dice_latency(&w->disk_dice, w->k.apply_us),
             (struct happening){ .kind = ON_APPLY, .node = n->index, .life = n->life });
}

static void do_accepted(struct world *w, struct node *n, const struct zab_effect *e)
{
    world_trace(w, n, "answers client %llu: %u at %llx", llx(e->token), e->why,
                e->why == ZAB_OK ? llx(e->entry.last) : 0);
    if (e->why != ZAB_COUNTER_ENDS || n->ended_epoch == n->st.accepted) return;
    n->ended_epoch = n->st.accepted;
    w->counts.roll_overs++;
}

static void do_role(struct world *w, struct node *n, const struct zab_effect *e)
{
    bool leads = e->role == ZAB_LEADING && e->is_established;
    world_trace(w, n, "is %s%s of %u in epoch %u", role_names[e->role],
                e->is_established ? ", established" : "", e->leader, e->epoch);
    if (leads && n->is_leading_epoch != e->epoch) w->counts.elections++;
    n->is_leading_epoch = leads ? e->epoch : 0;
}

static void do_lease(struct world *w, struct node *n, const struct zab_effect *e)
{
    n->lease_until_ms = e->zxid;
    world_trace(w, n, "has a lease for %lld ms", (long long)(e->zxid - node_now_ms(w, n)));
    if (e->zxid != 0) w->counts.leases++;
}

static void do_settled(struct world *w, struct node *n, const struct zab_effect *e)
{
    world_trace(w, n, "settled to %llx", llx(e->zxid));
    w->counts.settled++;
}

static void do_nothing(struct world *w, struct node *n, const struct zab_effect *e)
{
    (void)w;
    (void)n;
    (void)e;
}

static void do_halt(struct world *w, struct node *n, const struct zab_effect *e)
{
    world_violate(w, "halt", "node %u stops: %s", n->id, e->text);
    n->must_stop = true;
}

static void (*const effects[])(struct world *, struct node *, const struct zab_effect *) = {
    [ZAB_STORE] = do_store,
    [ZAB_SEND] = do_send,
    [ZAB_TELL] = do_tell,
    [ZAB_CLOSE] = do_close,
    [ZAB_READ] = do_read,
    [ZAB_SNAP_SEND] = do_snap_send,
    [ZAB_SNAP_OPEN] = do_snap_open,
    [ZAB_SNAP_WRITE] = do_snap_write,
    [ZAB_SNAP_INSTALL] = do_snap_install,
    [ZAB_SNAP_DROP] = do_snap_open,
    [ZAB_DELIVER] = do_deliver,
    [ZAB_ACCEPTED] = do_accepted,
    [ZAB_ROLE] = do_role,
    [ZAB_LEASE] = do_lease,
    [ZAB_SETTLED] = do_settled,
    [ZAB_MEMBERS] = do_nothing,
    [ZAB_HALT] = do_halt,
};

void driver_run(struct world *w, struct node *n)
{
    for (uint32_t i = 0; i < w->effects->count && !w->is_failed; i++) {
        const struct zab_effect *e = &w->effects->at[i];
        world_hash(w, (uint64_t)e->kind << 32 ^ e->zxid ^ e->peer);
        check_effect(w, n, e);
        effects[e->kind](w, n, e);
    }
}

void driver_kick(struct world *w, struct node *n)
{
    struct disk *d = &n->disk;
    if (!n->is_up || d->is_syncing || d->count == d->synced) return;
    bool is_full = w->now_us < n->full_until_us;
    uint64_t at = is_full ? n->full_until_us : w->now_us + disk_us(w, n, w->k.sync_us);
    d->is_syncing = true;
    d->syncing = is_full ? d->synced : d->count;
    world_at(w, at, (struct happening){ .kind = ON_SYNCED, .node = n->index, .life = n->life });
}
