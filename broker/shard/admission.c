/* SPDX-License-Identifier: Apache-2.0 */
#include "shard/admission.h"
#include "net/address.h"
#include "shard/connect.h"
#include "shard/on_login.h"
#include "shard/shard_int.h"

/* --- is there trouble? */

static bool is_troubled(const struct shard *sh)
{
    return tally_get(&sh->all->admission.until_ms) > sh->now_ms && sh->config->admission_rate > 0;
}

static void set_alarm(struct shard *sh, uint64_t at_ms)
{
    uint64_t *alarm = &sh->alarm_ms[ALARM_ADMISSION];
    if (*alarm == 0 || *alarm > at_ms) *alarm = at_ms;
}

/* One shard says that it begins, and looks for its end. */
static void watch(struct shard *sh)
{
    if (sh->watches_admission || !gauge_take(&sh->all->admission.watched, 1)) return;
    sh->watches_admission = true;
    metrics_add(sh->metrics, METRIC_admission_limited, 1);
    log_event(sh->log, EVENT_ADMISSION_LIMITED, LOG_NUM("admission_rate", sh->config->admission_rate));
    set_alarm(sh, tally_get(&sh->all->admission.until_ms));
}

static void trouble(struct shard *sh)
{
    tally_set(&sh->all->admission.until_ms, sh->now_ms + ADMISSION_QUIET_MS);
    watch(sh);
}

static void look_for_end(struct shard *sh)
{
    if (!sh->watches_admission) return;
    if (is_troubled(sh)) {
        set_alarm(sh, tally_get(&sh->all->admission.until_ms));
        return;
    }
    sh->watches_admission = false;
    metrics_sub(sh->metrics, METRIC_admission_limited, 1);
    log_event(sh->log, EVENT_ADMISSION_FREE, LOG_NUM("held", gauge_count(&sh->all->admission.held)));
    gauge_give(&sh->all->admission.watched);
}

static void count(struct shard *sh, struct bucket *b)
{
    uint32_t rate = sh->config->admission_rate;
    if (rate > 0 && !sh->closing && !bucket_take(b, rate, sh->now_ms)) trouble(sh);
}

void admission_lost(struct shard *sh)
{
    count(sh, &sh->all->admission.lost);
}

void admission_returned(struct shard *sh)
{
    count(sh, &sh->all->admission.returned);
}

void admission_boot(struct shard *sh, size_t sessions)
{
    uint32_t rate = sh->config->admission_rate;
    if (rate > 0 && sessions > rate) trouble(sh);
}

/* --- who comes */

static bool is_operator(const struct conn *c)
{
    struct net_address from;
    transport_address(&c->transport, &from);
    return from.kind == ADDRESS_LOCAL;
}

static bool refuse(struct shard *sh, struct conn *c, enum mqtt_rc why)
{
    metrics_add(sh->metrics, METRIC_connects_put_off_total, 1);
    connack_refuse(sh, c, why);
    return true;
}

/* Its CONNECT has come; the time for that begins anew when it is let in. */
static bool hold(struct shard *sh, struct conn *c, uint64_t until_ms)
{
    struct due *due = &sh->held;
    bool has_room = due->count < due->room || due_reserve(due, due->room * 2 + 64) == ERR_OK;
    if (!has_room) {
        gauge_give(&sh->all->admission.held);
        return refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    }
    metrics_add(sh->metrics, METRIC_connects_held_total, 1);
    due_put(due, (struct due_entry){ until_ms, c->id });
    set_alarm(sh, until_ms);
    wheel_start(sh->conn_wheel, &c->timer, until_ms + (uint64_t)sh->config->connect_timeout_s * 1000);
    conn_pause(sh, c, PAUSE_ADMISSION);
    return true;
}

static bool put_off(struct shard *sh, struct conn *c)
{
    struct admission *a = &sh->all->admission;
    uint32_t rate = sh->config->admission_rate;
    uint64_t most_ms = (uint64_t)sh->config->admission_wait * 1000;
    uint64_t turn_ms = bucket_wait_ms(&a->admitted, rate, sh->now_ms);
    trouble(sh);
    if (!gauge_take(&a->held, sh->config->admission_waiting)) return refuse(sh, c, MQTT_RC_QUOTA_EXCEEDED);
    c->is_admitted = turn_ms <= most_ms;
    if (c->is_admitted) {
        bucket_spend(&a->admitted, rate, 1, sh->now_ms);
        return hold(sh, c, sh->now_ms + turn_ms);
    }
    if (c->version != MQTT_V5) return hold(sh, c, sh->now_ms + most_ms);
    gauge_give(&a->held);
    return refuse(sh, c, MQTT_RC_CONNECTION_RATE_EXCEEDED);
}

bool admission_stops(struct shard *sh, struct conn *c, const struct frame *f)
{
    struct connect p;
    struct admission *a = &sh->all->admission;
    if (c->is_admitted || !is_troubled(sh) || f->type != PACKET_CONNECT) return false;
    /* What is wrong with it is on_connect's to say. */
    if (connect_decode(f->body, &p) != MQTT_RC_OK || login_identify(sh, c, &p) != MQTT_RC_OK) return false;
    connect_learn(c, &p);
    const struct session *s = p.client_id.len == 0 ? NULL : sessions_find(sh, p.client_id);
    c->is_admitted = true;
    /* Takeovers beyond the rate leave no debt: or who knows a client id could keep everybody else out. */
    bool has_turn = bucket_take(&a->admitted, sh->config->admission_rate, sh->now_ms);
    if (has_turn || (s != NULL && s->conn != NULL) || is_operator(c)) return false;
    return put_off(sh, c);
}

static void let_go(struct shard *sh, struct conn *c)
{
    if ((c->paused & PAUSE_ADMISSION) == 0 || c->state != CONN_NEW) return;
    if (c->is_admitted)
        conn_resume(sh, c, PAUSE_ADMISSION);
    else
        refuse(sh, c, MQTT_RC_SERVER_UNAVAILABLE);
}

void admission_alarm(struct shard *sh)
{
    struct due *due = &sh->held;
    for (const struct due_entry *e = due_first(due); e != NULL && e->due <= sh->now_ms; e = due_first(due)) {
        struct conn *c = conn_find(sh, due_take(due).seq);
        gauge_give(&sh->all->admission.held);
        if (c != NULL) let_go(sh, c);
    }
    look_for_end(sh);
    const struct due_entry *next = due_first(due);
    if (next != NULL) set_alarm(sh, next->due);
}
