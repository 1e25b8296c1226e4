/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema - the texts of schema/auth in order, ended by NULL; made by the build.
 *
 * Thread:  any; constants.
 * Memory:  none.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_accounts_db.c
 */
#ifndef ACCOUNTS_SCHEMA_H
#define ACCOUNTS_SCHEMA_H

extern const char *const schema_auth[];

#endif
