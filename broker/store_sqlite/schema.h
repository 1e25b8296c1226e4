/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema - the SQL of schema/broker, built in.
 *
 * Thread:  any.
 * Memory:  static.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_db.c
 */
#ifndef STORE_SQLITE_SCHEMA_H
#define STORE_SQLITE_SCHEMA_H

/* Step i brings user_version i to i + 1. NULL ends. */
extern const char *const schema_broker[];

#endif
