/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/classify.h"
#include <string.h>

enum {
    EARLY_S = 5,           /* a client's ping comes at its interval; clocks and rounding take so much */
    PROMPT_S = 30,         /* and it knows within this that it has failed: a reset, a handshake, TLS */
    BACK_S = 60,           /* a client that is here again so soon was there all the time */
    RESET_MS = 1000,       /* a reset so soon after a send is its answer, */
    RESET_ROUND_TRIPS = 3, /* and on a slow path within so many round trips */
    UNANSWERED_MS = 20000, /* TCP has sent it again some six times */
    FRESH_MS = 120000,     /* who comes back so soon after it has come because of it */
    AFTER_OUTAGE_S = 60,   /* who was in an outage may need so long to be back */
};

static struct ka_event event(enum ka_kind kind, uint32_t gap_s, uint16_t in_force_s)
{
    uint16_t gap = gap_s > UINT16_MAX ? UINT16_MAX : (uint16_t)gap_s;
    return (struct ka_event){ (uint8_t)kind, gap, in_force_s };
}

struct ka_event ka_judge_end(const struct ka_end *end, uint16_t in_force_s)
{
    uint64_t soon_ms = (uint64_t)end->round_trip_ms * RESET_ROUND_TRIPS;
    if (soon_ms < RESET_MS) soon_ms = RESET_MS;
    bool is_answer = end->how == KA_END_RESET && end->has_unacked && end->sent_ago_ms <= soon_ms;
    return event(is_answer ? KA_FAIL_STRONG : KA_NEUTRAL, end->sent_gap_s, in_force_s);
}

/* The client's next packet was due: did it go where nobody knew it? */
enum ping {
    PING_NOT_DUE, /* or long ago */
    PING_MISSED,  /* and the client is here some time later */
    PING_FAILED,  /* and the client is here at once, as after a reset */
};

static enum ping ping_of(const struct ka_end *end, uint32_t away_s)
{
    uint64_t packet_s = (uint64_t)end->packet_s + away_s;
    uint32_t k_s = end->keepalive_s;
    if (k_s == 0 || packet_s + EARLY_S < k_s) return PING_NOT_DUE;
    if (packet_s <= k_s + PROMPT_S) return PING_FAILED;
    /* One that waits a whole interval for its answer is here after two. */
    return packet_s <= 2 * (uint64_t)k_s + PROMPT_S ? PING_MISSED : PING_NOT_DUE;
}

/* The silence before that packet: one interval, if nothing was acknowledged meanwhile. */
static uint32_t gap_of(const struct ka_end *end, uint32_t away_s, uint16_t in_force_s)
{
    uint64_t silent_s = (uint64_t)end->silent_s + away_s;
    return silent_s + EARLY_S >= in_force_s ? in_force_s : (uint32_t)silent_s;
}

struct ka_event ka_judge_return(const struct ka_end *end, uint16_t in_force_s, uint32_t away_s)
{
    static const enum ka_kind meaning[] = { KA_NEUTRAL, KA_FAIL_WEAK, KA_FAIL_STRONG };
    enum ping ping = ping_of(end, away_s);
    bool is_over = end->how == KA_END_TAKEN_OVER || end->how == KA_END_SILENT;
    bool is_unanswered =
        end->has_unacked && (end->how == KA_END_TIMED_OUT || (is_over && end->sent_ago_ms >= UNANSWERED_MS));
    bool is_back = away_s <= BACK_S;
    uint64_t silent_s = (uint64_t)end->silent_s + away_s;

    if (in_force_s == 0) return event(KA_NEUTRAL, 0, 0);
    if (is_unanswered && end->how == KA_END_TAKEN_OVER) is_back = end->sent_ago_ms <= FRESH_MS;
    if (is_unanswered && (is_back || (ping == PING_FAILED && end->sent_ago_ms <= FRESH_MS)))
        return event(KA_FAIL_STRONG, end->sent_gap_s, in_force_s);
    if (is_unanswered && silent_s <= 2 * (uint64_t)end->keepalive_s)
        return event(KA_FAIL_WEAK, end->sent_gap_s, in_force_s);
    if (!is_over) return event(KA_NEUTRAL, 0, in_force_s);
    if (end->how == KA_END_SILENT) ping = is_back || ping != PING_NOT_DUE ? PING_MISSED : PING_NOT_DUE;
    return event(meaning[ping], gap_of(end, away_s, in_force_s), in_force_s);
}

struct ka_event ka_judge_sign(enum ka_sign sign, uint32_t gap_s, uint16_t in_force_s)
{
    return event(sign == KA_SIGN_LATE ? KA_NEUTRAL : KA_SUCCESS, gap_s, in_force_s);
}

void ka_outages_init(struct ka_outages *o, int64_t now_s)
{
    *o = (struct ka_outages){ .second = now_s, .forgotten_s = INT64_MIN };
}

void ka_outages_connected(struct ka_outages *o)
{
    o->connections++;
}

static uint32_t *lost_at(struct ka_outages *o, int64_t second)
{
    return &o->lost[(uint64_t)second % KA_OUTAGE_SECONDS];
}

/* Clears the seconds that have gone by. */
static void turn_to(struct ka_outages *o, int64_t now_s)
{
    int64_t passed = now_s - o->second;
    if (passed < 0 || passed >= KA_OUTAGE_SECONDS) {
        memset(o->lost, 0, sizeof o->lost);
        o->second = now_s;
    }
    while (o->second < now_s) *lost_at(o, ++o->second) = 0;
}

/* Gives whether it is a new one. */
static bool remember(struct ka_outages *o, int64_t from_s, int64_t to_s)
{
    if (o->count > 0 && from_s <= o->past[o->count - 1].to_s && to_s >= o->past[o->count - 1].to_s) {
        o->past[o->count - 1].to_s = to_s;
        return false;
    }
    if (o->count == KA_OUTAGES_MAX) {
        if (o->past[0].to_s > o->forgotten_s) o->forgotten_s = o->past[0].to_s;
        memmove(o->past, o->past + 1, sizeof o->past - sizeof o->past[0]);
        o->count--;
    }
    o->past[o->count].from_s = from_s;
    o->past[o->count++].to_s = to_s;
    return true;
}

bool ka_outages_ended(struct ka_outages *o, const struct ka_conf *c, uint8_t how, int64_t now_s)
{
    if (o->connections > 0) o->connections--;
    if (how == KA_END_DISCONNECT || how == KA_END_OURS) return false;

    int64_t window_s = c->outage_s < KA_OUTAGE_SECONDS ? c->outage_s : KA_OUTAGE_SECONDS;
    uint64_t lost = 0;
    turn_to(o, now_s);
    ++*lost_at(o, now_s);
    for (int64_t s = now_s - window_s + 1; s <= now_s; s++) lost += *lost_at(o, s);
    if (lost < c->outage_count || lost * 1000 <= c->outage_per_mille * (o->connections + lost)) return false;
    return remember(o, now_s - window_s, now_s);
}

enum ka_answer ka_outages_ask(const struct ka_outages *o, const struct ka_conf *c, int64_t lost_s,
                              int64_t back_s, int64_t now_s)
{
    if (now_s < back_s || lost_s <= o->forgotten_s) return KA_YES;
    for (unsigned i = 0; i < o->count; i++)
        if (back_s >= o->past[i].from_s && lost_s <= o->past[i].to_s + AFTER_OUTAGE_S) return KA_YES;
    return now_s - back_s < c->outage_s ? KA_TOO_EARLY : KA_NO;
}
