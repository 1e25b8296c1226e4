/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_report - the figures of a run, from bench_figures.def, as a table or as JSON.
 *
 * Thread:  any; a value.
 * Memory:  none.
 * Limits:  none.
 * Errors:  none; the run's problem is one of the things reported.
 * Tests:   tests/bench/smoke.py
 */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/bench_run.h"

enum figure {
#define FIGURE(name, unit, decimals, doc) FIG_##name,
#include "cli/bench_figures.def"
#undef FIGURE
    FIGURES
};

struct report {
    bool has[FIGURES];
    double value[FIGURES];
};

/* After the workers have ended. */
void report_make(struct report *r, const struct bench *b, const struct run_result *result);

/* Loss, repeats or wrong order where there must be none; text says what, "" when all is well. */
bool report_is_bad(const struct report *r, const struct bench_conf *conf, char text[BENCH_PROBLEM_MAX]);

void report_print(const struct report *r, const struct bench *b, const struct run_result *result, FILE *to);
void report_print_json(const struct report *r, const struct bench *b, const struct run_result *result,
                       FILE *to);

/* What each figure means; part of the help. */
void report_help(FILE *to);

#endif
