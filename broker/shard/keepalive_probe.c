/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/keepalive_way.h"
#include "shard/shard_int.h"

/*
 * Clients that cannot be told an interval, or are to try one, are probed by the kernel: after so much silence
 * it sends what the client's own system answers. Who was probed is looked at some seconds after a probe was
 * due. MQTT's rule is to decide who is dead, so there are as many probes as its time has room for.
 */

enum { AGAIN_S = 10, PROBES_MOST = 127, LOOKS_A_TURN = 256 };

/* An answer takes a round trip, which on a radio that sleeps is seconds. */
static uint64_t look_after_ms(uint16_t idle_s)
{
    uint64_t ms = (uint64_t)idle_s * 1000 + idle_s * 1000U / 16;
    uint64_t most = (uint64_t)idle_s * 1000 + 3000;
    return ms < most ? ms : most;
}

bool way_may_probe(const struct shard *sh, const struct conn *c)
{
    uint32_t most = sh->config->keepalive_probes / sh->all->count;
    if (most == 0 && sh->config->keepalive_probes > 0) most = 1;
    return sh->ways.probed < most && c->transport.ops->probe != NULL && way_is_own(sh, c);
}

/* The kernel takes no more than 127 probes: they are sent less often then. */
static struct transport_probe probe_of(const struct conn *c, uint16_t idle_s)
{
    uint32_t ends_s = (uint32_t)c->keepalive_s * 3 / 2;
    uint32_t left_s = ends_s > idle_s ? ends_s - idle_s : 1;
    uint32_t again_s = idle_s < 4 * AGAIN_S ? idle_s / 4U + 1 : AGAIN_S;
    if (left_s / again_s >= PROBES_MOST) again_s = left_s / (PROBES_MOST - 1) + 1;
    return (struct transport_probe){ idle_s, (uint16_t)again_s, (uint8_t)(left_s / again_s + 1) };
}

static uint64_t last_ms(const struct conn *c, const struct way *w)
{
    return w->ack_ms > c->seen_ms ? w->ack_ms : c->seen_ms;
}

static void set_alarm(struct shard *sh)
{
    const struct due_entry *first = due_first(&sh->ways.probes);
    sh->alarm_ms[ALARM_PROBES] = first == NULL ? 0 : first->due;
}

static bool look_at(struct shard *sh, const struct conn *c, uint64_t due_ms)
{
    struct due *d = &sh->ways.probes;
    if (d->count == d->room && due_reserve(d, d->room * 2 + 16) != ERR_OK) return false;
    due_put(d, (struct due_entry){ due_ms, c->id });
    set_alarm(sh);
    return true;
}

bool way_probe(struct shard *sh, struct conn *c, struct way *w, uint16_t idle_s)
{
    struct transport_probe p = probe_of(c, idle_s);
    bool was_probed = w->probe_s > 0;
    if (idle_s > 0 && !was_probed) {
        uint64_t due_ms = sh->now_ms + look_after_ms(idle_s);
        if (!way_may_probe(sh, c) || !look_at(sh, c, due_ms)) return false;
        sh->ways.probed++;
        metrics_add(sh->metrics, METRIC_keepalive_probed, 1);
    }
    if (idle_s == 0 && was_probed) {
        sh->ways.probed--;
        metrics_sub(sh->metrics, METRIC_keepalive_probed, 1);
    }
    if (idle_s > 0 || was_probed) c->transport.ops->probe(&c->transport, &p);
    w->probe_s = idle_s;
    return true;
}

/* An acknowledgement that came about when a probe was due is the probe's. */
static void answered(struct shard *sh, struct conn *c, struct way *w, uint64_t ack_ms)
{
    enum { SOON_MS = 500 };
    uint64_t gap_ms = ack_ms - last_ms(c, w);
    enum ka_sign sign = w->is_late ? KA_SIGN_LATE : KA_SIGN_ACK;
    bool is_probes = gap_ms + SOON_MS >= (uint64_t)w->probe_s * 1000 && !c->is_spoiled;
    w->is_late = false;
    w->ack_ms = ack_ms;
    if (!is_probes) return;
    metrics_add(sh->metrics, METRIC_keepalive_probes_answered_total, 1);
    /* It was sent when it was due; the answer took its time. */
    way_sign(sh, c, sign, gap_ms > (uint64_t)w->probe_s * 1000 ? (uint64_t)w->probe_s * 1000 : gap_ms);
}

static void look(struct shard *sh, uint64_t id)
{
    struct conn *c = conn_find(sh, id);
    struct way *w = c == NULL ? NULL : way_of(c);
    struct transport_facts f;
    if (w == NULL || w->probe_s == 0 || !way_facts(c, &f)) return;
    uint64_t ack_ms = sh->now_ms > f.ack_ms ? sh->now_ms - f.ack_ms : 0;
    uint64_t again_ms = (uint64_t)probe_of(c, w->probe_s).again_s * 1000;
    if (f.probes > 0)
        w->is_late = true;
    else if (ack_ms > last_ms(c, w))
        answered(sh, c, w, ack_ms);
    if (w->probe_s == 0) return; /* it was the last */
    uint64_t due_ms = last_ms(c, w) + look_after_ms(w->probe_s);
    if (due_ms <= sh->now_ms) due_ms = sh->now_ms + again_ms;
    if (!look_at(sh, c, due_ms)) way_probe(sh, c, w, 0);
}

void probes_alarm(struct shard *sh)
{
    struct due *d = &sh->ways.probes;
    for (int most = LOOKS_A_TURN; most > 0 && d->count > 0 && due_first(d)->due <= sh->now_ms; most--)
        look(sh, due_take(d).seq);
    set_alarm(sh);
}
