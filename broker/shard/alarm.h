/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alarm - what a shard does at a time of its own: a row, its handler, and sh->alarm_ms[ALARM_name] to set it.
 *
 * Thread:  the shard's.
 * Memory:  none.
 * Limits:  one time for each; the handler runs in the first turn at or after it, with the alarm off.
 * Errors:  none.
 * Tests:   tests/e2e/test_sys.py, tests/e2e/test_delayed.py
 */
#ifndef SHARD_ALARM_H
#define SHARD_ALARM_H

#include <stdint.h>

struct shard;

enum alarm {
    ALARM_ACCEPT,    /* descriptors had run out */
    ALARM_SYS,       /* shard 0: an interval is over */
    ALARM_DELAYED,   /* shard 0: a message is due */
    ALARM_MEMORY,    /* time to look at memory_limit, and to let go of some */
    ALARM_SLOW,      /* time to look at slow readers */
    ALARM_ADMISSION, /* somebody who was held is to go on; or it may be over */
    ALARM_PUSHES,    /* and whether PUBLISHes were acknowledged */
    ALARM_PROBES,    /* and whether probes of the kernel's were answered */
    ALARM_KEEPALIVE, /* what was learned of keepalives is to be kept */
    ALARMS
};

void sys_alarm(struct shard *sh);
void sys_changed(struct shard *sh, uint32_t interval_before); /* sys_interval may be another one */
void delayed_alarm(struct shard *sh);
void memory_alarm(struct shard *sh);
void slow_alarm(struct shard *sh);
void pushes_alarm(struct shard *sh);
void probes_alarm(struct shard *sh);
void keepalive_alarm(struct shard *sh);

#endif
