/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - the command line of one subcommand, from one table: parsing, range errors and help follow from
 * it.
 *
 * An option is a row of a .def file. NUMBER is a whole number, SECONDS a decimal one kept in milliseconds,
 * CHOICE one of the words of `form` (kept as its place among them), FLAG takes no value, TEXT is kept as it
 * came. All but TEXT live in a uint64_t of the caller's struct, TEXT in a const char pointer.
 *
 * Thread:  any; no state.
 * Memory:  borrows argv: TEXT values point into it.
 * Limits:  OPTIONS_MAX rows.
 * Errors:  ERR_UNKNOWN, ERR_SYNTAX, ERR_RANGE; problem says which option, which value and what is allowed.
 * Tests:   tests/unit/test_bench_conf.c
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum { OPTIONS_MAX = 64, OPTIONS_PROBLEM_MAX = 256 };

enum option_type { OPTION_NUMBER, OPTION_SECONDS, OPTION_CHOICE, OPTION_FLAG, OPTION_TEXT };

struct option_row {
    const char *name; /* as a C name; on the command line '_' is '-' */
    const char *form; /* what stands for the value in the help; the words of a CHOICE, divided by '|' */
    const char *doc;
    const char *text_default;
    enum option_type type;
    uint64_t number_default, min, max;
    size_t offset; /* of the value in the caller's struct */
};

struct options_table {
    const char *command; /* "bench" */
    const char *purpose; /* one paragraph for the help */
    const struct option_row *rows;
    size_t count;
};

struct options_parsed {
    uint64_t given; /* 1 << place in the table */
    char problem[OPTIONS_PROBLEM_MAX];
};

/* Sets every value of the struct at conf to its default. */
void options_default(const struct options_table *t, void *conf);

/* Reads argv[0..argc-1], each "--name VALUE", "--name=VALUE" or "--flag", over the defaults. After an error
 * the struct at conf holds what was read before it. */
enum err options_parse(const struct options_table *t, int argc, char *const *argv, void *conf,
                       struct options_parsed *out);

/* The n-th word of a CHOICE, "" when there is none; the answer is valid for as long as buffer is. */
const char *options_word(const struct option_row *row, uint64_t n, char *buffer, size_t buffer_bytes);

void options_help(const struct options_table *t, FILE *to);

#endif
