/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/memory.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * Readers that are too slow. A connection whose output did not go whole stands in a list until it has; once a
 * second each is looked at. One that has had much waiting for it, and has taken little, for the whole of
 * slow_reader_timeout is dropped: its session keeps what it keeps, and its buffers are free.
 */

enum {
    LOOK_MS = 1000,
    TAKEN_BYTES_MIN = 64 * 1024, /* about what a modem of 9600 baud takes in a minute */
    TIMEOUT_MS_HIGH = 5000,
};

static bool make_room(struct slow_list *l)
{
    if (l->count < l->room) return true;
    size_t room = l->room == 0 ? 16 : l->room * 2;
    struct slow_reader *at = realloc(l->at, room * sizeof *at);
    if (at == NULL) return false;
    l->at = at;
    l->room = room;
    return true;
}

void slow_note(struct shard *sh, struct conn *c)
{
    struct slow_list *l = &sh->slow;
    if (c->is_slow || !make_room(l)) return; /* without memory: the next write tries again */
    c->is_slow = true;
    c->taken = 0;
    l->at[l->count++] = (struct slow_reader){ c->id, sh->now_ms };
    if (sh->alarm_ms[ALARM_SLOW] == 0) sh->alarm_ms[ALARM_SLOW] = sh->now_ms + LOOK_MS;
}

static uint64_t timeout_ms(const struct shard *sh)
{
    uint64_t ms = (uint64_t)sh->config->slow_reader_timeout * 1000;
    if (sh->memory.is_high && (ms == 0 || ms > TIMEOUT_MS_HIGH)) return TIMEOUT_MS_HIGH;
    return ms == 0 ? UINT64_MAX : ms;
}

static void end(struct shard *sh, struct conn *c)
{
    struct bytes client = c->session == NULL ? bytes_of_text("") : session_client_id(c->session);
    metrics_add(sh->metrics, METRIC_slow_readers_ended_total, 1);
    log_event(sh->log, EVENT_CLIENT_STALLED, LOG_TEXT("client", client), LOG_NUM("waiting", c->out.bytes));
    conn_drop(sh, c); /* it would not read why */
}

/* False: it is none any more. */
static bool is_still_slow(struct shard *sh, struct slow_reader *r)
{
    struct conn *c = conn_find(sh, r->id);
    if (c == NULL || c->state == CONN_CLOSED) return false;
    if (c->out.bytes == 0) {
        c->is_slow = false;
        return false;
    }
    if (c->out.bytes < memory_window_max(sh) || c->taken >= TAKEN_BYTES_MIN) {
        r->since_ms = sh->now_ms;
        c->taken = 0;
        return true;
    }
    if (sh->now_ms - r->since_ms < timeout_ms(sh)) return true;
    end(sh, c);
    return false;
}

void slow_alarm(struct shard *sh)
{
    struct slow_list *l = &sh->slow;
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (is_still_slow(sh, &l->at[i])) l->at[kept++] = l->at[i];
    l->count = kept;
    if (kept > 0) sh->alarm_ms[ALARM_SLOW] = sh->now_ms + LOOK_MS;
}
