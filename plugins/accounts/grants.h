/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants - who may publish and subscribe to what: lists of filters with %c (the client id) and %u (the user
 * name), each allowing or denying, with a priority.
 *
 * Of the rules that speak of a topic the one with the highest priority counts; of several, a denial. To
 * subscribe to a filter a rule must cover all of it; what one has subscribed to is judged again, topic by
 * topic, when it is delivered. A name with '+', '#' or '/', and at the begin of a filter one with '$' at its
 * own, is never put into a filter that allows, and is denied what a denial with it may mean.
 *
 * Thread:  made on one; then any, for nothing in it changes.
 * Memory:  owns copies.
 * Limits:  RULES_MAX a list; filters as in topic/topic.h.
 * Errors:  ERR_SYNTAX: no filter; ERR_FULL; ERR_NOMEM.
 * Tests:   tests/unit/test_accounts_grants.c
 */
#ifndef ACCOUNTS_GRANTS_H
#define ACCOUNTS_GRANTS_H

#include "base/bytes.h"
#include "base/err.h"

struct grants;

enum { RULES_MAX = 100 * 1000 };

enum rule_action { RULE_PUBLISH = 1, RULE_SUBSCRIBE = 2, RULE_BOTH = 3 };

struct rule_conf {
    enum rule_action action;
    bool denies;
    int32_t priority;
    struct bytes filter; /* copied */
};

enum err grants_new(struct grants **out);
void grants_free(struct grants **owner);
enum err grants_add(struct grants *r, const struct rule_conf *conf);
size_t grants_count(const struct grants *r);

/* Once, when all are in. */
void grants_sort(struct grants *r);

struct rule_who {
    struct bytes username; /* at NULL: none */
    struct bytes client_id;
};

enum rule_question {
    RULE_MAY_PUBLISH,   /* to a topic */
    RULE_MAY_RECEIVE,   /* a message with that topic */
    RULE_MAY_SUBSCRIBE, /* to a filter, which may begin with $share/GROUP/ */
};

enum rule_answer { RULE_SILENT, RULE_ALLOWED, RULE_DENIED };

struct rule_verdict {
    enum rule_answer answer;
    int32_t priority;
};

/* NULL has no rules. */
struct rule_verdict grants_ask(const struct grants *r, const struct rule_who *who,
                               enum rule_question question, struct bytes topic);

/* What two lists say together. */
struct rule_verdict grants_join(struct rule_verdict a, struct rule_verdict b);

/* Is every topic of `asked` one of `filter`? */
bool grants_covers(struct bytes filter, struct bytes asked);

#endif
