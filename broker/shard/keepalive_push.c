/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/keepalive_way.h"
#include "shard/shard_int.h"
#include <stdlib.h>

/*
 * Connections with a PUBLISH that TCP has not acknowledged. A connection stands in a ring from its first one
 * until it is seen that all is acknowledged: each is looked at some seconds after it came, with one call of
 * the system, and again as long as it is not. While it is not, TCP gives up after tcp_user_timeout. That is
 * measured from when it was sent, so that it is said late costs nothing; said always, one probe that is lost
 * would end an idle connection.
 */

enum { LOOK_MS = 2000, LOOKS_A_TURN = 256, LOOK_AGAIN_MS = 500, ROOM_MIN = 16 };

static struct push *at(const struct ways *w, uint32_t i)
{
    return &w->pushes[(w->pushes_at + i) & (w->pushes_room - 1)];
}

static bool resize(struct ways *w, uint32_t room)
{
    struct push *moved = malloc(room * sizeof *moved);
    if (moved == NULL) return false;
    for (uint32_t i = 0; i < w->pushes_count; i++) moved[i] = *at(w, i);
    free(w->pushes);
    w->pushes = moved;
    w->pushes_at = 0;
    w->pushes_room = room;
    return true;
}

static bool put(struct shard *sh, const struct push *p)
{
    struct ways *w = &sh->ways;
    bool is_full = w->pushes_count == w->pushes_room;
    if (is_full && !resize(w, is_full && w->pushes_room == 0 ? ROOM_MIN : w->pushes_room * 2)) return false;
    *at(w, w->pushes_count++) = *p;
    if (sh->alarm_ms[ALARM_PUSHES] == 0) sh->alarm_ms[ALARM_PUSHES] = p->due_ms;
    return true;
}

void pushes_fini(struct ways *w)
{
    free(w->pushes);
    w->pushes = NULL;
    w->pushes_count = w->pushes_room = 0;
}

/* How long both sides had been silent, for the learner; a probe in between would have kept the way open. */
static void note_gap(struct shard *sh, struct conn *c)
{
    struct way *w = way_of(c);
    uint64_t last_ms = w != NULL && w->ack_ms > c->seen_ms ? w->ack_ms : c->seen_ms;
    uint64_t gap_s = (sh->now_ms - last_ms) / 1000;
    if (gap_s < keepalive_gap_min_s(sh->ways.learner) || !way_is_own(sh, c)) return;
    if (w != NULL && w->probe_s > 0 && gap_s > w->probe_s) return;
    if (w == NULL) {
        if (sh->ways.lent >= WAYS_LENT_MAX) return;
        struct ka_who who = way_who(sh, c);
        w = way_make(c);
        if (w == NULL) return;
        w->who = who;
        w->is_lent = true;
        sh->ways.lent++;
    }
    w->push_gap_s = (uint32_t)gap_s;
    w->push_ms = sh->now_ms;
}

void way_pushed(struct shard *sh, struct conn *c)
{
    struct push p = { .id = c->id, .since_ms = sh->now_ms, .due_ms = sh->now_ms + LOOK_MS };
    if (c->transport.ops->facts == NULL) return;
    bool is_watched = c->is_way || conn_door(sh, c)->tcp_user_timeout > 0;
    if (!is_watched || !put(sh, &p)) return;
    if (c->is_way && !c->is_spoiled) note_gap(sh, c);
    c->is_pushed = c->is_spoiled = true;
}

/* The last PUBLISH, as far as it is known, was before the client's last packet: the silence after that is
 * known. */
static bool is_clean(const struct shard *sh, const struct conn *c, const struct push *p)
{
    return c->seen_ms > p->since_ms && sh->now_ms - p->since_ms <= 2 * LOOK_MS;
}

static void answered(struct shard *sh, struct conn *c, const struct push *p, const struct transport_facts *f)
{
    struct way *w = way_of(c);
    if (c->is_patient && c->transport.ops->patience != NULL) c->transport.ops->patience(&c->transport, 0);
    c->is_pushed = c->is_patient = false;
    c->is_spoiled = !is_clean(sh, c, p);
    if (w == NULL) return;
    uint32_t gap_s = w->push_gap_s;
    w->push_gap_s = 0;
    w->ack_ms = sh->now_ms - f->ack_ms;
    if (gap_s > 0) way_sign(sh, c, p->is_late ? KA_SIGN_LATE : KA_SIGN_ACK, (uint64_t)gap_s * 1000);
    if (w->is_lent) way_drop(sh, c);
}

/* A reader that is slow acknowledges all that it has room for, and is slow.c's. TCP would count its silence
 * from when its room was used up. */
static void unanswered(struct shard *sh, struct conn *c, struct push *p, const struct transport_facts *f)
{
    uint32_t ms = f->is_full ? 0 : conn_door(sh, c)->tcp_user_timeout * 1000;
    if (c->is_patient != (ms > 0) && c->transport.ops->patience != NULL) {
        c->transport.ops->patience(&c->transport, ms);
        c->is_patient = ms > 0;
    }
    p->is_late = true;
    p->due_ms = sh->now_ms + LOOK_MS;
    put(sh, p); /* there is room: it has just been taken out */
}

static void look(struct shard *sh, struct push *p)
{
    struct conn *c = conn_find(sh, p->id);
    struct transport_facts f;
    if (c == NULL || c->hung_up || !c->is_pushed) return;
    if (!way_facts(c, &f)) {
        c->is_pushed = false;
        return;
    }
    if (f.unanswered_bytes == 0 && c->out.bytes == 0)
        answered(sh, c, p, &f);
    else if (!f.is_over)
        unanswered(sh, c, p, &f);
}

void pushes_alarm(struct shard *sh)
{
    struct ways *w = &sh->ways;
    uint32_t most = LOOKS_A_TURN;
    while (w->pushes_count > 0 && at(w, 0)->due_ms <= sh->now_ms && most-- > 0) {
        struct push p = *at(w, 0);
        w->pushes_at = (w->pushes_at + 1) & (w->pushes_room - 1);
        w->pushes_count--;
        look(sh, &p);
    }
    sh->alarm_ms[ALARM_PUSHES] = 0;
    if (w->pushes_count == 0) {
        pushes_fini(w);
        return;
    }
    uint64_t due_ms = at(w, 0)->due_ms;
    bool has_more = due_ms <= sh->now_ms;
    sh->alarm_ms[ALARM_PUSHES] =
        !has_more && due_ms < sh->now_ms + LOOK_AGAIN_MS ? sh->now_ms + LOOK_AGAIN_MS : due_ms;
}
