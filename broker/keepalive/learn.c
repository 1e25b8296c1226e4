/* SPDX-License-Identifier: Apache-2.0 */
#include "keepalive/learn.h"
#include <stddef.h>

/*
 *             held                 failed                  ceil - proven <= fine
 *   UP  k += step ----> UP      UP ----------> FINE  ------------------------------> REST at proven - margin
 *    ^                           |  nothing     ^ k = proven + step or + fine          |
 *    |                           |  has held    |                                      | wait_s connected
 *    |                           +-> k / 3 -----+                                      v
 *    +------------------------------------------------------ held: no ceil ---------- TEST of ceil
 *                                                                failed: REST, and a longer wait
 *
 *   REST fails:  begins again at a third, with this as ceil: drop()
 *
 * A network's time-out is a wall: beyond it nothing survives. So one success shows that an interval is below
 * it, and a few failures in a row do not undo that, whatever the noise; without a single success two are
 * enough, and for an interval that has failed before, one is; each success takes one more. Why not Mars'
 * counts: docs/keepalive.md.
 */

enum {
    HALVES_STRONG = 2,
    HALVES_WEAK = 1,
    STEPS = 4,
    DROP = 3,        /* nothing has held: a third. Deaths cost more than the pings of a few trials */
    WAIT_GROWTH = 3, /* of the time to the next test of a limit that still holds */
    ROUNDING_S = 2,  /* what is lost when gaps are counted in whole seconds */
    COUNT_MAX = 100, /* of good and bad; far from their type's end */
};

const struct ka_conf ka_conf_default = {
    .start_s = 240,
    .min_s = 60,
    .max_s = 580,
    .step_s = 60,
    .fine_s = 20,
    .margin_s = 20,
    .good = 5,
    .bad_new = 2 * HALVES_STRONG - 1,
    .bad_held = 5 * HALVES_STRONG,
    .bad_again = HALVES_STRONG,
    .wait_s = 24 * 3600,
    .wait_max_s = 28 * 24 * 3600,
    .outage_s = 10,
    .outage_count = 5,
    .outage_per_mille = 50,
};

static uint16_t clamp(uint32_t value, const struct ka_conf *c)
{
    if (value < c->min_s) return c->min_s;
    return value > c->max_s ? c->max_s : (uint16_t)value;
}

/* Where to stand, from what is known: below the longest that held, as the limit is near; at it, if none is
 * known. */
static uint16_t rest_at(const struct ka_state *s, const struct ka_conf *c)
{
    if (s->ceil_s == 0) return clamp(s->proven_s > 0 ? s->proven_s : s->k_s, c);
    return clamp(s->proven_s > c->margin_s ? (uint32_t)s->proven_s - c->margin_s : 0, c);
}

static uint16_t granted(uint16_t k_s, const struct ka_state *s, const struct ka_conf *c,
                        const struct ka_terms *t)
{
    if (t->asked_s == 0 || t->mode == KA_OFF) return t->asked_s;
    /* What is above max_s is the client's own, to be tested as its limit. */
    if (t->mode == KA_CAP && (s->ceil_s == 0 || k_s > c->max_s)) return t->asked_s;
    uint16_t own = clamp(k_s, c);
    return t->mode == KA_LEARN || own < t->asked_s ? own : t->asked_s;
}

uint16_t ka_grant(const struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t)
{
    return granted(s->k_s, s, c, t);
}

uint16_t ka_settled(const struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t)
{
    return granted(rest_at(s, c), s, c, t);
}

void ka_state_init(struct ka_state *s, const struct ka_conf *c, uint16_t prior_s)
{
    *s = (struct ka_state){ .k_s = clamp(prior_s > 0 ? prior_s : c->start_s, c),
                            .phase = KA_UP,
                            .wait_s = c->wait_s };
}

void ka_state_mend(struct ka_state *s, const struct ka_conf *c)
{
    if (s->k_s == 0) s->k_s = clamp(c->start_s, c);
    if (s->ceil_s > 0 && s->proven_s >= s->ceil_s) s->proven_s = 0;
    if (s->phase >= KA_PHASES || (s->ceil_s == 0 && s->phase != KA_UP)) s->phase = KA_UP;
    if (s->phase == KA_UP && s->ceil_s > 0) s->phase = KA_FINE;
    if (s->good > COUNT_MAX) s->good = COUNT_MAX;
    if (s->bad > COUNT_MAX) s->bad = COUNT_MAX;
    if (s->wait_s < c->wait_s) s->wait_s = c->wait_s;
    if (s->wait_s > c->wait_max_s) s->wait_s = c->wait_max_s;
    if (s->rested_s > s->wait_s) s->rested_s = s->wait_s;
}

static void rest(struct ka_state *s, const struct ka_conf *c)
{
    s->phase = KA_REST;
    s->k_s = rest_at(s, c);
    s->rested_s = 0;
}

/* A quarter more, within bounds: below, a step is more likely to be one too far. */
static uint32_t coarse(uint16_t from_s, const struct ka_conf *c)
{
    uint32_t step_s = from_s / STEPS;
    if (step_s > c->step_s) step_s = c->step_s;
    return from_s + (step_s < c->fine_s ? c->fine_s : step_s);
}

/* No limit is known: a step up, if there is room for one. */
static void climb(struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t)
{
    uint32_t next = coarse(s->k_s, c);
    if (t->limit_s > 0 && next > t->limit_s) next = t->limit_s;
    if (next > c->max_s) next = c->max_s;
    s->phase = KA_UP;
    if (next > s->k_s) s->k_s = (uint16_t)next;
}

/* Between proven and ceil: the next trial, or the end of it. */
static void narrow(struct ka_state *s, const struct ka_conf *c)
{
    uint32_t next = coarse(s->proven_s, c);
    if (next >= s->ceil_s) next = (uint32_t)s->proven_s + c->fine_s;
    if (next + ROUNDING_S >= s->ceil_s || next > c->max_s) {
        rest(s, c);
        return;
    }
    s->phase = KA_FINE;
    s->k_s = (uint16_t)next;
}

/* Nothing is known to hold: well below what has failed. At the bottom there is nothing else to try. */
static void drop(struct ka_state *s, const struct ka_conf *c, uint16_t at_s)
{
    s->proven_s = 0;
    if (at_s <= c->min_s) {
        rest(s, c);
        return;
    }
    s->phase = KA_FINE;
    s->k_s = clamp(at_s / DROP, c);
}

static void test(struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t)
{
    uint32_t next = s->ceil_s;
    if (next > c->max_s && t->mode != KA_CAP) return;
    if (t->limit_s > 0 && next > t->limit_s) return;
    s->phase = KA_TEST;
    s->k_s = (uint16_t)next;
}

/* What is in force has held as often as is needed. */
static void held(struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t, uint16_t at_s)
{
    if (s->proven_s < at_s) s->proven_s = at_s;
    if (s->ceil_s > 0 && s->proven_s >= s->ceil_s) {
        s->ceil_s = 0;
        s->wait_s = c->wait_s;
        s->rested_s = 0;
    }
    if (s->ceil_s == 0) {
        if (at_s > s->k_s) s->k_s = at_s; /* KA_CAP: the client's own */
        if (at_s >= s->k_s) climb(s, c, t);
        return;
    }
    if (at_s < s->k_s) return;
    if (s->phase == KA_REST) {
        if (s->rested_s >= s->wait_s) test(s, c, t);
        return;
    }
    narrow(s, c);
}

/* What is in force has failed as often as is needed. */
static void failed(struct ka_state *s, const struct ka_conf *c, uint16_t at_s)
{
    bool is_again = s->phase == KA_TEST && at_s >= s->ceil_s;
    if (is_again) {
        s->wait_s = s->wait_s > c->wait_max_s / WAIT_GROWTH ? c->wait_max_s : s->wait_s * WAIT_GROWTH;
        rest(s, c);
        return;
    }
    s->ceil_s = at_s;
    s->wait_s = c->wait_s;
    s->rested_s = 0;
    if (s->proven_s > 0 && s->proven_s < at_s)
        narrow(s, c);
    else
        drop(s, c, at_s);
}

/* A failure after nine tenths of an interval is its own. */
static bool is_whole(const struct ka_event *e, uint16_t at_s)
{
    return (uint32_t)e->gap_s * 10 >= (uint32_t)at_s * 9;
}

static bool success(struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t,
                    const struct ka_event *e)
{
    struct ka_state before = *s;
    s->bad = 0;
    if (s->good < COUNT_MAX) s->good++;
    s->rested_s = s->wait_s - s->rested_s > e->gap_s ? s->rested_s + e->gap_s : s->wait_s;
    if (s->good >= c->good) held(s, c, t, s->trial_s);
    return s->k_s != before.k_s || s->proven_s != before.proven_s || s->ceil_s != before.ceil_s;
}

static bool failure(struct ka_state *s, const struct ka_conf *c, const struct ka_event *e)
{
    bool is_again = s->phase == KA_TEST && s->trial_s >= s->ceil_s;
    uint32_t enough = (is_again ? c->bad_again : c->bad_new) + HALVES_STRONG * (uint32_t)s->good;
    if (s->proven_s >= s->trial_s || enough > c->bad_held) enough = c->bad_held;

    bool is_strong = e->kind == KA_FAIL_STRONG && is_whole(e, s->trial_s);
    if (s->bad < COUNT_MAX) s->bad = (uint8_t)(s->bad + (is_strong ? HALVES_STRONG : HALVES_WEAK));
    if (s->bad < enough) return false;
    failed(s, c, s->trial_s);
    s->good = s->bad = 0;
    return true;
}

/* A success shows nothing of what is longer than itself; a failure shows that what is longer fails, too.
 * After less than half of it there are more causes than one. */
static bool is_of(const struct ka_event *e, uint16_t at_s)
{
    if (e->in_force_s != at_s) return false;
    if (e->kind == KA_SUCCESS) return (uint32_t)e->gap_s + ROUNDING_S >= at_s;
    return true;
}

bool ka_learn(struct ka_state *s, const struct ka_conf *c, const struct ka_terms *t, const struct ka_event *e)
{
    uint16_t at_s = ka_grant(s, c, t);

    if (t->mode == KA_OFF || at_s == 0 || e->kind == KA_NEUTRAL || !is_of(e, at_s)) return false;
    if (s->trial_s != at_s) {
        s->trial_s = at_s;
        s->good = s->bad = 0;
    }
    return e->kind == KA_SUCCESS ? success(s, c, t, e) : failure(s, c, e);
}
