/* SPDX-License-Identifier: Apache-2.0 */
/* A process: the core, rebuilt from the disk at each start, and what happens to it. */
#include "base/check.h"
#include "sim/zab_plants.h"
#include "sim/zab_world.h"

uint64_t node_now_ms(const struct world *w, const struct node *n)
{
    int64_t t = (int64_t)w->now_us;
    return (uint64_t)(n->skew_us + t + t / 1000 * n->drift_ppm / 1000) / 1000;
}

static void settle(struct world *w, struct node *n, const struct zab_state *before)
{
    driver_run(w, n);
    while (w->effects->more && !n->must_stop && !w->is_failed) {
        const struct zab_event more = { .kind = ZAB_MORE };
        zab_step(n->z, &more, w->effects);
        driver_run(w, n);
    }
    zab_state(n->z, &n->st);
    check_step(w, n, before);
    driver_kick(w, n);
    if (n->must_stop) node_crash(w, n, dice_between(&w->nemesis_dice, 1000, 200000));
}

void node_step(struct world *w, struct node *n, const struct zab_event *event)
{
    struct zab_state before = n->st;
    CHECK(n->is_up && n->z != NULL);
    if (w->is_failed) return;
    zab_step(n->z, event, w->effects);
    settle(w, n, &before);
}

static void beat_later(struct world *w, struct node *n)
{
    uint64_t pause = w->k.beat_us / 2 + dice_below(&w->clock_dice, w->k.beat_us);
    world_at(w, w->now_us + pause, (struct happening){ .kind = ON_BEAT, .node = n->index, .life = n->life });
}

/* --- start */

static bool restore_machine(struct world *w, struct node *n)
{
    static struct zab_members members;
    const struct view *log = &n->disk.mem;
    /* One whose INSTALL is not in the log was never in force, and this log may be of another history. */
    for (uint32_t i = 0; i < SNAPS_MAX; i++) {
        struct snap *s = &n->snaps[i];
        if (!s->is_durable || s->zxid < log->begin || s->zxid > view_last(log) || !view_holds(log, s->zxid))
            s->zxid = 0;
    }
    machine_reset(w, &n->machine);
    const struct snap *s = snap_newest(n, UINT64_MAX);
    if (s == NULL) return log->begin == 0;
    return snap_read(bytes_of(s->bytes.at, s->bytes.len), &n->machine, &members);
}

static void make_conf(const struct world *w, const struct node *n, struct zab_conf *conf)
{
    *conf = (struct zab_conf){ .id = n->id, .group = 1, .members = n->begin };
    if (n->machine.zxid > 0)
        CHECK(zab_members_decode(bytes_of(n->machine.members.at, n->machine.members.len), &conf->members));
    conf->seed = dice_mix(w->plan->seed ^ n->id ^ (uint64_t)n->life << 32);
    conf->tick_ms = w->k.tick_ms;
    conf->init_ticks = w->k.init_ticks;
    conf->sync_ticks = w->k.sync_ticks;
    conf->finalize_ms = w->k.finalize_ms;
    conf->note_max_ms = w->k.note_max_ms;
    conf->lease_ms = w->k.lease_ms;
    conf->drift_per_mille = w->k.drift_per_mille;
    conf->window_entries = w->k.window_entries;
    conf->window_bytes = w->k.window_bytes;
    conf->counter_max = w->k.counter_max;
    conf->applied = n->machine.zxid;
    conf->is_damaged = n->is_damaged;
}

static bool restore_log(struct world *w, struct node *n)
{
    struct zab_record r;
    for (uint32_t i = 0; i < n->disk.count; i++) {
        if (disk_record(&n->disk, i, &r) && zab_restore(n->z, &r) == ERR_OK) continue;
        world_violate(
            w, "restart", "node %u does not take record %u of %u of its log: kind %u, zxid %llx, entry %llx",
            n->id, i, n->disk.count, r.kind, (unsigned long long)r.zxid, (unsigned long long)r.entry.last);
        return false;
    }
    return true;
}

static void forget(struct world *w, struct node *n)
{
    memset(n->requests, 0, sizeof n->requests);
    n->queue_count = n->configs.len = n->incoming.len = n->is_applying = 0;
    n->is_leading_epoch = 0;
    n->lease_until_ms = n->ended_epoch = n->checkpointed = 0;
    n->is_snapping = n->must_stop = n->is_failing = false;
    n->st = (struct zab_state){ 0 };
    n->sessions = dice_below(&w->clock_dice, 100);
    n->delivered_zxid = n->machine.zxid;
}

void node_start(struct world *w, struct node *n)
{
    static struct zab_conf conf;
    if (n->is_up) return;
    bool has_state = restore_machine(w, n);
    if (!has_state) {
        world_violate(w, "snapshot", "node %u: no snapshot reaches its log, which begins after %llx", n->id,
                      (unsigned long long)n->disk.mem.begin);
        return;
    }
    make_conf(w, n, &conf);
    forget(w, n);
    CHECK(zab_new(&n->z, &conf) == ERR_OK);
    plants_apply(n->z);
    n->is_up = true;
    world_trace(w, n, "starts: log %llx..%llx, applied %llx%s", (unsigned long long)n->disk.mem.begin,
                (unsigned long long)view_last(&n->disk.mem), (unsigned long long)n->machine.zxid,
                n->is_damaged ? ", damaged" : "");
    bool is_good = restore_log(w, n);
    if (is_good) is_good = zab_start(n->z, node_now_ms(w, n), w->effects) == ERR_OK;
    if (!is_good) {
        world_violate(w, "restart", "node %u does not start with its own log and snapshot", n->id);
        n->is_up = false;
        zab_free(&n->z);
        return;
    }
    zab_state(n->z, &n->st);
    struct zab_state before = n->st;
    net_node_up(w, n);
    beat_later(w, n);
    settle(w, n, &before);
}

/* --- end */

static void lose_snaps(struct world *w, struct node *n)
{
    for (uint32_t i = 0; i < SNAPS_MAX; i++) {
        struct snap *s = &n->snaps[i];
        if (s->zxid == 0 || s->is_durable) continue;
        /* Renamed, and the folder not yet synced: either. */
        s->is_durable = dice_chance(&w->disk_dice, 300);
        if (!s->is_durable) s->zxid = 0;
    }
}

void node_crash(struct world *w, struct node *n, uint64_t down_us)
{
    if (!n->is_up) return;
    struct crash_fate fate = { w->k.lost, w->k.torn, w->k.garbled };
    bool is_power = dice_chance(&w->nemesis_dice, 500);
    world_trace(w, n, "crashes");
    w->counts.crashes++;
    zab_free(&n->z);
    n->is_up = false;
    n->life++;
    n->must_stop = n->is_failing = false;
    n->paused = 0;
    net_node_down(w, n, is_power);
    w->counts.torn_tails += disk_crash(&n->disk, &w->disk_dice, &fate);
    lose_snaps(w, n);
    world_at(w, w->now_us + down_us, (struct happening){ .kind = ON_START, .node = n->index });
}

void node_resume(struct world *w, struct node *n)
{
    n->paused = 0;
    n->resume_at_us = w->now_us;
    if (n->is_up) net_wake(w, n);
}

/* --- what the disk has done */

static void purge(struct world *w, struct node *n, uint32_t checkpoint)
{
    uint64_t keep = n->disk.recs[checkpoint].zxid;
    const struct snap *s = snap_newest(n, keep);
    for (uint32_t i = 1; s != NULL && i < w->k.snap_keep; i++) {
        const struct snap *older = snap_newest(n, s->zxid - 1);
        if (older != NULL && older->zxid >= n->disk.mem.begin) s = older;
    }
    if (s == NULL) return;
    keep = s->zxid;
    for (uint32_t i = 0; i < SNAPS_MAX; i++)
        if (n->snaps[i].is_durable && n->snaps[i].zxid < keep) n->snaps[i].zxid = 0;
    uint64_t begin = n->disk.mem.begin;
    if (!disk_purge(&n->disk, keep, checkpoint) || n->disk.mem.begin <= begin) return;
    w->counts.purges++;
    struct zab_event event = { .kind = ZAB_PURGED, .zxid = n->disk.mem.begin };
    world_trace(w, n, "purged to %llx", (unsigned long long)event.zxid);
    node_step(w, n, &event);
}

static void stored(struct world *w, struct node *n, uint32_t record)
{
    struct zab_event event = { .kind = ZAB_STORED };
    event.at.no = n->disk.recs[record].no;
    event.at.epoch = n->disk.recs[record].at_epoch;
    node_step(w, n, &event);
}

static void on_synced(struct world *w, struct node *n)
{
    struct disk *d = &n->disk;
    uint32_t from = d->synced, to = d->syncing, checkpoint = UINT32_MAX, life = n->life;
    if (n->is_failing) {
        node_crash(w, n, dice_between(&w->nemesis_dice, 1000, 400000));
        return;
    }
    disk_synced(d);
    for (uint32_t i = from; i < to; i++) {
        if (d->recs[i].kind == ZAB_RECORD_CHECKPOINT) checkpoint = i;
        if (d->recs[i].kind == ZAB_RECORD_RELEARN) n->is_damaged = false;
    }
    /* One completion for all, or two. */
    uint32_t middle = to > from ? from + (uint32_t)dice_below(&w->disk_dice, (to - from) * 2) : to;
    if (middle + 1 < to) stored(w, n, middle);
    if (to > from && n->life == life && n->is_up) stored(w, n, to - 1);
    if (checkpoint != UINT32_MAX && n->life == life && n->is_up) purge(w, n, checkpoint);
    if (n->life == life && n->is_up) driver_kick(w, n);
}

void node_snap(struct world *w, struct node *n)
{
    const struct snap *newest = snap_newest(n, UINT64_MAX);
    if (!n->is_up || n->is_snapping || n->machine.zxid == 0) return;
    if (newest != NULL && newest->zxid >= n->machine.zxid) return;
    struct snap *s = snap_slot(n);
    if (s == NULL) return;
    snap_write(&n->machine, &s->bytes);
    s->zxid = n->machine.zxid;
    s->is_durable = false;
    n->is_snapping = true;
    world_at(
        w, w->now_us + dice_latency(&w->disk_dice, w->k.read_us) * 3,
        (struct happening){
            .kind = ON_SNAP_DURABLE, .node = n->index, .life = n->life, .arg = (uint64_t)(s - n->snaps) });
}

static void on_snap_durable(struct world *w, struct node *n, uint64_t slot)
{
    struct snap *s = &n->snaps[slot];
    struct zab_event event = { .kind = ZAB_CHECKPOINT, .zxid = s->zxid };
    s->is_durable = true;
    n->is_snapping = false;
    n->checkpointed = s->zxid;
    node_step(w, n, &event);
}

static void on_installed(struct world *w, struct node *n, uint64_t arg)
{
    static struct zab_members members;
    struct request *q = &n->requests[arg % REQUESTS_MAX];
    struct snap *s = &n->snaps[arg / REQUESTS_MAX];
    struct zab_event event = { .kind = ZAB_SNAP_SAVED };
    event.snap.at = q->at;
    q->is_used = false;
    if (snap_read(bytes_of(s->bytes.at, s->bytes.len), &n->machine, &members)) {
        s->is_durable = true;
        n->queue_count = n->configs.len = 0;
        n->delivered_zxid = n->machine.zxid;
        event.snap.zxid = n->machine.zxid;
        check_machine(w, n);
    } else {
        s->zxid = 0;
    }
    node_step(w, n, &event);
}

/* --- reads */

static void on_read(struct world *w, struct node *n, uint64_t arg)
{
    struct zab_entry entries[ZAB_READ_ENTRIES_MAX];
    struct request *q = &n->requests[arg];
    struct zab_event event = { .kind = ZAB_READ_DONE };
    event.read.at = q->at;
    event.read.count = disk_entries(&n->disk, q->zxid, q->bytes, entries);
    event.read.entries = entries;
    q->is_used = false;
    node_step(w, n, &event);
}

static void stream_snap(struct world *w, struct node *n, const struct request *q, struct zab_members *members)
{
    static struct blob bytes;
    struct zab_frame f = { .type = ZAB_SNAP_BEGIN, .group = 1, .epoch = q->epoch, .zxid = n->machine.zxid };
    bytes.len = 0;
    snap_write(&n->machine, &bytes);
    f.snap.zxid = n->machine.zxid;
    f.snap.members = members;
    net_send(w, n, q->peer, q->session, &f);
    for (uint32_t at = 0; at < bytes.len; at += w->k.chunk_bytes) {
        uint32_t len = bytes.len - at < w->k.chunk_bytes ? bytes.len - at : w->k.chunk_bytes;
        f = (struct zab_frame){ .type = ZAB_SNAP_CHUNK, .group = 1, .epoch = q->epoch };
        f.chunk.offset = at;
        f.chunk.data = bytes_of(bytes.at + at, len);
        net_send(w, n, q->peer, q->session, &f);
    }
    f = (struct zab_frame){ .type = ZAB_SNAP_END, .group = 1, .epoch = q->epoch };
    f.chunk.offset = bytes.len;
    net_send(w, n, q->peer, q->session, &f);
}

static void on_snap_send(struct world *w, struct node *n, uint64_t arg)
{
    static struct zab_members members;
    struct request *q = &n->requests[arg];
    struct zab_event event = { .kind = ZAB_SNAP_SENT };
    event.snap.at = q->at;
    q->is_used = false;
    if (n->machine.zxid >= q->zxid && net_has_session(w, n, q->peer, q->session)) {
        CHECK(zab_members_decode(bytes_of(n->machine.members.at, n->machine.members.len), &members));
        stream_snap(w, n, q, &members);
        event.snap.zxid = n->machine.zxid;
    }
    node_step(w, n, &event);
}

static void on_apply(struct world *w, struct node *n)
{
    n->is_applying = 0;
    machine_apply(w, n);
    struct zab_event event = { .kind = ZAB_APPLIED, .zxid = n->machine.zxid };
    uint32_t life = n->life;
    node_step(w, n, &event);
    if (n->life != life || w->k.snap_every == 0) return;
    if (n->machine.pos % w->k.snap_every == 0) node_snap(w, n);
}

static void on_beat(struct world *w, struct node *n)
{
    struct zab_event event = { .kind = ZAB_TICK, .now_ms = node_now_ms(w, n) };
    beat_later(w, n);
    node_step(w, n, &event);
}

void node_happens(struct world *w, struct node *n, const struct happening *h)
{
    if (h->kind == ON_START) {
        node_start(w, n);
        return;
    }
    if (h->kind == ON_RESUME) {
        if (n->paused > 0 && w->now_us >= n->resume_at_us) node_resume(w, n);
        return;
    }
    if (!n->is_up || h->life != n->life) return;
    if (n->paused > 0) {
        world_at(w, n->resume_at_us, *h);
        return;
    }
    switch (h->kind) {
    case ON_BEAT: on_beat(w, n); break;
    case ON_SYNCED: on_synced(w, n); break;
    case ON_READ: on_read(w, n, h->arg); break;
    case ON_SNAP_SEND: on_snap_send(w, n, h->arg); break;
    case ON_SNAP_DURABLE: on_snap_durable(w, n, h->arg); break;
    case ON_INSTALLED: on_installed(w, n, h->arg); break;
    case ON_APPLY: on_apply(w, n); break;
    default: CHECK(false);
    }
}
