/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadline - the end of the process comes in time, whatever it hangs on: a disk, a full pipe that the log
 * goes to, a name that does not resolve.
 *
 * What was acknowledged is durable before; nothing else is lost that a client was promised.
 *
 * Thread:  started and stopped by main; one of its own.
 * Memory:  the caller's struct.
 * Limits:  DEADLINE_MS.
 * Errors:  without a thread there is no deadline.
 * Tests:   tests/e2e/test_stop.py
 */
#ifndef MAIN_DEADLINE_H
#define MAIN_DEADLINE_H

#include "base/mailbox.h"
#include "base/thread.h"
#include "log/log.h"

enum { DEADLINE_MS = 4300, DEADLINE_LOG_MS = 200 };

struct deadline {
    struct mailbox over;
    struct mail mail;
    struct thread thread;
    struct log *log;
    bool runs;
};

/* From now on the process ends DEADLINE_MS later, with status 0, unless the deadline is stopped before.
 * Borrows the log until then. */
void deadline_start(struct deadline *d, struct log *log);
void deadline_stop(struct deadline *d);

#endif
