/* SPDX-License-Identifier: Apache-2.0 */
/*
 * on_disk - store_disk as the journal's contract starts it, in a directory of its own or the test's.
 *
 * Thread:  the test's.
 * Memory:  borrows the conf; the log is the test's, and outlives the store.
 * Limits:  none.
 * Errors:  end the test.
 * Tests:   it is one.
 */
#ifndef CONTRACT_ON_DISK_H
#define CONTRACT_ON_DISK_H

#include "contract/fake_order.h"
#include "store_sqlite/store_disk.h"

struct on_disk_conf {
    struct fake_log *log; /* NULL: a log of its own */
    const char *dir;      /* NULL: a new one, which goes with the store */
    struct backlog_limits limits;
    const struct clock *clock;
    struct restore_sink restore; /* no session: there must be none */
};

void *on_disk_start(const struct journal_sink *sink, const struct on_disk_conf *conf);
void on_disk_stop(void *impl);
struct journal on_disk_journal(void *impl);
struct store on_disk_store(void *impl);
struct fake_log *on_disk_log(void *impl);

void make_dir(char dir[64]);
void remove_dir(const char *dir);

#endif
