/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nat_rules - what clients do that find their interval by themselves, to compare with: Mars, and halving.
 * They know at once whether a ping was answered, and the next ping obeys; the broker's learner has to see it
 * from outside.
 *
 * Thread:  one.
 * Memory:  plain values.
 * Limits:  none.
 * Errors:  none.
 * Tests:   by running tests/sim/nat --rules
 */
#ifndef SIM_NAT_RULES_H
#define SIM_NAT_RULES_H

#include <stdbool.h>
#include <stdint.h>

enum rules { RULES_OURS, RULES_MARS, RULES_HALVING, RULES_FIXED };

/* One client on one network. */
struct rule_state {
    uint32_t k_s, last_s;
    unsigned good, bad, of_connection;
    bool is_stable;
    int64_t changed_s;
};

void rule_init(struct rule_state *r, enum rules rules);
void rule_connected(struct rule_state *r);
uint32_t rule_interval_s(const struct rule_state *r, enum rules rules);
void rule_answered(struct rule_state *r, enum rules rules, int64_t now_s);
void rule_failed(struct rule_state *r, enum rules rules, int64_t now_s);

#endif
