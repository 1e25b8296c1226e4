/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rigged - what the plugin rigged.so shares with the test that loads it: its callbacks are the test's.
 *
 * Thread:  call on the threads that the broker calls callbacks on.
 * Memory:  the test's.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_plugin_host.c
 */
#ifndef PLUGINS_RIGGED_H
#define PLUGINS_RIGGED_H

enum { RIGGED_INIT = -1, RIGGED_CLEANUP = -2 };

struct rigged {
    /* `event` is a MOSQ_EVT_* with its data, RIGGED_INIT with the plugin's id, or RIGGED_CLEANUP. */
    int (*call)(struct rigged *rig, const char *name, int event, void *data);
};

#endif
