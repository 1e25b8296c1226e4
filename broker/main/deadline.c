/* SPDX-License-Identifier: Apache-2.0 */
#include "main/deadline.h"
#include <stdlib.h>
#include <unistd.h>

static void wait_and_end(void *arg)
{
    struct deadline *d = arg;
    if (mailbox_wait_for(&d->over, DEADLINE_MS) != NULL) return;
    log_event(d->log, EVENT_STOP_CUT, LOG_NUM("after_ms", DEADLINE_MS));
    /* For the log's thread, if it is not what hangs. */
    if (mailbox_wait_for(&d->over, DEADLINE_LOG_MS) != NULL) return;
    _exit(EXIT_SUCCESS);
}

void deadline_start(struct deadline *d, struct log *log)
{
    *d = (struct deadline){ .log = log };
    if (mailbox_open(&d->over) != ERR_OK) return;
    d->runs = thread_start(&d->thread, "deadline", wait_and_end, d) == ERR_OK;
    if (!d->runs) mailbox_close(&d->over);
}

void deadline_stop(struct deadline *d)
{
    if (!d->runs) return;
    mailbox_send(&d->over, &d->mail);
    thread_join(&d->thread);
    mailbox_close(&d->over);
}
