/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep - for a reload: which listener is which, and what keeps its value until the next start.
 *
 * Thread:  main.
 * Memory:  the caller's.
 * Limits:  none.
 * Errors:  none.
 * Tests:   tests/unit/test_config_listeners.c
 */
#ifndef CONFIG_KEEP_H
#define CONFIG_KEEP_H

#include "config/config.h"

/* The listener of c that binds what the one at `index` of other does; c->listeners_count if there is none. Of
 * those that bind alike (free ports) the first goes with the first. */
size_t config_find_listener(const struct config *c, const struct config *other, size_t index);

/* An option that is read at start only, and has another value now. */
struct config_change {
    const char *option, *set_at; /* now */
    const char *before, *after;
};
typedef void config_each_change(void *ctx, const struct config_change *change);

/* After config_finish of `now`: such options get the values before back, and each is told. Options of a
 * listener are compared with the same listener's. Warnings of `now` stay what they were. */
void config_keep(struct config *now, const struct config *before, config_each_change *each, void *ctx);

/* How many of the options that may change while running have another value now; those that are lists of lines
 * (DIRECTIVE) do not count, nor do listeners that are in one of the two only. */
unsigned config_changes(const struct config *now, const struct config *before);

#endif
