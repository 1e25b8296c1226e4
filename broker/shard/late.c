/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/late.h"
#include "shard/route.h"
#include "shard/shard_int.h"

void late_put(struct shard *sh, struct conn *c, size_t bytes)
{
    struct late *l = &sh->late;
    if (c->is_dirty) return;
    if (list_empty(&c->dirty)) list_add(&l->conns, &c->dirty);
    l->bytes += bytes;
    l->is_full |= l->bytes > memory_late_max(sh);
}

void late_room(struct shard *sh, struct conn *c)
{
    if (list_empty(&c->dirty)) list_add(&sh->late.conns, &c->dirty);
}

void late_leave(struct shard *sh, struct conn *c)
{
    struct late *l = &sh->late;
    if (c->is_dirty || list_empty(&c->dirty)) return;
    list_remove(&c->dirty);
    if (c->wants_write) return;           /* it was not counted */
    bool is_last = list_empty(&l->conns); /* without memory half a packet is in a doomed one's output */
    l->bytes = is_last || l->bytes < c->out.bytes ? 0 : l->bytes - c->out.bytes;
}

void late_hold(struct shard *sh, struct conn *c)
{
    if (!sh->late.is_full || c->state != CONN_OPEN || (c->paused & PAUSE_LATE) != 0) return;
    list_add(&sh->late.waiters, &c->late_waiter);
    conn_pause(sh, c, PAUSE_LATE);
}

bool late_is_over(const struct shard *sh)
{
    return sh->late.is_full && sh->late.bytes > 2 * memory_late_max(sh);
}

bool late_stops(struct shard *sh, struct conn *c)
{
    if (c->state != CONN_OPEN || !late_is_over(sh)) return false;
    late_hold(sh, c);
    return true;
}

static void go_on(struct shard *sh)
{
    struct late *l = &sh->late;
    l->is_full = false;
    while (!list_empty(&l->waiters)) {
        struct conn *c = CONTAINER(l->waiters.next, struct conn, late_waiter);
        list_remove(&c->late_waiter);
        conn_resume(sh, c, PAUSE_LATE);
    }
    route_late_gone(sh);
}

void late_flush(struct shard *sh)
{
    struct late *l = &sh->late;
    uint64_t until = shard_stage_until(sh);
    while (!list_empty(&l->conns) && sh->work < until) {
        size_t wrote = conn_flush(sh, CONTAINER(l->conns.next, struct conn, dirty));
        sh->work += WORK_OF_WRITE + wrote / WORK_BYTES;
    }
    if (l->is_full && l->bytes <= memory_late_max(sh) / 2) go_on(sh);
}
