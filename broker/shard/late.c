/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/late.h"
#include "shard/route.h"
#include "shard/shard_int.h"

void late_put(struct shard *sh, struct conn *c, size_t bytes)
{
    struct late *l = &sh->late;
    if (c->is_dirty) return;
    if (list_empty(&c->dirty)) list_add(c->gathers ? &l->conns : &l->few, &c->dirty);
    l->bytes += bytes;
    l->is_full |= l->bytes > memory_late_max(sh);
}

void late_room(struct shard *sh, struct conn *c)
{
    if (list_empty(&c->dirty)) list_add(&sh->late.conns, &c->dirty);
}

bool late_is_empty(const struct shard *sh)
{
    return list_empty(&sh->late.conns) && list_empty(&sh->late.few);
}

void late_leave(struct shard *sh, struct conn *c)
{
    struct late *l = &sh->late;
    if (c->is_dirty || list_empty(&c->dirty)) return;
    list_remove(&c->dirty);
    if (c->wants_write) return;       /* it was not counted */
    bool is_last = late_is_empty(sh); /* without memory half a packet is in a doomed one's output */
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

/* Not of one that stands below a mount_point, or has only an alias for its topic: those wait. */
static bool goes_to_few(struct shard *sh, const struct conn *c, const struct frame *f)
{
    struct publish p;
    size_t receivers = 0;
    if (c->is_mounted || publish_decode(f, c->version, &p) != MQTT_RC_OK || p.topic.len == 0) return false;
    if (subs_find(sh->all->subs, p.topic, &sh->found) != ERR_OK) return false;
    for (size_t i = 0; i < sh->found.count; i++) {
        const struct subs_array *a = subs_array_of(sh->found.filters[i], sh->index);
        receivers += subs_direct(a) + subs_durable(a);
    }
    return receivers <= RECEIVERS_AT_ONCE;
}

bool late_stops(struct shard *sh, struct conn *c, const struct frame *f)
{
    if (c->state != CONN_OPEN || !late_is_over(sh) || goes_to_few(sh, c, f)) return false;
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

static void write_some(struct shard *sh, struct list *conns, uint64_t until)
{
    while (!list_empty(conns) && sh->work < until) {
        struct conn *c = CONTAINER(conns->next, struct conn, dirty);
        c->gathers = c->out.bytes > WORK_BYTES;
        size_t wrote = conn_flush(sh, c);
        sh->work += WORK_OF_WRITE + wrote / WORK_BYTES;
    }
}

/* Of what this turn may, those who gather have half if they need it. */
void late_flush(struct shard *sh)
{
    struct late *l = &sh->late;
    uint64_t until = shard_stage_until(sh);
    write_some(sh, &l->few, sh->work + (until - sh->work) / 2);
    write_some(sh, &l->conns, until);
    write_some(sh, &l->few, until);
    if (l->is_full && l->bytes <= memory_late_max(sh) / 2) go_on(sh);
}
