/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print - what holds of a configuration, and what could be in one.
 *
 * Thread:  any.
 * Memory:  none is kept.
 * Limits:  none.
 * Errors:  those of the stream.
 * Tests:   tests/unit/test_config_files.c, tests/lint/generated.py
 */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include "config/config.h"

/* What holds: NAME VALUE  # ORIGIN, one a line. */
void config_print_effective(const struct config *c, FILE *to);

/* For docs: the manual in Markdown, a sample file, the option part of longlinkd.conf(5). */
void config_print_reference(FILE *to);
void config_print_sample(FILE *to);
void config_print_man(FILE *to);

#endif
