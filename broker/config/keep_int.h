/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep_int - what keeps its value until the next start and is no row of a table: plugins.
 *
 * Thread:  main.
 * Memory:  the caller's; some of its own until it returns.
 * Limits:  none.
 * Errors:  for want of memory the options of plugins stay what they were, too.
 * Tests:   tests/unit/test_config_listeners.c
 */
#ifndef CONFIG_KEEP_INT_H
#define CONFIG_KEEP_INT_H

#include "config/keep.h"

void plugins_keep(struct config *now, const struct config *before, config_each_change *each, void *ctx);

#endif
