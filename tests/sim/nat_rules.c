/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/nat_rules.h"

/* The constants of Mars, mars/stn/config.h, for a client in the background. */
enum {
    MARS_MIN_S = 210,
    MARS_MAX_S = 580, /* 600 less a step of success */
    MARS_STEP_S = 60,
    MARS_SUCCESS_S = 20,
    MARS_GOOD = 5,
    MARS_BAD = 2,
    MARS_FIRST = 3, /* pings of each connection at the shortest interval */
    MARS_STABLE_S = 7 * 24 * 3600,
};

/* As in XMPP clients that have been described: half after a failure, half as much again after five successes.
 */
enum { HALVING_START_S = 240, HALVING_MIN_S = 60, HALVING_MAX_S = 580, HALVING_GOOD = 5 };

enum { FIXED_S = 240 };

void rule_init(struct rule_state *r, enum rules rules)
{
    uint32_t start_s = rules == RULES_MARS ? MARS_MIN_S : rules == RULES_HALVING ? HALVING_START_S : FIXED_S;
    *r = (struct rule_state){ .k_s = start_s };
}

void rule_connected(struct rule_state *r)
{
    r->of_connection = 0;
    r->last_s = 0;
}

uint32_t rule_interval_s(const struct rule_state *r, enum rules rules)
{
    return rules == RULES_MARS && r->of_connection < MARS_FIRST ? MARS_MIN_S : r->k_s;
}

static void mars_change(struct rule_state *r, uint32_t k_s, bool is_stable, int64_t now_s)
{
    r->k_s = k_s;
    r->is_stable = is_stable;
    r->good = r->bad = 0;
    r->changed_s = now_s;
}

static void mars_answered(struct rule_state *r, uint32_t interval_s, int64_t now_s)
{
    bool is_same = r->last_s == interval_s;
    r->last_s = interval_s;
    r->of_connection++;
    if (!is_same || interval_s != r->k_s) return;
    r->bad = 0;
    r->good++;
    if (r->is_stable) {
        if (now_s - r->changed_s >= MARS_STABLE_S && r->k_s < MARS_MAX_S)
            mars_change(r, r->k_s + MARS_SUCCESS_S, false, now_s);
        return;
    }
    if (r->good < MARS_GOOD) return;
    if (r->k_s >= MARS_MAX_S)
        mars_change(r, r->k_s, true, now_s);
    else
        mars_change(r, r->k_s + MARS_STEP_S < MARS_MAX_S ? r->k_s + MARS_STEP_S : MARS_MAX_S, false, now_s);
}

static void mars_failed(struct rule_state *r, uint32_t interval_s, int64_t now_s)
{
    if (interval_s != r->k_s || r->k_s <= MARS_MIN_S) return;
    r->good = 0;
    if (++r->bad < MARS_BAD) return;
    if (r->is_stable)
        mars_change(r, MARS_MIN_S, false, now_s);
    else
        mars_change(r,
                    r->k_s > MARS_MIN_S + MARS_STEP_S + MARS_SUCCESS_S ? r->k_s - MARS_STEP_S - MARS_SUCCESS_S
                                                                       : MARS_MIN_S,
                    true, now_s);
}

void rule_answered(struct rule_state *r, enum rules rules, int64_t now_s)
{
    if (rules == RULES_MARS) mars_answered(r, rule_interval_s(r, rules), now_s);
    if (rules != RULES_HALVING || ++r->good < HALVING_GOOD) return;
    r->good = 0;
    r->k_s = r->k_s * 3 / 2 < HALVING_MAX_S ? r->k_s * 3 / 2 : HALVING_MAX_S;
}

void rule_failed(struct rule_state *r, enum rules rules, int64_t now_s)
{
    if (rules == RULES_MARS) mars_failed(r, rule_interval_s(r, rules), now_s);
    if (rules != RULES_HALVING) return;
    r->good = 0;
    r->k_s = r->k_s / 2 > HALVING_MIN_S ? r->k_s / 2 : HALVING_MIN_S;
}
