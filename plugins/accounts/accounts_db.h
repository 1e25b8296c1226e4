/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accounts_db - the database of schema/auth: read whole, and changed a row at a time.
 *
 * Thread:  one at a time.
 * Memory:  a connection of SQLite.
 * Limits:  those of accounts.h.
 * Errors:  with a text in accounts_db_error. ERR_UNKNOWN: the schema is newer than this program;
 * ERR_NOTFOUND: no such row; ERR_SYNTAX: it is no such database, or a row cannot be; ERR_SYS, ERR_NOMEM.
 * Tests:   tests/unit/test_accounts_db.c
 */
#ifndef ACCOUNTS_ACCOUNTS_DB_H
#define ACCOUNTS_ACCOUNTS_DB_H

#include "accounts/accounts.h"

struct accounts_db;

enum accounts_db_mode { ACCOUNTS_DB_OPEN, ACCOUNTS_DB_CREATE };

/* Brings an older schema up to date. *out is given with every result but ERR_NOMEM, for its error; it must be
 * closed. */
enum err accounts_db_open(struct accounts_db **out, const char *path, enum accounts_db_mode mode);
void accounts_db_close(struct accounts_db **owner);
const char *accounts_db_error(const struct accounts_db *db);

/* From now on does not wait for long while others write. */
void accounts_db_hurry(struct accounts_db *db);

/* Has anybody else changed it since the last time, or could it not be read then? True the first time. */
bool accounts_db_changed(struct accounts_db *db);

/* Is another file in its place? Then this one is nobody's any more. A missing one is not another one. */
bool accounts_db_is_replaced(const struct accounts_db *db);

enum err accounts_db_load(struct accounts_db *db, struct accounts **out);

/* secret at NULL: none. Keeps groups, rules and limits of an account that is there. */
enum err accounts_db_put(struct accounts_db *db, struct bytes name, struct bytes secret);
enum err accounts_db_add(struct accounts_db *db,
                         struct bytes name); /* without a secret, if it is not there */
enum err accounts_db_remove(struct accounts_db *db, struct bytes name);

/* The change says "NAME" what: an enabled or disabled account, a team, a member, a rule. */
enum err accounts_db_enable(struct accounts_db *db, struct bytes name, bool is_enabled);
enum err accounts_db_join(struct accounts_db *db, struct bytes team, struct bytes name); /* makes the team */
enum err accounts_db_leave(struct accounts_db *db, struct bytes team, struct bytes name);

struct accounts_db_rule {
    struct bytes account, team; /* one of both at most; at NULL: not of such a one */
    struct rule_conf conf;
};
enum err accounts_db_add_rule(struct accounts_db *db, const struct accounts_db_rule *rule);
enum err accounts_db_remove_rule(struct accounts_db *db, int64_t id);

/* Each line of a list, in its order, as text for people. */
enum accounts_db_list { ACCOUNTS_DB_LIST_ACCOUNTS, ACCOUNTS_DB_LIST_RULES };
enum err accounts_db_each(struct accounts_db *db, enum accounts_db_list which,
                          void (*each)(const char *line, void *arg), void *arg);

#endif
