/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notes - what is wrong with a configuration, for the operator: errors and warnings, each one line of text.
 *
 * Thread:  one.
 * Memory:  config_notes_fini frees the texts.
 * Limits:  CONFIG_NOTES_MAX are kept.
 * Errors:  none: what is not kept is counted.
 * Tests:   tests/unit/test_config.c
 */
#ifndef CONFIG_NOTES_H
#define CONFIG_NOTES_H

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_NOTES_MAX = 100 };

struct config_note {
    bool is_error; /* else a warning */
    char *text;
};

struct config_notes {
    struct config_note at[CONFIG_NOTES_MAX];
    size_t count;  /* kept */
    size_t errors; /* all, kept or not */
    size_t missed; /* not kept */
};

void config_notes_init(struct config_notes *n);
void config_notes_fini(struct config_notes *n);

#endif
