/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accounts - accounts, teams, rules and limits as they stood in the database at one moment.
 *
 * Thread:  made on one; then any, for nothing in it changes.
 * Memory:  counted; owns copies.
 * Limits:  ACCOUNTS_MAX accounts, teams, members, rules.
 * Errors:  ERR_NOMEM, ERR_FULL; ERR_SYNTAX: a row that cannot be, with what is allowed in the note.
 * Tests:   tests/unit/test_accounts.c
 */
#ifndef ACCOUNTS_ACCOUNTS_H
#define ACCOUNTS_ACCOUNTS_H

#include "accounts/grants.h"
#include "base/bytes.h"
#include "base/err.h"

struct accounts;
struct account;
struct team;

enum {
    ACCOUNTS_MAX = 1000 * 1000,
    ACCOUNTS_CLASS_BYTES = 64,
    ACCOUNTS_NOTE_BYTES = 512,
    ACCOUNTS_SEED_BYTES = 32
};

enum limit_policy { LIMIT_KICK_OLDER, LIMIT_REFUSE_NEWER };

struct account_limit {
    char class[ACCOUNTS_CLASS_BYTES];
    uint32_t connections; /* 0: any number */
    enum limit_policy policy;
};

/* --- making one: with one reference, and then nothing is added any more */

struct account_conf {
    int64_t id;
    struct bytes name, secret; /* the latter at NULL: none */
    bool is_enabled;
};
enum err accounts_new(struct accounts **out);
enum err accounts_add(struct accounts *a, const struct account_conf *conf);
enum err accounts_add_team(struct accounts *a, int64_t id);
enum err accounts_add_member(struct accounts *a, int64_t team_id, int64_t account_id);

/* Of an account, a team, or with 0 for both of everybody. */
struct rule_owner {
    int64_t account_id, team_id;
};
enum err accounts_add_rule(struct accounts *a, struct rule_owner owner, const struct rule_conf *rule);
void accounts_set_seed(struct accounts *a, const uint8_t seed[ACCOUNTS_SEED_BYTES]);
enum err accounts_add_limit(struct accounts *a, int64_t account_id, const struct account_limit *limit);
void accounts_finish(struct accounts *a);

/* --- asking */

struct accounts *accounts_ref(struct accounts *a);
void accounts_unref(struct accounts **owner);
size_t accounts_count(const struct accounts *a);

/* For names that nobody has, which must look as if somebody had them: what to make their salts of (random, if
 * it was not set), and a secret that takes as long to check as most do (at NULL: there is none). */
const uint8_t *accounts_seed(const struct accounts *a);
struct bytes accounts_usual_secret(const struct accounts *a);

/* NULL: there is none. What is found lives as long as the accounts. */
const struct account *accounts_find(const struct accounts *a, struct bytes name);
bool account_is_enabled(const struct account *c);
struct bytes account_secret(const struct account *c);                                  /* at NULL: none */
const struct account_limit *account_limit(const struct account *c, const char *class); /* NULL: none */

/* The rules of the account with that user name, of its teams and of everybody. NULL has no rules. */
enum rule_answer accounts_ask(const struct accounts *a, const struct rule_who *who,
                              enum rule_question question, struct bytes topic);

#endif
