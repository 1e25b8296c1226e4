/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accounts - longlink accounts: who is in a database of longlink_auth.so, in which teams, and the rules.
 * Passwords are longlink passwd's.
 *
 * Thread:  one.
 * Memory:  none.
 * Limits:  those of accounts/accounts_db.h.
 * Errors:  the exit status: 0 good, 1 failed and nothing has changed, 2 wrong usage; stderr says why.
 * Tests:   tests/e2e/test_accounts.py
 */
#ifndef CLI_ACCOUNTS_H
#define CLI_ACCOUNTS_H

int accounts_main(int argc, char *const *argv);
void accounts_help(void);

#endif
