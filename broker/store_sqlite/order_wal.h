/* SPDX-License-Identifier: Apache-2.0 */
/*
 * order_wal - the order of one machine: its own log (wal/). What is proposed has its position at once.
 *
 * A record that does not fit into one of the log goes in parts, each with a position of its own; the last one
 * makes it whole, and gives it its position. After a crash between them the parts are nobody's.
 *
 * Thread:  see store/order.h.
 * Memory:  one record in parts, at boot.
 * Limits:  none on a record's size.
 * Errors:  see store/order.h; ERR_SYNTAX, ERR_RANGE, ERR_AGAIN of wal_open, with its report.
 * Tests:   tests/contract/journal_*.c, tests/unit/test_store_disk.c
 */
#ifndef STORE_SQLITE_ORDER_WAL_H
#define STORE_SQLITE_ORDER_WAL_H

#include "store/order.h"
#include "wal/wal.h"

enum err order_wal_open(struct order *out, const struct wal_conf *conf, struct wal_report *report);

/* Counts of the log below, for metrics. From the store's thread. */
struct wal_stat order_wal_stat(const struct order *o);

#endif
