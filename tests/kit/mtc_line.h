/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mtc_line - one line of a scenario to words: quotes, escapes, variables, repetition. The rules are in
 * tests/conformance/README.md.
 *
 * Thread:  any; no state.
 * Memory:  adds to the list of the caller.
 * Limits:  a repetition gives at most LINE_REPEAT_MAX bytes.
 * Errors:  NULL, or a text that says what is wrong.
 * Tests:   tests/conformance/test_mtc_packet.c
 */
#ifndef KIT_MTC_LINE_H
#define KIT_MTC_LINE_H

#include "kit/mtc_fields.h"

enum { LINE_REPEAT_MAX = 16 * 1024 * 1024 };

/* A word key=value becomes a field of that name, any other word a field without a name. */
const char *line_parse(struct fields *out, const char *text, const struct fields *vars);

#endif
